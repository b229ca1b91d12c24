//! Pieces that several pages show.

use std::time::Duration;

use maud::{Markup, html};

use super::{FINDING, Shown};
use crate::finding::{Reason, shows};
use crate::rules::{Problem, Severity};
use crate::time::{Timestamp, format_duration};

/// A line that says what is the matter with the page itself.
pub(super) fn notice(text: &str) -> Markup {
    html! { p .notice role="alert" { (text) } }
}

/// A severity: by its word and its shape, and then by colour.
pub(super) fn severity(severity: Severity) -> Markup {
    let shape = match severity {
        Severity::Info => "●",
        Severity::Warning => "▲",
        Severity::Critical => "◆",
    };
    html! { span class={ "severity " (severity) } { span aria-hidden="true" { (shape) } " " (severity) } }
}

/// Text from a log or a rule: it is read by itself, whatever direction it has, and shows what cannot be seen.
pub(super) fn text(text: &str) -> Markup {
    html! { bdi { (plain(text)) } }
}

/// The same where there can be no element: controls as their pictures, other invisible characters and direction marks by number.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let is_blank =
            c.is_whitespace() && !c.is_control() && !('\u{2028}'..='\u{2029}').contains(&c);
        match c {
            '\n' | '\t' | '\u{fe0f}' => plain.push(c),
            c if shows(c) || is_blank => plain.push(c),
            '\0'..=' ' => plain.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{2426}')),
            '\u{7f}' => plain.push('\u{2421}'),
            c => plain.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
        }
    }
    plain
}

/// One parameter of an address.
pub(super) fn query(name: &str, value: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair(name, value);
    query.finish()
}

/// A rule's id, which leads to the rule.
pub(super) fn rule(id: &str) -> Markup {
    let id_in_path: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    html! { a href={ "/rules/" (id_in_path) } { code { (text(id)) } } }
}

/// A time, in UTC until the script has put it into the reader's zone.
pub(super) fn time(at: Timestamp) -> Markup {
    let utc = at.whole_second().to_string();
    html! { time datetime=(at) title=(at) { (utc.replace('T', " ").replace('Z', " UTC")) } }
}

/// How long something took, in whole seconds.
pub(super) fn lasted(from: Timestamp, to: Timestamp) -> String {
    format_duration(Duration::from_secs(to.since(from).as_secs()))
}

/// A size in words.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A number with three digits or so.
pub(super) fn figure(number: f64) -> String {
    match number {
        ..1e4 if number.fract() == 0.0 => format!("{number}"),
        ..100.0 => format!("{number:.1}"),
        ..1e4 => format!("{number:.0}"),
        ..1e7 => format!("{:.1}k", number / 1e3),
        _ => format!("{:.1}M", number / 1e6),
    }
}

/// Seconds in a unit that fits.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{} µs", figure(seconds * 1e6)),
        ..1.0 => format!("{} ms", figure(seconds * 1e3)),
        ..60.0 => format!("{} s", figure(seconds)),
        _ => format_duration(Duration::from_secs(seconds as u64)),
    }
}

/// Why a revision was made, in words.
pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Opened => "opened",
        Reason::StillMatching => "goes on",
        Reason::Escalated => "got worse",
        Reason::Reopened => "came back",
        Reason::PartJoined => "another finding became a part of it",
        Reason::Reminder => "still open after a day",
        Reason::WindowEnded => "held back until a suppression ended",
        Reason::Quiet => "recovered: its streams went on without a match",
        Reason::Silent => "recovered: its streams say nothing any more",
        Reason::MatchedRecovery => "recovered: an entry said so",
        Reason::RuleRemoved => "ended with its rule",
    }
}

/// Warnings about rules, folded up.
pub(super) fn notes(warnings: &[&Problem]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            details {
                summary { (warnings.len()) @if warnings.len() == 1 { " warning" } @else { " warnings" } }
                ul .plain {
                    @for problem in warnings {
                        li {
                            code { (problem.code) } " " (text(&problem.message))
                            @if let Some(help) = &problem.help { div .aside { (text(help)) } }
                            div .aside { (text(&format!("{}:{}:{}", problem.file, problem.line, problem.column))) }
                        }
                    }
                }
            }
        }
    }
}

/// Findings as rows, the most important thing first.
pub(super) fn table(caption: &str, findings: &[Shown]) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption .visually-hidden { (caption) }
                thead { tr { th scope="col" { "Severity" } th scope="col" { "What" } th scope="col" { "Rule" } th scope="col" { "State" } th scope="col" { "Changed" } } }
                tbody {
                    @for Shown { row, finding } in findings {
                        tr {
                            td { (severity(finding.severity)) }
                            td .what {
                                a href={ (FINDING) (row.finding_id) } { (text(&finding.summary)) }
                                div .aside { (text(&finding.domain)) " · " (text(&finding.incident_type)) }
                            }
                            td { (rule(&finding.rule.id)) }
                            td {
                                (finding.state.as_str())
                                div .aside {
                                    @match finding.recovered_at {
                                        Some(over) => { "lasted " (lasted(finding.observed_at, over)) }
                                        None => { "since " (time(finding.observed_at)) }
                                    }
                                }
                            }
                            td data-label="changed" { (time(row.changed_at)) }
                        }
                    }
                }
            }
        }
    }
}
