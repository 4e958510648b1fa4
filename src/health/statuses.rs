//! Which statuses are errors: of HTTP, and of gRPC.

/// An HTTP status, 100 to 599.
///
/// Others can't be told from nonsense; RFC 9110, section 15, has them treated as a 5xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status(u16);

impl Status {
    const LEAST: u16 = 100;
    const MOST: u16 = 599;

    /// The status; what is outside 100 to 599 becomes 500.
    pub const fn of(code: u64) -> Self {
        if code < Self::LEAST as u64 || code > Self::MOST as u64 {
            return Self(500);
        }
        Self(code as u16)
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A set of statuses: one bit each, so that a test costs no walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    /// The statuses inside `ranges`, both ends included; those outside 100 to 599 are left out.
    pub fn of(ranges: &[(u16, u16)]) -> Self {
        let mut set = Self([0; 8]);
        for (low, high) in ranges {
            for code in *low.max(&Status::LEAST)..=*high.min(&Status::MOST) {
                let (word, bit) = place(Status(code));
                if let Some(word) = set.0.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        set
    }

    /// Whether `status` is inside.
    pub fn has(&self, status: Status) -> bool {
        let (word, bit) = place(status);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Default for StatusSet {
    /// `5xx`: what else is the caller's doing is the policy's to say.
    fn default() -> Self {
        Self::of(&[(500, 599)])
    }
}

fn place(status: Status) -> (usize, u64) {
    let index = usize::from(status.0.saturating_sub(Status::LEAST));
    (index / 64, 1_u64.wrapping_shl((index % 64) as u32))
}

/// A set of gRPC's statuses, 0 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcSet(u32);

/// A gRPC status as the answer carries it; anything may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcStatus(pub u32);

impl GrpcStatus {
    /// What a client makes of an answer without a status, and of one it does not know:
    /// UNKNOWN, as gRPC's http-grpc-status-mapping has it.
    pub const UNKNOWN: Self = Self(2);
    const MOST: u32 = 16;

    /// Reads the value of `grpc-status`; what is no number is [`Self::UNKNOWN`].
    pub fn read(value: &[u8]) -> Self {
        let text = std::str::from_utf8(value).ok();
        let number = text.and_then(|text| text.trim().parse().ok());
        number.map_or(Self::UNKNOWN, Self)
    }
}

impl GrpcSet {
    /// These statuses; those above 16 are left out.
    pub fn of(statuses: &[u32]) -> Self {
        let known = statuses
            .iter()
            .filter(|status| **status <= GrpcStatus::MOST);
        Self(known.fold(0, |set, status| set | 1_u32.wrapping_shl(*status)))
    }

    /// Whether `status` is inside; one that gRPC does not know is as UNKNOWN.
    pub fn has(self, status: GrpcStatus) -> bool {
        let known = status.0 <= GrpcStatus::MOST;
        let status = if known { status } else { GrpcStatus::UNKNOWN };
        self.0 & 1_u32.wrapping_shl(status.0) != 0
    }
}

impl Default for GrpcSet {
    /// UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE and DATA_LOSS: those
    /// that a server gives when it fails and not when it was asked wrongly.
    fn default() -> Self {
        Self::of(&[2, 4, 8, 13, 14, 15])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_its_ranges_with_both_ends() {
        let set = StatusSet::of(&[(500, 599), (429, 429), (0, 100), (599, 65535)]);
        for code in 0..=700 {
            let wanted = (500..=599).contains(&code) || code == 429 || code == 100;
            // Outside, a status is as 500, which is in the set.
            let wanted = wanted || !(100..=599).contains(&code);
            assert_eq!(set.has(Status::of(code)), wanted, "{code}");
        }
        assert!(!StatusSet::of(&[(404, 404)]).has(Status::of(9999)));
        assert!(
            !StatusSet::of(&[(599, 500)]).has(Status::of(550)),
            "upside down is empty"
        );
    }

    #[test]
    fn a_grpc_status_that_is_not_known_is_as_unknown() {
        let set = GrpcSet::default();
        for (value, error) in [
            (&b"0"[..], false),
            (b"1", false),
            (b"2", true),
            (b" 14 ", true),
            (b"16", false),
            (b"17", true),
            (b"99999999999", true),
            (b"-1", true),
            (b"", true),
            (b"\xff", true),
        ] {
            assert_eq!(set.has(GrpcStatus::read(value)), error, "{value:?}");
        }
        assert!(!GrpcSet::of(&[13, 40]).has(GrpcStatus(40)));
    }
}
