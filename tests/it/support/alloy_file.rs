//! Reads Alloy's configuration files as strictly as it takes to find a name that Alloy does not know, a value of another kind,
//! a reference to nothing, and two things of one name.
//!
//! Source: grafana/alloy `docs/sources/get-started/syntax.md` and `docs/sources/reference/` (2026-08-21, `66ebea85`). Known is what
//! this project's files use, with all arguments that the reference lists for it where they are few.

use std::collections::BTreeSet;
use std::time::Duration;

use super::alloy::Settings;

/// A value as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Bool(bool),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    /// `loki.write.loki.receiver`
    Reference(String),
    /// `sys.env("CLUSTER")`, or a sum in which one occurs: a text that only Alloy knows.
    Computed,
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self {
            Self::List(items) => items.iter().filter_map(Self::text).collect(),
            _ => Vec::new(),
        }
    }

    /// Every reference in it.
    fn references(&self) -> Vec<&str> {
        match self {
            Self::Reference(path) => vec![path],
            Self::List(items) => items.iter().flat_map(Self::references).collect(),
            Self::Map(items) => items
                .iter()
                .flat_map(|(_, item)| item.references())
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// `loki.write "trommel" { … }`
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// `loki.write`
    pub(crate) name: String,
    pub(crate) label: Option<String>,
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) blocks: Vec<Block>,
}

impl Block {
    /// `loki.write.trommel`
    pub(crate) fn id(&self) -> String {
        let label = self.label.iter().map(|label| format!(".{label}"));
        self.name.clone() + label.collect::<String>().as_str()
    }

    pub(crate) fn get(&self, attribute: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|(name, _)| name == attribute)
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self, attribute: &str) -> Option<&str> {
        self.get(attribute)?.text()
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |block| block.name == name)
    }

    /// The one block of that name.
    #[track_caller]
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> &'a Block {
        let mut all = self.all(name);
        let one = all
            .next()
            .unwrap_or_else(|| panic!("{} has no {name}", self.id()));
        assert!(all.next().is_none(), "{} has several {name}", self.id());
        one
    }

    /// The components that its `forward_to` names.
    pub(crate) fn receivers(&self) -> Vec<&str> {
        let forward_to = self
            .get("forward_to")
            .map(Value::references)
            .unwrap_or_default();
        forward_to
            .into_iter()
            .filter_map(|path| path.strip_suffix(".receiver"))
            .collect()
    }
}

/// Files that Alloy loads together.
#[derive(Debug, Clone)]
pub(crate) struct AlloyFile(Block);

