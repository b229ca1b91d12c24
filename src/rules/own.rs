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

/// What ids of rules about trommel itself begin with; no rule in a file may have such an id.
pub(super) const PREFIX: &str = "trommel_";

/// Every rule about trommel itself.
pub(super) fn all() -> Vec<Rule> {
    vec![Rule {
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

fn rule(id: &str, severity: Severity) -> Rule {
    let nothing = Match {
        // A field that accepts nothing: see `Rule::is_own`.
        fields: vec![FieldTest {
            name: PREFIX.to_owned(),
            accepts: Vec::new(),
        }],
        ..Match::default()
    };
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
        ..Rule::new(id, nothing)
    };
    hash::fill(&mut rule, |_| String::new());
    rule
}
