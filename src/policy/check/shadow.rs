//! Shadows: what is copied of each route, what that may cost, and how answers are compared.

use super::{at_most, condition, of_routes, wait};
use crate::assign::hash::murmur3_x86_32;
use crate::policy::Shadow;
use crate::policy::decode::Whole;
use crate::policy::problem::Problems;
use crate::policy::raw;
use crate::policy::value::Text;
use crate::shadow::budget::Limits;
use crate::shadow::compare::{self, IgnoreRules};
use crate::shadow::shape::Rewrite;
use crate::shadow::{Comparing, Settings, verdict};
use std::time::Duration;

/// The share of a policy that names none: of a canary's size.
const SHARE: u32 = 10_000;
const NOISE: u32 = 50_000;
/// How long a copy may take, in milliseconds.
const TIMEOUT: u64 = 2_000;
/// More noise than this learns less of the other version and no more of stable.
const MOST_NOISE: u32 = 500_000;
/// Methods, rules and headers of one list.
const MOST_NAMED: usize = 100;
/// A request and two answers must fit the budget, or none of the longest allowed is ever compared.
const BODIES: usize = 3;

/// The shadow of each route, in order.
pub fn shadows(raw: &raw::Policy, problems: &mut Problems) -> Vec<Option<Shadow>> {
    of_routes(raw, "shadow", problems, |route, problems| {
        let revision = route.gate.as_ref().and_then(|gate| gate.revision.as_ref());
        let revision = revision.map_or("", |text| text.0.as_str());
        Some(shadow_of(route.shadow.as_ref()?, revision, problems))
    })
}

/// The shadow of a route whose gate has this revision.
fn shadow_of(raw: &raw::Shadow, revision: &str, problems: &mut Problems) -> Shadow {
    let host = raw.host.as_ref().map(|host| host.0.clone());
    if host.as_ref().is_some_and(|host| host.starts_with('*')) {
        problems.at_key("host", |problems| {
            problems.say("a copy names one host", "a host such as v2.internal");
        });
    }
    let max_body_bytes = whole(raw.max_body_bytes, 262_144);
    let when = raw.when.as_ref();
    Shadow {
        when: when.map_or_else(Vec::new, |list| {
            condition::conditions("when", list, problems)
        }),
        settings: Settings {
            cluster: raw.cluster.0.clone(),
            host,
            rewrite: raw.rewrite_path.as_ref().map(|rewrite| Rewrite {
                prefix: rewrite.prefix.0.clone(),
                with: rewrite.with.0.clone(),
            }),
            share_ppm: raw.share.as_ref().map_or(SHARE, |share| share.0),
            methods: methods(raw, problems),
            forward_credentials: raw.forward_credentials.unwrap_or(false),
            timeout: Duration::from_millis(wait(
                "timeout",
                raw.timeout.as_ref(),
                TIMEOUT,
                problems,
            )),
            max_body_bytes,
            limits: limits(raw, max_body_bytes, problems),
            comparing: comparing(raw, revision, problems),
        },
    }
}

fn whole<const LEAST: i64, const MOST: i64>(
    given: Option<Whole<LEAST, MOST>>,
    default: usize,
) -> usize {
    let given = given.and_then(|number| usize::try_from(number.0).ok());
    given.unwrap_or(default)
}

fn methods(raw: &raw::Shadow, problems: &mut Problems) -> Vec<String> {
    let Some(named) = &raw.methods else {
        return vec!["GET".to_owned(), "HEAD".to_owned()];
    };
    problems.at_key("methods", |problems| {
        at_most(MOST_NAMED, named.len(), problems);
        if named.is_empty() {
            problems.say("it is empty", "leave it out for GET and HEAD");
        }
        let allowed = raw.writes == Some(raw::Writes::Allow);
        for (index, method) in named.iter().enumerate() {
            let writes = |method| {
                format!("`{method}` may write, and the other version would write for good")
            };
            problems.at_index(index, |problems| match method.0.as_str() {
                "GET" | "HEAD" => {}
                "CONNECT" => problems.say("a tunnel can't be copied", "leave it out"),
                method if allowed => problems.warn(
                    writes(method),
                    "leave it out unless the other version's store is its own",
                ),
                method => problems.say(
                    writes(method),
                    "leave it out, or add `writes: allow` if its store is its own",
                ),
            });
        }
    });
    named.iter().map(|method| method.0.clone()).collect()
}

