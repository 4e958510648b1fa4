//! Host calls that answer wrongly on purpose.
//!
//! A fault replaces the call: what the function would have done is not done.

use crate::functions::{self, HostFunction, Output, Param, Reply};
use crate::headers::Headers;

/// A number that is no status of the ABI: a filter must not take it for one it knows.
pub const UNKNOWN_STATUS: u32 = 77;

/// What a faulty call answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This status, with nothing written to where the filter wants its results.
    Status(u32),
    /// `Ok`, with NULL and length 0 for data, and 0 for a number.
    Null,
    /// `Ok`, with these bytes for data.
    Data(Vec<u8>),
    /// `Ok`, with this number, cut to the size that the function returns.
    Number(u64),
}

/// Which calls of the function are hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Every,
    Nth(usize),
}

/// A host function and how it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    function: &'static str,
    when: When,
    effect: Effect,
}

impl Fault {
    /// Every call of the function fails.
    ///
    /// # Panics
    /// If the host has no such function.
    pub fn every(function: &str, effect: Effect) -> Self {
        Self {
            function: functions::named(function).name,
            when: When::Every,
            effect,
        }
    }

    /// Only one call of the function fails: the first is 1, counted from when the fault is set.
    ///
    /// # Panics
    /// If the host has no such function.
    pub fn nth(function: &str, n: usize, effect: Effect) -> Self {
        Self {
            function: functions::named(function).name,
            when: When::Nth(n),
            effect,
        }
    }

    /// Every way in which a function can fail: each status but `Ok`, an unknown one, and, as far
    /// as it returns any, NULL, garbage, malformed header pairs and extreme numbers.
    ///
    /// # Panics
    /// If the host has no such function.
    pub fn effects(function: &str) -> Vec<Effect> {
        let params = functions::named(function).params;
        let mut effects: Vec<_> = (1..=12).map(Effect::Status).collect();
        effects.push(Effect::Status(UNKNOWN_STATUS));
        if params.iter().any(|param| param.is_output()) {
            effects.push(Effect::Null);
        }
        if params.contains(&Param::BytesOut) {
            effects.extend(garbage().into_iter().map(Effect::Data));
        }
        if function == "proxy_get_header_map_pairs" {
            effects.extend(malformed_pairs().into_iter().map(Effect::Data));
        }
        if params.contains(&Param::U32Out) || params.contains(&Param::U64Out) {
            effects.extend([1, u64::MAX].map(Effect::Number));
        }
        effects
    }
}

/// Bytes that are neither text, nor a number, nor a policy.
fn garbage() -> Vec<Vec<u8>> {
    vec![
        vec![0],
        vec![0xff; 3],
        (0..=255).collect(),
        b"{\"routes\":[".to_vec(),
        vec![b'a'; 70_000],
    ]
}

/// Header pairs that no sound host would send: cut, with lengths past the end, or too many.
pub fn malformed_pairs() -> Vec<Vec<u8>> {
    let sound = [(":path", "/"), ("x-user-id", "u-17")]
        .into_iter()
        .collect::<Headers>()
        .encode();
    let with_number = |at: usize, number: u32| {
        let mut wire = sound.clone();
        wire[at..at + 4].copy_from_slice(&number.to_le_bytes());
        wire
    };
    let (count, name_length, value_length) = (0, 4, 16);
    let mut all: Vec<_> = [1, 3, 4, 11, 20, sound.len() - 5, sound.len() - 1]
        .map(|end| sound[..end].to_vec())
        .into();
    for number in [1, 3, 1 << 28, u32::MAX] {
        all.extend([count, name_length, value_length].map(|at| with_number(at, number)));
    }
    all.push([sound.as_slice(), b"tail"].concat());
    all
}

/// The faults of one VM, and how often the function of each was called since it was set.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Fault, usize)>);

impl Faults {
    pub fn set(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.0 = faults.into_iter().map(|fault| (fault, 0)).collect();
    }

    /// Counts a call; what it answers if a fault hits it.
    pub fn strike(&mut self, function: &HostFunction) -> Option<Reply> {
        let mut reply = None;
        for (fault, called) in &mut self.0 {
            if fault.function != function.name {
                continue;
            }
            *called += 1;
            if fault.when == When::Every || fault.when == When::Nth(*called) {
                reply = Some(fault.effect.reply(function));
            }
        }
        reply
    }
}

impl Effect {
    /// The reply of a function that fails so. Results that the effect does not name stay unwritten.
    fn reply(&self, function: &HostFunction) -> Reply {
        let outputs = function.params.iter().filter(|param| param.is_output());
        match self {
            Self::Status(status) => Reply {
                status: *status,
                outputs: Vec::new(),
            },
            Self::Null => Reply::outputs(outputs.map(|_| Output::Null)),
            Self::Data(bytes) => Reply::outputs(outputs.map(|param| match param {
                Param::BytesOut => Output::Bytes(bytes.clone()),
                _ => Output::Unwritten,
            })),
            Self::Number(number) => Reply::outputs(outputs.map(|param| match param {
                Param::BytesOut => Output::Unwritten,
                _ => Output::Number(*number),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_malformed_map_can_be_read_as_a_map() {
        for wire in malformed_pairs() {
            assert_eq!(Headers::decode(&wire), None, "{wire:?}");
        }
    }

    #[test]
    fn only_the_nth_call_is_hit() {
        let function = functions::named("proxy_log");
        let mut faults = Faults::default();
        faults.set([Fault::nth("proxy_log", 2, Effect::Status(5))]);
        let hits: Vec<_> = (0..3).map(|_| faults.strike(function).is_some()).collect();
        assert_eq!(hits, [false, true, false]);
    }

    #[test]
    fn every_status_but_ok_is_among_the_effects() {
        let effects = Fault::effects("proxy_set_property");
        let statuses: Vec<_> = (1..=12).chain([77]).map(Effect::Status).collect();
        assert_eq!(effects, statuses);
    }
}
