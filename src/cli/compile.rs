//! Rules for commands: those under paths, or those that ship.

use std::path::PathBuf;
use std::sync::Arc;

use super::output::Output;
use crate::rules::{self, Code, FilesRead, Level, LoadOptions, Loaded, RuleSet, report};

/// The rule files under `paths`; without any, those that ship with trommel.
pub(super) fn read(paths: &[PathBuf]) -> FilesRead {
    if paths.is_empty() {
        return FilesRead {
            sources: rules::builtin(),
            ..FilesRead::default()
        };
    }
    rules::read_paths(paths)
}

/// The rules under `paths`, of all environments, for a command that needs them to run. What is wrong with them goes to
/// `diagnostics`; warnings are for `trommel check` to tell.
///
/// # Errors
/// When a file cannot be read, or a rule is wrong.
pub(super) fn compile(
    paths: &[PathBuf],
    diagnostics: &mut impl Output,
) -> anyhow::Result<Arc<RuleSet>> {
    compile_for(&LoadOptions::default(), paths, diagnostics)
}

/// As [`compile`], the rules that are on where `options` say; also tells of rules that are off because no environment is named.
pub(super) fn compile_for(
    options: &LoadOptions,
    paths: &[PathBuf],
    diagnostics: &mut impl Output,
) -> anyhow::Result<Arc<RuleSet>> {
    let loaded = load(options, paths, diagnostics)?;
    Ok(Arc::new(loaded.set.unwrap_or_default()))
}

/// As [`compile_for`], with all that loading gives; there is a set.
pub(super) fn load(
    options: &LoadOptions,
    paths: &[PathBuf],
    diagnostics: &mut impl Output,
) -> anyhow::Result<Loaded> {
    let FilesRead { sources, problems } = read(paths);
    let loaded = rules::load(&sources, options);
    let problems = problems.iter().chain(&loaded.problems);
    let (errors, others): (Vec<_>, Vec<_>) = problems
        .cloned()
        .partition(|problem| problem.level == Level::Error);
    let refused = loaded.set.is_none() || !errors.is_empty();
    let shown = if refused {
        errors
    } else {
        let off = others.into_iter();
        off.filter(|problem| problem.code == Code::NoEnvironment)
            .collect()
    };
    let text = report::text(&shown, &sources, diagnostics.shows_color());
    diagnostics.write_all(text.as_bytes())?;
    if refused {
        anyhow::bail!("the rules have {}", report::tally(&shown));
    }
    Ok(loaded)
}
