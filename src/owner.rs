//! The one thread that owns the detector and the database.

use tokio::sync::oneshot;

use crate::hit::Scanned;
use crate::time::Timestamp;

/// A scanned request that waits to be applied and recorded.
#[derive(Debug)]
pub struct Submission {
    /// What the request says.
    pub scanned: Scanned,
    /// Wall clock at receipt.
    pub received: Timestamp,
    /// Told once the effect is on disk; dropped without a word when it could not be recorded.
    pub recorded: oneshot::Sender<()>,
}
