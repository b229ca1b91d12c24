//! One finding: what it says, how it came about, and what may be done.

use maud::{Markup, html};

use super::parts::{lasted, reason, severity, time};
use super::{FINDING, layout};
use crate::finding::{Coverage, Finding, Outline};
use crate::time::Timestamp;
use crate::web::Admin;

pub(super) fn page(
    admin: &Admin,
    finding: &Finding,
    changed_at: Timestamp,
    timeline: &[Outline],
    silence: &Markup,
) -> Markup {
    let content = html! {
        p .aside { a href="/findings" { "Findings" } " / " code { (finding.finding_id) } }
        h1 { (finding.summary) }
        p .lead {
            (severity(finding.severity))
            @if finding.severity_max > finding.severity { " (was " (finding.severity_max) ")" }
            " · " (finding.state.as_str())
            @match finding.recovered_at {
                Some(over) => { " after " (lasted(finding.observed_at, over)) }
                None => { " since " (time(finding.observed_at)) }
            }
            " · last change " (time(changed_at))
        }
        @if finding.detector.coverage == Coverage::Gap {
            p .notice { "Not every entry of that time was seen. Do not take a recovery for the end of it." }
        }
        p .links {
            @if let Some(url) = web_address(finding.logs.url.as_deref()) { a .button href=(url) rel="noreferrer" { "Lines in Grafana" } }
            @if let Some(url) = web_address(finding.runbook.as_deref()) { a .button href=(url) rel="noreferrer" { "Runbook" } }
            a .button href={ "/api/v1" (FINDING) (finding.finding_id) } { "JSON" }
        }
        (evidence(finding))
        (timeline_of(timeline))
        (facts(finding))
        (policy(finding))
        (silence)
    };
    layout::page(admin, &finding.summary, Some("/findings"), &content)
}

/// A link that a rule or a setting gave, unless it would do something else than lead to a page.
fn web_address(url: Option<&str>) -> Option<&str> {
    url.filter(|url| url.starts_with("https://") || url.starts_with("http://"))
}

fn evidence(finding: &Finding) -> Markup {
    html! {
        section {
            h2 { "What the log says" }
            @if finding.evidence.lines.is_empty() { p .aside { "Nothing is quoted." } }
            @for line in &finding.evidence.lines {
                figure .line {
                    figcaption {
                        (time(line.time))
                        @for (name, value) in &line.labels { span .label { (name) "=" (value) } }
                    }
                    pre tabindex="0" { code { (line.line) } }
                }
            }
            @if finding.evidence.truncated { p .aside { "Cut to fit." } }
            p { "Query: " code .query { (finding.logs.logql) } " from " (time(finding.logs.from)) " to " (time(finding.logs.to)) }
        }
    }
}

fn timeline_of(timeline: &[Outline]) -> Markup {
    html! {
        section {
            h2 { "Timeline" }
            @if timeline.is_empty() { p .aside { "No message about it is known." } }
            ol .timeline {
                @for outline in timeline {
                    li {
                        (time(outline.time)) " " (severity(outline.severity)) " "
                        strong { (reason(outline.reason)) }
                        div .aside { (outline.counts.window) " in the window, " (outline.counts.total) " in all" }
                    }
                }
            }
        }
    }
}

fn facts(finding: &Finding) -> Markup {
    html! {
        section {
            h2 { "Where and what" }
            dl {
                @for (name, value) in &finding.resource_scope { dt { (name) } dd { (value) } }
                dt { "Rule" } dd { code { (finding.rule.id) } " (" (finding.rule.class) "): " (finding.rule.condition) }
                dt { "Kind" } dd { (finding.domain) " · " (finding.incident_type) }
                dt { "Seen" } dd { (time(finding.first_seen)) " to " (time(finding.last_seen)) }
                dt { "Entries" } dd {
                    (finding.counts.total) " in all, " (finding.counts.duplicates_dropped) " repeats left out, "
                    (finding.counts.late) " late, came back " (finding.counts.flaps) " times"
                }
                @for related in &finding.related {
                    dt { (related.relation) } dd { a href={ (FINDING) (related.finding_id) } { (related.rule) } }
                }
                @if !finding.hints.is_empty() { dt { "Worth a look" } dd { (finding.hints.join(", ")) } }
            }
        }
    }
}

fn policy(finding: &Finding) -> Markup {
    let kinds = [
        ("May be done by a program", &finding.policy.automatic),
        ("Needs approval", &finding.policy.approval),
        ("Only by people", &finding.policy.human_only),
    ];
    html! {
        @if kinds.iter().any(|(_, actions)| !actions.is_empty()) {
            section {
                h2 { "What may be done" }
                dl {
                    @for (kind, actions) in kinds {
                        @if !actions.is_empty() { dt { (kind) } dd { (actions.join(", ")) } }
                    }
                }
            }
        }
    }
}
