//! Reading `allow`: warnings that a rule may give, and where its keys stand, which warnings point at.

use std::ops::Range;

use super::Reader;
use super::layers::Keys;
use super::value::TEXT_BYTES_MAX;
use crate::rules::code::Code;
use crate::rules::explain;
use crate::rules::problem::{Fault, shortened};

impl Reader<'_> {
    pub(super) fn allow(&mut self, keys: &Keys<'_>) -> Vec<(Code, Range<usize>)> {
        let mut allowed: Vec<(Code, Range<usize>)> = Vec::new();
        let Some(node) = keys.get("allow") else {
            return allowed;
        };
        for node in self.items(node, "`allow`") {
            let Some(text) = self.text(node, "a code of `allow`", TEXT_BYTES_MAX) else {
                continue;
            };
            let wrong = |message: String| Fault::new(Code::Value, node.span.clone(), message);
            match Code::ALL.iter().find(|code| code.as_str() == text) {
                Some(code) if !code.may_be_allowed() => self.fault(
                    wrong(format!("{code} cannot be allowed"))
                        .help(explain::allowance(*code).trim_end_matches('.')),
                ),
                Some(code) if allowed.iter().any(|(known, _)| known == code) => {
                    self.fault(wrong(format!("{code} is in `allow` already")));
                }
                Some(code) => allowed.push((*code, node.span.clone())),
                None => {
                    let fault = wrong(format!("there is no warning `{}`", shortened(text)));
                    let meant = Code::find(text).or_else(|| Code::meant(text));
                    self.fault(match meant.filter(|code| code.may_be_allowed()) {
                        Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                        None => fault.help("`trommel check --explain` lists them all"),
                    });
                }
            }
        }
        allowed
    }
}