fn limits(raw: &raw::Shadow, max_body_bytes: usize, problems: &mut Problems) -> Limits {
    let bytes = whole(raw.max_bytes, 16_777_216);
    let least = max_body_bytes.saturating_mul(BODIES);
    if bytes < least {
        problems.at_key("maxBytes", |problems| {
            problems.say(
                "a request and two answers of `maxBodyBytes` each don't fit",
                format!("at least {least}, or a smaller `maxBodyBytes`"),
            );
        });
    }
    Limits {
        in_flight: whole(raw.max_in_flight, 64),
        per_second: u32::try_from(whole(raw.max_per_second, 100)).unwrap_or(u32::MAX),
        bytes,
    }
}

fn comparing(raw: &raw::Shadow, revision: &str, problems: &mut Problems) -> Option<Comparing> {
    if raw.compare == Some(false) {
        unused(raw, problems);
        return None;
    }
    let noise = noise(raw, problems);
    let confirm = raw.confirm_per_raw.map_or(0.1, |fraction| fraction.0);
    if raw.stable_cluster.is_none() && raw.confirm_per_raw.is_some() && confirm > 0.0 {
        problems.at_key("confirmPerRaw", |problems| {
            problems.say("confirming calls would go nowhere", "add `stableCluster`");
        });
    }
    let ignore = rules("ignore", raw.ignore.as_deref(), problems);
    let headers = raw.headers_also.as_deref().unwrap_or_default();
    problems.at_key("headersAlso", |problems| {
        at_most(MOST_NAMED, headers.len(), problems);
    });
    let confirms = raw.stable_cluster.is_some() && confirm > 0.0;
    Some(Comparing {
        stable_cluster: raw.stable_cluster.as_ref().map(|word| word.0.clone()),
        answers: compare::Settings {
            ignore,
            headers_also: headers.iter().map(|name| name.0.clone()).collect(),
            ..compare::Settings::default()
        },
        verdict: verdict::Settings {
            raw_share: 1.0 - f64::from(noise) / 1e6,
            confirm_per_raw: confirms.then_some(confirm),
            about: about(raw, revision),
            ..verdict::Settings::default()
        },
        reveal: rules("revealPaths", raw.reveal_paths.as_deref(), problems),
    })
}

