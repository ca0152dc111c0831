mod stub;

use crate::{
    Digest, EventId, Facts, FactsRef, FormatError, FrameType, HashBatch, HashSort, JournalId,
    MAX_FACTS_LEN, MAX_SECTIONS, Ordering, SectionRow, SectionSecret, Spine,
    cursor::Cursor,
    event_hash,
    facts::at_sections,
    facts_hash,
    frame::FRAME_HEADER_LEN,
    order::{ORDER_IN_BODY, ORDER_LEN},
    section::{check_payload_len, secret_len},
    section_hash, write_frame,
};

pub use stub::{FullStub, encode_bare_stub, encode_full_stub, encode_payload_stub};

/// Where a place stands in the frame of an event or stub.
const ORDER_AT: usize = FRAME_HEADER_LEN + ORDER_IN_BODY;

/// One payload section to be encoded: what its table row says but for length and hash, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct SectionParts<'a> {
    /// The section's name, unique in its event.
    pub name: &'a str,
    /// How the bytes are to be read.
    pub encoding: crate::Encoding,
    /// Salt of a plain section or nonce of an encrypted one.
    pub secret: SectionSecret,
    /// What an encrypted section says of its key.
    pub sealed: Option<crate::SealedRow>,
    /// The bytes as stored.
    pub stored: &'a [u8],
}

/// An event to be encoded, before it has a place.
#[derive(Clone, Copy, Debug)]
pub struct FrameParts<'a> {
    /// The facts; their section table is replaced by one made from `sections`.
    pub facts: Facts<'a>,
    /// Salt of the facts hash.
    pub facts_salt: [u8; 16],
    /// The payload.
    pub sections: &'a [SectionParts<'a>],
}

/// An encoded event frame that still lacks its place and its CRC.
#[derive(Clone, Copy, Debug)]
pub struct PreparedFrame {
    /// Where the frame starts in the buffer it was appended to.
    pub start: usize,
    /// Its whole length, padding included.
    pub len: usize,
    /// The event's id.
    pub event_id: EventId,
    /// Hash of the salted facts, which the spine needs.
    pub facts_hash: Digest,
}

impl PreparedFrame {
    /// Writes the event's place into its frame in `buffer`; the CRC is left to
    /// [`seal_frame`](crate::seal_frame).
    ///
    /// # Panics
    /// If `buffer` is not the one that the frame was appended to, or if [`Ordering::check`] refuses
    /// `order`: mistakes of the caller that no reader would forgive.
    #[expect(
        clippy::indexing_slicing,
        reason = "the buffer is the caller's own, not input"
    )]
    pub fn place(&self, buffer: &mut [u8], order: &Ordering) {
        assert!(order.check().is_ok(), "a place that no event can have");
        let at = self.start + ORDER_AT;
        buffer[at..at + ORDER_LEN].copy_from_slice(&order.encode());
    }
}

/// Hashes sections and facts and appends the event's frame to `out`, with its place and CRC left open.
///
/// # Errors
/// [`FormatError`] if a limit is passed or a name not allowed; `out` is then as before.
pub fn encode_event(
    parts: &FrameParts<'_>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<PreparedFrame, FormatError> {
    // Before hashing, which takes a while for what is far too long.
    check_parts(parts)?;
    let sections = parts.sections.iter();
    let hashes: Vec<Digest> = sections
        .map(|section| section_hash(&section.secret, section.stored))
        .collect();
    let mut facts = HashBatch::new(HashSort::Facts);
    let frame = encode_hashed(parts, &hashes, &mut facts, scratch, out)?;
    let mut hashes = Vec::with_capacity(1);
    facts.finish(&mut hashes);
    Ok(PreparedFrame {
        facts_hash: hashes.first().copied().unwrap_or_default(),
        ..frame
    })
}

/// As [`encode_event`] with the hashes of the sections given, and with the facts only added to a
/// batch of [`HashSort::Facts`]: the caller puts their hash into the frame returned.
///
/// # Errors
/// [`FormatError`] if a limit is passed, a name not allowed, or a hash missing; `out` and `facts` are
/// then as before.
pub fn encode_hashed(
    parts: &FrameParts<'_>,
    section_hashes: &[Digest],
    facts: &mut HashBatch,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<PreparedFrame, FormatError> {
    check_parts(parts)?;
    let mut rows = [EMPTY_ROW; crate::MAX_SECTIONS];
    let rows = rows.get_mut(..parts.sections.len()).unwrap_or_default();
    if section_hashes.len() != rows.len() {
        return Err(FormatError::Invalid("number of section hashes"));
    }
    for ((row, section), hash) in rows.iter_mut().zip(parts.sections).zip(section_hashes) {
        *row = row_of(section, *hash)?;
    }
    scratch.clear();
    Facts {
        sections: rows,
        ..parts.facts
    }
    .encode(scratch)?;
    let start = write_frame(FrameType::Event, out, |out| {
        let all_present = (1u32 << parts.sections.len()) - 1;
        write_head(out, scratch.len(), all_present as u16)?;
        out.extend_from_slice(&[0; ORDER_LEN]);
        out.extend_from_slice(&parts.facts_salt);
        out.extend_from_slice(scratch);
        for section in parts.sections {
            out.extend_from_slice(section.secret.as_bytes());
            out.extend_from_slice(section.stored);
        }
        Ok(())
    })?;
    facts.push(&parts.facts_salt, scratch);
    Ok(PreparedFrame {
        start,
        len: out.len() - start,
        event_id: parts.facts.event_id,
        facts_hash: [0; 32],
    })
}

fn check_parts(parts: &FrameParts<'_>) -> Result<(), FormatError> {
    if parts.sections.len() > crate::MAX_SECTIONS {
        return Err(FormatError::Limit {
            what: "sections",
            limit: crate::MAX_SECTIONS as u64,
        });
    }
    let lengths = parts.sections.iter();
    check_payload_len(lengths.map(|section| section.stored.len() as u64))
}

const EMPTY_ROW: SectionRow<'static> = SectionRow {
    name: "",
    stored_len: 0,
    encoding: crate::Encoding::Raw,
    hash: [0; 32],
    sealed: None,
};

