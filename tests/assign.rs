//! Who gets which variant, from a policy's text to the decision and what it changes.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use serinus::assign::decide::{Decision, Reason};
use serinus::assign::edits::{Edits, strip};
use serinus::assign::gates::Gates;
use serinus::assign::ramp::Millis;
use serinus::policy::{self, Policy, yaml};
use serinus::report::explain;
use serinus::request::{Header, Request, address};

fn policy(text: &str) -> Policy {
    let tree = yaml::read(text).unwrap().remove(0);
    policy::check(&tree).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// Runs `test` with the decision for a request, at a moment, from 192.0.2.7.
fn at<T>(
    policy: &Policy,
    now: i64,
    target: &str,
    headers: &[(&str, &str)],
    test: impl FnOnce(&Request<'_>, Decision<'_>) -> T,
) -> T {
    let mut lines: Vec<Header<'_>> = vec![(b":method", b"GET"), (b":path", target.as_bytes())];
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    let source = || address(b"192.0.2.7:1");
    let request = Request::new(&lines, &source);
    let mut drawn = 0_u8;
    let decision = policy
        .assigner
        .decide(&request, Millis(now), &Gates::OPEN, &mut || {
            drawn += 1;
            Some([drawn; 16])
        });
    test(&request, decision)
}

fn decided<T>(
    policy: &Policy,
    target: &str,
    headers: &[(&str, &str)],
    test: impl FnOnce(&Request<'_>, Decision<'_>) -> T,
) -> T {
    at(policy, 0, target, headers, test)
}

/// `variant reason` of a decision.
fn verdict(policy: &Policy, target: &str, headers: &[(&str, &str)]) -> String {
    decided(policy, target, headers, |_, decision| {
        let side = decision
            .route
            .map_or("stable", |route| route.side_name(decision.side));
        format!("{side} {}", decision.reason)
    })
}

/// The request's headers once the filter is done with it.
fn sent_on(policy: &Policy, target: &str, headers: &[(&str, &str)]) -> Vec<(String, String)> {
    decided(policy, target, headers, |request, decision| {
        let mut edits: Edits<'_> = strip(request, policy.assigner.trust);
        edits.enforce(&policy.assigner, request, &decision);
        let mut lines: Vec<(String, String)> = request
            .headers()
            .iter()
            .filter(|(name, _)| !edits.remove.contains(name))
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        for (name, value) in &edits.set {
            lines.retain(|(line, _)| line != name);
            lines.push(((*name).to_owned(), text(value)));
        }
        lines.retain(|(name, _)| name != ":method");
        lines
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn named(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

const SHOP: &str = r#"
routes:
- name: shop
  match: {path: {prefix: /shop}}
  key: [{header: x-user-id}, {issueCookie: serinus}]
  variants:
  - {name: canary, share: "10%", setHeaders: {x-api: "2"}, rewritePath: {prefix: /shop/get, with: /v2}}
  - {name: green, share: "20%"}
  rules:
  - {name: mark, when: [{header: x-mark, present: true}], then: {setHeaders: {x-marked: "yes"}}}
  - {name: staff, when: [{header: x-employee, exact: "true"}], then: {variant: canary}}
  - {name: never, when: [{header: x-employee, present: true}], then: {variant: stable}}
  - {name: old, when: [{query: v, number: "<2"}], then: {respond: {status: 426, body: refresh}}}
- name: rest
  match: {path: {prefix: /}}
"#;

#[test]
fn the_first_route_that_matches_decides_and_without_one_it_is_stable() {
    let policy = policy(SHOP);
    assert_eq!(
        verdict(&policy, "/other", &[("x-user-id", "a")]),
        "stable no-key"
    );
    assert_eq!(verdict(&policy, "*", &[]), "stable no-route");
    let name = decided(&policy, "/shop", &[], |_, d| d.route.unwrap().name.clone());
    assert_eq!(name, "shop");
}

#[test]
fn a_share_of_callers_gets_each_variant_and_always_the_same() {
    let policy = policy(SHOP);
    let mut counts = std::collections::BTreeMap::new();
    for user in 0..20_000 {
        let user = format!("user-{user}");
        let headers = [("x-user-id", user.as_str())];
        let first = verdict(&policy, "/shop", &headers);
        assert_eq!(first, verdict(&policy, "/shop/else?x=1", &headers));
        *counts.entry(first).or_insert(0) += 1;
    }
    // Three standard deviations of a binomial count.
    let near = |count: i32, share: f64| {
        let n = 20_000.0;
        (f64::from(count) - n * share).abs() < 3.0 * (n * share * (1.0 - share)).sqrt()
    };
    assert!(near(counts["canary share"], 0.1), "{counts:?}");
    assert!(near(counts["green share"], 0.2), "{counts:?}");
    assert_eq!(counts.len(), 3, "{counts:?}");
}

#[test]
fn a_rule_decides_before_the_share_and_changes_nothing_of_it() {
    let policy = policy(SHOP);
    let user = (0..)
        .map(|n| format!("user-{n}"))
        .find(|user| verdict(&policy, "/shop", &[("x-user-id", user)]) == "stable rest");
    let user = user.unwrap();
    let with = |value| [("x-user-id", user.as_str()), ("x-employee", value)];
    assert_eq!(verdict(&policy, "/shop", &with("true")), "canary rule");
    assert_eq!(verdict(&policy, "/shop", &with("false")), "stable rule");
    assert_eq!(
        verdict(&policy, "/shop", &[("x-user-id", &user)]),
        "stable rest"
    );
}

#[test]
fn a_rule_that_only_sets_headers_goes_on_to_the_next() {
    let policy = policy(SHOP);
    let headers = [("x-mark", "1"), ("x-employee", "true")];
    assert_eq!(verdict(&policy, "/shop", &headers), "canary rule");
    let sent = sent_on(&policy, "/shop", &headers);
    assert!(sent.contains(&named("x-marked", "yes")), "{sent:?}");
    assert!(sent.contains(&named("x-api", "2")), "{sent:?}");
}

#[test]
fn a_rule_can_answer_instead() {
    let policy = policy(SHOP);
    decided(&policy, "/shop?v=1.5", &[], |_, decision| {
        assert_eq!(decision.respond.unwrap().status, 426);
        assert_eq!(decision.reason, Reason::Rule);
    });
}

#[test]
fn a_variant_is_told_and_its_path_rewritten_with_the_query_kept() {
    let policy = policy(SHOP);
    let sent = sent_on(&policy, "/shop/get/7?q=%2F&r", &[("x-employee", "true")]);
    assert_eq!(
        sent,
        [
            named("x-employee", "true"),
            named("x-serinus-variant", "canary"),
            named("x-serinus-route", "shop"),
            named("x-api", "2"),
            named(":path", "/v2/7?q=%2F&r"),
        ]
    );
}

#[test]
fn stable_goes_on_as_it_came() {
    let policy = policy(SHOP);
    let headers = [("x-employee", "no"), ("baggage", "a=1")];
    let sent = sent_on(&policy, "/shop/get", &headers);
    assert_eq!(
        sent,
        [
            named(":path", "/shop/get"),
            named("x-employee", "no"),
            named("baggage", "a=1")
        ]
    );
}

#[test]
fn at_an_edge_the_filters_own_go_first_with_or_without_a_route() {
    let policy = policy(SHOP);
    let headers = [
        ("x-serinus-variant", "canary"),
        ("x-serinus-variant", "again"),
        ("X-Serinus-Route", "shop"),
        ("x-serinus-anything", "1"),
        ("baggage", "serinus=shop:canary,user=anna"),
    ];
    for target in ["/shop", "*"] {
        let sent = sent_on(&policy, target, &headers);
        assert_eq!(
            sent,
            [named(":path", target), named("baggage", "user=anna")]
        );
    }
    let only = [("baggage", "serinus=shop:canary")];
    assert_eq!(sent_on(&policy, "*", &only), [named(":path", "*")]);
}

#[test]
fn a_caller_without_a_key_is_issued_one_and_drawn_with_it() {
    let policy = policy(SHOP);
    decided(&policy, "/shop", &[("x-user-id", "")], |_, decision| {
        let (_, id) = decision.issued.unwrap();
        assert!(decision.slot.is_some());
        assert_eq!(id.as_bytes(), "01".repeat(16).as_bytes());
        assert_eq!(decision.key.unwrap().to_string(), "issueCookie:serinus");
    });
    let held = format!("serinus={}", "ab".repeat(16));
    decided(&policy, "/shop", &[("cookie", &held)], |_, decision| {
        assert!(decision.issued.is_none() && decision.slot.is_some());
    });
    decided(
        &policy,
        "/shop",
        &[("cookie", "serinus=ABC")],
        |_, decision| {
            assert!(decision.issued.is_some());
        },
    );
    decided(&policy, "/shop", &[("x-user-id", "anna")], |_, decision| {
        assert!(decision.issued.is_none());
    });
}

#[test]
fn the_first_key_that_is_not_empty_counts() {
    let policy = policy(
        "routes: [{name: r, key: [{header: a}, {cookie: b}, {clientIp: {}}], \
         variants: [{name: c, share: \"50%\"}]}]",
    );
    for (headers, key) in [
        (&[("a", "1"), ("cookie", "b=2")][..], "header:a"),
        (&[("a", ""), ("cookie", "b=2")], "cookie:b"),
        (&[("cookie", "b=")], "clientIp"),
    ] {
        decided(&policy, "/", headers, |_, decision| {
            assert_eq!(decision.key.unwrap().to_string(), key);
        });
    }
}

#[test]
fn a_ramp_moves_by_the_clock_and_moves_nobody_back() {
    let policy = policy(
        "routes: [{name: r, key: [{header: x}], variants: [{name: c, ramp: \
         {start: 1970-01-01T00:00:10Z, steps: [1%, 10%, 50%], every: 10s}}]}]",
    );
    let in_canary = |now: i64| -> Vec<String> {
        let users = (0..3000).map(|n| format!("user-{n}"));
        users
            .filter(|user| {
                at(&policy, now, "/", &[("x", user)], |_, d| {
                    d.reason == Reason::Share
                })
            })
            .collect()
    };
    let steps = [
        in_canary(9_999),
        in_canary(10_000),
        in_canary(20_000),
        in_canary(99_000),
    ];
    assert!(steps[0].is_empty());
    for pair in steps.windows(2) {
        assert!(pair[0].len() < pair[1].len());
        assert!(pair[0].iter().all(|user| pair[1].contains(user)));
    }
}

const MESH: &str = r#"
trust: mesh
report: {baggage: true}
routes:
- name: cart
  match: {path: {prefix: /cart}}
  follow: shop
  key: [{header: x-user-id}]
  variants: [{name: canary, share: "0%"}]
- name: shop
  key: [{header: x-user-id}]
  variants: [{name: canary, share: "0%"}]
"#;

#[test]
fn in_the_mesh_a_hop_before_is_honoured() {
    let policy = policy(MESH);
    for headers in [
        &[("baggage", "serinus=shop:canary")][..],
        &[("x-serinus-route", "shop"), ("x-serinus-variant", "canary")],
    ] {
        assert_eq!(verdict(&policy, "/", headers), "canary carried");
        assert_eq!(verdict(&policy, "/cart", headers), "canary carried");
    }
    assert_eq!(
        verdict(&policy, "/", &[("baggage", "serinus=shop:stable")]),
        "stable carried"
    );
    for baggage in [
        "serinus=shop:unknown",
        "serinus=other:canary",
        "serinus=%ff",
        "serinus",
    ] {
        let headers = [("baggage", baggage), ("x-user-id", "a")];
        assert_eq!(verdict(&policy, "/", &headers), "stable rest", "{baggage}");
    }
}

#[test]
fn baggage_goes_on_merged_with_what_the_caller_sent() {
    let policy = policy(MESH);
    let headers = [
        ("baggage", "serinus=shop:canary,user=anna;p=1"),
        ("baggage", "b=2"),
    ];
    let sent = sent_on(&policy, "/cart", &headers);
    let baggage: Vec<_> = sent.iter().filter(|(name, _)| name == "baggage").collect();
    assert_eq!(
        baggage,
        [&named(
            "baggage",
            "user=anna;p=1,b=2,serinus=shop:canary.cart:canary"
        )]
    );
    let sent = sent_on(&policy, "/", &[("x-user-id", "a")]);
    assert!(
        sent.contains(&named("baggage", "serinus=shop:stable")),
        "{sent:?}"
    );
}

#[test]
fn in_the_mesh_a_decision_for_stable_takes_back_what_another_route_was_told() {
    let policy = policy(MESH);
    let headers = [
        ("x-serinus-route", "other"),
        ("x-serinus-variant", "canary"),
    ];
    let sent = sent_on(&policy, "/", &headers);
    assert!(
        sent.iter().all(|(name, _)| !name.starts_with("x-serinus")),
        "{sent:?}"
    );
}

#[test]
fn observing_decides_and_changes_nothing() {
    let policy = policy(&format!("mode: observe\n{SHOP}"));
    let headers = [("x-employee", "true")];
    assert_eq!(verdict(&policy, "/shop", &headers), "canary rule");
    let sent = sent_on(&policy, "/shop/get", &headers);
    assert_eq!(
        sent,
        [named(":path", "/shop/get"), named("x-employee", "true")]
    );
}

#[test]
fn an_explanation_names_the_keys_source_and_never_its_value() {
    let policy = policy(SHOP);
    let headers = [("x-user-id", "anna-secret")];
    let told = decided(&policy, "/shop", &headers, |_, decision| {
        explain::explanation(&decision, policy.assigner.mode, Millis(0), &Gates::OPEN)
    });
    let slot = decided(&policy, "/shop", &headers, |_, d| d.slot.unwrap().get());
    assert_eq!(
        told,
        format!(
            "route=shop; variant=canary; reason=share; key=header:x-user-id; slot={slot}; share=100000"
        )
    );
    let told = decided(
        &policy,
        "/shop",
        &[("x-employee", "true")],
        |_, decision| {
            explain::explanation(&decision, policy.assigner.mode, Millis(0), &Gates::OPEN)
        },
    );
    assert_eq!(
        told,
        "route=shop; variant=canary; reason=rule; rule=staff; share=100000"
    );
}

#[test]
fn one_hundred_thousand_keys_at_one_percent_are_within_three_sigma_and_stay_at_two() {
    let at_share = |share: &str| {
        policy(&format!(
            "routes: [{{name: checkout, key: [{{header: x}}], variants: [{{name: c, share: \"{share}\"}}]}}]"
        ))
    };
    let (one, two) = (at_share("1%"), at_share("2%"));
    let mut count = 0;
    for n in 0..100_000 {
        let user = format!("user-{n}");
        let headers = [("x", user.as_str())];
        if verdict(&one, "/", &headers) == "c share" {
            count += 1;
            assert_eq!(verdict(&two, "/", &headers), "c share", "{user}");
        }
    }
    let sigma = (100_000.0_f64 * 0.01 * 0.99).sqrt();
    assert!((f64::from(count) - 1000.0).abs() < 3.0 * sigma, "{count}");
}

proptest::proptest! {
    #[test]
    fn no_request_makes_the_core_panic(
        target in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        headers in proptest::collection::vec(
            ("(x-user-id|cookie|baggage|authorization|x-serinus-[a-z]{0,5}|host|x-employee)",
             proptest::collection::vec(proptest::num::u8::ANY, 0..200)),
            0..12,
        ),
    ) {
        for text in [SHOP, MESH, include_str!("policies/full.yaml")] {
            let policy = policy(text);
            let mut lines: Vec<Header<'_>> = vec![(b":method", b"GET"), (b":path", &target)];
            lines.extend(headers.iter().map(|(name, value)| (name.as_bytes(), &value[..])));
            let source = || None;
            let request = Request::new(&lines, &source);
            let decision = policy.assigner.decide(&request, Millis(0), &Gates::OPEN, &mut || None);
            let mut edits = strip(&request, policy.assigner.trust);
            edits.enforce(&policy.assigner, &request, &decision);
            explain::explanation(&decision, policy.assigner.mode, Millis(0), &Gates::OPEN);
        }
    }
}
