//! Verification of evidence cases: all of it offline, from the file and what the caller brings along.

mod authenticity;
mod completeness;
mod integrity;
mod sample;

use std::fmt;

use factlog_format::{CASE_MAGIC, CaseFile, CaseRecord, CaseStatement, FormatError, JournalEvent};

use crate::{Checkpoint, Hash, SignedCheckpoint, TrustPolicy, VerifierKey};

pub use sample::sample_order;

/// What the one who verifies knows from elsewhere. Nothing of it comes from the case.
#[derive(Clone, Debug, Default)]
pub struct CaseTrust {
    /// The journal's keys; keys that took their place are followed to.
    pub keys: Vec<VerifierKey>,
    /// How many of which witnesses must have cosigned; of its logs nothing is taken.
    pub policy: Option<TrustPolicy>,
    /// The checkpoint of the case before this one, which this one must continue.
    pub after: Option<Checkpoint>,
    /// Checkpoints of the journal that were kept elsewhere.
    pub anchors: Vec<Checkpoint>,
}

/// One of three things that are said of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseVerdict {
    /// It was checked and holds.
    Holds,
    /// It was checked and doesn't hold.
    Fails,
    /// It could not be checked.
    Undecided,
}

impl CaseVerdict {
    /// The word used in JSON output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Undecided => "undecided",
        }
    }
}

/// Which of the three verdicts a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseQuestion {
    /// Whether every byte is what the checkpoint commits to.
    Integrity,
    /// Whether the checkpoint is signed by the journal's key.
    Authenticity,
    /// Whether nothing of the period was left out.
    Completeness,
}

impl CaseQuestion {
    /// The word used in JSON output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Integrity => "integrity",
            Self::Authenticity => "authenticity",
            Self::Completeness => "completeness",
        }
    }
}

/// Something that speaks against a case, or keeps it from being decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFinding {
    /// The stable code.
    pub code: &'static str,
    /// Which verdict it is about.
    pub question: CaseQuestion,
    /// Whether it only leaves the question open.
    pub undecided: bool,
    /// The event concerned.
    pub sequence: Option<u64>,
    /// A sentence.
    pub detail: String,
}

impl fmt::Display for CaseFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            Some(sequence) => write!(f, "event {sequence}: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

/// What was found out about a case.
#[derive(Debug)]
pub struct CaseReport<'a> {
    /// What speaks against it, in the order of the checks.
    pub findings: Vec<CaseFinding>,
    /// What is in it; `None` if its bytes are not a case. Shown to people next to the verdicts, never
    /// without.
    pub case: Option<VerifiedCase<'a>>,
    integrity: CaseVerdict,
    authenticity: CaseVerdict,
    completeness: CaseVerdict,
}

/// What a case holds.
#[derive(Debug)]
pub struct VerifiedCase<'a> {
    /// The file, taken apart.
    pub file: CaseFile<'a>,
    /// What it says of itself.
    pub statement: CaseStatement,
    /// The checkpoint that all is proven against.
    pub checkpoint: SignedCheckpoint,
    /// Checkpoints of smaller trees.
    pub earlier: Vec<SignedCheckpoint>,
    /// The keys that signed the checkpoint and count.
    pub signers: Vec<VerifierKey>,
    /// The witnesses of the caller's policy that cosigned, and when, in seconds since 1970; and how many
    /// events the tree had that they saw.
    pub witnesses: Vec<(String, u64, u64)>,
    /// Per record, whether it is selected.
    pub selected: Vec<bool>,
}

impl VerifiedCase<'_> {
    /// The events that were asked for, in order.
    pub fn population(&self) -> impl Iterator<Item = &CaseRecord<'_>> {
        let records = self.file.records.iter().zip(&self.selected);
        records.filter(|(_, is)| **is).map(|(record, _)| record)
    }

    /// The event of a sequence.
    #[must_use]
    pub fn record(&self, sequence: u64) -> Option<&CaseRecord<'_>> {
        find(&self.file, sequence)
    }

    /// Whether the journal's checkpoint ends where the period does, so that no event follows it.
    #[must_use]
    pub fn ends_with_journal(&self) -> bool {
        self.statement.end >= self.checkpoint.claimed().size()
    }
}

impl CaseReport<'_> {
    /// Whether every byte is what the checkpoint commits to.
    #[must_use]
    pub fn integrity(&self) -> CaseVerdict {
        self.integrity
    }

    /// Whether the checkpoint is signed by the journal's key.
    #[must_use]
    pub fn authenticity(&self) -> CaseVerdict {
        self.authenticity
    }

    /// Whether nothing of the period was left out.
    #[must_use]
    pub fn completeness(&self) -> CaseVerdict {
        self.completeness
    }

    /// All three together: what holds in one and is open in another is open.
    #[must_use]
    pub fn overall(&self) -> CaseVerdict {
        let all = [self.integrity, self.authenticity, self.completeness];
        if all.contains(&CaseVerdict::Fails) {
            CaseVerdict::Fails
        } else if all.contains(&CaseVerdict::Undecided) {
            CaseVerdict::Undecided
        } else {
            CaseVerdict::Holds
        }
    }
}

