use std::{
    collections::HashMap,
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use factlog_format::{Digest, Encryption, JournalId, KeyDomain, SealedRow, SectionSecret};
use factlog_fs::{Access, StoreFs, read_file, replace_file};
use factlog_keys::{
    BUCKET_KEYS, BucketKey, BucketRow, DataKey, DomainTag, Head, KeyId, KeysetError, Lock,
    LogRecord, MintedKey, NamesKey, Recipient, Root, SectionKey, SectionPlace, Suite, seal_record,
};
use zeroize::Zeroizing;

use super::{
    Provider, Sealed, SealedSections,
    index::{Builder, Index},
    log::{Log, damage},
    seal::SealedPart,
};
use crate::{
    Damage, Error, Event, Misuse, NewEvent, Options, Random, Refusal,
    config::{Bug, planted},
    layout::{KEYSET, Layout},
    recover::Found,
    sync::{Mutex, MutexGuard},
};

/// The largest head that is read: that of some three million buckets.
const MAX_HEAD: usize = 256 << 20;
/// How many keys stay in memory, unwrapped.
const CACHED: usize = 1 << 16;
/// A key's entry in the log is at most this long.
const MAX_ENTRY: usize = 1024;

/// The keyset of an encrypted journal. Everything that is secret in it is wiped when it goes.
pub(crate) struct Keys {
    pub(super) fs: Arc<dyn StoreFs>,
    pub(super) layout: Layout,
    pub(super) journal: JournalId,
    pub(super) domain: KeyDomain,
    padding: u8,
    pub(super) random: Arc<dyn Random>,
    pub(super) state: Mutex<State>,
    /// Held while minted keys are written, so that the state isn't.
    pub(super) flush: Mutex<()>,
    /// How many of the keys minted here are durable.
    pub(super) flushed: AtomicU64,
    /// What to open it with again, where another process may write the files.
    follows: Option<Provider>,
    is_follower: bool,
    /// The next generation is at least this, as the journal knows of higher ones than the head does.
    least_generation: AtomicU64,
    /// After a replace of the head that may or may not have happened nothing is written any more.
    pub(super) broken: AtomicBool,
}

/// What the lock protects.
#[derive(Default)]
pub(super) struct State {
    pub(super) open: Option<Open>,
    /// Why it isn't open.
    why: Option<Arc<Error>>,
    by_tag: HashMap<DomainTag, Cached>,
    pub(super) by_id: HashMap<KeyId, Arc<DataKey>>,
    /// Keys that events want destroyed, with the sequences of those; whatever the files say.
    pub(super) retired: HashMap<KeyId, u64>,
    /// Events below this sequence have been looked at for that.
    pub(super) retired_through: u64,
    /// Whether the events from the journal's start on were.
    pub(super) retired_from_start: bool,
}

/// An unlocked keyset.
pub(super) struct Open {
    pub(super) head: Head,
    pub(super) root: Root,
    pub(super) names: NamesKey,
    pub(super) loaded: Option<Loaded>,
}

/// The log, once it was read.
pub(super) struct Loaded {
    pub(super) log: Log,
    pub(super) index: Index,
    /// Minted and not yet durable.
    pending: Vec<Pending>,
    pub(super) minted: u64,
}

#[derive(Clone)]
struct Cached {
    key: Arc<DataKey>,
    /// Which of the keys minted here it is, from 1; 0 for one that was there.
    minted: u64,
}

struct Pending {
    records: Vec<LogRecord>,
    key: Arc<DataKey>,
}

/// What is publicly known of a keyset.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeysetInfo {
    /// What one key encrypts.
    pub domain: KeyDomain,
    /// Counts changes of the keyset's head.
    pub generation: u64,
    /// Commits to its root key.
    pub root: Digest,
    /// Who can open it.
    pub recipients: Vec<RecipientInfo>,
}

/// Somebody who can open a keyset.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecipientInfo {
    /// Its public key, as text.
    pub key: String,
    /// What it is: `passphrase`, `key file`, `machine`, `recovery`.
    pub label: String,
    /// Whether it is kept for the case that all others are lost.
    pub recovery: bool,
    /// Whether the keyset holds its private half, under a passphrase or the machine.
    pub locked_here: bool,
}

