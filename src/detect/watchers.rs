//! Which keys listen to which streams: so that a stream that goes on costs nothing for all those that know that it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::keys::{KeyRef, RuleState, Tenant};
use super::lifecycle::{Heard, KeyState};
use crate::batch::StreamId;
use crate::rules::RuleSet;
use crate::time::Timestamp;

/// When streams spoke in the batch at hand: times in order.
pub(super) type Spoken = FxHashMap<StreamId, Vec<Timestamp>>;

/// Of so many streams it is remembered when they spoke last: half a MiB in all. When there are more, those go that can matter to no match,
/// and all if that does not help: then a finding whose last match came late may be told as silent that is quiet.
const STREAMS_MAX: usize = 16_384;

/// How many places more than twice those of use there may be, before they are looked through for those of no use.
const USELESS_MAX: usize = 1024;

/// The keys that listen, by stream.
///
/// A key waits in each stream that it has not heard since its newest match, and is told of all that is said there. One that has heard
/// the stream is told only of entries that are older than what it heard. A place of a key that is gone, or has given the stream up,
/// goes when the stream speaks, or when there are many of no use.
#[derive(Default)]
pub(super) struct Watchers {
    /// Each stream's newest entry, whoever listened.
    newest: FxHashMap<StreamId, Timestamp>,
    streams: FxHashMap<StreamId, Listeners>,
    places: usize,
    /// As many places as make a look through all of them worth it.
    swept_at: usize,
}

#[derive(Default)]
struct Listeners {
    waiting: Vec<KeyRef>,
    heard: Vec<KeyRef>,
    /// The latest that one of those has heard: entries from then on tell them nothing.
    heard_to: Option<Timestamp>,
}

/// What is known of streams at a step of a key.
#[derive(Clone, Copy)]
pub(super) struct Streams<'a> {
    /// Those of the batch at hand.
    pub(super) spoken: Option<&'a Spoken>,
    pub(super) watchers: &'a Watchers,
}

impl Streams<'_> {
    /// Whether `stream` had an entry in `(from, to]`, as far as the batch at hand tells.
    pub(super) fn spoke(&self, stream: StreamId, from: Timestamp, to: Timestamp) -> bool {
        let times = self.spoken.and_then(|spoken| spoken.get(&stream));
        times.is_some_and(|times| {
            let next = times.get(times.partition_point(|time| *time <= from));
            next.is_some_and(|next| *next <= to)
        })
    }

    /// The newest entry of `stream` in batches before the one at hand.
    pub(super) fn newest(&self, stream: StreamId) -> Option<Timestamp> {
        self.watchers.newest.get(&stream).copied()
    }
}

/// Who is told, and what is kept about them.
pub(super) struct Keys<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) states: &'a mut [RuleState],
    pub(super) tenants: &'a BTreeMap<Arc<str>, Tenant>,
    /// Keys that are to be stored.
    pub(super) changed: &'a mut Vec<KeyRef>,
}

impl Keys<'_> {
    /// The key that has this very name: one that was forgotten and came again has another.
    fn get(&mut self, at: &KeyRef) -> Option<&mut KeyState> {
        let keys = &mut self.states[at.rule.0 as usize].keys;
        let (name, _) = keys.get_key_value(at)?;
        let is_same = name.is_same(at);
        keys.get_mut(at).filter(|_| is_same).map(Box::as_mut)
    }

    /// Tells the key at `at` when `stream` spoke; `None` if that does not matter to it.
    fn hear(&mut self, at: &KeyRef, stream: StreamId, times: &[Timestamp]) -> Option<Heard> {
        let rule = self.rules.rule(at.rule);
        let now = self.tenants.get(&at.tenant)?.clock.newest;
        let key = self.get(at)?;
        // Asked before it hears: what is known must not depend on when a key was last looked through.
        if !key.listens(rule, now) {
            key.leave(stream);
            return None;
        }
        let heard = key.hear(stream, times)?;
        if heard.is_news && !std::mem::replace(&mut key.changed, true) {
            self.changed.push(at.clone());
        }
        Some(heard)
    }
}

