//! Where the events of a segment stand: `{segment}.off`, beside it.
//!
//! A header of 48 bytes, then one little-endian `u32` per event: the offset of its frame in the
//! segment, plus one. Zeros were never written. Frames are 8-aligned, so from byte 256 on at least two
//! bytes of an entry differ from zero, and a flipped byte never makes it look unwritten. The entries
//! carry no checksum: whoever follows one finds a frame that has its own, and that says which event it
//! is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use factlog_fs::{Access, OpenMode, StoreFile, StoreFs, read_up_to, write_all_at};

use crate::tree::{Compare, Compared};
use crate::{Damage, Error};

const CODE: &str = "derived.offsets";
const MAGIC: &[u8; 8] = b"FACTOFF\0";
const VERSION: u16 = 0;
const HEADER: usize = 48;
const OFFSET: u64 = 4;

/// Which segment the offsets belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetsOf {
    /// The journal.
    pub(crate) journal: [u8; 16],
    /// Sequence of the segment's first event.
    pub(crate) first: u64,
    /// The segment's generation.
    pub(crate) generation: u32,
}

impl OffsetsOf {
    fn header(&self) -> [u8; HEADER] {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&[0; 2]);
        header.extend_from_slice(&self.generation.to_le_bytes());
        header.extend_from_slice(&self.journal);
        header.extend_from_slice(&self.first.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        let mut out = [0; HEADER];
        out.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        out
    }
}

/// Appends offsets.
///
/// After an error it takes no more: what is on disk is then found out by the next open. Nothing is
/// written when it is dropped.
#[derive(Debug)]
pub(crate) struct OffsetsWriter {
    file: Box<dyn StoreFile>,
    path: PathBuf,
    /// Offsets written.
    written: u64,
    buffer: Vec<u8>,
    /// Written with the next offsets.
    header: Option<[u8; HEADER]>,
    failed: bool,
}

impl OffsetsWriter {
    /// Begins the file, in place of any that is there.
    pub(crate) fn create(fs: &dyn StoreFs, path: &Path, of: OffsetsOf) -> Result<Self, Error> {
        match fs.remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", path)(e)),
            _ => {}
        }
        let file = fs
            .create_new(path, Access::Shared)
            .map_err(Error::io("create", path))?;
        write_all_at(file.as_ref(), &of.header(), 0).map_err(Error::io("write", path))?;
        let path = path.to_owned();
        Ok(Self {
            file,
            path,
            written: 0,
            buffer: Vec::new(),
            header: None,
            failed: false,
        })
    }

    /// Goes on in the file, or begins it where it is missing or not of this segment. It is cut where
    /// an offset is missing or not above the one before.
    pub(crate) fn open(fs: &dyn StoreFs, path: &Path, of: OffsetsOf) -> Result<Self, Error> {
        let good = match OffsetsReader::open(fs, path, of) {
            Ok(Some(reader)) => reader.good()?,
            Ok(None) | Err(Error::Damaged(_)) => return Self::create(fs, path, of),
            Err(error) => return Err(error),
        };
        let file = fs
            .open(path, OpenMode::Write)
            .map_err(Error::io("open", path))?;
        let path = path.to_owned();
        let mut writer = Self {
            file,
            path,
            written: good,
            buffer: Vec::new(),
            header: None,
            failed: false,
        };
        writer.truncate_to(good)?;
        Ok(writer)
    }

    /// Lets everything be written once more, from the header on: these offsets, of which the file may
    /// hold the first.
    pub(crate) fn write_again(&mut self, of: OffsetsOf, offsets: &[u32]) {
        self.header = Some(of.header());
        self.written = 0;
        self.buffer.clear();
        self.append(offsets);
    }

    /// How many offsets were appended, written or not.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64 / OFFSET
    }

    /// Takes in offsets, in memory.
    pub(crate) fn append(&mut self, offsets: &[u32]) {
        self.buffer
            .extend(offsets.iter().flat_map(|offset| entry(*offset)));
    }

    /// Writes what was taken in.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.usable()?;
        let buffer = std::mem::take(&mut self.buffer);
        self.failed = true;
        let header = self.header.take();
        header
            .map_or(Ok(()), |header| {
                write_all_at(self.file.as_ref(), &header, 0)
            })
            .and_then(|()| write_all_at(self.file.as_ref(), &buffer, place(self.written)))
            .map_err(Error::io("write", &self.path))?;
        self.failed = false;
        self.written += buffer.len() as u64 / OFFSET;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what was taken in and makes it durable, as a clean close does. The directory's entry is
    /// the caller's to sync.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        let synced = self.file.sync_all().map_err(Error::io("sync", &self.path));
        self.failed = synced.is_err();
        synced
    }

    /// Forgets the offsets from the `len`th on, in the file too.
    pub(crate) fn truncate_to(&mut self, len: u64) -> Result<(), Error> {
        self.usable()?;
        let kept = len.saturating_sub(self.written) * OFFSET;
        self.buffer
            .truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.written = self.written.min(len);
        let io = Error::io("cut", &self.path);
        let cut = self.file.len().and_then(|len| match place(self.written) {
            wanted if len > wanted => self.file.set_len(wanted),
            _ => Ok(()),
        });
        self.failed = cut.is_err();
        cut.map_err(io)
    }

    fn usable(&self) -> Result<(), Error> {
        if self.failed {
            let why = std::io::Error::other("an earlier write of this file failed");
            return Err(Error::io("write", &self.path)(why));
        }
        Ok(())
    }
}

