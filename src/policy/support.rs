//! Parts of the policy that this version knows and does not act on yet.
//!
//! They are refused, not ignored: a gate that someone believes in and that is not there is worse
//! than none. A part that comes to act loses its line here.

use super::problem::Problems;
use super::tree::Node;

/// Where those parts stand (`*` is any element of a list), and which of their values do not act; all
/// if none is named.
const NOT_YET: [(&[&str], &[&str]); 2] = [
    (&["fleet"], &[]),
    (&["routes", "*", "gate", "advance"], &["onPass"]),
];

/// Says "not supported yet" of every such part in `tree`.
pub fn refuse(tree: &Node, problems: &mut Problems) {
    for (path, values) in NOT_YET {
        walk(tree, path, values, problems);
    }
}

fn walk(node: &Node, path: &[&str], values: &[&str], problems: &mut Problems) {
    let Some((step, rest)) = path.split_first() else {
        let acts = |text| !values.is_empty() && !values.contains(&text);
        if !node.text().is_some_and(acts) {
            problems.say("not supported yet", "leave it out");
        }
        return;
    };
    if *step == "*" {
        for (index, element) in node.elements().iter().enumerate() {
            problems.at_index(index, |problems| walk(element, rest, values, problems));
        }
    } else if let Some(member) = node.member(step) {
        problems.at_key(step, |problems| walk(member, rest, values, problems));
    }
}

/// The parts as the reference page lists them.
#[cfg(feature = "cli")]
pub fn listed() -> String {
    let paths = NOT_YET.iter().map(|(path, values)| {
        let path = path.join(".").replace(".*", "[]");
        match values.join("`, `") {
            values if values.is_empty() => format!("`{path}`"),
            values => format!("`{path}` with `{values}`"),
        }
    });
    paths.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use crate::policy;

    #[test]
    fn a_part_that_does_not_act_is_refused_and_named() {
        let text = br#"{"fleet": {"cluster": "p", "authority": "p"}, "routes": [
            {"name": "a", "gate": {"budget": {"objective": "99%", "window": "1d"},
             "advance": "clock", "longLived": "keep"}, "variants": [{"name": "c", "share": "0%"}], "experiment": {}},
            {"name": "b", "gate": {"budget": {"objective": "99%", "window": "1d"},
             "advance": "onPass", "signals": ["errors", "slow"],
             "limits": [{"signal": "p99", "above": "1s", "for": "1m"}]}}]}"#;
        let refusal = policy::read(text).unwrap_err();
        let shown: Vec<String> = refusal.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "fleet: not supported yet; leave it out",
                "routes[1].gate.advance: not supported yet; leave it out",
            ]
        );
    }
}
