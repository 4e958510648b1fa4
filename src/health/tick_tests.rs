use super::*;
use crate::assign::route::Side;
use crate::gate::{Gate, Pair, Position, Settings, Signal};
use crate::health::callers::Caller;
use crate::health::clock::Micros;
use crate::health::counters::Request;
use crate::health::ledger::{Reading, added};
use crate::health::outcome::{ErrorClass, Outcome};
use crate::health::route::RouteHealth;
use crate::health::watch::RouteWatch;

const ERROR: Outcome = Outcome::Error(ErrorClass::Status);
const SIDES: [&str; 2] = ["stable", "canary"];

fn during(second: i64) -> During {
    During {
        at: Millis(second * 1_000),
        share: Share::from_ppm(100_000).unwrap(),
        stable_share: Share::from_ppm(900_000).unwrap(),
    }
}

/// 1,000 requests, the n-th of which takes n ms: a tenth errors, a tenth of callers who left.
fn mixed() -> Counters {
    let mut side = Counters::default();
    for request in 0_u64..1_000 {
        let host = format!("10.0.0.{}:80", request % 20);
        side.count(&Request {
            outcome: match request % 10 {
                0 => ERROR,
                1 => Outcome::Aborted,
                2 => Outcome::Slow,
                _ => Outcome::Ok,
            },
            latency: Some(Micros(request * 1_000)),
            attempts: 1,
            bytes: None,
            caller: Some(Caller::of(&request.to_le_bytes())),
            host: Some(host.as_bytes()),
            exposure: None,
        });
    }
    side
}

#[test]
fn groups_and_slots_add_up_to_their_sides() {
    // 100 ms and 10 ms.
    let thresholds = Thresholds {
        far: Some(11),
        near: Some(5),
    };
    let tick = tick(Some(&[mixed(), mixed()]), 1, thresholds, during(7), None);
    let (stable, canary) = (tick.stable.unwrap(), tick.canary.unwrap());
    assert_eq!(stable.counts, canary.counts);
    assert_eq!((stable.counts.requests, stable.counts.errors), (900, 100));
    assert_eq!(stable.counts.latency.iter().sum::<u64>(), 900);
    let exact = |bound: u64| (0..1_000).filter(|r| r % 10 != 1 && *r > bound).count() as i64;
    assert!((stable.counts.slow as i64 - exact(100)).abs() <= 2);
    assert!((stable.counts.slow90 as i64 - exact(10)).abs() <= 1);
    let sum = stable.groups.iter().fold([0; 4], |sum, group| {
        [
            sum[0] + group.requests,
            sum[1] + group.errors,
            sum[2] + group.slow,
            sum[3] + group.slow90,
        ]
    });
    assert_eq!(sum, [900, 100, stable.counts.slow, stable.counts.slow90]);
    let slots = canary.slots.iter().fold((0, 0), |sum, slot| {
        (sum.0 + slot.requests, sum.1 + slot.errors)
    });
    assert_eq!(slots, (900, 100));
    assert_eq!(tick.at, At(7_000));
    assert_eq!(
        (tick.share, tick.stable_share),
        (Ppm(100_000), Ppm(900_000))
    );
}

#[test]
fn each_latency_falls_into_the_bucket_of_its_bound() {
    for (bucket, bound_ms) in bounds_ms().into_iter().enumerate() {
        let mut side = Counters::default();
        // The histogram tells latencies within 2 %.
        for took in [bound_ms * 970.0, bound_ms * 1_030.0] {
            side.count(&Request {
                outcome: Outcome::Ok,
                latency: Some(Micros(took as u64)),
                attempts: 1,
                bytes: None,
                caller: None,
                host: None,
                exposure: None,
            });
        }
        let counts = counts(&side, Thresholds::default());
        assert_eq!(counts.latency[bucket..=bucket + 1], [1, 1], "{bound_ms} ms");
    }
    assert_eq!(bounds_ms().len(), BUCKETS - 1);
}

#[test]
fn without_thresholds_nothing_is_slow() {
    let tick = tick(
        Some(&[mixed(), mixed()]),
        1,
        Thresholds::default(),
        during(0),
        None,
    );
    let stable = tick.stable.unwrap();
    assert_eq!((stable.counts.slow, stable.groups[0].slow90), (0, 0));
}

