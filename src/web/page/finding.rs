//! One finding: what it says, how it came about, and what may be done.

use std::fmt::Write as _;
use std::ops::Range;

use maud::{Markup, html};

use super::course::course;
use super::parts::{lasted, plain, query, reason, rule, severity, text, time};
use super::{FINDING, layout};
use crate::finding::{Coverage, Finding, Outline, Policy};
use crate::rules::Confidence;
use crate::time::Timestamp;
use crate::web::Admin;

/// A finding with what is told of it.
pub(super) struct One {
    pub(super) finding: Finding,
    pub(super) changed_at: Timestamp,
    /// Its first revision and its last ones.
    pub(super) timeline: Vec<Outline>,
    /// What matched in each line of the evidence.
    pub(super) marks: Vec<Vec<Range<usize>>>,
}

pub(super) fn page(admin: &Admin, one: &One, silence: &Markup) -> Markup {
    let One {
        finding, timeline, ..
    } = one;
    let content = html! {
        p .aside { a href="/findings" { "Findings" } " / " code { (finding.finding_id) } }
        h1 { (text(&finding.summary)) }
        p .lead {
            (severity(finding.severity))
            @if finding.severity_max > finding.severity { " (was " (finding.severity_max) ")" }
            " · " (finding.state.as_str())
            @match finding.recovered_at {
                Some(over) => { " after " (lasted(finding.observed_at, over)) }
                None => { " since " (time(finding.observed_at)) }
            }
            " · last change " (time(one.changed_at))
        }
        @if finding.detector.coverage == Coverage::Gap {
            p .notice { "Not every entry of that time was seen. Do not take a recovery for the end of it." }
        }
        p .links {
            @if let Some(url) = web_address(finding.logs.url.as_deref()) { a .button href=(url) rel="noreferrer" { "Lines in Grafana" } }
            @if let Some(url) = web_address(finding.runbook.as_deref()) { a .button href=(url) rel="noreferrer" { "Runbook" } }
            a .button href={ "/api/v1" (FINDING) (finding.finding_id) } { "JSON" }
            button type="button" data-copy="as-text" hidden { "Copy" }
        }
        pre #as-text hidden { (as_text(one)) }
        (evidence(one))
        section {
            h2 { "Timeline" }
            (course(timeline))
            (timeline_of(timeline))
        }
        (facts(finding))
        (policy(&finding.policy))
        (beside(finding))
        (silence)
    };
    layout::page(admin, &plain(&finding.summary), Some("/findings"), &content)
}

/// A link that a rule or a setting gave, unless it would do something else than lead to a page.
fn web_address(url: Option<&str>) -> Option<&str> {
    url.filter(|url| url.starts_with("https://") || url.starts_with("http://"))
}

fn evidence(one: &One) -> Markup {
    let Finding { evidence, logs, .. } = &one.finding;
    let is_marked = one.marks.iter().any(|marks| !marks.is_empty());
    html! {
        section {
            h2 { "What the log says" }
            @if evidence.lines.is_empty() { p .aside { "Nothing is quoted." } }
            @for (number, line) in evidence.lines.iter().enumerate() {
                figure .line {
                    figcaption {
                        (time(line.time))
                        @for (name, value) in &line.labels { " " (label(name, value)) }
                    }
                    pre tabindex="0" { code { (marked(&line.line, one.marks.get(number).map_or(&[][..], Vec::as_slice))) } }
                }
            }
            @if is_marked { p .aside { "Marked is what the rule matches, as it is in use now." } }
            @if evidence.truncated { p .aside { "Cut to fit." } }
            @if !logs.logql.is_empty() {
                p { "In Loki: " code .query #logql { (text(&logs.logql)) } " from " (time(logs.from)) " to " (time(logs.to)) " "
                    button type="button" data-copy="logql" hidden { "Copy query" } }
            }
        }
    }
}

/// A line with what matched in it.
fn marked(line: &str, marks: &[Range<usize>]) -> Markup {
    let mut end = 0;
    let pieces: Vec<_> = marks
        .iter()
        .map(|mark| {
            let before = &line[std::mem::replace(&mut end, mark.end)..mark.start];
            (before, &line[mark.clone()])
        })
        .collect();
    html! {
        bdi {
            @for (before, matched) in pieces { (plain(before)) mark { (plain(matched)) } }
            (plain(&line[end..]))
        }
    }
}

