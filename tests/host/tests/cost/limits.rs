//! The limits, and what is beyond them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::table::Measured;

/// A limit, and why it is what it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The most instructions; for growth, of one step.
    pub instructions: u64,
    /// The most host calls.
    pub calls: Option<usize>,
    /// Where it comes from; each raise says here what it is for.
    pub why: String,
}

/// All limits, by what they limit.
#[derive(Debug, Deserialize)]
pub struct Limits {
    /// The most bytes of code that a callback may have.
    pub code: BTreeMap<String, usize>,
    #[serde(flatten)]
    costs: BTreeMap<String, Limit>,
}

/// A folder of the workspace.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("a member two folders below the workspace")
        .to_owned()
}

impl Limits {
    /// Those of `benches/limits.toml`.
    pub fn read() -> Self {
        let path = workspace().join("benches/limits.toml");
        let text = std::fs::read_to_string(path).expect("benches/limits.toml");
        toml::from_str(&text).unwrap_or_else(|error| panic!("benches/limits.toml: {error}"))
    }

    pub fn of(&self, name: &str) -> Option<&Limit> {
        self.costs.get(name)
    }

    /// One line for each cost beyond its limit, each cost without a limit, and each limit that is of
    /// nothing or has no reason.
    pub fn problems(
        &self,
        measured: &[Measured],
        steps: impl Iterator<Item = Measured>,
    ) -> Vec<String> {
        let measured: Vec<Measured> = measured.iter().cloned().chain(steps).collect();
        let beyond = measured.iter().flat_map(|one| self.beyond(one));
        let stale = self.costs.iter().filter_map(|(name, limit)| {
            let known = measured.iter().any(|one| one.name == *name);
            match (known, limit.why.is_empty()) {
                (false, _) => Some(format!("{name}: the limit is of nothing that is measured")),
                (true, true) => Some(format!("{name}: the limit has no reason")),
                (true, false) => None,
            }
        });
        beyond.chain(stale).collect()
    }

    fn beyond(&self, one: &Measured) -> Vec<String> {
        let Some(limit) = self.of(&one.name) else {
            return vec![format!("{}: no limit in benches/limits.toml", one.name)];
        };
        let mut problems = Vec::new();
        if one.instructions > limit.instructions {
            problems.push(format!(
                "{}: {} instructions, and the limit is {}",
                one.name, one.instructions, limit.instructions
            ));
        }
        match (one.calls, limit.calls) {
            (Some(made), Some(most)) if made > most => problems.push(format!(
                "{}: {made} host calls, and the limit is {most}",
                one.name
            )),
            (Some(_), None) => problems.push(format!("{}: no limit of host calls", one.name)),
            (None, Some(_)) => problems.push(format!("{}: host calls are not counted", one.name)),
            _ => {}
        }
        problems
    }
}