#[test]
fn what_could_not_be_had_is_absent() {
    let lost = tick(None, 1, Thresholds::default(), during(-9), None);
    assert!(lost.stable.is_none() && lost.canary.is_none());
    assert_eq!(lost.at, At(0));
    let other = tick(Some(&[mixed()]), 1, Thresholds::default(), during(0), None);
    assert!(other.stable.is_some() && other.canary.is_none());
}

#[test]
fn what_the_shadow_says_is_handed_on_beside_the_counts_and_without_them() {
    let shadowed = Shadowed {
        pairs: 9,
        differing: 8,
        failed: Some(Pair::default()),
    };
    for came in [Some([mixed(), mixed()]), None] {
        let came = came.as_ref().map(<[Counters; 2]>::as_slice);
        let thresholds = Thresholds::default();
        let tick = tick(came, 1, thresholds, during(0), Some(shadowed));
        assert_eq!(tick.shadow, Some(shadowed));
        let pairs = |counts: &Counts| (counts.shadowed, counts.diffs);
        assert!(tick.stable.is_none_or(|side| pairs(&side.counts) == (0, 0)));
        assert!(tick.canary.is_none_or(|side| pairs(&side.counts) == (0, 0)));
    }
}

/// 500 requests a second to stable and 60 to the canary, of which the last `bad` are errors.
fn second(worker: &mut RouteHealth, now: Millis, bad: u64) {
    for (side, count, bad) in [(Side::Stable, 500, 1), (Side::Variant(0), 60, bad)] {
        for request in 0_u64..count {
            let host = format!("10.0.0.{}:80", request % 10);
            let took = if request % 50 == 0 { 80_000 } else { 4_000 };
            let outcome = if request + bad < count {
                Outcome::Ok
            } else {
                ERROR
            };
            let request = Request {
                outcome,
                latency: Some(Micros(took)),
                attempts: 1,
                bytes: None,
                caller: Some(Caller::of(format!("{}-{request}", now.0).as_bytes())),
                host: Some(host.as_bytes()),
                exposure: None,
            };
            worker.record(side, &request, now);
        }
    }
}

#[test]
fn a_gate_fed_by_what_workers_counted_learns_what_is_slow_and_shuts_on_errors() {
    let settings = Settings {
        latency_bounds_ms: bounds_ms(),
        ..Settings::default()
    };
    let mut gate = Gate::new(&settings);
    let mut worker = RouteHealth::new("r", SIDES);
    let mut watch = RouteWatch::new("r", SIDES, None, None, false, Millis(0));
    let mut slot = None;
    let mut turn = |gate: &mut Gate, at: i64, bad: u64| {
        second(&mut worker, Millis(at * 1_000), bad);
        slot = Some(added(slot.as_deref(), [&worker], Millis(at * 1_000)));
        worker.clear();
        let came = watch.look(&Reading::of(slot.as_deref()), Millis(at * 1_000));
        let thresholds = Thresholds::of(gate.detector());
        let tick = tick(came.as_deref(), 1, thresholds, during(at), None);
        let slow = tick.stable.as_ref().map(|stable| {
            let groups = stable.groups.iter().map(|group| group.slow);
            (stable.counts.slow, groups.sum::<u64>())
        });
        (gate.tick(&settings, &tick), slow)
    };
    assert_eq!(turn(&mut gate, 0, 0), (None, None), "the first look");
    for at in 1..120 {
        assert_eq!(turn(&mut gate, at, 0).0, None, "second {at}");
    }
    let thresholds = Thresholds::of(gate.detector());
    let bound = |place: Option<usize>| bounds_ms()[place.unwrap()];
    assert!(
        (5.0..80.0).contains(&bound(thresholds.far)),
        "{thresholds:?}"
    );
    assert_eq!(turn(&mut gate, 120, 0).1, Some((10, 10)));
    let change = (121..151).find_map(|at| turn(&mut gate, at, 20).0).unwrap();
    assert_eq!(
        (change.state, change.signal),
        (Position::Shut, Some(Signal::Errors))
    );
}
