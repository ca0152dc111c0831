use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process_group};

/// A checkpoint is at most 64 KiB; what a command says beyond is not read.
const MAX_OUTPUT: u64 = 64 << 10;
/// How long a command may take; a close waits for it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command by the shell, with a variable that says what it is asked for, and gives what it prints. After `limit` it is killed, with all that it has started. No error repeats anything of what
/// the command is or says: both may hold secrets.
pub(crate) fn shell(
    command: &str,
    asked: (&str, &str),
    input: &[u8],
    limit: Duration,
) -> Result<Vec<u8>> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env(asked.0, asked.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()
        .context("cannot run the shell")?;
    let group = Pid::from_child(&child);
    let (told, done) = mpsc::channel();
    let input = input.to_vec();
    // Alone, since whatever holds the pipes may keep it for ever.
    thread::spawn(move || {
        let _ = told.send(talk(&mut child, &input));
    });
    match done.recv_timeout(limit) {
        Ok(output) => output,
        Err(_) => {
            let _ = kill_process_group(group, Signal::KILL);
            Err(anyhow!("the command took longer than {limit:?}"))
        }
    }
}

fn talk(child: &mut Child, input: &[u8]) -> Result<Vec<u8>> {
    // One that doesn't read what it is given says by its exit code whether that was meant.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    let mut output = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .by_ref()
            .take(MAX_OUTPUT + 1)
            .read_to_end(&mut output)?;
        io::copy(&mut stdout, &mut io::sink())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_answers_or_says_why_not() {
        let run = |command: &str| {
            shell(command, ("FACTLOG_ANCHOR", "get"), b"in", LIMIT).map_err(|e| e.to_string())
        };
        assert_eq!(run("cat; echo $FACTLOG_ANCHOR"), Ok(b"inget\n".to_vec()));
        assert_eq!(run("exit 0"), Ok(Vec::new()));
        let failed = run("echo sesame; exit 3").unwrap_err();
        assert!(
            failed.contains("exit status: 3") && !failed.contains("sesame"),
            "{failed}"
        );
        assert!(
            run("yes | head -c 70000")
                .unwrap_err()
                .contains("more than a checkpoint")
        );
    }

    /// Bug: a command that hung kept the journal from ever being closed, also where only a child of its had
    /// the pipe open.
    #[test]
    fn a_command_that_hangs_is_ended() {
        for command in [
            "tail -f /dev/null",
            "tail -f /dev/null & wait",
            "tail -f /dev/null & exit 0",
        ] {
            let failed = shell(
                command,
                ("FACTLOG_ANCHOR", "put"),
                b"",
                Duration::from_millis(50),
            )
            .unwrap_err();
            assert!(
                failed.to_string().contains("took longer"),
                "{command}: {failed}"
            );
        }
    }
}
