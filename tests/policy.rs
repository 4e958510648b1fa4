//! What a policy may say, and what is said of one that may not.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use serinus::policy::{self, find, yaml};

/// The problems of a policy in YAML, one a line.
fn problems(text: &str) -> Vec<String> {
    let mut documents = yaml::read(text).unwrap_or_else(|refusal| panic!("{refusal}"));
    match policy::check(&documents.remove(0)) {
        Ok(_) => Vec::new(),
        Err(refusal) => {
            let line = |problem: &policy::problem::Problem| format!("{}: {problem}", problem.line);
            refusal.problems.iter().map(line).collect()
        }
    }
}

/// A route with `rest` in it.
fn route(rest: &str) -> String {
    format!("routes: [{{name: r, {rest}}}]")
}

#[test]
fn every_part_that_acts_is_accepted() {
    let text = include_str!("policies/full.yaml");
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn every_problem_is_told_in_one_pass_with_its_line() {
    let text = include_str!("policies/broken.yaml");
    let expected: Vec<&str> = include_str!("policies/broken.problems").lines().collect();
    assert_eq!(problems(text), expected);
}

#[test]
fn each_mistake_is_named_with_what_to_write() {
    let table = [
        (
            "routs: []",
            "there is no `routs` here; did you mean `routes`?",
        ),
        ("name: Shop", "could not be a metric label"),
        (
            "mode: off",
            "it is the boolean false; `enforce`, `observe` or `bypass`",
        ),
        ("routes:", "it is empty; a list"),
        ("routes: {}", "it is an object; a list"),
        ("explain: {when: []}", "it would hold for everybody"),
        ("routes: [{}]", "`name` is missing; add `name`"),
        (
            "routes: [{name: a}, {name: a}]",
            "routes[1].name: `a` is there twice",
        ),
    ];
    for (text, said) in table {
        let found = problems(text);
        assert!(
            found.iter().any(|line| line.contains(said)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn each_mistake_of_maintenance_is_named_with_what_to_write() {
    let table = [
        (
            "readsTo: replika",
            "the route has no variant `replika`; did you mean `replica`?",
        ),
        (
            "methods: []",
            "maintenance.methods: nobody would be turned away",
        ),
        (
            "retryAfter: 0s",
            "`0s` is no time to wait; a length of time of at least 1s",
        ),
        (
            "retryAfter: soon",
            "or a moment, as in 2026-11-21T09:00:00Z",
        ),
        ("status: 99", "99 is out of range"),
        ("bodies: {}", "there is none; a body, or leave it out"),
        (
            "bodies: {html: a}",
            "maintenance.bodies.html: `html` is not a media type",
        ),
        ("bodies: {\"text/*\": a}", "is not a media type"),
        (
            "bodies: {text/html: a, \"TEXT/html; charset=utf-8\": b}",
            "`text/html` is there twice",
        ),
        (
            "unless: [{path: {}}]",
            "maintenance.unless[0]: it has no test",
        ),
        (
            "unless: [{header: x-serinus-variant, exact: a}]",
            "removed from every request at an edge",
        ),
        ("enabled: soon", "it is the text `soon`; `true` or `false`"),
        ("readTo: replica", "did you mean `readsTo`?"),
    ];
    for (part, said) in table {
        let replica = "variants: [{name: replica, share: \"0%\"}]";
        let text = route(&format!("{replica}, maintenance: {{{part}}}"));
        let found = problems(&text);
        assert!(
            found.iter().any(|line| line.contains(said)),
            "{text}: {found:?}"
        );
    }
    let long = "x".repeat(65_537);
    let text = route(&format!("maintenance: {{bodies: {{text/html: {long}}}}}"));
    let found = problems(&text);
    assert!(
        found[0].contains("the body has 65537 bytes; at most 65536"),
        "{found:?}"
    );
}

#[test]
fn each_mistake_of_a_rescue_is_named_with_what_to_write() {
    let table = [
        ("methods: [GET]", "rescue: `cluster` is missing"),
        ("cluster: a, methods: []", "leave it out for GET and HEAD"),
        (
            "cluster: a, methods: [CONNECT]",
            "rescue.methods[0]: a tunnel can't be rescued; leave it out",
        ),
        ("cluster: a, failures: []", "leave it out for 5xx, reset"),
        (
            "cluster: a, failures: [5xx, resets]",
            "rescue.failures[1]: `resets` is no failure; did you mean `reset`?",
        ),
        ("cluster: a, failures: [6xx]", "did you mean `5xx`?"),
        ("cluster: a, failures: [\"101\"]", "a status from 200 on"),
        (
            "cluster: a, failures: [5xx], deadline: 200ms",
            "rescue.deadline: it makes time-outs, and they are not rescued; add `timeout`",
        ),
        ("cluster: a, deadline: 0s", "it is too short; at least 10ms"),
        ("cluster: a, timeout: 0s", "it is too short; at least 10ms"),
        ("cluster: a, timeout: 61s", "it is too long; at most 1m"),
        ("cluster: a, maxPerSecond: 0", "0 is out of range"),
        ("cluster: a, method: [GET]", "did you mean `methods`?"),
    ];
    for (part, said) in table {
        let canary = "variants: [{name: canary, share: \"0%\"}]";
        let text = route(&format!("{canary}, rescue: {{{part}}}"));
        let found = problems(&text);
        assert!(
            found.iter().any(|line| line.contains(said)),
            "{text}: {found:?}"
        );
    }
    let found = problems(&route("rescue: {cluster: a}"));
    assert!(
        found[0].contains("the route has no variant whose failures stable could answer"),
        "{found:?}"
    );
}

#[test]
fn a_rescue_that_may_do_harm_or_come_too_late_is_a_warning() {
    for (part, said) in [
        (
            "methods: [GET, POST]",
            Some("methods[1]: warning: `POST` may be done twice"),
        ),
        (
            "deadline: 10s, timeout: 5s",
            Some("as long as Envoy's own 15s"),
        ),
        ("methods: [GET, OPTIONS], deadline: 10s, timeout: 4s", None),
    ] {
        let canary = "variants: [{name: canary, share: \"0%\"}]";
        let text = route(&format!("{canary}, rescue: {{cluster: a, {part}}}"));
        let tree = yaml::read(&text).unwrap().remove(0);
        let policy = policy::check(&tree).unwrap();
        let now = serinus::assign::ramp::Millis(0);
        let warnings: Vec<String> = policy.warnings(now).map(ToString::to_string).collect();
        assert_eq!(warnings.len(), usize::from(said.is_some()), "{warnings:?}");
        assert!(
            said.is_none_or(|said| warnings[0].contains(said)),
            "{warnings:?}"
        );
    }
}

#[test]
fn each_mistake_of_a_flag_is_named_with_what_to_write() {
    let table = [
        (
            "name: 9lives",
            "can't be the key of a structured field; a name that begins with a letter",
        ),
        ("default: off", "put it in quotes: \"false\""),
        ("default: a.b", "can't be the value of a flag"),
        ("values: [{value: a, share: 1%}]", "nobody would get them"),
        (
            "values: [{value: a, share: 0%}, {value: a, share: 0%}]",
            "values[1].value: `a` is there twice",
        ),
        (
            "key: [{header: x}], values: [{value: a, share: 60%}, {value: b, share: 50%}]",
            "values: all shares together are 110%; shares of at most 100% together; the default",
        ),
        (
            "key: [{header: x}], values: [{value: a, share: 1%}, {value: b, share: 1%}, {value: c, share: 1%}]",
            "values[2]: there is no room for its share",
        ),
        (
            "key: [{header: x}], hash: {flagd: {flag: f}}, values: [{value: a, share: 1%, from: 3%}]",
            "another vendor's values lie end to end; leave it out",
        ),
        (
            "key: [{header: x}], hash: {unleash: {group: f}}, values: [{value: a, share: 1.5%}]",
            "whole percents only",
        ),
        (
            "key: [{header: x}], hash: {unleash: {group: f}}, values: [{value: a, share: 1%}, {value: b, share: 2%}]",
            "thousandths of all shares together",
        ),
        (
            "hash: {flagd: {flag: f}}, salt: s",
            "another vendor's hash has no such salt",
        ),
        ("key: [{issueCookie: id}]", "a flag gives out no cookie"),
        (
            "key: [{header: x-serinus-flags}]",
            "removed from every request at an edge",
        ),
        (
            "rules: [{name: a, when: [{header: x, present: true}], then: {value: onn}}], values: [{value: \"on\", share: 0%}]",
            "the flag has no value `onn`; did you mean `on`?",
        ),
        (
            "rules: [{name: a, when: [{header: x, present: true}], then: {value: blue}}]",
            "one of its `values`: add `{value: blue, share: \"0%\"}`",
        ),
        (
            "rules: [{name: a, when: [], then: {value: none}}]",
            "it would hold for everybody",
        ),
        (
            "shedWhen: {route: chekout, limits: [{signal: p99, above: 1s, for: 10s}]}",
            "there is no route `chekout`; did you mean `checkout`?",
        ),
        (
            "shedWhen: {route: checkout, limits: []}",
            "it would never be shed",
        ),
        (
            "shedWhen: {route: checkout, limits: [{signal: requestRate, below: 1%, for: 10s}]}",
            "a flag gives way to errors and latencies above a bound",
        ),
        (
            "shedWhen: {route: checkout, limits: [{signal: errorRate, above: 1%, for: 10s}], restoreAfter: 0s}",
            "restoreAfter: it is too short; at least 1s",
        ),
        ("expires: soon", "is not a day"),
    ];
    for (part, said) in table {
        let default = if part.contains("default:") {
            ""
        } else {
            "default: none, "
        };
        let name = if part.contains("name: 9") {
            ""
        } else {
            "name: f, "
        };
        let text = format!("routes: [{{name: checkout}}]\nflags: [{{{name}{default}{part}}}]");
        let found = problems(&text);
        assert!(
            found.iter().any(|line| line.contains(said)),
            "{text}: {found:?}"
        );
    }
    let twice = "flags: [{name: f, default: a}, {name: f, default: a}]";
    assert!(problems(twice)[0].contains("`f` is there twice"));
    let forged = "routes: [{name: r, rules: [{name: a, when: [{header: x, present: true}],
        then: {setHeaders: {x-serinus-flags: a}}}]}]";
    assert!(problems(forged)[0].contains("headers of this name are the filter's own"));
}

#[test]
fn headers_of_a_rule_and_of_a_variant_that_do_not_meet_may_have_one_name() {
    let part = "variants: [{name: c, share: \"0%\", setHeaders: {x-a: b}}, {name: d, share: \"0%\"}], \
        rules: [{name: r, when: [{header: a, exact: b}], then: {variant: d, setHeaders: {x-a: c}}}, \
        {name: s, when: [{header: a, exact: c}], then: {variant: stable, setHeaders: {x-a: d}}}]";
    assert_eq!(problems(&route(part)), Vec::<String>::new());
}

#[test]
fn a_flag_past_its_day_is_a_warning_from_that_day_on() {
    let text = "flags:\n- name: f\n  default: a\n  expires: 2027-02-01\n";
    let tree = yaml::read(text).unwrap().remove(0);
    let policy = policy::check(&tree).unwrap();
    let at = |moment: &str| {
        let now = serinus::assign::ramp::Millis(policy::value::moment(moment).unwrap());
        policy
            .warnings(now)
            .map(|one| format!("{}: {one}", one.line))
            .collect::<Vec<_>>()
    };
    assert_eq!(at("2027-01-31T23:59:59Z"), Vec::<String>::new());
    assert_eq!(
        at("2027-02-01T00:00:00Z"),
        [
            "4: flags[0].expires: warning: the flag is past its day; take it out, or give it another day"
        ]
    );
}

#[test]
fn each_mistake_of_a_route_is_named_with_what_to_write() {
    let key = "key: [{header: x}]";
    let table = [
        (
            "variants: [{name: c, share: 1}]",
            "it is the number 1; a percentage",
        ),
        (
            "rules: [{name: x, when: [{header: a, exact: 1}], then: {variant: stable}}]",
            "put it in quotes: \"1\"",
        ),
        (
            "variants: [{name: c, share: \"0.00001%\"}]",
            "more than four decimals",
        ),
        ("variants: [{name: c, share: \"101%\"}]", "more than 100%"),
        (
            "variants: [{name: stable, share: \"1%\"}]",
            "`stable` is always there",
        ),
        ("variants: [{name: c}]", "it has no share"),
        (
            "variants: [{name: c, share: \"1%\"}]",
            "nobody would get them",
        ),
        (
            "variants: [{name: c, share: \"60%\"}, {name: d, share: \"50%\"}]",
            "all shares together are 110%",
        ),
        (
            "variants: [{name: c, share: \"0%\"}, {name: d, share: \"0%\"}, {name: e, share: \"1%\"}]",
            "variants[2].from: only the first two",
        ),
        (
            "variants: [{name: c, share: \"20%\"}, {name: d, share: \"10%\", from: \"10%\"}]",
            "its slots, 10% to 20%, overlap those of `c`, 0% to 20%",
        ),
        (
            "variants: [{name: c, share: \"20%\", from: \"90%\"}]",
            "passes 100%",
        ),
        (
            "variants: [{name: c, ramp: {start: 2026-11-21T09:00:00Z, steps: [5%, 1%], every: 1m}}]",
            "a step is less than the one before it",
        ),
        (
            "variants: [{name: c, ramp: {start: today, steps: [], every: 0s}}]",
            "is not a moment",
        ),
        (
            "variants: [{name: c, share: \"1%\", setHeaders: {x-serinus-variant: a}}]",
            "the filter's own",
        ),
        (
            "variants: [{name: c, share: \"1%\", setHeaders: {Baggage: a=b}}]",
            "it holds what others put there, flags and variants too; `report: {baggage: true}`",
        ),
        (
            "variants: [{name: c, share: \"0%\", setHeaders: {x-a: b}}], rules: [{name: r, \
             when: [{header: a, exact: b}], then: {variant: c, setHeaders: {X-A: c}}}]",
            "rules[0].then.setHeaders: the variant `c` sets `x-a` too; one of the two",
        ),
        (
            "variants: [{name: c, share: \"0%\", setHeaders: {x-a: b}}], rules: [{name: r, \
             when: [{header: a, exact: b}], then: {setHeaders: {x-a: b}}}]",
            "rules[0].then.setHeaders: the variant `c` sets `x-a` too",
        ),
        (
            "variants: [{name: canary, share: \"0%\"}], rules: [{name: r, \
             when: [{header: a, exact: b}], then: {variant: cannary}}]",
            "the route has no variant `cannary`; did you mean `canary`?",
        ),
        (
            "variants: [{name: c, share: \"1%\", setHeaders: {\":path\": /}}]",
            "`rewritePath` sets the path",
        ),
        (
            "variants: [{name: c, share: \"1%\", setHeaders: {x: \"a\\nb\"}}]",
            "is not the value of a header",
        ),
        (
            "hash: {unleash: {group: g}}, variants: [{name: c, share: \"1.5%\"}]",
            "whole percents only",
        ),
        ("hash: {murmur: {}}", "there is no such scheme"),
        (
            "hash: {flagd: {flag: f}}, salt: s",
            "another vendor's hash has no such salt",
        ),
        ("follow: other", "at an edge nothing is carried"),
        ("key: [{header: x, cookie: y}]", "it has 2 sources"),
        ("key: [{}]", "it has no source"),
        (
            "key: [{header: x-serinus-variant}]",
            "removed from every request at an edge",
        ),
        (
            "key: [{baggage: serinus}]",
            "removed from every request at an edge",
        ),
        (
            "key: [{header: x, maxAge: 1h}]",
            "only an issued cookie has this",
        ),
        (
            "key: [{issueCookie: a}, {issueCookie: b}]",
            "a cookie is issued already",
        ),
        (
            "key: [{issueCookie: a, sameSite: None, secure: false}]",
            "without `secure`",
        ),
        (
            "key: [{issueCookie: \"a b\"}]",
            "is not the name of a cookie",
        ),
        (
            "rules: [{name: x, when: [], then: {variant: stable}}]",
            "it has no conditions",
        ),
        (
            "rules: [{name: x, when: [{header: a, exact: b}], then: {}}]",
            "it does nothing",
        ),
        (
            "rules: [{name: x, when: [{header: a, exact: b}], then: {variant: canry}}], variants: [{name: canary, share: \"0%\"}]",
            "did you mean `canary`?",
        ),
        (
            "rules: [{name: x, when: [{header: a}], then: {variant: stable}}]",
            "it has no test",
        ),
        (
            "rules: [{name: x, when: [{exact: a}], then: {variant: stable}}]",
            "it has no subject",
        ),
        (
            "rules: [{name: x, when: [{header: a, exact: b, prefix: c}], then: {variant: stable}}]",
            "it has 2 tests",
        ),
        (
            "rules: [{name: x, when: [{header: a, regex: \"(\"}], then: {variant: stable}}]",
            "does not compile",
        ),
        (
            "rules: [{name: x, when: [{header: a, regex: \"a)(b\"}], then: {variant: stable}}]",
            "does not compile",
        ),
        (
            "rules: [{name: x, when: [{header: a, regex: \"(a{1,200}){1,200}\"}], then: {variant: stable}}]",
            "too costly",
        ),
        (
            "rules: [{name: x, when: [{header: a, semver: new}], then: {variant: stable}}]",
            "is not a range of versions",
        ),
        (
            "rules: [{name: x, when: [{header: a, number: \">x\"}], then: {variant: stable}}]",
            "is not a range of numbers",
        ),
        (
            "rules: [{name: x, when: [{header: a, prefix: \"\"}], then: {variant: stable}}]",
            "it would hold for everything",
        ),
        (
            "rules: [{name: x, when: [{header: \":path\", exact: a}], then: {variant: stable}}]",
            "is a pseudo-header",
        ),
        (
            "rules: [{name: x, when: [{clientIp: {}, exact: a}], then: {variant: stable}}]",
            "`cidr`, with a range",
        ),
        (
            "rules: [{name: x, when: [{clientIp: {}, cidr: [10.0.0.0/40]}], then: {variant: stable}}]",
            "is not a range of addresses",
        ),
        (
            "rules: [{name: x, when: [{header: a, exact: b}], then: {variant: stable, respond: {status: 426}}}]",
            "both chooses a variant and answers",
        ),
        (
            "rules: [{name: x, when: [{header: a, exact: b}], then: {respond: {status: 99}}}]",
            "99 is out of range",
        ),
        ("match: {path: {}}", "it has 0 tests"),
        ("match: {path: {prefix: shop}}", "is not a path"),
        ("match: {hosts: [\"shop:80\"]}", "is not a host"),
        ("match: {methods: [get]}", "a method in capitals"),
        ("match: {methods: []}", "leave it out to take all"),
        (
            "experiment: {}",
            "experiment: the route has no variant to compare; leave it out, or add `variants`",
        ),
        (
            "key: [{header: x}], variants: [{name: c, share: \"1%\"}], gate: {signals: [diffs]}",
            "signals[0]: the route has no shadow to compare; add `shadow`",
        ),
    ];
    for (rest, said) in table {
        let found = problems(&route(rest));
        assert!(
            found.iter().any(|line| line.contains(said)),
            "{rest}: {found:?}"
        );
    }
    assert!(problems(&route(key)).is_empty());
}

#[test]
fn one_mistake_is_told_once() {
    for rest in [
        "key: [{header: x}], variants: [{name: c, share: \"1\"}]",
        "key: [{header: \"\"}], variants: [{name: c, share: \"1%\"}]",
        "key: [{header: x}], variants: [{name: C, share: \"1%\"}], rules: [{name: x, when: [{header: a, exact: b}], then: {variant: c}}]",
        "rules: [{name: x, when: [{header: a, regex: \"(\"}], then: {variant: stable}}]",
        "rules: [{name: x, when: [{header: a, exact: 1}], then: {variant: stable}}]",
    ] {
        assert_eq!(
            problems(&route(rest)).len(),
            1,
            "{rest}: {:?}",
            problems(&route(rest))
        );
    }
}

#[test]
fn json_that_is_no_yaml_is_read_all_the_same() {
    let text = "{\"routes\": [{\"name\": \"r\", \"salt\": \"\\ud83d\\ude00\"}]}";
    assert!(yaml::read(text).is_err(), "else this test says nothing");
    let tree = find::policies(text).unwrap().remove(0).unwrap();
    assert!(policy::check(&tree).is_ok());
}

#[test]
fn a_key_can_not_break_the_line_of_its_problem() {
    let refusal = policy::read(b"{\"a\\nb\": 1}").unwrap_err();
    assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}");
}

