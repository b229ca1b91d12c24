//! `5 in 10m`, `3 distinct pod in 10m`, `> 5% in 5m`, `3x in 5m vs 1h`: what a condition asks for, in one short sentence.

use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

use super::condition::{Decimal, Needs, Threshold};
use super::model::Comparison;
use super::problem::{Code, Fault, shortened};
use crate::time::parse_duration;

/// Largest count in a threshold. A window keeps ten times as many times for each key, 8 bytes each.
const COUNT_MAX: u64 = 100_000;
/// Largest count of different values: each of them is remembered for each key.
const DISTINCT_MAX: u64 = 10_000;
/// Largest factor against the past; more is a count.
const FACTOR_MAX: u64 = 10_000;
/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 256;

/// A threshold as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// `5 in 10m`
    Count(Threshold),
    /// `3 distinct pod in 10m`
    Distinct {
        name: String,
        name_at: Range<usize>,
        threshold: Threshold,
    },
    /// `> 5% in 5m`
    Ratio {
        comparison: Comparison,
        percent: Decimal,
        window: Duration,
    },
    /// `3x in 5m vs 1h`
    Spike {
        comparison: Comparison,
        factor: Decimal,
        window: Duration,
        past: Duration,
    },
}

impl Form {
    /// What it is called in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Count(_) => "a count",
            Self::Distinct { .. } => "a count of different values",
            Self::Ratio { .. } => "a share in percent",
            Self::Spike { .. } => "a factor against the past",
        }
    }
}

/// Reads a threshold; faults point into `text`.
pub(super) fn parse(text: &str) -> Result<Form, Fault> {
    let mut words = Words::of(text);
    let Some(first) = words.next() else {
        return Err(words.wrong());
    };
    let bare = first.text.trim_start_matches(['<', '>', '=', '!']);
    let (operator, rest) = first.split(first.text.len() - bare.len());
    let comparison = comparison(operator)?;
    let number = if rest.text.is_empty() {
        words.next().ok_or_else(|| words.wrong())?
    } else {
        rest
    };
    let sentence = Sentence {
        comparison,
        number,
        whole: operator.at..number.end(),
    };
    // `5 %` is read like `5%`.
    if words.peek() == Some("%") {
        words.next();
        return sentence.ratio(words);
    }
    if let Some(percent) = number.text.strip_suffix('%') {
        return sentence.with(number.head(percent)).ratio(words);
    }
    if let Some(factor) = number.text.strip_suffix('x')
        && factor.starts_with(|c: char| c.is_ascii_digit())
    {
        return sentence.with(number.head(factor)).spike(words);
    }
    if words.peek() == Some("distinct") {
        words.next();
        return sentence.distinct(words);
    }
    if number.text == "distinct" {
        return Err(Fault::new(
            Code::Threshold,
            number.span(),
            "how many different values? a number comes before `distinct`",
        )
        .help("write `3 distinct pod in 10m`"));
    }
    let threshold = sentence.count(&mut words, COUNT_MAX)?;
    match words.next() {
        None => Ok(Form::Count(threshold)),
        Some(vs) if vs.text == "vs" => Err(Fault::new(
            Code::Threshold,
            vs.span(),
            "`vs` compares with the past, and takes a factor in place of a count",
        )
        .help("write `3x in 5m vs 1h`")),
        Some(_) => Err(words.wrong()),
    }
}

/// A piece of the text.
#[derive(Debug, Clone, Copy)]
struct Word<'t> {
    at: usize,
    text: &'t str,
}

impl<'t> Word<'t> {
    fn end(self) -> usize {
        self.at + self.text.len()
    }

    fn span(self) -> Range<usize> {
        self.at..self.end()
    }

    fn split(self, bytes: usize) -> (Self, Self) {
        let (text, rest) = self.text.split_at(bytes);
        let at = self.at + bytes;
        (Self { at: self.at, text }, Self { at, text: rest })
    }

    /// Its beginning, which is `text`.
    fn head(self, text: &'t str) -> Self {
        Self { at: self.at, text }
    }
}

