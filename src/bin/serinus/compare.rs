//! `serinus compare`: what two answers differ in, and whether it is more than noise.

use crate::lines::{Failure, each_line, label, open};
use crate::policy_file;
use crate::response::Owned;
use clap::Args as Arguments;
use serde_json::{Value, json};
use serinus::shadow::compare::{
    Bodies, Comparison, Difference, IgnoreRules, Limits, Sample, Settings, compare,
};
use serinus::shadow::verdict::{self, Ledger, Pair, Report, Rule, Verdict};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compare two versions' answers, and tell a regression from noise.
///
/// With one input, or none (standard input), reads pairs as JSON Lines:
///
///   {"left": RESPONSE, "right": RESPONSE, "method": "GET",
///    "options": {"ignore": ["/meta/**"], "headers_also": ["x-plan"]}}
///
/// where left is stable's answer, right the candidate's, and RESPONSE is
/// {"status": 200, "headers": [["name", "value"]], "body": "text"} with body_base64 or
/// body_generate instead of body where it is not text, and trailers if there are any. Writes for
/// each line {"differences": [{"path", "kind", "count"}]}, sorted by path, then kind. Kinds: status,
/// header, trailer, body, and inside JSON value, type, missing (only left has it), extra, length,
/// order. Paths are JSON Pointers with every array index as *. A line whose bodies are too large to
/// compare (64 MiB decoded) also says "bodies": "too large".
///
/// With two inputs, prints what differs between the two for people. A file may hold a RESPONSE, an
/// HTTP response with its head (as curl -i writes it), or a body alone, which is compared as JSON
/// if both are.
#[derive(Arguments)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Pairs as JSON Lines (- or nothing: standard input), or two files with an answer each
    #[arg(num_args = 0..=2, value_names = ["PAIRS or LEFT", "RIGHT"])]
    inputs: Vec<PathBuf>,

    /// The policy of whose route the answers are: its shadow's ignore and headersAlso are compared
    /// by, unless a line has options of its own
    #[arg(long, value_name = "FILE", requires = "route")]
    policy: Option<PathBuf>,

    /// The route
    #[arg(long, value_name = "NAME", requires = "policy")]
    route: Option<String>,

    /// Read pairs of one route and give one verdict: pass, hold or fail
    ///
    /// Each line also says "kind": "raw" (stable against the candidate) or "noise" (stable against
    /// stable), and may carry "again": RESPONSE, a further answer of stable, which is read only
    /// where the rule asks for one. Writes one line {"verdict", "raw", "noise", "confirming",
    /// "paths": [{"path", "kind", "raw", "noise", "worse"}]}: worse paths differ more often than
    /// stable's own noise explains. A good route fails with a probability of at most 1 %, however
    /// often it is looked at; with fewer than 100 pairs of a kind the verdict is hold, or fail.
    /// Past 256 paths the others share the last entry, with path and kind null.
    #[arg(long)]
    verdict: bool,

    /// The probability with which a sampled request became a raw pair: 1 less the noise of the policy
    /// by which the pairs were recorded
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.5, value_parser = probability)]
    raw_share: f64,

    /// Exit with 1 if the verdict is fail, or without --verdict if anything differs
    #[arg(long)]
    exit_code: bool,
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "write a number between 0 and 1, such as 0.95".to_owned())
}

/// Runs the command.
///
/// # Errors
/// What could not be read, and which line was not a pair.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let by = args.by()?;
    let found = match args.inputs.as_slice() {
        [left, right] if args.verdict => {
            return Err(Failure(format!(
                "--verdict reads pairs of one input, not two ({} and {})",
                left.display(),
                right.display()
            )));
        }
        [left, right] => for_people(left, right, &by)?,
        inputs if args.verdict => judge(inputs.first().map(PathBuf::as_path), &by)?,
        inputs => each_pair(inputs.first().map(PathBuf::as_path), &by)?,
    };
    Ok(ExitCode::from(u8::from(found && args.exit_code)))
}

/// What answers are compared and judged by, where a line does not say otherwise.
struct By {
    ignore: IgnoreRules,
    headers_also: Vec<String>,
    verdict: verdict::Settings,
}

