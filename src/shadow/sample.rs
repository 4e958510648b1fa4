//! Whether a request is copied, and if not, why not.
//!
//! The draw comes first: it is the cheapest question, and it makes the other reasons tell what
//! became of the requests that were wanted. It uses random bits that are handed in, not a hash of
//! the request: a caller who could choose the hashed bytes could choose to be in every sample.
//!
//! Whether a request is a shadow itself must be asked of the request as it came, before the
//! filter's own headers are removed from it; else a shadow that passes a second proxy with the same
//! policy would be copied again, and so on.

use super::settings::Settings;
use crate::request::Request;

/// Marks a shadow request.
pub const SHADOW_HEADER: &str = "x-serinus-shadow";

/// Headers by which a caller shows who it is. Without `forwardCredentials` a request that has one is
/// not copied: its copy would be answered with 401, which tells nothing. Credentials in a query are
/// not seen.
pub const CREDENTIALS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
];

/// Headers that ask for an answer that depends on what the caller has from stable. The validators
/// of two versions differ (no comparison looks at `etag` for that reason), so one would say 304 and
/// the other 200.
const CONDITIONAL: [&str; 5] = [
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
];

/// Why a request that got stable was not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skipped {
    /// It was not drawn.
    Share,
    /// It is a shadow itself.
    Shadow,
    /// It asks for another protocol: such a call is never answered, nor ended, by the proxy.
    Upgrade,
    /// Its method is not named by the policy.
    Method,
    /// The policy's conditions do not hold.
    When,
    /// It carries credentials that may not be forwarded.
    Credentials,
    /// Its answer depends on what the caller has from stable.
    Conditional,
    /// It has no method, path or host, or bytes in its headers that can't be sent on.
    Malformed,
    /// Its body is longer than the policy's `maxBodyBytes`, or did not come to its end.
    Body,
    /// As many copies as may be are under way.
    InFlight,
    /// As many copies as may be were sent this second.
    Rate,
    /// As many bytes as may be are held.
    Bytes,
    /// The other version, or stable's extra calls, failed lately.
    BackOff,
}

impl Skipped {
    /// All reasons, in the order in which they are documented and kept: new ones go to the end.
    pub const ALL: [Self; 13] = [
        Self::Share,
        Self::Shadow,
        Self::Upgrade,
        Self::Method,
        Self::When,
        Self::Credentials,
        Self::Conditional,
        Self::Malformed,
        Self::Body,
        Self::InFlight,
        Self::Rate,
        Self::Bytes,
        Self::BackOff,
    ];

    /// The word for it in metrics, logs and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Shadow => "shadow",
            Self::Upgrade => "upgrade",
            Self::Method => "method",
            Self::When => "when",
            Self::Credentials => "credentials",
            Self::Conditional => "conditional",
            Self::Malformed => "malformed",
            Self::Body => "body",
            Self::InFlight => "in-flight",
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::BackOff => "back-off",
        }
    }
}

/// Whether `request`, which got stable, is to be copied, budgets aside. `draw` is 64 random bits;
/// `when` says whether the policy's conditions hold, and is asked only of requests that were drawn.
///
/// # Errors
/// Why not.
pub fn sample(
    settings: &Settings,
    request: &Request<'_>,
    when: impl FnOnce() -> bool,
    draw: u64,
) -> Result<(), Skipped> {
    let has = |name: &&str| request.header(name).next().is_some();
    let method = request.method();
    let refused = if !chance(draw, settings.share_ppm) {
        Skipped::Share
    } else if has(&SHADOW_HEADER) {
        Skipped::Shadow
    } else if is_upgrade(request) {
        Skipped::Upgrade
    } else if !settings.methods.iter().any(|of| of.as_bytes() == method) {
        Skipped::Method
    } else if !when() {
        Skipped::When
    } else if !settings.forward_credentials && CREDENTIALS.iter().any(has) {
        Skipped::Credentials
    } else if settings.comparing.is_some() && CONDITIONAL.iter().any(has) {
        Skipped::Conditional
    } else {
        return Ok(());
    };
    Err(refused)
}

/// Whether the 64 random bits of `draw` fall into a share of `ppm` parts per million.
pub fn chance(draw: u64, ppm: u32) -> bool {
    // The upper half of the product is below 10^6, and uniform to one in 2^44.
    let part = u128::from(draw).wrapping_mul(1_000_000) >> 64;
    part < u128::from(ppm)
}

fn is_upgrade(request: &Request<'_>) -> bool {
    let has = |name: &str| request.header(name).next().is_some();
    request.method() == b"CONNECT" || has("upgrade") || has(":protocol")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{settings, with_request};
    use super::*;
    use proptest::prelude::*;

    fn asked(settings: &Settings, method: &str, headers: &[(&str, &str)]) -> Result<(), Skipped> {
        with_request(method, "/", headers, |request| {
            sample(settings, request, || true, 0)
        })
    }

    #[test]
    fn each_reason_not_to_copy_is_told_apart() {
        let settings = settings();
        for (method, header, expected) in [
            ("GET", ("x", "1"), Ok(())),
            ("HEAD", ("x", "1"), Ok(())),
            ("POST", ("x", "1"), Err(Skipped::Method)),
            ("get", ("x", "1"), Err(Skipped::Method)),
            ("GET", ("X-Serinus-Shadow", "0"), Err(Skipped::Shadow)),
            ("GET", ("upgrade", "websocket"), Err(Skipped::Upgrade)),
            ("GET", (":protocol", "websocket"), Err(Skipped::Upgrade)),
            ("CONNECT", ("x", "1"), Err(Skipped::Upgrade)),
            ("GET", ("If-None-Match", "x"), Err(Skipped::Conditional)),
        ] {
            assert_eq!(
                asked(&settings, method, &[header]),
                expected,
                "{method} {header:?}"
            );
        }
        for name in CREDENTIALS {
            assert_eq!(
                asked(&settings, "GET", &[(name, "")]),
                Err(Skipped::Credentials),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_allowed_is_copied() {
        let mut settings = settings();
        settings.forward_credentials = true;
        assert_eq!(asked(&settings, "GET", &[("cookie", "a=b")]), Ok(()));
        settings.comparing = None;
        assert_eq!(asked(&settings, "GET", &[("if-match", "a")]), Ok(()));
    }

    #[test]
    fn conditions_are_asked_only_of_what_was_drawn() {
        let mut settings = settings();
        with_request("GET", "/", &[], |request| {
            let told = sample(&settings, request, || false, 0);
            assert_eq!(told, Err(Skipped::When));
            settings.share_ppm = 10_000;
            let never = || panic!("asked");
            assert_eq!(
                sample(&settings, request, never, u64::MAX),
                Err(Skipped::Share)
            );
        });
    }

    #[test]
    fn a_share_of_nothing_takes_nothing_and_of_all_takes_all() {
        for draw in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!chance(draw, 0));
            assert!(chance(draw, 1_000_000));
        }
    }

    #[test]
    fn words_are_unique() {
        let words: std::collections::BTreeSet<_> =
            Skipped::ALL.iter().map(|of| of.word()).collect();
        assert_eq!(words.len(), Skipped::ALL.len());
    }

    proptest! {
        #[test]
        fn a_draw_below_the_share_is_taken_and_one_above_is_not(ppm in 0..=1_000_000_u32, draw: u64) {
            let place = draw as f64 / 2_f64.powi(64) * 1e6;
            prop_assume!((place - f64::from(ppm)).abs() > 1e-6);
            prop_assert_eq!(chance(draw, ppm), place < f64::from(ppm));
        }
    }
}
