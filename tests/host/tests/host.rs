//! What the fake host itself keeps: it is only worth as much as it resembles the real one.

mod probe;

use std::time::Duration;

use probe::Arg::{BytesOut, Int, Long, NumberOut, Text};
use probe::{Answer, Probe, Step, call};
use serinus_host_tests::faults::malformed_pairs;
use serinus_host_tests::{
    Allowed, Callback, Effect, FailureKind, Fault, Filter, Headers, LogLevel, Process, Request,
    Response, Status, module,
};

const OK: Option<u32> = Some(Status::Ok as u32);
const NOT_FOUND: Option<u32> = Some(Status::NotFound as u32);
const BAD_ARGUMENT: Option<u32> = Some(Status::BadArgument as u32);

const REQUEST_MAP: u32 = 0;
const RESPONSE_MAP: u32 = 2;
const CALL_RESPONSE_MAP: u32 = 6;

fn get_property(path: &'static str) -> Step {
    call("proxy_get_property", [path.into(), BytesOut])
}

fn set_property(path: &'static str, value: &'static str) -> Step {
    call("proxy_set_property", [path.into(), value.into()])
}

fn get_pairs(map: u32) -> Step {
    call("proxy_get_header_map_pairs", [map.into(), BytesOut])
}

fn get_value(map: u32, name: &'static str) -> Step {
    call(
        "proxy_get_header_map_value",
        [map.into(), name.into(), BytesOut],
    )
}

fn set_value(map: u32, name: &'static str, value: &'static str) -> Step {
    call(
        "proxy_replace_header_map_value",
        [map.into(), name.into(), value.into()],
    )
}

fn statuses(answers: &[Answer]) -> Vec<Option<u32>> {
    answers.iter().map(|answer| answer.status).collect()
}

mod loading {
    use super::*;

    #[test]
    fn an_import_that_the_host_lacks_fails_with_its_name() {
        let probe = Probe::new().on(Callback::Log, [call("proxy_get_fortune", [Int(1)])]);
        let error = module::compile(&probe.wasm()).expect_err("an unknown import");
        assert!(error.contains("env.proxy_get_fortune"), "{error}");
    }

    #[test]
    fn a_module_of_another_abi_is_refused() {
        let wasm = wat::parse_str("(module)").expect("a module");
        let error = module::compile(&wasm).expect_err("no ABI version");
        assert!(error.contains("proxy_abi_version_0_2_1"), "{error}");
    }

    #[test]
    fn imports_can_be_listed() {
        let steps = [get_property("a"), set_property("a", "b"), get_property("c")];
        let module = module::compile(&Probe::new().on(Callback::Log, steps).wasm());
        let imports = module::imports(&module.expect("a filter"));
        assert_eq!(
            imports,
            ["env.proxy_get_property", "env.proxy_set_property"]
        );
    }
}

mod counting {
    use super::*;

    fn probe() -> Probe {
        Probe::new()
            .on(
                Callback::RequestHeaders,
                [get_property("a"), get_property("b")],
            )
            .on(Callback::Log, [get_property("c"), set_property("d", "1")])
    }

    #[test]
    fn calls_are_counted_by_name_callback_and_request() {
        let mut filter = probe().run(&Process::new());
        for _ in 0..2 {
            let calls = filter.request(Request::get("/")).calls;
            assert_eq!(
                calls.table(),
                [("proxy_get_property", 3), ("proxy_set_property", 1)]
            );
            assert_eq!(calls.during(Callback::RequestHeaders).total(), 2);
            assert_eq!(calls.during(Callback::Log).count("proxy_set_property"), 1);
        }
    }

    #[test]
    fn a_call_that_the_test_did_not_allow_fails_it() {
        let mut filter = probe().run(&Process::new());
        filter.allow_only(Allowed::none().up_to("proxy_get_property", 3));
        let failure = filter
            .try_request(&Request::get("/"))
            .expect_err("an unexpected call");
        assert_eq!(
            (failure.kind, failure.callback),
            (FailureKind::NotAllowed, Callback::Log)
        );
        assert!(
            failure.message.starts_with("proxy_set_property(d)"),
            "{failure}"
        );
    }

