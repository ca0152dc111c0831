use crate::{Digest, FormatError, JournalId, Spine, StreamId, cursor::Cursor};

/// The length of an encoded place, in bytes.
pub(crate) const ORDER_LEN: usize = 80;
/// Where a place stands in the body of an event or stub.
pub(crate) const ORDER_IN_BODY: usize = 8;
/// Stands for "no previous event"; no event can have it as its previous sequence, which is lower
/// than its own.
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
    /// The place in the body of an event's frame or stub, without a look at the rest of it.
    ///
    /// # Errors
    /// [`FormatError`] if there is none that an event can have.
    pub fn peek(body: &[u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(body, "event frame");
        input.take(ORDER_IN_BODY)?;
        Self::decode(&mut input)
    }

    pub(crate) fn encode(&self) -> [u8; ORDER_LEN] {
        let mut out = [0u8; ORDER_LEN];
        out[0..8].copy_from_slice(&self.sequence.to_le_bytes());
        out[8..16].copy_from_slice(&self.revision.to_le_bytes());
        out[16..32].copy_from_slice(&self.stream);
        out[32..40].copy_from_slice(&self.recorded_at.to_le_bytes());
        out[40..72].copy_from_slice(&self.previous);
        out[72..80].copy_from_slice(&self.previous_sequence.unwrap_or(NO_PREVIOUS).to_le_bytes());
        out
    }

    // Always: see `Cursor::chunk`.
    #[inline(always)]
    pub(crate) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let order = Self {
            sequence: input.u64()?,
            revision: input.u64()?,
            stream: *input.chunk()?,
            recorded_at: input.i64()?,
            previous: *input.chunk()?,
            previous_sequence: Some(input.u64()?).filter(|sequence| *sequence != NO_PREVIOUS),
        };
        order.check()?;
        Ok(order)
    }

    /// Refuses a place that no event can have: revision 0 has no previous event, any other has one,
    /// and it comes before.
    ///
    /// # Errors
    /// [`FormatError::Invalid`].
    pub fn check(&self) -> Result<(), FormatError> {
        let consistent = match self.previous_sequence {
            None => self.revision == 0 && self.previous == [0; 32],
            Some(previous) => self.revision != 0 && previous < self.sequence,
        };
        if consistent {
            return Ok(());
        }
        Err(FormatError::Invalid("previous event of a frame"))
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