/// A live key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyEntry {
    /// Its id, as the section tables of events have it.
    pub id: [u8; 16],
    /// The name of its domain: `bank/account-7`.
    pub domain: String,
}

/// The canonical name of a domain: its sort, and its parts with their lengths.
pub(super) fn domain_name(domain: KeyDomain, parts: &[&[u8]]) -> Vec<u8> {
    let mut name = vec![domain.code()];
    for part in parts {
        name.extend_from_slice(&(part.len() as u32).to_le_bytes());
        name.extend_from_slice(part);
    }
    name
}

/// As people read it.
fn shown(name: &[u8]) -> String {
    let mut rest = name.get(1..).unwrap_or_default();
    let mut parts = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len) as usize;
        let Some((part, after)) = after.split_at_checked(len) else {
            break;
        };
        parts.push(match str::from_utf8(part) {
            Ok(part) if name.first() != Some(&KeyDomain::Event.code()) => part.to_owned(),
            _ => part.try_into().map_or_else(
                |_| data_encoding::HEXLOWER.encode(part),
                |id| uuid::Uuid::from_bytes(id).to_string(),
            ),
        });
        rest = after;
    }
    parts.join("/")
}

/// For keys, and for the nonces that they are wrapped with.
pub(super) fn fresh<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill_key(&mut bytes);
    bytes
}

impl Keys {
    /// Makes the keyset of a new journal, if it is to be encrypted; durable when it returns.
    pub(crate) fn create(
        options: &Options,
        layout: &Layout,
        journal: &JournalId,
    ) -> Result<Option<(Arc<Self>, Encryption)>, Error> {
        let Some(domain) = options.keys.domain else {
            return Ok(None);
        };
        let Some(provider) = &options.keys.provider else {
            return Err(Misuse::NoProvider.into());
        };
        let (fs, random) = (options.fs.as_ref(), options.random.as_ref());
        let unlock = provider.unlock_or_make(fs, random)?;
        let path = layout.keyset();
        let recipients = super::recipients::recipients(
            journal,
            provider,
            &unlock,
            options.keys.recovery.as_ref(),
            random,
        )
        .map_err(|error| damage(error, &path))?;
        if recipients
            .iter()
            .all(|one| matches!(one.lock, Lock::Machine { .. }))
        {
            return Err(Misuse::OnlyMachine.into());
        }
        let root = Root::new(fresh(random));
        let names = NamesKey::new(fresh(random));
        let mut head = Head::new(
            *journal,
            domain.code(),
            &root,
            &names,
            &fresh(random),
            recipients,
        );
        let bytes = head
            .seal(&root, || fresh(random))
            .and_then(|()| head.encode(&root))
            .map_err(|error| damage(error, &path))?;
        replace_file(fs, &layout.keys(), KEYSET, &bytes, Access::Private)
            .map_err(Error::io("write", &path))?;
        let encryption = Encryption {
            domain,
            keyset: head.keyset_id,
        };
        let open = Open {
            head,
            root,
            names,
            loaded: None,
        };
        let keys = Self::new(options, layout, journal, domain, false);
        keys.state.lock().open = Some(open);
        keys.all_noted();
        Ok(Some((Arc::new(keys), encryption)))
    }

    /// The keyset of a journal, if it is encrypted; locked where it can't be opened.
    pub(crate) fn open(options: &Options, found: &Found, follows: bool) -> Option<Arc<Self>> {
        let encryption = found.created.encryption?;
        let journal = &found.identity.journal;
        let keys = Self::new(options, &found.layout, journal, encryption.domain, follows);
        let opened = keys.unlock(options, &encryption);
        {
            let mut state = keys.state.lock();
            match opened {
                Ok(open) => {
                    state.retired_through = open.head.applied;
                    state.open = Some(open);
                }
                Err(why) => state.why = Some(Arc::new(why)),
            }
        }
        Some(Arc::new(keys))
    }

    fn new(
        options: &Options,
        layout: &Layout,
        journal: &JournalId,
        domain: KeyDomain,
        follows: bool,
    ) -> Self {
        Self {
            fs: Arc::clone(&options.fs),
            layout: layout.clone(),
            journal: *journal,
            domain,
            padding: u8::from(!options.keys.without_padding),
            random: Arc::clone(&options.random),
            state: Mutex::new(State::default()),
            flush: Mutex::new(()),
            flushed: AtomicU64::new(0),
            follows: options.keys.provider.clone().filter(|_| follows),
            is_follower: follows,
            least_generation: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        }
    }