    #[test]
    fn one_call_more_than_allowed_fails_the_test() {
        let mut filter = probe().run(&Process::new());
        let allowed = Allowed::none().up_to("proxy_get_property", 2);
        filter.allow_only(allowed.up_to("proxy_set_property", 1));
        let failure = filter
            .try_request(&Request::get("/"))
            .expect_err("one call too many");
        assert_eq!(failure.message, "proxy_get_property(c): the test allows 2");
    }

    #[test]
    fn allowed_calls_are_counted_anew_for_each_request() {
        let mut filter = probe().run(&Process::new());
        let allowed = Allowed::none().up_to("proxy_get_property", 3);
        filter.allow_only(allowed.up_to("proxy_set_property", 1));
        for _ in 0..2 {
            assert_eq!(filter.request(Request::get("/")).calls.total(), 4);
        }
    }

    #[test]
    fn the_same_request_runs_the_same_instructions() {
        let run = || {
            probe()
                .run(&Process::new())
                .request(Request::get("/"))
                .instructions
        };
        assert_ne!(run(), 0);
        assert_eq!(run(), run());
    }
}

mod header_maps {
    use super::*;

    fn request() -> Request {
        Request::get("/a")
            .header("x-user", "one")
            .header("x-user", [0xff, 0xfe])
    }

    #[test]
    fn request_headers_are_readable_in_their_phase_and_at_the_end() {
        let read = || [get_value(REQUEST_MAP, "X-User"), get_pairs(REQUEST_MAP)];
        let probe = Probe::new()
            .on(Callback::RequestHeaders, read())
            .on(Callback::ResponseHeaders, read())
            .on(Callback::Log, read());
        let mut filter = probe.run(&Process::new());
        let outcome = filter.request(request());
        for callback in [Callback::RequestHeaders, Callback::Log] {
            let answers = probe.answers(&mut filter, callback);
            assert_eq!(answers[0].text(), Some("one"));
            let pairs = answers[1].bytes.as_deref().and_then(Headers::decode);
            assert_eq!(
                pairs.as_ref(),
                Some(&outcome.headers),
                "raw bytes and duplicates"
            );
        }
        let answers = probe.answers(&mut filter, Callback::ResponseHeaders);
        assert_eq!(statuses(&answers), [BAD_ARGUMENT, OK]);
        assert_eq!(answers[1].bytes, None, "a whole map reads as empty");
    }

    #[test]
    fn headers_change_only_in_their_phase() {
        let change = || {
            [
                set_value(REQUEST_MAP, "x-user", "two"),
                call(
                    "proxy_add_header_map_value",
                    [Int(REQUEST_MAP), "x-b".into(), "1".into()],
                ),
                call(
                    "proxy_remove_header_map_value",
                    [Int(REQUEST_MAP), "x-absent".into()],
                ),
                set_value(RESPONSE_MAP, "x-c", "1"),
            ]
        };
        let probe = Probe::new()
            .on(Callback::RequestHeaders, change())
            .on(Callback::ResponseHeaders, change())
            .on(Callback::Log, change());
        let mut filter = probe.run(&Process::new());
        let outcome = filter.request(request());
        assert_eq!(outcome.headers.all("x-user"), [b"two"]);
        assert_eq!(outcome.headers.text("x-b"), Some("1"));
        let of = |filter: &mut _, callback| statuses(&probe.answers(filter, callback));
        assert_eq!(
            of(&mut filter, Callback::RequestHeaders),
            [OK, OK, OK, BAD_ARGUMENT]
        );
        let bad = BAD_ARGUMENT;
        assert_eq!(
            of(&mut filter, Callback::ResponseHeaders),
            [bad, bad, bad, OK]
        );
        assert_eq!(of(&mut filter, Callback::Log), [bad; 4]);
    }

