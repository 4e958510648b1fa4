//! Windows of all routes, kept in shared data for whoever watches next.
//!
//! A new watcher (another worker, a new VM) knows the totals at once, but the last minutes only if
//! its predecessor left them. Keys in shared data cannot be deleted, so there is not one for each
//! route but [`BUNDLES`] for all, each with the windows of the routes that fall into it; a route
//! that left the policy leaves its bundle with the next write. One worker watches, and it writes
//! one bundle a tick in turn: a tick writes little, and what is kept is at most as many seconds old
//! as there are bundles. The seconds between are missing from the windows of a new watcher, not
//! from the totals.

use super::bytes::{Reader, Writer};
use super::totals::LONGEST_NAME;
use super::window;
use crate::assign::hash::murmur3_x86_32;

/// Bundles, and so ticks until each was written.
pub const BUNDLES: usize = 16;
/// Routes of a bundle; a policy has at most 500 of all bundles.
const MOST_ROUTES: usize = 512;
/// Bytes of a bundle: values of 4 MB were seen to pass through the host. Routes that do not fit
/// start their windows afresh with the next watcher.
pub const MOST_BYTES: usize = 4_000_000;
const MAGIC: &[u8; 4] = b"SRK1";

/// The key of a bundle; `name` is the policy's.
pub fn key(name: &str, bundle: usize) -> String {
    format!("{name}.health.windows.{}", bundle % BUNDLES)
}

/// The bundle that a route falls into.
pub fn bundle(route: &str) -> usize {
    const _: () = assert!(BUNDLES.is_power_of_two());
    murmur3_x86_32(&[route.as_bytes()], 0) as usize & (BUNDLES - 1)
}

/// The windows of one bundle's routes as bytes.
pub fn write<'r>(routes: impl IntoIterator<Item = (&'r str, &'r window::Windows)>) -> Vec<u8> {
    let mut value = Writer::default();
    value.raw(MAGIC);
    let mut bytes = MAGIC.len();
    for (route, windows) in routes.into_iter().take(MOST_ROUTES) {
        let windows = windows.write();
        // Two lengths of at most ten bytes each.
        let entry = windows.len().saturating_add(route.len()).saturating_add(20);
        bytes = bytes.saturating_add(entry);
        if bytes > MOST_BYTES {
            break;
        }
        value.text(route.as_bytes());
        value.text(&windows);
    }
    value.done()
}

/// Each route's windows as bytes for [`RouteWatch::new`](super::watch::RouteWatch::new), which
/// checks them. Foreign bytes hold none; damaged ones end what is read.
pub fn read(value: &[u8]) -> Vec<(&str, &[u8])> {
    let Some((magic, rest)) = value.split_first_chunk::<4>() else {
        return Vec::new();
    };
    if magic != MAGIC {
        return Vec::new();
    }
    let mut reader = Reader(rest);
    let mut entry = || {
        let route = std::str::from_utf8(reader.text(LONGEST_NAME)?).ok()?;
        Some((route, reader.text(window::MOST_BYTES)?))
    };
    std::iter::from_fn(&mut entry).take(MOST_ROUTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::ramp::Millis;
    use crate::health::clock::Micros;
    use crate::health::counters::{Counters, Request};
    use crate::health::outcome::Outcome;
    use crate::health::window::{Span, Windows};
    use proptest::prelude::*;

    fn windows(requests: u64) -> Windows {
        let mut counters = Counters::default();
        for _ in 0..requests {
            counters.count(&Request {
                outcome: Outcome::Ok,
                latency: Some(Micros(900)),
                attempts: 1,
                bytes: None,
                caller: None,
                host: None,
            });
        }
        let mut windows = Windows::new(["stable"], Millis(0));
        windows.add(0, &counters);
        windows
    }

    #[test]
    fn each_route_finds_its_own_windows() {
        let (few, many) = (windows(2), windows(3_000));
        let value = write([("checkout", &few), ("search", &many)]);
        let read = read(&value);
        assert_eq!(
            read.iter().map(|(route, _)| *route).collect::<Vec<_>>(),
            ["checkout", "search"]
        );
        let search = Windows::read(read[1].1).unwrap();
        assert_eq!(search.outcomes(0, Span::Minute).unwrap()[0], 3_000);
    }

    #[test]
    fn routes_spread_over_all_bundles_and_each_has_a_key() {
        let mut routes = [0; BUNDLES];
        (0..500).for_each(|route| routes[bundle(&format!("route-{route}"))] += 1);
        assert!(
            routes.iter().all(|routes| (10..60).contains(routes)),
            "{routes:?}"
        );
        assert_eq!(key("shop", 3), "shop.health.windows.3");
        assert_eq!(key("shop", 3), key("shop", BUNDLES + 3));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            prop_assert!(read(&bytes).is_empty() || bytes.starts_with(MAGIC));
            let mut value = write([("r", &windows(9))]);
            let at = at.index(value.len());
            value[at] = byte;
            read(&value).iter().for_each(|(_, windows)| drop(Windows::read(windows)));
        }
    }
}
