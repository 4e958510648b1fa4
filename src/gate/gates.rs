//! All gates of one route, as the worker that judges runs them.
//!
//! Each variant has a gate of its own; the error budget is the route's. While a gate is not open, or
//! while too little of the budget is left, the ramp of its variant stands still: the time is taken
//! off the ramp's clock ([`Gates::stopped`]), so that it goes on from where it stood and does not
//! jump to where it would have been.
//!
//! Gates are known by the names of their variants, so that a policy that reorders them judges on.

use super::budget::Budget;
use super::input::{At, Tick};
use super::settings::RouteSettings;
use super::store::{MAX_BYTES, Magic, seal, unseal};
use super::words::{Change, Position, Reason};
use super::{Gate, Settings};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const MAGIC: Magic = *b"SGs\x03";

/// A gap of more than this between two ticks is a clock that was set: it counts as a second.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// The key of a bundle of routes; `name` is the policy's.
pub fn key(name: &str, bundle: usize) -> String {
    format!("{name}.gate.{bundle}")
}

/// The gates of a route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gates {
    variants: Vec<Variant>,
    budget: Budget,
    last: Option<At>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Variant {
    name: String,
    gate: Gate,
    stopped_ms: u64,
}

/// A change, and the place of the variant whose gate made it.
pub type Told = (usize, Change);

/// Requests of all sides of the route and those of them that were errors, since the last tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Requests.
    pub requests: u64,
    /// Errors.
    pub errors: u64,
}

