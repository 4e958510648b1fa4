//! Which host calls were made, and which a test allows.

use std::collections::BTreeMap;
use std::fmt;

use crate::abi::Callback;
use crate::functions;

/// One call of the filter into the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// The callback in which the filter made it.
    pub callback: Callback,
    /// The import's name, such as `proxy_get_property`.
    pub function: &'static str,
    /// What it was about, for people: the first text among its arguments.
    pub subject: String,
}

/// The host calls of one request, of one configuration or of one tick, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(Vec<HostCall>);

impl Calls {
    /// Number of calls.
    pub fn total(&self) -> usize {
        self.0.len()
    }

    /// Number of calls of one function.
    pub fn count(&self, function: &str) -> usize {
        self.0
            .iter()
            .filter(|call| call.function == function)
            .count()
    }

    /// The calls made in one callback.
    pub fn during(&self, callback: Callback) -> Self {
        self.iter()
            .filter(|call| call.callback == callback)
            .cloned()
            .collect()
    }

    /// Each call in order.
    pub fn iter(&self) -> impl Iterator<Item = &HostCall> {
        self.0.iter()
    }

    /// Each function that was called and how often, sorted by name.
    pub fn table(&self) -> Vec<(&'static str, usize)> {
        let mut table = BTreeMap::new();
        for call in &self.0 {
            *table.entry(call.function).or_insert(0) += 1;
        }
        table.into_iter().collect()
    }
}

impl FromIterator<HostCall> for Calls {
    fn from_iter<I: IntoIterator<Item = HostCall>>(calls: I) -> Self {
        Self(calls.into_iter().collect())
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} host calls", self.total())?;
        for call in &self.0 {
            writeln!(
                f,
                "  {}: {}({})",
                call.callback, call.function, call.subject
            )?;
        }
        Ok(())
    }
}

/// The host calls that a test allows in each request, configuration or tick: any other, and one
/// more than allowed, fails it.
#[derive(Clone, Debug, Default)]
pub struct Allowed(BTreeMap<&'static str, usize>);

impl Allowed {
    /// Allows no call at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Allows a function to be called up to so many times.
    ///
    /// # Panics
    /// If the host has no such function.
    #[must_use]
    pub fn up_to(mut self, function: &str, times: usize) -> Self {
        self.0.insert(functions::named(function).name, times);
        self
    }

    /// Why a call is not allowed, if it is not; `made` counts the earlier ones of its function.
    pub(crate) fn refusal(&self, function: &str, made: usize) -> Option<String> {
        match self.0.get(function) {
            None => Some("the test allows none".to_owned()),
            Some(&times) if made >= times => Some(format!("the test allows {times}")),
            Some(_) => None,
        }
    }
}
