//! Evidence that an auditor takes away: cases of many events, and what a receipt says.

pub(crate) mod explain;
pub(crate) mod make;
mod report;
pub(crate) mod sample;
mod tables;
pub(crate) mod verify;

use std::path::{Path, PathBuf};

use anyhow::Result;
use data_encoding::HEXLOWER;
use factlog::{CaseTrust, CaseVerdict, SignedCheckpoint, TrustPolicy, verify_case};
use factlog_format::{CaseStatement, MAX_CASE_LEN};
use sha2::{Digest, Sha256};

use crate::exit::{Exit, Problem};
use crate::{files, opening, paths};

const MAX_CHECKPOINT: u64 = 64 << 10;
const MAX_POLICY: u64 = 256 << 10;
const MAX_RECEIPT: u64 = 64 << 10;

/// What the one who verifies knows from elsewhere.
#[derive(clap::Args)]
pub(crate) struct Known {
    /// The journal's verifier key, known to you from elsewhere: the key, or a file that holds it
    #[arg(long, value_name = "KEY")]
    vkey: String,
    /// The case before this one, which this one must continue
    #[arg(long, value_name = "CASE")]
    after: Option<PathBuf>,
    /// A checkpoint of the journal that was kept elsewhere; may be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A C2SP tlog-policy: how many of which witnesses must have cosigned
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// A case, and what it is checked against.
struct Brought {
    bytes: Vec<u8>,
    sha256: String,
    /// As text.
    vkey: String,
    trust: CaseTrust,
    before: Option<Before>,
}

/// The case before, which the one who verifies kept. It holds.
struct Before {
    file: String,
    checkpoint: SignedCheckpoint,
    statement: CaseStatement,
}

impl Known {
    fn bring(&self, file: &Path) -> Result<Brought> {
        let key = opening::verifier_key(&self.vkey)?;
        let vkey = key.to_string();
        let mut trust = CaseTrust {
            keys: vec![key],
            ..CaseTrust::default()
        };
        let bytes = read_case(file)?;
        let mut before = None;
        if let Some(path) = &self.after {
            if read_case(path)? == bytes {
                let message = "--after takes the case before, and this is the same case";
                return Err(Problem::usage(message).into());
            }
            let kept = Before::read(path, &trust)?;
            trust.after = Some(kept.checkpoint.claimed().clone());
            before = Some(kept);
        }
        for path in &self.checkpoint {
            let checkpoint = read_checkpoint(path)?;
            trust.anchors.push(checkpoint.claimed().clone());
        }
        if let Some(path) = &self.policy {
            let policy = TrustPolicy::parse(&files::read(path, MAX_POLICY)?);
            let refused = |error: factlog_proof::PolicyError| {
                let message = format!("{} is no policy: {error}", paths::shown(path));
                Problem::new(Exit::Usage, error.code(), message)
            };
            trust.policy = Some(policy.map_err(refused)?);
        }
        Ok(Brought {
            sha256: HEXLOWER.encode(&Sha256::digest(&bytes)),
            bytes,
            vkey,
            trust,
            before,
        })
    }
}

fn read_case(path: &Path) -> Result<Vec<u8>> {
    if files::is_dir(path) {
        let message = format!(
            "{} is a folder, and no case: a journal is checked with verify",
            paths::shown(path)
        );
        return Err(Problem::new(Exit::Usage, "case.malformed", message).into());
    }
    files::read(path, MAX_CASE_LEN as u64)
}

fn read_checkpoint(path: &Path) -> Result<SignedCheckpoint> {
    let bytes = files::read(path, MAX_CHECKPOINT)?;
    let refused = |error: factlog_proof::CheckpointError| {
        let message = format!("{} is no checkpoint: {error}", paths::shown(path));
        Problem::new(Exit::NotHolding, error.code(), message)
    };
    Ok(SignedCheckpoint::parse(&bytes).map_err(refused)?)
}

impl Before {
    /// Another case, which has to hold by itself.
    fn read(path: &Path, trust: &CaseTrust) -> Result<Self> {
        let bytes = read_case(path)?;
        let report = verify_case(&bytes, trust);
        match report.case {
            Some(ref case) if report.overall() == CaseVerdict::Holds => Ok(Self {
                file: paths::shown(path),
                checkpoint: case.checkpoint.clone(),
                statement: case.statement.clone(),
            }),
            _ => {
                let finding = report.findings.first();
                let why = finding.map_or_else(String::new, |finding| format!(": {finding}"));
                let message = format!("{} does not hold{why}", paths::shown(path));
                let code = finding.map_or("case.malformed", |finding| finding.code);
                Err(Problem::new(exit(report.overall()), code, message).into())
            }
        }
    }
}

/// Reads a receipt, which a case is not.
pub(crate) fn read_receipt(path: &Path) -> Result<Vec<u8>> {
    if files::begins_with(path, b"FACTCASE") {
        let path = paths::shown(path);
        let message =
            format!("{path} is an evidence case and no receipt: verify-evidence checks it");
        return Err(Problem::usage(message).into());
    }
    files::read(path, MAX_RECEIPT)
}

fn exit(verdict: CaseVerdict) -> Exit {
    match verdict {
        CaseVerdict::Holds => Exit::Done,
        CaseVerdict::Fails => Exit::NotHolding,
        CaseVerdict::Undecided => Exit::Undecided,
    }
}

/// Tables of what a case selects, beside it.
#[derive(clap::Args)]
pub(crate) struct Tables {
    /// Write what is selected as a table for spreadsheets
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write what is selected as JSON, a line for each event
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
}
