use std::{
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use arc_swap::{ArcSwapOption, Guard};
use factlog_format::JournalId;
use factlog_fs::{OpenMode, StoreFs};
use factlog_proof::SignedCheckpoint;

use crate::{
    Error,
    index::IndexView,
    segment::{
        GroupScanner, ScanStop, Search, SegmentFile, Work,
        offsets::{OffsetsOf, OffsetsReader},
        offsets_name,
    },
    sync::Mutex,
};

/// What readers see: an immutable picture of the durable journal. A new one replaces it with each
/// commit; who holds an old one keeps reading it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// In order of their sequences; the last is the one being written.
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    /// How many events are durable, and shown as unproven.
    pub(crate) durable: u64,
    /// Where a reader without a writer shows a group that nothing calls durable.
    pub(crate) unproven_from: Option<u64>,
    pub(crate) index: IndexView,
    /// The newest checkpoint with a signature.
    pub(crate) signed: Option<Arc<SignedCheckpoint>>,
}

impl View {
    /// How many events are durable for sure.
    pub(crate) fn proven(&self) -> u64 {
        self.unproven_from.unwrap_or(self.durable)
    }

    /// The segment that holds a sequence.
    pub(crate) fn segment_of(&self, sequence: u64) -> Option<&Arc<Segment>> {
        self.segments.get(self.place_of(sequence)?)
    }

    /// Which of the segments that is.
    pub(crate) fn place_of(&self, sequence: u64) -> Option<usize> {
        if sequence >= self.durable {
            return None;
        }
        let after = self
            .segments
            .partition_point(|segment| segment.first <= sequence);
        after.checked_sub(1)
    }
}

/// One segment as readers know it; its file is opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first: u64,
    pub(crate) generation: u32,
    /// For a sealed segment: how many events it holds and where it ends.
    pub(crate) sealed: Option<(u64, u64)>,
    /// Its file where that stays open: of the segment being written, and in a journal whose segments are
    /// mapped.
    pinned: OnceLock<Arc<SegmentFile>>,
    open: Arc<Open>,
    /// In memory from the segment's first event until its offsets file is complete; shared by all views.
    live: Arc<ArcSwapOption<LiveOffsets>>,
    /// Whether the segment was scanned because its offsets led elsewhere. The lock is held meanwhile, by
    /// readers alone.
    rescanned: AtomicBool,
    rescanning: Mutex<()>,
}

/// What a segment keeps open or in memory for its readers, who hold on to it while they read.
#[derive(Debug, Default)]
struct Open {
    file: ArcSwapOption<SegmentFile>,
    /// Where its events stand, once nobody has that in memory from writing it: from the offsets file or,
    /// failing that, from a scan.
    offsets: ArcSwapOption<StoredOffsets>,
}

impl Open {
    fn close(&self) {
        self.file.store(None);
        if let Some(StoredOffsets::File(_)) = self.offsets.load().as_deref() {
            self.offsets.store(None);
        }
    }
}

/// The file of a segment, which stays open as long as this is held.
pub(crate) enum Held<'s> {
    Pinned(&'s Arc<SegmentFile>),
    /// Never without a file.
    Open(Guard<Option<Arc<SegmentFile>>>),
}

impl Deref for Held<'_> {
    type Target = Arc<SegmentFile>;

    fn deref(&self) -> &Arc<SegmentFile> {
        match self {
            Self::Pinned(file) => file,
            Self::Open(file) => match &**file {
                Some(file) => file,
                None => unreachable!("it is made with a file"),
            },
        }
    }
}

#[derive(Debug)]
enum StoredOffsets {
    File(OffsetsReader),
    Loaded(Vec<u32>),
}

/// Bytes of offsets of sealed segments that are kept in memory: those of some four million events. The
/// others are read from their files.
const RESIDENT: u64 = 16 << 20;

/// So many files of sealed segments are open at once, offsets files included, however many there are: a
/// process may have about a thousand of all sorts. Opening one again takes many times as long as a read.
const MOST_OPEN: usize = 256;

/// What the segments of a journal may keep for their readers, all together.
#[derive(Debug)]
pub(crate) struct Resident {
    /// How many bytes of offsets there is still room for.
    offsets: AtomicU64,
    /// Whose files are open, in a ring: no lock, since appenders open files, too, and must not wait for
    /// readers.
    open: [ArcSwapOption<Weak<Open>>; MOST_OPEN],
    /// How often a file was opened.
    opened: AtomicUsize,
    /// Whether sealed segments are mapped; maps stay, since someone may look into them.
    pub(crate) maps: bool,
}

