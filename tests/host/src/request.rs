//! What goes in and comes out of one request.

use std::collections::BTreeMap;

use crate::abi::{Action, LogLevel};
use crate::calls::Calls;
use crate::headers::Headers;
use crate::state::joined;

/// A request of a caller, with what the proxy knows of it, and how it is answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    /// Whether the filter is told that the request has come to its end.
    pub(crate) ends: bool,
    pub(crate) source: String,
    pub(crate) filter_state: BTreeMap<String, Vec<u8>>,
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    pub(crate) response: Option<Response>,
}

impl Request {
    /// A GET of a path at shop.example.com from 203.0.113.9, answered with 200.
    pub fn get(path: impl AsRef<[u8]>) -> Self {
        let mut headers = Headers::default();
        headers.add(":authority", "shop.example.com");
        headers.add(":path", path);
        headers.add(":method", "GET");
        headers.add(":scheme", "https");
        Self {
            headers,
            body: Vec::new(),
            ends: true,
            source: "203.0.113.9:40312".to_owned(),
            filter_state: BTreeMap::new(),
            properties: BTreeMap::new(),
            response: Some(Response::status(200)),
        }
    }

    /// Another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.headers.set(":method", method);
        self
    }

    /// Another host.
    #[must_use]
    pub fn host(mut self, host: impl AsRef<[u8]>) -> Self {
        self.headers.set(":authority", host);
        self
    }

    /// One more header, also beside one of the same name.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Without a header, such as `:path` in a malformed request.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The headers as they are sent.
    pub fn sent(&self) -> &Headers {
        &self.headers
    }

    /// These headers in place of all, as an earlier filter left them.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// A body; it reaches the filter as one chunk.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Its end has not come when its answer does, as over HTTP/2 where the end comes in a frame of
    /// its own: nobody is told of it then.
    #[must_use]
    pub fn unended(mut self) -> Self {
        self.ends = false;
        self
    }

    /// The caller's address and port.
    #[must_use]
    pub fn source(mut self, address: &str) -> Self {
        self.source = address.to_owned();
        self
    }

    /// Filter state that an earlier filter left: `name` is the one given to `set_property`.
    #[must_use]
    pub fn filter_state(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.filter_state
            .insert(name.to_owned(), value.as_ref().to_vec());
        self
    }

    /// A property of the stream that this host does not derive by itself, in all phases.
    #[must_use]
    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.properties
            .insert(joined(path), value.as_ref().to_vec());
        self
    }

    /// How the request is answered.
    #[must_use]
    pub fn answered(mut self, response: Response) -> Self {
        self.response = Some(response);
        self
    }

    /// The client leaves before any response: no response callback is made (measured).
    #[must_use]
    pub fn aborted(mut self) -> Self {
        self.response = None;
        self
    }
}

/// A response of an upstream, or of the proxy in its place.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    /// Whether the body comes to its end.
    pub(crate) whole: bool,
    pub(crate) trailers: Headers,
    pub(crate) details: String,
    pub(crate) flags: u64,
    pub(crate) upstream: Option<Vec<u8>>,
    pub(crate) attempts: u64,
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
}

impl Response {
    /// An upstream's response without a body, from 10.0.0.7:8080 at the first try.
    pub fn status(status: u16) -> Self {
        let mut headers = Headers::default();
        headers.add(":status", status.to_string());
        Self {
            headers,
            body: Vec::new(),
            whole: true,
            trailers: Headers::default(),
            details: "via_upstream".to_owned(),
            flags: 0,
            upstream: Some(b"10.0.0.7:8080".into()),
            attempts: 1,
            properties: BTreeMap::new(),
        }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// A body; it reaches the filter as one chunk.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// One more trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.add(name, value);
        self
    }

    /// It breaks off, neither body nor trailers come to their end: what `response.code_details` and
    /// `response.flags` say then.
    #[must_use]
    pub fn cut(mut self, details: &str, flags: u64) -> Self {
        self.whole = false;
        self.by_proxy(details, flags)
    }

    /// The host that was asked last, by its `upstream.address`.
    #[must_use]
    pub fn from(mut self, address: impl AsRef<[u8]>) -> Self {
        self.upstream = Some(address.as_ref().to_vec());
        self
    }

    /// How often the proxy tried.
    #[must_use]
    pub fn attempts(mut self, attempts: u64) -> Self {
        self.attempts = attempts;
        self
    }

    /// Made by the proxy: its `response.code_details` and the bits of its `response.flags`.
    #[must_use]
    pub fn by_proxy(mut self, details: &str, flags: u64) -> Self {
        self.details = details.to_owned();
        self.flags = flags;
        self
    }

    /// A property of the stream from the response's headers on.
    #[must_use]
    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.properties
            .insert(joined(path), value.as_ref().to_vec());
        self
    }

    /// `grpc-status` of the trailers, else of the headers, else what the HTTP status is mapped to,
    /// of gRPC or not (measured).
    pub(crate) fn grpc_status(&self) -> u64 {
        let told = self.trailers.text("grpc-status");
        let told = told.or_else(|| self.headers.text("grpc-status"));
        told.and_then(|told| told.parse().ok())
            .unwrap_or(match self.status_of() {
                400 => 13,
                401 => 16,
                403 => 7,
                404 => 12,
                429 | 502..=504 => 14,
                _ => 2,
            })
    }

    pub(crate) fn status_of(&self) -> u16 {
        let status = self
            .headers
            .text(":status")
            .and_then(|status| status.parse().ok());
        status.unwrap_or_default()
    }
}

/// An answer that the filter gave in place of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the arguments of the call")]
pub struct LocalResponse {
    pub status: u32,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// -1 leaves it to Envoy.
    pub grpc_status: i32,
}

impl LocalResponse {
    /// The response in place of an upstream's that waited.
    pub(crate) fn in_place_of(&self, response: &Response) -> Response {
        let own = self.as_response();
        Response {
            upstream: response.upstream.clone(),
            attempts: response.attempts,
            flags: response.flags,
            details: "serinus".to_owned(),
            ..own
        }
    }

    /// The response as the filter sees it again: Envoy runs its own replies through the filters.
    pub(crate) fn as_response(&self) -> Response {
        let status = u16::try_from(self.status).unwrap_or_default();
        let mut response = Response::status(status).by_proxy("", 0).body(&self.body);
        (response.upstream, response.attempts) = (None, 0);
        for (name, value) in self.headers.iter() {
            response.headers.add(name, value);
        }
        response
    }
}

/// A line that the filter wrote to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the arguments of the call")]
pub struct LogLine {
    pub level: LogLevel,
    pub text: String,
}

/// What came of one request, from its headers to the deletion of its context.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the filter said to the request's headers.
    pub action: Action,
    /// The request's headers as the filter left them.
    pub headers: Headers,
    /// The response's headers as the filter left them; none if the client left before.
    pub response_headers: Option<Headers>,
    /// The answer that the filter gave by itself.
    pub local_response: Option<LocalResponse>,
    /// Whether the filter ended the stream.
    pub closed: bool,
    /// The stream's filter state, by the names given to `set_property`.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// The host calls of the whole request.
    pub calls: Calls,
    /// What the filter logged.
    pub logs: Vec<LogLine>,
    /// WebAssembly instructions that the filter ran, as wasmtime's fuel counts them: the same
    /// on every machine.
    pub instructions: u64,
}

impl Outcome {
    /// Whether the request went on to an upstream without waiting.
    pub fn continued(&self) -> bool {
        self.action == Action::Continue && self.local_response.is_none()
    }
}
