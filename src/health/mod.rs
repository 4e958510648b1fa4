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
//! | [`watch`] | one route over time: what came since the last look |
//! | [`window`], [`slow`], [`share`] | the last minutes, what is slow, whether shares are kept |
//! | [`kept`] | the last minutes of all routes, for whoever watches next |
//! | [`experiment`] | exposures, goals and conversions |
//! | [`tick`] | what the gate reads of a tick |
//! | [`lease`], [`turns`] | which worker watches, and when which routes |
//!
//! A request: [`clock::Clock::start`] when it begins, [`route::RouteHealth::decided`] when it was
//! decided, and at its end [`outcome::Ended::outcome`] and [`route::RouteHealth::record`]. A tick:
//! every worker adds its deltas to the ledger; one of them looks at the sums ([`watch::RouteWatch`]),
//! feeds the gate and tells all what is slow ([`slow`]). A start: nothing to do for a worker; who
//! watches takes up its predecessor's windows ([`kept`]) and bounds ([`slow`]).

pub mod bytes;
pub mod callers;
pub mod clock;
pub mod counters;
pub mod experiment;
pub mod flags;
pub mod hosts;
pub mod kept;
pub mod latency;
pub mod lease;
pub mod ledger;
pub mod outcome;
pub mod route;
pub mod share;
pub mod slow;
pub mod statuses;
pub mod tick;
pub mod totals;
pub mod turns;
pub mod watch;
pub mod window;

/// What a policy says of a route's health, and of what is to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `health`: what is an error.
    pub errors: outcome::Errors,
    /// `report.hosts`: whether upstream hosts are told apart; one host call a request.
    pub hosts: bool,
    /// `report.bytes`: whether bytes are counted; two host calls a request.
    pub bytes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            errors: outcome::Errors::default(),
            hosts: true,
            bytes: false,
        }
    }
}
