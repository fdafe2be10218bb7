//! The list of detectors: one file each, a plain function with its tests.
//!
//! A detector reads what shards, linker and aggregate have gathered and says what it makes of it. It keeps nothing.

/// Cycles in the graph that no chain has gone round twice.
pub(crate) mod cycle;
/// Functions and edges on which time is spent.
pub(crate) mod hotspot;
/// Functions that run again and again on one causal chain.
pub(crate) mod reentry;
