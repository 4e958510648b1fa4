//! Which host calls a request costs: each is paid by every request of the proxy.

use serinus_host_tests::{Allowed, Callback, Outcome, Request, module};

use crate::policies::{
    CANARY, CANARY_BLIND, CANARY_UNLOGGED, EVERY_HOST_CALL, NO_ROUTE, STABLE, with_routes_before,
};
use crate::{BAD_POLICY, request, variant, worker};

const CLOCK: (&str, usize) = ("proxy_get_current_time_nanoseconds", 1);
const GET_PAIRS: (&str, usize) = ("proxy_get_header_map_pairs", 1);
const GET_DECIDED: (&str, usize) = ("proxy_get_property", 1);
const SET_HEADERS: (&str, usize) = ("proxy_replace_header_map_value", 2);
const SET_DECIDED: (&str, usize) = ("proxy_set_property", 1);

/// The host functions that the filter calls, sorted.
pub const CALLED: [&str; 23] = [
    "proxy_add_header_map_value",
    "proxy_close_stream",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_log_level",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_effective_context",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
    "random_get",
];

/// What the SDK's traits import by their default methods, called or not.
const KEPT_BY_THE_SDK: [&str; 15] = [
    "proxy_call_foreign_function",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_header_map_value",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_set_buffer_bytes",
    "proxy_set_header_map_pairs",
];

/// Runs a request that may make these calls while it is decided, and checks that it makes them all;
/// what its end costs is in [`ended`](crate::ended).
fn exactly(policy: &str, request: Request, calls: &[(&str, usize)]) -> Outcome {
    let mut filter = worker(policy);
    let outcome = filter.request(request);
    let decided = outcome.calls.during(Callback::RequestHeaders);
    assert_eq!(decided.table(), calls, "{}", outcome.calls);
    let ended = outcome.calls.during(Callback::Log);
    let all = decided.total() + ended.total();
    assert_eq!(all, outcome.calls.total(), "{}", outcome.calls);
    assert!(outcome.continued());
    outcome
}

#[test]
fn deciding_a_stable_request_costs_4() {
    let outcome = exactly(
        STABLE,
        request(),
        &[CLOCK, GET_PAIRS, GET_DECIDED, SET_DECIDED],
    );
    assert_eq!(variant(&outcome), "stable");
}

#[test]
fn deciding_a_canary_request_costs_6() {
    let calls = [CLOCK, GET_PAIRS, GET_DECIDED, SET_HEADERS, SET_DECIDED];
    let outcome = exactly(CANARY, request(), &calls);
    assert_eq!(variant(&outcome), "canary");
}

#[test]
fn a_request_without_a_route_costs_4_and_its_end_nothing() {
    let outcome = exactly(
        NO_ROUTE,
        request(),
        &[CLOCK, GET_PAIRS, GET_DECIDED, SET_DECIDED],
    );
    assert_eq!(outcome.calls.total(), 4, "{}", outcome.calls);
}

#[test]
fn deciding_a_request_without_a_key_costs_4() {
    let request = Request::get("/checkout");
    exactly(
        CANARY,
        request,
        &[CLOCK, GET_PAIRS, GET_DECIDED, SET_DECIDED],
    );
}

#[test]
fn without_access_logs_the_mark_for_a_second_filter_is_set_all_the_same() {
    exactly(
        CANARY_UNLOGGED,
        request(),
        &[CLOCK, GET_PAIRS, GET_DECIDED, SET_HEADERS, SET_DECIDED],
    );
}

#[test]
fn without_outcomes_the_end_of_a_request_costs_nothing() {
    let calls = [CLOCK, GET_PAIRS, GET_DECIDED, SET_HEADERS, SET_DECIDED];
    let outcome = exactly(CANARY_BLIND, request(), &calls);
    assert_eq!(outcome.calls.total(), 6, "{}", outcome.calls);
}

#[test]
fn a_request_without_a_policy_costs_2_and_its_end_nothing() {
    let outcome = exactly(BAD_POLICY, request(), &[GET_PAIRS, GET_DECIDED]);
    assert_eq!(outcome.calls.total(), 2, "{}", outcome.calls);
}

#[test]
fn each_header_that_a_caller_forged_costs_one_call_more() {
    let forged = request()
        .header("x-serinus-variant", "canary")
        .header("x-serinus-variant", "b");
    let remove = ("proxy_remove_header_map_value", 1);
    exactly(
        STABLE,
        forged,
        &[CLOCK, GET_PAIRS, GET_DECIDED, remove, SET_DECIDED],
    );
}

#[test]
fn five_hundred_routes_cost_no_call_more() {
    let policy = with_routes_before(499);
    exactly(
        &policy,
        request(),
        &[CLOCK, GET_PAIRS, GET_DECIDED, SET_HEADERS, SET_DECIDED],
    );
}

#[test]
fn a_call_that_is_not_known_here_fails_a_request() {
    let mut filter = worker(CANARY);
    let allow = |allowed: Allowed, function: &str| allowed.up_to(function, 9);
    let known = [CLOCK, GET_PAIRS, GET_DECIDED, SET_HEADERS, SET_DECIDED];
    let known = known.iter().map(|(function, _)| *function);
    filter.allow_only(known.fold(Allowed::none(), allow));
    filter.request(request());
}

#[test]
fn time_address_and_chance_are_asked_for_once_and_only_where_the_policy_needs_them() {
    let asking = Request::get("/checkout").header("x-serinus-explain", "1");
    let calls = worker(EVERY_HOST_CALL).request(asking).calls;
    let calls = calls.during(Callback::RequestHeaders);
    assert_eq!(calls.count(CLOCK.0), 1, "{calls}");
    assert_eq!(calls.count("random_get"), 1, "{calls}");
    let addresses = calls
        .iter()
        .filter(|call| call.subject == "source.address")
        .count();
    assert_eq!(addresses, 1, "{calls}");
}

#[test]
fn the_same_request_runs_the_same_instructions_on_every_worker() {
    let run = || worker(CANARY).request(request()).instructions;
    assert_eq!(run(), run());
}

#[test]
fn the_module_imports_only_what_it_calls_and_what_the_sdk_keeps() {
    let known = |import: &&String| {
        let (module, function) = import.split_once('.').expect("a module and a name");
        let called = CALLED.contains(&function);
        let random = function == "random_get";
        let module_is_right = module
            == if random {
                "wasi_snapshot_preview1"
            } else {
                "env"
            };
        module_is_right && (called || KEPT_BY_THE_SDK.contains(&function))
    };
    let imports = module::imports(module::filter());
    let others: Vec<_> = imports.iter().filter(|import| !known(import)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn the_module_is_at_most_700_kb() {
    const MOST: u64 = 700_000;
    let size = std::fs::metadata(module::path()).expect("the filter").len();
    assert!(size <= MOST, "{size} bytes");
}
