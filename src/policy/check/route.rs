//! Routes.

use super::condition::{Tests, pattern};
use super::{gate, key, maintenance, rule, variant};
use crate::assign::Trust;
use crate::assign::hash::Scheme;
use crate::assign::ramp::Schedule;
use crate::assign::route::{HeaderMatch, HostMatch, Matcher, PathMatch, Route, RouteId};
use crate::assign::share::Share;
use crate::gate::RouteSettings;
use crate::policy::decode::{List, listed};
use crate::policy::problem::Problems;
use crate::policy::raw;
use crate::policy::value::Text;

/// Hosts, methods and headers that one route names.
const MOST_MATCHED: usize = 100;

const TESTS: [&str; 7] = [
    "exact", "prefix", "suffix", "contains", "regex", "in", "present",
];

/// The routes of the policy with this name, and their gates.
pub fn routes(
    policy: &str,
    list: &List<raw::Route>,
    trust: Trust,
    problems: &mut Problems,
) -> (Vec<Route>, Vec<RouteSettings>) {
    let route = |(index, raw): &(usize, raw::Route)| {
        problems.at_index(*index, |problems| {
            let route = route(RouteId(*index), raw, trust, problems);
            let gates = gate::settings(policy, raw, &route.variants, problems);
            (route, gates)
        })
    };
    list.0.iter().map(route).unzip()
}

fn route(id: RouteId, raw: &raw::Route, trust: Trust, problems: &mut Problems) -> Route {
    let matcher = raw.matches.as_ref().map_or_else(Matcher::default, |raw| {
        problems.at_key("match", |problems| matcher(raw, problems))
    });
    let keys = key::keys(raw.key.as_ref(), problems);
    let (salt, hash) = (raw.salt.as_ref(), raw.hash.as_ref());
    let scheme = scheme(salt, hash, || raw.name.0.clone(), problems);
    let (variants, shares) = variant::variants(raw.variants.as_ref(), &scheme, problems);
    let rules = rule::rules(raw.rules.as_ref(), &variants, problems);
    let maintenance = raw.maintenance.as_ref();
    let maintenance = maintenance.map(|raw| maintenance::maintenance(raw, &variants, problems));
    let drawn = |schedule: &Schedule| schedule.most() > Share::NONE;
    let any_drawn = variants.iter().any(|variant| drawn(&variant.schedule));
    if any_drawn && keys.is_empty() && !problems.said_below("key") {
        problems.say(
            "it has shares and no key, so nobody would get them",
            "`key: [{header: x-user-id}]`, or another source",
        );
    }
    Route {
        id,
        name: raw.name.0.clone(),
        matcher,
        keys,
        scheme,
        follow: follow(raw, trust, problems),
        variants,
        shares,
        rules,
        maintenance,
    }
}

fn follow(raw: &raw::Route, trust: Trust, problems: &mut Problems) -> Option<String> {
    let follow = &raw.follow.as_ref()?.0;
    problems.at_key("follow", |problems| {
        if trust == Trust::Edge {
            problems.say(
                "at an edge nothing is carried that could be followed",
                "`trust: mesh`",
            );
        }
        if *follow == raw.name.0 {
            problems.say("a route follows itself anyway", "the name of another route");
        }
    });
    Some(follow.clone())
}

/// The scheme of a `hash` and a `salt`, whose default is told by `name`.
pub fn scheme(
    salt: Option<&Text>,
    hash: Option<&raw::HashScheme>,
    name: impl FnOnce() -> String,
    problems: &mut Problems,
) -> Scheme {
    let salt = salt.map(|salt| salt.0.clone());
    if salt.is_some() && !matches!(hash, None | Some(raw::HashScheme::Serinus)) {
        problems.at_key("salt", |problems| {
            problems.say("another vendor's hash has no such salt", "leave it out");
        });
    }
    match hash {
        None | Some(raw::HashScheme::Serinus) => Scheme::Serinus {
            salt: salt.unwrap_or_else(name).into(),
        },
        Some(raw::HashScheme::Unleash(unleash)) => Scheme::Unleash {
            group: unleash.group.0.clone().into(),
        },
        Some(raw::HashScheme::Flagd(flagd)) => Scheme::Flagd {
            flag: flagd.flag.0.clone().into(),
        },
        Some(raw::HashScheme::LaunchDarkly(flag)) => Scheme::LaunchDarkly {
            flag: flag.flag.0.clone().into(),
            salt: flag.salt.0.clone().into(),
            seed: flag.seed.map(|seed| seed.0),
        },
    }
}

