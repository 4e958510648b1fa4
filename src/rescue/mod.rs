//! Rescue: a request that failed on a variant is answered by stable after all.
//!
//! | module | what is decided there |
//! | --- | --- |
//! | this | which requests may be rescued, and which beginnings of an answer are failures |
//! | [`shape`] | what stable is asked, and what the caller gets of its answer |
//!
//! Only a request that ends with its headers is rescued: a body went to the variant as it came and is
//! kept by nobody. Nor is a tunnel, which has no answer to replace, nor a gRPC call, whose failure is
//! told behind its answer.
//!
//! A failure is one before the answer's body. What breaks in the midst of a body broke before the
//! caller's eyes, and nothing can take it back.
//!
//! What the request came to is the variant's failure all the same: nothing here tells the gate
//! anything else.

pub mod shape;

use crate::health::outcome::{Ended, ErrorClass, Errors, Outcome};
use crate::health::statuses::Status;
use crate::request::{Request, is_grpc};

/// The rescue of one route.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The proxy's name of stable.
    pub cluster: String,
    /// The methods that are rescued.
    pub methods: Vec<String>,
    /// What is a failure.
    pub failures: Failures,
    /// How long a variant has for the beginning of its answer, in milliseconds, as text: what the
    /// proxy is told in a header. None leaves it to the proxy.
    pub deadline: Option<String>,
    /// How long stable has, in milliseconds; never 0, which the host takes for no end at all.
    pub timeout: u32,
    /// How many a second, in one worker.
    pub per_second: u32,
}

/// The header by which a request has Envoy give up on an upstream that has not begun to answer by
/// then. It is no end for an answer that has begun, as `x-envoy-upstream-rq-timeout-ms` would be, and
/// Envoy leaves it out of account where the route's own time-out is shorter.
pub const DEADLINE_HEADER: &str = "x-envoy-upstream-rq-per-try-timeout-ms";

/// Whether a request of a method that is rescued can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chance {
    /// It can.
    Open,
    /// It could, but it has a body.
    HasBody,
}

impl Settings {
    /// Whether `request` can be rescued; `ends` says that it has no body. Nothing if it is not of the
    /// kind.
    pub fn chance(&self, request: &Request<'_>, ends: bool) -> Option<Chance> {
        let method = request.method();
        let is_named = self.methods.iter().any(|of| of.as_bytes() == method);
        let is_tunnel = request.header("upgrade").next().is_some();
        // Over HTTP/2 the end may come in a frame of its own.
        let is_empty = ends || request.header("content-length").next() == Some(b"0");
        let is_call = request.header("content-type").next().is_some_and(is_grpc);
        (is_named && !is_tunnel && !is_call).then_some(match is_empty {
            true => Chance::Open,
            false => Chance::HasBody,
        })
    }

    /// The deadline to set; a caller who is believed to have one (Envoy removes those of strangers)
    /// keeps it.
    pub fn deadline(&self, request: &Request<'_>) -> Option<&str> {
        let is_there = request.header(DEADLINE_HEADER).next().is_some();
        self.deadline.as_deref().filter(|_| !is_there)
    }
}

/// What is a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// These statuses of the variant's own.
    pub statuses: Errors,
    /// There was no answer: no host, no connection, none to spare, or the stream broke before it.
    pub reset: bool,
    /// There was no answer in time.
    pub timeout: bool,
}

impl Failures {
    /// Whether an answer that begins so is a failure.
    pub fn has(&self, began: &Ended<'_>) -> bool {
        match began.outcome(&self.statuses, None) {
            Outcome::Error(ErrorClass::Status) => true,
            Outcome::Error(ErrorClass::Timeout) => self.timeout,
            Outcome::Error(
                ErrorClass::Connect
                | ErrorClass::ResetBefore
                | ErrorClass::NoHost
                | ErrorClass::Overload,
            ) => self.reset,
            _ => false,
        }
    }

    /// Whether an answer with this status can be a failure at all: the proxy's own have at least 400,
    /// and what else is to be known of one costs host calls.
    pub fn may_have(&self, status: Status) -> bool {
        status.get() >= 400 || self.statuses.statuses.has(status)
    }
}

/// What became of a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescued {
    /// Stable's answer went to the caller.
    Answered,
    /// Stable failed too; the variant's answer went on.
    Failed,
    /// The proxy did not make the call: it has no such cluster, or one without hosts, or too many
    /// requests are under way there.
    NotSent,
    /// As many as the policy allows were made in this second.
    Limited,
    /// It had a body.
    Body,
    /// The caller, or the route's own time-out, did not wait for stable.
    Left,
}

impl Rescued {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 6] = [
        Self::Answered,
        Self::Failed,
        Self::NotSent,
        Self::Limited,
        Self::Body,
        Self::Left,
    ];

    /// The word for it in metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::NotSent => "not-sent",
            Self::Limited => "limited",
            Self::Body => "body",
            Self::Left => "left",
        }
    }
}

#[cfg(test)]
#[path = "rescue_tests.rs"]
mod tests;
