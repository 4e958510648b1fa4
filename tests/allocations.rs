//! A decision allocates nothing that grows with the number of routes.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, unsafe_code, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::arithmetic_side_effects)]

use serinus::assign::gates::Gates;
use serinus::assign::ramp::Millis;
use serinus::policy;
use serinus::request::{Header, Request};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and how often this thread asked it.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of a decision in the last of `count` routes, each of which looks at the host, the
/// path, a header and a pattern before it lets the request pass on.
fn allocations(count: usize) -> usize {
    let route = |n: usize| {
        format!(
            "{{\"name\":\"r{n}\",\"match\":{{\"hosts\":[\"shop.example.com\",\"*.example.org\"],\
             \"path\":{{\"regex\":\"/r{n}/[a-z]+\"}},\
             \"headers\":[{{\"name\":\"x-tenant\",\"exact\":\"acme\"}}]}},\
             \"key\":[{{\"header\":\"x-user-id\"}}],\
             \"variants\":[{{\"name\":\"c\",\"share\":\"50%\"}}]}}"
        )
    };
    let routes: Vec<String> = (0..count).map(route).collect();
    let text = format!("{{\"routes\":[{}]}}", routes.join(","));
    let policy = policy::read(text.as_bytes()).unwrap();
    let path = format!("/r{}/cart?x=1", count - 1);
    let headers: [Header<'_>; 5] = [
        (b":method", b"GET"),
        (b":path", path.as_bytes()),
        (b":authority", b"Shop.Example.com:443"),
        (b"x-tenant", b"acme"),
        (b"x-user-id", b"anna"),
    ];
    let source = || None;
    let before = ASKED.get();
    let request = Request::new(&headers, &source);
    let decision = policy
        .assigner
        .decide(&request, Millis(0), &Gates::OPEN, &mut || None);
    let asked = ASKED.get() - before;
    assert_eq!(decision.route.unwrap().id.0, count - 1);
    asked
}

#[test]
fn five_hundred_routes_allocate_no_more_than_one() {
    let one = allocations(1);
    assert_eq!(allocations(500), one);
    assert!(one <= 2, "{one}");
}
