//! The core alone as WebAssembly: decisions and comparisons without a host, so that their
//! instructions can be counted (`tests/host/tests/cost`) and their time be taken in V8
//! (`benches/v8.mjs`).
//!
//! [`prepare`] makes all that a case needs, [`run`] is what is measured. The numbers of the cases
//! are those of [`Case`]; who calls has them too.
#![allow(
    unsafe_code,
    reason = "exports of a module have names that are not mangled"
)]

mod bodies;

use serinus::assign::edits::strip;
use serinus::assign::gates::Gates;
use serinus::assign::ramp::Millis;
use serinus::policy::{self, Policy};
use serinus::request::{Header, Request};
use serinus::shadow::compare::{Fields, Response, Settings, compare};
use std::cell::RefCell;
use std::net::IpAddr;

const POLICY: &str = r#"{"routes": [{"name": "checkout", "match": {"path": {"prefix": "/checkout"}},
    "key": [{"header": "x-user-id"}], "variants": [{"name": "canary", "share": "50%"}]}]}"#;

/// A user's id of 36 bytes.
const KEY: &[u8] = b"6f1c2a9e-7d3b-4c58-9a10-5e8f2b7d4c31";

/// What a browser sends by way of a proxy.
const LINES: [Header<'_>; 13] = [
    (b":authority", b"shop.example.com"),
    (b":path", b"/checkout/pay?step=2"),
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (b"accept", b"application/json, text/plain, */*"),
    (b"accept-language", b"en-GB,en;q=0.7,de;q=0.3"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (
        b"cookie",
        b"theme=dark; session_id=k3JwqZ0m7a; consent=all; seen=1795251600",
    ),
    (b"x-request-id", b"c1f9a7d2-0b6e-4f3d-8a57-91e4c2d7b680"),
    (b"x-forwarded-for", b"203.0.113.9"),
    (b"x-forwarded-proto", b"https"),
    (b"x-user-id", KEY),
];

/// What is measured.
#[derive(Debug)]
enum Case {
    /// From a key to its slot.
    Slot,
    /// From header lines to a request, which is what the next two begin with.
    Read,
    /// From header lines to a decision.
    Decide,
    /// From header lines to all that is changed on them.
    Assign,
    /// Two answers whose bodies are these.
    Compare(String, String),
}

thread_local! {
    static PREPARED: RefCell<Option<(Policy, Case)>> = const { RefCell::new(None) };
}

/// Makes ready for case `number`; `size` is a body's size in bytes, `differing` how many of its
/// values differ. Says whether there is such a case.
#[unsafe(no_mangle)]
pub extern "C" fn prepare(number: u32, size: usize, differing: usize) -> u32 {
    let case = match number {
        0 => Case::Slot,
        1 => Case::Decide,
        2 => Case::Assign,
        3 => Case::Compare(bodies::compact(size, 0), bodies::compact(size, 0)),
        4 => Case::Compare(bodies::compact(size, 0), bodies::spaced(size)),
        5 => Case::Compare(bodies::compact(size, 0), bodies::compact(size, differing)),
        7 => Case::Read,
        6 => Case::Compare(bodies::members(size, 0), bodies::members(size, differing)),
        _ => return 0,
    };
    let Ok(policy) = policy::read(POLICY.as_bytes()) else {
        return 0;
    };
    PREPARED.set(Some((policy, case)));
    1
}

/// Runs what was prepared; what it gives depends on all of the work: a slot, how many headers
/// change, how many differences there are.
#[unsafe(no_mangle)]
pub extern "C" fn run() -> usize {
    PREPARED.with_borrow(|prepared| {
        prepared
            .as_ref()
            .map_or(0, |(policy, case)| of(policy, case))
    })
}

/// Runs nothing: what a call itself costs.
#[unsafe(no_mangle)]
pub extern "C" fn idle() -> usize {
    PREPARED.with_borrow(|prepared| usize::from(prepared.is_some()))
}

fn of(policy: &Policy, case: &Case) -> usize {
    match case {
        Case::Slot => policy
            .assigner
            .routes
            .first()
            .map_or(0, |route| route.scheme.slot(KEY).get() as usize),
        Case::Read => Request::new(&LINES, &nobody).path().len(),
        Case::Decide => decided(policy, false),
        Case::Assign => decided(policy, true),
        Case::Compare(left, right) => differences(left, right),
    }
}

fn nobody() -> Option<IpAddr> {
    None
}

fn decided(policy: &Policy, enforced: bool) -> usize {
    let assigner = &policy.assigner;
    let request = Request::new(&LINES, &nobody);
    let now = Millis(1_795_251_600_000);
    let decision = assigner.decide(&request, now, &Gates::OPEN, &mut || None);
    if !enforced {
        return decision.slot.map_or(0, |slot| slot.get() as usize);
    }
    let mut edits = strip(&request, assigner.trust);
    edits.enforce(assigner, &request, &decision);
    edits.set.len()
}

fn differences(left: &str, right: &str) -> usize {
    let fields: &Fields = &[("content-type".to_owned(), b"application/json".to_vec())];
    let of = |body| Response {
        status: 200,
        headers: fields,
        body: Some(body),
        trailers: &[],
    };
    let (left, right) = (of(left.as_bytes()), of(right.as_bytes()));
    compare("GET", &left, &right, &Settings::default())
        .differences
        .len()
}
