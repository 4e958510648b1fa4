//! Flags: counted by all workers; shed by the one that watches, and obeyed by all.

use super::host::{self, Level};
use super::root::InForce;
use super::series::Id;
use super::stats::Pending;
use crate::assign::flags::{Flag, Told};
use crate::assign::ramp::Millis;
use crate::assign::share::Share;
use crate::bounds::within;
use crate::gate::shed::{self, Change, Shed};
use crate::health::counters::Counters;
use crate::health::tick::{During, Thresholds, tick};
use crate::policy::{FlagLife, Policy};
use crate::report::metric;
use crate::text::number;

/// The metrics of all flags.
#[derive(Debug, Default)]
pub struct FlagStats(Vec<Series>);

#[derive(Debug)]
struct Series {
    values: Vec<Pending>,
    /// There if the flag can be shed.
    shed: Option<Id>,
}

impl FlagStats {
    /// Those of the flags of `policy`.
    pub fn define(policy: Option<&Policy>) -> Self {
        let series = |(flag, life): (&Flag, &FlagLife)| {
            let value = |value: &String| {
                let metric = &metric::FLAG_DECISIONS;
                Pending::of(metric, &[&flag.name, value])
            };
            let metric = &metric::FLAG_SHED;
            let shed = || Id::define(metric, &metric.with(&[&flag.name]));
            Series {
                values: flag.values.iter().map(value).collect(),
                shed: life.shed.as_ref().map(|_| shed()),
            }
        };
        Self(policy.map_or_else(Vec::new, |policy| both(policy).map(series).collect()))
    }

    /// Counts the flags of a request.
    #[inline(never)]
    pub fn count(&self, told: &Told<'_>) {
        for (series, given) in self.0.iter().zip(&told.given) {
            if let Some(value) = series.values.get(given.value) {
                value.count(1);
            }
        }
    }

    /// Tells what was counted.
    pub fn tell(&self) {
        let values = self.0.iter().flat_map(|series| &series.values);
        values.for_each(Pending::tell);
    }

    /// How often each value of a flag was given, in the whole proxy.
    pub fn counts(&self, flag: usize) -> Vec<u64> {
        let series = self.0.get(flag);
        let values = series.map_or(&[][..], |series| &series.values);
        values.iter().map(Pending::told).collect()
    }

    /// Says of a flag whether it is shed.
    fn show(&self, flag: usize, is_shed: bool) {
        let shed = self.0.get(flag).and_then(|series| series.shed);
        if let Some(shed) = shed {
            shed.set(u64::from(is_shed));
        }
    }

    /// Sets the gauges to 0 of what `policy`, whose metrics these are, has and `successor` has not.
    pub fn retire(&self, policy: &Policy, successor: &Policy) {
        for (place, (flag, _)) in both(policy).enumerate() {
            let stays =
                |(known, life): (&Flag, &FlagLife)| known.name == flag.name && life.shed.is_some();
            if !both(successor).any(stays) {
                self.show(place, false);
            }
        }
    }
}

fn both(policy: &Policy) -> impl Iterator<Item = (&Flag, &FlagLife)> {
    policy.assigner.flags.iter().zip(&policy.flag_lives)
}

/// Which flags are shed, as the worker that judges says; nothing if it says nothing that can be
/// read, or none can be shed.
pub fn shed_now(policy: &Policy) -> Option<Vec<bool>> {
    if policy.flag_lives.iter().all(|life| life.shed.is_none()) {
        return None;
    }
    let told = host::shared(&shed::key(&policy.name)).ok()?;
    let is_shed = |(flag, life): (&Flag, &FlagLife)| match &told {
        Some(told) => Some(shed::is_in(told, &flag.name)? && life.shed.is_some()),
        None => Some(false),
    };
    both(policy).map(is_shed).collect()
}

/// The flags that can be shed, as the worker that judges has them.
#[derive(Debug)]
pub struct Sheds(Vec<Option<Watched>>);

#[derive(Debug)]
struct Watched {
    shed: Shed,
    /// The last look.
    looked: Millis,
}

/// The longest time between two looks that is believed, in seconds.
const LONGEST_GAP: f64 = 10.0;

impl Sheds {
    /// Takes up what a predecessor told.
    pub fn begin(policy: &Policy, now: Millis) -> Self {
        let told = shed_now(policy).unwrap_or_default();
        let lives = policy.flag_lives.iter().enumerate();
        let watched = lives.map(|(place, life)| {
            let was_shed = told.get(place).copied().unwrap_or(false);
            let shedding = life.shed.as_ref()?;
            Some(Watched {
                shed: Shed::new(&shedding.settings, was_shed),
                looked: now,
            })
        });
        Self(watched.collect())
    }

    /// Whether a flag is shed; nothing if it can't be.
    pub fn is_shed(&self, flag: usize) -> Option<bool> {
        let watched = self.0.get(flag)?.as_ref()?;
        Some(watched.shed.is_shed())
    }

    /// Judges what `came` to the sides of the route at `index` since the last look.
    pub fn judge(
        &mut self,
        in_force: &InForce,
        policy: &Policy,
        index: usize,
        came: Option<&[Counters]>,
        now: Millis,
    ) {
        for ((place, watched), (flag, life)) in self.0.iter_mut().enumerate().zip(both(policy)) {
            let shedding = life.shed.as_ref().filter(|shed| shed.route == index);
            let (Some(shedding), Some(watched)) = (shedding, watched) else {
                continue;
            };
            let seconds = now.0.saturating_sub(watched.looked.0) as f64 / 1_000.0;
            watched.looked = now;
            if let Some(came) = came {
                let tick = all_sides(came, now);
                let seconds = within(seconds, 0.0, LONGEST_GAP);
                let change = watched.shed.learn(&shedding.settings, &tick, seconds);
                if let Some(change) = change {
                    let route = policy.assigner.routes.get(index);
                    let route = route.map_or("", |route| &route.name);
                    host::log(Level::Warn, &line(&flag.name, route, change));
                }
            }
            in_force.stats.flags.show(place, watched.shed.is_shed());
        }
    }

    /// Tells all workers which flags are shed, if anything else stands there.
    pub fn order(&self, policy: &Policy) {
        if self.0.iter().all(Option::is_none) {
            return;
        }
        let flags = policy.assigner.flags.iter().enumerate();
        let shed = flags.filter(|(place, _)| self.is_shed(*place) == Some(true));
        let bytes = shed::write(shed.map(|(_, flag)| flag.name.as_str()));
        let key = shed::key(&policy.name);
        if host::shared(&key).ok().flatten().as_deref() != Some(&bytes) {
            let _ = host::set_shared(&key, &bytes);
        }
    }
}

/// All that came to a route, in the place of a canary.
fn all_sides(came: &[Counters], now: Millis) -> crate::gate::Tick {
    let mut all = Counters::default();
    came.iter().for_each(|side| all.merge(side));
    let during = During {
        at: now,
        share: Share::ALL,
        stable_share: Share::NONE,
    };
    let sides = [Counters::default(), all];
    tick(Some(&sides), 1, Thresholds::default(), during, None)
}

fn line(flag: &str, route: &str, change: Change) -> String {
    match change {
        Change::Shed(quantity, sample) => format!(
            "serinus: flag {flag} is shed: {} of {route} is beyond its limit, over {} requests",
            quantity.as_str(),
            number(sample.n.round()),
        ),
        Change::Restored => format!("serinus: flag {flag} is itself again: {route} is well"),
    }
}
