//! `serinus check`: every problem of a policy, before a proxy meets it.

use crate::assign::clock;
use crate::lines::{self, Failure};
use crate::policy_file;
use serinus::assign::ramp::Millis;
use serinus::policy::{self, Policy, find};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const ABOUT: &str = "\
Check policies as the filter does, and say everything that is wrong with them

Reads YAML or JSON with one or many documents: policies alone, or inside a WasmPlugin, \
TrafficExtension, EnvoyFilter or EnvoyExtensionPolicy, an Envoy bootstrap, a listener or an ECDS \
resource. Other Kubernetes resources are passed over.";

const HELP: &str = "\
Each problem is a line of its own, with what is wrong and what to write instead:
  shop.yaml:12: routes[0].variants[0].share: `1` has no % at its end; a percentage from 0% to 100%
  with at most four decimals, as in \"0.25%\"

A warning is said of a good policy, in the same form on standard error, and changes no exit status:
  shop.yaml:30: routes[0].shadow.methods[1]: warning: `POST` may write, and the other version would
  write for good; leave it out unless the other version's store is its own

Example:
  $ serinus check shop.yaml && serinus check --json shop.yaml > shop.json

Exit status: 0 when every policy is good; 1 when one is bad; 2 when a file cannot be read or holds
no policy.";

/// Arguments of `serinus check`.
#[derive(clap::Args)]
#[command(about = ABOUT, after_help = HELP)]
pub struct Args {
    /// Files with policies; `-` for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print each good policy as one line of JSON, the form in which raw Envoy hands it over
    #[arg(long)]
    json: bool,
}

/// Checks every file of `args`.
///
/// # Errors
/// A file that cannot be read or holds no policy.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut all_good = true;
    for file in &args.files {
        all_good &= check(file, args.json)?;
    }
    Ok(if all_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check(file: &Path, json: bool) -> Result<bool, Failure> {
    let path = Some(file);
    let found = match find::policies(&policy_file::text(path)?) {
        Ok(found) => found,
        Err(refusal) => {
            tell(&policy_file::problems(path, &refusal))?;
            return Ok(false);
        }
    };
    if found.is_empty() {
        return Err(Failure(format!(
            "{}: it holds no policy",
            lines::label(path)
        )));
    }
    let mut good = true;
    for tree in found {
        match tree.and_then(|tree| policy::check(&tree).map(|policy| (tree, policy))) {
            Ok((tree, policy)) => {
                let warnings = policy.warnings(Millis(clock()));
                policy_file::each(path, warnings).for_each(|line| eprintln!("{line}"));
                if json {
                    tell(&[tree.to_json()])?;
                } else {
                    eprintln!("{}: {}", lines::label(path), praise(&policy));
                }
            }
            Err(refusal) => {
                good = false;
                tell(&policy_file::problems(path, &refusal))?;
            }
        }
    }
    Ok(good)
}

fn praise(policy: &Policy) -> String {
    let count = policy.assigner.routes.len();
    format!("policy `{}` is good ({count} routes)", policy.name)
}

fn tell(lines: &[String]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").map_err(|error| Failure(format!("standard output: {error}")))?;
    }
    Ok(())
}