impl Resident {
    pub(crate) fn new(maps: bool) -> Self {
        Self {
            offsets: AtomicU64::new(RESIDENT),
            open: [const { ArcSwapOption::const_empty() }; MOST_OPEN],
            opened: AtomicUsize::new(0),
            maps,
        }
    }

    fn takes(&self, bytes: u64) -> bool {
        let left = |left: u64| left.checked_sub(bytes);
        self.offsets.fetch_update(Relaxed, Relaxed, left).is_ok()
    }

    /// Notes that a segment has opened a file, and closes that of the one which did so longest ago.
    fn opened(&self, open: &Arc<Open>) {
        let place = self.opened.fetch_add(1, Relaxed) % MOST_OPEN;
        let Some(place) = self.open.get(place) else {
            return;
        };
        let before = place.swap(Some(Arc::new(Arc::downgrade(open))));
        if let Some(before) = before.and_then(|before| before.upgrade()) {
            before.close();
        }
    }
}

impl Segment {
    pub(crate) fn live(file: Arc<SegmentFile>) -> Self {
        Self {
            path: file.path.clone(),
            first: file.header.first_sequence,
            generation: file.header.generation,
            sealed: None,
            pinned: OnceLock::from(file),
            open: Arc::default(),
            live: Arc::new(ArcSwapOption::from_pointee(LiveOffsets::default())),
            rescanned: AtomicBool::new(false),
            rescanning: Mutex::default(),
        }
    }

    pub(crate) fn sealed(path: PathBuf, first: u64, generation: u32, count: u64, end: u64) -> Self {
        Self {
            path,
            first,
            generation,
            sealed: Some((count, end)),
            pinned: OnceLock::new(),
            open: Arc::default(),
            live: Arc::default(),
            rescanned: AtomicBool::new(false),
            rescanning: Mutex::default(),
        }
    }

    /// The same segment, now sealed; what it knows of its offsets stays.
    pub(crate) fn to_sealed(&self, count: u64, end: u64) -> Self {
        let mut sealed = Self::sealed(self.path.clone(), self.first, self.generation, count, end);
        sealed.live = Arc::clone(&self.live);
        sealed
    }

