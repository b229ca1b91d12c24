//! Which keys go together. What a rule says itself must fit its kind; what it only inherits and cannot use is not meant for it.

use super::layers::{CLASSES, Keys};
use super::rule::captures;
use super::{Draft, Reader};
use crate::rules::condition::Condition;
use crate::rules::problem::{Code, Fault};

/// Whether a rule of this kind needs a `match`.
pub(super) fn needs_match(class: Option<&str>) -> bool {
    !matches!(class, Some("absent" | "sequence" | "correlate"))
}

/// Whether a finding of this kind has matches while it is open.
pub(super) fn has_matches(class: Option<&str>) -> bool {
    !matches!(class, Some("absent" | "correlate"))
}

/// A key that means nothing beside a class key: why, and what to do.
pub(super) struct Misfit {
    class: &'static str,
    keys: &'static [&'static str],
    why: &'static str,
    instead: &'static str,
}

/// Why a rule of this kind has no use for the key `name`, if it has none.
pub(super) fn misfit(class: Option<&str>, name: &str) -> Option<&'static Misfit> {
    let mut misfits = MISFITS.iter();
    misfits.find(|misfit| class == Some(misfit.class) && misfit.keys.contains(&name))
}

const MISFITS: [Misfit; 4] = [
    Misfit {
        class: "sequence",
        keys: &["match"],
        why: "the lines of a `sequence` are those of its steps",
        instead: "every step has a `match` of its own",
    },
    Misfit {
        class: "correlate",
        keys: &[
            "match",
            "selector",
            "unless",
            "parse",
            "ignore_case",
            "catches",
            "passes",
        ],
        why: "`correlate` looks at findings, and reads no lines",
        instead: "it belongs into the rules that are its parts",
    },
    Misfit {
        class: "correlate",
        keys: &["recover"],
        why: "a `correlate` is over when its parts are",
        instead: "`recover` belongs into the rules that are its parts",
    },
    Misfit {
        class: "absent",
        keys: &["recover"],
        why: "what is `absent` recovers with the first line that comes",
        instead: "`match` says which line that is",
    },
];

impl Reader<'_> {
    /// Reports keys of a rule that exclude each other, or that its kind has no use for.
    pub(super) fn fits(&mut self, keys: &Keys<'_>, draft: &Draft) {
        self.one_class(keys);
        for (name, key) in keys.own.names() {
            if let Some(misfit) = misfit(keys.class(), name) {
                let message = format!("{}: drop `{name}`", misfit.why);
                self.fault(
                    Fault::new(Code::Conflict, key.span.clone(), message).help(misfit.instead),
                );
            }
        }
        self.counts_fit(keys, draft);
        self.hold_fits(keys, draft);
        self.keys_fit_share(draft);
    }

    /// A rule is of one kind.
    pub(super) fn one_class(&mut self, keys: &Keys<'_>) {
        let present = CLASSES.into_iter().filter_map(|class| {
            let (key, _) = keys.own.entry(class)?;
            Some((class, key))
        });
        let present: Vec<_> = present.collect();
        let Some(((first, _), others)) = present.split_first() else {
            return;
        };
        for (other, key) in others {
            let fault = Fault::new(
                Code::Conflict,
                key.span.clone(),
                format!("a rule is of one kind, and this one has `{first}` and `{other}`"),
            );
            self.fault(fault.help(match (*first, *other) {
                ("new_pattern", "threshold") => {
                    "write the threshold inside: `new_pattern: {threshold: 5 in 1m}`"
                }
                ("absent", "threshold") => {
                    "drop `threshold`; few instead of none is `threshold: \"< 5 in 15m\"` without `absent`"
                }
                ("sequence", "threshold") => {
                    "drop `threshold`; how often a step must come is its `count`"
                }
                ("correlate", "threshold") => {
                    "drop `threshold`; it belongs into the rules that are the parts"
                }
                ("new_value", "threshold") => {
                    "drop `threshold`; many different values are `threshold: 20 distinct user in 5m` without `new_value`"
                }
                _ => "drop one of them, or make two rules and a `correlate`",
            }));
        }
    }

    /// `total` and `min_count` belong to thresholds that compare.
    fn counts_fit(&mut self, keys: &Keys<'_>, draft: &Draft) {
        let condition = &draft.rule.condition;
        let shares = matches!(condition, Condition::Ratio(_));
        let compares = shares || matches!(condition, Condition::Spike(_));
        // A threshold that could not be read may have been meant to compare.
        if draft.unread {
            return;
        }
        if let Some((key, _)) = keys.own.entry("total")
            && !shares
        {
            let message = "`total` is what a share in percent is a share of: drop it";
            self.fault(
                Fault::new(Code::Conflict, key.span.clone(), message)
                    .help("or write `threshold: \"> 5% in 5m\"`"),
            );
        }
        if let Some((key, _)) = keys.own.entry("min_count")
            && !compares
        {
            let message = "`min_count` is for thresholds that compare (`%`, `x`): drop it";
            self.fault(
                Fault::new(Code::Conflict, key.span.clone(), message)
                    .help("how many matches are needed is the threshold itself: `5 in 10m`"),
            );
        }
    }

    /// `for` needs something that can hold.
    fn hold_fits(&mut self, keys: &Keys<'_>, draft: &Draft) {
        let Some(node) = keys.get("for") else { return };
        let class = keys.class();
        if class == Some("threshold") || draft.rule.hold.is_zero() {
            return;
        }
        let (why, instead) = match class {
            Some("absent") => (
                "how long nothing may come is said by `absent`",
                "drop `for`, or write a longer time there",
            ),
            Some("sequence") => (
                "a sequence is complete at one instant",
                "drop `for`; how long the steps may take is `within`",
            ),
            Some("correlate") => (
                "a `correlate` begins with its parts",
                "drop `for`, or write it in the rules that are its parts",
            ),
            Some("new_value" | "new_pattern") => {
                ("what is new is new at one instant", "drop `for`")
            }
            _ => (
                "a single match does not hold for any time",
                "write `threshold: 5 in 10m`, or leave `for` out",
            ),
        };
        self.fault(
            Fault::new(
                Code::Threshold,
                node.span.clone(),
                format!("`for` needs a `threshold`: {why}"),
            )
            .help(instead),
        );
    }

    /// The keys of a share must be there in every entry of its denominator, where a capture is not.
    fn keys_fit_share(&mut self, draft: &Draft) {
        let rule = &draft.rule;
        let Condition::Ratio(ratio) = &rule.condition else {
            return;
        };
        let matches = [Some(&rule.matches), ratio.total.as_deref()];
        for (name, span) in rule.by.iter().zip(&draft.by_spans) {
            let mut captured = matches.into_iter().flatten().flat_map(captures);
            if captured.any(|capture| capture == name) {
                self.fault(
                    Fault::new(
                        Code::Conflict,
                        span.clone(),
                        format!("`{name}` is a capture, and a share in percent needs its keys in every line that it counts"),
                    )
                    .help("name a label or a field, or count: `threshold: 20 in 5m`"),
                );
            }
        }
    }
}
