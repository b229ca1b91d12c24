//! What lines that a program writes with one format have in common, so that one verdict is of all of them.

use std::fmt;

use sha2::{Digest, Sha256};

/// The shape of a line, as the first 48 bits of a hash of what [`masked`] leaves of it: it tells shapes apart and no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape(u64);

impl Shape {
    pub(crate) fn of(line: &str) -> Self {
        let hash = Sha256::digest(masked(line));
        let bytes = [0, 1, 2, 3, 4, 5].map(|at| u64::from(hash[at]));
        Self(bytes.into_iter().fold(0, |bits, byte| bits << 8 | byte))
    }

    /// As [`Shape`] is written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// Words before the name of somebody or something.
const BEFORE_NAMES: [&str; 6] = ["user", "for", "from", "by", "to", "of"];
/// And those that are no such name themselves.
const NO_NAMES: [&str; 6] = ["user", "invalid", "illegal", "unknown", "the", "a"];

/// Words of a date.
const DATES: [&str; 19] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Mon",
    "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
];

/// `line` without what varies: words with a digit in them, dates, values after `=`, what is in quotes, and names of whom it is about.
pub(crate) fn masked(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut quoted = false;
    let mut before = "";
    for word in line.split_whitespace() {
        let quotes = word.matches('"').count();
        let within = quoted || quotes > 0;
        quoted ^= quotes % 2 == 1;
        let is_name = BEFORE_NAMES.contains(&before) && !NO_NAMES.contains(&word);
        before = word;
        let mask = if within {
            "\"…\""
        } else if let Some((key, _)) = word.split_once('=') {
            key
        } else if word.bytes().any(|byte| byte.is_ascii_digit())
            || is_name
            || DATES.contains(&word.trim_start_matches('['))
        {
            "#"
        } else {
            word
        };
        // Many values in a row are as good as one.
        if !matches!(mask, "#" | "\"…\"") || words.last() != Some(&mask) {
            words.push(mask);
        }
    }
    words.join(" ")
}

#[test]
fn lines_of_one_format_have_one_shape() {
    let ssh = |user: &str, host: &str| {
        masked(&format!(
            "Dec 10 06:55:46 LabSZ sshd[24200]: Failed password for {user} from {host} port 22 ssh2"
        ))
    };
    assert_eq!(
        ssh("root", "10.0.0.1"),
        "# LabSZ # Failed password for # from # port #"
    );
    assert_eq!(ssh("admin", "host.example"), ssh("root", "10.0.0.1"));
    assert_eq!(
        ssh("invalid user ann", "x"),
        "# LabSZ # Failed password for invalid user # from # port #"
    );
    assert_eq!(
        masked(r#"level=info msg="it is fine" user=ann it "works""#),
        r#"level "…" user it "…""#
    );
    let shape = Shape::of("it fails 3 times");
    assert_eq!(shape, Shape::of("it fails 12345 times"));
    assert_ne!(shape, Shape::of("it works 3 times"));
    assert_eq!(Shape::parse(&shape.to_string()), Some(shape));
}
