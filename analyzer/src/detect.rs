//! The list of detectors: one file each, a plain function with its tests.
//!
//! A detector reads what shards, linker and aggregate have gathered and says what it makes of it. What a detector
//! needs to remember is a value that its caller keeps.

/// What became slower, faster, or fails more often than it used to.
pub mod change;
/// How often instances start, and what that costs.
pub(crate) mod cold_start;
/// Cycles in the graph that no chain has gone round twice.
pub(crate) mod cycle;
/// Chains that branch.
pub(crate) mod fan_out;
/// Whether a function belongs in a function.
pub(crate) mod fit;
/// Loops that show in counts alone.
pub(crate) mod flow;
/// Whether a platform would stop a loop by itself.
pub(crate) mod guard;
/// Functions and edges on which time is spent.
pub mod hotspot;
/// How deep benign chains go.
pub mod life_table;
/// How near functions come to their memory.
pub(crate) mod memory;
/// The same entity handled again and again.
pub(crate) mod no_progress;
/// The patterns that functions make.
pub mod pattern;
/// Messages that cannot be handled going round.
pub(crate) mod poison;
/// Whether times are larger than they were.
pub(crate) mod rank_test;
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
/// What functions wait for databases and stores.
pub(crate) mod state_tax;
/// How probable what is rarer than what was seen is.
pub(crate) mod tail;
/// Telemetry about the telemetry.
pub(crate) mod telemetry;
/// Calls that are refused because there are too many.
pub(crate) mod throttle;
/// How near functions come to their time-outs.
pub(crate) mod time_out;
