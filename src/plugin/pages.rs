//! The pages that the filter serves itself.

use super::host;
use super::root::InForce;
use super::stream::note;
use super::watch;
use crate::policy::Policy;
use crate::report::page::{self, Answer, Asked};
use proxy_wasm::types::Action;

const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
];

/// Answers with a page. If the host can't, the request goes on as any other.
pub fn serve(in_force: &InForce, policy: &Policy, asked: Asked) -> Action {
    let known = in_force.name_and_version();
    let answer = match asked {
        Asked::Health => page::health(known, in_force.rejected.is_some()),
        Asked::Version => page::version(known),
        Asked::State => Answer {
            status: 200,
            body: watch::document(in_force, policy).unwrap_or_default(),
        },
    };
    let headers = HEADERS.iter().copied();
    let replied = host::respond(answer.status, headers, answer.body.as_bytes());
    match note(in_force, replied) {
        Some(()) => Action::Pause,
        None => Action::Continue,
    }
}
