//! A strict fake of the proxy that loads the compiled filter.
//!
//! It speaks the proxy-wasm ABI 0.2.1 the way Envoy 1.40 does, runs the filter's WebAssembly
//! in wasmtime, and is stricter than Envoy where Envoy would hide a mistake: an import it does
//! not know fails the load, a pointer outside the module's memory fails the test, and so does
//! every call that a test did not allow.
//!
//! `make build` compiles the filter, `cargo test -p serinus-host-tests` tests it: `tests/filter` is
//! about the filter, `tests/host.rs` about this host. `SERINUS_WASM` names another filter's file.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`process`] | what all workers of one proxy share: shared data, metrics, clusters, the clock |
//! | [`filter`] | one worker: a VM with its root contexts and streams; what tests drive |
//! | [`request`] | what goes in and comes out of one request |
//! | [`calls`] | which host calls were made, and which a test allows |
//! | [`faults`] | host calls that answer wrongly on purpose |
//! | [`headers`] | header maps and their wire form |
//! | [`module`] | the compiled filter: where it is, what it imports and exports |
//! | [`abi`] | the names and numbers of the ABI |
//!
//! ```no_run
//! use serinus_host_tests::{Filter, Process, Request};
//!
//! let mut filter = Filter::new(&Process::new());
//! filter.configure(r#"{"routes": []}"#);
//! let outcome = filter.request(Request::get("/cart").header("x-user-id", "u-17"));
//! assert!(outcome.continued());
//! assert!(outcome.calls.total() <= 3, "{}", outcome.calls);
//! ```
//!
//! Where a rule of the real host is not obvious, the code says where it is known from: "measured"
//! is a measurement on Envoy 1.40.0, the rest is the source of Envoy or of proxy-wasm-cpp-host.
//! Trailers of requests are not told of. gRPC calls, shared queues and changes of a body are not
//! modelled: calling them is a misuse.

pub mod abi;
pub mod calls;
pub mod faults;
pub mod filter;
mod functions;
pub mod headers;
mod metrics;
pub mod module;
pub mod process;
pub mod request;
mod shared_data;
mod state;
mod vm;

pub use abi::{Action, Callback, LogLevel, Status};
pub use calls::{Allowed, Calls};
pub use faults::{Effect, Fault};
pub use filter::{Configured, Filter};
pub use headers::Headers;
pub use process::Process;
pub use request::{LocalResponse, Outcome, Request, Response};
pub use state::HttpCall;
pub use vm::{Failure, FailureKind};
