//! Any text may be a rule file: it loads or is refused with a reason, and what loads can be scanned for.
#![no_main]

use std::hint::black_box;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use trommel::rules::{self, Level, LoadOptions, SourceText};
use trommel::scan::Scanner;

fuzz_target!(|text: &str| {
    let source = SourceText {
        name: "fuzz.yaml".to_owned(),
        text: text.to_owned(),
    };
    let loaded = rules::load(std::slice::from_ref(&source), &LoadOptions::default());
    let refused = loaded
        .problems
        .iter()
        .any(|problem| problem.level == Level::Error);
    assert_eq!(loaded.set.is_none(), refused);
    black_box(rules::report::text(&loaded.problems, &[source], false));
    if let Some(set) = loaded.set {
        black_box(Scanner::new(Arc::new(set)));
    }
});
