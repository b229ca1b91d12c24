//! The store against plain collections: any commits, any restarts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::detect::KeyName;
use crate::finding::Kind;
use crate::rules::Severity;

use super::commit::{Commit, FindingFilter, FindingRow, Limits, OutboxRow, Saved, key_to_text};
use super::store::Store;
use super::testing::{TempDir, finding, key, message, reader};
use crate::finding::State;
use crate::time::Timestamp;

/// One random change to a store.
#[derive(Debug, Clone)]
enum Change {
    Key(u8, Option<u8>),
    State(u8, Option<u8>),
    Identities(i8),
    Forget(i8),
    ForgetFindings(i8),
    Message(u8, Kind),
    Finding(u8, bool, i8),
    /// The ack of the waiting message at this place, counted from the first; beyond the end, of one long gone.
    Ack(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![
        1 => Just(Kind::Observed),
        4 => Just(Kind::Updated),
        1 => Just(Kind::Recovered)
    ];
    let value = || prop::option::weighted(0.7, any::<u8>());
    prop_oneof![
        (0..6u8, value()).prop_map(|(name, value)| Change::Key(name, value)),
        (0..3u8, value()).prop_map(|(name, value)| Change::State(name, value)),
        any::<i8>().prop_map(Change::Identities),
        any::<i8>().prop_map(Change::Forget),
        any::<i8>().prop_map(Change::ForgetFindings),
        (0..4u8, kind).prop_map(|(finding, kind)| Change::Message(finding, kind)),
        (0..9u8, any::<bool>(), any::<i8>())
            .prop_map(|(id, open, at)| Change::Finding(id, open, at)),
        (0..6usize).prop_map(Change::Ack),
    ]
}

/// The store as plain collections; every rule of it written out in the simplest way.
#[derive(Default)]
struct Model {
    saved: Saved,
    keys: BTreeMap<String, (KeyName, Vec<u8>)>,
    state: BTreeMap<String, Vec<u8>>,
    outbox: Vec<OutboxRow>,
    last_seq: i64,
    findings: BTreeMap<String, FindingRow>,
    outlines: BTreeMap<String, BTreeMap<u64, String>>,
    dropped: u64,
}

const LIMITS: Limits = Limits {
    outbox_bytes_max: 300,
    history_bytes_max: 8 * 4,
    history_max_age: std::time::Duration::from_secs(9),
    identities_bytes_max: 1 << 20,
    matches_bytes_max: 1 << 20,
};

impl Model {
    fn apply(&mut self, commit: &Commit) {
        for (name, value) in &commit.keys {
            match value {
                Some(value) => self
                    .keys
                    .insert(key_to_text(name), (name.clone(), value.clone())),
                None => self.keys.remove(&key_to_text(name)),
            };
        }
        for (name, value) in &commit.state {
            match value {
                Some(value) => self.state.insert(name.clone(), value.clone()),
                None => self.state.remove(name),
            };
        }
        self.saved
            .identities
            .extend(commit.identities.iter().cloned());
        if let Some(before) = commit.forget_identities_before {
            self.saved.identities.retain(|row| row.0 >= before);
        }
        self.outbox.retain(|row| !commit.sent.contains(&row.seq));
        for message in &commit.messages {
            if message.kind == Some(Kind::Updated) {
                self.outbox.retain(|row| {
                    row.message.kind != Some(Kind::Updated)
                        || row.message.finding_id != message.finding_id
                });
            }
            self.last_seq += 1;
            self.outbox.push(OutboxRow {
                seq: self.last_seq,
                message: message.clone(),
            });
        }
        while self
            .outbox
            .iter()
            .map(|row| row.message.bytes())
            .sum::<u64>()
            > LIMITS.outbox_bytes_max
        {
            let victim = self
                .outbox
                .iter()
                .position(|row| row.message.kind == Some(Kind::Updated))
                .unwrap_or(0);
            self.outbox.remove(victim);
            self.dropped += 1;
        }
        for finding in &commit.findings {
            let id = finding.finding_id.clone();
            self.findings.insert(id.clone(), finding.clone());
            let outlines = self.outlines.entry(id).or_default();
            outlines
                .entry(finding.revision)
                .or_insert_with(|| finding.outline.clone());
        }
        if commit.findings.is_empty() && commit.forget_findings_before.is_none() {
            return;
        }
        loop {
            let over = self
                .findings
                .values()
                .filter(|row| row.state == State::Recovered);
            let Some(oldest) = over.min_by(|a, b| a.place().cmp(&b.place())) else {
                return;
            };
            let outdated = commit
                .forget_findings_before
                .is_some_and(|before| oldest.changed_at < before);
            if self.history_bytes() <= LIMITS.history_bytes_max && !outdated {
                return;
            }
            let id = oldest.finding_id.clone();
            self.findings.remove(&id);
            self.outlines.remove(&id);
        }
    }

    fn history_bytes(&self) -> u64 {
        let bodies = self.findings.values().map(|row| row.body.len());
        let outlines = self
            .outlines
            .values()
            .flat_map(BTreeMap::values)
            .map(String::len);
        bodies.chain(outlines).sum::<usize>() as u64
    }

    fn saved(&self) -> Saved {
        Saved {
            keys: self.keys.values().cloned().collect(),
            state: self.state.clone().into_iter().collect(),
            identities: self.saved.identities.clone(),
        }
    }