/// Says of what only a comparison uses.
fn unused(raw: &raw::Shadow, problems: &mut Problems) {
    let given = [
        ("stableCluster", raw.stable_cluster.is_some()),
        ("noise", raw.noise.is_some()),
        ("confirmPerRaw", raw.confirm_per_raw.is_some()),
        ("ignore", raw.ignore.is_some()),
        ("headersAlso", raw.headers_also.is_some()),
        ("revealPaths", raw.reveal_paths.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        problems.at_key(key, |problems| {
            problems.say("with `compare: false` nothing is compared", "leave it out");
        });
    }
}

/// The part of the copies that goes to stable, in parts per million.
fn noise(raw: &raw::Shadow, problems: &mut Problems) -> u32 {
    let noise = raw.noise.as_ref().map_or(NOISE, |noise| noise.0);
    if noise > MOST_NOISE {
        problems.at_key("noise", |problems| {
            problems.say(
                "so few copies to the other version say little",
                "at most 50%",
            );
        });
    }
    let is_nowhere = raw.stable_cluster.is_none() && noise > 0;
    if is_nowhere && !problems.said_below("stableCluster") {
        problems.say(
            "`stableCluster` is missing: what stable's own answers differ by can't be learned",
            "add `stableCluster`; or `noise: \"0%\"`, and differences are counted and not judged",
        );
    }
    noise
}

/// Every rule is read alone, so that each bad one is said; then all together.
fn rules(key: &str, texts: Option<&[Text]>, problems: &mut Problems) -> IgnoreRules {
    const WRITE: &str = "a pointer such as /meta/**, header:<name> or trailer:grpc-status";
    let texts = texts.unwrap_or_default();
    problems.at_key(key, |problems| {
        at_most(MOST_NAMED, texts.len(), problems);
        let before = problems.count();
        for (index, text) in texts.iter().enumerate() {
            if let Err(bad) = IgnoreRules::new([text.0.as_str()]) {
                problems.at_index(index, |problems| problems.say(bad.to_string(), WRITE));
            }
        }
        let all = IgnoreRules::new(texts.iter().map(|text| text.0.as_str()));
        match all {
            Ok(rules) => return rules,
            Err(bad) if problems.count() == before => problems.say(bad.to_string(), WRITE),
            Err(_) => {}
        }
        IgnoreRules::default()
    })
}

/// What the evidence is about: with another version, or other things compared, it starts afresh.
fn about(raw: &raw::Shadow, revision: &str) -> u64 {
    let mut parts = vec![revision, &raw.cluster.0];
    parts.extend(raw.stable_cluster.as_ref().map(|word| word.0.as_str()));
    parts.push("host");
    parts.extend(raw.host.as_ref().map(|host| host.0.as_str()));
    parts.push("path");
    let rewrite = raw.rewrite_path.iter();
    parts.extend(rewrite.flat_map(|rewrite| [rewrite.prefix.0.as_str(), &rewrite.with.0]));
    parts.push("ignore");
    parts.extend(raw.ignore.iter().flatten().map(|text| text.0.as_str()));
    parts.push("headers");
    parts.extend(
        raw.headers_also
            .iter()
            .flatten()
            .map(|name| name.0.as_str()),
    );
    let text = parts.join("\0");
    let half = |seed| u64::from(murmur3_x86_32(&[text.as_bytes()], seed));
    half(0) << 32 | half(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::decode::Decode;
    use crate::policy::json;

    fn read(text: &str) -> Result<Shadow, Vec<String>> {
        let mut problems = Problems::default();
        let tree = json::read(text.as_bytes()).unwrap();
        let raw = raw::Shadow::decode(&tree, &mut problems);
        let shadow = raw.map(|raw| shadow_of(&raw, "1", &mut problems));
        match shadow {
            Some(shadow) if problems.none() => Ok(shadow),
            _ => {
                let said = problems.into_refusal(None).problems;
                Err(said.iter().map(ToString::to_string).collect())
            }
        }
    }

    #[test]
    fn a_condition_on_what_an_edge_removes_is_refused() {
        let text = br#"{"routes": [{"name": "r", "shadow": {"cluster": "v2", "noise": "0%",
            "when": [{"header": "x-serinus-variant", "exact": "a"}]}}]}"#;
        let refusal = crate::policy::read(text).unwrap_err();
        let said: Vec<String> = refusal.problems.iter().map(ToString::to_string).collect();
        let place = "routes[0].shadow.when[0].header: ";
        assert!(said.iter().any(|line| line.starts_with(place)), "{said:?}");
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let shadow = read(r#"{"cluster": "v2", "stableCluster": "v1"}"#).unwrap();
        let settings = shadow.settings;
        assert!(shadow.when.is_empty() && !settings.forward_credentials);
        assert_eq!(
            (settings.share_ppm, settings.max_body_bytes),
            (10_000, 262_144)
        );
        assert_eq!(settings.methods, ["GET", "HEAD"]);
        assert_eq!(settings.timeout, Duration::from_secs(2));
        let limits = Limits {
            in_flight: 64,
            per_second: 100,
            bytes: 16_777_216,
        };
        assert_eq!(settings.limits, limits);
        let verdict = settings.comparing.unwrap().verdict;
        assert_eq!(
            (verdict.raw_share, verdict.confirm_per_raw),
            (0.95, Some(0.1))
        );
    }

    #[test]
    fn every_setting_is_taken_over() {
        let shadow = read(
            r#"{"cluster": "v2", "stableCluster": "v1", "host": "V2.internal",
                "rewritePath": {"prefix": "/a", "with": "/b"}, "share": "100%",
                "when": [{"header": "x", "exact": "1"}], "methods": ["GET", "POST"],
                "writes": "allow", "noise": "50%", "confirmPerRaw": 0, "timeout": "1m",
                "maxBodyBytes": 0, "maxInFlight": 1, "maxPerSecond": 2, "maxBytes": 65536,
                "forwardCredentials": true, "ignore": ["/meta/**"], "headersAlso": ["X-Plan"],
                "revealPaths": ["/id"]}"#,
        )
        .unwrap();
        let settings = shadow.settings;
        assert_eq!(shadow.when.len(), 1);
        assert_eq!(settings.host.as_deref(), Some("v2.internal"));
        let rewrite = settings.rewrite.unwrap();
        assert_eq!(
            (rewrite.prefix.as_str(), rewrite.with.as_str()),
            ("/a", "/b")
        );
        assert_eq!(
            (settings.share_ppm, settings.max_body_bytes),
            (1_000_000, 0)
        );
        assert_eq!(settings.methods, ["GET", "POST"]);
        assert!(settings.forward_credentials);
        assert_eq!(settings.timeout, Duration::from_secs(60));
        let limits = (settings.limits.in_flight, settings.limits.per_second);
        assert_eq!((limits, settings.limits.bytes), ((1, 2), 65_536));
        let comparing = settings.comparing.unwrap();
        assert_eq!(comparing.stable_cluster.as_deref(), Some("v1"));
        assert_eq!(comparing.answers.headers_also, ["x-plan"]);
        let rules = |text| IgnoreRules::new([text]).unwrap();
        assert_eq!(comparing.answers.ignore, rules("/meta/**"));
        assert_eq!(comparing.reveal, rules("/id"));
        let verdict = comparing.verdict;
        assert_eq!((verdict.raw_share, verdict.confirm_per_raw), (0.5, None));
    }

    #[test]
    fn every_problem_of_a_shadow_is_said_in_one_pass() {
        let said = read(
            r#"{"cluster": "v2", "host": "*.internal", "methods": ["GET", "POST", "CONNECT"],
                "when": [{"header": "x"}], "noise": "51%", "confirmPerRaw": 0.5, "timeout": "0s",
                "maxBytes": 65536, "ignore": ["/a", "b", "/~"], "revealPaths": ["c"]}"#,
        )
        .unwrap_err();
        let mut places: Vec<&str> = said
            .iter()
            .map(|line| line.split(": ").next().unwrap())
            .collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "confirmPerRaw",
                "host",
                "ignore[1]",
                "ignore[2]",
                "maxBytes",
                "methods[1]",
                "methods[2]",
                "noise",
                "policy",
                "revealPaths[0]",
                "timeout",
                "when[0]",
            ],
            "{said:#?}"
        );
    }

    #[test]
    fn writes_that_are_allowed_are_warned_of_where_they_are_named() {
        let text = br#"{"routes": [{"name": "r", "shadow": {"cluster": "v2", "noise": "0%",
            "methods": ["GET", "POST", "HEAD", "DELETE"], "writes": "allow"}}]}"#;
        let policy = crate::policy::read(text).unwrap();
        let said: Vec<String> = policy.warnings.iter().map(ToString::to_string).collect();
        let expected = [(1, "POST"), (3, "DELETE")].map(|(index, method)| {
            format!(
                "routes[0].shadow.methods[{index}]: warning: `{method}` may write, and the other \
                 version would write for good; leave it out unless the other version's store is \
                 its own"
            )
        });
        assert_eq!(said, expected);
        let reads = br#"{"routes": [{"name": "r", "shadow": {"cluster": "v2", "noise": "0%"}}]}"#;
        assert_eq!(crate::policy::read(reads).unwrap().warnings, []);
    }

    #[test]
    fn a_shadow_that_only_mirrors_takes_nothing_for_comparing() {
        let shadow = read(r#"{"cluster": "v2", "compare": false}"#).unwrap();
        assert!(shadow.settings.comparing.is_none());
        let said = read(r#"{"cluster": "v2", "compare": false, "noise": "5%", "ignore": []}"#);
        let places = ["ignore", "noise"];
        let said = said.unwrap_err();
        assert!(
            said.len() == 2
                && places
                    .iter()
                    .all(|of| said.iter().any(|line| line.starts_with(of)))
        );
    }

    #[test]
    fn without_noise_pairs_stable_need_not_be_named() {
        let shadow = read(r#"{"cluster": "v2", "noise": "0%"}"#).unwrap();
        let comparing = shadow.settings.comparing.unwrap();
        let verdict = comparing.verdict;
        assert_eq!((verdict.raw_share, verdict.confirm_per_raw), (1.0, None));
        assert_eq!(comparing.stable_cluster, None);
    }

    #[test]
    fn evidence_is_about_the_version_and_what_is_compared_and_nothing_else() {
        let about = |text: &str| {
            let text = format!(r#"{{"stableCluster": "v1", {text}}}"#);
            read(&text)
                .unwrap()
                .settings
                .comparing
                .unwrap()
                .verdict
                .about
        };
        let first = about(r#""cluster": "v2""#);
        assert_eq!(
            first,
            about(r#""cluster": "v2", "share": "5%", "timeout": "1s""#)
        );
        for other in [
            r#""cluster": "v3""#,
            r#""cluster": "v2", "host": "a""#,
            r#""cluster": "v2", "ignore": ["/a"]"#,
            r#""cluster": "v2", "headersAlso": ["a"]"#,
        ] {
            assert_ne!(first, about(other), "{other}");
        }
    }
}
