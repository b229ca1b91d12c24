//! `5 in 10m`: how many matches within which time.

use std::num::NonZeroU64;
use std::ops::Range;

use super::condition::{Needs, Threshold};
use super::model::Comparison;
use super::problem::{Code, Fault, shortened};
use crate::time::parse_duration;

/// Largest count in a threshold. A window keeps ten times as many times for each key, 8 bytes each.
const COUNT_MAX: u64 = 100_000;

/// Reads a threshold; faults point into `text`.
pub(super) fn parse(text: &str) -> Result<Threshold, Fault> {
    let words = words(text);
    let whole = 0..text.len();
    unsupported(text, &words)?;
    let mut words = words.into_iter();
    let Some(mut count) = words.next() else {
        return Err(wrong(whole, text));
    };
    let operator = count.1.len() - count.1.trim_start_matches(['<', '>', '=', '!']).len();
    let comparison = match &count.1[..operator] {
        "" | ">=" => Comparison::AtLeast,
        ">" => Comparison::Above,
        "<" => Comparison::Below,
        "<=" => Comparison::AtMost,
        other => {
            return Err(Fault::new(
                Code::Threshold,
                count.0..count.0 + operator,
                format!("`{other}` does not compare a count"),
            )
            .help("write `>=`, `>`, `<` or `<=`; without one it is at least"));
        }
    };
    let operator_at = count.0;
    count = (count.0 + operator, &count.1[operator..]);
    if count.1.is_empty() {
        count = words.next().ok_or_else(|| wrong(whole.clone(), text))?;
    }
    let count_span = count.0..count.0 + count.1.len();
    let number: u64 = match count.1.parse() {
        Ok(number) => number,
        Err(_) if count.1.bytes().all(|byte| byte.is_ascii_digit()) => u64::MAX,
        Err(_) if parse_duration(count.1).is_ok() => {
            return Err(Fault::new(
                Code::Threshold,
                count_span,
                format!("`{}` is a time: how many matches within it?", count.1),
            )
            .help(format!("write `5 in {}`", count.1)));
        }
        Err(_) => {
            return Err(Fault::new(
                Code::Threshold,
                count_span,
                format!("`{}` is not a whole number", shortened(count.1)),
            )
            .help("write a threshold as `5 in 10m`"));
        }
    };
    if number > COUNT_MAX {
        return Err(Fault::new(
            Code::Threshold,
            count_span,
            format!("a threshold counts to {COUNT_MAX} at most"),
        ));
    }
    if number == 0 && comparison != Comparison::AtMost {
        return Err(Fault::new(
            Code::Threshold,
            operator_at..count_span.end,
            "0 has a meaning only with `<=`",
        )
        .help("`1 in 10m` is at least one match, `<= 0 in 10m` is none"));
    }
    let needs = match comparison {
        Comparison::Above => Needs::AtLeast(NonZeroU64::MIN.saturating_add(number)),
        Comparison::Below => Needs::AtMost(number - 1),
        Comparison::AtMost => Needs::AtMost(number),
        _ => Needs::AtLeast(NonZeroU64::new(number).expect("0 was refused above")),
    };
    let Some((_, "in")) = words.next() else {
        return Err(Fault::new(Code::Threshold, whole, "a count needs a window")
            .help(format!("write `{} in 10m`", text[..count_span.end].trim())));
    };
    let rest: Vec<_> = words.collect();
    let [(at, window)] = rest[..] else {
        return Err(wrong(whole, text));
    };
    let window_span = at..at + window.len();
    match parse_duration(&shortened(window)) {
        Err(_) if window.bytes().all(|byte| byte.is_ascii_digit()) => Err(Fault::new(
            Code::Duration,
            window_span,
            format!("a window needs a unit after `{}`", shortened(window)),
        )
        .help(format!("write `{0}s` or `{0}m`", shortened(window)))),
        Err(error) => Err(Fault::new(Code::Duration, window_span, error.to_string())),
        Ok(window) if window.is_zero() => Err(Fault::new(
            Code::Threshold,
            window_span,
            "a window must be longer than 0",
        )),
        Ok(window) => Ok(Threshold { needs, window }),
    }
}

/// Forms that later versions read.
fn unsupported(text: &str, words: &[(usize, &str)]) -> Result<(), Fault> {
    let later = |what: &str, at: Range<usize>| {
        Err(Fault::new(
            Code::Unsupported,
            at,
            format!("{what} is not supported yet"),
        )
        .help("this version counts matches: write `5 in 10m`"))
    };
    for (at, word) in words {
        let span = *at..at + word.len();
        let number = word.trim_start_matches(['<', '>', '=']);
        let digits = |unit| {
            number.strip_suffix(unit).is_some_and(|n: &str| {
                !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            })
        };
        if *word == "distinct" {
            return later(
                "a threshold of distinct values (`3 distinct pod in 10m`)",
                span,
            );
        } else if *word == "%" || digits('%') {
            return later("a threshold in percent (`> 5% in 5m`)", span);
        } else if *word == "vs" || digits('x') && text.contains(" in ") {
            return later("a threshold against the past (`3x in 5m vs 1h`)", span);
        }
    }
    Ok(())
}

