//! Any bytes may be quoted: redaction ends, its result is bounded, and a password written after them is gone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::finding::Redactor;

fuzz_target!(|line: &[u8]| {
    let redactor = Redactor::new(Vec::new());
    let redacted = redactor.redact(line, &[]);
    assert!(redacted.len() <= 24 * line.len(), "{redacted}");
    // What is left shows nothing that a second look would find, but that it may take more around a mark.
    let again = redactor.redact(redacted.as_bytes(), &[]);
    assert!(again.len() <= 24 * redacted.len(), "{again}");
    // A line of its own: what stands before it may be the beginning of anything.
    let with_password = [line, b"\npassword=0ne-of-a-kind\n"].concat();
    // However often it is repeated, it stays in bounds and ends.
    let repeated = line.repeat(1 + 4096 / (line.len() + 1));
    assert!(redactor.redact(&repeated, &[]).len() <= 24 * repeated.len());
    let count = |text: &str| text.matches("0ne-of-a-kind").count();
    assert!(count(&redactor.redact(&with_password, &[])) <= count(&String::from_utf8_lossy(line)));
});
