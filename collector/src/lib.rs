//! The Loopscope server.

pub mod config;
pub mod counters;
