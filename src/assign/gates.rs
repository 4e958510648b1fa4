//! How far the gates let callers through to their variants.
//!
//! Who judges the variants hands this in with each decision; it is no part of the policy, and may
//! differ between proxies. Slots and keys stay what they are under it, so a gate that opens again
//! lets the very callers in that it kept out. Who judges also says which flags are shed.

use super::ramp::Millis;
use super::route::{Route, RouteId};
use super::share::Share;

/// What one gate lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Passage {
    /// Whoever the policy gives the variant.
    #[default]
    Open,
    /// Of those the callers on the first slots of the variant's, up to this share of all slots: one
    /// that grows moves nobody out. What rules and earlier hops chose is let in by the same slots,
    /// whatever the variant's own share; a request without a key is not.
    Probing(Share),
    /// Nobody but for rules that say `evenShut`.
    Shut,
}

impl Passage {
    /// The word for it in access logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Probing(_) => "probing",
            Self::Shut => "shut",
        }
    }

    /// The most that this lets of a share.
    fn most(self) -> Share {
        match self {
            Self::Open => Share::ALL,
            Self::Probing(share) => share,
            Self::Shut => Share::NONE,
        }
    }
}

/// One variant's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// What it lets through.
    pub passage: Passage,
    /// The variant's share is at most this: for ramps that are stopped where they are. A ramp that
    /// is to go on where it stopped gets its share at an earlier moment.
    pub ceiling: Share,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            passage: Passage::Open,
            ceiling: Share::ALL,
        }
    }
}

/// The gates of all routes, and which flags are shed. A gate that is not named is open and has no
/// ceiling, a flag that is not named is not shed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    routes: Vec<Vec<Gate>>,
    shed: Vec<bool>,
}

impl Gates {
    /// All are open, and no flag is shed.
    pub const OPEN: Self = Self {
        routes: Vec::new(),
        shed: Vec::new(),
    };

    /// The gates of each route's variants, in the order of the policy.
    pub fn new(gates: Vec<Vec<Gate>>) -> Self {
        Self {
            routes: gates,
            shed: Vec::new(),
        }
    }

    /// The same with these flags shed, in the order of the policy.
    #[must_use]
    pub fn with_shed(self, shed: Vec<bool>) -> Self {
        Self { shed, ..self }
    }

    /// The same with those flags shed that are so in `other`.
    #[must_use]
    pub fn with_shed_of(self, other: &Self) -> Self {
        self.with_shed(other.shed.clone())
    }

    /// Whether the flag at this place in the policy is shed.
    pub fn is_shed(&self, flag: usize) -> bool {
        self.shed.get(flag).copied().unwrap_or(false)
    }

    /// The gate of `route`'s variant at the place `variant`.
    pub fn of(&self, route: RouteId, variant: usize) -> Gate {
        let gate = self.routes.get(route.0);
        let gate = gate.and_then(|route| route.get(variant));
        gate.copied().unwrap_or_default()
    }

    /// What the first of `route`'s gates that is not open lets through; open if all of them are.
    pub fn narrowest(&self, route: RouteId) -> Passage {
        let gates = self.routes.get(route.0).into_iter().flatten();
        let mut passages = gates.map(|gate| gate.passage);
        let is_narrow = |passage: &Passage| *passage != Passage::Open;
        passages.find(is_narrow).unwrap_or_default()
    }

    /// The share by the policy at `now`, up to the ceiling; the gate itself is not asked.
    pub(super) fn drawn(&self, route: &Route, variant: usize, now: Millis) -> Share {
        let schedule = route.variants.get(variant).map(|v| v.schedule.at(now));
        let share = schedule.unwrap_or(Share::NONE);
        share.min(self.of(route.id, variant).ceiling)
    }

    /// The part of that which gets through.
    pub(super) fn let_in(&self, route: &Route, variant: usize, now: Millis) -> Share {
        let most = self.of(route.id, variant).passage.most();
        self.drawn(route, variant, now).min(most)
    }
}
