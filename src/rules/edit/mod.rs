//! Changes to rule files that leave every other byte as it is, comments included.
//!
//! A change works on the text, at the places that the parser tells; what comes of it is read again, and must say what was asked and
//! nothing else, or the change is refused and whoever asked edits the text. Whether the rules are right is not asked here: that takes
//! all files, and is [`load`](super::load)'s.
//!
//! - `tree`: a key's value, and how it is written.
//! - `text`: the surgery.
//! - `comments`: where comments are in a piece of text, which a change must not lose.
//! - `diff`: what differs, for people and for `patch`.
//! - `tokens`: a text in pieces, for showing it.

mod comments;
mod diff;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
mod tree;

use std::ops::Range;

pub use diff::unified;
pub use tokens::{Token, TokenKind};
pub use tree::Tree;

use super::keys::{KEYS, Place};
use super::problem::{Code, Problem, SourceText};
use super::yaml::{self, Node, Value};

/// Most changes at once.
pub const EDITS_MAX: usize = 64;

/// A change of a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The rule has the key with this value, whatever it had before.
    Set {
        /// The rule's id.
        rule: String,
        /// The key.
        key: String,
        /// Its value.
        value: Tree,
    },
    /// The rule does not have the key any more.
    Remove {
        /// The rule's id.
        rule: String,
        /// The key.
        key: String,
    },
    /// A rule more, behind the others: its keys in their order.
    Add(Vec<(String, Tree)>),
}

/// Why a change is not made. Nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file cannot be read as it is.
    #[error("{line}:{column}: {message}; the file must be readable before a key of it can be changed", line = .0.line, column = .0.column, message = .0.message)]
    Unreadable(Box<Problem>),
    /// No rule has this id.
    #[error("the file has no rule `{0}`")]
    NoRule(String),
    /// A rule has this id already.
    #[error("the file has a rule `{0}` already")]
    Exists(String),
    /// It is no key of a rule.
    #[error("a rule has no key `{0}`; docs/rules.md lists those that there are")]
    NoKey(String),
    /// What a rule is known by.
    #[error("`{0}` is what a rule is known by: change the text itself")]
    Fixed(String),
    /// The value cannot be one.
    #[error("the value of `{0}` is nested too deep")]
    TooDeep(String),
    /// More than [`EDITS_MAX`].
    #[error("{0} changes at once, limit is {EDITS_MAX}")]
    TooMany(usize),
    /// It is written so that nothing else would stay as it is.
    #[error(
        "`{0}` is written in a way that cannot be changed key by key, such as with an alias: change the text itself"
    )]
    Text(String),
}

/// `text` with the changes `edits`, one after the other.
///
/// # Errors
/// [`EditError`] for the first that cannot be made.
pub fn edit(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    if edits.len() > EDITS_MAX {
        return Err(EditError::TooMany(edits.len()));
    }
    let mut text = text.to_owned();
    for change in edits {
        text = one(&text, change)?;
    }
    Ok(text)
}

fn one(text: &str, change: &Edit) -> Result<String, EditError> {
    let root = read(text)?;
    let what = match change {
        Edit::Set { key, value, .. } => {
            check_key(key)?;
            if value.is_too_deep() {
                return Err(EditError::TooDeep(key.clone()));
            }
            key
        }
        Edit::Remove { key, .. } => {
            check_key(key)?;
            key
        }
        Edit::Add(entries) => {
            for (key, value) in entries {
                known(key)?;
                if value.is_too_deep() {
                    return Err(EditError::TooDeep(key.clone()));
                }
            }
            "rules"
        }
    };
    let wanted = applied(&Tree::of(&root), change)?;
    let rule = match change {
        Edit::Set { rule, .. } | Edit::Remove { rule, .. } => {
            Some(find(&root, rule).ok_or_else(|| EditError::NoRule(rule.clone()))?)
        }
        Edit::Add(_) => None,
    };
    let candidates = match (change, rule) {
        (Edit::Set { key, value, .. }, Some(rule)) => text::set(text, rule, key, value),
        (Edit::Remove { key, .. }, Some(rule)) => text::remove(text, rule, key),
        (Edit::Add(entries), _) => text::add(text, &root, entries),
        _ => Vec::new(),
    };
    candidates
        .into_iter()
        .find(|candidate| read(candidate).is_ok_and(|root| Tree::of(&root).says(&wanted)))
        .ok_or_else(|| EditError::Text(what.to_owned()))
}

/// Where the rule `id` stands in `text`, from its first key to the end of its last value.
#[must_use]
pub fn place_of(text: &str, id: &str) -> Option<Range<usize>> {
    let root = read(text).ok()?;
    find(&root, id).map(|rule| rule.span.clone())
}

/// A rule as it stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its lines, in bytes: from the beginning of the first to the end of its last value.
    pub lines: Range<usize>,
    /// What it says, key by key.
    pub keys: Vec<(String, Tree)>,
    /// Its lines in pieces, in order and without gaps, for who shows them.
    pub tokens: Vec<Token>,
}

