use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use factlog::{
    Authenticity, Completeness, Finding, Integrity, Outcome, Report, SignedCheckpoint, TrustPolicy,
    VerifyOptions,
};
use serde::Serialize;

use super::{known, trust::anchors};
use crate::exit::{Exit, Problem};
use crate::opening::{self, KnownArgs, id_text};
use crate::output::{BAD, DIM, GOOD, OPEN, Output, note, shown, styled, table};
use crate::progress::{Progress, Unit};
use crate::{demo, files, paths};

/// Checkpoints and receipts are at most 64 KiB.
const MAX_EVIDENCE: u64 = 64 << 10;
const MAX_POLICY: u64 = 256 << 10;

/// Check a journal: that it agrees with itself, who vouches for it, and whether it is complete
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog verify ledger
  factlog verify ledger --vkey example.com/ledger/0f3c…+1a2b3c4d+AWdl…
  factlog verify ledger --checkpoint ledger.checkpoint --receipt event-42.receipt
  factlog verify ledger --since last-month.checkpoint
  factlog verify copy --internal --json
  factlog verify --self-test")]
pub(crate) struct Args {
    /// The journal's directory
    #[arg(required_unless_present = "self_test")]
    dir: Option<PathBuf>,
    /// Show that tampering is found, with a small journal in a temporary folder
    #[arg(long, conflicts_with_all = ["dir", "vkey", "checkpoint", "receipt", "policy", "since", "internal", "known"])]
    self_test: bool,
    /// The journal's verifier key, known to you from elsewhere: the key, or a file that holds it
    #[arg(long, value_name = "KEY")]
    vkey: Option<String>,
    /// A checkpoint kept elsewhere, which the journal must continue; may be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A receipt whose event must be in the journal; may be repeated
    #[arg(long, value_name = "FILE")]
    receipt: Vec<PathBuf>,
    /// Whom to trust: a policy file of logs and witnesses, and how many of which must have cosigned
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Read only what came since a checkpoint that you hold, and rest on it for all before
    #[arg(long, value_name = "FILE", conflicts_with = "internal")]
    since: Option<PathBuf>,
    /// Ask only whether the journal agrees with itself
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    known: KnownArgs,
}

/// What a journal is to be checked against.
#[derive(Default)]
pub(crate) struct Evidence {
    pub(crate) vkey: Option<factlog::VerifierKey>,
    pub(crate) checkpoints: Vec<PathBuf>,
    pub(crate) receipts: Vec<PathBuf>,
    pub(crate) policy: Option<TrustPolicy>,
    pub(crate) since: Option<PathBuf>,
    /// The journal's anchors, as they were added.
    pub(crate) anchors: Vec<String>,
    /// Why it isn't known which there are.
    pub(crate) unlisted: Option<String>,
    pub(crate) internal: bool,
    pub(crate) known: KnownArgs,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let Some(dir) = &args.dir else {
        return demo::self_test(out);
    };
    let (anchors, unlisted) = match anchors_of(dir, args) {
        Ok(anchors) => (anchors, None),
        Err(error) => (Vec::new(), Some(format!("their list: {error:#}"))),
    };
    let evidence = Evidence {
        vkey: args
            .vkey
            .as_deref()
            .map(opening::verifier_key)
            .transpose()?,
        checkpoints: args.checkpoint.clone(),
        receipts: args.receipt.clone(),
        policy: args.policy.as_deref().map(read_policy).transpose()?,
        since: args.since.clone(),
        anchors,
        unlisted,
        internal: args.internal,
        known: args.known.clone(),
    };
    let report = run_verify(dir, &evidence)?;
    known::remember(dir, &evidence, &report);
    let exit = match report.outcome(args.internal) {
        Outcome::Holds => Exit::Done,
        Outcome::Fails => Exit::NotHolding,
        Outcome::Undecided => Exit::Undecided,
    };
    let printed = if out.is_json() {
        out.object(&report_json(&report, &evidence, "factlog.verify/1"))
    } else {
        show_report(&report, &evidence, out)
    };
    // The verdict stands whether or not anyone reads all of it.
    match printed.and_then(|()| out.flush()) {
        Err(error) if !error.is::<crate::exit::ClosedPipe>() => Err(error),
        _ => Ok(exit),
    }
}

