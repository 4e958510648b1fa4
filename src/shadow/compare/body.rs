//! The bodies: whether they are compared, in what form, and as what.

use super::coding::{Undecoded, codings, decoded};
use super::json::{Refused, Value, ValueId, Values, parse, parse_lines};
use super::media::{Class, media_type};
use super::walk::Walk;
use super::{Bodies, Comparison, Difference, Kind, Limits, Response, Sample, Settings, show};
use std::borrow::Cow;

/// Compares the bodies of two answers of one status, and adds what differs to `found`.
pub(super) fn compare(
    method: &str,
    left: &Response<'_>,
    right: &Response<'_>,
    settings: &Settings,
    found: &mut Comparison,
) -> Bodies {
    if method == "HEAD" || matches!(left.status, 100..=199 | 204 | 205 | 304) {
        return Bodies::None;
    }
    if settings.ignore.whole_body() {
        return Bodies::Ignored;
    }
    let (Some(left_raw), Some(right_raw)) = (left.body, right.body) else {
        return Bodies::NotCaptured;
    };
    let (left_codings, right_codings) = (codings(left.headers), codings(right.headers));
    found.cost(left_raw.len().min(right_raw.len()));
    if left_raw == right_raw && left_codings == right_codings {
        return Bodies::Compared;
    }
    let limit = settings.limits.decoded_bytes;
    let left_plain = decoded(left_raw, &left_codings, limit);
    let right_plain = decoded(right_raw, &right_codings, limit);
    let (left_plain, right_plain) = match (left_plain, right_plain) {
        (Err(Undecoded::TooLarge), _) | (_, Err(Undecoded::TooLarge)) => return Bodies::TooLarge,
        (Ok(left), Ok(right)) => (left, right),
        // Both undecodable: nothing is left but the bytes as they came.
        (Err(_), Err(_)) if left_raw == right_raw => return Bodies::Compared,
        _ => {
            found.add(String::new(), Kind::Body, None);
            return Bodies::Compared;
        }
    };
    found.cost(left_plain.len().saturating_add(right_plain.len()));
    if left_plain == right_plain {
        return Bodies::Compared;
    }
    let classes = (media_type(left.headers), media_type(right.headers));
    let plan = match (
        classes.0.map(|of| of.class()),
        classes.1.map(|of| of.class()),
    ) {
        (None, None) => Plan::Guess,
        (Some(class), None) | (None, Some(class)) => Plan::of(class),
        (Some(left), Some(right)) if left == right => Plan::of(left),
        _ => Plan::Bytes,
    };
    plan.run((left_plain, right_plain), settings, found)
}

/// How two unequal bodies are compared.
enum Plan {
    Bytes,
    Json,
    JsonLines,
    /// No content-type on either side: as JSON if both are an object or an array.
    Guess,
}

impl Plan {
    fn of(class: Class) -> Self {
        match class {
            Class::Json => Self::Json,
            Class::JsonLines => Self::JsonLines,
            Class::Opaque => Self::Bytes,
        }
    }

    fn run(
        self,
        (left, right): (Cow<'_, [u8]>, Cow<'_, [u8]>),
        settings: &Settings,
        found: &mut Comparison,
    ) -> Bodies {
        let limits = settings.limits;
        if !matches!(self, Self::Bytes) {
            if left.len().max(right.len()) > limits.decoded_bytes {
                return Bodies::TooLarge;
            }
            let mut values = Values::new(settings.hash_seed);
            let read = match self {
                Self::JsonLines => parse_lines,
                _ => parse,
            };
            let mut read = |text| read(text, &settings.ignore, &mut values, limits.values);
            let roots = read(&left).and_then(|left| Ok((left, read(&right)?)));
            found.steps = found.steps.saturating_add(values.asked());
            match roots {
                Err(Refused::TooLarge) => return Bodies::TooLarge,
                Ok(roots) if self.takes(roots, &values) => {
                    let walk = Walk::new(roots.0, roots.1, &values);
                    collect(&walk, &values, limits, found);
                    return Bodies::Compared;
                }
                Ok(_) | Err(Refused::NotJson) => {}
            }
        }
        found.add(String::new(), Kind::Body, None);
        Bodies::Compared
    }

    fn takes(&self, roots: (ValueId, ValueId), values: &Values) -> bool {
        let is_container = |root| matches!(values.get(root), Value::Array(_) | Value::Object(_));
        !matches!(self, Self::Guess) || (is_container(roots.0) && is_container(roots.1))
    }
}

/// Names what the walk found, in its order, as long as the paths' text fits.
fn collect(walk: &Walk, values: &Values, limits: Limits, found: &mut Comparison) {
    found.steps = found.steps.saturating_add(walk.steps);
    let mut left = limits.path_bytes;
    for (&(path, kind), place) in &walk.found {
        let Some(rest) = left.checked_sub(walk.paths.bytes(path)) else {
            found.unnamed = found.unnamed.saturating_add(1);
            continue;
        };
        left = rest;
        let shown = |value: ValueId| show::shown(value, values, limits.sample_bytes);
        let sample = (limits.sample_bytes > 0).then(|| Sample {
            left: place.left.map(shown),
            right: place.right.map(shown),
        });
        let path = walk.paths.text(path, values);
        found.differences.push(Difference {
            path,
            kind,
            count: place.count,
            sample,
        });
    }
}
