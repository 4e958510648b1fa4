//! Who reaches a variant whose gate is not open.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use proptest::prelude::*;
use serinus::assign::decide::{Decision, Reason};
use serinus::assign::edits::{Edits, strip};
use serinus::assign::gates::{Gate, Gates, Passage};
use serinus::assign::ramp::Millis;
use serinus::assign::route::Side;
use serinus::assign::share::Share;
use serinus::policy::{self, Policy, yaml};
use serinus::report::explain;
use serinus::request::{Header, Request, address};

const SHOP: &str = r#"
trust: mesh
routes:
- name: shop
  key: [{header: x-user-id}, {issueCookie: serinus}]
  variants:
  - {name: canary, share: "10%"}
  - {name: green, share: "20%"}
  rules:
  - {name: mark, when: [{header: x-mark, present: true}], then: {setHeaders: {x-marked: "yes"}}}
  - {name: tester, when: [{header: x-tester, present: true}], then: {variant: canary, evenShut: true}}
  - {name: staff, when: [{header: x-staff, present: true}], then: {variant: canary, setHeaders: {x-beta: "1"}}}
"#;

fn shop() -> Policy {
    policy(SHOP)
}

fn policy(text: &str) -> Policy {
    let tree = yaml::read(text).unwrap().remove(0);
    policy::check(&tree).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn share(ppm: u32) -> Share {
    Share::from_ppm(ppm).unwrap()
}

/// The first variant's gate; the others are open.
fn canary(passage: Passage) -> Gates {
    let gate = Gate {
        passage,
        ..Gate::default()
    };
    Gates::new(vec![vec![gate]])
}

fn probing(ppm: u32) -> Gates {
    canary(Passage::Probing(share(ppm)))
}

fn with<T>(
    policy: &Policy,
    gates: &Gates,
    headers: &[(&str, &str)],
    test: impl FnOnce(&Request<'_>, Decision<'_>) -> T,
) -> T {
    let mut lines: Vec<Header<'_>> = vec![(b":method", b"GET"), (b":path", b"/")];
    let headers = headers.iter();
    lines.extend(headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let source = || address(b"192.0.2.7");
    let request = Request::new(&lines, &source);
    let decision = policy
        .assigner
        .decide(&request, Millis(0), gates, &mut || Some([7; 16]));
    test(&request, decision)
}

/// `variant reason`.
fn verdict(policy: &Policy, gates: &Gates, headers: &[(&str, &str)]) -> String {
    with(policy, gates, headers, |_, decision| {
        let side = decision.route.unwrap().side_name(decision.side);
        format!("{side} {}", decision.reason)
    })
}

fn of_user(policy: &Policy, gates: &Gates, user: u32) -> String {
    verdict(policy, gates, &[("x-user-id", &format!("user-{user}"))])
}

#[test]
fn a_shut_gate_keeps_out_share_rule_and_carried_and_lets_testers_in() {
    let (policy, shut) = (shop(), canary(Passage::Shut));
    for (headers, open, expected) in [
        (&[("x-tester", "1")][..], "canary rule", "canary rule"),
        (&[("x-staff", "1")], "canary rule", "stable gate-shut"),
        (
            &[("x-serinus-route", "shop"), ("x-serinus-variant", "canary")],
            "canary carried",
            "stable gate-shut",
        ),
        (
            &[("x-serinus-route", "shop"), ("x-serinus-variant", "green")],
            "green carried",
            "green carried",
        ),
    ] {
        assert_eq!(verdict(&policy, &Gates::OPEN, headers), open);
        assert_eq!(verdict(&policy, &shut, headers), expected);
    }
    for user in 0..2_000 {
        let expected = match of_user(&policy, &Gates::OPEN, user).as_str() {
            "canary share" => "stable gate-shut".to_owned(),
            other => other.to_owned(),
        };
        assert_eq!(of_user(&policy, &shut, user), expected);
    }
}

#[test]
fn a_probing_gate_lets_in_a_nested_part_of_its_own_callers() {
    let policy = shop();
    let mut let_in = [0; 3];
    for user in 0..5_000 {
        let open = of_user(&policy, &Gates::OPEN, user);
        let mut before = false;
        for (count, ppm) in let_in.iter_mut().zip([10_000, 50_000, 500_000]) {
            let found = of_user(&policy, &probing(ppm), user);
            let is_in = found == "canary share";
            assert!(!before || is_in, "{user} was moved out at {ppm}");
            before = is_in;
            *count += i32::from(is_in);
            match open.as_str() {
                "canary share" if !is_in => assert_eq!(found, "stable gate-probing"),
                _ => assert_eq!(found, open),
            }
        }
    }
    let [few, more, all] = let_in;
    assert!((20..100).contains(&few), "{few} of about 50");
    assert!((170..340).contains(&more), "{more} of about 250");
    // More than its share no variant gets.
    assert!((400..600).contains(&all), "{all} of about 500");
}

#[test]
fn a_probing_gate_lets_in_by_the_same_slots_whoever_chose_the_variant() {
    let policy = shop();
    for user in 0..2_000 {
        let user = format!("user-{user}");
        let by = |header| [("x-user-id", user.as_str()), header];
        let slot = with(&policy, &Gates::OPEN, &by(("x", "")), |_, d| {
            d.slot.unwrap()
        });
        let expected = |reason| match slot.get() < 300_000 {
            true => format!("canary {reason}"),
            false => "stable gate-probing".to_owned(),
        };
        let found = |header| verdict(&policy, &probing(300_000), &by(header));
        assert_eq!(found(("x-staff", "1")), expected("rule"));
        assert_eq!(
            found(("baggage", "serinus=shop:canary")),
            expected("carried")
        );
    }
    let unknown = [("x-staff", "1")];
    assert_eq!(
        verdict(&policy, &probing(999_999), &unknown),
        "stable gate-probing"
    );
    with(&policy, &probing(1), &unknown, |_, decision| {
        assert!(decision.issued.is_none(), "a rule issues no cookie");
    });
    assert_eq!(
        verdict(&policy, &probing(0), &[("x-tester", "1")]),
        "canary rule"
    );
}

#[test]
fn cookies_are_issued_and_drawn_with_before_a_shut_gate_as_before_an_open_one() {
    let policy = shop();
    let drawn = |gates: &Gates| {
        with(&policy, gates, &[], |_, decision| {
            let issued = decision
                .issued
                .as_ref()
                .map(|(cookie, id)| cookie.header(id));
            (issued.unwrap(), decision.slot, decision.caller)
        })
    };
    assert_eq!(drawn(&Gates::OPEN), drawn(&canary(Passage::Shut)));
}

#[test]
fn headers_of_a_rule_whose_variant_is_shut_are_not_set_and_those_of_others_are() {
    let policy = shop();
    let headers = [
        ("x-staff", "1"),
        ("x-mark", "1"),
        ("x-serinus-variant", "x"),
    ];
    let set = |gates: &Gates| {
        with(&policy, gates, &headers, |request, decision| {
            let mut edits: Edits<'_> = strip(request, policy.assigner.trust);
            edits.enforce(&policy.assigner, request, &decision);
            let names: Vec<&str> = edits.set.iter().map(|(name, _)| *name).collect();
            (names.join(" "), edits.remove.len())
        })
    };
    let open = "x-serinus-variant x-serinus-route x-marked x-beta";
    assert_eq!(set(&Gates::OPEN), (open.to_owned(), 0));
    assert_eq!(set(&canary(Passage::Shut)), ("x-marked".to_owned(), 1));
}

#[test]
fn an_explanation_tells_the_gate_and_the_share_that_it_leaves() {
    let policy = shop();
    let told = |gates: &Gates, headers: &[(&str, &str)]| {
        with(&policy, gates, headers, |_, decision| {
            explain::explanation(&decision, policy.assigner.mode, Millis(0), gates)
        })
    };
    assert_eq!(
        told(&canary(Passage::Shut), &[("x-staff", "1")]),
        "route=shop; variant=stable; reason=gate-shut; rule=staff; share=800000"
    );
    let probed = told(&probing(1_000), &[("x-staff", "1")]);
    assert_eq!(
        probed,
        "route=shop; variant=stable; reason=gate-probing; rule=staff; share=799000"
    );
}

#[test]
fn a_ceiling_stops_a_ramp_and_raises_nothing() {
    let policy = policy(
        r#"routes: [{name: r, key: [{header: x}], variants: [{name: c, ramp:
           {start: "1970-01-01T00:00:00Z", steps: ["1%", "50%"], every: 1s}}]}]"#,
    );
    let route = policy.assigner.routes.first().unwrap();
    let gates = Gates::new(vec![vec![Gate {
        ceiling: share(20_000),
        ..Gate::default()
    }]]);
    let at = |millis| route.share_of(Side::Variant(0), Millis(millis), &gates);
    assert_eq!((at(0), at(1_000)), (share(10_000), share(20_000)));
    let stable = route.share_of(Side::Stable, Millis(1_000), &gates);
    assert_eq!(stable, share(980_000));
}

