//! What the host knows of one VM: its contexts, and the calls made into the host.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::abi::{Callback, LogLevel, MapType, Status};
use crate::calls::{Allowed, Calls, HostCall};
use crate::faults::Faults;
use crate::functions::Reply;
use crate::headers::Headers;
use crate::metrics::Handles;
use crate::process::{Process, VM_ID};
use crate::request::{LocalResponse, LogLine, Request, Response};

/// A root context: one configuration of one plugin.
#[derive(Debug)]
pub(crate) struct Root {
    pub plugin: String,
    pub policy: Vec<u8>,
    pub tick_period: Option<Duration>,
    /// Replaced by a newer configuration; lives until its last stream ends (measured).
    pub retired: bool,
}

impl Root {
    pub fn new(plugin: &str, policy: &[u8]) -> Self {
        Self {
            plugin: plugin.to_owned(),
            policy: policy.to_vec(),
            tick_period: None,
            retired: false,
        }
    }
}

/// A stream context: one request and its response.
#[derive(Debug)]
pub(crate) struct Stream {
    pub root: u32,
    pub request: Request,
    pub response: Option<Response>,
    /// The request's headers can be read and changed: from its callback until it goes on.
    pub request_live: bool,
    /// The same for the response.
    pub response_live: bool,
    pub filter_state: BTreeMap<String, Vec<u8>>,
    pub local_response: Option<LocalResponse>,
    pub paused: bool,
    /// The response waits for the filter, from its headers on.
    pub response_paused: bool,
    /// The filter let a response go on that waited; what comes after its headers is due.
    pub response_resumed: bool,
    /// The filter ended it.
    pub closed: bool,
    pub instructions: u64,
}

impl Stream {
    pub fn new(root: u32, request: &Request) -> Self {
        Self {
            root,
            request: request.clone(),
            response: None,
            request_live: false,
            response_live: false,
            filter_state: request.filter_state.clone(),
            local_response: None,
            paused: false,
            response_paused: false,
            response_resumed: false,
            closed: false,
            instructions: 0,
        }
    }
}

/// An HTTP call that the filter made and that awaits its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the arguments of the call")]
pub struct HttpCall {
    pub token: u32,
    /// The root context that owns the call and gets its answer.
    pub root: u32,
    pub cluster: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub timeout: Duration,
}

/// What there is of an HTTP call's answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallEnd {
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
}

impl CallEnd {
    pub fn of(response: &Response) -> Self {
        Self {
            headers: response.headers.clone(),
            body: response.body.clone(),
            trailers: response.trailers.clone(),
        }
    }
}

/// The host's side of one VM.
#[derive(Debug)]
pub(crate) struct State {
    pub process: Process,
    pub handles: Handles,
    pub roots: BTreeMap<u32, Root>,
    pub streams: BTreeMap<u32, Stream>,
    pub http_calls: Vec<HttpCall>,
    /// The answer of an HTTP call, while the filter is told of it.
    pub http_call_response: Option<CallEnd>,
    pub allowed: Option<Allowed>,
    pub faults: Faults,
    pub log_level: LogLevel,
    /// What the filter did that no filter may do, or that the test did not allow.
    pub refusal: Option<Refusal>,
    callback: Callback,
    current: u32,
    effective: Option<u32>,
    calls: Vec<(u32, HostCall)>,
    logs: Vec<(u32, LogLine)>,
    last_token: u32,
}

/// Why the host stopped the filter in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotAllowed(String),
    Misuse(String),
}

impl State {
    pub fn new(process: Process) -> Self {
        Self {
            process,
            handles: Handles::default(),
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            http_calls: Vec::new(),
            http_call_response: None,
            allowed: None,
            faults: Faults::default(),
            log_level: LogLevel::Info,
            refusal: None,
            callback: Callback::Initialize,
            current: 0,
            effective: None,
            calls: Vec::new(),
            logs: Vec::new(),
            last_token: 0,
        }
    }

    /// The host is about to call into the filter.
    pub fn enter(&mut self, callback: Callback, context: u32) {
        self.callback = callback;
        self.current = context;
        self.effective = None;
    }

    /// Notes a host call; the refusal if the test does not allow it.
    pub fn record(&mut self, function: &'static str, subject: String) {
        let of_context = |(context, call): &&(u32, HostCall)| {
            *context == self.current && call.function == function
        };
        if let Some(allowed) = &self.allowed {
            let made = self.calls.iter().filter(of_context).count();
            self.refusal = allowed
                .refusal(function, made)
                .map(|why| Refusal::NotAllowed(format!("{function}({subject}): {why}")));
        }
        let call = HostCall {
            callback: self.callback,
            function,
            subject,
        };
        self.calls.push((self.current, call));
    }

