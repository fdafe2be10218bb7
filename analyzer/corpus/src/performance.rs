//! Labelled systems of functions of which is known where their time and money goes, and how well the engine tells.
//!
//! ```text
//!   System -> Simulator -> traces (with what is true) -> telling -> exports in order of arrival -> Engine -> score
//!               \- Fault, speed-up
//! ```
//!
//! As in the rest of the corpus everything is seeded and in virtual time. What happens in a trace is drawn from the
//! number of the trace and the path to the run alone, so the same system can be run again with one place faster or
//! slower and nothing else changes: that is how the truth of a "what if" is known.

pub mod cost;
pub mod fault;
pub mod hotspots;
pub mod ledger;
pub mod patterns;
pub mod regressions;
pub mod report;
pub mod risks;
pub mod score;
pub mod series;
pub mod shares;
pub mod simulator;
pub mod stream;
pub mod suites;
pub mod system;
pub mod targets;
pub mod telling;
pub mod watched;
pub mod what_if;
