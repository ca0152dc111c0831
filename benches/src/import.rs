use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, ensure};

use crate::meter::peak_of;

/// Imports JSON lines of about 256 bytes in 1,000 streams through the command.
pub(crate) fn run(
    command: &Path,
    scratch: &Path,
    quick: bool,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut report = Vec::new();
    let mut peaks = Vec::new();
    let part = if quick { 100 } else { 1 };
    for lines in [300_000u64, 1_000_000, 3_000_000].map(|lines| lines / part) {
        let source = scratch.join(format!("{lines}.jsonl"));
        write_lines(&source, lines)?;
        let journal = scratch.join(format!("journal-{lines}"));
        run_command(command, scratch, &["init".as_ref(), journal.as_os_str()])?;
        let fields = [
            "--format", "jsonl", "--scope", "bench", "--entity", "stream", "--kind", "kind",
        ];
        let mut arguments = vec!["import".as_ref(), journal.as_os_str(), source.as_os_str()];
        arguments.extend(fields.iter().map(std::ffi::OsStr::new));
        arguments.extend(
            ["--id", "id", "--time", "time"]
                .iter()
                .map(std::ffi::OsStr::new),
        );
        let (seconds, peak) = run_command(command, scratch, &arguments)?;
        report.push((
            format!("import of {lines} JSON lines"),
            format!("{:.0} events/s, peak {peak:.0} MiB", lines as f64 / seconds),
        ));
        peaks.push(peak);
        let (seconds, peak) =
            run_command(command, scratch, &["verify".as_ref(), journal.as_os_str()])?;
        report.push((
            format!("verify of {lines} events"),
            format!("{:.0} events/s, peak {peak:.0} MiB", lines as f64 / seconds),
        ));
        std::fs::remove_file(source)?;
        std::fs::remove_dir_all(journal)?;
    }
    if let (Some(first), Some(last)) = (peaks.first(), peaks.last()) {
        report.push((
            "peak memory, 3,000,000 lines against 300,000".to_owned(),
            format!("{:.3}", last / first),
        ));
    }
    Ok(report)
}

fn write_lines(path: &Path, lines: u64) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create_new(path)?);
    let filler = "x".repeat(96);
    let mut state = 1u64;
    for line in 0..lines {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        writeln!(
            out,
            "{{\"id\":\"{line:012}\",\"stream\":\"account-{}\",\"kind\":\"account.noted\",\
             \"time\":\"2026-01-01T00:00:00Z\",\"amount\":{},\"ref\":\"{state:016x}\",\"note\":\"{filler}\"}}",
            (state >> 33) % 1000,
            state >> 40,
        )?;
    }
    Ok(out.flush()?)
}

/// Runs the command with a home of its own. Returns seconds and the peak resident memory in MiB.
pub(crate) fn run_command(
    command: &Path,
    home: &Path,
    arguments: &[&std::ffi::OsStr],
) -> anyhow::Result<(f64, f64)> {
    let start = Instant::now();
    let mut child = Command::new(command)
        .args(arguments)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start the command")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    let exit = loop {
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        peak = peak.max(peak_of(&text).unwrap_or(0.0));
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let seconds = start.elapsed().as_secs_f64();
    ensure!(exit.success(), "{arguments:?} ended with {exit}");
    Ok((seconds, peak))
}
