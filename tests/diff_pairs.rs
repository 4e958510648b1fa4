//! Every pair of the comparison corpus, through the library on the target at hand. On wasm32 this
//! runs in Node.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "the tool also reads files")]
#[path = "../src/bin/serinus/response.rs"]
mod response;

use response::Owned;
use serde_json::Value;
use serinus::shadow::compare::{Difference, IgnoreRules, Kind, Settings, compare};

type Found = Vec<(String, Kind, u64)>;

struct Case {
    id: String,
    method: String,
    settings: Settings,
    left: Owned,
    right: Owned,
    expected: Found,
}

impl Case {
    fn found(&self, left: &Owned, right: &Owned) -> Found {
        let comparison = compare(&self.method, &left.view(), &right.view(), &self.settings);
        assert_eq!(comparison.unnamed, 0, "{}", self.id);
        let entry = |of: &Difference| (of.path.clone(), of.kind, of.count);
        comparison.differences.iter().map(entry).collect()
    }
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn cases() -> Vec<Case> {
    let corpus: Value = serde_json::from_str(include_str!("diff/pairs.json")).unwrap();
    let case = |case: &Value| {
        let ignore = texts(&case["options"]["ignore"]);
        let also = texts(&case["options"]["headers_also"]);
        let difference = |of: &Value| {
            let kind = Kind::ALL
                .into_iter()
                .find(|kind| kind.name() == of["kind"])
                .unwrap();
            (
                of["path"].as_str().unwrap().to_owned(),
                kind,
                of["count"].as_u64().unwrap(),
            )
        };
        let mut expected: Found = case["expected"]
            .as_array()
            .unwrap()
            .iter()
            .map(difference)
            .collect();
        expected.sort();
        Case {
            id: case["id"].as_str().unwrap().to_owned(),
            method: case["method"].as_str().unwrap_or("GET").to_owned(),
            settings: Settings {
                ignore: IgnoreRules::new(ignore.iter().map(String::as_str)).unwrap(),
                headers_also: also.iter().map(|name| name.to_ascii_lowercase()).collect(),
                ..Settings::default()
            },
            left: Owned::read(&case["left"]).unwrap(),
            right: Owned::read(&case["right"]).unwrap(),
            expected,
        }
    };
    let cases: Vec<Case> = corpus["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(case)
        .collect();
    assert!(cases.len() > 200);
    cases
}

#[cfg_attr(not(target_arch = "wasm32"), test)]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn every_pair_gives_exactly_its_differences() {
    for case in cases() {
        assert_eq!(
            case.found(&case.left, &case.right),
            case.expected,
            "{}",
            case.id
        );
    }
}

#[cfg_attr(not(target_arch = "wasm32"), test)]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn nothing_differs_from_itself() {
    for case in cases() {
        assert_eq!(case.found(&case.left, &case.left), [], "{}", case.id);
        assert_eq!(case.found(&case.right, &case.right), [], "{}", case.id);
    }
}

#[cfg_attr(not(target_arch = "wasm32"), test)]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn a_swapped_pair_has_missing_and_extra_exchanged() {
    for case in cases() {
        let mirrored = case
            .expected
            .iter()
            .map(|(path, kind, count)| (path.clone(), kind.mirrored(), *count));
        let mut mirrored: Found = mirrored.collect();
        mirrored.sort();
        assert_eq!(case.found(&case.right, &case.left), mirrored, "{}", case.id);
    }
}
