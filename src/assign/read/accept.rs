//! The `Accept` header: which of some media types a caller likes best.
//!
//! As RFC 9110, part 12.5.1, has it: the most specific range that a type falls into gives its
//! weight. Parameters of a range other than `q` are passed over, for what is offered has none to
//! tell apart. An element that is malformed is absent.

use super::{pair, trimmed};
use crate::request::Request;

/// Which of the media types `offered` (in lower case, without parameters) the request likes best,
/// the earlier of two that it likes as well; the first if it likes none, or does not say.
pub fn best<'o>(request: &Request<'_>, offered: impl Iterator<Item = &'o str>) -> usize {
    let mut best = (0, 0.0);
    for (place, media_type) in offered.enumerate() {
        let weight = weight(request, media_type.as_bytes());
        if weight > best.1 {
            best = (place, weight);
        }
    }
    best.0
}

/// How much the request likes `media_type`, 0 to 1.
fn weight(request: &Request<'_>, media_type: &[u8]) -> f64 {
    let elements = request
        .header("accept")
        .flat_map(|line| line.split(|byte| *byte == b','));
    let mut found = (0, 0.0);
    for element in elements {
        let mut parts = element.split(|byte| *byte == b';');
        let range = trimmed(parts.next().unwrap_or_default());
        let how = specific(range, media_type);
        if how > found.0
            && let Some(weight) = weight_of(parts)
        {
            found = (how, weight);
        }
    }
    found.1
}

/// How closely `range` names `media_type`; 0 if it does not.
fn specific(range: &[u8], media_type: &[u8]) -> u8 {
    if range.eq_ignore_ascii_case(media_type) {
        return 3;
    }
    match range.strip_suffix(b"*") {
        // Some old clients send a lone `*`.
        Some(b"" | b"*/") => 1,
        Some(start) if start.ends_with(b"/") && begins(media_type, start) => 2,
        _ => 0,
    }
}

fn begins(media_type: &[u8], start: &[u8]) -> bool {
    let same = media_type.get(..start.len());
    same.is_some_and(|same| same.eq_ignore_ascii_case(start))
}

fn weight_of<'p>(mut parameters: impl Iterator<Item = &'p [u8]>) -> Option<f64> {
    let is_weight = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(b"q");
    let Some((_, value)) = parameters.find_map(|part| pair(part).filter(is_weight)) else {
        return Some(1.0);
    };
    let value = std::str::from_utf8(value).ok()?.parse::<f64>().ok()?;
    (0.0..=1.0).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::with_request;
    use proptest::prelude::*;

    const OFFERED: [&str; 3] = ["application/problem+json", "text/html", "text/plain"];

    fn best_for(accept: &str) -> &'static str {
        with_request("POST", "/", &[("accept", accept)], |request| {
            OFFERED[best(request, OFFERED.into_iter())]
        })
    }

    #[test]
    fn the_best_weight_wins_and_the_first_where_nothing_is_liked() {
        let (problem, html, plain) = (OFFERED[0], OFFERED[1], OFFERED[2]);
        for (accept, expected) in [
            ("*/*", problem),
            ("", problem),
            ("image/png", problem),
            ("text/html", html),
            ("TEXT/HTML; charset=utf-8", html),
            ("text/*", html),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                html,
            ),
            ("text/html;q=0.5, text/plain;q=0.7", plain),
            ("text/html;q=0.5 , text/plain ; Q = 0.5", html),
            // The most specific range counts, wherever it stands.
            ("*/*, text/html;q=0, application/problem+json;q=0.1", plain),
            ("text/*;q=0.3, text/plain;q=0.2, */*;q=0.1", html),
            ("text/html;q=0, text/plain;q=0", problem),
            ("text/html, image/gif, *; q=.2, */*; q=.2", html),
            // What is malformed is absent.
            ("text/html;q=2, text/plain;q=0.1", plain),
            ("text/html;q=, text/plain;q=nan, ;;,=", problem),
            ("*/html, text", problem),
        ] {
            assert_eq!(best_for(accept), expected, "{accept}");
        }
    }

    #[test]
    fn several_lines_are_one_list_and_no_line_likes_nothing() {
        let choose = |headers: &[(&str, &str)]| {
            with_request("POST", "/", headers, |request| {
                best(request, OFFERED.into_iter())
            })
        };
        assert_eq!(choose(&[]), 0);
        assert_eq!(
            choose(&[("accept", "image/png"), ("Accept", "text/html")]),
            1
        );
    }

    proptest! {
        #[test]
        fn any_bytes_choose_what_is_offered(accept: Vec<u8>) {
            let lines: [(&[u8], &[u8]); 1] = [(b"accept", &accept)];
            let request = Request::new(&lines, &|| None);
            prop_assert!(best(&request, OFFERED.into_iter()) < OFFERED.len());
        }
    }
}