impl Watchers {
    /// Whether any key listens to `stream`.
    pub(super) fn has(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    /// How many places there are, those of no use included.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        let all = self.streams.values();
        let places = all.map(|it| it.waiting.len() + it.heard.len()).sum();
        assert_eq!(places, self.places);
        places
    }

    /// Nobody listens any more.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        (self.places, self.swept_at) = (0, 0);
    }

    /// `stream` had an entry at `at`. No match from before `from` will come: streams that have said nothing since may be forgotten.
    pub(super) fn saw(&mut self, stream: StreamId, at: Timestamp, from: Timestamp) {
        if self.newest.len() >= STREAMS_MAX && !self.newest.contains_key(&stream) {
            self.newest.retain(|_, newest| *newest > from);
            if self.newest.len() > STREAMS_MAX / 2 {
                self.newest.clear();
            }
        }
        let newest = self.newest.entry(stream).or_insert(at);
        *newest = at.max(*newest);
    }

    /// Gives `key`, whose name is `at` and which listens, a place in each of its streams.
    pub(super) fn listen(&mut self, at: &KeyRef, key: &mut KeyState) {
        let holds_back = key.holds_back();
        for source in key.sources_mut() {
            if source.waits {
                continue;
            }
            let listeners = self.streams.entry(source.stream).or_default();
            let heard = source.heard.filter(|_| !holds_back);
            let (has_place, places) = match heard {
                Some(_) => (&mut source.is_placed, &mut listeners.heard),
                None => (&mut source.waits, &mut listeners.waiting),
            };
            // Also where it has its place already: it may have heard anew.
            listeners.heard_to = listeners.heard_to.max(heard);
            if !std::mem::replace(has_place, true) {
                push(places, at);
                self.places += 1;
            }
        }
    }

    /// Tells those that listen that `stream` had entries at `times`, in order.
    pub(super) fn tell(&mut self, stream: StreamId, times: &[Timestamp], keys: &mut Keys<'_>) {
        let Some((first, listeners)) = times.first().zip(self.streams.get_mut(&stream)) else {
            return;
        };
        let before = listeners.len();
        if listeners.heard_to.is_some_and(|to| *first < to) {
            listeners.heard_to = None;
            let heard_to = &mut listeners.heard_to;
            listeners.heard.retain(|at| {
                let heard = keys.hear(at, stream, times);
                *heard_to = (*heard_to).max(heard.and_then(|heard| heard.at));
                heard.is_some()
            });
        }
        let Listeners {
            waiting,
            heard: have_heard,
            heard_to,
            ..
        } = listeners;
        waiting.retain(|at| {
            let Some(heard) = keys.hear(at, stream, times) else {
                return false;
            };
            if heard.is_new {
                push(have_heard, at);
            }
            if !heard.waits {
                *heard_to = (*heard_to).max(heard.at);
            }
            heard.waits
        });
        let after = listeners.len();
        self.places = self.places + after - before;
        if after == 0 {
            self.streams.remove(&stream);
        }
    }

    /// Gives up places of no use where there are many.
    pub(super) fn sweep(&mut self, keys: &mut Keys<'_>) {
        if self.places <= self.swept_at + USELESS_MAX {
            return;
        }
        self.places = 0;
        self.streams.retain(|stream, listeners| {
            for places in [&mut listeners.waiting, &mut listeners.heard] {
                // First those of keys that are gone: one that came again has a place of its own under an equal name.
                places.retain(|at| keys.get(at).is_some_and(|key| key.has_stream(*stream)));
                places.sort_unstable();
                places.dedup();
                places.shrink_to_fit();
            }
            self.places += listeners.len();
            listeners.len() > 0
        });
        self.streams.shrink_to_fit();
        self.swept_at = 2 * self.places;
    }
}

impl Listeners {
    fn len(&self) -> usize {
        self.waiting.len() + self.heard.len()
    }
}

/// Most streams have one key.
fn push(places: &mut Vec<KeyRef>, at: &KeyRef) {
    if places.is_empty() {
        places.reserve_exact(1);
    }
    places.push(at.clone());
}
