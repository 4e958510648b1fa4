//! One worker: a VM with its root contexts and streams.
//!
//! The order of callbacks is Envoy's (measured): a root context is created, started and
//! configured; a stream is created, sees the request, the response and the log, and is done and
//! deleted. A new policy makes a new root context in the same VM; the old one ends with its last
//! stream. Methods panic when the filter fails, `try_` ones return the failure.

use wasmtime::Module;

use crate::abi::{Action, Callback};
use crate::calls::{Allowed, Calls};
use crate::faults::Fault;
use crate::headers::Headers;
use crate::module;
use crate::process::Process;
use crate::request::{LogLine, Outcome, Request, Response};
use crate::state::{CallEnd, HttpCall, Root, State, Stream};
use crate::vm::{Failure, Vm};

/// The plugin's name where a test names none.
pub const PLUGIN: &str = "serinus";

/// What came of handing the filter a policy.
#[derive(Clone, Debug)]
pub struct Configured {
    /// What `on_configure` answered. Envoy serves no such root context if it is false.
    pub accepted: bool,
    /// The id of the new root context.
    pub root: u32,
    /// The host calls from its creation on.
    pub calls: Calls,
    /// What the filter logged.
    pub logs: Vec<LogLine>,
}

/// A worker of a proxy, running a filter.
pub struct Filter {
    vm: Vm,
    /// The root context that new streams belong to.
    root: Option<u32>,
    last_id: u32,
}

