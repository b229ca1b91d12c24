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

/// The capture of the two above that has the first thing that is wrong, with its place.
pub const ERROR: &str = "error";

/// What ids of rules about trommel itself begin with; no rule in a file may have such an id.
pub(super) const PREFIX: &str = "trommel_";

/// Every rule about trommel itself.
pub(super) fn all() -> Vec<Rule> {
    vec![refused(
        CONFIG_INVALID,
        "trommel's settings are refused",
        "The settings file was changed to something that is not valid. The settings before it go on, until the file is valid again. \
         After a restart trommel would not start.",
        "a new settings file is refused, the settings before it go on: ",
    ),
    refused(
        RULES_INVALID,
        "trommel's rules are refused",
        "Rule files were changed to something that is not valid as a whole. The rules before it go on, until the files are valid \
         again. After a restart trommel would not start. `trommel check` shows everything that is wrong.",
        "new rule files are refused, the rules before them go on: ",
    ),
    Rule {
        name: Some("trommel is overloaded".to_owned()),
        description: Some(
            "Entries were answered 204 without having been inspected (shed), or before their effect was on disk (early), so that \
             Loki's own ingestion is not held back. Findings of that time may be missing or incomplete. Give trommel more CPU or a \
             faster disk, or send it fewer streams."
                .to_owned(),
        ),
        summary: Some(Summary {
            parts: vec![SummaryPart::Text(
                "trommel is overloaded: entries went uninspected, or were answered before they were on disk".to_owned(),
            )],
            captures: Vec::new(),
        }),
        ..rule(OVERLOADED, Severity::Warning)
    }]
}

/// What was refused stays so until something else is taken: that is told, not waited for.
fn refused(id: &str, name: &str, description: &str, summary: &str) -> Rule {
    Rule {
        name: Some(name.to_owned()),
        description: Some(description.to_owned()),
        recover: Recover::Match {
            after: None,
            when: Box::new(nothing()),
        },
        summary: Some(Summary {
            parts: vec![
                SummaryPart::Text(summary.to_owned()),
                SummaryPart::Capture(0),
            ],
            captures: vec![ERROR.to_owned()],
        }),
        ..rule(id, Severity::Warning)
    }
}

/// A match that no line fulfils: a field that accepts nothing. See `Rule::is_own`.
fn nothing() -> Match {
    Match {
        fields: vec![FieldTest {
            name: PREFIX.to_owned(),
            accepts: Vec::new(),
        }],
        ..Match::default()
    }
}

fn rule(id: &str, severity: Severity) -> Rule {
    let taxonomy = Taxonomy::shipped();
    let impaired = &taxonomy.types["detector_impaired"];
    let mut rule = Rule {
        severity,
        parse: Parse::None,
        confidence: Confidence::High,
        recover: Recover::Quiet(Duration::from_secs(600)),
        incident_type: impaired.id.clone(),
        domain: impaired.domain.clone(),
        policy: Arc::new(impaired.policy(None, None).advice()),
        source: Source {
            file: "trommel".to_owned(),
            line: 0,
        },
        ..Rule::new(id, nothing())
    };
    hash::fill(&mut rule, |_| String::new());
    rule
}
