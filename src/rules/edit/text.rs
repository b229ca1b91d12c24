//! The surgery: where a change goes into a text. What it gives is a proposal, which is read again before anybody believes it.

use std::ops::Range;

use super::comments::{leaves, line_end, line_start, within};
use super::tree::{Tree, entry_lines, item_lines};
use super::{rank, rules_of};
use crate::rules::yaml::{Node, Value};

/// A map of a text, and what is around it.
struct Map<'a> {
    text: &'a str,
    entries: &'a [(Node, Node)],
    /// Whether it is in braces.
    flow: bool,
    /// What ends a line.
    newline: &'static str,
}

/// Proposals for `text` whose map `rule` has `key` with `value`.
pub(super) fn set(text: &str, rule: &Node, key: &str, value: &Tree) -> Vec<String> {
    let Some(map) = Map::of(text, rule) else {
        return Vec::new();
    };
    let known = map.position(key);
    let proposed = match (known, map.flow) {
        (Some(place), true) => map.set_in_braces(place, value),
        (Some(place), false) => map.set_in_block(place, value),
        (None, true) => map.insert_in_braces(key, value),
        (None, false) => map.insert_in_block(key, value),
    };
    proposed.into_iter().collect()
}

/// Proposals for `text` whose map `rule` has no `key`.
pub(super) fn remove(text: &str, rule: &Node, key: &str) -> Vec<String> {
    let Some(map) = Map::of(text, rule) else {
        return Vec::new();
    };
    let proposed = match map.position(key) {
        None => Some(text.to_owned()),
        Some(place) if map.flow => map.remove_in_braces(place),
        Some(place) => map.remove_in_block(place),
    };
    proposed.into_iter().collect()
}

/// Proposals for `text` with a rule more.
pub(super) fn add(text: &str, root: &Node, rule: &[(String, Tree)]) -> Vec<String> {
    let newline = newline(text);
    let rules = rules_of(root);
    let mut proposed = Vec::new();
    let list = root.get("rules");
    match (list, rules.last()) {
        (Some(list), Some(_)) if text[list.span.clone()].starts_with('[') => {
            let close = list.span.end - 1;
            let inside = text[..close].trim_end().len();
            let comma = if text[..inside].ends_with(',') {
                " "
            } else {
                ", "
            };
            let rule = Tree::Map(rule.to_vec()).in_line();
            proposed.push(splice(text, inside..inside, &format!("{comma}{rule}")));
        }
        (Some(_), Some(last)) => {
            let start = line_start(text, last.span.start);
            let before = &text[start..last.span.start];
            let Some(dash) = before.find('-') else {
                return proposed;
            };
            let lines = item_lines(rule);
            let lines: Vec<_> = lines
                .into_iter()
                .map(|line| shifted(&before[..dash], line))
                .collect();
            let lines = lines.join(newline);
            // At the end, where the rules are what the file ends with: what is noted below the last rule stays there.
            let end = if text.ends_with('\n') { "" } else { newline };
            proposed.push(format!("{text}{end}{lines}{newline}"));
            let behind = line_end(text, last.span.end);
            proposed.push(splice(text, behind..behind, &format!("{newline}{lines}")));
        }
        (Some(_), None) => {
            let rules = Tree::List(vec![Tree::Map(rule.to_vec())]);
            if let Some(map) = Map::of(text, root)
                && !map.flow
                && let Some(place) = map.position("rules")
            {
                proposed.extend(map.replace_in_block(place, "", &below_rules(rule)));
            } else {
                proposed.extend(set(text, root, "rules", &rules));
            }
        }
        (None, _) => {
            let end = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                newline
            };
            let lines = below_rules(rule).join(newline);
            proposed.push(format!("{text}{end}rules:{newline}{lines}{newline}"));
        }
    }
    proposed
}

fn below_rules(rule: &[(String, Tree)]) -> Vec<String> {
    let lines = item_lines(rule).into_iter();
    lines.map(|line| shifted("  ", line)).collect()
}

fn shifted(indent: &str, line: String) -> String {
    if line.is_empty() {
        line
    } else {
        format!("{indent}{line}")
    }
}

