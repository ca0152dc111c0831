use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use factlog_format::{
    CrcSeed, EventFrame, FRAME_HEADER_LEN, FormatError, Frame, FrameType, FullStub, GroupKey,
    JournalId, MAX_GENERATION, MAX_SEGMENT_HEADER_LEN, ManifestRow, SegmentHeader,
};
use factlog_fs::{FileMap, OpenMode, StoreFile, StoreFs, read_exact_at, read_up_to};

use crate::{Damage, Error};

/// Most event frames fit in one read of this size.
const FIRST_READ: usize = 1024;
/// The most that is read of a frame before its own length is known.
const MOST_GUESSED: usize = 64 << 10;

/// `{first:016x}-{generation:08x}.seg`
pub(crate) fn segment_name(first: u64, generation: u32) -> String {
    format!("{first:016x}-{generation:08x}.seg")
}

/// `{first:016x}-{generation:08x}.off`
pub(crate) fn offsets_name(first: u64, generation: u32) -> String {
    format!("{first:016x}-{generation:08x}.off")
}

/// First sequence and generation of a segment's file name; `None` for any other name.
pub(crate) fn parse_segment_name(name: &str) -> Option<(u64, u32)> {
    let (first, generation) = name.strip_suffix(".seg")?.split_once('-')?;
    let parsed = (
        u64::from_str_radix(first, 16).ok()?,
        u32::from_str_radix(generation, 16).ok()?,
    );
    // Only the one spelling that is ever written counts.
    let is_ours = parsed.1 <= MAX_GENERATION && segment_name(parsed.0, parsed.1) == name;
    is_ours.then_some(parsed)
}

/// An open segment whose header has been read and belongs to the journal.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn StoreFile>,
    pub(crate) header: SegmentHeader,
    /// Where the first group begins, in bytes.
    pub(crate) header_len: u64,
    pub(crate) key: GroupKey,
    pub(crate) seed: CrcSeed,
    /// Filled when somebody first asks for a map; `None` where the file can't be mapped.
    map: OnceLock<Option<Box<dyn FileMap>>>,
}

impl SegmentFile {
    /// Opens a segment and checks that its header is one of the journal's and fits the file's name.
    pub(crate) fn open(
        fs: &dyn StoreFs,
        path: &Path,
        mode: OpenMode,
        journal: &JournalId,
    ) -> Result<Self, Error> {
        let segment = Self::open_in(fs, path, mode)?;
        if segment.header.journal != *journal {
            let detail = "the segment belongs to another journal";
            return Err(Damage::new("segment.other_journal", path, detail).into());
        }
        Ok(segment)
    }

    /// Opens a segment of whatever journal for reading.
    pub(crate) fn open_any(fs: &dyn StoreFs, path: &Path) -> Result<Self, Error> {
        Self::open_in(fs, path, OpenMode::Read)
    }

    fn open_in(fs: &dyn StoreFs, path: &Path, mode: OpenMode) -> Result<Self, Error> {
        let file = match fs.open(path, mode) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let detail = "the segment's file is missing";
                return Err(Damage::new("segment.missing", path, detail).into());
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let header = read_header(file.as_ref(), path)?;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if parse_segment_name(name) != Some((header.first_sequence, header.generation)) {
            let detail = "the segment's header does not fit its file name";
            return Err(Damage::new("segment.misplaced", path, detail).into());
        }
        Ok(Self::new(path.to_owned(), file, header))
    }

    /// Opens a segment whose header is damaged, with what MANIFEST repeats of it: all that the checks of
    /// its groups need, and a header of the usual length.
    pub(crate) fn open_by_row(
        fs: &dyn StoreFs,
        path: &Path,
        row: &ManifestRow,
        journal: JournalId,
    ) -> Result<Self, Error> {
        let file = fs
            .open(path, OpenMode::Read)
            .map_err(Error::io("open", path))?;
        let header = SegmentHeader {
            features: factlog_format::Features::default(),
            journal,
            first_sequence: row.first_sequence,
            generation: row.generation,
            incarnation: 0,
            salt: row.salt,
            durable: 0,
            edge: vec![[0; 32]; row.first_sequence.count_ones() as usize],
            inputs: Vec::new(),
        };
        Ok(Self::new(path.to_owned(), file, header))
    }

    pub(crate) fn new(path: PathBuf, file: Box<dyn StoreFile>, header: SegmentHeader) -> Self {
        let SegmentHeader {
            salt,
            journal,
            first_sequence,
            generation,
            ..
        } = &header;
        Self {
            key: GroupKey::derive(salt, journal, *first_sequence, *generation),
            seed: CrcSeed::of(journal),
            header_len: header.encoded_len() as u64,
            path,
            file,
            header,
            map: OnceLock::new(),
        }
    }

