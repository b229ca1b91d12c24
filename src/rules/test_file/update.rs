//! The same file with other messages under `expect`, and every other byte as it was: comments, indentation, order.

use std::ops::Range;

use super::{ExpectedMessage, Test, TestFile};
use crate::rules::problem::{SourceText, quoted};

/// What becomes of one test's `expect`.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The place of the test in [`TestFile::tests`].
    pub test: usize,
    /// For each message that is there, what becomes of it.
    pub fates: Vec<Fate>,
    /// Messages that are not there yet.
    pub added: Vec<ExpectedMessage>,
}

/// What becomes of a message of `expect`.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It stays as it is written.
    Keep,
    /// This takes its place.
    Replace(ExpectedMessage),
    /// It goes.
    Remove,
}

/// The text of `source`, which was read as `file`, with `changes` made; at most one for each test.
///
/// `None` where a change cannot be made in place: the list stands elsewhere and is only referred to here, or an item is
/// written in a form that its neighbours would suffer from. The result was read again, and says what it should.
#[must_use]
pub fn update(source: &SourceText, file: &TestFile, changes: &[Change]) -> Option<String> {
    let mut edits = Vec::new();
    for change in changes {
        let test = file.tests.get(change.test)?;
        edits.extend(List { source, test }.edits(change)?);
    }
    edits.sort_by_key(|(place, _)| (place.start, place.end));
    let mut text = String::with_capacity(source.text.len());
    let mut done = 0;
    for (place, put) in edits {
        text.push_str(source.text.get(done..place.start)?);
        text.push_str(&put);
        done = place.end;
    }
    text.push_str(source.text.get(done..)?);

    let changed = SourceText {
        name: source.name.clone(),
        text,
    };
    let read = TestFile::read(&changed).file?;
    says(&read, file, changes).then_some(changed.text)
}

/// Whether `read` is `file` with `changes`.
fn says(read: &TestFile, file: &TestFile, changes: &[Change]) -> bool {
    let paths = |file: &TestFile| -> Vec<String> {
        let paths = file.rules.iter();
        paths.map(|rules| rules.path.clone()).collect()
    };
    let rest = |test: &Test| {
        let ids = test.only.iter().map(|only| only.id.clone());
        let lines = test.lines.iter();
        let lines = lines.map(|line| {
            (
                line.at,
                line.step,
                line.count,
                line.arrives,
                line.labels.clone(),
                line.text.clone(),
            )
        });
        (
            test.name.clone(),
            test.until,
            test.start,
            ids.collect::<Vec<_>>(),
            test.environment.clone(),
            lines.collect::<Vec<_>>(),
        )
    };
    paths(read) == paths(file)
        && read.tests.len() == file.tests.len()
        && read
            .tests
            .iter()
            .zip(&file.tests)
            .enumerate()
            .all(|(place, (new, old))| {
                let mut wanted: Vec<&ExpectedMessage> = Vec::new();
                match changes.iter().find(|change| change.test == place) {
                    None => wanted.extend(&old.expect),
                    Some(change) => {
                        for (message, fate) in old.expect.iter().zip(&change.fates) {
                            match fate {
                                Fate::Keep => wanted.push(message),
                                Fate::Replace(other) => wanted.push(other),
                                Fate::Remove => {}
                            }
                        }
                        wanted.extend(&change.added);
                    }
                }
                let mut shown: Vec<_> = wanted.iter().map(ToString::to_string).collect();
                let mut is: Vec<_> = new.expect.iter().map(ToString::to_string).collect();
                shown.sort_unstable();
                is.sort_unstable();
                shown == is && rest(new) == rest(old)
            })
}

type Edit = (Range<usize>, String);

/// The `expect` of one test as it is written.
struct List<'a> {
    source: &'a SourceText,
    test: &'a Test,
}

