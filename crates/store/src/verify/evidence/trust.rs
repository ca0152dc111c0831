use std::path::Path;

use factlog_format::{CommitHeader, JournalCreated};
use factlog_proof::{Checkpoint, Hash, VerifierKey};

use crate::{
    Damage,
    verify::{
        findings::Findings,
        report::{Authenticity, Evidence, KeySource},
    },
};

/// C2SP signature type of Ed25519.
const ED25519: u8 = 1;

/// Whose signatures count, and how far they were found to reach.
#[derive(Debug, Default)]
pub(in crate::verify) struct Trust {
    /// A key from outside the journal.
    trusted: Option<(VerifierKey, KeySource)>,
    /// What sequence 0 says.
    created: Option<JournalCreated>,
    /// The keys that sequence 0 names.
    own: Vec<VerifierKey>,
    /// The trusted key is one of another log, so nothing can be checked with it.
    foreign: bool,
    /// Something contradicts the key.
    bad: bool,
    /// The largest size under a signature that verifies.
    signed_size: Option<u64>,
    /// A signature that doesn't verify was reported.
    parted: bool,
}

impl Trust {
    pub(in crate::verify) fn new(trusted: Option<(VerifierKey, KeySource)>) -> Self {
        Self {
            trusted,
            ..Self::default()
        }
    }

    /// What sequence 0 says, once it was read.
    pub(in crate::verify) fn created(&self) -> Option<&JournalCreated> {
        self.created.as_ref()
    }

    /// Whether the journal says that it is signed.
    pub(in crate::verify) fn expects_signatures(&self) -> bool {
        !self.own.is_empty()
    }

    /// The key that signatures are checked with, and where it is from.
    pub(in crate::verify) fn key(&self) -> Option<(&VerifierKey, KeySource)> {
        match &self.trusted {
            Some(_) if self.foreign => None,
            Some((key, source)) => Some((key, *source)),
            None => self.own.first().map(|key| (key, KeySource::Journal)),
        }
    }

    pub(in crate::verify) fn signed_through(&self) -> Option<u64> {
        self.signed_size.and_then(|size| size.checked_sub(1))
    }

    pub(in crate::verify) fn authenticity(&self) -> Authenticity {
        if self.bad {
            return Authenticity::BadSignature;
        }
        let signed = self.signed_through().is_some();
        match self.key() {
            Some((_, KeySource::Journal)) if signed => Authenticity::SelfSigned,
            Some(_) if signed => Authenticity::Signed,
            None if self.trusted.is_none() && self.created.is_some() => Authenticity::Unsigned,
            _ => Authenticity::Unverifiable,
        }
    }

    /// Takes in what sequence 0 says and compares it with the trusted key.
    pub(in crate::verify) fn learn(
        &mut self,
        created: JournalCreated,
        path: &Path,
        findings: &mut Findings,
    ) {
        for key in &created.keys {
            match VerifierKey::new(&created.origin, key) {
                Ok(key) => self.own.push(key),
                Err(error) => {
                    let detail = format!("the key that sequence 0 names can't be used: {error}");
                    findings.wrong(Damage::new("signature.unusable_key", path, detail).sequence(0));
                }
            }
        }
        if let Some((key, source)) = &self.trusted {
            let evidence = match source {
                KeySource::KnownJournals => Evidence::KnownJournals,
                _ => Evidence::Key,
            };
            if key.name() != created.origin {
                let detail = format!(
                    "the key is that of {}, and this journal is {}: nothing can be checked with it",
                    key.name(),
                    created.origin
                );
                self.foreign = true;
                let damage = Damage::new("evidence.other_journal", path, detail).sequence(0);
                findings.unchecked(damage, evidence);
            } else if !self.own.contains(key) {
                let detail =
                    "sequence 0 does not name the trusted key: someone else made this journal";
                self.bad = true;
                let damage = Damage::new("signature.other_key", path, detail).sequence(0);
                findings.exposed(damage, evidence);
            }
        }
        self.created = Some(created);
    }

    /// Checks the signatures of a commit header: they are over the tree of its first sequence, whose
    /// root is given if it could be computed. Returns whether one was there to be checked.
    pub(in crate::verify) fn check_header(
        &mut self,
        header: &CommitHeader,
        root: Option<Hash>,
        damage: impl Fn(&'static str, String) -> Damage,
        findings: &mut Findings,
    ) -> bool {
        let origin = self.created.as_ref().map(|created| created.origin.clone());
        let Some(((key, _), origin)) = self.key().zip(origin) else {
            return !header.signatures.is_empty();
        };
        let mut carried = false;
        let mut verdict = None;
        for signature in &header.signatures {
            if signature.kind != ED25519 || signature.key_id != key.key_id() {
                continue;
            }
            carried = true;
            let size = header.first_sequence;
            if let Some(checkpoint) =
                root.and_then(|root| Checkpoint::new(&origin, size, root).ok())
            {
                let holds = key.verifies(checkpoint.to_string().as_bytes(), &signature.bytes);
                verdict = Some(holds && verdict != Some(false));
            }
        }
        match verdict {
            Some(true) => self.signed_size = self.signed_size.max(Some(header.first_sequence)),
            Some(false) => {
                self.bad = true;
                if !self.parted {
                    // Every later one fails as well: the first tells where history was changed.
                    self.parted = true;
                    let since = self.signed_size.unwrap_or(0);
                    let size = header.first_sequence;
                    let detail = format!(
                        "the signature of the checkpoint of {size} events does not verify: what it \
                         covers was changed from sequence {since} on, or it is forged"
                    );
                    findings.exposed(
                        damage("signature.invalid", detail).sequence(since),
                        Evidence::Key,
                    );
                }
            }
            None => {}
        }
        carried
    }

    /// A signature that must be there isn't.
    pub(in crate::verify) fn missing(&mut self, damage: Damage, findings: &mut Findings) {
        self.bad = true;
        findings.exposed(damage, Evidence::Key);
    }

    /// A checkpoint from elsewhere in the directory verifies: the journal is signed up to its size.
    pub(in crate::verify) fn also_signed(&mut self, size: u64) {
        self.signed_size = self.signed_size.max(Some(size));
    }

    /// A signature elsewhere in the directory doesn't verify.
    pub(in crate::verify) fn also_bad(&mut self) {
        self.bad = true;
    }
}
