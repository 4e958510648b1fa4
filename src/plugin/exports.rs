//! The calls that the host makes.
//!
//! Own exports and not the SDK's. The host enters the module once for every callback that is
//! exported, which costs more than most of what the filter does there; the SDK exports all of them.
//! And its dispatcher panics where a context is not what it expects.
//!
//! A VM is one thread, and the host does not call into it while it is being called, but for memory.
//! Should it ever, that call finds the contexts taken and lets things pass.
#![allow(unsafe_code)]

use super::host::Action;
use super::root::Root;
use super::stream::Stream;
use crate::numbered::Numbered;
use std::cell::RefCell;

/// All that the host has made and not yet deleted, by its numbers.
#[derive(Debug)]
struct Contexts {
    /// One for each policy that still has requests: few, and a second kind of map would be kilobytes
    /// of the filter.
    roots: Vec<(u32, Root)>,
    streams: Numbered<Stream>,
    /// Calls under way for a stream, by their tokens: as many as a second's rescues and their
    /// time-out allow.
    rescues: Vec<(u32, u32)>,
}

impl Contexts {
    /// Takes a root away.
    #[inline(never)]
    fn remove_root(&mut self, id: u32) -> Option<Root> {
        let place = self.roots.iter().position(|(known, _)| *known == id)?;
        Some(self.roots.swap_remove(place).1)
    }

    /// Nobody waits for the calls of this stream any more.
    #[inline(never)]
    fn forget_rescues(&mut self, stream: u32) {
        self.rescues.retain(|(_, waiting)| *waiting != stream);
    }

    fn root(&mut self, id: u32) -> Option<&mut Root> {
        let root = self.roots.iter_mut().find(|(known, _)| *known == id);
        root.map(|(_, root)| root)
    }
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = const {
        RefCell::new(Contexts {
            roots: Vec::new(),
            streams: Numbered::new(),
            rescues: Vec::new(),
        })
    };
}

fn with<T>(call: impl FnOnce(&mut Contexts) -> T) -> Option<T> {
    let taken = CONTEXTS.try_with(|contexts| {
        let mut contexts = contexts.try_borrow_mut().ok()?;
        Some(call(&mut contexts))
    });
    taken.ok().flatten()
}

fn root<T>(id: u32, call: impl FnOnce(&mut Root) -> T) -> Option<T> {
    with(|contexts| contexts.root(id).map(call)).flatten()
}

fn stream<T>(id: u32, call: impl FnOnce(&mut Stream) -> T) -> Option<T> {
    with(|contexts| contexts.streams.get_mut(id).map(call)).flatten()
}

fn action(of: Option<Action>) -> u32 {
    of.unwrap_or(Action::Continue) as u32
}

const YES: u32 = 1;

/// Which ABI this is.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Once, before anything else.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    std::panic::set_hook(Box::new(super::panicked));
}

/// Memory for what the host gives: a boxed slice of exactly `size` bytes, which
/// [`host`](super::host) takes over.
#[unsafe(export_name = "malloc")]
extern "C" fn allocate(size: usize) -> *mut u8 {
    let slice: Box<[std::mem::MaybeUninit<u8>]> = Box::new_uninit_slice(size);
    Box::into_raw(slice).cast()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(id: u32, root: u32) {
    let _ = with(
        |contexts| match contexts.root(root).map(|root| root.stream()) {
            Some(stream) => {
                contexts.streams.insert(id, stream);
            }
            None => {
                contexts.remove_root(id);
                contexts.roots.push((id, Root::default()));
            }
        },
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(id: u32, size: usize) -> u32 {
    let _ = root(id, |root| root.configure(size));
    YES
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(id: u32) {
    let _ = root(id, Root::tick);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(id: u32, token: u32, _: u32, size: usize, _: u32) {
    let waiting = with(|contexts| {
        let mut rescues = contexts.rescues.iter();
        let place = rescues.position(|(call, _)| *call == token)?;
        Some(contexts.rescues.swap_remove(place))
    });
    let _ = match waiting.flatten() {
        Some((_, id)) => stream(id, |stream| stream.rescued(id, size)),
        None => root(id, |root| root.answered(token, size)),
    };
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(id: u32, _: u32, ends: u32) -> u32 {
    action(stream(id, |stream| stream.request_headers(ends != 0)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(id: u32, size: usize, ends: u32) -> u32 {
    action(stream(id, |stream| stream.request_body(size, ends != 0)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(id: u32, _: u32) -> u32 {
    let _ = stream(id, Stream::request_trailers);
    action(None)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(id: u32, _: u32, ends: u32) -> u32 {
    let rescue = stream(id, |stream| stream.response_headers(ends != 0));
    action(rescue.flatten().map(|token| {
        let _ = with(|contexts| contexts.rescues.push((token, id)));
        Action::Pause
    }))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(id: u32, size: usize, ends: u32) -> u32 {
    action(stream(id, |stream| stream.response_body(size, ends != 0)))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(id: u32, _: u32) -> u32 {
    let _ = stream(id, Stream::response_trailers);
    action(None)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(id: u32) {
    let _ = stream(id, Stream::log);
}

/// Nothing here asks for time between being done and being deleted, so `proxy_on_done` is not
/// exported: a request would pay for it.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(id: u32) {
    let stream = with(|contexts| {
        if !contexts.rescues.is_empty() {
            contexts.forget_rescues(id);
        }
        contexts.streams.remove(id)
    });
    if let Some(None) = stream {
        root_deleted(id);
    }
}

/// It may have counts to hand on: not while the contexts are taken.
#[inline(never)]
fn root_deleted(id: u32) {
    if let Some(Some(root)) = with(|contexts| contexts.remove_root(id)) {
        root.done();
    }
}
