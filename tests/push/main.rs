//! Pushes as clients send them, decoded and answered.

mod decode;
mod http;
#[path = "../support/loki_proto.rs"]
mod loki_proto;
mod protobuf;
mod server;
mod vectors;
