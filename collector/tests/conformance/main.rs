//! Conformance with OTLP: the real binary over real sockets, one test for each item of the checklist that
//! `docs/conformance.md` shows.
//!
//! Each group is one file, with its items at the top and their tests below. The items are the source of the tests and
//! of the table: an item without a test does not compile, and a table that says other than the items fails `table.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/root.rs"]
#[expect(dead_code, reason = "what only the other tests of the binary need")]
mod support;

#[macro_use]
mod items;
mod house;
mod rpc;
mod table;
mod wire;

mod browser;
mod common;
mod grpc;
mod http;
mod json;
mod nasty;
