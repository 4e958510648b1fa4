//! The series of one thing each: a side of a route, a gate, an error budget, a shadow.

use super::host::{self, Kind};
use super::stats::Pending;
use crate::assign::Trust;
use crate::assign::decide::Reason;
use crate::assign::route::{Route, STABLE, Side};
use crate::gate::{self, Gate, Position, Signal, Verdict};
use crate::health::counters::Counters;
use crate::health::latency::value;
use crate::health::outcome::Outcome;
use crate::policy::{self, Policy};
use crate::report::metric::{self, Metric};
use crate::report::metric_shadow;
use crate::shadow::tally::Tally;
use crate::shadow::{self, verdict};

/// A metric of the proxy; none if the host refused to make it: what it is told is then dropped.
#[derive(Debug, Clone, Copy)]
pub struct Id(Option<u32>);

impl Id {
    pub(super) fn define(metric: &Metric, name: &str) -> Self {
        let kind = match metric.kind {
            metric::Kind::Counter => Kind::Counter,
            metric::Kind::Gauge => Kind::Gauge,
            metric::Kind::Histogram => Kind::Histogram,
        };
        Self(host::define_metric(kind, name).ok())
    }

    /// Makes a metric without labels.
    pub fn single(metric: &Metric) -> Self {
        Self::define(metric, metric.name)
    }

    /// Adds to a counter. Adding nothing is not told: the host refuses it.
    pub fn add(self, more: u64) {
        if let (Some(id), 1..) = (self.0, more) {
            let _ = host::add_to_metric(id, more);
        }
    }

    /// What a counter or gauge stands at, in the whole proxy; 0 if the host does not say.
    pub fn get(self) -> u64 {
        let value = self.0.and_then(|id| host::metric(id).ok());
        value.unwrap_or(0)
    }

    /// Sets a gauge, or gives a histogram a value.
    pub fn set(self, value: u64) {
        if let Some(id) = self.0 {
            let _ = host::set_metric(id, value);
        }
    }
}

/// The metrics of one gate.
#[derive(Debug)]
pub struct GateStats {
    open: Id,
    states: [(Position, Id, Id); 3],
    verdicts: [(Verdict, Id); 3],
    evidence: Vec<(Signal, Id)>,
}

impl GateStats {
    /// `goals` says whether conversions are judged.
    pub(super) fn define(route: &str, variant: &str, goals: bool) -> Self {
        let with = |metric: &Metric, value: &str| {
            Id::define(metric, &metric.with(&[route, variant, value]))
        };
        let state = |position: Position| {
            let word = position.as_str();
            let changes = with(&metric::GATE_CHANGES, word);
            (position, with(&metric::GATE_STATE, word), changes)
        };
        let verdict = |verdict: Verdict| (verdict, with(&metric::GATE_VERDICT, verdict.as_str()));
        let evidence = |signal: Signal| (signal, with(&metric::GATE_EVIDENCE, signal.as_str()));
        let signals = Signal::ALL.into_iter();
        let signals = signals.filter(|signal| goals || *signal != Signal::Conversions);
        Self {
            open: Id::define(&metric::GATE_OPEN, &metric::GATE_OPEN.of(route, variant)),
            states: [Position::Open, Position::Probing, Position::Shut].map(state),
            verdicts: [Verdict::Pass, Verdict::Hold, Verdict::Fail].map(verdict),
            evidence: signals.map(evidence).collect(),
        }
    }

    /// Tells where the gate stands.
    pub fn tell(&self, gate: &Gate, settings: &gate::Settings) {
        let position = gate.position();
        self.open.set(u64::from(position == Position::Open));
        for (state, id, _) in &self.states {
            id.set(u64::from(*state == position));
        }
        let verdict = gate.verdict(settings);
        for (known, id) in &self.verdicts {
            id.set(u64::from(*known == verdict));
        }
        for (signal, id) in &self.evidence {
            // From 0 to 100; `as` cuts what is behind the point.
            id.set((gate.evidence(settings, *signal) * 100.0) as u64);
        }
    }

