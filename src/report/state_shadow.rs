//! A shadow in the state document.
//!
//! Counts are of all that was copied since the process began. What the verdict rests on stands
//! apart: it leaves out pairs that are no evidence, and starts afresh when the policy changes what
//! it is about.

use super::metric_shadow::PAIRS;
use crate::shadow::tally::Tally;
use crate::shadow::verdict::{Pair, PathReport, Report};
use crate::sorted::sorted_by;
use serde::{Serialize, Serializer};

/// Paths of a route in the document. A person who reads more has read enough; the bound on what is
/// counted ([`MAX_PATHS`](crate::shadow::verdict::MAX_PATHS)) would make the document of a policy
/// with many routes hard to send.
pub const PATHS: usize = 32;

/// A shadow and what its answers came to.
#[derive(Debug, Clone, Copy)]
pub struct ShadowView<'a> {
    /// What was counted, by all workers.
    pub tally: &'a Tally,
    /// The verdict with its evidence; none if answers are only mirrored.
    pub report: Option<&'a Report<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Shadow<'a> {
    sent: u64,
    calls: Words,
    skipped: Words,
    compared: Option<Compared<'a>>,
}

impl<'a> Shadow<'a> {
    pub(super) fn of(view: ShadowView<'a>) -> Self {
        let tally = view.tally;
        let calls = tally.ended().map(|(how, count)| (how.word(), count));
        let skipped = tally.skipped().map(|(why, count)| (why.word(), count));
        Self {
            sent: tally.sent(),
            calls: Words(calls.collect()),
            skipped: Words(skipped.collect()),
            compared: view.report.map(|report| Compared::of(tally, report)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Compared<'a> {
    raw: Words,
    noise: Words,
    confirming: u64,
    not_compared: Words,
    bodies_not_compared: u64,
    verdict: &'static str,
    evidence: Evidence,
    paths: Vec<Path<'a>>,
    paths_left_out: usize,
}

impl<'a> Compared<'a> {
    fn of(tally: &Tally, report: &Report<'a>) -> Self {
        let without = tally.without().map(|(why, count)| (why.word(), count));
        let worst = worst(report);
        Self {
            raw: Words::of(tally.pairs(Pair::Raw)),
            noise: Words::of(tally.pairs(Pair::Noise)),
            confirming: tally.confirming(),
            not_compared: Words(without.collect()),
            bodies_not_compared: tally.bodies_not_compared(),
            verdict: report.verdict.name(),
            evidence: Evidence {
                raw: report.raw,
                noise: report.noise,
                confirming: report.confirming,
            },
            paths_left_out: worst.len().saturating_sub(PATHS),
            paths: worst.into_iter().take(PATHS).map(Path::of).collect(),
        }
    }
}

/// Counts by their words.
#[derive(Debug)]
struct Words(Vec<(&'static str, u64)>);

impl Words {
    fn of((equal, different): (u64, u64)) -> Self {
        Self(PAIRS.into_iter().zip([equal, different]).collect())
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(word, count)| (word, count)))
    }
}

#[derive(Debug, Serialize)]
struct Evidence {
    raw: u64,
    noise: u64,
    confirming: u64,
}

#[derive(Debug, Serialize)]
struct Path<'a> {
    path: Option<&'a str>,
    kind: Option<&'static str>,
    raw: u64,
    noise: u64,
    worse: bool,
}

impl<'a> Path<'a> {
    fn of(path: PathReport<'a>) -> Self {
        Self {
            path: path.at.map(|(path, _)| path),
            kind: path.at.map(|(_, kind)| kind.name()),
            raw: path.raw,
            noise: path.noise,
            worse: path.worse,
        }
    }
}

/// The paths, worse ones first, then those that differ in more of the raw than of the noise pairs.
/// Equal ones stay in the report's order.
fn worst<'a>(report: &Report<'a>) -> Vec<PathReport<'a>> {
    let part = |count: u64, of: u64| count as f64 / of.max(1) as f64;
    let excess =
        |path: &PathReport<'_>| part(path.raw, report.raw) - part(path.noise, report.noise);
    sorted_by(report.paths.iter().copied(), |a, b| {
        let order = b.worse.cmp(&a.worse);
        order.then_with(|| excess(b).total_cmp(&excess(a)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::compare::Kind;
    use crate::shadow::sample::Skipped;
    use crate::shadow::verdict::Verdict;
    use serde_json::{Value, json};

    fn path(path: &'static str, raw: u64, noise: u64, worse: bool) -> PathReport<'static> {
        PathReport {
            at: Some((path, Kind::Value)),
            raw,
            noise,
            worse,
        }
    }

    fn report(paths: Vec<PathReport<'_>>) -> Report<'_> {
        Report {
            verdict: Verdict::Fail,
            raw: 900,
            noise: 100,
            confirming: 3,
            paths,
        }
    }

    fn told(tally: &Tally, report: Option<&Report<'_>>) -> Value {
        serde_json::to_value(Shadow::of(ShadowView { tally, report })).unwrap()
    }

    #[test]
    fn paths_come_by_how_bad_they_are_and_not_by_how_noisy() {
        let beyond = PathReport {
            at: None,
            ..path("", 30, 0, false)
        };
        let report = report(vec![
            path("/id", 900, 100, false),
            path("/price", 9, 0, true),
            path("/rare", 9, 2, false),
            path("/time", 450, 50, false),
            path("/title", 90, 0, false),
            path("/total", 800, 10, true),
            beyond,
        ]);
        let told = told(&Tally::default(), Some(&report));
        let paths = told["compared"]["paths"].as_array().unwrap();
        let names: Vec<_> = paths.iter().map(|path| &path["path"]).collect();
        let expected = [
            json!("/total"),
            json!("/price"),
            json!("/title"),
            Value::Null,
            json!("/id"),
            json!("/time"),
            json!("/rare"),
        ];
        assert!(names.into_iter().eq(&expected));
        let price = json!({"path": "/price", "kind": "value", "raw": 9, "noise": 0, "worse": true});
        assert_eq!(paths[1], price);
        assert_eq!(paths[3]["kind"], Value::Null);
        assert_eq!(told["compared"]["paths_left_out"], 0);
    }

    #[test]
    fn past_the_bound_the_least_are_left_out_and_counted() {
        let names: Vec<String> = (0..40).map(|path| format!("/{path}")).collect();
        let paths = names.iter().zip(0_u64..).map(|(name, raw)| PathReport {
            at: Some((name, Kind::Value)),
            ..path("", raw, 0, false)
        });
        let told = told(&Tally::default(), Some(&report(paths.collect())));
        let paths = told["compared"]["paths"].as_array().unwrap();
        assert_eq!(paths.len(), PATHS);
        assert_eq!(
            (&paths[0]["raw"], &paths[31]["raw"]),
            (&json!(39), &json!(8))
        );
        assert_eq!(told["compared"]["paths_left_out"], 8);
    }

    #[test]
    fn without_pairs_there_is_no_path_to_tell() {
        let empty = Report {
            verdict: Verdict::Hold,
            raw: 0,
            noise: 0,
            ..report(Vec::new())
        };
        let told = told(&Tally::default(), Some(&empty));
        assert_eq!(told["compared"]["verdict"], "hold");
        assert_eq!(told["compared"]["paths"], json!([]));
    }

    #[test]
    fn counts_stand_apart_from_the_evidence_and_a_mirror_has_neither_pairs_nor_verdict() {
        let mut tally = Tally::default();
        tally.skip(Skipped::Share);
        tally.confirmed();
        tally.send();
        let both = told(&tally, Some(&report(Vec::new())));
        assert_eq!(
            (&both["sent"], &both["skipped"]["share"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(both["compared"]["confirming"], 1);
        assert_eq!(both["compared"]["raw"], json!({"equal": 0, "different": 0}));
        let evidence = json!({"raw": 900, "noise": 100, "confirming": 3});
        assert_eq!(both["compared"]["evidence"], evidence);
        let mirror = told(&tally, None);
        assert_eq!(mirror["compared"], Value::Null);
        assert_eq!(mirror["calls"], both["calls"]);
    }
}
