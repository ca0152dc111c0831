mod entries;
mod stored;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use factlog_format::{JournalId, ManifestRow};
use factlog_fs::{OpenMode, StoreFs};
use factlog_proof::Hash;

use self::stored::StoredEntries;
use super::{Writer, receipt::GroupProof};
use crate::{
    Damage, Error, Options,
    compact::erasing_from,
    config::{Bug, planted},
    index::{CHUNK, IndexDir, IndexView, IndexWriter, Run, Tail},
    layout::Layout,
    read::Shared,
    read::view::{OffsetsScan, Resident, Segment, View, find_offsets},
    recover::Found,
    segment::{
        SegmentFile,
        offsets::{OffsetsOf, OffsetsReader, OffsetsWriter},
    },
    sync::Mutex,
    tree::{TreeReader, TreeWriter},
};

pub(super) use entries::entries_of;
pub(crate) use entries::entries_of_scan;

/// Beyond so many events whose derived entries aren't written yet, commits write them themselves.
const BACKLOG: u64 = 1 << 16;
/// So many bytes of a segment are scanned before the thread looks at its other work again.
const MENDED_AT_ONCE: u64 = 4 << 20;
/// Offsets and leaves are written once so many have gathered.
const FLUSH: u64 = 4096;

/// Writes the derived files: offsets, tree, index. Only durable events reach it.
///
/// A failure here never fails an append: the files are made again when the journal is next opened.
pub(crate) struct Derived {
    queue: Mutex<Queue>,
    files: Mutex<DerivedFiles>,
}

#[derive(Default)]
struct Queue {
    groups: VecDeque<Group>,
    events: u64,
}

struct Group {
    segment: Arc<Segment>,
    proof: Arc<GroupProof>,
    offsets: Vec<u32>,
}

/// The derived files of a writable journal, open for writing.
pub(crate) struct DerivedFiles {
    pub(crate) fs: Arc<dyn StoreFs>,
    pub(crate) layout: Layout,
    pub(crate) journal: JournalId,
    pub(crate) index: IndexWriter,
    /// `None` where its files can't be opened.
    tree: Option<TreeWriter>,
    /// Offsets of the segment with this generation.
    pub(crate) offsets: Option<(u32, OffsetsWriter)>,
    /// The segment that these offsets are of, whose readers have them in memory until the file is whole.
    pub(crate) live: Option<Arc<Segment>>,
    pub(crate) unflushed: u64,
    /// Sealed segments whose offsets files may not be on the disk: first sequence, generation, end.
    doubtful: Vec<(u64, u32, u64)>,
    /// The one of them that is being scanned.
    mending: Option<OffsetsScan>,
    /// Set by the first failure; no offsets nor leaves are written then.
    pub(crate) failed: Option<Error>,
    /// No entries are written any more.
    index_failed: bool,
    /// Runs are missing that readers still have: none are shown before they are there again.
    rebuilding: bool,
}

/// Whether the offsets file of a sealed segment may not be on the disk after an unclean end, with so many
/// events in the sealed segments after it.
pub(crate) fn offsets_may_be_unsynced(sealed_after: u64) -> bool {
    sealed_after <= 2 * BACKLOG
}

impl Derived {
    pub(crate) fn new(files: DerivedFiles) -> Self {
        Self {
            queue: Mutex::default(),
            files: Mutex::new(files),
        }
    }

    /// Hands a durable group over.
    pub(super) fn queue(&self, segment: &Arc<Segment>, proof: &Arc<GroupProof>, offsets: Vec<u32>) {
        let mut queue = self.queue.lock();
        queue.events += offsets.len() as u64;
        queue.groups.push_back(Group {
            segment: Arc::clone(segment),
            proof: Arc::clone(proof),
            offsets,
        });
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.lock().groups.is_empty()
    }

    /// Keeps the backlog, which stands in memory, within its bound.
    pub(crate) fn make_room(&self, writer: &Writer) {
        while self.behind(writer) > BACKLOG && self.step(writer) {}
    }

    fn behind(&self, writer: &Writer) -> u64 {
        let view = writer.shared.view.load();
        let unindexed = view.index.tail().end().saturating_sub(view.index.covered());
        unindexed.max(self.queue.lock().events)
    }

