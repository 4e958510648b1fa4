//! `serinus assign`: what the filter would decide for requests.

use crate::lines::{self, Failure};
use crate::policy_file;
use serde::{Deserialize, Serialize};
use serinus::assign::Mode;
use serinus::assign::decide::{Decision, Reason};
use serinus::assign::flags::Given;
use serinus::assign::gates::Gates;
use serinus::assign::ramp::Millis;
use serinus::assign::route::STABLE;
use serinus::policy::Policy;
use serinus::policy::value::moment;
use serinus::request::{Header, Request, address};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

const ABOUT: &str = "\
Say for each request which variant it would get, and why

Reads one request a line (JSON Lines) and prints one decision a line, in order. It is the filter's \
own core: a proxy with this policy decides the same, unless a gate of its own is shut.";

const HELP: &str = r#"A request: {"method","path","headers":[[name,value],…],"source","at"}
  headers may hold `host` or `:authority`; source is the caller's address; at (RFC 3339, for ramps)
  is now unless it is given. Values are taken as they are, so a header is its UTF-8 bytes.

A decision: {"route","variant","reason","key","slot","share"}
  reason  no-route, no-key, rule, carried, share or rest (the key fell outside every share);
          gate-shut where the policy holds the variant's gate shut; no-policy where the policy's mode
          is bypass
  key     where the key came from, never its value; null where none was drawn with
  slot    where the key fell, 0 to 999999
  share   that of the variant decided on, in parts per million; a gate that is held shut leaves all
          to stable

With --flags it also has "flags": {"name": {"value","reason"}}, where reason is carried, rule, no-key,
share or rest; a request that a rule or maintenance answers has none. (A proxy may shed a flag.)

Example:
  $ echo '{"method":"GET","path":"/checkout","headers":[["x-user-id","anna"]]}' |
      serinus assign --policy shop.yaml
  {"route":"checkout","variant":"stable","reason":"rest","key":"header:x-user-id","slot":212933,"share":990000}

A caller without a key whom the route issues a cookie gets a new random id on each line, as it would
on each first request.

Exit status: 0 when every request was decided; 2 when the policy is bad, or a line is no request: it
is named, and the lines before it are answered."#;

/// Arguments of `serinus assign`.
#[derive(clap::Args)]
#[command(about = ABOUT, after_help = HELP)]
pub struct Args {
    /// File with the policy, alone or inside a WasmPlugin and the like
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Add a member `flags` with the value of each flag, and why it has it
    #[arg(long)]
    flags: bool,
    /// File with the requests; `-` or nothing for standard input
    requests: Option<PathBuf>,
}

/// Decides every request of `args`.
///
/// # Errors
/// A bad policy, the first line that is no request, or a file that cannot be read.
pub fn run(args: &Args) -> Result<(), Failure> {
    let policy = policy_file::one(&args.policy)?;
    let gates = policy.held_gates();
    lines::each_line(args.requests.as_deref(), |line, out| {
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| {
            format!("it is no request: {error}; `serinus assign --help` shows one")
        })?;
        line.decide(&policy, &gates, args.flags, out)
    })
}

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    method: Cow<'l, str>,
    #[serde(borrow)]
    path: Cow<'l, str>,
    #[serde(borrow, default)]
    headers: Vec<(Text<'l>, Text<'l>)>,
    #[serde(borrow, default)]
    source: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    at: Option<Cow<'l, str>>,
}

/// Text that is borrowed where it has no escapes; a bare `Cow` in a tuple would copy.
#[derive(Deserialize)]
struct Text<'l>(#[serde(borrow)] Cow<'l, str>);

#[derive(Serialize)]
struct Answer<'p> {
    route: Option<&'p str>,
    variant: &'p str,
    reason: &'static str,
    key: Option<String>,
    slot: Option<u32>,
    share: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<BTreeMap<&'p str, FlagAnswer<'p>>>,
}

#[derive(Serialize)]
struct FlagAnswer<'p> {
    value: &'p str,
    reason: &'static str,
}

impl Line<'_> {
    fn decide(
        &self,
        policy: &Policy,
        gates: &Gates,
        with_flags: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let now = match &self.at {
            Some(at) => moment(at).map_err(|(what, write)| format!("at: {what}; {write}"))?,
            None => clock(),
        };
        let source = self.source.as_deref().unwrap_or_default();
        let source = match (source, address(source.as_bytes())) {
            ("", _) => None,
            (_, Some(source)) => Some(source),
            (text, None) => return Err(format!("source: `{text}` is no address; as in 192.0.2.7")),
        };
        let lower: Vec<(String, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.0.to_ascii_lowercase(), &*value.0))
            .collect();
        let headers: Vec<Header<'_>> = lower
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let find_source = || source;
        let request = Request::new(&headers, &find_source)
            .with_line(self.method.as_bytes(), self.path.as_bytes());
        let now = Millis(now);
        let decision = match policy.assigner.mode {
            Mode::Bypass => Decision::stable(Reason::NoPolicy),
            Mode::Enforce | Mode::Observe => {
                let assigner = &policy.assigner;
                assigner.decide(&request, now, gates, &mut random)
            }
        };
        let answer = Answer {
            flags: with_flags.then(|| flags(&decision)),
            ..answer(&decision, now, gates)
        };
        serde_json::to_writer(&mut *out, &answer).map_err(|e| e.to_string())?;
        out.push(b'\n');
        Ok(())
    }
}

fn answer<'p>(decision: &Decision<'p>, now: Millis, gates: &Gates) -> Answer<'p> {
    let route = decision.route;
    Answer {
        route: route.map(|route| route.name.as_str()),
        variant: route.map_or(STABLE, |route| route.side_name(decision.side)),
        reason: decision.reason.word(),
        key: decision.key.map(ToString::to_string),
        slot: decision.slot.map(|slot| slot.get()),
        share: route.map(|route| route.share_of(decision.side, now, gates).ppm()),
        flags: None,
    }
}

fn flags<'p>(decision: &Decision<'p>) -> BTreeMap<&'p str, FlagAnswer<'p>> {
    let answer = |given: &Given<'p>| {
        let (value, reason) = (given.text(), given.because.word());
        (given.flag.name.as_str(), FlagAnswer { value, reason })
    };
    decision.flags.given.iter().map(answer).collect()
}

/// Milliseconds since 1970 by this machine's clock.
#[allow(clippy::disallowed_methods)]
pub fn clock() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

fn random() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}
