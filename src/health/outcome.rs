//! What a finished request came to.
//!
//! Judged once, when the stream ends: some failures have no answer at all, retries have one for
//! many tries, and an answer that began well may still be cut off. Three things tell who is to
//! blame: Envoy's response code details (the most exact), its response flags, and the status.
//! In this order:
//!
//! 1. A reply of this filter is nobody's fault, nor is a stream that it ended since a gate shut.
//! 2. A tunnel that was set up (WebSocket, CONNECT) is fine unless its stream was reset. The end of
//!    the version's connection is no reset: servers close a WebSocket first (RFC 6455, 7.1.1), and
//!    Envoy reports that close and a dead process alike (flag UC, seen with 1.40). So a version
//!    that dies with its tunnels open shows in the handshakes that follow, not in those.
//! 3. The details, else the flags, say who made the end: the version, the way to it, the proxy
//!    itself or the caller.
//! 4. What the version answered is an error by its status, or by gRPC's; else it is slow or fine.
//!
//! A caller who leaves says little of the version, unless the wait was already longer than
//! stable's slow bound: then the request counts as slow, or a version that hangs would go unseen.
//! The same goes for streams that stood idle after the answer had begun, for either side may have
//! stopped. A caller who leaves after an error was told is no longer asked: it is an error.
//!
//! 408 for a stream that took too long is the caller's slow upload, 504 the version's answer: Envoy
//! tells them apart by whether the whole request had come.

use super::clock::Micros;
use super::flags::Flags;
use super::statuses::{GrpcSet, GrpcStatus, Status, StatusSet};

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was answered as it should be.
    Ok,
    /// The same, later than stable's slow bound, or given up by the caller after that long.
    Slow,
    /// It failed, and the version or the way to it is to blame.
    Error(ErrorClass),
    /// The caller left, or was too slow itself, or a gate that shut ended it; counted for neither side.
    Aborted,
    /// The proxy itself answered or refused; not counted against the version.
    Refused,
}

/// How a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The version answered with a status that the policy calls an error.
    Status,
    /// No connection could be made.
    Connect,
    /// The stream broke before the answer began.
    ResetBefore,
    /// The stream broke after the answer had begun.
    ResetAfter,
    /// There was no answer in time.
    Timeout,
    /// There was no host to send it to.
    NoHost,
    /// The circuit breaker was open, or the cluster sheds load.
    Overload,
    /// The version answered with a gRPC status that the policy calls an error.
    Grpc,
}

/// How many different outcomes there are.
pub const OUTCOMES: usize = 12;

impl Outcome {
    /// All of them, in the order that counters are kept in.
    pub const ALL: [Self; OUTCOMES] = [
        Self::Ok,
        Self::Slow,
        Self::Aborted,
        Self::Refused,
        Self::Error(ErrorClass::Status),
        Self::Error(ErrorClass::Connect),
        Self::Error(ErrorClass::ResetBefore),
        Self::Error(ErrorClass::ResetAfter),
        Self::Error(ErrorClass::Timeout),
        Self::Error(ErrorClass::NoHost),
        Self::Error(ErrorClass::Overload),
        Self::Error(ErrorClass::Grpc),
    ];

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::Slow => 1,
            Self::Aborted => 2,
            Self::Refused => 3,
            Self::Error(ErrorClass::Status) => 4,
            Self::Error(ErrorClass::Connect) => 5,
            Self::Error(ErrorClass::ResetBefore) => 6,
            Self::Error(ErrorClass::ResetAfter) => 7,
            Self::Error(ErrorClass::Timeout) => 8,
            Self::Error(ErrorClass::NoHost) => 9,
            Self::Error(ErrorClass::Overload) => 10,
            Self::Error(ErrorClass::Grpc) => 11,
        }
    }

    /// Its word in metrics, logs and documents; all errors begin with `error_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::Error(ErrorClass::Status) => "error_status",
            Self::Error(ErrorClass::Connect) => "error_connect",
            Self::Error(ErrorClass::ResetBefore) => "error_reset_before",
            Self::Error(ErrorClass::ResetAfter) => "error_reset_after",
            Self::Error(ErrorClass::Timeout) => "error_timeout",
            Self::Error(ErrorClass::NoHost) => "error_no_host",
            Self::Error(ErrorClass::Overload) => "error_overload",
            Self::Error(ErrorClass::Grpc) => "error_grpc",
        }
    }

    /// Whether it says something of the version: fine, slow or an error.
    pub const fn is_judged(self) -> bool {
        matches!(self, Self::Ok | Self::Slow | Self::Error(_))
    }

    /// Whether it is an error.
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Error(_))
    }
}

/// What the policy calls an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors {
    /// `errors`; default `5xx`.
    pub statuses: StatusSet,
    /// `grpcErrors`.
    pub grpc: GrpcSet,
}

/// Whether the request asked for a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Asked {
    /// A plain request.
    #[default]
    Plain,
    /// An `upgrade` header, as WebSocket sends it.
    Upgrade,
    /// The method CONNECT.
    Connect,
}

