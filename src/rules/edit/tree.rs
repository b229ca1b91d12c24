//! A key's value as somebody gives it, and as YAML writes it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::rules::problem::SourceText;
use crate::rules::yaml::{self, Node, Value};

/// Longest list or map that is written in one line, in characters.
const LINE_MAX: usize = 90;
/// Deepest nesting of a value that is given as JSON; more would not be read back.
const DEPTH_MAX: usize = 16;

/// A value without the way it is written. Numbers and booleans are the text that they are written as, as everywhere in rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Nothing at all.
    Nothing,
    /// A text, a number, `true`.
    Text(String),
    /// Values in their order.
    List(Vec<Tree>),
    /// Values by name, in the order in which they are written.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads a value as it would be written in a rule file. Nothing but blanks is [`Tree::Nothing`].
    ///
    /// # Errors
    /// What is wrong with the text, for people.
    pub fn read(text: &str) -> Result<Self, String> {
        let source = SourceText {
            name: String::new(),
            text: text.to_owned(),
        };
        let mut faults = Vec::new();
        let root = yaml::parse(&source, &mut faults);
        match (root, faults.into_iter().next()) {
            (Some(root), None) => Ok(Self::of(&root)),
            (_, Some(fault)) => Err(match fault.help {
                Some(help) => format!("{}: {help}", fault.message),
                None => fault.message,
            }),
            (None, None) => Err("YAML cannot read it".to_owned()),
        }
    }

    /// What `node` says.
    pub(in crate::rules) fn of(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Nothing,
            Value::Scalar { text, .. } => Self::Text(text.clone()),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(entries) => {
                let name = |key: &Node| key.scalar().unwrap_or_default().to_owned();
                let entries = entries.iter();
                Self::Map(
                    entries
                        .map(|(key, value)| (name(key), Self::of(value)))
                        .collect(),
                )
            }
        }
    }

    /// Whether both say the same: the order of a map's names says nothing.
    #[must_use]
    pub fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                let in_b = |name: &String| b.iter().find(|(other, _)| other == name);
                a.len() == b.len()
                    && a.iter()
                        .all(|(name, a)| in_b(name).is_some_and(|(_, b)| a.says(b)))
            }
            _ => self == other,
        }
    }

    /// In one line, as it can stand anywhere in YAML.
    #[must_use]
    pub fn in_line(&self) -> String {
        let mut out = String::new();
        self.write_in_line(&mut out);
        out
    }

    fn write_in_line(&self, out: &mut String) {
        match self {
            Self::Nothing => out.push('~'),
            Self::Text(text) => out.push_str(&scalar(text)),
            Self::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place > 0 { ", " } else { "" });
                    item.write_in_line(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (place, (name, value)) in entries.iter().enumerate() {
                    out.push_str(if place > 0 { ", " } else { "" });
                    out.push_str(&scalar(name));
                    out.push_str(": ");
                    value.write_in_line(out);
                }
                out.push('}');
            }
        }
    }

    /// As the value of a key in a block: what stands on the key's line, and the lines below it, indented from the key on.
    pub(super) fn below_key(&self) -> (String, Vec<String>) {
        if let Self::Text(text) = self
            && let Some((head, body)) = literal(text)
        {
            return (head, body);
        }
        let line = self.in_line();
        if line.chars().count() <= LINE_MAX {
            return (line, Vec::new());
        }
        let body = match self {
            Self::List(items) if !items.is_empty() => {
                items.iter().flat_map(Self::as_item).map(indented).collect()
            }
            Self::Map(entries) if !entries.is_empty() => {
                entry_lines(entries).into_iter().map(indented).collect()
            }
            _ => return (line, Vec::new()),
        };
        (String::new(), body)
    }

    /// As an item of a list in a block, from its dash on.
    pub(super) fn as_item(&self) -> Vec<String> {
        let line = self.in_line();
        match self {
            Self::Map(entries) if line.chars().count() > LINE_MAX => item_lines(entries),
            _ => vec![format!("- {line}")],
        }
    }
}

/// The lines of a map that is an item of a list, from its dash on.
pub(super) fn item_lines(entries: &[(String, Tree)]) -> Vec<String> {
    let mut lines = entry_lines(entries).into_iter();
    let first = lines.next().map(|line| format!("- {line}"));
    first.into_iter().chain(lines.map(indented)).collect()
}