    /// Does one step of work. Returns whether there may be more.
    pub(crate) fn step(&self, writer: &Writer) -> bool {
        let mut files = self.files.lock();
        let groups = {
            let mut queue = self.queue.lock();
            queue.events = 0;
            std::mem::take(&mut queue.groups)
        };
        if writer.shared.rescanned.swap(false, Relaxed) {
            files.mend_rescanned(&writer.shared);
        }
        let mut more = false;
        if files.failed.is_none() {
            let written = files.take(groups).and_then(|()| files.mend_doubtful());
            more = written.unwrap_or_else(|error| {
                files.failed = Some(error);
                false
            });
        }
        if files.index_failed {
            return more;
        }
        match files.step_index(writer) {
            Ok(indexed) => more || indexed,
            // A run is whole or not there, so that the next step can try again. What isn't indexed stands in
            // memory, and has to get out of there once the disk has room.
            Err(error) if error.code() == "disk.full" => more,
            Err(error) => {
                files.failed.get_or_insert(error);
                files.index_failed = true;
                more
            }
        }
    }

    /// Makes a damaged part of the index again from the events that it indexes.
    pub(crate) fn mend(&self, writer: &Writer, damage: &Damage) -> Result<(), Error> {
        let mut files = self.files.lock();
        let view = writer.shared.view.load_full();
        let mut runs = files.index.discard(&damage.path)?;
        if !writer.shared.erasures.pending().is_empty() {
            let end = files.index.covered();
            runs = files.index.truncate_to(end)?.or(runs);
        }
        let mut stored = StoredEntries::new(&writer.shared);
        while files.index.covered() < view.index.tail_from() {
            let first = files.index.covered();
            let entries = stored.entries(&view, first..first + CHUNK)?;
            runs = files.index.append_chunk(first, entries)?.or(runs);
        }
        files.publish(writer, runs);
        Ok(())
    }

    /// Makes the index again from the chunk of an event on, out of what the segments hold now.
    ///
    /// Readers have the runs and the tail of before until all is there; a crash leaves what the next open
    /// makes again.
    ///
    /// # Errors
    /// As reading the events and writing runs. Until that works, what is new is indexed in memory.
    pub(crate) fn rebuild(&self, writer: &Writer, from: u64) -> Result<(), Error> {
        let mut files = self.files.lock();
        files.rebuilding = true;
        files.index.truncate_to(from - from % CHUNK)?;
        let mut stored = StoredEntries::new(&writer.shared);
        loop {
            let view = writer.shared.view.load_full();
            let first = files.index.covered();
            if first + CHUNK > view.durable {
                break;
            }
            // Commits that wait for room get on meanwhile.
            drop(files);
            let entries = stored.entries(&view, first..first + CHUNK)?;
            files = self.files.lock();
            if files.index.covered() == first {
                files.index.append_chunk(first, entries)?;
            }
        }
        let view = writer.shared.view.load_full();
        let covered = files.index.covered();
        let rest = covered.min(view.durable)..view.durable;
        let entries = stored.entries(&view, rest)?;
        let tail = Tail::new(covered).push(view.durable, entries);
        let _publish = writer.publish.lock();
        let view = writer.shared.view.load_full();
        let entries = stored.entries(&view, tail.end()..view.durable)?;
        let tail = tail.push(view.durable, entries);
        let index = IndexView::new(files.journal, files.index.runs(), &tail);
        writer.shared.view.store(Arc::new(View {
            index,
            ..View::clone(&view)
        }));
        files.rebuilding = false;
        Ok(())
    }

    /// Finishes the offsets file of a segment that is sealed, if it is the one being written, so that
    /// nothing holds it any more.
    pub(crate) fn let_go(&self, writer: &Writer, generation: u32) {
        while self.step(writer) {}
        let mut files = self.files.lock();
        let held = files.offsets.take_if(|(held, _)| *held == generation);
        if let Some(Err(error)) = held.map(|(_, mut offsets)| offsets.sync()) {
            files.fail(error);
            return;
        }
        let live = files.live.take_if(|live| live.generation == generation);
        if let Some(live) = live {
            live.offsets_are_stored();
        }
    }

