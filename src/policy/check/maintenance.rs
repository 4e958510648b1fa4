//! Maintenance: its answers are made here, so that a request only chooses among them.

use super::{condition, rule};
use crate::assign::maintenance::Maintenance;
use crate::assign::route::Variant;
use crate::assign::rule::Respond;
use crate::policy::decode::{Pairs, quoted};
use crate::policy::problem::Problems;
use crate::policy::raw;
use crate::policy::value::{Text, moment, period};
use crate::sorted::sorted_by;
use time::OffsetDateTime;

/// Bodies of one route; there are not more ways in which callers read an answer.
const MOST_BODIES: usize = 8;
/// The longest body: a page with its style in it. Each policy that waits for its last request to end
/// holds its own.
const LONGEST_BODY: usize = 65_536;
const METHODS: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
const STATUS: u16 = 503;
/// UNAVAILABLE, for which gRPC's clients try again.
const UNAVAILABLE: u8 = 14;
/// What a page says if the policy does not.
const PAGE: &str = "<!doctype html><html lang=\"en\"><title>Maintenance</title>\
                    <p>This is under maintenance. Please try again later.</p></html>\n";

/// The maintenance of a route with these variants.
pub fn maintenance(
    raw: &raw::Maintenance,
    variants: &[Variant],
    problems: &mut Problems,
) -> Maintenance {
    let known = rule::all_known(variants, problems);
    problems.at_key("maintenance", |problems| {
        let methods = raw.methods.as_ref().map_or_else(
            || METHODS.map(str::to_owned).to_vec(),
            |methods| methods.iter().map(|method| method.0.clone()).collect(),
        );
        if methods.is_empty() && raw.reads_to.is_none() {
            problems.at_key("methods", |problems| {
                problems.say("nobody would be turned away", "a method, or `readsTo`");
            });
        }
        let status = raw.status.map_or(Ok(STATUS), |status| status.0.try_into());
        let status = status.unwrap_or(STATUS);
        let later = raw.retry_after.as_ref();
        let later = later.and_then(|text| retry_after(text, problems));
        let reads_to = raw.reads_to.as_ref();
        let unless = raw.unless.as_ref();
        Maintenance {
            enabled: raw.enabled.unwrap_or(false),
            methods,
            reads_to: reads_to
                .and_then(|name| rule::side("readsTo", &name.0, variants, known, problems)),
            unless: unless.map_or_else(Vec::new, |unless| {
                condition::conditions("unless", unless, problems)
            }),
            answers: answers(raw.bodies.as_ref(), status, later.as_deref(), problems),
            grpc: Respond {
                status,
                headers: headers(None, later.as_deref()),
                body: "maintenance".to_owned(),
                grpc_status: Some(UNAVAILABLE),
            },
        }
    })
}

fn answers(
    bodies: Option<&Pairs>,
    status: u16,
    later: Option<&str>,
    problems: &mut Problems,
) -> Vec<(String, Respond)> {
    let answer = |content_type: &str, body: &str| {
        let answer = Respond {
            status,
            headers: headers(Some(content_type), later),
            body: body.to_owned(),
            grpc_status: None,
        };
        (media_type(content_type), answer)
    };
    let Some(bodies) = bodies else {
        let problem = format!(
            "{{\"status\":{status},\"detail\":\"This is under maintenance. Please try again later.\"}}\n"
        );
        return vec![
            answer("application/problem+json", &problem),
            answer("text/html; charset=utf-8", PAGE),
        ];
    };
    let answers = problems.at_key("bodies", |problems| {
        super::at_most(MOST_BODIES, bodies.0.len(), problems);
        if bodies.0.is_empty() {
            problems.say("there is none", "a body, or leave it out");
        }
        let mut answers: Vec<(String, Respond)> = Vec::with_capacity(bodies.0.len());
        for (content_type, body) in &bodies.0 {
            problems.at_key(content_type, |problems| fits(content_type, body, problems));
            let answer = answer(content_type, body);
            if answers.iter().any(|(other, _)| *other == answer.0) {
                problems.say(
                    format!("`{}` is there twice", answer.0),
                    "one body for each",
                );
            }
            answers.push(answer);
        }
        answers
    });
    // Nothing hangs on the order in which members are written.
    sorted_by(answers, |(a, _), (b, _)| a.cmp(b))
}

fn media_type(content_type: &str) -> String {
    let name = content_type.split(';').next().unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

fn fits(content_type: &str, body: &str, problems: &mut Problems) {
    let is_token = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(fits)
    };
    let named = media_type(content_type);
    let parts = named.split_once('/');
    let shown = content_type
        .bytes()
        .all(|byte| (b' '..=b'~').contains(&byte));
    if !shown || !parts.is_some_and(|(kind, name)| is_token(kind) && is_token(name)) {
        problems.say(
            format!("{} is not a media type", quoted(content_type)),
            "a type such as text/html or application/problem+json",
        );
    }
    if body.len() > LONGEST_BODY {
        problems.say(
            format!("the body has {} bytes", body.len()),
            format!("at most {LONGEST_BODY}"),
        );
    }
}

/// What an answer says beside its body. It must not be kept by a cache: it is over one day, whatever
/// its status.
fn headers(content_type: Option<&str>, later: Option<&str>) -> Vec<(String, String)> {
    let negotiated = content_type.map(|_| ("vary", "accept"));
    let lines = [
        content_type.map(|value| ("content-type", value)),
        negotiated,
        Some(("cache-control", "no-store")),
        later.map(|value| ("retry-after", value)),
    ];
    let lines = lines.into_iter().flatten();
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The value of `retry-after`: seconds, or a date.
fn retry_after(text: &Text, problems: &mut Problems) -> Option<String> {
    let said = match (period(&text.0), moment(&text.0)) {
        (Ok(millis @ 1_000..), _) => Some(millis.div_ceil(1_000).to_string()),
        (_, Ok(millis)) => http_date(millis),
        _ => None,
    };
    if said.is_none() {
        problems.at_key("retryAfter", |problems| {
            problems.say(
                format!("{} is no time to wait", quoted(&text.0)),
                "a length of time of at least 1s, as in 120s, or a moment, as in 2026-11-21T09:00:00Z",
            );
        });
    }
    said
}

/// The date of RFC 9110, part 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(millis: i64) -> Option<String> {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let at = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1_000)).ok()?;
    let day = DAYS.get(usize::from(at.weekday().number_days_from_sunday()))?;
    let month = usize::from(u8::from(at.month()));
    let month = MONTHS.get(month.checked_sub(1)?)?;
    let (hour, minute, second) = at.to_hms();
    Some(format!(
        "{day}, {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} GMT",
        at.day(),
        at.year(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_http_tells_dates() {
        for (millis, date) in [
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_803_859_199_999, "Sun, 28 Feb 2027 23:59:59 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(millis).as_deref(), Some(date));
        }
    }
}
