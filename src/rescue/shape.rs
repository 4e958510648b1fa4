//! What stable is asked, and what the caller gets of its answer.
//!
//! The call is the caller's request as stable would have got it: without what the variant alone is
//! told, and, unlike a shadow's copy, with credentials and in the caller's own trace. What belongs to
//! the connection stays behind, and so do orders to the proxy (`x-envoy-*`): another time-out or a
//! retry would make of one rescue several. Envoy's route adds nothing to it.
//!
//! Of stable's answer the length is the host's to write, and `x-envoy-*` told the proxy of its own
//! call. All other lines go on as they came, several of one name too.

use super::Settings;
use crate::assign::edits::Edits;
use crate::health::statuses::Status;
use crate::request::{Header, Request};

/// Request headers that belong to a connection, or to the framing of a body.
const OF_THE_CONNECTION: [&[u8]; 9] = [
    b"connection",
    b"content-length",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
];

const ENVOYS: &[u8] = b"x-envoy-";
/// The caller's address, which Envoy tells upstreams.
const EXTERNAL_ADDRESS: &[u8] = b"x-envoy-external-address";

/// The header lines of the call: `request` with the changes that make it stable's.
pub fn call<'r>(request: &Request<'r>, edits: &'r Edits<'_>) -> Vec<Header<'r>> {
    let is_set = |name: &[u8]| edits.set.iter().any(|(set, _)| set.as_bytes() == name);
    let mut lines = Vec::with_capacity(request.headers().len());
    let mut has_authority = false;
    for (name, value) in request.headers() {
        has_authority |= *name == b":authority";
        let is_order = name.starts_with(ENVOYS) && *name != EXTERNAL_ADDRESS;
        let is_gone = edits.remove.iter().any(|gone| gone == name);
        if !is_order && !is_gone && !is_set(name) && !OF_THE_CONNECTION.contains(name) {
            lines.push((*name, *value));
        }
    }
    if !has_authority && let Some(host) = request.header("host").next() {
        lines.push((b":authority", host));
    }
    let set = edits.set.iter();
    lines.extend(set.map(|(name, value)| (name.as_bytes(), value.as_ref())));
    lines
}

/// Stable's answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// What the caller gets of its header lines; of an answer to HEAD the length too, which nobody
    /// else could know.
    pub lines: Vec<Header<'a>>,
}

