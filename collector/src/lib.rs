//! The Loopscope server.

pub mod counters;
pub mod journal;
pub mod otlp;
