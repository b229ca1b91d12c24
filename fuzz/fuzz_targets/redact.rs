//! Any bytes may be quoted: redaction ends, and a second one changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::finding::Redactor;

fuzz_target!(|line: &[u8]| {
    let redactor = Redactor::new(Vec::new());
    let once = redactor.redact(line, &[]);
    assert_eq!(redactor.redact(once.as_bytes(), &[]), once);
});
