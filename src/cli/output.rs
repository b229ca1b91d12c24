//! Where a command writes to, and whether colours are wanted there.

use std::io::{self, IsTerminal, Write};

use crate::telemetry::colour_is_wanted;

/// A stream that a command writes to.
pub(super) trait Output: Write {
    /// Whether it shows terminal colours to somebody who wants them.
    fn shows_color(&self) -> bool;

    /// Whether somebody looks at it while it is written.
    fn is_terminal(&self) -> bool;
}

impl Output for io::Stdout {
    fn shows_color(&self) -> bool {
        Output::is_terminal(self) && colour_is_wanted()
    }

    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }
}

impl Output for io::Stderr {
    fn shows_color(&self) -> bool {
        Output::is_terminal(self) && colour_is_wanted()
    }

    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }
}

/// What tests write to.
#[cfg(test)]
impl Output for Vec<u8> {
    fn shows_color(&self) -> bool {
        false
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

/// `text` with its control characters as escapes, so that none reaches a terminal. A tab is harmless and stays.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Rows under a heading, columns aligned; numbers to the right.
pub(super) fn write_table<const N: usize>(
    out: &mut impl Write,
    heading: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit());
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(heading[column].len())
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let to_the_right: [bool; N] = std::array::from_fn(|column| {
        !rows.is_empty() && rows.iter().all(|row| is_number(&row[column]))
    });
    let heading = heading.map(str::to_owned);
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - cell.chars().count());
            if column > 0 {
                line.push_str("  ");
            }
            if to_the_right[column] {
                line.push_str(&padding);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&padding);
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `1 error`, `2 errors`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_reach_no_terminal() {
        assert_eq!(visible("a\tb\u{1b}[31mж\r"), "a\tb\\u{1b}[31mж\\r");
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let mut out = Vec::new();
        let rows = [["a", "9"], ["long", "10"]].map(|row| row.map(str::to_owned));
        write_table(&mut out, ["ID", "MATCHES"], &rows).expect("memory");
        let table = String::from_utf8(out).expect("text");
        assert_eq!(table, "ID    MATCHES\na           9\nlong       10\n");
    }
}
