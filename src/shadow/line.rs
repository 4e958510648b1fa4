//! A difference as a line of the debug log.
//!
//! The line has the path, the kind, and a hash of each value: enough to see whether two lines are
//! about the same values, without the values. The hash is keyed with a seed of the worker's, so that
//! a value of few possibilities can't be looked up by who reads the log alone. Values themselves are
//! there only for paths that the policy's `revealPaths` names.

use super::compare::{Difference, IgnoreRules};
use crate::text::printable;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Characters of a path in a line.
const LONGEST_PATH: usize = 256;
/// Characters of a value in a line; samples are cut before.
const LONGEST_VALUE: usize = 1_024;

/// The line for `difference`, which has values if the comparison was asked for samples. The hashes
/// are those of the values as the sample has them, shortened.
pub fn line(difference: &Difference, reveal: &IgnoreRules, seed: u64) -> String {
    let mut line = format!(
        "path={} kind={} count={}",
        printable(&difference.path, LONGEST_PATH),
        difference.kind,
        difference.count
    );
    let revealed = reveal.takes(&difference.path);
    if let Some(sample) = &difference.sample {
        for (side, value) in [("stable", &sample.left), ("candidate", &sample.right)] {
            let value = match value {
                None => "-".to_owned(),
                Some(value) if revealed => format!("\"{}\"", printable(value, LONGEST_VALUE)),
                Some(value) => format!("#{:08x}", hashed(value, seed)),
            };
            line.push_str(&format!(" {side}={value}"));
        }
    }
    line
}

fn hashed(value: &str, seed: u64) -> u32 {
    let mut hasher = DefaultHasher::new();
    (seed, value).hash(&mut hasher);
    (hasher.finish() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::super::compare::{Kind, Sample};
    use super::*;

    fn difference(path: &str) -> Difference {
        Difference {
            path: path.to_owned(),
            kind: Kind::Value,
            count: 2,
            sample: Some(Sample {
                left: Some("secret\n1".to_owned()),
                right: None,
            }),
        }
    }

    #[test]
    fn values_are_told_only_where_the_policy_reveals_them() {
        let reveal = IgnoreRules::new(["/id"]).unwrap();
        let hidden = line(&difference("/name"), &reveal, 1);
        let Some((_, value)) = hidden.split_once("stable=#") else {
            panic!("{hidden}")
        };
        assert_eq!(value.len(), "01234567 candidate=-".len());
        assert!(hidden.starts_with("path=/name kind=value count=2 "));
        assert!(!hidden.contains("secret"));
        assert_ne!(hidden, line(&difference("/name"), &reveal, 2));
        let shown = line(&difference("/id"), &reveal, 1);
        assert_eq!(
            shown,
            r#"path=/id kind=value count=2 stable="secret\n1" candidate=-"#
        );
    }

    #[test]
    fn a_path_breaks_no_line_and_is_no_longer_than_a_line_bears() {
        let told = line(
            &difference(&format!("/a\r\n{}", "x".repeat(1_000))),
            &IgnoreRules::default(),
            1,
        );
        assert!(!told.contains(['\r', '\n']) && told.len() < 400);
    }
}