    fn unlock(&self, options: &Options, encryption: &Encryption) -> Result<Open, Error> {
        let path = self.layout.keyset();
        let (head, bytes) = read_head(self.fs.as_ref(), &self.layout, &self.journal)?;
        check_head(&head, encryption).map_err(|error| damage(error, &path))?;
        let Some(provider) = &options.keys.provider else {
            return Err(Refusal::KeysetLocked.into());
        };
        let unlock = provider.unlock(self.fs.as_ref())?;
        let opened = head.unlock(&bytes, &unlock);
        let (root, names) = opened.map_err(|error| damage(error, &path))?;
        Ok(Open {
            head,
            root,
            names,
            loaded: None,
        })
    }

    /// Why nothing can be sealed, if that is so.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let why = self.state.lock().why.clone()?;
        Some(Refusal::ReadOnly(why).into())
    }

    /// Why the keyset is not open.
    pub(super) fn why_locked(&self) -> Option<Arc<Error>> {
        self.state.lock().why.clone()
    }

    /// What is publicly known of it.
    pub(super) fn info(&self) -> Result<KeysetInfo, Error> {
        let (head, _) = read_head(self.fs.as_ref(), &self.layout, &self.journal)?;
        Ok(KeysetInfo {
            domain: self.domain,
            generation: head.generation,
            root: head.commitment,
            recipients: head.recipients.iter().map(info_of).collect(),
        })
    }

    /// Seals the sections of a batch; every key is durable when it returns, before anything that it
    /// sealed can be ordered.
    pub(crate) fn seal(
        &self,
        events: &[NewEvent<'_>],
        ids: &mut dyn Iterator<Item = [u8; 16]>,
        random: &dyn Random,
        out: &mut SealedSections,
    ) -> Result<(), Error> {
        out.clear();
        // A key is looked up once per domain and batch.
        let mut known: HashMap<(&str, &str), Cached> = HashMap::new();
        let mut newest = 0;
        for (event, id) in events.iter().zip(ids) {
            for (index, section) in event.sections.iter().enumerate() {
                let subject = section.subject.as_deref();
                if subject.is_some() != (self.domain == KeyDomain::Subject) {
                    return Err(Misuse::Subject(self.domain.name()).into());
                }
                let parts = match self.domain {
                    KeyDomain::Stream => (&*event.scope, &*event.entity),
                    KeyDomain::Scope => (&*event.scope, ""),
                    KeyDomain::Category => (factlog_format::category_of(&event.kind), ""),
                    KeyDomain::Kind => (&*event.kind, ""),
                    KeyDomain::Subject => (subject.unwrap_or_default(), ""),
                    _ => ("", ""),
                };
                let found = known
                    .get(&parts)
                    .filter(|_| self.domain != KeyDomain::Event);
                let cached = match found {
                    Some(cached) => cached.clone(),
                    None => {
                        let name = self.name_of(parts, &id);
                        let cached = self.key_of(&name)?;
                        newest = newest.max(cached.minted);
                        out.keys.push(cached.key.id());
                        known.insert(parts, cached.clone());
                        cached
                    }
                };
                let place = SectionPlace {
                    journal: &self.journal,
                    event: &id,
                    scope: &event.scope,
                    entity: &event.entity,
                    kind: &event.kind,
                    payload_version: event.payload_version,
                    index: index as u8, // at most 16
                    name: &section.name,
                    encoding: section.encoding.code(),
                    suite: Suite::fastest(),
                    padding: self.padding,
                };
                let start = out.bytes.len();
                // Hedged with the key and what is sealed, so that it need not come from the system.
                let mut chance = [0; 32];
                random.fill(&mut chance);
                let sealed = cached
                    .key
                    .seal(&place, &chance, &section.bytes, &mut out.bytes);
                let sealed = sealed.ok_or(Misuse::BatchSize)?;
                out.parts.push(SealedPart {
                    range: start..out.bytes.len(),
                    nonce: sealed.nonce,
                    row: SealedRow {
                        suite: place.suite.code(),
                        padding: self.padding,
                        key_id: cached.key.id(),
                        key_commitment: sealed.commitment,
                    },
                });
            }
        }
        if !planted(Bug::FenceSkipped) {
            self.fence(newest)?;
        }
        Ok(())
    }

    fn name_of(&self, parts: (&str, &str), event: &[u8; 16]) -> Vec<u8> {
        let (first, second) = (parts.0.as_bytes(), parts.1.as_bytes());
        match self.domain {
            KeyDomain::Stream => domain_name(self.domain, &[first, second]),
            KeyDomain::Event => domain_name(self.domain, &[event]),
            _ => domain_name(self.domain, &[first]),
        }
    }

    /// The live key of a domain, minted if there is none.
    fn key_of(&self, name: &[u8]) -> Result<Cached, Error> {
        let mut state = self.opened()?;
        let tag = state.open.as_ref().map(|open| open.names.tag(name));
        let tag = tag.ok_or(Refusal::KeysetLocked)?;
        if let Some(cached) = state.by_tag.get(&tag) {
            return Ok(cached.clone());
        }
        self.load(&mut state)?;
        let cached = match self.find_by_tag(&mut state, &tag)? {
            // It may be pending.
            Some(key) => Cached {
                key,
                minted: state.minted(),
            },
            None => self.mint(&mut state, tag, name)?,
        };
        state.keep(tag, &cached);
        Ok(cached)
    }

    /// The state of a keyset that is open.
    pub(super) fn opened(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock();
        match (&state.open, &state.why) {
            (Some(_), _) => Ok(state),
            (None, Some(why)) => Err(Refusal::ReadOnly(Arc::clone(why)).into()),
            (None, None) => Err(Refusal::KeysetLocked.into()),
        }
    }

    /// Reads the log, if that hasn't happened yet.
    pub(super) fn load(&self, state: &mut State) -> Result<(), Error> {
        let Some(open) = state.open.as_mut().filter(|open| open.loaded.is_none()) else {
            return Ok(());
        };
        let mark = open.head.mark;
        let mut head = open.head.clone();
        let mut builder = Builder::new(&mut head);
        let log = Log::read(
            self.fs.as_ref(),
            &self.layout,
            &self.journal,
            mark,
            &mut |place, record| builder.take(place, record),
        )?;
        let index = builder.finish();
        open.head = head;
        open.loaded = Some(Loaded {
            log,
            index,
            pending: Vec::new(),
            minted: self.flushed.load(Relaxed),
        });
        Ok(())
    }

    fn find_by_tag(
        &self,
        state: &mut State,
        tag: &DomainTag,
    ) -> Result<Option<Arc<DataKey>>, Error> {
        let Some(open) = &state.open else {
            return Ok(None);
        };
        let Some(loaded) = &open.loaded else {
            return Ok(None);
        };
        // One that is retired is still pending where its shred came before its flush.
        let mut pending = loaded.pending.iter().rev();
        let pending = pending
            .find(|pending| pending.is_of(tag) && !state.retired.contains_key(&pending.key.id()));
        if let Some(pending) = pending {
            return Ok(Some(Arc::clone(&pending.key)));
        }
        for number in loaded.index.by_tag(tag).into_iter().rev() {
            let Some(minted) = open.entry(number)? else {
                continue;
            };
            if minted.tag == *tag && !state.retired.contains_key(&minted.id) {
                let (key, _) = self.unwrap(open, &minted)?;
                return Ok(Some(Arc::new(key)));
            }
        }
        Ok(None)
    }

    /// The key of an id; `None` if it isn't in the keyset.
    pub(super) fn find_by_id(
        &self,
        state: &mut State,
        id: &KeyId,
    ) -> Result<Option<Arc<DataKey>>, Error> {
        if let Some(key) = state.by_id.get(id) {
            return Ok(Some(Arc::clone(key)));
        }
        self.load(state)?;
        let Some(open) = &state.open else {
            return Ok(None);
        };
        let Some(loaded) = &open.loaded else {
            return Ok(None);
        };
        if let Some(pending) = loaded
            .pending
            .iter()
            .find(|pending| pending.key.id() == *id)
        {
            return Ok(Some(Arc::clone(&pending.key)));
        }
        for number in loaded.index.by_id(id) {
            let Some(minted) = open.entry(number)?.filter(|minted| minted.id == *id) else {
                continue;
            };
            let (key, _) = self.unwrap(open, &minted)?;
            let key = Arc::new(key);
            state.make_room();
            state.by_id.insert(*id, Arc::clone(&key));
            return Ok(Some(key));
        }
        Ok(None)
    }

    fn unwrap(
        &self,
        open: &Open,
        minted: &MintedKey,
    ) -> Result<(DataKey, Zeroizing<Vec<u8>>), Error> {
        let bucket = minted.number / BUCKET_KEYS;
        let key = open.bucket_key(&self.journal, bucket).and_then(|key| {
            key.unwrap(
                &self.journal,
                &minted.tag,
                &minted.id,
                bucket,
                &minted.wrapped,
            )
        });
        key.ok_or_else(|| damage(KeysetError::Forged, &self.layout.keys()))
    }

    fn mint(&self, state: &mut State, tag: DomainTag, name: &[u8]) -> Result<Cached, Error> {
        if self.broken.load(Relaxed) || self.is_follower {
            return Err(Refusal::KeysetFailed.into());
        }
        let Some(open) = &mut state.open else {
            return Err(Refusal::KeysetLocked.into());
        };
        let Open {
            head,
            root,
            loaded: Some(loaded),
            ..
        } = open
        else {
            return Err(Refusal::KeysetLocked.into());
        };
        let random = self.random.as_ref();
        let number = loaded.index.next();
        let bucket = number / BUCKET_KEYS;
        let mut records = Vec::with_capacity(1);
        if bucket as usize == head.buckets.len() {
            let key = BucketKey::new(fresh(random), head.root_number);
            let nonce = fresh(random);
            let wrapped = root.wrap_bucket(&self.journal, bucket, head.root_number, &key, &nonce);
            records.push(LogRecord::Bucket {
                bucket,
                root_number: head.root_number,
                key: wrapped,
            });
            head.buckets.push(BucketRow {
                image: factlog_keys::Mark::default(),
                epoch: head.root_number,
                key: wrapped,
            });
        }
        let key = Arc::new(DataKey::new(fresh(random)));
        let bucket_key = open
            .bucket_key(&self.journal, bucket)
            .ok_or_else(|| damage(KeysetError::Forged, &self.layout.keyset()))?;
        let nonce = fresh(random);
        records.push(LogRecord::Key(MintedKey {
            number,
            tag,
            id: key.id(),
            wrapped: bucket_key.wrap(&self.journal, &tag, bucket, &nonce, &key, name),
        }));
        let Some(loaded) = &mut open.loaded else {
            return Err(Refusal::KeysetLocked.into());
        };
        loaded.index.add(tag, key.id());
        loaded.minted += 1;
        let minted = loaded.minted;
        loaded.pending.push(Pending {
            records,
            key: Arc::clone(&key),
        });
        Ok(Cached { key, minted })
    }

    /// Makes the keys durable that were minted up to this one. What failed before is written anew, whoever
    /// minted it.
    fn fence(&self, minted: u64) -> Result<(), Error> {
        if minted <= self.flushed.load(Relaxed) {
            return Ok(());
        }
        let _flush = self.flush.lock();
        if minted <= self.flushed.load(Relaxed) {
            return Ok(());
        }
        let mut state = self.opened()?;
        let Some(loaded) = state.open.as_mut().and_then(|open| open.loaded.as_mut()) else {
            return Ok(());
        };
        let flushed = loaded.flush(self.fs.as_ref(), &self.layout, &self.journal);
        if planted(Bug::DirtyMarkLost) {
            self.flushed.store(loaded.minted, Relaxed);
        }
        flushed?;
        self.flushed.store(loaded.minted, Relaxed);
        Ok(())
    }

    /// From now on these keys give nothing, whatever the files hold.
    pub(crate) fn note_retired(&self, ids: &[KeyId], intent: u64) {
        let mut state = self.state.lock();
        for id in ids {
            state.retired.entry(*id).or_insert(intent);
            state.by_id.remove(id);
        }
        let retired = std::mem::take(&mut state.retired);
        state
            .by_tag
            .retain(|_, cached| !retired.contains_key(&cached.key.id()));
        state.retired = retired;
    }

    /// Below which sequence what events want destroyed is.
    pub(super) fn applied(&self) -> Result<u64, Error> {
        let state = self.opened()?;
        Ok(state.open.as_ref().map_or(0, |open| open.head.applied))
    }

    pub(super) fn least_generation(&self) -> u64 {
        self.least_generation.load(Relaxed)
    }

    pub(super) fn set_least_generation(&self, generation: u64) {
        self.least_generation.fetch_max(generation, Relaxed);
    }

    /// Refuses a keyset that calls keys destroyed which no event does.
    pub(super) fn check_tombstones(&self) -> Result<(), Error> {
        let state = self.opened()?;
        let loaded = state.open.as_ref().and_then(|open| open.loaded.as_ref());
        let mut tombstones = loaded
            .into_iter()
            .flat_map(|loaded| loaded.index.tombstones());
        match tombstones.all(|tombstone| state.retired.contains_key(&tombstone.id)) {
            true => Ok(()),
            false => Err(Sealed::ForgedTombstone.into()),
        }
    }

    /// Says that whoever wants a key destroyed from now on tells it here.
    pub(super) fn all_noted(&self) {
        self.state.lock().retired_through = u64::MAX;
    }

    /// The key of one section of an event.
    pub(super) fn section_key(
        &self,
        event: &Event,
        name: &str,
    ) -> Result<Option<SectionKey>, Error> {
        let Some(frame) = event.frame() else {
            return Ok(None);
        };
        let mut sections = frame.sections().enumerate();
        let found = sections.find(|(_, (row, _))| row.name == name);
        let Some((index, (row, Some((SectionSecret::Nonce(nonce), _))))) = found else {
            return Ok(None);
        };
        let Some(sealed) = row.sealed else {
            return Ok(None);
        };
        let key = self.find_by_id(&mut *self.opened()?, &sealed.key_id)?;
        Ok(key.map(|key| key.section_key(&frame.facts.event_id, index as u8, &nonce)))
    }

    /// The ids of the live keys of some domains.
    pub(super) fn ids_of(&self, names: &[Vec<u8>]) -> Result<Vec<(DomainTag, Vec<KeyId>)>, Error> {
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let Some(open) = &state.open else {
            return Ok(Vec::new());
        };
        let Some(loaded) = &open.loaded else {
            return Ok(Vec::new());
        };
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let tag = open.names.tag(name);
            let mut ids = Vec::new();
            for number in loaded.index.by_tag(&tag) {
                match open.entry(number)? {
                    Some(entry) if entry.tag == tag => ids.push(entry.id),
                    _ => {}
                }
            }
            let pending = loaded.pending.iter();
            let pending = pending.filter(|pending| pending.is_of(&tag));
            ids.extend(pending.map(|pending| pending.key.id()));
            ids.retain(|id| !state.retired.contains_key(id));
            found.push((tag, ids));
        }
        Ok(found)
    }

    /// Every live key, with the name of its domain.
    pub(super) fn list(&self) -> Result<Vec<KeyEntry>, Error> {
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let Some(open) = &state.open else {
            return Ok(Vec::new());
        };
        let Some(loaded) = &open.loaded else {
            return Ok(Vec::new());
        };
        let mut keys = Vec::new();
        for number in loaded.index.live() {
            let Some(entry) = open.entry(number)? else {
                continue;
            };
            let (_, name) = self.unwrap(open, &entry)?;
            keys.push(KeyEntry {
                id: entry.id,
                domain: shown(&name),
            });
        }
        Ok(keys)
    }

    /// In a process that doesn't write the keyset: takes in what has changed of it. Gives whether anything
    /// has.
    pub(super) fn refresh(&self, state: &mut State) -> bool {
        let (fs, layout) = (self.fs.as_ref(), &self.layout);
        let (Some(provider), Some(open)) = (&self.follows, &mut state.open) else {
            return false;
        };
        let Ok((head, bytes)) = read_head(fs, layout, &self.journal) else {
            return false;
        };
        if head.generation != open.head.generation {
            let unlock = provider.unlock(fs);
            let opened = unlock
                .ok()
                .and_then(|unlock| head.unlock(&bytes, &unlock).ok());
            let Some((root, names)) = opened.filter(|_| head.keyset_id == open.head.keyset_id)
            else {
                return false;
            };
            *open = Open {
                head,
                root,
                names,
                loaded: None,
            };
            return true;
        }
        let grown = open
            .loaded
            .as_ref()
            .is_some_and(|loaded| loaded.log.has_grown(fs, layout));
        if grown {
            // What the log says of buckets is found again with it.
            open.head = head;
            open.loaded = None;
        }
        grown
    }
}

