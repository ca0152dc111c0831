use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};

/// A checkpoint is at most 64 KiB; what a command says beyond is not read.
const MAX_OUTPUT: u64 = 64 << 10;

/// Runs an anchor's command by the shell, with `FACTLOG_ANCHOR` set to what it is asked for, and gives what
/// it prints.
pub(crate) fn shell(command: &str, asked: &str, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("FACTLOG_ANCHOR", asked)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot run the shell")?;
    // One that doesn't read what it is given says by its exit code whether that was meant.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output)?;
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(anyhow!("the command ended with {status}"));
    }
    if output.len() as u64 > MAX_OUTPUT {
        return Err(anyhow!("the command printed more than a checkpoint"));
    }
    Ok(output)
}
