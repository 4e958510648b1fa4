//! Rescues: what is answered by stable after all.

use super::{at_most, of_routes, wait};
use crate::health::outcome::Errors;
use crate::health::statuses::{GrpcSet, StatusSet};
use crate::policy::decode::{nearest, quoted};
use crate::policy::problem::Problems;
use crate::policy::raw;
use crate::policy::value::statuses;
use crate::rescue::{Failures, Settings};

const METHODS: [&str; 2] = ["GET", "HEAD"];
/// The safe methods of RFC 9110, part 9.2.1, that can have a rescue.
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];
/// Methods and failures of one list.
const MOST_NAMED: usize = 100;
const TIMEOUT: u64 = 1_000;
const PER_SECOND: u32 = 50;
/// How long a route of Envoy's waits if it does not say: a rescue beyond that finds nobody.
const ROUTE_TIMEOUT: u64 = 15_000;

/// The rescue of each route, in order.
pub fn rescues(raw: &raw::Policy, problems: &mut Problems) -> Vec<Option<Settings>> {
    of_routes(raw, "rescue", problems, |route, problems| {
        let has_variants = route.variants.as_ref().is_some_and(|of| !of.0.is_empty());
        Some(rescue_of(route.rescue.as_ref()?, has_variants, problems))
    })
}

fn rescue_of(raw: &raw::Rescue, has_variants: bool, problems: &mut Problems) -> Settings {
    if !has_variants {
        problems.say(
            "the route has no variant whose failures stable could answer",
            "leave it out, or add `variants`",
        );
    }
    let failures = failures(raw, problems);
    let timeout = wait("timeout", raw.timeout.as_ref(), TIMEOUT, problems);
    let deadline = raw.deadline.as_ref();
    let deadline = deadline.map(|given| wait("deadline", Some(given), 0, problems));
    if deadline.is_some() && !failures.timeout {
        problems.at_key("deadline", |problems| {
            problems.say(
                "it makes time-outs, and they are not rescued",
                "add `timeout` to `failures`, or leave it out",
            );
        });
    }
    if timeout.saturating_add(deadline.unwrap_or(0)) >= ROUTE_TIMEOUT {
        problems.warn(
            "`deadline` and `timeout` together are as long as Envoy's own 15s for a request",
            "shorter ones, or a longer `timeout` of Envoy's route",
        );
    }
    let per_second = raw.max_per_second.map(|number| number.0);
    Settings {
        cluster: raw.cluster.0.clone(),
        methods: methods(raw, problems),
        failures,
        deadline: deadline.map(|millis| millis.to_string()),
        timeout: u32::try_from(timeout).unwrap_or(u32::MAX),
        per_second: per_second.map_or(PER_SECOND, |number| number.try_into().unwrap_or(u32::MAX)),
    }
}

fn methods(raw: &raw::Rescue, problems: &mut Problems) -> Vec<String> {
    let Some(named) = &raw.methods else {
        return METHODS.map(str::to_owned).to_vec();
    };
    problems.at_key("methods", |problems| {
        at_most(MOST_NAMED, named.len(), problems);
        if named.is_empty() {
            problems.say("it is empty", "leave it out for GET and HEAD");
        }
        for (index, method) in named.iter().enumerate() {
            problems.at_index(index, |problems| match method.0.as_str() {
                "CONNECT" => problems.say("a tunnel can't be rescued", "leave it out"),
                method if SAFE.contains(&method) => {}
                method => problems.warn(
                    format!("`{method}` may be done twice: by the variant before it failed, and by stable"),
                    "leave it out unless doing it twice does no harm",
                ),
            });
        }
    });
    named.iter().map(|method| method.0.clone()).collect()
}

fn failures(raw: &raw::Rescue, problems: &mut Problems) -> Failures {
    let mut failures = Failures {
        statuses: Errors {
            statuses: StatusSet::default(),
            grpc: GrpcSet::of(&[]),
        },
        reset: true,
        timeout: true,
    };
    let Some(named) = &raw.failures else {
        return failures;
    };
    (failures.reset, failures.timeout) = (false, false);
    let mut ranges = Vec::new();
    problems.at_key("failures", |problems| {
        at_most(MOST_NAMED, named.len(), problems);
        if named.is_empty() {
            problems.say("it is empty", "leave it out for 5xx, reset and timeout");
        }
        for (index, text) in named.iter().enumerate() {
            match (text.0.as_str(), statuses(&text.0)) {
                ("reset", _) => failures.reset = true,
                ("timeout", _) => failures.timeout = true,
                (_, Ok(range)) if range.0 >= 200 => ranges.push(range),
                (text, _) => problems.at_index(index, |problems| unknown(text, problems)),
            }
        }
    });
    failures.statuses.statuses = StatusSet::of(&ranges);
    failures
}

fn unknown(text: &str, problems: &mut Problems) {
    let write = match nearest(text, ["reset", "timeout", "5xx"].into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "a status from 200 on, a class such as 5xx, `reset` or `timeout`".to_owned(),
    };
    problems.say(format!("{} is no failure", quoted(text)), write);
}
