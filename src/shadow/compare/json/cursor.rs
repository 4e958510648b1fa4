//! The tokens of RFC 8259: a place in a text, and what can be read from there.

use super::Refused;

/// A place in a text.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte here; `None` at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    /// Skips white space.
    pub(super) fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.skip(1);
        }
    }

    /// Skips `token`, which must stand here.
    pub(super) fn expect(&mut self, token: &str) -> Result<(), Refused> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(token) {
            return Err(Refused::NotJson);
        }
        self.skip(token.len());
        Ok(())
    }

    /// Reads the string whose opening quote is here. Its text is borrowed where nothing in it is
    /// escaped, and otherwise written to `scratch`.
    pub(super) fn string<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, Refused>
    where
        'a: 's,
    {
        self.skip(1);
        let plain = self.plain()?;
        if self.ends_string() {
            return Ok(plain);
        }
        scratch.clear();
        scratch.push_str(plain);
        loop {
            scratch.push(self.escape()?);
            scratch.push_str(self.plain()?);
            if self.ends_string() {
                return Ok(scratch);
            }
        }
    }

    /// Skips the quote or the backslash that is here; says whether it was the quote.
    fn ends_string(&mut self) -> bool {
        let quote = self.peek() == Some(b'"');
        self.skip(1);
        quote
    }

    /// The text up to the next quote or backslash, which must come before any control character.
    fn plain(&mut self) -> Result<&'a str, Refused> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let special = |byte: u8| byte == b'"' || byte == b'\\' || byte < b' ';
        let end = rest.bytes().position(special).ok_or(Refused::NotJson)?;
        if rest.as_bytes().get(end).is_some_and(|&byte| byte < b' ') {
            return Err(Refused::NotJson);
        }
        self.skip(end);
        rest.get(..end).ok_or(Refused::NotJson)
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<char, Refused> {
        let kind = self.peek();
        self.skip(1);
        Ok(match kind {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(Refused::NotJson),
        })
    }

    /// What stands after `\u`: a character, or the first of two surrogates and `\u` and the other.
    fn unicode(&mut self) -> Result<char, Refused> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            // A low surrogate alone is no char either.
            return char::from_u32(u32::from(first)).ok_or(Refused::NotJson);
        }
        self.expect("\\u")?;
        let mut pair = char::decode_utf16([first, self.unit()?]);
        pair.next().and_then(Result::ok).ok_or(Refused::NotJson)
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u16, Refused> {
        let end = self.at.saturating_add(4);
        let digits = self.text.get(self.at..end).ok_or(Refused::NotJson)?;
        self.at = end;
        // `from_str_radix` would also take a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Refused::NotJson);
        }
        u16::from_str_radix(digits, 16).map_err(|_| Refused::NotJson)
    }

    /// Reads the number that begins here, as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, Refused> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.skip(1);
        }
        if self.peek() == Some(b'0') {
            self.skip(1);
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.skip(1);
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.skip(1);
            if let Some(b'+' | b'-') = self.peek() {
                self.skip(1);
            }
            self.digits()?;
        }
        self.text.get(start..self.at).ok_or(Refused::NotJson)
    }

    /// Skips digits, of which there must be one.
    fn digits(&mut self) -> Result<(), Refused> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(Refused::NotJson);
        }
        self.skip(digits);
        Ok(())
    }
}
