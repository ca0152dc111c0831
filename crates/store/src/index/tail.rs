//! Entries of durable events that stand in no run yet.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::CHUNK;
use super::item::{Entry, Item, Key, key_of};

/// The entries of the sequences from `from` to `end`, in memory; immutable, and cheap to clone.
///
/// They stand in chunks of 4,096 sequences; within the last one, in lists whose lengths fall
/// like the digits of a binary counter. So pushing an entry costs O(log) moves in all, a look-up
/// O(log²) comparisons per chunk, and a reader keeps its tail while the next one is made.
///
/// Longer lists are sorted by whoever first looks into them, which is hardly ever the writer.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    from: u64,
    end: u64,
    /// Chunks that got their last entry, each one sorted list.
    closed: Arc<Vec<Chunk>>,
    open: Chunk,
}

/// The entries of one chunk: lists, older sequences first.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) first: u64,
    lists: Vec<Arc<List>>,
    /// Of a closed chunk: a bit for each key's mark, so that most look-ups for other keys end here.
    marks: Option<Arc<OnceLock<Marks>>>,
}

/// Entries that are sorted when somebody first looks at them.
#[derive(Debug)]
struct List {
    len: usize,
    /// What it is made of.
    parts: Vec<Arc<[Item]>>,
    sorted: OnceLock<Arc<[Item]>>,
}

/// Lists shorter than this are sorted at once: what single appends leave stays few and ready.
const LAZY: usize = 256;

/// A chunk has some 8,000 keys, so that seven of eight marks are free.
const MARKS: usize = 1 << 16;

type Marks = Box<[u64; MARKS / 64]>;

