//! Parts of the policy that this version knows and does not act on yet.
//!
//! They are refused, not ignored: a gate that someone believes in and that is not there is worse
//! than none. A part that comes to act loses its line here.

use super::problem::Problems;
use super::tree::{Node, Value};

/// Where those parts stand; `*` is any element of a list.
const NOT_YET: [&[&str]; 18] = [
    &["flags"],
    &["fleet"],
    &["routes", "*", "shadow"],
    &["routes", "*", "rescue"],
    &["routes", "*", "maintenance"],
    &["routes", "*", "experiment"],
    &["routes", "*", "gate", "revision"],
    &["routes", "*", "gate", "held"],
    &["routes", "*", "gate", "signals"],
    &["routes", "*", "gate", "falseAlarmEvery"],
    &["routes", "*", "gate", "tolerance"],
    &["routes", "*", "gate", "warmup"],
    &["routes", "*", "gate", "limits"],
    &["routes", "*", "gate", "budget"],
    &["routes", "*", "gate", "reopen"],
    &["routes", "*", "gate", "longLived"],
    &["routes", "*", "gate", "advance"],
    &["routes", "*", "rules", "*", "then", "evenShut"],
];

/// Says "not supported yet" of every such part in `tree`.
pub fn refuse(tree: &Node, problems: &mut Problems) {
    for path in NOT_YET {
        walk(tree, path, problems);
    }
}

fn walk(node: &Node, path: &[&str], problems: &mut Problems) {
    let Some((step, rest)) = path.split_first() else {
        if !is_default(node) {
            problems.say("not supported yet", "leave it out");
        }
        return;
    };
    if *step == "*" {
        for (index, element) in node.elements().iter().enumerate() {
            problems.at_index(index, |problems| walk(element, rest, problems));
        }
    } else if let Some(member) = node.member(step) {
        problems.at_key(step, |problems| walk(member, rest, problems));
    }
}

/// What says no more than its absence would: `advance: clock`, `evenShut: false`.
fn is_default(node: &Node) -> bool {
    match &node.value {
        Value::Bool(value) => !value,
        Value::Text(text) => text == "clock",
        _ => false,
    }
}

/// The parts as the reference page lists them.
#[cfg(feature = "cli")]
pub fn listed() -> String {
    let paths = NOT_YET
        .iter()
        .map(|path| format!("`{}`", path.join(".").replace(".*", "[]")));
    paths.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::policy;

    #[test]
    fn a_part_that_does_not_act_is_refused_and_named() {
        let text = br#"{"fleet": {"cluster": "p", "authority": "p"}, "routes": [
            {"name": "a", "gate": {"held": "shut", "advance": "clock"}, "experiment": {"goals": []}},
            {"name": "b", "rules": [{"name": "t", "when": [{"path": {}, "exact": "/"}],
             "then": {"variant": "stable", "evenShut": true}}]}]}"#;
        let refusal = policy::read(text).unwrap_err();
        let shown: Vec<String> = refusal.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "fleet: not supported yet; leave it out",
                "routes[0].experiment: not supported yet; leave it out",
                "routes[0].gate.held: not supported yet; leave it out",
                "routes[1].rules[0].then.evenShut: not supported yet; leave it out",
            ]
        );
    }
}
