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

/// The piece `region` of `text` in pieces, in order and without gaps. A text that YAML cannot read is one piece.
#[must_use]
pub fn tokens(text: &str, region: &Range<usize>) -> Vec<Token> {
    // All of it is read: what an alias refers to may stand elsewhere.
    let tokens = all_tokens(text).into_iter();
    let cut = tokens.map(|token| Token {
        span: token.span.start.max(region.start)..token.span.end.min(region.end),
        ..token
    });
    cut.filter(|token| !token.span.is_empty()).collect()
}

fn all_tokens(text: &str) -> Vec<Token> {
    let mut marked = Vec::new();
    if let Ok(root) = super::read(text) {
        mark(&root, TokenKind::Text, &mut marked);
        let all = 0..text.len();
        for span in within(text, &all, &leaves(&root)) {
            let kind = TokenKind::Comment;
            marked.push(Token { kind, span });
        }
    }
    marked.sort_by_key(|token| token.span.start);
    let mut tokens = Vec::new();
    let mut at = 0;
    for token in marked {
        // What an alias repeats has been marked where it is written.
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
    if at < text.len() {
        let (kind, span) = (TokenKind::Other, at..text.len());
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
    use super::*;

    #[test]
    fn pieces_cover_a_text_once() {
        let text = "a: [x\n";
        let all = |text: &str| -> Vec<String> {
            let tokens = tokens(text, &(2..text.len())).into_iter();
            tokens
                .map(|token| format!("{:?} {:?}", token.kind, &text[token.span]))
                .collect()
        };
        // Not to be read: it is shown as it is.
        assert_eq!(all(text), ["Other \" [x\\n\""]);
        let text = "a: &x 'b' # c\nd: [*x, e]\n";
        expect_test::expect![[r##"
            Other " "
            Text "&x 'b'"
            Other " "
            Comment "# c"
            Other "\n"
            Key "d"
            Other ": [*x, "
            Text "e"
            Other "]\n""##]]
        .assert_eq(&all(text).join("\n"));
    }
}
