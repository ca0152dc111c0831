mod case;
mod keys;
mod open;
mod parts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use factlog_format::Encoding;
use factlog_fs::FileLock;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use keys::{Rotated, Rotation};
pub(crate) use parts::{new_writer, read_secret, shared, take_lock};

use crate::{
    BatchReceipt, Condition, Damage, Error, Misuse, NewEvent, Reader, Receipt, RecoveryReport,
    Refusal, Ticket, WriterFailure,
    commit::{Stopped, Writer, housekeeper::Housekeeper},
    config::{Bug, KeySource, planted},
    follow::EndsFollowers,
    typed::RegistryProblem,
};

/// A journal that is open for writing.
///
/// One journal is written by one handle at a time, which any number of threads may share; readers,
/// here and in other processes, never wait for it. Dropping it without [`close`](Self::close) loses
/// nothing acknowledged and leaves the work of a recovery to the next open.
///
/// ```
/// use factlog::{Encoding, Journal, NewEvent, Query};
///
/// let journal = Journal::in_memory()?;
/// let event = NewEvent::new("bank", "account-7", "account.opened").data(Encoding::Json, br#"{}"#);
/// let receipt = journal.append(event)?;
/// assert_eq!(receipt.sequence(), 1); // sequence 0 is the journal's own
/// assert_eq!(journal.reader().read(Query::stream("bank", "account-7")).count(), 1);
/// journal.close()?;
/// # Ok::<(), factlog::Error>(())
/// ```
pub struct Journal {
    /// `None` where it was known before anything was opened that nothing may be written.
    writer: Option<Arc<Writer>>,
    reader: Reader,
    housekeeper: Option<Housekeeper>,
    refused: Option<Arc<Error>>,
    recovery: Option<RecoveryReport>,
    key_source: KeySource,
    key_text: Option<Zeroizing<String>>,
    import_key: Option<Zeroizing<[u8; 32]>>,
    known: Option<crate::KnownJournals>,
    encoding: Encoding,
    registry_problems: Vec<RegistryProblem>,
    keyset_rolled_back: Option<Damage>,
    /// What follows the journal ends when its handle goes.
    _follows: EndsFollowers,
    /// Dropped last, so that nothing of this handle outlives its right to write.
    _lock: Box<dyn FileLock>,
}

impl Journal {
    /// What writes, or why nothing may.
    pub(crate) fn writer(&self) -> Result<&Arc<Writer>, Error> {
        match (&self.writer, &self.refused) {
            (Some(writer), None) => Ok(writer),
            (_, Some(why)) => Err(Refusal::ReadOnly(Arc::clone(why)).into()),
            (None, None) => Err(Refusal::OpenedReadOnly.into()),
        }
    }

    /// Appends one event; it is durable, and signed if the journal is, when this returns.
    ///
    /// # Errors
    /// [`Misuse`] and [`Refusal`]: nothing was appended. [`Conflict`](crate::Conflict): the journal's
    /// content speaks against it. [`WriterFailure`]: says whether anything may have been written.
    pub fn append(&self, event: NewEvent<'_>) -> Result<Receipt, Error> {
        let batch = self.append_batch(&[event])?;
        Ok(batch.receipt(0).ok_or(Misuse::BatchSize)?)
    }

