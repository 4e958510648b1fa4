use super::*;
use crate::health::totals::tests::{Traffic, counted, sorted, traffic};
use proptest::prelude::*;

fn worker(name: &str, traffic: &Traffic) -> RouteHealth {
    let mut health = RouteHealth::new(name, ["stable", "canary", "b"]);
    health.merge_for_test(&counted(traffic, false));
    health
}

fn one() -> Traffic {
    vec![(1, 0, 1, 1, 1_000, 5)]
}

fn judged(reading: &Reading<'_>, route: &str) -> u64 {
    let totals = reading.totals(route);
    totals.sides.iter().map(|side| side.counters.judged()).sum()
}

#[test]
fn what_workers_add_is_summed_over_slots_and_vms() {
    let checkout = worker("checkout", &one());
    let search = worker("search", &one());
    let first = added(None, [&checkout, &search], Millis(0));
    let second = added(None, [&checkout], Millis(0));
    // A new VM takes up where the old one left.
    let second = added(Some(&second), [&checkout], Millis(1_000));
    let reading = Reading::of([&first[..], &second[..]]);
    assert_eq!(judged(&reading, "checkout"), 3);
    assert_eq!(judged(&reading, "search"), 1);
    assert_eq!(judged(&reading, "nobody"), 0);
    assert_eq!(reading.routes(), ["checkout", "search"]);
}

#[test]
fn what_did_not_change_is_told_as_such() {
    let value = added(
        None,
        [&worker("a", &one()), &worker("b", &one())],
        Millis(0),
    );
    let later = added(Some(&value), [&worker("a", &one())], Millis(1));
    let (before, after) = (Reading::of([&value[..]]), Reading::of([&later[..]]));
    assert_ne!(before.changes("a"), after.changes("a"));
    assert_eq!(before.changes("b"), after.changes("b"));
    assert_eq!(judged(&after, "b"), 1);
}

#[test]
fn a_worker_without_news_leaves_the_value_as_it_is() {
    let value = added(None, [&worker("a", &one())], Millis(0));
    let mut idle = worker("b", &one());
    idle.clear();
    assert_eq!(added(Some(&value), [&idle], Millis(9)), value);
}

#[test]
fn foreign_bytes_are_absent_and_written_over() {
    for foreign in [&b""[..], b"SRH", b"SRH1", b"SRH0aaaaaaaaaaa", &[0xff; 300]] {
        assert!(Reading::of([foreign]).routes().is_empty());
        let value = added(Some(foreign), [&worker("a", &one())], Millis(0));
        assert_eq!(judged(&Reading::of([&value[..]]), "a"), 1);
    }
}

#[test]
fn a_damaged_route_is_absent_alone() {
    let mut value = added(
        None,
        [&worker("a", &one()), &worker("b", &one())],
        Millis(0),
    );
    *value.last_mut().unwrap() ^= 1;
    let reading = Reading::of([&value[..]]);
    let left: u64 = ["a", "b"].iter().map(|route| judged(&reading, route)).sum();
    assert_eq!(left, 1);
    assert_eq!(reading.routes().len(), 2);
}

#[test]
fn routes_that_nobody_adds_to_go_first() {
    let name = |index: usize| format!("route-{index}");
    let mut value = None;
    for index in 0..MOST_ROUTES + 3 {
        let worker = worker(&name(index), &one());
        value = Some(added(value.as_deref(), [&worker], Millis(index as i64)));
    }
    let value = value.unwrap();
    let routes = Reading::of([&value[..]]);
    assert_eq!(routes.routes().len(), MOST_ROUTES);
    assert_eq!(judged(&routes, &name(2)), 0);
    assert_eq!(judged(&routes, &name(3)), 1);
}

#[test]
fn slots_have_their_keys() {
    assert_eq!(key("serinus", 3), "serinus.health.3");
    assert_eq!(key("serinus", SLOTS + 3), "serinus.health.3");
}

/// One key of the host's shared data, with the number that compare-and-swap goes by.
#[derive(Default)]
struct Key {
    value: Option<Vec<u8>>,
    number: u32,
}

impl Key {
    fn read(&self) -> (Option<Vec<u8>>, u32) {
        (self.value.clone(), self.number)
    }

    fn write(&mut self, value: Vec<u8>, number: u32) -> bool {
        let taken = number == self.number;
        if taken {
            (self.value, self.number) = (Some(value), number + 1);
        }
        taken
    }
}

#[test]
fn a_delta_that_was_refused_is_added_to_another_slot_once() {
    let mut slots = [Key::default(), Key::default()];
    let mut workers = [worker("r", &one()), worker("r", &one())];
    // Both read slot 0 before either writes; who is refused goes on to slot 1.
    let seen = [slots[0].read(), slots[0].read()];
    for (worker, (value, number)) in workers.iter_mut().zip(seen) {
        let new = added(value.as_deref(), [&*worker], Millis(0));
        if !slots[0].write(new, number) {
            let (value, number) = slots[1].read();
            let new = added(value.as_deref(), [&*worker], Millis(0));
            assert!(slots[1].write(new, number));
        }
        worker.clear();
    }
    assert!(slots.iter().all(|slot| slot.value.is_some()));
    let values = slots.iter().filter_map(|slot| slot.value.as_deref());
    assert_eq!(judged(&Reading::of(values), "r"), 2);
}

proptest! {
    #[test]
    fn sums_do_not_depend_on_who_added_where(parts in prop::collection::vec((traffic(), 0_usize..3), 0..6)) {
        let mut slots: [Option<Vec<u8>>; 3] = [None, None, None];
        let mut single = None;
        for (traffic, slot) in &parts {
            let worker = worker("r", traffic);
            if worker.is_dirty() {
                slots[*slot] = Some(added(slots[*slot].as_deref(), [&worker], Millis(0)));
                single = Some(added(single.as_deref(), [&worker], Millis(0)));
            }
        }
        let of_slots = Reading::of(slots.iter().flatten().map(Vec::as_slice)).totals("r");
        let of_one = Reading::of(single.as_deref()).totals("r");
        prop_assert_eq!(sorted(&of_slots), sorted(&of_one));
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        traffic in traffic(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let _ = Reading::of([&bytes[..]]).totals("r");
        let mut with_magic = b"SRH1".to_vec();
        with_magic.extend_from_slice(&murmur3_x86_32(&[&bytes], 0).to_le_bytes());
        let mut writer = Writer::default();
        writer.text(&bytes);
        with_magic.extend_from_slice(&writer.done());
        let reading = Reading::of([&with_magic[..]]);
        reading.routes().iter().for_each(|route| drop(reading.totals(route)));
        let mut value = added(None, [&worker("r", &traffic)], Millis(0));
        let place = at.index(value.len());
        value[place] = byte;
        let _ = Reading::of([&value[..]]).totals("r");
        let _ = added(Some(&value), [&worker("r", &traffic)], Millis(0));
    }
}
