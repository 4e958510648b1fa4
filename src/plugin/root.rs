//! Takes the policy and keeps the clock.
//!
//! A policy is always accepted towards the host: a no at a cold start would mean an error for every
//! request, even under fail-open. A bad one leaves the last good one in force; with none, everything
//! passes as stable. Configuring runs on every thread and once more in a VM that is thrown away, so
//! it makes nothing that would have to be undone.
//!
//! The clock beats four times a second. Once a second every worker hands on what it counted of a
//! route; a quarter of a second later all have done so, and the one that watches looks at the sums
//! ([`turns`](crate::health::turns)).

use super::counting::{Counting, Flush};
use super::gates::Obeyed;
use super::host::{self, Buffer, Kind, Level};
use super::rescues::Rescues;
use super::series::Id;
use super::shadows::Shadows;
use super::stats::Stats;
use super::store::LastGood;
use super::stream::Stream;
use super::watch::Watch;
use crate::assign::Mode;
use crate::assign::hash::murmur3_x86_32;
use crate::assign::ramp::Millis;
use crate::bucket::Moment;
use crate::health::clock::Wall;
use crate::health::lease::{self, Candidate};
use crate::health::turns::{self, BEAT_MS, Turns};
use crate::policy::problem::Refusal;
use crate::policy::{self, Policy};
use crate::report::metric;
use std::rc::Rc;

/// A policy that was refused.
#[derive(Debug)]
pub struct Rejected {
    /// What tells it from others.
    pub version: String,
    /// When it was given.
    pub since: Millis,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// What all requests under one policy share.
#[derive(Debug)]
pub struct InForce {
    /// The policy; none if none was ever good.
    pub policy: Option<Policy>,
    /// What tells it from others; 0 without one.
    pub number: u32,
    /// The same as text.
    pub version: String,
    /// Since when it has been in force.
    pub since: Millis,
    /// A newer one that was refused.
    pub rejected: Option<Rejected>,
    /// The metrics.
    pub stats: Stats,
    /// How the gates stand.
    pub obeyed: Obeyed,
    /// What requests count.
    pub counting: Counting,
    /// The copies of requests.
    pub shadows: Shadows,
    /// The answers of stable for requests that failed.
    pub rescues: Rescues,
}

impl InForce {
    /// Its name and its version.
    pub fn name_and_version(&self) -> Option<(&str, &str)> {
        let policy = self.policy.as_ref()?;
        Some((&policy.name, &self.version))
    }

    /// Whether streams of a route's variants are ended when their gate shuts. A filter that only observes
    /// ends nothing.
    pub fn cuts(&self, route: usize) -> bool {
        let enforced = self.policy.as_ref();
        let enforced = enforced.filter(|policy| policy.assigner.mode == Mode::Enforce);
        enforced.is_some_and(|policy| policy.cuts(route))
    }

    /// Hands on what was counted and found; says whether there was anything.
    fn flush(&self, which: Flush) -> bool {
        let policy = self.policy.as_ref();
        let found = policy.is_some_and(|policy| self.shadows.flush(policy, &self.stats, which));
        self.rescues.tell();
        self.counting.flush(&self.stats, which) || found
    }
}

/// Requests outlive their policy: the last one takes what was counted since the last tick along.
impl Drop for InForce {
    fn drop(&mut self) {
        self.flush(Flush::Last);
    }
}

/// The filter in one thread, under one configuration.
#[derive(Debug, Default)]
pub struct Root {
    in_force: Option<Rc<InForce>>,
    beat: Beat,
}

/// Where the clock stands.
#[derive(Debug, Default)]
struct Beat {
    turns: Turns,
    candidate: Option<Candidate>,
    watch: Option<Watch>,
}

impl Root {
    /// Takes the policy of `size` bytes that the host has.
    pub fn configure(&mut self, size: usize) {
        let text = host::bytes(Buffer::Configuration, size).unwrap_or_default();
        let now = host::now().unwrap_or_default().millis();
        let in_force = take(&text, now);
        self.retire();
        tell_rejected(in_force.rejected.is_some());
        Id::single(&metric::PANICS);
        self.in_force = Some(Rc::new(in_force));
        self.beat = Beat::default();
        if host::tick_every(BEAT_MS).is_err() {
            host::log(
                Level::Warn,
                "serinus: the host gives no tick; metrics will stay at 0",
            );
        }
    }

    /// A beat.
    pub fn tick(&mut self) {
        let Some(in_force) = &self.in_force else {
            return;
        };
        let Ok(began) = host::now() else {
            in_force.stats.host_error();
            return;
        };
        if self.beat.tick(in_force, began)
            && let Ok(ended) = host::now()
        {
            in_force.stats.tick.set(ended.0.abs_diff(began.0));
        }
    }

    /// A call has ended; the host has its answer, with a body of `size` bytes.
    pub fn answered(&self, token: u32, size: usize) {
        if let Some(in_force) = &self.in_force
            && let Some(policy) = &in_force.policy
        {
            in_force.shadows.answered(in_force, policy, token, size);
        }
    }

    /// A request under the policy of now.
    pub fn stream(&self) -> Stream {
        Stream::new(self.in_force.clone())
    }

    /// The host has no more use for this; requests under its policy may live on.
    pub fn done(&self) {
        if let Some(in_force) = &self.in_force {
            in_force.flush(Flush::All);
        }
        self.retire();
    }