    pub(super) fn clear(&self) {
        let states = self.states.iter().map(|(_, state, _)| state);
        let verdicts = self.verdicts.iter().map(|(_, verdict)| verdict);
        let evidence = self.evidence.iter().map(|(_, evidence)| evidence);
        let all = states.chain(verdicts).chain(evidence).chain([&self.open]);
        all.for_each(|gauge| gauge.set(0));
    }

    /// Counts a change.
    pub fn changed(&self, position: Position) {
        let state = self.states.iter().find(|(state, ..)| *state == position);
        if let Some((_, _, changes)) = state {
            changes.add(1);
        }
    }
}

/// The metrics of a route's error budget.
#[derive(Debug)]
pub struct BudgetStats {
    /// What is left of it, in parts per million.
    pub left: Id,
    /// Whether ramps stand still.
    pub frozen: Id,
}

impl BudgetStats {
    pub(super) fn define(route: &str) -> Self {
        let of = |metric: &Metric| Id::define(metric, &metric.with(&[route]));
        Self {
            left: of(&metric::BUDGET_LEFT),
            frozen: of(&metric::BUDGET_FROZEN),
        }
    }
}

/// The metrics of a route's shadow.
#[derive(Debug)]
pub struct ShadowStats {
    counters: Vec<Id>,
    /// There if answers are compared.
    verdicts: Option<[(verdict::Verdict, Id); 3]>,
}

impl ShadowStats {
    pub(super) fn of_routes(policy: &Policy) -> Vec<Option<Self>> {
        let routes = policy.assigner.routes.iter().zip(&policy.shadows);
        let of_route = |(route, shadow): (&Route, &Option<policy::Shadow>)| {
            let settings = &shadow.as_ref()?.settings;
            Some(Self::define(&route.name, settings))
        };
        routes.map(of_route).collect()
    }

    pub(super) fn define(route: &str, settings: &shadow::Settings) -> Self {
        use verdict::Verdict;
        let comparing = settings.comparing.is_some();
        let counters = metric_shadow::counted(&Tally::default(), comparing);
        let counter = |one: &metric_shadow::Counted| Id::define(one.metric, &one.series(route));
        let verdict = |verdict| {
            let name = metric_shadow::verdict(route, verdict);
            (verdict, Id::define(&metric::SHADOW_VERDICT, &name))
        };
        Self {
            counters: counters.iter().map(counter).collect(),
            verdicts: comparing.then(|| [Verdict::Pass, Verdict::Hold, Verdict::Fail].map(verdict)),
        }
    }

    /// Adds what a worker counted.
    pub fn tell(&self, came: &Tally) {
        let counted = metric_shadow::counted(came, self.verdicts.is_some());
        for (id, one) in self.counters.iter().zip(counted) {
            id.add(one.count);
        }
    }

    pub(super) fn clear(&self) {
        let verdicts = self.verdicts.iter().flatten();
        verdicts.for_each(|(_, id)| id.set(0));
    }

    /// Sets the gauges of the verdict.
    pub fn show(&self, verdict: verdict::Verdict) {
        for (known, id) in self.verdicts.iter().flatten() {
            id.set(u64::from(*known == verdict));
        }
    }
}

/// The metrics of one side of a route.
#[derive(Debug)]
pub struct SideStats {
    outcomes: Vec<Id>,
    decisions: Vec<(Reason, Id)>,
    attempts: Id,
    latency: Id,
    bytes: Option<(Id, Id)>,
    /// Different callers who had errors.
    pub failing_callers: Id,
    /// The share that is asked.
    pub share_asked: Id,
    /// The share that is seen.
    pub share_seen: Id,
    /// Whether they differ by more than chance.
    pub share_off: Id,
    /// The gate; stable has none.
    pub gate: Option<GateStats>,
    /// Streams that were cut; of variants, where the policy wants that.
    pub cut: Option<Pending>,
}

