//! The log of minted keys: `keys/minted-<number>`, which only ever grows.

use crc32fast::Hasher;
use factlog_format::JournalId;

use crate::{DomainTag, KeyId, KeysetError, WrappedKey, input::Input};

/// How many keys share a bucket: what is wrapped anew when one of them is destroyed.
pub const BUCKET_KEYS: u32 = 64;
/// Length of a log file's header.
pub const LOG_HEADER_LEN: usize = 48;

const MAGIC: &[u8; 8] = b"factlogM";
const VERSION: u8 = 1;
/// Checksum, length, durable, type and three zeros.
const RECORD_HEADER: usize = 4 + 4 + 8 + 4;
/// The largest body: an image of a whole bucket with the longest names is below.
const MAX_BODY: usize = 1 << 17;
/// A record is never longer than this.
pub const MAX_RECORD_LEN: usize = RECORD_HEADER + MAX_BODY + 8;
/// How many bytes are checksummed at most in looking for records behind a hole; writers leave nothing there
/// that comes near.
const MAX_RESYNC: u64 = 256 << 20;
/// The largest number of a file.
pub const MAX_LOG_NUMBER: u32 = (1 << 24) - 1;

const BUCKET: u8 = 1;
const KEY: u8 = 2;
const IMAGE: u8 = 3;

/// What a log file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// The file's number, from 1.
    pub number: u32,
    /// Number of the file before it; 0 if there is none. Files in between never counted.
    pub previous: u32,
    /// Where that one ends: what stands there beyond is nothing.
    pub previous_end: u64,
    /// Whether it holds all that is left of those before it. Until the head's mark has come to it, it doesn't
    /// count.
    pub starts_over: bool,
}

/// A key in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintedKey {
    /// Counts keys, from 0; by it the bucket is known.
    pub number: u32,
    /// Its domain.
    pub tag: DomainTag,
    /// Its id.
    pub id: KeyId,
    /// The key and its domain's name, under the bucket's key.
    pub wrapped: Vec<u8>,
}

/// A key that was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The key's number.
    pub number: u32,
    /// Its id.
    pub id: KeyId,
    /// Sequence of the event that demanded it.
    pub intent: u64,
}

/// A bucket after a destruction: all that is left of it, under another bucket key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Which bucket.
    pub bucket: u32,
    /// Its live keys.
    pub keys: Vec<MintedKey>,
    /// Its destroyed ones.
    pub tombstones: Vec<Tombstone>,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRecord {
    /// A bucket begins.
    Bucket {
        /// Which one; they are dense.
        bucket: u32,
        /// The root that its key is wrapped under, which is also the bucket's epoch.
        root_number: u64,
        /// Its key.
        key: WrappedKey,
    },
    /// A key was minted.
    Key(MintedKey),
    /// A bucket was written anew. It counts only if the head points to it.
    Image(Image),
}

/// Why there is no record at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStop {
    /// The bytes end there.
    End,
    /// What stands there is no record.
    Broken,
    /// A newer version wrote it.
    Unsupported,
}

impl MintedKey {
    /// Reads a key where it stands in a record; what follows it is not looked at.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        decode_key(&mut Input(bytes))
    }

    /// How many bytes it takes in a record.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        4 + 16 + 16 + 2 + self.wrapped.len()
    }
}

impl LogRecord {
    /// Where the keys of the record stand, from its start, in their order.
    pub fn key_places(&self) -> impl Iterator<Item = (&MintedKey, usize)> {
        let (keys, start): (&[MintedKey], usize) = match self {
            Self::Bucket { .. } => (&[], 0),
            Self::Key(key) => (std::slice::from_ref(key), RECORD_HEADER),
            Self::Image(image) => (&image.keys, RECORD_HEADER + 8),
        };
        keys.iter().scan(start, |at, key| {
            let place = *at;
            *at += key.encoded_len();
            Some((key, place))
        })
    }
}

