use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use factlog::{Journal, Options};
use factlog_format::{CaseFile, CaseSection};

use crate::{import::run_command, meter::median, verification::fill_with};

const ROUNDS: usize = 5;
/// What the page is given.
const FOR_THE_PAGE: u64 = 1000;

/// A case of a hundredth of the events, made and verified by the command; and one that the page verifies.
pub(crate) fn run(
    command: &Path,
    scratch: &Path,
    events: u64,
) -> anyhow::Result<Vec<(String, String)>> {
    let (dir, key) = (scratch.join("evident"), scratch.join("evident.key"));
    let [dir_arg, key_arg] = [dir.as_os_str(), key.as_os_str()];
    let option = OsStr::new("--signing-key");
    let arguments = [OsStr::new("init"), dir_arg, option, key_arg];
    run_command(command, scratch, &arguments)?;
    let journal = Journal::open(&dir, Options::new().signing_key_file(&key))?;
    fill_with(&journal, events)?;
    let vkey = journal
        .reader()
        .verifier_key()
        .context("the journal's key")?;
    journal.close()?;
    let vkey_file = scratch.join("evident.vkey");
    std::fs::write(&vkey_file, vkey.to_string())?;

    let part = events / 100;
    let (mut made, mut verified) = (Vec::new(), Vec::new());
    let mut peaks = [0.0f64; 2];
    let mut case = PathBuf::new();
    for round in 0..ROUNDS {
        case = scratch.join(format!("{round}.case"));
        let (seconds, peak) = make(
            command,
            scratch,
            (dir_arg, key_arg),
            &case,
            events / 2,
            part,
        )?;
        made.push(seconds);
        peaks[0] = peaks[0].max(peak);
        let vkey = OsStr::new("--vkey");
        let check = [
            OsStr::new("verify-evidence"),
            case.as_os_str(),
            vkey,
            vkey_file.as_os_str(),
        ];
        let (seconds, peak) = run_command(command, scratch, &check)?;
        verified.push(seconds);
        peaks[1] = peaks[1].max(peak);
    }
    let bytes = std::fs::read(&case)?;
    let content = content(&bytes)?;
    let [made_peak, verified_peak] = peaks;
    let mut report = vec![
        (
            format!("a case of {part} events out of {events}, made"),
            format!("{:.2} s, peak {made_peak:.0} MiB", median(made)),
        ),
        (
            "verified".to_owned(),
            format!("{:.2} s, peak {verified_peak:.0} MiB", median(verified)),
        ),
        (
            "its size, to that of the facts and payloads in it".to_owned(),
            format!(
                "{} bytes, {:.3}",
                bytes.len(),
                bytes.len() as f64 / content as f64
            ),
        ),
    ];
    let case = scratch.join("page.case");
    let for_page = FOR_THE_PAGE.min(part);
    make(
        command,
        scratch,
        (dir_arg, key_arg),
        &case,
        events / 2,
        for_page,
    )?;
    if let Some(milliseconds) = on_the_page(&case, &vkey_file)? {
        report.push((
            format!("a case of {for_page} events, verified by the page in Chromium"),
            format!("{milliseconds} ms"),
        ));
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(report)
}

fn make(
    command: &Path,
    scratch: &Path,
    (dir, key): (&OsStr, &OsStr),
    case: &Path,
    from: u64,
    events: u64,
) -> anyhow::Result<(f64, f64)> {
    let [from, to] = [from, from + events].map(|sequence| sequence.to_string());
    let [from, to] = [OsStr::new(&from), OsStr::new(&to)];
    let [evidence, from_option, to_option, out, option] =
        ["evidence", "--from", "--to", "-o", "--signing-key"].map(OsStr::new);
    let case = case.as_os_str();
    let arguments = [
        evidence,
        dir,
        from_option,
        from,
        to_option,
        to,
        out,
        case,
        option,
        key,
    ];
    run_command(command, scratch, &arguments)
}

/// How many bytes of facts and payloads a case holds.
fn content(bytes: &[u8]) -> anyhow::Result<usize> {
    let case = CaseFile::decode(bytes)?;
    let facts = case.records.iter().filter_map(|record| record.facts);
    let facts: usize = facts.map(|(_, facts)| facts.len()).sum();
    let sections = case
        .records
        .iter()
        .flat_map(|record| record.sections.iter().flatten());
    let sections = sections.map(|section| match section {
        CaseSection::Disclosed { stored, .. } => stored.len(),
        _ => 0,
    });
    Ok(facts + sections.sum::<usize>())
}

/// How long the page takes, where what runs it is installed.
fn on_the_page(case: &Path, vkey: &Path) -> anyhow::Result<Option<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../page");
    if !page.join("node_modules").exists() {
        return Ok(None);
    }
    let [case, vkey] = [case, vkey].map(std::path::absolute);
    let ran = Command::new("node")
        .current_dir(page)
        .args(["test/browser.mjs", "--time"])
        .args([case?, vkey?])
        .output()
        .context("run the page")?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(ran.status.success(), "the page: {said}");
    let found = said.split_once("verified in ");
    Ok(found.and_then(|(_, rest)| Some(rest.split_once(" ms")?.0.to_owned())))
}