impl Filter {
    /// A worker with the filter under test, without a policy yet.
    ///
    /// # Panics
    /// If there is no filter (the message says how to build it), or it fails to start.
    #[track_caller]
    pub fn new(process: &Process) -> Self {
        Self::start(module::filter(), process).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// A worker with another filter, compiled by [`module::compile`].
    pub fn start(module: &Module, process: &Process) -> Result<Self, Failure> {
        Ok(Self {
            vm: Vm::start(module, process)?,
            root: None,
            last_id: 0,
        })
    }

    fn state(&mut self) -> &mut State {
        self.vm.state_mut()
    }

    fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// From now on only these host calls are allowed, counted per request, configuration and
    /// tick.
    pub fn allow_only(&mut self, allowed: Allowed) {
        self.state().allowed = Some(allowed);
    }

    /// From now on every host call is allowed again.
    pub fn allow_all(&mut self) {
        self.state().allowed = None;
    }

    /// From now on these faults hit, and no others.
    pub fn set_faults(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.set(faults);
    }

    /// The level that `proxy_get_log_level` answers; [`crate::LogLevel::Info`] at first.
    pub fn set_log_level(&mut self, level: crate::LogLevel) {
        self.state().log_level = level;
    }

    /// WebAssembly instructions that the filter ran since it started, in requests, ticks and
    /// configurations.
    pub fn instructions(&self) -> u64 {
        self.vm.spent()
    }

    /// Size of the module's memory in bytes; it never shrinks.
    pub fn memory_size(&mut self) -> usize {
        self.vm.memory_size()
    }

    /// Bytes of the module's memory.
    pub fn memory(&mut self, address: usize, length: usize) -> Vec<u8> {
        self.vm.memory(address, length)
    }

    /// Hands the filter a policy in place of the one before, as Envoy does when only the
    /// configuration changed. A refused policy leaves the one before in service.
    #[track_caller]
    pub fn configure(&mut self, policy: impl AsRef<[u8]>) -> Configured {
        self.try_configure(policy)
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// As [`Filter::configure`].
    pub fn try_configure(&mut self, policy: impl AsRef<[u8]>) -> Result<Configured, Failure> {
        let configured = self.add_plugin(PLUGIN, policy)?;
        if configured.accepted
            && let Some(old) = self.root.replace(configured.root)
        {
            self.state()
                .roots
                .entry(old)
                .and_modify(|root| root.retired = true);
            self.end_root_if_unused(old)?;
        }
        Ok(configured)
    }

    /// Adds a root context beside the present ones, as a second plugin with the same code and
    /// VM id is. Choose it for new requests with [`Filter::use_root`].
    pub fn add_plugin(
        &mut self,
        name: &str,
        policy: impl AsRef<[u8]>,
    ) -> Result<Configured, Failure> {
        let (root, policy) = (self.next_id(), policy.as_ref());
        let state = Root::new(name, policy);
        self.state().roots.insert(root, state);
        self.vm.call(Callback::ContextCreate, root, &[root, 0])?;
        self.vm.call(Callback::VmStart, root, &[root, 0])?;
        let size = u32::try_from(policy.len()).expect("a policy below 4 GB");
        let accepted = self.vm.call(Callback::Configure, root, &[root, size])?;
        Ok(Configured {
            accepted: accepted.is_none_or(|accepted| accepted != 0),
            root,
            calls: self.state().take_calls(root),
            logs: self.state().take_logs(root),
        })
    }

    /// New requests belong to this root context.
    pub fn use_root(&mut self, root: u32) {
        self.root = Some(root);
    }

    /// The root contexts that live, with what they want to be woken by.
    pub fn roots(&self) -> Vec<(u32, Option<std::time::Duration>)> {
        self.vm
            .state()
            .roots
            .iter()
            .map(|(id, root)| (*id, root.tick_period))
            .collect()
    }

    /// Wakes every root context that asked for ticks, old ones too (measured).
    #[track_caller]
    pub fn tick(&mut self) -> Calls {
        self.try_tick()
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// As [`Filter::tick`].
    pub fn try_tick(&mut self) -> Result<Calls, Failure> {
        let mut calls = Vec::new();
        for (root, period) in self.roots() {
            if period.is_some() {
                self.vm.call(Callback::Tick, root, &[root])?;
                calls.extend(self.state().take_calls(root).iter().cloned());
            }
        }
        Ok(calls.into_iter().collect())
    }

    /// Hands over, and forgets, what the living root contexts logged since they were configured.
    pub fn take_logs(&mut self) -> Vec<LogLine> {
        let roots = self.roots().into_iter();
        roots
            .flat_map(|(root, _)| self.state().take_logs(root))
            .collect()
    }

    /// Runs one request from its headers to the deletion of its context.
    #[track_caller]
    pub fn request(&mut self, request: Request) -> Outcome {
        self.try_request(&request)
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Whether an open stream's response waits for the filter.
    ///
    /// # Panics
    /// If no such stream is open.
    pub fn waits(&mut self, id: u32) -> bool {
        self.stream(id).response_paused
    }

    /// As [`Filter::request`].
    pub fn try_request(&mut self, request: &Request) -> Result<Outcome, Failure> {
        let stream = self.begin(request)?;
        self.finish(stream)
    }

    /// One request up to its end, which [`Filter::finish`] is for; its stream's id.
    pub fn begin(&mut self, request: &Request) -> Result<u32, Failure> {
        let (stream, action) = self.open(request)?;
        if action == Action::Continue
            && let Some(response) = &request.response
        {
            self.respond(stream, response)?;
        }
        Ok(stream)
    }

    /// The first part of a request: its headers and body. The stream's id and what the filter
    /// said to the headers.
    ///
    /// # Panics
    /// If the filter was not configured before.
    pub fn open(&mut self, request: &Request) -> Result<(u32, Action), Failure> {
        let root = self
            .root
            .expect("a filter that was configured before it gets requests");
        let id = self.next_id();
        self.state().streams.insert(id, Stream::new(root, request));
        self.vm.call(Callback::ContextCreate, id, &[id, root])?;
        self.stream(id).request_live = true;
        let count = request.headers.len() as u32;
        let end = request.ends && request.body.is_empty();
        let action = self
            .vm
            .call(Callback::RequestHeaders, id, &[id, count, end.into()])?;
        let action = action_of(action);
        self.stream(id).paused = action == Action::Pause;
        if let Some(local) = self.stream(id).local_response.clone() {
            self.respond(id, &local.as_response())?;
        } else if action == Action::Continue {
            self.stream(id).request_live = false;
            if !request.body.is_empty() {
                let size = request.body.len() as u32;
                let end = request.ends.into();
                self.vm.call(Callback::RequestBody, id, &[id, size, end])?;
            }
        }
        Ok((id, action))
    }

    /// The second part: an upstream answers. Without it the client left before.
    pub fn respond(&mut self, id: u32, response: &Response) -> Result<(), Failure> {
        let stream = self.stream(id);
        stream.request_live = false;
        if stream.response.is_some() {
            return Ok(());
        }
        stream.response = Some(response.clone());
        stream.response_live = true;
        let ends = response.whole && response.trailers.is_empty();
        let (count, end) = (
            response.headers.len() as u32,
            ends && response.body.is_empty(),
        );
        let action = self
            .vm
            .call(Callback::ResponseHeaders, id, &[id, count, end.into()])?;
        if action_of(action) == Action::Pause {
            self.stream(id).response_paused = true;
            return Ok(());
        }
        self.stream(id).response_live = false;
        self.go_on(id, response)
    }

    /// What comes after a response's headers.
    fn go_on(&mut self, id: u32, response: &Response) -> Result<(), Failure> {
        let ends = response.whole && response.trailers.is_empty();
        if !response.body.is_empty() {
            let size = response.body.len() as u32;
            self.vm
                .call(Callback::ResponseBody, id, &[id, size, ends.into()])?;
        }
        if response.whole && !response.trailers.is_empty() {
            let count = response.trailers.len() as u32;
            self.vm.call(Callback::ResponseTrailers, id, &[id, count])?;
        }
        Ok(())
    }

    /// Bytes go over an open stream, from the caller or from the upstream; whether it goes on. Data of
    /// a stream that the filter ended must not go on: Envoy would hand it to filters that are gone.
    ///
    /// # Panics
    /// If no such stream is open, or data goes on that must not.
    pub fn goes_by(&mut self, id: u32, from_caller: bool, bytes: &[u8]) -> Result<bool, Failure> {
        let callback = if from_caller {
            self.stream(id).request.body = bytes.into();
            Callback::RequestBody
        } else {
            let response = self.stream(id).response.as_mut();
            response.expect("an answer that began").body = bytes.into();
            Callback::ResponseBody
        };
        let action = self.vm.call(callback, id, &[id, bytes.len() as u32, 0])?;
        let closed = self.stream(id).closed;
        assert_eq!(action_of(action) == Action::Pause, closed);
        Ok(!closed)
    }

    /// The headers of an open stream's request, as the filter left them.
    ///
    /// # Panics
    /// If no such stream is open.
    pub fn forwarded(&mut self, id: u32) -> &Headers {
        &self.stream(id).request.headers
    }

    /// The last part: log, done, delete.
    pub fn finish(&mut self, id: u32) -> Result<Outcome, Failure> {
        for callback in [Callback::Log, Callback::Done, Callback::Delete] {
            self.vm.call(callback, id, &[id])?;
        }
        let (calls, logs) = (self.state().take_calls(id), self.state().take_logs(id));
        let stream = self.state().streams.remove(&id).expect("an open stream");
        self.end_root_if_unused(stream.root)?;
        Ok(Outcome {
            action: if stream.paused {
                Action::Pause
            } else {
                Action::Continue
            },
            headers: stream.request.headers,
            response_headers: stream.response.map(|response| response.headers),
            local_response: stream.local_response,
            closed: stream.closed,
            filter_state: stream.filter_state,
            calls,
            logs,
            instructions: stream.instructions,
        })
    }

    /// The HTTP calls that await an answer.
    pub fn http_calls(&self) -> &[HttpCall] {
        &self.vm.state().http_calls
    }

    /// Answers an HTTP call; the host calls that the filter makes then.
    ///
    /// # Panics
    /// If no call with this token awaits an answer.
    pub fn answer(&mut self, token: u32, response: &Response) -> Result<Calls, Failure> {
        self.end_call(token, CallEnd::of(response))
    }

    /// Ends an HTTP call with no headers at all, as a reset or a time-out after the headers does,
    /// and an answer that is longer than the proxy holds (measured).
    ///
    /// # Panics
    /// If no call with this token awaits an answer.
    pub fn reset(&mut self, token: u32) -> Result<Calls, Failure> {
        self.end_call(token, CallEnd::default())
    }

    fn end_call(&mut self, token: u32, end: CallEnd) -> Result<Calls, Failure> {
        let calls = &self.state().http_calls;
        let call = calls.iter().find(|call| call.token == token);
        let root = call.expect("a call that awaits its answer").root;
        self.state().http_calls.retain(|call| call.token != token);
        self.tell_end(root, token, end)
    }

    /// Tells a root context of the end of a call that it may not know, which no host does.
    ///
    /// # Panics
    /// If there is no such root context.
    pub fn stray_answer(
        &mut self,
        root: u32,
        token: u32,
        response: &Response,
    ) -> Result<Calls, Failure> {
        self.tell_end(root, token, CallEnd::of(response))
    }

    fn tell_end(&mut self, root: u32, token: u32, end: CallEnd) -> Result<Calls, Failure> {
        let state = self.state();
        assert!(state.roots.contains_key(&root), "no root context {root}");
        let sizes = [end.headers.len(), end.body.len(), end.trailers.len()];
        let [headers, body, trailers] = sizes.map(|size| size as u32);
        // What the root context did since it was last asked for is not of this call.
        state.take_calls(root);
        state.http_call_response = Some(end);
        let args = [root, token, headers, body, trailers];
        self.vm.call(Callback::HttpCallResponse, root, &args)?;
        self.state().http_call_response = None;
        let calls = self.state().take_calls(root);
        let streams = self.state().streams.iter_mut();
        let resumed = streams.filter_map(|(id, stream)| {
            let resumed = std::mem::take(&mut stream.response_resumed);
            resumed.then_some(*id).zip(stream.response.clone())
        });
        for (id, response) in resumed.collect::<Vec<_>>() {
            self.go_on(id, &response)?;
        }
        Ok(calls)
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        self.state().streams.get_mut(&id).expect("an open stream")
    }

    fn end_root_if_unused(&mut self, root: u32) -> Result<(), Failure> {
        let state = self.state();
        let is_retired = state.roots.get(&root).is_some_and(|root| root.retired);
        if is_retired && !state.streams.values().any(|stream| stream.root == root) {
            self.vm.call(Callback::Done, root, &[root])?;
            self.vm.call(Callback::Delete, root, &[root])?;
            let state = self.state();
            state.roots.remove(&root);
            // A root context takes its calls along: they are cancelled, and nobody is told.
            state.http_calls.retain(|call| call.root != root);
        }
        Ok(())
    }
}

/// A callback that the module does not export lets the stream go on.
fn action_of(returned: Option<u32>) -> Action {
    match returned {
        None | Some(0) => Action::Continue,
        Some(_) => Action::Pause,
    }
}
