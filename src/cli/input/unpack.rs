//! The bytes of a file as they were before they were packed: gzip and zstd, told by the first bytes, not by the name.
//!
//! Any number of members or frames may follow one another, as `cat a.gz b.gz` and log rotation make them. Every checksum is
//! verified. Memory: 32 KiB for gzip, the window for zstd (8 MiB at most up to level 19, [`WINDOW_BYTES_MAX`] with `--long`).

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use xxhash_rust::xxh64::Xxh64;

/// What a zstd frame may ask for; the same as for `zstd -d` without `--memory`.
const WINDOW_BYTES_MAX: u64 = 128 << 20;

/// How much is read from a file at a time.
const READ_BYTES: usize = 128 << 10;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Unpacks `file`, and counts in `read` how many of its bytes, packed as they are, have been used.
///
/// Waits for as many bytes as tell how it is packed: one, for nearly all that is not.
pub(super) fn unpack(
    mut file: impl Read + 'static,
    read: Rc<Cell<u64>>,
) -> io::Result<(Packing, Box<dyn BufRead>)> {
    let mut head = Vec::new();
    let packing = loop {
        if let Some(packing) = Packing::of(&head) {
            break packing;
        }
        let mut byte = [0];
        match file.read(&mut byte) {
            Ok(0) => break Packing::Plain,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let source = Counted {
        inner: Cursor::new(head).chain(BufReader::with_capacity(READ_BYTES, file)),
        position: 0,
        read,
    };
    let reader: Box<dyn BufRead> = match packing {
        Packing::Plain => Box::new(source),
        Packing::Gzip => Box::new(BufReader::with_capacity(
            READ_BYTES,
            Gzip(MultiGzDecoder::new(source)),
        )),
        Packing::Zstd => Box::new(BufReader::with_capacity(READ_BYTES, Zstd::new(source))),
    };
    Ok((packing, reader))
}

impl Packing {
    /// How a file that begins with `head` is packed; `None` while that is not to be told.
    fn of(head: &[u8]) -> Option<Self> {
        // The first byte of a skippable frame is one of sixteen.
        let skippable: [u8; 4] = match head.first() {
            Some(first @ 0x50..=0x5f) => [*first, 0x2a, 0x4d, 0x18],
            _ => [0x50, 0x2a, 0x4d, 0x18],
        };
        let magics: [(&[u8], Self); 3] = [
            // The third byte is the method: deflate, the only one there is.
            (&[0x1f, 0x8b, 8], Self::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
            (&skippable, Self::Zstd),
        ];
        for (magic, packing) in magics {
            if head.starts_with(magic) {
                return Some(packing);
            }
            if magic.starts_with(head) {
                return None;
            }
        }
        Some(Self::Plain)
    }
}

/// A reader that counts what is taken from it.
struct Counted<R> {
    inner: R,
    position: u64,
    /// The same, of all files together.
    read: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.count(amount);
    }
}

impl<R> Counted<R> {
    fn count(&mut self, bytes: usize) {
        self.position += bytes as u64;
        self.read.set(self.read.get() + bytes as u64);
    }
}

/// What is wrong with packed data at `position`, in bytes from the file's start.
fn damaged(format: &str, position: u64) -> io::Error {
    let problem = format!("{format} data is damaged at byte {position}, or shortly before");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn cut_off(format: &str, position: u64) -> io::Error {
    let problem = format!("{format} data is cut off at byte {position}");
    io::Error::new(io::ErrorKind::UnexpectedEof, problem)
}

struct Gzip<R>(MultiGzDecoder<Counted<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| {
            let position = self.0.get_ref().position;
            match error.kind() {
                io::ErrorKind::UnexpectedEof => cut_off("gzip", position),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    damaged("gzip", position)
                }
                _ => error,
            }
        })
    }
}

