use crate::{
    Digest, EventId, Facts, FactsRef, FormatError, FrameType, JournalId, MAX_FACTS_LEN, SectionRow,
    SectionSecret, Spine, StreamId, cursor::Cursor, event_hash, facts_hash, frame::FRAME_HEADER_LEN,
    section_hash, write_frame,
};

const SEQUENCE_AT: usize = FRAME_HEADER_LEN + 8;
const NO_PREVIOUS: u64 = u64::MAX;

/// What the order lock decides of an event: its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordering {
    /// Place in the journal.
    pub sequence: u64,
    /// Place in the stream.
    pub revision: u64,
    /// The stream.
    pub stream: StreamId,
    /// When the journal took it, in microseconds since 1970-01-01 UTC.
    pub recorded_at: i64,
    /// Event hash of the stream's previous event; zeros at revision 0.
    pub previous: Digest,
    /// Sequence of the stream's previous event; `None` at revision 0.
    pub previous_sequence: Option<u64>,
}

impl Ordering {
    fn encode(&self) -> [u8; 80] {
        let mut out = [0u8; 80];
        out[0..8].copy_from_slice(&self.sequence.to_le_bytes());
        out[8..16].copy_from_slice(&self.revision.to_le_bytes());
        out[16..32].copy_from_slice(&self.stream);
        out[32..40].copy_from_slice(&self.recorded_at.to_le_bytes());
        out[40..72].copy_from_slice(&self.previous);
        out[72..80].copy_from_slice(&self.previous_sequence.unwrap_or(NO_PREVIOUS).to_le_bytes());
        out
    }

    fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let order = Self {
            sequence: input.u64()?,
            revision: input.u64()?,
            stream: input.array()?,
            recorded_at: input.i64()?,
            previous: input.array()?,
            previous_sequence: Some(input.u64()?).filter(|sequence| *sequence != NO_PREVIOUS),
        };
        let first = order.revision == 0;
        if first != order.previous_sequence.is_none() || (first && order.previous != [0; 32]) {
            return Err(FormatError::Invalid("previous event of a frame"));
        }
        if order.previous_sequence.is_some_and(|previous| previous >= order.sequence) {
            return Err(FormatError::Invalid("previous sequence of a frame"));
        }
        Ok(order)
    }

    /// The spine of the event at this place.
    #[must_use]
    pub fn spine(&self, journal: &JournalId, facts_hash: Digest) -> Spine {
        Spine {
            journal: *journal,
            sequence: self.sequence,
            revision: self.revision,
            stream: self.stream,
            recorded_at: self.recorded_at,
            previous: self.previous,
            facts_hash,
        }
    }
}

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
    /// If `buffer` is not the one that the frame was appended to: a mistake of the caller.
    pub fn place(&self, buffer: &mut [u8], order: &Ordering) {
        let at = self.start + SEQUENCE_AT;
        buffer[at..at + 80].copy_from_slice(&order.encode());
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
    let mut rows = [EMPTY_ROW; crate::MAX_SECTIONS];
    let Some(rows) = rows.get_mut(..parts.sections.len()) else {
        return Err(FormatError::Limit { what: "sections", limit: crate::MAX_SECTIONS as u64 });
    };
    for (row, section) in rows.iter_mut().zip(parts.sections) {
        *row = row_of(section)?;
    }
    scratch.clear();
    Facts { sections: rows, ..parts.facts }.encode(scratch)?;
    let start = write_frame(FrameType::Event, out, |out| {
        let all_present = (1u32 << parts.sections.len()) - 1;
        write_head(out, scratch.len(), all_present as u16)?;
        out.extend_from_slice(&[0; 80]);
        out.extend_from_slice(&parts.facts_salt);
        out.extend_from_slice(scratch);
        for section in parts.sections {
            out.extend_from_slice(section.secret.as_bytes());
            out.extend_from_slice(section.stored);
        }
        Ok(())
    })?;
    Ok(PreparedFrame {
        start,
        len: out.len() - start,
        event_id: parts.facts.event_id,
        facts_hash: facts_hash(&parts.facts_salt, scratch),
    })
}

const EMPTY_ROW: SectionRow<'static> = SectionRow {
    name: "",
    stored_len: 0,
    encoding: crate::Encoding::Raw,
    hash: [0; 32],
    sealed: None,
};

fn row_of<'a>(section: &SectionParts<'a>) -> Result<SectionRow<'a>, FormatError> {
    let limit = FormatError::Limit { what: "section", limit: u64::from(u32::MAX) };
    if section.sealed.is_some() != matches!(section.secret, SectionSecret::Nonce(_)) {
        return Err(FormatError::Invalid("salt or nonce of a section"));
    }
    Ok(SectionRow {
        name: section.name,
        stored_len: u32::try_from(section.stored.len()).map_err(|_| limit)?,
        encoding: section.encoding,
        hash: section_hash(&section.secret, section.stored),
        sealed: section.sealed,
    })
}