impl AlloyFile {
    /// Reads texts that belong together, each with the name that mistakes in it are told with.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub(crate) fn read(files: &[(&str, &str)]) -> Result<Self, String> {
        let mut whole = Block::default();
        for (name, text) in files {
            let mut reader = Reader { text, at: 0 };
            let place = |reader: &Reader| text[..reader.at].matches('\n').count() + 1;
            let (attributes, blocks) = reader
                .body(None)
                .map_err(|error| format!("{name}:{}: {error}", place(&reader)))?;
            if let Some((attribute, _)) = attributes.first() {
                return Err(format!("{name}: `{attribute}` is in no block"));
            }
            whole.blocks.extend(blocks);
        }
        let declared: BTreeSet<_> = whole
            .all("declare")
            .filter_map(|one| one.label.as_deref())
            .collect();
        for block in &whole.blocks {
            check(block, "", &declared)?;
        }
        names_are_of_one_thing(&whole.blocks)?;
        references_lead_somewhere(&whole.blocks, &declared)?;
        for declare in whole.all("declare") {
            names_are_of_one_thing(&declare.blocks)?;
            references_lead_somewhere(&declare.blocks, &declared)?;
        }
        Ok(Self(whole))
    }

    pub(crate) fn component(&self, id: &str) -> Option<&Block> {
        self.0.blocks.iter().find(|block| block.id() == id)
    }

    /// What a component does to entries: its own stages, or those of what it was declared as.
    pub(crate) fn stages<'a>(&'a self, component: &'a Block) -> Vec<&'a Block> {
        let declared = self
            .0
            .all("declare")
            .find(|one| one.label.as_deref() == Some(&component.name));
        let inner = declared.map(|declare| declare.all("loki.process"));
        let stages = inner
            .into_iter()
            .flatten()
            .chain([component])
            .flat_map(|block| &block.blocks);
        stages
            .filter(|block| block.name.starts_with("stage."))
            .collect()
    }

    /// The stages of that name on a way, in order.
    pub(crate) fn stages_of<'a>(&'a self, way: &[&'a Block], name: &str) -> Vec<&'a Block> {
        let stages = way.iter().flat_map(|block| self.stages(block));
        stages.filter(|stage| stage.name == name).collect()
    }

    /// Every way of entries from a source to a `loki.write`, each as the components that they go through.
    pub(crate) fn ways(&self) -> Vec<Vec<&Block>> {
        let sources = self
            .0
            .blocks
            .iter()
            .filter(|block| block.name.starts_with("loki.source."));
        let mut ways = Vec::new();
        let mut open: Vec<_> = sources.map(|source| vec![source]).collect();
        while let Some(way) = open.pop() {
            let last = way.last().expect("it begins with a source");
            if last.name == "loki.write" {
                ways.push(way);
                continue;
            }
            for next in last
                .receivers()
                .into_iter()
                .filter_map(|id| self.component(id))
            {
                open.push([way.clone(), vec![next]].concat());
            }
        }
        ways
    }

    /// The settings of the endpoint of `loki.write.trommel`, the others at Alloy's defaults.
    #[track_caller]
    pub(crate) fn settings(&self) -> Settings {
        let component = self
            .component("loki.write.trommel")
            .expect("there is a loki.write for trommel");
        let endpoint = component.one("endpoint");
        let duration = |name, default| match endpoint.text(name) {
            Some(text) => trommel::time::parse_duration(text).expect("a duration"),
            None => default,
        };
        Settings {
            // No file of this project sets these two.
            batch_size: 1 << 20,
            batch_wait: Duration::from_secs(1),
            max_backoff_retries: match endpoint.get("max_backoff_retries") {
                Some(Value::Number(number)) => (*number).try_into().expect("few"),
                _ => 10,
            },
            min_backoff_period: duration("min_backoff_period", Duration::from_millis(500)),
            max_backoff_period: duration("max_backoff_period", Duration::from_secs(300)),
            remote_timeout: duration("remote_timeout", Duration::from_secs(10)),
            retry_on_http_429: endpoint.get("retry_on_http_429") != Some(&Value::Bool(false)),
        }
    }
}

fn names_are_of_one_thing(blocks: &[Block]) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for block in blocks {
        if !ids.insert(block.id()) {
            return Err(format!("{} is there twice", block.id()));
        }
    }
    Ok(())
}

/// What components export, by their names.
const EXPORTS: &[(&str, &str)] = &[
    ("discovery.kubernetes", "targets"),
    ("discovery.docker", "targets"),
    ("discovery.relabel", "output"),
    ("local.file_match", "targets"),
    ("loki.process", "receiver"),
    ("loki.relabel", "receiver"),
    ("loki.relabel", "rules"),
    ("loki.write", "receiver"),
];

fn references_lead_somewhere(blocks: &[Block], declared: &BTreeSet<&str>) -> Result<(), String> {
    fn all<'a>(block: &'a Block, found: &mut Vec<&'a str>) {
        found.extend(
            block
                .attributes
                .iter()
                .flat_map(|(_, value)| value.references()),
        );
        // What is inside of a `declare` has names of its own.
        for inner in block.blocks.iter().filter(|_| block.name != "declare") {
            all(inner, found);
        }
    }
    let mut references = Vec::new();
    for block in blocks {
        all(block, &mut references);
    }
    for path in references {
        let (id, field) = path
            .rsplit_once('.')
            .ok_or_else(|| format!("`{path}` is no reference"))?;
        let leads = blocks.iter().any(|block| {
            let exports = match &block.name {
                name if declared.contains(name.as_str()) => field == "receiver",
                name if name == "argument" => field == "value",
                name => EXPORTS.contains(&(name.as_str(), field)),
            };
            exports && block.id() == id
        });
        if !leads {
            return Err(format!("`{path}` leads nowhere"));
        }
    }
    Ok(())
}

