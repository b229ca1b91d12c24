//! All findings, by filters that live in the address.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::layout;
use super::parts::{plain, table};
use super::{SHOWN_MAX, Shown};
use crate::finding::State;
use crate::record::KindRow;
use crate::rules::Severity;
use crate::time::Timestamp;
use crate::web::Admin;
use crate::web::api::FindingsQuery;

/// Most rules that the form offers.
const RULES_MAX: usize = 200;

/// A page of findings and what it was asked for.
pub(super) struct List {
    /// The parameters, read.
    pub(super) asked: FindingsQuery,
    /// The parameters, as given.
    pub(super) given: Vec<(String, String)>,
    pub(super) findings: Vec<Shown>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    /// What there is to choose from.
    pub(super) kinds: Vec<KindRow>,
}

pub(super) fn page(admin: &Admin, list: &List) -> Markup {
    let content = html! {
        h1 { "Findings" }
        (form(list))
        @if list.findings.is_empty() {
            p { "None are known that fit." }
        } @else {
            (table("Findings, the newest change first", &list.findings))
        }
        p .links {
            @if let Some(next) = &list.next {
                a href={ "/findings?" (query(list, Some(next))) } rel="next" { "Older ones" }
                span .aside { (SHOWN_MAX) " on a page" }
            }
            a href={ "/api/v1/findings?" (query(list, None)) } { "JSON" }
        }
    };
    layout::page(admin, "Findings", Some("/findings"), &content)
}

fn form(list: &List) -> Markup {
    let List { asked, kinds, .. } = list;
    let states = State::ALL.map(State::as_str);
    let mut severities = Severity::ALL.map(Severity::as_str);
    severities.reverse();
    let domains: BTreeSet<_> = kinds.iter().map(|kind| &*kind.domain).collect();
    let types: BTreeSet<_> = kinds.iter().map(|kind| &*kind.incident_type).collect();
    let rules: BTreeSet<_> = kinds.iter().map(|kind| &*kind.rule).collect();
    let more = asked.rule.is_some()
        || asked.since.is_some()
        || asked.until.is_some()
        || !asked.labels.is_empty();
    html! {
        form .filters method="get" action="/findings" role="search" aria-label="Findings" {
            (choice("state", "State", states, asked.state.map(State::as_str)))
            (choice("severity", "Severity", severities, asked.severity.map(Severity::as_str)))
            (choice("domain", "Domain", domains, asked.domain.as_deref()))
            (choice("type", "Incident type", types, asked.incident_type.as_deref()))
            (input("text", "Text", asked.text.as_deref(), None))
            details .more open[more] {
                summary { "Rule, labels, time" }
                div .filters {
                    (input("rule", "Rule", asked.rule.as_deref(), Some("rules")))
                    datalist #rules { @for rule in rules.iter().filter(|rule| plain(rule) == **rule).take(RULES_MAX) { option value=(rule) {} } }
                    @for (name, value) in &asked.labels {
                        (input("label", "Label", Some(&format!("{name}={value}")), None))
                    }
                    label { "Label" input type="text" name="label" placeholder="namespace=shop" autocomplete="off"; }
                    (moment("since", "Since, in UTC", asked.since))
                    (moment("until", "Until, in UTC", asked.until))
                }
            }
            button type="submit" { "Show" }
            a href="/findings" { "Reset" }
        }
    }
}

fn input(name: &str, label: &str, value: Option<&str>, choices: Option<&str>) -> Markup {
    html! {
        label { (label)
            input type="text" name=(name) value=(value.unwrap_or_default()) list=[choices] autocomplete="off";
        }
    }
}

/// A time, to the second, as browsers ask for it: without a zone.
fn moment(name: &str, label: &str, at: Option<Timestamp>) -> Markup {
    let text = at.map(|at| at.whole_second().to_string());
    let value = text.as_deref().map(|text| text.trim_end_matches('Z'));
    html! {
        label { (label) input type="datetime-local" step="1" name=(name) value=[value]; }
    }
}

/// One of `options`, or any.
fn choice<'t>(
    name: &str,
    label: &str,
    options: impl IntoIterator<Item = &'t str>,
    chosen: Option<&'t str>,
) -> Markup {
    let mut options: Vec<_> = options.into_iter().collect();
    // What is asked for is shown, though there be none of it.
    if let Some(chosen) = chosen
        && !options.contains(&chosen)
    {
        options.push(chosen);
    }
    html! {
        label { (label)
            select name=(name) {
                option value="" selected[chosen.is_none()] { "any" }
                @for option in options {
                    option value=(option) selected[Some(option) == chosen] { (option) }
                }
            }
        }
    }
}

/// What was asked for, from `next` on if there is one.
fn query(list: &List, next: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(list.given.iter().filter(|(name, _)| name != "after"));
    if let Some(next) = next {
        query.append_pair("after", next);
    }
    query.finish()
}
