//! Reading `match`: items, groups of them, and what YAML makes of texts that should have been quoted.

use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::ScalarStyle;

use super::Reader;
use super::patterns::Empty;
use super::value::{Entries, TEXT_BYTES_MAX};
use crate::rules::keys::Place;
use crate::rules::model::{Exclude, Item, Match, Pattern};
use crate::rules::problem::{Code, Fault, quoted, shortened};
use crate::rules::yaml::{Node, Value};
use crate::rules::{pattern, threshold};

/// A `match` with where its pieces stand.
#[derive(Debug, Clone, Default)]
pub(in crate::rules) struct Matching {
    pub(in crate::rules) matches: Match,
    /// Of the whole value.
    pub(in crate::rules) span: Range<usize>,
    /// Of each item of `any`, then of `all`.
    pub(in crate::rules) items: Vec<Range<usize>>,
    /// Rules that `none` names.
    pub(in crate::rules) excludes: Vec<(String, Range<usize>)>,
}

impl Reader<'_> {
    /// Reads a `match`: an item, a list of items, or groups.
    pub(super) fn matching(&mut self, node: &Node, ignore_case: bool) -> Matching {
        let mut matching = Matching {
            span: self.place(&node.span),
            ..Matching::default()
        };
        let out = &mut matching;
        let map = match &node.value {
            Value::Map(_) => self.groups(node),
            _ => None,
        };
        let Some(keys) = map else {
            if !matches!(node.value, Value::Map(_)) {
                out.matches.any = self.group(node, "`match`", ignore_case, &mut out.items);
            }
            return matching;
        };
        if let Some((key, re)) = keys.entry("re") {
            if let Some((group, _)) = keys.names().find(|(name, _)| *name != "re") {
                self.fault(
                    Fault::new(
                        Code::Match,
                        key.span.clone(),
                        format!("`match` has either `re` or groups, and here are `re` and `{group}`"),
                    )
                    .help(format!(
                        "make the expression an item of a group: `match: {{all: [{{re: …}}], {group}: …}}`"
                    )),
                );
                return matching;
            }
            if let Some(pattern) = self.pattern(re, ignore_case) {
                out.items.push(self.place(&re.span));
                out.matches.any.push(Item::Regex(pattern));
            }
            return matching;
        }
        if let Some(node) = keys.get("any") {
            out.matches.any = self.group(node, "`any`", ignore_case, &mut out.items);
        }
        if let Some(node) = keys.get("all") {
            out.matches.all = self.group(node, "`all`", ignore_case, &mut out.items);
        }
        if let Some(node) = keys.get("none") {
            out.matches.none = self.excludes(node, ignore_case, &mut out.excludes);
        }
        if let Some(node) = keys.get("fields") {
            out.matches.fields = self.fields(node, ignore_case);
        }
        if let (Value::Map(entries), true) = (&node.value, keys.is_empty())
            && entries.is_empty()
        {
            self.fault(
                Fault::new(
                    Code::Match,
                    node.span.clone(),
                    "`match` is empty, and would match every line",
                )
                .help("write a text that the lines contain"),
            );
        }
        matching
    }

    /// The groups of a `match` that is a map, unless it is a text with `: ` in disguise.
    fn groups<'n>(&mut self, node: &'n Node) -> Option<Entries<'n>> {
        if let Some(fault) = self.disguised_text(node, Place::Match) {
            self.fault(fault);
            return None;
        }
        self.map(node, Place::Match)
    }

    /// The fault for a map of one entry whose key no map here has: `- nats: no servers`.
    fn disguised_text(&self, node: &Node, place: Place) -> Option<Fault> {
        let Value::Map(entries) = &node.value else {
            return None;
        };
        let [(key, _)] = &entries[..] else {
            return None;
        };
        let name = key.scalar()?;
        if crate::rules::keys::find(place, name).is_some()
            || crate::rules::keys::meant(place, name).is_some()
        {
            return None;
        }
        self.colon_text(node)
    }

    fn group(
        &mut self,
        node: &Node,
        what: &str,
        ignore_case: bool,
        spans: &mut Vec<Range<usize>>,
    ) -> Vec<Item> {
        let mut items = Vec::new();
        for node in self.items(node, what) {
            if let Value::Map(_) = node.value {
                let Some(keys) = self.item_map(node) else {
                    continue;
                };
                if let Some((key, _)) = keys.entry("rule") {
                    self.fault(
                        Fault::new(
                            Code::Match,
                            key.span.clone(),
                            "`rule` stands for another rule's `match` in `none` only",
                        )
                        .help("move it there; the text `rule: …` must be quoted"),
                    );
                } else if let Some(re) = keys.get("re")
                    && let Some(pattern) = self.pattern(re, ignore_case)
                {
                    spans.push(self.place(&node.span));
                    items.push(Item::Regex(pattern));
                }
            } else if let Some(item) = self.text_item(node, ignore_case) {
                spans.push(self.place(&node.span));
                items.push(item);
            }
        }
        items
    }

    fn excludes(
        &mut self,
        node: &Node,
        ignore_case: bool,
        rules: &mut Vec<(String, Range<usize>)>,
    ) -> Vec<Exclude> {
        let mut excludes = Vec::new();
        for node in self.items(node, "`none`") {
            if let Value::Map(_) = node.value {
                let Some(keys) = self.item_map(node) else {
                    continue;
                };
                if let Some((key, _)) = keys.entry("re")
                    && keys.get("rule").is_some()
                {
                    self.fault(
                        Fault::new(
                            Code::Match,
                            key.span.clone(),
                            "an item has either `re` or `rule`",
                        )
                        .help("make them two items"),
                    );
                } else if let Some(re) = keys.get("re") {
                    let pattern = self.pattern(re, ignore_case);
                    excludes.extend(pattern.map(|pattern| Exclude::Item(Item::Regex(pattern))));
                } else if let Some(id) = keys.get("rule")
                    && let Some(text) = self.token(id, "the id of a rule")
                {
                    rules.push((text.clone(), self.place(&id.span)));
                    excludes.push(Exclude::Rule(text));
                }
            } else {
                excludes.extend(self.text_item(node, ignore_case).map(Exclude::Item));
            }
        }
        excludes
    }

    pub(super) fn item_map<'n>(&mut self, node: &'n Node) -> Option<Entries<'n>> {
        if let Some(fault) = self.disguised_text(node, Place::Item) {
            self.fault(fault);
            return None;
        }
        if node.value == Value::Map(Vec::new()) {
            self.fault(
                Fault::new(
                    Code::Missing,
                    node.span.clone(),
                    "this map is empty, and looks for nothing",
                )
                .help("write a text, or `{re: 'an expression'}`"),
            );
            return None;
        }
        self.map(node, Place::Item)
    }

    fn text_item(&mut self, node: &Node, ignore_case: bool) -> Option<Item> {
        let text = self.text(node, "an item of `match`", TEXT_BYTES_MAX)?;
        self.check_written(node, text)?;
        if looks_like_regex(text) {
            self.fault(
                Fault::new(
                    Code::LooksLikeRegex,
                    node.span.clone(),
                    "this looks like an expression, and is looked for as the text that it is",
                )
                .help(format!(
                    "an expression is written {{re: {}}}",
                    quoted(&shortened(text))
                )),
            );
        }
        Some(Item::Text {
            text: text.to_owned(),
            ignore_case,
        })
    }

    /// What YAML did to a text on the way, and nobody sees.
    fn check_written(&mut self, node: &Node, text: &str) -> Option<()> {
        let Value::Scalar { style, .. } = node.value else {
            return Some(());
        };
        let raw = self.source.slice(&node.span);
        if style == ScalarStyle::Plain && raw.contains('\n') {
            let line = raw.lines().next().unwrap_or_default().trim_end();
            self.fault(
                Fault::new(
                    Code::Match,
                    node.span.start..node.span.start + line.len(),
                    "this text goes on in the next line, which YAML joins with a blank",
                )
                .help(format!(
                    "indent the next line less, or quote the text as it is meant: {}",
                    quoted(&shortened(text))
                )),
            );
            return None;
        }
        if style == ScalarStyle::DoubleQuoted && text.contains(['\u{7}', '\u{8}']) {
            self.fault(
                Fault::new(
                    Code::Match,
                    node.span.clone(),
                    "in double quotes `\\b` is a backspace and `\\a` a bell, which no log line holds",
                )
                .help("use single quotes, in which `\\` means itself"),
            );
            return None;
        }
        // `error #5`: a blank and `#` begin a comment. People put a blank after it, identifiers do not.
        let after = self.source.text.get(node.span.end..).unwrap_or_default();
        let comment = after
            .strip_prefix(" #")
            .and_then(|rest| rest.chars().next());
        if style == ScalarStyle::Plain
            && let Some(next) = comment
            && !next.is_whitespace()
            && next != '#'
        {
            let (line, _) = self.source.line_at(node.span.end);
            let meant = self.source.slice(&(node.span.start..line.end)).trim_end();
            self.fault(
                Fault::new(
                    Code::CutByComment,
                    node.span.end + 1..node.span.start + meant.len(),
                    "` #` begins a comment: the text ends before it",
                )
                .help(format!(
                    "if it belongs to the text, quote it: {}",
                    quoted(&shortened(meant))
                )),
            );
        }
        Some(())
    }

    /// An expression for lines: one that matches the empty string is refused.
    fn pattern(&mut self, node: &Node, ignore_case: bool) -> Option<Arc<Pattern>> {
        self.compiled(node, "`re`", ignore_case, Empty::Refused)
    }

    /// Goes on if expressions `fit`, else tells once that there are too many.
    pub(super) fn go_on_if(&mut self, fit: bool, node: &Node) -> Option<()> {
        if fit {
            return Some(());
        }
        if let Some(too_much) = self.patterns.too_much() {
            self.fault(Fault::new(Code::TooMany, node.span.clone(), too_much));
        }
        None
    }

    /// An expression.
    pub(super) fn compiled(
        &mut self,
        node: &Node,
        what: &str,
        ignore_case: bool,
        empty: Empty,
    ) -> Option<Arc<Pattern>> {
        if let Value::List(_) = node.value {
            self.fault(
                Fault::new(Code::Shape, node.span.clone(), format!("{what} is one expression"))
                    .help("a list has one `{re: …}` for each; an expression that begins with `[` must be quoted"),
            );
            return None;
        }
        let text = self.text(node, what, pattern::PATTERN_BYTES_MAX)?;
        self.check_written(node, text)?;
        let fits = self.patterns.one_more();
        self.go_on_if(fits, node)?;
        match self.patterns.compile(text, ignore_case, empty) {
            Ok(pattern) => Some(pattern),
            Err(fault) => {
                self.fault_within(node, text, fault);
                None
            }
        }
    }

    /// The name of a label, field or capture.
    pub(super) fn name(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        if !threshold::is_name(text) {
            let fault = Fault::new(
                Code::Value,
                node.span.clone(),
                format!("`{}` is not {what}", shortened(text)),
            );
            self.fault(if text.contains(',') {
                fault.help("several names make a list: `[a, b]`")
            } else {
                fault.help("a name has no blanks, commas, quotes or braces")
            });
            return None;
        }
        Some(text.to_owned())
    }
}

/// Marks of an expression that hardly any log line holds.
pub(in crate::rules) fn looks_like_regex(text: &str) -> bool {
    const MARKS: [&str; 12] = [
        ".*", ".+", "\\d", "\\s", "\\S", "\\w", "\\b", "(?", "[0-9]", "[a-z", "[^", "\\.",
    ];
    // A Windows path or an escaped quote has backslashes too, so those need company.
    MARKS.iter().any(|mark| {
        text.contains(mark)
            && (!mark.starts_with('\\') || text.contains(['+', '*', '(', '[', '^', '$']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_marks_of_an_expression_are_noticed() {
        for text in [
            "failed.*login",
            r"user \S+ (new)",
            "[0-9] errors",
            "(?i)error",
        ] {
            assert!(looks_like_regex(text), "{text}");
        }
        for text in [
            "dial tcp 10.0.0.9:389",
            r"C:\data\sys",
            "[error] x (y)",
            "is it? yes+no",
        ] {
            assert!(!looks_like_regex(text), "{text}");
        }
    }
}
