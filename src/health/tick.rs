//! One tick as the gate reads it.
//!
//! The gate asks what came to each side since the tick before, with latencies in at most 24
//! buckets ([`COARSE_BOUNDS_MS`](super::counters::COARSE_BOUNDS_MS) are their upper bounds), stable's hosts in eight groups and the
//! variant's callers in 64 slots. Its slow thresholds are bounds of those buckets; it learns them
//! itself and they are given here, so that the groups' slow requests are counted by the same ones.
//! Only requests that say something of the version are in any of this.

use super::callers::KEY_SLOTS;
use super::counters::{COARSE, Counters, GROUPS, coarse};
use super::latency::value;

/// Which coarse bucket is the last that is not slow; nothing while that is not known, and then
/// nothing is counted as slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// The bound that about 1.5 % of stable's requests exceed.
    pub far: Option<usize>,
    /// The bound that about 10 % exceed.
    pub near: Option<usize>,
}

/// What came to one side in one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Judged requests.
    pub requests: u64,
    /// Those that were errors.
    pub errors: u64,
    /// Those beyond [`Thresholds::far`].
    pub slow: u64,
    /// Those beyond [`Thresholds::near`].
    pub slow90: u64,
    /// Those whose latency is known, by bucket.
    pub latency: [u64; COARSE],
}

/// What came to one group of hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Group {
    /// Judged requests.
    pub requests: u64,
    /// Those that were errors.
    pub errors: u64,
    /// Those beyond [`Thresholds::far`].
    pub slow: u64,
    /// Those beyond [`Thresholds::near`].
    pub slow90: u64,
}

/// What came of one slot of callers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeySlot {
    /// Judged requests.
    pub requests: u64,
    /// Those that were errors.
    pub errors: u64,
}

/// One side's tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// All of it.
    pub counts: Counts,
    /// By hosts; the gate reads stable's.
    pub groups: [Group; GROUPS],
    /// By callers; the gate reads the variant's.
    pub slots: [KeySlot; KEY_SLOTS],
}

/// The tick of a side to which `delta` came.
pub fn tick(delta: &Counters, thresholds: Thresholds) -> Tick {
    let mut latency = [0_u64; COARSE];
    for (index, count) in delta.latencies().0.iter().enumerate() {
        if *count > 0
            && let Some(sum) = latency.get_mut(coarse(value(index)))
        {
            *sum = sum.saturating_add(*count);
        }
    }
    let counts = Counts {
        requests: delta.judged(),
        errors: delta.errors(),
        slow: beyond(&latency, thresholds.far),
        slow90: beyond(&latency, thresholds.near),
        latency,
    };
    let mut groups = [Group::default(); GROUPS];
    let of_hosts = delta.group_requests().iter().zip(delta.group_errors());
    for ((group, (requests, errors)), latency) in
        groups.iter_mut().zip(of_hosts).zip(delta.group_latencies())
    {
        *group = Group {
            requests: *requests,
            errors: *errors,
            slow: beyond(latency, thresholds.far),
            slow90: beyond(latency, thresholds.near),
        };
    }
    let mut slots = [KeySlot::default(); KEY_SLOTS];
    let of_callers = delta.slot_requests().iter().zip(delta.slot_errors());
    for (slot, (requests, errors)) in slots.iter_mut().zip(of_callers) {
        *slot = KeySlot {
            requests: *requests,
            errors: *errors,
        };
    }
    Tick {
        counts,
        groups,
        slots,
    }
}

fn beyond(latency: &[u64], threshold: Option<usize>) -> u64 {
    let Some(last) = threshold else {
        return 0;
    };
    let slow = latency.iter().skip(last.saturating_add(1));
    slow.fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::callers::Caller;
    use crate::health::clock::Micros;
    use crate::health::counters::Request;
    use crate::health::outcome::{ErrorClass, Outcome};

    #[test]
    fn groups_and_slots_add_up_to_the_side() {
        let mut delta = Counters::default();
        for request in 0_u64..1_000 {
            let host = format!("10.0.0.{}:80", request % 20);
            delta.count(&Request {
                outcome: match request % 10 {
                    0 => Outcome::Error(ErrorClass::Status),
                    1 => Outcome::Aborted,
                    2 => Outcome::Slow,
                    _ => Outcome::Ok,
                },
                latency: Some(Micros(request * 1_000)),
                attempts: 1,
                bytes: None,
                caller: Some(Caller::of(&request.to_le_bytes())),
                host: Some(host.as_bytes()),
            });
        }
        // 100 ms and 10 ms.
        let thresholds = Thresholds {
            far: Some(11),
            near: Some(5),
        };
        let tick = tick(&delta, thresholds);
        assert_eq!((tick.counts.requests, tick.counts.errors), (900, 100));
        assert_eq!(tick.counts.latency.iter().sum::<u64>(), 900);
        let exact = |bound: u64| (0..1_000).filter(|r| r % 10 != 1 && *r > bound).count() as i64;
        assert!((tick.counts.slow as i64 - exact(100)).abs() <= 2);
        assert!((tick.counts.slow90 as i64 - exact(10)).abs() <= 1);
        let groups = tick.groups.iter();
        let sum = groups.fold([0; 4], |sum, group| {
            [
                sum[0] + group.requests,
                sum[1] + group.errors,
                sum[2] + group.slow,
                sum[3] + group.slow90,
            ]
        });
        assert_eq!(sum, [900, 100, tick.counts.slow, tick.counts.slow90]);
        let slots = tick.slots.iter().fold((0, 0), |sum, slot| {
            (sum.0 + slot.requests, sum.1 + slot.errors)
        });
        assert_eq!(slots, (900, 100));
    }

    #[test]
    fn without_thresholds_nothing_is_slow() {
        let mut delta = Counters::default();
        delta.run_mut().fill(3);
        let tick = tick(&delta, Thresholds::default());
        assert_eq!((tick.counts.slow, tick.groups[0].slow90), (0, 0));
    }
}
