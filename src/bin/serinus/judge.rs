//! `serinus judge`: what would the gate have done?

use crate::lines::{Failure, each_line, last_line};
use crate::trace::{Header, Reader};
use clap::Args;
use serde::Serialize;
use serinus::gate::{Change, Gate, Position, Sample, Settings, Signal, Verdict};
use std::path::PathBuf;
use std::process::ExitCode;

/// Replay a trace of ticks through the gate: when would it have shut, and why?
#[derive(Args)]
#[command(after_long_help = HELP)]
pub struct Judge {
    /// The trace, as JSON Lines; standard input if it is - or not named
    trace: Option<PathBuf>,
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

Every field but t may be absent. The header beats the gate's own settings; without slow_ms and
slow90_ms the thresholds are learned from stable's latency. A tick with a side missing, with counts
below zero or at odds with each other is held: nothing is learned from it. Both sides may also have
conversions, and shadowed with diffs; a tick may change share_ppm.

Each change of the gate is a line: the tick, the state from then on, why, on which signal, and the
counts of both sides that it rests on. The last line has the verdict (pass, hold, fail) and the
tick at which the gate first shut, or null:

  {\"t\":305,\"state\":\"shut\",\"reason\":\"worse\",\"signal\":\"errors\",\"evidence\":{\"stable\":...}}
  {\"verdict\":\"fail\",\"shut_at\":305}

The status is 0 whatever was found, 2 if the trace cannot be read, and with --exit-code 1 if the
gate shut.";

/// A replay under way.
struct Replay {
    settings: Settings,
    reader: Option<Reader>,
    gate: Gate,
    shut_at: Option<u64>,
}

impl Judge {
    /// Runs the command.
    ///
    /// # Errors
    /// The trace cannot be read, or makes no sense.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        // The one place where a policy's gate would come in instead of the default one.
        let settings = Settings::default();
        let mut replay = Replay {
            gate: Gate::new(&settings),
            settings,
            reader: None,
            shut_at: None,
        };
        each_line(self.trace.as_deref(), |line, out| replay.line(line, out))?;
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
}

impl Replay {
    fn line(&mut self, line: &str, out: &mut Vec<u8>) -> Result<(), String> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let header = Header::parse(line)?;
                let told = header.is_some();
                let reader = header.unwrap_or_default().apply(&mut self.settings)?;
                if told {
                    self.reader = Some(reader);
                    return Ok(());
                }
                reader
            }
        };
        let tick = reader.tick(line);
        self.reader = Some(reader);
        if let Some((t, tick)) = tick?
            && let Some(change) = self.gate.tick(&self.settings, &tick)
        {
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