    #[test]
    fn response_headers_are_absent_at_the_end_when_the_client_left() {
        let probe = Probe::new()
            .on(
                Callback::ResponseHeaders,
                [get_value(RESPONSE_MAP, ":status")],
            )
            .on(Callback::Log, [get_value(RESPONSE_MAP, ":status")]);
        let mut filter = probe.run(&Process::new());
        filter.request(Request::get("/").aborted());
        assert_eq!(
            probe.answers(&mut filter, Callback::ResponseHeaders)[0].status,
            None
        );
        assert_eq!(
            probe.answers(&mut filter, Callback::Log)[0].status,
            NOT_FOUND
        );
        filter.request(Request::get("/").answered(Response::status(503)));
        assert_eq!(
            probe.answers(&mut filter, Callback::Log)[0].text(),
            Some("503")
        );
    }

    #[test]
    fn an_unknown_map_is_a_bad_argument() {
        let probe = Probe::new().on(Callback::RequestHeaders, [get_pairs(8), get_value(8, "a")]);
        let mut filter = probe.run(&Process::new());
        filter.request(Request::get("/"));
        let answers = probe.answers(&mut filter, Callback::RequestHeaders);
        assert_eq!(statuses(&answers), [BAD_ARGUMENT; 2]);
    }
}

mod properties {
    use super::*;

    #[test]
    fn filter_state_is_read_back_by_both_of_its_names() {
        let steps = [
            set_property("serinus", "checkout"),
            get_property("serinus"),
            get_property("filter_state\0wasm.serinus"),
            get_property("other"),
        ];
        let probe = Probe::new().on(Callback::RequestHeaders, steps);
        let mut filter = probe.run(&Process::new());
        let outcome = filter.request(Request::get("/"));
        let answers = probe.answers(&mut filter, Callback::RequestHeaders);
        assert_eq!(answers[1].text(), Some("checkout"));
        assert_eq!(answers[2].text(), Some("checkout"));
        assert_eq!(answers[3].status, NOT_FOUND);
        assert_eq!(outcome.filter_state["serinus"], b"checkout");
    }

    #[test]
    fn filter_state_of_two_segments_is_written_but_not_readable() {
        let steps = [
            set_property("a\0b", "1"),
            get_property("a\0b"),
            get_property("filter_state"),
        ];
        let probe = Probe::new().on(Callback::RequestHeaders, steps);
        let mut filter = probe.run(&Process::new());
        filter.request(Request::get("/"));
        let answers = probe.answers(&mut filter, Callback::RequestHeaders);
        let serialization_failure = Some(Status::SerializationFailure as u32);
        assert_eq!(statuses(&answers), [OK, NOT_FOUND, serialization_failure]);
    }

    #[test]
    fn each_property_is_there_in_its_phases_only() {
        let read = || {
            [
                get_property("request\0path"),
                get_property("response\0code"),
            ]
        };
        let probe = Probe::new()
            .on(Callback::RequestHeaders, read())
            .on(Callback::ResponseHeaders, read())
            .on(Callback::Log, read());
        let mut filter = probe.run(&Process::new());
        filter.request(Request::get("/a?b=c").answered(Response::status(418)));
        let of = |filter: &mut _, callback| statuses(&probe.answers(filter, callback));
        assert_eq!(of(&mut filter, Callback::RequestHeaders), [OK, NOT_FOUND]);
        assert_eq!(of(&mut filter, Callback::ResponseHeaders), [NOT_FOUND, OK]);
        assert_eq!(of(&mut filter, Callback::Log), [OK, OK]);
        let answers = probe.answers(&mut filter, Callback::Log);
        assert_eq!(answers[0].text(), Some("/a?b=c"));
        assert_eq!(
            answers[1].bytes.as_deref(),
            Some(&418_u64.to_le_bytes()[..])
        );
    }

