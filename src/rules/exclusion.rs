//! What no rule reads: trommel's own streams, and lines of other programs that only quote what somebody searched for.

use std::fmt;

use super::selector::{Quoted, Selector, unquote};
use crate::batch::Labels;

/// Streams, or those of their lines that contain a text: `service_name="loki" |= "query="`, as in LogQL.
#[derive(Debug, Clone)]
pub struct Exclusion {
    streams: Selector,
    containing: Option<String>,
}

impl Exclusion {
    /// Reads a stream selector, with or without one `|= "text"` behind it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (selector, containing) = match text.split_once("|=") {
            None => (text, None),
            Some((selector, quoted)) => {
                let quoted = quoted.trim();
                let text = unquote(quoted).filter(|text| !text.is_empty());
                let wrong = || format!("write `|= \"text\"` in place of `|= {quoted}`");
                (selector, Some(text.ok_or_else(wrong)?))
            }
        };
        let streams = Selector::parse(selector.trim()).map_err(|fault| fault.message)?;
        if streams.0.is_empty() {
            return Err("an empty selector would exclude every stream".to_owned());
        }
        Ok(Self {
            streams,
            containing,
        })
    }

    /// Whether it says anything of streams with `labels`.
    #[must_use]
    pub fn concerns(&self, labels: &Labels) -> bool {
        self.streams.selects(labels)
    }

    /// Whether it leaves out all lines of the streams that it concerns.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.containing.is_none()
    }

    /// Whether it leaves out `line`, of a stream that it concerns.
    #[must_use]
    pub fn leaves_out(&self, line: &[u8]) -> bool {
        self.containing
            .as_ref()
            .is_none_or(|text| memchr::memmem::find(line, text.as_bytes()).is_some())
    }
}

/// As it is written: `service_name="loki" |= "query="`.
impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.streams.fmt(f)?;
        match &self.containing {
            Some(text) => write!(f, " |= {}", Quoted(text)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(service: &str) -> Labels {
        Labels::new([("app".into(), service.into())])
    }

    #[test]
    fn a_selector_leaves_out_whole_streams_and_a_text_only_lines() {
        let whole = Exclusion::parse("service_name=\"trommel\"").expect("a selector");
        assert!(whole.concerns(&labels("trommel")) && whole.leaves_out(b"x"));
        assert!(whole.is_whole());
        assert!(!whole.concerns(&labels("api")));
        let quoting = Exclusion::parse("{app=~\"loki|grafana\"} |= \"query=\"").expect("both");
        assert!(quoting.concerns(&labels("loki")) && !quoting.is_whole());
        assert!(quoting.leaves_out(b"caller=metrics.go query=\"{a=1}\""));
        assert!(!quoting.leaves_out(b"no space left on device"));
        assert_eq!(whole.to_string(), "service_name=\"trommel\"");
        assert_eq!(quoting.to_string(), "app=~\"loki|grafana\" |= \"query=\"");
    }

    #[test]
    fn the_text_is_quoted_as_in_logql_and_written_back_alike() {
        for (text, line) in [
            (
                r#"app="loki" |= "\"query\":""#,
                &br#"{"level":"info","query":"{a=1}"}"#[..],
            ),
            (
                "app=\"loki\" |= `\"query\":`",
                br#"{"level":"info","query":"{a=1}"}"#,
            ),
            (r#"app="loki" |= "C:\\temp\t""#, b"C:\\temp\t1"),
            (r#"app="loki" |= "\x1b[31m""#, b"\x1b[31merror"),
        ] {
            let read = Exclusion::parse(text).expect("a selector and a text");
            let again = Exclusion::parse(&read.to_string()).expect("what it wrote");
            assert_eq!(again.to_string(), read.to_string());
            for exclusion in [read, again] {
                assert!(exclusion.leaves_out(line), "{exclusion}");
                assert!(!exclusion.leaves_out(b"level=info query=x"), "{exclusion}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for text in [
            "",
            "{}",
            "app=\"x\" |= y",
            "app=\"x\" |= \"\"",
            "app=\"x\" |= \"a\" b",
            "app=\"x\" |= \"\\d\"",
            "app",
        ] {
            assert!(Exclusion::parse(text).is_err(), "{text}");
        }
    }
}