/// The anchors that were named for the journal on this machine, unless nothing remembered is to be asked.
fn anchors_of(dir: &Path, args: &Args) -> Result<Vec<String>> {
    if args.internal || args.known.is_none() {
        return Ok(Vec::new());
    }
    Ok(anchors::listed(dir)?.specs)
}

/// Verifies with the evidence named.
pub(crate) fn run_verify(dir: &Path, evidence: &Evidence) -> Result<Report> {
    let mut options = VerifyOptions::new().internal(evidence.internal);
    if let Some(key) = &evidence.vkey {
        options = options.key(key.clone());
    }
    for path in &evidence.checkpoints {
        options = options.checkpoint(read_checkpoint(path)?);
    }
    // It is one checkpoint more, the last.
    if let Some(path) = &evidence.since {
        options = options.since(read_checkpoint(path)?);
    }
    for path in &evidence.receipts {
        let bytes = files::read(path, MAX_EVIDENCE)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let message = format!("{} is not a receipt: not text", paths::shown(path));
            Problem::new(Exit::NotHolding, "receipt.malformed", message)
        })?;
        options = options.receipt(text);
    }
    for (place, anchor) in evidence.anchors.iter().enumerate() {
        let held = anchors::read(dir, anchor);
        let name = anchors::name(anchor, place);
        options = options.anchor(held.map_err(|error| format!("{name}: {error:#}")));
    }
    if let Some(why) = &evidence.unlisted {
        options = options.anchor(Err(why.clone()));
    }
    if let Some(policy) = &evidence.policy {
        options = options.policy(policy.clone());
    }
    // With `--internal` nothing that is remembered is asked.
    if !evidence.internal
        && let Some(known) = evidence.known.journals()?
    {
        options = options.known(known);
    }
    let progress = Arc::new(Progress::new("verify", Unit::Bytes, None));
    let told = Arc::clone(&progress);
    let options = options.progress(move |done, total| told.set(done, total));
    let report = factlog::verify(dir, &options);
    progress.finish();
    Ok(report?)
}

/// The verifier's own word: one that can't be read is a mistake of theirs.
fn read_policy(path: &Path) -> Result<TrustPolicy> {
    let bytes = files::read(path, MAX_POLICY)?;
    Ok(TrustPolicy::parse(&bytes).map_err(|error| {
        let message = format!("{}: {error}", paths::shown(path));
        Problem::new(Exit::Usage, error.code(), message)
    })?)
}

pub(crate) fn read_checkpoint(path: &Path) -> Result<SignedCheckpoint> {
    let bytes = files::read(path, MAX_EVIDENCE)?;
    // Evidence that can't be read was changed, or never was evidence.
    Ok(SignedCheckpoint::parse(&bytes).map_err(|error| {
        let message = format!("{} is not a checkpoint: {error}", paths::shown(path));
        Problem::new(Exit::NotHolding, error.code(), message)
    })?)
}

#[derive(Serialize)]
pub(crate) struct ReportJson<'a> {
    schema: &'static str,
    id: String,
    origin: &'a str,
    outcome: &'static str,
    integrity: &'static str,
    authenticity: &'static str,
    signed_through: Option<u64>,
    completeness: &'static str,
    anchored_through: Option<u64>,
    anchored_by: Option<String>,
    keeper_controls: Option<bool>,
    resumed_from: u64,
    events: u64,
    streams: u64,
    root: String,
    findings: Vec<FindingJson<'a>>,
    unchecked: Vec<FindingJson<'a>>,
    notes: Vec<FindingJson<'a>>,
    omitted: u64,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    code: &'static str,
    file: String,
    offset: Option<u64>,
    sequence: Option<u64>,
    detail: &'a str,
    evidence: String,
}