    /// Whether some derived file could not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.files.lock().failed.is_some()
    }

    /// Writes everything that is still in memory; at a close.
    pub(crate) fn finish(&self, writer: &Writer) {
        while self.step(writer) {}
        let mut files = self.files.lock();
        if let Err(error) = files.sync() {
            files.failed.get_or_insert(error);
        }
    }
}

impl DerivedFiles {
    /// Opens the files of a journal, after an unclean end with a second look at the tree. What can't be
    /// opened is noted as failed, and done without.
    pub(crate) fn open(options: &Options, found: &Found, recheck: bool) -> Self {
        let fs = &options.fs;
        let (journal, layout) = (found.identity.journal, found.layout.clone());
        let (mut failed, mut index_failed, mut tree) = (None, false, None);
        let dir = IndexDir::new(Arc::clone(fs), layout.index(), journal).mapped(options.maps);
        let index = match IndexWriter::open(dir.clone()) {
            Ok((mut index, _)) => {
                // What is made again knows of stubs already that what stands behind it doesn't.
                if erasing_from(&found.manifest).is_some()
                    && let Err(error) = index.truncate_to(index.covered())
                {
                    failed = Some(error);
                }
                index
            }
            Err(error) => {
                (failed, index_failed) = (Some(error), true);
                IndexWriter::reading(dir)
            }
        };
        match TreeWriter::open(Arc::clone(fs), &layout.tree(), recheck) {
            Ok(opened) => tree = Some(opened),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
        Self {
            fs: Arc::clone(fs),
            layout,
            journal,
            index,
            tree,
            offsets: None,
            live: None,
            unflushed: 0,
            doubtful: Vec::new(),
            mending: None,
            failed,
            index_failed,
            rebuilding: false,
        }
    }

    /// Notes the first failure; nothing more is written then.
    pub(crate) fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }

    /// How many leaves the tree has; as many as there can be, where nobody takes more.
    pub(crate) fn leaves(&self) -> u64 {
        self.tree.as_ref().map_or(u64::MAX, TreeWriter::size)
    }

    pub(crate) fn append_leaves(&mut self, leaves: &[Hash]) {
        if let Some(tree) = self.tree.as_mut().filter(|_| self.failed.is_none()) {
            tree.append(leaves);
        }
    }

    /// Cuts files that are ahead of the log, or of another one. Returns whether there is something to
    /// catch up with again.
    pub(crate) fn cut_to(&mut self, proven: u64, root: Hash) -> bool {
        let mut cut = false;
        if self.index.covered() > proven {
            // In memory they are gone in any case.
            if let Err(error) = self.index.truncate_to(proven) {
                self.fail(error);
            }
            cut = true;
        }
        match self.cut_tree(proven, root) {
            Ok(cut_tree) => cut | cut_tree,
            Err(error) => {
                self.tree = None;
                self.fail(error);
                cut
            }
        }
    }

    fn cut_tree(&mut self, proven: u64, root: Hash) -> Result<bool, Error> {
        let Some(tree) = &mut self.tree else {
            return Ok(false);
        };
        if self.failed.is_some() {
            return Ok(false);
        }
        if tree.size() > proven {
            if planted(Bug::DerivedAheadBelieved) {
                return Ok(false);
            }
            tree.truncate_to(proven)?;
        }
        if tree.size() < proven || proven == 0 {
            return Ok(false);
        }
        tree.flush()?;
        let dir = self.layout.tree();
        let missing = |sequence| {
            Err(Damage::new("derived.tree", &dir, "a leaf is missing")
                .sequence(sequence)
                .into())
        };
        let edge = TreeReader::new(self.fs.as_ref(), &dir, missing).frontier(proven);
        if edge.is_ok_and(|edge| edge.root() == root) {
            return Ok(false);
        }
        tree.truncate_to(0)?;
        Ok(true)
    }

