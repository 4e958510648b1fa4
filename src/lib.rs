//! Serinus: a canary filter for Envoy.
//!
//! | folder | what is decided there |
//! | --- | --- |
//! | [`policy`] | text becomes a checked policy; the only place that knows JSON or YAML |
//! | [`request`] | a borrowed view of one request |
//! | [`assign`] | who gets which variant, and why |
//! | [`gate`] | whether the canary is worse than stable |
//! | [`shadow`] | whether the answers of two versions differ |
//! | [`report`] | what people and machines read of all that |
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod assign;
pub mod gate;
#[cfg(all(feature = "plugin", target_arch = "wasm32"))]
mod plugin;
pub mod policy;
pub mod report;
pub mod request;
pub mod shadow;
