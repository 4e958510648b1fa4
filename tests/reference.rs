//! The committed schema and reference page are those of the code; `make docs` writes them anew.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use serinus::policy::{find, reference};
use serinus::report::metric_reference;
use std::path::Path;

fn fresh(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(file);
    if std::env::var_os("SERINUS_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/{file} is stale: run `make docs` and commit what it writes"
    );
}

#[test]
fn the_schema_is_that_of_the_types() {
    fresh("policy.schema.json", &reference::schema_text());
}

#[test]
fn the_reference_page_is_that_of_the_types() {
    fresh("policy.md", &reference::page());
}

#[test]
fn the_page_of_metrics_is_that_of_the_table() {
    fresh("metrics.md", &metric_reference::page());
}

#[test]
fn the_schema_takes_what_the_filter_takes_and_refuses_unknown_keys() {
    let schema = jsonschema::validator_for(&reference::schema()).unwrap();
    let json = |text: &str| {
        let tree = find::policies(text).unwrap().remove(0).unwrap();
        serde_json::from_str::<serde_json::Value>(&tree.to_json()).unwrap()
    };
    let good = json(include_str!("policies/full.yaml"));
    let problems: Vec<String> = schema
        .iter_errors(&good)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert_eq!(problems, Vec::<String>::new());
    for bad in [
        "routs: []",
        "mode: enforced",
        "name:",
        "explain:",
        "routes: [{name: Shop}]",
        "routes: [{name: r, variants: [{name: c, share: \"0.00001%\"}]}]",
        "routes: [{name: r, key: [{}]}]",
        "routes: [{name: r, rules: [{name: x, when: [{header: a}], then: {}}]}]",
    ] {
        assert!(!schema.is_valid(&json(bad)), "{bad}");
    }
}