    /// Refuses what no filter may do; the VM stops it, so the reply reaches nobody.
    pub fn misuse(&mut self, what: impl Into<String>) -> Reply {
        self.refusal = Some(Refusal::Misuse(what.into()));
        Status::InternalFailure.into()
    }

    /// Hands over, and forgets, the calls that were made in a context.
    pub fn take_calls(&mut self, context: u32) -> Calls {
        self.calls
            .extract_if(.., |(of, _)| *of == context)
            .map(|(_, call)| call)
            .collect()
    }

    /// Hands over, and forgets, the log lines that were written in a context.
    pub fn take_logs(&mut self, context: u32) -> Vec<LogLine> {
        self.logs
            .extract_if(.., |(of, _)| *of == context)
            .map(|(_, line)| line)
            .collect()
    }

    pub fn log(&mut self, line: LogLine) {
        self.logs.push((self.current, line));
    }

    /// The latest log lines, for the message of a failure.
    pub fn last_logs(&self, count: usize) -> Vec<LogLine> {
        self.logs
            .iter()
            .rev()
            .take(count)
            .rev()
            .map(|(_, line)| line.clone())
            .collect()
    }

    /// The context that calls act on: the effective one, if the filter chose one that lives.
    fn context(&self) -> u32 {
        self.effective
            .filter(|id| self.is_context(*id))
            .unwrap_or(self.current)
    }

    fn is_context(&self, id: u32) -> bool {
        self.roots.contains_key(&id) || self.streams.contains_key(&id)
    }

    pub fn set_effective(&mut self, id: u32) -> Status {
        if !self.is_context(id) {
            return Status::BadArgument;
        }
        self.effective = Some(id);
        Status::Ok
    }

    pub fn stream(&self) -> Option<&Stream> {
        self.streams.get(&self.context())
    }

    pub fn stream_mut(&mut self) -> Option<&mut Stream> {
        self.streams.get_mut(&self.context())
    }

    fn root_id(&self) -> u32 {
        self.stream().map_or(self.context(), |stream| stream.root)
    }

    pub fn root_mut(&mut self) -> Option<&mut Root> {
        self.roots.get_mut(&self.root_id())
    }

    /// Whether the stream is at its end, where headers can be read but not changed.
    pub fn is_logging(&self) -> bool {
        matches!(
            self.callback,
            Callback::Log | Callback::Done | Callback::Delete
        )
    }

    /// A header map as it can be read now.
    pub fn map(&self, map: MapType) -> Option<&Headers> {
        let logging = self.callback == Callback::Log;
        match map {
            MapType::Request => {
                let stream = self.stream()?;
                (stream.request_live || logging).then_some(&stream.request.headers)
            }
            MapType::Response => {
                let stream = self.stream()?;
                let response = stream.response.as_ref()?;
                (stream.response_live || logging).then_some(&response.headers)
            }
            MapType::ResponseTrailers => {
                let response = self.stream()?.response.as_ref()?;
                let live = self.callback == Callback::ResponseTrailers;
                (live || logging).then_some(&response.trailers)
            }
            MapType::HttpCallResponse => self.http_call_response.as_ref().map(|end| &end.headers),
            MapType::HttpCallTrailers => self.http_call_response.as_ref().map(|end| &end.trailers),
            MapType::Absent => None,
        }
    }

    /// A header map as it can be changed now.
    pub fn map_mut(&mut self, map: MapType) -> Option<&mut Headers> {
        if self.is_logging() {
            return None;
        }
        let stream = self.stream_mut()?;
        match map {
            MapType::Request if stream.request_live => Some(&mut stream.request.headers),
            MapType::Response if stream.response_live => stream
                .response
                .as_mut()
                .map(|response| &mut response.headers),
            _ => None,
        }
    }

    /// A buffer of the ABI, by its number, if it can be read now.
    pub fn buffer(&self, number: u32) -> Option<&[u8]> {
        match (number, self.callback) {
            (0, Callback::RequestBody) => {
                self.stream().map(|stream| stream.request.body.as_slice())
            }
            (1, Callback::ResponseBody) => self
                .stream()?
                .response
                .as_ref()
                .map(|response| response.body.as_slice()),
            (4, _) => self
                .http_call_response
                .as_ref()
                .map(|end| end.body.as_slice()),
            (6, _) => Some(&[]),
            (7, Callback::Configure) => self
                .roots
                .get(&self.current)
                .map(|root| root.policy.as_slice()),
            _ => None,
        }
    }

