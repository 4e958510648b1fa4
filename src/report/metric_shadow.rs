//! The series of a route's shadow, and what of a tally each of them counts.
//!
//! Both come from one list, so that none is counted and not made, or made and never counted.
//! Requests that were not drawn are in no series: they are the ordinary case, and beside them no
//! reason could be seen. The [state document](super::state) has their number.

use super::metric::{self, Metric};
use crate::shadow::sample::Skipped;
use crate::shadow::tally::Tally;
use crate::shadow::verdict::{Pair, Verdict};

/// The values of the label `outcome` of a pair, in the order of [`Tally::pairs`].
pub const PAIRS: [&str; 2] = ["equal", "different"];

/// One series of a route's shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The metric.
    pub metric: &'static Metric,
    /// The value of its label after the route, if it has one.
    label: Option<&'static str>,
    /// What a tally adds to it.
    pub count: u64,
}

impl Counted {
    /// Its name for `route`.
    pub fn series(&self, route: &str) -> String {
        match self.label {
            Some(label) => self.metric.with(&[route, label]),
            None => self.metric.with(&[route]),
        }
    }
}

/// Whether requests that are skipped for this reason are in a series.
pub fn is_told(why: Skipped) -> bool {
    why != Skipped::Share
}

/// All counters of a shadow with what `tally` adds to each: the same ones, in the same order, for
/// every tally. Without `comparing` answers are only mirrored, and there is less to count.
pub fn counted(tally: &Tally, comparing: bool) -> Vec<Counted> {
    let one = |metric, label, count| Counted {
        metric,
        label,
        count,
    };
    let ended = tally.ended();
    let ended = ended.map(|(how, count)| one(&metric::SHADOW_CALLS, Some(how.word()), count));
    let skipped = tally.skipped().filter(|(why, _)| is_told(*why));
    let skipped = skipped.map(|(why, count)| one(&metric::SHADOW_SKIPPED, Some(why.word()), count));
    let mut all: Vec<Counted> = ended.chain(skipped).collect();
    if !comparing {
        return all;
    }
    for (pair, metric) in [
        (Pair::Raw, &metric::SHADOW_RAW_PAIRS),
        (Pair::Noise, &metric::SHADOW_NOISE_PAIRS),
    ] {
        let (equal, different) = tally.pairs(pair);
        let counts = PAIRS.into_iter().zip([equal, different]);
        all.extend(counts.map(|(label, count)| one(metric, Some(label), count)));
    }
    let without = tally.without();
    let without =
        without.map(|(why, count)| one(&metric::SHADOW_NOT_COMPARED, Some(why.word()), count));
    all.extend(without);
    let bodies = tally.bodies_not_compared();
    all.extend([
        one(&metric::SHADOW_CONFIRMING, None, tally.confirming()),
        one(&metric::SHADOW_BODIES_NOT_COMPARED, None, bodies),
    ]);
    all
}

/// The name of the gauge of one verdict.
pub fn verdict(route: &str, verdict: Verdict) -> String {
    metric::SHADOW_VERDICT.with(&[route, verdict.name()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::capture::Ended;
    use crate::shadow::compare::{Bodies, Comparison};
    use crate::shadow::join::NotCompared;
    use std::collections::BTreeMap;

    fn series(tally: &Tally, comparing: bool) -> BTreeMap<String, u64> {
        let all = counted(tally, comparing);
        let named: BTreeMap<_, _> = all.iter().map(|one| (one.series("r"), one.count)).collect();
        assert_eq!(named.len(), all.len(), "no name twice");
        named
    }

    /// Every counter at a value of its own.
    fn busy() -> Tally {
        let mut tally = Tally::default();
        let mut times = 0_u64..;
        let mut many = |count: &mut dyn FnMut(&mut Tally)| {
            (0..=times.next().unwrap()).for_each(|_| count(&mut tally));
        };
        for how in Ended::ALL {
            many(&mut |tally| tally.end(how));
        }
        for why in Skipped::ALL {
            many(&mut |tally| tally.skip(why));
        }
        for why in NotCompared::ALL {
            many(&mut |tally| tally.not_compared(why));
        }
        for pair in [Pair::Raw, Pair::Noise] {
            for unnamed in [0, 1] {
                let found = Comparison {
                    differences: Vec::new(),
                    unnamed,
                    bodies: Bodies::TooLarge,
                    steps: 0,
                };
                many(&mut |tally| tally.compared(pair, &found));
            }
        }
        many(&mut |tally| tally.confirmed());
        tally
    }

    #[test]
    fn what_is_counted_comes_to_the_series_that_says_so() {
        let tally = busy();
        let told = series(&tally, true);
        let of = |label: &str, name: &str| {
            let name = format!("route=.=r;.;{label}serinus_shadow_{name}_total");
            *told.get(&name).unwrap_or_else(|| panic!("no {name}"))
        };
        assert_eq!(of("outcome=.=not-sent;.;", "calls"), 1);
        assert_eq!(of("outcome=.=answered;.;", "calls"), 5);
        assert_eq!(of("reason=.=shadow;.;", "skipped"), 7);
        assert_eq!(of("reason=.=back-off;.;", "skipped"), 18);
        assert_eq!(of("reason=.=not-sent;.;", "not_compared"), 19);
        assert_eq!(of("outcome=.=equal;.;", "raw_pairs"), 26);
        assert_eq!(of("outcome=.=different;.;", "raw_pairs"), 27);
        assert_eq!(of("outcome=.=equal;.;", "noise_pairs"), 28);
        assert_eq!(of("outcome=.=different;.;", "noise_pairs"), 29);
        assert_eq!(of("", "confirming"), 30);
        assert_eq!(of("", "bodies_not_compared"), 26 + 27 + 28 + 29);
    }

    #[test]
    fn every_tally_has_the_same_series_in_the_same_order() {
        for comparing in [false, true] {
            let names = |tally| {
                let all = counted(tally, comparing);
                all.iter().map(|one| one.series("r")).collect::<Vec<_>>()
            };
            assert_eq!(names(&busy()), names(&Tally::default()));
        }
        let idle = series(&Tally::default(), true);
        assert!(idle.values().all(|count| *count == 0));
    }

    #[test]
    fn a_shadow_that_only_mirrors_has_calls_and_skips_alone() {
        let told = series(&busy(), false);
        assert_eq!(told.len(), Ended::ALL.len() + Skipped::ALL.len() - 1);
        for name in told.keys() {
            assert!(name.ends_with("_calls_total") || name.ends_with("_skipped_total"));
        }
    }

    #[test]
    fn requests_that_were_not_drawn_are_in_no_series() {
        let mut tally = Tally::default();
        tally.skip(Skipped::Share);
        assert!(series(&tally, true).values().all(|count| *count == 0));
    }

    #[test]
    fn labels_stand_in_the_metrics_order() {
        assert_eq!(
            verdict("checkout", Verdict::Fail),
            "route=.=checkout;.;state=.=fail;.;serinus_shadow_verdict"
        );
        for one in counted(&Tally::default(), true) {
            let labels = 1 + usize::from(one.label.is_some());
            assert_eq!(one.metric.labels.len(), labels, "{}", one.metric.name);
        }
    }
}
