//! `serinus hash`: what the filter's hashes give for a case, scheme by scheme.

use crate::lines::{self, Failure};
use serde_json::{Map, Value, json};
use serinus::assign::hash::launchdarkly::{self, Prefix};
use serinus::assign::hash::{self, flagd, unleash};
use std::num::NonZeroU32;
use std::path::PathBuf;

const ABOUT: &str = "\
Hash keys as the filter does, to compare its draw with another system's

Reads one case a line (JSON Lines) and prints {\"value\":…} for each, in order. Fields that a scheme \
does not name are not read.";

const HELP: &str = r#"Schemes and their fields:
  slot             salt, key                      the slot, 0 to 999999; a variant of share s
                                                  (parts per million) has it if slot < s
  murmur3_x86_32   text, seed                     the hash, unsigned 32 bits
  unleash          group, id, normalizer, seed    the value, 1 to normalizer: seed 0 and normalizer
                                                  100 for a rollout, 86028157 and the sum of the
                                                  weights for variants
  flagd            flag_key, targeting_key,       the variant's name, null if none; bucket_by (or
                   bucket_by, weights             null) replaces both keys; weights is a list:
                                                  [["canary", 1], ["stable", 99]]
  launchdarkly     key, salt, seed, value         the bucket, 0.0 to 1.0; seed (or null) replaces
                                                  key and salt; value is text or a number

Example:
  $ echo '{"scheme":"slot","salt":"checkout","key":"user-7"}' | serinus hash
  {"value":313182}

Exit status: 0 when every case was hashed; 2 when a line could not be read as a case: it is named,
and the lines before it are answered."#;

/// Arguments of `serinus hash`.
#[derive(clap::Args)]
#[command(about = ABOUT, after_help = HELP)]
pub struct Args {
    /// File with the cases; `-` or nothing for standard input
    cases: Option<PathBuf>,
}

/// Answers every case of `args`.
///
/// # Errors
/// The first line that is not a case, or a file that cannot be read.
pub fn run(args: &Args) -> Result<(), Failure> {
    lines::each_line(args.cases.as_deref(), |line, out| {
        let value = Case::parse(line)?.value()?;
        serde_json::to_writer(&mut *out, &json!({ "value": value })).map_err(|e| e.to_string())?;
        out.push(b'\n');
        Ok(())
    })
}

struct Case(Map<String, Value>);

impl Case {
    fn parse(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map(Self).map_err(|error| {
            format!("not a JSON object ({error}); write a case such as {{\"scheme\":\"slot\",\"salt\":\"checkout\",\"key\":\"user-7\"}}")
        })
    }

    fn value(&self) -> Result<Value, String> {
        Ok(match self.text("scheme")? {
            "slot" => {
                let slot = hash::slot(self.text("salt")?, self.text("key")?.as_bytes());
                slot.get().into()
            }
            "murmur3_x86_32" => {
                let text = self.text("text")?.as_bytes();
                hash::murmur3_x86_32(&[text], self.number("seed")?).into()
            }
            "unleash" => self.unleash()?.into(),
            "flagd" => self.flagd()?.into(),
            "launchdarkly" => self.launchdarkly()?.into(),
            other => {
                return Err(format!(
                    "unknown scheme {other:?}; write slot, murmur3_x86_32, unleash, flagd or \
                     launchdarkly"
                ));
            }
        })
    }

    fn unleash(&self) -> Result<u32, String> {
        let (group, id) = (self.text("group")?, self.text("id")?);
        let normalizer = NonZeroU32::new(self.number("normalizer")?)
            .ok_or("`normalizer` is 0; write the number of values, such as 100")?;
        let seed = self.number("seed")?;
        Ok(unleash::value(group, id.as_bytes(), normalizer, seed))
    }

    fn flagd(&self) -> Result<Option<&str>, String> {
        let hash = match self.optional("bucket_by") {
            Some(_) => flagd::hash(&[self.text("bucket_by")?.as_bytes()]),
            None => flagd::hash(&[
                self.text("flag_key")?.as_bytes(),
                self.text("targeting_key")?.as_bytes(),
            ]),
        };
        let (names, weights): (Vec<&str>, Vec<u32>) = self.weights()?.into_iter().unzip();
        Ok(flagd::pick(hash, &weights).and_then(|variant| names.get(variant).copied()))
    }

    fn weights(&self) -> Result<Vec<(&str, u32)>, String> {
        fn pair(pair: &Value) -> Option<(&str, u32)> {
            let [name, weight] = pair.as_array()?.as_slice() else {
                return None;
            };
            Some((name.as_str()?, u32::try_from(weight.as_u64()?).ok()?))
        }
        let pairs = self.optional("weights").and_then(Value::as_array);
        let weights = pairs.and_then(|pairs| pairs.iter().map(pair).collect());
        weights.ok_or_else(|| {
            "`weights` is not a list of names and whole numbers; write it as [[\"a\", 1], [\"b\", 99]]"
                .to_owned()
        })
    }

    fn launchdarkly(&self) -> Result<f64, String> {
        let prefix = match self.optional("seed") {
            None => Prefix::Flag {
                key: self.text("key")?,
                salt: self.text("salt")?,
            },
            Some(seed) => Prefix::Seed(
                seed.as_i64()
                    .ok_or("`seed` is not a whole number; write one, or null for none")?,
            ),
        };
        let value = self.0.get("value").ok_or_else(|| missing("value"))?;
        Ok(match value {
            Value::String(text) => launchdarkly::bucket(prefix, text.as_bytes()),
            Value::Number(number) if !number.is_f64() => {
                launchdarkly::bucket(prefix, number.to_string().as_bytes())
            }
            // The vendor's SDKs bucket nothing else.
            _ => 0.0,
        })
    }

    /// `null` and an absent field are the same.
    fn optional(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let value = self.optional(name).ok_or_else(|| missing(name))?;
        let wrong = || format!("`{name}` is {value}, not text; write it in quotes");
        value.as_str().ok_or_else(wrong)
    }

    fn number(&self, name: &str) -> Result<u32, String> {
        let value = self.optional(name).ok_or_else(|| missing(name))?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| {
            format!(
                "`{name}` is {value}; write a whole number from 0 to {}",
                u32::MAX
            )
        })
    }
}

fn missing(name: &str) -> String {
    format!("`{name}` is missing; `serinus hash --help` lists the fields of each scheme")
}
