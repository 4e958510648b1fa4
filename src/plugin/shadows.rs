//! The shadows of all routes in one worker: what happens to requests and calls is told to the core,
//! and the calls that it asks for are made.
//!
//! Calls belong to the root context, so that they outlive the requests that they copy. They are known
//! only to the policy under which they were made: what comes back after it was replaced is not
//! looked at.

use super::copied::Copied;
use super::counting::Flush;
use super::host::{self, Buffer, Level, Map};
use super::root::InForce;
use super::stats::Stats;
use super::store::{self, Taken};
use super::stream::note;
use crate::assign::condition::all_hold;
use crate::assign::ramp::Millis;
use crate::health::kept;
use crate::health::turns;
use crate::policy::{Policy, Shadow};
use crate::request::Request;
use crate::shadow::budget::Moment;
use crate::shadow::capture::Received;
use crate::shadow::join::Call;
use crate::shadow::sample::Skipped;
use crate::shadow::stored::Stored;
use crate::shadow::{RouteShadow, Told, line};
use std::cell::RefCell;

/// Bytes that are read of a call's body at least: the host tells there why it failed.
const LEAST_READ: usize = 1_024;
/// Bytes of a value that a line of the log is made of.
const SAMPLE_BYTES: usize = 256;
/// Differences of one pair that are written to the log.
const MOST_LINES: usize = 16;

/// The shadows of one worker under one policy.
#[derive(Debug)]
pub struct Shadows {
    routes: Vec<Option<RefCell<RouteShadow>>>,
    /// Draws and coins. Seeded from the host's source for keys: who sends requests can't tell what
    /// will be drawn.
    random: RefCell<fastrand::Rng>,
    /// Keys the hashes of values in the log.
    seed: u64,
}

/// What became of a call that was to be made.
#[derive(Debug)]
pub struct Sent {
    /// Whether the host took it.
    pub taken: bool,
    /// What its copy came to, if that is known already.
    pub told: Option<Told>,
}

impl Shadows {
    /// Nothing is under way.
    pub fn new(policy: Option<&Policy>, now: Millis) -> Self {
        // Without random bits every worker draws alike, which no caller can know either.
        let [first, second] = host::random_numbers().unwrap_or_default();
        let of = |shadow: &Shadow| {
            let mut settings = shadow.settings.clone();
            if let Some(comparing) = &mut settings.comparing {
                comparing.answers.hash_seed = second;
            }
            RefCell::new(RouteShadow::new(settings, Moment(now.0)))
        };
        let routes = policy.map_or(&[][..], |policy| &policy.shadows);
        Self {
            routes: routes
                .iter()
                .map(|shadow| shadow.as_ref().map(of))
                .collect(),
            random: RefCell::new(fastrand::Rng::with_seed(first)),
            seed: second,
        }
    }

    fn route(&self, route: usize) -> Option<&RefCell<RouteShadow>> {
        self.routes.get(route)?.as_ref()
    }

    /// Runs `call` with the shadow of a route, if it has one.
    pub fn with<T>(&self, route: usize, call: impl FnOnce(&mut RouteShadow) -> T) -> Option<T> {
        let mut shadow = self.route(route)?.try_borrow_mut().ok()?;
        Some(call(&mut shadow))
    }

    /// A request, as it came, goes to stable: is it copied? None if the route has no shadow, or if
    /// the request was not drawn.
    pub fn begin(
        &self,
        policy: &Policy,
        route: usize,
        request: &Request<'_>,
        now: Millis,
    ) -> Option<Copied> {
        let shadow = policy.shadow(route)?;
        self.draw(shadow, route, request, now)
    }

    #[inline(never)]
    fn draw(
        &self,
        shadow: &Shadow,
        route: usize,
        request: &Request<'_>,
        now: Millis,
    ) -> Option<Copied> {
        let when = &shadow.when;
        let mut random = || self.random.borrow_mut().u64(..);
        let holds = || all_hold(when, request);
        let begun = self.with(route, |shadow| {
            shadow.begin(request, holds, &mut random, Moment(now.0))
        })?;
        match begun {
            Ok(id) => Some(Copied::begun(route, id, length(request))),
            Err(Skipped::Share) => None,
            Err(why) => Some(Copied::skipped(route, why)),
        }
    }

    /// Makes a call.
    pub fn send(&self, route: usize, call: &Call) -> Option<Sent> {
        let now = moment();
        self.with(route, |shadow| {
            let timeout = shadow.settings().timeout.as_millis();
            let timeout = u32::try_from(timeout).unwrap_or(u32::MAX);
            let lines = host::laid_out(&host::texts(&call.headers));
            // A call that the host refuses is an end like others, and counted with them.
            let token = host::call(shadow.cluster(call.leg), &lines, &call.body, timeout).ok();
            Sent {
                taken: token.is_some(),
                told: shadow.sent(call.id, token, now),
            }
        })
    }

    /// Tells the log what was found, and makes the further call that this may ask for.
    pub fn follow(&self, policy: &Policy, route: usize, told: Option<&Told>) {
        let Some(Told::Compared { found, call, .. }) = told else {
            return;
        };
        let name = policy.assigner.routes.get(route);
        let name = name.map_or("", |route| &route.name);
        let shown = found.differences.iter().filter(|of| of.sample.is_some());
        self.with(route, |shadow| {
            if let Some(comparing) = &shadow.settings().comparing {
                for difference in shown.take(MOST_LINES) {
                    let line = line::line(difference, &comparing.reveal, self.seed);
                    let line = format!("serinus: shadow of {name}: {line}");
                    host::log(Level::Debug, &line);
                }
            }
        });
        if let Some(call) = call {
            let _ = self.send(route, call);
        }
    }

