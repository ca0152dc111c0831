//! The file of an evidence case: events of a period, and what proves them.

mod record;
mod statement;

use crate::{
    Digest, FormatError, JournalId, cursor::Cursor, event_hash, hash::case_file_hash, spine::Spine,
};

pub use record::{CaseRecord, CaseSection};
pub use statement::{CaseEdge, CaseErased, CaseStatement};

use record::Met;

/// The longest case file, in bytes (1 GiB).
pub const MAX_CASE_LEN: usize = 1 << 30;
/// What every case file begins with.
pub const CASE_MAGIC: [u8; 8] = *b"FACTCASE";
const VERSION: u8 = 1;
const DIGEST_LEN: usize = 32;
/// Stands for "not in the journal"; no event can have it as its sequence.
const UNLOGGED: u64 = u64::MAX;
const MAX_NOTE: usize = 64 << 10;
const MAX_PATH: usize = 64;

/// An evidence case as its file holds it. Having one says that the bytes are well formed, and nothing of
/// what they claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFile<'a> {
    /// The journal that the events claim to be of.
    pub journal: JournalId,
    /// The signed checkpoint that all is proven against, as a signed note.
    pub checkpoint: &'a str,
    /// Signed checkpoints of smaller trees, each with the proof that the case's tree continues it.
    pub earlier: Vec<EarlierCheckpoint<'a>>,
    /// Salt of the commitment to the statement; zeros of an unlogged export.
    pub salt: [u8; 16],
    /// What the case says of itself.
    pub statement: &'a [u8],
    /// Sequence of the `case.exported` that commits to the statement; `None` of an unlogged export.
    pub manifest: Option<u64>,
    /// The events, by ascending sequence.
    pub records: Vec<CaseRecord<'a>>,
    /// Roots of the subtrees between the events, in order: what is needed to compute the root.
    pub proof: Vec<Digest>,
}

/// A signed checkpoint from before the case's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierCheckpoint<'a> {
    /// The signed note.
    pub note: &'a str,
    /// The consistency proof up to the case's checkpoint.
    pub path: Vec<Digest>,
}

impl<'a> CaseFile<'a> {
    /// Reads a case file.
    ///
    /// # Errors
    /// [`FormatError::Checksum`] if the hash at its end isn't that of the file; [`FormatError`] for
    /// anything that [`encode`](Self::encode) would not have written.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.len() > MAX_CASE_LEN {
            return Err(TOO_LONG);
        }
        let mut input = Cursor::new(bytes, "case");
        if input.array::<8>()? != CASE_MAGIC {
            return Err(FormatError::Invalid("case"));
        }
        if input.u8()? != VERSION {
            return Err(FormatError::Unsupported("case version"));
        }
        let (body, digest) = bytes
            .split_last_chunk::<DIGEST_LEN>()
            .ok_or(FormatError::Truncated("case"))?;
        if case_file_hash(body) != *digest {
            return Err(FormatError::Checksum("case"));
        }
        let read = bytes.len() - input.rest().len();
        let mut input = Cursor::new(body.get(read..).unwrap_or_default(), "case");
        input.zeros(7)?;
        let journal = input.array()?;
        let checkpoint = note(&mut input)?;
        let count = usize::from(input.u8()?);
        let mut earlier = Vec::with_capacity(count);
        for _ in 0..count {
            let note = note(&mut input)?;
            let hashes = usize::from(input.u8()?);
            if hashes > MAX_PATH {
                return Err(FormatError::Invalid("proof of an earlier checkpoint"));
            }
            let path = hashes_of(&mut input, hashes)?;
            earlier.push(EarlierCheckpoint { note, path });
        }
        let salt = input.array()?;
        let statement_len = input.u32()? as usize;
        let statement = input.take(statement_len)?;
        let manifest = Some(input.u64()?).filter(|sequence| *sequence != UNLOGGED);
        if manifest.is_none() && salt != [0; 16] {
            return Err(FormatError::Invalid("salt of an unlogged case"));
        }
        let records = decode_runs(&mut input, &journal)?;
        let count = input.u32()? as usize;
        let proof = hashes_of(&mut input, count)?;
        input.finish()?;
        Ok(Self {
            journal,
            checkpoint,
            earlier,
            salt,
            statement,
            manifest,
            records,
            proof,
        })
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`FormatError`] for what [`decode`](Self::decode) would not give back: notes, statement or file
    /// too long, sequences that don't ascend, an event that doesn't follow the one before in its stream.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::with_capacity(self.estimate());
        out.extend_from_slice(&CASE_MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.journal);
        put_note(&mut out, self.checkpoint)?;
        out.push(
            u8::try_from(self.earlier.len()).map_err(|_| FormatError::Limit {
                what: "earlier checkpoints",
                limit: u8::MAX.into(),
            })?,
        );
        for earlier in &self.earlier {
            put_note(&mut out, earlier.note)?;
            if earlier.path.len() > MAX_PATH {
                return Err(FormatError::Invalid("proof of an earlier checkpoint"));
            }
            out.push(earlier.path.len() as u8);
            out.extend(earlier.path.iter().flatten());
        }
        out.extend_from_slice(&self.salt);
        put_len(&mut out, self.statement.len())?;
        out.extend_from_slice(self.statement);
        out.extend_from_slice(&self.manifest.unwrap_or(UNLOGGED).to_le_bytes());
        encode_runs(&self.records, &mut out)?;
        put_len(&mut out, self.proof.len())?;
        out.extend(self.proof.iter().flatten());
        if out.len() + DIGEST_LEN > MAX_CASE_LEN {
            return Err(TOO_LONG);
        }
        let digest = case_file_hash(&out);
        out.extend_from_slice(&digest);
        Ok(out)
    }

    fn estimate(&self) -> usize {
        let records = self.records.iter().map(CaseRecord::len).sum::<usize>();
        (records + 32 * self.proof.len() + self.statement.len() + (8 << 10)).min(MAX_CASE_LEN)
    }
}

