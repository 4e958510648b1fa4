//! What happened, per route, variant and host.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`outcome`], [`flags`], [`statuses`] | what a finished request came to |
//! | [`clock`] | how long it took, by a clock that may be set |
//! | [`latency`] | percentiles in fixed memory |
//! | [`callers`] | how many callers had errors |
//! | [`hosts`] | the same per upstream host |
//! | [`counters`], [`totals`] | all that is counted of a side, of a route |
//! | [`route`] | what one worker counted since it last handed it on |
//! | [`ledger`] | sums over all workers that outlive VMs |

pub mod bytes;
pub mod callers;
pub mod clock;
pub mod counters;
pub mod flags;
pub mod hosts;
pub mod latency;
pub mod ledger;
pub mod outcome;
pub mod route;
pub mod statuses;
pub mod totals;
