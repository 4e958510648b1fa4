//! A gate that is shut stays so, whatever comes and goes, until a new revision.

use serinus_host_tests::Calls;

use crate::foreign_data::foreign;
use crate::policies::judged;
use crate::shop::{FAILING, GOOD, Shop, reached};
use crate::{BAD_POLICY, BEAT, beats};

const ORDERS: &str = "shop.gate.orders";

fn revision(name: &str) -> String {
    judged(&format!(r#""revision": "{name}""#))
}

/// The key below which the gates of `checkout` are kept.
fn kept(shop: &Shop) -> String {
    let keys = shop.process.shared_keys().into_iter();
    let mut gates = keys.filter(|key| key.starts_with("shop.gate.") && key != ORDERS);
    let key = gates.next().expect("gates are kept");
    assert_eq!(gates.next(), None, "there is one route");
    key
}

/// Nobody reaches the canary, and nothing is told anew.
#[track_caller]
fn stays_shut(shop: &mut Shop, seconds: u32) {
    let changes = shop.changes();
    for _ in 0..seconds {
        assert_eq!(shop.let_in(), 0);
        shop.seconds(1, GOOD);
    }
    assert_eq!(shop.let_in(), 0);
    assert_eq!(shop.changes(), changes);
    assert_eq!(shop.state(), "shut");
    assert_eq!(shop.told()["state"], "shut");
}

/// The place of the worker that judges: who renews the lease in the next second.
fn judge(shop: &mut Shop) -> usize {
    let renews = |calls: &Calls| {
        let mut written = calls.iter().filter(|call| call.subject == "shop.lease");
        written.any(|call| call.function == "proxy_set_shared_data")
    };
    let mut judge = None;
    for _ in 0..4 {
        shop.process.advance(BEAT);
        for (place, filter) in shop.workers.iter_mut().enumerate() {
            if renews(&filter.tick()) {
                assert!(judge.replace(place).is_none(), "two judge");
            }
        }
    }
    judge.expect("a worker that judges")
}

#[test]
fn another_policy_of_the_same_revision_leaves_it_shut() {
    let mut shop = Shop::shut(3, &revision("1"));
    shop.configure(&revision("1").replacen("50%", "20%", 1));
    stays_shut(&mut shop, 6);
    shop.configure(&revision("1").replacen(r#""warmup": "0s""#, r#""warmup": "9s""#, 1));
    stays_shut(&mut shop, 6);
}

#[test]
fn a_policy_that_reaches_the_workers_one_by_one_leaves_it_shut() {
    let mut shop = Shop::shut(3, &revision("1"));
    for late in 0..3 {
        let next = revision("1").replacen("50%", "20%", 1);
        assert!(shop.workers[late].configure(next).accepted);
        stays_shut(&mut shop, 3);
    }
}

#[test]
fn a_policy_that_is_refused_leaves_it_shut() {
    let mut shop = Shop::shut(2, &revision("1"));
    shop.configure(BAD_POLICY);
    stays_shut(&mut shop, 6);
}

#[test]
fn a_new_vm_keeps_its_first_request_out() {
    let mut shop = Shop::shut(2, &revision("1"));
    shop.add_worker();
    assert_eq!(shop.let_in(), 0, "before any tick");
    stays_shut(&mut shop, 3);
}

#[test]
fn new_vms_in_place_of_all_find_it_shut_with_its_history() {
    let mut shop = Shop::shut(3, &revision("1"));
    let before = shop.told();
    shop.workers.clear();
    (0..3).for_each(|_| shop.add_worker());
    assert_eq!(shop.let_in(), 0, "before any tick");
    stays_shut(&mut shop, 10);
    assert_eq!(shop.told()["history"], before["history"]);
    assert_eq!(shop.warnings(), Vec::<String>::new());
}

#[test]
fn the_loss_of_the_worker_that_judges_reopens_nothing() {
    let mut shop = Shop::shut(4, &revision("1"));
    while shop.workers.len() > 1 {
        let judging = judge(&mut shop);
        drop(shop.workers.remove(judging));
        stays_shut(&mut shop, 6);
        judge(&mut shop);
    }
    assert_eq!(shop.changes(), [0, 0, 1]);
    shop.configure(&revision("2"));
    shop.beats_until("open", 12, GOOD);
}

#[test]
fn the_loss_of_the_worker_that_judges_just_as_it_shut_reopens_nothing() {
    let mut shop = Shop::new(3, &revision("1"));
    shop.seconds(4, GOOD);
    let judging = judge(&mut shop);
    shop.beats_until("shut", 12, FAILING);
    drop(shop.workers.remove(judging));
    beats(&shop.process, &mut shop.workers, 1);
    stays_shut(&mut shop, 8);
}

#[test]
fn a_worker_that_takes_over_shuts_a_canary_that_fails() {
    let mut shop = Shop::new(3, &revision("1"));
    shop.seconds(4, GOOD);
    let judging = judge(&mut shop);
    drop(shop.workers.remove(judging));
    shop.beats_until("shut", 28, FAILING);
    beats(&shop.process, &mut shop.workers, 1);
    assert_eq!(shop.let_in(), 0);
}

#[test]
fn a_new_revision_reopens_it_for_the_very_same_callers() {
    let mut shop = Shop::new(3, &revision("1"));
    let before = reached(&mut shop.workers[0], 0..200);
    shop.seconds(4, GOOD);
    shop.beats_until("shut", 12, FAILING);
    beats(&shop.process, &mut shop.workers, 1);
    assert_eq!(shop.let_in(), 0);
    shop.warnings();
    shop.configure(&revision("2"));
    assert!(shop.let_in() > 0, "what is said is of another revision");
    shop.warnings();
    shop.beats_until("open", 12, GOOD);
    beats(&shop.process, &mut shop.workers, 1);
    for filter in &mut shop.workers {
        assert_eq!(reached(filter, 0..200), before);
    }
    let warnings = shop.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("is open: revision"), "{warnings:#?}");
    assert_eq!(shop.changes(), [1, 0, 1]);
    assert_eq!(shop.told()["reason"], "revision");
    shop.beats_until("shut", 16, FAILING);
}

#[test]
fn bytes_that_are_no_orders_let_nobody_in_and_are_written_over() {
    let mut shop = Shop::shut(2, &revision("1"));
    let sound = shop.process.shared_data(ORDERS).expect("orders");
    for bytes in foreign(&sound) {
        shop.process.put_shared_data(ORDERS, &bytes);
        for _ in 0..8 {
            beats(&shop.process, &mut shop.workers, 1);
            let let_in = shop.workers.iter_mut();
            let let_in: usize = let_in.map(|filter| reached(filter, 0..8).len()).sum();
            assert_eq!(let_in, 0, "{bytes:?}");
        }
        assert_eq!(shop.process.shared_data(ORDERS), Some(sound.clone()));
    }
    stays_shut(&mut shop, 2);
}

#[test]
fn a_new_vm_that_finds_no_orders_keeps_callers_out_as_soon_as_it_is_told() {
    let mut shop = Shop::shut(1, &revision("1"));
    shop.process.put_shared_data(ORDERS, b"garbage");
    shop.add_worker();
    beats(&shop.process, &mut shop.workers, 8);
    stays_shut(&mut shop, 2);
}

#[test]
fn bytes_that_are_no_gates_are_written_over_by_who_judges() {
    let mut shop = Shop::shut(2, &revision("1"));
    let key = kept(&shop);
    let sound = shop.process.shared_data(&key).expect("gates");
    for bytes in foreign(&sound) {
        shop.process.put_shared_data(&key, &bytes);
        beats(&shop.process, &mut shop.workers, 8);
        assert_eq!(shop.let_in(), 0, "{bytes:?}");
        assert_eq!(shop.state(), "shut");
        let now = shop.process.shared_data(&key).expect("gates");
        assert_ne!(now, bytes);
    }
    shop.workers.clear();
    shop.add_worker();
    stays_shut(&mut shop, 6);
}

#[test]
fn a_shut_gate_that_nobody_can_read_any_more_begins_shut() {
    let mut shop = Shop::shut(2, &revision("1"));
    let key = kept(&shop);
    let sound = shop.process.shared_data(&key).expect("gates");
    for bytes in foreign(&sound) {
        shop.workers.clear();
        shop.process.put_shared_data(&key, &bytes);
        shop.add_worker();
        assert_eq!(shop.let_in(), 0, "{bytes:?}");
        stays_shut(&mut shop, 6);
        assert_eq!(shop.state(), "shut");
    }
    shop.configure(&revision("2"));
    shop.beats_until("open", 12, GOOD);
}

#[test]
fn gates_that_nobody_can_read_any_more_begin_afresh() {
    let sound = {
        let shop = Shop::shut(1, &revision("1"));
        shop.process.shared_data(&kept(&shop)).expect("gates")
    };
    for bytes in foreign(&sound) {
        let mut shop = Shop::new(1, &revision("1"));
        shop.seconds(2, GOOD);
        shop.workers.clear();
        let key = kept(&shop);
        shop.process.put_shared_data(&key, &bytes);
        shop.add_worker();
        shop.seconds(5, GOOD);
        shop.told();
        shop.beats_until("shut", 24, FAILING);
    }
}

#[test]
fn gates_of_policies_of_other_names_stand_apart() {
    let mut shop = Shop::shut(1, &revision("1"));
    let other = revision("1").replacen("\"shop\"", "\"shop-2\"", 1);
    let [filter] = &mut shop.workers[..] else {
        unreachable!("one worker")
    };
    let second = filter.add_plugin("second", other).expect("a plugin");
    filter.use_root(second.root);
    assert!(!reached(filter, 0..40).is_empty());
}