    pub(crate) fn file(
        &self,
        fs: &dyn StoreFs,
        journal: &JournalId,
        resident: &Resident,
    ) -> Result<Held<'_>, Error> {
        if let Some(file) = self.pinned.get() {
            return Ok(Held::Pinned(file));
        }
        let open = self.open.file.load();
        if open.is_some() {
            return Ok(Held::Open(open));
        }
        let file = Arc::new(SegmentFile::open(fs, &self.path, OpenMode::Read, journal)?);
        if resident.maps {
            return Ok(Held::Pinned(self.pinned.get_or_init(|| file)));
        }
        self.open.file.store(Some(Arc::clone(&file)));
        resident.opened(&self.open);
        Ok(Held::Open(Guard::from_inner(Some(file))))
    }

    /// The bytes of the file, if it has been mapped.
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        self.pinned.get()?.mapped()
    }

    /// Notes where events of the segment being written stand, from `first` on.
    pub(crate) fn note_offsets(&self, first: u64, offsets: impl IntoIterator<Item = u32>) {
        if let Some(live) = self.live.load().as_ref() {
            for (index, offset) in (first - self.first..).zip(offsets) {
                live.set(index, offset);
            }
        }
    }

    /// Gives up the offsets in resident, once the file has them all.
    pub(crate) fn offsets_are_stored(&self) {
        self.live.store(None);
    }

    /// Where the frame of an event stands, and how far it may go: to the next event at most, where that is
    /// known. In memory that costs nothing, and saves reading more than the frame.
    pub(crate) fn extent(
        &self,
        fs: &dyn StoreFs,
        journal: &JournalId,
        resident: &Resident,
        sequence: u64,
    ) -> Result<(u64, Option<u64>), Error> {
        let offset = self.offset(fs, journal, resident, sequence)?;
        let index = sequence.saturating_sub(self.first) + 1;
        let next = match self.live.load().as_ref() {
            Some(live) => live.get(index),
            None => match self.open.offsets.load().as_deref() {
                Some(StoredOffsets::Loaded(offsets)) => usize::try_from(index)
                    .ok()
                    .and_then(|index| offsets.get(index))
                    .copied(),
                _ => None,
            },
        };
        let most = next.and_then(|next| u64::from(next).checked_sub(offset));
        Ok((offset, most))
    }

    /// Where the frame of an event stands.
    pub(crate) fn offset(
        &self,
        fs: &dyn StoreFs,
        journal: &JournalId,
        resident: &Resident,
        sequence: u64,
    ) -> Result<u64, Error> {
        let index = sequence.saturating_sub(self.first);
        let found = match self.live.load().as_ref() {
            Some(live) => live.get(index),
            None => self.stored_offset(fs, journal, resident, index)?,
        };
        found.map(u64::from).ok_or_else(|| {
            let damage = crate::Damage::new("segment.corrupt", &self.path, "an event is missing");
            damage.sequence(sequence).into()
        })
    }

    fn stored_offset(
        &self,
        fs: &dyn StoreFs,
        journal: &JournalId,
        resident: &Resident,
        index: u64,
    ) -> Result<Option<u32>, Error> {
        if let Some(stored) = self.open.offsets.load().as_ref() {
            return stored.get(index);
        }
        let stored = Arc::new(self.load_offsets(fs, journal, resident)?);
        self.open.offsets.store(Some(Arc::clone(&stored)));
        if let StoredOffsets::File(_) = *stored {
            resident.opened(&self.open);
        }
        stored.get(index)
    }

    fn load_offsets(
        &self,
        fs: &dyn StoreFs,
        journal: &JournalId,
        resident: &Resident,
    ) -> Result<StoredOffsets, Error> {
        // A view from before the segment was sealed doesn't know its count; its file is complete.
        let complete = |len: u64| self.sealed.is_none_or(|(count, _)| len == count);
        let path = self
            .path
            .with_file_name(offsets_name(self.first, self.generation));
        let of = OffsetsOf {
            journal: *journal,
            first: self.first,
            generation: self.generation,
        };
        // A derived file never blocks a read: what it would say is in the segment.
        let Ok(Some(reader)) = OffsetsReader::open(fs, &path, of) else {
            return Ok(StoredOffsets::Loaded(self.scan(fs, journal, resident)?));
        };
        let Some(len) = reader.len().ok().filter(|len| complete(*len)) else {
            return Ok(StoredOffsets::Loaded(self.scan(fs, journal, resident)?));
        };
        if !resident.takes(len * size_of::<u32>() as u64) {
            // A hole in it is noticed by who comes upon it.
            return Ok(StoredOffsets::File(reader));
        }
        match reader.read_all() {
            Ok(offsets) if complete(offsets.len() as u64) => Ok(StoredOffsets::Loaded(offsets)),
            _ => Ok(StoredOffsets::Loaded(self.scan(fs, journal, resident)?)),
        }
    }

    fn scan(
        &self,
        fs: &dyn StoreFs,
        journal: &JournalId,
        resident: &Resident,
    ) -> Result<Vec<u32>, Error> {
        let file = self.file(fs, journal, resident)?;
        let end = self.sealed.map_or_else(|| file.len(), |(_, end)| Ok(end))?;
        find_offsets(&file, end)
    }

    /// Where every event stands by the segment itself, after an offset led elsewhere: the offsets in
    /// memory and in the file carry no checksum of their own.
    pub(crate) fn rescan(
        &self,
        fs: &dyn StoreFs,
        journal: &JournalId,
        resident: &Resident,
    ) -> Result<(), Error> {
        let _rescanning = self.rescanning.lock();
        if self.was_rescanned() {
            return Ok(());
        }
        let mut offsets = self.scan(fs, journal, resident)?;
        match self.live.load().as_ref() {
            Some(_) => {
                let places = (self.first..).zip(&offsets);
                for (sequence, offset) in places.filter(|(_, offset)| **offset > 0) {
                    self.note_offsets(sequence, [*offset]);
                }
            }
            None => {
                // Around damage the scan finds nothing, and what was known may well be right: each read checks.
                if let Some(known) = self.open.offsets.load().as_deref() {
                    offsets.resize(known.len()?.max(offsets.len()), 0);
                    let holes = (0..).zip(&mut offsets).filter(|(_, offset)| **offset == 0);
                    for (index, offset) in holes {
                        *offset = known.get(index).ok().flatten().unwrap_or(0);
                    }
                }
                let loaded = StoredOffsets::Loaded(offsets);
                self.open.offsets.store(Some(Arc::new(loaded)));
            }
        }
        self.rescanned.store(true, Release);
        Ok(())
    }

    /// Whether [`rescan`](Self::rescan) was called for.
    pub(crate) fn was_rescanned(&self) -> bool {
        self.rescanned.load(Acquire)
    }
}

impl StoredOffsets {
    fn len(&self) -> Result<usize, Error> {
        match self {
            Self::File(reader) => Ok(usize::try_from(reader.len()?).unwrap_or(usize::MAX)),
            Self::Loaded(offsets) => Ok(offsets.len()),
        }
    }

    fn get(&self, index: u64) -> Result<Option<u32>, Error> {
        match self {
            Self::File(reader) => reader.get(index),
            Self::Loaded(offsets) => Ok(usize::try_from(index)
                .ok()
                .and_then(|index| offsets.get(index))
                .copied()
                .filter(|offset| *offset > 0)),
        }
    }
}

