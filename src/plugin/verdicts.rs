//! What the watching worker makes of what all workers know of the shadows.

use super::root::InForce;
use super::shadows::key;
use super::store;
use crate::gate::{Pair, Sample, Shadowed};
use crate::health::kept;
use crate::policy::{Policy, Shadow};
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

    /// Takes that of a route, if any worker has stored it.
    fn take(&mut self, route: &str) -> Option<Stored> {
        let place = self.0.iter().position(|(name, _)| name == route)?;
        Some(self.0.swap_remove(place).1)
    }
}

/// The shadow of one route, as all workers together know it.
#[derive(Debug)]
pub struct Known<'r> {
    /// What was counted and found.
    pub stored: Stored,
    rule: Option<&'r Rule>,
}

impl Known<'_> {
    /// The verdict and what it rests on; none if answers are not compared.
    pub fn report(&self) -> Option<Report<'_>> {
        Some(self.stored.evidence.as_ref()?.report(self.rule?))
    }
}

/// What is kept of a route that has a shadow.
#[derive(Debug)]
struct OfRoute {
    /// By which it is judged; none if answers are not compared.
    rule: Option<Rule>,
    /// The equal and the differing pairs that its gate was told of.
    told: Option<(u64, u64)>,
}

/// The verdicts on the routes of a policy.
#[derive(Debug)]
pub struct Verdicts(Vec<Option<OfRoute>>);

impl Verdicts {
    /// Nothing was told yet.
    pub fn new(policy: &Policy) -> Self {
        let of_route = |shadow: &Shadow| OfRoute {
            rule: shadow
                .settings
                .comparing
                .as_ref()
                .map(|of| Rule::new(of.verdict)),
            told: None,
        };
        let shadows = policy.shadows.iter();
        Self(
            shadows
                .map(|shadow| shadow.as_ref().map(of_route))
                .collect(),
        )
    }

    /// What is known of the route at `index`, taken out of `stored`; none if it has no shadow.
    pub fn known(
        &self,
        policy: &Policy,
        index: usize,
        stored: &mut AllStored,
    ) -> Option<Known<'_>> {
        let rule = self.0.get(index)?.as_ref()?.rule.as_ref();
        let route = policy.assigner.routes.get(index)?;
        let mut stored = stored.take(&route.name).unwrap_or_default();
        if let Some(rule) = rule {
            // What is about another revision is no evidence about this one.
            let known = stored.evidence.filter(|evidence| evidence.is_about(rule));
            stored.evidence = Some(known.unwrap_or_else(|| Evidence::new(rule)));
        }
        Some(Known { stored, rule })
    }

    /// Shows the verdict on the route at `index`, and gives what its gate is to be told.
    pub fn look(
        &mut self,
        in_force: &InForce,
        policy: &Policy,
        index: usize,
        stored: &mut AllStored,
    ) -> Option<Shadowed> {
        let known = self.known(policy, index, stored)?;
        let verdict = known.report()?.verdict;
        if let Some(stats) = in_force.stats.shadow(index) {
            stats.show(verdict);
        }
        let raw = known.stored.tally.pairs(verdict::Pair::Raw);
        let failed = (verdict == Verdict::Fail).then(|| Pair {
            stable: sample(known.stored.tally.pairs(verdict::Pair::Noise)),
            canary: sample(raw),
        });
        let (pairs, differing) = self.0.get_mut(index)?.as_mut()?.came(raw);
        Some(Shadowed {
            pairs,
            differing,
            failed,
        })
    }
}

impl OfRoute {
    /// The pairs, and those that differed, since the last look; none at the first.
    fn came(&mut self, (equal, differing): (u64, u64)) -> (u64, u64) {
        let told = self.told.replace((equal, differing));
        let (was_equal, was_differing) = told.unwrap_or((equal, differing));
        let differing = differing.saturating_sub(was_differing);
        let equal = equal.saturating_sub(was_equal);
        (equal.saturating_add(differing), differing)
    }
}

fn sample((equal, differing): (u64, u64)) -> Sample {
    Sample::of(equal.saturating_add(differing), differing)
}
