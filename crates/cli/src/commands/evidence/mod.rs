//! Evidence that an auditor takes away: cases of many events, and what a receipt says.

pub(crate) mod explain;
pub(crate) mod make;
mod report;
pub(crate) mod sample;
mod tables;
pub(crate) mod verify;

use std::path::{Path, PathBuf};

use anyhow::Result;
use factlog::{CaseTrust, CaseVerdict, SignedCheckpoint, TrustPolicy, verify_case};
use factlog_format::MAX_CASE_LEN;

use crate::exit::{Exit, Problem};
use crate::{files, opening, paths};

const MAX_CHECKPOINT: u64 = 64 << 10;
const MAX_POLICY: u64 = 256 << 10;

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

impl Known {
    fn trust(&self) -> Result<CaseTrust> {
        let key = opening::verifier_key(&self.vkey)?;
        let mut trust = CaseTrust {
            keys: vec![key],
            ..CaseTrust::default()
        };
        if let Some(path) = &self.after {
            trust.after = Some(checkpoint_of_case(path, &trust)?.claimed().clone());
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
        Ok(trust)
    }
}

fn read_case(path: &Path) -> Result<Vec<u8>> {
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

/// The checkpoint of another case, which has to hold by itself.
fn checkpoint_of_case(path: &Path, trust: &CaseTrust) -> Result<SignedCheckpoint> {
    let bytes = read_case(path)?;
    let report = verify_case(&bytes, trust);
    let holds = report.overall() == CaseVerdict::Holds;
    match (&report.case, report.findings.first()) {
        (Some(case), _) if holds => Ok(case.checkpoint.clone()),
        (_, finding) => {
            let why = finding.map_or_else(String::new, |finding| format!(": {finding}"));
            let message = format!("{} does not hold{why}", paths::shown(path));
            let code = finding.map_or("case.malformed", |finding| finding.code);
            Err(Problem::new(exit(report.overall()), code, message).into())
        }
    }
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
