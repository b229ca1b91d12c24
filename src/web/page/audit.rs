//! Who changed what.

use maud::{Markup, html};

use super::layout;
use super::parts::{plain, text, time};
use crate::audit::Entry;
use crate::web::Admin;

/// One page of `entries`; `given` is what was asked for, `next` where the next page begins.
pub(super) fn page(
    admin: &Admin,
    given: &[(String, String)],
    entries: &[Entry],
    next: Option<i64>,
) -> Markup {
    let content = html! {
        h1 { "Audit" }
        p .lead { "Who changed what, the newest first. Nothing here is ever altered; it is kept for a year." }
        @if given.iter().any(|(name, _)| name != "after") {
            p { a href="/audit" { "Show all" } }
        }
        @if entries.is_empty() { p .aside { "Nothing that fits is known." } }
        @else {
            div .scroll tabindex="0" role="region" aria-label="Audit" {
                table {
                    caption .visually-hidden { "What people changed" }
                    thead { tr { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Why" } } }
                    tbody {
                        @for entry in entries {
                            tr #(entry.id) {
                                td { (time(entry.time)) }
                                td { (text(&entry.who)) }
                                td .what {
                                    (entry.what) " " code { (text(&entry.target)) }
                                    @if !entry.diff.is_empty() { details { summary { "Difference" } pre tabindex="0" { code { bdi { (plain(&entry.diff)) } } } } }
                                }
                                td .what { (text(&entry.reason)) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(next) = next { p { a .button href=(address(given, next)) { "Older" } } }
    };
    layout::page(admin, "Audit", Some("/audit"), &content)
}

/// The page after this one.
fn address(given: &[(String, String)], next: i64) -> String {
    let kept = given.iter().filter(|(name, _)| name != "after");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("after", &next.to_string())
        .finish();
    format!("/audit?{query}")
}
