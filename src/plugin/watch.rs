//! Watching the routes, in the one worker that holds the lease: all counts are read once a second,
//! gauges are set, and what is slow is told to the other workers.

use super::flags::Sheds;
use super::gates::Judged;
use super::host;
use super::root::InForce;
use super::store;
use super::verdicts::{AllStored, Known, Verdicts};
use crate::assign::gates::Gates as Passages;
use crate::assign::ramp::Millis;
use crate::assign::route::{Route, STABLE, Side};
use crate::assign::share::Share;
use crate::gate::RouteSettings;
use crate::gate::gates::{Gates, Told};
use crate::health::kept;
use crate::health::ledger::Reading;
use crate::health::share::Seen;
use crate::health::slow;
use crate::health::turns;
use crate::health::watch::RouteWatch;
use crate::policy::Policy;
use crate::report::metric;
use crate::report::state::{self, About, BudgetView, Document, Experimented, Rejected, RouteView};
use crate::report::state_flags;
use crate::report::state_gate::GateView;
use crate::report::state_shadow::ShadowView;
use crate::shadow::verdict::Report;

/// Routes whose last minutes are kept at each look, at least: all of most policies. The others take
/// turns, so that a look stays short.
const KEPT_AT_ONCE: usize = 10;

/// The watched routes.
#[derive(Debug)]
pub struct Watch {
    routes: Vec<RouteWatch>,
    gates: Judged,
    verdicts: Verdicts,
    sheds: Sheds,
    /// The bundle to be kept next.
    bundle: usize,
    /// What the other workers were last told to be slow.
    told_slow: Vec<u8>,
}

impl Watch {
    /// Begins to watch, with what a predecessor left, and tells what the policy changed since.
    pub fn take_over(in_force: &InForce, policy: &Policy, now: Millis) -> Self {
        let (watch, changed) = Self::begin(policy, now);
        watch.gates.tell(in_force, policy, &changed);
        watch
    }

    fn begin(policy: &Policy, now: Millis) -> (Self, Vec<(usize, Told)>) {
        let name = &policy.name;
        let bundles = store::values((0..kept::BUNDLES).map(|bundle| kept::key(name, bundle)));
        let known: Vec<(&str, &[u8])> =
            bundles.iter().flat_map(|value| kept::read(value)).collect();
        let told_slow = host::shared(&slow::key(name)).ok().flatten();
        let told_slow = told_slow.unwrap_or_default();
        let bounds = slow::read(&told_slow);
        let routes = policy.assigner.routes.iter().map(|route| {
            let sides = metric::sides(route).map(|side| route.side_name(side));
            let left = known.iter().find(|(name, _)| *name == route.name);
            let bound = bounds.iter().find(|(name, _)| *name == route.name);
            let bound = bound.map(|(_, bound)| *bound);
            RouteWatch::new(
                &route.name,
                sides,
                left.map(|(_, bytes)| *bytes),
                bound,
                policy.experiment(route.id.0).is_some(),
                now,
            )
        });
        let unrouted = RouteWatch::new(metric::NO_ROUTE, [STABLE], None, None, false, now);
        let routes = routes.chain([unrouted]).collect();
        let (gates, changed) = Judged::begin(policy, now);
        let watch = Self {
            routes,
            gates,
            verdicts: Verdicts::new(policy),
            sheds: Sheds::begin(policy, now),
            bundle: 0,
            told_slow,
        };
        (watch, changed)
    }

    /// Looks at the routes of a turn.
    pub fn look(&mut self, in_force: &InForce, policy: &Policy, turn: usize, now: Millis) {
        let slots = store::slots(&policy.name);
        let reading = Reading::of(slots.iter().map(Vec::as_slice));
        let mut shadows = AllStored::read(policy, |index| turns::of(index) == turn);
        let routes = self.routes.iter_mut().enumerate();
        for (index, watch) in routes.filter(|(index, _)| turns::of(*index) == turn) {
            let came = watch.look(&reading, now);
            let shadowed = self.verdicts.look(in_force, policy, index, &mut shadows);
            let came = came.as_deref();
            let changed = self
                .gates
                .judge(in_force, policy, index, came, shadowed, now);
            self.gates.tell(in_force, policy, &changed);
            self.gates.show(in_force, policy, index);
            self.sheds.judge(in_force, policy, index, came, now);
            if let Some(route) = policy.assigner.routes.get(index) {
                tell(in_force, index, watch, route, now);
                let experiments = &in_force.stats.experiments;
                experiments.show(index, watch.sample_ratio_mismatch());
            }
        }
        self.gates.order(in_force, policy, now);
        self.sheds.order(policy);
        self.tell_slow(&policy.name);
        self.keep(policy);
    }

    fn tell_slow(&mut self, name: &str) {
        let bounds = self.routes.iter();
        let bounds = bounds.filter_map(|watch| Some((watch.name(), watch.slow_bound()?)));
        let bytes = slow::write(bounds);
        if bytes != self.told_slow && host::set_shared(&slow::key(name), &bytes).is_ok() {
            self.told_slow = bytes;
        }
    }

