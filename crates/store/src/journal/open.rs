//! Creating and opening a journal.

use std::{path::Path, sync::Arc};

use factlog_format::{JournalId, JournalRecovered};
use factlog_fs::{FileLock, MemFs, StoreFs};

use super::{
    Journal,
    keys::{create_signer, floors, open_retiring, open_signer, require_key},
    parts::{absolute, followers, import_key, read_secret, shared, take_lock},
};
use crate::{
    Ended, Error, KnownJournal, Misuse, Options, Reader, Refusal, RegistryCheck, WriterFailure,
    commit::{Writer, housekeeper::Housekeeper},
    compact::erasing_from,
    config::{Bug, planted},
    event::own,
    follow::EndsFollowers,
    keys::{Keys, finish},
    layout::Layout,
    open::{
        check_chain, read_view,
        writable::{self, Opened, Signers},
    },
    read::Shared,
    recover::{self, Floors, Follower, Found, find},
    typed::{problems, verify_registry},
};

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
        let mut why = speaks_against_writing(fs.as_ref(), &found, no_signer).or(no_secret);
        let mut verified = None;
        if why.is_none() && !found.unfinished {
            match check_chain(&options, &found, signer.as_deref()) {
                Ok(good) => verified = good,
                Err(error @ Error::Damaged(_)) => why = Some(error),
                Err(error) => return Err(error),
            }
        }
        let (Some(secret), None) = (&secret, &why) else {
            let secret = secret.as_deref();
            return Self::for_reading(&options, found, &floors, secret, why, lock);
        };
        let mut refused = None;
        let signers = Signers {
            live: signer.clone(),
            retiring: open_retiring(&options, &found, &floors),
        };
        let opened = writable::open(&options, &found, signers, &floors, secret, &mut refused);
        let Opened { writer, recovered } = match opened {
            Err(Error::Damaged(rot)) if recover::is_header_rot(&rot) => {
                let (secret, why) = (Some(&**secret), Some(rot.into()));
                return Self::for_reading(&options, found, &floors, secret, why, lock);
            }
            opened => opened?,
        };
        learn(&writer.shared, erasing_from(&found.manifest))?;
        let mut journal = Self::assemble(&options, Arc::clone(&writer.shared), lock);
        journal.import_key = Some(import_key(secret));
        let (report, event) = recovered.unzip();
        journal.recovery = report;
        let settled = match refused {
            None => journal.settle(&writer, &found, event),
            Some(why) => Err(Arc::new(why)),
        };
        journal.writer = Some(writer);
        journal.refused = settled.err();
        if let (Some(signer), Some((size, root)), None) = (&signer, verified, &journal.refused)
            && journal.reader.root_at(size).is_ok_and(|own| own == root)
        {
            // Without it the next open reads more.
            let _ = signer.set_verified(size, root);
        }
        journal.start(&options)
    }

    /// Opens for reading what may not be written, and keeps the right to write: derived files aren't
    /// written either.
    fn for_reading(
        options: &Options,
        found: Found,
        floors: &Floors,
        secret: Option<&[u8; 32]>,
        why: Option<Error>,
        lock: Box<dyn FileLock>,
    ) -> Result<Self, Error> {
        let fs = &options.fs;
        let (view, _) = read_view(fs, &found, floors, &|| true)?;
        let secrets = Keys::open(options, &found, true);
        let erasing = erasing_from(&found.manifest);
        let mut shared = shared(fs, found, view, None, secrets);
        shared.followers = followers(options);
        learn(&shared, erasing)?;
        let mut journal = Self::assemble(options, Arc::new(shared), lock);
        journal.import_key = secret.map(import_key);
        journal.refused = why.map(Arc::new);
        journal.start(options)
    }

    /// Does what is to be done before anything else is appended; an error is why nothing will be.
    fn settle(
        &mut self,
        writer: &Writer,
        found: &Found,
        recovered: Option<JournalRecovered>,
    ) -> Result<(), Arc<Error>> {
        writer.sign_elsewhere(&self.reader).map_err(Arc::new)?;
        if found.unfinished {
            writer.end_creation().map_err(cause)?;
            recover::finish(writer.shared.fs.as_ref(), found).map_err(cause)?;
        }
        if let Some(event) = recovered {
            let event = own::recovered(event);
            writer.append(&[event], &[], true).map_err(cause)?;
        }
        let Some(secrets) = &writer.shared.secrets else {
            return Ok(());
        };
        // Before any key is used: what events want destroyed is, whatever a crash or a copy left.
        let finished = match secrets.refusal() {
            None => finish(secrets, writer),
            Some(why) => Err(why),
        };
        self.keyset_rolled_back = finished.map_err(cause)?;
        Ok(())
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
fn speaks_against_writing(
    fs: &dyn StoreFs,
    found: &Found,
    no_signer: Option<Error>,
) -> Option<Error> {
    let damage = found.damage.first().cloned().map(Error::from);
    damage
        .or_else(|| crate::open::check_writable(fs, found).err())
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