    /// What each path reads as in a callback, 0 where it is absent.
    fn numbers(probe: &Probe, filter: &mut Filter, callback: Callback) -> Vec<u64> {
        let answers = probe.answers(filter, callback);
        let bytes = answers.into_iter().map(|answer| answer.bytes);
        bytes
            .map(|bytes| {
                bytes.map_or(0, |bytes| {
                    u64::from_le_bytes(bytes.try_into().expect("a number"))
                })
            })
            .collect()
    }

    #[test]
    fn what_is_known_only_at_the_end_is_there_at_the_end() {
        let read = || {
            [
                "upstream\0request_attempt_count",
                "request\0total_size",
                "response\0total_size",
                "response\0flags",
                "response\0grpc_status",
            ]
            .map(get_property)
        };
        let probe = Probe::new()
            .on(Callback::RequestHeaders, read())
            .on(Callback::Log, read());
        let mut filter = probe.run(&Process::new());
        let answer = Response::status(503)
            .by_proxy("x", 4)
            .attempts(3)
            .body("four");
        filter.request(Request::get("/").answered(answer));
        let of = |filter: &mut Filter, callback| numbers(&probe, filter, callback);
        assert_eq!(of(&mut filter, Callback::RequestHeaders), [0; 5]);
        let request = ":authorityshop.example.com:path/:methodGET:schemehttps".len() as u64;
        let response = ":status503four".len() as u64;
        assert_eq!(
            of(&mut filter, Callback::Log),
            [3, request, response, 4, 14]
        );
        // The client left: one try, flag DC, and no answer to have a status.
        filter.request(Request::get("/").aborted());
        let log = of(&mut filter, Callback::Log);
        assert_eq!(log[..4], [1, request, 0, 1 << 14]);
        let statuses = statuses(&probe.answers(&mut filter, Callback::Log));
        assert_eq!(statuses, [OK, OK, OK, OK, NOT_FOUND]);
    }

    #[test]
    fn the_status_of_grpc_is_of_trailers_then_of_headers_then_mapped() {
        let probe = Probe::new().on(Callback::Log, [get_property("response\0grpc_status")]);
        let mut filter = probe.run(&Process::new());
        let told = |response: Response| response.header("grpc-status", "5");
        for (answer, status) in [
            (told(Response::status(200)).trailer("grpc-status", "9"), 9),
            (told(Response::status(200)), 5),
            (Response::status(200), 2),
            (Response::status(404), 12),
        ] {
            filter.request(Request::get("/").answered(answer));
            assert_eq!(numbers(&probe, &mut filter, Callback::Log), [status]);
        }
    }

    #[test]
    fn an_upstream_address_is_there_from_the_answer_on() {
        let read = || [get_property("upstream\0address")];
        let probe = Probe::new()
            .on(Callback::RequestHeaders, read())
            .on(Callback::Log, read());
        let mut filter = probe.run(&Process::new());
        filter.request(Request::get("/").answered(Response::status(200).from("/run/a.sock")));
        let early = probe.answers(&mut filter, Callback::RequestHeaders);
        assert_eq!(statuses(&early), [NOT_FOUND]);
        let late = probe.answers(&mut filter, Callback::Log);
        assert_eq!(late[0].text(), Some("/run/a.sock"));
    }

    #[test]
    fn a_root_context_has_no_stream_to_write_to() {
        let steps = [set_property("a", "1"), get_property("plugin_vm_id")];
        let probe = Probe::new().on(Callback::Configure, steps);
        let mut filter = probe.run(&Process::new());
        let answers = probe.answers(&mut filter, Callback::Configure);
        assert_eq!(answers[0].status, NOT_FOUND);
        assert_eq!(answers[1].text(), Some("serinus"));
    }

    #[test]
    fn empty_data_is_null() {
        let steps = [set_property("a", ""), get_property("a")];
        let probe = Probe::new().on(Callback::RequestHeaders, steps);
        let mut filter = probe.run(&Process::new());
        filter.request(Request::get("/"));
        let answer = probe
            .answers(&mut filter, Callback::RequestHeaders)
            .remove(1);
        assert_eq!((answer.status, answer.bytes), (OK, None));
    }
}

