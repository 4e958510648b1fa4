//! Logs, time, streams, answers and calls.

use std::time::Duration;

use super::{Args, Reply};
use crate::abi::{LogLevel, Status};
use crate::headers::Headers;
use crate::request::{LocalResponse, LogLine};
use crate::state::{HttpCall, State};

pub(super) fn log(state: &mut State, args: &Args) -> Reply {
    let Some(level) = LogLevel::from_number(args.int(0)) else {
        return Status::BadArgument.into();
    };
    state.log(LogLine {
        level,
        text: args.text(1),
    });
    Status::Ok.into()
}

pub(super) fn log_level(state: &mut State, _: &Args) -> Reply {
    Reply::number(state.log_level as u32)
}

pub(super) fn current_time(state: &mut State, _: &Args) -> Reply {
    let now = state.process.state().now.as_nanos();
    Reply::number(u64::try_from(now).expect("a time before the year 2554"))
}

pub(super) fn tick_period(state: &mut State, args: &Args) -> Reply {
    let period = Duration::from_millis(args.int(0).into());
    if let Some(root) = state.root_mut() {
        root.tick_period = (!period.is_zero()).then_some(period);
    }
    Status::Ok.into()
}

pub(super) fn effective_context(state: &mut State, args: &Args) -> Reply {
    state.set_effective(args.int(0)).into()
}

pub(super) fn continue_stream(state: &mut State, args: &Args) -> Reply {
    const REQUEST: u32 = 0;
    const RESPONSE: u32 = 1;
    match (args.int(0), state.stream_mut()) {
        (4.., _) => return Status::BadArgument.into(),
        (REQUEST, Some(stream)) => stream.request_live = false,
        (RESPONSE, Some(stream)) => {
            stream.response_live = false;
            stream.response_resumed = std::mem::take(&mut stream.response_paused);
        }
        _ => {}
    }
    Status::Ok.into()
}

/// Envoy ends the stream once the callback has returned. At the end of a stream, and of a root context,
/// there is nothing to end.
pub(super) fn close_stream(state: &mut State, args: &Args) -> Reply {
    if state.is_logging() {
        return state.misuse("close_stream at the end of a stream");
    }
    match (args.int(0), state.stream_mut()) {
        (4.., _) => return Status::BadArgument.into(),
        (_, Some(stream)) if stream.closed => return state.misuse("close_stream twice"),
        (_, Some(stream)) => stream.closed = true,
        (_, None) => return state.misuse("close_stream without a stream"),
    }
    Status::Ok.into()
}

/// Measured: at the end of a stream Envoy recurses on this call until the process dies; an answer in
/// place of one that waits passes no filter again, and what is told of the response is then its.
pub(super) fn send_local_response(state: &mut State, args: &Args) -> Reply {
    if state.is_logging() {
        return state.misuse("send_local_response at the end of a stream, which kills Envoy");
    }
    let Some(headers) = Headers::decode(args.bytes(3)) else {
        return state.misuse("header pairs that are not in the ABI's form");
    };
    if let Some(stream) = state.stream_mut() {
        let body = args.bytes(2).to_vec();
        let local = LocalResponse {
            status: args.int(0),
            headers,
            body,
            grpc_status: args.int(4).cast_signed(),
        };
        if let Some(response) = stream.response.take_if(|_| stream.response_paused) {
            stream.response_paused = false;
            stream.response_live = false;
            stream.response = Some(local.in_place_of(&response));
        }
        stream.local_response = Some(local);
    }
    Status::Ok.into()
}

/// Measured: a call belongs to the root context, whoever makes it; an unknown cluster and a
/// missing `:method`, `:path` or `:authority` are a `BadArgument`.
pub(super) fn http_call(state: &mut State, args: &Args) -> Reply {
    let Some(headers) = Headers::decode(args.bytes(1)) else {
        return state.misuse("header pairs that are not in the ABI's form");
    };
    let cluster = args.text(0);
    let is_known = state.process.state().clusters.contains(&cluster);
    let is_whole = [":method", ":path", ":authority"]
        .iter()
        .all(|name| headers.get(name).is_some());
    if !is_known || !is_whole {
        return Status::BadArgument.into();
    }
    let timeout = Duration::from_millis(args.int(4).into());
    let body = args.bytes(2).to_vec();
    let call = HttpCall {
        token: 0,
        root: 0,
        cluster,
        headers,
        body,
        timeout,
    };
    Reply::number(state.add_http_call(call))
}

/// Only what a filter here may use; another of Envoy's functions must be modelled first.
pub(super) fn foreign_function(state: &mut State, args: &Args) -> Reply {
    match args.bytes(0) {
        b"clear_route_cache" => Reply::bytes([]),
        _ => state.misuse(format!(
            "foreign function {}, which is not modelled",
            args.text(0)
        )),
    }
}

pub(super) fn done(_: &mut State, _: &Args) -> Reply {
    Status::Ok.into()
}
