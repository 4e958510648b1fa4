//! Experiments.

use super::{condition, of_routes};
use crate::health::experiment::{Experiment, Goal, MOST_GOALS};
use crate::health::statuses::StatusSet;
use crate::policy::problem::Problems;
use crate::policy::raw;

/// The experiment of each route, in order.
pub fn experiments(raw: &raw::Policy, problems: &mut Problems) -> Vec<Option<Experiment>> {
    of_routes(raw, "experiment", problems, |route, problems| {
        let experiment = route.experiment.as_ref()?;
        let variants = route.variants.as_ref();
        if variants.is_none_or(|variants| variants.0.is_empty()) {
            problems.say(
                "the route has no variant to compare",
                "leave it out, or add `variants`",
            );
        }
        Some(self::experiment(experiment, problems))
    })
}

fn experiment(raw: &raw::Experiment, problems: &mut Problems) -> Experiment {
    let goals = raw.goals.as_ref().map_or_else(Vec::new, |goals| {
        problems.at_key("goals", |problems| {
            super::at_most(MOST_GOALS, goals.0.len(), problems);
            if goals.0.is_empty() && problems.none() {
                problems.say("there is none", "a goal, or leave it out");
            }
            super::unique(goals, |goal| &goal.name.0, problems);
            let goal = |(index, raw): &(usize, raw::Goal)| {
                problems.at_index(*index, |problems| goal(raw, problems))
            };
            goals.0.iter().map(goal).collect()
        })
    });
    Experiment {
        goals,
        exposure_log: raw.exposure_log.unwrap_or(false),
    }
}

fn goal(raw: &raw::Goal, problems: &mut Problems) -> Goal {
    let ranges: Vec<(u16, u16)> = match &raw.statuses {
        Some(list) => list.iter().map(|statuses| statuses.0).collect(),
        None => vec![(200, 299)],
    };
    if ranges.is_empty() && !problems.said_below("statuses") {
        problems.at_key("statuses", |problems| {
            problems.say("no answer would count", "a status such as \"2xx\"");
        });
    }
    Goal {
        name: raw.name.0.clone(),
        when: condition::some_conditions("when", &raw.when, problems),
        statuses: StatusSet::of(&ranges),
    }
}

#[cfg(test)]
mod tests {
    use crate::policy;

    const ROUTE: &str = r#""name": "r", "key": [{"header": "x"}], "variants": [
        {"name": "a", "share": "10%"}, {"name": "b", "share": "10%"},
        {"name": "c", "share": "10%", "from": "40%"}]"#;
    const POST: &str = r#""when": [{"method": {}, "exact": "POST"}]"#;

    fn said(rest: &str) -> Vec<String> {
        let text = format!(r#"{{"routes": [{{{rest}}}]}}"#);
        match policy::read(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(refusal) => refusal.problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn an_experiment_of_four_variants_and_eight_goals_is_read() {
        let goal = |place: usize| format!(r#"{{"name": "g{place}", {POST}}}"#);
        let with = |count: usize| {
            let goals: Vec<String> = (0..count).map(goal).collect();
            format!(
                r#"{ROUTE}, "experiment": {{"goals": [{}]}}"#,
                goals.join(",")
            )
        };
        assert_eq!(said(&with(8)), [""; 0]);
        assert_eq!(
            said(&with(9)),
            ["routes[0].experiment.goals: there are 9; at most 8"]
        );
        assert_eq!(said(&format!(r#"{ROUTE}, "experiment": {{}}"#)), [""; 0]);
    }

    #[test]
    fn every_problem_of_an_experiment_is_said_in_one_pass() {
        let rest = format!(
            r#"{ROUTE}, "experiment": {{"exposurelog": true, "goals": [
                {{"name": "bought", {POST}, "statuses": ["2xx", "okay"]}},
                {{"name": "bought", {POST}, "statuses": []}},
                {{"name": "asked", "when": []}},
                {{"name": "typo", "when": [{{"methods": {{}}, "exact": "POST"}}]}}]}}"#
        );
        let lines = said(&rest);
        let has = |part: &str| lines.iter().any(|line| line.contains(part));
        for part in [
            "routes[0].experiment.exposurelog",
            "`exposureLog`",
            "routes[0].experiment.goals[0].statuses[1]",
            "routes[0].experiment.goals[1].name: `bought` is there twice",
            "routes[0].experiment.goals[1].statuses: no answer would count",
            "routes[0].experiment.goals[2].when: it has no conditions",
            "routes[0].experiment.goals[3].when[0].methods",
        ] {
            assert!(has(part), "{part}: {lines:#?}");
        }
    }

    #[test]
    fn an_experiment_without_goals_or_variants_has_nothing_to_judge() {
        assert_eq!(
            said(r#""name": "r", "experiment": {}"#),
            [
                "routes[0].experiment: the route has no variant to compare; leave it out, or add `variants`"
            ]
        );
        assert_eq!(
            said(&format!(r#"{ROUTE}, "experiment": {{"goals": []}}"#)),
            ["routes[0].experiment.goals: there is none; a goal, or leave it out"]
        );
        let gate = r#""gate": {"signals": ["errors", "conversions"],
            "limits": [{"signal": "conversionRate", "belowStableBy": "5%", "for": "10m"}]}"#;
        let wanting = [
            "routes[0].gate.signals[1]: the route has no goal; add `experiment: {goals: [...]}`, or leave it out",
            "routes[0].gate.limits[0].signal: the route has no goal; add `experiment: {goals: [...]}`, or leave it out",
        ];
        assert_eq!(said(&format!("{ROUTE}, {gate}")), wanting);
        let empty = format!(r#"{ROUTE}, {gate}, "experiment": {{"exposureLog": true}}"#);
        assert_eq!(said(&empty), wanting);
        let goals = format!(
            r#"{ROUTE}, {gate}, "experiment": {{"goals": [{{"name": "bought", {POST}}}]}}"#
        );
        assert_eq!(said(&goals), [""; 0]);
    }
}
