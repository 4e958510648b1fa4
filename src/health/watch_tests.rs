use super::*;
use crate::assign::decide::Reason;
use crate::assign::route::Side;
use crate::assign::share::Share;
use crate::health::callers::Caller;
use crate::health::counters::Request;
use crate::health::ledger::added;
use crate::health::outcome::{ErrorClass, Outcome};
use crate::health::route::RouteHealth;
use crate::health::window::Span;

const SIDES: [&str; 2] = ["stable", "canary"];

fn watch() -> RouteWatch {
    RouteWatch::new("r", SIDES, None, None, false, Millis(0))
}

fn serve(health: &mut RouteHealth, count: u32, side: Side, outcome: Outcome) {
    for caller in 0..count {
        let caller = Caller::of(&caller.to_le_bytes());
        let request = Request {
            outcome,
            latency: Some(Micros(2_000)),
            attempts: 1,
            bytes: None,
            caller: Some(caller),
            host: Some(b"10.0.0.1:80"),
            exposure: None,
        };
        health.record(side, &request, Millis(0));
        let half = |_| Share::from_ppm(500_000).unwrap();
        health.decided(side, Reason::Share, Some(caller), half);
    }
}

/// A worker adds what it counted to a slot.
fn publish(slot: &mut Option<Vec<u8>>, health: &mut RouteHealth) {
    *slot = Some(added(slot.as_deref(), [&*health], Millis(0)));
    health.clear();
}

#[test]
fn a_look_tells_what_came_since_the_last_one_over_all_workers() {
    let mut slots = [None, None];
    let mut workers = SIDES.map(|_| RouteHealth::new("r", SIDES));
    let mut watch = watch();
    let look = |watch: &mut RouteWatch, slots: &[Option<Vec<u8>>; 2], now| {
        let reading = Reading::of(slots.iter().flatten().map(Vec::as_slice));
        watch.look(&reading, Millis(now))
    };
    assert!(
        look(&mut watch, &slots, 0).is_none(),
        "nothing to compare with"
    );
    for (worker, slot) in workers.iter_mut().zip(&mut slots) {
        serve(worker, 30, Side::Stable, Outcome::Ok);
        serve(
            worker,
            2,
            Side::Variant(0),
            Outcome::Error(ErrorClass::ResetBefore),
        );
        publish(slot, worker);
    }
    let came = look(&mut watch, &slots, 1_000).unwrap();
    assert_eq!((came[0].judged(), came[1].errors()), (60, 4));
    assert!(
        look(&mut watch, &slots, 2_000)
            .unwrap()
            .iter()
            .all(Counters::is_empty)
    );
    serve(&mut workers[0], 1, Side::Stable, Outcome::Ok);
    publish(&mut slots[0], &mut workers[0]);
    assert_eq!(look(&mut watch, &slots, 3_000).unwrap()[0].judged(), 1);
    assert_eq!(watch.windows().outcomes(0, Span::Minute).unwrap()[0], 61);
    assert_eq!(watch.totals().unwrap().sides[0].counters.judged(), 61);
    assert!(watch.share(1).unwrap().draws > 60.0);
}

#[test]
fn totals_that_were_lost_are_no_requests() {
    let mut health = RouteHealth::new("r", SIDES);
    let mut slot = None;
    serve(&mut health, 10, Side::Stable, Outcome::Ok);
    publish(&mut slot, &mut health);
    let mut watch = watch();
    assert!(
        watch
            .look(&Reading::of(slot.as_deref()), Millis(0))
            .is_none()
    );
    let mut lost = None;
    serve(&mut health, 3, Side::Stable, Outcome::Ok);
    publish(&mut lost, &mut health);
    serve(&mut health, 3, Side::Stable, Outcome::Ok);
    publish(&mut lost, &mut health);
    assert!(
        watch
            .look(&Reading::of(lost.as_deref()), Millis(1_000))
            .is_none()
    );
    serve(&mut health, 2, Side::Stable, Outcome::Ok);
    publish(&mut lost, &mut health);
    let came = watch
        .look(&Reading::of(lost.as_deref()), Millis(2_000))
        .unwrap();
    assert_eq!(came[0].judged(), 2);
}

