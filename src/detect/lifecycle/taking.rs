//! What the entries of one time mean to each class of condition.

use serde::{Deserialize, Serialize};

use super::KeyState;
use crate::detect::condition::{Completed, Known, Progress, hash};
use crate::detect::evidence::Quote;
use crate::detect::patterns::Templates;
use crate::detect::step::{Context, Group};
use crate::finding::Reason;
use crate::hit::Hit;
use crate::rules::{Condition, Sequence};
use crate::time::Timestamp;

/// Most matches that are kept while they are held back; further ones are only counted.
const HELD_BACK_MAX: usize = 10_000;

/// How many of them keep their lines: more are never quoted.
const HELD_BACK_LINES: usize = 64;

/// What a key remembers beside its window.
///
/// Memory: nothing for most classes; see [`Progress`], [`Known`] and [`Templates`] for the others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Learned {
    #[default]
    Nothing,
    Steps(Box<Progress>),
    Values(Box<Known>),
    Patterns(Box<Patterns>),
}

/// The templates of a key's lines, and which of them are new.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Patterns {
    templates: Templates,
    /// Templates that came first after the time of learning, in the order in which they did.
    new: Vec<New>,
}

/// A template that is not yet known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct New {
    template: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Learned {
    pub(super) fn new(condition: &Condition) -> Self {
        match condition {
            Condition::Sequence(_) => Self::Steps(Box::default()),
            Condition::NewValue { .. } => Self::Values(Box::default()),
            Condition::NewPattern { .. } => Self::Patterns(Box::default()),
            _ => Self::Nothing,
        }
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Steps(progress) => progress.memory_bytes(),
            Self::Values(known) => size_of::<Known>() + known.heap_bytes(),
            Self::Patterns(patterns) => {
                size_of::<Patterns>()
                    + patterns.templates.memory_bytes()
                    + patterns.new.capacity() * size_of::<New>()
            }
        }
    }

    /// Whether something has begun that is due if nothing more comes.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Steps(progress) if progress.waits())
    }

    pub(super) fn clear_through(&mut self, at: Timestamp) {
        if let Self::Steps(progress) = self {
            progress.clear_through(at);
        }
    }

    pub(super) fn forget_before(&mut self, at: Timestamp, condition: &Condition) {
        if let (Self::Steps(progress), Condition::Sequence(sequence)) = (self, condition) {
            progress.forget_before(at, sequence);
        }
    }

    /// A finding is over that began at `from`: what was new in it is known from now on.
    pub(super) fn finding_over(&mut self, condition: &Condition, from: Timestamp) {
        if let (Self::Patterns(patterns), Condition::NewPattern { .. }) = (self, condition) {
            patterns.new.retain(|new| new.last < from);
        }
    }
}

/// What the entries of one time came to.
#[derive(Debug, Default)]
struct Came {
    /// Matches, or what they came to.
    matches: u64,
    /// Entries that are no matches, but that the condition looks at.
    others: u64,
    /// The time of the first entry, of what is made of several.
    first: Option<Timestamp>,
    /// When to look at the condition, if not at the group's own time.
    at: Option<Timestamp>,
    /// What ends a finding has come.
    ended: bool,
}

impl KeyState {
    /// Keeps a group for after its deadline.
    pub(super) fn hold_back(&mut self, mut group: Group) {
        let held_back = &mut self.marks.make().held_back;
        let held: usize = held_back.iter().map(|group| group.matches.len()).sum();
        let room = HELD_BACK_MAX.saturating_sub(held);
        if group.matches.len() > room {
            group.more += (group.matches.len() - room) as u64;
            group.matches.truncate(room);
        }
        let lines = HELD_BACK_LINES.saturating_sub(held);
        for hit in group.matches.iter_mut().skip(lines) {
            hit.line = Box::default();
        }
        let place = held_back.partition_point(|other| other.at < group.at);
        match held_back.get_mut(place) {
            Some(same) if same.at == group.at => {
                same.matches.append(&mut group.matches);
                same.more += group.more;
                same.recovered |= group.recovered;
                same.uncertain |= group.uncertain;
                same.late |= group.late;
                // `heard` is told after the batch, of all groups alike.
            }
            _ => held_back.insert(place, group),
        }
    }

