use factlog_format::EventRecord;
use factlog_fs::read_file;
use factlog_proof::{
    Hash, NodeSource, PathError, SignedCheckpoint, VerifierKey, consistency_path, inclusion_path,
    leaf_hash,
};

use super::{reader::Reader, shared::Shared};
use crate::{
    Damage, Error, Misuse, RotationProof,
    commit::proof_text,
    index::{Keys, Postings, Table},
    layout::checkpoint_size,
    read::view::View,
    tree::TreeReader,
};

/// How many events a reader without write access indexes in memory when the index is missing.
pub(crate) const MAX_GAP: u64 = 1 << 20;

impl Shared {
    /// Gives `work` the tree of a view: stored nodes, and leaves hashed from their events where they
    /// aren't stored yet.
    fn with_tree<T>(
        &self,
        view: &View,
        work: impl FnOnce(&dyn NodeSource<Error = Error>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let dir = self.layout.tree();
        let leaf = |sequence| Ok(leaf_hash(&self.order_of(view, sequence, None)?.hash));
        work(&TreeReader::new(self.fs.as_ref(), &dir, leaf))
    }

    /// The text of a stored event's receipt, from the newest checkpoint whose stored signature covers
    /// it.
    pub(crate) fn receipt_text(&self, view: &View, record: &EventRecord) -> Result<String, Error> {
        let sequence = record.spine().sequence;
        let signed = covering(view, sequence)?;
        let size = signed.claimed().size();
        let path = self.with_tree(view, |tree| path(inclusion_path(tree, sequence, size)))?;
        proof_text(record, path, signed)
    }

    /// Whether a stored signature covers an event.
    pub(crate) fn is_signed_through(&self, sequence: u64) -> bool {
        covering(&self.view.load(), sequence).is_ok()
    }

    /// The newest sequence of a key.
    pub(crate) fn index_last(
        &self,
        view: &View,
        table: Table,
        key: &[u8; 16],
    ) -> Result<Option<u64>, Error> {
        self.check_gap(view)?;
        view.index.last(table, *key)
    }

    pub(crate) fn postings(
        &self,
        view: &View,
        table: Table,
        key: &[u8; 16],
        range: std::ops::Range<u64>,
        reverse: bool,
    ) -> Result<Postings, Error> {
        self.check_gap(view)?;
        Ok(view.index.postings(table, *key, range, reverse))
    }

    /// How many events a key has.
    pub(crate) fn count(&self, view: &View, table: Table, key: &[u8; 16]) -> Result<u64, Error> {
        self.check_gap(view)?;
        view.index.count(table, *key)
    }

    /// Whether the index knows every event.
    pub(crate) fn is_indexed(&self, view: &View) -> bool {
        self.check_gap(view).is_ok()
    }

    pub(crate) fn keys(&self, view: &View, table: Table) -> Result<Keys, Error> {
        self.check_gap(view)?;
        Ok(view.index.keys(table))
    }

    /// Between runs and tail there is a gap only where a reader without write access found so much of
    /// the index missing that it can't stand in memory.
    fn check_gap(&self, view: &View) -> Result<(), Error> {
        if view.index.covered() >= view.index.tail_from() {
            return Ok(());
        }
        let detail = "the index is missing; opening the journal for writing makes it again";
        Err(Damage::new("derived.index", &self.layout.index(), detail).into())
    }
}

fn covering(view: &View, sequence: u64) -> Result<&SignedCheckpoint, Error> {
    let signed = view.signed.as_deref().ok_or(Misuse::Unsigned)?;
    if signed.claimed().size() <= sequence {
        return Err(Misuse::NotYetSigned(sequence).into());
    }
    Ok(signed)
}

/// A path's own errors are mistakes of ours: sizes are checked before.
fn path(path: Result<Vec<Hash>, PathError<Error>>) -> Result<Vec<Hash>, Error> {
    path.map_err(|error| match error {
        PathError::Source(error) => error,
        other => Misuse::NoSuchEvent(other.to_string()).into(),
    })
}

impl Reader {
    /// The newest checkpoint with a stored signature. Signs nothing.
    ///
    /// # Errors
    /// [`Misuse::Unsigned`] if there is none.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, Error> {
        let view = self.shared.view.load();
        Ok(view.signed.as_deref().cloned().ok_or(Misuse::Unsigned)?)
    }

    /// The text of an event's receipt, from the newest checkpoint whose stored signature covers it.
    /// Signs nothing.
    ///
    /// # Errors
    /// [`Misuse::NoSuchEvent`], [`Misuse::Unsigned`], [`Misuse::NotYetSigned`], or what reading the
    /// event comes to.
    pub fn receipt(&self, sequence: u64) -> Result<String, Error> {
        let view = self.shared.view.load_full();
        let event = self.shared.get(&view, sequence)?;
        let event = event.ok_or_else(|| Misuse::NoSuchEvent(sequence.to_string()))?;
        self.shared.receipt_text(&view, &event.record())
    }

