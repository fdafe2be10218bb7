//! The list of detectors: one file each, a plain function with its tests.
//!
//! A detector reads what shards, linker and aggregate have gathered and says what it makes of it. What a detector
//! needs to remember is a value that its caller keeps.

/// What became slower, faster, or fails more often than it used to.
pub mod change;
/// Cycles in the graph that no chain has gone round twice.
pub(crate) mod cycle;
/// Chains that branch.
pub(crate) mod fan_out;
/// Loops that show in counts alone.
pub(crate) mod flow;
/// Whether a platform would stop a loop by itself.
pub(crate) mod guard;
/// Functions and edges on which time is spent.
pub mod hotspot;
/// How deep benign chains go.
pub mod life_table;
/// The same entity handled again and again.
pub(crate) mod no_progress;
/// Messages that cannot be handled going round.
pub(crate) mod poison;
/// All chains together going on more than they used to.
pub(crate) mod rate;
/// How long a loop is quiet until it is over, and how much it matters.
pub(crate) mod reentry;
/// Further laps that each lap causes.
pub mod reproduction;
/// Requests that are tried again and again.
pub(crate) mod retry;
/// Functions that keep themselves going.
pub(crate) mod self_timer;
/// Telemetry about the telemetry.
pub(crate) mod telemetry;
