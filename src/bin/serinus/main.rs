//! The command-line tool: the filter's core, natively.
mod compare;
mod hash;
mod lines;
mod response;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Check canary policies, and ask the filter's own core what it would decide.
#[derive(Parser)]
#[command(name = "serinus", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(compare::Args),
    Hash(hash::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Hash(args) => hash::run(&args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|lines::Failure(message)| {
        eprintln!("serinus: {message}");
        ExitCode::from(2)
    })
}
