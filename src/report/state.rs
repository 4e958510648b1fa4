//! The state document, `/serinus/state.json`: what the filter knows, for machines.
//!
//! docs/state.md describes every member. The document is built from values and holds no data of
//! callers: names and problems of the policy, counts, and addresses of upstream hosts. All numbers
//! are whole: shares in parts per million, times in microseconds.

use crate::assign::ramp::Millis;
use crate::assign::share::Share;
use crate::health::clock::Micros;
use crate::health::counters::Counters;
use crate::health::hosts::{Host, Tally};
use crate::health::latency::Latencies;
use crate::health::outcome::Outcome;
use crate::health::share::Seen;
use crate::health::totals::{Side, Totals};
use crate::health::watch::RouteWatch;
use crate::health::window::{MINUTES, Span, Windows};
use serde_json::{Map, Value, json};

/// The form of the document. A member that is added does not change it; one that goes or means
/// something else does.
pub const VERSION: u32 = 1;

/// What is told of the filter itself.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The policy in force: its name, and a text that tells it from others. None: all is stable.
    pub policy: Option<(&'a str, &'a str)>,
    /// What is wrong with the newest policy, if it was refused.
    pub problems: &'a [String],
    /// The moment.
    pub now: Millis,
}

/// What is told of a route.
#[derive(Debug)]
pub struct RouteState<'a> {
    /// Its counts.
    pub watch: &'a RouteWatch,
    /// The share that each side is to get now, in the order of the watch's sides.
    pub asked: &'a [Share],
    /// What else is told of each side, in the same order: members that its gate and shadow add.
    pub more: Vec<Map<String, Value>>,
}

/// The document.
pub fn document(about: &About<'_>, routes: Vec<RouteState<'_>>) -> Value {
    let routes = routes.into_iter().map(|state| route(state, about.now));
    json!({
        "version": VERSION,
        "serinus": env!("CARGO_PKG_VERSION"),
        "now_ms": about.now.0,
        "policy": about.policy.map(|(name, version)| json!({"name": name, "version": version})),
        "problems": about.problems,
        "routes": routes.collect::<Vec<Value>>(),
    })
}

fn route(state: RouteState<'_>, now: Millis) -> Value {
    let watch = state.watch;
    let unknown = Totals::default();
    let totals = watch.totals().unwrap_or(&unknown);
    let mut more = state.more.into_iter();
    let sides = watch.sides().enumerate().map(|(place, name)| {
        let view = SideView {
            watch,
            totals,
            place,
            name,
            asked: state.asked.get(place).copied(),
            now,
        };
        let mut members = view.members();
        members.extend(more.next().unwrap_or_default());
        Value::Object(members)
    });
    json!({
        "route": watch.name(),
        "slow_us": watch.slow_bound().map(|bound| bound.0),
        "dropped": totals.dropped,
        "variants": sides.collect::<Vec<Value>>(),
        "other_hosts": tally(totals.hosts.others()),
    })
}

/// One side and all that is known of it.
struct SideView<'a> {
    watch: &'a RouteWatch,
    totals: &'a Totals,
    place: usize,
    name: &'a str,
    asked: Option<Share>,
    now: Millis,
}

