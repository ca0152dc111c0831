use std::path::PathBuf;

use factlog_format::JournalId;
use factlog_proof::{Hash, VerifierKey};

/// Whether the journal's bytes agree with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Every hash, link and file fits every other.
    Intact,
    /// Something doesn't; the findings say what.
    Damaged,
}

/// Who vouches for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authenticity {
    /// The key that the caller, or the user's known journals, named.
    Signed,
    /// The key that the journal itself names: it agrees with itself, no more.
    SelfSigned,
    /// Nobody: the journal says that it isn't signed.
    Unsigned,
    /// A signature doesn't verify, is missing where there must be one, or the journal names another
    /// key than the trusted one.
    BadSignature,
    /// It could not be checked.
    Unverifiable,
}

/// Whether the journal holds all that evidence from outside says it must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It continues every checkpoint that was shown.
    Anchored,
    /// No checkpoint was shown, or none could be compared.
    NotChecked,
    /// It is shorter than a checkpoint.
    RolledBack,
    /// It has another history than a checkpoint.
    Forked,
}

impl Integrity {
    /// The word in JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Damaged => "damaged",
        }
    }
}

impl Authenticity {
    /// The word in JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::SelfSigned => "self_signed",
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::Unverifiable => "unverifiable",
        }
    }
}

impl Completeness {
    /// The word in JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::NotChecked => "not_checked",
            Self::RolledBack => "rolled_back",
            Self::Forked => "forked",
        }
    }
}

/// What the verification of a journal comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was asked for holds.
    Holds,
    /// The evidence does not hold.
    Fails,
    /// Key, anchor or bytes are missing, so it can't be decided.
    Undecided,
}

/// By which evidence something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The journal's own bytes.
    Journal,
    /// A signature, checked with the key that was given, known, or named by the journal.
    Key,
    /// What the user remembers of the journal.
    KnownJournals,
    /// The checkpoint of this place among those given, counted from 0.
    Checkpoint(usize),
    /// The anchor of this place among those given, counted from 0.
    Anchor(usize),
    /// The receipt of this place among those given, counted from 0.
    Receipt(usize),
}

/// One thing that a verification has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable, machine-readable code; `docs/verify.md` lists them.
    pub code: &'static str,
    /// The file concerned.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// The sequence concerned; of a range the first.
    pub sequence: Option<u64>,
    /// What is wrong, as a sentence without a full stop.
    pub detail: String,
    /// What exposed it.
    pub evidence: Evidence,
}

/// Where the key came from that signatures were checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeySource {
    /// The caller.
    Given,
    /// What the user remembers of the journal.
    KnownJournals,
    /// The journal itself: worth nothing against whoever wrote it.
    Journal,
}

/// What a verification found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Whether the journal agrees with itself.
    pub integrity: Integrity,
    /// Who vouches for it.
    pub authenticity: Authenticity,
    /// The last sequence under a signature that verifies.
    pub signed_through: Option<u64>,
    /// Whether it holds what it must, as far as evidence from outside goes.
    pub completeness: Completeness,
    /// The last sequence under a checkpoint from outside that the journal continues.
    pub anchored_through: Option<u64>,
    /// The evidence that this rests on: of the same size, rather some that the caller holds.
    pub anchored_by: Option<Evidence>,
    /// How many events were not read again, but taken as a checkpoint says; 0 if all were read. Integrity and streams
    /// are those of the rest.
    pub resumed_from: u64,
    /// How many events there are, sequence 0 included, and those of which only a stub is left.
    pub events: u64,
    /// How many streams they belong to, as far as they were read.
    pub streams: u64,
    /// Root of the tree of these events; all zeros if lost events make it unknown.
    pub root: Hash,
    /// The journal's public name; empty if nothing readable states it.
    pub origin: String,
    /// The journal's id.
    pub id: JournalId,
    /// The key that signatures were checked with: one from outside the journal, if there was one.
    pub key: Option<VerifierKey>,
    /// What is wrong. Any entry means that the journal, or evidence shown for it, does not hold.
    pub findings: Vec<Finding>,
    /// What could not be checked: neither fine nor tampered.
    pub unchecked: Vec<Finding>,
    /// What is worth knowing and nothing wrong.
    pub notes: Vec<Finding>,
    /// How many entries were left out, of codes that came up very often.
    pub omitted: u64,
}

impl Report {
    /// What it comes to. `internal` asks for the journal's agreement with itself alone: then neither
    /// a trusted key nor an anchor need be there.
    #[must_use]
    pub fn outcome(&self, internal: bool) -> Outcome {
        let fails = !self.findings.is_empty()
            || self.integrity == Integrity::Damaged
            || self.authenticity == Authenticity::BadSignature
            || matches!(
                self.completeness,
                Completeness::RolledBack | Completeness::Forked
            );
        if fails {
            return Outcome::Fails;
        }
        let vouched = self.authenticity == Authenticity::Signed
            && self.completeness == Completeness::Anchored;
        if self.unchecked.is_empty() && (internal || vouched) {
            return Outcome::Holds;
        }
        Outcome::Undecided
    }
}
