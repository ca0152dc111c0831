//! The keys of a journal, as its `$journal` events tell.

use factlog_format::{Digest, JournalCreated, JournalEvent, KeyRevoked, KeyRotated, next_key_hash};
use factlog_proof::{Checkpoint, Hash, Policy, SignedCheckpoint, VerifierKey};

/// A key of a journal: since when, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogKey {
    /// The key.
    pub key: VerifierKey,
    /// Sequence of the event that brought it.
    pub since: u64,
    /// Sequence of the event that brought its successor; `None` for the key that signs now.
    pub retired: Option<u64>,
    /// The first sequence that it doesn't vouch for any more, if it was revoked.
    pub revoked_from: Option<u64>,
    /// The hash that its successor must have.
    pub(crate) next: Option<Digest>,
}

/// All keys of a journal, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyHistory {
    keys: Vec<LogKey>,
}

impl KeyHistory {
    /// The keys that sequence 0 names; the first is the one that signs. Those that can't be used are
    /// left out.
    pub(crate) fn of(created: &JournalCreated) -> Self {
        let keys = created.keys.iter();
        let keys = keys.filter_map(|key| VerifierKey::new(&created.origin, key).ok());
        let key = |key| LogKey {
            key,
            since: 0,
            retired: None,
            revoked_from: None,
            next: None,
        };
        Self {
            keys: keys.map(key).collect(),
        }
    }

    pub(crate) fn keys(&self) -> &[LogKey] {
        &self.keys
    }

    /// The key that signs now.
    pub(crate) fn live(&self) -> Option<&VerifierKey> {
        let mut live = self.keys.iter().filter(|key| key.retired.is_none());
        // A journal that names several at the start signs with the first.
        let last = live.clone().max_by_key(|key| key.since)?.since;
        live.find(|key| key.since == last).map(|key| &key.key)
    }

    /// The key that the one that signs now has replaced.
    pub(crate) fn before_live(&self) -> Option<&LogKey> {
        let retired = self.keys.iter().filter(|key| key.retired.is_some());
        retired.max_by_key(|key| key.retired)
    }

    pub(crate) fn get(&self, public: &[u8; 32]) -> Option<&LogKey> {
        self.keys.iter().find(|key| key.key.public_key() == public)
    }

    /// Takes in an event of the journal's own stream; others than those about keys change nothing.
    /// `root` is that of the tree before the event, if it is known: what was taken in without was only
    /// believed.
    ///
    /// # Errors
    /// Why the event can't be; then nothing changed.
    pub(crate) fn take(
        &mut self,
        sequence: u64,
        event: &JournalEvent,
        root: Option<Hash>,
    ) -> Result<(), &'static str> {
        match event {
            JournalEvent::KeyRotated(rotated) => self.rotate(sequence, rotated, root),
            JournalEvent::KeyRevoked(revoked) => self.revoke(sequence, revoked),
            _ => Ok(()),
        }
    }

    fn rotate(
        &mut self,
        sequence: u64,
        rotated: &KeyRotated,
        root: Option<Hash>,
    ) -> Result<(), &'static str> {
        let Some(live) = self.live() else {
            return Err("a journal without a key can't replace it");
        };
        let origin = live.name().to_owned();
        let old = *live.public_key();
        if rotated.old != old {
            return Err("the key that it replaces is not the one that signs");
        }
        if self.get(&rotated.new).is_some() {
            return Err("the new key was a key of this journal before");
        }
        let new = VerifierKey::new(&origin, &rotated.new)
            .map_err(|_| "the new key is one that no signature can be checked with")?;
        if let Some(root) = root {
            let checkpoint = Checkpoint::new(&origin, sequence, root)
                .map_err(|_| "the tree before it is no tree of this journal")?;
            if !new.verifies(checkpoint.to_string().as_bytes(), &rotated.signature) {
                return Err("the new key did not sign the checkpoint before it");
            }
        }
        let Some(retiring) = self
            .keys
            .iter_mut()
            .find(|key| *key.key.public_key() == old)
        else {
            return Err("the key that it replaces is not the one that signs");
        };
        if retiring
            .next
            .is_some_and(|next| next != next_key_hash(&rotated.new))
        {
            return Err("the new key is not the one that was announced");
        }
        retiring.retired = Some(sequence);
        self.keys.push(LogKey {
            key: new,
            since: sequence,
            retired: None,
            revoked_from: None,
            next: rotated.next,
        });
        Ok(())
    }

    fn revoke(&mut self, sequence: u64, revoked: &KeyRevoked) -> Result<(), &'static str> {
        let mut keys = self.keys.iter_mut();
        let Some(key) = keys.find(|key| *key.key.public_key() == revoked.key) else {
            return Err("the key that it revokes was never a key of this journal");
        };
        if key.retired.is_none() {
            return Err("the key that it revokes still signs");
        }
        if revoked.from > sequence {
            return Err("it revokes from a sequence on that is yet to come");
        }
        // Trust that was taken back is not given again.
        let from = key
            .revoked_from
            .map_or(revoked.from, |from| from.min(revoked.from));
        key.revoked_from = Some(from);
        Ok(())
    }

    /// Whether a key of the journal has signed a checkpoint, whichever, and none wrongly.
    pub(crate) fn has_signed(&self, checkpoint: &SignedCheckpoint) -> bool {
        let keys = self.keys.iter().map(|key| key.key.clone());
        let policy = Policy::new(keys);
        !self.keys.is_empty() && policy.is_ok_and(|policy| checkpoint.verify_by(&policy).is_ok())
    }
}
