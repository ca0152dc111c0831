use std::path::Path;

use factlog_format::{
    Digest, Encoding, EventFrame, EventRecord, FRAME_HEADER_LEN, FactsRef, FormatError,
    FoundSection, FrameType, FullStub, JournalId, Ordering, SectionSecret, StreamId,
    encode_payload_stub, event_hash, find_section,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{DATA_SECTION, EventRef, payload::decode};
use crate::{Error, Sealed};

/// An event as read from a journal; what an erasure took is missing, the rest is as it was appended.
#[derive(Clone, Debug)]
pub struct Event {
    kind: FrameType,
    body: Vec<u8>,
    order: Ordering,
    journal: JournalId,
    /// Whether the payload was left out when it was read.
    without_payload: bool,
    /// Of each section: its plaintext or why there is none. Empty where none was opened.
    opened: Vec<Opened>,
}

/// What opening an encrypted section came to; `None` for a plain one.
pub(crate) type Opened = Option<Result<Zeroizing<Vec<u8>>, Sealed>>;

pub(super) fn is_shredded(opened: &[Opened]) -> bool {
    let mut opened = opened.iter().flatten();
    opened.any(|one| matches!(one, Err(Sealed::Shredded { .. })))
}

/// One payload section as read.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// The section's name.
    pub name: &'a str,
    /// How its bytes are to be read.
    pub encoding: Encoding,
    /// The section hash that the event's facts commit to.
    pub hash: Digest,
    /// Salt or nonce and the bytes as stored, encrypted if the journal is; `None` if erased, or left out
    /// by a query.
    pub content: Option<(SectionSecret, &'a [u8])>,
    is_sealed: bool,
    opened: Option<&'a Result<Zeroizing<Vec<u8>>, Sealed>>,
}

impl<'a> Section<'a> {
    /// A section as it is shown elsewhere than in a journal: what is encrypted in it stays so.
    #[must_use]
    pub fn shown(
        name: &'a str,
        encoding: Encoding,
        hash: Digest,
        content: Option<(SectionSecret, &'a [u8])>,
    ) -> Self {
        Self {
            name,
            encoding,
            hash,
            content,
            is_sealed: matches!(content, Some((SectionSecret::Nonce(_), _))),
            opened: None,
        }
    }

    /// The bytes, decrypted if need be; `None` if erased, or if they can't be decrypted, of which
    /// [`sealed`](Self::sealed) tells.
    #[must_use]
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match (self.is_sealed, self.opened) {
            (false, _) => self.content.map(|(_, bytes)| bytes),
            (true, Some(Ok(plain))) => Some(plain),
            (true, _) => None,
        }
    }

    /// Whether the bytes are stored encrypted.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Why the stored bytes can't be decrypted: above all, that they were
    /// [shredded](Sealed::Shredded). `None` if they are plain, were decrypted, or aren't there.
    #[must_use]
    pub fn sealed(&self) -> Option<&'a Sealed> {
        self.opened.and_then(|opened| opened.as_ref().err())
    }

    /// Reads the bytes as their encoding says; `None` if erased.
    ///
    /// # Errors
    /// [`Misuse::PayloadType`](crate::Misuse::PayloadType) if the bytes are no such value, [`Error::Sealed`] if they can't be decrypted.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        if let Some(why) = self.sealed() {
            return Err(why.clone().into());
        }
        let decoded = self.bytes().map(|bytes| decode(self.encoding, bytes));
        Ok(decoded.transpose()?)
    }
}

impl Event {
    /// Decodes a frame's body and keeps it; its CRC has been checked.
    pub(crate) fn decode(
        journal: &JournalId,
        kind: FrameType,
        body: Vec<u8>,
    ) -> Result<Self, FormatError> {
        let order = match kind {
            FrameType::FullStub => FullStub::decode(&body)?.order,
            _ => EventFrame::decode(kind, &body)?.order,
        };
        Ok(Self {
            kind,
            body,
            order,
            journal: *journal,
            without_payload: false,
            opened: Vec::new(),
        })
    }

    /// The same without its payload.
    pub(crate) fn into_facts(self) -> Result<Self, FormatError> {
        let Some(frame) = self.frame().filter(|frame| frame.present != 0) else {
            return Ok(self);
        };
        let mut bytes = Vec::with_capacity(FRAME_HEADER_LEN + frame.facts_bytes.len() + 256);
        encode_payload_stub(&frame, 0, &mut bytes)?;
        bytes.drain(..FRAME_HEADER_LEN);
        // What fills a frame up to a multiple of 8 is no part of its body.
        let body_len = self.body.len() - frame.payload_len();
        bytes.truncate(body_len);
        Ok(Self {
            kind: FrameType::PayloadStub,
            body: bytes,
            without_payload: true,
            ..self
        })
    }

    /// Whether the payload was left out because the query asked for [facts only](crate::Query::facts_only);
    /// then its sections look as if they were erased.
    #[must_use]
    pub fn is_without_payload(&self) -> bool {
        self.without_payload
    }

