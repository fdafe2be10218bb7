//! The Loopscope server.

pub mod alert;
pub mod api;
pub mod config;
pub mod counters;
pub mod demo;
pub mod store;
pub mod tls;
