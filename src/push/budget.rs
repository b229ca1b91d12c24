//! The bytes that all requests together may hold.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// A number of bytes that requests take from and give back to. Who waits for room gets it in the order of asking.
#[derive(Debug)]
pub(super) struct Budget {
    room: Arc<Semaphore>,
    bytes_max: usize,
}

impl Budget {
    /// `bytes_max` bytes, at most 4 GiB.
    pub(super) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(u32::MAX as usize);
        Self {
            room: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
        }
    }

    /// A request's share, nothing at first.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            room: self.room.clone(),
            bytes_max: self.bytes_max,
            held: None,
        }
    }
}

/// What one request holds of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    room: Arc<Semaphore>,
    bytes_max: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl Claim {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Takes `bytes` more if they are there now. A request that needs more than the whole budget takes all of it.
    pub(super) fn try_grow(&mut self, bytes: usize) -> bool {
        let bytes = self.at_most(bytes);
        let taken = self.room.clone().try_acquire_many_owned(bytes);
        taken.map(|more| self.keep(more)).is_ok()
    }

    /// Takes `bytes` more, waiting at most `patience`, from which the time waited is taken off.
    pub(super) async fn grow(&mut self, bytes: usize, patience: &mut Duration) -> bool {
        let bytes = self.at_most(bytes);
        let asked = Instant::now();
        let taken = timeout(*patience, self.room.clone().acquire_many_owned(bytes)).await;
        *patience = patience.saturating_sub(asked.elapsed());
        match taken {
            Ok(more) => {
                self.keep(more.expect("the semaphore is never closed"));
                true
            }
            Err(_) => false,
        }
    }

    /// Gives back what is held beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = &mut self.held {
            let excess = held.num_permits().saturating_sub(bytes);
            drop(held.split(excess));
        }
    }

    fn at_most(&self, bytes: usize) -> u32 {
        let bytes = bytes.min(self.bytes_max - self.bytes());
        u32::try_from(bytes).expect("the budget is at most 4 GiB")
    }

    fn keep(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.held {
            None => self.held = Some(more),
            Some(held) => held.merge(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holds_the_other_cannot_have() {
        let budget = Budget::new(100);
        let (mut a, mut b) = (budget.claim(), budget.claim());
        assert!(a.try_grow(60));
        assert!(a.try_grow(20));
        assert!(!b.try_grow(21));
        assert!(b.try_grow(20));
        a.shrink_to(50);
        assert!(b.try_grow(30));
        drop(a);
        assert!(b.try_grow(50));
        assert_eq!(b.bytes(), 100);
    }

    #[test]
    fn more_than_everything_is_everything() {
        let budget = Budget::new(100);
        let mut a = budget.claim();
        assert!(a.try_grow(1000));
        assert_eq!(a.bytes(), 100);
        assert!(a.try_grow(1));
        assert!(!budget.claim().try_grow(1));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_is_used_up() {
        let budget = Budget::new(100);
        let (mut a, mut b) = (budget.claim(), budget.claim());
        let mut patience = Duration::from_millis(500);
        assert!(a.grow(80, &mut patience).await);
        assert_eq!(patience, Duration::from_millis(500));
        let waits = b.grow(30, &mut patience);
        let leaves = async {
            tokio::time::advance(Duration::from_millis(200)).await;
            a.shrink_to(70);
        };
        assert!(tokio::join!(waits, leaves).0);
        assert_eq!(patience, Duration::from_millis(300));
        assert!(!b.grow(1, &mut patience).await);
        assert_eq!(patience, Duration::ZERO);
    }
}