impl SideView<'_> {
    fn members(&self) -> Map<String, Value> {
        let nothing = Side::default();
        let side = self.totals.side(self.name).unwrap_or(&nothing);
        let counters = &side.counters;
        let failing = side.failing.estimate(self.now);
        let (received, sent) = counters.bytes();
        let windows = self.watch.windows();
        let members = json!({
            "variant": self.name,
            "share": share(self.asked, self.watch.share(self.place)),
            "decisions": decisions(counters),
            "outcomes": outcomes(counters.outcomes()),
            "attempts": counters.attempts(),
            "bytes": {"received": received, "sent": sent},
            "failing_callers": {"callers": failing.callers, "at_least": failing.at_least},
            "last_minute": window(windows, self.place, Span::Minute, 1),
            "last_ten_minutes": window(windows, self.place, Span::TenMinutes, MINUTES),
            "hosts": self.hosts(),
        });
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// The hosts, those with the most errors first.
    fn hosts(&self) -> Vec<Value> {
        let sides = &self.totals.sides;
        let is_own = |host: &&Host| {
            sides
                .get(host.side)
                .is_some_and(|side| *side.name == *self.name)
        };
        let mut hosts: Vec<&Host> = self.totals.hosts.all().iter().filter(is_own).collect();
        hosts.sort_by(|a, b| {
            let order = b.tally.errors.cmp(&a.tally.errors);
            order.then_with(|| a.address.cmp(&b.address))
        });
        let told = hosts.into_iter().map(|host| {
            let mut told = tally(host.tally);
            if let Value::Object(members) = &mut told {
                let address = String::from_utf8_lossy(&host.address);
                members.insert("address".to_owned(), json!(address));
                members.insert("seen_ms".to_owned(), json!(host.seen.0));
            }
            told
        });
        told.collect()
    }
}

fn share(asked: Option<Share>, seen: Option<Seen>) -> Value {
    // Parts per million of a part of one; `as` saturates.
    let ppm = |part: f64| (part * 1e6).round() as u64;
    json!({
        "asked_ppm": asked.map(Share::ppm),
        "drawn_at_ppm": seen.map(|seen| ppm(seen.asked)),
        "seen_ppm": seen.map(|seen| ppm(seen.seen)),
        "draws": seen.map_or(0, |seen| seen.draws.round() as u64),
        "gap_can_be_chance": seen.is_none_or(|seen| seen.chance),
    })
}

fn decisions(counters: &Counters) -> Value {
    let counted = counters.decisions().filter(|(_, count)| *count > 0);
    let members = counted.map(|(reason, count)| (reason.word().to_owned(), json!(count)));
    Value::Object(members.collect())
}

fn outcomes(counts: &[u64]) -> Value {
    let pairs = Outcome::ALL.into_iter().zip(counts);
    let members = pairs.map(|(outcome, count)| (outcome.as_str().to_owned(), json!(count)));
    Value::Object(members.collect())
}

/// The counts and percentiles of one span; null for a side that has no windows.
fn window(windows: &Windows, place: usize, span: Span, minutes: usize) -> Value {
    let counts = windows.outcomes(place, span);
    let latencies = windows.latencies(place, minutes);
    let (Some(counts), Some(latencies)) = (counts, latencies) else {
        return Value::Null;
    };
    let percentiles = Latencies(&latencies).percentiles();
    json!({
        "outcomes": outcomes(&counts),
        "latency_us": percentiles.map(|of| json!({
            "p50": of.p50.0,
            "p95": of.p95.0,
            "p99": of.p99.0,
        })),
    })
}

