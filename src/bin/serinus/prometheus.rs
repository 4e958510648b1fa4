//! Answers of Prometheus to range queries, as ticks of a gate.
//!
//! A tick is the time from one sample to the next, and its counts are by how much counters rose.
//! Each series is followed by itself, so that a proxy that restarts is not taken for traffic of
//! another. Where the rise cannot be known (a counter fell, a sample in the middle of a series is
//! missing, the step is longer than the others) the side is absent and the gate holds. A series
//! that begins or ends adds nothing at that moment: its proxy came or went.

use crate::answers::{Labels, Recorded};
use serinus::assign::route::STABLE;
use serinus::gate::input::{BUCKETS, GROUPS, KEY_SLOTS};
use serinus::gate::{At, Canary, Counts, Group, KeySlot, Ppm, Stable, Tick};
use serinus::health::outcome::Outcome;
use serinus::report::metric::{LATENCY, REQUESTS, SHARE_ASKED};
use std::collections::{BTreeMap, BTreeSet};

/// Values by their time in milliseconds since 1970.
type Series = BTreeMap<u64, u64>;

/// Samples of two sides of a route.
#[derive(Debug)]
pub struct Samples {
    /// Upper bounds of the latency buckets in milliseconds; empty where there was no histogram.
    pub bounds_ms: Vec<f64>,
    /// The distance of two samples, in milliseconds.
    pub step_ms: u64,
    times: Vec<u64>,
    stable: Side,
    canary: Side,
}

#[derive(Debug, Default)]
struct Side {
    /// Counters of requests that say something of the version, and whether they are errors.
    requests: Vec<(bool, Series)>,
    /// Counters of requests that took at most as long, by the bound.
    buckets: Vec<(f64, Series)>,
    /// The share asked, in parts per million, by proxy.
    shares: Vec<Series>,
}

/// What a series counts.
enum Counted {
    Requests {
        errors: bool,
    },
    Bucket(f64),
    Share,
    /// Nothing that a gate is told.
    Other,
}

fn counted(labels: &Labels) -> Result<Counted, String> {
    let label = |name: &str| labels.get(name).map(String::as_str);
    let bucket = format!("{}_bucket", LATENCY.name);
    match (label("__name__"), label("outcome"), label("le")) {
        (Some(name), Some(outcome), _) if name == REQUESTS.name => requests(outcome),
        (None, Some(outcome), None) => requests(outcome),
        (Some(name), _, Some(le)) if name == bucket => bound(le),
        (None, None, Some(le)) => bound(le),
        (Some(name), ..) if name == SHARE_ASKED.name => Ok(Counted::Share),
        (Some(name), ..) if name != REQUESTS.name && name != bucket => Ok(Counted::Other),
        _ => Err(format!(
            "a series with the labels {labels:?} can't be told apart; ask for the metrics \
             themselves, or keep route, variant and outcome (of the histogram, le) in the sum"
        )),
    }
}

fn requests(outcome: &str) -> Result<Counted, String> {
    let found = Outcome::ALL.iter().find(|known| known.as_str() == outcome);
    match found {
        Some(outcome) if outcome.is_judged() => Ok(Counted::Requests {
            errors: outcome.is_error(),
        }),
        Some(_) => Ok(Counted::Other),
        None => Err(format!(
            "there is no outcome `{outcome}`; ask for {} as it is",
            REQUESTS.name
        )),
    }
}

fn bound(le: &str) -> Result<Counted, String> {
    let bound = le.parse().ok().filter(|bound: &f64| *bound > 0.0);
    bound.map(Counted::Bucket).ok_or_else(|| {
        format!(
            "a bucket's bound is `{le}`; ask for {}_bucket as it is",
            LATENCY.name
        )
    })
}

/// Whole numbers of a counter, or of a share.
fn whole(labels: &Labels, values: &BTreeMap<u64, f64>) -> Result<Series, String> {
    let whole = |(at, value): (&u64, &f64)| {
        let fits = (0.0..=9_007_199_254_740_992.0).contains(value) && value.fract() == 0.0;
        fits.then_some((*at, *value as u64)).ok_or_else(|| {
            format!(
                "a value of {labels:?} is {value}, which is no count; ask for the metric itself, \
                 not for its rate or increase"
            )
        })
    };
    values.iter().map(whole).collect()
}

