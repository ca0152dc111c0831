use std::{io::ErrorKind, path::Path};

use factlog_format::{Digest, FrameType, HeadersHasher, SegmentHeader};
use factlog_fs::{Access, StoreFs, write_all_at};

use super::{FrameReader, SegmentFile, frames::FrameStop, segment_name};
use crate::{
    Error,
    config::{Bug, planted},
};

/// How many bytes of zeros are written ahead at a time, at least and at most. A sync after a write
/// over them has no new blocks and no new length to make durable, which about halves its cost.
const FILL_MIN: u64 = 64 << 10;
const FILL_MAX: u64 = 1 << 20;
/// How many bytes are secured at a time where groups are so large that writing zeros first would cost
/// more than it saves.
const BULK_STEP: u64 = 16 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The segment that is being written. Behind its last group there is only space made ready for the
/// next ones, which reads as zeros.
pub(crate) struct SegmentWriter {
    pub(crate) segment: std::sync::Arc<SegmentFile>,
    /// Where the next group goes, in bytes.
    pub(crate) end: u64,
    /// Up to where the file has space, and up to where zeros were written into it.
    secured: u64,
    filled: u64,
    /// Over the header and each commit header, for MANIFEST; `None` in a segment that was gone on with
    /// without reading it from its start.
    headers: Option<HeadersHasher>,
}

impl SegmentWriter {
    /// Creates the segment's file with its header, synced with its directory. Nothing names it yet,
    /// and after an error it is gone again, as far as that can be done.
    ///
    /// # Errors
    /// `disk.full` if there is no space for it.
    pub(crate) fn create(
        fs: &dyn StoreFs,
        segments: &Path,
        header: SegmentHeader,
    ) -> Result<Self, Error> {
        let path = segments.join(segment_name(header.first_sequence, header.generation));
        Self::write_header(fs, segments, &path, header).inspect_err(|_| {
            // Who creates the next segment gives it a generation of its own, so that one which stays
            // is in nobody's way.
            let _ = fs.remove_file(&path);
        })
    }

    fn write_header(
        fs: &dyn StoreFs,
        segments: &Path,
        path: &Path,
        header: SegmentHeader,
    ) -> Result<Self, Error> {
        let file = fs
            .create_new(path, Access::Shared)
            .map_err(Error::space("create", path))?;
        let bytes = header.encode();
        write_all_at(file.as_ref(), &bytes, 0).map_err(Error::space("write", path))?;
        file.sync_all().map_err(Error::space("sync", path))?;
        fs.sync_dir(segments).map_err(Error::io("sync", segments))?;
        let headers = HeadersHasher::new(&bytes);
        let segment = SegmentFile::new(path.to_owned(), file, header);
        let end = bytes.len() as u64;
        Ok(Self {
            segment: segment.into(),
            end,
            secured: end,
            filled: end,
            headers: Some(headers),
        })
    }

    /// Goes on at the end of a segment.
    pub(crate) fn resume(segment: std::sync::Arc<SegmentFile>, end: u64) -> Self {
        Self {
            segment,
            end,
            secured: end,
            filled: end,
            headers: None,
        }
    }

    /// Makes room for `need` bytes behind the last group, and for some more, if `limit` (a length of
    /// the file) allows. `bulk`: for groups so large that zeros written ahead would not pay.
    ///
    /// # Errors
    /// `disk.full` if there is no space; then nothing has changed but the zeros at the end.
    pub(crate) fn make_ready(&mut self, need: u64, limit: u64, bulk: bool) -> Result<(), Error> {
        let least = self.end + need;
        let (have, step) = if bulk {
            (self.secured, BULK_STEP)
        } else {
            (self.filled, self.end.clamp(FILL_MIN, FILL_MAX))
        };
        if have >= least {
            return Ok(());
        }
        let most = (least + step).min(limit).max(least);
        match self.extend(most, bulk) {
            Err(error) if error.is_disk_full() => self.extend(least, bulk),
            other => other,
        }
    }

    fn extend(&mut self, to: u64, bulk: bool) -> Result<(), Error> {
        let path = &self.segment.path;
        let file = self.segment.file.as_ref();
        let mut fill = !bulk;
        if to > self.secured {
            let from = self.secured.max(self.end);
            match file.preallocate(from, to - from) {
                Ok(()) => self.secured = to,
                // Then writing is what takes the space.
                Err(error) if error.kind() == ErrorKind::Unsupported => fill = true,
                Err(error) => return Err(Error::space("make room in", path)(error)),
            }
        }
        let mut at = self.filled.max(self.end);
        while fill && at < to {
            let piece = (to - at).min(ZEROS.len() as u64);
            let zeros = ZEROS.get(..piece as usize).unwrap_or_default();
            write_all_at(file, zeros, at).map_err(Error::space("make room in", path))?;
            at += piece;
            self.filled = at;
        }
        self.secured = self.secured.max(self.filled);
        Ok(())
    }

    /// How many bytes behind the last group are ready, with zeros written or at all.
    pub(crate) fn ready(&self) -> (u64, u64) {
        (
            self.filled.saturating_sub(self.end),
            self.secured.saturating_sub(self.end),
        )
    }

    /// Gives the space behind the last group back.
    pub(crate) fn cut(&mut self) -> Result<(), Error> {
        let path = &self.segment.path;
        let file = self.segment.file.as_ref();
        file.set_len(self.end).map_err(Error::io("cut", path))?;
        (self.secured, self.filled) = (self.end, self.end);
        Ok(())
    }

    /// Writes one group at the end and makes it durable. `header_len` bytes of it are its commit
    /// header.
    pub(crate) fn write_group(&mut self, group: &[u8], header_len: usize) -> Result<(), Error> {
        let path = &self.segment.path;
        let file = self.segment.file.as_ref();
        write_all_at(file, group, self.end).map_err(Error::io("write", path))?;
        let mut synced = file.sync_data();
        if planted(Bug::SyncRetried) {
            synced = synced.or_else(|_| file.sync_data());
        }
        synced.map_err(Error::io("sync", path))?;
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
