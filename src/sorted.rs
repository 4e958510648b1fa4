//! Sorting, with one copy of the algorithm for all types.
//!
//! The standard library's sorts are compiled anew for each type and each order, into 3 to 5 kB of
//! the filter every time: 59 kB in all when this was written, of the 700 kB that it may have. Here
//! one sort orders the places of the elements, and only moving them is compiled for each type. That
//! costs a call for each comparison; what is sorted for each request (the numbers in a JSON body)
//! is packed into `u64`s and sorted as such instead.

use std::cmp::Ordering;

/// `items` in the order that `compare` tells; equal ones stay as they come.
pub fn sorted_by<T>(
    items: impl IntoIterator<Item = T>,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    let mut slots: Vec<Option<T>> = items.into_iter().map(Some).collect();
    let at = |place: u32| slots.get(place as usize)?.as_ref();
    let compare = |a: u32, b: u32| match (at(a), at(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    };
    let order = order(slots.len(), &compare);
    let mut take = |place: u32| slots.get_mut(place as usize)?.take();
    order.into_iter().filter_map(&mut take).collect()
}

/// `items` in their own order; equal ones stay as they come.
pub fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    sorted_by(items, T::cmp)
}

/// `items` in their own order, each once.
pub fn distinct<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut sorted = sorted(items);
    sorted.dedup();
    sorted
}

/// The places of `count` elements, at most 2^32 of them, in the order that `compare` tells.
#[inline(never)]
fn order(count: usize, compare: &dyn Fn(u32, u32) -> Ordering) -> Vec<u32> {
    let mut places: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
    places.sort_by(|a, b| compare(*a, *b));
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(items: Vec<(u8, u16)>) {
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.0);
            let by_first = |a: &(u8, u16), b: &(u8, u16)| a.0.cmp(&b.0);
            prop_assert_eq!(sorted_by(items.clone(), by_first), expected);
            let mut expected = items.clone();
            expected.sort();
            prop_assert_eq!(sorted(items.clone()), expected.clone());
            expected.dedup();
            prop_assert_eq!(distinct(items), expected);
        }
    }
}
