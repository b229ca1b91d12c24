//! What all pages have around them.

use maud::{DOCTYPE, Markup, html};

use crate::web::Admin;
use crate::web::assets::{EVENTS_SCRIPT, SCRIPT, STYLE};

/// Places in the navigation.
const PLACES: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/findings", "Findings"),
    ("/rules", "Rules"),
    ("/try", "Try"),
    ("/silences", "Silences"),
    ("/audit", "Audit"),
];

/// A whole page; `place` is the path in the navigation that it belongs to.
pub(super) fn page(admin: &Admin, title: &str, place: Option<&str>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · trommel" }
                link rel="stylesheet" href=(STYLE.path());
                link rel="icon" href="data:,";
                script #events src=(EVENTS_SCRIPT.path()) defer {}
                script src=(SCRIPT.path()) defer {}
            }
            body {
                a .skip href="#main" { "Skip to content" }
                header {
                    a .brand href="/" { "trommel" }
                    nav aria-label="Pages" {
                        @for (path, name) in PLACES {
                            a href=(path) aria-current=[(place == Some(path)).then_some("page")] { (name) }
                        }
                    }
                    span .live #live role="status" {}
                }
                main #main tabindex="-1" { (content) }
                footer {
                    "trommel " (env!("CARGO_PKG_VERSION"))
                    @if !*admin.ready.borrow() { " · stopping" }
                    " · times in your zone, UTC on hover · "
                    a href="/api/v1/findings" { "API" } " · " a href="/metrics" { "Metrics" }
                }
            }
        }
    }
}
