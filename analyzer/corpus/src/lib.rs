//! Labelled traces of functions that run away and of functions that only look like it, and the scoreboard of the engine
//! on them.
//!
//! ```text
//!   catalogue -> Plan -> World -> exports in order of arrival -> Engine -> watch -> score -> report
//!                          \----- truth ---------------------------------------------/
//! ```
//!
//! Everything is seeded and in virtual time: the same seed gives the same spans, labels and scores on every machine.
//! The corpus knows the engine's input and its findings, never how it finds them.

mod background;
pub mod catalogue;
pub mod chains;
pub mod class;
pub mod dice;
pub mod knobs;
pub mod labels;
pub mod performance;
pub mod regressions;
pub mod render;
pub mod report;
pub mod scenario;
pub mod score;
pub mod suites;
pub mod targets;
pub mod truth;
pub mod watch;
pub mod world;