/// The rule `id` in `text`. Reads all of it, once.
#[must_use]
pub fn piece_of(text: &str, id: &str) -> Option<Piece> {
    let root = read(text).ok()?;
    let rule = find(&root, id)?;
    let Tree::Map(keys) = Tree::of(rule) else {
        return None;
    };
    let lines = comments::line_start(text, rule.span.start)..rule.span.end;
    Some(Piece {
        tokens: tokens::tokens(text, &lines, rule),
        lines,
        keys,
    })
}

/// What the key `name` of a rule means, for people.
#[must_use]
pub fn meaning_of(name: &str) -> Option<&'static str> {
    let mut keys = KEYS.iter();
    keys.find(|key| key.place == Place::Rule && key.name == name)
        .map(|key| key.doc)
}

/// The place of the key `name` in the order in which people write them.
fn rank(name: &str) -> Option<usize> {
    let mut keys = KEYS.iter().filter(|key| key.place == Place::Rule);
    keys.position(|key| key.name == name)
}

fn known(key: &str) -> Result<(), EditError> {
    rank(key)
        .map(|_| ())
        .ok_or_else(|| EditError::NoKey(key.to_owned()))
}

fn check_key(key: &str) -> Result<(), EditError> {
    known(key)?;
    match key {
        "id" | "extends" => Err(EditError::Fixed(key.to_owned())),
        _ => Ok(()),
    }
}

fn read(text: &str) -> Result<Node, EditError> {
    let source = SourceText {
        name: String::new(),
        text: text.to_owned(),
    };
    let mut faults = Vec::new();
    let root = yaml::parse(&source, &mut faults);
    match (root, faults.into_iter().next()) {
        (Some(root), None) => Ok(root),
        (_, Some(fault)) => Err(EditError::Unreadable(Box::new(Problem::new(
            &source, fault,
        )))),
        (None, None) => Err(EditError::Unreadable(Box::new(Problem::of_file(
            Code::Syntax,
            "",
            "YAML cannot read it".to_owned(),
        )))),
    }
}

fn rules_of(root: &Node) -> &[Node] {
    match root.get("rules").map(|rules| &rules.value) {
        Some(Value::List(rules)) => rules,
        _ => &[],
    }
}

/// The rule with the id `id`, which one that extends a rule that ships need not write.
fn find<'n>(root: &'n Node, id: &str) -> Option<&'n Node> {
    rules_of(root).iter().find(|rule| {
        let named = rule.get("id").or_else(|| rule.get("extends"));
        named.and_then(Node::scalar) == Some(id)
    })
}

/// What the file must say after `change`, made where nothing is written: the model that the text is held to.
fn applied(file: &Tree, change: &Edit) -> Result<Tree, EditError> {
    let mut file = match file {
        Tree::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    let place = match file.iter().position(|(name, _)| name == "rules") {
        Some(place) => place,
        None => {
            file.push(("rules".to_owned(), Tree::Nothing));
            file.len() - 1
        }
    };
    let mut rules = match &file[place].1 {
        Tree::List(rules) => rules.clone(),
        Tree::Nothing => Vec::new(),
        // Whatever stands there instead of rules would be gone.
        Tree::Text(_) | Tree::Map(_) => return Err(EditError::Text("rules".to_owned())),
    };
    let id_of = |rule: &Tree| match rule {
        Tree::Map(entries) => {
            let named = |name: &str| entries.iter().find(|(key, _)| key == name);
            match named("id").or_else(|| named("extends")) {
                Some((_, Tree::Text(id))) => Some(id.clone()),
                _ => None,
            }
        }
        _ => None,
    };
    let at = |rules: &[Tree], id: &str| {
        let mut rules = rules.iter();
        rules.position(|rule| id_of(rule).as_deref() == Some(id))
    };
    match change {
        Edit::Add(entries) => {
            let rule = Tree::Map(entries.clone());
            let id = id_of(&rule).ok_or_else(|| EditError::Fixed("id".to_owned()))?;
            if at(&rules, &id).is_some() {
                return Err(EditError::Exists(id));
            }
            rules.push(rule);
        }
        Edit::Set { rule, key, .. } | Edit::Remove { rule, key } => {
            let place = at(&rules, rule).ok_or_else(|| EditError::NoRule(rule.clone()))?;
            let Tree::Map(entries) = &mut rules[place] else {
                return Err(EditError::NoRule(rule.clone()));
            };
            let known = entries.iter().position(|(name, _)| name == key);
            match (change, known) {
                (Edit::Set { value, .. }, Some(known)) => entries[known].1 = value.clone(),
                (Edit::Set { value, .. }, None) => entries.push((key.clone(), value.clone())),
                (_, Some(known)) => {
                    entries.remove(known);
                }
                (_, None) => {}
            }
        }
    }
    file[place].1 = Tree::List(rules);
    Ok(Tree::Map(file))
}