/// Reads offsets by position.
#[derive(Debug)]
pub(crate) struct OffsetsReader {
    file: Box<dyn StoreFile>,
    path: PathBuf,
}

impl OffsetsReader {
    /// Opens the file; `None` if there is none, or none whose header was written.
    ///
    /// # Errors
    /// Damage, if the header is not the one of this segment's offsets.
    pub(crate) fn open(
        fs: &dyn StoreFs,
        path: &Path,
        of: OffsetsOf,
    ) -> Result<Option<Self>, Error> {
        let file = match fs.open(path, OpenMode::Read) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io("open", path))?,
        };
        let mut header = [0; HEADER];
        let read = read_up_to(file.as_ref(), &mut header, 0).map_err(Error::io("read", path))?;
        let header = header.get(..read).unwrap_or_default();
        if header.len() < HEADER && of.header().starts_with(header)
            || header.iter().all(|byte| *byte == 0)
        {
            return Ok(None);
        }
        if header != of.header() {
            let what = "the header is not the one of this segment's offsets";
            return Err(Damage::new(CODE, path, what).at(0).into());
        }
        Ok(Some(Self {
            file,
            path: path.to_owned(),
        }))
    }

    /// The offset of the segment's `index`th event; `None` if it wasn't written.
    pub(crate) fn get(&self, index: u64) -> Result<Option<u32>, Error> {
        let Some(at) = index
            .checked_mul(OFFSET)
            .and_then(|at| at.checked_add(HEADER as u64))
        else {
            return Ok(None);
        };
        let mut bytes = [0; 4];
        let read = read_up_to(self.file.as_ref(), &mut bytes, at);
        let read = read.map_err(Error::io("read", &self.path))?;
        if read < bytes.len() || bytes == [0; 4] {
            return Ok(None);
        }
        let damage = || Damage::new(CODE, &self.path, "no frame stands at such an offset").at(at);
        offset(bytes).map(Some).ok_or_else(|| damage().into())
    }

    /// How many offsets the file has room for, whatever stands there.
    pub(crate) fn len(&self) -> Result<u64, Error> {
        let len = self.file.len().map_err(Error::io("measure", &self.path))?;
        Ok(len.saturating_sub(HEADER as u64) / OFFSET)
    }

    /// The offsets up to the first that wasn't written or is not above the one before.
    pub(crate) fn read_all(&self) -> Result<Vec<u32>, Error> {
        let mut all = Vec::new();
        self.walk(|offset| all.push(offset))?;
        Ok(all)
    }

    /// How many offsets there are up to the first that wasn't written or is not above the one before;
    /// a crash can leave such holes. Reads the whole file.
    fn good(&self) -> Result<u64, Error> {
        let mut good = 0;
        self.walk(|_| good += 1)?;
        Ok(good)
    }

    fn walk(&self, mut each: impl FnMut(u32)) -> Result<(), Error> {
        let mut buf = vec![0; 64 << 10];
        let (mut at, mut last) = (HEADER as u64, 0);
        loop {
            let read = read_up_to(self.file.as_ref(), &mut buf, at);
            let read = read.map_err(Error::io("read", &self.path))?;
            let (offsets, _) = buf.get(..read).unwrap_or_default().as_chunks();
            for bytes in offsets {
                let Some(offset) = offset(*bytes).filter(|offset| *offset > last) else {
                    return Ok(());
                };
                last = offset;
                each(offset);
            }
            if read < buf.len() {
                return Ok(());
            }
            at += read as u64;
        }
    }
}

