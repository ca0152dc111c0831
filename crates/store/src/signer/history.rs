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
    /// The hash that its successor must have, if it was announced.
    pub next: Option<Digest>,
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
        let new = VerifierKey::new(&origin, &rotated.new)
            .map_err(|_| "the new key is one that no signature can be checked with")?;
        self.check_new(&new)?;
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

    /// Whether a key may become one of the journal's.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_new(&self, key: &VerifierKey) -> Result<(), &'static str> {
        if self.get(key.public_key()).is_some() {
            return Err("the new key was a key of this journal before");
        }
        let mut ids = self.keys.iter().map(|old| old.key.key_id());
        if ids.any(|id| id == key.key_id()) {
            return Err(
                "the new key has the id of an older one, so their signatures could not be told apart",
            );
        }
        let announced = self
            .live()
            .and_then(|live| self.get(live.public_key())?.next);
        if announced.is_some_and(|next| next != next_key_hash(key.public_key())) {
            return Err("the new key is not the one that was announced");
        }
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

    /// Whether a key has signed a checkpoint while it was the journal's: before its successor took over, and
    /// before what it was revoked from. Later ones may be a thief's.
    pub(crate) fn vouches_for(&self, checkpoint: &SignedCheckpoint) -> bool {
        let size = checkpoint.claimed().size();
        let counts = |own: &LogKey| own.counts_at(size) && checkpoint.verify(&own.key).is_ok();
        self.has_signed(checkpoint) && self.keys.iter().any(counts)
    }
}

impl LogKey {
    /// Whether what it signs of this size counts. It signs for its successor once more.
    pub(crate) fn counts_at(&self, size: u64) -> bool {
        let handover = self.retired.map(|at| at.saturating_add(1));
        let ends = [handover, self.revoked_from];
        ends.into_iter().flatten().all(|most| size <= most)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use factlog_format::{JournalEvent, KeyRotated};
    use factlog_proof::VerifierKey;

    use super::{KeyHistory, LogKey};

    /// Notes name keys by four bytes: two keys of the same would let one's signature pass for a broken one
    /// of the other.
    #[test]
    fn a_key_with_the_id_of_an_older_one_is_refused() {
        let origin = "example.com/log/00000000000000000000000000000000";
        let public = |hex: &str| -> [u8; 32] {
            let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
            bytes.try_into().unwrap()
        };
        let old = public("ab0d5f1af6429448b58fb6c6c801c1f09e5126836aa1a6465bbfe6029ecb32e4");
        let alike = public("cfa186a5f764b55d6513c1fee3f17860301d5db3ac055d18a1e7ec0cba9cf912");
        let key = |public| VerifierKey::new(origin, public).unwrap();
        assert_eq!(key(&old).key_id(), key(&alike).key_id());
        let mut history = KeyHistory {
            keys: vec![LogKey {
                key: key(&old),
                since: 0,
                retired: None,
                revoked_from: None,
                next: None,
            }],
        };
        let rotated = JournalEvent::KeyRotated(KeyRotated {
            old,
            new: alike,
            signature: [0; 64],
            next: None,
        });
        let refused = history.take(7, &rotated, None).unwrap_err();
        assert!(refused.contains("the id of an older one"), "{refused}");
        assert_eq!(history.keys().len(), 1);
    }
}
