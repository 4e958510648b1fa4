//! The command line as a pipeline meets it: lines, streams and exit statuses.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod tool;

use std::process::Output;
use tool::serinus;

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const POLICY: &str = "tests/policies/shop.yaml";

#[test]
fn check_says_nothing_on_standard_output_of_a_good_policy() {
    let done = serinus(&["check", POLICY, "tests/policies/full.yaml"], "");
    assert_eq!((done.status.code(), out(&done).as_str()), (Some(0), ""));
    assert!(
        err(&done).contains("policy `shop` is good"),
        "{}",
        err(&done)
    );
}

#[test]
fn check_prints_one_line_a_problem_with_file_and_line_and_exits_1() {
    let done = serinus(&["check", "tests/policies/broken.yaml"], "");
    assert_eq!(done.status.code(), Some(1));
    let expected: String = include_str!("policies/broken.problems")
        .lines()
        .map(|line| format!("tests/policies/broken.yaml:{line}\n"))
        .collect();
    assert_eq!(out(&done), expected);
}

#[test]
fn check_warns_of_a_good_policy_beside_the_output_and_exits_0() {
    let text = "routes:\n- name: r\n  shadow:\n    cluster: v2\n    noise: 0%\n    writes: allow\n    \
                methods:\n    - GET\n    - POST\n";
    let done = serinus(&["check", "-"], text);
    assert_eq!((done.status.code(), out(&done).as_str()), (Some(0), ""));
    let said = err(&done);
    let warning = "standard input:9: routes[0].shadow.methods[1]: warning: `POST` may write, and ";
    assert!(said.starts_with(warning), "{said}");
    assert!(said.contains("is good"), "{said}");
    let json = serinus(&["check", "--json", "-"], text);
    assert_eq!(out(&json).lines().count(), 1);
    assert!(err(&json).starts_with(warning), "{}", err(&json));
}

#[test]
fn check_reads_standard_input_and_names_what_is_no_policy() {
    let done = serinus(&["check", "-"], "{\"routes\": [{\"name\": \"a b\"}]}");
    assert_eq!(done.status.code(), Some(1));
    assert!(
        out(&done).starts_with("standard input:1: routes[0].name:"),
        "{}",
        out(&done)
    );
    let done = serinus(&["check", "-"], "a: [1\n");
    assert_eq!(done.status.code(), Some(1));
    let done = serinus(&["check", "-"], "apiVersion: v1\nkind: Service\n");
    assert_eq!(done.status.code(), Some(2));
    assert!(err(&done).contains("holds no policy"));
    assert_eq!(
        serinus(&["check", "no-such-file"], "").status.code(),
        Some(2)
    );
    assert_eq!(serinus(&["check"], "").status.code(), Some(2));
}

#[test]
fn check_turns_yaml_into_json_that_is_the_same_policy() {
    let json = serinus(&["check", "--json", POLICY], "");
    let again = serinus(&["check", "--json", "-"], &out(&json));
    assert_eq!(out(&json), out(&again));
    assert_eq!(out(&json).lines().count(), 1);
}