impl Args {
    fn by(&self) -> Result<By, Failure> {
        let mut by = match &self.policy {
            Some(path) => By::policy(path, self.route.as_deref().unwrap_or_default())?,
            None => By {
                ignore: IgnoreRules::default(),
                headers_also: Vec::new(),
                verdict: verdict::Settings::default(),
            },
        };
        by.verdict.raw_share = self.raw_share;
        Ok(by)
    }
}

impl By {
    fn policy(path: &Path, route: &str) -> Result<Self, Failure> {
        let policy = policy_file::one(path)?;
        let (_, shadow) = policy_file::route(&policy, &policy.shadows, path, route)?;
        let comparing = shadow
            .as_ref()
            .and_then(|of| of.settings.comparing.as_ref());
        let comparing = comparing.ok_or_else(|| {
            Failure(format!(
                "{}: its route `{route}` has no `shadow` that compares; name one that has, or leave \
                 --policy out",
                path.display()
            ))
        })?;
        Ok(Self {
            ignore: comparing.answers.ignore.clone(),
            headers_also: comparing.answers.headers_also.clone(),
            verdict: comparing.verdict,
        })
    }
}

/// What a command line has room for, where the filter would have to be sparing.
fn limits() -> Limits {
    Limits {
        decoded_bytes: 64 << 20,
        values: usize::MAX,
        path_bytes: 1 << 30,
        sample_bytes: 0,
    }
}

fn settings(ignore: IgnoreRules, headers_also: Vec<String>) -> Settings {
    Settings {
        ignore,
        headers_also,
        limits: limits(),
        hash_seed: RandomState::new().hash_one(0),
    }
}

/// A line of input, with the parts that both modes read.
struct Line {
    value: Value,
    method: String,
    settings: Settings,
    left: Owned,
    right: Owned,
}

impl Line {
    fn read(text: &str, by: &By) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let side = |name: &str| {
            let side = value
                .get(name)
                .ok_or(format!("{name}: missing; write a response"))?;
            Owned::read(side).map_err(|what| format!("{name}: {what}"))
        };
        let (left, right) = (side("left")?, side("right")?);
        let method = match value.get("method") {
            None => "GET".to_owned(),
            Some(Value::String(method)) => method.clone(),
            Some(_) => return Err("method: not a text; write \"GET\"".to_owned()),
        };
        let options = value.get("options").unwrap_or(&Value::Null);
        let ignore = match texts(options, "ignore")? {
            Some(rules) => IgnoreRules::new(rules.iter().map(String::as_str))
                .map_err(|error| format!("options: {error}"))?,
            None => by.ignore.clone(),
        };
        let also = match texts(options, "headers_also")? {
            Some(names) => names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            None => by.headers_also.clone(),
        };
        let settings = settings(ignore, also);
        Ok(Self {
            method,
            settings,
            left,
            right,
            value,
        })
    }

    fn compare(&self, left: &Owned, right: &Owned) -> Comparison {
        compare(&self.method, &left.view(), &right.view(), &self.settings)
    }
}

fn texts(options: &Value, name: &str) -> Result<Option<Vec<String>>, String> {
    let Some(list) = options.get(name) else {
        return Ok(None);
    };
    let texts = list.as_array().and_then(|list| {
        list.iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect::<Option<_>>()
    });
    texts
        .map(Some)
        .ok_or_else(|| format!("options.{name}: not a list of texts; write [\"…\", …]"))
}

/// Compares the pairs one by one; says whether any differs.
fn each_pair(path: Option<&Path>, by: &By) -> Result<bool, Failure> {
    let mut any = false;
    each_line(path, |text, out| {
        let line = Line::read(text, by)?;
        let found = line.compare(&line.left, &line.right);
        any |= !found.is_equal();
        let difference =
            |of: &Difference| json!({"path": of.path, "kind": of.kind.name(), "count": of.count});
        let differences: Vec<Value> = found.differences.iter().map(difference).collect();
        let mut answer = json!({ "differences": differences });
        if let (Bodies::TooLarge, Some(answer)) = (found.bodies, answer.as_object_mut()) {
            answer.insert("bodies".to_owned(), json!("too large"));
        }
        write_line(&answer, out)
    })?;
    Ok(any)
}

fn write_line(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(&mut *out, value).map_err(|error| error.to_string())?;
    out.push(b'\n');
    Ok(())
}

