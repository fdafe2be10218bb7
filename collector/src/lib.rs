//! The Loopscope server.

pub mod api;
pub mod counters;
pub mod layout;
pub mod view;
