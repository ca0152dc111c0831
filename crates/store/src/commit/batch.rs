use std::collections::HashSet;

use factlog_format::{
    Encoding, Facts, FrameParts, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_PAYLOAD_LEN, MAX_SECTIONS,
    MAX_TAGS, PreparedFrame, SectionParts, SectionSecret, StreamId, coordinate_key, encode_event,
};
use uuid::Uuid;

use crate::{Clock, Error, Expect, Misuse, NewEvent, Random};

/// Random bytes that one event needs: a stream id candidate, the tail of a UUIDv7, and the seed of its
/// salts.
const RANDOM_LEN: usize = 16 + 10 + 32;

/// What a batch is prepared with, on the caller's own thread.
pub(crate) struct Preparer<'c> {
    pub(crate) clock: &'c dyn Clock,
    pub(crate) random: &'c dyn Random,
    /// Key of the salts; see [`salts`].
    pub(crate) salt_key: &'c [u8; 32],
    /// Whether scopes that start with `$` may be written.
    pub(crate) internal: bool,
}

/// A batch, encoded and hashed; only places and CRCs are missing.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The frames, one after another.
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: Vec<PreparedEvent>,
}

/// What the order lock needs of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedEvent {
    pub(crate) frame: PreparedFrame,
    pub(crate) coordinate: [u8; 16],
    /// The id to be given to the stream if this event begins it.
    pub(crate) candidate: StreamId,
    pub(crate) expect: Expect,
    /// Whether the caller chose the id, so that it may be in the journal already.
    pub(crate) own_id: bool,
}

impl Preparer<'_> {
    /// Checks, encodes and hashes a batch.
    pub(crate) fn prepare(&self, events: &[NewEvent<'_>]) -> Result<Batch, Error> {
        if events.is_empty() || events.len() > MAX_BATCH_EVENTS {
            return Err(Misuse::BatchSize.into());
        }
        let mut random = vec![0u8; RANDOM_LEN * events.len()];
        self.random.fill(&mut random);
        let millis = u64::try_from(self.clock.now_micros() / 1000).unwrap_or(0);
        let mut batch = Batch {
            buffer: Vec::with_capacity(events.iter().map(expected_len).sum()),
            events: Vec::with_capacity(events.len()),
        };
        let mut scratch = Vec::new();
        for (event, random) in events.iter().zip(random.chunks_exact(RANDOM_LEN)) {
            self.prepare_one(event, random, millis, &mut scratch, &mut batch)?;
            if batch.buffer.len() > MAX_BATCH_BYTES {
                return Err(Misuse::BatchSize.into());
            }
        }
        refuse_repeated_ids(&batch)?;
        Ok(batch)
    }

    fn prepare_one(
        &self,
        event: &NewEvent<'_>,
        random: &[u8],
        millis: u64,
        scratch: &mut Vec<u8>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        if !self.internal && event.scope.starts_with('$') {
            return Err(Misuse::ReservedScope.into());
        }
        check_counts(event)?;
        let mut sections = event.sections.iter();
        if !self.internal && sections.any(|section| section.encoding == Encoding::Journal) {
            return Err(Misuse::ReservedEncoding.into());
        }
        let (candidate, random) = random.split_first_chunk::<16>().ok_or(Misuse::BatchSize)?;
        let (id_tail, seed) = random.split_first_chunk::<10>().ok_or(Misuse::BatchSize)?;
        let id = event.id.unwrap_or_else(|| {
            uuid::Builder::from_unix_timestamp_millis(millis, id_tail).into_uuid()
        });
        let mut salts = [0u8; 16 * (1 + MAX_SECTIONS)];
        let needed = 16 * (1 + event.sections.len());
        fill_salts(
            self.salt_key,
            seed,
            &id,
            salts.get_mut(..needed).unwrap_or_default(),
        );
        let (facts_salt, section_salts) =
            salts.split_first_chunk::<16>().ok_or(Misuse::BatchSize)?;
        let tags: [&str; MAX_TAGS] =
            std::array::from_fn(|index| event.tags.get(index).map_or("", |tag| tag.as_ref()));
        let sections: Vec<SectionParts<'_>> = event
            .sections
            .iter()
            .zip(section_salts.as_chunks::<16>().0)
            .map(|(section, salt)| SectionParts {
                name: &section.name,
                encoding: section.encoding,
                secret: SectionSecret::Salt(*salt),
                sealed: None,
                stored: &section.bytes,
            })
            .collect();
        let parts = FrameParts {
            facts: Facts {
                event_id: id.into_bytes(),
                entity: &event.entity,
                scope: &event.scope,
                kind: &event.kind,
                payload_version: event.payload_version,
                tags: tags.get(..event.tags.len()).unwrap_or_default(),
                occurred_at: event.occurred_at,
                actor: event.actor.as_deref(),
                correlation: event.correlation.map(Uuid::into_bytes),
                causation: event.causation.map(Uuid::into_bytes),
                trace: event.trace,
                sections: &[],
            },
            facts_salt: *facts_salt,
            sections: &sections,
        };
        let frame = encode_event(&parts, scratch, &mut batch.buffer).map_err(Misuse::Event)?;
        batch.events.push(PreparedEvent {
            frame,
            coordinate: coordinate_key(&event.scope, &event.entity),
            candidate: *candidate,
            expect: event.expect,
            own_id: event.id.is_some(),
        });
        Ok(())
    }
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

fn expected_len(event: &NewEvent<'_>) -> usize {
    let sections = event
        .sections
        .iter()
        .map(|section| section.bytes.len() + 96)
        .sum::<usize>();
    256 + sections + event.tags.len() * 32
}

/// Salts are keyed with a secret of the journal besides fresh randomness, so that a generator which
/// repeats itself (a restored virtual machine) doesn't make them guessable.
fn fill_salts(key: &[u8; 32], seed: &[u8], id: &Uuid, out: &mut [u8]) {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(seed).update(id.as_bytes());
    hasher.finalize_xof().fill(out);
}

fn refuse_repeated_ids(batch: &Batch) -> Result<(), Misuse> {
    let own = batch.events.iter().filter(|event| event.own_id);
    let mut seen = HashSet::new();
    for event in own {
        if !seen.insert(event.frame.event_id) {
            return Err(Misuse::RepeatedId(Uuid::from_bytes(event.frame.event_id)));
        }
    }
    Ok(())
}
