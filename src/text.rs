//! Text of bytes that are nearly always valid UTF-8.

use std::borrow::Cow;

/// `bytes` as text; what is no UTF-8 becomes U+FFFD.
///
/// As [`String::from_utf8_lossy`], which looks at byte after byte also where all are ASCII: this checks eight or more at once.
#[must_use]
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
