//! The same requests are decided the same natively and in wasm32: one digest for both.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use serinus::assign::gates::Gates;
use serinus::assign::hash::murmur3_x86_32;
use serinus::assign::ramp::Millis;
use serinus::policy;
use serinus::report::explain;
use serinus::request::{Header, Request, address};

const POLICY: &str = r#"{"routes": [
  {"name": "shop", "match": {"hosts": ["*.example.com"], "path": {"regex": "/s[a-z]+p(/.*)?"}},
   "key": [{"header": "x-user-id"}, {"jwtClaim": "sub"}, {"query": "u"}, {"issueCookie": "serinus"}],
   "variants": [
     {"name": "canary", "ramp": {"start": "1970-01-01T00:00:01Z", "steps": ["1%", "20%"], "every": "1s"}},
     {"name": "green", "share": "7.5%"}, {"name": "third", "share": "3%", "from": "40%"}],
   "rules": [
     {"name": "new", "when": [{"header": "x-app", "semver": ">=2"}], "then": {"variant": "third"}},
     {"name": "half", "when": [{"query": "n", "number": ">0.5"}], "then": {"variant": "green"}}]},
  {"name": "unleash", "match": {"path": {"prefix": "/u"}}, "hash": {"unleash": {"group": "g"}},
   "key": [{"header": "x-user-id"}], "variants": [{"name": "c", "share": "30%"}]},
  {"name": "launchdarkly", "match": {"path": {"prefix": "/l"}}, "key": [{"header": "x-user-id"}],
   "hash": {"launchdarkly": {"flag": "f", "salt": "s"}}, "variants": [{"name": "c", "share": "30%"}]}
]}"#;

/// Of all explanations, one after the other.
const DIGEST: u32 = 4_058_835_021;

fn digest() -> u32 {
    let policy = policy::read(POLICY.as_bytes()).unwrap();
    let source = || address(b"192.0.2.7");
    let mut digest = 0;
    for n in 0..3000_u32 {
        let user = format!("user-{n}");
        let target = match n % 6 {
            0 => "/shop".to_owned(),
            1 => format!("/ship/x?u=a%20{n}&n=0.{}", n % 10),
            2 => format!("/u/{n}"),
            3 => "/l".to_owned(),
            4 => format!("/soup?n={n}"),
            _ => "/none".to_owned(),
        };
        let app = format!("v{}.{}", n % 4, n % 7);
        let mut lines: Vec<Header<'_>> = vec![
            (b":method", b"GET"),
            (b":path", target.as_bytes()),
            (b":authority", b"Shop.example.com:80"),
        ];
        if n % 3 > 0 {
            lines.push((b"x-user-id", user.as_bytes()));
        }
        if n % 5 == 0 {
            lines.push((b"x-app", app.as_bytes()));
        }
        let now = Millis(i64::from(n));
        let random = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let request = Request::new(&lines, &source);
        let assigner = &policy.assigner;
        let decision = assigner.decide(&request, now, &Gates::OPEN, &mut || {
            Some(random.to_le_bytes())
        });
        let text = explain::explanation(&decision, assigner.mode, now, &Gates::OPEN);
        digest = murmur3_x86_32(&[text.as_bytes()], digest);
    }
    digest
}

#[cfg_attr(not(target_arch = "wasm32"), test)]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn native_and_wasm_decide_alike() {
    assert_eq!(digest(), DIGEST);
}