#[test]
fn a_gate_that_a_person_holds_shut_is_shut_and_those_of_others_are_open() {
    let policy = policy(
        r#"routes:
        - {name: a, key: [{header: x}], variants: [{name: c, share: "1%"}], gate: {held: shut}}
        - {name: b, key: [{header: x}], variants: [{name: c, share: "1%"}], gate: {held: open}}
        - {name: c, key: [{header: x}], variants: [{name: c, share: "1%"}]}"#,
    );
    let gates = policy.held_gates();
    let routes = policy.assigner.routes.iter();
    let passages: Vec<_> = routes.map(|route| gates.of(route.id, 0).passage).collect();
    assert_eq!(passages, [Passage::Shut, Passage::Open, Passage::Open]);
}

fn gate() -> impl Strategy<Value = Gate> {
    let share = || (0..=1_000_000_u32).prop_map(share);
    let passage = prop_oneof![
        Just(Passage::Open),
        Just(Passage::Shut),
        share().prop_map(Passage::Probing)
    ];
    (passage, share()).prop_map(|(passage, ceiling)| Gate { passage, ceiling })
}

proptest! {
    #[test]
    fn shut_nobody_reaches_it_and_open_again_the_very_same_do(
        user in "[a-z0-9]{1,12}",
        marks in prop::collection::vec(prop_oneof![
            Just(("x-staff", "1")), Just(("baggage", "serinus=shop:canary")),
        ], 0..2),
    ) {
        let policy = shop();
        let mut headers = marks;
        headers.push(("x-user-id", &user));
        let of = |gates: &Gates| with(&policy, gates, &headers, |_, d| (d.side, d.reason, d.slot));
        let (side, reason, slot) = of(&Gates::OPEN);
        let shut = of(&canary(Passage::Shut));
        prop_assert_ne!(shut.0, Side::Variant(0));
        prop_assert_eq!(shut.2, slot);
        if side == Side::Variant(0) {
            prop_assert_eq!(shut, (Side::Stable, Reason::GateShut, slot));
        } else {
            prop_assert_eq!(shut, (side, reason, slot));
        }
        prop_assert_eq!(of(&canary(Passage::Open)), (side, reason, slot));
    }

    #[test]
    fn whatever_the_gates_shares_add_up_and_slots_are_where_the_shares_say(
        gates in prop::collection::vec(gate(), 0..3),
        user in 0..1_000_000_u32,
    ) {
        let policy = shop();
        let route = policy.assigner.routes.first().unwrap();
        let gates = Gates::new(vec![gates]);
        let sides = [Side::Stable, Side::Variant(0), Side::Variant(1)];
        let of = |side| route.share_of(side, Millis(0), &gates).ppm();
        prop_assert_eq!(sides.map(of).iter().sum::<u32>(), 1_000_000);
        let user = format!("user-{user}");
        with(&policy, &gates, &[("x-user-id", &user)], |_, decision| {
            let slot = decision.slot.unwrap().get();
            let expected = if slot < of(Side::Variant(0)) {
                Side::Variant(0)
            } else if slot >= 1_000_000 - of(Side::Variant(1)) {
                Side::Variant(1)
            } else {
                Side::Stable
            };
            assert_eq!(decision.side, expected);
        });
    }
}