fn matcher(raw: &raw::RouteMatch, problems: &mut Problems) -> Matcher {
    let hosts = raw.hosts.iter().flatten().map(|host| host_match(&host.0));
    let methods = raw.methods.iter().flatten().map(|method| method.0.clone());
    for (key, count) in [
        ("hosts", raw.hosts.as_ref().map(Vec::len)),
        ("methods", raw.methods.as_ref().map(Vec::len)),
        ("headers", raw.headers.as_ref().map(|list| list.0.len())),
    ] {
        if let Some(count) = count {
            problems.at_key(key, |problems| {
                super::at_most(MOST_MATCHED, count, problems);
                if count == 0 && problems.none() {
                    problems.say("it is empty", "leave it out to take all");
                }
            });
        }
    }
    Matcher {
        hosts: hosts.collect(),
        path: raw
            .path
            .as_ref()
            .and_then(|path| path_match(path, problems)),
        methods: methods.collect(),
        headers: raw
            .headers
            .as_ref()
            .map_or_else(Vec::new, |list| headers(list, problems)),
    }
}

/// The host or hosts that `host` names.
pub fn host_match(host: &str) -> HostMatch {
    match host.strip_prefix('*') {
        Some("") => HostMatch::Any,
        Some(suffix) => HostMatch::Below(suffix.to_owned()),
        None => HostMatch::Exact(host.to_owned()),
    }
}

fn path_match(raw: &raw::PathMatch, problems: &mut Problems) -> Option<PathMatch> {
    problems.at_key("path", |problems| {
        let mut tests = Vec::new();
        tests.extend(
            raw.prefix
                .as_ref()
                .map(|path| PathMatch::Prefix(path.0.clone())),
        );
        tests.extend(
            raw.exact
                .as_ref()
                .map(|path| PathMatch::Exact(path.0.clone())),
        );
        tests.extend(raw.regex.as_ref().and_then(|text| {
            problems
                .at_key("regex", |problems| pattern(&text.0, problems))
                .map(PathMatch::Regex)
        }));
        const KNOWN: [&str; 3] = ["prefix", "exact", "regex"];
        if tests.len() != 1 && !KNOWN.iter().any(|key| problems.said_below(key)) {
            problems.say(
                format!("it has {} tests", tests.len()),
                format!("one of {}", listed(&KNOWN)),
            );
        }
        tests.into_iter().next()
    })
}

fn headers(list: &List<raw::HeaderMatch>, problems: &mut Problems) -> Vec<HeaderMatch> {
    problems.at_key("headers", |problems| {
        let header = |(index, raw): &(usize, raw::HeaderMatch)| {
            problems.at_index(*index, |problems| header_match(raw, problems))
        };
        list.0.iter().filter_map(header).collect()
    })
}

fn header_match(raw: &raw::HeaderMatch, problems: &mut Problems) -> Option<HeaderMatch> {
    let tests = Tests {
        exact: raw.exact.as_ref().map(|text| &text.0),
        prefix: raw.prefix.as_ref().map(|text| &text.0),
        suffix: raw.suffix.as_ref().map(|text| &text.0),
        contains: raw.contains.as_ref().map(|text| &text.0),
        regex: raw.regex.as_ref().map(|text| &text.0),
        one_of: raw.one_of.as_deref(),
        present: raw.present,
        ..Tests::default()
    };
    Some(HeaderMatch {
        name: raw.name.0.clone(),
        test: tests.only(&TESTS, problems)?,
        not: raw.not.unwrap_or(false),
    })
}
