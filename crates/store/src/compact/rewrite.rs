use std::path::Path;

use factlog_format::{
    CommitHeader, CrcSeed, ErasureLevel, FormatError, FrameType, FramesHasher, HeadersHasher,
    ManifestRow, Ordering, SegmentHeader, SegmentInput, seal_frame,
};
use factlog_fs::{Access, OpenMode, StoreFs, write_all_at};

use super::erased::push_stub;
use crate::{
    Damage, Error,
    config::{Bug, planted},
    layout::Layout,
    segment::{
        FrameReader, FrameStop, SegmentFile,
        offsets::{OffsetsOf, OffsetsWriter},
        segment_name,
    },
};

/// How much is gathered for one write.
const CHUNK: usize = 1 << 20;
/// How much is written before it is synced, so that a sync of the log never has to wait for more.
const SYNC_EVERY: u64 = 4 << 20;
/// A commit header without signatures.
const COMMIT_LEN: u64 = 128;

/// What a segment is to be made of.
pub(super) struct Rewrite<'r> {
    pub(super) fs: &'r dyn StoreFs,
    pub(super) layout: &'r Layout,
    /// Neighbours, all sealed.
    pub(super) rows: &'r [ManifestRow],
    /// All of the new segment's header but what follows from the rows.
    pub(super) header: SegmentHeader,
    pub(super) raw_clock: i64,
}

/// How much is taken of the event of a sequence; asked for each in turn.
pub(super) type Taken<'t> = &'t mut dyn FnMut(u64) -> Option<ErasureLevel>;

/// Told of bytes that were written; may wait, or end it with an error.
pub(super) type Pace<'p> = &'p mut dyn FnMut(u64) -> Result<(), Error>;