    /// Whether an erasure took something of it.
    pub(crate) fn is_stub(&self) -> bool {
        self.kind != FrameType::Event && !self.without_payload
    }

    /// Type of its frame.
    pub(crate) fn frame_kind(&self) -> FrameType {
        self.kind
    }

    /// Its frame's body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The journal it is of.
    pub(crate) fn journal(&self) -> &JournalId {
        &self.journal
    }

    /// Keeps what opening its sections came to.
    pub(crate) fn set_opened(&mut self, opened: Vec<Opened>) {
        self.opened = opened;
    }

    /// Whether the key of any of its sections was destroyed; what isn't sealed under that key is there.
    #[must_use]
    pub fn is_shredded(&self) -> bool {
        is_shredded(&self.opened)
    }

    /// Of each section what opening it came to.
    pub(crate) fn opened(&self) -> &[Opened] {
        &self.opened
    }

    /// Kind, version and data; `None` for a full stub.
    pub(crate) fn find_data(&self) -> Option<FoundSection<'_>> {
        // Decoded once before, when the event was made.
        find_section(self.kind, &self.body, DATA_SECTION).ok()
    }

    /// The same, borrowed.
    pub(crate) fn as_event_ref<'a>(&'a self, path: &'a Path) -> EventRef<'a> {
        EventRef {
            kind: self.kind,
            body: &self.body,
            order: self.order,
            journal: &self.journal,
            path,
            opened: &self.opened,
        }
    }

    /// All of it but what an erasure took; `None` for a full stub.
    pub(crate) fn frame(&self) -> Option<EventFrame<'_>> {
        // Decoded once before, when the event was made.
        EventFrame::decode(self.kind, &self.body)
            .ok()
            .filter(|_| self.kind != FrameType::FullStub)
    }

    /// Place in the journal, dense from 0.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.order.sequence
    }

    /// Place in the stream, dense from 0.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.order.revision
    }

    /// The stream.
    #[must_use]
    pub fn stream_id(&self) -> StreamId {
        self.order.stream
    }

    /// When the journal took it, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn recorded_at(&self) -> i64 {
        self.order.recorded_at
    }

    /// Event hash of the stream's previous event; zeros at revision 0.
    #[must_use]
    pub fn previous_hash(&self) -> Digest {
        self.order.previous
    }

    /// Sequence of the stream's previous event, as the journal hints; `None` at revision 0.
    #[must_use]
    pub fn previous_sequence(&self) -> Option<u64> {
        self.order.previous_sequence
    }

    /// Everything visible besides the payload; `None` if an erasure took it (a full stub).
    #[must_use]
    pub fn facts(&self) -> Option<FactsRef<'_>> {
        self.frame().map(|frame| frame.facts)
    }

    /// The event's id; `None` in a full stub.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.facts().map(|facts| Uuid::from_bytes(facts.event_id))
    }

    /// The payload sections in order; none in a full stub.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.frame().into_iter().flat_map(|frame| {
            let sections = frame.sections().enumerate();
            sections.map(|(index, (row, content))| Section {
                name: row.name,
                encoding: row.encoding,
                hash: row.hash,
                content,
                is_sealed: row.sealed.is_some(),
                opened: self.opened.get(index).and_then(Option::as_ref),
            })
        })
    }

    /// The section of this name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Section<'_>> {
        if self.kind == FrameType::FullStub {
            return None;
        }
        // Decoded once before, when the event was made.
        let found = find_section(self.kind, &self.body, name).ok()?;
        let (index, (row, content)) = found.section?;
        Some(Section {
            name: row.name,
            encoding: row.encoding,
            hash: row.hash,
            content,
            is_sealed: row.sealed.is_some(),
            opened: self.opened.get(index).and_then(Option::as_ref),
        })
    }

    /// The section that [`NewEvent::data`](super::NewEvent::data) filled.
    #[must_use]
    pub fn data(&self) -> Option<Section<'_>> {
        self.section(DATA_SECTION)
    }

    /// Spine and facts, as a receipt carries them; for a full stub the spine alone.
    #[must_use]
    pub fn record(&self) -> EventRecord {
        if let Some(frame) = self.frame() {
            let spine = frame.spine(&self.journal);
            let facts = frame.facts_bytes.to_vec();
            if let Ok(record) = EventRecord::with_facts(spine, frame.facts_salt, facts) {
                return record;
            }
        }
        let facts_hash = FullStub::decode(&self.body).map_or([0; 32], |stub| stub.facts_hash);
        EventRecord::spine_only(self.order.spine(&self.journal, facts_hash))
    }

    /// The event hash: what the stream's next event and the Merkle tree commit to.
    #[must_use]
    pub fn hash(&self) -> Digest {
        event_hash(self.record().spine())
    }

    /// Re-hashes every payload section that is there.
    ///
    /// # Errors
    /// [`FormatError::Checksum`] if one isn't what the facts commit to.
    pub fn check_sections(&self) -> Result<(), FormatError> {
        self.frame().map_or(Ok(()), |frame| frame.check_sections())
    }
}
