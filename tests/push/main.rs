//! Pushes as clients send them, decoded and answered.

mod decode;
#[path = "../support/loki_proto.rs"]
mod loki_proto;
mod protobuf;
mod vectors;
