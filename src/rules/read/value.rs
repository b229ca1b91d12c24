//! Reading single values out of YAML nodes: texts, flags, durations, and maps with known keys.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use saphyr_parser::ScalarStyle;

use super::Reader;
use crate::rules::keys::{self, Key, Place};
use crate::rules::problem::{Code, Fault, Level, quoted, shortened};
use crate::rules::yaml::{Node, Value};
use crate::time::parse_duration;

/// Longest text of a key in bytes, descriptions and example lines apart.
pub(super) const TEXT_BYTES_MAX: usize = 1024;
/// Longest description or example line in bytes.
pub(super) const PROSE_BYTES_MAX: usize = 16 << 10;
/// Most items in one list.
pub(super) const ITEMS_MAX: usize = 1000;

/// The entries of a map whose keys are known and have values.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries<'n>(Vec<(&'static Key, &'n Node, &'n Node)>);

impl<'n> Entries<'n> {
    /// The value of the key `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The key `name` itself and its value.
    pub(super) fn entry(&self, name: &str) -> Option<(&'n Node, &'n Node)> {
        self.0
            .iter()
            .find(|(key, _, _)| key.name == name)
            .map(|(_, key, value)| (*key, *value))
    }

    /// The names of the keys that are there, and where.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'static str, &'n Node)> {
        self.0.iter().map(|(key, node, _)| (key.name, *node))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Reader<'_> {
    /// Reads a map whose keys are those of `place`; what is wrong with a key is reported and the key left out.
    pub(super) fn map<'n>(&mut self, node: &'n Node, place: Place) -> Option<Entries<'n>> {
        let Value::Map(entries) = &node.value else {
            self.fault(Fault::new(
                Code::Shape,
                node.span.clone(),
                format!("{} must be a map of keys and values", place.name()),
            ));
            return None;
        };
        let mut known = Entries::default();
        for (key, value) in entries {
            // A key that is no text, or there twice, was reported when the YAML was read.
            let Some(name) = key.scalar() else { continue };
            if name == "<<" || known.entry(name).is_some() {
                continue;
            }
            match keys::find(place, name) {
                None => self.unknown_key(place, key, name),
                Some(_) if value.value == Value::Null => {
                    let message = format!("`{name}` has no value");
                    let fault = Fault::new(Code::Missing, key.span.clone(), message);
                    self.fault(fault.help(match (place, name) {
                        (Place::Test, "expect") => "write `[]` for no messages",
                        (Place::Test, "logs") => "write `''` where nothing is logged",
                        (_, "new_pattern") => "write `new_pattern: {}` for its defaults",
                        _ => "leave the key out for its default; the text `null` must be quoted",
                    }));
                }
                Some(found) => known.0.push((found, key, value)),
            }
        }
        Some(known)
    }

    fn unknown_key(&mut self, place: Place, key: &Node, name: &str) {
        // A suggestion costs a comparison with every key.
        if !self.room_for(Level::Error) {
            return;
        }
        let fault = Fault::new(
            Code::UnknownKey,
            key.span.clone(),
            format!("unknown key `{}` in {}", shortened(name), place.name()),
        );
        let known = || {
            let names: Vec<_> = keys::KEYS
                .iter()
                .filter(|key| key.place == place)
                .map(|key| key.name)
                .collect();
            format!("known keys: {}", names.join(", "))
        };
        self.fault(match (place, keys::meant(place, name)) {
            (Place::File, None) if keys::find(Place::Rule, name).is_some() => fault
                .help("a rule is an item of the list under `rules:`, and begins with `- id: …`"),
            (Place::Rule, Some("match")) if keys::find(Place::Match, name).is_some() => {
                fault.help(format!("it belongs into `match`: `match: {{{name}: …}}`"))
            }
            (_, Some(meant)) => fault.help(format!("did you mean `{meant}`?")),
            (_, None) => fault.help(known()),
        });
    }

    /// A text that is not empty, at most `bytes_max` long. Numbers and booleans are the text that they are written as; the line
    /// end that closes a block of text is no part of it.
    pub(super) fn text<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        bytes_max: usize,
    ) -> Option<&'n str> {
        let fault = |message: String| Fault::new(Code::Shape, node.span.clone(), message);
        let text = match &node.value {
            Value::Scalar { text, style } => match style {
                ScalarStyle::Literal | ScalarStyle::Folded => text.trim_end_matches('\n'),
                _ => text,
            },
            Value::Null => {
                self.fault(
                    Fault::new(
                        Code::Missing,
                        node.span.clone(),
                        format!("{what} has no value"),
                    )
                    .help("the text `null` must be quoted"),
                );
                return None;
            }
            Value::List(_) => {
                let fault = fault(format!("{what} must be one text, and this is a list"));
                self.fault(if self.source.slice(&node.span).starts_with('[') {
                    fault.help("a text that begins with `[` must be quoted")
                } else {
                    fault
                });
                return None;
            }
            Value::Map(_) => {
                let fault = match self.colon_text(node) {
                    Some(fault) => fault,
                    None => fault(format!("{what} must be a text, and this is a map")),
                };
                self.fault(fault);
                return None;
            }
        };
        if text.is_empty() {
            self.fault(Fault::new(
                Code::Value,
                node.span.clone(),
                format!("{what} is empty"),
            ));
            return None;
        }
        if text.len() > bytes_max {
            self.fault(Fault::new(
                Code::Value,
                node.span.clone(),
                format!("{what} has {} bytes, limit is {bytes_max}", text.len()),
            ));
            return None;
        }
        Some(text)
    }

    /// The fault for a map that was meant as a text: `- nats: no servers`.
    pub(super) fn colon_text(&self, node: &Node) -> Option<Fault> {
        let Value::Map(entries) = &node.value else {
            return None;
        };
        let [(key, value)] = &entries[..] else {
            return None;
        };
        let plain = |node: &Node| !matches!(node.value, Value::List(_) | Value::Map(_));
        if !plain(key) || !plain(value) {
            return None;
        }
        let span = key.span.start..value.span.end.max(key.span.end);
        let text = self.source.slice(&span);
        Some(
            Fault::new(
                Code::Shape,
                span.clone(),
                "a text with `: ` must be quoted, or it is a map",
            )
            .help(format!("quote it: {}", quoted(&shortened(text)))),
        )
    }

    /// One text of a single line.
    pub(super) fn line<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        if text.contains(['\n', '\r']) {
            self.fault(Fault::new(
                Code::Value,
                node.span.clone(),
                format!("{what} must be one line"),
            ));
            return None;
        }
        Some(text)
    }

    /// The items of a list, or the one item that stands for it.
    pub(super) fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        let items = match &node.value {
            Value::List(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        if items.is_empty() {
            self.fault(
                Fault::new(
                    Code::Missing,
                    node.span.clone(),
                    format!("{what} is an empty list"),
                )
                .help("leave the key out, or put something into it"),
            );
        }
        if items.len() > ITEMS_MAX {
            self.fault(Fault::new(
                Code::TooMany,
                node.span.clone(),
                format!("{what} has {} items, limit is {ITEMS_MAX}", items.len()),
            ));
            return &[];
        }
        items
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Scalar {
                text,
                style: ScalarStyle::Plain,
            } if matches!(&**text, "true" | "True" | "TRUE") => Some(true),
            Value::Scalar {
                text,
                style: ScalarStyle::Plain,
            } if matches!(&**text, "false" | "False" | "FALSE") => Some(false),
            _ => {
                let fault = Fault::new(
                    Code::Value,
                    node.span.clone(),
                    format!("{what} is `true` or `false`"),
                );
                let lower = node.scalar().unwrap_or_default().to_ascii_lowercase();
                self.fault(match &*lower {
                    "yes" | "on" | "y" | "1" => fault.help("write `true`"),
                    "no" | "off" | "n" | "0" => fault.help("write `false`"),
                    "true" | "false" => fault.help(format!("write `{lower}`, without quotes")),
                    _ => fault,
                });
                None
            }
        }
    }

    /// A Prometheus duration.
    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        match parse_duration(&shortened(text.trim())) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let mut fault = Fault::new(Code::Duration, node.span.clone(), error.to_string());
                if digits {
                    fault.message = format!("{what} needs a unit after `{}`", shortened(text));
                    fault.help = Some(format!("write `{0}s` or `{0}m`", shortened(text)));
                }
                self.fault(fault);
                None
            }
        }
    }

    /// A time that is not 0.
    pub(super) fn time(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let time = self.duration(node, what)?;
        if time.is_zero() {
            self.fault(Fault::new(
                Code::Duration,
                node.span.clone(),
                format!("{what} must be longer than 0"),
            ));
            return None;
        }
        Some(time)
    }

    /// A whole number.
    pub(super) fn number(
        &mut self,
        node: &Node,
        what: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() || text.starts_with('+') {
            self.fault(Fault::new(
                Code::Value,
                node.span.clone(),
                format!(
                    "{what} is a number from {} to {}",
                    range.start(),
                    range.end()
                ),
            ));
            return None;
        }
        number
    }

    /// One of a few words, as its place among them.
    pub(super) fn one_of(&mut self, node: &Node, what: &str, words: &[&str]) -> Option<usize> {
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        if let Some(place) = words.iter().position(|word| *word == text) {
            return Some(place);
        }
        let fault = Fault::new(
            Code::Value,
            node.span.clone(),
            format!("{what} cannot be `{}`", shortened(text)),
        );
        let lower = text.to_ascii_lowercase();
        let meant = match &*lower {
            "warn" => Some("warning"),
            "error" | "fatal" | "crit" | "page" | "emergency" => Some("critical"),
            "notice" | "debug" => Some("info"),
            _ => keys::nearest(&lower, words.iter().copied()),
        };
        self.fault(match meant.filter(|meant| words.contains(meant)) {
            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
            None => fault.help(format!("it is one of `{}`", words.join("`, `"))),
        });
        None
    }

    /// A subject token: `[a-z0-9_]{1,64}`.
    pub(super) fn token(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        let fits = |text: &str| {
            (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if fits(text) {
            return Some(text.to_owned());
        }
        let fault = Fault::new(
            Code::Value,
            node.span.clone(),
            format!("{what} is `[a-z0-9_]{{1,64}}`, not `{}`", shortened(text)),
        );
        let near: String = text
            .trim()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .collect();
        self.fault(if fits(&near) && near.bytes().any(|byte| byte != b'_') {
            fault.help(format!("write `{near}`"))
        } else {
            fault
        });
        None
    }

    /// The place in the file of `range` of the text that `node` was read as: exact where it was written without escapes.
    pub(super) fn within(&self, node: &Node, text: &str, range: Range<usize>) -> Range<usize> {
        let raw = self.source.slice(&node.span);
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        let shift = if raw == text {
            0
        } else if inner == text {
            1
        } else {
            return node.span.clone();
        };
        node.span.start + shift + range.start..node.span.start + shift + range.end
    }

    /// Reports a fault that points into the text of `node`.
    pub(super) fn fault_within(&mut self, node: &Node, text: &str, mut fault: Fault) {
        fault.at = self.within(node, text, fault.at);
        self.fault(fault);
    }
}
