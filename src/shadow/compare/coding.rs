//! Content codings removed, within a bound.
//!
//! gzip (RFC 1952) and deflate (zlib, RFC 1950) are decoded; any other coding leaves the body as
//! it is, and says so. `miniz_oxide` inflates; the gzip frame around it is read here, because the
//! crates that read it bring the std I/O traits and their errors with them for the sake of forty
//! lines. Every length and checksum in a frame is checked, so that a body cut off in transit
//! counts as broken instead of as a shorter text.
//!
//! The output never grows past the given bound, whatever the body claims about itself: the length in a gzip trailer is compared and never trusted.

use super::response::{Fields, values};
use crate::shadow::crc32::crc32;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use std::borrow::Cow;

/// More codings on one body than this (servers use one) count as broken.
const MAX_CODINGS: usize = 8;

/// The first output buffer, in bytes; it is doubled from there.
const FIRST_BUFFER: usize = 8 * 1024;

/// Why a body is not there to compare in plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecoded {
    /// A coding is unknown, or the bytes are not what it says.
    Broken,
    /// Decoded, the body would be larger than the bound.
    TooLarge,
}

/// The codings of a body, in the order in which they were applied; lower case.
pub(super) fn codings(headers: &Fields) -> Vec<Vec<u8>> {
    values(headers, "content-encoding")
        .flat_map(|line| super::response::parts(line, b','))
        .map(<[u8]>::to_ascii_lowercase)
        .filter(|coding| coding != b"identity")
        .collect()
}

/// `body` without `codings`, at most `limit` bytes. An empty body is empty under any coding.
pub(super) fn decoded<'a>(
    body: &'a [u8],
    codings: &[Vec<u8>],
    limit: usize,
) -> Result<Cow<'a, [u8]>, Undecoded> {
    if codings.len() > MAX_CODINGS {
        return Err(Undecoded::Broken);
    }
    let mut plain = Cow::Borrowed(body);
    for coding in codings.iter().rev() {
        if plain.is_empty() {
            break;
        }
        plain = Cow::Owned(match coding.as_slice() {
            b"gzip" | b"x-gzip" => gunzip(&plain, limit)?,
            b"deflate" => unzlib(&plain, limit)?,
            _ => return Err(Undecoded::Broken),
        });
    }
    Ok(plain)
}

/// All members of a gzip file, one after the other; zero bytes may follow each.
fn gunzip(mut input: &[u8], limit: usize) -> Result<Vec<u8>, Undecoded> {
    let mut output = Output::new(limit);
    loop {
        let from = output.length;
        let body = after_header(input).ok_or(Undecoded::Broken)?;
        let trailer = output.inflate(body, 0)?;
        let (trailer, mut rest) = trailer.split_first_chunk().ok_or(Undecoded::Broken)?;
        if *trailer != trailer_of(output.since(from)) {
            return Err(Undecoded::Broken);
        }
        while let [0, after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return Ok(output.finish());
        }
        input = rest;
    }
}

