//! Callers cannot name a variant.

use serinus_host_tests::{Process, Request};

use crate::policies::{CANARY, CANARY_UNLOGGED, MESH, NO_ROUTE, STABLE};
use crate::{BAD_POLICY, request, variant, worker, worker_of};

fn forged() -> Request {
    request()
        .header("X-Serinus-Variant", "canary")
        .header("x-serinus-variant", "canary")
        .header("x-serinus-route", "checkout")
        .header("x-serinus-explain", "1")
        .header("x-serinus-anything", [0xff, 0xfe])
        .header("baggage", "a=1,serinus=checkout:canary,b=2")
        .header("baggage", "serinus=checkout:canary")
}

#[test]
fn own_headers_and_the_baggage_member_are_removed_with_or_without_a_route_or_a_policy() {
    for policy in [BAD_POLICY, NO_ROUTE, STABLE] {
        let headers = worker(policy).request(forged()).headers;
        assert!(
            headers.names_with_prefix("x-serinus-").is_empty(),
            "{policy}"
        );
        let baggage = headers.all("baggage").concat();
        let baggage = String::from_utf8(baggage).expect("text");
        assert!(!baggage.contains("serinus"), "{policy}: {baggage}");
        assert!(
            baggage.contains("a=1") && baggage.contains("b=2"),
            "{policy}: {baggage}"
        );
    }
}

#[test]
fn what_a_caller_forged_is_replaced_by_what_was_decided() {
    let headers = worker(CANARY)
        .request(forged().header("x-serinus-route", "other"))
        .headers;
    assert_eq!(headers.all("x-serinus-variant"), [b"canary"]);
    assert_eq!(headers.all("x-serinus-route"), [b"checkout"]);
    assert_eq!(headers.names_with_prefix("x-serinus-").len(), 2);
}

#[test]
fn in_the_mesh_the_hop_before_is_believed() {
    let mut filter = worker(MESH);
    let told = |name: &str| {
        request()
            .header("x-serinus-variant", name)
            .header("x-serinus-route", "checkout")
    };
    assert_eq!(variant(&filter.request(told("canary"))), "canary");
    assert_eq!(variant(&filter.request(told("no-such-variant"))), "stable");
    let baggage = request().header("baggage", "serinus=checkout:canary");
    assert_eq!(variant(&filter.request(baggage)), "canary");
    assert_eq!(variant(&filter.request(request())), "stable");
}

#[test]
fn a_second_filter_leaves_alone_what_the_first_decided() {
    let process = Process::new();
    for (first, second) in [
        (CANARY, STABLE),
        (STABLE, CANARY),
        (CANARY_UNLOGGED, STABLE),
    ] {
        let decided = worker_of(&process, first).request(request());
        let told = decided.filter_state["serinus"].clone();
        let again = Request::get("/")
            .headers(decided.headers.clone())
            .filter_state("serinus", told);
        let passed = worker_of(&process, second).request(again);
        assert_eq!(passed.headers, decided.headers);
        assert_eq!(passed.filter_state, decided.filter_state);
    }
}
