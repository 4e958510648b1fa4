//! Takes the policy and keeps the clock.
//!
//! A policy is always accepted towards the host: a no at a cold start would mean an error for every
//! request, even under fail-open. A bad one leaves the last good one in force; with none, everything
//! passes as stable. Configuring runs on every thread and once more in a VM that is thrown away, so
//! it makes nothing that would have to be undone.

use super::host::{self, Kind, Level};
use super::stats::Stats;
use super::store::LastGood;
use super::stream::Stream;
use crate::policy::problem::Refusal;
use crate::policy::{self, Policy};
use crate::report::metric;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::rc::Rc;

/// How often counts are told, in milliseconds: as often as anyone scrapes at most.
const TICK: u32 = 1000;

/// What all requests under one policy share.
#[derive(Debug)]
pub struct InForce {
    /// The policy; none if none was ever good.
    pub policy: Option<Policy>,
    /// Whether a decision may depend on the time.
    pub needs_time: bool,
    /// The counters.
    pub stats: Stats,
}

impl InForce {
    fn new(policy: Option<Policy>) -> Self {
        let assigner = policy.as_ref().map(|policy| &policy.assigner);
        Self {
            needs_time: assigner.is_some_and(|assigner| assigner.needs_time()),
            stats: Stats::define(assigner),
            policy,
        }
    }
}

/// The filter in one thread, under one configuration.
#[derive(Debug, Default)]
pub struct Root {
    in_force: Option<Rc<InForce>>,
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        self.flush();
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let text = host::configuration(size).ok().flatten().unwrap_or_default();
        let last_good = LastGood::of_this_plugin();
        let read = policy::read(&text);
        tell_rejected(read.is_err());
        let policy = match read {
            Ok(policy) => {
                if last_good.write(&text).is_err() {
                    host::log(
                        Level::Warn,
                        "serinus: the policy could not be kept in shared data",
                    );
                }
                Some(policy)
            }
            Err(refusal) => fall_back(&refusal, &last_good),
        };
        if let Some(policy) = &policy {
            host::log(Level::Info, &introduction(policy));
        }
        self.flush();
        self.in_force = Some(Rc::new(InForce::new(policy)));
        if host::tick_every(TICK).is_err() {
            host::log(
                Level::Warn,
                "serinus: the host gives no tick; metrics will stay at 0",
            );
        }
        true
    }

    fn on_tick(&mut self) {
        self.flush();
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(self.in_force.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Root {
    fn flush(&self) {
        if let Some(in_force) = &self.in_force {
            in_force.stats.flush();
        }
    }
}

/// The last good policy, with the problems of the refused one in the log.
fn fall_back(refusal: &Refusal, last_good: &LastGood) -> Option<Policy> {
    for line in refusal.to_string().lines() {
        host::log(Level::Error, &format!("serinus: policy refused: {line}"));
    }
    let policy = last_good.read().and_then(|text| policy::read(&text).ok());
    let instead = match policy {
        Some(_) => "serinus: the last good policy stays in force",
        None => "serinus: there is no earlier policy; everything passes as stable",
    };
    host::log(Level::Error, instead);
    policy
}

fn tell_rejected(rejected: bool) {
    let told = host::define_metric(Kind::Gauge, metric::POLICY_REJECTED)
        .and_then(|gauge| host::set_metric(gauge, u64::from(rejected)));
    if told.is_err() {
        host::log(Level::Warn, "serinus: the host takes no metrics");
    }
}

fn introduction(policy: &Policy) -> String {
    format!(
        "serinus {}: policy `{}` in force, {} routes, {:?}",
        env!("CARGO_PKG_VERSION"),
        policy.name,
        policy.assigner.routes.len(),
        policy.assigner.mode,
    )
}
