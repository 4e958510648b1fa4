//! Who gets which variant, and why.

pub mod hash;
pub mod share;
