//! The Loopscope server.

pub mod counters;
pub mod layout;
