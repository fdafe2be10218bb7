//! The Loopscope server.

pub mod alert;
pub mod api;
pub mod config;
pub mod counters;
pub mod demo;
pub mod journal;
pub mod otlp;
pub mod store;
mod tls;