fn write_head(out: &mut Vec<u8>, facts_len: usize, present: u16) -> Result<(), FormatError> {
    let facts_len = u16::try_from(facts_len)
        .map_err(|_| FormatError::Limit { what: "facts", limit: MAX_FACTS_LEN as u64 })?;
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

impl<'a> EventFrame<'a> {
    /// Reads the body of a frame of type [`FrameType::Event`] or [`FrameType::PayloadStub`].
    ///
    /// The section hashes are not checked here; see [`check_sections`](Self::check_sections).
    ///
    /// # Errors
    /// [`FormatError`] for anything that the encoders would not have written.
    pub fn decode(kind: FrameType, body: &'a [u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(body, "event frame");
        input.zeros(2)?;
        let facts_len = usize::from(input.u16()?);
        let present = input.u16()?;
        input.zeros(2)?;
        let order = Ordering::decode(&mut input)?;
        let facts_salt = input.array()?;
        let facts_bytes = input.take(facts_len)?;
        let facts = FactsRef::decode(facts_bytes)?;
        let all = (1u32 << facts.sections.len()) - 1;
        let complete = u32::from(present) == all;
        if u32::from(present) & !all != 0 || complete != (kind == FrameType::Event) {
            return Err(FormatError::Invalid("sections of an event frame"));
        }
        let mut payload_len = 0usize;
        for (index, row) in facts.sections.iter().enumerate() {
            if present >> index & 1 == 1 {
                payload_len += row.secret_len() + row.stored_len as usize;
            }
        }
        let payload = input.take(payload_len)?;
        input.finish()?;
        Ok(Self { order, facts_salt, facts_bytes, facts, present, payload })
    }

    /// Each section's table row with its salt or nonce and its bytes; `None` where it is erased.
    pub fn sections(
        &self,
    ) -> impl Iterator<Item = (SectionRow<'a>, Option<(SectionSecret, &'a [u8])>)> + use<'a> {
        let present = self.present;
        let mut payload = Cursor::new(self.payload, "payload");
        self.facts.sections.iter().enumerate().map(move |(index, row)| {
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
        self.order.spine(journal, facts_hash(&self.facts_salt, self.facts_bytes))
    }

    /// The event hash.
    #[must_use]
    pub fn event_hash(&self, journal: &JournalId) -> Digest {
        event_hash(&self.spine(journal))
    }
}

/// Appends the stub that keeps only the sections in the bitmap `keep` of an event, CRC left open.
/// Returns where the frame starts.
///
/// # Errors
/// [`FormatError::Invalid`] if `keep` names a section that isn't there or keeps all of them.
pub fn encode_payload_stub(
    event: &EventFrame<'_>,
    keep: u16,
    out: &mut Vec<u8>,
) -> Result<usize, FormatError> {
    let all = (1u32 << event.facts.sections.len()) - 1;
    if keep & !event.present != 0 || u32::from(keep) == all {
        return Err(FormatError::Invalid("sections kept by a stub"));
    }
    write_frame(FrameType::PayloadStub, out, |out| {
        write_head(out, event.facts_bytes.len(), keep)?;
        out.extend_from_slice(&event.order.encode());
        out.extend_from_slice(&event.facts_salt);
        out.extend_from_slice(event.facts_bytes);
        for (index, (_, content)) in event.sections().enumerate() {
            if keep >> index & 1 == 0 {
                continue;
            }
            let (secret, stored) = content.ok_or(FormatError::Invalid("sections kept by a stub"))?;
            out.extend_from_slice(secret.as_bytes());
            out.extend_from_slice(stored);
        }
        Ok(())
    })
}

/// A full stub: an event's spine and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullStub {
    /// The event's place.
    pub order: Ordering,
    /// Hash of the facts that are gone.
    pub facts_hash: Digest,
}

impl FullStub {
    /// Reads the body of a frame of type [`FrameType::FullStub`].
    ///
    /// # Errors
    /// [`FormatError`] for anything that [`encode_full_stub`] would not have written.
    pub fn decode(body: &[u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(body, "full stub");
        input.zeros(8)?;
        let stub = Self { order: Ordering::decode(&mut input)?, facts_hash: input.array()? };
        input.finish()?;
        Ok(stub)
    }

    /// The event hash: the same as before the erasure.
    #[must_use]
    pub fn event_hash(&self, journal: &JournalId) -> Digest {
        event_hash(&self.order.spine(journal, self.facts_hash))
    }
}

/// Appends the frame of a full stub, CRC left open. Returns where it starts.
///
/// # Errors
/// None in practice: the body is far below every limit.
pub fn encode_full_stub(stub: &FullStub, out: &mut Vec<u8>) -> Result<usize, FormatError> {
    write_frame(FrameType::FullStub, out, |out| {
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&stub.order.encode());
        out.extend_from_slice(&stub.facts_hash);
        Ok(())
    })
}
