use super::write_head;
use crate::{
    Digest, EventFrame, FormatError, FrameType, JournalId, Ordering, cursor::Cursor, event_hash,
    order::ORDER_LEN, write_frame,
};

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
            let (secret, stored) =
                content.ok_or(FormatError::Invalid("sections kept by a stub"))?;
            out.extend_from_slice(secret.as_bytes());
            out.extend_from_slice(stored);
        }
        Ok(())
    })
}

/// Appends the stub that keeps no section, as [`encode_payload_stub`] makes it, CRC left open, out of the body of an
/// event's frame or payload stub whose checksum holds: a fraction of the work, since facts are copied unread.
/// Appends nothing and gives `false` where no section is left.
///
/// # Errors
/// [`FormatError`] for a body too short for its facts, and for reserved bits.
pub fn encode_bare_stub(body: &[u8], out: &mut Vec<u8>) -> Result<bool, FormatError> {
    let mut input = Cursor::new(body, "event frame");
    input.no_flags()?;
    let facts_len = usize::from(input.u16()?);
    let present = input.u16()?;
    input.zeros(2)?;
    let kept = input.take(ORDER_LEN + size_of::<[u8; 16]>() + facts_len)?;
    if present == 0 {
        return Ok(false);
    }
    write_frame(FrameType::PayloadStub, out, |out| {
        write_head(out, facts_len, 0)?;
        out.extend_from_slice(kept);
        Ok(())
    })?;
    Ok(true)
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
        input.no_flags()?;
        input.zeros(6)?;
        let stub = Self {
            order: Ordering::decode(&mut input)?,
            facts_hash: input.array()?,
        };
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
/// [`FormatError::Invalid`] for a place that no event can have.
pub fn encode_full_stub(stub: &FullStub, out: &mut Vec<u8>) -> Result<usize, FormatError> {
    stub.order.check()?;
    write_frame(FrameType::FullStub, out, |out| {
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&stub.order.encode());
        out.extend_from_slice(&stub.facts_hash);
        Ok(())
    })
}