/// What an attribute may be: `t`ext, `n`umber, `b`ool, `d`uration, `l`ist, `m`ap, a `r`eference, or a regular expre`x`ion.
type Attributes = &'static [(&'static str, char)];

const ENDPOINT: Attributes = &[
    ("url", 't'),
    ("batch_size", 't'),
    ("batch_wait", 'd'),
    ("bearer_token_file", 't'),
    ("headers", 'm'),
    ("max_backoff_period", 'd'),
    ("max_backoff_retries", 'n'),
    ("min_backoff_period", 'd'),
    ("name", 't'),
    ("remote_timeout", 'd'),
    ("retry_on_http_429", 'b'),
    ("tenant_id", 't'),
];

/// Blocks by their way from the top, with their attributes; what is inside of a `stage.match` is as at the top of `loki.process`.
const KNOWN: &[(&str, Attributes)] = &[
    ("declare", &[]),
    ("argument", &[("optional", 'b'), ("comment", 't')]),
    ("export", &[("value", 'r'), ("comment", 't')]),
    ("logging", &[("level", 't'), ("format", 't')]),
    (
        "discovery.docker",
        &[("host", 't'), ("refresh_interval", 'd')],
    ),
    (
        "discovery.kubernetes",
        &[("role", 't'), ("api_server", 't'), ("kubeconfig_file", 't')],
    ),
    (
        "discovery.kubernetes/namespaces",
        &[("own_namespace", 'b'), ("names", 'l')],
    ),
    (
        "discovery.kubernetes/selectors",
        &[("role", 't'), ("label", 't'), ("field", 't')],
    ),
    ("discovery.relabel", &[("targets", 'r')]),
    (
        "local.file_match",
        &[
            ("path_targets", 'l'),
            ("sync_period", 'd'),
            ("ignore_older_than", 'd'),
        ],
    ),
    (
        "loki.source.docker",
        &[
            ("host", 't'),
            ("targets", 'r'),
            ("forward_to", 'l'),
            ("labels", 'm'),
            ("refresh_interval", 'd'),
        ],
    ),
    (
        "loki.source.kubernetes",
        &[("targets", 'r'), ("forward_to", 'l')],
    ),
    ("loki.source.kubernetes/clustering", &[("enabled", 'b')]),
    (
        "loki.source.kubernetes_events",
        &[
            ("forward_to", 'l'),
            ("job_name", 't'),
            ("log_format", 't'),
            ("namespaces", 'l'),
        ],
    ),
    (
        "loki.source.file",
        &[
            ("targets", 'r'),
            ("forward_to", 'l'),
            ("encoding", 't'),
            ("tail_from_end", 'b'),
        ],
    ),
    (
        "loki.source.journal",
        &[
            ("forward_to", 'l'),
            ("format_as_json", 'b'),
            ("labels", 'm'),
            ("matches", 't'),
            ("max_age", 'd'),
            ("path", 't'),
            ("relabel_rules", 'r'),
        ],
    ),
    (
        "loki.relabel",
        &[("forward_to", 'l'), ("max_cache_size", 'n')],
    ),
    (
        "rule",
        &[
            ("action", 't'),
            ("regex", 'x'),
            ("replacement", 't'),
            ("separator", 't'),
            ("source_labels", 'l'),
            ("target_label", 't'),
        ],
    ),
    ("loki.process", &[("forward_to", 'l')]),
    ("stage.cri", &[]),
    (
        "stage.drop",
        &[
            ("drop_counter_reason", 't'),
            ("expression", 'x'),
            ("longer_than", 't'),
            ("older_than", 'd'),
        ],
    ),
    ("stage.label_keep", &[("values", 'l')]),
    ("stage.labels", &[("values", 'm')]),
    (
        "stage.match",
        &[
            ("selector", 't'),
            ("action", 't'),
            ("drop_counter_reason", 't'),
            ("pipeline_name", 't'),
        ],
    ),
    ("stage.regex", &[("expression", 'x'), ("source", 't')]),
    (
        "stage.replace",
        &[("expression", 'x'), ("replace", 't'), ("source", 't')],
    ),
    ("stage.static_labels", &[("values", 'm')]),
    ("stage.structured_metadata", &[("values", 'm')]),
    (
        "loki.write",
        &[("external_labels", 'm'), ("max_streams", 'n')],
    ),
    ("loki.write/endpoint", ENDPOINT),
    (
        "loki.write/endpoint/tls_config",
        &[
            ("ca_file", 't'),
            ("cert_file", 't'),
            ("key_file", 't'),
            ("server_name", 't'),
        ],
    ),
    (
        "loki.write/wal",
        &[
            ("drain_timeout", 'd'),
            ("enabled", 'b'),
            ("max_read_frequency", 'd'),
            ("max_segment_age", 'd'),
            ("min_read_frequency", 'd'),
        ],
    ),
];