mod shared_between_workers {
    use super::*;

    const NO_CAS: u32 = 0;
    const ANY_CAS: u32 = u32::MAX;

    fn set_shared(value: &'static str, cas: u32) -> Step {
        call(
            "proxy_set_shared_data",
            ["k".into(), value.into(), cas.into()],
        )
    }

    #[test]
    fn of_two_workers_that_create_a_key_one_wins() {
        let get = call("proxy_get_shared_data", ["k".into(), BytesOut, NumberOut]);
        let probe = Probe::new().on(Callback::Configure, [set_shared("mine", ANY_CAS), get]);
        let process = Process::new();
        let (mut first, mut second) = (probe.run(&process), probe.run(&process));
        let of = |filter: &mut _| probe.answers(filter, Callback::Configure);
        assert_eq!(of(&mut first)[0].status, OK);
        assert_eq!(of(&mut second)[0].status, Some(Status::CasMismatch as u32));
        assert_eq!(of(&mut second)[1].text(), Some("mine"));
        assert_eq!(
            of(&mut first)[1].number,
            of(&mut second)[1].number,
            "one number a value"
        );
    }

    #[test]
    fn an_unconditional_write_always_wins_and_processes_share_nothing() {
        let probe = Probe::new().on(Callback::Configure, [set_shared("new", NO_CAS)]);
        let (process, other) = (Process::new(), Process::new());
        process.put_shared_data("k", "old");
        probe.run(&process);
        assert_eq!(process.shared_data("k").as_deref(), Some(&b"new"[..]));
        assert_eq!(other.shared_data("k"), None);
    }

    #[test]
    fn workers_count_into_one_metric() {
        const COUNTER: u32 = 0;
        const FIRST_HANDLE: u32 = 1 << 2;
        let steps = [
            call(
                "proxy_define_metric",
                [Int(COUNTER), "hits".into(), NumberOut],
            ),
            call("proxy_increment_metric", [Int(FIRST_HANDLE), Long(2)]),
            call("proxy_increment_metric", [Int(FIRST_HANDLE), Long(0)]),
        ];
        let probe = Probe::new().on(Callback::Configure, steps);
        let process = Process::new();
        let mut workers = [probe.run(&process), probe.run(&process)];
        for worker in &mut workers {
            let answers = probe.answers(worker, Callback::Configure);
            assert_eq!(answers[0].number, FIRST_HANDLE.into());
            assert_eq!(statuses(&answers), [OK, OK, BAD_ARGUMENT]);
        }
        assert_eq!(process.metric("hits"), Some(4));
    }
}

mod faults {
    use super::*;

    #[test]
    fn a_faulty_call_returns_its_status_and_does_nothing() {
        let probe = Probe::new().on(Callback::RequestHeaders, [set_property("a", "1")]);
        for status in (1..=12).chain([77]) {
            let mut filter = probe.run(&Process::new());
            filter.set_faults([Fault::every("proxy_set_property", Effect::Status(status))]);
            let outcome = filter.request(Request::get("/"));
            let answers = probe.answers(&mut filter, Callback::RequestHeaders);
            assert_eq!(statuses(&answers), [Some(status)]);
            assert!(outcome.filter_state.is_empty());
        }
    }

    #[test]
    fn only_the_nth_call_fails() {
        let steps = [get_property("a"), get_property("a"), get_property("a")];
        let probe = Probe::new().on(Callback::RequestHeaders, steps);
        let mut filter = probe.run(&Process::new());
        filter.set_faults([Fault::nth("proxy_get_property", 2, Effect::Status(10))]);
        filter.request(Request::get("/").filter_state("a", "1"));
        let answers = probe.answers(&mut filter, Callback::RequestHeaders);
        assert_eq!(statuses(&answers), [OK, Some(10), OK]);
    }

