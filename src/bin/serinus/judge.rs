//! `serinus judge`: what would the gate have done?

use crate::answers;
use crate::lines::{self, Failure, each_line, last_line};
use crate::policy_file;
use crate::prometheus::Samples;
use crate::trace::{Header, Reader};
use clap::Args;
use serde::Serialize;
use serinus::gate::{Change, Gate, Position, Sample, Settings, Signal, Tick, Verdict};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Replay a trace of ticks through the gate: when would it have shut, and why?
#[derive(Args)]
#[command(after_long_help = HELP)]
pub struct Judge {
    /// The trace, as JSON Lines; standard input if it is - or not named
    trace: Option<PathBuf>,
    /// File with the policy whose gate judges; without one it is the default gate
    #[arg(long, value_name = "FILE", requires = "route")]
    policy: Option<PathBuf>,
    /// The route: of the policy, and of the samples
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The route's variant, if it has several
    #[arg(long, value_name = "NAME", requires = "route")]
    variant: Option<String>,
    /// File with what Prometheus recorded, instead of a trace; standard input if it is -
    #[arg(long, value_name = "FILE", conflicts_with = "trace")]
    from_prometheus: Option<PathBuf>,
    /// Exit with status 1 if the gate ever shut
    #[arg(long)]
    exit_code: bool,
}

const HELP: &str = "\
A compressed trace is piped in: zcat TRACE.jsonl.gz | serinus judge

