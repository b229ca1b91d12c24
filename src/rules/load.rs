//! From files to a rule set: what can be said about a rule only when all are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::hash;
use super::keys::nearest;
use super::lint;
use super::model::{Exclude, Recover, Rule, RuleSet};
use super::problem::{Code, Fault, Level, Problem, SourceText};
use super::read::{self, Draft, FAULTS_MAX};
use super::yaml;

/// Most rules in one set.
pub const RULES_MAX: usize = 20_000;
/// Longest chain of rules that exclude rules: what an exclusion costs is paid for every line that it is asked about.
const EXCLUDE_DEPTH_MAX: usize = 8;

/// How many unknown ids get a suggestion.
const SUGGESTIONS_MAX: usize = 20;

/// What loading gave: a set, or the errors that refuse it; warnings in either case.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All enabled rules; `None` when any file has an error.
    pub set: Option<RuleSet>,
    /// Everything wrong with every file, in the order of files and lines.
    pub problems: Vec<Problem>,
    /// The lines of `catches` and `passes` of the set's rules, for who can match them.
    pub examples: Vec<Example>,
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
pub fn load(sources: &[SourceText]) -> Loaded {
    let mut files: Vec<Vec<Fault>> = Vec::new();
    let mut drafts: Vec<(usize, Draft)> = Vec::new();
    let mut patterns_bytes = 0;
    let mut all_readable = true;
    for (file, source) in sources.iter().enumerate() {
        let mut faults = Vec::new();
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
    let mut all = Rules {
        files,
        by_id: HashMap::new(),
    };
    if drafts.len() > RULES_MAX {
        let (file, draft) = &drafts[RULES_MAX];
        all.fault(
            *file,
            Fault::new(
                Code::TooMany,
                draft.id_span.clone(),
                format!("there are {} rules, limit is {RULES_MAX}", drafts.len()),
            ),
        );
        drafts.truncate(RULES_MAX);
    }
    all.check_ids(&drafts);
    all.check_exclusions(&mut drafts, all_readable);
    let order = all.order(&drafts);
    let valid = all_readable && !all.files.iter().flatten().any(is_error);
    if valid {
        for (file, fault) in lint::lint(&drafts) {
            all.fault(file, fault);
        }
    }
    let mut problems = Vec::new();
    for (source, mut faults) in sources.iter().zip(all.files) {
        // Errors first, so that warnings cannot crowd them out.
        faults.sort_by_key(|fault| (fault.code.level(), fault.at.start));
        faults.truncate(FAULTS_MAX);
        faults.sort_by_key(|fault| fault.at.start);
        problems.extend(faults.into_iter().map(|fault| Problem::new(source, fault)));
    }
    if !valid {
        return Loaded {
            set: None,
            problems,
            examples: Vec::new(),
        };
    }
    fill_hashes(&mut drafts, &all.by_id, &order);
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
    }
}

fn is_error(fault: &Fault) -> bool {
    fault.code.level() == Level::Error
}

/// What is known of all rules together.
struct Rules {
    files: Vec<Vec<Fault>>,
    /// Places in the list of drafts.
    by_id: HashMap<String, usize>,
}

impl Rules {
    fn fault(&mut self, file: usize, fault: Fault) {
        self.files[file].push(fault);
    }

    fn check_ids(&mut self, drafts: &[(usize, Draft)]) {
        for (place, (file, draft)) in drafts.iter().enumerate() {
            let id = &draft.rule.id;
            if id.is_empty() {
                continue;
            }
            let Some(&first) = self.by_id.get(id) else {
                self.by_id.insert(id.clone(), place);
                continue;
            };
            let source = &drafts[first].1.rule.source;
            let fault = Fault::new(
                Code::DuplicateId,
                draft.id_span.clone(),
                format!(
                    "`{id}` is already the id of the rule at {}:{}",
                    source.file, source.line
                ),
            );
            self.fault(
                *file,
                if source.file.starts_with(super::files::BUILTIN_PREFIX) {
                    fault.help("that rule ships with trommel: choose another id, or run with `--no-builtin`")
                } else {
                    fault.help("ids are unique over all files")
                },
            );
        }
    }

