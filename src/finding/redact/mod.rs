//! What must never leave: secrets in lines are replaced by `‹redacted:kind›` before a line is stored or sent.
//!
//! Recognised are what names itself (`password=`, `"token":"…"`, `Authorization: …`, in query, JSON, logfmt, YAML and
//! flag notation, however deep the quotes are escaped), user info in URLs, and what has a form of its own (bearer tokens,
//! JWTs, private keys in PEM, the tokens of well-known services). Operators add patterns.
//!
//! Promised: of what is recognised nothing is left in any notation, nor where the line was cut within it, save so few bytes
//! (six) of a token that only a common prefix tells (`s.`, `sk-`) that they might begin a word. Not promised: secrets without
//! a name or a form of their own, what is told only by what follows it (`user:password@tcp(`) where the line was cut before
//! that, the lines of a private key that come as entries of their own but for the first, and what is encoded once more.
//!
//! Where a value's end cannot be known, too much is taken rather than too little; prose about secrets
//! (`password incorrect`, `token expired`, `secret "x" not found`) stays, because it is why a line is quoted at all.

mod needles;
mod plain;
mod secrets;
mod text;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::batch::Labels;
use crate::rules::Pattern;
use crate::text::lossy;
use secrets::Finder;
use text::Text;

/// Replaces secrets. Built once; shared by all that quote lines.
#[derive(Debug, Clone)]
pub struct Redactor {
    finder: Finder,
    extra: Vec<Arc<Pattern>>,
    sensitive: Vec<String>,
}

impl Redactor {
    /// A redactor that also replaces every match of `extra`, as `‹redacted:pattern›`.
    #[must_use]
    pub fn new(extra: Vec<Arc<Pattern>>) -> Self {
        Self {
            finder: Finder::new(),
            extra,
            sensitive: Vec::new(),
        }
    }

    /// With namespaces of whose lines nothing is quoted.
    #[must_use]
    pub fn with_sensitive_namespaces(mut self, namespaces: Vec<String>) -> Self {
        self.sensitive = namespaces;
        self
    }

    /// Whether nothing of the lines of `namespace` may be quoted. Cost: linear in how many were named.
    #[must_use]
    pub fn is_sensitive(&self, namespace: &str) -> bool {
        self.sensitive.iter().any(|known| known == namespace)
    }

    /// Whether nothing of the lines of a stream with `labels` may be quoted: it is of a sensitive namespace.
    #[must_use]
    pub fn hides(&self, labels: &Labels) -> bool {
        !self.sensitive.is_empty()
            && NAMESPACE_LABELS
                .iter()
                .filter_map(|name| labels.get(name))
                .any(|namespace| self.is_sensitive(namespace))
    }

    /// `line` without its secrets; matches of `extra` (a rule's own patterns) are replaced too.
    /// Bytes that are no UTF-8 become U+FFFD.
    ///
    /// One pass over the line for everything built in, whatever the line holds, and one for each extra pattern.
    /// A second redaction takes at most more: of lines as programs write them it changes nothing.
    #[must_use]
    pub fn redact(&self, line: &[u8], extra: &[Arc<Pattern>]) -> String {
        let text = lossy(line);
        self.redact_text(&text, extra).into_owned()
    }

    /// The same of a text, which is given back as it is where it holds none.
    #[must_use]
    pub fn redact_text<'t>(&self, text: &'t str, extra: &[Arc<Pattern>]) -> Cow<'t, str> {
        let mut secrets = Vec::new();
        self.finder
            .find(&Text::new(text.as_bytes()), |range, kind| {
                secrets.push((range, kind))
            });
        for pattern in self.extra.iter().chain(extra) {
            for found in pattern.regex().find_iter(text) {
                let range = whole_characters(text, found.range());
                if !range.is_empty() && !is_mark(&text[range.clone()]) {
                    secrets.push((range, "pattern"));
                }
            }
        }
        if secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(replace(text, secrets))
    }
}

/// The labels that name an entry's namespace: Alloy's and Promtail's, and what OpenTelemetry's become in Loki.
const NAMESPACE_LABELS: [&str; 3] = ["namespace", "k8s_namespace_name", "kubernetes_namespace"];

/// What stands for a secret begins so; no kind contains `›`.
const MARK: &str = "‹redacted:";

/// Whether `text` is a mark, or the inside of one.
fn is_mark(text: &str) -> bool {
    text.strip_prefix(MARK)
        .and_then(|rest| rest.strip_suffix('›'))
        .is_some_and(|kind| !kind.contains('›'))
}

/// Replaces every range by a mark; of ranges that overlap, the first names the kind.
fn replace(text: &str, mut secrets: Vec<(Range<usize>, &'static str)>) -> String {
    secrets.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut marked = 0;
    for (range, kind) in secrets {
        if range.start >= marked {
            out.push_str(&text[done..range.start]);
            out.push_str(MARK);
            out.push_str(kind);
            out.push('›');
        }
        marked = marked.max(range.end);
        done = marked;
    }
    out.push_str(&text[done..]);
    out
}

/// A pattern speaks of bytes and may end within a character: the characters that it touches.
fn whole_characters(text: &str, range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod kinds;
#[cfg(test)]
mod tests;