#[test]
fn the_order_of_keys_means_nothing() {
    let one = "{\"variants\":[{\"share\":\"1%\",\"name\":\"c\"}],\"key\":[{\"header\":\"x\"}],\"name\":\"r\"}";
    let other = "{\"name\":\"r\",\"key\":[{\"header\":\"x\"}],\"variants\":[{\"name\":\"c\",\"share\":\"1%\"}]}";
    let shown = |route: &str| {
        let text = format!("{{\"routes\":[{route}]}}");
        format!("{:?}", policy::read(text.as_bytes()).unwrap())
    };
    assert_eq!(shown(one), shown(other));
}

#[test]
fn five_hundred_routes_and_a_megabyte_are_read_and_more_routes_refused() {
    let routes = |count: usize| {
        let filler = "x".repeat(2000);
        let route = |n: usize| {
            format!(
                "{{\"name\":\"r{n}\",\"key\":[{{\"header\":\"x\"}}],\
                 \"variants\":[{{\"name\":\"c\",\"share\":\"1%\",\"setHeaders\":{{\"a\":\"{filler}\"}}}}]}}"
            )
        };
        let routes: Vec<String> = (0..count).map(route).collect();
        format!("{{\"routes\":[{}]}}", routes.join(","))
    };
    let text = routes(500);
    assert!(text.len() > 1_000_000);
    assert_eq!(
        policy::read(text.as_bytes()).unwrap().assigner.routes.len(),
        500
    );
    let refusal = policy::read(routes(501).as_bytes()).unwrap_err();
    assert!(refusal.to_string().contains("at most 500"), "{refusal}");
}

