//! Shared data with Envoy's compare-and-swap.
//!
//! Measured: a missing key takes any number; an existing one takes 0 ("unconditional") or its
//! own number, else `CasMismatch`; an empty value keeps the key; nothing deletes a key. Numbers
//! come from one counter of the whole process and jump: filters must treat them as opaque.

use std::collections::BTreeMap;

use crate::abi::Status;

/// A value and its compare-and-swap number.
type Entry = (Vec<u8>, u32);

/// All keys of all VM ids.
#[derive(Debug, Default)]
pub(crate) struct SharedData {
    entries: BTreeMap<(String, Vec<u8>), Entry>,
    last_cas: u32,
}

impl SharedData {
    pub fn get(&self, vm_id: &str, key: &[u8]) -> Option<&Entry> {
        self.entries.get(&(vm_id.to_owned(), key.to_vec()))
    }

    pub fn set(&mut self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Status {
        let stored = self.get(vm_id, key).map(|(_, cas)| *cas);
        if cas != 0 && stored.is_some_and(|stored| stored != cas) {
            return Status::CasMismatch;
        }
        let cas = self.next_cas();
        self.entries
            .insert((vm_id.to_owned(), key.to_vec()), (value.to_vec(), cas));
        Status::Ok
    }

    pub fn keys(&self, vm_id: &str) -> Vec<String> {
        let of_vm = self.entries.keys().filter(|(id, _)| id == vm_id);
        of_vm
            .map(|(_, key)| String::from_utf8_lossy(key).into_owned())
            .collect()
    }

    /// Never 0, which means "no number" in the ABI; jumps, as the real numbers do.
    fn next_cas(&mut self) -> u32 {
        const JUMP: u32 = 7;
        self.last_cas = self.last_cas.wrapping_add(JUMP).max(1);
        self.last_cas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_takes_any_number_and_an_existing_one_only_its_own() {
        let mut data = SharedData::default();
        assert_eq!(data.set("vm", b"k", b"1", u32::MAX), Status::Ok);
        let cas = data.get("vm", b"k").expect("just set").1;
        assert_eq!(data.set("vm", b"k", b"2", u32::MAX), Status::CasMismatch);
        assert_eq!(data.set("vm", b"k", b"3", cas), Status::Ok);
        assert_eq!(data.set("vm", b"k", b"4", cas), Status::CasMismatch);
        assert_eq!(data.set("vm", b"k", b"5", 0), Status::Ok);
        assert_eq!(data.get("vm", b"k").expect("still there").0, b"5");
    }

    #[test]
    fn an_empty_value_keeps_the_key_and_other_vm_ids_see_nothing() {
        let mut data = SharedData::default();
        data.set("vm", b"k", b"", 0);
        assert_eq!(data.get("vm", b"k").map(|(value, _)| value.len()), Some(0));
        assert_eq!(data.get("other", b"k"), None);
    }
}
