//! What is wrong with a change, and what it changes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::files::{Files, Proposed};
use crate::rule_check::{self, Changes, Outcome, changes, outcome};
use crate::rules::{Code, Level, LoadOptions, Problem, RuleSet, SourceText, report};

/// Most problems that are told; the counts are of all.
const PROBLEMS_MAX: usize = 200;
/// Most rules whose policy is shown: who changes more reads `trommel policy`.
const OUTCOMES_MAX: usize = 50;

/// What came of looking at a change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Checked {
    /// The file, as seen from the rules directory.
    pub file: String,
    /// What the file that is there is known by: whoever saves the change says it. `none` where there is no file.
    pub hash: String,
    /// The whole file as it would be.
    pub text: String,
    /// What is different, for `patch -p1` and `git apply`.
    pub diff: String,
    /// How many errors there are. With one the change is refused.
    pub errors: usize,
    /// How many warnings there are.
    pub warnings: usize,
    /// What is wrong, as `trommel check` tells it; the first 200.
    pub problems: Vec<Diagnostic>,
    /// What would be different from the rules in use; null with an error.
    pub changes: Option<Changes>,
    /// Rules that are different in another environment only.
    pub elsewhere: Vec<String>,
    /// Of each rule that is new or different what may be done about its findings, by whom, in each environment.
    pub policy: BTreeMap<String, Vec<Outcome>>,
    /// Whether it can be saved here.
    pub writable: bool,
    /// Why it cannot be.
    pub why_not: Option<String>,
    /// What is in the file that is there; it is not told again.
    #[serde(skip)]
    pub(super) old: Option<String>,
}

/// One thing that is wrong, and how the editor shows it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
    /// Whether it breaks a hard constraint, which no file can change.
    pub hard_constraint: bool,
    /// Whether it is in the file that is changed.
    pub here: bool,
    /// All of that with the line it is about, as `trommel check` prints it.
    pub rendered: String,
}

pub(super) fn check(files: &Files, proposed: &Proposed, in_use: &RuleSet) -> Checked {
    let sources = with(&files.sources, proposed);
    let here = files.read_from.environment();
    // As `trommel check`: the rules of all environments.
    let anywhere = LoadOptions::default();
    let loaded = rule_check::check(&sources, &anywhere);
    // The file may be one of those that could not be read; it is read from here on.
    let unread = files.unread.iter().filter(|it| it.file != proposed.path);
    let unread = unread.filter(|it| it.code != Code::NoRules);
    let problems: Vec<&Problem> = unread.chain(&loaded.problems).collect();
    let count = |level| problems.iter().filter(|it| it.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let mut checked = Checked {
        file: proposed.file.clone(),
        hash: proposed.hash(),
        text: proposed.text.clone(),
        diff: proposed.diff(),
        errors,
        warnings,
        problems: problems
            .iter()
            .take(PROBLEMS_MAX)
            .map(|problem| Diagnostic::new(problem, proposed, &sources))
            .collect(),
        changes: None,
        elsewhere: Vec::new(),
        policy: BTreeMap::new(),
        writable: proposed.writable.is_ok(),
        why_not: proposed.writable.as_ref().err().cloned(),
        old: proposed.old.clone(),
    };
    let Some(set) = loaded.set.filter(|_| errors == 0) else {
        return checked;
    };
    let options = LoadOptions::of_instance(here);
    let next = crate::rules::load(&sources, &options)
        .set
        .unwrap_or_default();
    let different = changes(in_use, &next.with_own());
    let before = crate::rules::load(&files.sources, &anywhere).set;
    let anywhere = before
        .map(|before| changes(&before, &set))
        .unwrap_or_default();
    let all = |changes: &Changes| {
        let Changes {
            added,
            removed,
            changed,
            ..
        } = changes.clone();
        [added, removed, changed].concat()
    };
    let known = all(&different);
    let elsewhere = all(&anywhere).into_iter();
    checked.elsewhere = elsewhere.filter(|id| !known.contains(id)).collect();
    let shown = known.iter().chain(&checked.elsewhere);
    checked.policy = shown
        .filter_map(|id| set.find(id))
        .take(OUTCOMES_MAX)
        .map(|(_, rule)| (rule.id.clone(), outcome(rule, &loaded.taxonomy, here)))
        .collect();
    checked.changes = Some(different);
    checked
}

/// All files, with the one that is proposed in its place.
fn with(sources: &[SourceText], proposed: &Proposed) -> Vec<SourceText> {
    let mut sources = sources.to_vec();
    let mut known = sources.iter_mut();
    match known.find(|source| source.name == proposed.path) {
        Some(source) => source.text.clone_from(&proposed.text),
        None => sources.insert(
            0,
            SourceText {
                name: proposed.path.clone(),
                text: proposed.text.clone(),
            },
        ),
    }
    sources
}

impl Diagnostic {
    fn new(problem: &Problem, proposed: &Proposed, sources: &[SourceText]) -> Self {
        let rendered = report::text(std::slice::from_ref(problem), sources, false);
        Self {
            problem: problem.clone(),
            hard_constraint: problem.code == Code::Constraint,
            here: problem.file == proposed.path,
            rendered,
        }
    }
}