impl Asked {
    /// From the method and whether there is an `upgrade` header.
    pub fn of(method: &[u8], has_upgrade: bool) -> Self {
        match (method, has_upgrade) {
            (b"CONNECT", _) => Self::Connect,
            (_, true) => Self::Upgrade,
            (_, false) => Self::Plain,
        }
    }
}

/// A stream that ended, as the host tells it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended<'e> {
    /// `response.code`; absent if no answer had begun.
    pub status: Option<Status>,
    /// `response.flags`.
    pub flags: Flags,
    /// `response.code_details`; absent if nobody asked, see [`wants_details`].
    pub details: Option<&'e [u8]>,
    /// Whether the answer's `content-type` is gRPC's ([`is_grpc`](crate::request::is_grpc)).
    pub is_grpc: bool,
    /// `grpc-status` of the trailers, or of the headers where there are no trailers.
    pub grpc_status: Option<GrpcStatus>,
    /// What was asked for.
    pub asked: Asked,
    /// From the request's headers to the end; absent if the clock was set meanwhile.
    pub duration: Option<Micros>,
    /// Whether this filter answered itself.
    pub own_reply: bool,
    /// Whether this filter ended it, since the gate of its variant shut.
    pub was_cut: bool,
}

/// Whether the details can make a difference: they cost a host call, and a plain success of a
/// stream without flags is judged alike without them.
pub fn wants_details(status: Option<Status>, flags: Flags, errors: &Errors) -> bool {
    flags != Flags::default()
        || status.is_none_or(|status| status.get() >= 400 || errors.statuses.has(status))
}

/// Who made the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Version,
    Way(ErrorClass),
    Proxy,
    Caller,
}

