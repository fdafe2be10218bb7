//! The Loopscope server: everything around the engine.
//!
//! Data goes one way, and the modules stand in that order:
//!
//! ```text
//!   doors -> journal -> pipeline (otlp, analyzer) -> view, layout, alert -> api, webhook
//! ```
//!
//! - [`config`]: what people may set; [`price`]: what things cost; [`intended`]: loops that somebody wants.
//! - [`server`] starts everything; [`counters`] count.
//! - [`doors`] take OTLP in, [`otlp`] reads it, [`journal`] keeps it.
//! - [`pipeline`] runs the analyzer on threads and publishes a [`view`]; [`layout`] gives nodes their places.
//! - [`cut`] says where to cut a loop. [`alert`] tells people, [`store`] remembers what must outlive the process,
//!   [`windows`] what was measured in each minute.
//! - [`check`] runs the engine over files, without a server; [`intended`] loops are fine inside their bounds.
//! - [`generate`] writes labelled files to try it on.
//! - [`api`] answers the page and scripts. [`demo`] is a function system to look at.
//!
//! What is found in spans is decided in the analyzer, how it looks in the page; neither here.

pub mod alert;
pub mod api;
pub mod check;
mod clock;
pub mod config;
pub mod convert;
pub mod counters;
pub mod cut;
pub mod demo;
pub mod doors;
pub mod generate;
pub mod intended;
pub mod journal;
pub mod layout;
pub mod otlp;
pub mod pipeline;
pub mod price;
mod sampled;
pub mod server;
pub mod store;
pub mod tls;
pub mod view;
pub mod windows;
