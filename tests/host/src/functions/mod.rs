//! The host's functions: one table row each, and a function over the [`State`] that does it.
//!
//! A row says how the arguments lie in WebAssembly; the VM reads and writes the module's memory
//! by it, so that what a function does is free of pointers.

mod control;
mod data;
mod header_maps;

use wasmtime::ValType;

use crate::abi::Status;
use crate::state::State;

/// How one argument lies in the parameters of the import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Param {
    /// A 32-bit number.
    Int,
    /// A 64-bit number.
    Long,
    /// Address and length of bytes to read.
    Bytes,
    /// Addresses of where to write address and length of new bytes, allocated by the module.
    BytesOut,
    /// Address of a 32-bit number to write.
    U32Out,
    /// Address of a 64-bit number to write.
    U64Out,
    /// Address and length of a buffer to fill.
    Fill,
}

impl Param {
    pub fn types(self) -> &'static [ValType] {
        match self {
            Self::Int | Self::U32Out | Self::U64Out => &[ValType::I32],
            Self::Long => &[ValType::I64],
            Self::Bytes | Self::BytesOut | Self::Fill => &[ValType::I32, ValType::I32],
        }
    }

    pub fn is_output(self) -> bool {
        matches!(self, Self::BytesOut | Self::U32Out | Self::U64Out)
    }
}

/// An argument as a host function sees it; of a `Fill` it sees the length.
#[derive(Debug)]
pub(crate) enum Arg {
    Int(u32),
    Long(u64),
    Bytes(Vec<u8>),
}

/// The arguments that a function reads, in order. The table keeps their kinds right.
#[derive(Debug, Default)]
pub(crate) struct Args(pub Vec<Arg>);

impl Args {
    pub fn int(&self, at: usize) -> u32 {
        match &self.0[at] {
            Arg::Int(number) => *number,
            other => panic!("argument {at} is {other:?}, not a 32-bit number"),
        }
    }

    pub fn long(&self, at: usize) -> u64 {
        match &self.0[at] {
            Arg::Long(number) => *number,
            other => panic!("argument {at} is {other:?}, not a 64-bit number"),
        }
    }

    pub fn bytes(&self, at: usize) -> &[u8] {
        match &self.0[at] {
            Arg::Bytes(bytes) => bytes,
            other => panic!("argument {at} is {other:?}, not bytes"),
        }
    }

    pub fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(self.bytes(at)).into_owned()
    }

    /// What the call is about, for people: its first text, a property path with dots.
    pub fn subject(&self) -> String {
        const LONGEST: usize = 80;
        let is_bytes = |arg: &Arg| matches!(arg, Arg::Bytes(_));
        let Some(at) = self.0.iter().position(is_bytes) else {
            return String::new();
        };
        self.text(at)
            .replace('\0', ".")
            .chars()
            .take(LONGEST)
            .collect()
    }
}

/// What is written to one of the places that the module names for results.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Bytes(Vec<u8>),
    Number(u64),
    Null,
    Unwritten,
}

impl Output {
    /// The number to write where the module wants one.
    pub fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            _ => 0,
        }
    }
}

/// What a host call returns. `outputs` follow the output parameters; missing ones stay unwritten.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub status: u32,
    pub outputs: Vec<Output>,
}

impl Reply {
    pub fn outputs(outputs: impl IntoIterator<Item = Output>) -> Self {
        Self {
            status: Status::Ok as u32,
            outputs: outputs.into_iter().collect(),
        }
    }

    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::outputs([Output::Bytes(bytes.into())])
    }

    pub fn number(number: impl Into<u64>) -> Self {
        Self::outputs([Output::Number(number.into())])
    }
}

impl From<Status> for Reply {
    fn from(status: Status) -> Self {
        Self {
            status: status as u32,
            outputs: Vec::new(),
        }
    }
}

/// A row of the table.
pub(crate) struct HostFunction {
    pub module: &'static str,
    pub name: &'static str,
    pub params: &'static [Param],
    pub run: fn(&mut State, &Args) -> Reply,
}

/// The row of a name.
///
/// # Panics
/// If there is none: a test asks for what no filter can call.
pub(crate) fn named(name: &str) -> &'static HostFunction {
    let row = FUNCTIONS.iter().find(|function| function.name == name);
    row.unwrap_or_else(|| panic!("this host has no function {name}"))
}