impl LogHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self, journal: &JournalId) -> [u8; LOG_HEADER_LEN] {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[VERSION, u8::from(self.starts_over), 0, 0]);
        out.extend_from_slice(journal);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.previous_end.to_le_bytes());
        out.extend_from_slice(&self.previous.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let mut header = [0; LOG_HEADER_LEN];
        header.copy_from_slice(&out);
        header
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`LogStop`].
    pub fn decode(bytes: &[u8], journal: &JournalId) -> Result<Self, LogStop> {
        let header = bytes.first_chunk::<LOG_HEADER_LEN>().ok_or(LogStop::End)?;
        let (covered, crc) = header.split_last_chunk::<4>().ok_or(LogStop::End)?;
        if crc32fast::hash(covered).to_le_bytes() != *crc {
            return Err(LogStop::Broken);
        }
        let mut input = Input(covered);
        let fields = (|| {
            let magic = input.array::<8>()?;
            let [version, starts_over, zeros @ ..] = input.array::<4>()?;
            let owner = input.array::<16>()?;
            let (number, previous_end) = (input.u32()?, input.u64()?);
            let header = Self {
                number,
                previous: input.u32()?,
                previous_end,
                starts_over: starts_over == 1,
            };
            let known = version == VERSION && starts_over <= 1 && zeros == [0; 2];
            Some((magic, known, owner, header))
        })();
        match fields {
            Some((magic, false, ..)) if magic == *MAGIC => Err(LogStop::Unsupported),
            Some((magic, _, owner, header)) if magic == *MAGIC && owner == *journal => Ok(header),
            _ => Err(LogStop::Broken),
        }
    }
}

fn encode_key(key: &MintedKey, out: &mut Vec<u8>) -> Result<(), KeysetError> {
    out.extend_from_slice(&key.number.to_le_bytes());
    out.extend_from_slice(&key.tag);
    out.extend_from_slice(&key.id);
    out.extend_from_slice(&count(key.wrapped.len())?);
    out.extend_from_slice(&key.wrapped);
    Ok(())
}

fn count(len: usize) -> Result<[u8; 2], KeysetError> {
    let count = u16::try_from(len).map_err(|_| KeysetError::Invalid("length of a record"))?;
    Ok(count.to_le_bytes())
}

fn decode_key(input: &mut Input<'_>) -> Option<MintedKey> {
    let (number, tag, id) = (input.u32()?, input.array()?, input.array()?);
    let len = usize::from(input.u16()?);
    let wrapped = input.take(len)?.to_vec();
    // Zero is nobody's id.
    (id != [0; 16] && tag != [0; 16]).then_some(MintedKey {
        number,
        tag,
        id,
        wrapped,
    })
}

/// Adds a record to `out`. `durable` is how much of this file is known to be durable. Gives where in
/// `out` it starts.
///
/// # Errors
/// [`KeysetError::Invalid`] for a record that could not be read again; `out` is then as before.
pub fn seal_record(
    journal: &JournalId,
    record: &LogRecord,
    durable: u64,
    out: &mut Vec<u8>,
) -> Result<usize, KeysetError> {
    let start = out.len();
    let sealed = seal_at(journal, record, durable, out, start);
    if sealed.is_err() {
        out.truncate(start);
    }
    sealed
}

fn seal_at(
    journal: &JournalId,
    record: &LogRecord,
    durable: u64,
    out: &mut Vec<u8>,
    start: usize,
) -> Result<usize, KeysetError> {
    out.extend_from_slice(&[0; RECORD_HEADER]);
    let kind = match record {
        LogRecord::Bucket {
            bucket,
            root_number,
            key,
        } => {
            out.extend_from_slice(&bucket.to_le_bytes());
            out.extend_from_slice(&root_number.to_le_bytes());
            out.extend_from_slice(key);
            BUCKET
        }
        LogRecord::Key(key) => {
            encode_key(key, out)?;
            KEY
        }
        LogRecord::Image(image) => {
            out.extend_from_slice(&image.bucket.to_le_bytes());
            out.extend_from_slice(&count(image.keys.len())?);
            out.extend_from_slice(&count(image.tombstones.len())?);
            for key in &image.keys {
                encode_key(key, out)?;
            }
            for tombstone in &image.tombstones {
                out.extend_from_slice(&tombstone.number.to_le_bytes());
                out.extend_from_slice(&tombstone.id);
                out.extend_from_slice(&tombstone.intent.to_le_bytes());
            }
            IMAGE
        }
    };
    let body = out.len() - start - RECORD_HEADER;
    if body > MAX_BODY {
        return Err(KeysetError::Invalid("length of a record"));
    }
    let mut fields = (body as u32).to_le_bytes().to_vec(); // just bounded
    fields.extend_from_slice(&durable.to_le_bytes());
    fields.extend_from_slice(&[kind, 0, 0, 0]);
    let (_, record) = out.split_at_mut(start);
    let (head, rest) = record.split_at_mut(RECORD_HEADER);
    let (crc, place) = head.split_at_mut(4);
    place.copy_from_slice(&fields);
    crc.copy_from_slice(&checksum(journal, &[place, rest]).to_le_bytes());
    let end = (out.len() - start).next_multiple_of(8);
    out.resize(start + end, 0);
    Ok(start)
}

