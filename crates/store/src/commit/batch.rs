use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use factlog_format::{
    Digest, Encoding, Facts, FormatError, FrameParts, MAX_BATCH_BYTES, MAX_BATCH_EVENTS,
    MAX_PAYLOAD_LEN, MAX_SECTIONS, MAX_TAGS, Ordering, PreparedFrame, SectionParts, SectionSecret,
    StreamId, check_entity, check_kind, check_name, check_scope, encode_hashed, keyed_blocks,
};
use uuid::Uuid;

use super::{
    conditions::{BatchKeys, Conditions},
    generations::KeyState,
    pool::{BatchMemory, PieceScratch, Pool, Scratch},
};
use crate::{
    Clock, Condition, Error, Expect, Misuse, NewEvent, Random,
    keys::{Keys, SealedPart, SealedSections},
    read::Shared,
};

/// Random bytes that one event needs: a stream id candidate, the tail of a UUIDv7, and the seed of its
/// salts.
pub(super) const RANDOM_LEN: usize = 16 + 10 + 32;
/// So many events are hashed and encoded at a time: enough to fill all SIMD lanes, and few enough that what is
/// made on the way stays in the processor's nearest caches.
const AT_ONCE: usize = 64;

/// What a batch is prepared with, on the caller's own thread.
pub(crate) struct Preparer<'c> {
    pub(crate) clock: &'c dyn Clock,
    pub(crate) random: &'c dyn Random,
    /// Key of the salts.
    pub(crate) salt_key: &'c [u8; 32],
    /// Whether scopes that start with `$` may be written.
    pub(crate) internal: bool,
    pub(crate) pool: &'c Arc<Pool>,
    pub(crate) shared: &'c Arc<Shared>,
    /// What seals, in an encrypted journal.
    pub(crate) secrets: Option<&'c Keys>,
}

/// A batch, encoded and hashed; only places and CRCs are missing.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The frames, one after another.
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: Vec<PreparedEvent>,
    /// What each event can be found by.
    pub(crate) keys: Arc<BatchKeys>,
    pub(crate) conditions: Conditions,
    /// The different coordinates of the batch, and then those that conditions add.
    pub(crate) coordinates: Vec<[u8; 16]>,
    /// Whether the caller chose the id of any event.
    pub(crate) has_own_ids: bool,
    /// Whether any event expects anything.
    pub(crate) expects: bool,
    /// Ids of the data keys that it is sealed under; none in a journal that isn't encrypted.
    pub(crate) sealed_under: Vec<[u8; 16]>,
    /// Where a repeat may have to be compared with what is encrypted: hashes of its plain sections.
    pub(crate) plain: Vec<Digest>,
    /// Ids of the data keys that it wants destroyed.
    pub(crate) retires: Vec<[u8; 16]>,
    /// Where its memory goes when nobody needs its receipts any more.
    pool: Arc<Pool>,
}

impl Batch {
    /// Makes frames that were given no place readable.
    pub(super) fn place_nowhere(&mut self) {
        for event in &self.events {
            event.frame.place(&mut self.buffer, &Place::NONE.order);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.pool.keep_batch(BatchMemory {
            buffer: std::mem::take(&mut self.buffer),
            events: std::mem::take(&mut self.events),
            coordinates: std::mem::take(&mut self.coordinates),
        });
    }
}

/// What the order lock needs of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedEvent {
    pub(crate) frame: PreparedFrame,
    /// Which of the batch's coordinates it has.
    pub(crate) coordinate: u32,
    /// The id to be given to the stream if this event begins it.
    pub(crate) candidate: StreamId,
    pub(crate) expect: Expect,
    /// Whether the caller chose the id, so that it may be in the journal already.
    pub(crate) own_id: bool,
    /// What the order lock gave it.
    pub(crate) place: Place,
}

/// The place of an event, and the hash that it has there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) order: Ordering,
    pub(crate) hash: Digest,
}

impl Place {
    /// What stands there before the order lock has given one.
    const NONE: Self = Self {
        order: Ordering {
            sequence: 0,
            revision: 0,
            stream: [0; 16],
            recorded_at: 0,
            previous: [0; 32],
            previous_sequence: None,
        },
        hash: [0; 32],
    };
}

