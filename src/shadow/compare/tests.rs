//! The comparison as a whole: against its plain definition, on hostile input, and by its cost.

use super::{Bodies, Comparison, IgnoreRules, Kind, Limits, Response, Settings, compare};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

type Found = BTreeMap<(String, Kind), u64>;

fn typed(media_type: &str) -> Vec<(String, Vec<u8>)> {
    vec![("content-type".to_owned(), media_type.into())]
}

fn bodies(media_type: &str, left: &[u8], right: &[u8], settings: &Settings) -> Comparison {
    let headers = typed(media_type);
    let answer = |body| Response {
        status: 200,
        headers: &headers,
        body: Some(body),
        trailers: &[],
    };
    compare("GET", &answer(left), &answer(right), settings)
}

fn json(left: &str, right: &str) -> Comparison {
    bodies(
        "application/json",
        left.as_bytes(),
        right.as_bytes(),
        &Settings::default(),
    )
}

fn found(comparison: &Comparison) -> Found {
    let entry = |of: &super::Difference| ((of.path.clone(), of.kind), of.count);
    comparison.differences.iter().map(entry).collect()
}

fn ignoring(rules: &[&str]) -> Settings {
    let ignore = IgnoreRules::new(rules.iter().copied()).unwrap();
    Settings {
        ignore,
        ..Settings::default()
    }
}

/// The definition, as it stands: recursive, quadratic, and by positions.
fn defined(path: &str, left: &Value, right: &Value, found: &mut Found) {
    let mut note = |path: String, kind| *found.entry((path, kind)).or_default() += 1;
    let type_of = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    };
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let at = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
            a.keys()
                .filter(|name| !b.contains_key(*name))
                .for_each(|name| note(at(name), Kind::Missing));
            b.keys()
                .filter(|name| !a.contains_key(*name))
                .for_each(|name| note(at(name), Kind::Extra));
            for (name, a) in a {
                if let Some(b) = b.get(name) {
                    defined(&at(name), a, b, found);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                note(path.to_owned(), Kind::Length);
            } else if a != b {
                let mut rest = b.clone();
                let matched = a.iter().all(|value| {
                    let place = rest.iter().position(|other| other == value);
                    place.map(|place| rest.remove(place)).is_some()
                });
                if matched {
                    note(path.to_owned(), Kind::Order);
                    return;
                }
            }
            a.iter()
                .zip(b)
                .for_each(|(a, b)| defined(&format!("{path}/*"), a, b, found));
        }
        _ if type_of(left) != type_of(right) => note(path.to_owned(), Kind::Type),
        _ if left != right => note(path.to_owned(), Kind::Value),
        _ => {}
    }
}

/// Small documents of few different values, so that they often share parts.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_i64..3).prop_map(Value::from),
        "[ab]?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop_oneof![
            "[ab]",
            Just("*".to_owned()),
            Just("~/".to_owned()),
            Just("0".to_owned())
        ];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((name, inner), 0..4).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Removes `/a` anywhere below the root, as the rule `/**/a` does to members.
fn without_a(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("a");
            members.values_mut().for_each(without_a);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_a),
        _ => {}
    }
}

