//! What a changed rule would have opened over what was recorded, beside what the rule in use opens over the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::{GoOn, Terms, TooLong};
use crate::batch::{EntryId, Labels, Stream};
use crate::detect::{Settings, TAPE_ENTRIES_MAX, Taped};
use crate::finding::{Finding, Kind};
use crate::playback::{Playback, Played};
use crate::recent::RecentLine;
use crate::record::Coverage;
use crate::rules::{RuleSet, Severity};
use crate::scan::Scanner;
use crate::time::Timestamp;

/// Openings and recoveries that are told of each side; the rest is counted.
const EVENTS_MAX: usize = 200;
/// Lines that are played between two looks at the clock.
const LINES_EACH: usize = 256;

/// A line that rules are tried on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedLine {
    /// The entry's time.
    pub at: Timestamp,
    /// The tenant, empty when none was sent.
    pub tenant: Arc<str>,
    /// The labels of its stream.
    pub labels: Labels,
    /// The line, redacted.
    pub line: String,
    /// The entry's identity.
    pub entry: EntryId,
}

impl From<Taped> for TriedLine {
    fn from(taped: Taped) -> Self {
        let labels = taped.labels.into_iter();
        let labels = labels.map(|(name, value)| (Box::from(name), Box::from(value)));
        Self {
            at: taped.at,
            tenant: taped.tenant,
            labels: Labels::new(labels),
            line: taped.line,
            entry: taped.entry,
        }
    }
}

impl From<RecentLine> for TriedLine {
    fn from(line: RecentLine) -> Self {
        let RecentLine {
            at,
            tenant,
            labels,
            line,
            entry,
        } = line;
        Self {
            at,
            tenant,
            labels,
            line,
            entry,
        }
    }
}

/// What there is to try rules on.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// Matches of all rules that are recorded, in any order. An entry that several rules matched is used once.
    pub matches: Vec<Taped>,
    /// Lines that came lately.
    pub recent: Vec<RecentLine>,
    /// How much of what the rule in use matched is recorded.
    pub coverage: Coverage,
    /// Whether the recorded matches are all that there are of that time.
    pub is_whole: bool,
}

/// Before and after.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Backtest {
    /// The time of the oldest line.
    #[schemars(extend("format" = "date-time"))]
    pub from: Option<String>,
    /// The time until which it was played.
    #[schemars(extend("format" = "date-time"))]
    pub until: String,
    /// What the rule in use has matched in that time.
    pub matches: u64,
    /// How many of these are recorded.
    pub recorded: u64,
    /// Lines that rules were tried on: recorded matches of all rules, each once.
    pub lines: usize,
    /// Lines that were tried beside those, because they came lately.
    pub recent: usize,
    /// What this can and cannot say.
    pub notes: Vec<String>,
    /// The rule in use.
    pub before: Side,
    /// The rule as it is written.
    pub after: Side,
}

/// What one form of the rule makes of the lines.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Side {
    /// The ids of its rules.
    pub rules: Vec<String>,
    /// Lines that it matches.
    pub matches: u64,
    /// Findings that open.
    pub opened: u64,
    /// Findings that recover.
    pub recovered: u64,
    /// What opens and recovers, in order of time; the first two hundred.
    pub events: Vec<TriedEvent>,
    /// How many more there are.
    pub more_events: u64,
}

/// A finding opens or recovers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TriedEvent {
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// `observed` or `recovered`.
    pub kind: &'static str,
    /// The rule.
    pub rule: String,
    /// The key in readable form.
    pub key: String,
    /// Severity then.
    pub severity: Severity,
    /// Entries in the finding so far.
    pub count: u64,
    /// One line for people.
    pub summary: String,
}

/// Plays `material` to the rule `id` of `before`, and to the rules `ids` of `after`, until `now`.
///
/// # Errors
/// [`TooLong`] when `go_on` says so.
pub fn backtest(
    terms: &Terms,
    material: Material,
    (before, id): (&Arc<RuleSet>, &str),
    (after, ids): (&Arc<RuleSet>, &[String]),
    now: Timestamp,
    go_on: GoOn<'_>,
) -> Result<Backtest, TooLong> {
    let Material {
        matches,
        recent,
        coverage,
        is_whole,
    } = material;
    let mut known = HashSet::new();
    let mut lines: Vec<TriedLine> = Vec::new();
    for taped in matches {
        if known.insert(taped.entry) {
            lines.push(taped.into());
        }
    }
    let recorded = lines.len();
    for line in recent {
        if line.at <= now && known.insert(line.entry) {
            lines.push(line.into());
        }
    }
    let recent = lines.len() - recorded;
    // Those of one time in an order that does not depend on where they were kept.
    lines.sort_by_key(|line| (line.at, line.entry));
    let before_side = play(before, terms, &lines, &[id.to_owned()], now, go_on)?;
    let after_side = play(after, terms, &lines, ids, now, go_on)?;
    Ok(Backtest {
        from: lines.first().map(|line| line.at.to_string()),
        until: now.to_string(),
        matches: coverage.matches,
        recorded: coverage.recorded,
        lines: recorded,
        recent,
        notes: notes(&coverage, is_whole, recent, &before_side),
        before: before_side,
        after: after_side,
    })
}

