//! Header maps: ordered, duplicates kept, values are any bytes; and their wire form.

/// A header map. Names are kept in lower case, as Envoy does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// Number of entries; a duplicate counts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name and value of each entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The first value of a name, as Envoy answers a call for one value.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = lower(name.as_ref());
        self.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// The first value of a name as text; none if it is absent.
    ///
    /// # Panics
    /// If the value is not UTF-8: ask [`Headers::get`] for such values.
    pub fn text(&self, name: impl AsRef<[u8]>) -> Option<&str> {
        self.get(name)
            .map(|value| std::str::from_utf8(value).expect("a header value in UTF-8"))
    }

    /// Every value of a name, in order.
    pub fn all(&self, name: impl AsRef<[u8]>) -> Vec<&[u8]> {
        let name = lower(name.as_ref());
        self.iter()
            .filter(|(n, _)| *n == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// The names that start with a prefix, in order, as text.
    pub fn names_with_prefix(&self, prefix: &str) -> Vec<String> {
        self.iter()
            .filter(|(name, _)| name.starts_with(prefix.as_bytes()))
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    /// Adds an entry beside any of the same name; pseudo-headers stay in front.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let entry = (lower(name.as_ref()), value.as_ref().to_vec());
        if entry.0.starts_with(b":") {
            let end = self
                .0
                .iter()
                .take_while(|(name, _)| name.starts_with(b":"))
                .count();
            self.0.insert(end, entry);
        } else {
            self.0.push(entry);
        }
    }

    /// Puts one value in place of all values of a name.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.remove(&name);
        self.add(name, value);
    }

    /// Removes all values of a name; an absent name is no error.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = lower(name.as_ref());
        self.0.retain(|(n, _)| *n != name);
    }

    /// The wire form: the number of pairs, the length of each name and value, then each name and
    /// value with a NUL behind it. An empty map is no bytes at all: Envoy hands over NULL for it.
    pub fn encode(&self) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut wire = length(&self.0).to_vec();
        for (name, value) in &self.0 {
            wire.extend(length(name));
            wire.extend(length(value));
        }
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            wire.extend(text);
            wire.push(0);
        }
        wire
    }

    /// Reads what a filter hands over; none if it is not exactly one map.
    pub fn decode(wire: &[u8]) -> Option<Self> {
        if wire.is_empty() {
            return Some(Self::default());
        }
        let (count, mut rest) = take_number(wire)?;
        let mut lengths = Vec::new();
        for _ in 0..count.checked_mul(2)? {
            let (length, after) = take_number(rest)?;
            lengths.push(length);
            rest = after;
        }
        let mut headers = Self::default();
        for pair in lengths.chunks_exact(2) {
            let (name, after) = take_text(rest, pair[0])?;
            let (value, after) = take_text(after, pair[1])?;
            headers.add(name, value);
            rest = after;
        }
        rest.is_empty().then_some(headers)
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.add(name, value);
        }
        headers
    }
}

fn lower(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase()
}

fn length<T>(of: &[T]) -> [u8; 4] {
    u32::try_from(of.len())
        .expect("a header below 4 GB")
        .to_le_bytes()
}

fn take_number(wire: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = wire.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

fn take_text(wire: &[u8], length: u32) -> Option<(&[u8], &[u8])> {
    let (text, rest) = wire.split_at_checked(length as usize)?;
    Some((text, rest.strip_prefix(&[0])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        [
            (":path", &b"/a"[..]),
            ("X-Raw", &[0xff, 0, 7]),
            ("x-raw", b"two"),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn duplicates_and_raw_bytes_survive_the_wire() {
        assert_eq!(Headers::decode(&sample().encode()), Some(sample()));
        assert_eq!(sample().all("x-raw"), [&[0xff, 0, 7][..], b"two"]);
    }

    #[test]
    fn the_wire_form_is_the_one_of_the_abi() {
        let one: Headers = [("c", "d")].into_iter().collect();
        assert_eq!(
            one.encode(),
            [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, b'c', 0, b'd', 0]
        );
    }

    #[test]
    fn every_cut_of_the_wire_form_is_refused() {
        let wire = sample().encode();
        for end in 1..wire.len() {
            assert_eq!(Headers::decode(&wire[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn setting_replaces_all_values_and_a_pseudo_header_stays_in_front() {
        let mut headers = sample();
        headers.set("X-RAW", "one");
        headers.set(":path", "/b");
        assert_eq!(headers.all("x-raw"), [b"one"]);
        assert_eq!(headers.iter().next(), Some((&b":path"[..], &b"/b"[..])));
    }
}
