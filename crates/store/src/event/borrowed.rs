use std::path::Path;

use factlog_format::{
    Digest, EventFrame, FactsRef, FormatError, FoundSection, FrameType, FullStub, JournalId,
    Ordering, StreamId, find_section,
};

use super::{
    DATA_SECTION, Event,
    stored::{Opened, is_shredded},
};
use crate::{Damage, Error};

/// An event where it stands: in a buffer that is used again, or in a mapped file. Its frame's checksum
/// and its place have been checked; its facts are decoded when they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    pub(crate) kind: FrameType,
    pub(crate) body: &'a [u8],
    pub(crate) order: Ordering,
    pub(crate) journal: &'a JournalId,
    /// Its segment.
    pub(crate) path: &'a Path,
    /// Of each section: what opening it came to. Empty where none is encrypted.
    pub(crate) opened: &'a [Opened],
}

impl<'a> EventRef<'a> {
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

    /// Everything visible besides the payload; `None` if an erasure took it (a full stub).
    ///
    /// # Errors
    /// [`Error::Damaged`] for facts that nobody could have appended.
    pub fn facts(&self) -> Result<Option<FactsRef<'a>>, Error> {
        Ok(self.frame()?.map(|frame| frame.facts))
    }

    /// The bytes of the section that [`NewEvent::data`](crate::NewEvent::data) filled; `None` if there
    /// is none, or if it is erased.
    ///
    /// # Errors
    /// As [`facts`](Self::facts), and [`Error::Sealed`] if it can't be decrypted.
    pub fn data(&self) -> Result<Option<&'a [u8]>, Error> {
        if self.kind == FrameType::FullStub {
            return Ok(None);
        }
        let Some((index, (row, content))) = self.find_data()?.section else {
            return Ok(None);
        };
        match (row.sealed, self.opened.get(index)) {
            (None, _) => Ok(content.map(|(_, bytes)| bytes)),
            (Some(_), Some(Some(Ok(plain)))) => Ok(Some(plain)),
            (Some(_), Some(Some(Err(why)))) => Err(why.clone().into()),
            (Some(_), _) => Ok(None),
        }
    }

    /// Kind, version and data. A scan asks for nothing else of most events, and decoding all of their facts
    /// costs as much as reading them.
    pub(crate) fn find_data(&self) -> Result<FoundSection<'a>, Error> {
        find_section(self.kind, self.body, DATA_SECTION).map_err(|error| self.bad(error))
    }

    /// A copy that stands on its own.
    ///
    /// # Errors
    /// As [`facts`](Self::facts).
    pub fn to_event(&self) -> Result<Event, Error> {
        let event = Event::decode(self.journal, self.kind, self.body.to_vec());
        let mut event = event.map_err(|error| self.bad(error))?;
        if !self.opened.is_empty() {
            event.set_opened(self.opened.to_vec());
        }
        Ok(event)
    }

    /// Whether an erasure took something of it.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.kind != FrameType::Event
    }

    /// Whether the key of any of its sections was destroyed; what isn't sealed under that key is there.
    #[must_use]
    pub fn is_shredded(&self) -> bool {
        is_shredded(self.opened)
    }

    /// All of it but what an erasure took; `None` for a full stub.
    pub(crate) fn frame(&self) -> Result<Option<EventFrame<'a>>, Error> {
        let decoded = match self.kind {
            FrameType::FullStub => FullStub::decode(self.body).map(|_| None),
            kind => EventFrame::decode(kind, self.body).map(Some),
        };
        decoded.map_err(|error| self.bad(error))
    }

    fn bad(&self, error: FormatError) -> Error {
        let damage = Damage::format("segment.corrupt", self.path, error);
        damage.sequence(self.order.sequence).into()
    }
}
