//! Rules for commands: those under paths, or those that ship.

use std::path::PathBuf;
use std::sync::Arc;

use super::output::Output;
use crate::rules::{self, FilesRead, Loaded, RuleSet, report};

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

/// The rules under `paths`, for a command that needs them to run. What is wrong with them goes to `diagnostics`;
/// warnings are for `trommel check` to tell.
///
/// # Errors
/// When a file cannot be read, or a rule is wrong.
pub(super) fn compile(
    paths: &[PathBuf],
    diagnostics: &mut impl Output,
) -> anyhow::Result<Arc<RuleSet>> {
    let FilesRead { sources, problems } = read(paths);
    let Loaded {
        set,
        problems: wrong,
        ..
    } = rules::load(&sources);
    let errors: Vec<_> = problems
        .into_iter()
        .chain(wrong)
        .filter(|problem| problem.level == rules::Level::Error)
        .collect();
    match set {
        Some(set) if errors.is_empty() => Ok(Arc::new(set)),
        _ => {
            let text = report::text(&errors, &sources, diagnostics.shows_color());
            diagnostics.write_all(text.as_bytes())?;
            anyhow::bail!("the rules have {}", report::tally(&errors))
        }
    }
}
