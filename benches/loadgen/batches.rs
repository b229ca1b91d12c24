//! The requests of a run: different lines in turn, and every entry with a time that no other has.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::lines;
use crate::wire::{self, SentStream};

/// Most bytes of packed requests that a run keeps in memory.
const KEPT_BYTES_MAX: usize = 4 << 30;

/// Different sets of lines; requests take them in turn. Enough that no branch predictor learns them by heart.
const SETS: usize = 16;

/// Which lines hold something that a rule looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mix {
    /// One in ten thousand
    Quiet,
    /// One in a hundred
    Busy,
    /// Every one
    Storm,
}

impl Mix {
    fn one_in(self) -> usize {
        match self {
            Self::Quiet => 10_000,
            Self::Busy => 100,
            Self::Storm => 1,
        }
    }
}

/// Requests that are ready to be sent.
pub(crate) struct Bodies {
    pub(crate) packed: Vec<Vec<u8>>,
    /// Of each, before packing.
    pub(crate) bytes: Vec<usize>,
    pub(crate) lines: usize,
}

impl Bodies {
    /// Makes `count` requests of `sets` in turn, each with entries of its own `interval`, beginning now.
    ///
    /// # Errors
    /// When they take more than [`KEPT_BYTES_MAX`].
    pub(crate) fn new(sets: &[Vec<SentStream>], count: usize, interval: Duration) -> Result<Self> {
        let mut encoder = snap::raw::Encoder::new();
        let epoch = SystemTime::UNIX_EPOCH;
        let begin = SystemTime::now().duration_since(epoch)?.as_nanos() as u64;
        let interval = interval.as_nanos() as u64;
        let mut bodies = Self {
            packed: Vec::with_capacity(count),
            bytes: Vec::with_capacity(count),
            lines: 0,
        };
        let mut kept = 0;
        for (number, streams) in sets.iter().cycle().take(count).enumerate() {
            let lines: usize = streams.iter().map(|stream| stream.lines.len()).sum();
            let first = begin + number as u64 * interval;
            let mut line = 0;
            let (packed, bytes) = wire::request(streams, &mut encoder, || {
                line += 1;
                first + (line - 1) * interval / lines as u64
            });
            kept += packed.len();
            ensure!(
                kept <= KEPT_BYTES_MAX,
                "{count} requests take more than {KEPT_BYTES_MAX} bytes: send fewer"
            );
            bodies.packed.push(packed);
            bodies.bytes.push(bytes);
            bodies.lines += lines;
        }
        Ok(bodies)
    }

    /// Before packing, all together.
    pub(crate) fn total_bytes(&self) -> usize {
        self.bytes.iter().sum()
    }
}

/// Lines as clusters write them, some of them with one of `examples` at their end.
pub(crate) fn sets(mix: Mix, examples: &[String]) -> Vec<Vec<SentStream>> {
    let ordinary = lines::Mix::Hits { per_mille: 0 };
    let mut number = 0;
    let sets = (0..SETS as u64).map(|seed| {
        let mut streams = ordinary.streams(seed, examples);
        for line in streams.iter_mut().flat_map(|stream| &mut stream.lines) {
            number += 1;
            if number % mix.one_in() == 0 {
                line.push(b' ');
                // Neighbours are of one kind; steps through them mix all.
                let example = number / mix.one_in() * 37 % examples.len();
                line.extend(examples[example].bytes());
            }
        }
        streams
    });
    sets.collect()
}
