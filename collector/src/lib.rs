//! The Loopscope server.

pub mod counters;
pub mod doors;
pub mod journal;
pub mod otlp;
