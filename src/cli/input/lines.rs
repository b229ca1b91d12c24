//! Lines of a file, each within bounds: a file without line ends must not fill the memory.

use std::io::{self, BufRead};

/// Memory that [`Lines::release`] keeps for the next line.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Reads lines one after another into one buffer.
pub(super) struct Lines<R> {
    reader: R,
    bytes_max: usize,
    buffer: Vec<u8>,
    number: u64,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NumberedLine<'a> {
    /// From 1.
    pub(super) number: u64,
    /// Without its end.
    pub(super) bytes: &'a [u8],
    /// Whether it was longer than allowed, and is cut.
    pub(super) cut: bool,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`, cut to `bytes_max`.
    pub(super) fn new(reader: R, bytes_max: usize) -> Self {
        Self {
            reader,
            bytes_max,
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// Gives back the memory of an unusually long line, once it is no longer needed: many files may be open at once.
    pub(super) fn release(&mut self) {
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
    }

    /// The number of the last line; 0 before the first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Option<NumberedLine<'_>>> {
        self.buffer.clear();
        let mut read_any = false;
        let mut cut = false;
        loop {
            let piece = match self.reader.fill_buf() {
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if piece.is_empty() {
                if !read_any {
                    return Ok(None);
                }
                break;
            }
            read_any = true;
            let end = memchr::memchr(b'\n', piece);
            let text = &piece[..end.unwrap_or(piece.len())];
            let room = self.bytes_max - self.buffer.len();
            cut |= text.len() > room;
            self.buffer.extend_from_slice(&text[..text.len().min(room)]);
            let used = text.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        let bytes = self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer);
        Ok(Some(NumberedLine {
            number: self.number,
            bytes,
            cut,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_cut_whatever_the_pieces_they_come_in() {
        let text = b"one\r\n\ntoo long for it\nlast";
        for capacity in 1..30 {
            let reader = io::BufReader::with_capacity(capacity, &text[..]);
            let mut lines = Lines::new(reader, 6);
            let mut read = Vec::new();
            while let Some(line) = lines.next().expect("memory") {
                read.push((line.number, line.bytes.to_vec(), line.cut));
            }
            assert_eq!(
                read,
                [
                    (1, b"one".to_vec(), false),
                    (2, b"".to_vec(), false),
                    (3, b"too lo".to_vec(), true),
                    (4, b"last".to_vec(), false),
                ],
                "{capacity}"
            );
        }
    }
}
