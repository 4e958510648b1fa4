//! A decision in words: for a caller that may ask, and for access logs.
//!
//! Only names from the policy, a slot and a share are told; never a key's value.

use crate::assign::Mode;
use crate::assign::decide::Decision;
use crate::assign::gates::Gates;
use crate::assign::ramp::Millis;
use crate::request::Request;
use std::fmt::Write;

/// The header by which a caller asks why.
pub const ASK_HEADER: &str = "x-serinus-explain";
/// The header of the answer.
pub const REASON_HEADER: &str = "x-serinus-reason";

/// What stands for a route where there is none.
pub const NO_ROUTE: &str = "-";

/// Whether the request asks why it is decided as it is.
pub fn asks(request: &Request<'_>) -> bool {
    request.header(ASK_HEADER).any(|line| line == b"1")
}

/// `route=checkout; variant=canary; reason=share; key=header:x-user-id; slot=4711; share=10000`:
/// members that say nothing are left out, and `rule`, `flags` (`rec_engine:on:share,…`) and `mode`
/// (unless it enforces) come where they matter. The share is that of the variant decided on, in parts per million, with what its gate keeps
/// out taken off.
#[inline(never)]
pub fn explanation(decision: &Decision<'_>, mode: Mode, now: Millis, gates: &Gates) -> String {
    let mut text = members(decision, "; ");
    if let Some(rule) = decision.rule {
        let _ = write!(text, "; rule={}", rule.name);
    }
    if let Some(key) = decision.key {
        let _ = write!(text, "; key={key}");
    }
    if let Some(slot) = decision.slot {
        let _ = write!(text, "; slot={}", slot.get());
    }
    if let Some(route) = decision.route {
        let share = route.share_of(decision.side, now, gates);
        let _ = write!(text, "; share={}", share.ppm());
    }
    for (place, given) in decision.flags.given.iter().enumerate() {
        let start = if place == 0 { "; flags=" } else { "," };
        let (value, word) = (given.text(), given.because.word());
        let _ = write!(text, "{start}{}:{value}:{word}", given.flag.name);
    }
    if mode == Mode::Observe {
        text.push_str("; mode=observe");
    }
    text
}

/// `route=checkout variant=canary reason=share gate=open`, for access logs. The gate is the route's
/// first that is not open, if there is one; a route without variants has none to tell of.
#[inline(never)]
pub fn log_field(decision: &Decision<'_>, gates: &Gates) -> String {
    let mut text = members(decision, " ");
    if let Some(route) = decision.route.filter(|route| !route.variants.is_empty()) {
        let _ = write!(text, " gate={}", gates.narrowest(route.id).word());
    }
    text
}

fn members(decision: &Decision<'_>, separator: &str) -> String {
    let mut text = String::with_capacity(128);
    let route = decision.route.map_or(NO_ROUTE, |route| route.name.as_str());
    let _ = write!(text, "route={route}{separator}");
    let side = decision
        .route
        .map_or("stable", |route| route.side_name(decision.side));
    let _ = write!(text, "variant={side}{separator}reason={}", decision.reason);
    text
}
