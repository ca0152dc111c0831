//! What the journal is compared with, and whose signatures count.

mod anchoring;
pub(super) mod erasures;
mod trust;

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use factlog_format::JournalId;
use factlog_fs::{FileKind, StoreFs, is_temporary};
use factlog_proof::{ReceiptError, SignedCheckpoint, TrustPolicy, UnverifiedReceipt, VerifierKey};

use super::{
    directory::{Directory, list, read_small},
    findings::Findings,
    options::VerifyOptions,
    report::{Evidence as By, KeySource},
};
use crate::{
    Damage, Error, KnownError, KnownJournal,
    layout::{Layout, checkpoint_name},
};

pub(super) use anchoring::compare;
pub(super) use trust::{Trust, Weight};

const MAX_CHECKPOINT_LEN: usize = 64 << 10;
/// Some 100,000 checkpoints; what is past it isn't read.
const MAX_STORED_LEN: usize = 64 << 20;

/// What the journal is compared with.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) known: Option<KnownJournal>,
    pub(super) anchors: Vec<Anchor>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) policy: Option<TrustPolicy>,
}

/// A checkpoint that the journal must continue.
#[derive(Debug)]
pub(super) struct Anchor {
    pub(super) checkpoint: SignedCheckpoint,
    pub(super) by: By,
    /// The file, for one that the journal itself keeps; else the journal's directory.
    pub(super) path: PathBuf,
}

/// A receipt whose event must be in the journal.
#[derive(Debug)]
pub(super) struct Receipt {
    pub(super) place: usize,
    pub(super) receipt: UnverifiedReceipt,
    /// As its text says.
    pub(super) index: Option<u64>,
}

impl Evidence {
    /// Reads all evidence there is; before the journal's end is looked at, which a live writer moves on.
    pub(super) fn gather(
        options: &VerifyOptions,
        layout: &Layout,
        directory: &Directory,
        findings: &mut Findings,
    ) -> Result<Self, Error> {
        let dir = &layout.dir;
        let mut evidence = Self {
            policy: options.policy.clone(),
            ..Self::default()
        };
        for (place, checkpoint) in options.checkpoints.iter().enumerate() {
            let (checkpoint, by) = (checkpoint.clone(), By::Checkpoint(place));
            evidence.anchors.push(Anchor {
                checkpoint,
                by,
                path: dir.clone(),
            });
        }
        for (place, anchor) in options.anchors.iter().enumerate() {
            let by = By::Anchor(place);
            match anchor {
                Ok(checkpoint) => evidence.anchors.push(Anchor {
                    checkpoint: checkpoint.clone(),
                    by,
                    path: dir.clone(),
                }),
                Err(why) => {
                    let detail = format!("an anchor can't be read: {why}");
                    findings.unchecked(Damage::new("anchor.unreadable", dir, detail), by);
                }
            }
        }
        for (place, text) in options.receipts.iter().enumerate() {
            match UnverifiedReceipt::parse(text.as_bytes()) {
                Ok(receipt) => {
                    let index = text.lines().find_map(|line| line.strip_prefix("index "));
                    let index = index.and_then(|index| index.parse().ok());
                    evidence.receipts.push(Receipt {
                        place,
                        receipt,
                        index,
                    });
                }
                Err(error) => refuse_receipt(place, &error, dir, findings),
            }
        }
        evidence.read_stored(options.fs.as_ref(), layout, findings)?;
        if !options.internal && directory.has_id {
            evidence.look_up(options, dir, &directory.id, findings);
        }
        Ok(evidence)
    }

    /// The key to be trusted, if there is one from outside the journal.
    pub(super) fn trusted_key(
        &self,
        options: &VerifyOptions,
        journal: &JournalId,
    ) -> Option<(VerifierKey, KeySource)> {
        let known = || self.known.as_ref().and_then(|known| known.key.clone());
        let end = format!("/{}", HEXLOWER.encode(journal));
        let mut logs = self.policy.iter().flat_map(TrustPolicy::logs);
        let listed = logs.find(|log| log.name().ends_with(&end));
        match options.key.as_ref().or(listed) {
            Some(key) => Some((key.clone(), KeySource::Given)),
            None => known().map(|key| (key, KeySource::KnownJournals)),
        }
    }

    /// Keys that were known before the one that is known now.
    pub(super) fn former_keys(&self) -> Vec<VerifierKey> {
        let known = self.known.as_ref();
        known.map_or_else(Vec::new, |known| known.retired.clone())
    }

    /// Takes out what the journal keeps itself of fewer events.
    pub(super) fn take_stored_below(&mut self, size: u64) -> Vec<Anchor> {
        let below = |anchor: &mut Anchor| {
            anchor.by == By::Journal && anchor.checkpoint.claimed().size() < size
        };
        self.anchors.extract_if(.., below).collect()
    }

