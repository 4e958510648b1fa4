//! As much of HTTP/1.1 as both sides need: heads that end with an empty line, and bodies of a
//! stated length.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

/// The length of the head at the start of `bytes`, its empty line included, once it is whole.
pub fn head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    end.map(|end| end + 4)
}

/// The value of a header of `head`; `name` in lower case.
pub fn header<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    let lines = head.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The length of the body behind `head`; 0 if it states none.
pub fn body(head: &[u8]) -> usize {
    header(head, "content-length").map_or(0, |length| length.parse().unwrap_or(0))
}

/// Reads all that is there behind what `into` has; whether the other side is still there.
pub fn read(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 16_384];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(size) => into.extend_from_slice(&chunk[..size]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes as much of `from` as the other side takes, and forgets it.
pub fn write(stream: &mut TcpStream, from: &mut Vec<u8>) -> io::Result<()> {
    while !from.is_empty() {
        match stream.write(from) {
            Ok(size) => drop(from.drain(..size)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
