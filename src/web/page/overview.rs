//! The first page: the answer first.

use maud::{Markup, html};

use super::parts::{bytes, notice, table, text, time};
use super::plot::plots;
use super::{FINDING, SHOWN_MAX, Shown, layout, readable};
use crate::owner::Standing;
use crate::record::{OpenCounts, Sample};
use crate::time::Timestamp;
use crate::web::Admin;
use crate::web::api::{Blindness, Survey};

/// What the page shows beside how things stand.
pub(super) struct Seen {
    /// Open findings but those about trommel itself, the worst first.
    pub(super) open: Vec<Shown>,
    /// The last ones that are over.
    pub(super) over: Vec<Shown>,
    /// The last hours.
    pub(super) samples: Vec<Sample>,
    /// When it was looked.
    pub(super) now: Timestamp,
}

pub(super) fn page(admin: &Admin, survey: &Survey, seen: &Seen) -> Markup {
    let own = readable(survey.own.clone());
    let headline = headline(&survey.open, survey.blind().is_some());
    let shown = seen.open.len() as u64;
    let all = survey.open.critical + survey.open.warning + survey.open.info;
    let content = html! {
        section .answer aria-labelledby="answer" {
            h1 #answer { (headline) }
            (tee(survey))
            @if let Some((at, why)) = &survey.files.rules.refused {
                (notice(&format!("Newer rules were refused at {at}, and older ones go on: {why}")))
            }
        }
        @if !seen.open.is_empty() {
            section {
                h2 { "Open" }
                (table("Open findings", &seen.open))
                @if all > shown {
                    p { "The worst " (SHOWN_MAX) " are shown: " a href="/findings?state=open" { "all that are open" } "." }
                }
            }
        }
        @if !own.is_empty() {
            section { h2 { "Trommel itself" } (table("Open findings about trommel itself", &own)) }
        }
        section data-state {
            h2 { "The last hours" }
            (plots(&seen.samples, seen.now))
        }
        section {
            h2 { "How it stands" }
            (standing(survey))
        }
        section {
            h2 { "Over lately" }
            @if seen.over.is_empty() { p .aside { "Nothing has been found and is over." } }
            @else { (table("Findings that are over", &seen.over)) p { a href="/findings" { "All findings" } } }
        }
    };
    layout::page(admin, &headline, Some("/"), &content)
}

/// How many are open, by severity, the worst first.
fn headline(open: &OpenCounts, blind: bool) -> String {
    let counts = [
        (open.critical, "critical"),
        (open.warning, "warning"),
        (open.info, "info"),
    ];
    let counts: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {severity}"))
        .collect();
    match counts.is_empty() {
        true if blind => "Nothing is known to be wrong".to_owned(),
        true => "Nothing is wrong".to_owned(),
        false => format!("{} open", counts.join(", ")),
    }
}

/// Whether everything is seen.
fn tee(survey: &Survey) -> Markup {
    let Some(blind) = survey.blind() else {
        return html! {
            p {
                "The tee is complete: everything that is pushed is looked at"
                @match survey.standing.pushed_at {
                    Some(at) => { ", last at " (time(at)) "." }
                    None => { "; nothing was pushed since the start at " (time(survey.standing.started_at)) "." }
                }
            }
        };
    };
    let finding = readable(vec![blind.finding.clone()]).pop();
    let summary = finding.map(|shown| shown.finding.summary);
    html! {
        p .blind {
            @match blind.how {
                Blindness::NothingComes => { "Blind since " }
                Blindness::NotInspected => { "Not everything is seen since " }
                Blindness::NotKept => { "What is found is not kept since " }
            }
            (time(blind.since)) ": "
            a href={ (FINDING) (blind.finding.finding_id) } { (text(summary.as_deref().unwrap_or("nothing received"))) }
        }
    }
}

/// What is between trommel and its rules, its disk and NATS.
fn standing(survey: &Survey) -> Markup {
    let Standing {
        database,
        sizes,
        limits,
        commit_error,
        waiting_since,
        nats,
        started_at,
        ..
    } = &survey.standing;
    let files = &survey.files;
    html! {
        dl {
            dt { "NATS" }
            dd {
                @match nats {
                    None => { "not asked for: findings are here, and on stdout if that was asked for" }
                    Some(nats) => {
                        @if nats.connected { "connected" } @else { "not connected" }
                        @if let Some(since) = nats.since { " since " (time(since)) }
                        @if let Some(at) = nats.acked_at { ", last confirmed a message at " (time(at)) }
                        @if let Some(trouble) = &nats.trouble { div .trouble { (trouble) } }
                    }
                }
            }
            dt { "Messages" }
            dd {
                @match sizes.outbox_messages {
                    0 => { "none wait" }
                    1 => { "1 waits" }
                    waiting => { (waiting) " wait" }
                }
                @if sizes.outbox_messages > 0 {
                    ", " (bytes(sizes.outbox_bytes)) " of " (bytes(limits.outbox_bytes_max))
                    @if let Some(since) = waiting_since { ", the first since " (time(*since)) }
                }
            }
            dt { "Rules" }
            dd {
                a href="/rules" { (survey.rules) " in use" } ", loaded " (time(files.rules.loaded_at))
                @if files.rules.refused.is_some() { div .trouble { "newer ones were refused" } }
            }
            dt { "Settings" }
            dd {
                "loaded " (time(files.config.loaded_at))
                @if let Some((_, why)) = &files.config.refused { div .trouble { "newer ones were refused: " (why) } }
                @for setting in &files.after_restart { div .aside { "after a restart: " (setting) } }
            }
            dt { "Disk" }
            dd {
                (bytes(sizes.database_bytes))
                @match database {
                    Some(path) => { " at " code { (path.display()) } }
                    None => { " in memory: a restart forgets it" }
                }
                ", of it " (bytes(sizes.history_bytes)) " findings of at most " (bytes(limits.history_bytes_max))
                @if let Some(error) = commit_error { div .trouble { "the last commit failed: " (error) } }
            }
            dt { "Running" }
            dd { "since " (time(*started_at)) }
        }
    }
}