    fn keep(&mut self, policy: &Policy) {
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
                let _ = host::set_shared(&kept::key(&policy.name, bundle), &bytes);
                self.gates.keep(policy, bundle);
            }
            left = left.saturating_sub(inside.len());
            if left == 0 {
                return;
            }
        }
    }
}

/// Sets the gauges of a route.
fn tell(in_force: &InForce, index: usize, watch: &RouteWatch, route: &Route, now: Millis) {
    let passages = in_force.obeyed.passages();
    for (place, stats) in in_force.stats.sides(index).iter().enumerate() {
        let side = match place.checked_sub(1) {
            None => Side::Stable,
            Some(variant) => Side::Variant(variant),
        };
        let seen = watch.share(place);
        let asked = route.share_of(side, now, &passages);
        stats.share_asked.set(u64::from(asked.ppm()));
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
    let passages = in_force.obeyed.passages();
    let slots = store::slots(&policy.name);
    let reading = Reading::of(slots.iter().map(Vec::as_slice));
    let (mut watch, _) = Watch::begin(policy, now);
    for route in &mut watch.routes {
        let _ = route.look(&reading, now);
    }
    let shares = |route| asked(route, now, &passages);
    let asked: Vec<Vec<Share>> = policy.assigner.routes.iter().map(shares).collect();
    let gates = policy.gates.iter().enumerate();
    let gates = gates.map(|(index, settings)| views(watch.gates.of(index), settings));
    let gates: Vec<(Vec<Option<GateView<'_>>>, Option<BudgetView>)> = gates.collect();
    let mut stored = AllStored::read(policy, |_| true);
    let places = 0..policy.shadows.len();
    let known = places.map(|index| watch.verdicts.known(policy, index, &mut stored));
    let known: Vec<Option<Known<'_>>> = known.collect();
    let reports = known.iter().map(|known| known.as_ref()?.report());
    let reports: Vec<Option<Report<'_>>> = reports.collect();
    let shadows = known.iter().zip(&reports).map(|(known, report)| {
        let (tally, report) = (&known.as_ref()?.stored.tally, report.as_ref());
        Some(ShadowView { tally, report })
    });
    // Nothing is asked of the requests that no route took, nor judged of them.
    let told = asked.iter().zip(&gates).zip(shadows);
    let told = told.map(|((asked, (gates, budget)), shadow)| {
        (asked.as_slice(), gates.as_slice(), *budget, shadow)
    });
    let told = told.chain([(&[][..], &[][..], None, None)]);
    let experiments = &in_force.stats.experiments;
    let places = 0..watch.routes.len();
    let counts: Vec<Vec<Experimented<'_>>> = places
        .map(|index| experiments.counts(policy, index))
        .collect();
    let proxy = host::property("xds\0node\0id").ok().flatten();
    let proxy = proxy.and_then(|id| String::from_utf8(id).ok());
    let views: Vec<RouteView<'_>> = watch
        .routes
        .iter()
        .zip(told)
        .zip(&counts)
        .map(
            |((watch, (asked, gates, budget, shadow)), experiment)| RouteView {
                watch,
                asked,
                gates,
                budget,
                shadow,
                experiment,
            },
        )
        .collect();
    let flags = flags(in_force, policy, &watch.sheds, now);
    let about = about(in_force, proxy.as_deref(), now);
    Document::of(&about, &views).with_flags(flags).to_json()
}

fn flags<'p>(
    in_force: &InForce,
    policy: &'p Policy,
    sheds: &Sheds,
    now: Millis,
) -> Vec<state_flags::Flag<'p>> {
    let flags = policy.assigner.flags.iter().zip(&policy.flag_lives);
    let told = flags.enumerate().map(|(place, (flag, life))| {
        let values = flag.values.iter().map(String::as_str);
        let counts = in_force.stats.flags.counts(place);
        state_flags::Flag {
            flag: &flag.name,
            values: state_flags::Values(values.zip(counts).collect()),
            shed: sheds.is_shed(place),
            expired: life.expires.map(|_| life.is_old(now)),
        }
    });
    told.collect()
}

fn asked(route: &Route, now: Millis, passages: &Passages) -> Vec<Share> {
    let sides = metric::sides(route);
    sides
        .map(|side| route.share_of(side, now, passages))
        .collect()
}

/// The gate of each side, stable's place empty, and the budget.
fn views<'a>(
    gates: Option<&'a Gates>,
    settings: &'a RouteSettings,
) -> (Vec<Option<GateView<'a>>>, Option<BudgetView>) {
    let Some(gates) = gates else {
        return (Vec::new(), None);
    };
    let of_variants = gates
        .with(settings)
        .map(|(gate, settings)| Some(GateView { gate, settings }));
    let budget = gates.budget_left(settings).map(|left| BudgetView {
        left,
        frozen: gates.is_frozen(settings),
    });
    (std::iter::once(None).chain(of_variants).collect(), budget)
}

fn about<'a>(in_force: &'a InForce, proxy: Option<&'a str>, now: Millis) -> About<'a> {
    let since = in_force.since;
    let policy = in_force.name_and_version();
    About {
        now,
        proxy,
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
