use crate::{Digest, FORMAT_VERSION, FormatError, HASH_SUITE, JournalId, StreamId, cursor::Cursor};

/// The length of an encoded spine, in bytes.
pub const SPINE_LEN: usize = 128;

/// What the event hash is computed over: an event's place in the journal and its stream, and the hash
/// of its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spine {
    /// The journal that the event belongs to.
    pub journal: JournalId,
    /// Place in the journal, dense from 0; also the leaf index in the Merkle tree.
    pub sequence: u64,
    /// Place in the stream, dense from 0.
    pub revision: u64,
    /// The stream.
    pub stream: StreamId,
    /// When the journal took the event, in microseconds since 1970-01-01 UTC.
    pub recorded_at: i64,
    /// Event hash of the stream's previous event; zeros at revision 0.
    pub previous: Digest,
    /// Hash of the salted canonical facts.
    pub facts_hash: Digest,
}

impl Spine {
    /// The 128 bytes that are hashed, little-endian.
    ///
    /// [`decode`](Self::decode) refuses a previous hash at revision 0; it is up to the caller not to
    /// make such a spine.
    #[must_use]
    pub fn encode(&self) -> [u8; SPINE_LEN] {
        let mut out = [0u8; SPINE_LEN];
        out[0] = FORMAT_VERSION;
        out[1] = HASH_SUITE;
        out[8..24].copy_from_slice(&self.journal);
        out[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        out[32..40].copy_from_slice(&self.revision.to_le_bytes());
        out[40..56].copy_from_slice(&self.stream);
        out[56..64].copy_from_slice(&self.recorded_at.to_le_bytes());
        out[64..96].copy_from_slice(&self.previous);
        out[96..128].copy_from_slice(&self.facts_hash);
        out
    }

    /// Reads exactly [`SPINE_LEN`] bytes.
    ///
    /// # Errors
    /// [`FormatError`] if the length, version, suite or a reserved bit is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(bytes, "spine");
        if input.u8()? != FORMAT_VERSION {
            return Err(FormatError::Unsupported("spine format version"));
        }
        if input.u8()? != HASH_SUITE {
            return Err(FormatError::Unsupported("hash suite"));
        }
        input.no_flags()?;
        input.zeros(4)?;
        let spine = Self {
            journal: input.array()?,
            sequence: input.u64()?,
            revision: input.u64()?,
            stream: input.array()?,
            recorded_at: input.i64()?,
            previous: input.array()?,
            facts_hash: input.array()?,
        };
        input.finish()?;
        if spine.revision == 0 && spine.previous != [0; 32] {
            return Err(FormatError::Invalid("previous hash at revision 0"));
        }
        Ok(spine)
    }
}
