//! Policies in files.

use crate::lines::{self, Failure};
use serinus::assign::route::Route;
use serinus::policy::problem::{Problem, Refusal};
use serinus::policy::{self, Policy, find};
use std::io::Read;
use std::path::Path;

/// The text of `path`.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub fn text(path: Option<&Path>) -> Result<String, Failure> {
    let mut text = String::new();
    match lines::open(path)?.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure(format!("{}: {error}", lines::label(path)))),
    }
}

/// The one policy of `path`.
///
/// # Errors
/// It cannot be read, there is none or there are several, or it has problems: all are named.
pub fn one(path: &Path) -> Result<Policy, Failure> {
    let found = find::policies(&text(Some(path))?).map_err(|refusal| listed(path, &refusal))?;
    let count = found.len();
    let mut found = found.into_iter();
    match (found.next(), count) {
        (Some(tree), 1) => {
            let checked = tree.and_then(|tree| policy::check(&tree));
            checked.map_err(|refusal| listed(path, &refusal))
        }
        _ => Err(Failure(format!(
            "{}: it holds {count} policies; name a file that holds one",
            path.display()
        ))),
    }
}

/// The route `name` in the policy of `path`, with what `parts` has for it at its place.
///
/// # Errors
/// It has no such route.
pub fn route<'p, T>(
    policy: &'p Policy,
    parts: &'p [T],
    path: &Path,
    name: &str,
) -> Result<(&'p Route, &'p T), Failure> {
    let mut routes = policy.assigner.routes.iter().zip(parts);
    let found = routes.find(|(route, _)| route.name == name);
    found.ok_or_else(|| {
        let known = policy.assigner.routes.iter().map(|route| &*route.name);
        unknown(path, "route", name, known)
    })
}

/// The policy of `path` has nothing of this name.
pub fn unknown<'a>(
    path: &Path,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Failure {
    let known: Vec<&str> = known.collect();
    let known = known.join(", ");
    Failure(format!(
        "{}: it has no {what} `{name}`; write one of {known}",
        path.display()
    ))
}

fn listed(path: &Path, refusal: &Refusal) -> Failure {
    Failure(problems(Some(path), refusal).join("\nserinus: "))
}

/// One line for each problem, and one for those that were not kept.
pub fn problems(path: Option<&Path>, refusal: &Refusal) -> Vec<String> {
    let mut lines: Vec<String> = each(path, &refusal.problems).collect();
    if refusal.more > 0 {
        lines.push(format!("{}: and {} more", lines::label(path), refusal.more));
    }
    lines
}

/// A line: `FILE:LINE: path: what is wrong; what to write`; in a warning, `path: warning: …`.
pub fn each<'p>(
    path: Option<&Path>,
    problems: impl IntoIterator<Item = &'p Problem>,
) -> impl Iterator<Item = String> {
    let file = lines::label(path);
    problems.into_iter().map(move |problem| match problem.line {
        0 => format!("{file}: {problem}"),
        line => format!("{file}:{line}: {problem}"),
    })
}