    /// A call has ended; the host has its answer, with a body of `size` bytes.
    pub fn answered(&self, in_force: &InForce, policy: &Policy, token: u32, size: usize) {
        let awaits = |of: &Option<RefCell<RouteShadow>>| {
            let shadow = of.as_ref().and_then(|of| of.try_borrow().ok());
            shadow.is_some_and(|shadow| shadow.awaits(token))
        };
        let Some(route) = self.routes.iter().position(awaits) else {
            return;
        };
        let received = |map| note(in_force, host::headers(map)).unwrap_or_default();
        let (headers, trailers) = (received(Map::Call), received(Map::CallTrailers));
        let told = self.with(route, |shadow| {
            let most = shadow.settings().max_body_bytes.max(LEAST_READ);
            let body = match size {
                0 => Ok(Vec::new()),
                size => host::bytes(Buffer::Call, size.min(most)),
            };
            let body = note(in_force, body).unwrap_or_default();
            let received = Received {
                headers: &headers.lines().unwrap_or_default(),
                body: &body,
                body_size: size,
                trailers: &trailers.lines().unwrap_or_default(),
            };
            shadow.answered(token, &received, moment())
        });
        self.follow(policy, route, told.flatten().as_ref());
    }

    /// Ends what takes too long on the routes of a turn, and looks whether anybody reads the log.
    pub fn tick(&self, turn: usize, now: Millis) {
        let due = |(index, _): &(usize, _)| turns::of(*index) == turn;
        let routes = self.routes.iter().enumerate().filter(due);
        let mut routes = routes.filter_map(|(_, shadow)| shadow.as_ref()).peekable();
        if routes.peek().is_none() {
            return;
        }
        let sample = match host::logs(Level::Debug) {
            true => SAMPLE_BYTES,
            false => 0,
        };
        for shadow in routes {
            if let Ok(mut shadow) = shadow.try_borrow_mut() {
                shadow.tick(Moment(now.0));
                shadow.sample(sample);
            }
        }
    }

    /// Stores what the routes that are due have counted and found, and tells the metrics. What other
    /// workers were quicker at waits for the next time; if there is none it is told to the metrics
    /// alone, and counted as lost. Says whether there was anything.
    pub fn flush(&self, policy: &Policy, stats: &Stats, which: Flush) -> bool {
        let is_due = |(index, shadow): &(usize, &Option<RefCell<RouteShadow>>)| {
            let fresh = shadow.as_ref().and_then(|shadow| shadow.try_borrow().ok());
            which.takes(*index) && fresh.is_some_and(|shadow| shadow.is_fresh())
        };
        let due = self.routes.iter().enumerate().filter(is_due);
        let due: Vec<(&str, usize)> = due
            .filter_map(|(index, _)| {
                Some((policy.assigner.routes.get(index)?.name.as_str(), index))
            })
            .collect();
        for bundle in 0..kept::BUNDLES {
            let inside = due.iter().filter(|(name, _)| kept::bundle(name) == bundle);
            let inside: Vec<(&str, usize)> = inside.copied().collect();
            if !inside.is_empty() {
                self.store(policy, stats, which, bundle, &inside);
            }
        }
        !due.is_empty()
    }

    fn store(
        &self,
        policy: &Policy,
        stats: &Stats,
        which: Flush,
        bundle: usize,
        routes: &[(&str, usize)],
    ) {
        let outlived = !matches!(which, Flush::Turn(_));
        let mut settled = Vec::new();
        let change = |value: Option<&[u8]>| {
            let known = value.map(kept::read).unwrap_or_default();
            let added = |(name, index): &(&'_ str, usize)| {
                let stored = known.iter().find(|(known, _)| known == name);
                let stored =
                    stored.map_or_else(Stored::default, |(_, bytes)| Stored::from_bytes(bytes));
                self.with(*index, |shadow| shadow.added(&stored, outlived))
            };
            settled = routes.iter().map(added).collect();
            let new = routes.iter().zip(&settled);
            let new =
                new.filter_map(|((name, _), added)| Some((*name, added.as_ref()?.to_bytes())));
            // Routes that the policy has no more go, unless it is this policy that is no more.
            let stays = |name: &str| outlived || has_shadow(policy, name);
            let is_new = |name: &str| routes.iter().any(|(new, _)| *new == name);
            let others = known
                .iter()
                .filter(|(name, _)| !is_new(name) && stays(name));
            kept::write(new.chain(others.map(|(name, bytes)| (*name, bytes.to_vec()))))
        };
        let taken = store::swap(|| key(&policy.name, bundle), change, || ());
        let taken = which.settles(taken);
        if taken == Taken::Later {
            return;
        }
        for ((_, index), added) in routes.iter().zip(settled) {
            let settle = |added| self.with(*index, |shadow| shadow.settle(added));
            if let (Some(tally), Some(stats)) = (added.and_then(settle), stats.shadow(*index)) {
                stats.tell(&tally);
            }
            stats.dropped(u64::from(taken == Taken::Lost));
        }
    }
}

/// The length that a request says it has.
fn length(request: &Request<'_>) -> Option<usize> {
    let value = request.header("content-length").next()?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The key of the shared value that has the shadows of one bundle of routes.
pub fn key(name: &str, bundle: usize) -> String {
    format!("{name}.shadow.{bundle}")
}

fn has_shadow(policy: &Policy, route: &str) -> bool {
    let mut routes = policy.assigner.routes.iter().zip(&policy.shadows);
    routes.any(|(known, shadow)| known.name == route && shadow.is_some())
}

/// The time for budgets and waits; before all of them if the host has none to tell.
pub fn moment() -> Moment {
    host::now().map_or(Moment::default(), |now| Moment(now.millis().0))
}
