//! Properties, buffers, shared data, metrics and random bytes.

use super::{Args, Output, Reply};
use crate::abi::Status;
use crate::process::VM_ID;
use crate::state::State;

pub(super) fn get_property(state: &mut State, args: &Args) -> Reply {
    match state.property(args.bytes(0)) {
        Ok(value) => Reply::bytes(value),
        Err(status) => status.into(),
    }
}

/// Writes filter state. Envoy takes the whole path as one name, so that only a path of one
/// segment can be read back (measured); a root context has no stream to write to.
pub(super) fn set_property(state: &mut State, args: &Args) -> Reply {
    let Some(stream) = state.stream_mut() else {
        return Status::NotFound.into();
    };
    stream
        .filter_state
        .insert(args.text(0), args.bytes(1).to_vec());
    Status::Ok.into()
}

/// As in proxy-wasm-cpp-host: an absent buffer is `NotFound`, and reading nothing writes nothing.
pub(super) fn buffer(state: &mut State, args: &Args) -> Reply {
    let Some(bytes) = state.buffer(args.int(0)) else {
        return Status::NotFound.into();
    };
    let start = args.int(1) as usize;
    let end = start.saturating_add(args.int(2) as usize).min(bytes.len());
    match bytes.get(start..end) {
        Some([]) | None => Status::Ok.into(),
        Some(part) => Reply::bytes(part),
    }
}

pub(super) fn get_shared(state: &mut State, args: &Args) -> Reply {
    match state.process.state().shared_data.get(VM_ID, args.bytes(0)) {
        None => Status::NotFound.into(),
        Some((value, cas)) => {
            Reply::outputs([Output::Bytes(value.clone()), Output::Number((*cas).into())])
        }
    }
}

pub(super) fn set_shared(state: &mut State, args: &Args) -> Reply {
    let shared = &mut state.process.state_mut().shared_data;
    shared
        .set(VM_ID, args.bytes(0), args.bytes(1), args.int(2))
        .into()
}

pub(super) fn define_metric(state: &mut State, args: &Args) -> Reply {
    let mut process = state.process.state_mut();
    match state
        .handles
        .define(&mut process.metrics, args.int(0), args.text(1))
    {
        Ok(handle) => Reply::number(handle),
        Err(status) => status.into(),
    }
}

pub(super) fn increment_metric(state: &mut State, args: &Args) -> Reply {
    let metrics = &mut state.process.state_mut().metrics;
    state
        .handles
        .increment(metrics, args.int(0), args.long(1).cast_signed())
        .into()
}

pub(super) fn record_metric(state: &mut State, args: &Args) -> Reply {
    let metrics = &mut state.process.state_mut().metrics;
    state
        .handles
        .record(metrics, args.int(0), args.long(1))
        .into()
}

pub(super) fn get_metric(state: &mut State, args: &Args) -> Reply {
    match state
        .handles
        .get(&state.process.state().metrics, args.int(0))
    {
        Ok(value) => Reply::number(value),
        Err(status) => status.into(),
    }
}

pub(super) fn random(state: &mut State, args: &Args) -> Reply {
    Reply::bytes(state.process.state_mut().random_bytes(args.int(0) as usize))
}
