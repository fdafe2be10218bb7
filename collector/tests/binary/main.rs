//! The program as people run it: the real binary, real sockets, a data folder, and signals.
//!
//! Each file is one promise to a user. What one part promises to another is tested beside that part; here nothing of
//! the collector is linked, so that a test sees only what a user sees. `../support/` starts the program and speaks its
//! protocols. What OTLP wants of the doors is proven in `../conformance/`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/root.rs"]
mod support;

mod alerts;
mod bad_input;
mod captures;
mod check;
mod cost;
mod demo;
mod durability;
mod evidence;
mod functions;
mod graph;
mod grpc;
mod intended;
mod limits;
mod loops;
mod metrics;
mod openapi;
mod overload;
mod page;
mod page_views;
mod patterns;
mod reports;
mod sampled;
mod settings;
