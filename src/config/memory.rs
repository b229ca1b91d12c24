//! What of `memory` each part may take.

use super::raw::Size;
use super::{Detect, Limits};

/// Resident memory that trommel stays under, in bytes, and how it is shared out among what grows with what is pushed.
///
/// The shares are parts of what is left once trommel itself has what it needs. A tenth of it is nobody's: allocators round up, and
/// a part may be over its bound by what one request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(pub u64);

impl Memory {
    /// Fits a pod with a limit of 128 MiB.
    pub const DEFAULT: Self = Self(96 << 20);
    /// Below it a usual push of one MiB would find no room beside another.
    pub const MIN: Self = Self(64 << 20);
    /// More than anybody has.
    pub(super) const MAX: Self = Self(1 << 40);
    /// Trommel itself with the rules that ship, threads, and SQLite's own caches.
    pub const OWN: u64 = 28 << 20;
    /// What one remembered label set usually takes, its text twice.
    const STREAM: u64 = 512;
    /// What one remembered entry takes, in a table that has just grown.
    const IDENTITY: u64 = 20;
    /// What is read ahead on one connection.
    const CONNECTION: u64 = crate::push::Limits::READ_AHEAD_BYTES_MAX as u64;

    /// What there is to share out.
    const fn rest(self) -> u64 {
        self.0.saturating_sub(Self::OWN)
    }

    /// Requests that are being worked on, in whole MiB, four times over.
    pub(super) const fn in_flight(self) -> u64 {
        (self.rest() / 4) >> 22 << 22
    }

    /// One request's body, as sent and when decompressed, so that with its index it fits into its half of what is being worked on.
    pub(super) const fn body(self, most: u64) -> u64 {
        let share = self.in_flight() / 4;
        if share < most { share } else { most }
    }

    /// Buffers that are kept for the next requests, those of bodies and those of decoded requests together.
    pub const fn kept(self) -> u64 {
        self.rest() / 8
    }

    /// Recent lines of streams.
    pub const fn recent(self) -> u64 {
        self.rest() / 64
    }

    /// Connections, by what is read ahead on each, in tens.
    pub(super) const fn connections(self) -> u64 {
        self.rest() / 16 / Self::CONNECTION / 10 * 10
    }

    /// Label sets, in thousands.
    pub(super) const fn streams(self) -> u64 {
        self.rest() / 7 / Self::STREAM / 1000 * 1000
    }

    /// Entries that are remembered, in thousands.
    pub(super) const fn identities(self) -> u64 {
        self.rest() / 10 / Self::IDENTITY / 1000 * 1000
    }

    /// Keys of all rules, in whole MiB.
    pub(super) const fn keys(self) -> u64 {
        (self.rest() / 5) >> 20 << 20
    }

    /// What is wrong with the settings, if what they allow together does not fit.
    pub(super) fn overdrawn(self, limits: &Limits, detect: &Detect) -> Option<String> {
        let parts = [
            ("limits.in_flight_bytes_max", limits.in_flight_bytes_max),
            (
                "limits.connections_max",
                limits.connections_max.saturating_mul(Self::CONNECTION),
            ),
            (
                "limits.streams_max",
                limits.streams_max.saturating_mul(Self::STREAM),
            ),
            (
                "detect.identities_max",
                detect.identities_max.saturating_mul(Self::IDENTITY),
            ),
            ("detect.keys_bytes_max", detect.keys_bytes_max),
        ];
        let together = parts.iter().fold(
            Self::OWN + self.kept() + self.recent(),
            |sum, (_, bytes)| sum.saturating_add(*bytes),
        );
        let parts = parts
            .map(|(key, bytes)| format!("{key} {}", in_mib(bytes)))
            .join(", ");
        (together > self.0).then(|| {
            format!(
                "{} is less than the {} that are allowed together: trommel itself {}, buffers {}, recent lines {}, {parts}; raise it, or lower one of these",
                Size(self.0), in_mib(together), in_mib(Self::OWN), in_mib(self.kept()), in_mib(self.recent())
            )
        })
    }
}

fn in_mib(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, RawConfig};

    #[test]
    fn the_shares_leave_a_tenth_and_take_a_usual_push() {
        for memory in [
            Memory::MIN,
            Memory::DEFAULT,
            Memory(512 << 20),
            Memory(4 << 30),
        ] {
            let raw = RawConfig {
                memory: Some(Size(memory.0)),
                ..RawConfig::default()
            };
            let config = Config::check(raw).expect("the shares fit");
            assert_eq!(memory.overdrawn(&config.limits, &config.detect), None);
            let shares = memory.in_flight()
                + memory.kept()
                + memory.recent()
                + memory.connections() * Memory::CONNECTION
                + memory.streams() * Memory::STREAM
                + memory.identities() * Memory::IDENTITY
                + memory.keys();
            let left = memory.rest() - shares;
            assert!(
                left * 10 >= memory.rest() && left * 5 < memory.rest(),
                "{memory:?}: {left}"
            );
            assert!(config.limits.decompressed_bytes_max >= 2 << 20);
            assert!(config.limits.connections_max >= 100);
        }
    }

    #[test]
    fn no_share_of_much_memory_is_more_than_may_be_set() {
        for memory in [Memory(48 << 30), Memory(1 << 40)] {
            let raw = RawConfig {
                memory: Some(Size(memory.0)),
                ..RawConfig::default()
            };
            let config = Config::check(raw).expect("what nobody has set is not wrong");
            assert_eq!(memory.overdrawn(&config.limits, &config.detect), None);
            assert_eq!(config.limits.streams_max, 10_000_000);
        }
    }
}
