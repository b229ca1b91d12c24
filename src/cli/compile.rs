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
    let FilesRead { sources, problems } = read(paths);
    let Loaded {
        set,
        problems: wrong,
        ..
    } = rules::load(&sources, options);
    let mut shown: Vec<_> = problems
        .into_iter()
        .chain(wrong)
        .filter(|problem| problem.level == Level::Error || problem.code == Code::NoEnvironment)
        .collect();
    let refused = set.is_none() || shown.iter().any(|problem| problem.level == Level::Error);
    if refused {
        shown.retain(|problem| problem.level == Level::Error);
    }
    let text = report::text(&shown, &sources, diagnostics.shows_color());
    diagnostics.write_all(text.as_bytes())?;
    match set {
        Some(set) if !refused => Ok(Arc::new(set)),
        _ => anyhow::bail!("the rules have {}", report::tally(&shown)),
    }
}
