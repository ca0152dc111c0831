use crate::{Digest, FORMAT_VERSION, Features, FormatError, JournalId, cursor::Cursor};

const MAGIC: &[u8; 8] = b"FACTLOG\0";
const FIXED_LEN: usize = 112;

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
    /// How many events were known to be durable when it was made.
    pub durable: u64,
    /// Right edge of the tree of `first_sequence` leaves: roots of its complete subtrees, largest
    /// first.
    pub edge: Vec<Digest>,
    /// The segments that it replaces; empty unless compaction made it.
    pub inputs: Vec<SegmentInput>,
}

impl SegmentHeader {
    /// The encoded header: a multiple of 8 bytes, ending in a CRC-32 and zeros.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
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
        out.resize(len, 0);
        out
    }

    /// The length of the encoded header, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        (FIXED_LEN + 32 * self.edge.len() + 16 * self.inputs.len() + 4).next_multiple_of(8)
    }

    /// The length of the header that `head` begins with, of which 16 bytes suffice; not yet checked.
    ///
    /// # Errors
    /// [`FormatError`] if it isn't the start of a segment or of a version that this build knows.
    pub fn peek_len(head: &[u8]) -> Result<usize, FormatError> {
        let mut input = Cursor::new(head, "segment header");
        if &input.array::<8>()? != MAGIC {
            return Err(FormatError::Invalid("segment magic"));
        }
        if input.u16()? != u16::from(FORMAT_VERSION) {
            return Err(FormatError::Unsupported("segment format version"));
        }
        input.zeros(2)?;
        Ok(input.u32()? as usize)
    }

    /// Reads the header that `bytes` begins with.
    ///
    /// # Errors
    /// [`FormatError`] for anything that [`encode`](Self::encode) would not have written, and for
    /// features that this build must not ignore.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let len = Self::peek_len(bytes)?;
        let whole = bytes.get(..len).ok_or(FormatError::Truncated("segment header"))?;
        let mut input = Cursor::new(whole, "segment header");
        input.take(16)?;
        let features = Features::decode(&mut input)?;
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
        input.bounded(input_len, 16)?;
        let edge = (0..edge_len).map(|_| input.array()).collect::<Result<_, _>>()?;
        let mut inputs = Vec::with_capacity(input_len);
        for _ in 0..input_len {
            inputs.push(SegmentInput { first_sequence: input.u64()?, generation: input.u32()? });
            input.zeros(4)?;
        }
        let covered = len - input.rest().len();
        if crc32fast::hash(whole.get(..covered).unwrap_or_default()) != input.u32()? {
            return Err(FormatError::Checksum("segment header"));
        }
        let padding = input.rest().len();
        input.zeros(padding)?;
        let header = Self {
            features,
            journal,
            first_sequence,
            generation,
            incarnation,
            salt,
            durable,
            edge,
            inputs,
        };
        if header.encoded_len() != len
            || header.edge.len() != first_sequence.count_ones() as usize
            || durable > first_sequence
        {
            return Err(FormatError::Invalid("segment header"));
        }
        header.features.check_readable()?;
        Ok(header)
    }
}