    /// Sizes at which roots are wanted.
    pub(super) fn sizes(&self) -> Vec<u64> {
        let anchors = self
            .anchors
            .iter()
            .map(|anchor| anchor.checkpoint.claimed().size());
        let receipts = self
            .receipts
            .iter()
            .map(|receipt| receipt.receipt.claimed_checkpoint().size());
        let known = self.known.iter().flat_map(|known| &known.checkpoints);
        anchors
            .chain(receipts)
            .chain(known.map(|known| known.claimed().size()))
            .collect()
    }

    /// Sequences of which event hashes are wanted.
    pub(super) fn sequences(&self) -> Vec<u64> {
        self.receipts
            .iter()
            .filter_map(|receipt| receipt.index)
            .collect()
    }

    /// The largest number of events that evidence signed by the journal's key says there were.
    pub(super) fn largest_verified(&self, trust: &Trust) -> u64 {
        let Some(policy) = trust.policy() else {
            return 0;
        };
        let known = self.known.iter().flat_map(|known| &known.checkpoints);
        let checkpoints = self
            .anchors
            .iter()
            .map(|anchor| &anchor.checkpoint)
            .chain(known);
        let sizes = checkpoints
            .filter_map(|signed| signed.verify_by(&policy).ok())
            .map(|(found, _)| found.size());
        let receipts = self
            .receipts
            .iter()
            .filter_map(|receipt| receipt.receipt.verify(&policy).ok());
        sizes
            .chain(receipts.map(|receipt| receipt.checkpoint().size()))
            .max()
            .unwrap_or(0)
    }

    /// The checkpoints that the journal keeps. They are its keeper's, so they vouch for nothing; but a
    /// signed one that the journal doesn't continue shows that it was changed.
    fn read_stored(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let dir = layout.checkpoints();
        let mut left = MAX_STORED_LEN;
        for entry in list(fs, &dir)? {
            let path = dir.join(&entry.name);
            if entry.kind == FileKind::File && is_temporary(&entry.name) {
                continue;
            }
            let code = "checkpoint.damaged";
            let Some(bytes) = read_small(fs, &path, MAX_CHECKPOINT_LEN, code, findings)? else {
                continue;
            };
            let Some(now) = left.checked_sub(bytes.len()) else {
                let detail = "there are too many checkpoints to read them all";
                findings.unchecked(
                    Damage::new("checkpoint.not_read", &path, detail),
                    By::Journal,
                );
                break;
            };
            left = now;
            let checkpoint = match SignedCheckpoint::parse(&bytes) {
                Ok(checkpoint) => checkpoint,
                Err(error) => {
                    findings.wrong(Damage::new(code, &path, error.to_string()));
                    continue;
                }
            };
            if entry.name != *checkpoint_name(checkpoint.claimed().size()) {
                let detail = "the checkpoint is of another size than its file's name";
                findings.wrong(Damage::new("checkpoint.misplaced", &path, detail));
            }
            self.anchors.push(Anchor {
                checkpoint,
                by: By::Journal,
                path,
            });
        }
        Ok(())
    }

    /// What the user remembers of the journal. A record that can't be read leaves things undecided.
    fn look_up(
        &mut self,
        options: &VerifyOptions,
        dir: &Path,
        journal: &JournalId,
        findings: &mut Findings,
    ) {
        let Some(known) = &options.known else {
            return;
        };
        match known.check_path(dir, journal) {
            Ok(()) => {}
            Err(Error::Known(error @ KnownError::Replaced { .. })) => {
                let damage = Damage::new(error.code(), dir, error.to_string());
                findings.exposed(damage, By::KnownJournals);
            }
            Err(error) => return unreadable(known.path(), &error, findings),
        }
        match known.find(journal) {
            Ok(found) => self.known = found,
            Err(error) => unreadable(known.path(), &error, findings),
        }
    }
}

fn unreadable(path: &Path, error: &Error, findings: &mut Findings) {
    let detail = format!("what is remembered of journals can't be read: {error}");
    findings.unchecked(
        Damage::new("known.unreadable", path, detail),
        By::KnownJournals,
    );
}

/// A receipt that doesn't hold on its own.
pub(super) fn refuse_receipt(
    place: usize,
    error: &ReceiptError,
    dir: &Path,
    findings: &mut Findings,
) {
    let detail = format!("the receipt does not hold: {error}");
    let damage = Damage::new("receipt.invalid", dir, detail);
    match error {
        ReceiptError::UnsupportedEvent(_) => findings.unchecked(damage, By::Receipt(place)),
        _ => findings.exposed(damage, By::Receipt(place)),
    }
}
