//! The command-line tool: the filter's core, natively.
mod judge;
mod lines;
mod trace;

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
    Judge(judge::Judge),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Judge(command) => command.run(),
    };
    done.unwrap_or_else(|lines::Failure(message)| {
        eprintln!("serinus: {message}");
        ExitCode::from(2)
    })
}
