//! The rules that are measured.

use std::path::PathBuf;
use std::sync::Arc;

use trommel::batch::{Batch, Labels, Stream};
use trommel::detect::Settings;
use trommel::finding::{Finding, Kind, Origin};
use trommel::hit::{Hit, Role};
use trommel::playback::{Playback, Played};
use trommel::rules::{Condition, LoadOptions, RuleSet, SourceText, load, read_paths};
use trommel::scan::{Scanner, Scratch};
use trommel::time::Timestamp;

/// The folder with the rules.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("TROMMEL_QUALITY_RULES") {
        Some(folder) => folder.into(),
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/rules").into(),
    }
}

/// The files of the pack, by their names within the folder.
pub(crate) fn sources() -> Vec<SourceText> {
    let folder = folder();
    let read = read_paths(std::slice::from_ref(&folder));
    assert!(read.problems.is_empty(), "{:#?}", read.problems);
    let mut sources = read.sources;
    for source in &mut sources {
        let path = PathBuf::from(&source.name);
        let within = path.strip_prefix(&folder).unwrap_or(&path);
        source.name = within.display().to_string();
    }
    sources
}

pub(crate) fn rules() -> Arc<RuleSet> {
    let loaded = load(&sources(), &LoadOptions::default());
    let Some(set) = loaded.set else {
        panic!("{}: {:#?}", folder().display(), loaded.problems);
    };
    Arc::new(set)
}

/// Asks the rules about one line at a time.
pub(crate) struct Asker {
    pub(crate) rules: Arc<RuleSet>,
    scanner: Scanner,
    scratch: Scratch,
    batch: Batch,
    hits: Vec<Hit>,
}

impl Asker {
    pub(crate) fn new() -> Self {
        let rules = rules();
        Self {
            scanner: Scanner::new(Arc::clone(&rules)),
            rules,
            scratch: Scratch::default(),
            batch: Batch::default(),
            hits: Vec::new(),
        }
    }

    /// The ids of the rules whose line it is, in order; thresholds are left aside. A sequence has no line of its own: any step of
    /// it may be an ordinary line, and what comes of them only a replay shows.
    pub(crate) fn matching(&mut self, stream: &Arc<Stream>, line: &[u8]) -> Vec<&str> {
        self.batch.clear();
        self.hits.clear();
        self.batch.push(stream, Timestamp::new(0), line, &[]);
        self.scanner
            .scan(&self.batch, 0..1, &mut self.scratch, &mut self.hits);
        let rules = &self.rules;
        let is_match = |hit: &&Hit| {
            let rule = rules.rule(hit.rule);
            let is_step = matches!(rule.condition, Condition::Sequence(_));
            hit.role == Role::Match && rule.is_match(hit.parts) && !is_step
        };
        let matches = self.hits.iter().filter(is_match);
        let mut ids: Vec<_> = matches.map(|hit| &*rules.rule(hit.rule).id).collect();
        ids.sort_unstable();
        ids
    }
}

pub(crate) fn stream(labels: impl IntoIterator<Item = (String, String)>) -> Arc<Stream> {
    let labels = labels.into_iter();
    let labels = labels.map(|(name, value)| (name.into(), value.into()));
    Arc::new(Stream::new("".into(), Labels::new(labels)))
}

/// What opens when `entries` are played in their own time; they are in its order.
pub(crate) fn opened<'a>(
    scanner: &Arc<Scanner>,
    entries: impl Iterator<Item = (&'a Arc<Stream>, Timestamp, &'a [u8])>,
) -> Vec<Finding> {
    let origin = Origin {
        cluster: "quality".to_owned(),
        environment: String::new(),
        instance: "default".to_owned(),
        grafana: None,
    };
    let mut playback = Playback::new(Arc::clone(scanner), Settings::replay(origin));
    let mut opened = Vec::new();
    let mut take = |played: Played| {
        let findings = played.findings.into_iter();
        opened.extend(findings.filter(|finding| Kind::of(finding) == Kind::Observed));
    };
    for (stream, at, line) in entries {
        if let Some(scanned) = playback.add(stream, at, line, &[]) {
            take(playback.apply(scanned));
        }
    }
    if let Some(scanned) = playback.flush() {
        take(playback.apply(scanned));
    }
    if let Some(newest) = playback.newest() {
        take(playback.finish(newest));
    }
    opened
}
