//! YAML 1.2 as a small tree whose every node knows where it was written.
//!
//! A rule file is an operator's, but it may come from anywhere: size, depth and node count are bounded, an alias counts as
//! often as it is used, and nothing here recurses deeper than [`DEPTH_MAX`]. Scalars stay texts: whoever reads a key knows
//! what it should be, so `403`, `no` and `1.10` mean what they look like.

mod mistakes;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::problem::{Code, FAULTS_MAX, Fault, SourceText, shortened};

/// Largest rule file in bytes: the size that Kubernetes allows a whole ConfigMap.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting; rules need eight.
const DEPTH_MAX: usize = 32;
/// Most nodes in one file, those of aliases counted at every use.
const NODES_MAX: usize = 200_000;
/// Most bytes of texts that anchors and aliases repeat.
const COPIED_BYTES_MAX: usize = FILE_BYTES_MAX;

/// A value and the bytes of the file where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

/// What YAML made of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`, unquoted.
    Null,
    /// Everything else that is neither list nor map.
    Scalar { text: String, style: ScalarStyle },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order written; keys are not null, unique where they are scalars.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The scalar's text as YAML gives it.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value of the key `name`, where it is a map that has one.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let mut entries = entries.iter();
        entries
            .find(|(key, _)| key.scalar() == Some(name))
            .map(|(_, value)| value)
    }

    fn extent(&self) -> Extent {
        let mut extent = Extent {
            nodes: 1,
            height: 1,
            bytes: 0,
        };
        let children: Box<dyn Iterator<Item = &Node>> = match &self.value {
            Value::Null => return extent,
            Value::Scalar { text, .. } => {
                extent.bytes = text.len();
                return extent;
            }
            Value::List(items) => Box::new(items.iter()),
            Value::Map(entries) => Box::new(entries.iter().flat_map(|(k, v)| [k, v])),
        };
        for inner in children.map(Node::extent) {
            extent.nodes += inner.nodes;
            extent.height = extent.height.max(inner.height + 1);
            extent.bytes += inner.bytes;
        }
        extent
    }
}

/// What a node is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    /// How many nodes it is, itself included.
    nodes: usize,
    /// How many levels.
    height: usize,
    /// Of all its texts.
    bytes: usize,
}

/// Reads the one document of `source`. What YAML allows and a rule file does not (a key twice, a tag, an unused anchor) goes
/// to `faults`, and reading goes on; `None` when it cannot.
pub(super) fn parse(source: &SourceText, faults: &mut Vec<Fault>) -> Option<Node> {
    let text = &source.text;
    if text.len() > FILE_BYTES_MAX {
        faults.push(
            Fault::new(
                Code::Unreadable,
                0..0,
                format!("the file has more than {FILE_BYTES_MAX} bytes"),
            )
            .help("split it: all files of a directory make one rule set"),
        );
        return None;
    }
    let mut builder = Builder {
        source,
        faults,
        frames: Vec::new(),
        anchors: HashMap::new(),
        unused: HashMap::new(),
        nodes: 0,
        copied_bytes: 0,
        root: None,
    };
    let places = Places::of(text);
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = places.byte(error.marker().index());
                let open = builder.frames.last().map(|frame| frame.start);
                builder
                    .faults
                    .push(mistakes::explain(source, at, open, error.info()));
                return None;
            }
        };
        let span = places.byte(span.start.index())..places.byte(span.end.index());
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                builder.faults.push(
                    Fault::new(
                        Code::Syntax,
                        span,
                        "a second document begins here, and a rule file holds one",
                    )
                    .help("remove the `---`, or make it a file of its own"),
                );
                return None;
            }
        }
        if let Err(fault) = builder.on(event, span) {
            builder.faults.push(fault);
            return None;
        }
    }
    let mut unused: Vec<_> = builder.unused.into_values().collect();
    unused.sort_by_key(|span| span.start);
    for span in unused.into_iter().take(FAULTS_MAX) {
        let text = source.slice(&span);
        builder.faults.push(
            Fault::new(
                Code::Syntax,
                span.clone(),
                "`&` begins an anchor in YAML, and nothing refers to this one",
            )
            .help(format!(
                "a text that begins with `&` must be quoted: {}",
                super::problem::quoted(&shortened(text))
            )),
        );
    }
    Some(builder.root.unwrap_or(Node {
        value: Value::Null,
        span: 0..0,
    }))
}

