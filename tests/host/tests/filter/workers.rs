//! Several workers, several plugins in one VM, and policies that change under way.

use serinus_host_tests::{Process, Response};

use crate::policies::{CANARY, HALF, STABLE};
use crate::{BAD_POLICY, of_caller, request, series, variant, worker, worker_of};

#[test]
fn a_caller_gets_the_same_variant_on_every_worker_and_proxy() {
    let process = Process::new();
    let mut workers = [
        worker_of(&process, HALF),
        worker_of(&process, HALF),
        worker(HALF),
    ];
    let mut canaries = 0;
    for n in 0..200 {
        let [first, others @ ..] = &mut workers;
        let decided = first.request(of_caller(n));
        for other in others {
            assert_eq!(
                variant(&other.request(of_caller(n))),
                variant(&decided),
                "u-{n}"
            );
        }
        canaries += u32::from(variant(&decided) == "canary");
    }
    assert!((70..=130).contains(&canaries), "{canaries} of 200 at 50 %");
}

#[test]
fn a_new_policy_acts_on_new_requests_and_old_ones_end_under_the_old() {
    let mut filter = worker(CANARY);
    let (stream, _) = filter.open(&request()).expect("an open stream");
    let newer = filter.configure(STABLE);
    assert_eq!(variant(&filter.request(request())), "stable");
    filter
        .respond(stream, &Response::status(200))
        .expect("a response");
    let outcome = filter.finish(stream).expect("an ended stream");
    assert_eq!(variant(&outcome), "canary");
    let roots: Vec<_> = filter.roots().iter().map(|(id, _)| *id).collect();
    assert_eq!(roots, [newer.root], "the old root context is gone");
}

#[test]
fn two_plugins_in_one_vm_keep_their_own_policies() {
    let mut filter = worker(CANARY);
    let second = filter
        .add_plugin("second", STABLE)
        .expect("a second plugin")
        .root;
    assert_eq!(variant(&filter.request(request())), "canary");
    filter.use_root(second);
    assert_eq!(variant(&filter.request(request())), "stable");
}

#[test]
fn a_plugin_does_not_fall_back_on_the_policy_of_another() {
    let process = Process::new();
    let mut filter = worker_of(&process, CANARY);
    let second = filter
        .add_plugin("second", BAD_POLICY)
        .expect("a second plugin")
        .root;
    filter.use_root(second);
    assert_eq!(variant(&filter.request(request())), "stable");
}

#[test]
fn a_client_that_leaves_does_no_harm() {
    let mut filter = worker(HALF);
    for n in 0..20 {
        let outcome = filter.request(of_caller(n).aborted());
        assert!(outcome.continued() && outcome.response_headers.is_none());
    }
    filter.tick();
}

#[test]
fn decisions_of_all_workers_are_counted_within_a_tick() {
    let process = Process::new();
    let mut workers = [worker_of(&process, CANARY), worker_of(&process, CANARY)];
    for filter in &mut workers {
        for n in 0..3 {
            filter.request(of_caller(n));
        }
        filter.tick();
    }
    let by_share = series("canary", "reason=.=share;.;", "serinus_decisions_total");
    assert_eq!(process.metric(&by_share), Some(6));
}
