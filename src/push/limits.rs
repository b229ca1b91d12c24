//! How much of everything one client, and all of them, may take.

use std::time::Duration;

/// The bounds of receiving. Each has a counter that tells how often it was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body as sent, compressed or not. Beyond it: 413.
    pub body_bytes_max: usize,
    /// Bytes of a body once decompressed; 0 leaves only [`Limits::BLOCK_BYTES_CEILING`]. Beyond it: 413.
    pub decompressed_bytes_max: usize,
    /// Entries of one request that are inspected; those beyond it are counted as shed. An entry may take two bytes of body and
    /// 32 of memory, so the limits in bytes alone would not bound a request.
    pub entries_max: usize,
    /// Bytes of a stream's labels as written. A stream beyond it is inspected without labels, and counted.
    pub labels_bytes_max: usize,
    /// Bytes of a line that are inspected, and that make its identity. A longer one is cut for us, and counted.
    pub line_bytes_max: usize,
    /// Bytes of `X-Scope-OrgID`. Beyond it: 400.
    pub tenant_bytes_max: usize,
    /// Streams whose parsed labels are remembered; the longest unused are forgotten first, and counted.
    pub streams_interned_max: usize,
    /// Open connections. One more is accepted and closed at once, and counted.
    pub connections_max: usize,
    /// From a request's first byte, or the connection's start, to the end of its header. Beyond it the connection is closed.
    pub header_read: Duration,
    /// From the header's end to the body's last byte. Beyond it: 408, and the connection is closed.
    pub body_read: Duration,
    /// How long a connection may say nothing between two requests.
    pub idle: Duration,
    /// From a body's last byte to the answer, whatever the load. Time spent waiting for room before that is taken off it.
    pub answer_within: Duration,
    /// Bytes that all requests together may hold: half of it bodies as sent, half what they decompress to and the hits found there.
    /// A request that finds no room within [`Limits::answer_within`] is discarded, answered 204 and counted as shed.
    /// One that alone needs more than a half may take all of that half.
    pub bytes_in_flight_max: usize,
    /// Memory kept between requests for decoding and for bodies, half each.
    pub kept_bytes_max: usize,
}

impl Limits {
    /// Most bytes a block may have whatever is configured: a batch indexes its block with 32 bits.
    pub const BLOCK_BYTES_CEILING: usize = u32::MAX as usize;

    /// Most bytes hyper reads ahead on one connection, header and body; headers longer than this get 431. Not in the budget.
    pub const READ_AHEAD_BYTES_MAX: usize = 16 << 10;

    /// What holds unless it is configured otherwise.
    pub const DEFAULT: Self = Self {
        // Alloy sends about 1 MiB of text, 0.4 MiB compressed; Loki's own default for a message is 100 MiB, which no tee needs.
        body_bytes_max: 16 << 20,
        decompressed_bytes_max: 64 << 20,
        // 64 MiB of lines of 64 bytes; 32 MiB of index.
        entries_max: 1 << 20,
        // Loki allows 15 labels of at most 1024 + 2048 bytes by default, and real sets are below 1 KiB.
        labels_bytes_max: 16 << 10,
        // Loki's own default for `max_line_size`.
        line_bytes_max: 256 << 10,
        // Loki allows 150.
        tenant_bytes_max: 256,
        // At some 500 bytes a stream, 32 MiB: a large cluster's running pods.
        streams_interned_max: 65_536,
        connections_max: 1024,
        header_read: Duration::from_secs(10),
        // Alloy gives a request 10 s by default.
        body_read: Duration::from_secs(10),
        // Alloy drops idle connections after five minutes; one that we drop first costs it a retry.
        idle: Duration::from_secs(600),
        // Alloy's endpoints wait for one another: a slow answer here is delay in Loki.
        answer_within: Duration::from_millis(500),
        bytes_in_flight_max: 64 << 20,
        // Both workers of a small pod, each with a few usual batches' worth; measured batches of Alloy need 3 MiB.
        kept_bytes_max: 32 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
