//! From files to a rule set: what can be said about a rule only when all are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::hash;
use super::lint;
use super::model::{Rule, RuleSet, Source};
use super::own;
use super::problem::{Code, Fault, Level, Problem, SourceText};
use super::read::{self, Draft, FAULTS_MAX};
use super::references::References;
use super::sharing::Sharing;
use super::yaml;

/// Most rules in one set.
pub const RULES_MAX: usize = 20_000;
/// Most errors, and most warnings, of all files together: each is shown with its line, which takes a look through its file.
const PROBLEMS_MAX: usize = 1000;

/// What rules are loaded for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Where they are to run.
    pub environment: Environment,
}

impl LoadOptions {
    /// For an instance whose `environment` is `name`; an empty name is none.
    #[must_use]
    pub fn of_instance(name: &str) -> Self {
        Self {
            environment: match name {
                "" => Environment::Unnamed,
                name => Environment::Named(name.to_owned()),
            },
        }
    }
}

/// Where rules are to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Environment {
    /// Nowhere in particular: rules of all environments are on. For who looks at rules without running them.
    #[default]
    Any,
    /// Where nobody said: rules of certain environments are off, with a warning.
    Unnamed,
    /// Here: rules of other environments are off.
    Named(String),
}

/// What loading gave: a set, or the errors that refuse it; warnings in either case.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All enabled rules; `None` when any file has an error.
    pub set: Option<RuleSet>,
    /// Everything wrong with every file, in the order of files and lines.
    pub problems: Vec<Problem>,
    /// The lines of `catches` and `passes` of the set's rules, for who can match them.
    pub examples: Vec<Example>,
    /// What to know about lines that several rules match.
    pub sharing: Sharing,
}

/// A line that a rule must or must not match.
#[derive(Debug, Clone)]
pub struct Example {
    /// The rule's id.
    pub rule: String,
    /// The line.
    pub line: String,
    /// Whether it must match (`catches`) or must not (`passes`).
    pub must_match: bool,
    problem: Problem,
}

impl Example {
    /// The problem to report when the line does not do what it must.
    #[must_use]
    pub fn problem(&self) -> Problem {
        self.problem.clone()
    }
}

/// Reads rule files. They make one set, valid or refused as a whole: a silently missing rule is worse than an old one.
///
/// Costs a compilation of every expression; memory is bounded by the limits on file size, rules and compiled expressions.
#[must_use]
pub fn load(sources: &[SourceText], options: &LoadOptions) -> Loaded {
    let mut files: Vec<Vec<Fault>> = Vec::new();
    let mut drafts: Vec<(usize, Draft)> = Vec::new();
    let mut patterns_bytes = 0;
    let mut all_readable = true;
    for (file, source) in sources.iter().enumerate() {
        let mut faults = Vec::new();
        // Too many already: that is what is wrong.
        if drafts.len() > RULES_MAX {
            files.push(faults);
            continue;
        }
        match yaml::parse(source, &mut faults) {
            None => all_readable = false,
            Some(root) => {
                let read = read::file(source, &root, patterns_bytes);
                patterns_bytes = read.patterns_bytes;
                faults.extend(read.faults);
                drafts.extend(read.drafts.into_iter().map(|draft| (file, draft)));
            }
        }
        files.push(faults);
    }
    let mut faults = Faults(files);
    if drafts.len() > RULES_MAX {
        let (file, draft) = &drafts[RULES_MAX];
        let message = format!("there are more than {RULES_MAX} rules");
        faults.add(
            *file,
            Fault::new(Code::TooMany, draft.id_span.clone(), message),
        );
        drafts.truncate(RULES_MAX);
    }
    resolve_environments(&mut drafts, &options.environment, &mut faults);
    let by_id = check_ids(&drafts, &mut faults);
    let mut references = References {
        by_id: &by_id,
        all_readable,
        suggestions: 0,
    };
    let order = references.exclusions(&mut drafts, &mut faults);
    references.parts(&mut drafts, &mut faults);
    let valid = all_readable && !faults.0.iter().flatten().any(is_error);
    let lints = valid.then(|| lint::lint(&drafts));
    let settled = lint::settle(&drafts, lints, &mut faults.0);
    let mut problems = Vec::new();
    let (mut errors, mut warnings) = (0, 0);
    for (source, mut faults) in sources.iter().zip(faults.0) {
        // Errors first, so that warnings cannot crowd them out.
        faults.sort_by_key(|fault| (fault.code.level(), fault.at.start));
        faults.truncate(FAULTS_MAX);
        faults.sort_by_key(|fault| fault.at.start);
        for fault in faults {
            let same = if is_error(&fault) {
                &mut errors
            } else {
                &mut warnings
            };
            *same += 1;
            if *same <= PROBLEMS_MAX {
                problems.push(Problem::new(source, fault));
            }
        }
    }
    if !valid {
        return Loaded {
            set: None,
            problems,
            ..Loaded::default()
        };
    }
    let sharing = Sharing::new(settled, &drafts, sources);
    fill_hashes(&mut drafts, &by_id, &order);
    let mut examples = Vec::new();
    let mut rules = Vec::new();
    drafts.retain(|(_, draft)| draft.enabled);
    drafts.sort_by(|a, b| a.1.rule.id.cmp(&b.1.rule.id));
    for (file, draft) in drafts {
        examples.extend(examples_of(&sources[file], &draft));
        rules.push(Arc::new(draft.rule));
    }
    let hash = hash::of_set(rules.iter().map(|rule| &**rule));
    Loaded {
        set: Some(RuleSet { rules, hash }),
        problems,
        examples,
        sharing,
    }
}