    #[test]
    fn null_garbage_and_numbers_reach_the_filter() {
        let steps = [
            get_pairs(REQUEST_MAP),
            call("proxy_get_current_time_nanoseconds", [NumberOut]),
            get_property("a"),
        ];
        let probe = Probe::new().on(Callback::RequestHeaders, steps);
        let mut filter = probe.run(&Process::new());
        for wire in malformed_pairs() {
            filter.set_faults([
                Fault::every("proxy_get_header_map_pairs", Effect::Data(wire.clone())),
                Fault::every(
                    "proxy_get_current_time_nanoseconds",
                    Effect::Number(u64::MAX),
                ),
                Fault::every("proxy_get_property", Effect::Null),
            ]);
            filter.request(Request::get("/").filter_state("a", "1"));
            let answers = probe.answers(&mut filter, Callback::RequestHeaders);
            assert_eq!(statuses(&answers), [OK; 3]);
            assert_eq!(answers[0].bytes, Some(wire));
            assert_eq!(answers[1].number, u64::MAX);
            assert_eq!(answers[2].bytes, None);
        }
    }
}

mod failures {
    use super::*;

    fn failure_of(step: Step, callback: Callback) -> FailureKind {
        let mut filter = Probe::new().on(callback, [step]).run(&Process::new());
        let failure = filter
            .try_request(&Request::get("/"))
            .expect_err("a failure");
        assert_eq!(failure.callback, callback);
        failure.kind
    }

    #[test]
    fn a_trap_and_an_endless_loop_are_told_apart() {
        let trap = Step::Code("(unreachable)");
        assert_eq!(
            failure_of(trap, Callback::RequestHeaders),
            FailureKind::Trap
        );
        let endless = Step::Code("(loop (br 0))");
        assert_eq!(failure_of(endless, Callback::Log), FailureKind::Endless);
    }

    #[test]
    fn a_pointer_outside_the_memory_fails_the_test() {
        let reads = call("proxy_get_property", [Int(u32::MAX), Int(9), BytesOut]);
        assert_eq!(
            failure_of(reads, Callback::RequestHeaders),
            FailureKind::Trap
        );
        let path = Text(b"plugin_name");
        let writes = call("proxy_get_property", [path, Int(u32::MAX), Int(u32::MAX)]);
        assert_eq!(
            failure_of(writes, Callback::RequestHeaders),
            FailureKind::Trap
        );
    }

    #[test]
    fn a_failure_shows_the_last_log_lines() {
        let log = call(
            "proxy_log",
            [Int(LogLevel::Critical as u32), "panicked at x".into()],
        );
        let probe = Probe::new().on(Callback::Log, [log, Step::Code("(unreachable)")]);
        let mut filter = probe.run(&Process::new());
        let failure = filter.try_request(&Request::get("/")).expect_err("a trap");
        assert!(
            failure.to_string().contains("log Critical: panicked at x"),
            "{failure}"
        );
    }

    #[test]
    fn a_call_that_is_not_modelled_is_a_misuse() {
        let cancel = call("proxy_grpc_cancel", [Int(1)]);
        assert_eq!(failure_of(cancel, Callback::Log), FailureKind::Misuse);
    }

    #[test]
    fn an_own_response_at_the_end_of_a_stream_is_a_misuse() {
        assert_eq!(failure_of(respond(), Callback::Log), FailureKind::Misuse);
    }

    #[test]
    fn an_own_response_ends_the_request_and_passes_the_filter_again() {
        let status = get_value(RESPONSE_MAP, ":status");
        let probe = Probe::new()
            .on(Callback::RequestHeaders, [respond()])
            .on(Callback::ResponseHeaders, [status]);
        let mut filter = probe.run(&Process::new());
        let outcome = filter.request(Request::get("/"));
        assert!(!outcome.continued());
        let response = outcome.local_response.expect("the filter's own response");
        assert_eq!(
            (response.status, &response.body[..]),
            (426, &b"upgrade"[..])
        );
        assert_eq!(
            probe.answers(&mut filter, Callback::ResponseHeaders)[0].text(),
            Some("426")
        );
    }