/// From the parser's character index to bytes.
enum Places {
    /// All ASCII: they are equal.
    Same(usize),
    /// The byte where each character begins, and the end.
    Table(Vec<u32>),
}

impl Places {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Same(text.len());
        }
        // The file's size limit is far below u32.
        let starts = text.char_indices().map(|(at, _)| at as u32);
        Self::Table(starts.chain([text.len() as u32]).collect())
    }

    fn byte(&self, index: usize) -> usize {
        match self {
            Self::Same(end) => index.min(*end),
            Self::Table(starts) => starts[index.min(starts.len() - 1)] as usize,
        }
    }
}

/// A list or map that has begun and not ended.
struct Frame {
    start: usize,
    anchor: usize,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<(Node, Node)>,
        key: Option<Node>,
    },
}

struct Builder<'a> {
    source: &'a SourceText,
    faults: &'a mut Vec<Fault>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    unused: HashMap<usize, Range<usize>>,
    nodes: usize,
    copied_bytes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn on(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), &span);
                let null = style == ScalarStyle::Plain
                    && tag.is_none()
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let span = match style {
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                        span.start..self.end_of_quotes(&span)
                    }
                    // The parser ends a block at the next token, an absent value at the next comma.
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        let text = self.source.slice(&span);
                        span.start..span.start + text.trim_end().len()
                    }
                    ScalarStyle::Plain if text.is_empty() => span.start..span.start,
                    ScalarStyle::Plain => span,
                };
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar {
                        text: text.into_owned(),
                        style,
                    }
                };
                self.add(Node { value, span }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), &span);
                self.open(span, anchor, Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), &span);
                let (entries, key) = (Vec::new(), None);
                self.open(span, anchor, Open::Map { entries, key })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => {
                self.unused.remove(&anchor);
                let Some(extent) = self.anchors.get(&anchor).map(Node::extent) else {
                    return Err(Fault::new(
                        Code::Syntax,
                        span,
                        "this alias stands inside what it refers to",
                    ));
                };
                if self.frames.len() + extent.height > DEPTH_MAX {
                    return Err(too_deep(span));
                }
                self.count_copy(extent, &span)?;
                let node = self.anchors[&anchor].clone();
                self.add(node, 0, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, span: Range<usize>, anchor: usize, open: Open) -> Result<(), Fault> {
        if self.frames.len() >= DEPTH_MAX {
            return Err(too_deep(span));
        }
        self.frames.push(Frame {
            start: span.start,
            anchor,
            open,
        });
        Ok(())
    }

    fn close(&mut self, span: Range<usize>) -> Result<(), Fault> {
        let frame = self.frames.pop().expect("the parser balances its events");
        // A flow collection ends with its bracket; a block one where its last piece does, not at the next token.
        let last = match &frame.open {
            Open::List(items) => items.last().map(|node| node.span.end),
            Open::Map { entries, .. } => entries.last().map(|(k, v)| k.span.end.max(v.span.end)),
        };
        let flow = matches!(
            self.source.text.as_bytes().get(frame.start),
            Some(b'{' | b'[')
        );
        let end = match last {
            Some(last) if !flow => last.max(frame.start),
            // The parser's span of a bracket goes on to the next token, over a comment.
            _ if matches!(
                self.source.text.as_bytes().get(span.start),
                Some(b'}' | b']')
            ) =>
            {
                span.start + 1
            }
            _ => {
                let text = self.source.slice(&(frame.start..span.end));
                frame.start + text.trim_end().len()
            }
        };
        let value = match frame.open {
            // What ships stays read: it takes no more than it has to.
            Open::List(mut items) => {
                items.shrink_to_fit();
                Value::List(items)
            }
            Open::Map { mut entries, .. } => {
                entries.shrink_to_fit();
                Value::Map(entries)
            }
        };
        if let Value::Map(entries) = &value {
            self.check_keys(entries);
        }
        let span = frame.start..end;
        self.add(Node { value, span }, frame.anchor, 1)
    }

    /// Makes room for a copy that an alias or an anchor is about to make: what is copied is memory each time.
    fn count_copy(&mut self, extent: Extent, at: &Range<usize>) -> Result<(), Fault> {
        self.nodes += extent.nodes;
        self.copied_bytes += extent.bytes;
        if self.copied_bytes > COPIED_BYTES_MAX {
            return Err(Fault::new(
                Code::TooMany,
                at.clone(),
                format!("anchors and aliases repeat more than {COPIED_BYTES_MAX} bytes of text"),
            ));
        }
        self.check_count(at)
    }

    fn check_count(&self, at: &Range<usize>) -> Result<(), Fault> {
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        Err(Fault::new(
            Code::TooMany,
            at.clone(),
            format!("the file has more than {NODES_MAX} values, counting aliases at every use"),
        ))
    }

    fn add(&mut self, node: Node, anchor: usize, count: usize) -> Result<(), Fault> {
        self.nodes += count;
        self.check_count(&node.span)?;
        if anchor > 0 {
            self.count_copy(node.extent(), &node.span)?;
            self.unused.insert(anchor, node.span.clone());
            self.anchors.insert(anchor, node.clone());
        }
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, key }) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    /// Notes a fault, unless there are enough: all of them are errors, and nobody reads further.
    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    fn check_keys(&mut self, entries: &[(Node, Node)]) {
        let mut seen = HashSet::new();
        for (key, _) in entries {
            let Some(name) = key.scalar() else {
                self.fault(Fault::new(
                    Code::Shape,
                    key.span.clone(),
                    "a key must be a text",
                ));
                continue;
            };
            if name == "<<" {
                self.fault(
                    Fault::new(
                        Code::Syntax,
                        key.span.clone(),
                        "`<<` merges maps in YAML 1.1 only",
                    )
                    .help("write what the rules of a file share under `defaults:`"),
                );
            } else if !seen.insert(name) {
                self.fault(
                    Fault::new(
                        Code::DuplicateKey,
                        key.span.clone(),
                        format!(
                            "the key `{}` is already in this map, and only one can count",
                            shortened(name)
                        ),
                    )
                    .help("remove one of them; several values of one key make a list"),
                );
            }
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, span: &Range<usize>) {
        if tag.is_none_or(Tag::is_yaml_core_schema) {
            return;
        }
        let (line, _) = self.source.line_at(span.start);
        let text = self.source.slice(&(span.start..line.end)).trim_end();
        self.fault(
            Fault::new(
                Code::Syntax,
                span.start..span.start + text.len(),
                format!(
                    "`{}` is a tag in YAML, and rules have no use for one",
                    shortened(text.split_whitespace().next().unwrap_or("!"))
                ),
            )
            .help(format!(
                "a text that begins with `!` must be quoted: {}",
                super::problem::quoted(&shortened(text))
            )),
        );
    }

    /// Where a quoted scalar really ends: the parser's span goes on to the end of the line.
    fn end_of_quotes(&self, span: &Range<usize>) -> usize {
        let text = self.source.slice(span);
        let Some(open) = text.find(['\'', '"']) else {
            return span.end;
        };
        let quote = text.as_bytes()[open];
        let bytes = text.as_bytes();
        let mut at = open + 1;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\\' if quote == b'"' => at += 2,
                b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 2,
                _ if byte == quote => return span.start + at + 1,
                _ => at += 1,
            }
        }
        span.end
    }
}

