//! What watchers keep of all routes in shared data, for whoever watches next.
//!
//! A new watcher (another worker, a new VM) knows the totals at once, but the last minutes and draws
//! only if its predecessor left them ([`RouteWatch::kept`](super::watch::RouteWatch::kept)). Keys in
//! shared data cannot be deleted, so there is not one for each route but [`BUNDLES`] for all, each
//! with the routes that fall into it; a route that left the policy leaves its bundle with the next
//! write. One worker watches and writes the bundles in turn, so that a tick writes little. The time
//! since a bundle was written is missing from the windows of a new watcher, not from the totals. The
//! state document, which any worker may be asked for, is made of the same.

use super::bytes::{Reader, Writer};
use super::totals::LONGEST_NAME;
use crate::assign::hash::murmur3_x86_32;

/// Bundles.
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

/// What is kept of one bundle's routes as bytes.
pub fn write<'r>(routes: impl IntoIterator<Item = (&'r str, Vec<u8>)>) -> Vec<u8> {
    let mut value = Writer::default();
    value.raw(MAGIC);
    let mut bytes = MAGIC.len();
    for (route, kept) in routes.into_iter().take(MOST_ROUTES) {
        // Two lengths of at most ten bytes each.
        let entry = kept.len().saturating_add(route.len()).saturating_add(20);
        bytes = bytes.saturating_add(entry);
        if bytes > MOST_BYTES {
            break;
        }
        value.text(route.as_bytes());
        value.text(&kept);
    }
    value.done()
}

/// What is kept of each route, for [`RouteWatch::new`](super::watch::RouteWatch::new), which
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
        Some((route, reader.text(MOST_BYTES)?))
    };
    std::iter::from_fn(&mut entry).take(MOST_ROUTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_route_finds_its_own_bytes() {
        let value = write([("checkout", b"few".to_vec()), ("search", vec![7; 3_000])]);
        let read = read(&value);
        assert_eq!(read[0], ("checkout", &b"few"[..]));
        assert_eq!(read[1], ("search", &[7; 3_000][..]));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let large = vec![0; MOST_BYTES / 2];
        let value = write([("a", large.clone()), ("b", large.clone()), ("c", large)]);
        assert_eq!(read(&value).len(), 1);
        assert!(value.len() <= MOST_BYTES);
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
            let mut value = write([("r", vec![1; 99])]);
            let at = at.index(value.len());
            value[at] = byte;
            // A length that changed makes entries of what was one.
            prop_assert!(read(&value).len() <= MOST_ROUTES);
        }
    }
}