/// What there is to count of a route beside what is always counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Has {
    /// Bytes.
    pub bytes: bool,
    /// Streams that a gate cuts.
    pub cuts: bool,
    /// Conversions.
    pub goals: bool,
}

impl SideStats {
    /// `has` says what there is to count.
    pub(super) fn define(route: &Route, side: Side, trust: Trust, has: Has) -> Self {
        let (name, variant) = (route.name.as_str(), route.side_name(side));
        let of = |metric: &Metric| Id::define(metric, &metric.of(name, variant));
        let outcome = |outcome| {
            let name = metric::requests(name, variant, outcome);
            Id::define(&metric::REQUESTS, &name)
        };
        let decision = |reason| {
            let name = metric::decisions(name, variant, reason);
            (reason, Id::define(&metric::DECISIONS, &name))
        };
        Self {
            outcomes: Outcome::ALL.into_iter().map(outcome).collect(),
            decisions: metric::reasons(route, side, trust).map(decision).collect(),
            attempts: of(&metric::ATTEMPTS),
            latency: of(&metric::LATENCY),
            bytes: has
                .bytes
                .then(|| (of(&metric::RECEIVED), of(&metric::SENT))),
            failing_callers: of(&metric::FAILING_CALLERS),
            share_asked: of(&metric::SHARE_ASKED),
            share_seen: of(&metric::SHARE_SEEN),
            share_off: of(&metric::SHARE_OFF),
            gate: match side {
                Side::Stable => None,
                Side::Variant(_) => Some(GateStats::define(name, variant, has.goals)),
            },
            cut: (has.cuts && side != Side::Stable).then(|| Pending::new(of(&metric::STREAMS_CUT))),
        }
    }

    /// Requests that no route took are decided, and no more.
    pub(super) fn unrouted() -> Self {
        let decision = |reason| {
            let name = metric::decisions(metric::NO_ROUTE, STABLE, reason);
            (reason, Id::define(&metric::DECISIONS, &name))
        };
        let nothing = Id(None);
        Self {
            outcomes: Vec::new(),
            decisions: [Reason::NoPolicy, Reason::NoRoute].map(decision).into(),
            attempts: nothing,
            latency: nothing,
            bytes: None,
            failing_callers: nothing,
            share_asked: nothing,
            share_seen: nothing,
            share_off: nothing,
            gate: None,
            cut: None,
        }
    }

    pub(super) fn clear(&self) {
        let gauges = [
            self.failing_callers,
            self.share_asked,
            self.share_seen,
            self.share_off,
        ];
        gauges.iter().for_each(|gauge| gauge.set(0));
        self.gate.iter().for_each(GateStats::clear);
    }

    pub(super) fn tell(&self, counters: &Counters) {
        for (id, count) in self.outcomes.iter().zip(counters.outcomes()) {
            id.add(*count);
        }
        for (reason, count) in counters.decisions() {
            if let Some((_, id)) = self.decisions.iter().find(|(known, _)| *known == reason) {
                id.add(count);
            }
        }
        self.attempts.add(counters.attempts());
        if let Some((received, sent)) = self.bytes {
            received.add(counters.bytes().0);
            sent.add(counters.bytes().1);
        }
        self.tell_latencies(counters);
        // A stream that was cut ends at once, and makes its route one that is told.
        self.cut.iter().for_each(Pending::tell);
    }

    /// The host takes one value at a time; what a second brought is told here and not while
    /// requests wait, by the buckets it was counted in.
    fn tell_latencies(&self, counters: &Counters) {
        let buckets = counters.latencies().0.iter().enumerate();
        for (bucket, count) in buckets.filter(|(_, count)| **count > 0) {
            let millis = value(bucket).0.saturating_add(500) / 1_000;
            (0..*count).for_each(|_| self.latency.set(millis));
        }
    }
}
