//! Window, `for`, `recover`, `cooldown` and `escalate` that do not fit together.

use super::{is_written, place_of};
use crate::rules::condition::{Condition, Needs, Threshold};
use crate::rules::model::{Comparison, Recover};
use crate::rules::problem::{Code, Fault};
use crate::rules::read::Draft;
use crate::time::format_duration;

pub(super) fn lint(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    let rule = &draft.rule;
    let window = rule.condition.window();
    let shown = format_duration(window);
    if is_written(draft, "recover")
        && holds_on_many(&rule.condition)
        && let Some(quiet) = rule.recover.quiet()
        && quiet < window
    {
        let quiet = format_duration(quiet);
        warn(
            Fault::new(
                Code::RecoverWithinWindow,
                place_of(draft, "recover"),
                format!("after {quiet} of quiet the window of {shown} still counts what was before: the next match opens it again"),
            )
            .help(format!("write `recover: {shown}`, which is the default, or a shorter window")),
        );
    }
    if let Condition::Count(Threshold {
        needs: Needs::AtLeast(count),
        ..
    }) = rule.condition
        && rule.hold > window
    {
        let hold = format_duration(rule.hold);
        warn(
            Fault::new(
                Code::ForBeyondWindow,
                place_of(draft, "for"),
                format!("{count} in {shown} would have to hold for {hold} without a pause"),
            )
            .help(format!(
                "count over the longer time: `threshold: … in {hold}`"
            )),
        );
    }
    if rule.cooldown.is_zero() && !matches!(rule.recover, Recover::Never) {
        warn(
            Fault::new(
                Code::NoCooldown,
                place_of(draft, "cooldown"),
                "without a cooldown every match of an open finding is a message",
            )
            .help("leave the key out for 15m; what happens once has `recover: never`"),
        );
    }
    let idle = rule.escalate.iter().find(|step| step.to <= rule.severity);
    if let Some(step) = idle {
        warn(
            Fault::new(
                Code::NoEscalation,
                place_of(draft, "escalate"),
                format!(
                    "`{}` is no more than the rule's own severity, `{}`",
                    step.to, rule.severity
                ),
            )
            .help("begin lower, or leave the step out"),
        );
    }
}

/// Whether many matches within its window make the condition hold.
fn holds_on_many(condition: &Condition) -> bool {
    let more = |comparison| matches!(comparison, Comparison::AtLeast | Comparison::Above);
    match condition {
        Condition::Count(threshold) => {
            *threshold != Threshold::EVERY && matches!(threshold.needs, Needs::AtLeast(_))
        }
        Condition::Distinct(distinct) => matches!(distinct.threshold.needs, Needs::AtLeast(_)),
        Condition::Ratio(ratio) => more(ratio.comparison),
        Condition::Spike(spike) => more(spike.comparison),
        _ => false,
    }
}
