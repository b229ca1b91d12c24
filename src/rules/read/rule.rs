//! Reading one rule: its keys one by one, save those that say what makes a finding and what becomes of it.

use std::ops::Range;
use std::time::Duration;

use super::fit;
use super::layers::{Base, Keys};
use super::patterns::Empty;
use super::value::{Entries, PROSE_BYTES_MAX};
use super::{Draft, Reader};
use crate::rules::keys::{CONFIDENCES, KEYS_MAX_MAX, PARSES, Place, SEVERITIES, nearest};
use crate::rules::model::{Confidence, EvidenceRules, Item, Match, Parse, Rule, Severity, Source};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::selector::Selector;
use crate::rules::shipped::shipped;
use crate::rules::summary;
use crate::rules::yaml::{Node, Value};
use crate::time::format_duration;

/// Most names in `by`.
const BY_MAX: usize = 16;
/// Most items in `hints` and in `tags`: they go into every message.
const LINES_MAX: usize = 32;
/// Longest name of an environment, as in the settings.
const ENVIRONMENT_BYTES_MAX: usize = 64;
/// Largest `late_by`, as in the settings.
const LATE_BY_MAX: Duration = Duration::from_secs(3600);

impl Reader<'_> {
    pub(super) fn rule(&mut self, node: &Node, defaults: &Entries<'_>) -> Option<Draft> {
        let own = self.map(node, Place::Rule)?;
        let base = self.base(&own);
        let keys = Keys {
            own,
            base,
            defaults: Some(defaults),
        };
        let (line, number) = self.source.line_at(node.span.start);
        let mut draft = self.settings(&keys);
        draft.span = node.span.clone();
        draft.rule.source = Source {
            file: self.source.name.clone(),
            line: number,
        };
        draft.id_span = node.span.start..line.end.max(node.span.start);
        self.id(&keys, &mut draft);
        // A shipped rule that was not found may have what is missing.
        if keys.base.is_some() || keys.own.get("extends").is_none() {
            if keys.get("match").is_none() && fit::needs_match(keys.class()) {
                self.missing(&draft.id_span, "match", "match: a text in the line");
            }
            if keys.get("incident_type").is_none() {
                let example = "incident_type: workload_failure";
                self.missing(&draft.id_span, "incident_type", example);
            }
        }
        self.fits(&keys, &draft);
        draft.rule.summary = self.key(&keys, "summary", |reader, node| {
            let text = reader.line(node, "`summary`")?;
            let faults = match summary::parse(text, &draft.rule.by, &names(&draft.rule)) {
                Ok(summary) => return Some(summary),
                Err(faults) => faults,
            };
            for fault in faults {
                reader.fault_within(node, text, fault);
            }
            None
        });
        Some(draft)
    }

    /// The shipped rule that `own` extends.
    fn base<'n>(&mut self, own: &Entries<'n>) -> Option<Base<'n>> {
        let at = own.get("extends")?;
        let id = self.token(at, "`extends`")?;
        let Some(base) = shipped().rule(&id) else {
            let message = format!("no rule `{id}` ships with trommel");
            let fault = Fault::new(Code::UnknownRule, at.span.clone(), message);
            self.fault(match nearest(&id, shipped().ids()) {
                Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                None => fault.help(
                    "`extends` takes one of the rules that `trommel rules` lists; what rules of a file share goes under `defaults`",
                ),
            });
            return None;
        };
        // The files that ship have no faults, as a test shows.
        let mut reader = Reader::new(base.source, self.patterns);
        let own = reader.map(base.node, Place::Rule)?;
        let defaults = base.defaults.and_then(|node| reader.map(node, Place::Rule));
        Some(Base {
            own,
            defaults: defaults.unwrap_or_default(),
            source: base.source,
            at: at.span.clone(),
        })
    }

    /// The rule's id: its own, or that of the rule that it extends and so replaces.
    fn id(&mut self, keys: &Keys<'_>, draft: &mut Draft) {
        if let Some(base) = &keys.base {
            draft.id_span = base.at.clone();
            draft.extends = base.own.get("id").and_then(Node::scalar).map(str::to_owned);
        }
        if let Some(id) = keys.own.get("id") {
            draft.id_span = id.span.clone();
            draft.rule.id = self.token(id, "`id`").unwrap_or_default();
        } else if let Some(id) = &draft.extends {
            draft.rule.id.clone_from(id);
        } else if keys.own.get("extends").is_none() {
            self.missing(&draft.id_span, "id", "- id: what_is_wrong");
        }
    }

    fn missing(&mut self, at: &Range<usize>, key: &str, example: &str) {
        self.fault(
            Fault::new(
                Code::Missing,
                at.clone(),
                format!("the rule has no `{key}`"),
            )
            .help(format!("write `{example}`")),
        );
    }

    /// Everything that `defaults` may hold too, and the match.
    pub(super) fn settings(&mut self, keys: &Keys<'_>) -> Draft {
        let flag = |reader: &mut Self, name: &str| {
            reader.key(keys, name, |reader, node| {
                reader.flag(node, &format!("`{name}`"))
            })
        };
        let ignore_case = flag(self, "ignore_case").unwrap_or(false);
        let enabled = flag(self, "enabled").unwrap_or(true);
        let matching = self.key(keys, "match", |reader, node| {
            Some(reader.matching(node, ignore_case))
        });
        let matching = matching.unwrap_or_default();
        let selector = |reader: &mut Self, name: &str| {
            reader.key(keys, name, |reader, node| {
                reader.selector(node, &format!("`{name}`"))
            })
        };
        let (by, by_spans) = self.by(keys);
        let (catches, caught) = self.examples(keys, "catches");
        let (passes, passed) = self.examples(keys, "passes");
        let mut draft = Draft::new(Rule {
            name: self.line_of(keys, "name"),
            description: self.key(keys, "description", |reader, node| {
                let text = reader.text(node, "`description`", PROSE_BYTES_MAX);
                text.map(str::to_owned)
            }),
            owner: self.line_of(keys, "owner"),
            version: self.line_of(keys, "version"),
            selector: selector(self, "selector").unwrap_or_default(),
            unless: self.key(keys, "unless", Self::unless),
            parse: self.parse(keys),
            matches: matching.matches.clone(),
            by,
            hold: self.span_of(keys, "for").unwrap_or_default(),
            confidence: self.confidence(keys),
            cooldown: self.span_of(keys, "cooldown").unwrap_or(Rule::COOLDOWN),
            runbook: self.key(keys, "runbook", Self::runbook),
            route: self.line_of(keys, "route"),
            hints: self.lines(keys, "hints"),
            tags: self.lines(keys, "tags"),
            keys_max: self.key(keys, "keys_max", |reader, node| {
                let most = reader.number(node, "`keys_max`", 1..=KEYS_MAX_MAX)?;
                Some(most as usize)
            }),
            late_by: self.key(keys, "late_by", Self::late_by),
            evidence: self
                .key(keys, "evidence", Self::evidence)
                .unwrap_or_default(),
            catches,
            passes,
            ..Rule::new("", Match::default())
        });
        if let Some((incident_type, at)) = self.token_of(keys, "incident_type") {
            draft.rule.incident_type = incident_type;
            draft.type_at = at;
        }
        draft.domain = self.token_of(keys, "domain");
        draft.severity = self.severity(keys);
        draft.profile = self.key(keys, "actions", Self::profile);
        draft.enabled = enabled;
        draft.environments = self.key(keys, "environments", Self::environments);
        draft.matching = matching;
        draft.by_spans = by_spans;
        draft.examples = [caught, passed];
        draft.written = keys.written();
        draft.allow = self.allow(keys);
        self.condition(keys, ignore_case, &mut draft);
        self.life(keys, ignore_case, &mut draft);
        draft
    }

    fn line_of(&mut self, keys: &Keys<'_>, name: &str) -> Option<String> {
        self.key(keys, name, |reader, node| {
            let line = reader.line(node, &format!("`{name}`"));
            line.map(str::to_owned)
        })
    }

    fn span_of(&mut self, keys: &Keys<'_>, name: &str) -> Option<Duration> {
        self.key(keys, name, |reader, node| {
            reader.duration(node, &format!("`{name}`"))
        })
    }

    /// A token, and where it stands.
    fn token_of(&mut self, keys: &Keys<'_>, name: &str) -> Option<(String, Range<usize>)> {
        self.key(keys, name, |reader, node| {
            let token = reader.token(node, &format!("`{name}`"))?;
            Some((token, reader.place(&node.span)))
        })
    }

    fn unless(&mut self, node: &Node) -> Option<Selector> {
        let selector = self.selector(node, "`unless`")?;
        if selector.0.is_empty() {
            self.fault(
                Fault::new(
                    Code::Selector,
                    node.span.clone(),
                    "an empty `unless` leaves out every stream",
                )
                .help("leave the key out"),
            );
            return None;
        }
        Some(selector)
    }

    /// One of a few words.
    fn word_of(&mut self, keys: &Keys<'_>, name: &str, words: &[&str]) -> Option<usize> {
        self.key(keys, name, |reader, node| {
            reader.one_of(node, &format!("`{name}`"), words)
        })
    }

    fn parse(&mut self, keys: &Keys<'_>) -> Parse {
        match self.word_of(keys, "parse", PARSES) {
            Some(1) => Parse::Json,
            Some(2) => Parse::Logfmt,
            Some(3) => Parse::None,
            _ => Parse::Auto,
        }
    }

    fn severity(&mut self, keys: &Keys<'_>) -> Option<(Severity, Range<usize>)> {
        self.key(keys, "severity", |reader, node| {
            let severity = Severity::ALL[reader.one_of(node, "`severity`", SEVERITIES)?];
            Some((severity, reader.place(&node.span)))
        })
    }

    fn confidence(&mut self, keys: &Keys<'_>) -> Confidence {
        match self.word_of(keys, "confidence", CONFIDENCES) {
            Some(0) => Confidence::Low,
            Some(2) => Confidence::High,
            _ => Confidence::Medium,
        }
    }

    fn by(&mut self, keys: &Keys<'_>) -> (Vec<String>, Vec<Range<usize>>) {
        let by = self.key(keys, "by", |reader, list| {
            let (mut by, mut spans) = (Vec::new(), Vec::new());
            for node in reader.items(list, "`by`") {
                let Some(name) = reader.name(node, "the name of a label, field or capture") else {
                    continue;
                };
                if by.contains(&name) {
                    reader.fault(Fault::new(
                        Code::Value,
                        node.span.clone(),
                        format!("`{name}` is in `by` already"),
                    ));
                } else {
                    by.push(name);
                    spans.push(reader.place(&node.span));
                }
            }
            if by.len() > BY_MAX {
                reader.fault(Fault::new(
                    Code::TooMany,
                    list.span.clone(),
                    format!("`by` has {} names, limit is {BY_MAX}", by.len()),
                ));
            }
            Some((by, spans))
        });
        by.unwrap_or_default()
    }

    /// Short texts for people.
    fn lines(&mut self, keys: &Keys<'_>, name: &str) -> Vec<String> {
        let lines = self.key(keys, name, |reader, list| {
            let items = reader.items(list, &format!("`{name}`"));
            if items.len() > LINES_MAX {
                let message = format!("`{name}` has {} items, limit is {LINES_MAX}", items.len());
                reader.fault(Fault::new(Code::TooMany, list.span.clone(), message));
                return None;
            }
            let what = format!("an item of `{name}`");
            let lines = items.iter().filter_map(|node| reader.line(node, &what));
            Some(lines.map(str::to_owned).collect())
        });
        lines.unwrap_or_default()
    }

    fn environments(&mut self, list: &Node) -> Option<(Vec<String>, Range<usize>)> {
        let mut names = Vec::new();
        for node in self.items(list, "`environments`") {
            names.extend(self.environment(node));
        }
        Some((names, self.place(&list.span)))
    }

    /// The name of an environment, as the settings take it.
    pub(super) fn environment(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "the name of an environment", ENVIRONMENT_BYTES_MAX)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !text.bytes().all(fits) {
            let message = format!("`{}` is not the name of an environment", shortened(text));
            self.fault(
                Fault::new(Code::Value, node.span.clone(), message)
                    .help("a name has letters, digits, `.`, `_` and `-`; several make a list"),
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn late_by(&mut self, node: &Node) -> Option<Duration> {
        let late_by = self.duration(node, "`late_by`")?;
        if late_by > LATE_BY_MAX {
            let most = format_duration(LATE_BY_MAX);
            self.fault(
                Fault::new(
                    Code::Value,
                    node.span.clone(),
                    format!("`late_by` is {most} at most: timers wait that long"),
                )
                .help("entries that come later still count; see `max_age` in the settings"),
            );
            return None;
        }
        Some(late_by)
    }

    fn runbook(&mut self, node: &Node) -> Option<String> {
        let text = self.line(node, "`runbook`")?;
        // It becomes a link in pages and messages, where other schemes could run something.
        if !text.starts_with("https://") && !text.starts_with("http://") {
            self.fault(
                Fault::new(
                    Code::Value,
                    node.span.clone(),
                    "`runbook` is a link that begins with https:// or http://",
                )
                .help("first steps in words belong into `description`"),
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn evidence(&mut self, node: &Node) -> Option<EvidenceRules> {
        let mut evidence = EvidenceRules::default();
        let form = self.map(node, Place::Evidence)?;
        if let Some(node) = form.get("lines")
            && let Some(lines) = self.number(node, "`lines`", 0..=EvidenceRules::LINES_MAX as u64)
        {
            evidence.lines = lines as usize;
        }
        if let Some(node) = form.get("redact") {
            for node in self.items(node, "`redact`") {
                let node = match &node.value {
                    Value::Map(_) => {
                        let Some(keys) = self.item_map(node) else {
                            continue;
                        };
                        match keys.get("re") {
                            Some(re) => re,
                            None => {
                                // An unknown key was reported.
                                if !keys.is_empty() {
                                    let fault = Fault::new(
                                        Code::Missing,
                                        node.span.clone(),
                                        "an item of `redact` has no expression",
                                    );
                                    self.fault(fault.help("write `{re: 'card \\d+'}`"));
                                }
                                continue;
                            }
                        }
                    }
                    _ => node,
                };
                let what = "an expression of `redact`";
                let pattern = self.compiled(node, what, false, Empty::Refused);
                evidence.redact.extend(pattern);
            }
        }
        Some(evidence)
    }

    fn examples(&mut self, keys: &Keys<'_>, name: &str) -> (Vec<String>, Vec<Range<usize>>) {
        let examples = self.key(keys, name, |reader, list| {
            let (mut lines, mut spans) = (Vec::new(), Vec::new());
            let what = format!("a line of `{name}`");
            for node in reader.items(list, &format!("`{name}`")) {
                if let Some(text) = reader.text(node, &what, PROSE_BYTES_MAX) {
                    lines.push(text.to_owned());
                    spans.push(reader.place(&node.span));
                }
            }
            Some((lines, spans))
        });
        examples.unwrap_or_default()
    }
}

/// Names that a rule's entries themselves bring: captures of expressions, fields, and what it tells apart.
fn names(rule: &Rule) -> Vec<String> {
    let mut names = Vec::new();
    for matches in rule.sought() {
        names.extend(captures(matches).map(str::to_owned));
    }
    for matches in rule.sought() {
        names.extend(matches.fields.iter().map(|field| field.name.clone()));
    }
    names.extend(rule.values.iter().cloned());
    names
}

/// Captures of the expressions of a match.
pub(super) fn captures(matches: &Match) -> impl Iterator<Item = &str> {
    let items = matches.all.iter().chain(&matches.any);
    items
        .filter_map(|item| match item {
            Item::Regex(pattern) => Some(pattern.group_names()),
            Item::Text { .. } => None,
        })
        .flatten()
}
