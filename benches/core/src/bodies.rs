//! Bodies as a shop's interface gives them: lists of orders, with texts, numbers, truths and
//! nested lists.

use std::fmt::Write;

/// A body of at least `size` bytes and at most one order more, written without spaces; the first
/// `differing` orders have another price.
pub fn compact(size: usize, differing: usize) -> String {
    written(size, differing, "", ["id", "name", "price"])
}

/// A body of at least `size` bytes whose members all have names of their own; the first `differing`
/// have another value.
pub fn members(size: usize, differing: usize) -> String {
    let mut body = String::from("{");
    let mut number = 0;
    while body.len() < size {
        let value = 1_000 + number + usize::from(number < differing);
        let _ = write!(body, "\"member-{number:06}\":{value},");
        number += 1;
    }
    body.pop();
    body.push('}');
    body
}

/// The same values as [`compact`] has, in other words: spaces, and another order of members.
pub fn spaced(size: usize) -> String {
    let orders = compact(size, 0).matches("\"id\"").count();
    let mut body = String::from("{ \"orders\": [");
    for number in 0..orders {
        order(&mut body, number, 0, " ", ["price", "id", "name"]);
    }
    close(body)
}

fn written(size: usize, differing: usize, space: &str, members: [&str; 3]) -> String {
    let mut body = String::from("{\"orders\":[");
    let mut number = 0;
    while body.len() < size {
        order(&mut body, number, differing, space, members);
        number += 1;
    }
    close(body)
}

fn close(mut body: String) -> String {
    body.pop();
    body.push_str("]}");
    body
}

fn order(body: &mut String, number: usize, differing: usize, space: &str, members: [&str; 3]) {
    let cents = 100 + number % 900 + usize::from(number < differing);
    body.push('{');
    for member in members {
        let _ = match member {
            "id" => write!(body, "\"id\":{space}\"o-{number:06}\",{space}"),
            "name" => write!(
                body,
                "\"name\":{space}\"Finch, \\\"small\\\" \u{e9}\",{space}"
            ),
            _ => write!(
                body,
                "\"price\":{space}{}.{:02},{space}",
                cents / 100,
                cents % 100
            ),
        };
    }
    let _ = write!(
        body,
        "\"tags\":{space}[\"seed\",{space}\"bird\"],{space}\"sent\":{space}{},{space}\"note\":{space}null}},",
        number.is_multiple_of(2)
    );
}
