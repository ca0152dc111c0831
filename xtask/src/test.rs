//! `cargo xtask test`.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run::cargo;

/// Runs every test of the workspace, those of encryption too, shows what cargo shows, and sums it up.
///
/// The house rules and the traceability check are ordinary tests of this package.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let start = Instant::now();
    let mut child = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])
        .args(["--features", "factlog/encryption"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;

    let mut sum = Summary::default();
    let mut out = std::io::stdout().lock();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context("the output of cargo could not be read")?;
            out.write_all(&line)?;
            out.write_all(b"\n")?;
            sum.add(&String::from_utf8_lossy(&line));
        }
    }
    let status = child.wait()?;
    writeln!(
        out,
        "\nall tests: {} passed, {} failed, {} ignored, in {} programs, {} s",
        sum.passed,
        sum.failed,
        sum.ignored,
        sum.programs,
        start.elapsed().as_secs()
    )?;
    if !status.success() {
        bail!("cargo test failed ({status})");
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq)]
struct Summary {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Summary {
    /// Counts a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        self.programs += 1;
        for part in result.split(['.', ';']) {
            let Some((count, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_up() {
        let mut sum = Summary::default();
        for line in [
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.23s",
            "test something ... ok",
            "running 7 tests",
        ] {
            sum.add(line);
        }
        let wanted = Summary {
            programs: 2,
            passed: 5,
            failed: 5,
            ignored: 1,
        };
        assert_eq!(sum, wanted);
    }
}