impl Gates {
    /// The gates of the variants `names`, as `settings` have them. What `kept` holds of them goes on
    /// unless the settings say otherwise, which is told. One that is not kept (what was kept is of
    /// another version, or damaged) begins shut if `was_shut` says so of its variant and revision.
    pub fn take_up<'n>(
        kept: Option<Self>,
        settings: &RouteSettings,
        names: impl Iterator<Item = &'n str>,
        was_shut: impl Fn(&str, &str) -> bool,
        at: At,
    ) -> (Self, Vec<Told>) {
        let mut kept = kept.unwrap_or_default();
        let mut told = Vec::new();
        let mut variants = Vec::new();
        for (place, (name, settings)) in names.zip(&settings.variants).enumerate() {
            let known = kept.variants.iter().position(|known| known.name == name);
            let mut variant = known.map_or_else(
                || Variant {
                    name: name.to_owned(),
                    gate: match was_shut(name, &settings.revision) {
                        true => Gate::shut(settings),
                        false => Gate::new(settings),
                    },
                    stopped_ms: 0,
                },
                |known| kept.variants.swap_remove(known),
            );
            if let Some(change) = variant.gate.configure(settings, at) {
                if change.reason == Reason::Revision {
                    variant.stopped_ms = 0;
                }
                told.push((place, change));
            }
            variants.push(variant);
        }
        let gates = Self {
            variants,
            budget: kept.budget,
            last: kept.last,
        };
        (gates, told)
    }

    /// Judges a tick: `tick` gives what came to the variant at a place and to stable, counted by the
    /// thresholds of its gate.
    pub fn judge(
        &mut self,
        settings: &RouteSettings,
        at: At,
        spent: Spent,
        tick: impl Fn(usize, &Gate) -> Tick,
    ) -> Vec<Told> {
        let elapsed = self.elapsed(at);
        if let Some(budget) = &settings.budget {
            self.budget
                .learn(budget, spent.requests, spent.errors, elapsed);
        }
        let frozen = self.is_frozen(settings);
        let mut told = Vec::new();
        let variants = self.variants.iter_mut().zip(&settings.variants);
        for (place, (variant, settings)) in variants.enumerate() {
            let tick = tick(place, &variant.gate);
            let change = variant.gate.tick(settings, &tick);
            told.extend(change.map(|change| (place, change)));
            if frozen || variant.gate.position() != Position::Open {
                let millis = u64::try_from(elapsed.as_millis()).unwrap_or(0);
                variant.stopped_ms = variant.stopped_ms.saturating_add(millis);
            }
        }
        told
    }

    fn elapsed(&mut self, at: At) -> Duration {
        let since = self.last.replace(at).and_then(|last| at.since(last));
        since
            .filter(|gap| *gap <= LONGEST_GAP)
            .unwrap_or(Duration::from_secs(1))
    }

    /// The gate of the variant at `place`.
    pub fn gate(&self, place: usize) -> Option<&Gate> {
        self.variants.get(place).map(|variant| &variant.gate)
    }

    /// How long the ramp of the variant at `place` has stood still, in milliseconds.
    pub fn stopped(&self, place: usize) -> u64 {
        self.variants
            .get(place)
            .map_or(0, |variant| variant.stopped_ms)
    }

    /// The part of the error budget that is left; nothing if the route has none.
    pub fn budget_left(&self, settings: &RouteSettings) -> Option<f64> {
        let budget = settings.budget.as_ref()?;
        Some(self.budget.left(budget))
    }

    /// Whether ramps stand still because too little of the budget is left.
    pub fn is_frozen(&self, settings: &RouteSettings) -> bool {
        let budget = settings.budget.as_ref();
        budget.is_some_and(|budget| self.budget.freezes(budget))
    }

    /// The gates as bytes, at most [`MAX_BYTES`] for each variant.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let most = self.variants.len().max(1).saturating_mul(MAX_BYTES);
        seal(MAGIC, self).filter(|bytes| bytes.len() <= most)
    }

    /// What [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        unseal(MAGIC, bytes)
    }

    /// The gates beside their settings.
    pub fn with<'s>(
        &self,
        settings: &'s RouteSettings,
    ) -> impl Iterator<Item = (&Gate, &'s Settings)> {
        let gates = self.variants.iter().map(|variant| &variant.gate);
        gates.zip(&settings.variants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{BudgetSettings, Held, LongLived};

    const NAMES: [&str; 2] = ["canary", "other"];

    fn settings() -> RouteSettings {
        RouteSettings {
            variants: vec![Settings::default(), Settings::default()],
            budget: None,
            long_lived: LongLived::Keep,
        }
    }

    fn held(held: Option<Held>) -> RouteSettings {
        let mut settings = settings();
        settings.variants[0].held = held;
        settings
    }

    fn take_up(kept: Option<Gates>, settings: &RouteSettings) -> (Gates, Vec<Told>) {
        Gates::take_up(kept, settings, NAMES.into_iter(), |_, _| false, At(0))
    }

    fn second(gates: &mut Gates, settings: &RouteSettings, at: u64, errors: u64) {
        let spent = Spent {
            requests: 1_000,
            errors,
        };
        let none = |_: usize, _: &Gate| Tick {
            at: At(at * 1_000),
            ..Tick::default()
        };
        gates.judge(settings, At(at * 1_000), spent, none);
    }

    #[test]
    fn gates_go_on_by_the_names_of_their_variants() {
        let shut = held(Some(Held::Shut));
        let (gates, told) = take_up(None, &shut);
        assert!(told.is_empty(), "it begins so");
        let kept = Gates::from_bytes(&gates.to_bytes().unwrap());
        let mut turned = settings();
        turned.variants[1].held = Some(Held::Shut);
        let names = ["other", "canary"].into_iter();
        let (gates, told) = Gates::take_up(kept, &turned, names, |_, _| false, At(0));
        assert!(told.is_empty());
        assert_eq!(gates.gate(1).unwrap().position(), Position::Shut);
        assert_eq!(gates.gate(0).unwrap().position(), Position::Open);
    }

    #[test]
    fn a_gate_of_which_only_the_orders_are_left_begins_as_they_say() {
        let was_shut = |variant: &str, revision: &str| variant == "other" && revision.is_empty();
        let names = || NAMES.into_iter();
        let (gates, told) = Gates::take_up(None, &settings(), names(), was_shut, At(0));
        assert!(told.is_empty());
        assert_eq!(gates.gate(0).unwrap().position(), Position::Open);
        assert_eq!(gates.gate(1).unwrap().position(), Position::Shut);
        let mut next = settings();
        next.variants[1].revision = "2".to_owned();
        let (gates, _) = Gates::take_up(None, &next, names(), was_shut, At(0));
        assert_eq!(gates.gate(1).unwrap().position(), Position::Open);
    }

    #[test]
    fn a_new_revision_is_told_and_starts_the_ramp_afresh() {
        let shut = held(Some(Held::Shut));
        let (mut gates, _) = take_up(None, &shut);
        (1..=10).for_each(|at| second(&mut gates, &shut, at, 0));
        assert_eq!((gates.stopped(0), gates.stopped(1)), (10_000, 0));
        let mut next = held(None);
        next.variants[0].revision = "2".to_owned();
        let (gates, told) = take_up(Some(gates), &next);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1.reason, Reason::Revision);
        assert_eq!(gates.stopped(0), 0);
    }

    #[test]
    fn a_ramp_stands_still_while_its_gate_is_not_open_and_goes_on_after() {
        let shut = held(Some(Held::Shut));
        let (mut gates, _) = take_up(None, &shut);
        (1..=10).for_each(|at| second(&mut gates, &shut, at, 0));
        let open = held(None);
        let (mut gates, told) = take_up(Some(gates), &open);
        assert_eq!(told[0].1.reason, Reason::Released);
        (11..=20).for_each(|at| second(&mut gates, &open, at, 0));
        assert_eq!(gates.stopped(0), 10_000);
        // A clock that jumps stops nothing for longer than a second.
        second(&mut gates, &shut, 1_000_000, 0);
        assert_eq!(gates.stopped(0), 10_000);
    }

    #[test]
    fn ramps_stand_still_while_the_budget_is_spent() {
        let mut settings = settings();
        settings.budget = Some(BudgetSettings {
            objective: 0.999,
            window: Duration::from_secs(4_800),
            freeze_below: 0.1,
        });
        let (mut gates, _) = take_up(None, &settings);
        second(&mut gates, &settings, 1, 0);
        assert_eq!(gates.stopped(0), 0);
        assert_eq!(gates.budget_left(&settings), Some(1.0));
        second(&mut gates, &settings, 2, 500);
        second(&mut gates, &settings, 3, 0);
        assert!(gates.is_frozen(&settings));
        assert_eq!((gates.stopped(0), gates.stopped(1)), (2_000, 2_000));
        assert_eq!(gates.budget_left(&settings), Some(0.0));
    }

    #[test]
    fn foreign_bytes_are_no_gates() {
        let bytes = take_up(None, &settings()).0.to_bytes().unwrap();
        assert!(Gates::from_bytes(&bytes).is_some());
        assert!(Gates::from_bytes(&bytes[1..]).is_none());
        assert!(Gates::from_bytes(b"SGs\x02").is_none());
    }
}