    pub fn add_http_call(&mut self, call: HttpCall) -> u32 {
        self.last_token += 1;
        let (token, root) = (self.last_token, self.root_id());
        self.http_calls.push(HttpCall {
            token,
            root,
            ..call
        });
        token
    }

    /// A property; its path's segments lie behind one another with a NUL between.
    pub fn property(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        let path = String::from_utf8_lossy(path);
        let path: Vec<&str> = path.split('\0').collect();
        match *path {
            ["plugin_vm_id"] => return Ok(VM_ID.into()),
            ["plugin_name" | "plugin_root_id"] => {
                let root = self.roots.get(&self.root_id()).ok_or(Status::NotFound)?;
                return Ok(root.plugin.clone().into());
            }
            ["filter_state"] => return Err(Status::SerializationFailure),
            _ => {}
        }
        let stream = self.stream().ok_or(Status::NotFound)?;
        self.stream_property(stream, &path).ok_or(Status::NotFound)
    }

    /// Which property can be read in which phase is measured: those of the request's headers in
    /// the request phase and at the end, those of the response from its headers on.
    fn stream_property(&self, stream: &Stream, path: &[&str]) -> Option<Vec<u8>> {
        let request = || self.map(MapType::Request);
        let response = stream.response.as_ref();
        let header = |name: &str| request()?.get(name).map(<[u8]>::to_vec);
        let of_response = response.and_then(|response| response.properties.get(&joined(path)));
        if let Some(set) = of_response.or(stream.request.properties.get(&joined(path))) {
            return Some(set.clone());
        }
        match *path {
            ["request", "method"] => header(":method"),
            ["request", "path"] => header(":path"),
            ["request", "host"] => header(":authority"),
            ["request", "id"] => header("x-request-id"),
            ["request", "headers", name] => header(name),
            ["request", "protocol"] => Some(b"HTTP/1.1".into()),
            ["request", "time"] => Some(number(self.process.state().now.as_nanos() as u64)),
            ["source", "address"] => Some(stream.request.source.clone().into()),
            ["response", "code"] => Some(number(response?.status_of().into())),
            ["response", "code_details"] => match response {
                Some(response) => Some(response.details.clone().into()),
                None => self.is_logging().then(|| LEFT_DETAILS.into()),
            },
            ["response", "flags"] => Some(number(match response {
                Some(response) => response.flags,
                None if self.is_logging() => LEFT_FLAG,
                None => 0,
            })),
            ["response", "grpc_status"] => Some(number(response?.grpc_status())),
            ["upstream", "address"] => response?.upstream.clone(),
            ["upstream", "request_attempt_count"] => Some(number(match response {
                Some(response) => response.attempts,
                None => self.is_logging().into(),
            })),
            // Before the end they are partial or 0; here always 0, so that nobody relies on them.
            ["request" | "response", "total_size"] if !self.is_logging() => Some(number(0)),
            ["request", "total_size"] => {
                let request = &stream.request;
                Some(number(size(&[&request.headers], &request.body)))
            }
            ["response", "total_size"] => Some(number(response.map_or(0, |response| {
                size(&[&response.headers, &response.trailers], &response.body)
            }))),
            ["filter_state", name] => stream
                .filter_state
                .get(name.strip_prefix("wasm.")?)
                .cloned(),
            [name] => stream.filter_state.get(name).cloned(),
            _ => None,
        }
    }
}

/// What Envoy says of a client that left before any response: flag DC.
const LEFT_FLAG: u64 = 1 << 14;
const LEFT_DETAILS: &str = "downstream_remote_disconnect";

/// Bytes of headers and a body: about what Envoy counts, without the framing.
fn size(headers: &[&Headers], body: &[u8]) -> u64 {
    let pairs = headers.iter().flat_map(|headers| headers.iter());
    let text: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
    (text + body.len()) as u64
}

/// A property's path as tests write it.
pub(crate) fn joined(path: &[&str]) -> String {
    path.join("/")
}

/// Numbers are 8 bytes, the lowest first.
fn number(number: u64) -> Vec<u8> {
    number.to_le_bytes().into()
}
