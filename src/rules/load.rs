//! From files to a rule set: what can be said about a rule only when all are known.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::hash;
use super::lint;
use super::model::{Off, Rule, RuleSet, WhyOff};
use super::own;
use super::problem::{Code, Fault, Level, Problem, SourceText};
use super::read::{self, Draft, FAULTS_MAX, Patterns, TaxonomyDraft};
use super::references::References;
use super::sharing::Sharing;
use super::shipped::shipped;
use super::taxonomy::{self, Taxonomy};
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
    /// Whether rules of the last file stand in for those of the same id in others: for who tries a change.
    pub last_stands_in: bool,
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
            last_stands_in: false,
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

impl Environment {
    /// The name of the one that is meant.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Any | Self::Unnamed => None,
        }
    }
}

/// What loading gave: a set, or the errors that refuse it; warnings in either case.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All enabled rules; `None` when any file has an error.
    pub set: Option<RuleSet>,
    /// What ships, with what the files add and change.
    pub taxonomy: Arc<Taxonomy>,
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
/// A file that [`builtin`](super::builtin) gives is one that ships, and so is one with the same text. A rule that extends a
/// shipped one under its id stands in its place. Shipped rules that other rules name are in the set also when their files
/// are not in `sources`.
///
/// Costs a compilation of every expression; memory is bounded by the limits on file size, rules and compiled expressions.
#[must_use]
pub fn load(sources: &[SourceText], options: &LoadOptions) -> Loaded {
    let mut drafts: Vec<(usize, Draft)> = Vec::new();
    let mut types: Vec<(usize, TaxonomyDraft)> = Vec::new();
    let mut faults = Faults(Vec::new());
    let mut patterns = Patterns::default();
    let mut all_readable = true;
    for (file, source) in sources.iter().enumerate() {
        let mut of_file = Vec::new();
        // Too many already: that is what is wrong.
        if drafts.len() > RULES_MAX {
            faults.0.push(of_file);
            continue;
        }
        let ships = shipped().file(&source.text);
        let parsed;
        let root = match ships {
            Some(ships) => Some(&shipped().files[ships].root),
            None => {
                parsed = yaml::parse(source, &mut of_file);
                parsed.as_ref()
            }
        };
        match root {
            None => all_readable = false,
            Some(root) => {
                let read = read::file(source, root, &mut patterns);
                all_readable &= !patterns.are_too_many();
                of_file.extend(read.faults);
                if ships.is_none() && !read.taxonomy.is_empty() {
                    types.push((file, read.taxonomy));
                }
                for mut draft in read.drafts {
                    draft.ships = ships.is_some();
                    drafts.push((file, draft));
                }
            }
        }
        faults.0.push(of_file);
    }
    // What is wrong with a rule that ships is nobody's affair here; a test shows that nothing is.
    let files: Vec<&SourceText> = sources
        .iter()
        .chain(shipped().files.iter().map(|file| &file.source))
        .collect();
    faults.0.resize_with(files.len(), Vec::new);
    if drafts.len() > RULES_MAX {
        let (file, draft) = &drafts[RULES_MAX];
        let message = format!("there are more than {RULES_MAX} rules");
        faults.add(
            *file,
            Fault::new(Code::TooMany, draft.id_span.clone(), message),
        );
        drafts.truncate(RULES_MAX);
    }
    if options.last_stands_in {
        stand_in(&mut drafts, sources.len().saturating_sub(1));
    }
    replace_extended(&mut drafts);
    let mut by_id = check_ids(&drafts, &mut faults);
    add_named(&mut drafts, &mut by_id, sources.len(), &mut patterns);
    let taxonomy = taxonomy_of(sources, &types, &mut faults);
    let environment = options.environment.name();
    taxonomy::apply(
        &taxonomy,
        environment,
        &mut drafts,
        all_readable,
        &mut faults,
    );
    resolve_environments(&mut drafts, &options.environment, &mut faults);
    let mut references = References {
        by_id: &by_id,
        taxonomy: &taxonomy,
        all_readable,
        suggestions: 0,
    };
    let order = references.exclusions(&mut drafts, &mut faults);
    references.parts(&mut drafts, &mut faults);
    let valid = all_readable && !faults.any_error();
    let lints = valid.then(|| {
        let mut lints = lint::lint(&drafts);
        lints.found.extend(ids_that_ship(&drafts, &by_id));
        lints
    });
    let settled = lint::settle(&drafts, lints, &mut faults.0);
    let places = Places::of(&drafts);
    let mut problems = Vec::new();
    let (mut errors, mut warnings) = (0, 0);
    for (file, (source, mut faults)) in sources.iter().zip(faults.0).enumerate() {
        // Errors first, so that warnings cannot crowd them out.
        faults.sort_by_key(|fault| (fault.code.level(), fault.at.start));
        faults.truncate(FAULTS_MAX);
        faults.sort_by_key(|fault| fault.at.start);
        for fault in faults {
            let same = if fault.code.level() == Level::Error {
                &mut errors
            } else {
                &mut warnings
            };
            *same += 1;
            if *same <= PROBLEMS_MAX {
                problems.push(Problem {
                    rule: places.rule_at(file, fault.at.start),
                    ..Problem::new(source, fault)
                });
            }
        }
    }
    if !valid {
        return Loaded {
            set: None,
            taxonomy,
            problems,
            ..Loaded::default()
        };
    }
    let sharing = Sharing::new(settled, &drafts, sources);
    fill_hashes(&mut drafts, &by_id, &order);
    let mut examples = Vec::new();
    let (mut rules, mut off) = (Vec::new(), Vec::new());
    drafts.sort_by(|a, b| a.1.rule.id.cmp(&b.1.rule.id));
    for (file, mut draft) in drafts {
        if let Some((environments, _)) = draft.environments.take() {
            draft.rule.environments = environments;
        }
        if draft.enabled {
            examples.extend(examples_of(files[file], &draft));
            rules.push(Arc::new(draft.rule));
        } else {
            off.push(Off {
                rule: Arc::new(draft.rule),
                why: match draft.elsewhere {
                    true => WhyOff::Elsewhere,
                    false => WhyOff::Disabled,
                },
            });
        }
    }
    let hash = hash::of_set(rules.iter().map(|rule| &**rule));
    // What is wrong with a valid set is nothing but warnings.
    let warnings = problems.clone();
    Loaded {
        set: Some(RuleSet {
            rules,
            hash,
            off,
            warnings,
        }),
        taxonomy,
        problems,
        examples,
        sharing,
    }
}

