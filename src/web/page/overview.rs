//! The first page: the answer first.

use maud::{Markup, html};

use super::layout;
use super::parts::{notice, table};
use super::{SHOWN_MAX, Shown};
use crate::rules::{DISK_FULL, OVERLOADED, Severity, TEE_SILENT};
use crate::web::Admin;

/// Findings about trommel itself that mean it may not have seen everything.
const BLIND: [&str; 3] = [TEE_SILENT, OVERLOADED, DISK_FULL];

pub(super) fn page(admin: &Admin, open: Vec<Shown>, over: &[Shown]) -> Markup {
    let more = open.len() > SHOWN_MAX;
    let (own, mut open): (Vec<_>, Vec<_>) = open
        .into_iter()
        .partition(|shown| shown.finding.rule.id.starts_with("trommel_"));
    open.sort_by_key(|shown| std::cmp::Reverse((shown.finding.severity, shown.row.changed_at)));
    let blind = own
        .iter()
        .find(|shown| BLIND.contains(&&*shown.finding.rule.id));
    let headline = headline(&open, more, blind.is_some());
    let content = html! {
        section .answer aria-labelledby="answer" {
            h1 #answer { (headline) }
            p class=[blind.is_some().then_some("blind")] {
                @match blind {
                    Some(shown) => { "Not everything is seen: " (shown.finding.summary) }
                    None => { "Everything that is pushed is looked at." }
                }
            }
            @if let Some((_, why)) = &admin.status.borrow().rules.refused {
                (notice(&format!("Newer rules were refused, and older ones go on: {why}")))
            }
        }
        @if !open.is_empty() {
            section { h2 { "Open" } (table("Open findings", &open)) }
        }
        @if more {
            p { "There are more: " a href="/findings?state=open" { "all that are open" } "." }
        }
        @if !own.is_empty() {
            section { h2 { "Trommel itself" } (table("Open findings about trommel itself", &own)) }
        }
        section {
            h2 { "Over lately" }
            @if over.is_empty() { p .aside { "Nothing has been found and is over." } }
            @else { (table("Findings that are over", over)) p { a href="/findings" { "All findings" } } }
        }
    };
    layout::page(admin, &headline, Some("/"), &content)
}

/// How many are open, by severity, the worst first.
fn headline(open: &[Shown], more: bool, blind: bool) -> String {
    let counts = [Severity::Critical, Severity::Warning, Severity::Info].map(|severity| {
        let count = open
            .iter()
            .filter(|shown| shown.finding.severity == severity)
            .count();
        (count > 0).then(|| format!("{count} {severity}"))
    });
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    match (counts.is_empty(), more) {
        (true, _) if blind => "Nothing is known to be wrong".to_owned(),
        (true, _) => "Nothing is wrong".to_owned(),
        (false, false) => format!("{} open", counts.join(", ")),
        (false, true) => format!("{} open, and more", counts.join(", ")),
    }
}
