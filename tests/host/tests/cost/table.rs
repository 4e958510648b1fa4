//! What was measured, and how it is shown.

use std::fmt::Write as _;

use crate::limits::{Limits, workspace};

/// A cost.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Of what.
    pub name: String,
    /// WebAssembly instructions.
    pub instructions: u64,
    /// Host calls, where they are counted.
    pub calls: Option<usize>,
}

/// How a cost grows with a size.
#[derive(Clone, Debug)]
pub struct Growth {
    /// What grows.
    pub name: &'static str,
    /// What a step of it is.
    pub unit: &'static str,
    /// Sizes with their instructions, ascending.
    pub points: Vec<(u64, u64)>,
}

impl Growth {
    /// Instructions for one step more, over the whole range and rounded up.
    pub fn step(&self) -> Measured {
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        let steps = last.0 - first.0;
        Measured {
            name: format!("growth: {}", self.name),
            instructions: last.1.saturating_sub(first.1).div_ceil(steps),
            calls: None,
        }
    }

    /// The power of the size that the last two points show: 0 is none, 1 in proportion.
    fn order(&self) -> f64 {
        let [.., from, to] = self.points[..] else {
            panic!("growth needs two points");
        };
        (to.1 as f64 / from.1 as f64).ln() / (to.0 as f64 / from.0 as f64).ln()
    }
}

/// Prints the tables and writes them to `target/cost/counted.md`.
pub fn publish(measured: &[Measured], growth: &[Growth], limits: &Limits) {
    let mut text = costs(measured, limits);
    text.push('\n');
    text.push_str(&growths(growth));
    println!("{text}");
    let folder = workspace().join("target/cost");
    std::fs::create_dir_all(&folder).expect("a folder to write to");
    std::fs::write(folder.join("counted.md"), text).expect("a file to write to");
}

fn costs(measured: &[Measured], limits: &Limits) -> String {
    let mut text = String::from(
        "| cost of | instructions | limit | host calls | limit |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    for one in measured {
        let limit = limits.of(&one.name);
        let number = |number: Option<usize>| number.map_or_else(String::new, |n| n.to_string());
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            one.name,
            one.instructions,
            limit.map_or(String::new(), |limit| limit.instructions.to_string()),
            number(one.calls),
            number(limit.and_then(|limit| limit.calls)),
        );
    }
    text
}

fn growths(growth: &[Growth]) -> String {
    let mut text = String::from(
        "| what grows | size: instructions | instructions for one more | order at the end |\n\
         | --- | --- | ---: | ---: |\n",
    );
    for one in growth {
        let points = one.points.iter();
        let points: Vec<_> = points
            .map(|(size, cost)| format!("{size}: {cost}"))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} a {} | {:.2} |",
            one.name,
            points.join(", "),
            one.step().instructions,
            one.unit,
            one.order(),
        );
    }
    text
}
