//! Requests that no sound client sends: stable or the right variant, never a trap, never a failed
//! request, and nothing of what the caller sent in a log line, a metric's name or shared data.

use serinus_host_tests::{LogLevel, Process, Request};

use crate::policies::{EVERY_CONDITION, EVERY_HOST_CALL, EVERY_KEY, MESH};
use crate::{BAD_POLICY, variant, worker, worker_of};

/// In every value that a caller sends here, so that it can be looked for elsewhere.
const SECRET: &str = "s3cr3t";

/// What is to come of a request under [`EVERY_KEY`], which gives the canary to whom has a key.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// It has a key in spite of what else is in it.
    Canary,
    /// It has none.
    Stable,
    /// What counts as a key is the filter's to say.
    Either,
}
use Expected::{Canary, Either, Stable};

fn get(path: impl AsRef<[u8]>) -> Request {
    Request::get(path)
}

fn with(name: &str, value: impl AsRef<[u8]>) -> Request {
    get("/").header(name, value)
}

fn cookies(count: usize, last: &str) -> String {
    let pairs = (0..count).map(|n| format!("c{n}={SECRET}{n}; "));
    pairs.chain([last.to_owned()]).collect()
}

fn headers() -> Vec<(&'static str, Request, Expected)> {
    let raw = [SECRET.as_bytes(), &[0xff, 0xfe, 0x80]].concat();
    let user = || with("x-user-id", SECRET);
    vec![
        ("a key that is not UTF-8", with("x-user-id", &raw), Either),
        (
            "another header that is not UTF-8",
            user().header("x-app", &raw),
            Canary,
        ),
        ("a name that is not UTF-8", user().header(&raw, "1"), Canary),
        (
            "every header of conditions not UTF-8",
            everything(&raw),
            Either,
        ),
        ("an empty key", with("x-user-id", ""), Stable),
        (
            "a duplicate key",
            user().header("x-user-id", "other"),
            Canary,
        ),
        (
            "an empty key before another",
            with("x-user-id", "").header("x-user-id", "u"),
            Either,
        ),
        (
            "a key of 60 kB",
            with("x-user-id", SECRET.repeat(10_000)),
            Either,
        ),
        (
            "a hundred headers",
            (0..100).fold(user(), |r, n| r.header(format!("x-{n}"), &raw)),
            Canary,
        ),
        (
            "NUL and line ends in a value",
            with("x-user-id", format!("{SECRET}\0\r\nx: y")),
            Either,
        ),
        (
            "not a version, not a number",
            user().header("x-app", "1.2.3.4-").header("age", "NaN"),
            Canary,
        ),
        (
            "a huge version",
            user().header("x-app", "9".repeat(400)),
            Canary,
        ),
        (
            "forged own headers",
            user()
                .header("x-serinus-", &raw)
                .header("x-serinus-variant", &raw),
            Canary,
        ),
    ]
}

/// Every header that a policy here looks at.
fn everything(value: &[u8]) -> Request {
    let names = [
        "x-user-id",
        "cookie",
        "authorization",
        "baggage",
        "x-employee",
        "x-app",
    ];
    names.iter().fold(get(value).host(value), |request, name| {
        request.header(name, value)
    })
}

fn cookie_headers() -> Vec<(&'static str, Request, Expected)> {
    let last = format!("session_id={SECRET}");
    let long = format!("a={}; {last}", "x".repeat(60_000));
    vec![
        ("60 kB of cookies", with("cookie", &long), Either),
        (
            "60 kB of one name",
            with("cookie", "x".repeat(60_000)),
            Stable,
        ),
        ("500 cookies", with("cookie", cookies(500, &last)), Either),
        (
            "500 cookies before a key in a header",
            with("cookie", cookies(500, "")).header("x-user-id", "u"),
            Canary,
        ),
        (
            "only separators",
            with("cookie", ";=;=; ;;;=".repeat(500)),
            Stable,
        ),
        ("an empty value", with("cookie", "session_id="), Stable),
        (
            "an open quote",
            with("cookie", "session_id=\"s3cr3t"),
            Either,
        ),
        (
            "two cookie headers",
            with("cookie", "a=b").header("cookie", &last),
            Canary,
        ),
        (
            "bytes",
            with("cookie", [b"session_id=", &[0xff_u8, 0, 0x80][..]].concat()),
            Either,
        ),
        (
            "a malformed issued cookie",
            with("cookie", "serinus=zz; serinus=; serinus"),
            Stable,
        ),
    ]
}

