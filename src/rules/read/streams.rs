//! Reading `selector` and `unless`: the text form, the map form, and the text that YAML takes for a map.

use super::Reader;
use super::value::TEXT_BYTES_MAX;
use crate::rules::pattern;
use crate::rules::problem::{Code, Fault, quoted, shortened};
use crate::rules::selector::{self, MATCHERS_MAX, Matcher, Selector, Test};
use crate::rules::yaml::{Node, Value};

impl Reader<'_> {
    /// Reads a selector, as text or as a map.
    pub(super) fn selector(&mut self, node: &Node, what: &str) -> Option<Selector> {
        match &node.value {
            Value::Map(entries) if entries.iter().all(|(_, value)| value.value == Value::Null) => {
                // `{namespace="x"}`: YAML's map of keys without values is the selector that it spells.
                let text = self.source.slice(&node.span);
                self.selector_text(node, text)
            }
            Value::Map(entries) => self.selector_map(node, entries, what),
            Value::List(_) => {
                self.fault(
                    Fault::new(
                        Code::Shape,
                        node.span.clone(),
                        format!("{what} is a text or a map, and this is a list"),
                    )
                    .help("write `namespace=a, app=~\"b|c\"`, or `{namespace: a, app: [b, c]}`"),
                );
                None
            }
            _ => {
                let text = self.text(node, what, pattern::PATTERN_BYTES_MAX)?;
                self.selector_text(node, text)
            }
        }
    }

    fn selector_text(&mut self, node: &Node, text: &str) -> Option<Selector> {
        self.go_on_if(self.patterns.have_room(), node)?;
        match Selector::parse(text) {
            Ok(selector) => {
                for matcher in &selector.0 {
                    if let Test::Matches(_, regex) | Test::MatchesNot(_, regex) = &matcher.test {
                        let fits = self.patterns.one_more();
                        self.go_on_if(fits, node)?;
                        self.patterns.count(regex.memory_usage());
                    }
                }
                Some(selector)
            }
            Err(fault) => {
                self.patterns.count_failed();
                self.fault_within(node, text, fault);
                None
            }
        }
    }

    fn selector_map(
        &mut self,
        node: &Node,
        entries: &[(Node, Node)],
        what: &str,
    ) -> Option<Selector> {
        if entries.len() > MATCHERS_MAX {
            self.fault(Fault::new(
                Code::TooMany,
                node.span.clone(),
                format!("a selector has at most {MATCHERS_MAX} matchers"),
            ));
            return None;
        }
        let mut matchers = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.scalar() else { continue };
            if let Err(fault) = selector::check_name(name, key.span.clone()) {
                self.fault(fault);
                continue;
            }
            let mut values = Vec::new();
            for item in self.items(value, &format!("`{name}` of {what}")) {
                let Some(text) = self.text(item, &format!("`{name}` of {what}"), TEXT_BYTES_MAX)
                else {
                    continue;
                };
                if text.starts_with(['=', '~']) || text.starts_with("!=") || text.starts_with("!~")
                {
                    let bare = text
                        .trim_start_matches(['=', '!', '~', ' ', '"'])
                        .trim_end_matches('"');
                    let operator = if text.starts_with('!') {
                        &text[..2]
                    } else {
                        "=~"
                    };
                    self.fault(
                        Fault::new(
                            Code::Selector,
                            item.span.clone(),
                            "a map compares labels with plain values only",
                        )
                        .help(format!(
                            "write the selector as a text: {}",
                            quoted(&format!("{name}{operator}\"{}\"", shortened(bare)))
                        )),
                    );
                    continue;
                }
                values.push(text.to_owned());
            }
            let test = if values.len() == 1 {
                Test::Equal(values.remove(0))
            } else {
                Test::OneOf(values)
            };
            let name = name.to_owned();
            matchers.push(Matcher { name, test });
        }
        Some(Selector(matchers))
    }
}