/// The names that `label` has in `all`, of those series that `which` takes.
fn names<'a>(
    all: impl Iterator<Item = &'a Labels>,
    label: &str,
    which: impl Fn(&str) -> bool,
) -> BTreeSet<&'a str> {
    let names = all.filter_map(|labels| labels.get(label));
    names
        .map(String::as_str)
        .filter(|name| which(name))
        .collect()
}

/// `wanted`, or the only one of `names`.
fn only<'a>(
    what: &str,
    wanted: Option<&'a str>,
    names: &BTreeSet<&'a str>,
) -> Result<&'a str, String> {
    let mut found = names.iter();
    match (wanted, found.next(), found.next()) {
        (Some(name), ..) if names.contains(name) => Ok(name),
        (None, Some(name), None) => Ok(name),
        (_, None, _) => Err(format!(
            "there are no samples of any {what}; ask for those of one"
        )),
        (_, Some(_), _) => {
            let names: Vec<&str> = names.iter().copied().collect();
            let wrong = match wanted {
                Some(name) => format!("there are no samples of the {what} `{name}`"),
                None => format!("there are samples of more than one {what}"),
            };
            Err(format!(
                "{wrong}; write --{what} and one of {}",
                names.join(", ")
            ))
        }
    }
}

impl Samples {
    /// The samples of one route's variant beside stable's. Without `route` or `variant` it is the
    /// only one that there are samples of.
    ///
    /// # Errors
    /// Says what is missing or does not fit together, and what to ask for.
    pub fn of(all: &Recorded, route: Option<&str>, variant: Option<&str>) -> Result<Self, String> {
        let route = only(
            "route",
            route,
            &names(all.keys(), "route", |name| name != "(none)"),
        )?;
        let of_route = || {
            let is_of = |labels: &&Labels| labels.get("route").is_some_and(|name| name == route);
            all.keys().filter(is_of)
        };
        let variants = names(of_route(), "variant", |name| name != STABLE);
        let variant = only("variant", variant, &variants)?;
        let (mut stable, mut canary) = (Side::default(), Side::default());
        for labels in of_route() {
            let side = match labels.get("variant") {
                Some(name) if name == STABLE => &mut stable,
                Some(name) if name == variant => &mut canary,
                _ => continue,
            };
            if let Some(values) = all.get(labels) {
                side.add(labels, values)?;
            }
        }
        for (name, side) in [(STABLE, &stable), (variant, &canary)] {
            if side.requests.is_empty() {
                return Err(format!(
                    "there is no {} of `{name}`; ask for both sides' in one query",
                    REQUESTS.name
                ));
            }
        }
        Self::together(stable, canary)
    }

    fn together(stable: Side, canary: Side) -> Result<Self, String> {
        let bounds = stable.bounds();
        if bounds != canary.bounds() {
            return Err(
                "the two sides' histograms have different buckets; ask for both in one \
                        query"
                    .to_owned(),
            );
        }
        let of = |pick: fn(&Side) -> Vec<&Series>| {
            let series = [&stable, &canary].into_iter().flat_map(pick);
            let times = series.flat_map(Series::keys).copied();
            times.collect::<BTreeSet<u64>>()
        };
        let times = of(|side| side.requests.iter().map(|(_, series)| series).collect());
        let step_ms = step(&times).ok_or("one sample is no tick; ask for a longer time")?;
        let others = of(|side| side.buckets.iter().map(|(_, series)| series).collect());
        if !others.is_empty() && others.is_disjoint(&times)
            || step(&others).is_some_and(|step| step != step_ms)
        {
            return Err(
                "requests and their latencies were not sampled together; ask both queries \
                        with the same start and step"
                    .to_owned(),
            );
        }
        // The finest buckets go first if there are too many; the next one has their requests.
        let spare = bounds.len().saturating_sub(BUCKETS.saturating_sub(1));
        Ok(Self {
            bounds_ms: bounds.into_iter().skip(spare).collect(),
            step_ms,
            times: times.into_iter().collect(),
            stable,
            canary,
        })
    }