    /// Counts a group and looks at what follows from it.
    pub(super) fn take(&mut self, cx: &Context<'_>, mut group: Group) {
        let at = group.at;
        self.newest = self.newest.max(Some(at));
        let came = self.count(cx, &mut group);
        if self.is_waiting() {
            // At once: a flood of entries pushes out those from before.
            self.look(cx, at);
        }
        self.note(cx, &group, &came);
        if let Some(escalations) = self.escalations.get_mut()
            && came.matches > 0
            && !came.ended
        {
            escalations.count(cx.rule, at, &group.matches, came.matches);
        }
        for hit in group.matches {
            self.quote(cx, hit);
        }
        if group.recovered {
            self.recover_by_match(cx, at);
        } else if came.ended {
            self.recover_by_coming(cx, at);
        } else if !group.uncertain && came.matches + came.others > 0 {
            self.decide(cx, came.at.unwrap_or(at), came.matches > 0);
        }
    }

    /// Counts as the condition wants, and keeps of the group what is a match.
    fn count(&mut self, cx: &Context<'_>, group: &mut Group) -> Came {
        let at = group.at;
        let asked = cx.asked();
        let entries = group.matches.len() as u64 + group.more;
        let counts = self.emptied().is_none_or(|emptied| at > emptied);
        if entries > 0 {
            self.armed_by(cx, at);
        }
        let mut came = Came::default();
        match &cx.rule.condition {
            Condition::Count(_) | Condition::Spike(_) | Condition::Absent(_) => {
                came.matches = entries;
                came.ended = matches!(cx.rule.condition, Condition::Absent(_)) && entries > 0;
                if counts {
                    self.counted.add(at, entries, entries, &asked);
                }
            }
            Condition::Ratio(_) => {
                group.matches.retain(|hit| cx.rule.is_match(hit.parts));
                came.matches = group.matches.len() as u64;
                came.others = entries - came.matches;
                if counts {
                    self.counted.add(at, came.matches, entries, &asked);
                }
            }
            Condition::Distinct(distinct) => {
                let has = |hit: &Hit| {
                    hit.values
                        .get(distinct.value)
                        .is_some_and(|it| !it.is_empty())
                };
                group.matches.retain(has);
                came.matches = group.matches.len() as u64;
                for hit in group.matches.iter().filter(|_| counts) {
                    let value = hash(&hit.values[distinct.value]);
                    self.counted.add_value(at, value, &asked);
                }
            }
            Condition::Sequence(sequence) => came = self.count_steps(cx, sequence, group, counts),
            Condition::NewValue { learn } => {
                let known_from = self
                    .armed()
                    .map_or(at, |armed| cx.clock.after(armed, *learn));
                let Learned::Values(known) = &mut self.learned else {
                    return came;
                };
                group.matches.retain(|hit| {
                    let value = hit.values.first().filter(|value| !value.is_empty());
                    value.is_some_and(|value| known.learn(hash(value), at) && at >= known_from)
                });
                came.matches = group.matches.len() as u64;
                for _ in &group.matches {
                    self.counted.add_event(at, at);
                }
            }
            Condition::NewPattern { learn, .. } => {
                let known_from = self
                    .armed()
                    .map_or(at, |armed| cx.clock.after(armed, *learn));
                let Learned::Patterns(patterns) = &mut self.learned else {
                    return came;
                };
                let counted = &mut self.counted;
                group.matches.retain(|hit| {
                    let new = patterns.take(&hit.line, at, known_from, cx, *learn);
                    if let Some(template) = new.filter(|_| counts) {
                        counted.add_value(at, template, &asked);
                    }
                    new.is_some()
                });
                came.matches = group.matches.len() as u64;
            }
            Condition::Correlate(_) => {}
        }
        came
    }

    /// The first entry of a key is that from which few, or new, can be told.
    fn armed_by(&mut self, cx: &Context<'_>, at: Timestamp) {
        let learns = matches!(
            cx.rule.condition,
            Condition::NewValue { .. } | Condition::NewPattern { .. }
        );
        if learns || cx.asked().side() == crate::detect::condition::Side::Few {
            let marks = self.marks.make();
            marks.armed = Some(marks.armed.map_or(at, |armed| armed.min(at)));
        }
    }

    fn count_steps(
        &mut self,
        cx: &Context<'_>,
        sequence: &Sequence,
        group: &Group,
        counts: bool,
    ) -> Came {
        let Learned::Steps(progress) = &mut self.learned else {
            return Came::default();
        };
        let parts = group.matches.iter().map(|hit| hit.parts);
        let parts = parts.filter(|_| counts);
        let (completed, ended) = progress.take(group.at, parts, sequence, cx.clock);
        if let Some(Completed { first, at }) = completed {
            self.counted.add_event(at, first);
        }
        Came {
            matches: u64::from(completed.is_some()),
            others: 0,
            first: completed.map(|completed| completed.first),
            at: completed.map(|completed| completed.at),
            ended,
        }
    }

