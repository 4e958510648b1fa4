//! The command-line tool: the filter's core, natively.
mod answers;
mod assign;
mod check;
mod compare;
mod hash;
mod judge;
mod lines;
mod policy_file;
mod prometheus;
mod response;
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
    Check(check::Args),
    Assign(assign::Args),
    Hash(hash::Args),
    Judge(judge::Judge),
    Compare(compare::Args),
}

fn main() -> ExitCode {
    let answered = |()| ExitCode::SUCCESS;
    let done = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Assign(args) => assign::run(&args).map(answered),
        Command::Hash(args) => hash::run(&args).map(answered),
        Command::Judge(command) => command.run(),
        Command::Compare(args) => compare::run(&args),
    };
    done.unwrap_or_else(|lines::Failure(message)| {
        eprintln!("serinus: {message}");
        ExitCode::from(2)
    })
}