/// Gives the verdict on a stream of pairs; says whether it is fail.
fn judge(path: Option<&Path>, by: &By) -> Result<bool, Failure> {
    let mut ledger = Ledger::new(Rule::new(by.verdict));
    each_line(path, |text, _| count(&Line::read(text, by)?, &mut ledger))?;
    let report = ledger.report();
    let mut out = Vec::new();
    write_line(&report_json(&report), &mut out)?;
    print_all(&out)?;
    Ok(report.verdict == Verdict::Fail)
}

/// Counts one line, and looks at the verdict.
fn count(line: &Line, ledger: &mut Ledger) -> Result<(), String> {
    let pair = match line.value.get("kind").and_then(Value::as_str) {
        Some("raw") => Pair::Raw,
        Some("noise") => Pair::Noise,
        _ => return Err("kind: not raw or noise; write \"kind\": \"raw\"".to_owned()),
    };
    let found = line.compare(&line.left, &line.right);
    let wanted = ledger.observe(pair, &found);
    if let (true, Some(again)) = (wanted, line.value.get("again")) {
        let again = Owned::read(again).map_err(|what| format!("again: {what}"))?;
        ledger.pay();
        let stable = line.compare(&line.left, &again);
        let candidate = line.compare(&again, &line.right);
        ledger.confirm(&found, &stable, &candidate);
    }
    ledger.settle_alone();
    Ok(())
}

fn report_json(report: &Report<'_>) -> Value {
    let paths = report.paths.iter().map(|of| {
        json!({
            "path": of.at.map(|(path, _)| path),
            "kind": of.at.map(|(_, kind)| kind.name()),
            "raw": of.raw,
            "noise": of.noise,
            "worse": of.worse,
        })
    });
    json!({
        "verdict": report.verdict.name(),
        "raw": report.raw,
        "noise": report.noise,
        "confirming": report.confirming,
        "paths": paths.collect::<Vec<_>>(),
    })
}

/// Prints what differs between the answers in two files; says whether anything does.
fn for_people(left: &Path, right: &Path, by: &By) -> Result<bool, Failure> {
    let (left, right) = (file(left)?, file(right)?);
    let mut settings = settings(by.ignore.clone(), by.headers_also.clone());
    settings.limits.sample_bytes = 100;
    let found = compare("GET", &left.view(), &right.view(), &settings);
    print_all(readable(&found).as_bytes())?;
    Ok(!found.is_equal())
}

fn file(path: &Path) -> Result<Owned, Failure> {
    let mut bytes = Vec::new();
    let read = open(Some(path))?.read_to_end(&mut bytes);
    let failure = |what: String| Failure(format!("{}: {what}", label(Some(path))));
    read.map_err(|error| failure(error.to_string()))?;
    Owned::from_file(bytes).map_err(failure)
}

/// The differences as aligned lines: kind, path, how often, and the first pair of values.
fn readable(found: &Comparison) -> String {
    let mut text = match found.differences.len() {
        0 => "no difference\n".to_owned(),
        1 => "1 difference\n".to_owned(),
        more => format!("{more} differences\n"),
    };
    let place = |of: &Difference| {
        if of.path.is_empty() {
            "(whole)".to_owned()
        } else {
            of.path.clone()
        }
    };
    let width = found
        .differences
        .iter()
        .map(|of| place(of).chars().count())
        .max()
        .unwrap_or(0);
    // A longer path pushes its values to the right alone.
    let width = width.min(50);
    for difference in &found.differences {
        let times = match difference.count {
            1 => String::new(),
            count => format!("x{count}"),
        };
        let values = difference.sample.as_ref().map(change).unwrap_or_default();
        let line = format!(
            "  {:<8} {:<width$}  {times:<6} {values}",
            difference.kind,
            place(difference)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if found.bodies == Bodies::TooLarge {
        text.push_str("the bodies are too large to compare\n");
    }
    text
}

fn change(sample: &Sample) -> String {
    match (&sample.left, &sample.right) {
        (Some(left), Some(right)) => format!("{left} -> {right}"),
        (Some(left), None) => format!("{left} -> nothing"),
        (None, Some(right)) => format!("nothing -> {right}"),
        (None, None) => String::new(),
    }
}

fn print_all(bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