    /// Where another policy is in force by now, the gauges of what it has no more go to 0, if they
    /// are this worker's to set.
    fn retire(&self) {
        if let (Some(in_force), Some(_)) = (&self.in_force, &self.beat.watch)
            && let Some(policy) = &in_force.policy
            && let Some((text, _)) = LastGood::of_this_plugin().read()
            && version(&text) != in_force.number
            && let Ok(successor) = policy::read(&text)
        {
            in_force.stats.retire(policy, &successor);
        }
    }
}

impl Beat {
    /// One beat; says whether there was work to do.
    fn tick(&mut self, in_force: &InForce, clock: Wall) -> bool {
        let now = clock.millis();
        in_force.counting.look(clock);
        if let Some(policy) = &in_force.policy {
            in_force.obeyed.listen(policy);
        }
        let mut worked = false;
        for due in self.turns.due(now) {
            if let Some(policy) = &in_force.policy {
                worked |= self.watch(in_force, policy, due.look, now);
            }
            in_force.shadows.tick(due.hand_on, now);
            worked |= in_force.flush(Flush::Turn(due.hand_on));
            if due.hand_on == 0
                && let Some(policy) = &in_force.policy
            {
                in_force.counting.learn_slow(policy);
            }
        }
        worked
    }

    /// Looks at the routes of a turn, if there are any and this worker is the one that watches.
    fn watch(&mut self, in_force: &InForce, policy: &Policy, turn: usize, now: Millis) -> bool {
        // The requests that no route took come after the last route.
        let routes = policy.assigner.routes.len();
        if !(0..=routes).any(|index| turns::of(index) == turn) {
            return false;
        }
        if !self.holds(in_force, &policy.name, now) {
            self.watch = None;
            return false;
        }
        let watch = self
            .watch
            .get_or_insert_with(|| Watch::take_over(in_force, policy, now));
        watch.look(in_force, policy, turn, now);
        let age = now.0.saturating_sub(in_force.since.0) / 1_000;
        let age = u64::try_from(age).unwrap_or(0);
        in_force.stats.policy_age.set(age);
        true
    }

    /// Whether this worker is the one that watches.
    fn holds(&mut self, in_force: &InForce, name: &str, now: Millis) -> bool {
        let candidate = self.candidate.get_or_insert_with(|| Candidate {
            id: host::random_numbers().map_or(now.0.unsigned_abs(), |[id, _]| id),
            policy: in_force.number,
            configured: in_force.since,
        });
        let key = lease::key(name);
        let Ok((value, number)) = host::shared_with_number(&key) else {
            return false;
        };
        lease::claim(value.as_deref(), candidate, now)
            .is_some_and(|value| host::swap_shared(&key, &value, number).unwrap_or(false))
    }
}

/// What `text` puts in force.
fn take(text: &[u8], now: Millis) -> InForce {
    let last_good = LastGood::of_this_plugin();
    let mut rejected = None;
    let good = match policy::read(text) {
        Ok(policy) => {
            let since = last_good.keep(text, now).unwrap_or_else(|_| {
                let line = "serinus: the policy could not be kept in shared data";
                host::log(Level::Warn, line);
                now
            });
            Some((policy, version(text), since))
        }
        Err(refusal) => {
            rejected = Some(Rejected {
                version: format!("{:08x}", version(text)),
                since: now,
                problems: refusal.to_string().lines().map(str::to_owned).collect(),
            });
            fall_back(&refusal, &last_good)
        }
    };
    put_in_force(good, rejected, now)
}

/// Tells policies apart: equal for equal texts.
fn version(text: &[u8]) -> u32 {
    murmur3_x86_32(&[text], 0)
}

/// A policy, its version, and since when it has been in force.
type Good = (Policy, u32, Millis);

fn put_in_force(good: Option<Good>, rejected: Option<Rejected>, now: Millis) -> InForce {
    if let Some((policy, version, _)) = &good {
        host::log(Level::Info, &introduction(policy, *version));
        let warn = |warning| host::log(Level::Warn, &format!("serinus: policy: {warning}"));
        policy.warnings(now).for_each(warn);
    }
    let version = good.as_ref().map_or(0, |(_, version, _)| *version);
    Id::single(&metric::POLICY_VERSION).set(u64::from(version));
    let since = good.as_ref().map_or(now, |(_, _, since)| *since);
    let policy = good.map(|(policy, ..)| policy);
    InForce {
        number: version,
        version: format!("{version:08x}"),
        since,
        rejected,
        stats: Stats::define(policy.as_ref()),
        obeyed: Obeyed::new(policy.as_ref()),
        counting: Counting::new(policy.as_ref()),
        shadows: Shadows::new(policy.as_ref(), now),
        rescues: Rescues::new(policy.as_ref(), Moment(now.0)),
        policy,
    }
}

/// The last good policy, with the problems of the refused one in the log.
fn fall_back(refusal: &Refusal, last_good: &LastGood) -> Option<Good> {
    for line in refusal.to_string().lines() {
        host::log(Level::Error, &format!("serinus: policy refused: {line}"));
    }
    let kept = last_good.read();
    let good = kept.and_then(|(text, since)| {
        let policy = policy::read(&text).ok()?;
        Some((policy, version(&text), since))
    });
    let instead = match good {
        Some(_) => "serinus: the last good policy stays in force",
        None => "serinus: there is no earlier policy; everything passes as stable",
    };
    host::log(Level::Error, instead);
    good
}

fn tell_rejected(rejected: bool) {
    let told = host::define_metric(Kind::Gauge, metric::POLICY_REJECTED.name)
        .and_then(|gauge| host::set_metric(gauge, u64::from(rejected)));
    if told.is_err() {
        host::log(Level::Warn, "serinus: the host takes no metrics");
    }
}

fn introduction(policy: &Policy, version: u32) -> String {
    format!(
        "serinus {}: policy `{}` ({version:08x}) in force, {} routes, {:?}",
        env!("CARGO_PKG_VERSION"),
        policy.name,
        policy.assigner.routes.len(),
        policy.assigner.mode,
    )
}
