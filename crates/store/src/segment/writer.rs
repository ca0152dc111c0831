use std::path::Path;

use factlog_format::{Digest, SegmentHeader};
use factlog_fs::{Access, StoreFs, write_all_at};

use super::{SegmentFile, segment_name};
use crate::Error;

/// The segment that is being written. Its file is only ever appended to.
pub(crate) struct SegmentWriter {
    pub(crate) segment: std::sync::Arc<SegmentFile>,
    /// Where the next group goes, in bytes.
    pub(crate) end: u64,
    /// Over the header and each commit header, for MANIFEST.
    headers: blake3::Hasher,
}

impl SegmentWriter {
    /// Creates the segment's file with its header, synced with its directory. Nothing names it yet.
    pub(crate) fn create(
        fs: &dyn StoreFs,
        segments: &Path,
        header: SegmentHeader,
    ) -> Result<Self, Error> {
        let path = segments.join(segment_name(header.first_sequence, header.generation));
        let file = fs.create_new(&path, Access::Shared).map_err(Error::io("create", &path))?;
        let bytes = header.encode();
        write_all_at(file.as_ref(), &bytes, 0).map_err(Error::io("write", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
        fs.sync_dir(segments).map_err(Error::io("sync", segments))?;
        let segment = SegmentFile::new(path, file, header);
        Ok(Self::resume(segment.into(), bytes.len() as u64, std::iter::empty()))
    }

    /// Goes on in a segment of which the commit headers up to `end` are given.
    pub(crate) fn resume<'b>(
        segment: std::sync::Arc<SegmentFile>,
        end: u64,
        commit_headers: impl Iterator<Item = &'b [u8]>,
    ) -> Self {
        let mut headers = blake3::Hasher::new();
        headers.update(&segment.header.encode());
        for header in commit_headers {
            headers.update(header);
        }
        Self { segment, end, headers }
    }

    /// Writes one group at the end and makes it durable. `header_len` bytes of it are its commit
    /// header.
    pub(crate) fn write_group(&mut self, group: &[u8], header_len: usize) -> Result<(), Error> {
        let path = &self.segment.path;
        let file = self.segment.file.as_ref();
        write_all_at(file, group, self.end).map_err(Error::io("write", path))?;
        file.sync_data().map_err(Error::io("sync", path))?;
        self.headers.update(group.get(..header_len).unwrap_or_default());
        self.end += group.len() as u64;
        Ok(())
    }

    /// Hash over the segment header and every commit header, as MANIFEST keeps it.
    pub(crate) fn headers_hash(&self) -> Digest {
        *self.headers.finalize().as_bytes()
    }
}

