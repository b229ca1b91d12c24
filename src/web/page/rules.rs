//! The rules in use.

use maud::{Markup, html};

use super::layout;
use super::parts::{notice, severity};
use crate::web::Admin;

pub(super) fn page(admin: &Admin) -> Markup {
    let rules = admin.rules.borrow().clone();
    let unselected = admin.unselected.borrow().clone();
    let status = admin.status.borrow().clone();
    let content = html! {
        h1 { (rules.rules.len()) " rules" }
        @if let Some((_, why)) = &status.rules.refused {
            (notice(&format!("Newer rules were refused, and these go on: {why}")))
        }
        div .scroll tabindex="0" role="region" aria-label="Rules" {
            table {
                caption .visually-hidden { "Rules in use" }
                thead { tr { th scope="col" { "Rule" } th scope="col" { "Finds" } th scope="col" { "Severity" } th scope="col" { "One finding for each" } th scope="col" { "From" } } }
                tbody {
                    @for rule in &rules.rules {
                        tr #(rule.id) {
                            td {
                                a href={ "/rules/" (rule.id) } { code { (rule.id) } }
                                @if unselected.contains(&rule.id) { div .aside { "no stream for a day" } }
                            }
                            td .what {
                                @if let Some(name) = &rule.name { (name) }
                                div .aside { (rule.condition) }
                            }
                            td { (severity(rule.severity)) }
                            td { (rule.by.join(", ")) }
                            td .aside { (rule.source.file) ":" (rule.source.line) }
                        }
                    }
                }
            }
        }
    };
    layout::page(admin, "Rules", Some("/rules"), &content)
}