    /// Appends 1 to 65,536 events, of any streams, as one: all are durable when this returns, or none
    /// ever is. Later events of the batch see the earlier ones, also with their expectations.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_batch(&self, events: &[NewEvent<'_>]) -> Result<BatchReceipt, Error> {
        self.append_if(events, &[])
    }

    /// Appends a batch if all conditions hold for the journal as it is before: what a decision rests on
    /// is checked in the same step in which it is ordered, so that nothing can come between.
    ///
    /// A batch that is in the journal already, by the ids that its events were given, is answered with
    /// its receipts before any condition is looked at: an append that succeeded can be retried.
    ///
    /// ```
    /// # use factlog::{Condition, Conflict, Error, Journal, NewEvent, Query};
    /// let journal = Journal::in_memory()?;
    /// let taken = || Query::all().kind("user.registered").tag("name:ada");
    /// let register = |user| NewEvent::new("users", user, "user.registered").tag("name:ada");
    /// journal.append_if(&[register("u1")], &[Condition::nothing(taken())])?;
    /// let again = journal.append_if(&[register("u2")], &[Condition::nothing(taken())]);
    /// assert!(matches!(again, Err(Error::Conflict(Conflict::Boundary { sequence: 1, .. }))));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`append`](Self::append); [`Conflict::Boundary`](crate::Conflict::Boundary) or
    /// [`Conflict::Expectation`](crate::Conflict::Expectation) where a condition doesn't hold.
    pub fn append_if(
        &self,
        events: &[NewEvent<'_>],
        conditions: &[Condition<'_>],
    ) -> Result<BatchReceipt, Error> {
        self.writer()?.append(events, conditions, false)
    }

    /// Gives a batch its place, as [`append_batch`](Self::append_batch) does, and returns before it is
    /// durable: the ticket tells when it is, and answers then. Many tickets in flight share one sync.
    ///
    /// It waits only for room: at most 64 MiB and 65,536 events are in flight behind the group that is
    /// being written.
    ///
    /// # Errors
    /// [`Misuse`] and [`Refusal`]: nothing was appended. What rests on other events, such as a
    /// [`Conflict`](crate::Conflict), is the ticket's answer, as soon as these are durable.
    pub fn submit(&self, events: &[NewEvent<'_>]) -> Result<Ticket<'_>, Error> {
        self.submit_if(events, &[])
    }

    /// As [`submit`](Self::submit), if all conditions hold, as for [`append_if`](Self::append_if).
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_if(
        &self,
        events: &[NewEvent<'_>],
        conditions: &[Condition<'_>],
    ) -> Result<Ticket<'_>, Error> {
        self.writer()?.submit(events, conditions)
    }

    /// Reads the journal.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// An id that depends on all of `parts` and on a secret of this journal: the same parts give the
    /// same id here and another one elsewhere. For importing what has ids of its own.
    ///
    /// # Errors
    /// [`Refusal::ReadOnly`] where the secret can't be had: another one would take what was imported
    /// before for new.
    pub fn import_id(&self, parts: &[&[u8]]) -> Result<Uuid, Error> {
        let Some(key) = &self.import_key else {
            self.writer()?;
            return Err(Refusal::OpenedReadOnly.into());
        };
        let mut hasher = blake3::Hasher::new_keyed(key);
        for part in parts {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Ok(uuid::Builder::from_custom_bytes(id).into_uuid())
    }

    /// Why appends are refused, if they are.
    #[must_use]
    pub fn read_only_reason(&self) -> Option<&Error> {
        self.refused.as_deref()
    }

    /// What is wrong with the event types of this program, where
    /// [`RegistryCheck::Warn`](crate::RegistryCheck::Warn) let the journal open all the same.
    #[must_use]
    pub fn registry_problems(&self) -> &[RegistryProblem] {
        &self.registry_problems
    }

    /// How payloads of typed events are encoded.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What the open did about an unclean end; `None` if there was nothing to do.
    #[must_use]
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        self.recovery.as_ref()
    }

    /// The private key that [`Options::fresh_signing_key`](crate::Options::fresh_signing_key) made, as text, for who wants to keep it.
    #[must_use]
    pub fn signing_key_text(&self) -> Option<&Zeroizing<String>> {
        self.key_text.as_ref()
    }

    /// `keyset.rolled_back`, if an older copy of the keyset had been put back before this open, which applied
    /// again what events want destroyed; keys made since that copy may be missing.
    #[must_use]
    pub fn keyset_rolled_back(&self) -> Option<&Damage> {
        self.keyset_rolled_back.as_ref()
    }

    /// Does what the housekeeper thread would do when idle: writes derived files, and an empty commit
    /// if events are durable that no commit header calls so.
    ///
    /// # Errors
    /// [`WriterFailure`] if the commit failed.
    pub fn housekeep(&self) -> Result<(), Error> {
        let Ok(writer) = self.writer() else {
            return Ok(());
        };
        writer.lead_for_tickets();
        while writer.derived.step(writer) {}
        writer.commit_idle()?;
        writer.anchors.step(writer, false);
        Ok(())
    }

    /// Why anchors don't have the newest checkpoint that was put there; empty if all have.
    #[must_use]
    pub fn anchor_failures(&self) -> Vec<String> {
        self.writer
            .as_ref()
            .map_or_else(Vec::new, |writer| writer.anchors.failures())
    }

    /// Ends the session: states that everything is durable, writes derived files, and releases the
    /// lock. A session that wrote nothing writes nothing now.
    ///
    /// # Errors
    /// What could not be made durable. Everything acknowledged is durable in any case.
    pub fn close(mut self) -> Result<(), Error> {
        if let Some(housekeeper) = &mut self.housekeeper {
            housekeeper.stop();
        }
        // A recovery that failed may have left a writer that has begun and can't go on.
        let Ok(writer) = self.writer() else {
            return Ok(());
        };
        if let Some(secrets) = &writer.shared.secrets {
            // It only lets a later loss be told; what stands in its way stands in that of the close too.
            let _ = secrets.note_end(writer);
        }
        writer.close()?;
        writer.anchors.step(writer, true);
        if let Some(secrets) = &writer.shared.secrets {
            // It only lets a later loss be told from a write cut short.
            let _ = secrets.state_end();
        }
        self.remember();
        Ok(())
    }

    /// Tells the signer's state and the user's known journals how far the journal has come. Both are
    /// lower bounds, so that one which can't be written loses nothing.
    fn remember(&self) {
        let view = self.reader.shared.view.load();
        let Some(signed) = view.signed.as_deref() else {
            return;
        };
        let checkpoint = signed.claimed();
        let signer = self
            .writer
            .as_ref()
            .and_then(|writer| writer.baton.lock().signer.clone());
        if let Some(signer) = signer {
            let _ = signer.remember(checkpoint.size(), checkpoint.root());
        }
        self.follow();
        if let Some(known) = &self.known {
            let path = |size| {
                self.reader
                    .consistency(size, checkpoint.size())
                    .unwrap_or_default()
            };
            let _ = known.advance_with(&self.reader.id(), signed, path);
        }
    }
}

impl Writer {
    /// Makes everything durable, states it, and refuses all that comes after.
    fn close(&self) -> Result<(), Error> {
        let mut order = self.order.lock();
        while order.leading || !order.group.events.is_empty() {
            order = self.wait_for_room(order);
        }
        if planted(Bug::PoisonedCloses) && order.stopped.is_some() {
            return self.baton.lock().close();
        }
        if let Some(Stopped::Poisoned(why)) = &order.stopped {
            return Err(WriterFailure::Poisoned(Arc::clone(why)).into());
        }
        drop(order);
        self.commit_idle()?;
        let mut order = self.order.lock();
        if let Some(Stopped::Poisoned(why)) = &order.stopped {
            return Err(WriterFailure::Poisoned(Arc::clone(why)).into());
        }
        order.stopped = Some(Stopped::Closed);
        drop(order);
        let mut baton = self.baton.lock();
        if !baton.begun {
            return Ok(());
        }
        // First, since on a full disk what follows needs the space.
        baton.give_space_back()?;
        self.derived.finish(self);
        if self.derived.has_failed() {
            // An end that is recorded as clean promises whole derived files; after any other the next
            // open makes them again. What was appended is durable and stated so either way.
            return Ok(());
        }
        baton.close()
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.reader.path())
            .field("events", &self.reader.len())
            .finish_non_exhaustive()
    }
}
