//! The page.
pub mod format;
pub mod geometry;
pub mod model;
pub mod scene;
pub mod url;
pub mod words;