    fn respond() -> Step {
        let (no_details, no_headers, no_grpc) = ("".into(), "".into(), Int(u32::MAX));
        let args = [Int(426), no_details, "upgrade".into(), no_headers, no_grpc];
        call("proxy_send_local_response", args)
    }
}

mod root_contexts {
    use super::*;

    const PLUGIN_CONFIGURATION: u32 = 7;

    #[test]
    fn the_policy_is_readable_while_it_is_configured() {
        let read = || {
            let args = [Int(PLUGIN_CONFIGURATION), Int(0), Int(u32::MAX), BytesOut];
            [call("proxy_get_buffer_bytes", args)]
        };
        let probe = Probe::new()
            .on(Callback::Configure, read())
            .on(Callback::Log, read());
        let mut filter = probe.load(&Process::new());
        filter.configure("{}");
        filter.request(Request::get("/"));
        assert_eq!(
            probe.answers(&mut filter, Callback::Configure)[0].text(),
            Some("{}")
        );
        assert_eq!(
            probe.answers(&mut filter, Callback::Log)[0].status,
            NOT_FOUND
        );
    }

    #[test]
    fn an_old_root_context_ticks_until_its_last_stream_ends() {
        let tick_every_second = call("proxy_set_tick_period_milliseconds", [Int(1000)]);
        let log = call("proxy_log", [Int(LogLevel::Info as u32), "tick".into()]);
        let probe = Probe::new()
            .on(Callback::Configure, [tick_every_second])
            .on(Callback::Tick, [log]);
        let mut filter = probe.run(&Process::new());
        let (stream, _) = filter.open(&Request::get("/")).expect("an open stream");
        let newer = filter.configure("").root;
        assert_eq!(filter.tick().count("proxy_log"), 2);
        filter.finish(stream).expect("an ended stream");
        assert_eq!(filter.roots(), [(newer, Some(Duration::from_secs(1)))]);
        assert_eq!(filter.tick().count("proxy_log"), 1);
    }

    #[test]
    fn a_refused_policy_leaves_the_one_before_in_service() {
        let refuse_a_long_one = Step::Code("(return (i32.lt_u (local.get 1) (i32.const 3)))");
        let probe = Probe::new().on(Callback::Configure, [refuse_a_long_one]);
        let mut filter = probe.load(&Process::new());
        let first = filter.configure("{}");
        let second = filter.configure("{ }");
        assert_eq!((first.accepted, second.accepted), (true, false));
        let (stream, _) = filter.open(&Request::get("/")).expect("an open stream");
        assert!(filter.roots().iter().any(|(root, _)| *root == first.root));
        filter.finish(stream).expect("an ended stream");
    }

    #[test]
    fn calls_act_on_the_effective_context() {
        const ROOT: u32 = 1;
        let act_as_root = call("proxy_set_effective_context", [Int(ROOT)]);
        let steps = [set_property("a", "1"), act_as_root, set_property("a", "2")];
        let nobody = call("proxy_set_effective_context", [Int(99)]);
        let probe = Probe::new().on(Callback::Log, steps.into_iter().chain([nobody]));
        let mut filter = probe.run(&Process::new());
        let outcome = filter.request(Request::get("/"));
        let answers = probe.answers(&mut filter, Callback::Log);
        assert_eq!(statuses(&answers), [OK, OK, NOT_FOUND, BAD_ARGUMENT]);
        assert_eq!(outcome.filter_state["a"], b"1");
    }
}

