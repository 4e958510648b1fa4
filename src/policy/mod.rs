//! Text becomes a checked policy; the only place that knows JSON or YAML.
//!
//! In three steps: text into a [`tree`] (by [`json`], or YAML on the command line), the tree into the
//! [`raw`] vocabulary, and that into what the other folders work with. The second and third never
//! stop at the first problem. A policy with any problem is refused whole.

mod check;
pub mod decode;
#[cfg(feature = "cli")]
pub mod find;
pub mod json;
pub mod problem;
pub mod raw;
#[cfg(feature = "cli")]
pub mod reference;
mod support;
pub mod tree;
pub mod value;
#[cfg(feature = "cli")]
pub mod yaml;

use crate::assign::Assigner;
use crate::assign::condition::Condition;
use crate::assign::gates::{self, Gates, Passage};
use crate::assign::ramp::Millis;
use crate::gate;
use crate::health;
use crate::health::experiment::Experiment;
use crate::report::page::Page;
use crate::rescue;
use crate::shadow;
use decode::Decode;
use problem::{Problem, Problems, Refusal};
use tree::Node;

/// The default of `name`.
pub const DEFAULT_NAME: &str = "serinus";

/// A policy that makes sense.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The prefix of what is kept in shared data.
    pub name: String,
    /// Who gets which variant.
    pub assigner: Assigner,
    /// Who may ask for reasons: all must hold; nobody may without.
    pub explain: Option<Vec<Condition>>,
    /// Whether decisions are told to access logs.
    pub access_log: bool,
    /// Whether it is looked at what became of requests.
    pub outcomes: bool,
    /// What is counted of each route, in the order of the routes.
    pub health: Vec<health::Settings>,
    /// The gates of each route, in the order of the routes. A route with variants has gates,
    /// whether it says so or not.
    pub gates: Vec<gate::RouteSettings>,
    /// The shadow of each route, in the order of the routes.
    pub shadows: Vec<Option<Shadow>>,
    /// The rescue of each route, in the order of the routes.
    pub rescues: Vec<Option<rescue::Settings>>,
    /// The experiment of each route, in the order of the routes.
    pub experiments: Vec<Option<Experiment>>,
    /// What is beside the decision of each flag, in the order of the flags.
    pub flag_lives: Vec<FlagLife>,
    /// The pages that the filter serves.
    pub page: Option<Page>,
    /// What its author should know of it, now or from some day on.
    warnings: Vec<Problem>,
}

/// What becomes of a flag beside its decisions.
#[derive(Debug, Clone)]
pub struct FlagLife {
    /// The day from which it is old, in days since 1970.
    pub expires: Option<i64>,
    /// When it gives way.
    pub shed: Option<Shedding>,
}

impl FlagLife {
    /// Whether it is old.
    pub fn is_old(&self, now: Millis) -> bool {
        self.expires.is_some_and(|day| day <= day_of(now))
    }
}

/// When a flag gives way.
#[derive(Debug, Clone)]
pub struct Shedding {
    /// Whose signals, by its place in the policy.
    pub route: usize,
    /// Which.
    pub settings: gate::shed::Settings,
}

/// Days since 1970.
fn day_of(now: Millis) -> i64 {
    const DAY: i64 = 86_400_000;
    now.0.div_euclid(DAY)
}

/// The shadow of a route.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// Which requests it takes beside share and methods: all must hold.
    pub when: Vec<Condition>,
    /// What is copied, and how answers are compared.
    pub settings: shadow::Settings,
}

impl Policy {
    /// What its author should know of it at this time.
    pub fn warnings(&self, now: Millis) -> impl Iterator<Item = &Problem> {
        let today = day_of(now);
        let holds = move |warning: &&Problem| warning.from_day.is_none_or(|day| day <= today);
        self.warnings.iter().filter(holds)
    }

    /// The shadow of the route at this place.
    pub fn shadow(&self, route: usize) -> Option<&Shadow> {
        self.shadows.get(route)?.as_ref()
    }

    /// The rescue of the route at this place.
    pub fn rescue(&self, route: usize) -> Option<&rescue::Settings> {
        self.rescues.get(route)?.as_ref()
    }

    /// The experiment of the route at this place.
    pub fn experiment(&self, route: usize) -> Option<&Experiment> {
        self.experiments.get(route)?.as_ref()
    }

    /// Whether a gate that shuts ends what is under way on the route at this place.
    pub fn cuts(&self, route: usize) -> bool {
        let gates = self.gates.get(route);
        gates.is_some_and(|gates| gates.long_lived == gate::LongLived::Cut)
    }

    /// The gates as far as people hold them: where each stands before anything was judged.
    pub fn held_gates(&self) -> Gates {
        let of = |settings: &gate::Settings| gates::Gate {
            passage: match settings.held {
                Some(gate::Held::Shut) => Passage::Shut,
                Some(gate::Held::Open) | None => Passage::Open,
            },
            ..gates::Gate::default()
        };
        let routes = self.gates.iter();
        Gates::new(
            routes
                .map(|route| route.variants.iter().map(of).collect())
                .collect(),
        )
    }
}

/// Reads JSON text, as the filter is handed it.
///
/// # Errors
/// Every problem of the policy.
pub fn read(text: &[u8]) -> Result<Policy, Refusal> {
    check(&json::read(text)?)
}

/// Checks a policy that was read into a tree; problems get the tree's lines.
///
/// # Errors
/// Every problem of the policy.
pub fn check(tree: &Node) -> Result<Policy, Refusal> {
    let mut problems = Problems::default();
    support::refuse(tree, &mut problems);
    let raw = raw::Policy::decode(tree, &mut problems);
    let policy = raw.and_then(|raw| check::policy(&raw, &mut problems));
    match policy {
        Some(policy) if problems.none() => Ok(Policy {
            warnings: problems.into_warnings(tree),
            ..policy
        }),
        _ => Err(problems.into_refusal(Some(tree))),
    }
}
