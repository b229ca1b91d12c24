//! Any text may be a threshold: it is read or refused with a reason, and blanks around it mean nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::rules::{self, Condition, LoadOptions, SourceText};

fuzz_target!(|text: &str| {
    let condition = read(text);
    if let Some(condition) = &condition {
        assert!(!condition.window().is_zero(), "{text}");
    }
    let padded = read(&format!(" {text}  "));
    assert_eq!(format!("{padded:?}"), format!("{condition:?}"));
});

fn read(text: &str) -> Option<Condition> {
    let quoted = serde_json::Value::from(text);
    let source = SourceText {
        name: "fuzz.yaml".to_owned(),
        text: format!(
            "rules:\n  - {{id: fuzz, match: {{re: 'refused (?P<user>x)'}}, threshold: {quoted}, by: [pod], incident_type: error_spike}}\n"
        ),
    };
    let loaded = rules::load(std::slice::from_ref(&source), &LoadOptions::default());
    let _ = rules::report::text(&loaded.problems, &[source], false);
    Some(loaded.set?.rules.first()?.condition.clone())
}
