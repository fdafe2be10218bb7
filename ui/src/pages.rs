//! The pages, one file each. A page reads the shared state and shows it; it keeps nothing that another page needs.

pub mod alerts;
pub mod changes;
pub mod connect;
pub mod cost;
pub mod functions;
pub mod hotspots;
pub mod loop_detail;
pub mod loops;
pub mod map;
pub mod patterns;
pub mod trace;
pub mod traces;