impl Rewrite<'_> {
    /// Writes the segment, durably and with its commit header last, and gives its row. Nothing names it
    /// yet, and after an error it is gone again, as far as that can be done.
    ///
    /// # Errors
    /// Damage of what is to be copied; `disk.full`; what `pace` returns.
    pub(super) fn write(mut self, taken: Taken<'_>, pace: Pace<'_>) -> Result<ManifestRow, Error> {
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else {
            return Err(damaged(self.layout, "no segment is to be rewritten"));
        };
        let end = last.first_sequence + last.count.unwrap_or(0);
        self.header.first_sequence = first.first_sequence;
        self.header.durable = end;
        let inputs = self.rows.iter().map(|row| SegmentInput {
            first_sequence: row.first_sequence,
            generation: row.generation,
        });
        self.header.inputs = inputs.collect();
        self.header.edge = self.open(first)?.header.edge;
        let segments = self.layout.segments();
        let name = segment_name(self.header.first_sequence, self.header.generation);
        let path = segments.join(name);
        let written = self.write_to(&path, end, taken, pace);
        written.inspect_err(|_| {
            // One that stays is removed when a session begins.
            let _ = self.fs.remove_file(&path);
            let _ = self.fs.remove_file(&path.with_extension("off"));
        })
    }

    fn write_to(
        &self,
        path: &Path,
        end: u64,
        taken: Taken<'_>,
        pace: Pace<'_>,
    ) -> Result<ManifestRow, Error> {
        let mut output = Output::create(self.fs, path, &self.header)?;
        let mut root = None;
        for row in self.rows {
            root = Some(self.copy(row, &mut output, taken, pace)?);
        }
        output.flush(pace)?;
        output.sync()?;
        let header = CommitHeader {
            number: 0,
            incarnation: self.header.incarnation,
            count: (end - self.header.first_sequence) as u32,
            first_sequence: self.header.first_sequence,
            frames_len: (output.at - output.segment.header_len - COMMIT_LEN) as u32,
            durable: end,
            raw_clock: self.raw_clock,
            root: root.unwrap_or_default(),
            signatures: Vec::new(),
            frames_check: output.crcs.clone().finish(),
        };
        output.finish(&header)?;
        let segments = self.layout.segments();
        self.fs
            .sync_dir(&segments)
            .map_err(Error::io("sync", &segments))?;
        let mut headers = HeadersHasher::new(&self.header.encode());
        headers.add(&output.commit);
        Ok(ManifestRow {
            first_sequence: self.header.first_sequence,
            count: Some(u64::from(header.count)),
            generation: self.header.generation,
            salt: self.header.salt,
            proven_end: 0,
            sealed_end: output.at,
            headers_hash: headers.digest(),
        })
    }

    fn open(&self, row: &ManifestRow) -> Result<SegmentFile, Error> {
        let path = self.layout.segment(row.first_sequence, row.generation);
        let segment = SegmentFile::open(self.fs, &path, OpenMode::Read, &self.header.journal)?;
        if segment.header.salt != row.salt {
            let detail = "the segment has another salt than MANIFEST repeats";
            return Err(Damage::new("segment.salt_mismatch", &path, detail).into());
        }
        Ok(segment)
    }

    /// Copies the events of one segment, and gives the root that its last commit states. Only what its
    /// commit headers, and MANIFEST, vouch for is believed: the original is about to be removed.
    fn copy(
        &self,
        row: &ManifestRow,
        output: &mut Output,
        taken: Taken<'_>,
        pace: Pace<'_>,
    ) -> Result<[u8; 32], Error> {
        let segment = self.open(row)?;
        let mut headers = HeadersHasher::new(&segment.header.encode());
        let file = segment.file.as_ref();
        let mut frames = FrameReader::new(file, segment.seed, segment.header_len, row.sealed_end);
        let mut group: Option<Group> = None;
        let mut next = row.first_sequence;
        loop {
            let at = frames.offset();
            let frame = match frames.next() {
                Ok(frame) => frame,
                Err(FrameStop::End) => break,
                Err(FrameStop::Io(error)) => return Err(Error::io("read", &segment.path)(error)),
                Err(FrameStop::Bad(error)) => {
                    return Err(segment.damage(at, error.to_string()).sequence(next).into());
                }
            };
            let wrong = |detail: &str| Error::from(segment.damage(at, detail).sequence(next));
            if frame.kind == FrameType::Commit {
                let ended = group.take().is_none_or(|group| group.ends_at(next));
                let header = CommitHeader::decode(&segment.key, frame.body)
                    .map_err(|error| wrong(&error.to_string()))?;
                if !ended || header.first_sequence != next {
                    return Err(wrong("the group before is not the one of its header"));
                }
                headers.add(frame.bytes);
                group = Some(Group {
                    header,
                    crcs: segment.key.frames_hasher(),
                });
                continue;
            }
            let order = Ordering::peek(frame.body).map_err(|error| wrong(&error.to_string()))?;
            let Some(group) = group.as_mut().filter(|_| order.sequence == next) else {
                return Err(wrong("an event is out of place"));
            };
            group.crcs.add(frame.crc);
            next += 1;
            if planted(Bug::SurvivorLost) && next == row.first_sequence + row.count.unwrap_or(0) {
                continue;
            }
            let level = taken(order.sequence).filter(|_| !planted(Bug::StubKeepsBytes));
            let stubbed = level.map(|level| output.stub(frame.kind, frame.body, level));
            let stubbed = stubbed.unwrap_or(Ok(false));
            if !stubbed.map_err(|error| segment.damage(at, error.to_string()))? {
                output.frame(frame.bytes, frame.crc);
            }
            if output.buffer.len() >= CHUNK {
                output.flush(pace)?;
            }
        }
        let root = group.as_ref().map(|group| group.header.root);
        let whole = group.is_some_and(|group| group.ends_at(next));
        let complete = row.count == Some(next - row.first_sequence);
        let Some(root) = root.filter(|_| whole && complete) else {
            let detail = "the segment doesn't hold the events that MANIFEST says";
            return Err(segment.damage(row.sealed_end, detail).sequence(next).into());
        };
        if headers.digest() != row.headers_hash {
            let detail =
                "the segment's header or commit headers are not those that MANIFEST sealed";
            return Err(Damage::new("segment.headers_mismatch", &segment.path, detail).into());
        }
        Ok(root)
    }
}

fn damaged(layout: &Layout, detail: &str) -> Error {
    Damage::new("segment.corrupt", &layout.segments(), detail).into()
}

/// The group that is being copied.
struct Group {
    header: CommitHeader,
    crcs: FramesHasher,
}

