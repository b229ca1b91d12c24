//! From an HTTP request to a [`Batch`](crate::batch::Batch), as Loki's push endpoint reads it, and the answer to it.
//!
//! [`decode`](mod@decode) and what it leans on is pure: bytes in, a batch or a [`DecodeError`] out. Protobuf is walked where it lies
//! ([`protobuf`]), JSON is unescaped into the block ([`json`]), label strings are parsed once and remembered ([`labels`], [`interner`]).
//! [`server`] is the shell around it: it reads bodies within limits, hands what it scanned to the owner, and answers 204
//! whatever the load is. It knows rules only as something to [`Inspect`] a batch with.
//!
//! Nothing here panics on, or remembers without bound, anything that a client sends.

mod decode;
mod fill;
mod inflate;
mod interner;
mod json;
pub mod labels;
pub mod level;
mod limits;
mod media_type;
mod protobuf;

pub use decode::{DecodeError, Encoded, Form, Notes, Scratch};
pub use interner::Interner;
pub use json::JsonError;
pub use limits::Limits;
pub use protobuf::ProtobufError;
