//! Gates: the settings of one for each variant, and the route's error budget.
//!
//! A route that has variants has gates, with the defaults where it names no `gate`. `advance` leaves
//! nothing here: the one value that acts is what happens anyway. What is to be judged by a shadow that
//! is not there is refused where it is named, and not missed by default.

use crate::assign::hash::murmur3_x86_32;
use crate::assign::route::Variant;
use crate::gate::budget::MAX_WINDOW;
use crate::gate::limits::MAX_LIMITS;
use crate::gate::{
    Bound, BudgetSettings, Held, Limit, LongLived, Quantity, Reopen, RouteSettings, Settings,
    Signals,
};
use crate::health::tick::bounds_ms;
use crate::policy::problem::Problems;
use crate::policy::raw::{self, LimitSignal};
use crate::policy::value::{Period, Text, percentage, period};
use crate::text::percent;
use std::ops::RangeInclusive;
use std::time::Duration;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// A limit's time is cut into ticks of a second, and kept by one proxy.
pub const LASTING: RangeInclusive<u64> = SECOND..=DAY;
/// A gate that shuts a good canary every hour is of no use, and its odds no odds any more.
const FALSE_ALARM_EVERY: RangeInclusive<u64> = HOUR..=u64::MAX;
const WARMUP: RangeInclusive<u64> = 0..=DAY;
/// A shorter back-off would end before the tick that shut the gate is over.
const AFTER: RangeInclusive<u64> = SECOND..=u64::MAX;
/// A canary may get some times its due where callers try again and again; more is a mistake.
const MOST_REQUEST_RATE: u32 = 10;

/// The gates of a route with these variants.
pub fn settings(
    policy: &str,
    raw: &raw::Route,
    variants: &[Variant],
    problems: &mut Problems,
) -> RouteSettings {
    let default = Settings {
        tick: Duration::from_secs(1),
        latency_bounds_ms: bounds_ms(),
        ..Settings::default()
    };
    let is_alone = variants.is_empty() && !problems.said_below("variants");
    let shadow = Shadow::of(raw, problems);
    let common = raw.gate.as_ref().map_or(default.clone(), |gate| {
        problems.at_key("gate", |problems| {
            shadow.is_enough_for(gate, problems);
            wants_goals(raw, gate, problems);
            if is_alone && gate.budget.is_none() {
                problems.say(
                    "the route has no variant to judge",
                    "leave it out, or add `variants`",
                );
            }
            common(gate, default, problems)
        })
    });
    let of = |variant: &Variant| Settings {
        seed: seed(&[policy, &raw.name.0, &variant.name]),
        ..common.clone()
    };
    RouteSettings {
        variants: variants.iter().map(of).collect(),
        budget: raw.gate.as_ref().and_then(|gate| {
            let budget = gate.budget.as_ref()?;
            Some(problems.at_key("gate", |problems| {
                problems.at_key("budget", |problems| self::budget(budget, problems))
            }))
        }),
        long_lived: match raw.gate.as_ref().and_then(|gate| gate.long_lived) {
            Some(raw::LongLived::Cut) => LongLived::Cut,
            Some(raw::LongLived::Keep) | None => LongLived::Keep,
        },
    }
}

/// What the route's shadow can tell a gate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shadow {
    Absent,
    Mirrors,
    /// It compares, and never asks stable twice: what is noise is not known.
    Counts,
    Judges,
}

impl Shadow {
    fn of(raw: &raw::Route, problems: &Problems) -> Self {
        match &raw.shadow {
            _ if problems.said_below("shadow") => Self::Judges,
            None => Self::Absent,
            Some(shadow) if shadow.compare == Some(false) => Self::Mirrors,
            Some(shadow) => {
                let has_noise = shadow.noise.as_ref().is_none_or(|noise| noise.0 > 0);
                let calls = shadow.confirm_per_raw.is_none_or(|calls| calls.0 > 0.0);
                let mut named = shadow.methods.iter().flatten();
                // No write is sent to stable twice.
                let reads = shadow.methods.is_none()
                    || named.any(|method| matches!(method.0.as_str(), "GET" | "HEAD"));
                match reads && (has_noise || (calls && shadow.stable_cluster.is_some())) {
                    true => Self::Judges,
                    false => Self::Counts,
                }
            }
        }
    }