fn info_of(recipient: &Recipient) -> RecipientInfo {
    RecipientInfo {
        key: recipient.public.to_text(),
        label: recipient.label.clone(),
        recovery: recipient.recovery,
        locked_here: recipient.lock != Lock::Elsewhere,
    }
}

fn check_head(head: &Head, encryption: &Encryption) -> Result<(), KeysetError> {
    if head.domain != encryption.domain.code() {
        return Err(KeysetError::OtherDomain);
    }
    if head.keyset_id != encryption.keyset {
        return Err(KeysetError::Forged);
    }
    Ok(())
}

pub(super) fn read_head(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
) -> Result<(Head, Vec<u8>), Error> {
    let path = layout.keyset();
    let bytes = match read_file(fs, &path, MAX_HEAD) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let detail = "the journal is encrypted, and its keyset is not there";
            return Err(Damage::new("keyset.missing", &path, detail).into());
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let head = Head::decode(&bytes, journal).map_err(|error| damage(error, &path))?;
    Ok((head, bytes))
}

impl State {
    /// How many keys were minted here.
    fn minted(&self) -> u64 {
        let loaded = self.open.as_ref().and_then(|open| open.loaded.as_ref());
        loaded.map_or(0, |loaded| loaded.minted)
    }

    fn keep(&mut self, tag: DomainTag, cached: &Cached) {
        self.make_room();
        self.by_id.insert(cached.key.id(), Arc::clone(&cached.key));
        self.by_tag.insert(tag, cached.clone());
    }

