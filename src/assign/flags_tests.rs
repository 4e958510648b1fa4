use super::*;
use crate::assign::decide::Decision;
use crate::assign::edits::{Edits, strip};
use crate::assign::ramp::Millis;
use crate::assign::testing::with_request;
use crate::policy::{self, Policy};
use proptest::prelude::*;

fn read(text: &str) -> Policy {
    policy::read(text.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// A policy with these flags, in a mesh or not.
fn of(trust: &str, flags: &str) -> Policy {
    read(&format!(
        r#"{{"trust": "{trust}", "report": {{"baggage": true}}, "flags": [{flags}],
            "routes": [{{"name": "checkout", "match": {{"path": {{"prefix": "/checkout"}}}},
                        "key": [{{"issueCookie": "id"}}],
                        "variants": [{{"name": "canary", "share": "100%"}}],
                        "rules": [{{"name": "old", "when": [{{"header": "x-app", "exact": "1"}}],
                                    "then": {{"respond": {{"status": 426}}}}}}]}}]}}"#
    ))
}

const REC: &str = r#"{"name": "rec", "key": [{"header": "x-user-id"}], "default": "off",
    "values": [{"value": "on", "share": "100%"}],
    "rules": [{"name": "staff", "when": [{"header": "x-employee", "exact": "true"}],
               "then": {"value": "off"}}]}"#;
const SEARCH: &str = r#"{"name": "search", "key": [{"cookie": "id"}], "default": "v1",
    "values": [{"value": "v2", "share": "100%"}]}"#;

type Headers<'h> = &'h [(&'h str, &'h str)];

fn decided<T>(
    policy: &Policy,
    path: &str,
    headers: Headers<'_>,
    gates: &Gates,
    tell: impl FnOnce(&Decision<'_>, &Request<'_>) -> T,
) -> T {
    with_request("GET", path, headers, |request| {
        let assigner = &policy.assigner;
        let decision = assigner.decide(request, Millis(0), gates, &mut || Some([7; 16]));
        tell(&decision, request)
    })
}

/// `name=value:reason` of each flag.
fn seen(policy: &Policy, headers: Headers<'_>) -> String {
    decided(policy, "/", headers, &Gates::OPEN, |decision, _| {
        let shown = |given: &Given<'_>| {
            let word = given.because.word();
            format!("{}={}:{word}", given.flag.name, given.text())
        };
        let given: Vec<String> = decision.flags.given.iter().map(shown).collect();
        given.join(" ")
    })
}

const ANNA: (&str, &str) = ("x-user-id", "anna");

#[test]
fn a_rule_decides_before_the_share_and_without_a_key_there_is_the_default() {
    let policy = of("edge", REC);
    assert_eq!(seen(&policy, &[ANNA]), "rec=on:share");
    let staff = [ANNA, ("x-employee", "true")];
    assert_eq!(seen(&policy, &staff), "rec=off:rule");
    assert_eq!(seen(&policy, &[]), "rec=off:no-key");
    assert_eq!(seen(&policy, &[("x-user-id", "")]), "rec=off:no-key");
    let nobody = of("edge", &REC.replacen("100%", "0%", 1));
    assert_eq!(seen(&nobody, &[ANNA]), "rec=off:rest");
}

#[test]
fn a_flag_that_is_shed_has_its_default_whoever_decides() {
    let policy = of("mesh", &[REC, SEARCH].join(","));
    let gates = Gates::OPEN.with_shed(vec![true]);
    let headers = [ANNA, ("cookie", "id=a"), ("x-serinus-flags", "rec=\"on\"")];
    let told = decided(&policy, "/", &headers, &gates, |decision, _| {
        let given = &decision.flags.given;
        given.iter().map(|one| one.because).collect::<Vec<_>>()
    });
    assert_eq!(told, [Because::Shed, Because::Share]);
}

