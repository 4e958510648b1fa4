//! The host calls that the filter makes.
//!
//! Own bindings and not the SDK's wrappers, because those panic on every status that they do not
//! expect (52 places in version 0.2.5), and one panic ends all requests of a worker. Here every
//! status but success is a [`Failure`], and data that can't be where the host says it is counts as
//! absent. The host puts data where [`exports`](super::exports) allocates it, as a boxed slice of exactly
//! the size it asked for.
#![allow(unsafe_code)]

use crate::health::clock::Wall;
use crate::request::Header;
use std::ptr::null_mut;

/// A host call that did not succeed, and the host's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure(pub u32);

/// What a host call gives.
pub type Result<T> = std::result::Result<T, Failure>;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

/// What the host is to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Let it go on.
    Continue = 0,
    /// Stop: it was answered, or is ended.
    Pause = 1,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy)]
pub enum Level {
    /// For who looks closely.
    Debug = 1,
    /// In the ordinary course.
    Info = 2,
    /// Something is not as it was meant.
    Warn = 3,
    /// Something does not work.
    Error = 4,
}

/// Which header lines.
#[derive(Debug, Clone, Copy)]
pub enum Map {
    /// The request's.
    Request = 0,
    /// The answer's.
    Response = 2,
    /// Those after the answer's body.
    ResponseTrailers = 3,
    /// Those of the answer to a call of our own.
    Call = 6,
    /// Those after its body.
    CallTrailers = 7,
}

/// Which bytes.
#[derive(Debug, Clone, Copy)]
pub enum Buffer {
    /// What has come of the request's body.
    Request = 0,
    /// What has come of the answer's body.
    Response = 1,
    /// The body of the answer to a call of our own.
    Call = 4,
    /// The configuration of this filter.
    Configuration = 7,
}

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// It only grows.
    Counter = 0,
    /// It is set.
    Gauge = 1,
    /// It takes values.
    Histogram = 2,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        most: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_http_call(
        upstream: *const u8,
        upstream_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, size: usize) -> u32;
}

fn done(status: u32) -> Result<()> {
    if status == OK {
        Ok(())
    } else {
        Err(Failure(status))
    }
}

/// Takes over `size` bytes at `data`, which the host got from `malloc`. Nothing, or a range that is
/// not in memory, is absent.
fn take(data: *mut u8, size: usize) -> Option<Vec<u8>> {
    if data.is_null() || size == 0 {
        return None;
    }
    let end = (data as usize).checked_add(size)?;
    let pages = core::arch::wasm32::memory_size(0);
    if end > pages.saturating_mul(65_536) {
        return None;
    }
    // SAFETY: our `malloc` made this a boxed slice of `size` bytes and gave it away.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Runs a call that gives bytes; `None` if the host has none.
fn fetch(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>> {
    let (mut data, mut size) = (null_mut(), 0);
    match call(&mut data, &mut size) {
        OK => Ok(take(data, size)),
        NOT_FOUND => Ok(None),
        status => Err(Failure(status)),
    }
}

/// Writes a line to the proxy's log. A line that can't be written is lost.
pub fn log(level: Level, text: &str) {
    // SAFETY: the pointer and the size are those of `text`.
    let _ = unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Whether lines of `level` are written at all.
pub fn logs(level: Level) -> bool {
    let mut least = Level::Error as u32;
    // SAFETY: the place lives through the call.
    let told = done(unsafe { proxy_get_log_level(&mut least) });
    told.is_ok() && least <= level as u32
}

/// At most the first `most` bytes.
pub fn bytes(of: Buffer, most: usize) -> Result<Vec<u8>> {
    // SAFETY: `fetch` passes places that live through the call.
    let bytes =
        fetch(|data, length| unsafe { proxy_get_buffer_bytes(of as u32, 0, most, data, length) })?;
    Ok(bytes.unwrap_or_default())
}

/// Calls the cluster `upstream`, for at most `timeout` milliseconds: never 0, which the host takes
/// for no end. Gives the call's token; whoever calls, the answer comes to the root context.
///
/// The headers are [laid out](laid_out).
pub fn call(upstream: &str, headers: &[u8], body: &[u8], timeout: u32) -> Result<u32> {
    let trailers = laid_out(&[]);
    let mut token = 0;
    // SAFETY: pointers and sizes are those of the slices; the place lives through the call.
    let status = unsafe {
        proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout.max(1),
            &mut token,
        )
    };
    done(status).map(|()| token)
}

/// All header lines, as the host lays them out: see [`Pairs`].
pub fn headers(map: Map) -> Result<Pairs> {
    // SAFETY: `fetch` passes places that live through the call.
    let bytes = fetch(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })?;
    Ok(Pairs(bytes.unwrap_or_default()))
}

/// Header lines as the host lays them out: a count, the sizes of all names and values, then names
/// and values, each with a zero behind.
#[derive(Debug, Default)]
pub struct Pairs(Vec<u8>);

impl Pairs {
    /// The lines; none if the bytes are not of that form.
    pub fn lines(&self) -> Option<Vec<(&[u8], &[u8])>> {
        if self.0.is_empty() {
            return Some(Vec::new());
        }
        let (count, rest) = number(&self.0)?;
        let (mut sizes, mut text) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut lines: Vec<Header<'_>> = vec![(&[], &[]); count];
        for line in &mut lines {
            let (name_size, after) = number(sizes)?;
            let (value_size, after) = number(after)?;
            sizes = after;
            let (name, after) = ended(text, name_size)?;
            let (value, after) = ended(after, value_size)?;
            text = after;
            *line = (name, value);
        }
        Some(lines)
    }
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number) as usize, rest))
}