/// Which rule stands where.
struct Places(Vec<(usize, Range<usize>, String)>);

impl Places {
    fn of(drafts: &[(usize, Draft)]) -> Self {
        let places = drafts.iter();
        let places = places.map(|(file, draft)| (*file, draft.span.clone(), draft.rule.id.clone()));
        let mut places: Vec<_> = places.filter(|(_, _, id)| !id.is_empty()).collect();
        places.sort_by_key(|(file, span, _)| (*file, span.start));
        Self(places)
    }

    /// Id of the rule that holds the byte `at` of `file`. What is written in `defaults` is in none.
    fn rule_at(&self, file: usize, at: usize) -> Option<String> {
        let begun = self
            .0
            .partition_point(|(of, span, _)| (*of, span.start) <= (file, at));
        let (of, span, id) = self.0.get(begun.checked_sub(1)?)?;
        (*of == file && at <= span.end).then(|| id.clone())
    }
}

/// What ships, with what files add and change.
fn taxonomy_of(
    sources: &[SourceText],
    types: &[(usize, TaxonomyDraft)],
    faults: &mut Faults,
) -> Arc<Taxonomy> {
    let shipped = Taxonomy::shipped();
    if types.is_empty() {
        return shipped;
    }
    let mut taxonomy = Taxonomy::clone(&shipped);
    let parts: Vec<_> = types
        .iter()
        .map(|(file, draft)| taxonomy::Part {
            draft,
            file: &sources[*file].name,
            ships: false,
        })
        .collect();
    taxonomy::merge(&mut taxonomy, &parts, &mut |part, fault| {
        faults.add(types[part].0, fault);
    });
    Arc::new(taxonomy)
}

