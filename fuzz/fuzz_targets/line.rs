//! Any bytes may be a line: trimming it never fails, and what is left is the end of what came, without its line end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::batch::trim_line;

fuzz_target!(|raw: &[u8]| {
    let without_line_end = raw
        .strip_suffix(b"\r\n")
        .or_else(|| raw.strip_suffix(b"\n"))
        .unwrap_or(raw);
    assert!(without_line_end.ends_with(trim_line(raw)));
});