fn ended(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    Some((text, rest.get(1..)?))
}

/// Gives `name` the one line `value`.
pub fn set_header(map: Map, name: &str, value: &[u8]) -> Result<()> {
    // SAFETY: pointers and sizes are those of the slices.
    done(unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Adds a line.
pub fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<()> {
    // SAFETY: pointers and sizes are those of the slices.
    done(unsafe {
        proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes all lines of `name`.
pub fn remove_header(map: Map, name: &[u8]) -> Result<()> {
    // SAFETY: pointer and size are those of the slice.
    done(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// A property, by its path with a zero between the steps.
pub fn property(path: &str) -> Result<Option<Vec<u8>>> {
    // SAFETY: pointer and size are those of the slice; `fetch` passes places that live.
    fetch(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets a property of this filter; other filters and access logs read it as the filter state
/// `wasm.` and its name.
pub fn set_property(name: &str, value: &[u8]) -> Result<()> {
    // SAFETY: pointers and sizes are those of the slices.
    done(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A property that is a whole number, as Envoy lays it out.
pub fn number_property(path: &str) -> Result<Option<u64>> {
    let bytes = property(path)?;
    let number = bytes.and_then(|bytes| bytes.try_into().ok());
    Ok(number.map(u64::from_le_bytes))
}

/// The shared data at `key`.
pub fn shared(key: &str) -> Result<Option<Vec<u8>>> {
    shared_with_number(key).map(|(value, _)| value)
}

/// The shared data at `key`, and the number to [swap](swap_shared) it with.
pub fn shared_with_number(key: &str) -> Result<(Option<Vec<u8>>, Number)> {
    let mut cas = 0;
    // SAFETY: pointer and size are those of the slice; the places live through the call.
    let value = fetch(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut cas)
    })?;
    Ok((value, Number(if cas == 0 { u32::MAX } else { cas })))
}

/// What the host calls a value by as long as nobody sets it anew. Where there is no value, any
/// number but 0 makes sure that still nobody set one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(u32);

/// Sets the shared data at `key` if it still has this number; says whether it had.
pub fn swap_shared(key: &str, value: &[u8], number: Number) -> Result<bool> {
    // SAFETY: pointers and sizes are those of the slices.
    let status = unsafe {
        proxy_set_shared_data(
            key.as_ptr(),
            key.len(),
            value.as_ptr(),
            value.len(),
            number.0,
        )
    };
    match status {
        CAS_MISMATCH => Ok(false),
        status => done(status).map(|()| true),
    }
}

/// Sets the shared data at `key`, whatever stands there.
pub fn set_shared(key: &str, value: &[u8]) -> Result<()> {
    // SAFETY: pointers and sizes are those of the slices.
    done(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), 0) })
}

/// Makes a metric and gives its id; it reads 0 from then on.
pub fn define_metric(kind: Kind, name: &str) -> Result<u32> {
    let mut id = 0;
    // SAFETY: pointer and size are those of the slice; the place lives through the call.
    let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) };
    done(status).map(|()| id)
}

/// Adds to a counter; the host refuses to add nothing.
pub fn add_to_metric(id: u32, by: u64) -> Result<()> {
    let by = i64::try_from(by).unwrap_or(i64::MAX);
    // SAFETY: no memory is passed.
    done(unsafe { proxy_increment_metric(id, by) })
}

/// Sets a gauge, or gives a histogram a value.
pub fn set_metric(id: u32, value: u64) -> Result<()> {
    // SAFETY: no memory is passed.
    done(unsafe { proxy_record_metric(id, value) })
}

/// What a counter or a gauge stands at.
pub fn metric(id: u32) -> Result<u64> {
    let mut value = 0;
    // SAFETY: the place lives through the call.
    done(unsafe { proxy_get_metric(id, &mut value) }).map(|()| value)
}

/// The proxy's clock.
pub fn now() -> Result<Wall> {
    let mut nanos = 0_u64;
    // SAFETY: the place lives through the call.
    done(unsafe { proxy_get_current_time_nanoseconds(&mut nanos) })?;
    Ok(Wall(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)))
}

/// Asks for a tick every `millis`.
pub fn tick_every(millis: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    done(unsafe { proxy_set_tick_period_milliseconds(millis) })
}

/// 128 random bits from the host's source for keys.
pub fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: pointer and size are those of the array.
    done(unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) })?;
    Ok(bytes)
}

