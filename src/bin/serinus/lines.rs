//! JSON Lines in and out, in order, in constant memory.
//!
//! Every command reads `-` (or nothing named) as standard input. A line that cannot be read ends
//! the command with status 2 and says which line it was; a reader of ours that has gone away (a
//! closed pipe) ends it quietly.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// What ended a command early: the message for standard error.
#[derive(Debug)]
pub struct Failure(pub String);

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self(message)
    }
}

/// Opens `path`; `None` and `-` are standard input.
///
/// # Errors
/// Names the file and why it could not be opened.
pub fn open(path: Option<&Path>) -> Result<Box<dyn BufRead>, Failure> {
    match path {
        None => Ok(Box::new(BufReader::with_capacity(1 << 16, io::stdin()))),
        Some(path) if path.as_os_str() == "-" => open(None),
        Some(path) => match File::open(path) {
            Ok(file) => Ok(Box::new(BufReader::with_capacity(1 << 16, file))),
            Err(error) => Err(Failure(format!("{}: {error}", path.display()))),
        },
    }
}

/// The name by which messages call `path`.
pub fn label(path: Option<&Path>) -> String {
    match path {
        Some(path) if path.as_os_str() != "-" => path.display().to_string(),
        _ => "standard input".to_owned(),
    }
}

/// Calls `each` with every line that is not blank, and writes what it appends to the output line.
///
/// # Errors
/// The first line that cannot be read or that `each` refuses, with its number; or a failed write.
/// A closed pipe on our output is not an error.
pub fn each_line(
    path: Option<&Path>,
    mut each: impl FnMut(&str, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), Failure> {
    let mut input = open(path)?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut line = String::new();
    let mut out = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        number = number.saturating_add(1);
        let at = |what: String| Failure(format!("{}:{number}: {what}", label(path)));
        match input.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) if line.trim().is_empty() => continue,
            Ok(_) => {}
            Err(error) => {
                let _ = output.flush();
                return Err(at(error.to_string()));
            }
        }
        out.clear();
        if let Err(what) = each(&line, &mut out) {
            let _ = output.flush();
            return Err(at(what));
        }
        if let Err(error) = output.write_all(&out) {
            return ended(&error);
        }
    }
    output.flush().or_else(|error| ended(&error))
}

/// Writes one line of JSON after all others.
///
/// # Errors
/// A failed write; a closed pipe is not an error.
pub fn last_line(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).map_err(|error| error.to_string())?;
    writeln!(io::stdout().lock(), "{line}").or_else(|error| ended(&error))
}

/// Writes lines that are ready.
///
/// # Errors
/// A failed write; a closed pipe is not an error.
pub fn write(lines: &[u8]) -> Result<(), Failure> {
    let written = io::stdout().lock().write_all(lines);
    written.or_else(|error| ended(&error))
}

fn ended(error: &io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Failure(format!("standard output: {error}")))
}
