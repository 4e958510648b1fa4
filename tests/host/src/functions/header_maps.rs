//! Header maps, by the phase rules of Envoy: see [`State::map`] and [`State::map_mut`].
//!
//! Measured: out of its phase a whole map reads as empty with `Ok`, while one value, and every
//! change, is a `BadArgument`.

use super::{Args, Reply};
use crate::abi::{MapType, Status};
use crate::headers::Headers;
use crate::state::State;

pub(super) fn pairs(state: &mut State, args: &Args) -> Reply {
    match MapType::from_number(args.int(0)) {
        None => Status::BadArgument.into(),
        Some(map) => Reply::bytes(state.map(map).map(Headers::encode).unwrap_or_default()),
    }
}

pub(super) fn value(state: &mut State, args: &Args) -> Reply {
    let Some(map) = MapType::from_number(args.int(0)) else {
        return Status::BadArgument.into();
    };
    match state.map(map) {
        Some(headers) => headers
            .get(args.bytes(1))
            .map_or(Status::NotFound.into(), Reply::bytes),
        // A map may be missing at the end of a stream: the client left before any response.
        None if state.is_logging() => Status::NotFound.into(),
        None => Status::BadArgument.into(),
    }
}

pub(super) fn set_pairs(state: &mut State, args: &Args) -> Reply {
    let Some(pairs) = Headers::decode(args.bytes(1)) else {
        return state.misuse("header pairs that are not in the ABI's form");
    };
    change(state, args, |headers| *headers = pairs)
}

pub(super) fn add(state: &mut State, args: &Args) -> Reply {
    change(state, args, |headers| {
        headers.add(args.bytes(1), args.bytes(2))
    })
}

pub(super) fn replace(state: &mut State, args: &Args) -> Reply {
    change(state, args, |headers| {
        headers.set(args.bytes(1), args.bytes(2))
    })
}

pub(super) fn remove(state: &mut State, args: &Args) -> Reply {
    change(state, args, |headers| headers.remove(args.bytes(1)))
}

/// Changes the map that the first argument names, if it can be changed now.
fn change(state: &mut State, args: &Args, how: impl FnOnce(&mut Headers)) -> Reply {
    let map = MapType::from_number(args.int(0)).and_then(|map| state.map_mut(map));
    let Some(headers) = map else {
        return Status::BadArgument.into();
    };
    how(headers);
    Status::Ok.into()
}
