//! Messages that were expected beside those that came.

use std::collections::BTreeMap;
use std::time::Duration;

use super::run::Ran;
use crate::rules::RuleSet;
use crate::rules::test_file::{Change, ExpectedMessage, Fate, Test, nearest_id};
use crate::time::format_duration;

/// What a test expects beside what came: equal, or each difference.
#[derive(Debug)]
pub struct Comparison<'a> {
    test: &'a Test,
    ran: &'a Ran,
    rows: Vec<Row>,
}

/// One line of the comparison, in order of time: places in what was expected and in what came.
#[derive(Debug, Clone, Copy)]
enum Row {
    Same(usize, usize),
    Different(usize, usize),
    Missing(usize),
    Unexpected(usize),
}

/// A line of what is shown of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Of which side.
    pub side: Side,
    /// Its words, and whether each is what the other side has differently.
    pub words: Vec<(String, bool)>,
}

/// What a line of a difference is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Expected, and came.
    Both,
    /// Expected, and did not come.
    Expected,
    /// Came, and was not expected.
    Got,
    /// A remark.
    Note,
}

/// Most lines of a difference that are shown, and most of those around it that are equal.
const LINES_MAX: usize = 60;
const CONTEXT: usize = 3;

impl<'a> Comparison<'a> {
    /// Compares instant by instant; the order within one does not matter.
    #[must_use]
    pub fn new(test: &'a Test, ran: &'a Ran) -> Self {
        let mut instants: BTreeMap<Duration, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (place, message) in test.expect.iter().enumerate() {
            instants.entry(message.at).or_default().0.push(place);
        }
        for (place, told) in ran.messages.iter().enumerate() {
            instants.entry(told.at).or_default().1.push(place);
        }
        let (mut rows, mut missing, mut unexpected) = (Vec::new(), Vec::new(), Vec::new());
        for (expected, got) in instants.into_values() {
            let of = assign(&expected, &got, |e, g| ran.messages[g].is(&test.expect[e]));
            for (place, expected) in expected.iter().enumerate() {
                match of[place] {
                    Some(got) => rows.push(Row::Same(*expected, got)),
                    None => missing.push(*expected),
                }
            }
            let taken = |got: &&usize| !of.contains(&Some(**got));
            unexpected.extend(got.iter().filter(taken));
        }
        let mut comparison = Self { test, ran, rows };
        comparison.pair(missing, unexpected);
        let at = |row: &Row| match *row {
            Row::Same(_, got) | Row::Different(_, got) | Row::Unexpected(got) => {
                ran.messages[got].at
            }
            Row::Missing(expected) => test.expect[expected].at,
        };
        comparison.rows.sort_by_key(at);
        comparison
    }

    /// Puts together what is left and meant the same: of one rule and state, with the fewest differences, nearest in time.
    fn pair(&mut self, mut missing: Vec<usize>, mut unexpected: Vec<usize>) {
        let mut pairs = Vec::new();
        for &expected in missing.iter().take(LINES_MAX) {
            let message = &self.test.expect[expected];
            for &got in unexpected.iter().take(LINES_MAX) {
                let told = &self.ran.messages[got];
                if told.rule() == message.rule && told.state == message.state {
                    let apart = told.at.abs_diff(message.at);
                    pairs.push((told.differences(message), apart, expected, got));
                }
            }
        }
        pairs.sort_unstable();
        for (_, _, expected, got) in pairs {
            if missing.contains(&expected) && unexpected.contains(&got) {
                missing.retain(|place| *place != expected);
                unexpected.retain(|place| *place != got);
                self.rows.push(Row::Different(expected, got));
            }
        }
        self.rows.extend(missing.into_iter().map(Row::Missing));
        self.rows
            .extend(unexpected.into_iter().map(Row::Unexpected));
    }

