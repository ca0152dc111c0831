use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use factlog_format::{Encryption, JournalId, KeyDomain, SectionSecret};
use factlog_fs::{Access, StoreFs, replace_file};
use factlog_keys::{
    BUCKET_KEYS, BucketKey, DataKey, DomainTag, Head, KeyId, KeysetError, MintedKey, NamesKey,
    Root, SectionKey,
};
use zeroize::Zeroizing;

use super::{
    OnErased, Provider, Sealed,
    head::{check_head, read_head},
    index::{Builder, Index},
    log::{Log, damage},
    mint::Pending,
    open::Held,
    recipients::{recipients, refuse_machine_alone},
};
use crate::{
    Error, Event, Misuse, Options, Random, Refusal,
    config::{Bug, planted},
    layout::{KEYSET, Layout},
    recover::Found,
    sync::{Mutex, MutexGuard},
};

/// How many keys stay in memory, unwrapped.
const CACHED: usize = 1 << 16;
/// How many buckets a key is tried in that doesn't open in its own.
const TRIED: usize = 4096;
/// A key's entry in the log is at most this long.
const MAX_ENTRY: usize = 1024;

/// The keyset of an encrypted journal. Everything that is secret in it is wiped when it goes.
pub(crate) struct Keys {
    pub(super) fs: Arc<dyn StoreFs>,
    pub(super) layout: Layout,
    pub(super) journal: JournalId,
    pub(super) domain: KeyDomain,
    pub(super) padding: u8,
    pub(super) random: Arc<dyn Random>,
    pub(super) state: Mutex<State>,
    /// Keys in memory by id.
    pub(super) held: Held,
    /// Events below this sequence have been looked at for keys that they want destroyed, from the journal's start
    /// on: what a keyset says of itself is not believed, as a part of it may be put back from a copy.
    pub(super) retired_through: AtomicU64,
    /// Counts uses of keys in memory.
    pub(super) uses: AtomicU32,
    /// Held while minted keys are written, so that the state isn't.
    pub(super) flush: Mutex<()>,
    /// How many of the keys minted here are durable.
    pub(super) flushed: AtomicU64,
    /// What to open it with again, where another process may write the files.
    pub(super) follows: Option<Provider>,
    pub(super) is_follower: bool,
    /// Who keeps what is derived from payloads.
    pub(super) derived: Vec<Arc<dyn OnErased>>,
    /// The next generation is at least this, as the journal knows of higher ones than the head does.
    least_generation: AtomicU64,
    /// How many keys there are at least, as events tell.
    pub(super) noted_keys: AtomicU32,
    /// Whether an older copy of the keyset is taken as it is.
    pub(super) accepts_older: bool,
    /// After a replace of the head that may or may not have happened nothing is written any more.
    pub(super) broken: AtomicBool,
}

/// What the lock protects.
#[derive(Default)]
pub(super) struct State {
    pub(super) open: Option<Open>,
    /// Why it isn't open.
    why: Option<Arc<Error>>,
    pub(super) by_tag: HashMap<DomainTag, Cached>,
    /// Keys that events want destroyed, with the sequences of those; whatever the files say.
    pub(super) retired: HashMap<KeyId, u64>,
    /// Those of them that a durable event names: of the others it isn't known whether they will ever be.
    pub(super) demanded: HashSet<KeyId>,
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
    pub(super) pending: Vec<Pending>,
    pub(super) minted: u64,
    /// The log ended in a tear, and nobody has looked yet whether it took keys that are in use.
    pub(super) suspect: bool,
}