/// The same bits as two numbers.
pub fn random_numbers() -> Result<[u64; 2]> {
    let bits = u128::from_le_bytes(random()?);
    Ok([bits as u64, (bits >> 64) as u64])
}

/// Answers the request from the proxy; a gRPC call with `grpc_status`, or what the host makes of
/// `status`.
pub fn respond(
    status: u16,
    headers: &[Header<'_>],
    body: &[u8],
    grpc_status: Option<u8>,
) -> Result<()> {
    const DETAILS: &str = "serinus";
    let headers = laid_out(headers);
    // SAFETY: pointers and sizes are those of the slices.
    done(unsafe {
        proxy_send_local_response(
            u32::from(status),
            DETAILS.as_ptr(),
            DETAILS.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status.map_or(-1, i32::from),
        )
    })
}

/// Takes the stream `id` for the one that further calls in this callback are about; fails if the host
/// has no such stream any more.
pub fn take_up(id: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    done(unsafe { proxy_set_effective_context(id) })
}

/// Lets the answer go on that was told to wait.
pub fn go_on() -> Result<()> {
    const RESPONSE: u32 = 1;
    // SAFETY: no memory is passed.
    done(unsafe { proxy_continue_stream(RESPONSE) })
}

/// Header lines of text.
pub fn texts(lines: &[(String, String)]) -> Vec<Header<'_>> {
    let lines = lines.iter();
    lines
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect()
}

/// Ends the stream: its caller and its version are told by a reset, or by the end of the connection
/// over HTTP/1.1. The host does it once the callback has returned, which must be [`Action::Pause`]; not
/// to be called at the end of a stream.
pub fn close_stream() -> Result<()> {
    const REQUEST: u32 = 0;
    // SAFETY: no memory is passed.
    done(unsafe { proxy_close_stream(REQUEST) })
}

/// Header lines in the form of [`Pairs`].
pub fn laid_out(headers: &[Header<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut size = |size: usize| {
        bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    };
    size(headers.len());
    for (name, value) in headers {
        size(name.len());
        size(value.len());
    }
    for (name, value) in headers {
        for text in [name, value] {
            bytes.extend_from_slice(text);
            bytes.push(0);
        }
    }
    bytes
}
