//! The raw vocabulary into what the other folders work with, if it makes sense together.
//!
//! Each function checks one part, says all of its problems, and gives what could be made of it;
//! whether it is used depends on there being no problem at all.

mod condition;
mod experiment;
mod flags;
mod gate;
mod header;
mod health;
mod key;
mod maintenance;
mod outcomes;
mod own;
mod page;
mod rescue;
mod route;
mod rule;
mod shadow;
mod variant;

use super::decode::List;
use super::problem::Problems;
use super::value::Period;
use super::{DEFAULT_NAME, Policy, raw};
use crate::assign::index::Index;
use crate::assign::{Assigner, Mode, Trust};

/// Routes of a policy; the request path is built for this many.
const MOST_ROUTES: usize = 500;

/// Makes the policy of `raw`.
pub fn policy(raw: &raw::Policy, problems: &mut Problems) -> Option<Policy> {
    let trust = match raw.trust {
        Some(raw::Trust::Mesh) => Trust::Mesh,
        Some(raw::Trust::Edge) | None => Trust::Edge,
    };
    let mode = match raw.mode {
        Some(raw::Mode::Observe) => Mode::Observe,
        Some(raw::Mode::Bypass) => Mode::Bypass,
        Some(raw::Mode::Enforce) | None => Mode::Enforce,
    };
    own::refuse(raw, trust, problems);
    let name = raw
        .name
        .as_ref()
        .map_or_else(|| DEFAULT_NAME.to_owned(), |name| name.0.clone());
    let (routes, gates) = raw.routes.as_ref().map_or_else(Default::default, |routes| {
        problems.at_key("routes", |problems| {
            at_most(MOST_ROUTES, routes.0.len(), problems);
            unique(routes, |route| &route.name.0, problems);
            route::routes(&name, routes, trust, problems)
        })
    });
    let (flags, flag_lives) = flags::flags(raw, problems);
    let explain = raw.explain.as_ref().map(|explain| {
        problems.at_key("explain", |problems| {
            condition::some_conditions("when", &explain.when, problems)
        })
    });
    let report = raw.report.as_ref();
    Some(Policy {
        name,
        assigner: Assigner {
            mode,
            trust,
            baggage: report.and_then(|report| report.baggage).unwrap_or(false),
            index: Index::of(&routes),
            routes,
            flags,
        },
        flag_lives,
        explain,
        access_log: report.and_then(|report| report.access_log).unwrap_or(true),
        outcomes: outcomes::counted(raw, problems),
        health: health::settings(raw),
        gates,
        shadows: shadow::shadows(raw, problems),
        rescues: rescue::rescues(raw, problems),
        experiments: experiment::experiments(raw, problems),
        page: raw
            .page
            .as_ref()
            .map(|page| problems.at_key("page", |problems| page::page(page, problems))),
        warnings: Vec::new(),
    })
}

/// Runs `look` at element `index` of the list below `keys`.
fn at(keys: &[&str], index: usize, problems: &mut Problems, look: impl FnOnce(&mut Problems)) {
    match keys.split_first() {
        Some((key, rest)) => problems.at_key(key, |problems| at(rest, index, problems, look)),
        None => problems.at_index(index, look),
    }
}

/// What `read` makes of the part `key` of each route, in order.
fn of_routes<T>(
    raw: &raw::Policy,
    key: &str,
    problems: &mut Problems,
    read: impl Fn(&raw::Route, &mut Problems) -> Option<T>,
) -> Vec<Option<T>> {
    let routes = raw.routes.iter().flat_map(|routes| &routes.0);
    let mut made = Vec::new();
    for (index, route) in routes {
        at(&["routes"], *index, problems, |problems| {
            made.push(problems.at_key(key, |problems| read(route, problems)));
        });
    }
    made
}

/// Says that there are too many of something.
fn at_most(most: usize, there: usize, problems: &mut Problems) {
    if there > most {
        problems.say(format!("there are {there}"), format!("at most {most}"));
    }
}

/// The host takes 0 for no end; less than this answers nothing.
const WAIT: std::ops::RangeInclusive<u64> = 10..=60_000;

/// How long a call of the proxy's own may take, in milliseconds, or the default.
fn wait(key: &str, given: Option<&Period>, default: u64, problems: &mut Problems) -> u64 {
    let given = given.map_or(default, |period| period.0);
    if !WAIT.contains(&given) {
        problems.at_key(key, |problems| {
            let (what, write) = match given < *WAIT.start() {
                true => ("it is too short", "at least 10ms"),
                false => ("it is too long", "at most 1m"),
            };
            problems.say(what, write);
        });
    }
    given
}

/// Says of every element whose name an earlier one has.
fn unique<T>(list: &List<T>, name: impl Fn(&T) -> &String, problems: &mut Problems) {
    let mut names: Vec<&String> = Vec::with_capacity(list.0.len());
    for (index, element) in &list.0 {
        let name = name(element);
        // No list is long; a set for each kind of element would be kilobytes of the filter.
        if !names.contains(&name) {
            names.push(name);
            continue;
        }
        twice(*index, name, problems);
    }
}

#[inline(never)]
fn twice(index: usize, name: &str, problems: &mut Problems) {
    problems.at_index(index, |problems| {
        problems.at_key("name", |problems| {
            problems.say(format!("`{name}` is there twice"), "a name of its own");
        });
    });
}
