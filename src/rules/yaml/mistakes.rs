//! What YAML's parser says, in the words of somebody who writes rules.
//!
//! The parser reports where it gave up; the mistake is usually a text that should have been quoted, so each case shows it quoted.

use std::ops::Range;

use crate::rules::keys;
use crate::rules::problem::{Code, Fault, SourceText, quoted, shortened};

/// The fault for the parser's message `info` at byte `at` of `source`; `open` is where the innermost open collection began.
pub(super) fn explain(source: &SourceText, at: usize, open: Option<usize>, info: &str) -> Fault {
    let line = Line::around(source, at);
    let rest = line.rest();
    let first = rest.chars().next().unwrap_or(' ');
    let here = at..at + first.len_utf8().min(source.text.len() - at);
    let fault = |span: Range<usize>, message: &str| Fault::new(Code::Syntax, span, message);
    let quote = |value: Range<usize>, message: &str| {
        let help = format!("quote it: {}", shown(source.slice(&value)));
        fault(value, message).help(help)
    };
    let quote_value = |message: &str| quote(line.value(), message);
    let quote_first = |span| {
        let message = format!("a text that begins with `{first}` must be quoted");
        quote(span, &message)
    };

    let selector = matches!(line.key(), Some("selector" | "unless"));
    if selector && source.slice(&line.value()).starts_with('{') {
        return quote_value("YAML cannot read this selector");
    }
    match info {
        // The parser's own limit, met before any of what is nested was handed over. It gives up far behind the first bracket.
        _ if info.contains("recursion limit") => super::too_deep(here),
        _ if info.contains("scanning a block scalar") => {
            let value = line.rest_of_value();
            let text = source.slice(&value);
            let what = if first == '>' {
                "folded block"
            } else {
                "block of text"
            };
            let fault = quote(value.clone(), &format!("`{first}` begins a {what} in YAML"));
            match text.strip_prefix(">=") {
                Some(bare) if line.key() == Some("threshold") => fault.help(format!(
                    "write `{}`, which means at least, or quote it: {}",
                    bare.trim(),
                    shown(text)
                )),
                _ => fault,
            }
        }
        _ if info.contains("mapping values are not allowed") => {
            if line.value().contains(&at) {
                return quote_value("a text with `: ` must be quoted");
            }
            fault(
                line.content()..line.value().end,
                "a `key: value` cannot stand here: the line above is not finished, or this one is indented too far",
            )
            .help("keys of one map begin in the same column")
        }
        _ if info.contains("unknown anchor") => quote(
            line.rest_of_value(),
            "a text that begins with `*` must be quoted: YAML takes it for an alias",
        ),
        _ if info.contains("unexpected character") || info.contains("parsing a tag") => {
            quote_first(line.rest_of_value())
        }
        _ if info.contains("unknown escape character") => bad_escape(source, at),
        _ if info.contains("trailing content after") => {
            quote_value("the text goes on after its closing quote")
        }
        _ if info.contains("expected '-' indicator") || info.contains("expected key") => {
            let value = line.value();
            let text = source.slice(&value);
            if at > value.start && text.starts_with(['[', '{']) {
                let open = &text[..1];
                quote_value(&format!("a text that begins with `{open}` must be quoted"))
            } else {
                fault(here, "this line's indentation fits nothing above it")
                    .help("items of one list, and keys of one map, begin in the same column")
            }
        }
        _ if info.contains("expected ',' or") => {
            let open = open.unwrap_or(at);
            let bracket = source.slice(&(open..open + 1));
            let close = if bracket == "{" { "}" } else { "]" };
            fault(
                open..open + bracket.len(),
                &format!("this `{bracket}` is not closed where it should be, or a text inside it must be quoted"),
            )
            .help(format!(
                "close it with `{close}`; quote texts that hold `: `, `,`, brackets or braces"
            ))
        }
        _ if info.contains("tabs disallowed") || first == '\t' => {
            fault(here, "YAML does not indent with tabs").help("use blanks")
        }
        _ if info.contains("quoted scalar") => {
            let span = at..at + rest.trim_end().len();
            fault(span, "this quote is not closed where it should be").help(
                "close it on the same line; inside single quotes, write `''` for a single quote",
            )
        }
        _ if info.contains("block sequence entries are not allowed") => quote_value(
            "`- ` begins a list item, which needs a line of its own; a text that begins so must be quoted",
        ),
        _ if info.contains("invalid indentation") => fault(
            here,
            "this line must be indented more than the key that it belongs to",
        )
        .help("indent it, also a closing bracket"),
        _ if info.contains("mapping keys are not allowed") => quote_first(line.rest_of_value()),
        _ if matches!(first, ',' | ']' | '}' | '[' | '{') => quote_first(line.value()),
        _ if first.is_control() && first != '\n' => {
            let code = u32::from(first);
            fault(
                here,
                &format!("the character U+{code:04X} cannot stand in YAML"),
            )
            .help("in double quotes it can be written as an escape, such as \"\\u001b\"")
        }
        _ => fault(here, &format!("not YAML: {}", info.trim_end_matches('.')))
            .help("a text with special characters must be quoted"),
    }
}

