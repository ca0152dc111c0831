//! Sealing, and the keys that are made for it.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use factlog_format::{KeyDomain, SealedRow};
use factlog_fs::StoreFs;
use factlog_keys::{
    BUCKET_KEYS, BucketKey, BucketRow, DataKey, DomainTag, KeyId, KeysetError, LogRecord,
    MAX_BUCKETS, Mark, MintedKey, SectionPlace, Suite, seal_record,
};

use super::{
    Keys, SealedSections,
    domain::Domain,
    keyset::{Cached, Loaded, Open, State, fresh},
    log::damage,
    seal::SealedPart,
};
use crate::{
    Damage, Error, Event, Misuse, NewEvent, Query, Random, Refusal,
    config::{Bug, planted},
    layout::Layout,
    read::{Events, Shared},
};

/// How many events are looked at before a key is made, in a keyset whose log ends in a tear.
const LOOKED_AT: u64 = 1 << 16;

/// A key that isn't in the log yet.
pub(super) struct Pending {
    records: Vec<LogRecord>,
    pub(super) key: Arc<DataKey>,
}

impl Keys {
    /// Seals the sections of a batch; every key is durable when it returns, before anything that it
    /// sealed can be ordered.
    pub(crate) fn seal(
        &self,
        shared: &Arc<Shared>,
        events: &[NewEvent<'_>],
        ids: &mut dyn Iterator<Item = [u8; 16]>,
        random: &dyn Random,
        out: &mut SealedSections,
    ) -> Result<(), Error> {
        out.clear();
        self.note_intents(shared, &shared.view.load_full())?;
        // A key is looked up once per domain and batch.
        let mut known: HashMap<Domain<'_>, Cached> = HashMap::new();
        let mut newest = 0;
        for (event, id) in events.iter().zip(ids) {
            for (index, section) in event.sections.iter().enumerate() {
                let domain = self.domain_of(event, section.subject.as_deref(), id)?;
                let cached = match known.get(&domain) {
                    Some(cached) => cached.clone(),
                    None => {
                        let cached = self.key_of(shared, domain)?;
                        newest = newest.max(cached.minted);
                        out.keys.push(cached.key.id());
                        known.insert(domain, cached.clone());
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

    /// Whether each section has to name its subject, and otherwise none may.
    pub(crate) fn is_by_subject(&self) -> bool {
        self.domain == KeyDomain::Subject
    }

    fn domain_of<'n>(
        &self,
        event: &'n NewEvent<'_>,
        subject: Option<&'n str>,
        id: [u8; 16],
    ) -> Result<Domain<'n>, Error> {
        let misplaced = || Error::from(Misuse::Subject(self.domain.name()));
        Ok(match (self.domain, subject) {
            (KeyDomain::Subject, Some(subject)) => Domain::Subject(subject),
            (KeyDomain::Stream, None) => Domain::Stream(&event.scope, &event.entity),
            (KeyDomain::Scope, None) => Domain::Scope(&event.scope),
            (KeyDomain::Category, None) => {
                Domain::Category(factlog_format::category_of(&event.kind))
            }
            (KeyDomain::Kind, None) => Domain::Kind(&event.kind),
            (KeyDomain::Event, None) => Domain::Event(id),
            _ => return Err(misplaced()),
        })
    }

    /// The live key of a domain, minted if there is none and none can have been lost.
    fn key_of(&self, shared: &Arc<Shared>, domain: Domain<'_>) -> Result<Cached, Error> {
        let name = domain.name();
        if let Some(cached) = self.live_key(&name)? {
            return Ok(cached);
        }
        // Off the lock, as it reads events.
        self.refuse_after_loss(shared, domain)?;
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let tag = tag_of(&state, &name)?;
        let cached = match self.find_by_tag(&mut state, &tag)? {
            Some(key) => Cached {
                key,
                minted: state.minted(),
            },
            None => self.mint(&mut state, tag, &name)?,
        };
        self.keep(&mut state, tag, &cached);
        Ok(cached)
    }

    fn live_key(&self, name: &[u8]) -> Result<Option<Cached>, Error> {
        let mut state = self.opened()?;
        let tag = tag_of(&state, name)?;
        if let Some(cached) = state.by_tag.get(&tag) {
            return Ok(Some(cached.clone()));
        }
        self.load(&mut state)?;
        let Some(key) = self.find_by_tag(&mut state, &tag)? else {
            return Ok(None);
        };
        // It may be pending.
        let cached = Cached {
            key,
            minted: state.minted(),
        };
        self.keep(&mut state, tag, &cached);
        Ok(Some(cached))
    }

    /// Refuses to make a key where events show that there was one, and none wants it destroyed: it was lost
    /// with an older copy of the keyset, or to damage that looks like a write cut short.
    fn refuse_after_loss(&self, shared: &Arc<Shared>, domain: Domain<'_>) -> Result<(), Error> {
        if planted(Bug::LossNotNoticed) {
            return Ok(());
        }
        let (torn, there) = {
            let state = self.opened()?;
            let loaded = state.open.as_ref().and_then(|open| open.loaded.as_ref());
            loaded.map_or((false, 0), |loaded| (loaded.suspect, loaded.index.next()))
        };
        let told = self.noted_keys.load(Relaxed);
        if there < told {
            let detail = format!("it has {there} keys, and events tell of {told}");
            return Err(self.older(detail).into());
        }
        if torn {
            self.refuse_lost(shared, Query::all().reverse().limit(LOOKED_AT))?;
            let mut state = self.opened()?;
            if let Some(loaded) = state.open.as_mut().and_then(|open| open.loaded.as_mut()) {
                loaded.suspect = false;
            }
        }
        match self.newest_key(shared, domain)? {
            Some((sequence, id)) if !self.is_known(shared, &id)? => Err(self.lost(sequence)),
            _ => Ok(()),
        }
    }

    /// The key of the newest event of a domain that has an encrypted payload, and where that event stands.
    pub(super) fn newest_key(
        &self,
        shared: &Arc<Shared>,
        domain: Domain<'_>,
    ) -> Result<Option<(u64, KeyId)>, Error> {
        let Some(query) = domain.query() else {
            return Ok(None);
        };
        // Events without a payload say nothing.
        let query = query.reverse().facts_only().limit(16);
        for event in Events::new(Arc::clone(shared), shared.view.load_full(), query) {
            let event = event?;
            if let Some(id) = key_ids(&event).last().copied() {
                return Ok(Some((event.sequence(), id)));
            }
        }
        Ok(None)
    }

    fn refuse_lost(&self, shared: &Arc<Shared>, query: Query<'static>) -> Result<(), Error> {
        let query = query.facts_only();
        for event in Events::new(Arc::clone(shared), shared.view.load_full(), query) {
            let event = event?;
            for id in key_ids(&event) {
                if !self.is_known(shared, &id)? {
                    return Err(self.lost(event.sequence()));
                }
            }
        }
        Ok(())
    }

    /// Whether a key is there, or an event wants it destroyed.
    pub(super) fn is_known(&self, shared: &Arc<Shared>, id: &KeyId) -> Result<bool, Error> {
        self.note_intents(shared, &shared.view.load_full())?;
        let mut state = self.opened()?;
        Ok(state.retired.contains_key(id) || self.find_by_id(&mut state, id)?.is_some())
    }

    fn lost(&self, sequence: u64) -> Error {
        let detail = "an event is encrypted under a key that is not in the keyset, and no event \
                      wants that destroyed; a new key would hide the loss";
        let lost = Damage::new("key.missing", &self.layout.keys(), detail);
        lost.sequence(sequence).into()
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
        let path = self.layout.keyset();
        let failed = |error| damage(error, &path);
        let random = self.random.as_ref();
        let number = loaded.index.next();
        let bucket = number / BUCKET_KEYS;
        if bucket >= MAX_BUCKETS {
            return Err(failed(KeysetError::Invalid("number of buckets")));
        }
        let mut records = Vec::with_capacity(1);
        let mut row = None;
        let bucket_key = if bucket as usize == head.buckets.len() {
            let key = BucketKey::new(fresh(random), head.root_number);
            let wrapped = root
                .wrap_bucket(
                    &self.journal,
                    bucket,
                    head.root_number,
                    &key,
                    &fresh(random),
                )
                .map_err(failed)?;
            records.push(LogRecord::Bucket {
                bucket,
                root_number: head.root_number,
                key: wrapped,
            });
            row = Some(BucketRow {
                image: Mark::default(),
                epoch: head.root_number,
                key: wrapped,
            });
            key
        } else {
            let key = open.bucket_key(&self.journal, bucket);
            key.ok_or_else(|| failed(KeysetError::Forged))?
        };
        let key = Arc::new(DataKey::new(fresh(random)));
        let nonce = fresh(random);
        let wrapped = bucket_key.wrap(&self.journal, &tag, bucket, &nonce, &key, name);
        records.push(LogRecord::Key(MintedKey {
            number,
            tag,
            id: key.id(),
            wrapped: wrapped.map_err(failed)?,
        }));
        open.head.buckets.extend(row);
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
    pub(super) fn fence(&self, minted: u64) -> Result<(), Error> {
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
}

fn tag_of(state: &State, name: &[u8]) -> Result<DomainTag, Error> {
    let tag = state.open.as_ref().map(|open| open.names.tag(name));
    Ok(tag.ok_or(Refusal::KeysetLocked)?)
}

/// The keys that an event's sections are sealed under.
pub(super) fn key_ids(event: &Event) -> Vec<KeyId> {
    let facts = event.facts();
    let rows = facts.iter().flat_map(|facts| facts.sections.iter());
    rows.filter_map(|row| Some(row.sealed?.key_id)).collect()
}

impl Loaded {
    /// Writes what is pending; durable when it returns.
    pub(super) fn flush(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &factlog_format::JournalId,
    ) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let start = self.log.place();
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(self.pending.len());
        for pending in &self.pending {
            for record in &pending.records {
                let at = seal_record(journal, record, start.at, &mut bytes)
                    .map_err(|error| damage(error, &layout.keys()))?;
                if let Some((key, inside)) = record.key_places().next() {
                    places.push((key.number, start.at + (at + inside) as u64));
                }
            }
        }
        self.log.append(fs, layout, journal, &bytes)?;
        for (number, at) in places {
            self.index.written += 1;
            self.index.set_place(number, Mark { at, ..start });
        }
        self.pending.clear();
        Ok(())
    }
}

impl Pending {
    pub(super) fn is_of(&self, tag: &DomainTag) -> bool {
        let is_of = |record: &LogRecord| matches!(record, LogRecord::Key(key) if key.tag == *tag);
        self.records.iter().any(is_of)
    }
}
