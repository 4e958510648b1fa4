//! The pages that the filter serves.

use super::condition::some_conditions;
use super::route::host_match;
use crate::policy::problem::Problems;
use crate::policy::raw;
use crate::report::page::{DEFAULT_PREFIX, Page};

/// The pages of `raw`.
pub fn page(raw: &raw::Page, problems: &mut Problems) -> Page {
    if let Some(prefix) = &raw.path_prefix
        && (prefix.0.ends_with('/') || prefix.0.contains(['?', '#']))
    {
        problems.at_key("pathPrefix", |problems| {
            problems.say(
                format!("`{}` can't be followed by `/healthz`", prefix.0),
                "a path without `/` at its end and without a query, as `/serinus`",
            );
        });
    }
    Page {
        prefix: raw
            .path_prefix
            .as_ref()
            .map_or_else(|| DEFAULT_PREFIX.to_owned(), |prefix| prefix.0.clone()),
        hosts: raw
            .hosts
            .iter()
            .flatten()
            .map(|host| host_match(&host.0))
            .collect(),
        when: some_conditions("when", &raw.when, problems),
    }
}
