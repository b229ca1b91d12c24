//! Any text may be a selector: in the settings' exclusions, and in a rule. What is read is written back as what means the same.
//!
//! The first line is the selector, the second the labels of a stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::batch::Labels;
use trommel::push::labels;
use trommel::rules::{self, Exclusion, LoadOptions, SourceText};

fuzz_target!(|text: &str| {
    let (text, stream) = text.split_once('\n').unwrap_or((text, ""));
    let stream = labels::parse(stream.as_bytes(), 16 << 10).unwrap_or_default();
    let streams: [&Labels; 2] = [&stream, &Labels::default()];
    if let Ok(exclusion) = Exclusion::parse(text) {
        let shown = exclusion.to_string();
        let again = Exclusion::parse(&shown).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(again.to_string(), shown);
        for labels in streams {
            assert_eq!(
                again.concerns(labels),
                exclusion.concerns(labels),
                "{shown}"
            );
        }
        assert_eq!(again.is_whole(), exclusion.is_whole());
        assert_eq!(
            again.leaves_out(text.as_bytes()),
            exclusion.leaves_out(text.as_bytes())
        );
    }
    let quoted = serde_json::Value::from(text);
    let source = SourceText {
        name: "fuzz.yaml".to_owned(),
        text: format!(
            "rules:\n  - {{id: fuzz, match: refused, selector: {quoted}, incident_type: error_spike}}\n"
        ),
    };
    let loaded = rules::load(&[source], &LoadOptions::default());
    for rule in loaded.set.iter().flat_map(|set| &set.rules) {
        for labels in streams {
            assert_eq!(
                rule.selector.selects(labels),
                rule.selector.0.iter().all(|matcher| matcher.holds(labels))
            );
        }
    }
});