    fn findings(&self, filter: &FindingFilter) -> Vec<FindingRow> {
        let mut rows: Vec<_> = self
            .findings
            .values()
            .filter(|row| filter.takes(row))
            .map(|row| FindingRow {
                revision: 0,
                outline: String::new(),
                ..row.clone()
            })
            .collect();
        rows.sort_by(|a, b| b.place().cmp(&a.place()));
        rows.truncate(filter.limit);
        rows
    }
}

fn build(changes: &[Change], model: &Model, revision: &mut u64) -> Commit {
    let mut commit = Commit::default();
    for change in changes {
        match *change {
            Change::Key(name, value) => {
                commit.keys.push((
                    key("r", &[&name.to_string()]),
                    value.map(|byte| vec![byte; 300]),
                ));
            }
            Change::State(name, value) => {
                commit
                    .state
                    .push((name.to_string(), value.map(|byte| vec![byte])));
            }
            Change::Identities(at) => commit
                .identities
                .push((Timestamp::new(at.into()), vec![0; 16])),
            Change::Forget(at) => commit.forget_identities_before = Some(Timestamp::new(at.into())),
            Change::ForgetFindings(at) => {
                commit.forget_findings_before = Some(Timestamp::new(at.into()));
            }
            Change::Message(finding, kind) => {
                *revision += 1;
                commit
                    .messages
                    .push(message(&finding.to_string(), *revision, kind));
            }
            Change::Finding(id, open, at) => {
                let state = if open { State::Open } else { State::Recovered };
                *revision += 1;
                let mut row = finding(&id.to_string(), state, at.into());
                row.revision = *revision;
                row.outline = revision.to_string();
                row.rule = if revision.is_multiple_of(2) {
                    "even"
                } else {
                    "odd"
                }
                .to_owned();
                commit.findings.push(row);
            }
            Change::Ack(place) => {
                commit
                    .sent
                    .push(model.outbox.get(place).map_or(-1, |row| row.seq));
            }
        }
    }
    commit
}

/// Each part of a filter, and several together.
fn filters() -> Vec<FindingFilter> {
    let all = FindingFilter {
        limit: usize::MAX,
        ..FindingFilter::default()
    };
    let text = |text: &str| Some(text.to_owned());
    vec![
        all.clone(),
        FindingFilter {
            limit: 2,
            ..all.clone()
        },
        FindingFilter {
            state: Some(State::Open),
            ..all.clone()
        },
        FindingFilter {
            severity: Some(Severity::Critical),
            ..all.clone()
        },
        FindingFilter {
            domain: text("runtime_services"),
            rule: text("even"),
            ..all.clone()
        },
        FindingFilter {
            incident_type: text("none"),
            ..all.clone()
        },
        FindingFilter {
            own: Some(false),
            labels: vec![("namespace".to_owned(), "sh\"op".to_owned())],
            ..all.clone()
        },
        FindingFilter {
            text: text("{}"),
            since: Some(Timestamp::new(-50)),
            until: Some(Timestamp::new(50)),
            ..all.clone()
        },
        FindingFilter {
            after: Some((Timestamp::new(7), "5".to_owned())),
            state: Some(State::Recovered),
            limit: 3,
            ..all
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_any_commits_and_restarts_the_store_equals_plain_collections(
        groups in prop::collection::vec((prop::collection::vec(change(), 0..8), prop::bool::weighted(0.1)), 1..20),
        on_disk in prop::bool::weighted(0.3),
    ) {
        let dir = TempDir::new();
        let open = || Store::open(on_disk.then_some(dir.path()), LIMITS).expect("ours");
        let mut store = open();
        let mut model = Model::default();
        let (mut revision, mut dropped) = (0, 0);
        for (changes, restart) in groups {
            let commit = build(&changes, &model, &mut revision);
            let outcome = store.commit(&commit).expect("room");
            dropped += outcome.dropped.total();
            model.apply(&commit);
            prop_assert_eq!(outcome.last_seq, model.last_seq);
            if restart && on_disk {
                drop(store);
                store = open();
            }
            prop_assert_eq!(store.load().expect("sound"), model.saved());
            prop_assert_eq!(&store.unsent(0, usize::MAX).expect("sound"), &model.outbox);
            prop_assert_eq!(dropped, model.dropped);
            let reader = reader(&store);
            for filter in filters() {
                prop_assert_eq!(reader.findings(&filter).expect("sound"), model.findings(&filter), "{:?}", filter);
            }
            for (id, outlines) in &model.outlines {
                let told = reader.told(id).expect("sound").expect("it is there");
                prop_assert_eq!(&told.finding, &model.findings[id]);
                prop_assert_eq!(told.outlines, outlines.values().cloned().collect::<Vec<_>>());
            }
            prop_assert!(reader.told("none").expect("sound").is_none());
            let sizes = store.sizes().expect("sound");
            prop_assert_eq!(sizes.history_bytes, model.history_bytes());
            prop_assert_eq!(sizes.outbox_messages, model.outbox.len() as u64);
            prop_assert_eq!(sizes.outbox_bytes, model.outbox.iter().map(|row| row.message.bytes()).sum::<u64>());
        }
    }
}
