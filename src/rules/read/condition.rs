//! Reading what makes a finding of matches: `threshold` and the other keys that say what kind of rule it is.

use std::num::NonZeroU32;
use std::time::Duration;

use super::layers::Keys;
use super::value::{Entries, TEXT_BYTES_MAX};
use super::{Draft, Group, Reader};
use crate::hit::{Key, Parts};
use crate::rules::condition::{
    Absent, Condition, Correlate, Distinct, Needs, Ratio, Sequence, Spike, Step, Threshold,
};
use crate::rules::keys::{MIN_COUNT_MAX, PARTS_MAX, Place, STEP_COUNT_MAX};
use crate::rules::model::{Match, Rule};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::threshold::{self, Form};
use crate::rules::yaml::{Node, Value};

/// How long values and patterns are learned when the rule does not say: every hour of the day once.
const LEARN: Duration = Duration::from_secs(24 * 3600);
/// Denominator of a share, or count of a spike, below which there is no verdict when the rule does not say.
const MIN_COUNT: u64 = 20;

impl Reader<'_> {
    /// Reads the key that says what kind of rule it is into `draft`, whose `by` was read. What cannot be read counts every match.
    pub(super) fn condition(&mut self, keys: &Keys<'_>, ignore_case: bool, draft: &mut Draft) {
        let Some(class) = keys.class() else {
            return;
        };
        let condition = self.key(keys, class, |reader, node| match class {
            "absent" => {
                let absent = reader.absent(node, keys, &draft.rule.by);
                absent.map(Condition::Absent)
            }
            "sequence" => {
                let sequence = reader.sequence(node, ignore_case, draft);
                sequence.map(Condition::Sequence)
            }
            "correlate" => reader.correlate(node, draft).map(Condition::Correlate),
            "new_value" => reader.new_value(node, &mut draft.rule),
            "new_pattern" => reader.new_pattern(node),
            _ => reader.threshold(node, keys, ignore_case, draft),
        });
        match condition {
            Some(condition) => draft.rule.condition = condition,
            None => draft.unread = true,
        }
    }

    fn threshold(
        &mut self,
        node: &Node,
        keys: &Keys<'_>,
        ignore_case: bool,
        draft: &mut Draft,
    ) -> Option<Condition> {
        let (form, text) = self.form(node, "`threshold`")?;
        Some(match form {
            Form::Count(threshold) => Condition::Count(threshold),
            Form::Distinct {
                name,
                name_at,
                threshold,
            } => {
                if draft.rule.by.contains(&name) {
                    let fault = Fault::new(
                        Code::Threshold,
                        name_at,
                        format!("`{name}` is in `by`, so every finding has one value of it"),
                    )
                    .help("count another name, or take this one out of `by`");
                    self.fault_within(node, text, fault);
                }
                let value = draft.rule.value_place(&name);
                Condition::Distinct(Distinct {
                    name,
                    value,
                    threshold,
                })
            }
            Form::Ratio {
                comparison,
                percent,
                window,
            } => Condition::Ratio(Ratio {
                comparison,
                percent,
                window,
                total: self.key(keys, "total", |reader, node| {
                    Some(reader.other_match(node, ignore_case, draft))
                }),
                min_count: self.min_count(keys),
            }),
            Form::Spike {
                comparison,
                factor,
                window,
                past,
            } => Condition::Spike(Spike {
                comparison,
                factor,
                window,
                past,
                min_count: self.min_count(keys),
            }),
        })
    }

    /// A threshold and the text that it was read from.
    pub(super) fn form<'n>(&mut self, node: &'n Node, what: &str) -> Option<(Form, &'n str)> {
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        match threshold::parse(text) {
            Ok(form) => Some((form, text)),
            Err(fault) => {
                self.fault_within(node, text, fault);
                None
            }
        }
    }

    fn min_count(&mut self, keys: &Keys<'_>) -> u64 {
        let number = self.key(keys, "min_count", |reader, node| {
            reader.number(node, "`min_count`", 1..=MIN_COUNT_MAX)
        });
        number.unwrap_or(MIN_COUNT)
    }

    /// A match beside the rule's own.
    pub(super) fn other_match(
        &mut self,
        node: &Node,
        ignore_case: bool,
        draft: &mut Draft,
    ) -> Box<Match> {
        let matching = self.matching(node, ignore_case);
        draft.other_excludes.extend(matching.excludes);
        Box::new(matching.matches)
    }

    fn absent(&mut self, node: &Node, keys: &Keys<'_>, by: &[String]) -> Option<Absent> {
        let Value::Map(_) = node.value else {
            let span = self.time(node, "`absent`")?;
            return Some(Absent {
                span,
                expect: Vec::new(),
                forget: None,
            });
        };
        let form = self.map(node, Place::Absent)?;
        let span = match form.get("for") {
            Some(node) => self.time(node, "`for`"),
            None => {
                self.missing_in(node, "`absent`", "for", "absent: {for: 15m, …}");
                None
            }
        };
        let forget = form.entry("forget").and_then(|(key, node)| {
            let forget = self.time(node, "`forget`")?;
            if let Some(span) = span
                && forget <= span
            {
                self.fault(
                    Fault::new(
                        Code::Value,
                        node.span.clone(),
                        "`forget` must be longer than `for`, or what is absent is forgotten before it is missed",
                    )
                    .help("days are usual: `forget: 7d`"),
                );
            }
            if by.is_empty() && !keys.are_defaults() {
                self.fault(
                    Fault::new(
                        Code::Conflict,
                        key.span.clone(),
                        "`forget` is for keys that come and go, and without `by` there are none",
                    )
                    .help("write `by`, or leave `forget` out"),
                );
            }
            Some(forget)
        });
        let expect = match form.entry("expect") {
            // Defaults do not know the `by` of the rules that they are for.
            Some((key, node)) if !keys.are_defaults() => {
                if by.is_empty() {
                    self.fault(
                        Fault::new(
                            Code::Conflict,
                            key.span.clone(),
                            "`expect` names keys, and without `by` there is only one, which is expected anyway",
                        )
                        .help("write `by: [cluster]` for `expect: [{cluster: a}]`, or leave `expect` out"),
                    );
                    Vec::new()
                } else {
                    self.expected(node, by)
                }
            }
            _ => Vec::new(),
        };
        Some(Absent {
            span: span?,
            expect,
            forget,
        })
    }

    /// The keys of `expect`: maps whose names are those of `by`.
    fn expected(&mut self, node: &Node, by: &[String]) -> Vec<Key> {
        let mut expected: Vec<Key> = Vec::new();
        let wanted = format!("{{{}: …}}", by.join(": …, "));
        for node in self.items(node, "`expect`") {
            let Value::Map(entries) = &node.value else {
                self.fault(
                    Fault::new(
                        Code::Shape,
                        node.span.clone(),
                        "a key of `expect` is a map of the names in `by`",
                    )
                    .help(format!("write `{wanted}`")),
                );
                continue;
            };
            let mut values = vec![None; by.len()];
            let mut complete = true;
            for (key, value) in entries {
                let name = key.scalar().unwrap_or_default();
                let Some(place) = by.iter().position(|known| known == name) else {
                    self.fault(
                        Fault::new(
                            Code::Value,
                            key.span.clone(),
                            format!("`{}` is not in `by`", shortened(name)),
                        )
                        .help(format!(
                            "a key has exactly the names of `by`: write `{wanted}`"
                        )),
                    );
                    complete = false;
                    continue;
                };
                values[place] = self.text(value, "a value of `expect`", TEXT_BYTES_MAX);
                complete &= values[place].is_some();
            }
            let lacks = by.iter().zip(&values).find(|(_, value)| value.is_none());
            if let (true, Some((name, _))) = (complete, lacks) {
                self.fault(
                    Fault::new(
                        Code::Missing,
                        node.span.clone(),
                        format!("this key has no `{name}`, which is in `by`"),
                    )
                    .help(format!(
                        "a key has exactly the names of `by`: write `{wanted}`"
                    )),
                );
            }
            let Some(key) = values.into_iter().collect::<Option<Vec<_>>>() else {
                continue;
            };
            let key: Key = key.into_iter().map(Box::from).collect();
            if expected.contains(&key) {
                self.fault(Fault::new(
                    Code::Value,
                    node.span.clone(),
                    "this key is in `expect` already",
                ));
            } else {
                expected.push(key);
            }
        }
        expected
    }

    fn sequence(&mut self, node: &Node, ignore_case: bool, draft: &mut Draft) -> Option<Sequence> {
        let form = self.form_of(node, Place::Sequence, "sequence: {within: 5m, steps: […]}")?;
        let within = self.within_time(node, &form, "`sequence`", "within: 5m");
        let Some(list) = form.get("steps") else {
            let example = "steps: [{match: …, count: 5}, {match: …}]";
            self.missing_in(node, "`sequence`", "steps", example);
            return None;
        };
        let (mut steps, mut absent) = (Vec::new(), None);
        let items = self.items(list, "`steps`");
        for (place, item) in items.iter().enumerate() {
            let last = place + 1 == items.len();
            let Some(step) = self.step(item, last, ignore_case, draft) else {
                continue;
            };
            match step {
                (matches, None) => absent = Some(matches),
                (matches, Some(count)) => steps.push(Step {
                    matches: *matches,
                    count,
                }),
            }
        }
        let at = list.span.clone();
        if items.len() > Parts::MAX {
            let message = format!(
                "the sequence has {} steps, limit is {}",
                items.len(),
                Parts::MAX
            );
            self.fault(Fault::new(Code::TooMany, at, message));
            return None;
        }
        if items.len() == 1 {
            let fault = Fault::new(Code::Value, at, "a sequence has two steps or more");
            self.fault(if absent.is_some() {
                fault.help(
                    "`absent: 15m` with `match` waits for a line without another one before it",
                )
            } else {
                fault.help("one line several times is a `threshold`")
            });
            return None;
        }
        Some(Sequence {
            within: within?,
            steps,
            absent,
        })
    }

    /// A step's match, and how often it must come: `None` where it must not.
    fn step(
        &mut self,
        node: &Node,
        last: bool,
        ignore_case: bool,
        draft: &mut Draft,
    ) -> Option<(Box<Match>, Option<NonZeroU32>)> {
        let example = match node.scalar() {
            Some(text) => format!("{{match: {}}}", shortened(text)),
            None => "{match: a text in the line}".to_owned(),
        };
        let form = self.form_of(node, Place::Step, &example)?;
        let matches = match form.get("match") {
            Some(node) => Some(self.other_match(node, ignore_case, draft)),
            None => {
                self.missing_in(node, "the step", "match", "{match: a text in the line}");
                None
            }
        };
        let absent = form
            .get("absent")
            .and_then(|node| self.flag(node, "`absent`"))
            .unwrap_or(false);
        let count = form
            .get("count")
            .and_then(|node| self.number(node, "`count`", 1..=STEP_COUNT_MAX));
        if absent && !last {
            let (key, _) = form.entry("absent").expect("it was read");
            self.fault(
                Fault::new(
                    Code::Conflict,
                    key.span.clone(),
                    "only the last step can be one that must not come",
                )
                .help("what must not come in between is a rule of its own, under `none` of a `correlate`"),
            );
            return None;
        }
        if absent && let Some((key, _)) = form.entry("count") {
            self.fault(
                Fault::new(
                    Code::Conflict,
                    key.span.clone(),
                    "a step that must not come has no `count`",
                )
                .help("drop `count`, or `absent`"),
            );
        }
        let count = u32::try_from(count.unwrap_or(1)).ok();
        let count = count.and_then(NonZeroU32::new).filter(|_| !absent);
        Some((matches?, count))
    }

    fn correlate(&mut self, node: &Node, draft: &mut Draft) -> Option<Correlate> {
        let form = self.form_of(
            node,
            Place::Correlate,
            "correlate: {within: 10m, all: [one_rule, another_rule]}",
        )?;
        let within = self.within_time(node, &form, "`correlate`", "within: 10m");
        for (group, name) in [
            (Group::All, "all"),
            (Group::Any, "any"),
            (Group::None, "none"),
        ] {
            let Some(list) = form.get(name) else { continue };
            for node in self.items(list, &format!("`{name}`")) {
                if let Value::Map(entries) = &node.value {
                    let id = entries.first().and_then(|(_, value)| value.scalar());
                    let id = shortened(id.unwrap_or("one_rule"));
                    let message = "a part is the id of a rule or an incident type, and not a map";
                    self.fault(
                        Fault::new(Code::Shape, node.span.clone(), message)
                            .help(format!("write `{name}: [{id}]`")),
                    );
                    continue;
                }
                let Some(id) = self.token(node, "the id of a rule, or an incident type,") else {
                    continue;
                };
                if draft.parts.iter().any(|part| part.name == id) {
                    self.fault(Fault::new(
                        Code::Value,
                        node.span.clone(),
                        format!("`{id}` is a part already"),
                    ));
                    continue;
                }
                let at = self.place(&node.span);
                draft.parts.push(super::PartDraft {
                    group,
                    name: id,
                    at,
                });
            }
        }
        let parts = draft.parts.len();
        if parts > PARTS_MAX {
            let message = format!("`correlate` has {parts} parts, limit is {PARTS_MAX}");
            self.fault(Fault::new(Code::TooMany, node.span.clone(), message));
        }
        if form.get("all").is_none() && form.get("any").is_none() {
            let example = "all: [one_rule, another_rule]";
            let fault = Fault::new(
                Code::Missing,
                node.span.clone(),
                "`correlate` has neither `all` nor `any`, so nothing opens its finding",
            );
            self.fault(fault.help(format!("write `{example}`")));
        }
        let any = draft.parts.iter().filter(|part| part.group == Group::Any);
        let any = any.count();
        let at_least = match form.entry("at_least") {
            None => any.min(1),
            Some((key, _)) if form.get("any").is_none() => {
                self.fault(
                    Fault::new(
                        Code::Conflict,
                        key.span.clone(),
                        "`at_least` says how many of `any`, and there is no `any`",
                    )
                    .help("write the parts under `any`, or leave `at_least` out"),
                );
                0
            }
            Some((_, node)) => {
                let most = any.max(1) as u64;
                self.number(node, "`at_least`", 1..=most).unwrap_or(1) as usize
            }
        };
        Some(Correlate {
            within: within?,
            all: Vec::new(),
            any: Vec::new(),
            none: Vec::new(),
            at_least,
            hides: form
                .get("hides")
                .and_then(|node| self.flag(node, "`hides`"))
                .unwrap_or(false),
        })
    }

    fn new_value(&mut self, node: &Node, rule: &mut Rule) -> Option<Condition> {
        let form = self.form_of(node, Place::NewValue, "new_value: {field: image}")?;
        let learn = self.learn(&form);
        let Some(field) = form.get("field") else {
            self.missing_in(node, "`new_value`", "field", "new_value: {field: image}");
            return None;
        };
        let name = self.name(field, "the name of a label, field or capture")?;
        if rule.by.contains(&name) {
            self.fault(
                Fault::new(
                    Code::Conflict,
                    field.span.clone(),
                    format!("`{name}` is in `by`, so every finding has one value of it, which is never new"),
                )
                .help("name another field, or take this one out of `by`"),
            );
        }
        rule.value_place(&name);
        Some(Condition::NewValue { learn })
    }

    fn new_pattern(&mut self, node: &Node) -> Option<Condition> {
        let form = self.form_of(
            node,
            Place::NewPattern,
            "new_pattern: {learn: 24h, threshold: 5 in 1m}",
        )?;
        let learn = self.learn(&form);
        let every = Threshold {
            window: Duration::from_secs(60),
            ..Threshold::EVERY
        };
        let threshold = form.get("threshold").and_then(|node| {
            let (form, _) = self.form(node, "`threshold`")?;
            match form {
                Form::Count(threshold) if matches!(threshold.needs, Needs::AtLeast(_)) => {
                    Some(threshold)
                }
                form => {
                    let message = match form {
                        Form::Count(_) => {
                            "a new pattern comes at least so often, and not at most".to_owned()
                        }
                        form => format!("a new pattern takes a count, and this is {}", form.name()),
                    };
                    self.fault(
                        Fault::new(Code::Threshold, node.span.clone(), message)
                            .help("write `threshold: 5 in 1m`"),
                    );
                    None
                }
            }
        });
        Some(Condition::NewPattern {
            learn,
            threshold: threshold.unwrap_or(every),
        })
    }

    fn learn(&mut self, form: &Entries<'_>) -> Duration {
        form.get("learn")
            .and_then(|node| self.duration(node, "`learn`"))
            .unwrap_or(LEARN)
    }

    /// The time that `form`, read from `node`, must have under `within`.
    fn within_time(
        &mut self,
        node: &Node,
        form: &Entries<'_>,
        what: &str,
        example: &str,
    ) -> Option<Duration> {
        match form.get("within") {
            Some(node) => self.time(node, "`within`"),
            None => {
                self.missing_in(node, what, "within", example);
                None
            }
        }
    }

    /// A map of `place`; anything else is told what it looks like.
    pub(super) fn form_of<'n>(
        &mut self,
        node: &'n Node,
        place: Place,
        example: &str,
    ) -> Option<Entries<'n>> {
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("{} must be a map of keys and values", place.name());
            self.fault(
                Fault::new(Code::Shape, node.span.clone(), message)
                    .help(format!("write `{example}`")),
            );
            return None;
        }
        self.map(node, place)
    }

    pub(super) fn missing_in(&mut self, node: &Node, what: &str, key: &str, example: &str) {
        let message = format!("{what} has no `{key}`");
        self.fault(
            Fault::new(Code::Missing, node.span.clone(), message)
                .help(format!("write `{example}`")),
        );
    }
}
