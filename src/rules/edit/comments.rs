//! Where comments are.

use std::ops::Range;

use crate::rules::yaml::{Node, Value};

/// The comments in `region` of `text`, each from its `#` to the end of its line. `leaves` are the texts that are written there, in
/// which a `#` is no comment.
pub(super) fn within(
    text: &str,
    region: &Range<usize>,
    leaves: &[Range<usize>],
) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut comments = Vec::new();
    let mut leaves = leaves.iter().peekable();
    let mut at = region.start;
    while at < region.end {
        while leaves.next_if(|leaf| leaf.end <= at).is_some() {}
        if let Some(leaf) = leaves.peek()
            && leaf.contains(&at)
        {
            at = leaf.end;
            continue;
        }
        let begins = at == 0 || matches!(bytes[at - 1], b' ' | b'\t' | b'\n' | b'\r');
        if bytes[at] == b'#' && begins {
            let end = line_end(text, at).min(region.end);
            comments.push(at..end);
            at = end;
        }
        at += 1;
    }
    comments
}

/// Where the line of the byte `at` ends, without what ends it.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
    if end > at && bytes[end - 1] == b'\r' {
        end - 1
    } else {
        end
    }
}

/// Where the line of the byte `at` begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    memchr::memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |newline| newline + 1)
}

/// Where the texts of `node` are written, in order. What an alias repeats is written elsewhere.
pub(super) fn leaves(node: &Node) -> Vec<Range<usize>> {
    let mut leaves = Vec::new();
    collect(node, &mut leaves);
    leaves.sort_by_key(|leaf| leaf.start);
    leaves.dedup();
    leaves
}

fn collect(node: &Node, leaves: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar { .. } => leaves.push(node.span.clone()),
        Value::List(items) => items.iter().for_each(|item| collect(item, leaves)),
        Value::Map(entries) => {
            for (key, value) in entries {
                collect(key, leaves);
                collect(value, leaves);
            }
        }
    }
}
