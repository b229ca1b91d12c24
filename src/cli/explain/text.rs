//! An explanation for people: the line with what was found in it, and below it each answer.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;

use super::super::input::Recorded;
use super::super::output::visible;
use crate::batch::trim_line;
use crate::explain::{
    Outcome, Report, Tally, column, comes_near, field_wanted, item_wanted, part_name, unread,
};
use crate::finding::{Finding, Kind};
use crate::hit::Role;
use crate::rules::{EscalateWhen, Rule};
use crate::scan::{ItemSeen, Near, Seen, Spoiler};

/// Most items that are named where none of them is there.
const ITEMS_NAMED_MAX: usize = 5;

/// Colours as grep has them: what is found is bold red, a file magenta, a number green; what is in the way is yellow.
const FILE: &str = "35";
const NUMBER: &str = "32";
const FOUND: &str = "1;31";
const IN_THE_WAY: &str = "1;33";
const YES: &str = "32";
const NO: &str = "31";
const ADDED: &str = "36";

fn painted(text: &str, style: &str, color: bool) -> String {
    if color && !text.is_empty() {
        format!("\x1b[{style}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A line and everything about it.
pub(super) fn line(
    out: &mut impl Write,
    rule: &Rule,
    entry: &Recorded,
    report: &Report<'_>,
    color: bool,
) -> io::Result<()> {
    let bytes = trim_line(&entry.line);
    let file = painted(&visible(&entry.file), FILE, color);
    let n = painted(&entry.n.to_string(), NUMBER, color);
    let time = entry
        .at
        .map_or_else(|| "no time".to_owned(), |at| at.to_string());
    writeln!(
        out,
        "{file}:{n}: {time} {}",
        visible(&entry.stream.labels.to_string())
    )?;
    writeln!(out, "    {}", marked(bytes, &marks(report), color))?;
    for (holds, text) in answers(rule, report, bytes) {
        let mark = match holds {
            Some(true) => painted("✓", YES, color),
            Some(false) => painted("✗", NO, color),
            None => "·".to_owned(),
        };
        writeln!(out, "  {mark} {}", visible(&text))?;
    }
    Ok(())
}

/// Each answer, and whether it is a yes or a no where it is one.
fn answers(rule: &Rule, report: &Report<'_>, line: &[u8]) -> Vec<(Option<bool>, String)> {
    let explained = &report.explained;
    let mut answers = Vec::new();
    let unread = unread(report).into_iter();
    answers.extend(unread.map(|text| (Some(false), text)));
    if explained.is_read() {
        answers.push((Some(true), "selector".to_owned()));
    }
    if let Some(recovery) = explained
        .recovery
        .as_ref()
        .filter(|seen| seen.is_fulfilled())
    {
        answers.push((
            Some(true),
            format!("recover.match: {}", told(recovery, line)),
        ));
    }
    for (n, seen) in shown_parts(report) {
        let text = format!("{}: {}", part_name(rule, n), told(seen, line));
        answers.push((Some(seen.is_fulfilled()), text));
    }
    let matched = explained
        .verdict
        .as_ref()
        .filter(|verdict| verdict.role == Role::Match && rule.is_match(verdict.parts));
    if let Some(verdict) = matched {
        let escalations = rule
            .escalate
            .iter()
            .filter(|escalation| matches!(escalation.when, EscalateWhen::Match(_)));
        for (n, (escalation, seen)) in escalations.zip(&explained.escalations).enumerate() {
            let text = format!("escalates to {}: {}", escalation.to, told(seen, line));
            answers.push((Some(verdict.parts.escalates(n)), text));
        }
    }
    for (what, pairs) in [("key", &explained.key), ("values", &explained.values)] {
        if pairs.is_empty() {
            continue;
        }
        let pairs = pairs.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => format!("{name} is missing"),
        });
        answers.push((
            None,
            format!("{what}: {}", pairs.collect::<Vec<_>>().join(", ")),
        ));
    }
    answers.extend(match &report.outcome {
        Outcome::Nothing => None,
        Outcome::Denominator => Some((None, "counts in the denominator".to_owned())),
        Outcome::Recovery => Some((
            None,
            "recovery: ends what is open under its key, and empties its window".to_owned(),
        )),
        Outcome::Repeat => Some((
            Some(false),
            "the same entry again: it does not count".to_owned(),
        )),
        Outcome::Untimed => Some((
            Some(false),
            "it has no time: it counts in no window".to_owned(),
        )),
        Outcome::Match(None) => Some((None, "counts".to_owned())),
        Outcome::Match(Some(standing)) => {
            let missing = standing
                .missing()
                .map(|missing| format!("; missing: {missing}"));
            let text = format!("{standing}{}", missing.unwrap_or_default());
            Some((standing.holds().then_some(true), text))
        }
    });
    answers
}

/// The parts that say something: those that are fulfilled, else those that came near, else all.
fn shown_parts<'a, 'r>(report: &'a Report<'r>) -> Vec<(usize, &'a Seen<'r>)> {
    let parts = || report.explained.parts.iter().enumerate();
    let fulfilled: Vec<_> = parts().filter(|(_, seen)| seen.is_fulfilled()).collect();
    let is_recovery = matches!(report.outcome, Outcome::Recovery);
    // A denominator alone does not show why the line is no match.
    let is_all = report.miss.is_none() || !report.explained.is_read();
    if is_recovery || is_all && !fulfilled.is_empty() {
        return fulfilled;
    }
    let near: Vec<_> = parts()
        .filter(|(_, seen)| seen.is_fulfilled() || comes_near(seen))
        .collect();
    if near.is_empty() {
        parts().collect()
    } else {
        near
    }
}

/// What a line has of a `match`, and what it lacks.
fn told(seen: &Seen<'_>, line: &[u8]) -> String {
    let mut facts = Vec::new();
    for item in &seen.all {
        facts.push(match &item.at {
            Some(at) => found(item, at, line),
            None => format!(
                "lacks {} of `all`{}",
                item_wanted(item.item),
                near(item, line)
            ),
        });
    }
    let of_any: Vec<_> = seen
        .any
        .iter()
        .filter_map(|item| Some(found(item, item.at.as_ref()?, line)))
        .collect();
    if of_any.is_empty() && !seen.any.is_empty() {
        let named = seen.any.iter().take(ITEMS_NAMED_MAX);
        let mut named: Vec<_> = named
            .map(|item| format!("{}{}", item_wanted(item.item), near(item, line)))
            .collect();
        if seen.any.len() > ITEMS_NAMED_MAX {
            named.push(format!("and {} more", seen.any.len() - ITEMS_NAMED_MAX));
        }
        facts.push(format!("lacks {}", named.join(", ")));
    }
    facts.extend(of_any);
    for field in &seen.fields {
        let is = match &field.value {
            Some(value) => format!("{} is `{value}`", field.test.name),
            None => format!("{} is missing", field.test.name),
        };
        let wanted = if field.holds {
            String::new()
        } else {
            format!(", {} is wanted", field_wanted(field.test))
        };
        facts.push(format!("{is}{wanted}"));
    }
    for spoiler in &seen.spoilt_by {
        facts.push(match spoiler {
            Spoiler::Item(item, at) => {
                format!(
                    "spoilt by {} at column {}",
                    item_wanted(item),
                    column(line, at.start)
                )
            }
            Spoiler::Rule(id) => format!("left to the rule `{id}`, whose line it is"),
        });
    }
    if facts.is_empty() {
        return "any line".to_owned();
    }
    facts.join("; ")
}

fn found(item: &ItemSeen<'_>, at: &Range<usize>, line: &[u8]) -> String {
    format!(
        "{} at column {}",
        item_wanted(item.item),
        column(line, at.start)
    )
}

fn near(item: &ItemSeen<'_>, line: &[u8]) -> String {
    match &item.near {
        None => String::new(),
        Some(Near::OtherCase(at)) => {
            format!(" (in other letters at column {})", column(line, at.start))
        }
        Some(Near::Escaped(at)) => {
            format!(" (with backslashes at column {})", column(line, at.start))
        }
        Some(Near::Unescaped(at)) => {
            format!(
                " (without backslashes at column {})",
                column(line, at.start)
            )
        }
    }
}

/// Where something was found, and how it is painted.
fn marks(report: &Report<'_>) -> Vec<(Range<usize>, &'static str)> {
    let explained = &report.explained;
    let recovery = explained.recovery.iter().filter(|seen| seen.is_fulfilled());
    let mut marks = Vec::new();
    for seen in recovery.chain(&explained.parts) {
        for item in seen.all.iter().chain(&seen.any) {
            marks.extend(item.at.clone().map(|at| (at, FOUND)));
            if let Some(Near::OtherCase(at) | Near::Escaped(at) | Near::Unescaped(at)) = &item.near
            {
                marks.push((at.clone(), IN_THE_WAY));
            }
        }
        for spoiler in &seen.spoilt_by {
            if let Spoiler::Item(_, at) = spoiler {
                marks.push((at.clone(), IN_THE_WAY));
            }
        }
    }
    marks.sort_by_key(|(at, _)| (at.start, at.end));
    marks
}

/// The line with `marks`, which are in order; of two that overlap the first is whole.
fn marked(line: &[u8], marks: &[(Range<usize>, &'static str)], color: bool) -> String {
    let piece = |range: Range<usize>| visible(&String::from_utf8_lossy(&line[range]));
    let mut text = String::new();
    let mut at = 0;
    for (mark, style) in marks {
        let mark = mark.start.max(at)..mark.end.max(at);
        text.push_str(&piece(at..mark.start));
        text.push_str(&painted(&piece(mark.clone()), style, color));
        at = mark.end;
    }
    text.push_str(&piece(at..line.len()));
    text
}

/// What the detector says.
pub(super) fn finding(out: &mut impl Write, finding: &Finding, color: bool) -> io::Result<()> {
    let Finding { time, severity, .. } = finding;
    let (kind, rule) = (Kind::of(finding).as_str(), &finding.rule.id);
    let head = painted(&format!("{time} {kind} {rule} {severity}"), ADDED, color);
    writeln!(out, "=> {head}: {}", visible(&finding.summary))
}

/// The answer.
pub(super) fn summary(
    out: &mut impl Write,
    rule: &Rule,
    tally: &Tally<'_>,
    color: bool,
) -> io::Result<()> {
    let mut head = format!("{}: {}", rule.id, rule.condition);
    if !rule.by.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(head, " by {}", rule.by.join(", "));
    }
    writeln!(out, "{}", painted(&visible(&head), ADDED, color))?;
    tally
        .answer()
        .iter()
        .try_for_each(|answer| writeln!(out, "  {}", visible(answer)))
}
