//! The rules of findings about trommel itself. No line matches them: their hits come from trommel's own shell.

use std::sync::Arc;
use std::time::Duration;

use super::hash;
use super::model::{
    Confidence, FieldTest, Match, Parse, Recover, Rule, Severity, Source, Summary, SummaryPart,
};
use super::taxonomy::Taxonomy;

/// Entries were answered before they were inspected or recorded.
pub const OVERLOADED: &str = "trommel_overloaded";

/// New rule files were refused, and older rules go on.
pub const RULES_INVALID: &str = "trommel_rules_invalid";

/// A new settings file was refused, and older settings go on.
pub const CONFIG_INVALID: &str = "trommel_config_invalid";

/// Nothing was pushed for a time.
pub const TEE_SILENT: &str = "trommel_tee_silent";

/// Messages wait and none goes out.
pub const PUBLISH_STALLED: &str = "trommel_publish_stalled";

/// Entries came from the future.
pub const CLOCK_SKEW: &str = "trommel_clock_skew";

/// A rule, which its key names, has come to the most keys that it may have.
pub const KEYS_EVICTED: &str = "trommel_keys_evicted";

/// Messages were dropped unsent.
pub const MESSAGES_LOST: &str = "trommel_messages_lost";

/// Commits fail.
pub const DISK_FULL: &str = "trommel_disk_full";

/// The capture that has what is to be told: the first thing that is wrong with its place, or how much it was.
pub const DETAIL: &str = "detail";

/// What ids of rules about trommel itself begin with; no rule in a file may have such an id.
pub const OWN_PREFIX: &str = "trommel_";

/// Whether a rule of that id is about trommel itself.
#[must_use]
pub fn is_own(id: &str) -> bool {
    id.starts_with(OWN_PREFIX)
}

/// How long after the last time that something happened its finding is over.
const QUIET: Duration = Duration::from_secs(600);

/// Every rule about trommel itself.
pub(super) fn all() -> Vec<Rule> {
    let mut rules = vec![
        lasts(
            CONFIG_INVALID,
            "trommel's settings are refused",
            "The settings file was changed to something that is not valid. The settings before it go on, until the file is valid again. \
             After a restart trommel would not start.",
            "a new settings file is refused, the settings before it go on: ",
        ),
        lasts(
            RULES_INVALID,
            "trommel's rules are refused",
            "Rule files were changed to something that is not valid as a whole. The rules before it go on, until the files are valid \
             again. After a restart trommel would not start. `trommel check` shows everything that is wrong.",
            "new rule files are refused, the rules before them go on: ",
        ),
        lasts(
            TEE_SILENT,
            "trommel is sent nothing",
            "Nothing has been pushed for as long as `detect.tee_silent_after` says, or nothing at all since trommel was started. Nothing can be \
             found meanwhile, and open findings do not recover, since nobody knows. Look at what sends: Alloy's second endpoint, its \
             credentials, the network between. The next push ends it.",
            "trommel sees no logs and finds nothing: ",
        ),
        lasts(
            PUBLISH_STALLED,
            "trommel's findings do not go out",
            "The first message in line has waited for five minutes and none has gone out. This finding waits behind it, so it is seen at the \
             admin port only until messages go out again; none is lost while there is room for them (`outbox_bytes_max`).",
            "findings do not go out: ",
        ),
        happens(
            OVERLOADED,
            "trommel is overloaded",
            "Entries were answered 204 without having been inspected (shed), or before their effect was on disk (early), so that \
             Loki's own ingestion is not held back. Findings of that time may be missing or incomplete. Give trommel more CPU or a \
             faster disk, or send it fewer streams.",
            "trommel is overloaded: entries went uninspected, or were answered before they were on disk",
            false,
        ),
        happens(
            CLOCK_SKEW,
            "entries come from the future",
            "Entries were stamped more than ten minutes later than trommel's clock. They were taken as of the time at which they came, so \
             windows and times of findings may be wrong. Either the clock of what stamps the lines is wrong, or trommel's own is.",
            "entries come from the future: ",
            true,
        ),
        Rule {
            by: vec!["rule".to_owned()],
            // There is one for each rule.
            keys_max: Some(100_000),
            ..happens(
                KEYS_EVICTED,
                "a rule has too many keys",
                "A rule has come to the most keys that it may have (`keys_max`), or keys of all rules to the memory that they may take \
                 (`keys_bytes_max`) and this rule's take most. Those longest untouched were forgotten with what was counted for \
                 them, or, where a finding is open for each, matches of others were not counted, and open findings keep less of their windows. A name in the rule's `by` has more values than \
                 was thought; take it out, or raise `keys_max` or `memory`.",
                "a rule has more keys than it may: ",
                true,
            )
        },
        happens(
            MESSAGES_LOST,
            "messages about findings are lost",
            "Messages were dropped unsent, because more waited than `outbox_bytes_max` has room for, or than are kept in memory for a disk that \
             takes nothing. Updates go first. Whoever reads the stream may have missed how a finding began or that it is over; the admin port \
             shows what is open.",
            "messages about findings are lost: ",
            true,
        ),
        happens(
            DISK_FULL,
            "trommel cannot write to its disk",
            "What has happened cannot be written to the data directory, for want of room or for another reason that the finding tells. Pushes \
             are answered before their effect is on disk, and what a restart would lose grows. This finding is seen at the admin port at once; \
             its messages go out when the disk takes them.",
            "trommel cannot write to its disk: ",
            true,
        ),
    ];
    for rule in &mut rules {
        hash::fill(rule, |_| String::new());
    }
    rules
}

