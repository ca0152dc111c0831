//! One event of a case.

use std::collections::{BTreeSet, HashMap};

use super::hash_of;
use crate::{
    Digest, FactsRef, FormatError, JournalId, MAX_SECTIONS, SectionSecret, Spine, StreamId,
    cursor::Cursor, facts_hash,
};

const FACTS: u8 = 1;
const PAYLOAD: u8 = 2;

/// In place of the time since the event before: the time itself follows.
const TIME_FOLLOWS: u32 = u32::MAX;

const DISCLOSED: u8 = 1;
const DISCLOSED_WITH_KEY: u8 = 2;
const REDACTED: u8 = 3;
const SECTION_ERASED: u8 = 4;

/// Flags, stream, time, and salt and length of facts: no record is shorter.
pub(super) const MIN_LEN: usize = 1 + 4 + 4 + 16 + 2;

/// An event of a case: its spine, its facts, and what the case shows of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRecord<'a> {
    /// The event's spine.
    pub spine: Spine,
    /// Salt and facts; `None` if an erasure took them.
    pub facts: Option<([u8; 16], &'a [u8])>,
    /// Sequence of the event by which the facts, and all else but the spine, were erased; there if and
    /// only if the facts aren't.
    pub erased_by: Option<u64>,
    /// One for each row of the section table; `None` if the case shows nothing of the payload.
    pub sections: Option<Vec<CaseSection<'a>>>,
    /// The event hash.
    pub hash: Digest,
}

/// What a case shows of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseSection<'a> {
    /// Its bytes as stored; of an encrypted section with the key that opens it alone, if that is given.
    Disclosed {
        /// Salt or nonce.
        secret: SectionSecret,
        /// The bytes as stored.
        stored: &'a [u8],
        /// The section key of an encrypted section.
        key: Option<[u8; 32]>,
    },
    /// It was left out, and is in the journal.
    Redacted,
    /// It was erased, or its key was destroyed.
    Erased {
        /// Sequence of the event that ordered it.
        by: u64,
    },
}

/// What was met so far: the streams, each with the spine of its last event, and the time of the last
/// event. What follows from the event before in the same stream isn't written, so that it can't be wrong.
#[derive(Default)]
pub(super) struct Met {
    last: Vec<Spine>,
    by_id: HashMap<StreamId, u32>,
    time: Option<i64>,
}

impl<'a> CaseRecord<'a> {
    /// A record of what a journal gives; its hash is computed.
    #[must_use]
    pub fn new(
        spine: Spine,
        facts: Option<([u8; 16], &'a [u8])>,
        erased_by: Option<u64>,
        sections: Option<Vec<CaseSection<'a>>>,
    ) -> Self {
        let hash = hash_of(&spine);
        Self {
            spine,
            facts,
            erased_by,
            sections,
            hash,
        }
    }

    /// The facts; `None` if an erasure took them.
    #[must_use]
    pub fn facts(&self) -> Option<FactsRef<'a>> {
        // Checked when the record was read.
        self.facts
            .and_then(|(_, facts)| FactsRef::decode(facts).ok())
    }

    /// The sequences of the events that ordered something of it erased, each once, with what they left: 1
    /// the facts, 2 the spine alone.
    pub fn erased(&self) -> impl Iterator<Item = (u64, u8)> {
        let whole = self.erased_by.map(|by| (by, 2));
        let sections = self.sections.iter().flatten();
        let parts = sections.filter_map(|section| match section {
            CaseSection::Erased { by } => Some((*by, 1)),
            _ => None,
        });
        let orders: BTreeSet<(u64, u8)> = whole.into_iter().chain(parts).collect();
        orders.into_iter()
    }

    /// About how long it is.
    pub(super) fn len(&self) -> usize {
        let sections = self.sections.iter().flatten().map(|section| match section {
            CaseSection::Disclosed { stored, .. } => 64 + stored.len(),
            _ => 1,
        });
        let facts = self.facts.map_or(32, |(_, facts)| facts.len() + 18);
        128 + facts + sections.sum::<usize>()
    }

    pub(super) fn decode(
        input: &mut Cursor<'a>,
        journal: &JournalId,
        sequence: u64,
        met: &mut Met,
    ) -> Result<Self, FormatError> {
        let flags = input.u8()?;
        if flags == PAYLOAD || flags > FACTS | PAYLOAD {
            return Err(FormatError::Invalid("flags of a case's event"));
        }
        let (place, stream, revision, previous) = met.decode_stream(input)?;
        let recorded_at = met.decode_time(input)?;
        let (facts, facts_hash, erased_by) = if flags & FACTS != 0 {
            let salt = input.array()?;
            let len = usize::from(input.u16()?);
            let facts = input.take(len)?;
            FactsRef::decode(facts)?;
            (Some((salt, facts)), facts_hash(&salt, facts), None)
        } else {
            (None, input.array()?, Some(input.u64()?))
        };
        let sections = match facts {
            Some((_, facts)) if flags & PAYLOAD != 0 => {
                Some(decode_sections(input, &FactsRef::decode(facts)?)?)
            }
            _ => None,
        };
        let spine = Spine {
            journal: *journal,
            sequence,
            revision,
            stream,
            recorded_at,
            previous,
            facts_hash,
        };
        let record = Self::new(spine, facts, erased_by, sections);
        met.put(place, &record.spine);
        Ok(record)
    }

