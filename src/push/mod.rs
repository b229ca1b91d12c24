//! From an HTTP request to a [`Batch`](crate::batch::Batch), as Loki's push endpoint reads it, and the answer to it.
//!
//! [`Scratch::decode`] and what it leans on is pure: bytes in, a batch or a [`DecodeError`] out. Protobuf is walked where it lies,
//! JSON is unescaped into the block, label strings are parsed once ([`labels`]) and remembered ([`Interner`]).
//! [`server`] is the shell around it: it reads bodies within [`Limits`], hands what it scanned to the owner, and answers 204
//! whatever the load is. It knows rules only as something to [`Inspect`] a batch with.
//!
//! Nothing here panics on, or remembers without bound, anything that a client sends.

mod budget;
mod connection;
mod decode;
mod fill;
mod inflate;
mod inspect;
mod interner;
mod json;
pub mod labels;
mod limits;
mod media_type;
mod pool;
mod protobuf;
mod receive;
pub mod server;

pub use decode::{DecodeError, Encoded, Form, Notes, Scratch};
pub(crate) use fill::ENTRY_BYTES;
pub use inspect::Inspect;
pub use interner::Interner;
pub use json::JsonError;
pub use limits::Limits;
pub use protobuf::ProtobufError;
pub use server::{Phase, Pressure, Server, Submission};
