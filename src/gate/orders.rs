//! What the worker that judges tells all others: where each gate stands.
//!
//! One value in shared data, written when anything in it changes or other bytes stand there, and
//! read by every worker four times a second, so that no request costs a shared read. Routes and variants go by name: a
//! policy that reorders them is told rightly, and what is no longer there is passed over. The value
//! outlives the filter, so a gate that is shut is so from a new worker's first request on.

use super::input::Ppm;
use super::store::{Magic, seal, unseal};
use super::words::Position;
use serde::{Deserialize, Serialize};

const MAGIC: Magic = *b"SGo\x01";

/// The key; `name` is the policy's.
pub fn key(name: &str) -> String {
    format!("{name}.gate.orders")
}

/// Where one gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order<'n> {
    /// The route.
    pub route: &'n str,
    /// The variant.
    pub variant: &'n str,
    /// The revision that was judged: it says nothing of another.
    pub revision: &'n str,
    /// Where it stands.
    pub position: Position,
    /// The share that reaches the variant while the gate probes.
    pub probing: Ppm,
    /// The most that its ramp may have reached; everything if nothing stopped it.
    pub ceiling: Ppm,
}

impl Order<'_> {
    /// Whether it says no more than its absence would.
    pub fn is_idle(&self) -> bool {
        self.position == Position::Open && self.ceiling == Ppm::ALL
    }
}

/// The order for a gate among `orders`, if one was given for its revision.
pub fn find<'o, 'n>(
    orders: &'o [Order<'n>],
    route: &str,
    variant: &str,
    revision: &str,
) -> Option<&'o Order<'n>> {
    let is_for = |order: &&Order<'_>| {
        order.route == route && order.variant == variant && order.revision == revision
    };
    orders.iter().find(is_for)
}

/// The orders as bytes; those that say nothing are left out.
pub fn write(orders: &[Order<'_>]) -> Option<Vec<u8>> {
    let said: Vec<&Order<'_>> = orders.iter().filter(|order| !order.is_idle()).collect();
    seal(MAGIC, &said)
}

/// The orders; nothing if this is no value of [`write()`]'s.
pub fn read(bytes: &[u8]) -> Option<Vec<Order<'_>>> {
    unseal(MAGIC, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHUT: Order<'_> = Order {
        route: "checkout",
        variant: "canary",
        revision: "1",
        position: Position::Shut,
        probing: Ppm(0),
        ceiling: Ppm(50_000),
    };

    #[test]
    fn orders_are_read_as_they_were_given_and_idle_ones_are_left_out() {
        let idle = Order {
            position: Position::Open,
            ceiling: Ppm::ALL,
            ..SHUT
        };
        let bytes = write(&[idle, SHUT]).unwrap();
        assert_eq!(read(&bytes), Some(vec![SHUT]));
        assert_eq!(read(&write(&[idle]).unwrap()), Some(Vec::new()));
    }

    #[test]
    fn an_order_is_for_one_revision_alone() {
        assert_eq!(find(&[SHUT], "checkout", "canary", "1"), Some(&SHUT));
        assert_eq!(find(&[SHUT], "checkout", "canary", "2"), None);
        assert_eq!(find(&[SHUT], "checkout", "other", "1"), None);
    }

    proptest! {
        #[test]
        fn other_bytes_are_no_orders(
            junk in prop::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            prop_assert_eq!(read(&junk), None);
            let mut bytes = write(&[SHUT]).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(read(&bytes), None);
        }
    }
}
