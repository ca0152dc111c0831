use std::{collections::VecDeque, sync::Arc};

use factlog_format::JournalId;
use factlog_fs::StoreFs;
use factlog_proof::Hash;

use super::{Writer, order::OrderedEvent};
use crate::{
    Error,
    index::{Entry, IndexWriter, Table},
    layout::Layout,
    segment::{ScannedEvent, SegmentFile, offsets::{OffsetsOf, OffsetsWriter}},
    sync::Mutex,
    tree::TreeWriter,
    view::{Segment, View},
};

/// Beyond so many events whose derived entries aren't written yet, commits write them themselves.
const BACKLOG: u64 = 1 << 16;
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
    leaves: Vec<Hash>,
    offsets: Vec<u32>,
}

/// The derived files of a writable journal, open for writing.
pub(crate) struct DerivedFiles {
    pub(crate) fs: Arc<dyn StoreFs>,
    pub(crate) layout: Layout,
    pub(crate) journal: JournalId,
    pub(crate) index: IndexWriter,
    pub(crate) tree: TreeWriter,
    /// Offsets of the segment with this generation.
    pub(crate) offsets: Option<(u32, OffsetsWriter)>,
    /// The segment that these offsets are of, whose readers have them in memory until the file is whole.
    pub(crate) live: Option<Arc<Segment>>,
    pub(crate) unflushed: u64,
    /// Set by the first failure; nothing more is written then.
    pub(crate) failed: Option<Error>,
}

impl Derived {
    pub(crate) fn new(files: DerivedFiles) -> Self {
        Self { queue: Mutex::default(), files: Mutex::new(files) }
    }

    /// Hands a durable group over.
    pub(crate) fn queue(&self, segment: &Arc<Segment>, leaves: Vec<Hash>, offsets: Vec<u32>) {
        let mut queue = self.queue.lock();
        queue.events += leaves.len() as u64;
        queue.groups.push_back(Group { segment: Arc::clone(segment), leaves, offsets });
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
        if files.failed.is_some() {
            return false;
        }
        let groups = {
            let mut queue = self.queue.lock();
            queue.events = 0;
            std::mem::take(&mut queue.groups)
        };
        let result = files.take(groups).and_then(|()| files.step_index(writer));
        match result {
            Ok(more) => more,
            Err(error) => {
                files.failed = Some(error);
                false
            }
        }
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
    fn take(&mut self, groups: VecDeque<Group>) -> Result<(), Error> {
        for group in groups {
            self.tree.append(&group.leaves);
            self.offsets_of(&group.segment)?.append(&group.offsets);
            self.unflushed += group.leaves.len() as u64;
        }
        if self.unflushed >= FLUSH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.tree.flush()?;
        if let Some((_, offsets)) = &mut self.offsets {
            offsets.flush()?;
        }
        self.unflushed = 0;
        Ok(())
    }

    /// As a clean close does, so that the next open believes the files.
    fn sync(&mut self) -> Result<(), Error> {
        self.tree.sync()?;
        if let Some((_, offsets)) = &mut self.offsets {
            offsets.sync()?;
        }
        let segments = self.layout.segments();
        self.fs.sync_dir(&segments).map_err(Error::io("sync", &segments))
    }

    fn offsets_of(&mut self, segment: &Arc<Segment>) -> Result<&mut OffsetsWriter, Error> {
        let same = self.offsets.as_ref().is_some_and(|(open, _)| *open == segment.generation);
        if !same {
            if let Some((_, done)) = &mut self.offsets {
                done.sync()?;
            }
            if let Some(done) = self.live.take() {
                done.offsets_are_stored();
            }
            let (first, generation) = (segment.first, segment.generation);
            let path = segment.path.with_extension("off");
            let of = OffsetsOf { journal: self.journal, first, generation };
            let writer = OffsetsWriter::create(self.fs.as_ref(), &path, of)?;
            self.offsets = Some((generation, writer));
        }
        self.live = Some(Arc::clone(segment));
        match &mut self.offsets {
            Some((_, writer)) => Ok(writer),
            None => unreachable!("it was put there above"),
        }
    }

    /// Goes on in the offsets file of a segment after an open, with the offsets that a scan found.
    /// A failure is noted, as any of a derived file is.
    pub(crate) fn keep_offsets(&mut self, segment: &SegmentFile, offsets: &[u32]) {
        let header = &segment.header;
        let of = OffsetsOf {
            journal: self.journal,
            first: header.first_sequence,
            generation: header.generation,
        };
        let path = segment.path.with_extension("off");
        let opened = OffsetsWriter::open(self.fs.as_ref(), &path, of).and_then(|mut writer| {
            writer.truncate_to(offsets.len() as u64)?;
            let known = usize::try_from(writer.len()).unwrap_or(usize::MAX);
            writer.append(offsets.get(known..).unwrap_or_default());
            Ok(writer)
        });
        match opened {
            Ok(writer) => self.offsets = Some((of.generation, writer)),
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }

    fn step_index(&mut self, writer: &Writer) -> Result<bool, Error> {
        let view = writer.shared.view.load_full();
        let tail = view.index.tail();
        if !self.index.has_work(tail) {
            return Ok(false);
        }
        if let Some(runs) = self.index.step(tail)? {
            let _publish = writer.publish.lock();
            let view = writer.shared.view.load_full();
            let journal = self.journal;
            let index = crate::index::IndexView::new(journal, runs, view.index.tail());
            writer.shared.view.store(Arc::new(View { index, ..View::clone(&view) }));
        }
        Ok(true)
    }
}

/// What the index holds of a group that was just written.
pub(super) fn entries_of(first: u64, events: &[OrderedEvent]) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(events.len() * 2 + 8);
    for (sequence, event) in (first..).zip(events) {
        let coordinate = (event.revision == 0).then_some(event.coordinate);
        push_entries(&mut entries, sequence, event.stream, event.event_id, coordinate);
    }
    entries
}

/// What the index holds of events read from a segment: the same as when they were written.
pub(crate) fn entries_of_scan(events: &[ScannedEvent]) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(events.len() * 2 + 8);
    for event in events {
        let order = &event.order;
        match &event.facts {
            Some(facts) => {
                let coordinate = (order.revision == 0).then_some(facts.coordinate);
                let (stream, id) = (order.stream, facts.event_id);
                push_entries(&mut entries, order.sequence, stream, id, coordinate);
            }
            None => entries.push(Entry {
                table: Table::Stream,
                key: order.stream,
                sequence: order.sequence,
            }),
        }
    }
    entries
}

fn push_entries(
    entries: &mut Vec<Entry>,
    sequence: u64,
    stream: [u8; 16],
    id: [u8; 16],
    coordinate: Option<[u8; 16]>,
) {
    entries.push(Entry { table: Table::Id, key: id, sequence });
    entries.push(Entry { table: Table::Stream, key: stream, sequence });
    if let Some(key) = coordinate {
        entries.push(Entry { table: Table::Coordinate, key, sequence });
    }
}
