//! The Envoy side: host calls become values, values become host calls.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`root`] | takes the policy, keeps the clock |
//! | [`stream`] | one request |
//! | [`store`] | what outlives a policy and a VM, in shared data |
//! | [`stats`] | counts, told to the proxy once a tick |
//! | [`host`] | the host calls, none of which panics |

mod host;
mod root;
mod stats;
mod store;
mod stream;

use proxy_wasm::traits::RootContext;

// The SDK's macro exports `_initialize`, which is what `unsafe_code` minds.
#[allow(unsafe_code, missing_docs)]
mod start {
    use super::{RootContext, root};

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(root::Root::default()) });
    }}
}
