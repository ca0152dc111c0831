use std::path::Path;

use factlog_format::{Digest, FrameType, HeadersHasher, SegmentHeader};
use factlog_fs::{Access, StoreFs, write_all_at};

use super::{FrameReader, SegmentFile, frames::FrameStop, segment_name};
use crate::Error;

/// The segment that is being written. Its file is only ever appended to.
pub(crate) struct SegmentWriter {
    pub(crate) segment: std::sync::Arc<SegmentFile>,
    /// Where the next group goes, in bytes.
    pub(crate) end: u64,
    /// Over the header and each commit header, for MANIFEST; `None` in a segment that was gone on with
    /// without reading it from its start.
    headers: Option<HeadersHasher>,
}

impl SegmentWriter {
    /// Creates the segment's file with its header, synced with its directory. Nothing names it yet.
    pub(crate) fn create(
        fs: &dyn StoreFs,
        segments: &Path,
        header: SegmentHeader,
    ) -> Result<Self, Error> {
        let path = segments.join(segment_name(header.first_sequence, header.generation));
        let file = fs
            .create_new(&path, Access::Shared)
            .map_err(Error::io("create", &path))?;
        let bytes = header.encode();
        write_all_at(file.as_ref(), &bytes, 0).map_err(Error::io("write", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
        fs.sync_dir(segments).map_err(Error::io("sync", segments))?;
        let headers = HeadersHasher::new(&bytes);
        let segment = SegmentFile::new(path, file, header);
        Ok(Self {
            segment: segment.into(),
            end: bytes.len() as u64,
            headers: Some(headers),
        })
    }

    /// Goes on at the end of a segment.
    pub(crate) fn resume(segment: std::sync::Arc<SegmentFile>, end: u64) -> Self {
        Self {
            segment,
            end,
            headers: None,
        }
    }

    /// Writes one group at the end and makes it durable. `header_len` bytes of it are its commit
    /// header.
    pub(crate) fn write_group(&mut self, group: &[u8], header_len: usize) -> Result<(), Error> {
        let path = &self.segment.path;
        let file = self.segment.file.as_ref();
        write_all_at(file, group, self.end).map_err(Error::io("write", path))?;
        file.sync_data().map_err(Error::io("sync", path))?;
        if let Some(headers) = &mut self.headers {
            headers.add(group.get(..header_len).unwrap_or_default());
        }
        self.end += group.len() as u64;
        Ok(())
    }

    /// Hash over the segment header and every commit header, as MANIFEST keeps it.
    pub(crate) fn headers_hash(&self) -> Result<Digest, Error> {
        match &self.headers {
            Some(headers) => Ok(headers.digest()),
            None => headers_hash(&self.segment, self.end),
        }
    }
}

/// The hash over a segment's header and every commit header up to `end`, from the file.
pub(crate) fn headers_hash(segment: &SegmentFile, end: u64) -> Result<Digest, Error> {
    let mut hasher = HeadersHasher::new(&segment.header.encode());
    let file = segment.file.as_ref();
    let mut frames = FrameReader::new(file, segment.seed, segment.header_len, end);
    loop {
        let at = frames.offset();
        match frames.next() {
            Ok(frame) if frame.kind == FrameType::Commit => {
                hasher.add(frame.bytes);
            }
            Ok(_) => {}
            Err(FrameStop::End) => return Ok(hasher.digest()),
            Err(FrameStop::Io(error)) => return Err(Error::io("read", &segment.path)(error)),
            Err(FrameStop::Bad(error)) => return Err(segment.damage(at, error.to_string()).into()),
        }
    }
}
