//! How costs grow with what the policy and the traffic say.

use crate::core::Core;
use crate::filter::per_request;
use crate::policies::{GATE, LEAST, browser, checkout, others, policy, rules};
use crate::table::Growth;

/// All that grows.
pub fn measured() -> Vec<Growth> {
    let mut all = vec![routes(), many_rules(), headers()];
    all.extend(bodies());
    all.push(differences());
    all
}

fn growth(
    name: &'static str,
    unit: &'static str,
    sizes: &[u64],
    cost: impl Fn(u64) -> u64,
) -> Growth {
    Growth {
        name,
        unit,
        points: sizes.iter().map(|size| (*size, cost(*size))).collect(),
    }
}

/// The last route takes the request.
fn routes() -> Growth {
    growth("routes", "route", &[1, 10, 50, 200, 500], |count| {
        let mut routes = others(count as usize - 1);
        routes.push(checkout("0%", &format!(", {GATE}")));
        per_request(&policy(LEAST, &routes.join(",")), browser).0
    })
}

/// None holds.
fn many_rules() -> Growth {
    growth("rules", "rule", &[1, 10, 50, 200], |count| {
        let more = format!(", {GATE}{}", rules(count as usize));
        per_request(&policy(LEAST, &checkout("0%", &more)), browser).0
    })
}

/// More of them than the 13 that a browser sends.
fn headers() -> Growth {
    let policy = policy(LEAST, &checkout("0%", &format!(", {GATE}")));
    growth("header lines", "line", &[13, 25, 50, 100], |count| {
        let with_more = |n| {
            (13..count).fold(browser(n), |request, line| {
                request.header(format!("x-more-{line}"), "a value of 24 bytes each")
            })
        };
        per_request(&policy, with_more).0
    })
}

/// From 1 kB to 1 MB.
const BODIES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

fn bodies() -> [Growth; 3] {
    let compared = |name, case| {
        growth(name, "byte", &BODIES, |size| {
            Core::new().prepared(case, size as u32, 1).instructions
        })
    };
    [
        compared("compared bytes, equal", Core::EQUAL),
        compared("compared bytes, same values", Core::REWRITTEN),
        compared("compared bytes, one value differs", Core::DIFFERENT),
    ]
}

/// Of two bodies of 100 kB.
fn differences() -> Growth {
    growth("differing paths", "path", &[1, 10, 100, 500], |count| {
        let found = Core::new().prepared(Core::MEMBERS, 100_000, count as u32);
        assert_eq!(u64::from(found.result), count);
        found.instructions
    })
}