The trace's first line is its header, each further line one tick of counts of both sides:

  {\"tick_ms\":1000,\"share_ppm\":50000,\"grace_s\":60,\"slow_ms\":250,\"slow90_ms\":100,
   \"latency_le_ms\":[1,2,5,10,25,50,100,250,500,1000,2500,5000,10000,\"inf\"]}
  {\"t\":0,\"stable\":{\"n\":950,\"errors\":2,\"slow\":14,\"slow90\":97,\"latency\":[...],
   \"groups\":[[n,errors,slow,slow90], ... 8 groups of hosts]},
   \"canary\":{\"n\":50,\"errors\":0,\"slow\":1,\"slow90\":5,\"latency\":[...],
   \"slot_n\":[... requests by 64 slots of callers],\"err_slots\":[[slot,errors], ...]}}

Every field but t may be absent. The header beats the policy, and that the gate's defaults; without
slow_ms and slow90_ms the thresholds are learned from stable's latency. A tick with a side missing,
with counts below zero or at odds with each other is held: nothing is learned from it. Both sides
may also have conversions, and shadowed with diffs; a tick may change share_ppm.

With --policy the gate of --route judges: its signals, limits, tolerance, warm-up and way back are
tried on your own numbers. That a person holds it (held) is not looked at.

  serinus judge --policy shop.yaml --route checkout trace.jsonl

With --from-prometheus what Prometheus recorded is judged, so that last month's incident can be
replayed. The file holds answers of /api/v1/query_range, one after the other or in lists, to

  serinus_requests_total{route=\"checkout\"}                                  needed, of both sides
  serinus_request_duration_milliseconds_bucket{route=\"checkout\"}            or slowness is not judged
  serinus_share_asked_ppm{route=\"checkout\"}                                 for limits on requestRate

  for metric in serinus_requests_total serinus_request_duration_milliseconds_bucket; do
    curl -sG localhost:9090/api/v1/query_range -d start=2026-11-21T09:00:00Z \\
      -d end=2026-11-21T10:00:00Z -d step=15 --data-urlencode \"query=$metric{route=\\\"checkout\\\"}\"
  done | serinus judge --from-prometheus - --policy shop.yaml --route checkout

All with the same start and step, which is at least the scrape interval; longer times in several
answers, as Prometheus gives at most 11,000 samples of a series at once. Sums of many proxies (sum by
(route, variant, outcome), and le for the histogram) work, but a proxy that restarts is better seen
without. A step in which a counter fell, or a sample is missing, is held. Prometheus knows neither
callers nor hosts apart: retries of one caller, which the filter sees through, may shut the gate
here. And a step of 15 s shows later what the filter sees in seconds.

Each change of the gate is a line: the tick (of samples: its end, in seconds since 1970), the state
from then on, why, on which signal, and the counts of both sides that it rests on. The last line has
the verdict (pass, hold, fail) and the tick at which the gate first shut, or null:

  {\"t\":305,\"state\":\"shut\",\"reason\":\"worse\",\"signal\":\"errors\",\"evidence\":{\"stable\":...}}
  {\"verdict\":\"fail\",\"shut_at\":305}

The status is 0 whatever was found, 2 if policy, trace or samples cannot be read, and with
--exit-code 1 if the gate shut.";

/// A replay under way.
struct Replay {
    settings: Settings,
    gate: Gate,
    shut_at: Option<u64>,
}

impl Judge {
    /// Runs the command.
    ///
    /// # Errors
    /// The policy, trace or samples cannot be read, or make no sense.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let settings = match &self.policy {
            Some(path) => self.settings(path)?,
            None => Settings::default(),
        };
        let replay = match &self.from_prometheus {
            Some(path) => self.samples(path, settings)?,
            None => self.trace(settings)?,
        };
        let verdict = match replay.shut_at {
            Some(_) => Verdict::Fail,
            None => replay.gate.verdict(&replay.settings),
        };
        last_line(&Summary {
            verdict: verdict.as_str(),
            shut_at: replay.shut_at,
        })?;
        let failed = self.exit_code && verdict == Verdict::Fail;
        Ok(ExitCode::from(u8::from(failed)))
    }

    /// The policy's settings for the route. A trace has its own latency buckets, so those of the
    /// filter stay out.
    fn settings(&self, path: &Path) -> Result<Settings, Failure> {
        let policy = policy_file::one(path)?;
        let wanted = self.route.as_deref().unwrap_or_default();
        let (route, gates) = policy_file::route(&policy, &policy.gates, path, wanted)?;
        let is_meant = |name: &str| self.variant.as_deref().is_none_or(|wanted| name == wanted);
        let mut variants = route.variants.iter().zip(&gates.variants);
        match variants.find(|(variant, _)| is_meant(&variant.name)) {
            Some((_, settings)) => Ok(Settings {
                held: None,
                latency_bounds_ms: Settings::default().latency_bounds_ms,
                ..settings.clone()
            }),
            None => {
                let wanted = self.variant.as_deref().unwrap_or("canary");
                let names = route.variants.iter().map(|variant| &*variant.name);
                Err(policy_file::unknown(path, "variant", wanted, names))
            }
        }
    }

    fn trace(&self, settings: Settings) -> Result<Replay, Failure> {
        if self.route.is_some() && self.policy.is_none() {
            let what = "--route: a trace is of one route; write --policy FILE too, or leave it out";
            return Err(Failure(what.to_owned()));
        }
        let mut replay = Replay::new(settings);
        let mut reader = None;
        each_line(self.trace.as_deref(), |line, out| {
            replay.line(line, &mut reader, out)
        })?;
        Ok(replay)
    }

    fn samples(&self, path: &Path, mut settings: Settings) -> Result<Replay, Failure> {
        let path = Some(path);
        let at = |what: String| Failure(format!("{}: {what}", lines::label(path)));
        let all = answers::read(lines::open(path)?).map_err(at)?;
        let (route, variant) = (self.route.as_deref(), self.variant.as_deref());
        let samples = Samples::of(&all, route, variant).map_err(at)?;
        settings.tick = Duration::from_millis(samples.step_ms);
        settings.signals.slow &= !samples.bounds_ms.is_empty();
        settings.latency_bounds_ms.clone_from(&samples.bounds_ms);
        let mut replay = Replay::new(settings);
        let mut out = Vec::new();
        for (t, tick) in samples.ticks() {
            replay.tick(t, &tick, &mut out).map_err(at)?;
        }
        lines::write(&out)?;
        Ok(replay)
    }
}

impl Replay {
    fn new(settings: Settings) -> Self {
        Self {
            gate: Gate::new(&settings),
            settings,
            shut_at: None,
        }
    }

    fn line(
        &mut self,
        line: &str,
        reader: &mut Option<Reader>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let ticks = match reader {
            Some(ticks) => ticks,
            None => {
                let header = Header::parse(line)?;
                let told = header.is_some();
                let ticks = header.unwrap_or_default().apply(&mut self.settings)?;
                let ticks = reader.insert(ticks);
                if told {
                    return Ok(());
                }
                ticks
            }
        };
        match ticks.tick(line)? {
            Some((t, tick)) => self.tick(t, &tick, out),
            None => Ok(()),
        }
    }

    fn tick(&mut self, t: u64, tick: &Tick, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(change) = self.gate.tick(&self.settings, tick) {
            if change.state == Position::Shut {
                self.shut_at.get_or_insert(t);
            }
            let told = describe(t, &change);
            serde_json::to_writer(&mut *out, &told).map_err(|error| error.to_string())?;
            out.push(b'\n');
        }
        Ok(())
    }
}

/// A line of the output.
#[derive(Serialize)]
struct Told {
    t: u64,
    state: &'static str,
    reason: &'static str,
    signal: Option<&'static str>,
    evidence: Evidence,
}

#[derive(Serialize)]
struct Evidence {
    stable: Counted,
    canary: Counted,
}

#[derive(Serialize)]
struct Counted {
    n: u64,
    k: u64,
}

/// The last line of the output.
#[derive(Serialize)]
struct Summary {
    verdict: &'static str,
    shut_at: Option<u64>,
}

/// Fractions come from decay and from the key cap; people count whole requests.
fn whole(sample: Sample) -> Counted {
    Counted {
        n: sample.n.round() as u64,
        k: sample.k.round() as u64,
    }
}

fn describe(t: u64, change: &Change) -> Told {
    Told {
        t,
        state: change.state.as_str(),
        reason: change.reason.as_str(),
        signal: change.signal.map(Signal::as_str),
        evidence: Evidence {
            stable: whole(change.evidence.stable),
            canary: whole(change.evidence.canary),
        },
    }
}
