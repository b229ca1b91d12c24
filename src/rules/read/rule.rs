//! Reading one rule: each key that is no `match` or selector, and the defaults.

use std::ops::Range;
use std::time::Duration;

use super::fit;
use super::layers::Keys;
use super::value::{Entries, PROSE_BYTES_MAX};
use super::{Draft, Reader};
use crate::rules::keys::{CONFIDENCES, KEYS_MAX_MAX, PARSES, Place, SEVERITIES};
use crate::rules::model::{Confidence, EvidenceRules, Item, Match, Parse, Rule, Severity, Source};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::selector::Selector;
use crate::rules::yaml::{Node, Value};
use crate::rules::{pattern, summary};
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
        let keys = Keys {
            own,
            defaults: Some(defaults),
        };
        let (_, line) = self.source.line_at(node.span.start);
        let mut draft = self.settings(&keys);
        draft.span = node.span.clone();
        draft.id_span = node.span.start
            ..self
                .source
                .line_at(node.span.start)
                .0
                .end
                .max(node.span.start);
        match keys.own.get("id") {
            Some(id) => {
                draft.id_span = id.span.clone();
                draft.rule.id = self.token(id, "`id`").unwrap_or_default();
            }
            None => self.missing(&draft.id_span, "id", "- id: what_is_wrong"),
        }
        draft.rule.source = Source {
            file: self.source.name.clone(),
            line,
        };
        match keys.own.get("match") {
            Some(node) => {
                let ignore_case = self.ignore_case(&keys);
                draft.matching = self.matching(node, ignore_case);
                draft.rule.matches = draft.matching.matches.clone();
            }
            None if fit::needs_match(keys.class()) => {
                self.missing(&draft.id_span, "match", "match: a text in the line");
            }
            None => {}
        }
        if keys.get("incident_type").is_none() {
            self.missing(
                &draft.id_span,
                "incident_type",
                "incident_type: workload_failure",
            );
        }
        self.fits(&keys, &draft);
        if let Some(node) = keys.get("summary")
            && let Some(text) = self.line(node, "`summary`")
        {
            let others = names(&draft.rule);
            match summary::parse(text, &draft.rule.by, &others) {
                Ok(summary) => draft.rule.summary = Some(summary),
                Err(faults) => {
                    for fault in faults {
                        self.fault_within(node, text, fault);
                    }
                }
            }
        }
        Some(draft)
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

    fn ignore_case(&mut self, keys: &Keys<'_>) -> bool {
        keys.get("ignore_case")
            .and_then(|node| self.flag(node, "`ignore_case`"))
            .unwrap_or(false)
    }

    /// Everything that `defaults` may hold too.
    pub(super) fn settings(&mut self, keys: &Keys<'_>) -> Draft {
        let ignore_case = self.ignore_case(keys);
        let (by, by_spans) = self.by(keys);
        let (catches, caught) = self.examples(keys, "catches");
        let (passes, passed) = self.examples(keys, "passes");
        let mut line = |name: &str| {
            let node = keys.get(name)?;
            self.line(node, &format!("`{name}`")).map(str::to_owned)
        };
        let (name, owner, version) = (line("name"), line("owner"), line("version"));
        let route = line("route");
        let rule = Rule {
            name,
            description: self.description(keys),
            owner,
            version,
            selector: keys
                .get("selector")
                .and_then(|node| self.selector(node, "`selector`"))
                .unwrap_or_default(),
            unless: self.unless(keys),
            parse: self.parse(keys),
            by,
            hold: self.span_of(keys, "for").unwrap_or_default(),
            severity: self.severity(keys),
            confidence: self.confidence(keys),
            cooldown: self.span_of(keys, "cooldown").unwrap_or(Rule::COOLDOWN),
            incident_type: self.token_of(keys, "incident_type").unwrap_or_default(),
            domain: self
                .token_of(keys, "domain")
                .unwrap_or_else(|| Rule::DOMAIN.to_owned()),
            runbook: self.runbook(keys),
            route,
            hints: self.lines(keys, "hints"),
            tags: self.lines(keys, "tags"),
            keys_max: self.keys_max(keys),
            late_by: self.late_by(keys),
            evidence: self.evidence(keys),
            catches,
            passes,
            ..Rule::new("", Match::default())
        };
        let mut draft = Draft {
            enabled: keys
                .get("enabled")
                .and_then(|node| self.flag(node, "`enabled`"))
                .unwrap_or(true),
            environments: self.environments(keys),
            by_spans,
            examples: [caught, passed],
            written: keys.written(),
            allow: self.allow(keys),
            ..Draft::new(rule)
        };
        self.condition(keys, ignore_case, &mut draft);
        self.life(keys, ignore_case, &mut draft);
        draft
    }

    fn description(&mut self, keys: &Keys<'_>) -> Option<String> {
        let node = keys.get("description")?;
        self.text(node, "`description`", PROSE_BYTES_MAX)
            .map(str::to_owned)
    }

    fn span_of(&mut self, keys: &Keys<'_>, name: &str) -> Option<Duration> {
        self.duration(keys.get(name)?, &format!("`{name}`"))
    }

    fn token_of(&mut self, keys: &Keys<'_>, name: &str) -> Option<String> {
        self.token(keys.get(name)?, &format!("`{name}`"))
    }

    fn unless(&mut self, keys: &Keys<'_>) -> Option<Selector> {
        let node = keys.get("unless")?;
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

    fn parse(&mut self, keys: &Keys<'_>) -> Parse {
        let place = keys
            .get("parse")
            .and_then(|node| self.one_of(node, "`parse`", PARSES));
        match place {
            Some(1) => Parse::Json,
            Some(2) => Parse::Logfmt,
            Some(3) => Parse::None,
            _ => Parse::Auto,
        }
    }

    fn severity(&mut self, keys: &Keys<'_>) -> Severity {
        let place = keys
            .get("severity")
            .and_then(|node| self.one_of(node, "`severity`", SEVERITIES));
        match place {
            Some(0) => Severity::Info,
            Some(2) => Severity::Critical,
            _ => Severity::Warning,
        }
    }

    fn confidence(&mut self, keys: &Keys<'_>) -> Confidence {
        let place = keys
            .get("confidence")
            .and_then(|node| self.one_of(node, "`confidence`", CONFIDENCES));
        match place {
            Some(0) => Confidence::Low,
            Some(2) => Confidence::High,
            _ => Confidence::Medium,
        }
    }

    fn by(&mut self, keys: &Keys<'_>) -> (Vec<String>, Vec<Range<usize>>) {
        let (mut by, mut spans) = (Vec::new(), Vec::new());
        let Some(node) = keys.get("by") else {
            return (by, spans);
        };
        for node in self.items(node, "`by`") {
            let Some(name) = self.name(node, "the name of a label, field or capture") else {
                continue;
            };
            if by.contains(&name) {
                self.fault(Fault::new(
                    Code::Value,
                    node.span.clone(),
                    format!("`{name}` is in `by` already"),
                ));
            } else {
                by.push(name);
                spans.push(node.span.clone());
            }
        }
        if by.len() > BY_MAX {
            self.fault(Fault::new(
                Code::TooMany,
                node.span.clone(),
                format!("`by` has {} names, limit is {BY_MAX}", by.len()),
            ));
        }
        (by, spans)
    }

    /// Short texts for people.
    fn lines(&mut self, keys: &Keys<'_>, name: &str) -> Vec<String> {
        let Some(node) = keys.get(name) else {
            return Vec::new();
        };
        let items = self.items(node, &format!("`{name}`"));
        if items.len() > LINES_MAX {
            let message = format!("`{name}` has {} items, limit is {LINES_MAX}", items.len());
            self.fault(Fault::new(Code::TooMany, node.span.clone(), message));
            return Vec::new();
        }
        let what = format!("an item of `{name}`");
        let lines = items.iter().filter_map(|node| self.line(node, &what));
        lines.map(str::to_owned).collect()
    }

    fn environments(&mut self, keys: &Keys<'_>) -> Option<(Vec<String>, Range<usize>)> {
        let node = keys.get("environments")?;
        let mut names = Vec::new();
        for node in self.items(node, "`environments`") {
            names.extend(self.environment(node));
        }
        Some((names, node.span.clone()))
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

    fn keys_max(&mut self, keys: &Keys<'_>) -> Option<usize> {
        let node = keys.get("keys_max")?;
        let most = self.number(node, "`keys_max`", 1..=KEYS_MAX_MAX)?;
        Some(most as usize)
    }

    fn late_by(&mut self, keys: &Keys<'_>) -> Option<Duration> {
        let node = keys.get("late_by")?;
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

    fn runbook(&mut self, keys: &Keys<'_>) -> Option<String> {
        let node = keys.get("runbook")?;
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

    fn evidence(&mut self, keys: &Keys<'_>) -> EvidenceRules {
        let mut evidence = EvidenceRules::default();
        let Some(node) = keys.get("evidence") else {
            return evidence;
        };
        let Some(form) = self.map(node, Place::Evidence) else {
            return evidence;
        };
        if let Some(node) = form.get("lines")
            && let Some(lines) = self.number(node, "`lines`", 0..=EvidenceRules::LINES_MAX as u64)
        {
            evidence.lines = lines as usize;
        }
        if let Some(node) = form.get("redact") {
            for node in self.items(node, "`redact`") {
                let node = match &node.value {
                    Value::Map(_) => {
                        match self.map(node, Place::Item).and_then(|keys| keys.get("re")) {
                            Some(re) => re,
                            None => continue,
                        }
                    }
                    _ => node,
                };
                let pattern = self.compiled(node, "an expression of `redact`", |text| {
                    pattern::compile_nonempty(text, false)
                });
                evidence.redact.extend(pattern);
            }
        }
        evidence
    }

    fn examples(&mut self, keys: &Keys<'_>, name: &str) -> (Vec<String>, Vec<Range<usize>>) {
        let (mut lines, mut spans) = (Vec::new(), Vec::new());
        let Some(node) = keys.own.get(name) else {
            return (lines, spans);
        };
        let what = format!("a line of `{name}`");
        for node in self.items(node, &format!("`{name}`")) {
            if let Some(text) = self.text(node, &what, PROSE_BYTES_MAX) {
                lines.push(text.to_owned());
                spans.push(node.span.clone());
            }
        }
        (lines, spans)
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
            Item::Regex(pattern) => Some(pattern.captures()),
            Item::Text { .. } => None,
        })
        .flatten()
}