/// A caller who chooses ids could make them meet in one mark; that costs time and nothing else.
fn mark_of(table: u8, key: Key) -> usize {
    let folded = (key >> 64) as u64 ^ key as u64 ^ u64::from(table);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

impl Tail {
    /// A tail without entries that begins at a sequence.
    pub(crate) fn new(from: u64) -> Self {
        Self {
            from,
            end: from,
            closed: Arc::default(),
            open: Chunk::at(from),
        }
    }

    /// The first sequence whose entries stand here.
    pub(crate) fn from(&self) -> u64 {
        self.from
    }

    /// One past the last sequence whose entries stand here.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The tail with the entries of the sequences up to `end`, in any order.
    pub(crate) fn push(&self, end: u64, entries: Vec<Entry>) -> Self {
        debug_assert!(
            entries
                .iter()
                .all(|e| (self.end..end).contains(&e.sequence))
        );
        let mut next = self.clone();
        let mut rest = entries;
        while next.end < end {
            let boundary = chunk_of(next.end) + CHUNK;
            let (now, later) = if end <= boundary {
                (std::mem::take(&mut rest), Vec::new())
            } else {
                rest.into_iter()
                    .partition(|entry| entry.sequence < boundary)
            };
            rest = later;
            next.end = end.min(boundary);
            next.open.push(&now);
            if next.end == boundary {
                next.close();
            }
        }
        next
    }

    fn close(&mut self) {
        let chunk = std::mem::replace(&mut self.open, Chunk::at(self.end));
        Arc::make_mut(&mut self.closed).push(chunk.closed());
    }

    /// How many chunks are complete: begun at their first sequence and ended.
    pub(crate) fn complete_chunks(&self) -> usize {
        let partial = self
            .closed
            .first()
            .is_some_and(|chunk| chunk.first < self.from);
        self.closed.len() - usize::from(partial)
    }

    /// `count` complete chunks from a sequence on, if they all stand here.
    pub(super) fn complete(&self, first: u64, count: usize) -> Option<&[Chunk]> {
        if first < self.from {
            return None;
        }
        let at = self.closed.iter().position(|chunk| chunk.first == first)?;
        self.closed.get(at..)?.get(..count)
    }

    /// The tail without the chunks that end at or below a sequence.
    pub(crate) fn drop_below(&self, sequence: u64) -> Self {
        let below = |chunk: &&Chunk| chunk.first + CHUNK <= sequence;
        let gone = self.closed.iter().take_while(below).count();
        if gone == 0 {
            return self.clone();
        }
        let closed: Vec<Chunk> = self.closed.iter().skip(gone).cloned().collect();
        let from = closed.first().unwrap_or(&self.open).first;
        Self {
            from,
            closed: Arc::new(closed),
            ..self.clone()
        }
    }

    /// The sorted lists that may hold a key, as [`lists`](Self::lists).
    pub(super) fn lists_of(
        &self,
        table: u8,
        key: Key,
    ) -> impl DoubleEndedIterator<Item = (u64, &Arc<[Item]>)> {
        let mark = mark_of(table, key);
        let chunks = self.closed.iter().chain(std::iter::once(&self.open));
        let chunks = chunks.filter(move |chunk| chunk.may_hold(mark));
        chunks.flat_map(|chunk| chunk.lists.iter().map(|list| (chunk.first, list.items())))
    }

    /// Every sorted list with the first sequence of its chunk, older sequences first.
    pub(super) fn lists(&self) -> impl DoubleEndedIterator<Item = (u64, &Arc<[Item]>)> {
        let chunks = self.closed.iter().chain(std::iter::once(&self.open));
        chunks.flat_map(|chunk| chunk.lists.iter().map(|list| (chunk.first, list.items())))
    }
}

impl Chunk {
    fn at(sequence: u64) -> Self {
        Self {
            first: chunk_of(sequence),
            lists: Vec::new(),
            marks: None,
        }
    }

    fn push(&mut self, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        let mut list = List::of(entries.iter().map(item).collect());
        while let Some(before) = self.lists.pop_if(|last| last.len <= list.len) {
            list = before.with(list);
        }
        self.lists.push(Arc::new(list));
    }

    /// The same as one list.
    fn closed(mut self) -> Self {
        if self.lists.len() > 1 {
            let lists = self.lists.iter();
            let parts = lists.flat_map(|list| list.parts.iter().cloned()).collect();
            self.lists = vec![Arc::new(List::made_of(parts))];
        }
        self.marks = Some(Arc::default());
        self
    }

    /// Whether the chunk may have entries of a key.
    fn may_hold(&self, mark: usize) -> bool {
        let Some(marks) = &self.marks else {
            return true;
        };
        let marks = marks.get_or_init(|| {
            let mut marks = Box::new([0u64; MARKS / 64]);
            for item in self.items() {
                let mark = mark_of(item.table(), item.key());
                if let Some(word) = marks.get_mut(mark / 64) {
                    *word |= 1 << (mark % 64);
                }
            }
            marks
        });
        let word = marks.get(mark / 64);
        word.is_none_or(|word| word >> (mark % 64) & 1 == 1)
    }

    /// The sorted entries of a closed chunk.
    pub(super) fn items(&self) -> &[Item] {
        self.lists.first().map_or(&[], |list| list.items())
    }
}

impl List {
    fn of(mut items: Vec<Item>) -> Self {
        let is_short = items.len() < LAZY;
        if is_short {
            items.sort_unstable();
        }
        let list = Self::made_of(vec![items.into()]);
        if let [part] = list.parts.as_slice()
            && is_short
        {
            // It is new, so that the cell is empty.
            let _ = list.sorted.set(Arc::clone(part));
        }
        list
    }

    fn made_of(parts: Vec<Arc<[Item]>>) -> Self {
        Self {
            len: parts.iter().map(|part| part.len()).sum(),
            parts,
            sorted: OnceLock::new(),
        }
    }

    /// This list and a newer one.
    fn with(&self, newer: Self) -> Self {
        if self.len + newer.len < LAZY {
            return Self::of(merge(self.items(), newer.items()));
        }
        let parts = self.parts.iter().cloned().chain(newer.parts);
        Self::made_of(parts.collect())
    }

    /// The entries, sorted.
    fn items(&self) -> &Arc<[Item]> {
        self.sorted.get_or_init(|| {
            let mut items: Vec<Item> = Vec::with_capacity(self.len);
            for part in &self.parts {
                items.extend_from_slice(part);
            }
            // Parts that are sorted are found to be so.
            items.sort();
            items.into()
        })
    }
}

fn chunk_of(sequence: u64) -> u64 {
    sequence - sequence % CHUNK
}

fn item(entry: &Entry) -> Item {
    Item::new(
        entry.table.number(),
        key_of(entry.key),
        (entry.sequence % CHUNK) as u32,
    )
}

/// Both lists as one.
pub(super) fn merge(left: &[Item], right: &[Item]) -> Vec<Item> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left, right);
    while let (Some((l, left_rest)), Some((r, right_rest))) =
        (left.split_first(), right.split_first())
    {
        if l <= r {
            out.push(*l);
            left = left_rest;
        } else {
            out.push(*r);
            right = right_rest;
        }
    }
    out.extend_from_slice(left);
    out.extend_from_slice(right);
    out
}

/// Where the entries of a key stand in a sorted list.
pub(super) fn range_of(items: &[Item], table: u8, key: Key) -> Range<usize> {
    let lowest = Item::new(table, key, 0);
    let start = items.partition_point(|item| *item < lowest);
    let rest = items.get(start..).unwrap_or_default();
    // Most keys have few entries here, so the end is near.
    let few = rest
        .iter()
        .take(8)
        .take_while(|item| item.same_key(&lowest))
        .count();
    if few < 8 {
        return start..start + few;
    }
    start..start + rest.partition_point(|item| item.same_key(&lowest))
}