/// The report in JSON.
pub(crate) fn report_json<'a>(
    report: &'a Report,
    evidence: &Evidence,
    schema: &'static str,
) -> ReportJson<'a> {
    let list = |findings: &'a [Finding]| {
        let json = |finding: &'a Finding| FindingJson {
            code: finding.code,
            file: paths::shown(&finding.path),
            offset: finding.offset,
            sequence: finding.sequence,
            detail: &finding.detail,
            evidence: evidence_name(finding.evidence, evidence),
        };
        findings.iter().map(json).collect()
    };
    ReportJson {
        schema,
        id: id_text(&report.id),
        origin: &report.origin,
        outcome: outcome_name(report.outcome(evidence.internal)),
        integrity: report.integrity.name(),
        authenticity: report.authenticity.name(),
        signed_through: report.signed_through,
        completeness: report.completeness.name(),
        anchored_through: report.anchored_through,
        anchored_by: report.anchored_by.map(|by| evidence_name(by, evidence)),
        keeper_controls: report
            .anchored_by
            .and_then(|by| keeper_controls(by, evidence)),
        resumed_from: report.resumed_from,
        events: report.events,
        streams: report.streams,
        root: report.root.to_string(),
        findings: list(&report.findings),
        unchecked: list(&report.unchecked),
        notes: list(&report.notes),
        omitted: report.omitted,
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Holds => "holds",
        Outcome::Fails => "fails",
        Outcome::Undecided => "undecided",
    }
}

fn evidence_name(evidence: factlog::Evidence, given: &Evidence) -> String {
    let file = |what: &str, paths: &[PathBuf], index: usize| match paths.get(index) {
        Some(path) => format!("{what} {}", paths::shown(path)),
        None => what.to_owned(),
    };
    match evidence {
        factlog::Evidence::Journal => "journal".to_owned(),
        factlog::Evidence::Key => "key".to_owned(),
        factlog::Evidence::KnownJournals => "known journals".to_owned(),
        factlog::Evidence::Checkpoint(index) if index == given.checkpoints.len() => {
            file("checkpoint", given.since.as_slice(), 0)
        }
        factlog::Evidence::Checkpoint(index) => file("checkpoint", &given.checkpoints, index),
        factlog::Evidence::Anchor(index) => match given.anchors.get(index) {
            Some(anchor) => format!("anchor {}", anchors::name(anchor, index)),
            None => "anchor".to_owned(),
        },
        factlog::Evidence::Receipt(index) => file("receipt", &given.receipts, index),
        _ => "other".to_owned(),
    }
}

/// Whether the verdict rests on something that the journal's keeper can rewrite, if that is whoever runs this machine;
/// `None` where it can't be told from here.
fn keeper_controls(by: factlog::Evidence, given: &Evidence) -> Option<bool> {
    match by {
        // Brought by the one who asks.
        factlog::Evidence::Checkpoint(_) | factlog::Evidence::Receipt(_) => Some(false),
        factlog::Evidence::KnownJournals => Some(true),
        factlog::Evidence::Anchor(index) => {
            let anchor = given.anchors.get(index)?;
            // A command reaches whatever it reaches; files and witnesses' folders stand on this machine.
            (!anchor.starts_with("command:")).then_some(true)
        }
        _ => None,
    }
}

/// What completeness rests on, and whether the journal's keeper controls that.
fn rests_on(report: &Report, evidence: &Evidence) -> String {
    let Some(by) = report.anchored_by else {
        return String::new();
    };
    let kept = match keeper_controls(by, evidence) {
        Some(false) => "which you brought",
        Some(true) => "which the keeper of this machine controls",
        None => "worth as much as the keeper's inability to rewrite it",
    };
    format!("; rests on {}, {kept}", evidence_name(by, evidence))
}

