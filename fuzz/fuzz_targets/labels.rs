//! Any bytes may be a label string: what is read is written in canonical form, and that reads as the same set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::push::labels;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(set) = labels::parse(bytes, 16 << 10) {
        let canonical = set.to_string();
        assert_eq!(
            labels::parse(canonical.as_bytes(), usize::MAX).as_ref(),
            Ok(&set),
            "{canonical}"
        );
    }
});