impl List<'_> {
    fn edits(&self, change: &Change) -> Option<Vec<Edit>> {
        let Self { source, test } = self;
        let places = &test.places;
        // An alias: the list is somebody else's too.
        if places.list.start < places.key.end || places.list.end > places.test.end {
            return None;
        }
        let is_block = source.slice(&places.list).starts_with('-');
        let (messages, fates) = (&test.expect, &change.fates);
        if messages.len() != fates.len() {
            return None;
        }
        let stays = fates.iter().any(|fate| *fate != Fate::Remove);
        if !is_block || !stays {
            return self.whole(change, is_block);
        }
        let mut edits = Vec::new();
        let mut added = change.added.clone();
        added.sort_by_key(|message| message.at);
        let mut added = added.into_iter().peekable();
        for (message, fate) in messages.iter().zip(fates) {
            let at = match fate {
                Fate::Keep => message.at,
                Fate::Replace(other) => {
                    edits.push((message.span.clone(), plain(other)));
                    other.at
                }
                Fate::Remove => {
                    edits.push((self.lines_of(message)?, String::new()));
                    continue;
                }
            };
            let before = self.lines_of(message)?.start;
            let before = self.above_comments(before);
            while let Some(new) = added.next_if(|new| new.at < at) {
                edits.push((before..before, self.item(message, &new)?));
            }
        }
        let last = messages.last()?;
        let end = self.lines_of(last)?.end;
        for new in added {
            let mut item = self.item(last, &new)?;
            if !source.text[..end].ends_with('\n') {
                item = format!("\n{}", item.trim_end_matches('\n'));
            }
            edits.push((end..end, item));
        }
        Some(edits)
    }

    /// The list written anew: from `[]` or another form in brackets, or to `[]`.
    fn whole(&self, change: &Change, is_block: bool) -> Option<Vec<Edit>> {
        let Self { source, test } = self;
        let places = &test.places;
        let mut items: Vec<ExpectedMessage> = change.added.clone();
        for (message, fate) in test.expect.iter().zip(&change.fates) {
            match fate {
                Fate::Keep => items.push(message.clone()),
                Fate::Replace(other) => items.push(other.clone()),
                Fate::Remove => {}
            }
        }
        items.sort_by_key(|message| message.at);
        let colon = places.key.end + source.text.get(places.key.end..)?.find(':')? + 1;
        if is_block {
            // Nothing stays and, if nothing comes, a list in brackets says so. Comments between the items stay.
            let mut edits = Vec::new();
            for message in &test.expect {
                edits.push((self.lines_of(message)?, String::new()));
            }
            if items.is_empty() {
                edits.push((colon..colon, " []".to_owned()));
            } else {
                let first = test.expect.first()?;
                let mut put = String::new();
                for new in &items {
                    put.push_str(&self.item(first, new)?);
                }
                edits.first_mut()?.1 = put;
            }
            return Some(edits);
        }
        let between = source.slice(&(colon..places.list.start));
        if !between.trim().is_empty() {
            return None;
        }
        let in_braces = source.slice(&places.test).starts_with('{');
        let put = if items.is_empty() {
            " []".to_owned()
        } else if in_braces {
            let items: Vec<_> = items.iter().map(|item| quoted(&item.to_string())).collect();
            format!(" [{}]", items.join(", "))
        } else {
            let (line, _) = source.line_at(places.key.start);
            let indent = places.key.start - line.start;
            let item = |item: &ExpectedMessage| format!("\n{:indent$}  - {}", "", plain(item));
            items.iter().map(item).collect()
        };
        Some(vec![(colon..places.list.end, put)])
    }

    /// The lines of an item, with their line ends.
    fn lines_of(&self, message: &ExpectedMessage) -> Option<Range<usize>> {
        let (first, _) = self.source.line_at(message.span.start);
        let (last, _) = self.source.line_at(message.span.end);
        // Two items of one line: neither has lines of its own.
        let before = self.source.slice(&(first.start..message.span.start));
        if before.trim() != "-" {
            return None;
        }
        let text = &self.source.text;
        let end = text[last.end..]
            .find('\n')
            .map_or(text.len(), |newline| last.end + newline + 1);
        Some(first.start..end)
    }

    /// Where the comments begin that stand directly above the line that begins at `at`.
    fn above_comments(&self, mut at: usize) -> usize {
        while let Some(before) = at.checked_sub(1) {
            let (line, _) = self.source.line_at(before);
            if !self.source.slice(&line).trim_start().starts_with('#') {
                break;
            }
            at = line.start;
        }
        at
    }

    /// `message` as a line of its own, indented as `beside` is.
    fn item(&self, beside: &ExpectedMessage, message: &ExpectedMessage) -> Option<String> {
        let (line, _) = self.source.line_at(beside.span.start);
        let before = self.source.slice(&(line.start..beside.span.start));
        let newline = if self.source.text[line.end..].starts_with("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        Some(format!("{before}{}{newline}", plain(message)))
    }
}

/// `message` as an item of a block list: quoted only where YAML needs it.
fn plain(message: &ExpectedMessage) -> String {
    let text = message.to_string();
    let is_plain = !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !text.chars().any(char::is_control);
    if is_plain { text } else { quoted(&text) }
}