impl Settings {
    /// The answer in these header lines; nothing if stable failed too: it did not answer in full, or
    /// by what is a failure of a variant's, or by a 5xx. The proxy's own 503 and 504 are such.
    pub fn answer<'a>(&self, received: &[Header<'a>], is_head: bool) -> Option<Answer<'a>> {
        let named = |wanted: &[u8]| received.iter().find(|(name, _)| *name == wanted);
        let (_, status) = named(b":status")?;
        let status: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
        let is_named = |status| self.failures.statuses.statuses.has(Status::of(status));
        if !(200..500).contains(&status) || is_named(status.into()) {
            return None;
        }
        let mut lines = Vec::with_capacity(received.len());
        for (name, value) in received {
            let stays = match *name {
                b":status" | b"connection" | b"transfer-encoding" => false,
                b"content-length" => is_head,
                name => !name.starts_with(ENVOYS),
            };
            if stays {
                lines.push((*name, *value));
            }
        }
        Some(Answer { status, lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::edits::{as_stable, strip};
    use crate::assign::gates::Gates;
    use crate::assign::ramp::Millis;
    use crate::policy::{self, Policy};
    use crate::request::testing::lines;

    const CANARY: &str = r#"{"trust": "TRUST", "report": {"baggage": true}, "routes": [{"name": "r",
        "variants": [{"name": "canary", "share": "0%", "setHeaders": {"x-version": "2"},
                      "rewritePath": {"prefix": "/a", "with": "/v2/a"}}],
        "rules": [{"name": "marked", "when": [{"header": "x", "present": false}], "then": {"setHeaders": {"x-marked": "yes"}}},
                  {"name": "all", "when": [{"header": "x", "present": false}], "then": {"variant": "canary", "setHeaders": {"x-all": "1"}}}],
        "rescue": {"cluster": "v1", "failures": ["503", "404", "reset"]}}],
        "flags": [{"name": "f", "values": [{"value": "off", "share": "0%"}], "default": "on"}]}"#;

    fn policy(trust: &str) -> Policy {
        let text = CANARY.replace("TRUST", trust);
        policy::read(text.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// What goes on to the canary, and what a rescue asks stable.
    fn both(trust: &str, headers: &[(&str, &str)]) -> [Vec<(String, String)>; 2] {
        let policy = policy(trust);
        let assigner = &policy.assigner;
        let first = [
            (":method", "GET"),
            (":path", "/a?b"),
            (":authority", "shop"),
        ];
        let lines = lines(&first, headers);
        let request = Request::new(&lines, &|| None);
        let mut decision = assigner.decide(&request, Millis(0), &Gates::OPEN, &mut || None);
        let mut edits = strip(&request, assigner.trust);
        edits.enforce(assigner, &request, &decision);
        let canary = call(&request, &edits);
        let as_stable = as_stable(assigner, &request, &mut decision);
        [canary, call(&request, &as_stable)].map(|lines| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let mut lines: Vec<_> = lines
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect();
            lines.sort();
            lines
        })
    }

    fn told(lines: &[(String, String)], name: &str) -> Vec<String> {
        let lines = lines.iter().filter(|(known, _)| known == name);
        lines.map(|(_, value)| value.clone()).collect()
    }

    #[test]
    fn stable_is_asked_what_it_would_have_been_asked() {
        let [canary, stable] = both(
            "edge",
            &[
                ("x-version", "callers"),
                ("x-marked", "callers"),
                ("baggage", "a=b,serinus=r:other"),
                ("x-serinus-variant", "forged"),
            ],
        );
        for (name, of_canary, of_stable) in [
            (":path", "/v2/a?b", "/a?b"),
            ("x-version", "2", "callers"),
            ("x-marked", "yes", "yes"),
            (
                "baggage",
                "a=b,serinus=r:canary.f=on",
                "a=b,serinus=r:stable.f=on",
            ),
            ("x-serinus-flags", "f=\"on\"", "f=\"on\""),
        ] {
            assert_eq!(told(&canary, name), [of_canary], "{name}");
            assert_eq!(told(&stable, name), [of_stable], "{name}");
        }
        for name in ["x-serinus-variant", "x-serinus-route", "x-all"] {
            assert_eq!(told(&canary, name).len(), 1, "{name}");
            assert!(told(&stable, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn in_the_mesh_an_earlier_hops_word_for_the_variant_goes_too() {
        let carried = [
            ("x-serinus-variant", "canary"),
            ("x-serinus-route", "r"),
            ("baggage", "serinus=r:canary"),
        ];
        let [_, stable] = both("mesh", &carried);
        assert!(told(&stable, "x-serinus-variant").is_empty());
        assert!(told(&stable, "x-serinus-route").is_empty());
        assert_eq!(told(&stable, "baggage"), ["serinus=r:stable.f=on"]);
    }

    #[test]
    fn credentials_and_the_trace_go_along_and_orders_to_the_proxy_do_not() {
        let kept = [
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("x-envoy-external-address", "192.0.2.7"),
            ("x-forwarded-client-cert", "By=x"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        let gone = [
            ("content-length", "0"),
            ("expect", "100-continue"),
            ("host", "shop"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-upstream-rq-timeout-ms", "5"),
        ];
        let all: Vec<_> = kept.into_iter().chain(gone).collect();
        let [_, stable] = both("edge", &all);
        for (name, value) in kept {
            assert_eq!(told(&stable, name), [value], "{name}");
        }
        for (name, _) in gone {
            assert!(told(&stable, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn host_stands_in_for_an_absent_authority() {
        let lines = lines(
            &[(":method", "GET"), (":path", "/")],
            &[("host", "shop:80")],
        );
        let edits = Edits::default();
        let asked = call(&Request::new(&lines, &|| None), &edits);
        assert!(asked.contains(&(&b":authority"[..], &b"shop:80"[..])));
    }

    fn answered(headers: &[(&str, &str)], is_head: bool) -> Option<(u16, Vec<String>)> {
        let policy = policy("edge");
        let received = lines(headers, &[]);
        let settings = policy.rescues[0].as_ref().unwrap();
        let answer = settings.answer(&received, is_head)?;
        let names = answer.lines.iter();
        let names = names
            .map(|(name, value)| String::from_utf8_lossy(&[name, *value].join(&b'=')).into_owned());
        Some((answer.status, names.collect()))
    }

    #[test]
    fn the_caller_gets_stables_lines_but_for_the_connections_and_the_proxys() {
        let headers = [
            (":status", "201"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("content-type", "text/html"),
            ("content-length", "7"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("x-envoy-upstream-service-time", "3"),
        ];
        let lines = ["set-cookie=a=b", "set-cookie=c=d", "content-type=text/html"];
        let given = answered(&headers, false).unwrap();
        assert_eq!(given, (201, lines.map(str::to_owned).to_vec()));
        let (_, lines) = answered(&headers, true).unwrap();
        assert!(lines.contains(&"content-length=7".to_owned()), "{lines:?}");
    }

    #[test]
    fn an_answer_of_stables_that_is_a_failure_too_is_none() {
        for (status, given) in [
            ("200", true),
            ("304", true),
            ("400", true),
            // Named as a failure.
            ("404", false),
            ("500", false),
            ("503", false),
            ("599", false),
            // No answer, or none that can be given on.
            ("101", false),
            ("0", false),
            ("", false),
            ("99999", false),
        ] {
            assert_eq!(
                answered(&[(":status", status)], false).is_some(),
                given,
                "{status}"
            );
        }
        assert!(answered(&[], false).is_none());
    }
}