/// Verifies a case: everything that can be checked is, whatever was found before.
#[must_use]
pub fn verify_case<'a>(bytes: &'a [u8], trust: &CaseTrust) -> CaseReport<'a> {
    let mut findings = Findings::default();
    let case = match read(bytes) {
        Ok(case) => Some(check(case, trust, &mut findings)),
        Err((code, undecided, detail)) => {
            findings.add(CaseFinding {
                code,
                question: CaseQuestion::Integrity,
                undecided,
                sequence: None,
                detail,
            });
            None
        }
    };
    let integrity = findings.verdict(CaseQuestion::Integrity, CaseVerdict::Holds);
    // Who signed the checkpoint can be told whatever else is in the case.
    let readable = match case {
        Some(_) => CaseVerdict::Holds,
        None => CaseVerdict::Undecided,
    };
    CaseReport {
        integrity,
        authenticity: findings.verdict(CaseQuestion::Authenticity, readable),
        completeness: findings.verdict(CaseQuestion::Completeness, integrity),
        findings: findings.0,
        case,
    }
}

fn check<'a>(
    mut case: VerifiedCase<'a>,
    trust: &CaseTrust,
    findings: &mut Findings,
) -> VerifiedCase<'a> {
    let governing = integrity::check(&case, findings);
    let intact = findings.verdict(CaseQuestion::Integrity, CaseVerdict::Holds);
    case.selected = completeness::check(&case, &governing, trust, findings);
    // What the events say of keys is worth nothing before they lead to the checkpoint.
    let governing = (intact != CaseVerdict::Fails).then_some(&governing[..]);
    authenticity::check(&mut case, governing, trust, findings);
    case
}

/// Code, whether it is undecided, and a sentence.
type Refused = (&'static str, bool, String);

fn read(bytes: &[u8]) -> Result<VerifiedCase<'_>, Refused> {
    let refused = |error: FormatError| match error {
        FormatError::Unsupported(_) => ("case.unsupported", true, error.to_string()),
        FormatError::Checksum("case") => {
            let detail = "the hash at its end is not that of the file: it was damaged, \
                          likely on its way to you";
            ("case.damaged", false, detail.to_owned())
        }
        error => ("case.malformed", false, error.to_string()),
    };
    if !bytes.starts_with(&CASE_MAGIC) {
        let what = match bytes.starts_with(b"c2sp.org/tlog-proof") {
            true => "it is a receipt and no evidence case: verify-receipt checks it",
            false => "it is no evidence case: it begins otherwise than every one of them",
        };
        return Err(("case.malformed", false, what.to_owned()));
    }
    let note = |note: &str| {
        SignedCheckpoint::parse(note.as_bytes())
            .map_err(|error| ("case.malformed", false, error.to_string()))
    };
    let file = CaseFile::decode(bytes).map_err(refused)?;
    let statement = CaseStatement::decode(file.statement).map_err(refused)?;
    let checkpoint = note(file.checkpoint)?;
    let earlier = file.earlier.iter().map(|earlier| note(earlier.note));
    Ok(VerifiedCase {
        earlier: earlier.collect::<Result<_, _>>()?,
        file,
        statement,
        checkpoint,
        signers: Vec::new(),
        witnesses: Vec::new(),
        selected: Vec::new(),
    })
}

/// An event of the journal itself, read.
pub(super) struct Governing {
    sequence: u64,
    event: JournalEvent,
}

#[derive(Default)]
pub(super) struct Findings(Vec<CaseFinding>);

/// Past this many, more of them say nothing more.
const MOST_FINDINGS: usize = 1000;

impl Findings {
    fn add(&mut self, finding: CaseFinding) {
        if self.0.len() < MOST_FINDINGS {
            self.0.push(finding);
        }
    }

    fn verdict(&self, question: CaseQuestion, before: CaseVerdict) -> CaseVerdict {
        let mut own = self
            .0
            .iter()
            .filter(|found| found.question == question)
            .peekable();
        let any = own.peek().is_some();
        if own.any(|found| !found.undecided) {
            CaseVerdict::Fails
        } else if any || before != CaseVerdict::Holds {
            CaseVerdict::Undecided
        } else {
            CaseVerdict::Holds
        }
    }
}

/// Adds findings about one question.
pub(super) struct About<'f> {
    findings: &'f mut Findings,
    question: CaseQuestion,
}

impl About<'_> {
    fn wrong(&mut self, code: &'static str, sequence: Option<u64>, detail: impl Into<String>) {
        self.add(code, sequence, detail.into(), false);
    }

    fn open(&mut self, code: &'static str, sequence: Option<u64>, detail: impl Into<String>) {
        self.add(code, sequence, detail.into(), true);
    }

    fn add(&mut self, code: &'static str, sequence: Option<u64>, detail: String, undecided: bool) {
        self.findings.add(CaseFinding {
            code,
            question: self.question,
            undecided,
            sequence,
            detail,
        });
    }
}

fn find<'c, 'a>(file: &'c CaseFile<'a>, sequence: u64) -> Option<&'c CaseRecord<'a>> {
    let at = file
        .records
        .binary_search_by_key(&sequence, |record| record.spine.sequence);
    file.records.get(at.ok()?)
}

fn hash(bytes: &[u8; 32]) -> Hash {
    Hash::from_bytes(*bytes)
}

/// Scope and entity of what governs the journal.
const OWN: (&str, &str) = ("$journal", "journal");

fn is_own(record: &CaseRecord<'_>) -> bool {
    record.facts().is_some_and(|facts| facts.scope == OWN.0)
}
