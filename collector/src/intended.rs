//! Loops that somebody wants, each with a bound, and what people say of loops that were found.
//!
//! - [`file`] reads declarations from TOML.
//! - [`registry`] keeps both, and hands them to the engine whenever they change.
//! - [`message`] turns declarations into wire messages and back, and says what is wrong with one.
//!
//! What a declaration or a verdict does to a loop is decided in the analyzer.

pub mod file;
pub mod message;
pub mod registry;
