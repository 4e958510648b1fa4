//! The copy of one request: what goes by is told to its route's shadow.
//!
//! Bodies are read chunk by chunk as they go by; nothing waits for it, and the host gathers nothing.

use super::host::{self, Buffer, Map};
use super::root::InForce;
use super::shadows::moment;
use super::stream::{note, property};
use crate::policy::Policy;
use crate::shadow::join::{Id, NotCompared};
use crate::shadow::sample::Skipped;
use crate::shadow::{PENDING, Told};

/// What the host says of an answer that is the upstream's, and came to its end.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// The copy of one request.
#[derive(Debug)]
pub struct Copied {
    route: usize,
    state: State,
    /// The bytes of its body that are still to come, where it says so beforehand.
    due: Option<usize>,
}

#[derive(Debug)]
enum State {
    /// It was drawn, and is not copied.
    Skipped(Skipped),
    /// Its body is coming.
    Gathering(Id),
    /// Its call was made.
    Sent(Id),
    /// It came to nothing.
    Over(NotCompared),
}

impl Copied {
    /// It was begun, and has so many bytes.
    pub fn begun(route: usize, id: Id, due: Option<usize>) -> Self {
        let state = State::Gathering(id);
        Self { route, state, due }
    }

    /// It was drawn, and is not copied.
    pub fn skipped(route: usize, why: Skipped) -> Self {
        Self {
            route,
            state: State::Skipped(why),
            due: None,
        }
    }

    /// The next `size` bytes of the request's body.
    #[inline(never)]
    pub fn request_chunk(&mut self, in_force: &InForce, size: usize) {
        let State::Gathering(id) = self.state else {
            return;
        };
        let told = in_force.shadows.with(self.route, |shadow| {
            let chunk = chunk(
                in_force,
                Buffer::Request,
                size,
                shadow.settings().max_body_bytes,
            );
            match chunk {
                Some(chunk) => shadow.request_chunk(id, &chunk, moment()),
                // Without all of its body it would be another request.
                None => shadow.give_up(id, moment()),
            }
        });
        if let Some(Err(why)) = told {
            self.state = State::Skipped(why);
        }
        self.due = self.due.map(|due| due.saturating_sub(size));
    }

    /// Whether all that was announced has come. Over HTTP/2 the end may come in a frame of its own,
    /// and stable's answer before it: then nobody is told of the end.
    pub fn is_whole(&self) -> bool {
        self.due == Some(0)
    }

    /// The request has come to its end, and its copy is sent.
    #[inline(never)]
    pub fn request_ended(&mut self, in_force: &InForce) {
        let State::Gathering(id) = self.state else {
            return;
        };
        self.state = State::Sent(id);
        let shadows = &in_force.shadows;
        let call = shadows.with(self.route, |shadow| shadow.request_ended(id));
        let sent = call
            .flatten()
            .and_then(|call| shadows.send(self.route, &call));
        match sent.map(|sent| (sent.told, sent.taken)) {
            Some((Some(Told::NotCompared(why)), _)) => self.state = State::Over(why),
            Some((_, false)) => self.state = State::Over(NotCompared::NotSent),
            Some((_, true)) | None => {}
        }
    }

    /// The exchange that what goes by belongs to.
    fn id(&self) -> Option<Id> {
        match self.state {
            State::Gathering(id) | State::Sent(id) => Some(id),
            State::Skipped(_) | State::Over(_) => None,
        }
    }

    /// The answer's headers go by.
    #[inline(never)]
    pub fn response_headers(&self, in_force: &InForce) {
        let Some(id) = self.id() else {
            return;
        };
        in_force.shadows.with(self.route, |shadow| {
            if shadow.settings().comparing.is_none() {
                return;
            }
            let pairs = note(in_force, host::headers(Map::Response)).unwrap_or_default();
            let lines = pairs.lines().unwrap_or_default();
            let status = lines.iter().find(|(name, _)| *name == b":status");
            let status =
                status.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
            if let Some(status) = status {
                shadow.primary_headers(id, status, lines);
            }
        });
    }

    /// The next `size` bytes of the answer's body go by.
    #[inline(never)]
    pub fn response_chunk(&self, in_force: &InForce, size: usize) {
        let Some(id) = self.id() else {
            return;
        };
        in_force.shadows.with(self.route, |shadow| {
            if shadow.reads_primary(id) {
                let most = shadow.settings().max_body_bytes;
                match chunk(in_force, Buffer::Response, size, most) {
                    Some(chunk) => shadow.primary_chunk(id, &chunk),
                    None => shadow.primary_truncated(id),
                }
            }
        });
    }

    /// The answer's trailers go by.
    #[inline(never)]
    pub fn response_trailers(&self, in_force: &InForce) {
        let Some(id) = self.id() else {
            return;
        };
        in_force.shadows.with(self.route, |shadow| {
            if shadow.settings().comparing.is_some() {
                let pairs = note(in_force, host::headers(Map::ResponseTrailers));
                let pairs = pairs.unwrap_or_default();
                shadow.primary_trailers(id, pairs.lines().unwrap_or_default());
            }
        });
    }

    /// The request is over for its caller; `whole` says that its answer was seen to its end. Gives
    /// the access log's word for the copy.
    #[inline(never)]
    pub fn end(self, in_force: &InForce, policy: &Policy, whole: bool) -> String {
        let id = match self.state {
            State::Gathering(id) | State::Sent(id) => id,
            State::Skipped(why) => return format!("skipped:{}", why.word()),
            State::Over(why) => return not_compared(why),
        };
        let details = || property(in_force, "response\0code_details");
        let whole = whole && details().is_some_and(|details| details == VIA_UPSTREAM);
        let shadows = &in_force.shadows;
        let told = shadows.with(self.route, |shadow| {
            let is_mirror = shadow.settings().comparing.is_none();
            (shadow.primary_ended(id, whole, moment()), is_mirror)
        });
        let (told, is_mirror) = told.unwrap_or_default();
        shadows.follow(policy, self.route, told.as_ref());
        match told {
            Some(Told::NotCompared(why)) => not_compared(why),
            Some(told) => told.word().to_owned(),
            None if is_mirror => "sent".to_owned(),
            None => PENDING.to_owned(),
        }
    }
}

fn not_compared(why: NotCompared) -> String {
    format!("not-compared:{}", why.word())
}

/// The `size` bytes that go by, or as many as show that they are more than `most`; none if the host
/// does not give them.
fn chunk(in_force: &InForce, of: Buffer, size: usize, most: usize) -> Option<Vec<u8>> {
    let wanted = size.min(most.saturating_add(1));
    if wanted == 0 {
        return Some(Vec::new());
    }
    let bytes = note(in_force, host::bytes(of, wanted))?;
    (bytes.len() == wanted).then_some(bytes)
}
