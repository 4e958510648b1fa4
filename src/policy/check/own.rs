//! At an edge the filter's own headers and baggage member are gone before anything is decided, so
//! whatever asks for them would never hold: it is refused.

use super::at;
use crate::assign::Trust;
use crate::assign::carry::{MEMBER, OWN_PREFIX};
use crate::policy::decode::List;
use crate::policy::problem::Problems;
use crate::policy::raw::{Condition, Key, Policy, Route};

const WRITE: &str = "another name, or `trust: mesh`";

/// Says of every part that asks for what is the filter's own.
pub fn refuse(raw: &Policy, trust: Trust, problems: &mut Problems) {
    if trust == Trust::Mesh {
        return;
    }
    let explain = raw.explain.as_ref().map(|explain| &explain.when);
    conditions(&["explain", "when"], explain, problems);
    for (index, route) in raw.routes.iter().flat_map(|routes| &routes.0) {
        at(&["routes"], *index, problems, |problems| {
            in_route(route, problems)
        });
    }
    for (index, flag) in raw.flags.iter().flat_map(|flags| &flags.0) {
        at(&["flags"], *index, problems, |problems| {
            keys(flag.key.as_ref(), problems);
            for (index, rule) in flag.rules.iter().flat_map(|rules| &rules.0) {
                at(&["rules"], *index, problems, |problems| {
                    conditions(&["when"], Some(&rule.when), problems);
                });
            }
        });
    }
}

fn in_route(route: &Route, problems: &mut Problems) {
    let matched = route
        .matches
        .as_ref()
        .and_then(|matches| matches.headers.as_ref());
    for (index, asked) in matched.iter().flat_map(|headers| &headers.0) {
        at(&["match", "headers"], *index, problems, |problems| {
            header(Some(&asked.name.0), "name", problems);
        });
    }
    keys(route.key.as_ref(), problems);
    let shadowed = route.shadow.as_ref();
    let shadowed = shadowed.and_then(|shadow| shadow.when.as_ref());
    conditions(&["shadow", "when"], shadowed, problems);
    let maintained = route.maintenance.as_ref();
    let passing = maintained.and_then(|maintenance| maintenance.unless.as_ref());
    conditions(&["maintenance", "unless"], passing, problems);
    for (index, rule) in route.rules.iter().flat_map(|rules| &rules.0) {
        at(&["rules"], *index, problems, |problems| {
            conditions(&["when"], Some(&rule.when), problems);
        });
    }
}

/// The sources of a key.
fn keys(list: Option<&List<Key>>, problems: &mut Problems) {
    for (index, key) in list.iter().flat_map(|keys| &keys.0) {
        at(&["key"], *index, problems, |problems| {
            let name = key.header.as_ref().map(|name| name.0.as_str());
            header(name, "header", problems);
            let baggage = key.baggage.as_ref();
            if baggage.is_some_and(|member| member.0 == MEMBER) {
                gone("baggage", problems);
            }
        });
    }
}

/// The conditions of the list below `keys`.
fn conditions(keys: &[&str], list: Option<&List<Condition>>, problems: &mut Problems) {
    for (index, condition) in list.iter().flat_map(|list| &list.0) {
        at(keys, *index, problems, |problems| {
            let name = condition.header.as_ref().map(|name| name.0.as_str());
            header(name, "header", problems);
        });
    }
}

fn header(name: Option<&str>, key: &str, problems: &mut Problems) {
    if name.is_some_and(|name| name.as_bytes().starts_with(OWN_PREFIX)) {
        gone(key, problems);
    }
}

fn gone(key: &str, problems: &mut Problems) {
    problems.at_key(key, |problems| {
        problems.say(
            "it is the filter's own, and removed from every request at an edge",
            WRITE,
        );
    });
}
