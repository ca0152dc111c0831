//! One event of a case.

use std::collections::HashMap;

use super::hash_of;
use crate::{
    Digest, FactsRef, FormatError, JournalId, MAX_SECTIONS, SectionSecret, Spine, StreamId,
    cursor::Cursor, facts_hash,
};

const FACTS: u8 = 1;
const PAYLOAD: u8 = 2;
const ERASED: u8 = 4;

const DISCLOSED: u8 = 1;
const DISCLOSED_WITH_KEY: u8 = 2;
const REDACTED: u8 = 3;
const SECTION_ERASED: u8 = 4;

/// Flags, stream, time and a facts hash: no record is shorter.
pub(super) const MIN_LEN: usize = 1 + 4 + 8 + 32;

/// An event of a case: its spine, its facts, and what the case shows of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRecord<'a> {
    /// The event's spine.
    pub spine: Spine,
    /// Salt and facts; `None` if an erasure took them.
    pub facts: Option<([u8; 16], &'a [u8])>,
    /// Sequence of the event by which this one, or a section of it, was erased.
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
    /// An erasure took it.
    Erased,
}

/// The streams met so far, each with the spine of its last event. What follows from the event before in
/// the same stream isn't written, so that it can't be wrong.
#[derive(Default)]
pub(super) struct Streams {
    last: Vec<Spine>,
    by_id: HashMap<StreamId, u32>,
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
        streams: &mut Streams,
    ) -> Result<Self, FormatError> {
        let flags = input.u8()?;
        let has = |bit| flags & bit != 0;
        // Erased are facts, or sections of a payload that is shown.
        let consistent = match (has(FACTS), has(PAYLOAD)) {
            (true, true) => true,
            (true, false) => !has(ERASED),
            (false, shows) => !shows && has(ERASED),
        };
        if flags > FACTS | PAYLOAD | ERASED || !consistent {
            return Err(FormatError::Invalid("flags of a case's event"));
        }
        let (place, stream, revision, previous) = streams.decode(input)?;
        let recorded_at = input.i64()?;
        let (facts, facts_hash) = if has(FACTS) {
            let salt = input.array()?;
            let len = usize::from(input.u16()?);
            let facts = input.take(len)?;
            FactsRef::decode(facts)?;
            (Some((salt, facts)), facts_hash(&salt, facts))
        } else {
            (None, input.array()?)
        };
        let erased_by = has(ERASED).then(|| input.u64()).transpose()?;
        let sections = match facts {
            Some((_, facts)) if has(PAYLOAD) => {
                Some(decode_sections(input, &FactsRef::decode(facts)?)?)
            }
            _ => None,
        };
        let any_erased = sections.iter().flatten().any(CaseSection::is_erased);
        if facts.is_some() && any_erased != erased_by.is_some() {
            return Err(FormatError::Invalid("erased sections of a case's event"));
        }
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
        streams.put(place, &record.spine);
        Ok(record)
    }

    pub(super) fn encode(
        &self,
        streams: &mut Streams,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let bit = |is: bool, bit| if is { bit } else { 0 };
        out.push(
            bit(self.facts.is_some(), FACTS)
                | bit(self.sections.is_some(), PAYLOAD)
                | bit(self.erased_by.is_some(), ERASED),
        );
        streams.encode(&self.spine, out)?;
        out.extend_from_slice(&self.spine.recorded_at.to_le_bytes());
        match &self.facts {
            Some((salt, facts)) => {
                out.extend_from_slice(salt);
                let len = u16::try_from(facts.len()).map_err(|_| FormatError::Invalid("facts"))?;
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(facts);
            }
            None => out.extend_from_slice(&self.spine.facts_hash),
        }
        if let Some(by) = self.erased_by {
            out.extend_from_slice(&by.to_le_bytes());
        }
        for section in self.sections.iter().flatten() {
            section.encode(out);
        }
        Ok(())
    }
}

impl CaseSection<'_> {
    fn is_erased(&self) -> bool {
        matches!(self, Self::Erased)
    }

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
            Self::Erased => out.push(SECTION_ERASED),
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
            SECTION_ERASED => CaseSection::Erased,
            _ => return Err(FormatError::Invalid("section of a case's event")),
        });
    }
    Ok(sections)
}

impl Streams {
    /// Which stream an event is of, its id, and the event's revision and previous hash.
    fn decode(
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

    fn encode(&mut self, spine: &Spine, out: &mut Vec<u8>) -> Result<(), FormatError> {
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
