mod case;
mod keys;
#[cfg(test)]
mod tests;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
};

use factlog_format::{Encoding, JournalId, journal_key};
use factlog_fs::{FileLock, LockError, MemFs, StoreFs, read_file};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use keys::{Rotated, Rotation};

use self::keys::{create_signer, floors, open_signer, require_key};
use crate::{
    BatchReceipt, Condition, Damage, Ended, Error, KnownJournal, Misuse, NewEvent, Options, Reader,
    Receipt, RecoveryReport, Refusal, RegistryCheck, Ticket, WriterFailure,
    commit::housekeeper::{Housekeeper, Signal},
    commit::{Baton, Pool, Stopped, Writer},
    compact::erasing_from,
    config::{Bug, KeySource, planted},
    event::own,
    follow::{EndsFollowers, Followers},
    keys::{Keys, finish},
    layout::{Layout, decode_secret},
    open::{
        check_chain, read_view,
        writable::{self, Opened, Signers},
    },
    read::Shared,
    recover::{self, Floors, Follower, Found, find},
    sync::{Condvar, Mutex},
    typed::{RegistryProblem, problems, verify_registry},
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
    /// Creates a journal in a directory that doesn't exist yet or is empty, or in which a creation was
    /// cut short before it came to event 0: what that left is removed.
    ///
    /// When it returns the journal is durable, with `journal.created` at sequence 0 and, if signed, its
    /// first signature.
    ///
    /// # Errors
    /// [`Misuse::Exists`], [`Misuse::Origin`], [`Misuse::KeyOfAnotherJournal`], `known.replaced` if the
    /// known journals remember another one at this path,
    /// [`Misuse::Registry`], [`Refusal::Locked`], [`Refusal::FileSystem`], or [`Error::Io`]: then the next `create` or
    /// [`open`](Self::open) goes on from what was begun.
    pub fn create(dir: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        check_registry(&options)?;
        let dir = dir.as_ref();
        let fs = Arc::clone(&options.fs);
        let layout = Layout::new(dir);
        recover::refuse_occupied(fs.as_ref(), &layout)?;
        let mut id: JournalId = [0; 16];
        options.random.fill(&mut id);
        let origin = recover::origin_of(&options.origin, &id)?;
        if let Some(known) = &options.known {
            known.check_path(&absolute(dir), &id)?;
        }
        let (signer, key_text, key_file) = create_signer(&options, &id, &origin)?;
        let keys = signer
            .iter()
            .map(|signer| *signer.verifier().public_key())
            .collect();
        recover::make_dir(fs.as_ref(), &layout)?;
        let lock = take_lock(fs.as_ref(), &layout)?;
        recover::clear_unfinished(fs.as_ref(), &layout)?;
        let (found, event, secrets) = recover::create(&options, layout, id, origin, keys)?;
        let secret = read_secret(fs.as_ref(), &found.layout, &id)?;
        let writer = writable::fresh(&options, &found, signer.clone(), &secret, secrets)?;
        let known = options.known.clone();
        if planted(Bug::JournalFirst) {
            recover::finish(fs.as_ref(), &found)?;
        }
        writer.append(&[own::event(&event)], &[], true)?;
        writer.end_creation()?;
        recover::finish(fs.as_ref(), &found)?;
        let mut journal = Self::assemble(&options, Arc::clone(&writer.shared), lock);
        journal.writer = Some(writer);
        journal.key_text = key_text;
        journal.import_key = Some(import_key(&secret));
        if let Some(known) = known {
            // The journal exists whether its creator remembers it or not.
            let _ = known.pin(KnownJournal {
                id,
                origin: found.identity.origin,
                key: found.key,
                key_file,
                retired: Vec::new(),
                next: None,
                checkpoints: Vec::new(),
                paths: vec![absolute(dir)],
            });
        }
        journal.start(&options)
    }

    /// Opens a journal for writing, after whatever recovery an unclean end calls for.
    ///
    /// A journal that is damaged where it is written, or that isn't the one its signer remembers, opens
    /// all the same: reads go on, and appends are refused; see
    /// [`read_only_reason`](Self::read_only_reason).
    ///
    /// # Errors
    /// [`Misuse::NotAJournal`], [`Misuse::Registry`], [`Refusal::Locked`], [`Refusal::KeyMissing`] under
    /// [`SigningPolicy::Required`](crate::SigningPolicy::Required), [`Refusal::StrictRecovery`],
    /// [`Error::Damaged`] where not even
    /// reading makes sense, or [`Error::Io`]. Nothing stays locked or open then.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        check_registry(&options)?;
        let dir = dir.as_ref();
        let fs = Arc::clone(&options.fs);
        // Asked first, so that nothing is made in a directory that is no journal.
        let found = find(&fs, dir)?;
        require_key(&options, &found)?;
        let lock = take_lock(fs.as_ref(), &found.layout)?;
        // Another writer may have changed it until the lock was ours.
        let found = find(&fs, dir)?;
        let (signer, no_signer) = open_signer(&options, &found)?;
        let floors = floors(&options, &found, signer.as_deref())?;
        let secret = read_secret(fs.as_ref(), &found.layout, &found.identity.journal);
        let (secret, no_secret) = match secret {
            Ok(secret) => (Some(secret), None),
            Err(error) => (None, Some(error)),
        };
        let mut why = speaks_against_writing(&found, no_signer).or(no_secret);
        let mut verified = None;
        if why.is_none() && !found.unfinished {
            match check_chain(&options, &found, signer.as_deref()) {
                Ok(good) => verified = good,
                Err(error @ Error::Damaged(_)) => why = Some(error),
                Err(error) => return Err(error),
            }
        }
        let erasing = erasing_from(&found.manifest);
        // Nothing is written, derived files included.
        let for_reading = |lock, found, why: Option<Error>| {
            let (view, _) = read_view(&fs, &found, &floors, &|| true)?;
            let secrets = Keys::open(&options, &found, true);
            let mut shared = shared(&fs, found, view, None, secrets);
            shared.followers = followers(&options);
            learn(&shared, erasing)?;
            let shared = Arc::new(shared);
            let mut journal = Self::assemble(&options, shared, lock);
            journal.import_key = secret.as_deref().map(import_key);
            journal.refused = why.map(Arc::new);
            journal.start(&options)
        };
        let (Some(secret), None) = (&secret, &why) else {
            return for_reading(lock, found, why);
        };
        let mut refused: Option<Error> = None;
        let retiring = keys::open_retiring(&options, &found, &floors);
        let signers = Signers {
            live: signer.clone(),
            retiring,
        };
        let opened = writable::open(&options, &found, signers, &floors, secret, &mut refused);
        let Opened { writer, recovered } = match opened {
            Err(Error::Damaged(rot)) if recover::is_header_rot(&rot) => {
                return for_reading(lock, found, Some(rot.into()));
            }
            opened => opened?,
        };
        learn(&writer.shared, erasing)?;
        if refused.is_none() {
            let shared = Arc::clone(&writer.shared);
            refused = writer.sign_elsewhere(&Reader { shared }).err();
        }
        let mut refused = refused.map(Arc::new);
        if refused.is_none() && found.unfinished {
            let finished = writer.end_creation();
            let finished = finished.and_then(|()| recover::finish(fs.as_ref(), &found));
            refused = finished.err().map(cause);
        }
        let mut journal = Self::assemble(&options, Arc::clone(&writer.shared), lock);
        journal.import_key = Some(import_key(secret));
        if let Some((report, event)) = recovered {
            journal.recovery = Some(report);
            if refused.is_none() {
                let event = own::recovered(event);
                refused = writer.append(&[event], &[], true).err().map(cause);
            }
        }
        if let Some(secrets) = &writer.shared.secrets
            && journal.refused.is_none()
            && refused.is_none()
        {
            // Before any key is used: what events want destroyed is, whatever a crash or a copy left.
            let finished = match secrets.refusal() {
                None => finish(secrets, &writer),
                Some(why) => Err(why),
            };
            match finished {
                Ok(rolled_back) => journal.keyset_rolled_back = rolled_back,
                Err(error) => refused = Some(cause(error)),
            }
        }
        journal.writer = Some(writer);
        journal.refused = refused;
        if let (Some(signer), Some((size, root)), None) = (&signer, verified, &journal.refused)
            && journal.reader.root_at(size).is_ok_and(|own| own == root)
        {
            // Without it the next open reads more.
            let _ = signer.set_verified(size, root);
        }
        journal.start(&options)
    }

    /// Opens a journal for reading, without a lock; its writer may be at work. Where none is, a group at
    /// the end is shown that is whole and that nothing calls durable; see [`Reader::unproven_from`].
    ///
    /// # Errors
    /// [`Misuse::NotAJournal`], [`Misuse::Unfinished`], [`Error::Damaged`] where not even reading makes
    /// sense, or [`Error::Io`].
    pub fn open_read_only(dir: impl AsRef<Path>, options: Options) -> Result<Reader, Error> {
        check_registry(&options)?;
        let fs = &options.fs;
        let found = find(fs, dir.as_ref())?;
        let floors = Floors::kept(fs.as_ref(), &found.layout, &found.keys);
        let lock = found.layout.lock();
        let nobody_writes = || {
            let there = matches!(fs.metadata(&lock), Ok(Some(_)));
            there && fs.lock(&lock).is_ok()
        };
        let (view, mut survey) = read_view(fs, &found, &floors, &nobody_writes)?;
        let follower = Some(Follower::after(&survey));
        let secrets = Keys::open(&options, &found, true);
        let erasing = erasing_from(&found.manifest);
        let mut shared = shared(fs, found, view, follower, secrets);
        learn(&shared, erasing)?;
        shared.followers = followers(&options);
        let damage = survey.damage.take().or(survey.bad_signature.take());
        // Beside a writer, what it is just writing may look so.
        shared.damage.extend(damage.filter(|_| nobody_writes()));
        Ok(Reader {
            shared: Arc::new(shared),
        })
    }

    /// Creates a signed journal wholly in memory, for tests.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn in_memory() -> Result<Self, Error> {
        let fs = Arc::new(MemFs::new());
        Self::create(
            "journal",
            Options::new().file_system(fs).fresh_signing_key(),
        )
    }

    fn assemble(options: &Options, shared: Arc<Shared>, lock: Box<dyn FileLock>) -> Self {
        let follows = EndsFollowers(Arc::clone(&shared.followers));
        Self {
            writer: None,
            _follows: follows,
            reader: Reader { shared },
            housekeeper: None,
            refused: None,
            recovery: None,
            key_source: options.key.clone(),
            key_text: None,
            import_key: None,
            known: options.known.clone(),
            encoding: options.encoding,
            registry_problems: match options.registry {
                RegistryCheck::Off => Vec::new(),
                RegistryCheck::Fail | RegistryCheck::Warn => problems(),
            },
            keyset_rolled_back: None,
            _lock: lock,
        }
    }

    /// What writes, or why nothing may.
    pub(crate) fn writer(&self) -> Result<&Arc<Writer>, Error> {
        match (&self.writer, &self.refused) {
            (Some(writer), None) => Ok(writer),
            (_, Some(why)) => Err(Refusal::ReadOnly(Arc::clone(why)).into()),
            (None, None) => Err(Refusal::OpenedReadOnly.into()),
        }
    }

    fn start(mut self, options: &Options) -> Result<Self, Error> {
        if let Some(why) = &self.refused {
            // What is durable can be followed; that nothing more will come is said behind it.
            let followers = &self.reader.shared.followers;
            followers.end(Ended::WriterFailed(Arc::clone(why)));
        }
        if let Ok(writer) = self.writer()
            && options.housekeeper
        {
            self.housekeeper = Some(Housekeeper::start(Arc::clone(writer), options.compaction)?);
        }
        Ok(self)
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

    /// The private key that [`Options::fresh_signing_key`] made, as text, for who wants to keep it.
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

/// Who will follow a journal, and who tells them.
fn followers(options: &Options) -> Arc<Followers> {
    let clock = Arc::clone(&options.clock);
    Arc::new(Followers::new(options.following, clock))
}

pub(crate) fn shared(
    fs: &Arc<dyn StoreFs>,
    found: Found,
    view: crate::read::view::View,
    follower: Option<Follower>,
    secrets: Option<Arc<Keys>>,
) -> Shared {
    Shared {
        secrets,
        is_encrypted: found.created.encryption.is_some(),
        fs: Arc::clone(fs),
        layout: found.layout,
        identity: found.identity,
        keys: arc_swap::ArcSwap::from_pointee(found.keys),
        view: arc_swap::ArcSwap::from_pointee(view),
        follower,
        followers: Arc::default(),
        damage: found.damage,
        resident: crate::read::view::Resident::new(false),
        erasures: crate::compact::Erasures::default(),
        rescanned: std::sync::atomic::AtomicBool::new(false),
    }
}

/// Learns what erasures take that may not be completed: without that nothing is read.
fn learn(shared: &Shared, erasing: Option<u64>) -> Result<(), Error> {
    erasing.map_or(Ok(()), |from| shared.learn_erasures(from))
}

/// Before anything is touched: a program whose types contradict each other would misread what is stored.
fn check_registry(options: &Options) -> Result<(), Misuse> {
    match options.registry {
        RegistryCheck::Fail => verify_registry(),
        RegistryCheck::Warn | RegistryCheck::Off => Ok(()),
    }
}

/// Why a journal opens read-only, as far as that is known before its events are looked at.
fn speaks_against_writing(found: &Found, no_signer: Option<Error>) -> Option<Error> {
    let damage = found.damage.first().cloned().map(Error::from);
    damage
        .or_else(|| crate::open::check_writable(found).err())
        .or(no_signer)
}

/// What stopped a writer, where an error says no more than that it did.
fn cause(error: Error) -> Arc<Error> {
    match error {
        Error::Writer(
            WriterFailure::Indeterminate(why)
            | WriterFailure::Unsigned(why)
            | WriterFailure::Poisoned(why),
        )
        | Error::Refused(Refusal::ReadOnly(why)) => why,
        error => Arc::new(error),
    }
}

fn import_key(secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(journal_key(secret, "factlog 1 import id"))
}

pub(crate) fn take_lock(fs: &dyn StoreFs, layout: &Layout) -> Result<Box<dyn FileLock>, Error> {
    let path = layout.lock();
    fs.lock(&path).map_err(|error| match error {
        LockError::Held => Refusal::Locked(layout.dir.clone()).into(),
        LockError::Unsupported(why) => Refusal::FileSystem {
            path: layout.dir.clone(),
            detail: why.to_string(),
        }
        .into(),
        LockError::Io(error) => Error::io("lock", &path)(error),
        other => Error::io("lock", &path)(std::io::Error::other(other)),
    })
}

pub(crate) fn read_secret(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let path = layout.secret();
    let lost = |what: &str| {
        let detail = format!(
            "the journal's secret {what}; restore keys/journal.secret from a copy, since with another \
             one a repeated import would not know what it brought in before"
        );
        Error::from(Damage::new("journal.secret", &path, detail))
    };
    let bytes = match read_file(fs, &path, 64) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(lost("is missing"));
        }
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return Err(lost("is not what was written"));
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let secret = decode_secret(journal, &bytes).ok_or_else(|| lost("is not what was written"))?;
    let private = fs.metadata(&path).map_err(Error::io("examine", &path))?;
    if private.is_some_and(|metadata| !metadata.private) {
        let detail = "the journal's secret can be read by other users; set its mode to 0600";
        return Err(Damage::new("journal.secret_exposed", &path, detail).into());
    }
    Ok(Zeroizing::new(secret))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Parts of a writer that begin empty.
pub(crate) fn new_writer(
    options: &Options,
    mut shared: Shared,
    order: crate::commit::Order,
    baton: Baton,
    derived: crate::commit::DerivedFiles,
    secret: &[u8; 32],
) -> Arc<Writer> {
    // Only who may write knows that nobody else does.
    shared.resident.maps = options.maps;
    shared.followers = followers(options);
    Arc::new(Writer {
        shared: Arc::new(shared),
        clock: Arc::clone(&options.clock),
        random: Arc::clone(&options.random),
        salt_key: journal_key(secret, "factlog 1 salts"),
        order: Mutex::new(order),
        ended: Condvar::default(),
        baton: Mutex::new(baton),
        derived: crate::commit::Derived::new(derived),
        commits: AtomicU64::new(0),
        remembered_at: AtomicI64::new(options.clock.now_micros()),
        signal: Arc::new(Signal::default()),
        anchors: crate::commit::Anchors::new(options.anchors.clone(), options.anchor_every),
        publish: Mutex::new(()),
        pool: Pool::new(),
        changing_keys: Mutex::default(),
        compacting: Mutex::default(),
    })
}