    /// Says of every part of `gate` that could never act.
    fn is_enough_for(self, gate: &raw::Gate, problems: &mut Problems) {
        let (what, write) = match self {
            Self::Absent => (
                "the route has no shadow to compare",
                "add `shadow`, or leave it out",
            ),
            Self::Mirrors => (
                "the route's shadow compares nothing",
                "leave `compare: false` out of `shadow`, or leave this out",
            ),
            Self::Counts => (
                "the route's shadow never asks stable twice, and can't tell noise",
                "reads among its `methods` and a `noise` above 0%, or leave it out",
            ),
            Self::Judges => return,
        };
        judges_in_vain(gate, raw::Signal::Diffs, (what, write), problems);
        if self != Self::Counts {
            limits_in_vain(gate, LimitSignal::DiffRate, (what, write), problems);
        }
    }
}

/// Says of every part of `gate` that could never act for want of a goal.
fn wants_goals(raw: &raw::Route, gate: &raw::Gate, problems: &mut Problems) {
    let goals = raw.experiment.as_ref();
    let goals = goals.and_then(|experiment| experiment.goals.as_ref());
    if goals.is_none() && !problems.said_below("experiment") {
        let said = (
            "the route has no goal",
            "add `experiment: {goals: [...]}`, or leave it out",
        );
        judges_in_vain(gate, raw::Signal::Conversions, said, problems);
        limits_in_vain(gate, LimitSignal::ConversionRate, said, problems);
    }
}

/// What is wrong, and what to write.
type Said = (&'static str, &'static str);

fn judges_in_vain(gate: &raw::Gate, signal: raw::Signal, said: Said, problems: &mut Problems) {
    for (index, named) in gate.signals.iter().flatten().enumerate() {
        if *named == signal {
            problems.at_key("signals", |problems| {
                problems.at_index(index, |problems| problems.say(said.0, said.1));
            });
        }
    }
}

fn limits_in_vain(gate: &raw::Gate, signal: LimitSignal, said: Said, problems: &mut Problems) {
    for (index, limit) in gate.limits.iter().flatten().enumerate() {
        if limit.signal == signal {
            problems.at_key("limits", |problems| {
                problems.at_index(index, |problems| {
                    problems.at_key("signal", |problems| problems.say(said.0, said.1));
                });
            });
        }
    }
}

/// What all variants of the route have in common.
fn common(raw: &raw::Gate, default: Settings, problems: &mut Problems) -> Settings {
    let time = |key, of: &Option<Period>, within, default, problems: &mut Problems| {
        of.as_ref()
            .map_or(default, |period| time(key, period, within, problems))
    };
    Settings {
        revision: raw
            .revision
            .as_ref()
            .map_or_else(String::new, |text| text.0.clone()),
        held: raw.held.map(|held| match held {
            raw::Held::Shut => Held::Shut,
            raw::Held::Open => Held::Open,
        }),
        signals: raw
            .signals
            .as_ref()
            .map_or(default.signals, |list| signals(list, problems)),
        false_alarm_every: time(
            "falseAlarmEvery",
            &raw.false_alarm_every,
            FALSE_ALARM_EVERY,
            default.false_alarm_every,
            problems,
        ),
        tolerance: raw
            .tolerance
            .map_or(default.tolerance, |tolerance| tolerance.0),
        warmup: time("warmup", &raw.warmup, WARMUP, default.warmup, problems),
        limits: limits(raw.limits.as_deref().unwrap_or_default(), problems),
        reopen: raw
            .reopen
            .as_ref()
            .map(|raw| problems.at_key("reopen", |problems| reopen(raw, problems))),
        ..default
    }
}

/// The jitter of back-offs must differ between gates, and be the same after a restart.
fn seed(names: &[&str; 3]) -> u64 {
    let [policy, route, variant] = names.map(str::as_bytes);
    u64::from(murmur3_x86_32(&[policy, b"/", route, b"/", variant], 0))
}

