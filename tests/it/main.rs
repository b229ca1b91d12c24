//! Trommel as others see it: the real binary, real clients, a real NATS server.
//!
//! `scripts/test` installs what these tests run. Without it a test that misses a server or a client says so and passes.

mod access;
mod acting;
mod alloy;
mod backup;
mod bounded;
mod browser;
mod clients;
mod compose;
mod consumers;
mod dashboard;
mod deploy;
mod disk;
mod docs;
mod empty_disk;
mod hostile;
mod jetstream;
mod kill;
mod language;
mod loki_first;
mod metrics;
mod nats_access;
mod nats_down;
mod once;
mod openapi;
mod ourselves;
mod pages;
mod prometheus;
mod readme;
mod reload;
mod replay;
mod restart;
mod rule_changes;
mod sample;
mod semantics;
mod start_errors;
mod stop;
mod story;
mod support;
mod vectors;