#[test]
fn a_new_watcher_goes_on_with_the_windows_of_the_old_one() {
    let mut health = RouteHealth::new("r", SIDES);
    let mut slot = None;
    let mut old = watch();
    old.look(&Reading::default(), Millis(0));
    serve(&mut health, 600, Side::Stable, Outcome::Ok);
    publish(&mut slot, &mut health);
    old.look(&Reading::of(slot.as_deref()), Millis(1_000));
    assert!(old.slow_bound().is_some());
    let bytes = old.kept();
    let sides = ["stable", "new", "canary"];
    let (bound, now) = (old.slow_bound(), Millis(2_000));
    let mut new = RouteWatch::new("r", sides, Some(&bytes), bound, false, now);
    assert!(
        new.look(&Reading::of(slot.as_deref()), Millis(2_000))
            .is_none()
    );
    assert_eq!(new.windows().outcomes(0, Span::Minute).unwrap()[0], 600);
    assert_eq!(new.slow_bound(), old.slow_bound());
    assert_eq!(new.sides().collect::<Vec<_>>(), sides);
}

#[test]
fn a_new_watcher_knows_the_sample_ratio_of_the_old_one() {
    let mut health = RouteHealth::new("r", SIDES);
    let mut slot = None;
    let begin = |kept: Option<&[u8]>| RouteWatch::new("r", SIDES, kept, None, true, Millis(0));
    let mut old = begin(None);
    old.look(&Reading::default(), Millis(0));
    assert_eq!(old.sample_ratio_mismatch(), Some(false));
    // Half of them should have been the canary's.
    serve(&mut health, 600, Side::Stable, Outcome::Ok);
    publish(&mut slot, &mut health);
    old.look(&Reading::of(slot.as_deref()), Millis(1_000));
    assert_eq!(old.sample_ratio_mismatch(), Some(true));
    let new = begin(Some(&old.kept()));
    assert_eq!(new.sample_ratio_mismatch(), Some(true));
    assert_eq!(watch().sample_ratio_mismatch(), None);
}

#[test]
fn a_tick_of_100_routes_with_64_hosts_each_has_every_request() {
    use crate::health::tick::{During, Thresholds, tick};
    let names: Vec<String> = (0..100).map(|route| format!("route-{route}")).collect();
    let mut workers: Vec<RouteHealth> = names
        .iter()
        .map(|name| RouteHealth::new(name, SIDES))
        .collect();
    let mut watches: Vec<RouteWatch> = names
        .iter()
        .map(|name| RouteWatch::new(name, SIDES, None, None, false, Millis(0)))
        .collect();
    let mut slot: Option<Vec<u8>> = None;
    for second in 1..4 {
        let hosts: Vec<String> = (0..64).map(|host| format!("10.0.{host}.17:8080")).collect();
        for worker in &mut workers {
            for request in 0_u64..256 {
                let side = if request % 20 == 0 {
                    Side::Variant(0)
                } else {
                    Side::Stable
                };
                let request = Request {
                    outcome: Outcome::Ok,
                    latency: Some(Micros(700 + request * request * 9)),
                    attempts: 1,
                    bytes: None,
                    caller: Some(Caller::of(&request.to_le_bytes())),
                    host: Some(hosts[request as usize % 64].as_bytes()),
                    exposure: None,
                };
                worker.record(side, &request, Millis(second * 1_000));
            }
        }
        slot = Some(added(slot.as_deref(), &workers, Millis(second * 1_000)));
        workers.iter_mut().for_each(RouteHealth::clear);
        let reading = Reading::of(slot.as_deref());
        let mut judged = 0;
        for watch in &mut watches {
            let now = Millis(second * 1_000);
            let came = watch.look(&reading, now);
            let during = During {
                at: now,
                share: Share::NONE,
                stable_share: Share::ALL,
            };
            let tick = tick(came.as_deref(), 1, Thresholds::default(), during, None);
            judged += tick.stable.map_or(0, |side| side.counts.requests);
            judged += tick.canary.map_or(0, |side| side.counts.requests);
        }
        assert_eq!(judged, if second == 1 { 0 } else { 25_600 });
    }
}