#[test]
fn assign_answers_line_by_line_in_the_form_of_the_contract() {
    let requests = [
        r#"{"method":"GET","path":"/checkout","headers":[["Host","shop.example.com:443"],["x-user-id","anna"]],"source":"192.0.2.7"}"#,
        r#"{"method":"GET","path":"/checkout","headers":[[":authority","shop.example.com"]]}"#,
        "",
        r#"{"method":"GET","path":"/checkout","headers":[["host","shop.example.com"],["X-Employee","true"]]}"#,
        r#"{"method":"GET","path":"/else"}"#,
        r#"{"method":"GET","path":"/ramp","headers":[["x-user-id","anna"]],"at":"2026-11-21T09:00:00Z"}"#,
        r#"{"method":"GET","path":"/ramp","headers":[["x-user-id","anna"]],"at":"2026-11-21T09:10:00+00:00"}"#,
    ];
    let done = serinus(&["assign", "--policy", POLICY, "-"], &requests.join("\n"));
    assert_eq!(err(&done), "");
    assert_eq!(done.status.code(), Some(0));
    let expected = [
        r#"{"route":"checkout","variant":"stable","reason":"rest","key":"header:x-user-id","slot":212933,"share":990000}"#,
        r#"{"route":"checkout","variant":"stable","reason":"no-key","key":null,"slot":null,"share":990000}"#,
        r#"{"route":"checkout","variant":"canary","reason":"rule","key":null,"slot":null,"share":10000}"#,
        r#"{"route":null,"variant":"stable","reason":"no-route","key":null,"slot":null,"share":null}"#,
        r#"{"route":"ramp","variant":"stable","reason":"rest","key":"header:x-user-id","slot":212933,"share":900000}"#,
        r#"{"route":"ramp","variant":"canary","reason":"share","key":"header:x-user-id","slot":212933,"share":250000}"#,
    ];
    assert_eq!(out(&done).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn assign_keeps_callers_from_a_gate_that_the_policy_holds_shut() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("held.yaml");
    let text = "routes: [{name: r, key: [{header: x-user-id}], variants: [{name: c, share: \"30%\"}], \
                gate: {held: shut}}]";
    std::fs::write(&path, text).unwrap();
    let request = r#"{"method":"GET","path":"/","headers":[["x-user-id","anna"]]}"#;
    let done = serinus(&["assign", "--policy", path.to_str().unwrap()], request);
    let expected = r#"{"route":"r","variant":"stable","reason":"gate-shut","key":"header:x-user-id","slot":SLOT,"share":1000000}"#;
    let said = out(&done);
    let slot = said
        .split("\"slot\":")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    assert_eq!(said.trim_end(), expected.replace("SLOT", slot.unwrap()));
}

#[test]
fn assign_ends_with_2_at_a_line_that_is_no_request_after_answering_those_before() {
    let good = r#"{"method":"GET","path":"/else"}"#;
    for bad in [
        "{",
        "[]",
        r#"{"path":"/"}"#,
        r#"{"method":"GET","path":"/","at":"now"}"#,
        r#"{"method":"GET","path":"/","source":"here"}"#,
    ] {
        let done = serinus(
            &["assign", "--policy", POLICY],
            &format!("{good}\n{bad}\n{good}\n"),
        );
        assert_eq!(done.status.code(), Some(2), "{bad}");
        assert_eq!(out(&done).lines().count(), 1, "{bad}");
        assert!(
            err(&done).contains("standard input:2:"),
            "{bad}: {}",
            err(&done)
        );
    }
}

#[test]
fn assign_refuses_a_bad_policy_with_all_its_problems() {
    let done = serinus(&["assign", "--policy", "tests/policies/broken.yaml"], "");
    assert_eq!(done.status.code(), Some(2));
    let problems = include_str!("policies/broken.problems").lines().count();
    assert_eq!(err(&done).lines().count(), problems);
}

#[test]
fn help_names_every_command_and_each_has_its_own() {
    let all = out(&serinus(&["--help"], ""));
    for command in ["check", "assign", "hash"] {
        assert!(all.contains(command), "{all}");
        let help = out(&serinus(&[command, "--help"], ""));
        assert!(
            help.contains("Example:") && help.contains("Exit status:"),
            "{help}"
        );
    }
}

/// The help's example is run as it stands there.
#[test]
fn the_example_of_assign_prints_what_its_help_says() {
    let help = out(&serinus(&["assign", "--help"], ""));
    let said = help
        .lines()
        .find(|line| line.trim().starts_with("{\"route\":\"checkout\""));
    let request = r#"{"method":"GET","path":"/checkout","headers":[["host","shop.example.com"],["x-user-id","anna"]]}"#;
    let done = serinus(&["assign", "--policy", POLICY], request);
    assert_eq!(said.map(str::trim), out(&done).lines().next());
}

const FLAGS: &str = "tests/policies/flags.yaml";

#[test]
fn assign_says_the_flags_only_where_it_is_asked_to() {
    let request = r#"{"method":"GET","path":"/cart","headers":[["x-user-id","user-7"],["x-employee","true"]]}"#;
    let plain = serinus(&["assign", "--policy", FLAGS], request);
    let decision = r#"{"route":null,"variant":"stable","reason":"no-route","key":null,"slot":null,"share":null"#;
    assert_eq!(out(&plain), format!("{decision}}}\n"));
    let with_flags = serinus(&["assign", "--flags", "--policy", FLAGS], request);
    let flags = r#""flags":{"rec_engine":{"value":"on","reason":"rule"},"search":{"value":"v2","reason":"share"}}"#;
    assert_eq!(out(&with_flags), format!("{decision},{flags}}}\n"));
}

#[test]
fn check_warns_of_a_flag_that_is_past_its_day() {
    let done = serinus(&["check", FLAGS], "");
    assert_eq!(done.status.code(), Some(0));
    let warning =
        "tests/policies/flags.yaml:7: flags[0].expires: warning: the flag is past its day";
    assert!(err(&done).starts_with(warning), "{}", err(&done));
}
