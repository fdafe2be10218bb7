//! Every message that crosses a wire of Loopscope, once as prost types and once as JSON.
//!
//! The schema is `loopscope/v1/*.proto`; the types under [`v1`] are generated from it and committed, and the test
//! `tests/generated.rs` proves that they match. The JSON form keeps the field names of the schema, writes times as
//! RFC 3339 text in UTC, enumerations as lower-case words and numbers as numbers; readers ignore unknown fields and
//! fill missing ones with their defaults.
//!
//! Feature `tonic` adds the services over gRPC; feature `schema` the schema at run time, as descriptors and as JSON
//! Schema. This crate knows nothing of servers, storage, the engine or the page. See `json.rs` for the few fields whose
//! JSON form differs from what serde would derive, and `read.rs` for a reader of the same form that is small where serde
//! is fast.

pub mod json;
pub mod read;
#[cfg(feature = "schema")]
pub mod schema;

/// Version 1 of the messages.
#[allow(
    missing_docs,
    reason = "the sentence of every field stands in the schema and is copied by the generator; oneofs and enum helpers have none"
)]
#[rustfmt::skip]
pub mod v1 {
    include!("generated/loopscope.v1.rs");
}