    /// The bytes of a segment that is never written again, in a journal of this process's own.
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        let map = self.map.get_or_init(|| self.file.map().ok());
        map.as_deref().map(|map| &**map)
    }

    pub(crate) fn len(&self) -> Result<u64, Error> {
        self.file.len().map_err(Error::io("measure", &self.path))
    }

    pub(crate) fn damage(&self, offset: u64, detail: impl Into<String>) -> Damage {
        Damage::new("segment.corrupt", &self.path, detail).at(offset)
    }

    /// Reads the frame at `offset` into `buffer` and returns its type and the range of its body.
    pub(crate) fn read_frame(
        &self,
        offset: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(FrameType, std::ops::Range<usize>), Error> {
        self.read_frame_of(offset, FIRST_READ, buffer)
    }

    /// As [`read_frame`](Self::read_frame) of a frame that is likely to be as long as `most`, or a little
    /// shorter.
    pub(crate) fn read_frame_of(
        &self,
        offset: u64,
        most: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(FrameType, std::ops::Range<usize>), Error> {
        let io = || Error::io("read", &self.path);
        buffer.resize(most.clamp(FRAME_HEADER_LEN, MOST_GUESSED), 0);
        let got = read_up_to(self.file.as_ref(), buffer, offset).map_err(io())?;
        let bad = |error: FormatError| Error::from(self.damage(offset, error.to_string()));
        let len = Frame::peek_len(buffer.get(..got).unwrap_or_default()).map_err(bad)?;
        if len > got {
            buffer.resize(len, 0);
            let more = read_up_to(
                self.file.as_ref(),
                buffer.get_mut(got..).unwrap_or_default(),
                offset + got as u64,
            );
            let have = got + more.map_err(io())?;
            buffer.truncate(have);
        } else {
            buffer.truncate(len);
        }
        let frame = Frame::read(self.seed, buffer).map_err(bad)?;
        let start = FRAME_HEADER_LEN;
        Ok((frame.kind, start..start + frame.body.len()))
    }

    /// Where the frame at an offset ends, by the length that it begins with, which nothing has checked.
    pub(crate) fn frame_end(&self, offset: u64) -> Result<u64, Error> {
        let mut head = [0; FRAME_HEADER_LEN];
        let got = read_up_to(self.file.as_ref(), &mut head, offset)
            .map_err(Error::io("read", &self.path))?;
        let len = Frame::peek_len(head.get(..got).unwrap_or_default())
            .map_err(|error| self.damage(offset, error.to_string()))?;
        Ok(offset + len as u64)
    }

    /// As [`read_frame`](Self::read_frame), out of the mapped file.
    pub(crate) fn frame_in<'m>(&self, map: &'m [u8], offset: u64) -> Result<Frame<'m>, Error> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = map.get(at..).unwrap_or_default();
        let bad = |error: FormatError| Error::from(self.damage(offset, error.to_string()));
        Frame::read(self.seed, bytes).map_err(bad)
    }

    /// The event hash and place of the event or stub at `offset`.
    pub(crate) fn read_order(
        &self,
        offset: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(factlog_format::Ordering, factlog_format::Digest), Error> {
        let (kind, body) = self.read_frame(offset, buffer)?;
        let body = buffer.get(body).unwrap_or_default();
        let journal = &self.header.journal;
        let bad = |error: FormatError| Error::from(self.damage(offset, error.to_string()));
        match kind {
            FrameType::Event | FrameType::PayloadStub => {
                let event = EventFrame::decode(kind, body).map_err(bad)?;
                Ok((event.order, event.event_hash(journal)))
            }
            FrameType::FullStub => {
                let stub = FullStub::decode(body).map_err(bad)?;
                Ok((stub.order, stub.event_hash(journal)))
            }
            FrameType::Commit => Err(self
                .damage(offset, "a commit header stands where an event should")
                .into()),
        }
    }
}

fn read_header(file: &dyn StoreFile, path: &Path) -> Result<SegmentHeader, Error> {
    let bad = |error| Error::from(Damage::format("segment.header", path, error).at(0));
    let mut head = [0u8; 16];
    let got = read_up_to(file, &mut head, 0).map_err(Error::io("read", path))?;
    let len = SegmentHeader::peek_len(head.get(..got).unwrap_or_default()).map_err(bad)?;
    let file_len = file.len().map_err(Error::io("measure", path))?;
    if len > MAX_SEGMENT_HEADER_LEN || len as u64 > file_len {
        return Err(bad(FormatError::Truncated("segment header")));
    }
    let mut bytes = vec![0u8; len];
    read_exact_at(file, &mut bytes, 0).map_err(Error::io("read", path))?;
    SegmentHeader::decode(&bytes).map_err(bad)
}