/// Something that is so until it is told to be over: that is told, not waited for.
fn lasts(id: &str, name: &str, description: &str, summary: &str) -> Rule {
    Rule {
        recover: Recover::Match {
            after: None,
            when: Box::new(nothing()),
        },
        ..happens(id, name, description, summary, true)
    }
}

/// Something that happens now and then, and is over when it has not for [`QUIET`]. `detailed` puts [`DETAIL`] at the end of the summary.
fn happens(id: &str, name: &str, description: &str, summary: &str, detailed: bool) -> Rule {
    let text = SummaryPart::Text(summary.to_owned());
    let detail = detailed.then(|| (SummaryPart::Capture(0), DETAIL.to_owned()));
    let (part, capture) = detail.unzip();
    Rule {
        name: Some(name.to_owned()),
        description: Some(description.to_owned()),
        summary: Some(Summary {
            parts: [text].into_iter().chain(part).collect(),
            captures: capture.into_iter().collect(),
        }),
        ..rule(id, Severity::Warning)
    }
}

/// A match that no line fulfils: a field that accepts nothing. See `Rule::is_own`.
fn nothing() -> Match {
    Match {
        fields: vec![FieldTest {
            name: OWN_PREFIX.to_owned(),
            accepts: Vec::new(),
        }],
        ..Match::default()
    }
}

fn rule(id: &str, severity: Severity) -> Rule {
    let taxonomy = Taxonomy::shipped();
    let impaired = &taxonomy.types["detector_impaired"];
    Rule {
        severity,
        parse: Parse::None,
        confidence: Confidence::High,
        recover: Recover::Quiet(QUIET),
        incident_type: impaired.id.clone(),
        domain: impaired.domain.clone(),
        policy: Arc::new(impaired.policy(None, None).advice()),
        source: Source {
            file: "trommel".to_owned(),
            line: 0,
        },
        ..Rule::new(id, nothing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_finding_about_ourselves() {
        let readme = include_str!("../../README.md");
        for rule in all() {
            assert!(readme.contains(&format!("\n| `{}", rule.id)), "{}", rule.id);
            assert!(rule.description.is_some() && rule.summary.is_some());
        }
    }
}
