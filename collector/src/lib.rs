//! The Loopscope server.

pub mod alert;
pub mod api;
pub mod config;
pub mod counters;
pub mod demo;
pub mod doors;
pub mod journal;
pub mod layout;
pub mod otlp;
pub mod pipeline;
pub mod server;
pub mod store;
pub mod tls;
pub mod view;