    /// The proof that the tree of `old` events is a prefix of the tree of `new`, after RFC 6962,
    /// section 2.1.2.
    ///
    /// # Errors
    /// [`Misuse::NoSuchEvent`] if `new` is past the end or `old` past `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        let view = self.shared.view.load_full();
        if new > view.durable || old > new {
            return Err(Misuse::NoSuchEvent(new.max(old).saturating_sub(1).to_string()).into());
        }
        self.shared
            .with_tree(&view, |tree| path(consistency_path(tree, old, new)))
    }

    /// The root of the complete subtree of 2^level events that begins at sequence `index << level`: a node
    /// of the tree, as tiles publish them.
    ///
    /// # Errors
    /// [`Misuse::NoSuchEvent`] if the subtree isn't complete yet.
    pub fn node(&self, level: u32, index: u64) -> Result<Hash, Error> {
        let view = self.shared.view.load_full();
        let end = index
            .checked_add(1)
            .filter(|end| *end <= view.durable.checked_shr(level).unwrap_or(0));
        if end.is_none() {
            return Err(Misuse::NoSuchEvent(format!("subtree {index} of level {level}")).into());
        }
        self.shared.with_tree(&view, |tree| tree.node(level, index))
    }

    /// A proof made of the journal's tree.
    pub(super) fn tree_proof(
        &self,
        make: impl FnOnce(&dyn NodeSource<Error = Error>) -> Result<Vec<Hash>, PathError<Error>>,
    ) -> Result<Vec<Hash>, Error> {
        let view = self.shared.view.load_full();
        self.shared.with_tree(&view, |tree| path(make(tree)))
    }

    /// Root of the tree of the first `size` events.
    ///
    /// # Errors
    /// [`Misuse::NoSuchEvent`] if `size` is past the end.
    pub fn root_at(&self, size: u64) -> Result<Hash, Error> {
        let view = self.shared.view.load_full();
        if size > view.durable {
            return Err(Misuse::NoSuchEvent(size.saturating_sub(1).to_string()).into());
        }
        self.shared
            .with_tree(&view, |tree| factlog_proof::root_at(tree, size))
    }
}

impl Reader {
    /// What proves to who knows only `key` that another took its place; `None` if none did, or the
    /// journal keeps no checkpoint by which `key` says so.
    ///
    /// # Errors
    /// As [`receipt`](Self::receipt).
    pub fn rotation_proof(&self, key: &VerifierKey) -> Result<Option<RotationProof>, Error> {
        let keys = self.shared.keys.load();
        let retired = keys.get(key.public_key()).and_then(|key| key.retired);
        let Some(sequence) = retired else {
            return Ok(None);
        };
        let Some(signed) = self.kept_checkpoint(sequence, key)? else {
            return Ok(None);
        };
        let view = self.shared.view.load_full();
        let event = self.shared.get(&view, sequence)?;
        let event = event.ok_or_else(|| Misuse::NoSuchEvent(sequence.to_string()))?;
        let Some((secret, payload)) = event.data().and_then(|section| section.content) else {
            return Ok(None);
        };
        let size = signed.claimed().size();
        let path =
            (self.shared).with_tree(&view, |tree| path(inclusion_path(tree, sequence, size)))?;
        Ok(Some(RotationProof {
            receipt: proof_text(&event.record(), path, &signed)?,
            secret,
            payload: payload.to_vec(),
        }))
    }

    /// The smallest kept checkpoint that covers an event and that this key has signed.
    pub(super) fn kept_checkpoint(
        &self,
        sequence: u64,
        key: &VerifierKey,
    ) -> Result<Option<SignedCheckpoint>, Error> {
        let dir = self.shared.layout.checkpoints();
        let fs = self.shared.fs.as_ref();
        let mut found: Option<SignedCheckpoint> = None;
        for entry in fs.list(&dir).map_err(Error::io("list", &dir))? {
            let size = entry.name.to_str().and_then(checkpoint_size);
            let better = |size: &u64| {
                *size > sequence
                    && found
                        .as_ref()
                        .is_none_or(|best| *size < best.claimed().size())
            };
            if size.filter(better).is_none_or(|size| size > self.len()) {
                continue;
            }
            let file = dir.join(&entry.name);
            let bytes = read_file(fs, &file, 64 << 10).map_err(Error::io("read", &file))?;
            let signed = SignedCheckpoint::parse(&bytes).ok();
            let signed = signed.filter(|signed| signed.verify(key).is_ok());
            found = signed.and_then(|signed| by(&signed, key)).or(found);
        }
        Ok(found)
    }
}

/// A checkpoint with the signature of this key alone.
fn by(signed: &SignedCheckpoint, key: &VerifierKey) -> Option<SignedCheckpoint> {
    let signatures = signed.signatures().iter();
    let own = signatures.filter(|signature| signature.key_id() == key.key_id());
    SignedCheckpoint::new(signed.claimed().clone(), own.cloned().collect()).ok()
}