/// The edits of a request, as names and values.
fn edited(policy: &Policy, path: &str, headers: Headers<'_>) -> Vec<(String, String)> {
    decided(policy, path, headers, &Gates::OPEN, |decision, request| {
        let mut edits: Edits<'_> = strip(request, policy.assigner.trust);
        edits.enforce(&policy.assigner, request, decision);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let removed = edits.remove.iter().map(|name| (text(name), String::new()));
        let set = edits.set.iter();
        let set = set.map(|(name, value)| ((*name).to_owned(), text(value)));
        removed.chain(set).collect()
    })
}

fn lines(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    expected.iter().map(owned).collect()
}

#[test]
fn the_upstream_is_told_all_flags_in_one_header_and_in_baggage_and_callers_tell_nothing() {
    let policy = of("edge", &[REC, SEARCH].join(","));
    let forged = [
        ANNA,
        ("x-serinus-flags", "rec=\"off\", admin=\"on\""),
        ("baggage", "a=1,serinus=rec=off.admin=on"),
    ];
    assert_eq!(
        edited(&policy, "/", &forged),
        lines(&[
            ("x-serinus-flags", ""),
            ("x-serinus-flags", "rec=\"on\", search=\"v1\""),
            ("baggage", "a=1,serinus=rec=on.search=v1"),
        ])
    );
}

#[test]
fn a_route_and_its_flags_share_the_member_and_an_issued_cookie_is_a_key_at_once() {
    let policy = of("edge", SEARCH);
    assert_eq!(
        edited(&policy, "/checkout", &[]),
        lines(&[
            ("x-serinus-variant", "canary"),
            ("x-serinus-route", "checkout"),
            ("x-serinus-flags", "search=\"v2\""),
            ("baggage", "serinus=checkout:canary.search=v2"),
        ])
    );
}

#[test]
fn a_request_that_the_proxy_answers_meets_no_flag() {
    let policy = of("edge", REC);
    let told = decided(
        &policy,
        "/checkout",
        &[("x-app", "1"), ANNA],
        &Gates::OPEN,
        |it, _| (it.respond.is_some(), it.flags.given.len()),
    );
    assert_eq!(told, (true, 0));
}

#[test]
fn in_the_mesh_what_a_hop_before_told_is_taken_over_and_flags_of_others_go_on() {
    let policy = of("mesh", REC);
    for (header, line) in [
        ("x-serinus-flags", "ui=\"x\", rec=\"off\""),
        ("baggage", "serinus=checkout:canary.ui=x.rec=off"),
        ("baggage", "serinus=checkout%3Acanary.ui%3Dx.rec%3Doff"),
    ] {
        assert_eq!(seen(&policy, &[ANNA, (header, line)]), "rec=off:carried");
        let edits = edited(&policy, "/", &[ANNA, (header, line)]);
        let told = (
            "x-serinus-flags".to_owned(),
            "ui=\"x\", rec=\"off\"".to_owned(),
        );
        assert!(edits.contains(&told), "{edits:?}");
    }
    // The header is of this very request, the baggage of one before.
    let both = [
        ANNA,
        ("x-serinus-flags", "rec=\"on\""),
        ("baggage", "serinus=rec=off"),
    ];
    assert_eq!(seen(&policy, &both), "rec=on:carried");
    for line in [
        "rec=\"other\"",
        "rec=off",
        "rec",
        "rec=\"off",
        "=,;\"",
        "rec=\"o;ff\"",
    ] {
        let headers = [ANNA, ("x-serinus-flags", line)];
        assert_eq!(seen(&policy, &headers), "rec=on:share", "{line}");
    }
}

#[test]
fn a_mesh_proxy_without_flags_hands_them_on_in_baggage() {
    let policy = of("mesh", "");
    let headers = [ANNA, ("baggage", "serinus=shop:canary.rec=on")];
    let edits = edited(&policy, "/checkout", &headers);
    let line = "serinus=shop:canary.checkout:canary.rec=on";
    assert!(
        edits.contains(&("baggage".to_owned(), line.to_owned())),
        "{edits:?}"
    );
}

