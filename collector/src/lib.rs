//! The Loopscope server.

pub mod counters;
