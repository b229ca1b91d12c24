//! Reading `match.fields`: names, and what their values must be.

use super::Reader;
use super::patterns::Empty;
use super::value::TEXT_BYTES_MAX;
use crate::rules::model::{Comparison, FieldCondition, FieldTest};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::yaml::{Node, Value};

/// Most names under `fields`.
const FIELDS_MAX: usize = 64;

impl Reader<'_> {
    pub(super) fn fields(&mut self, node: &Node, ignore_case: bool) -> Vec<FieldTest> {
        let Value::Map(entries) = &node.value else {
            self.fault(
                Fault::new(
                    Code::Shape,
                    node.span.clone(),
                    "`fields` is a map of names and values",
                )
                .help("write `fields: {status: \">= 500\", level: [error, fatal]}`"),
            );
            return Vec::new();
        };
        if entries.is_empty() || entries.len() > FIELDS_MAX {
            self.fault(Fault::new(
                Code::Match,
                node.span.clone(),
                format!(
                    "`fields` has {} names, and must have 1 to {FIELDS_MAX}",
                    entries.len()
                ),
            ));
            return Vec::new();
        }
        let mut fields = Vec::new();
        for (key, value) in entries {
            let Some(name) = self.name(key, "the name of a field") else {
                continue;
            };
            let what = format!("`{}`", shortened(&name));
            let mut accepts = Vec::new();
            for node in self.items(value, &what) {
                accepts.extend(self.field(node, &what, ignore_case));
            }
            fields.push(FieldTest { name, accepts });
        }
        fields
    }

    fn field(&mut self, node: &Node, what: &str, ignore_case: bool) -> Option<FieldCondition> {
        if let Value::Map(_) = node.value {
            let keys = self.item_map(node)?;
            if let Some((key, _)) = keys.entry("rule") {
                self.fault(Fault::new(
                    Code::Match,
                    key.span.clone(),
                    "`rule` stands for another rule's `match` in `none` only",
                ));
            }
            let re = keys.get("re")?;
            return self
                .compiled(re, "`re`", ignore_case, Empty::Allowed)
                .map(FieldCondition::Regex);
        }
        let text = self.text(node, what, TEXT_BYTES_MAX)?;
        match comparison(text) {
            Ok(None) => Some(FieldCondition::Equals {
                text: text.to_owned(),
                ignore_case,
            }),
            Ok(Some((comparison, number))) => Some(FieldCondition::Compare(comparison, number)),
            Err(fault) => {
                self.fault_within(node, text, fault);
                None
            }
        }
    }
}

/// `>= 500`: a comparison with a number; `None` for a plain value.
fn comparison(text: &str) -> Result<Option<(Comparison, f64)>, Fault> {
    let operator = text.len() - text.trim_start_matches(['<', '>', '=', '!', '~']).len();
    let (operator, rest) = text.split_at(operator);
    let comparison = match operator {
        ">=" => Comparison::AtLeast,
        ">" => Comparison::Above,
        "<" => Comparison::Below,
        "<=" => Comparison::AtMost,
        "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "" => return Ok(None),
        "=" | "=~" | "!~" | "~" => {
            return Err(Fault::new(
                Code::Match,
                0..operator.len(),
                format!("`{operator}` does not compare a field"),
            )
            .help("write the plain value, `>= 500`, or `{re: '^5'}`"));
        }
        _ => return Ok(None),
    };
    let number = rest.trim();
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some((comparison, value))),
        // `<nil>` and `>>> text` are values that programs really log.
        _ if operator.starts_with(['<', '>'])
            && !rest.starts_with(|c: char| c.is_whitespace() || c.is_ascii_digit()) =>
        {
            Ok(None)
        }
        _ => Err(Fault::new(
            Code::Match,
            0..text.len(),
            format!(
                "`{operator}` compares numbers, and `{}` is none",
                shortened(number)
            ),
        )
        .help("list the values that are wanted, or write `{re: …}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_compared_as_a_number_only_where_a_number_follows() {
        assert_eq!(comparison(">= 500"), Ok(Some((Comparison::AtLeast, 500.0))));
        assert_eq!(comparison("<1.5e3"), Ok(Some((Comparison::Below, 1500.0))));
        assert_eq!(comparison("!= 0"), Ok(Some((Comparison::NotEqual, 0.0))));
        assert_eq!(comparison("== -1"), Ok(Some((Comparison::Equal, -1.0))));
        for text in ["500", "<nil>", ">>> x", "error", "a>=5"] {
            assert_eq!(comparison(text), Ok(None), "{text}");
        }
        for text in [
            "> many", "!= ok", "==x", "= 5", "=~ 5..", ">= 1e999", ">= ", "<5ms",
        ] {
            assert!(comparison(text).is_err(), "{text}");
        }
    }
}