fn checksum(journal: &JournalId, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(journal);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The record that `bytes` begin with, how much of the file it calls durable, and its whole length.
///
/// # Errors
/// [`LogStop`].
pub fn next_record(journal: &JournalId, bytes: &[u8]) -> Result<(LogRecord, u64, usize), LogStop> {
    if bytes.is_empty() {
        return Err(LogStop::End);
    }
    let (covered, durable, kind, len) = frame(journal, bytes).ok_or(LogStop::Broken)?;
    let mut input = Input(covered);
    let record = match kind {
        BUCKET => bucket(&mut input),
        KEY => decode_key(&mut input).map(LogRecord::Key),
        IMAGE => image(&mut input),
        _ => return Err(LogStop::Unsupported),
    };
    match record {
        Some(record) if input.0.is_empty() => Ok((record, durable, len)),
        _ => Err(LogStop::Broken),
    }
}

/// The body of the record at the start, what it calls durable, its type and its whole length.
fn frame<'b>(journal: &JournalId, bytes: &'b [u8]) -> Option<(&'b [u8], u64, u8, usize)> {
    let mut input = Input(bytes);
    let crc = input.u32()?;
    let covered = input.0;
    let body = input.u32()? as usize;
    let durable = input.u64()?;
    let [kind, zeros @ ..] = input.array::<4>()?;
    if body == 0 || body > MAX_BODY || kind == 0 || zeros != [0; 3] {
        return None;
    }
    let covered = covered.get(..RECORD_HEADER - 4 + body)?;
    if checksum(journal, &[covered]) != crc {
        return None;
    }
    let len = (RECORD_HEADER + body).next_multiple_of(8);
    let zeros = bytes.get(RECORD_HEADER + body..len)?;
    let body = covered.get(RECORD_HEADER - 4..)?;
    zeros
        .iter()
        .all(|byte| *byte == 0)
        .then_some((body, durable, kind, len))
}

fn bucket(input: &mut Input<'_>) -> Option<LogRecord> {
    Some(LogRecord::Bucket {
        bucket: input.u32()?,
        root_number: input.u64()?,
        key: input.array()?,
    })
}

fn image(input: &mut Input<'_>) -> Option<LogRecord> {
    let mut image = Image {
        bucket: input.u32()?,
        ..Image::default()
    };
    let (keys, tombstones) = (input.u16()?, input.u16()?);
    if u32::from(keys) + u32::from(tombstones) > BUCKET_KEYS {
        return None;
    }
    for _ in 0..keys {
        image.keys.push(decode_key(input)?);
    }
    for _ in 0..tombstones {
        image.tombstones.push(Tombstone {
            number: input.u32()?,
            id: input.array()?,
            intent: input.u64()?,
        });
    }
    let numbers = image.keys.iter().map(|key| key.number);
    let mut numbers = numbers.chain(image.tombstones.iter().map(|tombstone| tombstone.number));
    numbers
        .all(|number| number / BUCKET_KEYS == image.bucket)
        .then_some(LogRecord::Image(image))
}

/// Looks for the largest length that any record behind a hole calls durable: what tells a torn end from
/// rot. It is fed the file's bytes from the hole on, piece by piece.
#[derive(Debug, Default)]
pub struct Resync {
    durable: u64,
    done: u64,
}

impl Resync {
    /// Looks at every place of the first `starts` bytes of a piece, which begins at a multiple of 8 in the
    /// file; records that start there may reach beyond.
    pub fn take(&mut self, journal: &JournalId, bytes: &[u8], starts: usize) {
        for at in (0..starts.min(bytes.len())).step_by(8) {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(len) = claimed_len(rest) else {
                continue;
            };
            self.done = self.done.saturating_add(len as u64);
            if self.done > MAX_RESYNC {
                // Nobody but a forger made this; it is not taken for a torn end.
                self.durable = u64::MAX;
                return;
            }
            if let Some((_, durable, ..)) = frame(journal, rest) {
                self.durable = self.durable.max(durable);
            }
        }
    }

    /// The largest length found.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }
}

/// The body's length, where a record's header could stand.
fn claimed_len(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<RECORD_HEADER>()?;
    let (_, fields) = header.split_at(4);
    let body = fields
        .first_chunk::<4>()
        .map(|len| u32::from_le_bytes(*len))? as usize;
    let (_, kind) = header.split_at(RECORD_HEADER - 4);
    let is_one = (1..=MAX_BODY).contains(&body) && kind.first() != Some(&0);
    (is_one && kind.get(1..) == Some(&[0; 3][..])).then_some(body)
}
