//! Values by numbers that somebody counts up, as the host numbers its streams.
//!
//! A table in which a number's lowest bits say where to look first: of numbers that are counted up
//! each then has a place of its own, and a look-up is a comparison. Where an old one is still in the
//! way the next free place is taken, and a removal closes the gap, so that nothing is left behind
//! that later look-ups would have to pass. A request makes six look-ups; in a `BTreeMap` each is a
//! walk, and the map is more code on the path of every request than all that decides it.
//!
//! At least half of the places are free. The table grows as needed and never shrinks: it keeps
//! the room of the most values that it ever had at once.

/// Values by their numbers.
#[derive(Debug)]
pub struct Numbered<T> {
    /// Nothing, or a power of two of places.
    places: Vec<Option<(u32, T)>>,
    taken: usize,
}

/// Places of the first table.
const FIRST: usize = 16;

impl<T> Numbered<T> {
    /// No values.
    pub const fn new() -> Self {
        Self {
            places: Vec::new(),
            taken: 0,
        }
    }

    /// The value of `number`.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let place = self.place(number)?;
        let (_, value) = self.places.get_mut(place)?.as_mut()?;
        Some(value)
    }

    /// Gives `number` a value, in place of the one that it may have.
    pub fn insert(&mut self, number: u32, value: T) {
        if let Some(known) = self.get_mut(number) {
            *known = value;
            return;
        }
        if self.taken.saturating_mul(2) >= self.places.len() {
            self.grow();
        }
        self.put(number, value);
        self.taken = self.taken.saturating_add(1);
    }

    /// Takes the value of `number` away.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let place = self.place(number)?;
        let (_, value) = self.places.get_mut(place)?.take()?;
        self.taken = self.taken.saturating_sub(1);
        self.close(place);
        Some(value)
    }

    fn place(&self, number: u32) -> Option<usize> {
        let mut place = self.wrapped(number as usize);
        while let Some((known, _)) = self.places.get(place)? {
            if *known == number {
                return Some(place);
            }
            place = self.wrapped(place.wrapping_add(1));
        }
        None
    }

    /// There is a free place.
    fn put(&mut self, number: u32, value: T) {
        let mut place = self.wrapped(number as usize);
        while let Some(Some(_)) = self.places.get(place) {
            place = self.wrapped(place.wrapping_add(1));
        }
        if let Some(free) = self.places.get_mut(place) {
            *free = Some((number, value));
        }
    }

    /// Moves into the place that became `free` what is behind it for want of one further in front.
    fn close(&mut self, mut free: usize) {
        let mut place = self.wrapped(free.wrapping_add(1));
        while let Some(Some((number, _))) = self.places.get(place) {
            let first = self.wrapped(*number as usize);
            let from_first = self.wrapped(place.wrapping_sub(first));
            if from_first >= self.wrapped(place.wrapping_sub(free)) {
                self.places.swap(place, free);
                free = place;
            }
            place = self.wrapped(place.wrapping_add(1));
        }
    }

    #[inline(never)]
    fn grow(&mut self) {
        let size = self.places.len().saturating_mul(2).max(FIRST);
        let mut larger = Vec::with_capacity(size);
        larger.resize_with(size, || None);
        let before = std::mem::replace(&mut self.places, larger);
        for (number, value) in before.into_iter().flatten() {
            self.put(number, value);
        }
    }

    fn wrapped(&self, place: usize) -> usize {
        place & self.places.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn numbers_that_are_counted_up_need_no_more_room_than_is_taken_at_once() {
        let mut table = Numbered::new();
        // One stays for ever, as a WebSocket does.
        table.insert(1, 1);
        for number in 2..100_000 {
            table.insert(number, number);
            assert_eq!(table.get_mut(number), Some(&mut number.clone()));
            assert_eq!(table.remove(number), Some(number));
        }
        assert_eq!(table.get_mut(1), Some(&mut 1));
        assert_eq!(table.places.len(), FIRST);
    }

    #[test]
    fn nothing_is_found_in_an_empty_table() {
        let mut table: Numbered<u32> = Numbered::new();
        assert_eq!(table.get_mut(0), None);
        assert_eq!(table.remove(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            steps in prop::collection::vec((0_u8..3, 0_u32..48), 0..400),
        ) {
            let mut table = Numbered::new();
            let mut map = BTreeMap::new();
            for (step, (what, number)) in steps.into_iter().enumerate() {
                // Numbers that share their lowest bits, and ones at the end of all numbers.
                let number = number.wrapping_mul(0x4000_0001);
                match what {
                    0 => {
                        table.insert(number, step);
                        map.insert(number, step);
                    }
                    1 => prop_assert_eq!(table.remove(number), map.remove(&number)),
                    _ => prop_assert_eq!(table.get_mut(number), map.get_mut(&number)),
                }
                prop_assert_eq!(table.taken, map.len());
                prop_assert!(map.len() * 2 <= table.places.len());
            }
            for (number, value) in &mut map {
                prop_assert_eq!(table.get_mut(*number), Some(value));
            }
        }
    }
}