/// Frame after frame.
struct Zstd<R> {
    source: Counted<R>,
    decoder: FrameDecoder,
    /// Of the frame's content so far, as the format has it: the lower half is written at its end.
    hash: Xxh64,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: Counted<R>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self {
            source,
            decoder,
            hash: Xxh64::new(0),
            in_frame: false,
        }
    }

    /// Begins the next frame; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.hash.reset(0);
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => self.skip(length.into())?,
                Err(error) => return Err(self.explain(&error)),
            }
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
        if skipped < length {
            return Err(cut_off("zstd", self.source.position));
        }
        Ok(())
    }

    fn explain(&mut self, error: &FrameDecoderError) -> io::Error {
        let unsupported = |problem| io::Error::new(io::ErrorKind::Unsupported, problem);
        match error {
            FrameDecoderError::WindowSizeTooBig { requested, max } => unsupported(format!(
                "zstd asks for a window of {requested} bytes, limit is {max}; pack it with less than --long=28"
            )),
            FrameDecoderError::DictNotProvided { dict_id } => unsupported(format!(
                "zstd asks for the dictionary {dict_id}; unpack it with `zstd -dc -D DICTIONARY`"
            )),
            _ => match self.source.fill_buf().map(<[u8]>::is_empty) {
                // The decoder has hidden what went wrong with the file itself; it goes wrong again.
                Err(error) => error,
                Ok(true) => cut_off("zstd", self.source.position),
                Ok(false) => damaged("zstd", self.source.position),
            },
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.in_frame || self.begin()? {
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                    return Err(self.explain(&error));
                }
            }
            let read = self.decoder.read(out)?;
            self.hash.update(&out[..read]);
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            let stated = self.decoder.get_checksum_from_data();
            if stated.is_some_and(|stated| stated != self.hash.digest() as u32) {
                return Err(damaged("zstd", self.source.position));
            }
            self.in_frame = false;
        }
        Ok(0)
    }
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    pub(in crate::cli) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    pub(in crate::cli) fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    /// What `zstd -19 --check` 1.5.4 makes of [`text`].
    const BY_ZSTD: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x24, 0xfa, 0x5d, 0x02, 0x00, 0xa2, 0x03, 0x0d, 0x12, 0x90, 0xcf,
        0x01, 0x80, 0xe0, 0xed, 0x28, 0xbf, 0xfe, 0xc9, 0xc0, 0xb6, 0x92, 0x90, 0x4d, 0xbe, 0x8f,
        0x0e, 0x84, 0x8c, 0x21, 0x44, 0x37, 0x68, 0xf2, 0xfd, 0xbd, 0x04, 0xe9, 0xd3, 0x99, 0x3c,
        0x7f, 0x2e, 0x05, 0x6b, 0xfc, 0x8a, 0xee, 0x1d, 0xf1, 0x9a, 0x5d, 0xb3, 0x7c, 0xc8, 0x06,
        0xde, 0x50, 0x7a, 0x3b, 0x09, 0x20, 0xd0, 0x9b, 0x03, 0x88, 0xc8, 0xe7, 0x30, 0x59, 0x38,
        0x27, 0x33, 0x47, 0x26, 0x5f, 0xa9, 0x5e, 0x82, 0x02, 0xcb, 0x8f, 0xee, 0x63,
    ];

    fn text() -> Vec<u8> {
        let line = |n| format!("2026-01-05T10:00:0{n}Z line number {n} of a small log\n");
        (1..=5).flat_map(|n| line(n).into_bytes()).collect()
    }

    /// The packing that is recognised and what comes out, or what is wrong after so much has come out.
    fn unpacked(packed: Vec<u8>) -> (Packing, Vec<u8>, Option<String>) {
        let (length, read) = (packed.len() as u64, Rc::default());
        let (packing, mut reader) = unpack(Cursor::new(packed), Rc::clone(&read)).expect("memory");
        let mut out = Vec::new();
        let problem = reader.read_to_end(&mut out).err();
        if problem.is_none() {
            assert_eq!(read.get(), length, "every byte is counted");
        }
        (packing, out, problem.map(|problem| problem.to_string()))
    }

    #[test]
    fn plain_text_stays_what_it_is_however_it_begins() {
        for plain in ["", "2026", "(", "(\u{35}", "P", "S*M", "\u{1f}", "log"] {
            let plain = plain.as_bytes().to_vec();
            assert_eq!(unpacked(plain.clone()), (Packing::Plain, plain, None));
        }
    }

    #[test]
    fn packed_bytes_come_out_as_they_went_in() {
        let large: Vec<u8> = (0..400_000u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect();
        for whole in [Vec::new(), text(), large] {
            let gzip = unpacked(gzip(&whole));
            assert!(gzip == (Packing::Gzip, whole.clone(), None));
            let zstd = unpacked(zstd(&whole));
            assert!(zstd == (Packing::Zstd, whole, None));
        }
        assert_eq!(unpacked(BY_ZSTD.to_vec()), (Packing::Zstd, text(), None));
    }

    #[test]
    fn members_and_frames_follow_one_another_and_skippable_frames_are_skipped() {
        let twice = [text(), text()].concat();
        let members = [gzip(&text()), gzip(b""), gzip(&text())].concat();
        assert_eq!(unpacked(members), (Packing::Gzip, twice.clone(), None));
        let skippable = b"\x5f\x2a\x4d\x18\x03\0\0\0abc";
        let frames = [skippable, BY_ZSTD, skippable, &zstd(&text()), skippable].concat();
        assert_eq!(unpacked(frames), (Packing::Zstd, twice, None));
    }

    #[test]
    fn what_is_cut_off_gives_what_is_there_and_tells_where() {
        let (_, out, problem) = unpacked(BY_ZSTD[..80].to_vec());
        assert_eq!(problem.as_deref(), Some("zstd data is cut off at byte 80"));
        assert!(text().starts_with(&out));
        let whole = gzip(&text());
        let (_, out, problem) = unpacked(whole[..40].to_vec());
        assert_eq!(problem.as_deref(), Some("gzip data is cut off at byte 40"));
        assert!(text().starts_with(&out));
        let (_, _, problem) = unpacked(b"\x50\x2a\x4d\x18\x03\0\0\0a".to_vec());
        assert_eq!(problem.as_deref(), Some("zstd data is cut off at byte 9"));
    }

    #[test]
    fn no_damage_goes_unnoticed_and_none_is_a_panic() {
        let formats: [(Vec<u8>, usize); 2] = [(BY_ZSTD.to_vec(), 4), (gzip(&text()), 3)];
        for (whole, magic) in formats {
            for place in magic..whole.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut packed = whole.clone();
                    packed[place] ^= flip;
                    let (_, out, problem) = unpacked(packed);
                    // Some bits say nothing about the content, such as the time in the header of gzip.
                    assert!(
                        problem.is_some() || out == text(),
                        "byte {place} ^ {flip:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn garbage_after_a_member_or_frame_is_told() {
        for packed in [gzip(&text()), zstd(&text())] {
            let (_, out, problem) = unpacked([&packed, &b"longer than any header"[..]].concat());
            assert_eq!(out, text());
            assert!(problem.is_some_and(|problem| problem.contains("is damaged at byte")));
        }
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused_before_memory_is_taken() {
        // Exponent 18: a window of 2^28 bytes; RFC 8878, section 3.1.1.1.2.
        let (_, _, problem) = unpacked(b"\x28\xb5\x2f\xfd\x00\x90\x01\0\0".to_vec());
        let told = "zstd asks for a window of 268435456 bytes, limit is 134217728; pack it with less than --long=28";
        assert_eq!(problem.as_deref(), Some(told));
    }
}