impl Preparer<'_> {
    /// Checks, encodes and hashes a batch. What is hashed of each event goes through SIMD lanes
    /// together with the same of others: first salts, then sections, then facts, and last keys.
    pub(crate) fn prepare(
        &self,
        events: &[NewEvent<'_>],
        conditions: &[Condition<'_>],
    ) -> Result<Batch, Error> {
        if events.is_empty() || events.len() > MAX_BATCH_EVENTS {
            return Err(Misuse::BatchSize.into());
        }
        let mut payload = 0;
        for event in events {
            self.check(event)?;
            // Before anything is hashed or allocated for: many events may borrow one large payload.
            payload += event
                .sections
                .iter()
                .map(|section| section.bytes.len())
                .sum::<usize>();
            if payload > MAX_BATCH_BYTES {
                return Err(Misuse::BatchSize.into());
            }
        }
        let conditions = Conditions::of(conditions)?;
        let mut scratch = self.pool.scratch();
        // Dropped after an error, which leaves what was to be hashed with events that nobody stores.
        let batch = self.encode(events, conditions, &mut scratch)?;
        self.pool.keep_scratch(scratch);
        Ok(batch)
    }

    fn encode(
        &self,
        events: &[NewEvent<'_>],
        conditions: Conditions,
        scratch: &mut Scratch,
    ) -> Result<Batch, Error> {
        self.draw(events, scratch);
        let Scratch {
            chance,
            sealed,
            piece: work,
            ..
        } = scratch;
        // The journal's own events are never encrypted.
        let secrets = self.secrets.filter(|_| !self.internal);
        if let Some(secrets) = secrets {
            let mut ids = chance.iter().map(|chance| chance.id.into_bytes());
            secrets.seal(self.shared, events, &mut ids, self.random, sealed)?;
        }
        let memory = self.pool.batch();
        let mut batch = Batch {
            buffer: memory.buffer,
            events: memory.events,
            keys: Arc::default(),
            conditions,
            coordinates: memory.coordinates,
            has_own_ids: events.iter().any(|event| event.id.is_some()),
            expects: events.iter().any(|event| event.expect != Expect::Any),
            sealed_under: Vec::new(),
            plain: Vec::new(),
            retires: Vec::new(),
            pool: Arc::clone(self.pool),
        };
        batch
            .buffer
            .reserve(events.iter().map(expected_len).sum::<usize>());
        batch.events.reserve(events.len());
        let mut keys = BatchKeys::with_capacity(events.len());
        let mut parts = secrets.map(|_| sealed.parts.as_slice());
        work.numbers.clear();
        for (events, chance) in events.chunks(AT_ONCE).zip(chance.chunks(AT_ONCE)) {
            let sealed = parts.as_mut().map(|rest| {
                let sections = events.iter().map(|event| event.sections.len()).sum();
                let own = rest.split_off(..sections).expect("every section is sealed");
                (&*sealed, own)
            });
            let piece = Piece {
                events,
                chance,
                sealed,
            };
            piece.salt(self.salt_key, work);
            piece.hash_sections(work)?;
            piece.encode(work, &mut batch)?;
            keys.add(events, &mut work.coordinates, &mut work.hashes);
        }
        number_coordinates(&keys, &mut work.numbers, &mut batch);
        batch.keys = Arc::new(keys);
        if secrets.is_some() {
            batch.sealed_under.extend_from_slice(&sealed.keys);
            if batch.has_own_ids {
                let sections = events.iter().flat_map(|event| event.sections.iter());
                let hashes = sections.map(|section| plain_hash(self.salt_key, &section.bytes));
                batch.plain.extend(hashes);
            }
        }
        refuse_repeated_ids(&batch)?;
        Ok(batch)
    }

    /// Draws what chance decides of each event.
    fn draw(&self, events: &[NewEvent<'_>], scratch: &mut Scratch) {
        scratch.random.resize(RANDOM_LEN * events.len(), 0);
        self.random.fill(&mut scratch.random);
        let millis = u64::try_from(self.clock.now_micros() / 1000).unwrap_or(0);
        let (drawn, _) = scratch.random.as_chunks::<RANDOM_LEN>();
        let chance = events
            .iter()
            .zip(drawn)
            .map(|(event, bytes)| Chance::of(event, bytes, millis));
        scratch.chance.clear();
        scratch.chance.extend(chance);
    }

    fn check(&self, event: &NewEvent<'_>) -> Result<(), Error> {
        if !self.internal {
            if event.scope.starts_with('$') {
                return Err(Misuse::ReservedScope.into());
            }
            let mut sections = event.sections.iter();
            if sections.any(|section| section.encoding == Encoding::Journal) {
                return Err(Misuse::ReservedEncoding.into());
            }
        }
        if self.secrets.is_some() {
            // A key for a name that is refused later would be durable all the same.
            check_names(event).map_err(Misuse::Event)?;
        }
        Ok(check_counts(event)?)
    }
}

/// What chance decides of an event.
#[derive(Debug)]
pub(super) struct Chance {
    candidate: StreamId,
    id: Uuid,
    seed: [u8; 32],
}

impl Chance {
    fn of(event: &NewEvent<'_>, bytes: &[u8; RANDOM_LEN], millis: u64) -> Self {
        let (mut candidate, mut tail, mut seed) = ([0; 16], [0; 10], [0; 32]);
        candidate.copy_from_slice(&bytes[..16]);
        tail.copy_from_slice(&bytes[16..26]);
        seed.copy_from_slice(&bytes[26..]);
        let id = event.id.unwrap_or_else(|| {
            uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
        });
        Self {
            candidate,
            id,
            seed,
        }
    }
}

/// How many pairs of salts the facts and sections of an event need.
fn salt_pairs(event: &NewEvent<'_>) -> usize {
    (1 + event.sections.len()).div_ceil(2)
}

/// Each event with its salts: that of the facts, and those of the sections.
fn with_salts<'e, 'a>(
    events: &'e [NewEvent<'a>],
    salts: &'e [Digest],
) -> impl Iterator<Item = (&'e NewEvent<'a>, &'e [u8; 16], &'e [[u8; 16]])> {
    // Each hash makes two salts.
    let mut rest = salts.as_flattened().as_chunks::<16>().0;
    events.iter().map_while(move |event| {
        let (own, others) = rest.split_at_checked(2 * salt_pairs(event))?;
        rest = others;
        let (facts, sections) = own.split_first()?;
        Some((event, facts, sections))
    })
}

/// Some events of a batch, with what was drawn for them and, in an encrypted journal, their sealed sections.
struct Piece<'e, 'a> {
    events: &'e [NewEvent<'a>],
    chance: &'e [Chance],
    sealed: Option<(&'e SealedSections, &'e [SealedPart])>,
}

impl Piece<'_, '_> {
    /// The salt of each event's facts and then those of its sections.
    ///
    /// Salts are keyed with a secret of the journal besides fresh randomness, so that a generator which
    /// repeats itself (a restored virtual machine) doesn't make them guessable: BLAKE3 keyed with the
    /// secret over `random [32] ‖ event id [16] ‖ number u64 ‖ zeros [8]` gives two of them.
    fn salt(&self, key: &[u8; 32], work: &mut PieceScratch) {
        work.blocks.clear();
        for (event, chance) in self.events.iter().zip(self.chance) {
            for number in 0..salt_pairs(event) as u64 {
                let mut block = [0u8; 64];
                block[..32].copy_from_slice(&chance.seed);
                block[32..48].copy_from_slice(chance.id.as_bytes());
                block[48..56].copy_from_slice(&number.to_le_bytes());
                work.blocks.push(block);
            }
        }
        work.salts.clear();
        keyed_blocks(key, &work.blocks, &mut work.salts);
    }

    fn hash_sections(&self, work: &mut PieceScratch) -> Result<(), Misuse> {
        if let Some((sealed, parts)) = self.sealed {
            for part in parts {
                let stored = sealed.stored(part);
                work.sealed_sections.push(&part.nonce, stored);
            }
            work.sealed_sections.finish(&mut work.section_hashes);
            return Ok(());
        }
        for (event, _, salts) in with_salts(self.events, &work.salts) {
            for (section, salt) in event.sections.iter().zip(salts) {
                if section.subject.is_some() {
                    return Err(Misuse::Subject("nothing"));
                }
                work.sections.push(salt, &section.bytes);
            }
        }
        work.sections.finish(&mut work.section_hashes);
        Ok(())
    }

    /// Encodes the frames and hashes their facts.
    fn encode(&self, work: &mut PieceScratch, batch: &mut Batch) -> Result<(), Error> {
        let from = batch.events.len();
        let mut sealed = self.sealed.map(|(sealed, parts)| (sealed, parts.iter()));
        let (mut tags, mut sections) = (Vec::new(), Vec::new());
        let mut hashes = work.section_hashes.as_slice();
        let salted = with_salts(self.events, &work.salts);
        for ((event, facts_salt, salts), chance) in salted.zip(self.chance) {
            tags.clear();
            tags.extend(event.tags.iter().map(AsRef::as_ref));
            sections.clear();
            if let Some((sealed, parts)) = &mut sealed {
                let own = event.sections.iter().zip(parts.by_ref());
                sections.extend(own.map(|(section, part)| SectionParts {
                    name: &section.name,
                    encoding: section.encoding,
                    secret: SectionSecret::Nonce(part.nonce),
                    sealed: Some(part.row),
                    stored: sealed.stored(part),
                }));
            } else {
                let salted = event.sections.iter().zip(salts);
                sections.extend(salted.map(|(section, salt)| SectionParts {
                    name: &section.name,
                    encoding: section.encoding,
                    secret: SectionSecret::Salt(*salt),
                    sealed: None,
                    stored: &section.bytes,
                }));
            }
            let parts = FrameParts {
                facts: facts_of(event, &chance.id, &tags),
                facts_salt: *facts_salt,
                sections: &sections,
            };
            let (own, others) = hashes.split_at_checked(sections.len()).unwrap_or_default();
            hashes = others;
            let (facts, bytes) = (&mut work.facts, &mut work.bytes);
            let frame = encode_hashed(&parts, own, facts, bytes, &mut batch.buffer)
                .map_err(Misuse::Event)?;
            if batch.buffer.len() > MAX_BATCH_BYTES {
                return Err(Misuse::BatchSize.into());
            }
            batch.events.push(PreparedEvent {
                frame,
                coordinate: 0,
                candidate: chance.candidate,
                expect: event.expect,
                own_id: event.id.is_some(),
                place: Place::NONE,
            });
        }
        work.facts.finish(&mut work.hashes);
        for (event, hash) in batch.events.iter_mut().skip(from).zip(&work.hashes) {
            event.frame.facts_hash = *hash;
        }
        Ok(())
    }
}

fn facts_of<'f>(event: &'f NewEvent<'_>, id: &Uuid, tags: &'f [&'f str]) -> Facts<'f> {
    Facts {
        event_id: id.into_bytes(),
        entity: &event.entity,
        scope: &event.scope,
        kind: &event.kind,
        payload_version: event.payload_version,
        tags,
        occurred_at: event.occurred_at,
        actor: event.actor.as_deref(),
        correlation: event.correlation.map(Uuid::into_bytes),
        causation: event.causation.map(Uuid::into_bytes),
        trace: event.trace,
        sections: &[],
    }
}

/// Finds the different coordinates of a batch, and which of them each event has.
fn number_coordinates(
    keys: &BatchKeys,
    numbers: &mut HashMap<[u8; 16], u32, KeyState>,
    batch: &mut Batch,
) {
    let mut number_of = |key: &[u8; 16]| {
        *numbers.entry(*key).or_insert_with(|| {
            batch.coordinates.push(*key);
            batch.coordinates.len() as u32 - 1 // a batch has at most 65,536 events
        })
    };
    for (event, key) in batch.events.iter_mut().zip(keys.coordinates()) {
        event.coordinate = number_of(key);
    }
    for stream in &mut batch.conditions.streams {
        stream.coordinate = number_of(&stream.key); // streams of conditions are few
    }
}

fn check_names(event: &NewEvent<'_>) -> Result<(), FormatError> {
    check_scope(&event.scope)?;
    check_entity(&event.entity)?;
    check_kind(&event.kind)?;
    event.sections.iter().try_for_each(|section| {
        check_name(&section.name, "section name")?;
        let subject = section.subject.as_deref();
        subject.map_or(Ok(()), |subject| check_name(subject, "subject"))
    })
}

fn check_counts(event: &NewEvent<'_>) -> Result<(), Misuse> {
    use factlog_format::FormatError::Limit;
    if event.tags.len() > MAX_TAGS {
        return Err(Limit {
            what: "tags",
            limit: MAX_TAGS as u64,
        }
        .into());
    }
    if event.sections.len() > MAX_SECTIONS {
        return Err(Limit {
            what: "sections",
            limit: MAX_SECTIONS as u64,
        }
        .into());
    }
    let payload: usize = event
        .sections
        .iter()
        .map(|section| section.bytes.len())
        .sum();
    if payload > MAX_PAYLOAD_LEN {
        return Err(Limit {
            what: "payload",
            limit: MAX_PAYLOAD_LEN as u64,
        }
        .into());
    }
    Ok(())
}

/// What two payloads are compared by where one of them is encrypted; it never leaves the process.
pub(super) fn plain_hash(key: &[u8; 32], bytes: &[u8]) -> Digest {
    *blake3::keyed_hash(key, bytes).as_bytes()
}

fn expected_len(event: &NewEvent<'_>) -> usize {
    let sections = event
        .sections
        .iter()
        .map(|section| section.bytes.len() + 96)
        .sum::<usize>();
    256 + sections + event.tags.len() * 32
}

fn refuse_repeated_ids(batch: &Batch) -> Result<(), Misuse> {
    if !batch.has_own_ids {
        return Ok(());
    }
    let own = batch.events.iter().filter(|event| event.own_id);
    let mut seen = HashSet::new();
    for event in own {
        if !seen.insert(event.frame.event_id) {
            return Err(Misuse::RepeatedId(Uuid::from_bytes(event.frame.event_id)));
        }
    }
    Ok(())
}