#[test]
fn a_policy_with_more_problems_than_are_kept_says_how_many_more() {
    let keys: Vec<String> = (0..150).map(|n| format!("\"unknown-key-{n}\":1")).collect();
    let refusal = policy::read(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap_err();
    assert_eq!(refusal.problems.len(), 100);
    assert!(refusal.to_string().ends_with("and 50 more"));
}

#[test]
fn a_policy_is_found_in_everything_that_hands_it_over() {
    for (file, count) in [
        ("wasmplugin.yaml", 1),
        ("trafficextension.yaml", 1),
        ("envoyfilter.yaml", 1),
        ("envoyextensionpolicy.yaml", 1),
        ("bootstrap.yaml", 1),
        ("listener.json", 1),
    ] {
        let text = std::fs::read_to_string(format!(
            "{}/tests/policies/{file}",
            env!("CARGO_MANIFEST_DIR")
        ));
        let found = find::policies(&text.unwrap()).unwrap();
        assert_eq!(found.len(), count, "{file}");
        for tree in found {
            let refusal = policy::check(&tree.unwrap()).unwrap_err();
            let said = refusal.to_string();
            assert!(
                said.contains("routes[0].variants[0].share"),
                "{file}: {said}"
            );
            let line = refusal.problems[0].line;
            let text = std::fs::read_to_string(format!(
                "{}/tests/policies/{file}",
                env!("CARGO_MANIFEST_DIR")
            ))
            .unwrap();
            let shown = text.lines().nth(line as usize - 1).unwrap_or_default();
            assert!(shown.contains("share"), "{file}:{line}: {shown}");
        }
    }
}

#[test]
fn the_examples_hold_policies_that_are_good() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/envoy-config");
    let mut policies = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for tree in find::policies(&std::fs::read_to_string(&path).unwrap()).unwrap() {
            let checked = tree.and_then(|tree| policy::check(&tree));
            assert!(
                checked.is_ok(),
                "{}: {}",
                path.display(),
                checked.unwrap_err()
            );
            policies += 1;
        }
    }
    assert_eq!(policies, 4, "each of the examples has one");
}

#[test]
fn a_struct_is_refused_for_raw_envoy_with_the_sentence_that_helps() {
    let text = "http_filters:\n- typed_config:\n    config:\n      name: serinus\n      vm_config: {}\n      \
                configuration: {\"@type\": type.googleapis.com/google.protobuf.Struct, value: {}}\n";
    let refusal = find::policies(text).unwrap().remove(0).unwrap_err();
    assert!(refusal.to_string().contains("StringValue"), "{refusal}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,400}") {
        let _ = policy::read(text.as_bytes());
        let _ = find::policies(&text);
    }

    #[test]
    fn no_small_change_of_a_policy_makes_the_reader_panic(
        at in 0_usize..4000,
        with in "[\\PC\\n]{0,3}",
        cut in 0_usize..4,
    ) {
        let full = include_str!("policies/full.yaml");
        let start = full.floor_char_boundary(at.min(full.len()));
        let end = full.floor_char_boundary((start + cut).min(full.len()));
        let text = format!("{}{with}{}", &full[..start], &full[end..]);
        if let Ok(documents) = yaml::read(&text) {
            documents.iter().for_each(|document| drop(policy::check(document)));
        }
    }
}