impl Group {
    /// Whether it is whole, with `next` as the event behind it.
    fn ends_at(self, next: u64) -> bool {
        self.header.end_sequence() == next && self.crcs.finish() == self.header.frames_check
    }
}

/// The segment that is being made.
struct Output {
    segment: SegmentFile,
    /// Where the next byte goes that isn't gathered yet.
    at: u64,
    buffer: Vec<u8>,
    unsynced: u64,
    crcs: FramesHasher,
    offsets: OffsetsWriter,
    /// The commit header's frame, once it is written.
    commit: Vec<u8>,
}

impl Output {
    fn create(fs: &dyn StoreFs, path: &Path, header: &SegmentHeader) -> Result<Self, Error> {
        let file = fs
            .create_new(path, Access::Shared)
            .map_err(Error::space("create", path))?;
        let segment = SegmentFile::new(path.to_owned(), file, header.clone());
        let bytes = header.encode();
        write_all_at(segment.file.as_ref(), &bytes, 0).map_err(Error::space("write", path))?;
        let of = OffsetsOf {
            journal: header.journal,
            first: header.first_sequence,
            generation: header.generation,
        };
        Ok(Self {
            at: segment.header_len + COMMIT_LEN,
            crcs: segment.key.frames_hasher(),
            segment,
            buffer: Vec::with_capacity(CHUNK + CHUNK / 4),
            unsynced: 0,
            offsets: OffsetsWriter::create(fs, &path.with_extension("off"), of)?,
            commit: Vec::new(),
        })
    }

    /// Takes in a frame.
    fn frame(&mut self, bytes: &[u8], crc: u32) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        self.note(start, crc);
    }

    /// Takes in what is left of an event; `false` if nothing of it is to be taken any more.
    fn stub(
        &mut self,
        kind: FrameType,
        body: &[u8],
        level: ErasureLevel,
    ) -> Result<bool, FormatError> {
        let start = self.buffer.len();
        if push_stub(kind, body, level, &mut self.buffer)?.is_none() {
            return Ok(false);
        }
        let frame = self.buffer.get_mut(start..).unwrap_or_default();
        let crc = seal_frame(self.segment.seed, frame);
        self.note(start, crc);
        Ok(true)
    }

    /// Notes where a frame stands that was gathered.
    fn note(&mut self, start: usize, crc: u32) {
        // A segment is shorter than 4 GiB, and this one no longer than those that it is made of.
        let offset = self.at + start as u64;
        self.offsets.append(&[offset as u32]);
        self.crcs.add(crc);
    }

    /// Writes what was taken in.
    fn flush(&mut self, pace: Pace<'_>) -> Result<(), Error> {
        let (file, path) = (self.segment.file.as_ref(), &self.segment.path);
        write_all_at(file, &self.buffer, self.at).map_err(Error::space("write", path))?;
        let written = self.buffer.len() as u64;
        file.begin_sync(self.at, written);
        self.buffer.clear();
        self.at += written;
        self.unsynced += written;
        self.offsets.flush()?;
        if self.unsynced >= SYNC_EVERY {
            file.sync_data().map_err(Error::space("sync", path))?;
            self.unsynced = 0;
        }
        pace(written)
    }

    fn sync(&mut self) -> Result<(), Error> {
        if planted(Bug::CompactedUnsynced) {
            return Ok(());
        }
        let (file, path) = (self.segment.file.as_ref(), &self.segment.path);
        file.sync_all().map_err(Error::space("sync", path))
    }

    /// Writes the commit header, once all else is durable: so it vouches for that.
    fn finish(&mut self, header: &CommitHeader) -> Result<(), Error> {
        let (file, path) = (self.segment.file.as_ref(), &self.segment.path);
        let seed = CrcSeed::of(&self.segment.header.journal);
        header
            .write(seed, &self.segment.key, &mut self.commit)
            .map_err(|error| Damage::format("segment.corrupt", path, error))?;
        assert_eq!(self.commit.len() as u64, COMMIT_LEN, "it has no signatures");
        write_all_at(file, &self.commit, self.segment.header_len)
            .map_err(Error::space("write", path))?;
        self.sync()?;
        self.offsets.sync()
    }
}
