//! The walls of the house: who may name what.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

/// All Rust files below `folder` that are no tests, but not those below `except`.
fn sources(folder: &str, except: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap();
        let is_test = stem == "testing" || stem == "tests" || stem.ends_with("_tests");
        if is_test || except.iter().any(|except| path == root.join(except)) {
            continue;
        }
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod tests {").next();
            found.push((path, code.unwrap_or_default().to_owned()));
        }
    }
    assert!(!found.is_empty());
    found
}

/// Fails for each file that has one of `words` in a line that is code.
fn nobody_says(files: &[(PathBuf, String)], words: &[&str]) {
    for (path, text) in files {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let said = words.iter().find(|word| line.contains(**word));
            assert!(said.is_none(), "{} says {said:?}: {line}", path.display());
        }
    }
}

#[test]
fn only_the_plugin_names_the_host() {
    let core = sources("src", &["src/plugin"]);
    nobody_says(
        &core,
        &["proxy_wasm", "proxy_on", "hostcalls", "wasm_import_module"],
    );
}

#[test]
fn the_core_is_told_the_time_and_never_logs() {
    let core = sources("src", &["src/plugin", "src/bin"]);
    nobody_says(
        &core,
        &[
            "SystemTime",
            "Instant::",
            "println!",
            "eprintln!",
            "log::",
            "std::env",
            "std::fs",
        ],
    );
}

#[test]
fn assign_health_gate_and_shadow_do_not_know_each_other_or_the_policy() {
    for (folder, others) in [
        (
            "src/assign",
            ["crate::health", "crate::gate", "crate::shadow"],
        ),
        (
            "src/gate",
            ["crate::assign", "crate::health", "crate::shadow"],
        ),
        (
            "src/shadow",
            ["crate::assign", "crate::health", "crate::gate"],
        ),
    ] {
        let files = sources(folder, &[]);
        nobody_says(&files, &others);
        nobody_says(&files, &["crate::policy", "crate::report", "crate::plugin"]);
    }
}

#[test]
fn health_knows_of_the_others_only_decisions_and_in_one_file_what_the_gate_is_told() {
    let strangers = [
        "crate::shadow",
        "crate::policy",
        "crate::report",
        "crate::plugin",
    ];
    nobody_says(&sources("src/health", &[]), &strangers);
    let others = sources("src/health", &["src/health/tick.rs"]);
    nobody_says(&others, &["crate::gate"]);
}

#[test]
fn a_rescue_knows_what_is_changed_on_a_request_and_what_an_answer_came_to() {
    let strangers = [
        "crate::gate",
        "crate::shadow",
        "crate::policy",
        "crate::report",
        "crate::plugin",
    ];
    nobody_says(
        &sources("src/rescue", &["src/rescue/shape.rs"]),
        &["crate::assign"],
    );
    nobody_says(&sources("src/rescue", &[]), &strangers);
    for folder in ["src/assign", "src/health", "src/gate", "src/shadow"] {
        nobody_says(&sources(folder, &[]), &["crate::rescue"]);
    }
}

#[test]
fn only_the_policy_knows_yaml_and_only_it_tokens_and_what_is_said_know_json() {
    let others = sources("src", &["src/policy", "src/bin"]);
    nobody_says(&others, &["saphyr", "schemars"]);
    let json = ["src/assign/read/jwt.rs", "src/report/", "src/text.rs"];
    let others = sources("src", &[&["src/policy", "src/bin"], &json[..]].concat());
    nobody_says(&others, &["serde_json"]);
}

#[test]
fn patterns_are_compiled_while_a_policy_is_read_and_never_later() {
    let others = sources("src", &["src/policy/check"]);
    nobody_says(
        &others,
        &["RegexBuilder", "Regex::new(&", "VersionReq::parse"],
    );
}

#[test]
fn no_file_asks_to_be_let_off_the_lints_against_panics() {
    // Its one exception is a table that the compiler computes: a wrong index would not compile.
    let core = sources("src", &["src/shadow/crc32.rs"]);
    nobody_says(
        &core,
        &[
            "allow(clippy::unwrap",
            "allow(clippy::expect",
            "allow(clippy::panic",
            "allow(clippy::indexing",
            "allow(clippy::string_slice",
        ],
    );
}