fn tokens() -> Vec<(&'static str, Request, Expected)> {
    let token = |value: &str| with("authorization", format!("Bearer {value}"));
    let deep = base64url(&"[".repeat(20_000));
    let long = base64url(&format!(r#"{{"a": "{}"}}"#, "x".repeat(50_000)));
    vec![
        ("no token", with("authorization", "Bearer"), Stable),
        (
            "another scheme",
            with("authorization", "Basic czNjcjN0OnA="),
            Stable,
        ),
        ("one part", token(SECRET), Stable),
        ("only dots", token(".."), Stable),
        ("a thousand dots", token(&".".repeat(1000)), Stable),
        ("not base64", token("a.!!!*.c"), Stable),
        (
            "not JSON",
            token(&format!("a.{}.c", base64url(SECRET))),
            Stable,
        ),
        (
            "cut JSON",
            token(&format!("a.{}.c", base64url(r#"{"sub": "s3cr3t"#))),
            Stable,
        ),
        ("deep JSON", token(&format!("a.{deep}.c")), Stable),
        (
            "long JSON without the claim",
            token(&format!("a.{long}.c")),
            Stable,
        ),
        (
            "a claim that is a list",
            token(&format!("a.{}.c", base64url(r#"{"sub": [1]}"#))),
            Stable,
        ),
        (
            "a claim that is null",
            token(&format!("a.{}.c", base64url(r#"{"sub": null}"#))),
            Stable,
        ),
        (
            "an empty claim",
            token(&format!("a.{}.c", base64url(r#"{"sub": ""}"#))),
            Stable,
        ),
        (
            "a claim twice",
            token(&format!("a.{}.c", base64url(r#"{"sub": "a", "sub": "b"}"#))),
            Either,
        ),
        (
            "a sound one",
            token(&format!("a.{}.c", base64url(r#"{"sub": "s3cr3t"}"#))),
            Canary,
        ),
    ]
}

fn baggage() -> Vec<(&'static str, Request, Expected)> {
    let members: String = (0..400).map(|n| format!("m{n}={SECRET},")).collect();
    vec![
        ("only separators", with("baggage", "=;;,,=,;"), Stable),
        ("a member without a value", with("baggage", "user"), Stable),
        ("an empty member", with("baggage", "user="), Stable),
        ("half an escape", with("baggage", "user=%z,user=%"), Either),
        (
            "an escape that is not UTF-8",
            with("baggage", "user=%ff%fe"),
            Either,
        ),
        ("400 members", with("baggage", members + "user=u"), Either),
        (
            "a forged member",
            with("baggage", "serinus=,serinus,serinus==;;"),
            Stable,
        ),
        (
            "a sound one",
            with("baggage", "a=b, user = s3cr3t ;p=1"),
            Canary,
        ),
    ]
}

fn lines() -> Vec<(&'static str, Request, Expected)> {
    let user = |path: &[u8]| get(path).header("x-user-id", SECRET);
    vec![
        ("an encoded NUL", user(b"/a%00b?user=%00"), Canary),
        ("a raw NUL", user(b"/a\0b"), Canary),
        ("no leading slash", user(b"checkout/pay"), Canary),
        ("an empty path", user(b""), Canary),
        ("an asterisk", user(b"*").method("OPTIONS"), Canary),
        (
            "an authority",
            user(b"shop.example.com:443").method("CONNECT"),
            Canary,
        ),
        ("only a query", user(b"?"), Canary),
        ("half an escape", get(b"/?user=%"), Either),
        ("an escape that is not UTF-8", get(b"/?user=%ff"), Either),
        ("an empty query key", get(b"/?user=&user"), Stable),
        (
            "60 kB of path",
            user(&[b"/".as_slice(), &[b'a'; 60_000]].concat()),
            Canary,
        ),
        (
            "60 kB of query",
            user(&[b"/?".as_slice(), &b"a&".repeat(30_000)].concat()),
            Canary,
        ),
        (
            "dots and slashes",
            user(b"//../..//./checkout/../old"),
            Canary,
        ),
        ("bytes", user(&[b'/', 0xff, 0xfe]), Canary),
        ("no path", user(b"/").without(":path"), Canary),
        ("no method", user(b"/").without(":method"), Canary),
        ("no host", user(b"/").without(":authority"), Canary),
        ("a strange host", user(b"/").host("[::1]:x:[["), Canary),
        (
            "a method of bytes",
            user(b"/").method("G\u{fffd}T\n"),
            Canary,
        ),
        ("no address", user(b"/").source(""), Canary),
        (
            "an address of a pipe",
            user(b"/").source("/run/envoy.sock"),
            Canary,
        ),
    ]
}

fn all() -> impl Iterator<Item = (&'static str, Request, Expected)> {
    [headers(), cookie_headers(), tokens(), baggage(), lines()]
        .into_iter()
        .flatten()
}

#[test]
fn bad_input_is_stable_or_the_right_variant() {
    let mut filter = worker(EVERY_KEY);
    let mut wrong = Vec::new();
    for (what, request, expected) in all() {
        let outcome = filter.request(request);
        assert!(outcome.continued(), "{what}");
        let got = variant(&outcome);
        match (expected, got) {
            (Stable | Either, "stable") | (Canary | Either, "canary") => {}
            _ => wrong.push(format!("{what}: {got}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bad_input_never_fails_a_request_whatever_the_policy_looks_at() {
    for policy in [EVERY_CONDITION, EVERY_HOST_CALL, MESH, BAD_POLICY] {
        let mut filter = worker(policy);
        for (what, request, _) in all() {
            let outcome = filter.request(request.header("x-serinus-explain", "1"));
            assert!(outcome.continued(), "{what} under {policy}");
        }
    }
}

#[test]
fn nothing_that_a_caller_sent_is_in_a_log_a_metric_or_shared_data() {
    for policy in [EVERY_KEY, EVERY_CONDITION, EVERY_HOST_CALL, BAD_POLICY] {
        let process = Process::new();
        let mut filter = worker_of(&process, policy);
        for (what, request, _) in all() {
            for line in filter.request(request).logs {
                let told = line.level > LogLevel::Debug && line.text.contains(SECRET);
                assert!(!told, "{what}: {}", line.text);
            }
        }
        filter.tick();
        let values = process
            .shared_keys()
            .into_iter()
            .filter_map(|key| process.shared_data(&key));
        let values = values.map(|value| String::from_utf8_lossy(&value).into_owned());
        for text in process
            .metric_names()
            .into_iter()
            .chain(process.shared_keys())
            .chain(values)
        {
            assert!(!text.contains(SECRET), "{text}");
        }
    }
}

/// Base64 as tokens have it: the URL alphabet without padding.
fn base64url(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            encoded.push(ALPHABET[(bits >> (18 - 6 * digit)) as usize % 64].into());
        }
    }
    encoded
}