/// Compares the file with the offsets that the segment gives, which it is fed in order, for `verify`.
///
/// A file that is missing or ends early is no finding.
#[derive(Debug)]
pub(crate) struct OffsetsChecker {
    file: Option<Compare>,
    finding: Option<Damage>,
    first: u64,
    count: u64,
}

impl OffsetsChecker {
    /// Opens the file. To be called before the end of the segment is looked at, which a live writer
    /// moves on.
    pub(crate) fn open(fs: &dyn StoreFs, path: &Path, of: OffsetsOf) -> Result<Self, Error> {
        let mut checker = Self {
            file: None,
            finding: None,
            first: of.first,
            count: 0,
        };
        let Some(mut file) = Compare::open(fs, path.to_owned())? else {
            return Ok(checker);
        };
        match file.next(&of.header())? {
            Compared::Same => checker.file = Some(file),
            Compared::Absent => {}
            Compared::Differs => {
                let what = "the header is not the one of this segment's offsets";
                checker.finding = Some(Damage::new(CODE, path, what).at(0));
            }
        }
        Ok(checker)
    }

    /// Compares the offset of the segment's next event.
    pub(crate) fn add(&mut self, offset: u32) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            let at = file.offset();
            if file.next(&entry(offset))? == Compared::Differs {
                let what = "an offset is not where the event stands";
                let damage = Damage::new(CODE, file.path(), what).at(at);
                self.finding = Some(damage.sequence(self.first + self.count));
                self.file = None;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Compares the offsets of the segment's next events.
    pub(crate) fn add_all(&mut self, offsets: &[u32]) -> Result<(), Error> {
        for some in offsets.chunks(AT_ONCE) {
            let entries = some.iter().map(|offset| entry(*offset));
            let file = self.file.as_mut();
            if file.map_or(Ok(true), |file| file.pass(entries))? {
                self.count += some.len() as u64;
            } else {
                some.iter().try_for_each(|offset| self.add(*offset))?;
            }
        }
        Ok(())
    }

    /// The finding, once every event of the segment was added.
    pub(crate) fn finish(self) -> Option<Damage> {
        let surplus = self.file.filter(|file| file.len() > place(self.count));
        let surplus = surplus.map(|file| {
            let what = "the file holds more offsets than the segment has events";
            Damage::new(CODE, file.path(), what).at(place(self.count))
        });
        self.finding.or(surplus)
    }
}

/// How many offsets are compared at once.
const AT_ONCE: usize = 1024;

/// An offset as it is stored.
fn entry(offset: u32) -> [u8; 4] {
    debug_assert!(offset.is_multiple_of(8));
    offset.wrapping_add(1).to_le_bytes()
}

/// The offset that is stored so, if one is.
fn offset(entry: [u8; 4]) -> Option<u32> {
    let offset = u32::from_le_bytes(entry).checked_sub(1)?;
    offset.is_multiple_of(8).then_some(offset)
}

/// Where the `index`th offset stands; indices come from a segment, which holds fewer than 2^32 events.
fn place(index: u64) -> u64 {
    HEADER as u64 + index * OFFSET
}

#[cfg(test)]
mod tests {
    use factlog_fs::MemFs;
    use factlog_fs::read_file;

    use super::*;

    const OF: OffsetsOf = OffsetsOf {
        journal: [3; 16],
        first: 1 << 40,
        generation: 9,
    };

    fn path() -> &'static Path {
        Path::new("a.off")
    }

    fn offsets(count: u32) -> Vec<u32> {
        (0..count).map(|at| 400 + at * 424).collect()
    }

    fn build(count: u32) -> MemFs {
        let fs = MemFs::new();
        let mut writer = OffsetsWriter::create(&fs, path(), OF).unwrap();
        for some in offsets(count).chunks(7) {
            writer.append(some);
            writer.flush().unwrap();
        }
        writer.sync().unwrap();
        fs
    }

    fn bytes(fs: &MemFs) -> Vec<u8> {
        read_file(fs, path(), 1 << 30).unwrap()
    }

    fn change(fs: &MemFs, change: impl FnOnce(&mut Vec<u8>)) {
        let mut changed = bytes(fs);
        change(&mut changed);
        let file = fs.open(path(), OpenMode::Write).unwrap();
        file.set_len(0).unwrap();
        write_all_at(file.as_ref(), &changed, 0).unwrap();
    }

    fn check(fs: &MemFs, count: u32) -> Option<Damage> {
        let mut checker = OffsetsChecker::open(fs, path(), OF).unwrap();
        offsets(count)
            .into_iter()
            .for_each(|offset| checker.add(offset).unwrap());
        checker.finish()
    }