/// What must not be left out.
const REQUIRED: &[(&str, &str)] = &[
    ("discovery.kubernetes", "role"),
    ("discovery.relabel", "targets"),
    ("local.file_match", "path_targets"),
    ("loki.source.docker", "host"),
    ("loki.source.file", "targets"),
    ("loki.source.kubernetes", "targets"),
    ("loki.process", "forward_to"),
    ("loki.relabel", "forward_to"),
    ("loki.write/endpoint", "url"),
    ("stage.match", "selector"),
    ("stage.replace", "expression"),
    ("stage.regex", "expression"),
];

fn check(block: &Block, above: &str, declared: &BTreeSet<&str>) -> Result<(), String> {
    let id = block.id();
    // Stages and rules are the same wherever they stand; so are components in a `declare`.
    let free = ["stage.", "loki.", "discovery.", "local."]
        .iter()
        .any(|start| block.name.starts_with(start));
    let way = match (
        above,
        free || ["rule", "argument", "export", "declare"].contains(&&*block.name),
    ) {
        ("", _) | (_, true) => block.name.clone(),
        (above, false) => format!("{above}/{}", block.name),
    };
    let labelled = way == "declare"
        || ["loki.", "discovery.", "local.", "argument", "export"]
            .iter()
            .any(|start| way.starts_with(start));
    let is_custom = declared.contains(block.name.as_str());
    if block.label.is_some() != ((labelled && !way.contains('/')) || is_custom) {
        return Err(format!("{id}: components have a label, and only they"));
    }
    let attributes = match KNOWN.iter().find(|(name, _)| *name == way) {
        Some((_, attributes)) => *attributes,
        None if is_custom => &[("forward_to", 'l')],
        None => return Err(format!("{id}: no block `{way}`")),
    };
    let mut there = BTreeSet::new();
    for (name, value) in &block.attributes {
        if !there.insert(name.as_str()) {
            return Err(format!("{id}: {name} is there twice"));
        }
        let Some((_, kind)) = attributes.iter().find(|(known, _)| known == name) else {
            return Err(format!("{id}: no argument `{name}`"));
        };
        let fits = match (kind, value) {
            ('d', Value::Text(text)) => trommel::time::parse_duration(text).is_ok(),
            ('x', Value::Text(text)) => regex_automata::meta::Regex::new(text).is_ok(),
            ('t', Value::Text(_) | Value::Computed)
            | ('n', Value::Number(_))
            | ('b', Value::Bool(_)) => true,
            ('l', Value::List(_) | Value::Reference(_))
            | ('m', Value::Map(_))
            | ('r', Value::Reference(_)) => true,
            _ => false,
        };
        if !fits {
            return Err(format!("{id}: {name} is of another kind: {value:?}"));
        }
    }
    let mut required = REQUIRED.iter().filter(|(of, _)| *of == way);
    if let Some((_, name)) = required.find(|(_, name)| !there.contains(name)) {
        return Err(format!("{id}: no {name}"));
    }
    if way.starts_with("loki.source.") && !way.contains('/') && !there.contains("forward_to") {
        return Err(format!("{id}: no forward_to"));
    }
    block
        .blocks
        .iter()
        .try_for_each(|inner| check(inner, &way, declared))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Body = (Vec<(String, Value)>, Vec<Block>);

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Skips space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        let is = self.rest().starts_with(token);
        self.at += if is { token.len() } else { 0 };
        is
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        match self.take(token) {
            true => Ok(()),
            false => Err(format!(
                "`{token}` expected before `{}`",
                self.rest().lines().next().unwrap_or_default()
            )),
        }
    }

    /// A name, which may have dots.
    fn name(&mut self) -> Result<&'a str, String> {
        self.skip();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        let good = name
            .split('.')
            .all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
        self.at += end;
        good.then_some(name)
            .ok_or_else(|| format!("`{name}` is no name"))
    }

    /// Attributes and blocks up to the end, or to `close`.
    fn body(&mut self, close: Option<&str>) -> Result<Body, String> {
        let (mut attributes, mut blocks) = Body::default();
        loop {
            self.skip();
            match close {
                Some(close) if self.take(close) => return Ok((attributes, blocks)),
                None if self.rest().is_empty() => return Ok((attributes, blocks)),
                _ => {}
            }
            let name = self.name()?.to_owned();
            if self.take("=") {
                let value = self.value()?;
                // One to a line.
                let rest = self.rest().trim_start_matches([' ', '\t']);
                if !rest.is_empty() && !rest.starts_with(['\n', '\r', '/']) {
                    return Err(format!("something follows the value of {name}"));
                }
                attributes.push((name, value));
                continue;
            }
            self.skip();
            let label = match self.rest().starts_with('"') {
                true => Some(self.quoted()?),
                false => None,
            };
            self.expect("{")?;
            let (attributes, inner) = self.body(Some("}"))?;
            blocks.push(Block {
                name,
                label,
                attributes,
                blocks: inner,
            });
        }
    }

    /// One operand, or a sum.
    fn value(&mut self) -> Result<Value, String> {
        let first = self.operand()?;
        let begin = self.at;
        if !self.take("+") {
            self.at = begin;
            return Ok(first);
        }
        match (first, self.value()?) {
            (Value::Text(one), Value::Text(other)) => Ok(Value::Text(one + other.as_str())),
            (Value::Text(_) | Value::Computed, Value::Text(_) | Value::Computed) => {
                Ok(Value::Computed)
            }
            _ => Err("only texts are added".to_owned()),
        }
    }

    fn operand(&mut self) -> Result<Value, String> {
        self.skip();
        let rest = self.rest();
        match rest.chars().next() {
            Some('"') => self.quoted().map(Value::Text),
            Some('`') => {
                let end = rest[1..].find('`').ok_or("a raw text does not end")?;
                self.at += end + 2;
                Ok(Value::Text(rest[1..=end].to_owned()))
            }
            Some('[') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.take("]") {
                    items.push(self.value()?);
                    self.separator("]")?;
                }
                Ok(Value::List(items))
            }
            Some('{') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.take("}") {
                    self.skip();
                    let key = match self.rest().starts_with('"') {
                        true => self.quoted()?,
                        false => self.name()?.to_owned(),
                    };
                    self.expect("=")?;
                    items.push((key, self.value()?));
                    self.separator("}")?;
                }
                Ok(Value::Map(items))
            }
            Some(c) if c.is_ascii_digit() => {
                let end = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                self.at += end;
                rest[..end]
                    .parse()
                    .map(Value::Number)
                    .map_err(|error| format!("{error}"))
            }
            _ => match self.name()? {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "sys.env" => {
                    self.expect("(")?;
                    self.quoted()?;
                    self.expect(")")?;
                    Ok(Value::Computed)
                }
                path if path.contains('.') => Ok(Value::Reference(path.to_owned())),
                other => Err(format!("`{other}` is no value")),
            },
        }
    }

    /// A comma, which only the last item before a bracket on the same line does without.
    fn separator(&mut self, close: &str) -> Result<(), String> {
        let begin = self.at;
        if self.take(",") {
            return Ok(());
        }
        let same_line = !self.text[begin..self.at].contains('\n');
        let ends = same_line && self.rest().starts_with(close);
        ends.then_some(())
            .ok_or_else(|| format!("`,` or `{close}` expected"))
    }

    fn quoted(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\n' => break,
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some(c @ ('\\' | '"')) => text.push(c),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    other => return Err(format!("no escape {other:?}")),
                },
                c => text.push(c),
            }
        }
        Err("a text does not end".to_owned())
    }
}
