//! The Loopscope server.

pub mod api;
pub mod config;
pub mod counters;
pub mod store;