/// A length of time that lies within bounds.
pub fn time(
    key: &str,
    period: &Period,
    within: RangeInclusive<u64>,
    problems: &mut Problems,
) -> Duration {
    if !within.contains(&period.0) {
        let (what, bound, from) = if period.0 < *within.start() {
            ("it is too short", within.start(), "at least")
        } else {
            ("it is too long", within.end(), "at most")
        };
        let (number, unit) = match bound {
            bound if bound.is_multiple_of(DAY) => (bound / DAY, "d"),
            bound if bound.is_multiple_of(HOUR) => (bound / HOUR, "h"),
            bound => (bound / SECOND, "s"),
        };
        problems.at_key(key, |problems| {
            problems.say(what, format!("{from} {number}{unit}"));
        });
    }
    Duration::from_millis(period.0)
}

fn signals(list: &[raw::Signal], problems: &mut Problems) -> Signals {
    if list.is_empty() {
        problems.at_key("signals", |problems| {
            problems.say("the gate would judge nothing", "leave it out to judge all");
        });
    }
    Signals {
        errors: list.contains(&raw::Signal::Errors),
        slow: list.contains(&raw::Signal::Slow),
        diffs: list.contains(&raw::Signal::Diffs),
        conversions: list.contains(&raw::Signal::Conversions),
    }
}

fn reopen(raw: &raw::Reopen, problems: &mut Problems) -> Reopen {
    let after = time("after", &raw.after, AFTER, problems);
    let max = Duration::from_millis(raw.max.0);
    if max < after {
        problems.at_key("max", |problems| {
            problems.say("it is shorter than `after`", "at least as long as `after`");
        });
    }
    Reopen { after, max }
}

fn budget(raw: &raw::Budget, problems: &mut Problems) -> BudgetSettings {
    let objective = part(raw.objective.0);
    if objective >= 1.0 {
        problems.at_key("objective", |problems| {
            problems.say(
                "no request could ever fail",
                "less than 100%, as in \"99.9%\"",
            );
        });
    }
    let longest = u64::try_from(MAX_WINDOW.as_millis()).unwrap_or(DAY);
    BudgetSettings {
        objective,
        window: time("window", &raw.window, 60 * SECOND..=longest, problems),
        freeze_below: raw
            .freeze_below
            .as_ref()
            .map_or(0.0, |percent| part(percent.0)),
    }
}

/// The limits of `limits`.
pub fn limits(list: &[raw::Limit], problems: &mut Problems) -> Vec<Limit> {
    problems.at_key("limits", |problems| {
        super::at_most(MAX_LIMITS, list.len(), problems);
        let limit = |(index, raw): (usize, &raw::Limit)| {
            problems.at_index(index, |problems| limit(raw, problems))
        };
        list.iter().enumerate().filter_map(limit).collect()
    })
}

fn limit(raw: &raw::Limit, problems: &mut Problems) -> Option<Limit> {
    let quantity = quantity(raw.signal);
    let lasting = time("for", &raw.lasting, LASTING, problems);
    let bound = bound(raw, quantity, problems)?;
    Some(Limit {
        quantity,
        bound,
        lasting,
        min_requests: raw.min_requests.map_or(100, |least| least.0.unsigned_abs()),
    })
}

/// What a limit looks at.
pub fn quantity(signal: LimitSignal) -> Quantity {
    match signal {
        LimitSignal::ErrorRate => Quantity::ErrorRate,
        LimitSignal::P50 => Quantity::P50,
        LimitSignal::P95 => Quantity::P95,
        LimitSignal::P99 => Quantity::P99,
        LimitSignal::RequestRate => Quantity::RequestRate,
        LimitSignal::ConversionRate => Quantity::ConversionRate,
        LimitSignal::DiffRate => Quantity::DiffRate,
    }
}