    fn take(&mut self, groups: VecDeque<Group>) -> Result<(), Error> {
        for group in groups {
            if let Some(tree) = self.tree.as_mut().filter(|_| self.failed.is_none()) {
                tree.append_span(&group.proof.span);
            }
            self.offsets_of(&group.segment)?.append(&group.offsets);
            self.unflushed += group.offsets.len() as u64;
        }
        if self.unflushed >= FLUSH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if let Some(tree) = &mut self.tree {
            tree.flush()?;
        }
        if let Some((_, offsets)) = &mut self.offsets {
            offsets.flush()?;
        }
        self.unflushed = 0;
        Ok(())
    }

    /// As a clean close does, so that the next open believes the files.
    fn sync(&mut self) -> Result<(), Error> {
        if let Some(tree) = &mut self.tree {
            tree.sync()?;
        }
        if let Some((_, offsets)) = &mut self.offsets {
            offsets.sync()?;
        }
        let segments = self.layout.segments();
        self.fs
            .sync_dir(&segments)
            .map_err(Error::io("sync", &segments))
    }

    fn offsets_of(&mut self, segment: &Arc<Segment>) -> Result<&mut OffsetsWriter, Error> {
        let same = self
            .offsets
            .as_ref()
            .is_some_and(|(open, _)| *open == segment.generation);
        if !same {
            if let Some((_, done)) = &mut self.offsets {
                done.sync()?;
            }
            if let Some(done) = self.live.take() {
                done.offsets_are_stored();
            }
            let (first, generation) = (segment.first, segment.generation);
            let path = segment.path.with_extension("off");
            let of = OffsetsOf {
                journal: self.journal,
                first,
                generation,
            };
            let writer = OffsetsWriter::create(self.fs.as_ref(), &path, of)?;
            self.offsets = Some((generation, writer));
        }
        self.live = Some(Arc::clone(segment));
        match &mut self.offsets {
            Some((_, writer)) => Ok(writer),
            None => unreachable!("it was put there above"),
        }
    }