proptest! {
    #[test]
    fn json_differs_as_its_definition_says(left in documents(), right in documents()) {
        let mut expected = Found::new();
        defined("", &left, &right, &mut expected);
        let comparison = json(&left.to_string(), &right.to_string());
        prop_assert_eq!(found(&comparison), expected);
    }

    #[test]
    fn an_ignored_member_is_as_good_as_absent(left in documents(), right in documents()) {
        let settings = ignoring(&["/**/a"]);
        let (text, other) = (left.to_string(), right.to_string());
        let ignored = bodies("text/json", text.as_bytes(), other.as_bytes(), &settings);
        let (mut left, mut right) = (left, right);
        without_a(&mut left);
        without_a(&mut right);
        prop_assert_eq!(found(&ignored), found(&json(&left.to_string(), &right.to_string())));
    }

    #[test]
    fn exchanged_answers_mirror_the_differences(left in documents(), right in documents()) {
        let (left, right) = (left.to_string(), right.to_string());
        let mirrored: Found = found(&json(&left, &right))
            .into_iter()
            .map(|((path, kind), count)| ((path, kind.mirrored()), count))
            .collect();
        prop_assert_eq!(found(&json(&right, &left)), mirrored);
    }

    #[test]
    fn a_shuffled_array_differs_in_order_alone(
        (list, shuffled) in vec(documents(), 0..20)
            .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle()))
    ) {
        let comparison = json(&Value::from(list.clone()).to_string(), &Value::from(shuffled.clone()).to_string());
        let expected = if list == shuffled { vec![] } else { vec![(("".to_owned(), Kind::Order), 1)] };
        prop_assert_eq!(found(&comparison), Found::from_iter(expected));
    }

    #[test]
    fn white_space_and_the_order_of_members_mean_nothing(document in documents()) {
        let pretty = serde_json::to_string_pretty(&document).unwrap();
        prop_assert!(json(&document.to_string(), &pretty).is_equal());
    }

    #[test]
    fn arbitrary_answers_are_no_harm_and_equal_to_themselves(
        media_type in prop_oneof![
            Just("application/json"), Just("application/x-ndjson"), Just("application/grpc"), Just("")
        ],
        coding in prop_oneof![Just(""), Just("gzip"), Just("deflate"), Just("br")],
        fields in vec(
            ("(content-type|cache-control|set-cookie|allow|grpc-status)", vec(any::<u8>(), 0..20)), 0..4
        ),
        body in prop_oneof![vec(any::<u8>(), 0..100), "[\\[\\]{}\",:0-9a-f\\\\ \n]{0,60}".prop_map(String::into_bytes)],
        other in vec(any::<u8>(), 0..100),
        status in prop_oneof![Just(200_u16), any::<u16>()],
    ) {
        let mut headers = typed(media_type);
        headers.push(("content-encoding".to_owned(), coding.into()));
        headers.extend(fields.clone());
        let left = Response { status, headers: &headers, body: Some(&body), trailers: &fields };
        let right = Response { body: Some(&other), trailers: &[], ..left };
        prop_assert!(compare("GET", &left, &left, &Settings::default()).is_equal());
        compare("GET", &left, &right, &Settings::default());
    }
}

#[test]
fn the_layers_that_are_not_compared_say_why() {
    let headers = typed("application/json");
    let answer = |status, body| Response {
        status,
        headers: &headers,
        body,
        trailers: &[],
    };
    let (one, two) = (answer(200, Some(&b"1"[..])), answer(200, Some(&b"2"[..])));
    let outcome = |method, left: &Response<'_>, right: &Response<'_>, settings: &Settings| {
        let comparison = compare(method, left, right, settings);
        (comparison.bodies, comparison.differences.len())
    };
    let plain = Settings::default();
    assert_eq!(outcome("GET", &one, &two, &plain), (Bodies::Compared, 1));
    assert_eq!(outcome("HEAD", &one, &two, &plain), (Bodies::None, 0));
    assert_eq!(
        outcome("GET", &one, &two, &ignoring(&["/**"])),
        (Bodies::Ignored, 0)
    );
    assert_eq!(
        outcome("GET", &one, &answer(201, None), &plain),
        (Bodies::Explained, 1)
    );
    assert_eq!(
        outcome("GET", &one, &answer(200, None), &plain),
        (Bodies::NotCaptured, 0)
    );
    for status in [100, 199, 204, 205, 304] {
        let (one, two) = (answer(status, one.body), answer(status, two.body));
        assert_eq!(outcome("GET", &one, &two, &plain), (Bodies::None, 0));
    }
    let mut small = Settings::default();
    small.limits.decoded_bytes = 2;
    assert_eq!(
        outcome("GET", &one, &answer(200, Some(b"333")), &small),
        (Bodies::TooLarge, 0)
    );
    // Equal or opaque bytes need no room.
    assert_eq!(
        bodies("text/html", b"333", b"4444", &small).bodies,
        Bodies::Compared
    );
    assert_eq!(
        bodies("text/json", b"333", b"333", &small).bodies,
        Bodies::Compared
    );
    small.limits = Limits {
        values: 3,
        ..Limits::default()
    };
    assert_eq!(
        bodies("text/json", b"[1,2,3]", b"[]", &small).bodies,
        Bodies::TooLarge
    );
}