/// What is left to read.
#[derive(Clone)]
struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn next(&mut self) -> Option<Word<'t>> {
        let blanks = |c: char| c.is_ascii_whitespace();
        let rest = &self.text[self.at..];
        let word = rest.trim_start_matches(blanks);
        let at = self.at + rest.len() - word.len();
        let text = word.split(blanks).next().filter(|word| !word.is_empty())?;
        self.at = at + text.len();
        Some(Word { at, text })
    }

    fn peek(&self) -> Option<&'t str> {
        self.clone().next().map(|word| word.text)
    }

    /// `in 10m`, which `what` needs; `example` is what could be written there.
    fn window(&mut self, what: &str, example: &str) -> Result<Duration, Fault> {
        let written = self.text[..self.at].trim();
        match self.next() {
            Some(Word { text: "in", .. }) => {}
            _ => {
                let message = format!("{what} needs a window");
                return Err(Fault::new(Code::Threshold, self.whole(), message)
                    .help(format!("write `{} {example}`", shortened(written))));
            }
        }
        let word = self.next().ok_or_else(|| self.wrong())?;
        duration(word, "a window")
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), Fault> {
        match self.next() {
            None => Ok(()),
            Some(_) => Err(self.wrong()),
        }
    }

    fn whole(&self) -> Range<usize> {
        0..self.text.len()
    }

    fn wrong(&self) -> Fault {
        Fault::new(
            Code::Threshold,
            self.whole(),
            format!("`{}` is not a threshold", shortened(self.text.trim())),
        )
        .help("write how many matches in which time, `5 in 10m`; or `3 distinct pod in 10m`, `> 5% in 5m`, `3x in 5m vs 1h`")
    }
}

/// A comparison and a number: how every threshold begins.
struct Sentence<'t> {
    comparison: Comparison,
    number: Word<'t>,
    /// Both of them, as written.
    whole: Range<usize>,
}

impl<'t> Sentence<'t> {
    fn with(self, number: Word<'t>) -> Self {
        Self { number, ..self }
    }

    /// `5 in 10m`, or what is left of `3 distinct pod in 10m`.
    fn count(&self, words: &mut Words<'_>, most: u64) -> Result<Threshold, Fault> {
        let needs = self.needs(most)?;
        let window = words.window("a count", "in 10m")?;
        Ok(Threshold { needs, window })
    }

    fn distinct(self, mut words: Words<'_>) -> Result<Form, Fault> {
        let name = match words.next() {
            Some(word) if word.text != "in" => word,
            _ => {
                return Err(Fault::new(
                    Code::Threshold,
                    words.whole(),
                    "different values of what? a name comes after `distinct`",
                )
                .help("write `3 distinct pod in 10m`"));
            }
        };
        if !is_name(name.text) {
            return Err(Fault::new(
                Code::Threshold,
                name.span(),
                format!(
                    "`{}` is not the name of a label, field or capture",
                    shortened(name.text)
                ),
            )
            .help("a name has no blanks, commas, quotes or braces, and only one is counted"));
        }
        let threshold = self.count(&mut words, DISTINCT_MAX)?;
        words.end()?;
        Ok(Form::Distinct {
            name: name.text.to_owned(),
            name_at: name.span(),
            threshold,
        })
    }

    fn ratio(self, mut words: Words<'_>) -> Result<Form, Fault> {
        let percent = self.decimal("percent", 100)?;
        let window = words.window("a share", "in 5m")?;
        words.end()?;
        let (none, all) = (
            percent.millionths == 0,
            percent.millionths == 100 * Decimal::ONE,
        );
        let verdict = match self.comparison {
            Comparison::AtLeast if none => "always holds",
            Comparison::AtMost if all => "always holds",
            Comparison::Above if all => "never holds",
            Comparison::Below if none => "never holds",
            comparison => {
                return Ok(Form::Ratio {
                    comparison,
                    percent,
                    window,
                });
            }
        };
        Err(Fault::new(
            Code::Threshold,
            self.whole,
            format!("a share is 0% to 100%, so this {verdict}"),
        )
        .help("write a share between them, such as `> 5% in 5m`"))
    }

