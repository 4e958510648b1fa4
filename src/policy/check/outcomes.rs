//! With `report: {outcomes: false}` nothing is seen of the answers, so whatever lives by them is
//! refused: a gate that nobody feeds and somebody believes in is worse than none.

use super::at;
use crate::policy::problem::Problems;
use crate::policy::raw::{LongLived, Policy, Route};

/// Whether outcomes are counted.
pub fn counted(raw: &Policy, problems: &mut Problems) -> bool {
    let report = raw.report.as_ref();
    if report.and_then(|report| report.outcomes).unwrap_or(true) {
        return true;
    }
    for (index, route) in raw.routes.iter().flat_map(|routes| &routes.0) {
        at(&["routes"], *index, problems, |problems| {
            in_route(route, problems)
        });
    }
    for (index, flag) in raw.flags.iter().flat_map(|flags| &flags.0) {
        if flag.shed_when.is_some() {
            at(&["flags"], *index, problems, |problems| {
                blind("shedWhen", "leave it out", problems);
            });
        }
    }
    false
}

fn in_route(route: &Route, problems: &mut Problems) {
    let has_gate = route.variants.as_ref().is_some_and(|all| !all.0.is_empty());
    let held = route.gate.as_ref().and_then(|gate| gate.held);
    if has_gate && held.is_none() {
        blind("gate", "hold it: `held: open`", problems);
    }
    let long_lived = route.gate.as_ref().and_then(|gate| gate.long_lived);
    if long_lived == Some(LongLived::Cut) {
        problems.at_key("gate", |problems| {
            blind("longLived", "leave it out", problems);
        });
    }
    for (key, is_there) in [
        ("shadow", route.shadow.is_some()),
        ("rescue", route.rescue.is_some()),
        ("experiment", route.experiment.is_some()),
    ] {
        if is_there {
            blind(key, "leave it out", problems);
        }
    }
}

fn blind(key: &str, write: &str, problems: &mut Problems) {
    problems.at_key(key, |problems| {
        problems.say(
            "with `report.outcomes: false` it would see nothing of the answers",
            format!("{write}, or `outcomes: true`"),
        );
    });
}

#[cfg(test)]
mod tests {
    use crate::policy::read;

    fn problems(rest: &str) -> Vec<String> {
        let text = format!(r#"{{"report": {{"outcomes": false}}, {rest}}}"#);
        match read(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(refusal) => refusal.problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_lives_by_outcomes_is_refused_without_them() {
        let said = problems(
            r#""routes": [{"name": "a", "key": [{"header": "x-id"}],
                           "variants": [{"name": "canary", "share": "1%"}],
                           "shadow": {"cluster": "v2", "stableCluster": "v1"}}],
               "flags": [{"name": "f", "default": "off", "values": [{"value": "on", "share": "5%"}],
                          "key": [{"header": "x-id"}],
                          "shedWhen": {"route": "a", "limits": [{"signal": "p99", "above": "1s", "for": "1m"}]}}]"#,
        );
        let blind = "with `report.outcomes: false` it would see nothing of the answers";
        assert_eq!(
            said,
            [
                format!("routes[0].gate: {blind}; hold it: `held: open`, or `outcomes: true`"),
                format!("routes[0].shadow: {blind}; leave it out, or `outcomes: true`"),
                format!("flags[0].shedWhen: {blind}; leave it out, or `outcomes: true`"),
            ]
        );
    }

    #[test]
    fn routes_whose_gates_are_held_or_that_have_none_need_no_outcomes() {
        let held = r#""routes": [{"name": "a", "key": [{"header": "x-id"}], "gate": {"held": "open"},
                                  "variants": [{"name": "canary", "share": "1%"}]}, {"name": "b"}]"#;
        assert_eq!(problems(held), Vec::<String>::new());
    }
}
