//! The pages that the filter serves itself.

use super::host;
use super::root::InForce;
use super::stream::note;
use super::watch;
use crate::policy::Policy;
use crate::report::page::{self, Answer, Asked, Page};
use crate::request::{Header, Request};

const HEADERS: [Header<'static>; 2] = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
];

/// Answers `request` if it asks for a page; says whether the host did. If it can't, the request is to
/// go on as any other.
#[inline(never)]
pub fn serve(in_force: &InForce, policy: &Policy, page: &Page, request: &Request<'_>) -> bool {
    let Some(asked) = page.asked(request) else {
        return false;
    };
    let known = in_force.name_and_version();
    let answer = match asked {
        Asked::Health => page::health(known, in_force.rejected.is_some()),
        Asked::Version => page::version(known),
        Asked::State => match watch::document(in_force, policy) {
            Some(body) => Answer { status: 200, body },
            None => Answer {
                status: 500,
                body: "null\n".to_owned(),
            },
        },
    };
    let replied = host::respond(answer.status, &HEADERS, answer.body.as_bytes(), None);
    note(in_force, replied).is_some()
}
