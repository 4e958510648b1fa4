//! `serinus hash` as a program: the cases of all schemes, and what it says about bad lines.
#![cfg(all(not(target_arch = "wasm32"), feature = "cli"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "the checks themselves run in hash_vectors.rs")]
mod vectors;

mod tool;

use serde_json::Value;
use std::process::{Command, Output};

fn serinus_hash(input: &str) -> Output {
    tool::serinus(&["hash", "-"], input)
}

fn answers(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let value = |line| serde_json::from_str::<Value>(line).unwrap()["value"].take();
    text.lines().map(value).collect()
}

#[test]
fn every_case_of_every_scheme_is_answered_in_order() {
    let mut input = String::new();
    let mut cases = Vec::new();
    for (scheme, _) in vectors::FILES {
        for mut case in vectors::cases(scheme) {
            case["scheme"] = scheme.into();
            input.push_str(&format!("{case}\n"));
            cases.push(case);
        }
    }
    let output = serinus_hash(&input);
    assert!(output.status.success(), "{output:?}");
    let answers = answers(&output);
    assert_eq!(answers.len(), cases.len());
    for (case, ours) in cases.iter().zip(&answers) {
        let scheme = case["scheme"].as_str().unwrap();
        let theirs = vectors::expected(scheme, case);
        let same = match (ours.as_f64(), theirs.as_f64()) {
            (Some(ours), Some(theirs)) if scheme == "launchdarkly" => {
                vectors::same_bucket(ours, theirs)
            }
            _ => ours == theirs,
        };
        assert!(same, "{ours}: {case}");
    }
}

#[test]
fn what_flagd_and_launchdarkly_give_nothing_for_is_answered_too() {
    let output = serinus_hash(concat!(
        r#"{"scheme":"flagd","flag_key":"f","targeting_key":"u","weights":[["a",0]]}"#,
        "\n\n",
        r#"{"scheme":"launchdarkly","key":"f","salt":"s","value":null}"#,
    ));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(answers(&output), [Value::Null, 0.0.into()]);
}

#[test]
fn a_line_that_is_no_case_is_named_with_what_to_write() {
    let table = [
        ("nonsense", "not a JSON object"),
        (r#"["slot"]"#, "not a JSON object"),
        (r#"{"salt":"s","key":"k"}"#, "`scheme` is missing"),
        (
            r#"{"scheme":"sha"}"#,
            "unknown scheme \"sha\"; write slot, murmur3_x86_32",
        ),
        (r#"{"scheme":"slot","salt":"s"}"#, "`key` is missing"),
        (
            r#"{"scheme":"slot","salt":"s","key":7}"#,
            "`key` is 7, not text; write it in quotes",
        ),
        (
            r#"{"scheme":"murmur3_x86_32","text":"t","seed":-1}"#,
            "`seed` is -1; write a whole number from 0 to 4294967295",
        ),
        (
            r#"{"scheme":"unleash","group":"g","id":"i","normalizer":0,"seed":0}"#,
            "`normalizer` is 0; write the number of values",
        ),
        (
            r#"{"scheme":"flagd","flag_key":"f","targeting_key":"u","weights":[["a",0.5]]}"#,
            "`weights` is not a list of names and whole numbers",
        ),
        (
            r#"{"scheme":"launchdarkly","seed":"x","value":"v"}"#,
            "`seed` is not a whole number; write one, or null",
        ),
    ];
    for (line, message) in table {
        let good = r#"{"scheme":"slot","salt":"s","key":"k"}"#;
        let output = serinus_hash(&format!("{good}\n{line}\n{good}\n"));
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(said.contains("standard input:2: "), "{said}");
        assert!(said.contains(message), "{said}");
        assert_eq!(
            answers(&output).len(),
            1,
            "the line before is answered: {line}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_serinus"))
        .args(["hash", "no-such-file.jsonl"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file.jsonl: "));
}

#[test]
fn the_example_in_the_help_is_what_the_command_answers() {
    let output = Command::new(env!("CARGO_BIN_EXE_serinus"))
        .args(["hash", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let (_, example) = help.split_once("$ echo '").expect("an example");
    let (case, rest) = example.split_once("' | serinus hash\n").unwrap();
    let answer = rest.lines().next().unwrap().trim();
    let output = serinus_hash(case);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), answer);
}