fn too_deep(span: Range<usize>) -> Fault {
    Fault::new(
        Code::TooMany,
        span,
        format!("nested more than {DEPTH_MAX} levels deep"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
        let source = SourceText {
            name: "t".to_owned(),
            text: text.to_owned(),
        };
        let mut faults = Vec::new();
        (parse(&source, &mut faults), faults)
    }

    /// Every scalar with the text that its span covers.
    fn spans(node: &Node, text: &str, out: &mut Vec<String>) {
        match &node.value {
            Value::Null => out.push("null".to_owned()),
            Value::Scalar { text: value, .. } => {
                out.push(format!("{value:?} at {:?}", &text[node.span.clone()]));
            }
            Value::List(items) => items.iter().for_each(|item| spans(item, text, out)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    spans(key, text, out);
                    spans(value, text, out);
                }
            }
        }
    }

    #[test]
    fn every_value_knows_where_it_was_written() {
        let text = "é: [a, 'b''c' , \"d\\\"\" # x\n  ]\nb: {c: 'q' }  # no\nd: |\n  x\n  y\n\ne: ~\nf: 10\n";
        let (node, faults) = read(text);
        assert_eq!(faults, []);
        let mut out = Vec::new();
        spans(&node.expect("valid"), text, &mut out);
        expect_test::expect![[r#"
            "é" at "é"
            "a" at "a"
            "b'c" at "'b''c'"
            "d\"" at "\"d\\\"\""
            "b" at "b"
            "c" at "c"
            "q" at "'q'"
            "d" at "d"
            "x\ny\n" at "x\n  y"
            "e" at "e"
            null
            "f" at "f"
            "10" at "10""#]]
        .assert_eq(&out.join("\n"));
    }

    #[test]
    fn nesting_without_end_is_told_as_such_however_deep() {
        for levels in [DEPTH_MAX + 1, 300, 100_000] {
            for (open, close) in [("[", "]"), ("{a: ", "}")] {
                let text = format!("rules: {}{}", open.repeat(levels), close.repeat(levels));
                let (_, faults) = read(&text);
                let messages: Vec<_> = faults.iter().map(|fault| &*fault.message).collect();
                assert_eq!(
                    messages,
                    ["nested more than 32 levels deep"],
                    "{levels} {open}"
                );
            }
        }
    }

    #[test]
    fn brackets_end_where_they_are_closed() {
        let text = "a: []  # none\nb: [x, y] # two\nc: {d: [ ] }   # inside\n";
        let Value::Map(entries) = read(text).0.expect("valid").value else {
            panic!("a map");
        };
        let written = |node: &Node| text[node.span.clone()].to_owned();
        let values: Vec<_> = entries.iter().map(|(_, value)| written(value)).collect();
        assert_eq!(values, ["[]", "[x, y]", "{d: [ ] }"]);
    }

    #[test]
    fn aliases_expand_within_a_bound() {
        let (node, faults) = read("a: &x [1, 2]\nb: *x\n");
        assert_eq!(faults, []);
        assert_eq!(node.expect("valid").extent().nodes, 9);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        let (node, faults) = read(&bomb);
        assert_eq!(node, None);
        assert!(faults[0].message.contains("200000"), "{faults:?}");
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for level in 1..100 {
            chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(
            read(&chain)
                .1
                .iter()
                .any(|fault| fault.message.contains("deep"))
        );
        assert!(read("a: &x [*x]").1[0].message.contains("inside"));
    }

    #[test]
    fn depth_is_bounded() {
        for text in ["[".repeat(300), "- ".repeat(5000), "{a: ".repeat(100)] {
            let (node, faults) = read(&text);
            assert_eq!((node, faults.len()), (None, 1));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[ \\-:{}\\[\\],'\"#&*!|>%@`?~\n\r\tab0é\u{feff}]{0,60}") {
            let (_, faults) = read(&text);
            for fault in faults {
                prop_assert!(text.get(fault.at.clone()).is_some(), "{:?} of {:?}", fault, text);
            }
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&String::from_utf8_lossy(&bytes));
        }
    }
}