#[test]
fn an_ignored_grpc_status_leaves_the_bodies_to_compare() {
    let headers = typed("application/grpc");
    let status = |code: &str| vec![("grpc-status".to_owned(), code.into())];
    let (ok, not_found) = (status("0"), status("5"));
    let left = Response {
        status: 200,
        headers: &headers,
        body: Some(b"x"),
        trailers: &ok,
    };
    let right = Response {
        body: Some(b"y"),
        trailers: &not_found,
        ..left
    };
    let kinds = |settings: &Settings| {
        found(&compare("POST", &left, &right, settings))
            .into_keys()
            .map(|(_, kind)| kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&Settings::default()), [Kind::Trailer]);
    assert_eq!(kinds(&ignoring(&["trailer:grpc-status"])), [Kind::Body]);
}

#[test]
fn equal_bodies_cost_a_byte_comparison() {
    let body = "[".repeat(100_000);
    assert_eq!(json(&body, &body).steps, 100_000);
}

#[test]
fn the_cost_is_linear_in_the_bodies() {
    let list = |order: &mut dyn Iterator<Item = usize>| {
        let elements: Vec<String> = order.map(|i| format!("{{\"id\":{i}}}")).collect();
        format!("[{}]", elements.join(","))
    };
    let nested = |leaf: &str| format!("{}{leaf}{}", "[0,1,".repeat(500), "]".repeat(500));
    let keys = |from: usize| {
        let members: Vec<String> = (from..from + 20_000)
            .map(|i| format!("\"k{i}\":{i}"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    for (left, right) in [
        (list(&mut (0..50_000)), list(&mut (0..50_000).rev())),
        (list(&mut (0..50_000)), list(&mut (1..50_001).rev())),
        (nested("[1,2]"), nested("[2,3]")),
        (keys(0), keys(10_000)),
        ("[[1],2]".repeat(10_000), "x".to_owned()),
    ] {
        let size = (left.len() + right.len()) as u64;
        let steps = json(&left, &right).steps;
        assert!(steps < 4 * size, "{steps} for {size}");
    }
}

#[test]
fn long_names_deep_inside_each_other_name_no_more_paths_than_fit() {
    // 100 levels of 1,000 bytes: the 100 paths would come to five times the document.
    let document = |leaf: u8| {
        let level = |n: usize| format!("{{\"x{n}\":{leaf},\"{}\":", "n".repeat(1_000));
        (0..100).map(level).collect::<String>() + "0" + &"}".repeat(100)
    };
    let comparison = json(&document(1), &document(2));
    let text: usize = comparison.differences.iter().map(|of| of.path.len()).sum();
    assert!(text <= Limits::default().path_bytes);
    assert_eq!(
        comparison.differences.len() as u64 + comparison.unnamed,
        100
    );
    assert!(!comparison.is_equal() && comparison.unnamed > 50);
}

#[test]
fn samples_show_the_first_place_of_a_path() {
    let mut settings = Settings::default();
    settings.limits.sample_bytes = 20;
    let left = br#"{"l":[{"p":1},{"p":19.90}],"gone":[true]}"#;
    let right = br#"{"l":[{"p":2},{"p":20}]}"#;
    let comparison = bodies("text/json", left, right, &settings);
    let sample = |at: usize| comparison.differences[at].sample.clone().unwrap();
    assert_eq!(
        (sample(0).left.as_deref(), sample(0).right),
        (Some("[true]"), None)
    );
    assert_eq!(
        (sample(1).left.as_deref(), sample(1).right.as_deref()),
        (Some("1"), Some("2"))
    );
}