fn wrong(span: Range<usize>, text: &str) -> Fault {
    Fault::new(
        Code::Threshold,
        span,
        format!("`{}` is not a threshold", shortened(text.trim())),
    )
    .help("write how many matches in which time: `5 in 10m`")
}

/// Words and where they begin.
fn words(text: &str) -> Vec<(usize, &str)> {
    text.split_ascii_whitespace()
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_threshold_is_a_count_in_a_window() {
        let at_least = |n| Needs::AtLeast(NonZeroU64::new(n).expect("positive"));
        for (text, needs, seconds) in [
            ("5 in 10m", at_least(5), 600),
            (">= 5 in 10m", at_least(5), 600),
            (">=5 in 10m", at_least(5), 600),
            ("> 4 in 1h30m", at_least(5), 5400),
            ("  1   in\t1d ", at_least(1), 86_400),
            ("<= 4 in 10m", Needs::AtMost(4), 600),
            ("< 5 in 10m", Needs::AtMost(4), 600),
            ("< 1 in 10m", Needs::AtMost(0), 600),
            ("<= 0 in 10m", Needs::AtMost(0), 600),
            ("100000 in 1s", at_least(100_000), 1),
        ] {
            let window = Duration::from_secs(seconds);
            assert_eq!(parse(text), Ok(Threshold { needs, window }), "{text}");
        }
    }

    #[test]
    fn what_is_no_threshold_says_why() {
        let mut out = String::new();
        for text in [
            "",
            "5",
            ">= 5",
            "10m",
            "in 10m",
            "5 in",
            "5 in 10",
            "5 in 0s",
            "0 in 10m",
            "> 0 in 10m",
            "< 0 in 10m",
            "== 5 in 10m",
            "five in 10m",
            "1.5 in 10m",
            "-3 in 10m",
            "5 per 10m",
            "5 in 10m 30s",
            "100001 in 1h",
            "99999999999999999999999 in 1h",
            "> 5% in 5m",
            "> 5 % in 5m",
            "3 distinct pod in 10m",
            "3x in 5m vs 1h",
            "3x in 5m",
        ] {
            let fault = parse(text).expect_err(text);
            let at = &text[fault.at.clone()];
            out.push_str(&format!(
                "{text:?} at {at:?}: {} {}\n",
                fault.code, fault.message
            ));
        }
        expect_test::expect![[r#"
            "" at "": R013 `` is not a threshold
            "5" at "5": R013 a count needs a window
            ">= 5" at ">= 5": R013 a count needs a window
            "10m" at "10m": R013 `10m` is a time: how many matches within it?
            "in 10m" at "in": R013 `in` is not a whole number
            "5 in" at "5 in": R013 `5 in` is not a threshold
            "5 in 10" at "10": R014 a window needs a unit after `10`
            "5 in 0s" at "0s": R013 a window must be longer than 0
            "0 in 10m" at "0": R013 0 has a meaning only with `<=`
            "> 0 in 10m" at "> 0": R013 0 has a meaning only with `<=`
            "< 0 in 10m" at "< 0": R013 0 has a meaning only with `<=`
            "== 5 in 10m" at "==": R013 `==` does not compare a count
            "five in 10m" at "five": R013 `five` is not a whole number
            "1.5 in 10m" at "1.5": R013 `1.5` is not a whole number
            "-3 in 10m" at "-3": R013 `-3` is not a whole number
            "5 per 10m" at "5 per 10m": R013 a count needs a window
            "5 in 10m 30s" at "5 in 10m 30s": R013 `5 in 10m 30s` is not a threshold
            "100001 in 1h" at "100001": R013 a threshold counts to 100000 at most
            "99999999999999999999999 in 1h" at "99999999999999999999999": R013 a threshold counts to 100000 at most
            "> 5% in 5m" at "5%": R005 a threshold in percent (`> 5% in 5m`) is not supported yet
            "> 5 % in 5m" at "%": R005 a threshold in percent (`> 5% in 5m`) is not supported yet
            "3 distinct pod in 10m" at "distinct": R005 a threshold of distinct values (`3 distinct pod in 10m`) is not supported yet
            "3x in 5m vs 1h" at "3x": R005 a threshold against the past (`3x in 5m vs 1h`) is not supported yet
            "3x in 5m" at "3x": R005 a threshold against the past (`3x in 5m vs 1h`) is not supported yet
        "#]].assert_eq(&out);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ <>=!0-9a-z%.é]{0,20}") {
            if let Err(fault) = parse(&text) {
                prop_assert!(text.get(fault.at).is_some());
            }
        }
    }
}