fn row_of<'a>(section: &SectionParts<'a>, hash: Digest) -> Result<SectionRow<'a>, FormatError> {
    if section.sealed.is_some() != matches!(section.secret, SectionSecret::Nonce(_)) {
        return Err(FormatError::Invalid("salt or nonce of a section"));
    }
    Ok(SectionRow {
        name: section.name,
        stored_len: section.stored.len() as u32, // at most 16 MiB by now
        encoding: section.encoding,
        hash,
        sealed: section.sealed,
    })
}

/// What every event frame and payload stub begins with, before its place.
fn write_head(out: &mut Vec<u8>, facts_len: usize, present: u16) -> Result<(), FormatError> {
    let facts_len = u16::try_from(facts_len).map_err(|_| FormatError::Limit {
        what: "facts",
        limit: MAX_FACTS_LEN as u64,
    })?;
    out.extend_from_slice(&0u16.to_le_bytes()); // flags
    out.extend_from_slice(&facts_len.to_le_bytes());
    out.extend_from_slice(&present.to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
    Ok(())
}

/// An event frame or payload stub, decoded as far as its facts; the payload is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct EventFrame<'a> {
    /// The event's place.
    pub order: Ordering,
    /// Salt of the facts hash.
    pub facts_salt: [u8; 16],
    /// The canonical facts as stored.
    pub facts_bytes: &'a [u8],
    /// The canonical facts.
    pub facts: FactsRef<'a>,
    /// Bit i: section i is still there. All of them in an event, fewer in a payload stub.
    pub present: u16,
    payload: &'a [u8],
}

/// One section as it stands in a frame: its row, and its salt or nonce with its bytes; `None` where those
/// are erased.
pub type FramedSection<'a> = (SectionRow<'a>, Option<(SectionSecret, &'a [u8])>);

/// A section as far as its hash is concerned.
#[derive(Clone, Copy, Debug)]
pub struct StoredSection<'a> {
    /// The hash that the table states.
    pub hash: &'a Digest,
    /// Whether it is encrypted.
    pub sealed: bool,
    /// Salt, or nonce of an encrypted one.
    pub secret: &'a [u8],
    /// The bytes as stored.
    pub stored: &'a [u8],
}

/// What a section is read by, found without decoding all facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundSection<'a> {
    /// The event's kind as stored.
    pub kind: &'a [u8],
    /// Version of the payload's shape.
    pub payload_version: u16,
    /// The section and which of the table it is; `None` if the event has no section of the name.
    pub section: Option<(usize, FramedSection<'a>)>,
}

/// Finds the section of a name in the body of an event's frame or payload stub, at a fraction of what
/// [`EventFrame::decode`] costs: facts besides the section table are passed over unchecked. For frames whose
/// checksum holds.
///
/// # Errors
/// [`FormatError`] for a body whose lengths don't fit together.
pub fn find_section<'a>(
    kind: FrameType,
    body: &'a [u8],
    name: &str,
) -> Result<FoundSection<'a>, FormatError> {
    if !matches!(kind, FrameType::Event | FrameType::PayloadStub) {
        return Err(FormatError::Invalid("type of an event frame"));
    }
    let mut input = Cursor::new(body, "event frame");
    input.no_flags()?;
    let facts_len = usize::from(input.u16()?);
    let present = input.u16()?;
    input.take(2 + ORDER_LEN + 16)?;
    let (mut found, mut rows) = at_sections(input.take(facts_len)?)?;
    let count = rows.u8()?;
    if usize::from(count) > MAX_SECTIONS || (kind == FrameType::Event) != all_there(present, count)
    {
        return Err(FormatError::Invalid("sections of an event frame"));
    }
    for index in 0..count {
        let row = SectionRow::decode(&mut rows)?;
        let there = present.checked_shr(u32::from(index)).unwrap_or(0) & 1 == 1;
        if row.name != name {
            if there {
                input.take(row.secret_len())?;
                input.take(row.stored_len as usize)?;
            }
            continue;
        }
        let content = match (there, row.sealed) {
            (false, _) => None,
            (true, None) => Some(SectionSecret::Salt(input.array()?)),
            (true, Some(_)) => Some(SectionSecret::Nonce(input.array()?)),
        };
        let content = match content {
            None => None,
            Some(secret) => Some((secret, input.take(row.stored_len as usize)?)),
        };
        found.section = Some((usize::from(index), (row, content)));
        break;
    }
    Ok(found)
}

