//! Findings that are made of other findings, and what their parts know of it.

use serde::{Deserialize, Serialize};

use super::episode::Beginning;
use super::{INSTANT, KeyState, Phase, Rare};
use crate::detect::condition::Side;
use crate::detect::evidence::Quote;
use crate::detect::step::Context;
use crate::finding::{Reason, Related};
use crate::hit::Key;
use crate::rules::Condition;
use crate::time::Timestamp;

/// Most parts that a finding remembers; further ones are looked at, but neither named nor held back.
const PARTS_MAX: usize = 256;

/// Most related findings that a message names: they must leave room for evidence.
const RELATED_MAX: usize = 32;

/// A part of an open finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect) struct Joined {
    /// Its rule's id: it outlives rule sets.
    pub(in crate::detect) rule: String,
    pub(in crate::detect) key: Key,
    pub(in crate::detect) finding_id: String,
}

impl Joined {
    /// Memory that it takes, itself included, in bytes. Its key is its part's.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self) + self.rule.len() + self.finding_id.len()
    }
}

/// What a finding takes over from one of its parts.
#[derive(Debug, Clone)]
pub(in crate::detect) struct PartSeen {
    pub(in crate::detect) joined: Joined,
    first_seen: Timestamp,
    last_seen: Timestamp,
    quote: Option<Quote>,
}

impl KeyState {
    /// What a finding above takes over from this one, if it is open.
    pub(in crate::detect) fn as_part(&self, cx: &Context<'_>) -> Option<PartSeen> {
        let episode = self.episode.as_ref().filter(|_| self.is_open())?;
        Some(PartSeen {
            joined: Joined {
                rule: cx.rule.id.clone(),
                key: cx.key.clone(),
                finding_id: episode.finding_id.clone(),
            },
            first_seen: episode.first_seen,
            last_seen: episode.last_seen,
            quote: self.quotes.newest().cloned(),
        })
    }

    /// When it opened last, if it is open.
    pub(in crate::detect) fn opened_at(&self) -> Option<Timestamp> {
        let episode = self.episode.as_ref().filter(|_| self.is_open())?;
        Some(episode.opened_at)
    }

    /// Whether it is open at `at` and had a match in the time `within` before, as far as is known.
    pub(in crate::detect) fn is_there(
        &self,
        cx: &Context<'_>,
        at: Timestamp,
        within: std::time::Duration,
    ) -> bool {
        let Some(episode) = self.episode.as_ref().filter(|_| self.is_open()) else {
            return false;
        };
        // It may be over though nobody has settled that yet.
        if episode.opened_at > at || self.over_at(cx).is_some_and(|over| over <= at) {
            return false;
        }
        // What is missing goes on missing: there is no match to wait for.
        if cx.asked().side() == Side::Few && episode.stopped.is_none() {
            return true;
        }
        let last = self.last_match().max(Some(episode.opened_at));
        last.is_some_and(|last| at.since(last) < within)
    }

    /// Its parts are there at `at`: a finding opens, or parts join the one that is open.
    pub(in crate::detect) fn parts_are_there(
        &mut self,
        cx: &Context<'_>,
        at: Timestamp,
        parts: Vec<PartSeen>,
    ) {
        // An open finding whose parts have been quiet for long goes on, and nothing joins it.
        if parts.is_empty() || self.settled().is_some_and(|settled| at <= settled) {
            return;
        }
        let is_idle = self.phase == Phase::Idle;
        // What parts that are known have seen since is theirs: how often they are looked at again must not tell.
        let known = |part: &PartSeen| {
            !is_idle
                && self
                    .joined
                    .get()
                    .is_some_and(|it| it.contains(&part.joined))
        };
        let parts: Vec<_> = parts.into_iter().filter(|part| !known(part)).collect();
        if parts.is_empty() {
            return;
        }
        let first_seen = parts.iter().map(|part| part.first_seen).min().unwrap_or(at);
        let last_seen = parts.iter().map(|part| part.last_seen).max().unwrap_or(at);
        if is_idle {
            self.joined = Rare::default();
            for part in &parts {
                self.join(cx, part);
            }
            let from = Beginning {
                first_seen,
                last_seen,
                total: parts.len() as u64,
            };
            let again = self.can_reopen(cx, at).map(|_| from);
            self.start(cx, at, from, again);
        } else {
            for part in &parts {
                self.join(cx, part);
            }
            if let Some(episode) = &mut self.episode {
                episode.total += parts.len() as u64;
                episode.since_message += parts.len() as u64;
                episode.first_seen = episode.first_seen.min(first_seen);
                episode.last_seen = episode.last_seen.max(last_seen);
            }
            self.say(Reason::PartJoined, at);
        }
        self.sources.matched(last_seen, None, cx.streams);
        self.newest = self.newest.max(Some(at));
        if let Some(episode) = &mut self.episode {
            let related = self.joined.get().into_iter().flatten().take(RELATED_MAX);
            episode.related = related
                .map(|part| Related {
                    finding_id: part.finding_id.clone(),
                    rule: part.rule.clone(),
                    relation: "has_part".to_owned(),
                })
                .collect();
        }
    }

    fn join(&mut self, cx: &Context<'_>, part: &PartSeen) {
        let joined = self.joined.make();
        if joined.len() < PARTS_MAX {
            joined.push(part.joined.clone());
        }
        if let Some(quote) = &part.quote {
            self.quotes.add(quote.clone(), self.is_open(), cx.rule);
        }
    }

    /// Its parts no longer make it at `at`; `reason` is that of the part whose end it was.
    pub(in crate::detect) fn parts_are_over(
        &mut self,
        cx: &Context<'_>,
        at: Timestamp,
        reason: Reason,
    ) {
        if self.is_open() {
            self.recover(cx, at, reason);
        }
    }

    /// The parts of the open finding.
    pub(in crate::detect) fn joined(&self) -> &[Joined] {
        let joined = self.joined.get().filter(|_| self.is_open());
        joined.map_or(&[], Vec::as_slice)
    }

    /// It is a part of the open finding `above`.
    pub(in crate::detect) fn is_part_of(&mut self, above: &Joined) {
        if let (true, Some(episode)) = (self.is_open(), &mut self.episode)
            && episode.related.len() < RELATED_MAX
            && !episode
                .related
                .iter()
                .any(|it| it.finding_id == above.finding_id)
        {
            episode.related.push(Related {
                finding_id: above.finding_id.clone(),
                rule: above.rule.clone(),
                relation: "part_of".to_owned(),
            });
        }
    }

    /// How it ended, if it has, for what it was a part of.
    pub(in crate::detect) fn ended_by(&self) -> Option<Reason> {
        self.telling.get()?.why().filter(|_| !self.is_open())
    }

    /// What the condition counts at `at`, for messages.
    pub(super) fn window_count(&self, cx: &Context<'_>, at: Timestamp) -> u64 {
        match cx.rule.condition {
            Condition::Correlate(_) => self.joined.get().map_or(0, Vec::len) as u64,
            _ => self.counted.count(at, &cx.asked()),
        }
    }

    /// When the rule's other keys last made this one count: for escalations over all keys.
    pub(in crate::detect) fn counts_at(&self, at: Timestamp, window: std::time::Duration) -> bool {
        self.is_open()
            && self
                .last_match()
                .is_some_and(|last| last > at.minus(window) && last < at.plus(INSTANT))
    }
}
