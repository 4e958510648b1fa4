//! MurmurHash3, x86, 32 bits (Austin Appleby's smhasher, public domain).
//!
//! Own code because the published crates take one slice, or an `io::Read` and its errors: a hash
//! of a salt, a colon and a key would need a joined copy for each request, or a chained reader.
//!
//! The hash is uniform, fast and what two of the vendors use; it is no secret. Who may choose
//! both salt and key can choose the slot.

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// The hash of all `parts`, one after another.
///
/// The length goes in modulo 2^32, as in the reference code.
pub fn murmur3_x86_32(parts: &[&[u8]], seed: u32) -> u32 {
    let mut state = State::new(seed);
    for part in parts {
        state.write(part);
    }
    state.finish()
}

struct State {
    hash: u32,
    /// Bytes that do not fill a block of four yet, the first one lowest.
    tail: u32,
    /// How many bits of `tail` are filled: 0, 8, 16 or 24.
    filled: u32,
    length: u32,
}

impl State {
    fn new(seed: u32) -> Self {
        Self {
            hash: seed,
            tail: 0,
            filled: 0,
            length: 0,
        }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u32);
        while self.filled > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return;
            };
            self.push(byte);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<4>();
        let mut hash = self.hash;
        for &block in blocks {
            hash = mixed(hash, u32::from_le_bytes(block));
        }
        self.hash = hash;
        for &byte in rest {
            self.push(byte);
        }
    }

    fn push(&mut self, byte: u8) {
        self.tail |= u32::from(byte).wrapping_shl(self.filled);
        self.filled = self.filled.wrapping_add(8);
        if self.filled == u32::BITS {
            self.hash = mixed(self.hash, self.tail);
            (self.tail, self.filled) = (0, 0);
        }
    }

    fn finish(self) -> u32 {
        // An empty tail is 0, which scrambles to 0.
        let mut hash = self.hash ^ scramble(self.tail) ^ self.length;
        hash ^= hash >> 16;
        hash = hash.wrapping_mul(0x85eb_ca6b);
        hash ^= hash >> 13;
        hash = hash.wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

#[inline(always)]
fn mixed(hash: u32, block: u32) -> u32 {
    let rotated = (hash ^ scramble(block)).rotate_left(13);
    rotated.wrapping_mul(5).wrapping_add(0xe654_6b64)
}

#[inline(always)]
fn scramble(block: u32) -> u32 {
    block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2)
}