fn is_error(fault: &Fault) -> bool {
    fault.code.level() == Level::Error
}

/// What is wrong with each file.
pub(super) struct Faults(Vec<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&mut self, file: usize, fault: Fault) {
        self.0[file].push(fault);
    }
}

/// Turns off the rules of other environments.
fn resolve_environments(
    drafts: &mut [(usize, Draft)],
    environment: &Environment,
    faults: &mut Faults,
) {
    for (file, draft) in drafts {
        let Some((names, span)) = &draft.environments else {
            continue;
        };
        let on = match environment {
            Environment::Any => true,
            Environment::Named(name) => names.contains(name),
            Environment::Unnamed => false,
        };
        if *environment == Environment::Unnamed && draft.enabled {
            let message = format!(
                "`{}` is off: it is for {}, and no environment is named here",
                draft.rule.id,
                names.join(", ")
            );
            let fault = Fault::new(Code::NoEnvironment, span.clone(), message);
            faults.add(
                *file,
                fault.help("set `environment` in the settings, or give `--environment`"),
            );
        }
        draft.elsewhere = draft.enabled && !on;
        draft.enabled &= on;
    }
}

/// The place of each rule by its id; reports ids that are there twice, or not free.
fn check_ids(drafts: &[(usize, Draft)], faults: &mut Faults) -> HashMap<String, usize> {
    let mut by_id = HashMap::new();
    for (place, (file, draft)) in drafts.iter().enumerate() {
        let id = &draft.rule.id;
        if id.is_empty() {
            continue;
        }
        if id.starts_with(own::PREFIX) {
            let message = format!("`{id}` is the name of a finding about trommel itself");
            let fault = Fault::new(Code::DuplicateId, draft.id_span.clone(), message);
            faults.add(
                *file,
                fault.help("choose an id that does not begin with `trommel_`"),
            );
        }
        let Some(&first) = by_id.get(id) else {
            by_id.insert(id.clone(), place);
            continue;
        };
        let source: &Source = &drafts[first].1.rule.source;
        let fault = Fault::new(
            Code::DuplicateId,
            draft.id_span.clone(),
            format!(
                "`{id}` is already the id of the rule at {}:{}",
                source.file, source.line
            ),
        );
        faults.add(
            *file,
            if source.file.starts_with(super::files::BUILTIN_PREFIX) {
                fault.help(
                    "that rule ships with trommel: choose another id, or run with `--no-builtin`",
                )
            } else {
                fault.help("ids are unique over all files")
            },
        );
    }
    by_id
}

/// Hashes every rule; `order` has each after those that its match excludes.
fn fill_hashes(drafts: &mut [(usize, Draft)], by_id: &HashMap<String, usize>, order: &[usize]) {
    let mut excluded = vec![String::new(); drafts.len()];
    for &place in order {
        let known = &excluded;
        let digest = hash::of_match(&drafts[place].1.rule.matches, |id| known[by_id[id]].clone());
        excluded[place] = digest;
    }
    for (_, draft) in drafts {
        hash::fill(&mut draft.rule, |id| excluded[by_id[id]].clone());
    }
}

fn examples_of(source: &SourceText, draft: &Draft) -> Vec<Example> {
    let Rule {
        id,
        catches,
        passes,
        ..
    } = &draft.rule;
    let lists = [(catches, true), (passes, false)];
    let mut examples = Vec::new();
    for ((lines, must_match), spans) in lists.into_iter().zip(&draft.examples) {
        for (line, span) in lines.iter().zip(spans) {
            let (code, message) = if must_match {
                (
                    Code::NotCaught,
                    format!("`{id}` does not match this line of its `catches`"),
                )
            } else {
                (
                    Code::NotPassed,
                    format!("`{id}` matches this line of its `passes`"),
                )
            };
            examples.push(Example {
                rule: id.clone(),
                line: line.clone(),
                must_match,
                problem: Problem::new(source, Fault::new(code, span.clone(), message)),
            });
        }
    }
    examples
}
