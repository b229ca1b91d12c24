//! Memory kept between requests, but not at its peak.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Things that are costly to grow anew, kept while they hold no more than `bytes_max` bytes together. At the bound what comes back
/// is dropped, so that one burst of large requests does not keep its memory for ever.
#[derive(Debug)]
pub(super) struct Pool<T> {
    kept: Mutex<Kept<T>>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept<T> {
    items: Vec<(T, usize)>,
    bytes: usize,
}

impl<T: Default> Pool<T> {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            kept: Mutex::default(),
            bytes_max,
        }
    }

    /// One that was kept, the last that came back, or a new one.
    pub(super) fn take(&self) -> T {
        let mut kept = self.lock();
        let Some((item, bytes)) = kept.items.pop() else {
            return T::default();
        };
        kept.bytes -= bytes;
        item
    }

    /// The last that came back of those whose bytes `fit`; `None` if there is none. `fit` is asked about one after the other, until it
    /// says yes.
    pub(super) fn take_if(&self, mut fit: impl FnMut(usize) -> bool) -> Option<T> {
        let mut kept = self.lock();
        let place = kept.items.iter().rposition(|(_, bytes)| fit(*bytes))?;
        let (item, bytes) = kept.items.swap_remove(place);
        kept.bytes -= bytes;
        Some(item)
    }

    /// Brings one back that holds `bytes` bytes.
    pub(super) fn put(&self, item: T, bytes: usize) {
        let mut kept = self.lock();
        if kept.bytes + bytes <= self.bytes_max {
            kept.bytes += bytes;
            kept.items.push((item, bytes));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_is_given_out_again_up_to_the_bound() {
        let pool = Pool::<Vec<u8>>::new(100);
        pool.put(vec![1], 60);
        pool.put(vec![2], 41);
        pool.put(vec![3], 40);
        assert_eq!(pool.take(), [3]);
        assert_eq!(pool.take(), [1]);
        assert_eq!(pool.take(), [0; 0]);
        pool.put(vec![4], 100);
        assert_eq!(pool.take(), [4]);
    }

    #[test]
    fn one_that_fits_is_chosen_and_no_longer_counts() {
        let pool = Pool::<Vec<u8>>::new(100);
        for (item, bytes) in [(1, 30), (2, 50), (3, 20)] {
            pool.put(vec![item], bytes);
        }
        assert_eq!(pool.take_if(|bytes| bytes > 50), None);
        assert_eq!(pool.take_if(|bytes| bytes > 20), Some(vec![2]));
        pool.put(vec![4], 50);
        pool.put(vec![5], 1);
        assert_eq!(pool.take_if(|bytes| bytes < 10), None);
        assert_eq!(pool.take_if(|_| true), Some(vec![4]));
    }
}