    /// The ticks, each with its end in seconds since 1970.
    pub fn ticks(&self) -> impl Iterator<Item = (u64, Tick)> {
        let mut shares = [None; 2];
        self.times.array_windows().map(move |[from, to]| {
            for (share, side) in shares.iter_mut().zip([&self.canary, &self.stable]) {
                *share = side.share(*to).or(*share);
            }
            let share = shares[0].unwrap_or(Ppm(0));
            let rest = Ppm(Ppm::ALL.0.saturating_sub(share.0));
            let is_step = to.checked_sub(*from) == Some(self.step_ms);
            let came = |side: &Side| {
                let came = is_step.then(|| side.came(*from, *to, &self.bounds_ms));
                came.flatten()
            };
            let tick = Tick {
                at: At(*to),
                share,
                stable_share: shares[1].unwrap_or(rest),
                stable: came(&self.stable).map(|counts| Stable {
                    counts,
                    groups: [Group::default(); GROUPS],
                }),
                canary: came(&self.canary).map(|counts| Canary {
                    counts,
                    slots: [KeySlot::default(); KEY_SLOTS],
                }),
                shadow: None,
            };
            (to / 1_000, tick)
        })
    }
}

/// The distance of samples: the least between two.
fn step(times: &BTreeSet<u64>) -> Option<u64> {
    let later = times.iter().skip(1);
    let gaps = times
        .iter()
        .zip(later)
        .map(|(from, to)| to.saturating_sub(*from));
    gaps.min()
}

impl Side {
    fn add(&mut self, labels: &Labels, values: &BTreeMap<u64, f64>) -> Result<(), String> {
        match counted(labels)? {
            Counted::Requests { errors } => self.requests.push((errors, whole(labels, values)?)),
            Counted::Bucket(bound) => self.buckets.push((bound, whole(labels, values)?)),
            Counted::Share => self.shares.push(whole(labels, values)?),
            Counted::Other => {}
        }
        Ok(())
    }

    /// The finite bounds of its buckets, rising.
    fn bounds(&self) -> Vec<f64> {
        let finite = self.buckets.iter().map(|(bound, _)| *bound);
        let mut bounds: Vec<f64> = finite.filter(|bound| bound.is_finite()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    }

    fn share(&self, at: u64) -> Option<Ppm> {
        let shares = self.shares.iter().filter_map(|series| series.get(&at));
        let share = shares.max().and_then(|share| u32::try_from(*share).ok());
        share.map(|share| Ppm(share).min(Ppm::ALL))
    }

    /// What came between two times; nothing if that cannot be known.
    fn came(&self, from: u64, to: u64, bounds: &[f64]) -> Option<Counts> {
        let mut counts = Counts::default();
        for (errors, series) in &self.requests {
            let rise = rise(series, from, to)?;
            counts.requests = counts.requests.saturating_add(rise);
            if *errors {
                counts.errors = counts.errors.saturating_add(rise);
            }
        }
        // Prometheus' buckets hold those below as well.
        let mut up_to = [0_u64; BUCKETS];
        for (bound, series) in &self.buckets {
            let place = bounds.partition_point(|known| known < bound);
            let is_kept = bounds.get(place).is_none_or(|known| known == bound);
            if let Some(sum) = up_to.get_mut(place).filter(|_| is_kept) {
                *sum = sum.saturating_add(rise(series, from, to)?);
            }
        }
        let mut below = 0;
        for (count, up_to) in counts
            .latency
            .iter_mut()
            .zip(up_to.iter().take(bounds.len().saturating_add(1)))
        {
            *count = up_to.checked_sub(below)?;
            below = *up_to;
        }
        Some(counts)
    }
}

/// By how much a counter rose; nothing if it fell, or a sample amid the others is missing.
fn rise(series: &Series, from: u64, to: u64) -> Option<u64> {
    match (series.get(&from), series.get(&to)) {
        (Some(before), Some(after)) => after.checked_sub(*before),
        _ => {
            let has_begun = series.range(..to).next().is_some();
            let goes_on = series.range(to..).next().is_some();
            (!has_begun || !goes_on).then_some(0)
        }
    }
}