/// The report for people: three verdicts, what each rests on, and how to get a better one.
pub(crate) fn show_report(report: &Report, evidence: &Evidence, out: &mut Output) -> Result<()> {
    let streams = match report.resumed_from {
        0 => format!("in {} streams", report.streams),
        _ => format!("({} streams went on since the checkpoint)", report.streams),
    };
    out.line(format!(
        "{} events {streams}, root {}",
        report.events, report.root
    ))?;
    for (name, style, word, why) in verdicts(report, evidence) {
        let name = format!("{name:<13}");
        let word = styled(style, format!("{word:<14}"));
        out.line(format!("{name} {word} {}", styled(DIM, why)))?;
    }
    let lists = [
        ("Findings", &report.findings),
        ("Not checked", &report.unchecked),
        ("Notes", &report.notes),
    ];
    for (title, findings) in lists {
        if !findings.is_empty() {
            out.line(format!("\n{title}:"))?;
            out.line(findings_table(findings, evidence))?;
        }
    }
    if report.omitted > 0 {
        out.line(format!("… and {} more of the same", report.omitted))?;
    }
    let (style, word) = match report.outcome(evidence.internal) {
        Outcome::Holds if evidence.internal => (GOOD, "It agrees with itself."),
        Outcome::Holds => (GOOD, "It holds."),
        Outcome::Fails => (BAD, "It does not hold."),
        Outcome::Undecided => (OPEN, "It can't be decided from what was given."),
    };
    out.line(format!("\n{}", styled(style, word)))?;
    for hint in hints(report, evidence) {
        note(hint);
    }
    Ok(())
}

fn findings_table(findings: &[Finding], evidence: &Evidence) -> comfy_table::Table {
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let mut rows = table(&["code", "file", "offset", "sequence", "detail", "exposed by"]);
    for finding in findings {
        rows.add_row([
            finding.code.to_owned(),
            shown(&paths::shown(&finding.path)),
            number(finding.offset),
            number(finding.sequence),
            shown(&finding.detail),
            shown(&evidence_name(finding.evidence, evidence)),
        ]);
    }
    rows
}

type Verdict = (&'static str, anstyle::Style, &'static str, String);

fn verdicts(report: &Report, evidence: &Evidence) -> [Verdict; 3] {
    let through = |what: &str, sequence: Option<u64>| match sequence {
        Some(sequence) => format!("{what} through sequence {sequence}"),
        None => String::new(),
    };
    let (integrity, why) = match report.integrity {
        Integrity::Intact if report.resumed_from > 0 => (
            GOOD,
            "every hash fits of what came since the checkpoint, and every link within it",
        ),
        Integrity::Intact => (GOOD, "every hash, link and file fits every other"),
        Integrity::Damaged => (BAD, "see the findings"),
    };
    let (authenticity, by) = match report.authenticity {
        Authenticity::Signed => (GOOD, "signed by the key you trust"),
        Authenticity::SelfSigned => (OPEN, "signed by the key that the journal itself names"),
        Authenticity::Unsigned => (OPEN, "nobody vouches for it"),
        Authenticity::BadSignature => (BAD, "a signature does not hold"),
        Authenticity::Unverifiable => (OPEN, "the signatures could not be checked"),
    };
    let (completeness, against) = match report.completeness {
        Completeness::Anchored => (GOOD, "continues every checkpoint that is known"),
        Completeness::NotChecked => (OPEN, "nothing outside the journal to compare it with"),
        Completeness::RolledBack => (BAD, "shorter than a checkpoint that is known"),
        Completeness::Forked => (BAD, "another history than a checkpoint that is known"),
    };
    let join = |what: &str, sequence| match through("", sequence) {
        tail if tail.is_empty() => what.to_owned(),
        tail => format!("{what},{tail}"),
    };
    [
        (
            "integrity",
            integrity,
            report.integrity.name(),
            why.to_owned(),
        ),
        (
            "authenticity",
            authenticity,
            report.authenticity.name(),
            join(by, report.signed_through),
        ),
        (
            "completeness",
            completeness,
            report.completeness.name(),
            join(against, report.anchored_through) + &rests_on(report, evidence),
        ),
    ]
}

/// How to reach a better verdict.
fn hints(report: &Report, evidence: &Evidence) -> Vec<&'static str> {
    let mut hints = Vec::new();
    if evidence.internal || report.outcome(false) == Outcome::Fails {
        return hints;
    }
    if report.authenticity == Authenticity::SelfSigned {
        hints.push("Give --vkey KEY, as the journal's keeper published it, to know who signed it.");
    }
    if report.authenticity == Authenticity::Unsigned {
        hints.push("An unsigned journal can only be checked against itself: --internal.");
    } else if report.completeness == Completeness::NotChecked {
        hints.push(
            "Give --checkpoint FILE or --receipt FILE, kept elsewhere, to see cuts and rewrites.",
        );
    }
    hints
}
