//! All findings, by filters that live in the address.

use maud::{Markup, html};

use super::layout;
use super::parts::table;
use super::{SHOWN_MAX, Shown};
use crate::finding::State;
use crate::rules::Severity;
use crate::web::Admin;
use crate::web::api::FindingsQuery;

pub(super) fn page(
    admin: &Admin,
    asked: &FindingsQuery,
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

fn form(asked: &FindingsQuery) -> Markup {
    let states = State::ALL.map(State::as_str);
    let state = asked.state.map_or("", State::as_str);
    let mut severities = Severity::ALL.map(Severity::as_str);
    severities.reverse();
    let severity = asked.severity.map_or("", Severity::as_str);
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

/// One of `options`, or any.
fn choice(name: &str, label: &str, options: &[&str], chosen: &str) -> Markup {
    html! {
        label { (label)
            select name=(name) {
                option value="" selected[chosen.is_empty()] { "any" }
                @for option in options {
                    option value=(option) selected[*option == chosen] { (option) }
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