/// The one bound of `raw`.
fn bound(raw: &raw::Limit, quantity: Quantity, problems: &mut Problems) -> Option<Bound> {
    let above = raw.above.as_ref().map(|text| ("above", Some(text)));
    let below = raw.below.as_ref().map(|text| ("below", Some(text)));
    let by_stable = raw.below_stable_by.as_ref();
    let bounds = [above, below, by_stable.map(|_| ("belowStableBy", None))];
    let mut bounds = bounds.into_iter().flatten();
    let (Some((key, text)), None) = (bounds.next(), bounds.next()) else {
        problems.say(
            "it must have one bound",
            "one of `above`, `below` and `belowStableBy`",
        );
        return None;
    };
    let fits = match quantity {
        Quantity::ErrorRate | Quantity::DiffRate => key == "above",
        Quantity::P50 | Quantity::P95 | Quantity::P99 => key != "belowStableBy",
        Quantity::RequestRate | Quantity::ConversionRate => true,
    };
    problems.at_key(key, |problems| {
        if !fits {
            let what = format!("{} is no worse for being low", quantity.as_str());
            problems.say(what, "`above`");
        }
        let Some(text) = text else {
            return by_stable.map(|percent| Bound::BelowStableBy(part(percent.0)));
        };
        let value = value(text, quantity, problems)?;
        let (bound, out_of_reach) = match key {
            "above" => (Bound::Above(value), value >= most(quantity)),
            _ => (Bound::Below(value), value <= 0.0),
        };
        if out_of_reach {
            let write = format!(
                "more than 0 and less than {}",
                shown(most(quantity), quantity)
            );
            problems.say("it can never be crossed", write);
        }
        Some(bound)
    })
}

/// What no value can lie above.
fn most(quantity: Quantity) -> f64 {
    match quantity {
        // Longer times are not told apart.
        Quantity::P50 | Quantity::P95 | Quantity::P99 => {
            bounds_ms().last().copied().unwrap_or(f64::MAX)
        }
        Quantity::RequestRate => f64::from(MOST_REQUEST_RATE),
        Quantity::ErrorRate | Quantity::ConversionRate | Quantity::DiffRate => 1.0,
    }
}

fn shown(value: f64, quantity: Quantity) -> String {
    match quantity {
        Quantity::P50 | Quantity::P95 | Quantity::P99 => format!("{}ms", value.round() as u64),
        _ => percent((value * 1e6).round() as u32),
    }
}

/// Milliseconds of a percentile, a fraction of anything else.
fn value(text: &Text, quantity: Quantity, problems: &mut Problems) -> Option<f64> {
    let read = match quantity {
        Quantity::P50 | Quantity::P95 | Quantity::P99 => period(&text.0).map(|ms| ms as f64),
        Quantity::RequestRate => percentage(&text.0, 100 * MOST_REQUEST_RATE).map(part),
        _ => percentage(&text.0, 100).map(part),
    };
    read.map_err(|(what, write)| problems.say(what, write)).ok()
}