#[test]
fn a_flag_draws_by_a_salt_that_no_routes_default_is_and_by_a_routes_if_it_is_told_to() {
    let flag = |salt: &str| {
        let text = format!(
            r#"{{"flags": [{{"name": "checkout", {salt} "default": "off",
                "key": [{{"header": "x-user-id"}}], "values": [{{"value": "on", "share": "50%"}}]}}],
                "routes": [{{"name": "checkout", "key": [{{"header": "x-user-id"}}],
                "variants": [{{"name": "canary", "share": "50%"}}]}}]}}"#
        );
        let policy = read(&text);
        let same = |user: &usize| {
            let user = format!("user-{user}");
            let headers = [("x-user-id", user.as_str())];
            decided(&policy, "/", &headers, &Gates::OPEN, |decision, _| {
                let is_on = decision.flags.given[0].text() == "on";
                is_on == (decision.side != crate::assign::route::Side::Stable)
            })
        };
        (0..1_000).filter(same).count()
    };
    let by_chance = flag("");
    assert!((420..580).contains(&by_chance), "{by_chance}");
    assert_eq!(flag(r#""salt": "checkout","#), 1_000);
}

/// The values of a flag with this hash and these values.
fn drawn(hash: &str, values: &str, key: &str) -> String {
    let policy = of(
        "edge",
        &format!(
            r#"{{"name": "f", "key": [{{"header": "x-user-id"}}], "default": "none",
                 "hash": {hash}, "values": [{values}]}}"#
        ),
    );
    let flag = &policy.assigner.flags[0];
    let value = flag.drawn(key.as_bytes()).unwrap_or(0);
    flag.values[value].clone()
}

#[test]
fn three_values_lie_end_to_end_with_a_vendors_hash() {
    use crate::assign::hash::flagd;
    let values = r#"{"value": "red", "share": "30%"}, {"value": "blue", "share": "25%"},
                    {"value": "green", "share": "45%"}"#;
    for n in 0..200 {
        let key = format!("user-{n}");
        let theirs = flagd::pick(flagd::hash(&[b"f", key.as_bytes()]), &[30, 25, 45]);
        let theirs = ["red", "blue", "green"][theirs.unwrap()];
        assert_eq!(drawn(r#"{"flagd": {"flag": "f"}}"#, values, &key), theirs);
    }
}

#[test]
fn unleash_lets_in_by_one_hash_and_chooses_by_another() {
    let values = r#"{"value": "red", "share": "30%"}, {"value": "blue", "share": "20%"}"#;
    for n in 0..200 {
        let key = format!("user-{n}");
        let is_in = unleash::value("g", key.as_bytes(), unleash::PERCENT, 0) <= 50;
        let variant = unleash::variant_value("g", key.as_bytes(), 1000.try_into().unwrap());
        let theirs = match (is_in, variant) {
            (false, _) => "none",
            (true, ..=600) => "red",
            (true, _) => "blue",
        };
        assert_eq!(
            drawn(r#"{"unleash": {"group": "g"}}"#, values, &key),
            theirs
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_of_a_hop_before_name_a_known_value_or_none(header: Vec<u8>, baggage: Vec<u8>) {
        let policy = of("mesh", REC);
        let lines: [(&[u8], &[u8]); 3] =
            [(b"x-serinus-flags", &header), (b"baggage", &baggage), (b"x-user-id", b"anna")];
        let request = Request::new(&lines, &|| None);
        let decision = policy.assigner.decide(&request, Millis(0), &Gates::OPEN, &mut || None);
        prop_assert_eq!(decision.flags.given.len(), 1);
        prop_assert!(["on", "off"].contains(&decision.flags.given[0].text()));
        let line = decision.flags.header();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=\", ".contains(&byte);
        prop_assert!(line.bytes().all(fits), "{}", line);
    }
}