fn newline(text: &str) -> &'static str {
    match text.split_once('\n') {
        Some((first, _)) if first.ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

fn splice(text: &str, range: Range<usize>, with: &str) -> String {
    format!("{}{with}{}", &text[..range.start], &text[range.end..])
}

impl<'a> Map<'a> {
    fn of(text: &'a str, node: &'a Node) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            return None;
        };
        Some(Self {
            text,
            entries,
            flow: text.as_bytes().get(node.span.start) == Some(&b'{'),
            newline: newline(text),
        })
    }

    fn position(&self, key: &str) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries.position(|(name, _)| name.scalar() == Some(key))
    }

    /// The byte behind the colon of an entry.
    fn behind_colon(&self, place: usize) -> Option<usize> {
        let key = &self.entries[place].0.span;
        let rest = &self.text[key.end..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        rest[blanks..]
            .starts_with(':')
            .then_some(key.end + blanks + 1)
    }

    /// Where an entry's value ends; behind the colon where there is none, or what is there is written elsewhere.
    fn end(&self, place: usize, colon: usize) -> usize {
        let value = &self.entries[place].1;
        if value.span.start >= colon && !value.span.is_empty() {
            value.span.end
        } else {
            colon
        }
    }

    /// What stands in front of the keys but the first: blanks.
    fn indent(&self) -> Option<String> {
        let first = self.entries.first()?.0.span.start;
        let before = &self.text[line_start(self.text, first)..first];
        before
            .chars()
            .all(|c| c == ' ' || c == '-')
            .then(|| " ".repeat(before.len()))
    }

    /// The entry behind which a new one goes: so that keys stand in the order in which people write them.
    fn before_new(&self, key: &str) -> usize {
        let wanted = rank(key);
        let rank_of = |(name, _): &(Node, Node)| name.scalar().and_then(rank);
        let entries = self.entries.iter();
        entries
            .enumerate()
            .filter(|(_, entry)| rank_of(entry) < wanted)
            .map(|(place, _)| place)
            .next_back()
            .unwrap_or(0)
    }

    fn set_in_block(&self, place: usize, value: &Tree) -> Option<String> {
        let colon = self.behind_colon(place)?;
        let old = &self.entries[place].1;
        let (head, body) = value.below_key();
        let in_line = !old.span.is_empty()
            && old.span.start >= colon
            && old.span.end <= line_end(self.text, colon)
            && self.text[colon..old.span.start].trim().is_empty();
        if in_line && body.is_empty() {
            return Some(splice(self.text, old.span.clone(), &head));
        }
        self.replace_in_block(place, &head, &body)
    }

    /// Puts `head` behind the colon and `body` below; comments that stood in the old value stay, below the new one.
    fn replace_in_block(&self, place: usize, head: &str, body: &[String]) -> Option<String> {
        let colon = self.behind_colon(place)?;
        let indent = self.indent()?;
        let end = line_end(self.text, self.end(place, colon));
        let region = colon..end;
        let first_line = line_end(self.text, colon);
        let comments = within(self.text, &region, &leaves(&self.entries[place].1));
        let (beside, below): (Vec<_>, Vec<_>) = comments
            .into_iter()
            .partition(|comment| comment.start < first_line);
        let mut new = String::new();
        for piece in [head]
            .into_iter()
            .chain(beside.iter().map(|it| &self.text[it.clone()]))
        {
            if !piece.is_empty() {
                new.push(' ');
                new.push_str(piece);
            }
        }
        let below = below.into_iter().map(|it| self.text[it].to_owned());
        for line in body.iter().cloned().chain(below) {
            new.push_str(self.newline);
            new.push_str(&shifted(&indent, line));
        }
        Some(splice(self.text, region, &new))
    }

    fn insert_in_block(&self, key: &str, value: &Tree) -> Option<String> {
        let indent = self.indent()?;
        let place = self.before_new(key);
        let colon = self.behind_colon(place)?;
        let at = line_end(self.text, self.end(place, colon));
        let lines = entry_lines(&[(key.to_owned(), value.clone())]);
        let lines = lines
            .into_iter()
            .map(|line| format!("{}{}", self.newline, shifted(&indent, line)));
        Some(splice(self.text, at..at, &lines.collect::<String>()))
    }

    fn remove_in_block(&self, place: usize) -> Option<String> {
        let colon = self.behind_colon(place)?;
        let (key, value) = &self.entries[place];
        let indent = self.indent()?;
        let start = line_start(self.text, key.span.start);
        let first = !self.text[start..key.span.start].trim().is_empty();
        let end = if first {
            // The next key takes its place behind the dash.
            self.entries.get(place + 1)?.0.span.start
        } else {
            line_end(self.text, self.end(place, colon))
        };
        let comments = within(self.text, &(colon..end), &leaves(value));
        let comments = comments.into_iter().map(|it| &self.text[it]);
        if first {
            let dash = self.text[start..].find('-')?;
            let dash = &self.text[start..start + dash];
            let lines: String = comments
                .map(|comment| format!("{dash}{comment}{}", self.newline))
                .collect();
            let without = splice(self.text, key.span.start..end, "");
            return Some(splice(&without, start..start, &lines));
        }
        let lines: Vec<_> = comments
            .map(|comment| format!("{indent}{comment}"))
            .collect();
        if !lines.is_empty() {
            return Some(splice(self.text, start..end, &lines.join(self.newline)));
        }
        // The line goes with what ends it: that of the line before where it is the last.
        let rest = &self.text[end..];
        let behind = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        let one = self.newline.len().min(behind);
        let start = match one {
            0 => self.text[..start].trim_end_matches(['\r', '\n']).len(),
            _ => start,
        };
        Some(splice(self.text, start..end + one, ""))
    }

    fn set_in_braces(&self, place: usize, value: &Tree) -> Option<String> {
        let (key, old) = &self.entries[place];
        let new = value.in_line();
        if !old.span.is_empty() && old.span.start >= key.span.end {
            return Some(splice(self.text, old.span.clone(), &new));
        }
        let (at, with) = match self.behind_colon(place) {
            Some(colon) => (colon, format!(" {new}")),
            None => (key.span.end, format!(": {new}")),
        };
        Some(splice(self.text, at..at, &with))
    }

    fn insert_in_braces(&self, key: &str, value: &Tree) -> Option<String> {
        let place = self.before_new(key);
        let name = &self.entries.get(place)?.0;
        let at = self.end(place, self.behind_colon(place).unwrap_or(name.span.end));
        let with = format!(", {key}: {}", value.in_line());
        Some(splice(self.text, at..at, &with))
    }

    fn remove_in_braces(&self, place: usize) -> Option<String> {
        let end_of = |place: usize| {
            let name = &self.entries[place].0;
            self.end(place, self.behind_colon(place).unwrap_or(name.span.end))
        };
        let region = match self.entries.get(place + 1) {
            Some((next, _)) => self.entries[place].0.span.start..next.span.start,
            None => end_of(place.checked_sub(1)?)..end_of(place),
        };
        let (key, value) = &self.entries[place];
        let mut written = leaves(value);
        written.insert(0, key.span.clone());
        let comments = within(self.text, &region, &written);
        comments.is_empty().then(|| splice(self.text, region, ""))
    }
}