    fn spike(self, mut words: Words<'_>) -> Result<Form, Fault> {
        let factor = self.decimal("times the past", FACTOR_MAX)?;
        let window = words.window("a factor", "in 5m vs 1h")?;
        match words.next() {
            Some(Word { text: "vs", .. }) => {}
            _ => {
                return Err(Fault::new(
                    Code::Threshold,
                    words.whole(),
                    "how long a past is it compared with?",
                )
                .help(format!("write `{} vs 1h`", words.text.trim())));
            }
        }
        let word = words.next().ok_or_else(|| words.wrong())?;
        let past = duration(word, "the past")?;
        words.end()?;
        if past < window {
            return Err(Fault::new(
                Code::Threshold,
                word.span(),
                "the past must be at least as long as the window",
            )
            .help("the longer it is, the steadier it is: ten windows or more are usual"));
        }
        let one = Decimal::ONE;
        let rises = matches!(self.comparison, Comparison::AtLeast | Comparison::Above);
        if factor.millionths == 0 || rises && factor.millionths < one {
            return Err(Fault::new(
                Code::Threshold,
                self.whole,
                "this holds while nothing unusual happens",
            )
            .help("a rise is `3x` or more, a drop is `< 0.5x`"));
        }
        if !rises && factor.millionths > one {
            return Err(Fault::new(
                Code::Threshold,
                self.whole,
                "this holds while nothing unusual happens",
            )
            .help("a drop is `< 0.5x`, a rise is `3x` without an operator"));
        }
        Ok(Form::Spike {
            comparison: self.comparison,
            factor,
            window,
            past,
        })
    }

    /// The whole number with its comparison resolved.
    fn needs(&self, most: u64) -> Result<Needs, Fault> {
        let Word { text, .. } = self.number;
        let at = self.number.span();
        let number: u64 = match text.parse() {
            Ok(number) if !text.starts_with('+') => number,
            Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                u64::MAX
            }
            _ if parse_duration(text).is_ok() => {
                return Err(Fault::new(
                    Code::Threshold,
                    at,
                    format!("`{text}` is a time: how many matches within it?"),
                )
                .help(format!("write `5 in {text}`")));
            }
            _ => {
                return Err(Fault::new(
                    Code::Threshold,
                    at,
                    format!("`{}` is not a whole number", shortened(text)),
                )
                .help("write a threshold as `5 in 10m`"));
            }
        };
        if number > most {
            return Err(Fault::new(
                Code::Threshold,
                at,
                format!("a threshold counts to {most} at most"),
            ));
        }
        if number == 0 && self.comparison != Comparison::AtMost {
            return Err(Fault::new(
                Code::Threshold,
                self.whole.clone(),
                "0 has a meaning only with `<=`",
            )
            .help("`1 in 10m` is at least one match, `<= 0 in 10m` is none"));
        }
        Ok(match self.comparison {
            Comparison::Above => Needs::AtLeast(NonZeroU64::MIN.saturating_add(number)),
            Comparison::Below => Needs::AtMost(number - 1),
            Comparison::AtMost => Needs::AtMost(number),
            _ => Needs::AtLeast(NonZeroU64::new(number).expect("0 was refused above")),
        })
    }

    /// The number with decimals, from 0 to `most`.
    fn decimal(&self, unit: &str, most: u64) -> Result<Decimal, Fault> {
        let fault = |message| Fault::new(Code::Threshold, self.number.span(), message);
        let text = self.number.text;
        match Decimal::parse(text) {
            Some(number) if number.millionths <= most * Decimal::ONE => Ok(number),
            Some(_) => Err(fault(format!(
                "`{}` {unit} is too much: {most} at most",
                shortened(text)
            ))),
            None => Err(fault(format!("`{}` is not a number", shortened(text)))
                .help("a number is written `5` or `0.5`, with six decimals at most")),
        }
    }
}

fn comparison(operator: Word<'_>) -> Result<Comparison, Fault> {
    match operator.text {
        "" | ">=" => Ok(Comparison::AtLeast),
        ">" => Ok(Comparison::Above),
        "<" => Ok(Comparison::Below),
        "<=" => Ok(Comparison::AtMost),
        other => Err(Fault::new(
            Code::Threshold,
            operator.span(),
            format!("`{other}` does not compare a count"),
        )
        .help("write `>=`, `>`, `<` or `<=`; without one it is at least")),
    }
}

/// A time that is not 0.
fn duration(word: Word<'_>, what: &str) -> Result<Duration, Fault> {
    let text = shortened(word.text);
    match parse_duration(&text) {
        Err(_) if word.text.bytes().all(|byte| byte.is_ascii_digit()) => Err(Fault::new(
            Code::Duration,
            word.span(),
            format!("{what} needs a unit after `{text}`"),
        )
        .help(format!("write `{text}s` or `{text}m`"))),
        Err(error) => Err(Fault::new(Code::Duration, word.span(), error.to_string())),
        Ok(time) if time.is_zero() => Err(Fault::new(
            Code::Threshold,
            word.span(),
            format!("{what} must be longer than 0"),
        )),
        Ok(time) => Ok(time),
    }
}

