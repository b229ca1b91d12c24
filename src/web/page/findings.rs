//! All findings, by filters that live in the address.

use maud::{Markup, html};

use super::layout;
use super::parts::table;
use super::{SHOWN_MAX, Shown};
use crate::finding::State;
use crate::record::FindingFilter;
use crate::rules::Severity;
use crate::web::Admin;

pub(super) fn page(
    admin: &Admin,
    asked: &FindingFilter,
    given: &[(String, String)],
    findings: &[Shown],
    next: Option<&str>,
) -> Markup {
    let content = html! {
        h1 { "Findings" }
        (form(asked))
        @if findings.is_empty() {
            p { "None are known that fit." }
        } @else {
            (table("Findings, the newest change first", findings))
        }
        @if let Some(next) = next {
            p { a href={ "/findings?" (older(given, next)) } rel="next" { "Older ones" } " (" (SHOWN_MAX) " on a page)" }
        }
    };
    layout::page(admin, "Findings", Some("/findings"), &content)
}

fn form(asked: &FindingFilter) -> Markup {
    let states = [("", "any"), ("open", "open"), ("recovered", "recovered")];
    let state = asked.state.map_or("", |state| match state {
        State::Open => "open",
        State::Recovered => "recovered",
    });
    let severities = [
        ("", "any"),
        ("critical", "critical"),
        ("warning", "warning"),
        ("info", "info"),
    ];
    let severity = asked.severity.map_or("", |severity| match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    });
    let texts = [
        ("domain", "Domain", &asked.domain),
        ("type", "Incident type", &asked.incident_type),
        ("rule", "Rule", &asked.rule),
        ("text", "Text", &asked.text),
    ];
    html! {
        form .filters method="get" action="/findings" role="search" aria-label="Findings" {
            (choice("state", "State", &states, state))
            (choice("severity", "Severity", &severities, severity))
            @for (name, label, value) in texts {
                label { (label) input type="text" name=(name) value=(value.as_deref().unwrap_or_default()) autocomplete="off"; }
            }
            button type="submit" { "Show" }
            a href="/findings" { "Reset" }
        }
    }
}

fn choice(name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        label { (label)
            select name=(name) {
                @for (value, text) in options {
                    option value=(value) selected[*value == chosen] { (text) }
                }
            }
        }
    }
}

/// What was asked for, from `next` on.
fn older(given: &[(String, String)], next: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(given.iter().filter(|(name, _)| name != "after"));
    query.append_pair("after", next);
    query.finish()
}