    pub(super) fn encode(&self, met: &mut Met, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let bit = |is: bool, bit| if is { bit } else { 0 };
        out.push(bit(self.facts.is_some(), FACTS) | bit(self.sections.is_some(), PAYLOAD));
        met.encode_stream(&self.spine, out)?;
        met.encode_time(self.spine.recorded_at, out);
        match (&self.facts, self.erased_by) {
            (Some((salt, facts)), None) => {
                out.extend_from_slice(salt);
                let len = u16::try_from(facts.len()).map_err(|_| FormatError::Invalid("facts"))?;
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(facts);
            }
            (None, Some(by)) if self.sections.is_none() => {
                out.extend_from_slice(&self.spine.facts_hash);
                out.extend_from_slice(&by.to_le_bytes());
            }
            _ => return Err(FormatError::Invalid("erased facts of a case's event")),
        }
        for section in self.sections.iter().flatten() {
            section.encode(out);
        }
        Ok(())
    }
}

impl CaseSection<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Disclosed {
                secret,
                stored,
                key,
            } => {
                out.push(key.map_or(DISCLOSED, |_| DISCLOSED_WITH_KEY));
                out.extend_from_slice(secret.as_bytes());
                out.extend_from_slice(stored);
                out.extend(key.iter().flatten());
            }
            Self::Redacted => out.push(REDACTED),
            Self::Erased { by } => {
                out.push(SECTION_ERASED);
                out.extend_from_slice(&by.to_le_bytes());
            }
        }
    }
}

fn decode_sections<'a>(
    input: &mut Cursor<'a>,
    facts: &FactsRef<'_>,
) -> Result<Vec<CaseSection<'a>>, FormatError> {
    let mut sections = Vec::with_capacity(facts.sections.len().min(MAX_SECTIONS));
    for row in facts.sections.iter() {
        let state = input.u8()?;
        sections.push(match state {
            DISCLOSED | DISCLOSED_WITH_KEY => {
                let sealed = row.sealed.is_some();
                if state == DISCLOSED_WITH_KEY && !sealed {
                    return Err(FormatError::Invalid("key of a plain section"));
                }
                let secret = match sealed {
                    false => SectionSecret::Salt(input.array()?),
                    true => SectionSecret::Nonce(input.array()?),
                };
                let stored = input.take(row.stored_len as usize)?;
                let with_key = state == DISCLOSED_WITH_KEY;
                let key = with_key.then(|| input.array()).transpose()?;
                CaseSection::Disclosed {
                    secret,
                    stored,
                    key,
                }
            }
            REDACTED => CaseSection::Redacted,
            SECTION_ERASED => CaseSection::Erased { by: input.u64()? },
            _ => return Err(FormatError::Invalid("section of a case's event")),
        });
    }
    Ok(sections)
}

impl Met {
    /// Which stream an event is of, its id, and the event's revision and previous hash.
    fn decode_stream(
        &self,
        input: &mut Cursor<'_>,
    ) -> Result<(usize, StreamId, u64, Digest), FormatError> {
        const BAD: FormatError = FormatError::Invalid("stream of a case's event");
        let place = input.u32()? as usize;
        if let Some(last) = self.last.get(place) {
            let revision = last.revision.checked_add(1).ok_or(BAD)?;
            return Ok((place, last.stream, revision, hash_of(last)));
        }
        let stream = input.array()?;
        if place != self.last.len() || self.by_id.contains_key(&stream) {
            return Err(BAD);
        }
        let revision = input.u64()?;
        let previous = match revision {
            0 => [0; 32],
            _ => input.array()?,
        };
        Ok((place, stream, revision, previous))
    }

    fn encode_stream(&mut self, spine: &Spine, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let known = self.by_id.get(&spine.stream).copied();
        let place = known.unwrap_or(self.last.len() as u32);
        out.extend_from_slice(&place.to_le_bytes());
        match self.last.get(place as usize) {
            Some(last) => {
                let follows = last.revision.checked_add(1) == Some(spine.revision)
                    && hash_of(last) == spine.previous;
                if !follows {
                    return Err(FormatError::Invalid("stream of a case's event"));
                }
            }
            None => {
                out.extend_from_slice(&spine.stream);
                out.extend_from_slice(&spine.revision.to_le_bytes());
                if spine.revision > 0 {
                    out.extend_from_slice(&spine.previous);
                }
            }
        }
        self.put(place as usize, spine);
        Ok(())
    }

    /// How long an event was recorded after the one before, if that can be written.
    fn since(&self, time: i64) -> Option<u32> {
        let since = time.checked_sub(self.time?)?;
        u32::try_from(since)
            .ok()
            .filter(|since| *since != TIME_FOLLOWS)
    }

    fn decode_time(&mut self, input: &mut Cursor<'_>) -> Result<i64, FormatError> {
        const BAD: FormatError = FormatError::Invalid("time of a case's event");
        let since = input.u32()?;
        let time = if since == TIME_FOLLOWS {
            let time = input.i64()?;
            if self.since(time).is_some() {
                return Err(BAD);
            }
            time
        } else {
            let last = self.time.ok_or(BAD)?;
            last.checked_add(since.into()).ok_or(BAD)?
        };
        self.time = Some(time);
        Ok(time)
    }

    fn encode_time(&mut self, time: i64, out: &mut Vec<u8>) {
        let since = self.since(time);
        out.extend_from_slice(&since.unwrap_or(TIME_FOLLOWS).to_le_bytes());
        if since.is_none() {
            out.extend_from_slice(&time.to_le_bytes());
        }
        self.time = Some(time);
    }

    fn put(&mut self, place: usize, spine: &Spine) {
        match self.last.get_mut(place) {
            Some(last) => last.clone_from(spine),
            None => {
                self.by_id.insert(spine.stream, self.last.len() as u32);
                self.last.push(spine.clone());
            }
        }
    }
}