const fn env(
    name: &'static str,
    params: &'static [Param],
    run: fn(&mut State, &Args) -> Reply,
) -> HostFunction {
    HostFunction {
        module: "env",
        name,
        params,
        run,
    }
}

/// A function that may be imported but not called: the SDK's traits import every one of the ABI.
const fn unmodelled(name: &'static str, params: &'static [Param]) -> HostFunction {
    env(name, params, |state, _| {
        state.misuse("a host call that is not modelled here")
    })
}

use Param::{Bytes, BytesOut, Fill, Int, Long, U32Out, U64Out};

/// All functions that this host offers to a filter.
pub(crate) static FUNCTIONS: &[HostFunction] = &[
    env(
        "proxy_get_header_map_pairs",
        &[Int, BytesOut],
        header_maps::pairs,
    ),
    env(
        "proxy_set_header_map_pairs",
        &[Int, Bytes],
        header_maps::set_pairs,
    ),
    env(
        "proxy_get_header_map_value",
        &[Int, Bytes, BytesOut],
        header_maps::value,
    ),
    env(
        "proxy_add_header_map_value",
        &[Int, Bytes, Bytes],
        header_maps::add,
    ),
    env(
        "proxy_replace_header_map_value",
        &[Int, Bytes, Bytes],
        header_maps::replace,
    ),
    env(
        "proxy_remove_header_map_value",
        &[Int, Bytes],
        header_maps::remove,
    ),
    env("proxy_get_property", &[Bytes, BytesOut], data::get_property),
    env("proxy_set_property", &[Bytes, Bytes], data::set_property),
    env(
        "proxy_get_buffer_bytes",
        &[Int, Int, Int, BytesOut],
        data::buffer,
    ),
    env(
        "proxy_get_shared_data",
        &[Bytes, BytesOut, U32Out],
        data::get_shared,
    ),
    env(
        "proxy_set_shared_data",
        &[Bytes, Bytes, Int],
        data::set_shared,
    ),
    env(
        "proxy_define_metric",
        &[Int, Bytes, U32Out],
        data::define_metric,
    ),
    env(
        "proxy_increment_metric",
        &[Int, Long],
        data::increment_metric,
    ),
    env("proxy_record_metric", &[Int, Long], data::record_metric),
    env("proxy_get_metric", &[Int, U64Out], data::get_metric),
    env("proxy_log", &[Int, Bytes], control::log),
    env("proxy_get_log_level", &[U32Out], control::log_level),
    env(
        "proxy_get_current_time_nanoseconds",
        &[U64Out],
        control::current_time,
    ),
    env(
        "proxy_set_tick_period_milliseconds",
        &[Int],
        control::tick_period,
    ),
    env(
        "proxy_set_effective_context",
        &[Int],
        control::effective_context,
    ),
    env("proxy_continue_stream", &[Int], control::continue_stream),
    env("proxy_close_stream", &[Int], control::close_stream),
    env(
        "proxy_send_local_response",
        &[Int, Bytes, Bytes, Bytes, Int],
        control::send_local_response,
    ),
    env(
        "proxy_http_call",
        &[Bytes, Bytes, Bytes, Bytes, Int, U32Out],
        control::http_call,
    ),
    env(
        "proxy_call_foreign_function",
        &[Bytes, Bytes, BytesOut],
        control::foreign_function,
    ),
    env("proxy_done", &[], control::done),
    unmodelled("proxy_set_buffer_bytes", &[Int, Int, Int, Bytes]),
    unmodelled("proxy_register_shared_queue", &[Bytes, U32Out]),
    unmodelled("proxy_resolve_shared_queue", &[Bytes, Bytes, U32Out]),
    unmodelled("proxy_enqueue_shared_queue", &[Int, Bytes]),
    unmodelled("proxy_dequeue_shared_queue", &[Int, BytesOut]),
    unmodelled("proxy_get_status", &[U32Out, BytesOut]),
    unmodelled(
        "proxy_grpc_call",
        &[Bytes, Bytes, Bytes, Bytes, Bytes, Int, U32Out],
    ),
    unmodelled("proxy_grpc_stream", &[Bytes, Bytes, Bytes, Bytes, U32Out]),
    unmodelled("proxy_grpc_send", &[Int, Bytes, Int]),
    unmodelled("proxy_grpc_cancel", &[Int]),
    unmodelled("proxy_grpc_close", &[Int]),
    HostFunction {
        module: "wasi_snapshot_preview1",
        name: "random_get",
        params: &[Fill],
        run: data::random,
    },
];
