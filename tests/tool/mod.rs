//! Runs `serinus` as a program.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// `serinus` with these arguments and `input` on its standard input, in the repository's folder.
pub fn serinus(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_serinus"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A command that refused its input may have gone before the rest was written.
    let _ = writer.join().unwrap();
    output
}
