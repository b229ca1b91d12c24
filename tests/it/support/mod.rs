//! What the tests stand on: the real binary, real servers, real clients.
//!
//! Nothing here sleeps for a fixed time and hopes: [`wait::until`] polls for what should happen, up to a deadline.

pub(crate) mod alloy;
pub(crate) mod alloy_file;
pub(crate) mod browser;
pub(crate) mod event;
pub(crate) mod exporter;
pub(crate) mod follower;
pub(crate) mod http;
pub(crate) mod incident;
pub(crate) mod loki;
pub(crate) mod loki_write;
pub(crate) mod nats;
pub(crate) mod page;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod scene;
pub(crate) mod scratch;
pub(crate) mod server;
pub(crate) mod shop;
pub(crate) mod tls;
pub(crate) mod trommel;
pub(crate) mod wait;