/// The checksum and the length modulo 2^32 that end a gzip member.
fn trailer_of(plain: &[u8]) -> [u8; 8] {
    let [a, b, c, d] = crc32(plain).to_le_bytes();
    let [e, f, g, h, ..] = (plain.len() as u64).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// What follows the header of a gzip member (RFC 1952, section 2.3).
fn after_header(input: &[u8]) -> Option<&[u8]> {
    const HEADER_CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0b1110_0000;
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = input else {
        return None;
    };
    let mut rest = rest;
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, extra) = rest.split_first_chunk()?;
        rest = extra.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = rest.get(end..)?.get(1..)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

fn unzlib(input: &[u8], limit: usize) -> Result<Vec<u8>, Undecoded> {
    let mut output = Output::new(limit);
    let rest = output.inflate(input, TINFL_FLAG_PARSE_ZLIB_HEADER)?;
    if rest.is_empty() {
        Ok(output.finish())
    } else {
        Err(Undecoded::Broken)
    }
}

/// What was decoded so far. One buffer and one state serve all members, so that a file of many
/// tiny ones costs no more than its bytes.
struct Output {
    state: Box<DecompressorOxide>,
    buffer: Vec<u8>,
    /// How much of the buffer is output.
    length: usize,
    limit: usize,
}

impl Output {
    fn new(limit: usize) -> Self {
        Self {
            state: Box::default(),
            buffer: Vec::new(),
            length: 0,
            limit,
        }
    }

    /// Appends what the deflate stream at the start of `input` holds, and returns what follows it.
    fn inflate<'a>(&mut self, mut input: &'a [u8], flags: u32) -> Result<&'a [u8], Undecoded> {
        let start = self.length;
        let flags = flags | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        self.state.init();
        loop {
            // A stream's window must not reach back into the member before it.
            let window = self.buffer.get_mut(start..).unwrap_or_default();
            let at = self.length.saturating_sub(start);
            let (status, read, written) = decompress(&mut self.state, input, window, at, flags);
            input = input.get(read..).unwrap_or_default();
            self.length = self.length.saturating_add(written);
            if self.length > self.limit {
                return Err(Undecoded::TooLarge);
            }
            match status {
                TINFLStatus::Done => return Ok(input),
                TINFLStatus::HasMoreOutput => self.grow(),
                _ => return Err(Undecoded::Broken),
            }
        }
    }

    /// One byte more than the limit tells a body of just that size from a larger one.
    fn grow(&mut self) {
        let size = self.buffer.len().saturating_mul(2).max(FIRST_BUFFER);
        self.buffer
            .resize(size.min(self.limit.saturating_add(1)), 0);
    }

    fn since(&self, from: usize) -> &[u8] {
        self.buffer.get(from..self.length).unwrap_or_default()
    }

    fn finish(mut self) -> Vec<u8> {
        self.buffer.truncate(self.length);
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::{Undecoded, codings, decoded};
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    const LIMIT: usize = 100_000;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(body: &[u8], names: &str, limit: usize) -> Result<Vec<u8>, Undecoded> {
        let headers = [("Content-Encoding".to_owned(), names.into())];
        decoded(body, &codings(&headers), limit).map(|plain| plain.into_owned())
    }

    #[test]
    fn codings_are_removed_from_the_last_to_the_first() {
        let twice = gzip(&zlib(b"hello"));
        assert_eq!(
            decode(&twice, "Deflate, identity, X-GZip", LIMIT).unwrap(),
            b"hello"
        );
        assert_eq!(
            decode(&twice, "gzip, deflate", LIMIT),
            Err(Undecoded::Broken)
        );
    }

    #[test]
    fn members_follow_each_other_and_zeros_may_pad_them() {
        let mut file = [gzip(b"hel"), gzip(b""), gzip(b"lo")].concat();
        file.extend([0; 100]);
        assert_eq!(decode(&file, "gzip", LIMIT).unwrap(), b"hello");
        file.push(1);
        assert_eq!(decode(&file, "gzip", LIMIT), Err(Undecoded::Broken));
    }

    #[test]
    fn all_optional_parts_of_a_gzip_header_are_skipped() {
        let plain = gzip(b"hello");
        let mut file = plain[..10].to_vec();
        file[3] = 2 | 4 | 8 | 16;
        file.extend(b"\x03\x00abcname\0comment\0\xff\xff");
        file.extend(&plain[10..]);
        assert_eq!(decode(&file, "gzip", LIMIT).unwrap(), b"hello");
        file[3] |= 32;
        assert_eq!(decode(&file, "gzip", LIMIT), Err(Undecoded::Broken));
    }

    #[test]
    fn every_cut_off_body_is_broken() {
        for (file, name) in [(gzip(b"hello"), "gzip"), (zlib(b"hello"), "deflate")] {
            for end in 1..file.len() {
                assert_eq!(decode(&file[..end], name, LIMIT), Err(Undecoded::Broken));
            }
        }
    }

    #[test]
    fn a_wrong_checksum_or_length_is_broken() {
        let whole = gzip(b"hello");
        for back in 1..=8 {
            let mut file = whole.clone();
            let at = file.len() - back;
            file[at] ^= 1;
            assert_eq!(decode(&file, "gzip", LIMIT), Err(Undecoded::Broken));
        }
    }

    #[test]
    fn an_empty_body_is_empty_under_any_coding() {
        assert_eq!(decode(b"", "br", LIMIT).unwrap(), b"");
        assert_eq!(decode(b"x", "br", LIMIT), Err(Undecoded::Broken));
    }

    #[test]
    fn the_bound_is_on_the_decoded_size_of_all_members_together() {
        let zeros = vec![0; 50_000];
        let file = [gzip(&zeros), gzip(&zeros)].concat();
        assert_eq!(decode(&file, "gzip", 100_000).unwrap().len(), 100_000);
        assert_eq!(decode(&file, "gzip", 99_999), Err(Undecoded::TooLarge));
        assert_eq!(
            decode(&gzip(&file), "gzip, gzip", 99_999),
            Err(Undecoded::TooLarge)
        );
    }

    proptest! {
        #[test]
        fn what_is_coded_comes_back(plain in proptest::collection::vec(0_u8..4, 0..20_000)) {
            prop_assert_eq!(&decode(&gzip(&plain), "gzip", LIMIT).unwrap(), &plain);
            prop_assert_eq!(&decode(&zlib(&plain), "deflate", LIMIT).unwrap(), &plain);
        }

        #[test]
        fn damaged_bytes_are_no_harm(
            at in 0_usize..10_000, with: u8, plain in proptest::collection::vec(0_u8..4, 0..5_000)
        ) {
            let mut file = gzip(&plain);
            let at = at % file.len();
            file[at] = with;
            if let Ok(found) = decode(&file, "gzip", LIMIT) {
                prop_assert_eq!(found, plain);
            }
        }
    }
}
