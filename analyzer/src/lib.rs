//! The pure engine of Loopscope: spans in; call graph, loops and hotspots out.
//!
//! ```text
//!   spans -> Shard (one of N, by trace) -> records -> Linker (one) -> loops --.
//!                 \--------------------- deltas ----------------------------> Aggregate -> Snapshot
//! ```
//!
//! Every part is a state machine: `ingest(now, ..)`, `tick(now)`, and something to drain. Nothing here reads a clock,
//! does IO, logs or fails: what cannot be right in the input is mended or left out, and counted in
//! [`snapshot::Losses`]. Wire formats, storage and threads belong to the collector.
//!
//! ```
//! use loopscope_analyzer::{config::Config, engine::Engine, span::ArrivalTime};
//!
//! let mut engine = Engine::new(&Config::recommended(), 2);
//! let now = ArrivalTime(1_700_000_000_000_000_000);
//! engine.ingest(now, []);
//! engine.tick(now);
//! assert!(engine.snapshot(now).loops.is_empty());
//! ```
//!
//! Start at `shard.rs` for how spans become invocations, at `linker.rs` for causal chains and laps, at `detect.rs` for
//! what is made of them.

pub mod aggregate;
pub mod attribute;
mod bins;
mod canonical;
pub mod config;
mod critical_path;
pub mod detect;
pub mod engine;
pub mod facts;
#[cfg(test)]
mod fixture;
mod generations;
pub mod identity;
pub mod intended;
pub mod linker;
pub mod measured;
pub mod metric;
pub mod price;
pub mod profile;
pub mod record;
mod records;
pub mod sampling;
pub mod shard;
mod sketch;
pub mod snapshot;
pub mod span;
pub mod state;
mod window;
pub mod windows;
