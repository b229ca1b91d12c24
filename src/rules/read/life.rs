//! Reading what becomes of a finding once it is open: what makes it worse, what ends it, when it is not spoken of.

use std::time::Duration;

use super::fit;
use super::layers::Keys;
use super::value::TEXT_BYTES_MAX;
use super::{Draft, Reader};
use crate::hit::Parts;
use crate::rules::condition::{Condition, Distinct, Needs, Sequence};
use crate::rules::keys::{Place, RAISED};
use crate::rules::model::{EscalateWhen, Escalation, Recover, Rule, Severity};
use crate::rules::problem::{Code, Fault};
use crate::rules::schedule::Schedule;
use crate::rules::threshold::Form;
use crate::rules::yaml::{Node, Value};

/// Most items in `escalate`.
const ESCALATIONS_MAX: usize = 64;
/// Most windows in `suppress`: each is asked about at every message.
const SUPPRESS_MAX: usize = 64;

impl Reader<'_> {
    /// Reads `escalate`, `recover` and `suppress` into `draft`, whose condition was read.
    pub(super) fn life(&mut self, keys: &Keys<'_>, ignore_case: bool, draft: &mut Draft) {
        self.escalate(keys, ignore_case, draft);
        self.recover(keys, ignore_case, draft);
        let suppress = self.key(keys, "suppress", |reader, list| Some(reader.suppress(list)));
        draft.rule.suppress = suppress.unwrap_or_default();
    }

    fn escalate(&mut self, keys: &Keys<'_>, ignore_case: bool, draft: &mut Draft) {
        self.key(keys, "escalate", |reader, list| {
            reader.escalations(list, keys, ignore_case, draft);
            Some(())
        });
    }

    fn escalations(&mut self, list: &Node, keys: &Keys<'_>, ignore_case: bool, draft: &mut Draft) {
        let items = self.items(list, "`escalate`");
        if items.len() > ESCALATIONS_MAX {
            let message = format!(
                "`escalate` has {} items, limit is {ESCALATIONS_MAX}",
                items.len()
            );
            self.fault(Fault::new(Code::TooMany, list.span.clone(), message));
            return;
        }
        let mut matches = 0;
        for node in items {
            let Some(escalation) = self.escalation(node, keys, ignore_case, draft) else {
                continue;
            };
            matches += usize::from(matches!(escalation.when, EscalateWhen::Match(_)));
            if matches == Parts::MAX + 1 {
                let message = format!("`escalate` has more than {} matches", Parts::MAX);
                self.fault(
                    Fault::new(Code::TooMany, node.span.clone(), message)
                        .help("one `match` takes a list of texts, any of which will do"),
                );
            }
            draft.rule.escalate.push(escalation);
        }
    }

    fn escalation(
        &mut self,
        node: &Node,
        keys: &Keys<'_>,
        ignore_case: bool,
        draft: &mut Draft,
    ) -> Option<Escalation> {
        let form = self.form_of(
            node,
            Place::Escalate,
            "escalate: [{to: critical, after: 10m}]",
        )?;
        let to = match form.get("to") {
            Some(node) => self.one_of(node, "`to`", RAISED),
            None => {
                self.missing_in(node, "the escalation", "to", "{to: critical, after: 10m}");
                None
            }
        };
        let whens = ["after", "threshold", "match"];
        let present = whens
            .into_iter()
            .filter_map(|name| Some((name, form.entry(name)?)));
        let present: Vec<_> = present.collect();
        if let [(first, _), (second, (key, _)), ..] = &present[..] {
            let message =
                format!("an escalation has one reason, and this one has `{first}` and `{second}`");
            self.fault(Fault::new(Code::Conflict, key.span.clone(), message).help(
                "make them two items of `escalate`: whichever comes first raises the severity",
            ));
        }
        let Some(&(name, (key, value))) = present.first() else {
            let example = "{to: critical, after: 10m}";
            let message = "the escalation has no reason: `after`, `threshold` or `match`";
            self.fault(
                Fault::new(Code::Missing, node.span.clone(), message)
                    .help(format!("write `{example}`")),
            );
            return None;
        };
        if name != "after" && !fit::has_matches(keys.class()) {
            // From the defaults it is meant for others.
            if keys.own.get("escalate").is_some() {
                let class = keys.class().unwrap_or_default();
                let message = format!(
                    "while a finding of `{class}` is open, no lines are counted for it: `{name}` never happens"
                );
                self.fault(
                    Fault::new(Code::Conflict, key.span.clone(), message)
                        .help("write `after: 10m`"),
                );
            }
            return None;
        }
        let when = match name {
            "after" => EscalateWhen::After(self.time(value, "`after`")?),
            "match" => EscalateWhen::Match(self.other_match(value, ignore_case, draft)),
            _ => self.escalating_threshold(value, &mut draft.rule)?,
        };
        let to = match to? {
            0 => Severity::Warning,
            _ => Severity::Critical,
        };
        Some(Escalation { to, when })
    }

    fn escalating_threshold(&mut self, node: &Node, rule: &mut Rule) -> Option<EscalateWhen> {
        let (form, _) = self.form(node, "`threshold`")?;
        let message = match form {
            Form::Count(threshold) if matches!(threshold.needs, Needs::AtLeast(_)) => {
                return Some(EscalateWhen::Count(threshold));
            }
            Form::Distinct {
                name, threshold, ..
            } if matches!(threshold.needs, Needs::AtLeast(_)) => {
                let value = rule.value_place(&name);
                return Some(EscalateWhen::Distinct(Distinct {
                    name,
                    value,
                    threshold,
                }));
            }
            Form::Count(_) | Form::Distinct { .. } => {
                "severity rises with more matches, and not with fewer".to_owned()
            }
            form => format!("an escalation takes a count, and this is {}", form.name()),
        };
        self.fault(
            Fault::new(Code::Threshold, node.span.clone(), message)
                .help("write `50 in 10m` or `2 distinct node in 10m`"),
        );
        None
    }

    fn suppress(&mut self, list: &Node) -> Vec<Schedule> {
        let items = self.items(list, "`suppress`");
        if items.len() > SUPPRESS_MAX {
            let message = format!(
                "`suppress` has {} windows, limit is {SUPPRESS_MAX}",
                items.len()
            );
            self.fault(Fault::new(Code::TooMany, list.span.clone(), message));
            return Vec::new();
        }
        let mut windows = Vec::new();
        for node in items {
            let Some(text) = self.text(node, "a window of `suppress`", TEXT_BYTES_MAX) else {
                continue;
            };
            match Schedule::parse(text) {
                Ok(window) => windows.push(window),
                Err(fault) => self.fault_within(node, text, fault),
            }
        }
        windows
    }

    fn recover(&mut self, keys: &Keys<'_>, ignore_case: bool, draft: &mut Draft) {
        draft.rule.recover = match &draft.rule.condition {
            Condition::Absent(_)
            | Condition::Correlate(_)
            | Condition::Sequence(Sequence {
                absent: Some(_), ..
            }) => Recover::Condition,
            condition => Recover::Quiet(condition.window().max(Rule::RECOVER_MIN)),
        };
        let recover = self.key(keys, "recover", |reader, node| {
            reader.recovery(node, ignore_case, draft)
        });
        if let Some(recover) = recover {
            draft.rule.recover = recover;
        }
    }

    fn recovery(&mut self, node: &Node, ignore_case: bool, draft: &mut Draft) -> Option<Recover> {
        if let Value::Map(entries) = &node.value {
            let form = self.map(node, Place::Recover)?;
            if entries.is_empty() {
                self.fault(Fault::new(
                    Code::Missing,
                    node.span.clone(),
                    "`recover` is an empty map",
                ));
            }
            let after = form
                .get("after")
                .and_then(|node| self.quiet(node, "`after`"));
            let Some(node) = form.get("match") else {
                return after.map(Recover::Quiet);
            };
            let when = self.other_match(node, ignore_case, draft);
            return Some(Recover::Match { after, when });
        }
        if node.scalar() == Some("never") {
            return Some(Recover::Never);
        }
        self.quiet(node, "`recover`").map(Recover::Quiet)
    }

    /// How long quiet must last: not 0, or a finding would be over before it began.
    fn quiet(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let words = node
            .scalar()
            .is_some_and(|text| text.starts_with(|c: char| c.is_alphabetic()));
        if words {
            self.fault(
                Fault::new(Code::Duration, node.span.clone(), format!("{what} is a time of quiet, such as 10m"))
                    .help("a line that ends it is written `recover: {match: …}`, and `recover: never` is for what happens once"),
            );
            return None;
        }
        let quiet = self.duration(node, what)?;
        if quiet.is_zero() {
            self.fault(
                Fault::new(
                    Code::Duration,
                    node.span.clone(),
                    format!("{what} must be longer than 0"),
                )
                .help("`recover: never` is for what happens once"),
            );
            return None;
        }
        Some(quiet)
    }
}