/// Finds the frames of events by scanning a segment up to `end`, going on behind damage with the next
/// commit header that can be believed: 0 stands for what can't be read. Only whole groups count, since a
/// payload can hold what looks like an event.
pub(crate) fn find_offsets(segment: &SegmentFile, end: u64) -> Result<Vec<u32>, Error> {
    let first = segment.header.first_sequence;
    let mut work = Work::of(end);
    let mut offsets = Vec::new();
    let mut scanner = GroupScanner::new(segment, segment.header_len, first, end);
    loop {
        match scanner.next() {
            Ok(group) => offsets.extend(group.events.iter().map(|event| event.offset as u32)),
            Err(ScanStop::End) => return Ok(offsets),
            Err(ScanStop::Failed(error)) => return Err(error),
            Err(ScanStop::Damage { offset, .. }) => {
                let next = first + offsets.len() as u64;
                let mut search = Search::new(segment, offset + 1, end, &mut work);
                let follows = loop {
                    match search.next_commit()? {
                        // A header can't speak of more events than bytes before it hold.
                        Some((at, header))
                            if (next..=first + at / MIN_EVENT).contains(&header.first_sequence) =>
                        {
                            break Some((at, header.first_sequence));
                        }
                        Some(_) => {}
                        None => break None,
                    }
                };
                let Some((at, sequence)) = follows else {
                    return Ok(offsets);
                };
                offsets.resize((sequence - first) as usize, 0);
                scanner = GroupScanner::new(segment, at, sequence, end);
            }
        }
    }
}

/// Where the events of a segment stand, as far as it was scanned.
#[derive(Debug)]
pub(crate) struct OffsetsScan {
    pub(crate) segment: SegmentFile,
    /// Where the next group starts, and where the last one ends.
    next: u64,
    end: u64,
    pub(crate) offsets: Vec<u32>,
}

impl OffsetsScan {
    pub(crate) fn new(segment: SegmentFile, end: u64) -> Self {
        Self {
            next: segment.header_len,
            segment,
            end,
            offsets: Vec::new(),
        }
    }

    /// Scans some bytes further, to the end of a group. Returns whether that was the last.
    ///
    /// # Errors
    /// `segment.corrupt` where there is no whole group.
    pub(crate) fn step(&mut self, bytes: u64) -> Result<bool, Error> {
        let enough = self.next.saturating_add(bytes);
        let sequence = self.segment.header.first_sequence + self.offsets.len() as u64;
        let mut scanner = GroupScanner::new(&self.segment, self.next, sequence, self.end);
        while self.next < enough {
            match scanner.next() {
                Ok(group) => {
                    let events = group.events.iter();
                    self.offsets.extend(events.map(|event| event.offset as u32));
                    self.next = group.end;
                }
                Err(ScanStop::End) => return Ok(true),
                Err(ScanStop::Damage { offset, detail, .. }) => {
                    return Err(self.segment.damage(offset, detail).into());
                }
                Err(ScanStop::Failed(error)) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Offsets of the segment being written, in blocks that are made when they are needed. The writer sets
/// an entry before it publishes the view that shows the event; readers look only below that view's
/// mark, so that relaxed accesses suffice.
#[derive(Debug)]
struct LiveOffsets {
    blocks: Box<[OnceLock<Box<[AtomicU32]>>]>,
}

/// No event frame is shorter.
const MIN_EVENT: u64 = 128;
const BLOCK: u64 = 1 << 14;
/// A segment is at most 4 GiB long.
const MAX_BLOCKS: usize = ((factlog_format::MAX_SEGMENT_LEN / MIN_EVENT) / BLOCK) as usize + 2;

impl Default for LiveOffsets {
    fn default() -> Self {
        Self {
            blocks: (0..MAX_BLOCKS).map(|_| OnceLock::new()).collect(),
        }
    }
}

impl LiveOffsets {
    fn set(&self, index: u64, offset: u32) {
        let Some(block) = self.blocks.get((index / BLOCK) as usize) else {
            return;
        };
        let block = block.get_or_init(|| (0..BLOCK).map(|_| AtomicU32::new(0)).collect());
        if let Some(entry) = block.get((index % BLOCK) as usize) {
            entry.store(offset, Relaxed);
        }
    }

    /// `None` for what was never set: no frame stands at 0.
    fn get(&self, index: u64) -> Option<u32> {
        let block = self.blocks.get((index / BLOCK) as usize)?.get()?;
        let offset = block.get((index % BLOCK) as usize)?.load(Relaxed);
        (offset != 0).then_some(offset)
    }
}