/// `"\S+"`: the escape that YAML does not know, or knows as something else.
fn bad_escape(source: &SourceText, at: usize) -> Fault {
    let text = &source.text[at..];
    let mut escape = 0;
    let mut chars = text.char_indices();
    while let Some((place, c)) = chars.next() {
        if c == '\\' {
            match chars.next() {
                Some((_, known)) if "0abtnvfre \"/\\N_LPxuU\t\n".contains(known) => {}
                _ => {
                    escape = place;
                    break;
                }
            }
        }
    }
    let end = text[escape..]
        .char_indices()
        .nth(2)
        .map_or(text.len(), |(next, _)| escape + next);
    let escape = &text[escape..end];
    let start = at + end - escape.len();
    Fault::new(
        Code::Syntax,
        start..start + escape.len(),
        format!("`{escape}` is no escape that YAML knows in double quotes"),
    )
    .help(format!(
        "use single quotes, in which `\\` means itself: '{escape}…'"
    ))
}

/// The line where the parser gave up.
struct Line<'a> {
    source: &'a SourceText,
    range: Range<usize>,
    at: usize,
}

impl<'a> Line<'a> {
    fn around(source: &'a SourceText, at: usize) -> Self {
        let (range, _) = source.line_at(at);
        Self { source, range, at }
    }

    /// From where the parser gave up to the end of the line.
    fn rest(&self) -> &'a str {
        self.source.slice(&(self.at..self.range.end.max(self.at)))
    }

    /// The value that begins where the parser gave up: to the end of the line, or of the item in brackets.
    fn rest_of_value(&self) -> Range<usize> {
        let value = self.value();
        let before = self.source.slice(&(value.start..self.at));
        let text = self.source.slice(&(self.at..value.end.max(self.at)));
        let text = if before.starts_with(['[', '{']) {
            text.split([',', ']', '}']).next().unwrap_or(text)
        } else {
            text
        };
        self.at..self.at + text.trim_end().len()
    }

    /// Where the line's content begins: behind blanks and list markers.
    fn content(&self) -> usize {
        let mut start = self.range.start;
        loop {
            let text = self.source.slice(&(start..self.range.end));
            start += text.len() - text.trim_start().len();
            match self
                .source
                .slice(&(start..self.range.end))
                .strip_prefix("- ")
            {
                Some(_) => start += 2,
                None => return start,
            }
        }
    }

    /// The rule language's key that the line begins with.
    fn key(&self) -> Option<&'a str> {
        let text = self.source.slice(&(self.content()..self.range.end));
        let (key, _) = text.split_once(':')?;
        keys::is_key(key).then_some(key)
    }

    /// What the line says after its key or list marker, without a comment.
    fn value(&self) -> Range<usize> {
        let mut start = self.content();
        if let Some(key) = self.key() {
            start += key.len() + 1;
        }
        let text = self.source.slice(&(start..self.range.end));
        let text = text.split(" #").next().unwrap_or(text);
        let blanks = text.len() - text.trim_start().len();
        start + blanks..start + text.trim_end().len().max(blanks)
    }
}

fn shown(text: &str) -> String {
    quoted(&shortened(text))
}