    /// Every `{rule: id}` must name a rule; one that is disabled excludes nothing.
    fn check_exclusions(&mut self, drafts: &mut [(usize, Draft)], all_readable: bool) {
        let mut suggestions = 0;
        for place in 0..drafts.len() {
            let (file, draft) = &drafts[place];
            let file = *file;
            let named = draft
                .matching
                .excludes
                .iter()
                .chain(&draft.recover_excludes);
            let mut without = Vec::new();
            for (id, span) in named.cloned().collect::<Vec<_>>() {
                match self.by_id.get(&id) {
                    Some(&other) if drafts[other].1.enabled => {}
                    Some(_) => {
                        self.fault(
                            file,
                            Fault::new(
                                Code::DisabledRule,
                                span,
                                format!("`{id}` is disabled, so it excludes nothing"),
                            ),
                        );
                        without.push(id);
                    }
                    // The rule may be in the file that could not be read.
                    None if !all_readable => {}
                    None => {
                        let fault =
                            Fault::new(Code::UnknownRule, span, format!("there is no rule `{id}`"));
                        // A suggestion costs a comparison with every id.
                        suggestions += 1;
                        let ids = self.by_id.keys().map(String::as_str);
                        let ids = ids.take(if suggestions > SUGGESTIONS_MAX {
                            0
                        } else {
                            RULES_MAX
                        });
                        let fault = match nearest(&id, ids) {
                            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                            None => fault,
                        };
                        self.fault(file, fault);
                    }
                }
            }
            if !without.is_empty() {
                let draft = &mut drafts[place].1;
                let kept = |exclude: &Exclude| !matches!(exclude, Exclude::Rule(id) if without.contains(id));
                draft.rule.matches.none.retain(kept);
                draft
                    .matching
                    .excludes
                    .retain(|(id, _)| !without.contains(id));
                if let Recover::Match { when, .. } = &mut draft.rule.recover {
                    when.none.retain(kept);
                }
            }
        }
    }

    /// Places of rules in an order in which every rule comes after those that its match excludes; reports cycles and chains
    /// that are too long.
    fn order(&mut self, drafts: &[(usize, Draft)]) -> Vec<usize> {
        let named: Vec<Vec<usize>> = drafts
            .iter()
            .map(|(_, draft)| {
                let ids = draft.matching.excludes.iter();
                ids.filter_map(|(id, _)| self.by_id.get(id).copied())
                    .collect()
            })
            .collect();
        let mut named_by = vec![Vec::new(); drafts.len()];
        for (place, others) in named.iter().enumerate() {
            for &other in others {
                named_by[other].push(place);
            }
        }
        let mut waits: Vec<usize> = named.iter().map(Vec::len).collect();
        let mut depth = vec![0; drafts.len()];
        let mut order: Vec<usize> = (0..drafts.len())
            .filter(|&place| waits[place] == 0)
            .collect();
        let mut next = 0;
        while let Some(&place) = order.get(next) {
            next += 1;
            for &above in &named_by[place] {
                depth[above] = depth[above].max(depth[place] + 1);
                waits[above] -= 1;
                if waits[above] == 0 {
                    order.push(above);
                }
            }
            if depth[place] == EXCLUDE_DEPTH_MAX + 1 {
                let (file, draft) = &drafts[place];
                let span = draft.matching.excludes[0].1.clone();
                self.fault(
                    *file,
                    Fault::new(
                        Code::TooMany,
                        span,
                        format!(
                            "rules exclude rules in a chain of {}, limit is {EXCLUDE_DEPTH_MAX}",
                            EXCLUDE_DEPTH_MAX + 1
                        ),
                    ),
                );
            }
        }
        self.report_cycles(drafts, &named, &waits);
        order
    }

    /// Rules that still wait for others are in a cycle, or lead to one: following any of them ends in it.
    fn report_cycles(&mut self, drafts: &[(usize, Draft)], named: &[Vec<usize>], waits: &[usize]) {
        let mut seen = vec![usize::MAX; drafts.len()];
        for start in (0..drafts.len()).filter(|&place| waits[place] > 0) {
            let mut place = start;
            while seen[place] == usize::MAX {
                seen[place] = start;
                place = *named[place]
                    .iter()
                    .find(|&&other| waits[other] > 0)
                    .expect("a rule that waits names one that waits");
            }
            if seen[place] != start {
                continue;
            }
            let entry = place;
            let mut names = vec![drafts[entry].1.rule.id.as_str()];
            loop {
                place = *named[place]
                    .iter()
                    .find(|&&other| waits[other] > 0)
                    .expect("as above");
                names.push(&drafts[place].1.rule.id);
                if place == entry {
                    break;
                }
            }
            let (file, draft) = &drafts[entry];
            let excludes = draft.matching.excludes.iter();
            let span = excludes
                .filter(|(id, _)| id == names[1])
                .map(|(_, span)| span.clone())
                .next()
                .unwrap_or_else(|| draft.id_span.clone());
            let message = if names.len() == 2 {
                format!("`{}` excludes itself", names[0])
            } else {
                format!("rules exclude each other: `{}`", names.join("` → `"))
            };
            let fault = Fault::new(Code::Cycle, span, message)
                .help("the general rule excludes the specific one, and not the other way round");
            self.fault(*file, fault);
        }
    }
}

fn fill_hashes(drafts: &mut [(usize, Draft)], by_id: &HashMap<String, usize>, order: &[usize]) {
    let mut matches = vec![String::new(); drafts.len()];
    for &place in order {
        let known = &matches;
        let digest = hash::of_match(&drafts[place].1.rule.matches, |id| known[by_id[id]].clone());
        matches[place] = digest;
    }
    for (place, (_, draft)) in drafts.iter_mut().enumerate() {
        let recover = match &draft.rule.recover {
            Recover::Match { when, .. } => hash::of_match(when, |id| matches[by_id[id]].clone()),
            _ => String::new(),
        };
        hash::fill(&mut draft.rule, &matches[place], &recover);
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
