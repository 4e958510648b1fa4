use super::*;
use crate::health::clock::Micros;
use crate::health::counters::Request;
use crate::health::latency::Latencies;
use crate::health::outcome::Outcome;
use proptest::prelude::*;

fn requests(count: u64, took: u64) -> Counters {
    let mut counters = Counters::default();
    let request = Request {
        outcome: Outcome::Ok,
        latency: Some(Micros(took)),
        attempts: 1,
        bytes: None,
        caller: None,
        host: None,
        exposure: None,
    };
    (0..count).for_each(|_| counters.count(&request));
    counters
}

fn windows(now: i64) -> Windows {
    Windows::new(["stable", "canary"], Millis(now))
}

fn told(windows: &Windows) -> (u64, u64, u64) {
    let ok = |span| windows.outcomes(0, span).unwrap()[0];
    let timed = Latencies(&windows.latencies(0, MINUTES).unwrap()).total();
    (ok(Span::Minute), ok(Span::TenMinutes), timed)
}

#[test]
fn each_window_forgets_after_its_time() {
    let mut windows = windows(0);
    windows.add(0, &requests(5, 700));
    for (now, wanted) in [
        (59_999, (5, 5, 5)),
        (60_000, (0, 5, 5)),
        (599_999, (0, 5, 5)),
        (600_000, (0, 0, 0)),
    ] {
        windows.turn(Millis(now));
        assert_eq!(told(&windows), wanted, "at {now}");
    }
}

#[test]
fn the_newest_slot_comes_first() {
    let mut windows = windows(0);
    for second in 0..70 {
        windows.turn(Millis(second * 1_000));
        windows.add(1, &requests(second as u64, 1));
    }
    let seconds: Vec<u32> = windows
        .slots(1, Span::Minute)
        .unwrap()
        .map(|slot| slot[0])
        .collect();
    assert_eq!(seconds, (10..70).rev().collect::<Vec<u32>>());
    assert!(windows.slots(2, Span::Minute).is_none());
}

#[test]
fn latencies_are_of_the_minutes_asked_for() {
    let mut windows = windows(0);
    for minute in 0..12 {
        windows.turn(Millis(minute * 60_000));
        windows.add(0, &requests(1 << minute, 1_000));
    }
    let of = |minutes| Latencies(&windows.latencies(0, minutes).unwrap()).total();
    assert_eq!((of(1), of(2)), (2048, 2048 + 1024));
    assert_eq!(of(10), 4095 - 1 - 2);
    assert_eq!(of(usize::MAX), of(10));
}

#[test]
fn a_clock_that_is_set_back_a_little_counts_on_in_the_latest_slot() {
    let mut windows = windows(100_000);
    windows.add(0, &requests(1, 1));
    windows.turn(Millis(50_000));
    windows.add(0, &requests(1, 1));
    assert_eq!(told(&windows), (2, 2, 2));
    windows.turn(Millis(159_999));
    assert_eq!(told(&windows).0, 2);
    windows.turn(Millis(160_000));
    assert_eq!(told(&windows).0, 0);
}

#[test]
fn a_clock_that_is_set_back_far_keeps_everything_and_goes_on() {
    let mut windows = windows(10_000_000);
    windows.add(0, &requests(1, 1));
    windows.turn(Millis(5_000));
    assert_eq!(told(&windows), (1, 1, 1));
    windows.turn(Millis(65_000));
    assert_eq!(told(&windows), (0, 1, 1));
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let mut windows = windows(0);
    for now in [i64::MAX, i64::MIN, i64::MAX, 0] {
        windows.turn(Millis(now));
        windows.add(0, &requests(1, 1));
    }
    assert_eq!(told(&windows), (2, 2, 2));
}

#[test]
fn a_policy_that_reorders_its_variants_keeps_their_windows() {
    let mut windows = Windows::new(["stable", "a", "b"], Millis(0));
    windows.add(1, &requests(1, 1));
    windows.add(2, &requests(2, 1));
    let windows = windows.with_sides(["stable", "b", "c"]);
    let ok = |place| windows.outcomes(place, Span::Minute).unwrap()[0];
    assert_eq!((ok(0), ok(1), ok(2)), (0, 2, 0));
}

#[test]
fn the_fullest_windows_stay_within_their_bytes() {
    let mut windows = Windows::new(["a", "b", "c", "d", "e", "f"], Millis(0));
    assert_eq!(windows.sides.len(), MOST_SIDES);
    let mut full = Counters::default();
    full.run_mut().fill(1 << 21);
    for second in 0..700 {
        windows.turn(Millis(second * 1_000));
        (0..MOST_SIDES).for_each(|place| windows.add(place, &full));
    }
    assert!(windows.sides.iter().map(Side::bytes).sum::<usize>() <= MOST_BYTES);
    let bytes = windows.write();
    assert!(bytes.len() <= MOST_BYTES, "{}", bytes.len());
    assert!(Windows::read(&bytes).is_some());

    // 135,000 requests a second, evenly over all latencies.
    full.run_mut().fill(200);
    let mut two = Windows::new(["stable", "canary"], Millis(0));
    for second in 0..700 {
        two.turn(Millis(second * 1_000));
        (0..2).for_each(|place| two.add(place, &full));
    }
    let kept = two.sides.iter().map(|side| side.over.len()).min();
    assert_eq!(kept, Some(MINUTES - 1), "two sides keep all minutes");
}

proptest! {
    #[test]
    fn windows_are_read_as_they_were_written(
        steps in prop::collection::vec((-5_000_i64..90_000, 0_u64..50, 0_u64..1 << 28), 0..20),
    ) {
        let (mut windows, mut now) = (windows(0), 0);
        for (step, count, took) in steps {
            now += step;
            windows.turn(Millis(now));
            windows.add(1, &requests(count, took));
        }
        prop_assert_eq!(Windows::read(&windows.write()), Some(windows));
    }

    #[test]
    fn any_bytes_are_windows_or_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..300), now: i64,
    ) {
        prop_assert_eq!(Windows::read(&bytes), None);
        let mut whole = b"SRW1".to_vec();
        whole.extend_from_slice(&murmur3_x86_32(&[&bytes], 0).to_le_bytes());
        whole.extend_from_slice(&bytes);
        if let Some(mut windows) = Windows::read(&whole) {
            windows.turn(Millis(now));
            let _ = windows.latencies(0, MINUTES);
        }
    }
}
