//! A queue of which nearly all never hold more than one.

use std::collections::VecDeque;
use std::ops::Index;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Items in order, taken from the front. Up to one takes no memory of its own, more are a [`VecDeque`]. Stored as a list.
#[derive(Debug, Clone, Default)]
pub(super) enum Queue<T> {
    #[default]
    None,
    One(T),
    #[expect(
        clippy::box_collection,
        reason = "one or none takes half as much by it"
    )]
    Many(Box<VecDeque<T>>),
}

impl<T> From<VecDeque<T>> for Queue<T> {
    fn from(mut items: VecDeque<T>) -> Self {
        match items.len() {
            0 => Self::None,
            1 => items.pop_front().map_or(Self::None, Self::One),
            _ => Self::Many(Box::new(items)),
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(items) => items.len(),
        }
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 0,
            Self::Many(items) => size_of_val(&**items) + items.capacity() * size_of::<T>(),
        }
    }

    /// Gives back memory that is not in use.
    pub(super) fn shrink(&mut self) {
        if let Self::Many(items) = self {
            if items.len() > 1 {
                items.shrink_to_fit();
            } else {
                *self = std::mem::take(&mut **items).into();
            }
        }
    }

    /// The items, the first of them before the others.
    fn slices(&self) -> (&[T], &[T]) {
        match self {
            Self::None => (&[], &[]),
            Self::One(item) => (std::slice::from_ref(item), &[]),
            Self::Many(items) => items.as_slices(),
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        let (first, others) = self.slices();
        first.iter().chain(others)
    }

    pub(super) fn back(&self) -> Option<&T> {
        let (first, others) = self.slices();
        others.last().or(first.last())
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        match self {
            Self::None => None,
            Self::One(item) => (place == 0).then_some(item),
            Self::Many(items) => items.get_mut(place),
        }
    }

    /// The first place of which `holds` is not true, as it is of all before it. Cost: logarithmic.
    pub(super) fn partition_point(&self, mut holds: impl FnMut(&T) -> bool) -> usize {
        let (first, others) = self.slices();
        if others.first().is_some_and(&mut holds) {
            first.len() + others.partition_point(holds)
        } else {
            first.partition_point(holds)
        }
    }

    /// Puts an item at `place`, at most behind all others. Cost: constant there, linear in the later ones otherwise.
    pub(super) fn insert(&mut self, place: usize, item: T) {
        if let Self::Many(items) = self {
            return items.insert(place, item);
        }
        let Self::One(other) = std::mem::take(self) else {
            *self = Self::One(item);
            return;
        };
        let mut items = VecDeque::with_capacity(4);
        items.push_back(other);
        items.insert(place, item);
        *self = Self::Many(Box::new(items));
    }

    /// Takes the first `count` items, and returns the last of those.
    pub(super) fn take_first(&mut self, count: usize) -> Option<T> {
        match self {
            Self::Many(items) => items.drain(..count).next_back(),
            Self::None | Self::One(_) if count == 0 => None,
            Self::None | Self::One(_) => match std::mem::take(self) {
                Self::One(item) => Some(item),
                _ => None,
            },
        }
    }

    /// Keeps those that `keep` says, told in order.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        match self {
            Self::None => {}
            Self::One(item) => {
                if !keep(item) {
                    *self = Self::None;
                }
            }
            Self::Many(items) => items.retain(keep),
        }
    }
}

impl<T> Index<usize> for Queue<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        match self {
            Self::Many(items) => &items[place],
            Self::None | Self::One(_) => &self.slices().0[place],
        }
    }
}

/// By what is in it.
impl<T: PartialEq> PartialEq for Queue<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for Queue<T> {}

impl<T: Serialize> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Many(items) => items.serialize(serializer),
            Self::None | Self::One(_) => self.slices().0.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        VecDeque::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u8),
        TakeFirst(u8),
        Retain(u8),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<u8>(), any::<u8>()).prop_map(|(place, item)| Step::Insert(place, item)),
            2 => any::<u8>().prop_map(Step::TakeFirst),
            1 => any::<u8>().prop_map(Step::Retain),
            1 => Just(Step::Shrink),
        ]
    }

    proptest! {
        #[test]
        fn it_is_the_list_of_its_items_however_many(steps in prop::collection::vec(step(), 0..40)) {
            let (mut queue, mut list) = (Queue::default(), VecDeque::new());
            for step in steps {
                match step {
                    Step::Insert(place, item) => {
                        let place = usize::from(place) % (list.len() + 1);
                        queue.insert(place, item);
                        list.insert(place, item);
                    }
                    Step::TakeFirst(count) => {
                        let count = usize::from(count) % (list.len() + 1);
                        prop_assert_eq!(queue.take_first(count), list.drain(..count).next_back());
                    }
                    Step::Retain(least) => {
                        queue.retain(|item| *item >= least);
                        list.retain(|item| *item >= least);
                    }
                    Step::Shrink => {
                        queue.shrink();
                        prop_assert!(list.len() > 1 || queue.heap_bytes() == 0);
                    }
                }
                prop_assert!(queue.iter().eq(list.iter()));
                prop_assert_eq!(queue.len(), list.len());
                prop_assert_eq!(queue.back(), list.back());
                for place in 0..=list.len() {
                    prop_assert_eq!(queue.get_mut(place), list.get_mut(place));
                }
                prop_assert!((0..list.len()).all(|place| queue[place] == list[place]));
                let stored = postcard::to_allocvec(&queue).expect("it encodes");
                prop_assert_eq!(&stored, &postcard::to_allocvec(&list).expect("it encodes"));
                prop_assert_eq!(&postcard::from_bytes::<Queue<u8>>(&stored).expect("it decodes"), &queue);
                let mut sorted = list.clone();
                sorted.make_contiguous().sort_unstable();
                let sorted = Queue::from(sorted);
                prop_assert_eq!(
                    sorted.partition_point(|item| *item < 100),
                    list.iter().filter(|item| **item < 100).count()
                );
            }
        }
    }
}