/// What the lines cannot tell.
fn notes(coverage: &Coverage, is_whole: bool, recent: usize, before: &Side) -> Vec<String> {
    let mut notes = Vec::new();
    let Coverage {
        matches,
        recorded,
        since,
        cut_minutes,
    } = coverage;
    notes.push(match since {
        Some(since) => {
            format!("{recorded} of {matches} matches of the rule since {since} are recorded")
        }
        None => "no match of the rule is recorded".to_owned(),
    });
    if *cut_minutes > 0 {
        notes.push(format!(
            "in {cut_minutes} minutes more matched than is recorded (at most {TAPE_ENTRIES_MAX} entries a rule and minute): counts of those minutes are too low, so a threshold that opened then may not open here"
        ));
    }
    if before.matches < *recorded {
        let lost = recorded - before.matches;
        notes.push(format!(
            "{lost} recorded matches are no match here: what matched was redacted, cut off, or no part of the line, or the rule has changed since"
        ));
    }
    if !is_whole {
        notes.push("more is recorded than is played at once: the oldest is left out".to_owned());
    }
    notes.push("only what some rule matched is recorded: a wider selector or pattern cannot find here what nothing has matched yet".to_owned());
    notes.push(match recent {
        0 => "there are no recent lines beside them".to_owned(),
        _ => format!("{recent} recent lines that nothing may have matched are tried too: a sample of the last minutes"),
    });
    notes.push("recoveries are told by these lines alone: a stream that goes on without a match is not seen".to_owned());
    notes
}

/// Plays `lines` to `rules`, and tells what becomes of the rules `ids`. Tenants know nothing of each other.
fn play(
    rules: &Arc<RuleSet>,
    terms: &Terms,
    lines: &[TriedLine],
    ids: &[String],
    until: Timestamp,
    go_on: GoOn<'_>,
) -> Result<Side, TooLong> {
    let scanner = Scanner::new(Arc::clone(rules)).excluding(terms.exclude.clone());
    let scanner = Arc::new(scanner);
    let mut tenants: BTreeMap<&Arc<str>, Vec<&TriedLine>> = BTreeMap::new();
    for line in lines {
        tenants.entry(&line.tenant).or_default().push(line);
    }
    let mut told = Teller {
        ids,
        side: Side {
            rules: ids.to_vec(),
            ..Side::default()
        },
        events: Vec::new(),
    };
    for (tenant, lines) in tenants {
        let settings = Settings::replay(terms.origin.clone());
        let mut playback = Playback::new(Arc::clone(&scanner), settings);
        let mut streams: HashMap<&Labels, Arc<Stream>> = HashMap::new();
        for some in lines.chunks(LINES_EACH) {
            if !go_on() {
                return Err(TooLong);
            }
            for line in some {
                let stream = streams.entry(&line.labels).or_insert_with(|| {
                    Arc::new(Stream::new(Arc::clone(tenant), line.labels.clone()))
                });
                let complete = playback.add(stream, line.at, line.line.as_bytes(), &[]);
                if let Some(scanned) = complete {
                    told.take(playback.apply(scanned));
                }
            }
        }
        if let Some(scanned) = playback.flush() {
            told.take(playback.apply(scanned));
        }
        told.take(playback.finish(until));
        let matches = playback.take_tally().matches;
        let of_ids = ids.iter().filter_map(|id| matches.get(id.as_str()));
        told.side.matches += of_ids.sum::<u64>();
    }
    Ok(told.end())
}

struct Teller<'a> {
    ids: &'a [String],
    side: Side,
    events: Vec<(Timestamp, TriedEvent)>,
}

impl Teller<'_> {
    fn take(&mut self, played: Played) {
        let concerned = played.findings.iter();
        for finding in concerned.filter(|finding| self.ids.contains(&finding.rule.id)) {
            match Kind::of(finding) {
                Kind::Observed => self.side.opened += 1,
                Kind::Recovered => self.side.recovered += 1,
                Kind::Updated => continue,
            }
            // Of each tenant so many that the first of all are among them.
            self.events.push((finding.time, told(finding)));
        }
        if self.events.len() > 4 * EVENTS_MAX {
            self.keep_first();
        }
    }

    fn keep_first(&mut self) {
        self.events.sort_by_key(|(at, _)| *at);
        self.events.truncate(EVENTS_MAX);
    }

    fn end(mut self) -> Side {
        self.keep_first();
        let told = self.events.len() as u64;
        self.side.more_events = self.side.opened + self.side.recovered - told;
        self.side.events = self.events.into_iter().map(|(_, event)| event).collect();
        self.side
    }
}

/// A revision of a finding in short.
pub(super) fn told(finding: &Finding) -> TriedEvent {
    TriedEvent {
        time: finding.time.to_string(),
        kind: Kind::of(finding).as_str(),
        rule: finding.rule.id.clone(),
        key: finding.dedupe_key.clone(),
        severity: finding.severity,
        count: finding.counts.total,
        summary: finding.summary.clone(),
    }
}
