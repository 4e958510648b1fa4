//! `serinus compare` as a program: pairs, verdicts on the streams of the corpus, files for people.
#![cfg(all(not(target_arch = "wasm32"), feature = "cli"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod tool;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Output;

fn run(arguments: &[&str], input: &str) -> Output {
    tool::serinus(&[&["compare"], arguments].concat(), input)
}

fn values(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/diff")
        .join(name)
}

fn read_json(name: &str) -> Value {
    serde_json::from_reader(BufReader::new(File::open(corpus(name)).unwrap())).unwrap()
}

fn gz_lines(name: &str) -> Vec<Value> {
    let reader = BufReader::new(GzDecoder::new(File::open(corpus(name)).unwrap()));
    reader
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn json_lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn pair(left: &str, right: &str) -> Value {
    let side = |body: &str| json!({"status": 200, "body": body});
    json!({"left": side(left), "right": side(right)})
}

#[test]
fn all_pairs_of_the_corpus_are_answered_in_order() {
    let cases = read_json("pairs.json")["cases"].as_array().unwrap().clone();
    let output = run(&[], &json_lines(&cases));
    assert!(output.status.success(), "{}", errors(&output));
    let answers = values(&output);
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(answers) {
        let mut expected = case["expected"].as_array().unwrap().clone();
        let text = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
        expected.sort_by_key(|of| (text(of, "path"), text(of, "kind")));
        assert_eq!(answer, json!({"differences": expected}), "{}", case["id"]);
    }
}

/// The streams, each with stable's further answers beside the lines that they belong to.
fn stream(file: &str) -> Vec<Value> {
    let mut lines = gz_lines(&format!("streams/{file}"));
    for again in gz_lines(&format!("again/{file}")) {
        let line = usize::try_from(again["line"].as_u64().unwrap()).unwrap();
        lines[line]["again"] = again["again"].clone();
    }
    lines
}

fn at(of: &Value) -> (String, String) {
    let text = |name: &str| of[name].as_str().unwrap().to_owned();
    (text("path"), text("kind"))
}

#[test]
fn verdicts_on_the_streams_are_the_truth() {
    let truth = read_json("truth.json");
    for stream_truth in truth["streams"].as_array().unwrap() {
        let id = &stream_truth["id"];
        let count = |name: &str| stream_truth[name].as_u64().unwrap();
        let (raw, noise) = (count("raw_comparisons"), count("noise_comparisons"));
        let share = (raw as f64 / (raw + noise) as f64).to_string();
        let lines = stream(stream_truth["file"].as_str().unwrap());
        let output = run(&["--verdict", "--raw-share", &share], &json_lines(&lines));
        assert!(output.status.success(), "{id}: {}", errors(&output));
        let answer = values(&output).pop().unwrap();
        assert_eq!(
            (answer["raw"].as_u64(), answer["noise"].as_u64()),
            (Some(raw), Some(noise))
        );

        let list = |name: &str| stream_truth[name].as_array().cloned().unwrap_or_default();
        let mut allowed = list("also_ok");
        allowed.push(stream_truth["expected"].clone());
        if stream_truth["hard"] == true {
            allowed.extend([json!("hold"), json!("pass")]);
        }
        assert!(
            allowed.contains(&answer["verdict"]),
            "{id}: {}",
            answer["verdict"]
        );

        let worse = answer["paths"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|of| of["worse"] == true);
        let worse: BTreeSet<_> = worse.map(at).collect();
        let regression: BTreeSet<_> = list("regression").iter().map(at).collect();
        assert!(worse.is_subset(&regression), "{id}: {worse:?}");
        assert_eq!(answer["verdict"] == "fail", !worse.is_empty(), "{id}");
    }
}

#[test]
fn without_further_answers_the_labels_alone_find_what_is_plain() {
    let lines: Vec<Value> = gz_lines("streams/s04-plans.jsonl.gz");
    let output = run(&["--verdict", "--exit-code"], &json_lines(&lines));
    assert_eq!(output.status.code(), Some(1));
    let answer = values(&output).pop().unwrap();
    assert_eq!(
        (&answer["verdict"], &answer["confirming"]),
        (&json!("fail"), &json!(0))
    );
}

#[test]
fn the_exit_code_says_what_was_found_only_when_asked() {
    let (same, other) = (json_lines(&[pair("1", "1")]), json_lines(&[pair("1", "2")]));
    for (arguments, input, code) in [
        (&[][..], &other, 0),
        (&["--exit-code"][..], &same, 0),
        (&["--exit-code"][..], &other, 1),
        (&["--exit-code", "--verdict"][..], &String::new(), 0),
    ] {
        assert_eq!(
            run(arguments, input).status.code(),
            Some(code),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_bad_line_ends_the_command_with_its_number_and_what_to_write() {
    let good = json_lines(&[pair("1", "2")]);
    for (line, arguments, part) in [
        ("{", &[][..], "EOF"),
        ("{}", &[][..], "left: missing"),
        (
            r#"{"left":{"status":200},"right":{}}"#,
            &[][..],
            "right: status",
        ),
        (
            r#"{"left":{"status":1},"right":{"status":1},"options":{"ignore":["x"]}}"#,
            &[][..],
            "write",
        ),
        (
            r#"{"left":{"status":1},"right":{"status":1},"options":{"headers_also":1}}"#,
            &[][..],
            "headers_also",
        ),
        (
            r#"{"left":{"status":1},"right":{"status":1}}"#,
            &["--verdict"][..],
            "kind",
        ),
    ] {
        let input = format!(
            "{}\n{line}\n",
            if arguments.is_empty() {
                good.trim_end()
            } else {
                ""
            }
        );
        let output = run(arguments, &input);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            said.contains("standard input:2: ") && said.contains(part),
            "{said}"
        );
        assert_eq!(values(&output).len(), usize::from(arguments.is_empty()));
    }
    for arguments in [
        &["--raw-share", "1"][..],
        &["--verdict", "a", "b"],
        &["a", "b", "c"],
        &["nowhere"],
    ] {
        assert_eq!(run(arguments, "").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn bodies_past_the_bound_say_so() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![b' '; 65 << 20]).unwrap();
    let bomb = STANDARD.encode(encoder.finish().unwrap());
    let headers = json!([
        ["content-type", "application/json"],
        ["content-encoding", "gzip"]
    ]);
    let large = json!({"status": 200, "headers": headers, "body_base64": bomb});
    let other = json!({"status": 200, "headers": headers});
    let output = run(&[], &json_lines(&[json!({"left": large, "right": other})]));
    assert_eq!(
        values(&output),
        [json!({"differences": [], "bodies": "too large"})]
    );

    let endless = json!({"status": 200, "body_generate": {"repeat": "x", "times": u64::MAX}});
    let output = run(
        &[],
        &json_lines(&[json!({"left": endless, "right": other})]),
    );
    assert!(
        errors(&output).contains("left: body_generate: more than"),
        "{}",
        errors(&output)
    );
}

#[test]
fn two_files_are_compared_for_people() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare_files");
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let body = file(
        "body.json",
        r#"{"items": [{"price": 19.90}, {"price": 5}], "user": {"id": 1}}"#,
    );
    let other = file(
        "other.json",
        r#"{"items": [{"price": 20}, {"price": 5.5}], "tags": []}"#,
    );
    let http = file(
        "http.txt",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n{\"a\": [2, 1]}",
    );
    let object = json!({
        "status": 200, "headers": [["content-type", "application/json"]], "body": "{\"a\": [1, 2]}"
    });
    let object = file("object.json", &object.to_string());
    let said = |left: &str, right: &str| {
        let output = run(&[left, right], "");
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        said(&body, &other),
        "3 differences\n\
         \x20 value    /items/*/price  x2     19.9 -> 20\n\
         \x20 extra    /tags                  nothing -> []\n\
         \x20 missing  /user                  {\"id\":1} -> nothing\n"
    );
    assert_eq!(
        said(&object, &http),
        "2 differences\n\
         \x20 order    /a                           [1,2] -> [2,1]\n\
         \x20 header   header:cache-control         nothing -> no-store\n"
    );
    assert_eq!(said(&body, &body), "no difference\n");
    assert_eq!(
        run(&[&body, &other, "--exit-code"], "").status.code(),
        Some(1)
    );
    assert_eq!(run(&[&body, "nowhere.json"], "").status.code(), Some(2));
}

const POLICY: &str = r#"{"routes": [
    {"name": "plain", "key": [{"header": "x"}], "variants": [{"name": "canary", "share": "1%"}]},
    {"name": "shop", "shadow": {"cluster": "v2", "stableCluster": "v1", "ignore": ["/at"]}}]}"#;

#[test]
fn a_policys_shadow_says_what_is_compared_unless_a_line_does() {
    let file = std::env::temp_dir().join(format!("serinus-compare-{}.json", std::process::id()));
    std::fs::write(&file, POLICY).unwrap();
    let by_policy = ["--policy", file.to_str().unwrap(), "--route", "shop"];
    let different = pair(r#"{"at": 1, "price": 1}"#, r#"{"at": 2, "price": 2}"#);
    let mut ignoring = different.clone();
    ignoring["options"] = json!({"ignore": ["/price"]});
    let found = values(&run(&by_policy, &json_lines(&[different, ignoring])));
    let paths = |line: &Value| line["differences"][0]["path"].as_str().map(str::to_owned);
    let found: Vec<Option<String>> = found.iter().map(paths).collect();
    assert_eq!(found, [Some("/price".to_owned()), Some("/at".to_owned())]);
    let without = run(&["--policy", by_policy[1], "--route", "plain"], "");
    assert_eq!(without.status.code(), Some(2));
    assert!(errors(&without).contains("has no `shadow` that compares"));
    let unknown = run(&["--policy", by_policy[1], "--route", "shp"], "");
    assert!(errors(&unknown).contains("it has no route `shp`; write one of plain, shop"));
    std::fs::remove_file(&file).unwrap();
}