    /// Whether everything that was expected came, and nothing else.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        !self.ran.cut && self.rows.iter().all(|row| matches!(row, Row::Same(..)))
    }

    /// The difference for people, with remarks on what may be the cause. `rules` are those that ran.
    #[must_use]
    pub fn diff(&self, rules: &RuleSet) -> Vec<DiffLine> {
        let differs = |row: &Row| !matches!(row, Row::Same(..));
        let near = |place: usize| {
            let from = place.saturating_sub(CONTEXT);
            let to = (place + CONTEXT + 1).min(self.rows.len());
            self.rows[from..to].iter().any(differs)
        };
        let mut lines = Vec::new();
        let mut left_out = 0;
        for (place, row) in self.rows.iter().enumerate() {
            if near(place) && lines.len() < LINES_MAX {
                lines.extend(self.lines(*row));
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            lines.push(DiffLine::note(format!(
                "{left_out} more messages are not shown"
            )));
        }
        lines.extend(self.notes(rules).into_iter().map(DiffLine::note));
        lines
    }

    fn lines(&self, row: Row) -> Vec<DiffLine> {
        let expected = |place: usize| words(&self.test.expect[place]);
        match row {
            Row::Same(place, _) => vec![DiffLine::plain(Side::Both, expected(place))],
            Row::Missing(place) => vec![DiffLine::plain(Side::Expected, expected(place))],
            Row::Unexpected(got) => {
                let got = words(&self.ran.messages[got].in_short());
                vec![DiffLine::plain(Side::Got, got)]
            }
            Row::Different(place, got) => {
                let (was, is) = (expected(place), words(&self.rewritten(place, got)));
                let marked = |of: &[String], other: &[String]| {
                    let of = of.iter().map(|word| (word.clone(), !other.contains(word)));
                    of.collect()
                };
                let line = |side, words| DiffLine { side, words };
                vec![
                    line(Side::Expected, marked(&was, &is)),
                    line(Side::Got, marked(&is, &was)),
                ]
            }
        }
    }

    /// What came, with the values that the test lists for what was expected.
    fn rewritten(&self, expected: usize, got: usize) -> ExpectedMessage {
        let expected = &self.test.expect[expected];
        let keys = expected.values.iter().map(|(key, _)| key.as_str());
        self.ran.messages[got].with(keys).timed_as(expected)
    }

    fn notes(&self, rules: &RuleSet) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |text: String| {
            if !notes.contains(&text) {
                notes.push(text);
            }
        };
        if self.ran.cut {
            let most = Ran::MESSAGES_MAX;
            note(format!(
                "more than {most} messages came; the test was ended there"
            ));
        }
        for row in &self.rows {
            let (Row::Missing(place) | Row::Different(place, _)) = *row else {
                continue;
            };
            let ExpectedMessage { at, rule, .. } = &self.test.expect[place];
            let until = self.test.until;
            if *at > until {
                let (at, until) = (format_duration(*at), format_duration(until));
                note(format!(
                    "the test ends at {until}; it lasts longer with `until: {at}`"
                ));
            }
            if rules.find(rule).is_none() {
                note(match nearest_id(rule, rules) {
                    Some(meant) => format!("there is no rule `{rule}`; did you mean `{meant}`?"),
                    None => format!("there is no rule `{rule}` in the files under `rules`"),
                });
            } else if !self.test.concerns(rule) {
                note(format!("`{rule}` is not in `only`"));
            } else if matches!(row, Row::Missing(_)) {
                let count = self.ran.matches.get(&**rule).copied().unwrap_or(0);
                let lines = if count == 1 { "line" } else { "lines" };
                note(format!("`{rule}` matched {count} {lines}"));
            }
        }
        notes
    }

    /// What has to become of the test's `expect` so that it is what came; `test` is the test's place in its file.
    #[must_use]
    pub fn change(&self, test: usize) -> Change {
        let mut change = Change {
            test,
            fates: vec![Fate::Remove; self.test.expect.len()],
            added: Vec::new(),
        };
        for row in &self.rows {
            match *row {
                Row::Same(expected, _) => change.fates[expected] = Fate::Keep,
                Row::Different(expected, got) => {
                    change.fates[expected] = Fate::Replace(self.rewritten(expected, got));
                }
                Row::Missing(_) => {}
                Row::Unexpected(got) => change.added.push(self.ran.messages[got].in_short()),
            }
        }
        change
    }
}

impl DiffLine {
    fn plain(side: Side, words: Vec<String>) -> Self {
        let words = words.into_iter().map(|word| (word, false)).collect();
        Self { side, words }
    }

    fn note(text: String) -> Self {
        Self::plain(Side::Note, vec![text])
    }
}

/// As `- 4m observed …`: what was expected, `+` what came.
impl std::fmt::Display for DiffLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.side.sign())?;
        self.words
            .iter()
            .try_for_each(|(word, _)| write!(f, " {word}"))
    }
}

impl Side {
    /// What stands before its lines.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Both => " ",
            Self::Expected => "-",
            Self::Got => "+",
            Self::Note => "  note:",
        }
    }
}

fn words(message: &ExpectedMessage) -> Vec<String> {
    message.words().collect()
}

/// For each of `expected` one of `got` that fits it, no two the same, for as many as possible: a value that is not listed may be
/// anything, so the first that fits may be needed elsewhere. Kuhn's algorithm: each looks for a free one, and for whoever is
/// in its way another.
fn assign(
    expected: &[usize],
    got: &[usize],
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    fn place(
        wanted: usize,
        fitting: &[Vec<usize>],
        owner: &mut [Option<usize>],
        tried: &mut [bool],
    ) -> bool {
        for &got in &fitting[wanted] {
            if std::mem::replace(&mut tried[got], true) {
                continue;
            }
            let free = match owner[got] {
                None => true,
                Some(other) => place(other, fitting, owner, tried),
            };
            if free {
                owner[got] = Some(wanted);
                return true;
            }
        }
        false
    }
    let fitting: Vec<Vec<usize>> = expected
        .iter()
        .map(|e| (0..got.len()).filter(|g| fits(*e, got[*g])).collect())
        .collect();
    let mut owner = vec![None; got.len()];
    for wanted in 0..expected.len() {
        place(wanted, &fitting, &mut owner, &mut vec![false; got.len()]);
    }
    let mut of = vec![None; expected.len()];
    for (place, owner) in owner.into_iter().enumerate() {
        if let Some(owner) = owner {
            of[owner] = Some(got[place]);
        }
    }
    of
}
