//! Rules that name rules: `none: [{rule: id}]` excludes another rule's lines, `correlate` joins other rules' findings.

use std::collections::HashMap;
use std::ops::Range;

use super::condition::{Condition, Part};
use super::keys::nearest;
use super::load::Faults;
use super::model::Exclude;
use super::order::Order;
use super::problem::{Code, Fault};
use super::read::{Draft, Group};
use super::taxonomy::Taxonomy;

/// Longest chain of rules that exclude rules: what an exclusion costs is paid for every line that it is asked about.
const EXCLUDE_DEPTH_MAX: usize = 8;
/// Most rules that may have to be asked whether one of them is excluded: each is asked again for every rule that names it.
const EXCLUDE_ASKED_MAX: u64 = 10_000;
/// How many unknown names get a suggestion: each costs a comparison with every name.
const SUGGESTIONS_MAX: usize = 20;

/// All rules by their ids.
pub(super) struct References<'a> {
    /// Places in the list of drafts.
    pub(super) by_id: &'a HashMap<String, usize>,
    pub(super) taxonomy: &'a Taxonomy,
    /// Whether a name may be in a file that could not be read.
    pub(super) all_readable: bool,
    /// How many suggestions have been made.
    pub(super) suggestions: usize,
}

impl References<'_> {
    /// Checks every `{rule: id}`: it must name a rule that has a `match`; one that is off excludes nothing and is left out.
    /// Gives the places of rules in an order in which every rule comes after those that its match excludes.
    pub(super) fn exclusions(
        &mut self,
        drafts: &mut [(usize, Draft)],
        faults: &mut Faults,
    ) -> Vec<usize> {
        for place in 0..drafts.len() {
            let (file, draft) = &drafts[place];
            let named = draft.matching.excludes.iter().chain(&draft.other_excludes);
            let mut without = Vec::new();
            for (id, span) in named {
                let fault = match self.by_id.get(id) {
                    Some(&other) if !drafts[other].1.enabled => {
                        without.push(id.clone());
                        Fault::new(
                            Code::DisabledRule,
                            span.clone(),
                            format!(
                                "`{id}` is {}, so it excludes nothing",
                                drafts[other].1.why_off()
                            ),
                        )
                    }
                    Some(&other) if !drafts[other].1.has_match() => Fault::new(
                        Code::UnknownRule,
                        span.clone(),
                        format!("`{id}` has no `match` whose lines could be left out"),
                    )
                    .help("name the lines themselves"),
                    Some(_) => continue,
                    // The rule may be in the file that could not be read.
                    None if !self.all_readable => continue,
                    None => self.unknown(id, span, format!("there is no rule `{id}`")),
                };
                faults.add(*file, fault);
            }
            if !without.is_empty() {
                drafts[place].1.leave_out(&without);
            }
        }
        self.exclusion_order(drafts, faults)
    }

    fn exclusion_order(&self, drafts: &[(usize, Draft)], faults: &mut Faults) -> Vec<usize> {
        let named: Vec<Vec<usize>> = drafts
            .iter()
            .map(|(_, draft)| {
                let ids = draft.matching.excludes.iter();
                ids.filter_map(|(id, _)| self.by_id.get(id).copied())
                    .collect()
            })
            .collect();
        let order = Order::of(&named);
        let mut asked = vec![1u64; drafts.len()];
        for &place in &order.places {
            let below = named[place].iter().map(|&other| asked[other]);
            asked[place] = below.fold(1, u64::saturating_add);
            // Told once for a chain: what names this one is no worse.
            let known = named[place]
                .iter()
                .any(|&other| asked[other] > EXCLUDE_ASKED_MAX);
            if asked[place] > EXCLUDE_ASKED_MAX && !known {
                let (file, draft) = &drafts[place];
                let message = format!(
                    "whether `{}` is excluded takes asking {} rules, limit is {EXCLUDE_ASKED_MAX}",
                    draft.rule.id, asked[place]
                );
                let fault = Fault::new(Code::TooMany, draft.id_span.clone(), message);
                faults.add(
                    *file,
                    fault.help(
                        "what a rule excludes excludes other rules in turn: name fewer of them",
                    ),
                );
            }
            if order.depth[place] == EXCLUDE_DEPTH_MAX + 1 {
                let (file, draft) = &drafts[place];
                let span = draft.matching.excludes[0].1.clone();
                let message = format!(
                    "rules exclude rules in a chain of {}, limit is {EXCLUDE_DEPTH_MAX}",
                    EXCLUDE_DEPTH_MAX + 1
                );
                faults.add(*file, Fault::new(Code::TooMany, span, message));
            }
        }
        for cycle in &order.cycles {
            let (file, draft) = &drafts[cycle[0]];
            let names = Names::of(cycle, |place| &drafts[place].1.rule.id);
            let excludes = draft.matching.excludes.iter();
            let span = span_of(excludes.map(|(id, span)| (id, span)), names.second(), draft);
            let message = match names.0.len() {
                2 => format!("`{}` excludes itself", names.0[0]),
                _ => format!("rules exclude each other: {names}"),
            };
            let fault = Fault::new(Code::Cycle, span, message)
                .help("the general rule excludes the specific one, and not the other way round");
            faults.add(*file, fault);
        }
        order.places
    }

    /// Resolves the parts of every `correlate`: the id of a rule goes before an incident type. What is correlated may itself
    /// correlate, but not in a circle.
    pub(super) fn parts(&mut self, drafts: &mut [(usize, Draft)], faults: &mut Faults) {
        for place in 0..drafts.len() {
            let mut resolved = Vec::new();
            let (file, draft) = &drafts[place];
            for part in &draft.parts {
                let Some(&other) = self.by_id.get(&part.name) else {
                    if self.taxonomy.types.contains_key(&part.name) {
                        resolved.push((part.group, Part::IncidentType(part.name.clone())));
                    } else if self.all_readable {
                        let message =
                            format!("there is no rule and no incident type `{}`", part.name);
                        faults.add(*file, self.unknown(&part.name, &part.at, message));
                    }
                    continue;
                };
                resolved.push((part.group, Part::Rule(part.name.clone())));
                if !drafts[other].1.enabled {
                    let what = match part.group {
                        Group::All => "so this never opens",
                        Group::Any | Group::None => "so it is never there",
                    };
                    let why = drafts[other].1.why_off();
                    let message = format!("`{}` is {why}, {what}", part.name);
                    faults.add(
                        *file,
                        Fault::new(Code::DisabledRule, part.at.clone(), message),
                    );
                }
            }
            if let Condition::Correlate(correlate) = &mut drafts[place].1.rule.condition {
                for (group, part) in resolved {
                    match group {
                        Group::All => correlate.all.push(part),
                        Group::Any => correlate.any.push(part),
                        Group::None => correlate.none.push(part),
                    }
                }
            }
        }
        for (file, draft) in drafts.iter() {
            for fault in self.idle_names(drafts, draft) {
                faults.add(*file, fault);
            }
        }
        part_cycles(drafts, self.by_id, faults);
    }

    /// Names in the `by` of a `correlate` that no part has in its own, so that nothing gives them a value. An incident type may
    /// stand for any rule.
    fn idle_names(&self, drafts: &[(usize, Draft)], draft: &Draft) -> Vec<Fault> {
        let opening = draft.parts.iter().filter(|part| part.group != Group::None);
        let rules: Option<Vec<_>> = opening.map(|part| self.by_id.get(&part.name)).collect();
        let Some(rules) = rules.filter(|rules| !rules.is_empty()) else {
            return Vec::new();
        };
        let has = |name: &String| {
            let mut rules = rules.iter();
            rules.any(|&&part| drafts[part].1.rule.by.contains(name))
        };
        let names = draft.rule.by.iter().zip(&draft.by_spans);
        let idle = names.filter(|(name, _)| !has(name));
        idle.map(|(name, span)| {
            let message =
                format!("`{name}` is in the `by` of none of the parts, so it never has a value");
            Fault::new(Code::Ineffective, span.clone(), message)
                .help("findings are joined on names that the parts have in their `by`")
        })
        .collect()
    }

    /// The fault for a name that means nothing, with a suggestion among the ids.
    fn unknown(&mut self, name: &str, span: &Range<usize>, message: String) -> Fault {
        let fault = Fault::new(Code::UnknownRule, span.clone(), message);
        self.suggestions += 1;
        if self.suggestions > SUGGESTIONS_MAX {
            return fault;
        }
        let ids = self.by_id.keys().chain(self.taxonomy.types.keys());
        match nearest(name, ids.map(String::as_str)) {
            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
            None => fault,
        }
    }
}

