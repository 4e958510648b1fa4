//! Which of the workers watches: one at a time, told by a value in shared data.
//!
//! Watching is reading all counts, setting gauges and judging. More than one watcher does no harm
//! to counts, but gauges would jump between them. Whoever finds the value absent, foreign or not
//! renewed for [`TERM_MS`] takes it, by a compare-and-swap, so that one wins; and holds it by
//! renewing it every second. A worker that dies is so replaced within that term and a second. A
//! newer policy takes it from an older one at once: the roots of the old one live on until their
//! last request ends, and should not judge by it meanwhile.

use crate::assign::ramp::Millis;

/// How long a holder may be silent. Ticks were seen to come within some milliseconds of their time;
/// a worker that is busy for three seconds is as good as dead to its callers.
pub const TERM_MS: u64 = 3_000;

/// Whose bytes these are, and of which form.
const MAGIC: &[u8; 4] = b"SRL1";

/// The key; `name` is the policy's.
pub fn key(name: &str) -> String {
    format!("{name}.lease")
}

/// Who wants to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// A random number that tells it from others.
    pub id: u64,
    /// The version of its policy.
    pub policy: u32,
    /// Since when that policy has been in force in the process.
    pub configured: Millis,
}

/// What `candidate` is to write to hold the lease, where `value` stands now; nothing if another
/// holds it.
pub fn claim(value: Option<&[u8]>, candidate: &Candidate, now: Millis) -> Option<Vec<u8>> {
    let held = value.and_then(read);
    let free = match held {
        None => true,
        Some((holder, renewed)) => {
            let newer =
                holder.policy != candidate.policy && holder.configured < candidate.configured;
            let silent = now.0.abs_diff(renewed.0) > TERM_MS;
            holder.id == candidate.id || newer || silent
        }
    };
    free.then(|| write(candidate, now))
}

fn write(holder: &Candidate, renewed: Millis) -> Vec<u8> {
    let mut value = MAGIC.to_vec();
    value.extend_from_slice(&holder.id.to_le_bytes());
    value.extend_from_slice(&holder.policy.to_le_bytes());
    value.extend_from_slice(&holder.configured.0.to_le_bytes());
    value.extend_from_slice(&renewed.0.to_le_bytes());
    value
}

fn read(value: &[u8]) -> Option<(Candidate, Millis)> {
    let (magic, rest) = value.split_first_chunk::<4>()?;
    let (id, rest) = rest.split_first_chunk::<8>()?;
    let (policy, rest) = rest.split_first_chunk::<4>()?;
    let (configured, rest) = rest.split_first_chunk::<8>()?;
    let (renewed, rest) = rest.split_first_chunk::<8>()?;
    let holder = Candidate {
        id: u64::from_le_bytes(*id),
        policy: u32::from_le_bytes(*policy),
        configured: Millis(i64::from_le_bytes(*configured)),
    };
    let whole = magic == MAGIC && rest.is_empty();
    whole.then_some((holder, Millis(i64::from_le_bytes(*renewed))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u64, policy: u32, configured: i64) -> Candidate {
        Candidate {
            id,
            policy,
            configured: Millis(configured),
        }
    }

    #[test]
    fn one_holds_it_as_long_as_it_renews_it() {
        let (first, second) = (candidate(1, 7, 0), candidate(2, 7, 5));
        let mut value = claim(None, &first, Millis(0)).unwrap();
        for second_of_time in 1..10 {
            let now = Millis(second_of_time * 1_000);
            assert_eq!(claim(Some(&value), &second, now), None);
            value = claim(Some(&value), &first, now).unwrap();
        }
    }

    #[test]
    fn a_silent_holder_is_replaced() {
        let (first, second) = (candidate(1, 7, 0), candidate(2, 7, 0));
        let value = claim(None, &first, Millis(10_000)).unwrap();
        assert_eq!(claim(Some(&value), &second, Millis(13_000)), None);
        assert!(claim(Some(&value), &second, Millis(13_001)).is_some());
        // A clock that was set back makes any time of renewal a wrong one.
        assert!(claim(Some(&value), &second, Millis(6_000)).is_some());
    }

    #[test]
    fn a_newer_policy_takes_it_and_an_older_one_never_does() {
        let (old, new) = (candidate(1, 7, 0), candidate(2, 8, 1_000));
        let value = claim(None, &old, Millis(1_000)).unwrap();
        let value = claim(Some(&value), &new, Millis(1_100)).unwrap();
        assert_eq!(claim(Some(&value), &old, Millis(1_200)), None);
    }

    #[test]
    fn foreign_bytes_are_no_lease() {
        let me = candidate(1, 7, 0);
        let mut value = claim(None, &candidate(2, 7, 0), Millis(0)).unwrap();
        value.push(0);
        assert!(claim(Some(&value), &me, Millis(0)).is_some());
        for length in 0..value.len() - 1 {
            assert!(claim(value.get(..length), &me, Millis(0)).is_some());
        }
    }
}
