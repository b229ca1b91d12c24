//! The tape: lately matched entries, redacted, so that a rule can be tried on what was matched before it is changed.
//!
//! Of a rule at most [`ENTRIES_MAX`] entries a minute of event time are recorded, the rest is counted only; the counts are exact, so that whoever
//! plays the tape can say how much of what was matched is on it. An entry that is not recorded costs one look into a map.
//! Of sensitive namespaces nothing is recorded.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::batch::EntryId;
use crate::finding::Redactor;
use crate::hit::{Hit, Role};
use crate::rules::Rule;
use crate::time::Timestamp;

/// Most entries of one rule and minute that are recorded.
pub const ENTRIES_MAX: u8 = 60;
/// Most of them that are no match: what only counts in a denominator, and recoveries, must not crowd out what is looked for.
const OTHERS_MAX: u8 = 20;
/// How much of a line is recorded, in bytes.
const LINE_BYTES_MAX: usize = 1024;
/// Minutes of rules that are counted at once, some 50 bytes each. Beyond it those without news are forgotten (entries of theirs that come late are
/// then recorded beyond [`ENTRIES_MAX`]), and where all have news, further ones are not counted until the next commit.
const MINUTES_MAX: usize = 16_384;

/// What a recorded entry was to its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TapeRole {
    /// It matched.
    Match,
    /// It counts in a denominator only.
    Denominator,
    /// It fulfilled `recover.match`.
    Recovery,
}

impl TapeRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Match, Self::Denominator, Self::Recovery];

    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Denominator => "denominator",
            Self::Recovery => "recovery",
        }
    }

    /// The one that `text` is.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// An entry that a rule matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taped {
    /// The rule's id.
    pub rule: Arc<str>,
    /// What it was to the rule.
    pub role: TapeRole,
    /// The entry's time.
    pub at: Timestamp,
    /// The tenant, empty when none was sent.
    pub tenant: Arc<str>,
    /// The stream's labels, redacted.
    pub labels: BTreeMap<String, String>,
    /// The line, redacted and cut.
    pub line: String,
    /// The entry's identity.
    pub entry: EntryId,
}

/// How many entries of a minute a rule matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeCount {
    /// The rule's id.
    pub rule: Arc<str>,
    /// Minutes since the epoch.
    pub minute: i64,
    /// Matches, those included that are not recorded.
    pub matches: u64,
    /// Those of them that are not recorded.
    pub left_out: u64,
}

/// The minute that `at` is in, since the epoch.
#[must_use]
pub fn minute_of(at: Timestamp) -> i64 {
    at.nanos().div_euclid(60_000_000_000)
}

/// Decides what is recorded.
#[derive(Debug, Default)]
pub(super) struct Tape {
    minutes: FxHashMap<(Arc<str>, i64), Minute>,
    entries: Vec<Taped>,
    /// All minutes have news, and there are as many as may be.
    is_full: bool,
}

#[derive(Debug, Default)]
struct Minute {
    recorded: u8,
    others: u8,
    /// Matches since the last were taken.
    matches: u64,
    left_out: u64,
}

impl Tape {
    /// Takes a hit that counts, of the rule that is called `name`.
    pub(super) fn see(
        &mut self,
        hit: &Hit,
        name: &Arc<str>,
        rule: &Rule,
        tenant: &Arc<str>,
        redactor: &Redactor,
    ) {
        let role = match hit.role {
            Role::Recovery => TapeRole::Recovery,
            Role::Match if rule.is_match(hit.parts) => TapeRole::Match,
            Role::Match => TapeRole::Denominator,
        };
        let is_match = role == TapeRole::Match;
        self.make_room();
        let has_room = self.minutes.len() < MINUTES_MAX;
        let minute = match self.minutes.entry((Arc::clone(name), minute_of(hit.at))) {
            Entry::Occupied(minute) => minute.into_mut(),
            Entry::Vacant(minute) if has_room => minute.insert(Minute::default()),
            Entry::Vacant(_) => return,
        };
        minute.matches += u64::from(is_match);
        let is_full = minute.recorded >= ENTRIES_MAX || (!is_match && minute.others >= OTHERS_MAX);
        if is_full || redactor.hides(&hit.labels) {
            minute.left_out += u64::from(is_match);
            return;
        }
        minute.recorded += 1;
        minute.others += u8::from(!is_match);
        let labels = hit.labels.iter();
        let redacted = |value: &str| redactor.redact(value.as_bytes(), &[]);
        self.entries.push(Taped {
            rule: Arc::clone(name),
            role,
            at: hit.at,
            tenant: Arc::clone(tenant),
            labels: labels
                .map(|(name, value)| (name.to_owned(), redacted(value)))
                .collect(),
            line: cut(redactor.redact(&hit.line, &rule.evidence.redact)),
            entry: hit.entry,
        });
    }

