//! What people and machines read of the filter's decisions.

pub mod explain;
pub mod metric;
pub mod state;
pub mod state_gate;