#[derive(Clone)]
pub(super) struct Cached {
    pub(super) key: Arc<DataKey>,
    /// Which of the keys minted here it is, from 1; 0 for one that was there.
    pub(super) minted: u64,
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
        let recipients = recipients(
            journal,
            provider,
            &unlock,
            options.keys.recovery.as_ref(),
            random,
        )
        .map_err(|error| damage(error, &path))?;
        refuse_machine_alone(&recipients)?;
        let root = Root::new(fresh(random));
        let names = NamesKey::new(fresh(random));
        let mut head = Head::new(
            *journal,
            domain.code(),
            &root,
            &names,
            &fresh(random),
            recipients,
        )
        .map_err(|error| damage(error, &path))?;
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
        Ok(Some((Arc::new(keys), encryption)))
    }

    /// The keyset of a journal, if it is encrypted; locked where it can't be opened.
    pub(crate) fn open(options: &Options, found: &Found, follows: bool) -> Option<Arc<Self>> {
        let encryption = found.created.encryption?;
        let journal = &found.identity.journal;
        let keys = Self::new(options, &found.layout, journal, encryption.domain, follows);
        let opened = keys.unlock(options, &encryption);
        // Whoever put the head there may have been killed before its name was durable.
        let opened = match follows || planted(Bug::HeadBelieved) {
            true => opened,
            false => opened.and_then(|open| {
                let dir = keys.layout.keys();
                let synced = keys.fs.sync_dir(&dir).map_err(Error::io("sync", &dir));
                synced.map(|()| open)
            }),
        };
        {
            let mut state = keys.state.lock();
            match opened {
                Ok(open) => state.open = Some(open),
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
            held: Held::default(),
            retired_through: AtomicU64::new(0),
            uses: AtomicU32::new(0),
            flush: Mutex::new(()),
            flushed: AtomicU64::new(0),
            follows: options.keys.provider.clone().filter(|_| follows),
            is_follower: follows,
            derived: options.keys.derived.clone(),
            least_generation: AtomicU64::new(0),
            noted_keys: AtomicU32::new(0),
            accepts_older: options.keys.accept_older,
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

    /// The state of a keyset that is open.
    pub(super) fn opened(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock();
        match (&state.open, &state.why) {
            (Some(_), _) => Ok(state),
            (None, Some(why)) => Err(Refusal::ReadOnly(Arc::clone(why)).into()),
            (None, None) => Err(Refusal::KeysetLocked.into()),
        }
    }

    /// Reads the log, if that hasn't happened yet. In the process that writes the keyset all of it is durable
    /// then: what a process left that was killed may be in the system's memory alone.
    pub(super) fn load(&self, state: &mut State) -> Result<(), Error> {
        let Some(open) = state.open.as_mut().filter(|open| open.loaded.is_none()) else {
            return Ok(());
        };
        let mark = open.head.mark;
        let mut head = open.head.clone();
        let mut builder = Builder::new(&mut head);
        let mut log = Log::read(
            self.fs.as_ref(),
            &self.layout,
            &self.journal,
            mark,
            &mut |place, record| builder.take(place, record),
        )?;
        let index = builder.finish();
        let index = index.map_err(|error| damage(error, &self.layout.keys()))?;
        if !self.is_follower && !planted(Bug::TailBelieved) {
            log.write_again(self.fs.as_ref(), &self.layout, mark)?;
        }
        open.head = head;
        open.loaded = Some(Loaded {
            suspect: log.is_torn(),
            log,
            index,
            pending: Vec::new(),
            minted: self.flushed.load(Relaxed),
        });
        let checked = self.check_ids(open);
        if checked.is_err() {
            open.loaded = None;
        }
        checked
    }

    /// Refuses a log in which two keys have one id.
    fn check_ids(&self, open: &Open) -> Result<(), Error> {
        let twins = open.loaded.as_ref().map(|loaded| loaded.index.id_twins());
        for (left, right) in twins.unwrap_or_default() {
            let (left, right) = (open.entry(left)?, open.entry(right)?);
            if let (Some(left), Some(right)) = (left, right)
                && left.id == right.id
            {
                let twice = KeysetError::Invalid("two keys have one id");
                return Err(damage(twice, &self.layout.keys()));
            }
        }
        Ok(())
    }

    /// The key of a domain that is in use; `None` if there is none. Where a shred failed that was begun, there may
    /// be two, and the newest counts: both go with the next shred.
    pub(super) fn find_by_tag(
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
        if let Some(key) = self.held.get(id) {
            return Ok(Some(key));
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
            self.make_room(state);
            self.held.insert(&key);
            return Ok(Some(key));
        }
        Ok(None)
    }

    pub(super) fn unwrap(
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
        key.ok_or_else(|| damage(open.why_forged(&self.journal, minted), &self.layout.keys()))
    }

    /// From now on these keys give nothing, whatever the files hold.
    pub(crate) fn note_retired(&self, ids: &[KeyId], intent: u64) {
        let mut state = self.state.lock();
        for id in ids {
            state.retired.entry(*id).or_insert(intent);
            self.held.remove(id);
        }
        let retired = std::mem::take(&mut state.retired);
        state
            .by_tag
            .retain(|_, cached| !retired.contains_key(&cached.key.id()));
        state.retired = retired;
    }

    /// As [`note_retired`](Self::note_retired), where the event is durable.
    pub(super) fn note_demanded(&self, ids: &[KeyId], intent: u64) {
        self.note_retired(ids, intent);
        self.state.lock().demanded.extend(ids);
    }

    /// Keys that are in the log and that events want destroyed: they came back with a part of the keyset that
    /// was put back, or could not be read when their turn came.
    pub(super) fn left_over(&self, state: &State) -> Result<Vec<KeyId>, Error> {
        let mut found = Vec::new();
        if let Some(open) = &state.open {
            for id in &state.demanded {
                if open.number_of(id)?.is_some() {
                    found.push(*id);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Below which sequence what events want destroyed is, and the generation of the head.
    pub(super) fn applied(&self) -> Result<(u64, u64), Error> {
        let state = self.opened()?;
        let head = state.open.as_ref().map(|open| &open.head);
        Ok(head.map_or((0, 0), |head| (head.applied, head.generation)))
    }

    pub(super) fn least_generation(&self) -> u64 {
        self.least_generation.load(Relaxed)
    }

    pub(super) fn set_least_generation(&self, generation: u64) {
        self.least_generation.fetch_max(generation, Relaxed);
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
        let mut state = self.opened()?;
        // It may have been shredded since the event was read.
        if let Some(why) = state.gone(&sealed.key_id) {
            return Err(why.into());
        }
        let key = self.find_by_id(&mut state, &sealed.key_id)?;
        Ok(key.map(|key| key.section_key(&frame.facts.event_id, index as u8, &nonce)))
    }
}

impl Keys {
    pub(super) fn keep(&self, state: &mut State, tag: DomainTag, cached: &Cached) {
        self.make_room(state);
        self.held.insert(&cached.key);
        state.by_tag.insert(tag, cached.clone());
    }

    /// Forgets all when there are too many; they are in the files, or pending.
    fn make_room(&self, state: &mut State) {
        if self.held.len() >= CACHED || state.by_tag.len() >= CACHED {
            self.forget(state);
        }
    }

    pub(super) fn forget(&self, state: &mut State) {
        self.held.clear();
        state.by_tag.clear();
    }
}

impl State {
    /// What is to be said of a key that an event wants destroyed. Whoever skips what is shredded never comes back
    /// to it, so that the event must be durable.
    pub(super) fn gone(&self, id: &KeyId) -> Option<Sealed> {
        let intent = *self.retired.get(id)?;
        Some(
            match self.demanded.contains(id) || planted(Bug::IntentBelieved) {
                true => Sealed::Shredded { intent },
                false => Sealed::ShredPending,
            },
        )
    }

    /// How many keys were minted here.
    pub(super) fn minted(&self) -> u64 {
        let loaded = self.open.as_ref().and_then(|open| open.loaded.as_ref());
        loaded.map_or(0, |loaded| loaded.minted)
    }
}

impl Open {
    pub(super) fn bucket_key(&self, journal: &JournalId, bucket: u32) -> Option<BucketKey> {
        let row = self.head.buckets.get(bucket as usize)?;
        let number = self.head.root_number;
        self.root
            .unwrap_bucket(journal, bucket, number, row.epoch, &row.key)
    }

    /// What is wrong where a key doesn't open in its place: whether it is one of another bucket.
    fn why_forged(&self, journal: &JournalId, minted: &MintedKey) -> KeysetError {
        let buckets = 0..self.head.buckets.len().min(TRIED) as u32;
        let mut opens = buckets.filter_map(|bucket| {
            let key = self.bucket_key(journal, bucket)?;
            key.unwrap(journal, &minted.tag, &minted.id, bucket, &minted.wrapped)
        });
        match opens.next() {
            Some(_) => KeysetError::BucketsSwapped,
            None => self.head.why_not(&self.root).unwrap_or(KeysetError::Forged),
        }
    }

    /// Whether the keyset itself calls a key destroyed.
    pub(super) fn is_buried(&self, id: &KeyId) -> bool {
        let loaded = self.loaded.as_ref();
        loaded.is_some_and(|loaded| loaded.index.tombstone(id).is_some())
    }

    /// The bucket that the next key comes into, if there are keys in it.
    pub(super) fn unfilled(&self) -> Option<u32> {
        let next = self.loaded.as_ref()?.index.next();
        (!next.is_multiple_of(BUCKET_KEYS)).then_some(next / BUCKET_KEYS)
    }

    /// The number of the live key of an id that is in the log.
    pub(super) fn number_of(&self, id: &KeyId) -> Result<Option<u32>, Error> {
        let loaded = self.loaded.iter();
        for number in loaded.flat_map(|loaded| loaded.index.by_id(id)) {
            if self.entry(number)?.is_some_and(|entry| entry.id == *id) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// What the log says of a key; `None` if it is destroyed or pending.
    pub(super) fn entry(&self, number: u32) -> Result<Option<MintedKey>, Error> {
        let loaded = self.loaded.as_ref();
        loaded.map_or(Ok(None), |loaded| loaded.entry(number))
    }
}

impl Loaded {
    /// As [`Open::entry`].
    pub(super) fn entry(&self, number: u32) -> Result<Option<MintedKey>, Error> {
        let Some(place) = self.index.place(number) else {
            return Ok(None);
        };
        let mut buffer = [0; MAX_ENTRY];
        let got = self.log.read_at(place, &mut buffer)?;
        let entry = MintedKey::read(buffer.get(..got).unwrap_or_default());
        // A key that is there and can't be read is not one that isn't there: a shred of others would drop it.
        match entry.filter(|entry| entry.number == number) {
            Some(entry) => Ok(Some(entry)),
            None => Err(damage(KeysetError::Damaged, &self.log.path_of(place))),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}