/// Reports rules that correlate each other. An incident type stands for every rule that has it.
fn part_cycles(drafts: &[(usize, Draft)], by_id: &HashMap<String, usize>, faults: &mut Faults) {
    let mut types: HashMap<&str, usize> = HashMap::new();
    let mut named: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    let mut names: Vec<&str> = drafts
        .iter()
        .map(|(_, draft)| draft.rule.id.as_str())
        .collect();
    for (place, (_, draft)) in drafts.iter().enumerate() {
        for part in &draft.parts {
            let other = by_id.get(&part.name).copied().unwrap_or_else(|| {
                *types.entry(&part.name).or_insert_with(|| {
                    names.push(&part.name);
                    named.push(Vec::new());
                    names.len() - 1
                })
            });
            named[place].push(other);
        }
    }
    for (place, (_, draft)) in drafts.iter().enumerate() {
        // Rules that correlate nothing end every chain.
        if let (false, Some(&of)) = (
            draft.parts.is_empty(),
            types.get(draft.rule.incident_type.as_str()),
        ) {
            named[of].push(place);
        }
    }
    for mut cycle in Order::of(&named).cycles {
        // Types name only rules, so a rule is among any two.
        if cycle[0] >= drafts.len() {
            cycle.rotate_left(1);
        }
        let (file, draft) = &drafts[cycle[0]];
        let names = Names::of(&cycle, |place| names[place]);
        let parts = draft.parts.iter().map(|part| (&part.name, &part.at));
        let span = span_of(parts, names.second(), draft);
        let rules: Vec<_> = cycle
            .iter()
            .filter(|&&place| place < drafts.len())
            .collect();
        let (message, help) = match (rules.len(), cycle.len()) {
            (1, 1) => (
                format!("`{}` correlates itself", names.0[0]),
                "name the rules whose findings it joins",
            ),
            (1, _) => (
                format!(
                    "`{}` is itself of the type `{}`",
                    names.0[0],
                    names.second()
                ),
                "name the rules in place of their type, or give this rule another type",
            ),
            _ => (
                format!("rules correlate each other: {names}"),
                "findings explain each other in one direction only",
            ),
        };
        faults.add(*file, Fault::new(Code::Cycle, span, message).help(help));
    }
}