/// Whether the bitmap has all of so many sections.
fn all_there(present: u16, count: u8) -> bool {
    u32::from(present) == (1u32 << count) - 1
}

impl<'a> EventFrame<'a> {
    /// How many bytes of the body are salts, nonces and sections.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// Reads the body of a frame of type [`FrameType::Event`] or [`FrameType::PayloadStub`].
    ///
    /// The section hashes are not checked here; see [`check_sections`](Self::check_sections).
    ///
    /// # Errors
    /// [`FormatError`] for anything that the encoders would not have written.
    // Always: see `Cursor::chunk`.
    #[inline(always)]
    pub fn decode(kind: FrameType, body: &'a [u8]) -> Result<Self, FormatError> {
        if !matches!(kind, FrameType::Event | FrameType::PayloadStub) {
            return Err(FormatError::Invalid("type of an event frame"));
        }
        let mut input = Cursor::new(body, "event frame");
        input.no_flags()?;
        let facts_len = usize::from(input.u16()?);
        let present = input.u16()?;
        input.zeros(2)?;
        let order = Ordering::decode(&mut input)?;
        let facts_salt = *input.chunk()?;
        let facts_bytes = input.take(facts_len)?;
        let facts = FactsRef::decode(facts_bytes)?;
        let all = (1u32 << facts.sections.len()) - 1;
        let complete = u32::from(present) == all;
        if u32::from(present) & !all != 0 || complete != (kind == FrameType::Event) {
            return Err(FormatError::Invalid("sections of an event frame"));
        }
        // The facts bound the sum of all stored lengths.
        let payload_len = if complete {
            facts.sections.payload_len()
        } else {
            let rows = facts.sections.iter().enumerate();
            let there = rows.filter(|(index, _)| present >> index & 1 == 1);
            there
                .map(|(_, row)| row.secret_len() + row.stored_len as usize)
                .sum()
        };
        let payload = input.take(payload_len)?;
        input.finish()?;
        Ok(Self {
            order,
            facts_salt,
            facts_bytes,
            facts,
            present,
            payload,
        })
    }

    /// Each section's table row with its salt or nonce and its bytes; `None` where it is erased.
    pub fn sections(
        &self,
    ) -> impl Iterator<Item = (SectionRow<'a>, Option<(SectionSecret, &'a [u8])>)> + use<'a> {
        let present = self.present;
        let mut payload = Cursor::new(self.payload, "payload");
        self.facts
            .sections
            .iter()
            .enumerate()
            .map(move |(index, row)| {
                if present >> index & 1 == 0 {
                    return (row, None);
                }
                // `decode` has checked that the payload holds exactly these.
                let secret = match row.sealed {
                    None => payload.array().ok().map(SectionSecret::Salt),
                    Some(_) => payload.array().ok().map(SectionSecret::Nonce),
                };
                let stored = payload.take(row.stored_len as usize).ok();
                (row, secret.zip(stored))
            })
    }

    /// What is stored of each section that is there, in order: all that is needed to hash it.
    pub fn stored_sections(&self) -> impl Iterator<Item = StoredSection<'a>> + use<'a> {
        let present = self.present;
        let mut payload = Cursor::new(self.payload, "payload");
        let mut rows = self.facts.sections.raw().enumerate();
        std::iter::from_fn(move || {
            let (_, row) = rows.find(|(index, _)| present >> index & 1 == 1)?;
            // `decode` has checked that the payload holds exactly these.
            let sealed = row.sealed.is_some();
            Some(StoredSection {
                hash: row.hash,
                sealed,
                secret: payload.take(secret_len(sealed)).ok()?,
                stored: payload.take(row.stored_len as usize).ok()?,
            })
        })
    }

    /// Re-hashes every section that is there and compares it with the table.
    ///
    /// # Errors
    /// [`FormatError::Checksum`] if one differs.
    pub fn check_sections(&self) -> Result<(), FormatError> {
        for (row, content) in self.sections() {
            if let Some((secret, stored)) = content
                && section_hash(&secret, stored) != row.hash
            {
                return Err(FormatError::Checksum("section"));
            }
        }
        Ok(())
    }

    /// The event's spine, with the facts hash computed from the stored facts.
    #[must_use]
    pub fn spine(&self, journal: &JournalId) -> Spine {
        self.order
            .spine(journal, facts_hash(&self.facts_salt, self.facts_bytes))
    }

    /// The event hash.
    #[must_use]
    pub fn event_hash(&self, journal: &JournalId) -> Digest {
        event_hash(&self.spine(journal))
    }
}
