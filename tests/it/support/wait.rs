//! Waiting for what should happen, without guessing how long it takes.

use std::time::{Duration, Instant};

/// How long anything may take here before the test fails. Generous, for machines that do other things as well:
/// a test that passes does not come near it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer, and returns it.
///
/// # Panics
/// When there is none within [`PATIENCE`]; `what` says what was waited for.
#[track_caller]
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask)
}

/// The same for what takes its time.
///
/// # Panics
/// When there is none within `patience`.
#[track_caller]
pub(crate) fn within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {patience:?} for {what}, in vain"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
