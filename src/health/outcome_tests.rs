use super::*;

const SLOW: Option<Micros> = Some(Micros(100_000));

/// `503 UF details`: status or `-`, flags or `-`, details or `-`.
fn ended(row: &'static str) -> Ended<'static> {
    let mut words = row.splitn(3, ' ');
    let mut word = || words.next().filter(|word| *word != "-");
    let status = word().map(|code| Status::of(code.parse().unwrap()));
    let flag = |short: &str| {
        let known = Flags::KNOWN.iter().find(|(_, known)| *known == short);
        known.unwrap_or_else(|| panic!("no flag {short}")).0
    };
    let flags = word().map_or(Flags::default(), |flags| {
        flags.split(',').map(flag).fold(Flags::default(), Flags::or)
    });
    Ended {
        status,
        flags,
        details: word().map(str::as_bytes),
        duration: Some(Micros(1_000)),
        ..Ended::default()
    }
}

fn outcome(ended: Ended<'_>) -> &'static str {
    ended.outcome(&Errors::default(), SLOW).as_str()
}

#[test]
fn what_envoy_was_seen_to_say_is_sorted_right() {
    for (row, wanted) in [
        ("200 - via_upstream", "ok"),
        ("404 - via_upstream", "ok"),
        ("302 - via_upstream", "ok"),
        ("304 - via_upstream", "ok"),
        ("503 - via_upstream", "error_status"),
        (
            "503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
            "error_connect",
        ),
        ("504 UT response_timeout", "error_timeout"),
        ("200 UT response_timeout", "error_timeout"),
        ("- DC downstream_remote_disconnect", "aborted"),
        ("200 DC downstream_remote_disconnect", "aborted"),
        ("404 NR route_not_found", "refused"),
        ("503 UH no_healthy_upstream", "error_no_host"),
        ("418 - direct_response", "refused"),
        (
            "503 UC upstream_reset_before_response_started{connection_termination}",
            "error_reset_before",
        ),
        (
            "200 UC upstream_reset_after_response_started{connection_termination}",
            "error_reset_after",
        ),
        (
            "200 UPE upstream_reset_after_response_started{protocol_error}",
            "error_reset_after",
        ),
        ("503 URX via_upstream", "error_status"),
        (
            "503 UF,URX upstream_reset_before_response_started{connection_timeout}",
            "error_connect",
        ),
        (
            "503 UO upstream_reset_before_response_started{overflow}",
            "error_overload",
        ),
        ("503 - cluster_not_found", "error_no_host"),
        ("503 UO maintenance_mode", "refused"),
        ("503 DO drop_overload", "error_overload"),
        ("504 UT upstream_per_try_timeout", "error_timeout"),
        ("504 SI stream_idle_timeout", "error_timeout"),
        ("408 SI stream_idle_timeout", "aborted"),
        ("200 SI stream_idle_timeout", "aborted"),
        ("403 UAEX ext_authz_denied", "refused"),
        ("429 RL local_rate_limited", "refused"),
        ("503 OM overload", "refused"),
        ("503 - some_filter_of_tomorrow", "refused"),
        ("500 UH some_word_of_tomorrow", "error_no_host"),
        ("500 - response_payload_too_large", "error_status"),
        ("999 - via_upstream", "error_status"),
        ("- - -", "aborted"),
        ("200 - -", "ok"),
        ("500 - -", "error_status"),
        // The answer came in the end; the flag is of a try before it.
        ("200 UF via_upstream", "ok"),
        // The proxy had given up before the caller did.
        (
            "503 UF,DC upstream_reset_before_response_started{remote_connection_failure}",
            "error_connect",
        ),
    ] {
        assert_eq!(outcome(ended(row)), wanted, "{row}");
    }
}

#[test]
fn each_flag_alone_says_who_is_to_blame() {
    for (short, at_503) in [
        ("LH", "refused"),
        ("UH", "error_no_host"),
        ("UT", "error_timeout"),
        ("LR", "error_reset_before"),
        ("UR", "error_reset_before"),
        ("UF", "error_connect"),
        ("UC", "error_reset_before"),
        ("UO", "error_overload"),
        ("NR", "refused"),
        ("DI", "error_status"),
        ("FI", "refused"),
        ("RL", "refused"),
        ("UAEX", "refused"),
        ("RLSE", "refused"),
        ("DC", "error_status"),
        ("URX", "error_status"),
        ("SI", "error_status"),
        ("IH", "refused"),
        ("DPE", "refused"),
        ("UMSDR", "error_timeout"),
        ("RFCF", "refused"),
        ("NFCF", "refused"),
        ("DT", "error_status"),
        ("UPE", "error_reset_before"),
        ("NC", "error_no_host"),
        ("OM", "refused"),
        ("DF", "error_no_host"),
        ("DO", "error_overload"),
        ("DR", "error_status"),
        ("UDO", "error_overload"),
    ] {
        let flags = Flags::KNOWN
            .iter()
            .find(|(_, known)| *known == short)
            .unwrap()
            .0;
        let ended = Ended {
            status: Some(Status::of(503)),
            flags,
            ..Ended::default()
        };
        assert_eq!(outcome(ended), at_503, "{short}");
    }
    assert_eq!(Flags::KNOWN.len(), 30);
}

#[test]
fn flags_that_nobody_knows_change_nothing() {
    let unknown = Flags(!0 << 30);
    for (code, wanted) in [(200, "ok"), (503, "error_status")] {
        let ended = Ended {
            status: Some(Status::of(code)),
            flags: unknown,
            ..Ended::default()
        };
        assert_eq!(outcome(ended), wanted);
    }
}

#[test]
fn a_caller_who_leaves_counts_only_past_the_slow_bound() {
    for (took, slow, wanted) in [
        (Some(100_000), SLOW, "aborted"),
        (Some(100_001), SLOW, "slow"),
        (Some(100_001), None, "aborted"),
        (None, SLOW, "aborted"),
    ] {
        let left = Ended {
            duration: took.map(Micros),
            ..ended("- DC downstream_remote_disconnect")
        };
        assert_eq!(left.outcome(&Errors::default(), slow).as_str(), wanted);
    }
    let told = ended("500 DC downstream_remote_disconnect");
    assert_eq!(outcome(told), "error_status");
}

#[test]
fn an_answer_past_the_bound_is_slow_and_an_error_stays_one() {
    let late = |row| Ended {
        duration: Some(Micros(200_000)),
        ..ended(row)
    };
    assert_eq!(outcome(late("200 - via_upstream")), "slow");
    assert_eq!(outcome(late("500 - via_upstream")), "error_status");
    assert_eq!(outcome(late("418 - direct_response")), "refused");
}

#[test]
fn grpc_is_judged_by_its_own_status() {
    let grpc = |row, status: Option<u32>| Ended {
        is_grpc: true,
        grpc_status: status.map(GrpcStatus),
        ..ended(row)
    };
    for (row, status, wanted) in [
        ("200 - via_upstream", Some(0), "ok"),
        ("200 - via_upstream", Some(5), "ok"),
        ("200 - via_upstream", Some(14), "error_grpc"),
        ("200 - via_upstream", Some(99), "error_grpc"),
        ("200 - via_upstream", None, "error_grpc"),
        ("404 - via_upstream", None, "ok"),
        ("503 - via_upstream", None, "error_status"),
        // Envoy's own answer to a gRPC request is 200 with grpc-status 14.
        ("200 UH no_healthy_upstream", Some(14), "error_no_host"),
        ("200 NR route_not_found", Some(12), "refused"),
        ("200 DC downstream_remote_disconnect", None, "aborted"),
        (
            "200 DC downstream_remote_disconnect",
            Some(13),
            "error_grpc",
        ),
    ] {
        assert_eq!(outcome(grpc(row, status)), wanted, "{row} {status:?}");
    }
    let plain = Ended {
        is_grpc: false,
        ..grpc("200 - via_upstream", Some(14))
    };
    assert_eq!(outcome(plain), "ok", "a status without gRPC says nothing");
}

#[test]
fn a_tunnel_is_judged_by_its_handshake_and_by_resets() {
    let tunnel = |asked, row| Ended {
        asked,
        duration: Some(Micros(3_600_000_000)),
        ..ended(row)
    };
    for (asked, row, wanted) in [
        (Asked::Upgrade, "101 - -", "ok"),
        (
            Asked::Upgrade,
            "101 UC upstream_reset_after_response_started{connection_termination}",
            "ok",
        ),
        (Asked::Upgrade, "101 DC downstream_remote_disconnect", "ok"),
        (Asked::Upgrade, "101 SI stream_idle_timeout", "ok"),
        (
            Asked::Upgrade,
            "101 UR upstream_reset_after_response_started{remote_reset}",
            "error_reset_after",
        ),
        (Asked::Upgrade, "503 - via_upstream", "error_status"),
        (Asked::Upgrade, "200 - via_upstream", "slow"),
        (Asked::Connect, "200 - via_upstream", "ok"),
        (
            Asked::Connect,
            "503 UF upstream_reset_before_response_started{remote_connection_failure}",
            "error_connect",
        ),
        (Asked::Plain, "101 - via_upstream", "slow"),
    ] {
        assert_eq!(outcome(tunnel(asked, row)), wanted, "{asked:?} {row}");
    }
    assert_eq!(tunnel(Asked::Upgrade, "101 - -").latency(), None);
    assert!(tunnel(Asked::Upgrade, "403 - -").latency().is_some());
    assert_eq!(Asked::of(b"CONNECT", true), Asked::Connect);
    assert_eq!(Asked::of(b"GET", true), Asked::Upgrade);
    assert_eq!(Asked::of(b"HEAD", false), Asked::Plain);
}

#[test]
fn the_filters_own_replies_are_nobodys_fault() {
    let own = Ended {
        own_reply: true,
        ..ended("503 - -")
    };
    assert_eq!(outcome(own), "refused");
}

#[test]
fn what_a_shut_gate_ended_is_nobodys_fault_whatever_it_was() {
    for (asked, row) in [
        (Asked::Upgrade, "101 - via_upstream"),
        (Asked::Plain, "200 - via_upstream"),
        (Asked::Plain, "- - wasm_close_stream"),
        (Asked::Plain, "503 - via_upstream"),
    ] {
        let cut = Ended {
            was_cut: true,
            asked,
            ..ended(row)
        };
        assert_eq!(outcome(cut), "aborted", "{asked:?} {row}");
    }
}

#[test]
fn the_policy_says_which_statuses_are_errors() {
    let errors = Errors {
        statuses: StatusSet::of(&[(500, 599), (429, 429)]),
        grpc: GrpcSet::of(&[5]),
    };
    assert_eq!(
        ended("429 - via_upstream").outcome(&errors, SLOW).as_str(),
        "error_status"
    );
    assert_eq!(
        ended("429 RL local_rate_limited")
            .outcome(&errors, SLOW)
            .as_str(),
        "refused"
    );
}

#[test]
fn details_are_asked_for_where_they_may_matter() {
    let errors = Errors {
        statuses: StatusSet::of(&[(302, 302)]),
        ..Errors::default()
    };
    for (row, wanted) in [
        ("200 - -", false),
        ("304 - -", false),
        ("302 - -", true),
        ("404 - -", true),
        ("503 - -", true),
        ("- - -", true),
        ("200 DC -", true),
    ] {
        let ended = ended(row);
        assert_eq!(
            wants_details(ended.status, ended.flags, &errors),
            wanted,
            "{row}"
        );
    }
}

#[test]
fn every_outcome_has_its_own_place_and_word() {
    for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome.index(), place);
        assert_eq!(outcome.is_error(), outcome.as_str().starts_with("error_"));
        let same = Outcome::ALL
            .iter()
            .filter(|other| other.as_str() == outcome.as_str());
        assert_eq!(same.count(), 1);
    }
}

proptest::proptest! {
    #[test]
    fn any_end_has_an_outcome(
        status in proptest::option::of(proptest::num::u64::ANY),
        flags: u64,
        details in proptest::option::of(proptest::collection::vec(proptest::num::u8::ANY, 0..60)),
        grpc in proptest::option::of(proptest::num::u32::ANY),
        is_grpc: bool,
        took in proptest::option::of(proptest::num::u64::ANY),
    ) {
        let ended = Ended {
            status: status.map(Status::of),
            flags: Flags(flags),
            details: details.as_deref(),
            is_grpc,
            grpc_status: grpc.map(GrpcStatus),
            duration: took.map(Micros),
            ..Ended::default()
        };
        let outcome = ended.outcome(&Errors::default(), SLOW);
        proptest::prop_assert_eq!(Outcome::ALL[outcome.index()], outcome);
    }
}
