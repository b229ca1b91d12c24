//! What the page needs beside itself, built in: one style sheet, two scripts for all pages and one for the page of a rule.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

/// A file that never changes: its path has a hash of what is in it.
pub(super) struct Asset {
    name: &'static str,
    /// Its media type.
    pub(super) media_type: &'static str,
    /// What is in it.
    pub(super) text: &'static str,
    path: LazyLock<String>,
}

macro_rules! asset {
    ($name:literal, $media_type:literal) => {
        Asset {
            name: $name,
            media_type: $media_type,
            text: include_str!($name),
            path: LazyLock::new(|| {
                format!("/assets/{:016x}/{}", xxh3_64(include_bytes!($name)), $name)
            }),
        }
    };
}

pub(super) static STYLE: Asset = asset!("style.css", "text/css; charset=utf-8");
pub(super) static EVENTS_SCRIPT: Asset = asset!("events.js", "text/javascript; charset=utf-8");
pub(super) static SCRIPT: Asset = asset!("page.js", "text/javascript; charset=utf-8");
pub(super) static RULE_SCRIPT: Asset = asset!("rule.js", "text/javascript; charset=utf-8");

impl Asset {
    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// The asset called `name`. Its path's hash is not compared: a page that an older trommel made goes on with this one's.
pub(super) fn named(name: &str) -> Option<&'static Asset> {
    [&STYLE, &EVENTS_SCRIPT, &SCRIPT, &RULE_SCRIPT]
        .into_iter()
        .find(|asset| asset.name == name)
}