    /// Forgets minutes that nothing is to be told of when there are too many.
    fn make_room(&mut self) {
        if self.minutes.len() >= MINUTES_MAX && !self.is_full {
            self.minutes.retain(|_, minute| minute.matches > 0);
            self.is_full = self.minutes.len() >= MINUTES_MAX;
        }
    }

    /// Takes what was recorded and counted since the last time.
    pub(super) fn take(&mut self) -> (Vec<Taped>, Vec<TapeCount>) {
        if self.minutes.is_empty() {
            return Default::default();
        }
        self.is_full = false;
        let minutes = self.minutes.iter_mut();
        let news = minutes.filter(|(_, minute)| minute.matches > 0);
        let counts = news.map(|((rule, minute), counted)| TapeCount {
            rule: Arc::clone(rule),
            minute: *minute,
            matches: std::mem::take(&mut counted.matches),
            left_out: std::mem::take(&mut counted.left_out),
        });
        let counts = counts.collect();
        (std::mem::take(&mut self.entries), counts)
    }
}

/// Redaction may have made the line longer or shorter; a mark that is cut through still shows nothing of what it stands for.
fn cut(mut line: String) -> String {
    let mut end = LINE_BYTES_MAX.min(line.len());
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{Labels, StreamId};
    use crate::hit::{Key, Parts, RuleIndex};
    use crate::rules::Match;

    fn hit(at: i64, namespace: &str, line: &str) -> Hit {
        Hit {
            rule: RuleIndex(0),
            role: Role::Match,
            parts: Parts::MATCH,
            at: Timestamp::new(at),
            stream: StreamId(1),
            labels: Arc::new(Labels::new([("namespace".into(), namespace.into())])),
            entry: EntryId(at.cast_unsigned()),
            key: Key::default(),
            values: Box::default(),
            captures: Box::default(),
            line: line.as_bytes().into(),
        }
    }

    /// What a tape takes of `hits`, taken after every `every` of them.
    fn taken(hits: &[Hit], every: usize) -> (Vec<Taped>, Vec<TapeCount>) {
        let redactor = Redactor::new(Vec::new()).with_sensitive_namespaces(vec!["vault".into()]);
        let rule = Rule::new("r", Match::default());
        let (name, tenant) = (Arc::from("r"), Arc::from("t"));
        let mut tape = Tape::default();
        let (mut entries, mut counts) = (Vec::new(), Vec::new());
        for chunk in hits.chunks(every) {
            for hit in chunk {
                tape.see(hit, &name, &rule, &tenant, &redactor);
            }
            let (more, counted) = tape.take();
            entries.extend(more);
            counts.extend(counted);
        }
        (entries, counts)
    }

    #[test]
    fn an_entry_is_redacted_and_cut_and_of_a_sensitive_namespace_only_counted() {
        let long = "x".repeat(3000);
        let (entries, counts) = taken(
            &[
                hit(1, "apps", "login password=hunter2x9 failed"),
                hit(2, "apps", &long),
                hit(3, "vault", "unsealed by alice"),
            ],
            9,
        );
        assert_eq!(entries.len(), 2);
        assert!(!entries[0].line.contains("hunter2"), "{entries:?}");
        assert_eq!(entries[0].labels["namespace"], "apps");
        assert_eq!(entries[1].line.len(), 1024);
        assert_eq!((counts[0].matches, counts[0].left_out), (3, 1));
    }

    proptest! {
        #[test]
        fn of_a_minute_sixty_entries_are_recorded_and_all_are_counted(
            minutes in prop::collection::vec(0..4i64, 0..400),
            every in 1..100usize,
        ) {
            let hits: Vec<Hit> = minutes
                .iter()
                .map(|minute| hit(minute * 60_000_000_000, "apps", "a line"))
                .collect();
            let (entries, counts) = taken(&hits, every);
            for minute in 0..4 {
                let matched = minutes.iter().filter(|one| **one == minute).count() as u64;
                let recorded = entries.iter().filter(|one| minute_of(one.at) == minute).count() as u64;
                prop_assert_eq!(recorded, matched.min(60));
                let of_it = counts.iter().filter(|one| one.minute == minute);
                let (all, left_out) = of_it.fold((0, 0), |sum, one| (sum.0 + one.matches, sum.1 + one.left_out));
                prop_assert_eq!((all, left_out), (matched, matched - recorded));
            }
        }
    }
}
