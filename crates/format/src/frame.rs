use crate::{FormatError, JournalId, MAX_FRAME_BODY, cursor::Cursor};

/// What stands before a frame's body: `len u32 | crc u32 | type u8 | 3 zero bytes`.
pub const FRAME_HEADER_LEN: usize = 12;
const ALIGN: usize = 8;
const CRC_AT: std::ops::Range<usize> = 4..8;
/// The CRC covers the length and, from here on, type and body.
const COVERED_FROM: usize = 8;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// A commit header (type 1).
    Commit,
    /// An event with all its sections (type 2).
    Event,
    /// An event of which some or all sections are erased (type 3).
    PayloadStub,
    /// An event of which only the spine is left (type 4).
    FullStub,
}

impl FrameType {
    fn code(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Event => 2,
            Self::PayloadStub => 3,
            Self::FullStub => 4,
        }
    }

    fn from_code(code: u8) -> Result<Self, FormatError> {
        Ok(match code {
            1 => Self::Commit,
            2 => Self::Event,
            3 => Self::PayloadStub,
            4 => Self::FullStub,
            // Zeros never pass for a frame; anything else could be a newer format's.
            0 => return Err(FormatError::Invalid("frame type")),
            _ => return Err(FormatError::Unsupported("frame type")),
        })
    }
}

/// The value that a journal's CRCs start from, so that a frame of another journal never passes: the
/// CRC-32 of the journal id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrcSeed(u32);

impl CrcSeed {
    /// The seed of one journal.
    #[must_use]
    pub fn of(journal: &JournalId) -> Self {
        Self(crc32fast::hash(journal))
    }

    fn crc(self, frame: &[u8], body_end: usize) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(frame.get(..CRC_AT.start).unwrap_or_default());
        hasher.update(frame.get(COVERED_FROM..body_end).unwrap_or_default());
        hasher.finalize()
    }
}

/// A frame whose CRC and padding have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it holds.
    pub kind: FrameType,
    /// Its CRC, which the frames check of its group covers.
    pub crc: u32,
    /// The body.
    pub body: &'a [u8],
    /// The whole length with header and padding: a multiple of 8.
    pub len: usize,
}

impl<'a> Frame<'a> {
    /// The whole length of the frame that begins with `head`, of which 12 bytes suffice; not yet
    /// checked against its CRC.
    ///
    /// # Errors
    /// [`FormatError`] if the header is too short, its length is 0 or over the limit.
    pub fn peek_len(head: &[u8]) -> Result<usize, FormatError> {
        let mut input = Cursor::new(head, "frame");
        let len = input.u32()? as usize;
        if len == 0 {
            return Err(FormatError::Invalid("frame length"));
        }
        if len > MAX_FRAME_BODY {
            return Err(FormatError::Limit {
                what: "frame",
                limit: MAX_FRAME_BODY as u64,
            });
        }
        Ok(whole_len(len))
    }

    /// Reads the frame that `bytes` begins with.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] if the frame goes on past `bytes`; another variant if it is damaged
    /// or of an unknown type.
    pub fn read(seed: CrcSeed, bytes: &'a [u8]) -> Result<Self, FormatError> {
        let len = Self::peek_len(bytes)?;
        let mut input = Cursor::new(bytes, "frame");
        let body_len = input.u32()? as usize;
        let crc = input.u32()?;
        let code = input.u8()?;
        input.zeros(3)?;
        let body = input.take(body_len)?;
        let body_end = FRAME_HEADER_LEN + body_len;
        input.zeros(len - body_end)?;
        if seed.crc(bytes, body_end) != crc {
            return Err(FormatError::Checksum("frame"));
        }
        Ok(Self {
            kind: FrameType::from_code(code)?,
            crc,
            body,
            len,
        })
    }
}

fn whole_len(body_len: usize) -> usize {
    (FRAME_HEADER_LEN + body_len).next_multiple_of(ALIGN)
}

/// Appends a frame of `kind` whose body `write` appends; its CRC is left zero for [`seal_frame`].
/// Returns where the frame starts.
///
/// # Errors
/// What `write` returns, [`FormatError::Limit`] for a body over the limit, [`FormatError::Invalid`]
/// for an empty one; `out` is then cut back.
pub fn write_frame(
    kind: FrameType,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), FormatError>,
) -> Result<usize, FormatError> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    let result = write(out).and_then(|()| {
        let body_len = out.len() - start - FRAME_HEADER_LEN;
        if body_len == 0 {
            return Err(FormatError::Invalid("frame length"));
        }
        if body_len > MAX_FRAME_BODY {
            return Err(FormatError::Limit {
                what: "frame",
                limit: MAX_FRAME_BODY as u64,
            });
        }
        out.resize(start + whole_len(body_len), 0);
        let mut header = [0u8; FRAME_HEADER_LEN];
        header[..CRC_AT.start].copy_from_slice(&(body_len as u32).to_le_bytes());
        header[COVERED_FROM] = kind.code();
        if let Some(open) = out.get_mut(start..start + FRAME_HEADER_LEN) {
            open.copy_from_slice(&header);
        }
        Ok(start)
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Computes the CRC of the frame that `frame` begins with, stores it and returns it.
///
/// # Panics
/// Never for a frame made by [`write_frame`]; a shorter slice is a mistake of the caller.
#[expect(
    clippy::indexing_slicing,
    reason = "the frame is the caller's own, not input, and its length is asserted"
)]
pub fn seal_frame(seed: CrcSeed, frame: &mut [u8]) -> u32 {
    let len = Frame::peek_len(frame).unwrap_or(usize::MAX);
    assert!(frame.len() >= len, "not a whole frame");
    let body_len = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    let crc = seed.crc(frame, FRAME_HEADER_LEN + body_len);
    frame[CRC_AT].copy_from_slice(&crc.to_le_bytes());
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: CrcSeed = CrcSeed(0x1234_5678);

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(FrameType::Event, &mut out, |out| {
            out.extend_from_slice(body);
            Ok(())
        })
        .unwrap();
        seal_frame(SEED, &mut out);
        out
    }

    #[test]
    fn a_frame_comes_back_at_every_length() {
        for len in 1..40 {
            let body: Vec<u8> = (0..len).collect();
            let bytes = frame(&body);
            let read = Frame::read(SEED, &bytes).unwrap();
            assert_eq!((read.body, read.len), (&body[..], bytes.len()));
            assert_eq!(read.len % 8, 0);
        }
    }

    #[test]
    fn every_bit_of_a_frame_counts() {
        let bytes = frame(b"thirteen byte");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::read(SEED, &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_journals_frame_does_not_pass() {
        assert_eq!(
            Frame::read(CrcSeed(1), &frame(b"x")).err(),
            Some(FormatError::Checksum("frame"))
        );
    }

    #[test]
    fn zeros_and_short_input_are_no_frames() {
        assert!(Frame::read(SEED, &[0; 64]).is_err());
        let bytes = frame(b"some body");
        for len in 0..bytes.len() {
            assert!(Frame::read(SEED, &bytes[..len]).is_err());
        }
    }
}