    /// Goes on in the offsets file of a segment after an open, with the offsets that a scan found; after
    /// an unclean end all are written once more, since a sync that failed may have left them well in
    /// the cache alone.
    /// A failure is noted, as any of a derived file is.
    pub(crate) fn keep_offsets(&mut self, segment: &SegmentFile, offsets: &[u32], clean: bool) {
        let header = &segment.header;
        let of = OffsetsOf {
            journal: self.journal,
            first: header.first_sequence,
            generation: header.generation,
        };
        let path = segment.path.with_extension("off");
        let mut opened = go_on_in(self.fs.as_ref(), &path, of, offsets);
        if let (Ok(writer), false) = (&mut opened, clean) {
            writer.write_again(of, offsets);
        }
        match opened {
            Ok(writer) => {
                // What was taken in of the segment before would otherwise never be written.
                let before = self.offsets.replace((of.generation, writer));
                let other = before.filter(|(generation, _)| *generation != of.generation);
                if let Some(Err(error)) = other.map(|(_, mut before)| before.sync()) {
                    self.failed.get_or_insert(error);
                }
            }
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }

    /// After an unclean end: the offsets files of segments that were sealed shortly before are to be
    /// written again, since they are synced some time after the seal, and one that reads well need not
    /// be on the disk. Done in the background: until then readers see for themselves whether they are
    /// led right.
    pub(crate) fn mend_offsets_later(&mut self, rows: &[ManifestRow]) {
        let mut events = 0;
        for row in rows.iter().rev() {
            let Some(count) = row.count.filter(|_| offsets_may_be_unsynced(events)) else {
                continue;
            };
            events += count;
            self.doubtful
                .push((row.first_sequence, row.generation, row.sealed_end));
        }
    }

    /// Writes the offsets files again that led elsewhere.
    fn mend_rescanned(&mut self, shared: &Shared) {
        let view = shared.view.load();
        for segment in view.segments.iter().filter(|one| one.was_rescanned()) {
            match self.mend_rescanned_of(segment, &shared.resident) {
                // Compacted away meanwhile, or it is the segment itself that is damaged: there is nothing to
                // make the file of.
                Err(Error::Damaged(_)) => {}
                mended => mended.unwrap_or_else(|error| self.fail(error)),
            }
        }
    }

    fn mend_rescanned_of(&mut self, segment: &Segment, resident: &Resident) -> Result<(), Error> {
        if let Some((_, sealed_end)) = segment.sealed {
            return self.mend_offsets_of(segment.first, segment.generation, sealed_end);
        }
        let Some((generation, writer)) = &mut self.offsets else {
            return Ok(());
        };
        if *generation != segment.generation {
            return Ok(());
        }
        let file = segment.file(self.fs.as_ref(), &self.journal, resident)?;
        let known = usize::try_from(writer.len()).unwrap_or(usize::MAX);
        // A group may be being written at the end.
        let offsets = find_offsets(&file, file.len()?)?;
        writer.truncate_to(0)?;
        writer.append(offsets.get(..known).unwrap_or_default());
        Ok(())
    }

    /// Goes on writing doubtful files again, a few megabytes of a segment at a time. Returns whether there
    /// is more.
    fn mend_doubtful(&mut self) -> Result<bool, Error> {
        let step = match self.mending.take() {
            Some(mut scan) => scan.step(MENDED_AT_ONCE).map(|done| (scan, done)),
            None => match self.doubtful.pop() {
                Some((first, generation, end)) => {
                    let scan = self.scan_of(first, generation, end);
                    scan.map(|scan| (scan, false))
                }
                None => return Ok(false),
            },
        };
        match step {
            Ok((scan, true)) => self.write_offsets(&scan)?,
            Ok((scan, false)) => self.mending = Some(scan),
            // Reads that meet it say so; all else goes on.
            Err(Error::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(self.mending.is_some() || !self.doubtful.is_empty())
    }

    fn mend_offsets_of(&self, first: u64, generation: u32, end: u64) -> Result<(), Error> {
        let mut scan = self.scan_of(first, generation, end)?;
        while !scan.step(u64::MAX)? {}
        self.write_offsets(&scan)
    }

    fn scan_of(&self, first: u64, generation: u32, end: u64) -> Result<OffsetsScan, Error> {
        let path = self.layout.segment(first, generation);
        let mode = OpenMode::Read;
        let segment = SegmentFile::open(self.fs.as_ref(), &path, mode, &self.journal)?;
        Ok(OffsetsScan::new(segment, end))
    }

    fn write_offsets(&self, scan: &OffsetsScan) -> Result<(), Error> {
        let header = &scan.segment.header;
        let of = OffsetsOf {
            journal: self.journal,
            first: header.first_sequence,
            generation: header.generation,
        };
        let path = scan.segment.path.with_extension("off");
        let mut writer = OffsetsWriter::create(self.fs.as_ref(), &path, of)?;
        writer.append(&scan.offsets);
        writer.sync()
    }

    fn step_index(&mut self, writer: &Writer) -> Result<bool, Error> {
        let view = writer.shared.view.load_full();
        let tail = view.index.tail();
        if self.rebuilding || !self.index.has_work(tail) {
            return Ok(false);
        }
        let runs = self.index.step(tail)?;
        self.publish(writer, runs);
        Ok(true)
    }

    /// Lets readers use new runs.
    fn publish(&self, writer: &Writer, runs: Option<Vec<Arc<Run>>>) {
        let Some(runs) = runs else {
            return;
        };
        let _publish = writer.publish.lock();
        let view = writer.shared.view.load_full();
        let index = IndexView::new(self.journal, runs, view.index.tail());
        writer.shared.view.store(Arc::new(View {
            index,
            ..View::clone(&view)
        }));
    }
}

/// The offsets file that is there, as far as it holds these, with the rest taken in.
fn go_on_in(
    fs: &dyn StoreFs,
    path: &Path,
    of: OffsetsOf,
    offsets: &[u32],
) -> Result<OffsetsWriter, Error> {
    let mut writer = OffsetsWriter::open(fs, path, of)?;
    let stored = match OffsetsReader::open(fs, path, of)? {
        Some(reader) => reader.read_all()?,
        None => Vec::new(),
    };
    let same = stored.iter().zip(offsets).take_while(|(is, be)| is == be);
    writer.truncate_to(same.count() as u64)?;
    let known = usize::try_from(writer.len()).unwrap_or(usize::MAX);
    writer.append(offsets.get(known..).unwrap_or_default());
    Ok(writer)
}
