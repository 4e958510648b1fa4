//! Names and numbers of the proxy-wasm ABI 0.2.1.

use std::fmt;

/// What a host call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the ABI's own names say all that is known")]
pub enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    ParseFailure = 4,
    BadExpression = 5,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    ResultMismatch = 9,
    InternalFailure = 10,
    BrokenConnection = 11,
    Unimplemented = 12,
}

/// What a header callback tells the proxy to do with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on to the next filter.
    Continue,
    /// Wait until the filter resumes the stream or answers it.
    Pause,
}

/// A log line's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the usual names")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl LogLevel {
    /// The level of a number in a `proxy_log` call; none above 5.
    pub fn from_number(number: u32) -> Option<Self> {
        use LogLevel::*;
        [Trace, Debug, Info, Warn, Error, Critical]
            .get(number as usize)
            .copied()
    }
}

/// A header map of the ABI that this host models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// Headers of the request, number 0.
    Request,
    /// Headers of the response, number 2.
    Response,
    /// Trailers of the response, number 3.
    ResponseTrailers,
    /// Headers of the answer to an HTTP call of the filter, number 6.
    HttpCallResponse,
    /// Trailers of that answer, number 7.
    HttpCallTrailers,
    /// Any other map of the ABI, 1, 4 and 5: always absent here.
    Absent,
}

impl MapType {
    /// The map of a number in a host call; none above 7.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Request),
            2 => Some(Self::Response),
            3 => Some(Self::ResponseTrailers),
            6 => Some(Self::HttpCallResponse),
            7 => Some(Self::HttpCallTrailers),
            1 | 4 | 5 => Some(Self::Absent),
            _ => None,
        }
    }
}

/// A moment at which the host calls into the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "each is one export of the module, named in `export`"
)]
pub enum Callback {
    Initialize,
    ContextCreate,
    VmStart,
    Configure,
    Tick,
    HttpCallResponse,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Log,
    Done,
    Delete,
}

impl Callback {
    /// The export that the host calls. Envoy skips a callback that the module does not export.
    pub fn export(self) -> &'static str {
        match self {
            Self::Initialize => "_initialize",
            Self::ContextCreate => "proxy_on_context_create",
            Self::VmStart => "proxy_on_vm_start",
            Self::Configure => "proxy_on_configure",
            Self::Tick => "proxy_on_tick",
            Self::HttpCallResponse => "proxy_on_http_call_response",
            Self::RequestHeaders => "proxy_on_request_headers",
            Self::RequestBody => "proxy_on_request_body",
            Self::ResponseHeaders => "proxy_on_response_headers",
            Self::ResponseBody => "proxy_on_response_body",
            Self::ResponseTrailers => "proxy_on_response_trailers",
            Self::Log => "proxy_on_log",
            Self::Done => "proxy_on_done",
            Self::Delete => "proxy_on_delete",
        }
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.export())
    }
}
