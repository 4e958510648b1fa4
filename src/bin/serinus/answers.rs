//! What Prometheus answers to range queries: series of samples.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::io::BufRead;

/// Labels and their values.
pub type Labels = BTreeMap<String, String>;
/// Series by their labels: values by their time in milliseconds since 1970.
pub type Recorded = BTreeMap<Labels, BTreeMap<u64, f64>>;

/// One answer.
#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Vec<Given>,
}

#[derive(Deserialize)]
struct Given {
    metric: Labels,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// An answer, or a list of answers.
struct Answers(Vec<Answer>);

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Answers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an answer of Prometheus, or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Answers, A::Error> {
                let one = Answer::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Answers(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Answers, A::Error> {
                let mut answers = Vec::new();
                while let Some(answer) = list.next_element()? {
                    answers.push(answer);
                }
                Ok(Answers(answers))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// All series of some answers, those of several answers put together.
///
/// # Errors
/// Says what is no answer of a range query, and what to ask instead.
pub fn read(input: impl BufRead) -> Result<Recorded, String> {
    let mut all = Recorded::new();
    for answers in serde_json::Deserializer::from_reader(input).into_iter::<Answers>() {
        let answers = answers.map_err(|error| format!("no answer of a range query: {error}"))?;
        for answer in answers.0 {
            for given in series_of(answer)? {
                let series = all.entry(given.metric).or_default();
                for (at, value) in given.values {
                    let at = millis(at)?;
                    let value: f64 = value
                        .parse()
                        .map_err(|_| format!("a value is `{value}`; write a number"))?;
                    // A value that is no number says as much as none.
                    if value.is_finite() {
                        series.insert(at, value);
                    }
                }
            }
        }
    }
    Ok(all)
}

fn series_of(answer: Answer) -> Result<Vec<Given>, String> {
    match answer.data {
        Some(data) if answer.status == "success" && data.kind == "matrix" => Ok(data.result),
        Some(data) if answer.status == "success" => Err(format!(
            "an answer is a {}; ask /api/v1/query_range, which answers with a matrix",
            data.kind
        )),
        _ => Err(format!(
            "Prometheus answered {}: {}; ask again",
            answer.status,
            answer.error.unwrap_or_default()
        )),
    }
}

fn millis(seconds: f64) -> Result<u64, String> {
    let millis = (seconds * 1_000.0).round();
    // Below 2^53, so nothing is lost.
    if (0.0..9e15).contains(&millis) {
        return Ok(millis as u64);
    }
    Err(format!("a time is {seconds}; write seconds since 1970"))
}
