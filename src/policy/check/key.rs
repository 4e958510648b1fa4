//! Key sources.

use super::condition::TOKEN_HEADER;
use crate::assign::cookie::{Attributes, IssueCookie};
use crate::assign::key::KeySource;
use crate::policy::decode::{List, listed};
use crate::policy::problem::Problems;
use crate::policy::raw::{self, SameSite};

/// Key sources of one route.
const MOST_KEYS: usize = 16;

/// How long a browser keeps an issued cookie unless the policy says: thirty days, as long as a
/// rollout is likely to take.
const MAX_AGE: u64 = 720 * 3_600_000;

const SOURCES: [&str; 7] = [
    "header",
    "cookie",
    "jwtClaim",
    "query",
    "baggage",
    "clientIp",
    "issueCookie",
];

/// The key sources of a route.
pub fn keys(list: Option<&List<raw::Key>>, problems: &mut Problems) -> Vec<KeySource> {
    let Some(list) = list else {
        return Vec::new();
    };
    problems.at_key("key", |problems| {
        super::at_most(MOST_KEYS, list.0.len(), problems);
        let mut keys = Vec::with_capacity(list.0.len());
        for (index, raw) in &list.0 {
            problems.at_index(*index, |problems| {
                let key = key(raw, problems);
                let issued = |key: &KeySource| matches!(key, KeySource::IssueCookie(_));
                if key.as_ref().is_some_and(issued) && keys.iter().any(issued) {
                    problems.say("a cookie is issued already", "one `issueCookie` in a route");
                }
                keys.extend(key);
            });
        }
        keys
    })
}

fn key(raw: &raw::Key, problems: &mut Problems) -> Option<KeySource> {
    options_belong(raw, problems);
    let header = raw.header.as_ref().map(|name| name.0.clone());
    let mut sources = Vec::new();
    if let Some(claim) = &raw.jwt_claim {
        sources.push(KeySource::JwtClaim {
            claim: claim.0.clone(),
            header: header.unwrap_or_else(|| TOKEN_HEADER.to_owned()),
        });
    } else {
        sources.extend(header.map(KeySource::Header));
    }
    sources.extend(
        raw.cookie
            .as_ref()
            .map(|name| KeySource::Cookie(name.0.clone())),
    );
    sources.extend(
        raw.query
            .as_ref()
            .map(|name| KeySource::Query(name.0.clone())),
    );
    sources.extend(
        raw.baggage
            .as_ref()
            .map(|name| KeySource::Baggage(name.0.clone())),
    );
    sources.extend(raw.client_ip.map(|_| KeySource::ClientIp));
    sources.extend(
        raw.issue_cookie
            .as_ref()
            .map(|name| KeySource::IssueCookie(issue_cookie(&name.0, raw, problems))),
    );
    let count = sources.len();
    let source = sources.into_iter().next();
    if count > 1 {
        problems.say(
            format!("it has {count} sources"),
            "one source for each element of the list, the first choice first",
        );
    } else if source.is_none() && !SOURCES.iter().any(|key| problems.said_below(key)) {
        problems.say("it has no source", format!("one of {}", listed(&SOURCES)));
    }
    source
}

/// Says of options of `issueCookie` that stand beside another source.
fn options_belong(raw: &raw::Key, problems: &mut Problems) {
    if raw.issue_cookie.is_some() || problems.said_below("issueCookie") {
        return;
    }
    for (option, there) in [
        ("maxAge", raw.max_age.is_some()),
        ("path", raw.path.is_some()),
        ("domain", raw.domain.is_some()),
        ("secure", raw.secure.is_some()),
        ("httpOnly", raw.http_only.is_some()),
        ("sameSite", raw.same_site.is_some()),
    ] {
        if there {
            problems.at_key(option, |problems| {
                problems.say(
                    "only an issued cookie has this",
                    "leave it out, or `issueCookie`",
                );
            });
        }
    }
}

fn issue_cookie(name: &str, raw: &raw::Key, problems: &mut Problems) -> IssueCookie {
    let max_age = raw.max_age.as_ref().map_or(MAX_AGE, |age| age.0);
    if max_age < 1000 {
        problems.at_key("maxAge", |problems| {
            problems.say("the cookie would be gone at once", "at least 1s");
        });
    }
    let domain = raw.domain.as_ref().map_or("", |domain| domain.0.as_str());
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if domain.len() > 253 || !domain.bytes().all(fits) {
        problems.at_key("domain", |problems| {
            problems.say("it is not a domain", "a domain such as example.com");
        });
    }
    let path = raw.path.as_ref().map_or("/", |path| path.0.as_str());
    if path.contains([';', ',']) {
        problems.at_key("path", |problems| {
            problems.say("a cookie's path can't have ; or ,", "a path without them");
        });
    }
    let secure = raw.secure.unwrap_or(true);
    let same_site = match raw.same_site {
        Some(SameSite::Strict) => "Strict",
        Some(SameSite::Lax) | None => "Lax",
        Some(SameSite::None) => "None",
    };
    if same_site == "None" && !secure {
        problems.at_key("sameSite", |problems| {
            problems.say(
                "browsers drop such a cookie without `secure`",
                "`secure: true`",
            );
        });
    }
    let attributes = Attributes {
        max_age,
        path,
        domain,
        secure,
        http_only: raw.http_only.unwrap_or(true),
        same_site,
    };
    IssueCookie::new(name, &attributes)
}
