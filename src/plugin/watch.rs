//! Watching the routes, in the one worker that holds the lease: all counts are read once a second,
//! gauges are set, and what is slow is told to the other workers.

use super::host;
use super::root::InForce;
use super::store;
use crate::assign::Assigner;
use crate::assign::gates::Gates;
use crate::assign::ramp::Millis;
use crate::assign::route::{Route, STABLE, Side};
use crate::assign::share::Share;
use crate::health::kept;
use crate::health::ledger::Reading;
use crate::health::share::Seen;
use crate::health::slow;
use crate::health::watch::RouteWatch;
use crate::policy::Policy;
use crate::report::metric;
use crate::report::state::{self, About, Document, Rejected, RouteView};

/// Routes whose last minutes are kept at each look: all of most policies. The others take turns, so
/// that a look stays short.
const KEPT_AT_ONCE: usize = 20;

/// The watched routes.
#[derive(Debug)]
pub struct Watch {
    routes: Vec<RouteWatch>,
    /// The bundle to be kept next.
    bundle: usize,
    /// What the other workers were last told to be slow.
    told_slow: Vec<u8>,
}

impl Watch {
    /// Begins to watch, with what a predecessor left.
    pub fn begin(name: &str, assigner: &Assigner, now: Millis) -> Self {
        let bundles = (0..kept::BUNDLES).map(|bundle| host::shared(&kept::key(name, bundle)));
        let bundles: Vec<Vec<u8>> = bundles.filter_map(|value| value.ok().flatten()).collect();
        let known: Vec<(&str, &[u8])> =
            bundles.iter().flat_map(|value| kept::read(value)).collect();
        let told_slow = host::shared(&slow::key(name)).ok().flatten();
        let told_slow = told_slow.unwrap_or_default();
        let bounds = slow::read(&told_slow);
        let routes = assigner.routes.iter().map(|route| {
            let sides = metric::sides(route).map(|side| route.side_name(side));
            let left = known.iter().find(|(name, _)| *name == route.name);
            let bound = bounds.iter().find(|(name, _)| *name == route.name);
            let bound = bound.map(|(_, bound)| *bound);
            RouteWatch::new(
                &route.name,
                sides,
                left.map(|(_, bytes)| *bytes),
                bound,
                now,
            )
        });
        let unrouted = RouteWatch::new(metric::NO_ROUTE, [STABLE], None, None, now);
        Self {
            routes: routes.chain([unrouted]).collect(),
            bundle: 0,
            told_slow,
        }
    }

    /// The work of a second.
    pub fn look(&mut self, in_force: &InForce, name: &str, assigner: &Assigner, now: Millis) {
        let slots = store::slots(name);
        let reading = Reading::of(slots.iter().map(Vec::as_slice));
        for (index, watch) in self.routes.iter_mut().enumerate() {
            let _ = watch.look(&reading, now);
            if let Some(route) = assigner.routes.get(index) {
                let asked = |side| route.share_of(side, now, &Gates::OPEN);
                tell(in_force, index, watch, asked, now);
            }
        }
        self.tell_slow(name);
        self.keep(name);
    }

    fn tell_slow(&mut self, name: &str) {
        let bounds = self.routes.iter();
        let bounds = bounds.filter_map(|watch| Some((watch.name(), watch.slow_bound()?)));
        let bytes = slow::write(bounds);
        if bytes != self.told_slow && host::set_shared(&slow::key(name), &bytes).is_ok() {
            self.told_slow = bytes;
        }
    }

    fn keep(&mut self, name: &str) {
        let mut left = KEPT_AT_ONCE;
        for _ in 0..kept::BUNDLES {
            let bundle = self.bundle % kept::BUNDLES;
            let routes = self.routes.iter();
            let inside: Vec<&RouteWatch> = routes
                .filter(|watch| kept::bundle(watch.name()) == bundle)
                .collect();
            self.bundle = bundle.wrapping_add(1);
            if !inside.is_empty() {
                let bytes = kept::write(inside.iter().map(|watch| (watch.name(), watch.kept())));
                let _ = host::set_shared(&kept::key(name, bundle), &bytes);
            }
            left = left.saturating_sub(inside.len());
            if left == 0 {
                return;
            }
        }
    }
}

/// Sets the gauges of a route.
fn tell(
    in_force: &InForce,
    index: usize,
    watch: &RouteWatch,
    asked: impl Fn(Side) -> Share,
    now: Millis,
) {
    for (place, stats) in in_force.stats.sides(index).iter().enumerate() {
        let side = match place.checked_sub(1) {
            None => Side::Stable,
            Some(variant) => Side::Variant(variant),
        };
        let seen = watch.share(place);
        stats.share_asked.set(u64::from(asked(side).ppm()));
        stats.share_seen.set(seen.map_or(0, seen_ppm));
        let off = seen.is_some_and(|seen| !seen.chance);
        stats.share_off.set(u64::from(off));
        let totals = watch.totals();
        let side = watch.sides().nth(place).and_then(|name| totals?.side(name));
        let failing = side.map_or(0, |side| side.failing.estimate(now).callers);
        stats.failing_callers.set(u64::from(failing));
    }
}

fn seen_ppm(seen: Seen) -> u64 {
    (seen.seen * 1e6).round() as u64
}

/// The state document, by what the watching worker left and what is in the ledger now.
pub fn document(in_force: &InForce, policy: &Policy) -> Option<String> {
    let now = host::now().ok()?.millis();
    let assigner = &policy.assigner;
    let slots = store::slots(&policy.name);
    let reading = Reading::of(slots.iter().map(Vec::as_slice));
    let mut watch = Watch::begin(&policy.name, assigner, now);
    for route in &mut watch.routes {
        let _ = route.look(&reading, now);
    }
    let asked: Vec<Vec<Share>> = assigner
        .routes
        .iter()
        .map(|route| asked(route, now))
        .collect();
    // Nothing is asked of the requests that no route took.
    let asked = asked.iter().map(Vec::as_slice).chain([&[][..]]);
    let views: Vec<RouteView<'_>> = watch
        .routes
        .iter()
        .zip(asked)
        .map(|(watch, asked)| RouteView {
            watch,
            asked,
            gates: &[],
        })
        .collect();
    Document::of(&about(in_force, now), &views).to_json()
}

fn asked(route: &Route, now: Millis) -> Vec<Share> {
    let sides = metric::sides(route);
    sides
        .map(|side| route.share_of(side, now, &Gates::OPEN))
        .collect()
}

fn about(in_force: &InForce, now: Millis) -> About<'_> {
    let since = in_force.since;
    let policy = in_force.name_and_version();
    About {
        now,
        policy: policy.map(|(name, version)| state::InForce {
            name,
            version,
            since,
        }),
        rejected: in_force.rejected.as_ref().map(|rejected| Rejected {
            version: &rejected.version,
            since: rejected.since,
            problems: &rejected.problems,
        }),
        filter: in_force.stats.of_the_filter(),
    }
}