impl Ended<'_> {
    /// The outcome; `slow` is stable's slow bound, if it is known by now.
    pub fn outcome(&self, errors: &Errors, slow: Option<Micros>) -> Outcome {
        if self.own_reply {
            return Outcome::Refused;
        }
        if self.was_cut {
            return Outcome::Aborted;
        }
        if self.is_tunnel() {
            let reset = self.flags.meets(STREAM_RESET) && !self.flags.meets(LEFT);
            return if reset {
                Outcome::Error(ErrorClass::ResetAfter)
            } else {
                Outcome::Ok
            };
        }
        let late = matches!((self.duration, slow), (Some(took), Some(bound)) if took > bound);
        match self.maker() {
            Maker::Way(class) => Outcome::Error(class),
            Maker::Proxy => Outcome::Refused,
            Maker::Version => match self.failed(errors, true) {
                Some(class) => Outcome::Error(class),
                None if late => Outcome::Slow,
                None => Outcome::Ok,
            },
            Maker::Caller => match self.failed(errors, false) {
                Some(class) => Outcome::Error(class),
                None if late => Outcome::Slow,
                None => Outcome::Aborted,
            },
        }
    }

    /// How long the version took; nothing for a tunnel, which lasts as long as it is wanted.
    pub fn latency(&self) -> Option<Micros> {
        self.duration.filter(|_| !self.is_tunnel())
    }

    /// Whether a tunnel was asked for and set up.
    pub fn is_tunnel(&self) -> bool {
        let code = self.status.map_or(0, Status::get);
        match self.asked {
            Asked::Plain => false,
            Asked::Upgrade => code == 101,
            Asked::Connect => code == 101 || (200..300).contains(&code),
        }
    }

    fn maker(&self) -> Maker {
        let told = self.details.and_then(|details| self.by_details(details));
        match told {
            Some(Maker::Way(class)) => Maker::Way(class),
            _ if self.flags.meets(LEFT) => Maker::Caller,
            Some(maker) => maker,
            None => self.by_flags(),
        }
    }

    /// An error in what the version answered. `whole` says that the answer came to its end, so
    /// that a gRPC status that is missing will not come.
    fn failed(&self, errors: &Errors, whole: bool) -> Option<ErrorClass> {
        let status = self.status?;
        if errors.statuses.has(status) {
            return Some(ErrorClass::Status);
        }
        let missing = (whole && status.get() == 200).then_some(GrpcStatus::UNKNOWN);
        let grpc = self.grpc_status.or(missing).filter(|_| self.is_grpc)?;
        errors.grpc.has(grpc).then_some(ErrorClass::Grpc)
    }

    /// By Envoy's words (`ResponseCodeDetailValues`, and the filters' own). What is made by the
    /// proxy and not known here is not the version's; nothing where the words leave it open.
    #[inline(never)]
    fn by_details(&self, details: &[u8]) -> Option<Maker> {
        let end = details.iter().position(|byte| matches!(byte, b'{' | b'('));
        let word = end.and_then(|end| details.get(..end)).unwrap_or(details);
        Some(match word {
            b"" => return None,
            _ if self.flags.meets(Flags::OVERLOAD_MANAGER) => Maker::Proxy,
            b"via_upstream" => self.by_flags_of_an_answer(),
            b"upstream_reset_before_response_started"
            | b"upstream_reset_after_response_started" => Maker::Way(self.reset(details)),
            b"response_timeout"
            | b"upstream_per_try_timeout"
            | b"upstream_per_try_idle_timeout"
            | b"upstream_max_stream_duration_reached" => Maker::Way(ErrorClass::Timeout),
            b"stream_idle_timeout" | b"max_duration_timeout" | b"request_overall_timeout" => {
                self.too_long()
            }
            b"no_healthy_upstream" | b"cluster_not_found" | b"dns_resolution_failure" => {
                Maker::Way(ErrorClass::NoHost)
            }
            b"drop_overload" | b"unconditional_drop_overload" => Maker::Way(ErrorClass::Overload),
            b"maintenance_mode" => Maker::Proxy,
            // The proxy says so, but of what the version sent.
            b"response_payload_too_large" | b"websocket_handshake_unsuccessful" => Maker::Version,
            b"downstream_remote_disconnect"
            | b"downstream_local_disconnect"
            | b"duration_timeout" => Maker::Caller,
            // The proxy's own words leave no doubt, but those of a later Envoy might be about the
            // version: its flags say so then.
            _ => match self.by_flags() {
                Maker::Version => Maker::Proxy,
                maker => maker,
            },
        })
    }

    fn by_flags(&self) -> Maker {
        let flags = self.flags;
        let any = |set: Flags| flags.meets(set);
        if any(PROXY) {
            Maker::Proxy
        } else if any(Flags::UPSTREAM_OVERFLOW.or(DROPPED)) {
            Maker::Way(ErrorClass::Overload)
        } else if any(NO_HOST) {
            Maker::Way(ErrorClass::NoHost)
        } else if any(Flags::UPSTREAM_CONNECT_FAILURE) {
            Maker::Way(ErrorClass::Connect)
        } else if any(Flags::UPSTREAM_TIMEOUT.or(Flags::UPSTREAM_MAX_DURATION)) {
            Maker::Way(ErrorClass::Timeout)
        } else if any(STREAM_RESET.or(Flags::UPSTREAM_CONNECTION_END)) {
            Maker::Way(self.broken())
        } else if any(Flags::IDLE_TIMEOUT) {
            self.too_long()
        } else if self.status.is_none() || any(Flags::DURATION_TIMEOUT) {
            Maker::Caller
        } else {
            Maker::Version
        }
    }

    /// The version's answer came; flags of earlier tries may still stand there.
    fn by_flags_of_an_answer(&self) -> Maker {
        if self.flags.meets(Flags::IDLE_TIMEOUT) {
            self.too_long()
        } else if self.flags.meets(Flags::FROM_CACHE) {
            Maker::Proxy
        } else {
            Maker::Version
        }
    }

    /// Envoy gave up on a stream that stood still or lasted too long.
    fn too_long(&self) -> Maker {
        match self.status.map(Status::get) {
            Some(504) => Maker::Way(ErrorClass::Timeout),
            _ => Maker::Caller,
        }
    }

    /// A reset by its reason, which stands in braces: `…{remote_connection_failure|…}`.
    fn reset(&self, details: &[u8]) -> ErrorClass {
        let mut parts = details.split(|byte| matches!(byte, b'{' | b'|' | b'}'));
        match parts.nth(1).unwrap_or_default() {
            b"remote_connection_failure" | b"local_connection_failure" | b"connection_timeout" => {
                ErrorClass::Connect
            }
            b"overflow" => ErrorClass::Overload,
            _ if details.starts_with(b"upstream_reset_after") => ErrorClass::ResetAfter,
            _ if self.flags.meets(Flags::UPSTREAM_CONNECT_FAILURE) => ErrorClass::Connect,
            _ => ErrorClass::ResetBefore,
        }
    }

    /// Envoy answers 502 or 503 for a stream that broke before an answer; any other status is the
    /// version's own beginning.
    fn broken(&self) -> ErrorClass {
        match self.status.map(Status::get) {
            None | Some(502 | 503) => ErrorClass::ResetBefore,
            Some(_) => ErrorClass::ResetAfter,
        }
    }
}

const LEFT: Flags = Flags::DOWNSTREAM_END.or(Flags::DOWNSTREAM_RESET);
const STREAM_RESET: Flags = Flags::UPSTREAM_RESET
    .or(Flags::LOCAL_RESET)
    .or(Flags::UPSTREAM_PROTOCOL);
const DROPPED: Flags = Flags::DROP_OVERLOAD.or(Flags::UNCONDITIONAL_DROP);
const NO_HOST: Flags = Flags::NO_HEALTHY_UPSTREAM
    .or(Flags::NO_CLUSTER)
    .or(Flags::DNS_FAILURE);
const PROXY: Flags = Flags::LOCAL_HEALTH_CHECK
    .or(Flags::NO_ROUTE)
    .or(Flags::FAULT_INJECTED)
    .or(Flags::RATE_LIMITED)
    .or(Flags::UNAUTHORIZED)
    .or(Flags::RATE_LIMIT_SERVICE)
    .or(Flags::INVALID_ENVOY_HEADERS)
    .or(Flags::DOWNSTREAM_PROTOCOL)
    .or(Flags::FROM_CACHE)
    .or(Flags::NO_FILTER_CONFIG)
    .or(Flags::OVERLOAD_MANAGER);

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