fn tally(tally: Tally) -> Value {
    json!({
        "requests": tally.requests,
        "errors": tally.errors,
        "mean_us": tally.mean().map(|Micros(mean)| mean),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::decide::Reason;
    use crate::assign::route;
    use crate::health::callers::Caller;
    use crate::health::counters::Request;
    use crate::health::ledger::{Reading, added};
    use crate::health::outcome::ErrorClass;
    use crate::health::route::RouteHealth;
    use std::collections::BTreeSet;

    const KEY: &[u8] = b"alice@example.com";

    fn watched() -> RouteWatch {
        let sides = ["stable", "canary"];
        let mut watch = RouteWatch::new("checkout", sides, None, Some(Micros(90_000)), Millis(0));
        watch.look(&Reading::default(), Millis(0));
        let mut health = RouteHealth::new("checkout", sides);
        for request in 0_u64..200 {
            let bad = request % 2 == 1;
            let side = [route::Side::Stable, route::Side::Variant(0)][usize::from(bad)];
            let caller = Some(Caller::of(KEY));
            let error = Outcome::Error(ErrorClass::Timeout);
            let outcome = if bad { error } else { Outcome::Ok };
            let request = Request {
                outcome,
                latency: Some(Micros(2_000)),
                attempts: 1,
                bytes: Some((1, 2)),
                caller,
                host: Some(if bad {
                    b"10.0.0.9:80"
                } else {
                    b"/run/app-\xff.sock"
                }),
            };
            health.record(side, &request, Millis(500));
            let half = |_| Share::from_ppm(500_000).unwrap();
            health.decided(side, Reason::Share, caller, half);
        }
        let slot = added(None, [&health], Millis(500));
        watch.look(&Reading::of([&slot[..]]), Millis(1_000));
        watch
    }

    fn told(watch: &RouteWatch) -> Value {
        let about = About {
            policy: Some(("shop", "7f3a")),
            problems: &["routes: missing".to_owned()],
            now: Millis(1_000),
        };
        let asked = [500_000, 500_000].map(|ppm| Share::from_ppm(ppm).unwrap());
        let gate = Map::from_iter([("gate".to_owned(), json!({"state": "open"}))]);
        let state = RouteState {
            watch,
            asked: &asked,
            more: vec![Map::new(), gate],
        };
        document(&about, vec![state])
    }

    #[test]
    fn counts_percentiles_and_hosts_stand_with_their_variant() {
        let document = told(&watched());
        let [stable, canary] = [0, 1].map(|side| &document["routes"][0]["variants"][side]);
        assert_eq!(document["version"], 1);
        assert_eq!(stable["outcomes"]["ok"], 100);
        assert_eq!(canary["outcomes"]["error_timeout"], 100);
        assert_eq!(canary["last_minute"]["outcomes"]["error_timeout"], 100);
        assert_eq!(
            canary["failing_callers"],
            json!({"callers": 1, "at_least": false})
        );
        assert_eq!(canary["hosts"][0]["address"], "10.0.0.9:80");
        assert_eq!(stable["hosts"][0]["address"], "/run/app-\u{fffd}.sock");
        assert_eq!(stable["hosts"][0]["mean_us"], 2_000);
        assert_eq!(stable["share"]["seen_ppm"], 500_000);
        assert_eq!(stable["decisions"], json!({"share": 100}));
        assert_eq!(canary["gate"]["state"], "open");
        let p99 = stable["last_ten_minutes"]["latency_us"]["p99"]
            .as_u64()
            .unwrap();
        assert!((1_960..=2_040).contains(&p99), "{p99}");
    }

    #[test]
    fn nothing_of_callers_is_told() {
        let text = told(&watched()).to_string();
        let caller = Caller::of(KEY).0.to_string();
        assert!(!text.contains("alice") && !text.contains(&caller));
    }

    #[test]
    fn a_route_that_was_never_seen_is_told_with_zeros() {
        let watch = RouteWatch::new("r", ["stable"], None, None, Millis(0));
        let document = told(&watch);
        let stable = &document["routes"][0]["variants"][0];
        assert_eq!(
            stable["outcomes"].as_object().unwrap().len(),
            Outcome::ALL.len()
        );
        assert_eq!(stable["last_minute"]["latency_us"], Value::Null);
        assert_eq!(stable["share"]["gap_can_be_chance"], true);
    }

    fn names(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| {
                into.insert(name.clone());
                names(member, into);
            }),
            Value::Array(elements) => elements.iter().for_each(|element| names(element, into)),
            _ => {}
        }
    }

    #[test]
    fn every_member_is_documented() {
        let docs = include_str!("../../docs/state.md");
        let mut known = BTreeSet::new();
        names(&told(&watched()), &mut known);
        for name in known
            .iter()
            .filter(|name| !["gate", "state"].contains(&name.as_str()))
        {
            assert!(
                docs.contains(&format!("`{name}`")),
                "docs/state.md: `{name}` is missing"
            );
        }
        assert!(docs.contains(&format!("version {VERSION}")));
    }
}