mod time_chance_and_calls {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_last_part_and_one_that_is_cut_does_not() {
        let at = |callback| {
            Probe::new().on(
                callback,
                [call("proxy_get_current_time_nanoseconds", [NumberOut])],
            )
        };
        let calls = |callback, answer: Response| {
            let mut filter = at(callback).run(&Process::new());
            filter
                .request(Request::get("/").answered(answer))
                .calls
                .total()
        };
        let whole = || Response::status(200).body("text").trailer("a", "b");
        assert_eq!(calls(Callback::ResponseTrailers, whole()), 1);
        assert_eq!(calls(Callback::ResponseTrailers, whole().cut("", 0)), 0);
        assert_eq!(calls(Callback::ResponseTrailers, Response::status(200)), 0);
        assert_eq!(calls(Callback::ResponseBody, whole().cut("", 0)), 1);
    }

    #[test]
    fn instructions_and_memory_of_a_worker_are_told() {
        let mut filter = Probe::new()
            .on(Callback::Log, [get_property("a")])
            .run(&Process::new());
        assert_eq!(filter.memory_size(), 64 << 16);
        let before = filter.instructions();
        let outcome = filter.request(Request::get("/"));
        assert_eq!(filter.instructions() - before, outcome.instructions);
        assert!(outcome.instructions > 0);
    }

    #[test]
    fn the_clock_shows_what_the_test_set() {
        let now = call("proxy_get_current_time_nanoseconds", [NumberOut]);
        let probe = Probe::new().on(Callback::RequestHeaders, [now]);
        let process = Process::new();
        let mut filter = probe.run(&process);
        process.set_time(Duration::from_secs(7));
        process.advance(Duration::from_nanos(5));
        filter.request(Request::get("/"));
        let answers = probe.answers(&mut filter, Callback::RequestHeaders);
        assert_eq!(answers[0].number, 7_000_000_005);
    }

    #[test]
    fn random_bytes_repeat_with_their_seed() {
        const AT: u32 = 1 << 13;
        const LENGTH: u32 = 20;
        let fill = call("random_get", [Int(AT), Int(LENGTH)]);
        let probe = Probe::new().on(Callback::Configure, [fill]);
        let bytes_of = |seed| {
            let process = Process::new();
            process.seed(seed);
            probe.run(&process).memory(AT as usize, LENGTH as usize)
        };
        assert_eq!(bytes_of(1), bytes_of(1));
        assert_ne!(bytes_of(1), bytes_of(2));
        assert_ne!(bytes_of(1)[16..], [0; 4], "filled to the end");
    }

    #[test]
    fn an_http_call_needs_a_known_cluster_and_is_answered_to_its_root() {
        let pairs = b"\x03\0\0\0\x07\0\0\0\x03\0\0\0\x05\0\0\0\x01\0\0\0\x0a\0\0\0\x01\0\0\0\
            :method\0GET\0:path\0/\0:authority\0a\0";
        let to = |cluster: &'static str| {
            let (no_body, no_trailers, timeout) = ("".into(), "".into(), Int(250));
            let args = [
                cluster.into(),
                Text(pairs),
                no_body,
                no_trailers,
                timeout,
                NumberOut,
            ];
            call("proxy_http_call", args)
        };
        let probe = Probe::new()
            .on(Callback::RequestHeaders, [to("unknown"), to("shop")])
            .on(
                Callback::HttpCallResponse,
                [get_value(CALL_RESPONSE_MAP, ":status")],
            );
        let process = Process::new();
        process.add_cluster("shop");
        let mut filter = probe.run(&process);
        filter.request(Request::get("/"));
        let answers = probe.answers(&mut filter, Callback::RequestHeaders);
        assert_eq!(statuses(&answers), [BAD_ARGUMENT, OK]);

        let call = filter.http_calls()[0].clone();
        assert_eq!((call.root, call.timeout), (1, Duration::from_millis(250)));
        filter
            .answer(call.token, &Response::status(204))
            .expect("a call that is answered");
        assert_eq!(
            probe.answers(&mut filter, Callback::HttpCallResponse)[0].text(),
            Some("204")
        );
        assert!(filter.http_calls().is_empty());
    }
}