/// A label, which leads to all findings that have it.
fn label(name: &str, value: &str) -> Markup {
    let pair = format!("{name}={value}");
    html! { a .label href={ "/findings?" (query("label", &pair)) } { (text(&pair)) } }
}

fn timeline_of(timeline: &[Outline]) -> Markup {
    html! {
        @if timeline.is_empty() { p .aside { "No message about it is known." } }
        ol .timeline {
            @for outline in timeline {
                li {
                    (time(outline.time)) " " (severity(outline.severity)) " "
                    strong { (reason(outline.reason)) }
                    div .aside {
                        (outline.counts.window) " in the window, " (outline.counts.total) " in all"
                        @if outline.coverage == Coverage::Gap { ", not every entry was seen" }
                    }
                }
            }
        }
    }
}

fn facts(finding: &Finding) -> Markup {
    let counts = &finding.counts;
    html! {
        section {
            h2 { "Where and what" }
            dl {
                @for (name, value) in finding.resource_scope.iter().filter(|(_, value)| !value.is_empty()) {
                    dt { (text(name)) }
                    dd { a href={ "/findings?" (query("label", &format!("{name}={value}"))) } { (text(value)) } }
                }
                dt { "Rule" } dd {
                    (rule(&finding.rule.id)) " (" (finding.rule.class) "): " (text(&finding.rule.condition))
                    @if let Some(owner) = &finding.rule.owner { div .aside { "looked after by " (text(owner)) } }
                }
                dt { "Kind" } dd { (text(&finding.domain)) " · " (text(&finding.incident_type)) }
                dt { "Confidence" } dd { (confidence(finding.confidence)) }
                dt { "Seen" } dd { (time(finding.first_seen)) " to " (time(finding.last_seen)) }
                dt { "Entries" } dd {
                    (counts.total) " in all"
                    @if counts.duplicates_dropped > 0 { ", " (counts.duplicates_dropped) " repeats left out" }
                    @if counts.late > 0 { ", " (counts.late) " late" }
                    @if counts.flaps > 0 { ", came back " (counts.flaps) " times" }
                    @if counts.suppressed > 0 { ", " (counts.suppressed) " messages were held back" }
                }
            }
        }
    }
}

fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low: often it is something else",
        Confidence::Medium => "medium: usually right",
        Confidence::High => "high: all but certain",
    }
}

fn policy(policy: &Policy) -> Markup {
    let groups = [
        ("By a program", &policy.automatic),
        ("After approval", &policy.approval),
        ("Only by people", &policy.human_only),
    ];
    html! {
        section {
            h2 { "What may be done" }
            div .groups {
                @for (who, actions) in groups {
                    div {
                        h3 { (who) }
                        @if actions.is_empty() { p .aside { "nothing" } }
                        @else { ul { @for action in actions { li { (text(action)) } } } }
                    }
                }
            }
        }
    }
}

/// What else is worth a look.
fn beside(finding: &Finding) -> Markup {
    let relation = |relation: &str| match relation {
        "part_of" => "It is a part of",
        "has_part" => "A part of it is",
        _ => "It belongs with",
    };
    html! {
        @if !finding.related.is_empty() || !finding.hints.is_empty() {
            section {
                h2 { "Beside it" }
                ul {
                    @for related in &finding.related {
                        li { (relation(&related.relation)) " " a href={ (FINDING) (related.finding_id) } { (text(&related.rule)) } }
                    }
                    @for hint in &finding.hints {
                        li { "Findings of " a href={ "/findings?" (query("rule", hint)) } { (text(hint)) } " are worth a look" }
                    }
                }
            }
        }
    }
}

/// The finding for a chat or a ticket.
fn as_text(one: &One) -> String {
    let finding = &one.finding;
    let mut said = format!(
        "{} [{}, {}]\n",
        plain(&finding.summary),
        finding.severity,
        finding.state.as_str()
    );
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(said, "{}: {}", plain(name), plain(value));
    };
    say("finding", &finding.finding_id);
    say("rule", &finding.rule.id);
    say("since", &finding.observed_at.to_string());
    if let Some(over) = finding.recovered_at {
        say("until", &over.to_string());
    }
    for (name, value) in &finding.resource_scope {
        say(name, value);
    }
    for line in &finding.evidence.lines {
        say(&line.time.to_string(), &line.line);
    }
    say("logs", &finding.logs.logql);
    for (name, url) in [
        ("grafana", &finding.logs.url),
        ("runbook", &finding.runbook),
    ] {
        if let Some(url) = web_address(url.as_deref()) {
            say(name, url);
        }
    }
    said
}
