//! The upstream and the load of the benchmark, both for HTTP/1.1 with keep-alive and in one thread.
//!
//! ```text
//! serinus-load serve --port 8001 --name v1 [--delay-ms 5000]
//! serinus-load drive --port 10000 --pid 4711 --requests 5000 [--rate 2000] [--connections 16]
//! ```
//!
//! `serve` answers every request with 100 bytes and its name in `x-version`. `drive` writes one line
//! of JSON: what came back, how long it took, and how much processor time each thread of the process
//! `--pid` spent meanwhile, by the scheduler's own count in nanoseconds.
//!
//! Without `--rate` the loop is closed: a connection sends its next request when it has its answer.
//! With it, requests are due at even times whatever the answers do, and a latency runs from when the
//! request was due: waiting for a free connection is in it (no coordinated omission).

mod drive;
mod processor;
mod serve;
mod wire;

use lexopt::prelude::*;
use std::process::ExitCode;
use std::time::Duration;

type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serinus-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failed> {
    let mut args = lexopt::Parser::from_env();
    match args.next()? {
        Some(Value(word)) if word == "serve" => serve::serve(&serving(&mut args)?),
        Some(Value(word)) if word == "drive" => {
            let result = drive::drive(&driving(&mut args)?)?;
            println!("{result}");
            Ok(())
        }
        _ => Err("say serve or drive".into()),
    }
}

fn serving(args: &mut lexopt::Parser) -> Result<serve::Serving, Failed> {
    let mut serving = serve::Serving {
        port: 0,
        name: "v1".to_owned(),
        delay: Duration::ZERO,
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("port") => serving.port = args.value()?.parse()?,
            Long("name") => serving.name = args.value()?.string()?,
            Long("delay-ms") => serving.delay = Duration::from_millis(args.value()?.parse()?),
            arg => return Err(arg.unexpected().into()),
        }
    }
    Ok(serving)
}

fn driving(args: &mut lexopt::Parser) -> Result<drive::Driving, Failed> {
    let mut driving = drive::Driving {
        port: 0,
        pid: 0,
        requests: 5_000,
        rate: None,
        connections: 16,
        users: 10_000,
        seed: 1,
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("port") => driving.port = args.value()?.parse()?,
            Long("pid") => driving.pid = args.value()?.parse()?,
            Long("requests") => driving.requests = args.value()?.parse()?,
            Long("rate") => driving.rate = Some(args.value()?.parse()?),
            Long("connections") => driving.connections = args.value()?.parse()?,
            Long("users") => driving.users = args.value()?.parse()?,
            Long("seed") => driving.seed = args.value()?.parse()?,
            arg => return Err(arg.unexpected().into()),
        }
    }
    Ok(driving)
}
