//! A rule file's text in pieces, for who shows it.

use std::ops::Range;

use super::comments::{leaves, within};
use crate::rules::yaml::{Node, Value};

/// What a piece of a rule file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// The name of something.
    Key,
    /// What is said of it.
    Text,
    /// A note for people.
    Comment,
    /// Blanks, dashes, brackets.
    Other,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is, in bytes.
    pub span: Range<usize>,
}

/// The `lines` of `text` in which `rule` is written, in pieces, in order and without gaps.
pub(super) fn tokens(text: &str, lines: &Range<usize>, rule: &Node) -> Vec<Token> {
    let mut marked = Vec::new();
    mark(rule, TokenKind::Text, &mut marked);
    for span in within(text, lines, &leaves(rule)) {
        let kind = TokenKind::Comment;
        marked.push(Token { kind, span });
    }
    // What an alias repeats is written elsewhere.
    marked.retain(|token| lines.start <= token.span.start && token.span.end <= lines.end);
    marked.sort_by_key(|token| token.span.start);
    let mut tokens = Vec::new();
    let mut at = lines.start;
    for token in marked {
        if token.span.start < at || token.span.is_empty() {
            continue;
        }
        if token.span.start > at {
            let (kind, span) = (TokenKind::Other, at..token.span.start);
            tokens.push(Token { kind, span });
        }
        at = token.span.end;
        tokens.push(token);
    }
    if at < lines.end {
        let (kind, span) = (TokenKind::Other, at..lines.end);
        tokens.push(Token { kind, span });
    }
    tokens
}

fn mark(node: &Node, kind: TokenKind, marked: &mut Vec<Token>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar { .. } => marked.push(Token {
            kind,
            span: node.span.clone(),
        }),
        Value::List(items) => {
            for item in items {
                mark(item, TokenKind::Text, marked);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                mark(key, TokenKind::Key, marked);
                mark(value, TokenKind::Text, marked);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::piece_of;

    #[test]
    fn pieces_cover_a_rule_once() {
        let text = "a: &x 'b'\nrules:\n  - id: r # c\n    match: [*x, e]\n\n  - id: s\n";
        let piece = piece_of(text, "r").expect("it is there");
        let all = piece
            .tokens
            .into_iter()
            .map(|token| format!("{:?} {:?}", token.kind, &text[token.span]));
        expect_test::expect![[r##"
            Other "  - "
            Key "id"
            Other ": "
            Text "r"
            Other " "
            Comment "# c"
            Other "\n    "
            Key "match"
            Other ": [*x, "
            Text "e"
            Other "]""##]]
        .assert_eq(&all.collect::<Vec<_>>().join("\n"));
        assert_eq!(piece_of("rules: [{id: r", "r"), None, "not to be read");
    }
}
