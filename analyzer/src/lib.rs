//! The pure engine of Loopscope: spans in; call graph, loops and hotspots out.

pub mod attribute;
pub mod identity;
pub mod snapshot;
pub mod span;
