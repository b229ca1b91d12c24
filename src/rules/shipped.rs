//! The rules that ship, read as far as a file needs that extends one.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::files;
use super::problem::SourceText;
use super::yaml::{self, Node, Value};

/// Files that ship, as YAML.
#[derive(Debug)]
pub(super) struct Shipped {
    pub(super) files: Vec<ShippedFile>,
    /// Of each rule its file, and its place in the file's list.
    by_id: BTreeMap<String, (usize, usize)>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct ShippedFile {
    pub(super) source: SourceText,
    pub(super) root: Node,
}

/// A rule that ships.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShippedRule {
    /// The place of its file.
    pub(super) file: usize,
    pub(super) source: &'static SourceText,
    pub(super) node: &'static Node,
    /// Its file's defaults.
    pub(super) defaults: Option<&'static Node>,
}

/// The files that ship. They are read once for the life of the process, and never change.
pub(super) fn shipped() -> &'static Shipped {
    static SHIPPED: OnceLock<Shipped> = OnceLock::new();
    SHIPPED.get_or_init(|| Shipped::of(files::builtin()))
}

impl Shipped {
    fn of(sources: Vec<SourceText>) -> Self {
        let mut shipped = Self {
            files: Vec::new(),
            by_id: BTreeMap::new(),
        };
        for source in sources {
            let root = yaml::parse(&source, &mut Vec::new());
            let root = root.expect("a test reads every file that ships");
            for (place, rule) in rules(&root).iter().enumerate() {
                if let Some(id) = rule.get("id").and_then(Node::scalar) {
                    let at = (shipped.files.len(), place);
                    shipped.by_id.insert(id.to_owned(), at);
                }
            }
            shipped.files.push(ShippedFile { source, root });
        }
        shipped
    }

    /// The place of the file that holds this text, under whatever name.
    pub(super) fn file(&self, text: &str) -> Option<usize> {
        self.files.iter().position(|file| file.source.text == text)
    }

    /// The rule with the id `id`.
    pub(super) fn rule(&'static self, id: &str) -> Option<ShippedRule> {
        let &(file, place) = self.by_id.get(id)?;
        let ShippedFile { source, root } = &self.files[file];
        Some(ShippedRule {
            file,
            source,
            node: &rules(root)[place],
            defaults: root.get("defaults"),
        })
    }

    /// The ids of all rules that ship.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }
}

fn rules(root: &Node) -> &[Node] {
    match root.get("rules").map(|rules| &rules.value) {
        Some(Value::List(rules)) => rules,
        _ => &[],
    }
}
