//! The unit of every run: 4,096 bytes, the last four of them a checksum.

use std::path::Path;

use factlog_fs::{StoreFile, read_exact_at};

use super::CODE;
use crate::{Damage, Error};

pub(super) const BLOCK: usize = 4096;
pub(super) const BODY: usize = BLOCK - 4;

pub(super) const RECORD: usize = 24;
pub(super) const RECORDS: usize = BODY / RECORD;
pub(super) const POSTINGS: usize = BODY / 4;
pub(super) const FENCES: usize = BODY / 16;

const _: () = assert!(RECORDS == 170 && POSTINGS == 1023 && FENCES == 255);

/// Seals the blocks of one file: a block of another run, or from another place of this one, fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal(u32);

impl Seal {
    pub(super) fn new(journal: &[u8; 16], first: u64, level: u8) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(journal);
        hasher.update(&first.to_le_bytes());
        hasher.update(&[level]);
        Self(hasher.finalize())
    }

    fn crc(self, number: u64, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&number.to_le_bytes());
        hasher.update(body);
        hasher.finalize()
    }

    /// Appends a block of this body, filled up with zeros, to `out`.
    pub(super) fn push(self, number: u64, body: &[u8], out: &mut Vec<u8>) {
        debug_assert!(body.len() <= BODY);
        let start = out.len();
        out.extend_from_slice(body);
        out.resize(start + BODY, 0);
        let crc = self.crc(number, out.get(start..).unwrap_or_default());
        out.extend_from_slice(&crc.to_le_bytes());
    }

    /// The body of a block, if its checksum holds.
    pub(super) fn body(self, number: u64, block: &[u8]) -> Option<&[u8]> {
        let (body, crc) = block.split_at_checked(BODY)?;
        (crc == self.crc(number, body).to_le_bytes()).then_some(body)
    }
}

/// An open file of blocks.
#[derive(Debug)]
pub(super) struct BlockFile<'a> {
    pub(super) file: &'a dyn StoreFile,
    /// Its bytes, where it is mapped.
    pub(super) map: Option<&'a [u8]>,
    pub(super) path: &'a Path,
    pub(super) seal: Seal,
}

impl BlockFile<'_> {
    /// Fills `buf`, a whole number of blocks, from block `number` on, and checks every block.
    pub(super) fn read(&self, number: u64, buf: &mut [u8]) -> Result<(), Error> {
        debug_assert!(buf.len().is_multiple_of(BLOCK));
        let offset = offset_of(number).ok_or_else(|| self.damage(0, "a block has no place"))?;
        let mapped = self.map.and_then(|map| {
            let start = usize::try_from(offset).ok()?;
            map.get(start..start.checked_add(buf.len())?)
        });
        let read = match mapped {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => read_exact_at(self.file, buf, offset),
        };
        match read {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(self.damage(number, "the file ends early").into());
            }
            read => read.map_err(Error::io("read", self.path))?,
        }
        for (number, block) in (number..).zip(buf.chunks_exact(BLOCK)) {
            if self.seal.body(number, block).is_none() {
                return Err(self
                    .damage(number, "a block's checksum does not hold")
                    .into());
            }
        }
        Ok(())
    }

    pub(super) fn damage(&self, number: u64, detail: &str) -> Damage {
        Damage::new(CODE, self.path, detail).at(offset_of(number).unwrap_or(u64::MAX))
    }
}

fn offset_of(number: u64) -> Option<u64> {
    number.checked_mul(BLOCK as u64)
}

/// The little-endian number at `at`; zero past the end, which no caller asks for.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    array_at(bytes, at).map_or(0, u64::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array_at(bytes, at).map_or(0, u32::from_le_bytes)
}

pub(super) fn key_at(bytes: &[u8], at: usize) -> u128 {
    array_at(bytes, at).map_or(0, u128::from_be_bytes)
}

pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The first of `0..len` for which `below` no longer holds.
pub(super) fn partition_point(len: usize, below: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
