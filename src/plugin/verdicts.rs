//! What the watching worker makes of what all workers know of the shadows.

use super::root::InForce;
use super::shadows::key;
use super::store;
use crate::gate::{Pair, Sample, Shadowed};
use crate::health::kept;
use crate::policy::Policy;
use crate::shadow::stored::Stored;
use crate::shadow::verdict::{self, Evidence, Report, Rule, Verdict};

/// What all workers know of the shadows of a policy, by route.
#[derive(Debug, Default)]
pub struct AllStored(Vec<(String, Stored)>);

impl AllStored {
    /// Reads those of the routes that `wanted` names by their places; nothing is read if none of
    /// them has a shadow.
    pub fn read(policy: &Policy, wanted: impl Fn(usize) -> bool) -> Self {
        let routes = policy.assigner.routes.iter().zip(&policy.shadows);
        let routes = routes.enumerate();
        let names: Vec<&str> = routes
            .filter(|(index, (_, shadow))| shadow.is_some() && wanted(*index))
            .map(|(_, (route, _))| route.name.as_str())
            .collect();
        let holds = |bundle: &usize| names.iter().any(|name| kept::bundle(name) == *bundle);
        let bundles = (0..kept::BUNDLES).filter(holds);
        let values = store::values(bundles.map(|bundle| key(&policy.name, bundle)));
        let entries = values.iter().flat_map(|value| kept::read(value));
        let entries = entries.filter(|(name, _)| names.contains(name));
        Self(
            entries
                .map(|(name, bytes)| (name.to_owned(), Stored::from_bytes(bytes)))
                .collect(),
        )
    }

    /// That of a route, if any worker has stored it.
    fn of(&self, route: &str) -> Option<&Stored> {
        let (_, stored) = self.0.iter().find(|(name, _)| name == route)?;
        Some(stored)
    }
}

/// The shadow of one route, as all workers together know it.
#[derive(Debug, Default)]
pub struct Known {
    /// What was counted and found.
    pub stored: Stored,
    rule: Option<Rule>,
}

impl Known {
    /// That of the route at `index`; none if it has no shadow.
    pub fn of(policy: &Policy, index: usize, stored: &AllStored) -> Option<Self> {
        let route = policy.assigner.routes.get(index)?;
        let settings = &policy.shadows.get(index)?.as_ref()?.settings;
        let rule = settings.comparing.as_ref().map(|of| Rule::new(of.verdict));
        let mut stored = stored.of(&route.name).cloned().unwrap_or_default();
        if let Some(rule) = &rule {
            // What is about another revision is no evidence about this one.
            let known = stored.evidence.filter(|evidence| evidence.is_about(rule));
            stored.evidence = Some(known.unwrap_or_else(|| Evidence::new(rule)));
        }
        Some(Self { stored, rule })
    }

    /// The verdict and what it rests on; none if answers are not compared.
    pub fn report(&self) -> Option<Report<'_>> {
        Some(self.stored.evidence.as_ref()?.report(self.rule.as_ref()?))
    }
}

/// The pairs that were told to each route's gate.
#[derive(Debug, Default)]
pub struct Verdicts {
    told: Vec<Option<(u64, u64)>>,
}

impl Verdicts {
    /// Shows the verdict on the route at `index`, and gives what its gate is to be told.
    pub fn look(
        &mut self,
        in_force: &InForce,
        policy: &Policy,
        index: usize,
        stored: &AllStored,
    ) -> Option<Shadowed> {
        let known = Known::of(policy, index, stored)?;
        let report = known.report()?;
        if let Some(stats) = in_force.stats.shadow(index) {
            stats.show(report.verdict);
        }
        let raw = known.stored.tally.pairs(verdict::Pair::Raw);
        let (pairs, differing) = self.came(index, raw);
        let failed = (report.verdict == Verdict::Fail).then(|| Pair {
            stable: sample(known.stored.tally.pairs(verdict::Pair::Noise)),
            canary: sample(raw),
        });
        Some(Shadowed {
            pairs,
            differing,
            failed,
        })
    }

    /// The pairs, and those that differed, since the last look; none at the first.
    fn came(&mut self, index: usize, (equal, differing): (u64, u64)) -> (u64, u64) {
        if self.told.len() <= index {
            self.told.resize(index.saturating_add(1), None);
        }
        let Some(told) = self.told.get_mut(index) else {
            return (0, 0);
        };
        let (was_equal, was_differing) = told
            .replace((equal, differing))
            .unwrap_or((equal, differing));
        let differing = differing.saturating_sub(was_differing);
        (
            equal.saturating_sub(was_equal).saturating_add(differing),
            differing,
        )
    }
}

fn sample((equal, differing): (u64, u64)) -> Sample {
    Sample::of(equal.saturating_add(differing), differing)
}