/// Names along a circle, the first again at the end.
struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    fn of<T: AsRef<str> + ?Sized + 'a>(cycle: &[usize], name: impl Fn(usize) -> &'a T) -> Self {
        let places = cycle.iter().chain(&cycle[..1]);
        Self(places.map(|&place| name(place).as_ref()).collect())
    }

    fn second(&self) -> &'a str {
        self.0[1]
    }
}

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.0.join("` → `"))
    }
}

/// Where `draft` names `name`.
fn span_of<'a>(
    mut named: impl Iterator<Item = (&'a String, &'a Range<usize>)>,
    name: &str,
    draft: &Draft,
) -> Range<usize> {
    named
        .find(|(id, _)| *id == name)
        .map_or_else(|| draft.id_span.clone(), |(_, span)| span.clone())
}

impl Draft {
    /// Why it is not on.
    fn why_off(&self) -> &'static str {
        if self.elsewhere {
            "off in this environment"
        } else {
            "disabled"
        }
    }

    /// Takes the rules `ids` out of all its exclusions.
    fn leave_out(&mut self, ids: &[String]) {
        for matches in self.rule.matches_mut() {
            matches
                .none
                .retain(|exclude| !matches!(exclude, Exclude::Rule(id) if ids.contains(id)));
        }
        let others = &mut self.other_excludes;
        for excludes in [&mut self.matching.excludes, others] {
            excludes.retain(|(id, _)| !ids.contains(id));
        }
    }
}
