//! Rules and batches for this room's tests, without files and wire formats.

use std::sync::Arc;

use crate::batch::{Batch, Entry, Labels, Span, Stream, StreamEntries};
use crate::rules::{Item, Match, Pattern, Recover, Rule, RuleSet};
use crate::time::Timestamp;

pub(super) fn text(text: &str) -> Item {
    Item::Text {
        text: text.to_owned(),
        ignore_case: false,
    }
}

pub(super) fn text_in_any_case(text: &str) -> Item {
    Item::Text {
        text: text.to_owned(),
        ignore_case: true,
    }
}

pub(super) fn regex(source: &str) -> Item {
    Item::Regex(pattern(source, false))
}

/// A match of any of `items`.
pub(super) fn any_of(items: impl IntoIterator<Item = Item>) -> Match {
    Match {
        any: items.into_iter().collect(),
        ..Match::default()
    }
}

/// A match of all of `items`.
pub(super) fn all_of(items: impl IntoIterator<Item = Item>) -> Match {
    Match {
        all: items.into_iter().collect(),
        ..Match::default()
    }
}

pub(super) fn pattern(source: &str, ignore_case: bool) -> Arc<Pattern> {
    Pattern::compile(source, ignore_case).expect("a test's expression compiles")
}

/// A rule that counts every match of `matches` in every stream.
pub(super) fn rule(id: &str, matches: Match) -> Rule {
    Rule {
        recover: Recover::Never,
        ..Rule::new(id, matches)
    }
}

pub(super) fn rule_set(rules: impl IntoIterator<Item = Rule>) -> Arc<RuleSet> {
    let mut rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    Arc::new(RuleSet {
        rules,
        ..RuleSet::default()
    })
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().map(|&(n, v)| (n.into(), v.into())))
}

/// An entry to be: its line as sent and its structured metadata.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    pub(super) line: Vec<u8>,
    pub(super) metadata: Vec<(String, String)>,
}

impl From<&str> for Sent {
    fn from(line: &str) -> Self {
        Self {
            line: line.into(),
            metadata: Vec::new(),
        }
    }
}

/// A batch as a decoder would make it: before each stream its labels stand in the block, between lines stands `framing`.
pub(super) fn batch(streams: &[(Labels, Vec<Sent>)], framing: &str) -> Batch {
    let mut batch = Batch::default();
    let mut at = 0;
    for (labels, sent) in streams {
        if sent.is_empty() {
            continue;
        }
        append(&mut batch, labels.to_string().as_bytes());
        let first = batch.entries.len() as u32;
        for sent in sent {
            append(&mut batch, framing.as_bytes());
            let line = append(&mut batch, &sent.line);
            let start = batch.metadata.len() as u32;
            for (name, value) in &sent.metadata {
                let name = append(&mut batch, name.as_bytes());
                let value = append(&mut batch, value.as_bytes());
                batch.metadata.push((name, value));
            }
            at += 1;
            batch.entries.push(Entry {
                at: Timestamp::new(at),
                line,
                metadata: Span {
                    start,
                    len: sent.metadata.len() as u32,
                },
            });
        }
        batch.streams.push(StreamEntries {
            stream: Arc::new(Stream::new("".into(), labels.clone())),
            entries: first..batch.entries.len() as u32,
        });
    }
    batch
}

fn append(batch: &mut Batch, bytes: &[u8]) -> Span {
    let start = batch.block.len() as u32;
    batch.block.extend_from_slice(bytes);
    Span {
        start,
        len: bytes.len() as u32,
    }
}