fn part(ppm: u32) -> f64 {
    f64::from(ppm) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{self, Policy};

    const CANARY: &str = r#""key": [{"header": "x"}], "variants": [{"name": "c", "share": "1%"}, {"name": "d", "share": "1%"}]"#;

    fn read(route: &str) -> Result<Policy, Vec<String>> {
        let text = format!(r#"{{"name": "shop", "routes": [{{"name": "r", {route}}}]}}"#);
        let read = policy::read(text.as_bytes());
        read.map_err(|refusal| refusal.problems.iter().map(ToString::to_string).collect())
    }

    fn gates(gate: &str) -> RouteSettings {
        let policy = read(&format!(r#"{CANARY}, "gate": {gate}"#));
        policy
            .unwrap_or_else(|said| panic!("{said:?}"))
            .gates
            .remove(0)
    }

    #[test]
    fn a_route_with_variants_has_a_gate_for_each_though_it_names_none() {
        let policy = read(CANARY).unwrap();
        let [route] = &policy.gates[..] else { panic!() };
        assert_eq!(route, &gates("{}"));
        let [first, second] = &route.variants[..] else {
            panic!()
        };
        assert_ne!(first.seed, second.seed);
        let default = Settings {
            latency_bounds_ms: bounds_ms(),
            seed: first.seed,
            ..Settings::default()
        };
        assert_eq!((first, route.budget), (&default, None));
    }

    #[test]
    fn every_setting_is_taken_over() {
        let route = gates(
            r#"{"revision": "7", "held": "open", "signals": ["slow"], "falseAlarmEvery": "1d",
                "tolerance": 2, "warmup": "0s", "reopen": {"after": "10s", "max": "10s"},
                "longLived": "cut", "advance": "clock",
                "budget": {"objective": "99.9%", "window": "1h", "freezeBelow": "10%"}}"#,
        );
        let settings = route.variants.last().unwrap();
        assert_eq!(settings.revision, "7");
        assert_eq!(settings.held, Some(Held::Open));
        let slow = Signals {
            errors: false,
            slow: true,
            diffs: false,
            conversions: false,
        };
        assert_eq!(settings.signals, slow);
        assert_eq!(settings.false_alarm_every, Duration::from_secs(86_400));
        assert_eq!((settings.tolerance, settings.warmup), (2.0, Duration::ZERO));
        let wait = Duration::from_secs(10);
        let reopen = Reopen {
            after: wait,
            max: wait,
        };
        assert_eq!(settings.reopen, Some(reopen));
        let budget = BudgetSettings {
            objective: 0.999,
            window: Duration::from_secs(3_600),
            freeze_below: 0.1,
        };
        assert_eq!(route.budget, Some(budget));
        assert_eq!(route.long_lived, LongLived::Cut);
        assert_eq!(gates(r#"{"longLived": "keep"}"#), gates("{}"));
    }

    #[test]
    fn limits_are_milliseconds_or_fractions() {
        let route = gates(
            r#"{"limits": [
                {"signal": "errorRate", "above": "1%", "for": "2m"},
                {"signal": "p99", "above": "1200ms", "for": "3m", "minRequests": 5},
                {"signal": "p50", "below": "1ms", "for": "1s"},
                {"signal": "requestRate", "above": "150%", "for": "1d"},
                {"signal": "requestRate", "belowStableBy": "5%", "for": "10m"}]}"#,
        );
        let limits = route.variants[0].limits.iter();
        let found: Vec<_> = limits
            .map(|limit| {
                let seconds = limit.lasting.as_secs();
                (limit.quantity, limit.bound, seconds, limit.min_requests)
            })
            .collect();
        assert_eq!(
            found,
            [
                (Quantity::ErrorRate, Bound::Above(0.01), 120, 100),
                (Quantity::P99, Bound::Above(1_200.0), 180, 5),
                (Quantity::P50, Bound::Below(1.0), 1, 100),
                (Quantity::RequestRate, Bound::Above(1.5), 86_400, 100),
                (Quantity::RequestRate, Bound::BelowStableBy(0.05), 600, 100),
            ]
        );
    }

    #[test]
    fn every_problem_of_a_gate_is_said_in_one_pass() {
        let said = read(&format!(
            r#"{CANARY}, "gate": {{"signals": [], "falseAlarmEvery": "59m", "tolerance": 0.9,
            "warmup": "25h", "reopen": {{"after": "999ms", "max": "0s"}},
            "budget": {{"objective": "100%", "window": "30d"}},
            "limits": [{{"signal": "errorRate", "for": "2m"}},
                {{"signal": "errorRate", "above": "1%", "below": "2%", "for": "2m"}},
                {{"signal": "errorRate", "below": "1%", "for": "0s"}},
                {{"signal": "errorRate", "above": "1s", "for": "2d"}},
                {{"signal": "p99", "above": "1%", "for": "2m"}},
                {{"signal": "p95", "above": "30s", "for": "2m"}},
                {{"signal": "p50", "belowStableBy": "1%", "for": "2m"}},
                {{"signal": "requestRate", "below": "0%", "for": "2m"}}]}}"#
        ))
        .unwrap_err();
        let at = |line: &String| {
            line.split(": ")
                .next()
                .unwrap()
                .replacen("routes[0].gate.", "", 1)
        };
        let mut places: Vec<String> = said.iter().map(at).collect();
        places.sort();
        assert_eq!(
            places,
            [
                "budget.objective",
                "budget.window",
                "falseAlarmEvery",
                "limits[0]",
                "limits[1]",
                "limits[2].below",
                "limits[2].for",
                "limits[3].above",
                "limits[3].for",
                "limits[4].above",
                "limits[5].above",
                "limits[6].belowStableBy",
                "limits[7].below",
                "reopen.after",
                "reopen.max",
                "signals",
                "tolerance",
                "warmup",
            ],
            "{said:#?}"
        );
    }

    #[test]
    fn a_limit_too_many_and_a_gate_before_nothing_are_refused() {
        let limit = r#"{"signal": "p99", "above": "1s", "for": "2m"}"#;
        let many = |count| {
            format!(
                r#"{CANARY}, "gate": {{"limits": [{}]}}"#,
                vec![limit; count].join(",")
            )
        };
        assert!(read(&many(16)).is_ok());
        assert_eq!(
            read(&many(17)).unwrap_err(),
            ["routes[0].gate.limits: there are 17; at most 16"]
        );
        let alone = read(r#""gate": {"tolerance": 1}"#).unwrap_err();
        assert_eq!(
            alone,
            ["routes[0].gate: the route has no variant to judge; leave it out, or add `variants`"]
        );
        let budget = read(r#""gate": {"budget": {"objective": "99%", "window": "1d"}}"#);
        assert!(budget.is_ok());
    }

    #[test]
    fn a_gate_judges_differences_only_where_a_shadow_can_tell_them() {
        const SIGNALS: &str = "routes[0].gate.signals[1]: ";
        const LIMIT: &str = "routes[0].gate.limits[0].signal: ";
        let none = "the route has no shadow to compare; add `shadow`, or leave it out";
        let mirror = "the route's shadow compares nothing; \
                      leave `compare: false` out of `shadow`, or leave this out";
        let blind = "the route's shadow never asks stable twice, and can't tell noise; \
                     reads among its `methods` and a `noise` above 0%, or leave it out";
        let said = |shadow: &str, gate: &str| {
            let read = read(&format!(r#"{CANARY}, {shadow} "gate": {gate}"#));
            read.map_or_else(|said| said, |_| Vec::new())
        };
        for (shadow, signals, limit) in [
            ("", Some(none), Some(none)),
            (
                r#"{"cluster": "b", "compare": false}"#,
                Some(mirror),
                Some(mirror),
            ),
            (r#"{"cluster": "b", "noise": "0%"}"#, Some(blind), None),
            (
                r#"{"cluster": "b", "stableCluster": "a", "noise": "0%", "confirmPerRaw": 0}"#,
                Some(blind),
                None,
            ),
            (
                r#"{"cluster": "b", "stableCluster": "a", "methods": ["POST"], "writes": "allow"}"#,
                Some(blind),
                None,
            ),
            (
                r#"{"cluster": "b", "stableCluster": "a", "noise": "0%"}"#,
                None,
                None,
            ),
            (r#"{"cluster": "b", "stableCluster": "a"}"#, None, None),
        ] {
            let shadow = match shadow {
                "" => String::new(),
                shadow => format!(r#""shadow": {shadow},"#),
            };
            let expected = |place: &str, said: Option<&str>| {
                let said = said.map(|said| format!("{place}{said}"));
                said.into_iter().collect::<Vec<_>>()
            };
            let by_signals = said(&shadow, r#"{"signals": ["errors", "diffs"]}"#);
            assert_eq!(by_signals, expected(SIGNALS, signals), "{shadow}");
            let limits = r#"{"limits": [{"signal": "diffRate", "above": "1%", "for": "1m"}]}"#;
            assert_eq!(said(&shadow, limits), expected(LIMIT, limit), "{shadow}");
            assert_eq!(said(&shadow, "{}"), [""; 0], "by default it is no mistake");
        }
    }

    #[test]
    fn a_rule_holds_even_shut_only_before_a_gate() {
        let with = |then: &str| {
            let rule = format!(
                r#"{{"name": "t", "when": [{{"path": {{}}, "exact": "/"}}], "then": {then}}}"#
            );
            read(&format!(r#"{CANARY}, "rules": [{rule}]"#))
        };
        let policy = with(r#"{"variant": "c", "evenShut": true}"#).unwrap();
        assert!(policy.assigner.routes[0].rules[0].even_shut);
        for then in [
            r#"{"variant": "stable", "evenShut": true}"#,
            r#"{"respond": {"status": 404}, "evenShut": true}"#,
        ] {
            let said = with(then).unwrap_err();
            assert_eq!(
                said,
                [
                    "routes[0].rules[0].then.evenShut: no gate stands before what it chooses; leave it out"
                ]
            );
        }
    }
}