/// The lines of a map's entries, each from its key on.
pub(super) fn entry_lines(entries: &[(String, Tree)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in entries {
        let (head, body) = value.below_key();
        let space = if head.is_empty() { "" } else { " " };
        lines.push(format!("{}:{space}{head}", scalar(name)));
        lines.extend(body);
    }
    lines
}

fn indented(line: String) -> String {
    if line.is_empty() {
        line
    } else {
        format!("  {line}")
    }
}

/// `text` as a block of lines, where that reads back as the same: `|` and the lines.
fn literal(text: &str) -> Option<(String, Vec<String>)> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_plain = |line: &str| {
        !line.starts_with([' ', '\t', '#'])
            && !line.ends_with([' ', '\t'])
            && !line.chars().any(needs_escape)
    };
    let first_and_last = body.split('\n').next().zip(body.rsplit('\n').next());
    let (first, last) = first_and_last?;
    if !body.contains('\n')
        || first.is_empty()
        || last.is_empty()
        || !body.split('\n').all(is_plain)
    {
        return None;
    }
    let head = if text.ends_with('\n') { "|" } else { "|-" };
    let lines = body.split('\n').map(|line| indented(line.to_owned()));
    Some((head.to_owned(), lines.collect()))
}

/// Whether YAML takes it for a break, or a reader cannot see it.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// `text` in one line so that YAML reads it back, within lists and maps too.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if !text.chars().any(needs_escape) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if needs_escape(c) => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether `text` needs no quotes, wherever it stands.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "_/.".contains(c));
    let goes_on = |c: char| c.is_alphanumeric() || " _-/.+*=~@%():;<>|$^!".contains(c);
    begins
        && text.chars().all(goes_on)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !text.starts_with("...")
        && !matches!(text, "null" | "Null" | "NULL")
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a rule's key")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}

impl Tree {
    /// Whether it is nested deeper than a rule's value ever is.
    pub(super) fn is_too_deep(&self) -> bool {
        fn deeper_than(tree: &Tree, levels: usize) -> bool {
            match tree {
                Tree::List(items) => {
                    levels == 0 || items.iter().any(|item| deeper_than(item, levels - 1))
                }
                Tree::Map(entries) => {
                    levels == 0
                        || entries
                            .iter()
                            .any(|(_, value)| deeper_than(value, levels - 1))
                }
                _ => false,
            }
        }
        deeper_than(self, DEPTH_MAX)
    }
}

impl JsonSchema for Tree {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A value of a rule's key: a text, a number, a boolean, a list or a map, as `schema/rules/1.json` has it."})
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values as people and hostile programs give them.
    pub(in crate::rules::edit) fn trees() -> impl Strategy<Value = Tree> {
        let texts = prop_oneof![
            "[a-z0-9]{1,8}",
            "[ -~é\n\t\u{85}\u{2028}]{0,24}",
            Just("null".to_owned()),
            Just("> 5% in 5m".to_owned()),
            Just("one\ntwo # three\n".to_owned()),
        ];
        texts
            .prop_map(Tree::Text)
            .prop_recursive(3, 12, 4, |inner| {
                let named = ("[a-z:# ]{1,6}", inner.clone());
                prop_oneof![
                    prop::collection::vec(inner, 0..4).prop_map(Tree::List),
                    prop::collection::vec(named, 0..4).prop_map(|entries| {
                        let mut seen = std::collections::HashSet::new();
                        let unique = entries.into_iter();
                        Tree::Map(
                            unique
                                .filter(|(name, _)| seen.insert(name.clone()))
                                .collect(),
                        )
                    }),
                ]
            })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(tree in trees()) {
            let line = tree.in_line();
            prop_assert_eq!(Tree::read(&line), Ok(tree.clone()), "{}", line);
            let lines = entry_lines(&[("key".to_owned(), tree.clone())]).join("\n");
            let read = Tree::read(&lines);
            prop_assert_eq!(read, Ok(Tree::Map(vec![("key".to_owned(), tree)])), "{}", lines);
        }
    }

    #[test]
    fn values_are_written_as_people_write_them() {
        let written = |json: &str| {
            let tree: Tree = serde_json::from_str(json).expect("JSON");
            entry_lines(&[("key".to_owned(), tree)]).join("\n")
        };
        assert_eq!(written("\"5 in 10m\""), "key: 5 in 10m");
        assert_eq!(written("\"> 5% in 5m\""), "key: '> 5% in 5m'");
        assert_eq!(written("false"), "key: false");
        assert_eq!(
            written(r#"[{"to": "critical", "after": "10m"}]"#),
            "key: [{to: critical, after: 10m}]"
        );
        assert_eq!(written(r#""a\nb\n""#), "key: |\n  a\n  b");
        let long = format!("[\"{}\", \"b\"]", "a".repeat(90));
        assert_eq!(
            written(&long),
            format!("key:\n  - {}\n  - b", "a".repeat(90))
        );
    }
}
