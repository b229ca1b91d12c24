//! Any text may stand where a rule or a setting wants a duration or a time; what is read is written back alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::time::{Timestamp, format_duration, parse_duration};

fuzz_target!(|text: &str| {
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse(), Ok(time));
    }
});