const TOO_LONG: FormatError = FormatError::Limit {
    what: "case",
    limit: MAX_CASE_LEN as u64,
};

/// Runs of events whose sequences are dense. Between two runs at least one is missing: a run goes as far
/// as it can, so that the same events are always cut into the same runs.
fn decode_runs<'a>(
    input: &mut Cursor<'a>,
    journal: &JournalId,
) -> Result<Vec<CaseRecord<'a>>, FormatError> {
    let runs = input.u32()?;
    let mut records = Vec::new();
    let mut met = Met::default();
    let mut least = 0;
    for _ in 0..runs {
        let first = input.u64()?;
        let count = input.u32()?;
        let end = first.checked_add(count.into());
        let end = end.filter(|end| *end < UNLOGGED && count > 0 && first >= least);
        let end = end.ok_or(FormatError::Invalid("run of a case"))?;
        input.bounded(count as usize, record::MIN_LEN)?;
        for sequence in first..end {
            records.push(CaseRecord::decode(input, journal, sequence, &mut met)?);
        }
        least = end + 1;
    }
    Ok(records)
}

fn encode_runs(records: &[CaseRecord<'_>], out: &mut Vec<u8>) -> Result<(), FormatError> {
    let runs: Vec<&[CaseRecord<'_>]> = records
        .chunk_by(|one, next| one.spine.sequence.checked_add(1) == Some(next.spine.sequence))
        .collect();
    put_len(out, runs.len())?;
    let mut met = Met::default();
    let mut least = 0;
    for run in runs {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let (first, last) = (first.spine.sequence, last.spine.sequence);
        if first < least || last >= UNLOGGED - 2 {
            return Err(FormatError::Invalid("run of a case"));
        }
        out.extend_from_slice(&first.to_le_bytes());
        put_len(out, run.len())?;
        for record in run {
            record.encode(&mut met, out)?;
        }
        least = last + 2;
    }
    Ok(())
}

fn note<'a>(input: &mut Cursor<'a>) -> Result<&'a str, FormatError> {
    let len = input.u32()? as usize;
    if len > MAX_NOTE {
        return Err(FormatError::Invalid("checkpoint of a case"));
    }
    str::from_utf8(input.take(len)?).map_err(|_| FormatError::Invalid("checkpoint of a case"))
}

fn put_note(out: &mut Vec<u8>, note: &str) -> Result<(), FormatError> {
    if note.len() > MAX_NOTE {
        return Err(FormatError::Invalid("checkpoint of a case"));
    }
    put_len(out, note.len())?;
    out.extend_from_slice(note.as_bytes());
    Ok(())
}

fn put_len(out: &mut Vec<u8>, len: usize) -> Result<(), FormatError> {
    let len = u32::try_from(len).map_err(|_| TOO_LONG)?;
    out.extend_from_slice(&len.to_le_bytes());
    Ok(())
}

fn hashes_of(input: &mut Cursor<'_>, count: usize) -> Result<Vec<Digest>, FormatError> {
    input.bounded(count, 32)?;
    (0..count).map(|_| input.array()).collect()
}

/// The hash that the next event of a spine's stream has to name.
fn hash_of(spine: &Spine) -> Digest {
    event_hash(spine)
}
