//! Changes of the journal's keys.

use std::sync::Arc;

use factlog_format::{Digest, JournalEvent, KeyRevoked, KeyRotated, Manifest};
use factlog_fs::Replacement;
use factlog_proof::Checkpoint;

use super::{
    BatchReceipt, Preparer, Receipts, Writer,
    baton::{Baton, Room},
    lead::stop,
    order::{Decision, Order, Resolved},
};
use crate::{
    Error, Misuse, WriterFailure,
    event::own,
    recover::value_of,
    signer::{KeyHistory, Signer},
    sync::MutexGuard,
};

/// What is to be said about keys.
pub(crate) enum KeyChange {
    /// This signer signs from now on; and, if it is decided already, the hash of the key after its own.
    Rotate(Arc<Signer>, Option<Digest>),
    /// What a key that was replaced has signed doesn't count any more.
    Revoke(KeyRevoked),
}

impl Writer {
    /// Appends the event of a change of keys, alone in its group, and then begins a new segment, so
    /// that MANIFEST's word for it is beyond doubt.
    ///
    /// # Errors
    /// `key.refused` if the journal's keys don't allow it; those of an append.
    pub(crate) fn change_keys(&self, change: &KeyChange) -> Result<BatchReceipt, Error> {
        let changing = self.changing_keys.lock();
        let receipt = self.append_change(change)?;
        drop(changing);
        // It only makes the next open faster.
        let _ = self.roll();
        Ok(receipt)
    }

    fn append_change(&self, change: &KeyChange) -> Result<BatchReceipt, Error> {
        let preparer = Preparer {
            clock: self.clock.as_ref(),
            random: self.random.as_ref(),
            salt_key: &self.salt_key,
            internal: true,
            pool: &self.pool,
            shared: &self.shared,
            secrets: None,
        };
        let mut resolved = Resolved::default();
        let mut order = self.order.lock();
        loop {
            self.refuse_if_stopped(&order)?;
            if order.leading || !order.group.events.is_empty() {
                order = self.wait_for_silence(order);
                continue;
            }
            if !self.baton.lock().begun {
                // Before the first write of a session it is synced what that relies on.
                order = self.secure(order, 1)?;
                continue;
            }
            let event = event_of(change, &self.baton.lock())?;
            let mut history = KeyHistory::clone(&self.shared.keys.load());
            let sequence = order.next_sequence;
            let taken = history.take(sequence, &event, None);
            taken.map_err(Misuse::KeyRefused)?;
            let mut batch = preparer.prepare(&[own::event(&event)], &[])?;
            // Prepared before the event has a place: a disk that is full then refuses it, and no more.
            let announcement = Announcement::prepare(&self.baton.lock(), sequence, &event);
            let announcement = match announcement {
                Err(error) if !error.is_disk_full() => return Err(poisoned(&mut order, error)),
                prepared => prepared?,
            };
            match order.decide(&mut batch, &resolved, self.clock.now_micros()) {
                Decision::Ordered(cell) => {
                    self.announce(&mut order, change, announcement)?;
                    // It stays alone: while it is led for, nobody else is given a place behind it.
                    order.room = Room::default();
                    let group = self.wait_for(Some(order), &cell)?;
                    self.shared.keys.store(Arc::new(history));
                    let journal = self.shared.identity.journal;
                    let batch = Arc::new(batch);
                    return Ok(BatchReceipt {
                        receipts: Receipts::Appended {
                            journal,
                            group,
                            batch,
                        },
                    });
                }
                Decision::Unsecured(need) => order = self.secure(order, need)?,
                Decision::Unresolved => {
                    drop(order);
                    resolved = self.mending(|| self.resolve(&batch))?;
                    order = self.order.lock();
                }
                _ => {
                    // An empty group takes it; it has no id of a caller's, and expects nothing.
                    return Err(Misuse::BatchSize.into());
                }
            }
        }
    }

    /// Before the event is written MANIFEST says that it may be there, and who signs from it on.
    fn announce(
        &self,
        order: &mut MutexGuard<'_, Order>,
        change: &KeyChange,
        announcement: Announcement,
    ) -> Result<(), Error> {
        let mut baton = self.baton.lock();
        let Announcement {
            replacement,
            manifest,
        } = announcement;
        if let Err(error) = baton.put_manifest(replacement, manifest) {
            drop(baton);
            return Err(poisoned(order, error));
        }
        if let KeyChange::Rotate(signer, _) = change {
            baton.retiring = baton.signer.replace(Arc::clone(signer));
        }
        Ok(())
    }
}

/// The answer where MANIFEST can't be written. The group that this ends has nobody else in it.
fn poisoned(order: &mut Order, error: Error) -> Error {
    let error = Arc::new(error);
    drop(stop(order, Arc::clone(&error)));
    WriterFailure::Poisoned(error).into()
}

/// A MANIFEST that tells of the event, ready to be put.
struct Announcement {
    replacement: Replacement,
    manifest: Manifest,
}

impl Announcement {
    fn prepare(baton: &Baton, sequence: u64, event: &JournalEvent) -> Result<Self, Error> {
        let mut manifest = baton.manifest.clone();
        manifest.values.extend(value_of(sequence, event));
        Ok(Self {
            replacement: baton.prepare_manifest(&manifest)?,
            manifest,
        })
    }
}

/// The event, if it is to stand right behind what is there.
fn event_of(change: &KeyChange, baton: &Baton) -> Result<JournalEvent, Error> {
    let (signer, next) = match change {
        KeyChange::Rotate(signer, next) => (signer, *next),
        KeyChange::Revoke(revoked) => return Ok(JournalEvent::KeyRevoked(*revoked)),
    };
    let old = baton.signer.as_ref().ok_or(Misuse::Unsigned)?;
    let (size, root) = (baton.frontier.size(), baton.frontier.root());
    let broken = |error: factlog_proof::CheckpointError| Misuse::Receipt(error.to_string());
    let checkpoint = Checkpoint::new(signer.origin(), size, root).map_err(broken)?;
    let signature = signer.sign(&checkpoint)?;
    let signature = signature.bytes().try_into();
    Ok(JournalEvent::KeyRotated(KeyRotated {
        old: *old.verifier().public_key(),
        new: *signer.verifier().public_key(),
        signature: signature.map_err(|_| Misuse::KeyRefused("its signature is not of 64 bytes"))?,
        next,
    }))
}
