//! Evidence as bytes, for the proxy's shared data.
//!
//! ```text
//! "SD" version=2 | about: 2 x u64 | raw noise confirming lost_raw lost_noise | beyond | paths | crc32 of all before it
//! a path: kind and mark (worse: 128), name's length, name, raw noise candidate stable neither
//! ```
//! Numbers without a width are LEB128. The paths come in the order of their ranks, which are
//! therefore not written. Whatever is not exactly this (another version, another program's bytes,
//! a name twice, more paths than the bound, more hits than pairs) counts as absent.

use super::evidence::{Evidence, Track};
use super::{MAX_NAME, MAX_PATHS};
use crate::shadow::compare::Kind;
use crate::shadow::crc32::crc32;
use std::collections::BTreeMap;

const HEAD: [u8; 3] = *b"SD\x02";

/// The mark of a path that was found worse.
const WORSE: u8 = 0x80;

impl Evidence {
    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = HEAD.to_vec();
        for word in self.about {
            out.extend(word.to_le_bytes());
        }
        write_number(self.raw, &mut out);
        write_number(self.noise, &mut out);
        write_number(self.confirming, &mut out);
        write_number(self.lost_raw, &mut out);
        write_number(self.lost_noise, &mut out);
        out.push(mark(&self.beyond));
        write_counts(&self.beyond, &mut out);
        let tracks = self.in_order();
        write_number(tracks.len() as u64, &mut out);
        for ((path, kind), track) in tracks {
            let kind = Kind::ALL
                .iter()
                .position(|known| known == kind)
                .unwrap_or_default();
            out.push(mark(track) | u8::try_from(kind).unwrap_or_default());
            write_number(path.len() as u64, &mut out);
            out.extend(path.as_bytes());
            write_counts(track, &mut out);
        }
        out.extend(crc32(&out).to_le_bytes());
        out
    }

    /// Reads stored bytes; `None` if they are not such.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (bytes, sum) = bytes.split_last_chunk()?;
        if crc32(bytes) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut rest = bytes.strip_prefix(&HEAD)?;
        let rest = &mut rest;
        let about = [read_word(rest)?, read_word(rest)?];
        let [raw, noise, confirming] = [read_number(rest)?, read_number(rest)?, read_number(rest)?];
        let [lost_raw, lost_noise] = [read_number(rest)?, read_number(rest)?];
        let mark = take(rest, 1)?.first()? & WORSE != 0;
        let beyond = read_counts(rest, mark)?;
        let mut read = Self {
            about,
            raw,
            noise,
            confirming,
            lost_raw,
            lost_noise,
            tracks: BTreeMap::new(),
            beyond,
        };
        read.plausible(&beyond)?;
        // Status and gRPC status have places of their own.
        let paths = usize::try_from(read_number(rest)?).ok()?;
        if paths > MAX_PATHS.saturating_add(2) {
            return None;
        }
        for _ in 0..paths {
            let first = *take(rest, 1)?.first()?;
            let kind = *Kind::ALL.get(usize::from(first & !WORSE))?;
            let length = usize::try_from(read_number(rest)?).ok()?;
            let name = std::str::from_utf8(take(rest, length)?).ok()?;
            let track = read_counts(rest, first & WORSE != 0)?;
            let known = read.tracks.contains_key(&(name.to_owned(), kind));
            if known || name.len() > MAX_NAME {
                return None;
            }
            read.plausible(&track)?;
            *read.track(name, kind)? = track;
        }
        rest.is_empty().then_some(read)
    }

    fn plausible(&self, track: &Track) -> Option<()> {
        (track.raw <= self.raw && track.noise <= self.noise).then_some(())
    }
}

fn mark(track: &Track) -> u8 {
    if track.worse { WORSE } else { 0 }
}

fn write_counts(track: &Track, out: &mut Vec<u8>) {
    let coin = track.coin;
    for number in [
        track.raw,
        track.noise,
        coin.candidate,
        coin.stable,
        coin.neither,
    ] {
        write_number(number, out);
    }
}

fn read_counts(rest: &mut &[u8], worse: bool) -> Option<Track> {
    let mut track = Track {
        worse,
        ..Track::default()
    };
    track.raw = read_number(rest)?;
    track.noise = read_number(rest)?;
    track.coin.candidate = read_number(rest)?;
    track.coin.stable = read_number(rest)?;
    track.coin.neither = read_number(rest)?;
    Some(track)
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        let bits = u64::from(byte & 0x7f);
        let placed = bits.checked_shl(shift)?;
        if placed >> shift != bits {
            return None;
        }
        number |= placed;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read_word(rest: &mut &[u8]) -> Option<u64> {
    let (word, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*word))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}
