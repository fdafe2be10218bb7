//! What the collector tells the world: the page, the API and its live stream.

pub mod convert;