    /// Notes the matches of a group: in the open finding, and which streams they are of.
    fn note(&mut self, cx: &Context<'_>, group: &Group, came: &Came) {
        let at = group.at;
        for hit in &group.matches {
            self.sources.add(hit.stream, at);
        }
        if came.matches == 0 {
            return;
        }
        if let (true, Some(episode)) = (self.is_open() && !came.ended, &mut self.episode) {
            episode.total += came.matches;
            episode.since_message += came.matches;
            episode.first_seen = episode.first_seen.min(came.first.unwrap_or(at));
            if group.late {
                episode.late += came.matches;
            }
            episode.last_seen = episode.last_seen.max(at);
        }
        self.sources.matched(at, group.heard, cx.streams);
    }

    fn quote(&mut self, cx: &Context<'_>, hit: Hit) {
        let is_newest = self.captures.as_ref().is_none_or(|it| it.0 <= hit.at);
        if !hit.captures.is_empty() && is_newest {
            self.captures = Some(Box::new((hit.at, hit.captures)));
        }
        let quote = Quote {
            at: hit.at,
            labels: hit.labels,
            line: hit.line,
            redacted: false,
        };
        self.quotes.add(quote, self.is_open(), cx.rule);
    }

    /// What must not come, or was missed, has come at `at`: an open finding is over.
    fn recover_by_coming(&mut self, cx: &Context<'_>, at: Timestamp) {
        let opened = self.episode.as_ref().map(|episode| episode.opened_at);
        if self.is_open() && opened.is_some_and(|opened| at >= opened) {
            self.recover(cx, at, Reason::MatchedRecovery);
        }
    }

    /// When a sequence that has begun has waited long enough for its last step.
    pub(super) fn waited_at(&self, cx: &Context<'_>) -> Option<Timestamp> {
        match (&self.learned, &cx.rule.condition) {
            (Learned::Steps(progress), Condition::Sequence(sequence)) => {
                progress.deadline(sequence, cx.clock)
            }
            _ => None,
        }
    }

    /// The last step of a sequence has not come: that is a match at `deadline`.
    pub(super) fn settle_waiting_steps(&mut self, cx: &Context<'_>, deadline: Timestamp) {
        let (Learned::Steps(progress), Condition::Sequence(sequence)) =
            (&mut self.learned, &cx.rule.condition)
        else {
            return;
        };
        let Some(completed) = progress.settle(deadline, sequence, cx.clock) else {
            return;
        };
        self.counted.add_event(completed.at, completed.first);
        if let (true, Some(episode)) = (self.is_open(), &mut self.episode) {
            episode.total += 1;
            episode.since_message += 1;
            episode.last_seen = episode.last_seen.max(deadline);
        }
        self.sources.matched(deadline, None, cx.streams);
        self.decide(cx, deadline, true);
    }

    /// When an absent key has been away so long that it is expected no more.
    pub(super) fn forgotten_at(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let Condition::Absent(absent) = &cx.rule.condition else {
            return None;
        };
        if cx.rule.by.is_empty() || absent.expect.contains(cx.key) {
            return None;
        }
        let since = self
            .armed()?
            .max(self.counted.newest().unwrap_or(Timestamp::MIN));
        Some(cx.clock.after(since, absent.forget?))
    }

    /// The key is expected no more.
    pub(super) fn forget(&mut self, cx: &Context<'_>, at: Timestamp) {
        if let Some(marks) = self.marks.get_mut() {
            marks.armed = None;
        }
        if self.is_open() {
            self.recover(cx, at, Reason::Silent);
        }
    }
}

impl Patterns {
    /// Most templates that wait to be known; beyond it the oldest are known at once.
    const NEW_MAX: usize = 256;

    /// The template of a line, if it is new: first seen after `known_from`, and not yet for as long as learning takes.
    fn take(
        &mut self,
        line: &[u8],
        at: Timestamp,
        known_from: Timestamp,
        cx: &Context<'_>,
        learn: std::time::Duration,
    ) -> Option<u64> {
        let learned = self.templates.learn(line, at);
        let template = learned.template.0;
        if learned.is_new && at >= known_from {
            if self.new.len() == Self::NEW_MAX {
                self.new.remove(0);
            }
            let (first, last) = (at, at);
            self.new.push(New {
                template,
                first,
                last,
            });
            return Some(template);
        }
        let place = self.new.iter().position(|new| new.template == template)?;
        let new = &mut self.new[place];
        // Entries of its first instant are as new as the first of them, however short learning is.
        if at > new.first && at >= cx.clock.after(new.first, learn) {
            self.new.remove(place);
            return None;
        }
        new.last = new.last.max(at);
        Some(template)
    }
}