    #[test]
    fn offsets_come_back() {
        let fs = build(40_000);
        let reader = OffsetsReader::open(&fs, path(), OF).unwrap().unwrap();
        assert_eq!(reader.good().unwrap(), 40_000);
        assert_eq!(reader.read_all().unwrap(), offsets(40_000));
        for index in [0, 1, 39_999] {
            assert_eq!(
                reader.get(index).unwrap(),
                Some(offsets(40_000)[index as usize])
            );
        }
        assert_eq!(reader.get(40_000).unwrap(), None);
        assert_eq!(reader.get(u64::MAX).unwrap(), None);
        assert_eq!(check(&fs, 40_000), None);
    }

    #[test]
    fn a_missing_or_torn_file_is_no_finding_and_goes_on_where_it_is_good() {
        let wanted = bytes(&build(1_000));
        for (name, tear, good) in [
            (
                "missing",
                (|fs| fs.remove_file(path()).unwrap()) as fn(&MemFs),
                0,
            ),
            ("empty", |fs| change(fs, Vec::clear), 0),
            ("cut header", |fs| change(fs, |bytes| bytes.truncate(20)), 0),
            ("lost header", |fs| change(fs, |bytes| bytes.fill(0)), 0),
            (
                "cut",
                |fs| change(fs, |bytes| bytes.truncate(48 + 4 * 700 + 2)),
                700,
            ),
            (
                "lost end",
                |fs| change(fs, |bytes| bytes[48 + 4 * 700..].fill(0)),
                700,
            ),
            (
                "lost sector",
                |fs| change(fs, |bytes| bytes[512..1024].fill(0)),
                116,
            ),
        ] {
            let fs = build(1_000);
            tear(&fs);
            assert_eq!(check(&fs, 1_000), None, "{name}");
            let mut writer = OffsetsWriter::open(&fs, path(), OF).unwrap();
            assert_eq!(writer.len(), good, "{name}");
            writer.append(&offsets(1_000)[good as usize..]);
            writer.flush().unwrap();
            assert_eq!(bytes(&fs), wanted, "{name}");
        }
    }

    #[test]
    fn a_cut_holds_for_buffer_and_file() {
        let fs = build(100);
        let mut writer = OffsetsWriter::open(&fs, path(), OF).unwrap();
        writer.append(&offsets(110)[100..]);
        writer.truncate_to(105).unwrap();
        assert_eq!(writer.len(), 105);
        writer.flush().unwrap();
        assert_eq!(bytes(&fs), bytes(&build(105)));
        writer.truncate_to(50).unwrap();
        assert_eq!(bytes(&fs), bytes(&build(50)));
    }

    #[test]
    fn every_flipped_bit_is_reported_and_surplus_too() {
        let fs = build(60);
        for at in 0..bytes(&fs).len() {
            for bit in 0..8 {
                change(&fs, |bytes| bytes[at] ^= 1 << bit);
                assert_eq!(check(&fs, 60).map(|found| found.code), Some(CODE), "{at}");
                change(&fs, |bytes| bytes[at] ^= 1 << bit);
            }
        }
        assert_eq!(
            check(&fs, 59).and_then(|found| found.offset),
            Some(48 + 4 * 59)
        );
        change(&fs, |bytes| bytes.push(0));
        assert!(check(&fs, 60).is_some());
    }

    #[test]
    fn another_segments_offsets_are_refused_and_replaced() {
        let fs = build(60);
        for other in [
            OffsetsOf {
                journal: [4; 16],
                ..OF
            },
            OffsetsOf { first: 0, ..OF },
            OffsetsOf {
                generation: 8,
                ..OF
            },
        ] {
            let refused = OffsetsReader::open(&fs, path(), other).unwrap_err();
            assert!(matches!(refused, Error::Damaged(damage) if damage.code == CODE));
            let checker = OffsetsChecker::open(&fs, path(), other).unwrap();
            assert!(checker.finish().is_some());
        }
        let other = OffsetsOf {
            generation: 8,
            ..OF
        };
        assert_eq!(OffsetsWriter::open(&fs, path(), other).unwrap().len(), 0);
        assert!(OffsetsReader::open(&fs, path(), other).unwrap().is_some());
    }

    #[test]
    fn a_damaged_offset_is_no_offset() {
        let fs = build(60);
        change(&fs, |bytes| bytes[48 + 40] ^= 2);
        let reader = OffsetsReader::open(&fs, path(), OF).unwrap().unwrap();
        assert!(reader.get(10).is_err());
        assert_eq!(reader.read_all().unwrap().len(), 10);
        assert_eq!(OffsetsWriter::open(&fs, path(), OF).unwrap().len(), 10);
    }
}
