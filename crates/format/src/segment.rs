use crate::{
    Digest, FORMAT_VERSION, Features, FormatError, JournalId, MAX_EVENTS, MAX_GENERATION,
    MAX_SEGMENT_HEADER_LEN, cursor::Cursor,
};

const MAGIC: &[u8; 8] = b"FACTLOG\0";
const FIXED_LEN: usize = 104;
/// CRC and four zeros: the end of a segment header in every version.
const END_LEN: usize = 8;
const TOO_LONG: FormatError = FormatError::Limit {
    what: "segment header",
    limit: MAX_SEGMENT_HEADER_LEN as u64,
};

/// One segment that a compacted segment replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInput {
    /// Its first sequence.
    pub first_sequence: u64,
    /// Its generation.
    pub generation: u32,
}

/// What a segment file begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which extensions a reader must know.
    pub features: Features,
    /// The journal that the segment belongs to.
    pub journal: JournalId,
    /// Sequence of its first event.
    pub first_sequence: u64,
    /// Its generation: unique in the journal, in its file name too.
    pub generation: u32,
    /// The writer session that made it.
    pub incarnation: u32,
    /// Secret of the segment's commit checks.
    pub salt: [u8; 16],
    /// How many events were known to be durable when it was made. At most `first_sequence`, but for a
    /// compacted segment.
    pub durable: u64,
    /// Right edge of the tree of `first_sequence` leaves: roots of its complete subtrees, largest
    /// first.
    pub edge: Vec<Digest>,
    /// The segments that it replaces, in order of their sequences; the first begins where this one
    /// does, and their generations are lower. Empty unless compaction made it.
    pub inputs: Vec<SegmentInput>,
}

impl SegmentHeader {
    /// The encoded header: a multiple of 8 bytes, ending in a CRC-32 and four zeros.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the header: what is written must be readable.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(
            self.check().is_ok(),
            "a segment header that can't be read back"
        );
        let len = self.encoded_len();
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&u16::from(FORMAT_VERSION).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(len as u32).to_le_bytes());
        self.features.encode(&mut out);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.extend_from_slice(&(self.edge.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(self.inputs.len() as u32).to_le_bytes());
        debug_assert_eq!(out.len(), FIXED_LEN);
        for hash in &self.edge {
            out.extend_from_slice(hash);
        }
        for input in &self.inputs {
            out.extend_from_slice(&input.first_sequence.to_le_bytes());
            out.extend_from_slice(&input.generation.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        debug_assert_eq!(out.len(), len);
        out
    }

    /// The length of the encoded header, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        FIXED_LEN + 32 * self.edge.len() + 16 * self.inputs.len() + END_LEN
    }

    /// Refuses a header whose parts contradict each other.
    ///
    /// # Errors
    /// [`FormatError::Limit`] for more inputs than fit, else [`FormatError::Invalid`].
    pub fn check(&self) -> Result<(), FormatError> {
        if self.encoded_len() > MAX_SEGMENT_HEADER_LEN {
            return Err(TOO_LONG);
        }
        let edge_fits = self.edge.len() == self.first_sequence.count_ones() as usize;
        // Of a compacted segment the events were durable before it was made.
        let durable_fits = !self.inputs.is_empty() || self.durable <= self.first_sequence;
        let first = self.inputs.first();
        let inputs_fit = first.is_none_or(|input| input.first_sequence == self.first_sequence)
            && self
                .inputs
                .is_sorted_by(|left, right| left.first_sequence < right.first_sequence)
            && self
                .inputs
                .iter()
                .all(|input| input.generation < self.generation);
        let counts_fit = self.first_sequence <= MAX_EVENTS
            && self.generation.max(self.incarnation) <= MAX_GENERATION;
        if counts_fit && edge_fits && durable_fits && inputs_fit {
            return Ok(());
        }
        Err(FormatError::Invalid("segment header"))
    }

    /// The length of the header that `head` begins with, of which 16 bytes suffice; not yet checked
    /// but for its bounds, and of any version, since the CRC tells rot from a newer format.
    ///
    /// # Errors
    /// [`FormatError`] if it isn't the start of a segment.
    pub fn peek_len(head: &[u8]) -> Result<usize, FormatError> {
        let mut input = Cursor::new(head, "segment header");
        if &input.array::<8>()? != MAGIC {
            return Err(FormatError::Invalid("segment magic"));
        }
        input.u16()?;
        input.zeros(2)?;
        let len = input.u32()? as usize;
        if len > MAX_SEGMENT_HEADER_LEN {
            return Err(TOO_LONG);
        }
        if len < FIXED_LEN + END_LEN || !len.is_multiple_of(8) {
            return Err(FormatError::Invalid("length of a segment header"));
        }
        Ok(len)
    }

    /// Reads the header that `bytes` begins with.
    ///
    /// # Errors
    /// [`FormatError`] for anything that [`encode`](Self::encode) would not have written, and for
    /// features that this build must not ignore.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let len = Self::peek_len(bytes)?;
        let truncated = FormatError::Truncated("segment header");
        let whole = bytes.get(..len).ok_or(truncated)?;
        let (covered, end) = whole.split_at_checked(len - END_LEN).ok_or(truncated)?;
        let mut end = Cursor::new(end, "segment header");
        if crc32fast::hash(covered) != end.u32()? {
            return Err(FormatError::Checksum("segment header"));
        }
        end.zeros(4)?;
        let mut input = Cursor::new(covered, "segment header");
        input.take(8)?;
        if input.u16()? != u16::from(FORMAT_VERSION) {
            return Err(FormatError::Unsupported("segment format version"));
        }
        input.take(6)?;
        let header = Self::decode_fields(&mut input)?;
        input.finish()?;
        header.check()?;
        Ok(header)
    }

    fn decode_fields(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let features = Features::decode(input)?;
        features.check_readable()?;
        let journal = input.array()?;
        let first_sequence = input.u64()?;
        let generation = input.u32()?;
        let incarnation = input.u32()?;
        let salt = input.array()?;
        let durable = input.u64()?;
        let edge_len = usize::from(input.u16()?);
        input.zeros(2)?;
        let input_len = input.u32()? as usize;
        input.bounded(edge_len, 32)?;
        let edge = (0..edge_len)
            .map(|_| input.array())
            .collect::<Result<_, _>>()?;
        input.bounded(input_len, 16)?;
        let mut inputs = Vec::with_capacity(input_len);
        for _ in 0..input_len {
            inputs.push(SegmentInput {
                first_sequence: input.u64()?,
                generation: input.u32()?,
            });
            input.zeros(4)?;
        }
        Ok(Self {
            features,
            journal,
            first_sequence,
            generation,
            incarnation,
            salt,
            durable,
            edge,
            inputs,
        })
    }
}
