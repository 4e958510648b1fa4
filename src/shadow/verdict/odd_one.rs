//! The odd one out: of three answers to one request, is it the candidate's that differs?
//!
//! When a raw pair differs, stable is asked once more. If the candidate is as good as stable, the
//! three answers are exchangeable, so that where two agree and one does not, the odd one is the
//! candidate's or the first stable answer's with equal probability, *whatever the rate of noise*:
//! a fair coin, and a difference that a regression makes falls on one side of it. It needs only a
//! dozen events where the labels alone need hundreds. A call whose answer agrees with neither is
//! not counted.
//!
//! A member that is missing mirrors one that is extra: if the candidate alone lacks it, that is
//! `missing` with the candidate the odd one; if stable alone lacks it, the pair shows `extra`, and
//! it is *this* event that balances the first (the two that share the kind `missing`, candidate
//! alone without and stable alone with, have different probabilities as soon as the member is
//! there more often than not). So stable's odd ones count for the mirrored kind, and whether a
//! member's path is open is asked for both kinds together.
//!
//! A path is closed when further calls would not pay: noise that never agrees (request ids), a
//! regression that is plain, or a coin that looks fair.

use super::label::log_mean;

/// Bets on how often the candidate is the odd one: weight, and the probability bet upon.
const BETS: [(f64, f64); 6] = [
    (0.1, 0.6),
    (0.1, 0.7),
    (0.15, 0.8),
    (0.15, 0.9),
    (0.35, 0.97),
    (0.15, 0.999),
];

/// What confirming calls found at one path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Coin {
    /// The candidate's answer was the odd one.
    pub(super) candidate: u64,
    /// Stable's first answer was.
    pub(super) stable: u64,
    /// No two agreed, or none was told apart.
    pub(super) neither: u64,
}

impl Coin {
    /// The logarithm of the evidence: 0 says nothing, above it speaks for a regression.
    pub(super) fn log_evidence(self) -> f64 {
        let (candidate, stable) = (self.candidate as f64, self.stable as f64);
        log_mean(BETS.iter().map(|&(weight, theta)| {
            let log = candidate * (2.0 * theta).ln() + stable * (2.0 - 2.0 * theta).ln();
            (weight, log)
        }))
    }

    /// Whether a further call may tell something. The bounds are those of the study: no agreement
    /// eight times running, thirty more candidates than stable's weight allows, and after 32
    /// tosses no more than 1.5 standard deviations from fair.
    pub(super) fn is_open(self) -> bool {
        let told = self.candidate.saturating_add(self.stable);
        let gap = self.candidate.abs_diff(self.stable) as f64;
        self.neither < told.saturating_mul(2).saturating_add(8)
            && self.candidate < self.stable.saturating_mul(4).saturating_add(30)
            && !(told >= 32 && gap < 1.5 * (told as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::Coin;

    fn coin(candidate: u64, stable: u64, neither: u64) -> Coin {
        Coin {
            candidate,
            stable,
            neither,
        }
    }

    #[test]
    fn its_mean_under_a_fair_coin_is_one() {
        let mean: f64 = (0..=12_u64)
            .map(|k| {
                let choose = (0..k).fold(1.0, |c, i| c * (12 - i) as f64 / (i + 1) as f64);
                choose / 4096.0 * coin(k, 12 - k, 5).log_evidence().exp()
            })
            .sum();
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        assert!(Coin::default().log_evidence().abs() < 1e-9);
    }

    #[test]
    fn a_dozen_odd_candidates_are_plain() {
        assert!(coin(13, 0, 0).log_evidence() > 7.5);
        assert!(coin(13, 13, 0).log_evidence() < 0.0);
        assert!(coin(0, 1_000_000, 0).log_evidence() < -1e3);
    }

    #[test]
    fn a_path_is_closed_when_calls_do_not_pay() {
        assert!(Coin::default().is_open());
        assert!(coin(0, 0, 7).is_open() && !coin(0, 0, 8).is_open());
        assert!(coin(29, 0, 0).is_open() && !coin(30, 0, 0).is_open());
        assert!(!coin(17, 15, 0).is_open() && coin(26, 7, 0).is_open());
    }
}
