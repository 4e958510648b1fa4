//! What people and machines read of the filter's decisions.

pub mod explain;
pub mod metric;
#[cfg(feature = "cli")]
pub mod metric_reference;
pub mod metric_shadow;
pub mod page;
pub mod state;
pub mod state_flags;
pub mod state_gate;
pub mod state_shadow;
