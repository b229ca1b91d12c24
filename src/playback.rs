//! Recorded entries through scanner and detector: what a replay and a test have in common.
//!
//! Pure: entries come with their times, and the wall clock is whatever the caller says it was.

use std::sync::Arc;

use crate::batch::{Batch, Labels, Stream};
use crate::detect::{Detector, Settings, Tally};
use crate::finding::{Finding, Message, MessageSettings, Origin, Redactor};
use crate::hit::{Progress, Scanned};
use crate::scan::{Scanner, Scratch};
use crate::time::Timestamp;

/// A detector that is fed with recorded batches of one tenant, which has no name.
pub struct Playback<'a> {
    scanner: &'a Scanner,
    scratch: Scratch,
    detector: Detector,
    origin: Origin,
    messages: MessageSettings,
}

impl<'a> Playback<'a> {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(scanner: &'a Scanner, settings: Settings) -> Self {
        let origin = settings.origin.clone();
        let rules = Arc::clone(scanner.rules());
        Self {
            scanner,
            scratch: Scratch::default(),
            detector: Detector::new(settings, Redactor::new(Vec::new()), rules),
            origin,
            messages: MessageSettings::default(),
        }
    }

    /// Applies a batch that arrives at `now`.
    pub fn apply(&mut self, batch: &Batch, now: Timestamp) {
        let streams = batch.streams.iter();
        let mut scanned = Scanned {
            hits: Vec::new(),
            progress: Progress {
                tenant: Arc::from(""),
                streams: streams
                    .map(|stream| (stream.stream.id, stream.entries.len() as u32))
                    .collect(),
                times: batch.entries.iter().map(|entry| entry.at).collect(),
                oldest: Vec::new(),
            },
        };
        let all = 0..batch.entries.len();
        self.scanner
            .scan(batch, all, &mut self.scratch, &mut scanned.hits);
        self.detector.apply(scanned, now);
    }

    /// Lets the tenant's clock come to `now` without a word from any stream that a rule could know.
    pub fn pass(&mut self, now: Timestamp) {
        let labels = Labels::new([("__playback__".into(), "clock".into())]);
        let nobody = Stream::new(Arc::from(""), labels);
        let progress = Progress {
            tenant: nobody.tenant,
            streams: vec![(nobody.id, 1)],
            times: vec![now],
            oldest: Vec::new(),
        };
        let hits = Vec::new();
        self.detector.apply(Scanned { hits, progress }, now);
    }

    /// Ends it at `until`: what is due then, or before, happens.
    pub fn finish(&mut self, until: Timestamp) {
        self.detector.finish(until);
    }

    /// Takes the revisions since the last call, in order, each with its message.
    pub fn take_messages(&mut self) -> impl Iterator<Item = (Finding, Message)> {
        let findings = self.detector.take_changes().findings.into_iter();
        findings.map(|finding| {
            let key = &finding.finding_key;
            let message = Message::new(&finding, key, &self.origin, &self.messages);
            (finding, message)
        })
    }

    /// Takes what happened besides.
    pub fn take_tally(&mut self) -> Tally {
        self.detector.take_tally()
    }
}