    /// Forgets all when there are too many; they are in the files, or pending.
    fn make_room(&mut self) {
        if self.by_id.len() >= CACHED || self.by_tag.len() >= CACHED {
            self.by_id.clear();
            self.by_tag.clear();
        }
    }
}

impl Open {
    pub(super) fn bucket_key(&self, journal: &JournalId, bucket: u32) -> Option<BucketKey> {
        let row = self.head.buckets.get(bucket as usize)?;
        let number = self.head.root_number;
        self.root
            .unwrap_bucket(journal, bucket, number, row.epoch, &row.key)
    }

    /// What the log says of a key; `None` if it is destroyed or pending.
    pub(super) fn entry(&self, number: u32) -> Result<Option<MintedKey>, Error> {
        let Some(loaded) = &self.loaded else {
            return Ok(None);
        };
        let Some(place) = loaded.index.place(number) else {
            return Ok(None);
        };
        let mut buffer = [0; MAX_ENTRY];
        let got = loaded.log.read_at(place, &mut buffer)?;
        let entry = MintedKey::read(buffer.get(..got).unwrap_or_default());
        // A key that is there and can't be read is not one that isn't there: a shred of others would drop it.
        match entry.filter(|entry| entry.number == number) {
            Some(entry) => Ok(Some(entry)),
            None => Err(damage(KeysetError::Damaged, &loaded.log.path_of(place))),
        }
    }
}

impl Loaded {
    /// Writes what is pending; durable when it returns.
    pub(super) fn flush(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
    ) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let start = self.log.place();
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(self.pending.len());
        for pending in &self.pending {
            for record in &pending.records {
                let at = seal_record(journal, record, start.at, &mut bytes) as u64;
                if let Some((key, inside)) = record.key_places().next() {
                    places.push((key.number, start.at + at + inside as u64));
                }
            }
        }
        self.log.append(fs, layout, journal, &bytes)?;
        for (number, at) in places {
            self.index
                .set_place(number, factlog_keys::Mark { at, ..start });
        }
        self.pending.clear();
        Ok(())
    }
}

impl Pending {
    fn is_of(&self, tag: &DomainTag) -> bool {
        let is_of = |record: &LogRecord| matches!(record, LogRecord::Key(key) if key.tag == *tag);
        self.records.iter().any(is_of)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}
