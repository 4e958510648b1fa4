//! Text becomes a checked policy.
pub mod decode;
pub mod json;
pub mod problem;
pub mod raw;
pub mod tree;
pub mod value;