/// Whether `text` can be the name of a label, field or capture.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "{},=\"'`".contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::condition::{Condition, Distinct, Ratio, Spike};

    fn at_least(count: u64) -> Needs {
        Needs::AtLeast(NonZeroU64::new(count).expect("positive"))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_threshold_is_a_count_in_a_window() {
        for (text, needs, window) in [
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
            let window = seconds(window);
            let count = Form::Count(Threshold { needs, window });
            assert_eq!(parse(text), Ok(count), "{text}");
        }
    }

    #[test]
    fn a_threshold_may_count_different_values() {
        for (text, name, at, needs) in [
            ("3 distinct pod in 10m", "pod", 11..14, at_least(3)),
            (
                ">3 distinct user.name in 10m",
                "user.name",
                12..21,
                at_least(4),
            ),
            ("<= 0 distinct pod in 10m", "pod", 14..17, Needs::AtMost(0)),
            ("10000 distinct in_ in 10m", "in_", 15..18, at_least(10_000)),
        ] {
            let form = Form::Distinct {
                name: name.to_owned(),
                name_at: at,
                threshold: Threshold {
                    needs,
                    window: seconds(600),
                },
            };
            assert_eq!(parse(text), Ok(form), "{text}");
        }
    }

    #[test]
    fn a_threshold_may_be_a_share_with_exact_decimals() {
        for (text, comparison, millionths) in [
            ("> 5% in 5m", Comparison::Above, 5_000_000),
            ("5% in 5m", Comparison::AtLeast, 5_000_000),
            (">= 0.1% in 5m", Comparison::AtLeast, 100_000),
            ("<99.999999 % in 5m", Comparison::Below, 99_999_999),
            ("<= 0% in 5m", Comparison::AtMost, 0),
            ("> 0% in 5m", Comparison::Above, 0),
            ("100% in 5m", Comparison::AtLeast, 100_000_000),
        ] {
            let form = Form::Ratio {
                comparison,
                percent: Decimal { millionths },
                window: seconds(300),
            };
            assert_eq!(parse(text), Ok(form), "{text}");
        }
    }

    #[test]
    fn a_threshold_may_be_a_factor_against_the_past() {
        for (text, comparison, millionths, window, past) in [
            ("3x in 5m vs 1h", Comparison::AtLeast, 3_000_000, 300, 3600),
            ("> 2.5x in 5m vs 5m", Comparison::Above, 2_500_000, 300, 300),
            (
                "< 0.5x in 1h vs 1d",
                Comparison::Below,
                500_000,
                3600,
                86_400,
            ),
            (
                "<= 1x in 1h vs 1d",
                Comparison::AtMost,
                1_000_000,
                3600,
                86_400,
            ),
            (
                "1x in 1h vs 1d",
                Comparison::AtLeast,
                1_000_000,
                3600,
                86_400,
            ),
        ] {
            let form = Form::Spike {
                comparison,
                factor: Decimal { millionths },
                window: seconds(window),
                past: seconds(past),
            };
            assert_eq!(parse(text), Ok(form), "{text}");
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
            "+3 in 10m",
            "5 per 10m",
            "5 in 10m 30s",
            "5 in 10m vs 1h",
            "100001 in 1h",
            "99999999999999999999999 in 1h",
            "3 distinct in 10m",
            "3 distinct a,b in 10m",
            "distinct pod in 10m",
            "10001 distinct pod in 10m",
            "3 distinct pod",
            "> 101% in 5m",
            "> 100% in 5m",
            "0% in 5m",
            "< 0 % in 5m",
            "<= 100% in 5m",
            "-5% in 5m",
            "% in 5m",
            "5.1234567% in 5m",
            "> 5%",
            "> 5% in 5m vs 1h",
            "3x in 5m",
            "3x",
            "3x in 5m vs",
            "3x in 5m vs 1m",
            "3x in 5m vs 0s",
            "0x in 5m vs 1h",
            "0.5x in 5m vs 1h",
            "< 3x in 5m vs 1h",
            "99999x in 5m vs 1h",
            "3.x in 5m vs 1h",
            "x in 5m vs 1h",
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
            "+3 in 10m" at "+3": R013 `+3` is not a whole number
            "5 per 10m" at "5 per 10m": R013 a count needs a window
            "5 in 10m 30s" at "5 in 10m 30s": R013 `5 in 10m 30s` is not a threshold
            "5 in 10m vs 1h" at "vs": R013 `vs` compares with the past, and takes a factor in place of a count
            "100001 in 1h" at "100001": R013 a threshold counts to 100000 at most
            "99999999999999999999999 in 1h" at "99999999999999999999999": R013 a threshold counts to 100000 at most
            "3 distinct in 10m" at "3 distinct in 10m": R013 different values of what? a name comes after `distinct`
            "3 distinct a,b in 10m" at "a,b": R013 `a,b` is not the name of a label, field or capture
            "distinct pod in 10m" at "distinct": R013 how many different values? a number comes before `distinct`
            "10001 distinct pod in 10m" at "10001": R013 a threshold counts to 10000 at most
            "3 distinct pod" at "3 distinct pod": R013 a count needs a window
            "> 101% in 5m" at "101": R013 `101` percent is too much: 100 at most
            "> 100% in 5m" at "> 100%": R013 a share is 0% to 100%, so this never holds
            "0% in 5m" at "0%": R013 a share is 0% to 100%, so this always holds
            "< 0 % in 5m" at "< 0": R013 a share is 0% to 100%, so this never holds
            "<= 100% in 5m" at "<= 100%": R013 a share is 0% to 100%, so this always holds
            "-5% in 5m" at "-5": R013 `-5` is not a number
            "% in 5m" at "": R013 `` is not a number
            "5.1234567% in 5m" at "5.1234567": R013 `5.1234567` is not a number
            "> 5%" at "> 5%": R013 a share needs a window
            "> 5% in 5m vs 1h" at "> 5% in 5m vs 1h": R013 `> 5% in 5m vs 1h` is not a threshold
            "3x in 5m" at "3x in 5m": R013 how long a past is it compared with?
            "3x" at "3x": R013 a factor needs a window
            "3x in 5m vs" at "3x in 5m vs": R013 `3x in 5m vs` is not a threshold
            "3x in 5m vs 1m" at "1m": R013 the past must be at least as long as the window
            "3x in 5m vs 0s" at "0s": R013 the past must be longer than 0
            "0x in 5m vs 1h" at "0x": R013 this holds while nothing unusual happens
            "0.5x in 5m vs 1h" at "0.5x": R013 this holds while nothing unusual happens
            "< 3x in 5m vs 1h" at "< 3x": R013 this holds while nothing unusual happens
            "99999x in 5m vs 1h" at "99999": R013 `99999` times the past is too much: 10000 at most
            "3.x in 5m vs 1h" at "3.": R013 `3.` is not a number
            "x in 5m vs 1h" at "x": R013 `x` is not a whole number
        "#]].assert_eq(&out);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ <>=!0-9a-z%.é]{0,20}|[<>=]{0,2} ?[0-9.]{1,4} ?(%|x|distinct [a-z]{0,2})? ?in [0-9][mh]( vs [0-9][mhd])?") {
            if let Err(fault) = parse(&text) {
                prop_assert!(text.get(fault.at).is_some());
            }
        }

        /// What a condition is shown as can be written in a rule, and means the same.
        #[test]
        fn a_condition_is_shown_as_it_could_be_written(text in "[<>]?=? ?[0-9]{1,3}(\\.[0-9]{1,6})?( distinct pod|%|x)? in [1-9][mh]( vs [1-9]d)?") {
            let Ok(form) = parse(&text) else { return Ok(()) };
            let shown = condition(&form).to_string();
            if shown != "every match" {
                prop_assert_eq!(name_anywhere(parse(&shown)), name_anywhere(Ok(form)), "{}", shown);
            }
        }
    }

    fn name_anywhere(form: Result<Form, Fault>) -> Result<Form, Fault> {
        form.map(|mut form| {
            if let Form::Distinct { name_at, .. } = &mut form {
                *name_at = 0..0;
            }
            form
        })
    }

    fn condition(form: &Form) -> Condition {
        match form.clone() {
            Form::Count(threshold) => Condition::Count(threshold),
            Form::Distinct {
                name, threshold, ..
            } => Condition::Distinct(Distinct {
                name,
                value: 0,
                threshold,
            }),
            Form::Ratio {
                comparison,
                percent,
                window,
            } => Condition::Ratio(Ratio {
                comparison,
                percent,
                window,
                total: None,
                min_count: 1,
            }),
            Form::Spike {
                comparison,
                factor,
                window,
                past,
            } => Condition::Spike(Spike {
                comparison,
                factor,
                window,
                past,
                min_count: 1,
            }),
        }
    }
}