/// Takes out the rules of other files whose ids `last` has too.
fn stand_in(drafts: &mut Vec<(usize, Draft)>, last: usize) {
    let of_last = drafts.iter().filter(|(file, _)| *file == last);
    let ids: HashSet<String> = of_last.map(|(_, draft)| draft.rule.id.clone()).collect();
    drafts.retain(|(file, draft)| *file == last || !ids.contains(&draft.rule.id));
}

/// Takes out shipped rules in whose place others stand.
fn replace_extended(drafts: &mut Vec<(usize, Draft)>) {
    let replaced: HashSet<String> = drafts
        .iter()
        .filter(|(_, draft)| draft.extends.as_ref() == Some(&draft.rule.id))
        .map(|(_, draft)| draft.rule.id.clone())
        .collect();
    drafts.retain(|(_, draft)| !draft.ships || !replaced.contains(&draft.rule.id));
}

/// Adds the shipped rules that others name and that are not there, from the files behind the first `files`.
fn add_named(
    drafts: &mut Vec<(usize, Draft)>,
    by_id: &mut HashMap<String, usize>,
    files: usize,
    patterns: &mut Patterns,
) {
    let mut next = 0;
    while let Some((_, draft)) = drafts.get(next) {
        next += 1;
        let excludes = draft.matching.excludes.iter().chain(&draft.other_excludes);
        let parts = draft.parts.iter().map(|part| &part.name);
        let names = excludes.map(|(id, _)| id).chain(parts);
        let missing: BTreeSet<String> = names
            .filter(|id| !by_id.contains_key(*id))
            .cloned()
            .collect();
        for id in missing {
            let Some(rule) = shipped().rule(&id) else {
                continue;
            };
            if let Some(mut draft) = read::shipped(rule, patterns) {
                draft.ships = true;
                by_id.insert(id, drafts.len());
                drafts.push((files + rule.file, draft));
            }
        }
    }
}

/// What is wrong with each file.
pub(super) struct Faults(Vec<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&mut self, file: usize, fault: Fault) {
        self.0[file].push(fault);
    }

    fn any_error(&self) -> bool {
        let mut faults = self.0.iter().flatten();
        faults.any(|fault| fault.code.level() == Level::Error)
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
        if id.starts_with(own::OWN_PREFIX) {
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
        let (first_file, first) = &drafts[first];
        // What an operator wrote is what an operator can change.
        let (file, draft, other) = if draft.ships {
            (first_file, first, draft)
        } else {
            (file, draft, first)
        };
        let source = &other.rule.source;
        let message = format!(
            "`{id}` is already the id of the rule at {}:{}",
            source.file, source.line
        );
        let fault = Fault::new(Code::DuplicateId, draft.id_span.clone(), message);
        faults.add(
            *file,
            if other.ships {
                fault.help(format!("that rule ships with trommel: to change it write `extends: {id}`; else choose another id, or run with `--no-builtin`"))
            } else {
                fault.help("ids are unique over all files")
            },
        );
    }
    by_id
}

/// Rules with the id of one that ships and is not loaded here: where it is, the set is refused.
fn ids_that_ship<'a>(
    drafts: &'a [(usize, Draft)],
    by_id: &'a HashMap<String, usize>,
) -> impl Iterator<Item = (usize, Fault)> + 'a {
    let names = shipped().ids().filter_map(|id| Some((id, *by_id.get(id)?)));
    names.filter_map(|(id, place)| {
        let (_, draft) = &drafts[place];
        let message = format!("`{id}` is the id of a rule that ships, which `trommel run` loads too");
        let fault = Fault::new(Code::ShippedId, draft.id_span.clone(), message)
            .help(format!("to change that rule write `extends: {id}`; else choose another id, or run with `--no-builtin`"));
        (!draft.ships && draft.extends.is_none()).then_some((place, fault))
    })
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
                problem: Problem {
                    rule: Some(id.clone()),
                    ..Problem::new(source, Fault::new(code, span.clone(), message))
                },
            });
        }
    }
    examples
}
