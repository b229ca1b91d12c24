//! Any bytes may be a line with fields: JSON, logfmt, behind a CRI prefix or none of it. The scanner of many rules finds in it what each
//! rule finds alone, asked plainly.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use trommel::batch::{Batch, Labels, Stream};
use trommel::rules::{LoadOptions, RuleSet, SourceText, load};
use trommel::scan::{Line, Scanner, Scratch, judge};
use trommel::time::Timestamp;

const RULES: &str = "
rules:
  - {id: level, match: {fields: {level: [error, fatal]}}, by: [user], incident_type: error_spike}
  - {id: status, match: {fields: {status: '>= 500'}}, by: [user, msg], incident_type: error_spike}
  - {id: nested, match: {fields: {object.kind: [Pod, pods]}}, by: [object.name], incident_type: error_spike}
  - {id: json, parse: json, match: {any: [refused], fields: {code: '< 3'}}, by: [user], incident_type: error_spike}
  - {id: logfmt, parse: logfmt, match: {any: [refused], fields: {code: '< 3'}}, by: [user], incident_type: error_spike}
  - {id: text, match: refused, by: [user, level], incident_type: error_spike}
";

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| {
    let source = SourceText {
        name: "fuzz.yaml".to_owned(),
        text: RULES.to_owned(),
    };
    let loaded = load(&[source], &LoadOptions::default());
    let set: Option<RuleSet> = loaded.set;
    Scanner::new(Arc::new(
        set.unwrap_or_else(|| panic!("{:#?}", loaded.problems)),
    ))
});

fuzz_target!(|raw: &[u8]| {
    let stream = Arc::new(Stream::new("".into(), Labels::default()));
    let mut batch = Batch::default();
    // What stands beside it in the block must not matter.
    for line in [&b"level="[..], raw, b"error status=500 refused"] {
        batch.push(&stream, Timestamp::new(1), line, &[]);
    }
    let scanned = SCANNER.scan_whole(&batch, &"".into(), &mut Scratch::default());
    let mut found: Vec<_> = scanned
        .hits
        .iter()
        .map(|hit| (hit.rule, hit.entry, hit.key.clone()))
        .collect();
    let mut plain = Vec::new();
    for entry in &batch.entries {
        let line = Line::of(&batch, &stream, entry);
        for (index, rule) in SCANNER.rules().iter() {
            if let Some(verdict) = judge(SCANNER.rules(), rule, &line) {
                let value = |name: &String| -> Box<str> {
                    let value = verdict.matched.value(name, &line).unwrap_or_default();
                    String::from_utf8_lossy(&value).into()
                };
                let id = entry.id(&stream, batch.bytes(entry.line));
                plain.push((index, id, rule.by.iter().map(value).collect()));
            }
        }
    }
    found.sort();
    plain.sort();
    assert_eq!(found, plain);
});
