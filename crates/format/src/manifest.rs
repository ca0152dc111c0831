use crate::{
    Digest, FORMAT_VERSION, Features, FormatError, JournalId, MAX_EVENTS, MAX_GENERATION,
    MAX_SEGMENT_LEN, cursor::Cursor,
};

const MAGIC: &[u8; 8] = b"FACTMAN\0";
const ROW_LEN: usize = 96;
const SEALED: u32 = 1;

/// One live segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRow {
    /// Sequence of its first event.
    pub first_sequence: u64,
    /// How many events it holds; `None` while it is being written.
    pub count: Option<u64>,
    /// Its generation, as in its file name.
    pub generation: u32,
    /// The salt of its commit checks, repeated from its header.
    pub salt: [u8; 16],
    /// Length of the file that was durable and whole at a clean close, in bytes; below it damage is
    /// corruption. 0 if never closed.
    pub proven_end: u64,
    /// Where a sealed segment ends, in bytes; what follows is never read. 0 while it is being written.
    pub sealed_end: u64,
    /// Hash over the segment header and every commit header frame, as
    /// [`HeadersHasher`](crate::HeadersHasher) makes it; zeros while it is being written.
    pub headers_hash: Digest,
}

/// A `$journal` value that an open needs, with the sequence of the event that set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedValue {
    /// Sequence of the event.
    pub sequence: u64,
    /// What the value is; codes are defined where they are used.
    pub code: u16,
    /// The value.
    pub value: Vec<u8>,
}

/// The list of live segments, replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which extensions a reader must know.
    pub features: Features,
    /// The journal.
    pub journal: JournalId,
    /// Higher than every generation given out.
    pub next_generation: u32,
    /// The newest writer session.
    pub incarnation: u32,
    /// Live segments in order of their sequences; only the last is being written.
    pub rows: Vec<ManifestRow>,
    /// Cached `$journal` values, in order of sequence and code.
    pub values: Vec<CachedValue>,
}

impl Manifest {
    /// The encoded manifest, ending in a CRC-32.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the manifest: what is written must be readable.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.check().is_ok(), "a manifest that can't be read back");
        let mut out = Vec::with_capacity(80 + self.rows.len() * ROW_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&u16::from(FORMAT_VERSION).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        self.features.encode(&mut out);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.next_generation.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.values.len() as u32).to_le_bytes());
        for row in &self.rows {
            out.extend_from_slice(&row.first_sequence.to_le_bytes());
            out.extend_from_slice(&row.count.unwrap_or(0).to_le_bytes());
            out.extend_from_slice(&row.generation.to_le_bytes());
            out.extend_from_slice(&row.count.map_or(0, |_| SEALED).to_le_bytes());
            out.extend_from_slice(&row.salt);
            out.extend_from_slice(&row.proven_end.to_le_bytes());
            out.extend_from_slice(&row.sealed_end.to_le_bytes());
            out.extend_from_slice(&row.headers_hash);
            out.extend_from_slice(&[0; 8]);
        }
        for value in &self.values {
            out.extend_from_slice(&value.sequence.to_le_bytes());
            out.extend_from_slice(&value.code.to_le_bytes());
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&(value.value.len() as u32).to_le_bytes());
            out.extend_from_slice(&value.value);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a whole manifest.
    ///
    /// # Errors
    /// [`FormatError`] for anything that [`encode`](Self::encode) would not have written, for rows
    /// that overlap or leave a gap, and for features that this build must not ignore.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let Some((content, crc)) = bytes.split_last_chunk::<4>() else {
            return Err(FormatError::Truncated("MANIFEST"));
        };
        let mut input = Cursor::new(content, "MANIFEST");
        if &input.array::<8>()? != MAGIC {
            return Err(FormatError::Invalid("MANIFEST magic"));
        }
        let version = input.u16()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return Err(FormatError::Checksum("MANIFEST"));
        }
        if version != u16::from(FORMAT_VERSION) {
            return Err(FormatError::Unsupported("MANIFEST format version"));
        }
        input.zeros(2)?;
        let features = Features::decode(&mut input)?;
        features.check_readable()?;
        let journal = input.array()?;
        let next_generation = input.u32()?;
        let incarnation = input.u32()?;
        let row_count = input.u32()? as usize;
        let value_count = input.u32()? as usize;
        input.bounded(row_count, ROW_LEN)?;
        let rows = (0..row_count)
            .map(|_| decode_row(&mut input))
            .collect::<Result<Vec<_>, _>>()?;
        input.bounded(value_count, 16)?;
        let values = (0..value_count)
            .map(|_| decode_value(&mut input))
            .collect::<Result<_, _>>()?;
        input.finish()?;
        let manifest = Self {
            features,
            journal,
            next_generation,
            incarnation,
            rows,
            values,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Refuses a manifest whose parts contradict each other: rows that overlap, leave a gap, share a
    /// generation, are sealed without events or long beyond any segment; values out of order.
    ///
    /// # Errors
    /// [`FormatError::Invalid`].
    pub fn check(&self) -> Result<(), FormatError> {
        self.check_rows()?;
        let ordered = self
            .values
            .is_sorted_by(|left, right| (left.sequence, left.code) < (right.sequence, right.code));
        if !ordered {
            return Err(FormatError::Invalid("values of MANIFEST"));
        }
        Ok(())
    }

    fn check_rows(&self) -> Result<(), FormatError> {
        let wrong = Err(FormatError::Invalid("rows of MANIFEST"));
        if self.next_generation.max(self.incarnation) > MAX_GENERATION {
            return wrong;
        }
        let mut next = 0u64;
        for (index, row) in self.rows.iter().enumerate() {
            let last = index + 1 == self.rows.len();
            if row.first_sequence != next || row.generation >= self.next_generation {
                return wrong;
            }
            let ends_fit = row.proven_end <= MAX_SEGMENT_LEN && row.sealed_end <= MAX_SEGMENT_LEN;
            match row.count {
                Some(count) if count > 0 && row.sealed_end > 0 && ends_fit => {
                    next = next.saturating_add(count);
                    if next > MAX_EVENTS {
                        return wrong;
                    }
                }
                // Nothing is said yet of a segment that is being written.
                None if last && row.sealed_end == 0 && row.headers_hash == [0; 32] && ends_fit => {}
                _ => return wrong,
            }
        }
        let mut generations: Vec<u32> = self.rows.iter().map(|row| row.generation).collect();
        generations.sort_unstable();
        if generations.is_sorted_by(|left, right| left < right) {
            return Ok(());
        }
        wrong
    }
}

fn decode_row(input: &mut Cursor<'_>) -> Result<ManifestRow, FormatError> {
    let first_sequence = input.u64()?;
    let count = input.u64()?;
    let generation = input.u32()?;
    let flags = input.u32()?;
    let row = ManifestRow {
        first_sequence,
        count: (flags == SEALED).then_some(count),
        generation,
        salt: input.array()?,
        proven_end: input.u64()?,
        sealed_end: input.u64()?,
        headers_hash: input.array()?,
    };
    input.zeros(8)?;
    if flags & !SEALED != 0 {
        return Err(FormatError::Unsupported("flags of a MANIFEST row"));
    }
    if flags == 0 && count != 0 {
        return Err(FormatError::Invalid("row of MANIFEST"));
    }
    Ok(row)
}

fn decode_value(input: &mut Cursor<'_>) -> Result<CachedValue, FormatError> {
    let sequence = input.u64()?;
    let code = input.u16()?;
    input.zeros(2)?;
    let len = input.u32()? as usize;
    Ok(CachedValue {
        sequence,
        code,
        value: input.take(len)?.to_vec(),
    })
}
