use std::{
    hash::{BuildHasher, RandomState},
    io::ErrorKind,
    path::PathBuf,
    sync::Arc,
};

use factlog_format::JournalId;
use factlog_fs::{OpenMode, StoreFile, StoreFs, read_up_to};
use factlog_proof::Hash;

use super::{directory::list, events::Passed, findings::Findings};
use crate::{
    Damage, Error,
    commit::offsets_may_be_unsynced,
    index::{self, Entry, IndexDir, RunRead, RunReader, Table},
    layout::Layout,
    segment::{
        SegmentFile,
        offsets::{OffsetsChecker, OffsetsOf},
    },
    tree::{self, PACK},
};

/// Compares the derived files with the events, as these pass by in order.
///
/// They can be deleted at any time, so one that is missing is no finding; nor is one that ends early,
/// unless the journal was closed cleanly, which writes them to their end.
pub(super) struct Derived {
    fs: Arc<dyn StoreFs>,
    layout: Layout,
    journal: JournalId,
    index: Option<index::Checker>,
    tree: Option<tree::Checker>,
    offsets: Option<OffsetsChecker>,
    /// Memory for offsets on their way to be compared.
    places: Vec<u32>,
    complete: Vec<Complete>,
    /// The offsets of the segment before, until the next one tells whether they may end early.
    ended: Option<Complete>,
    in_segment: u64,
    /// How many events each segment had, and which one's offsets are wrong.
    counts: Vec<u64>,
    wrong_offsets: Vec<(usize, Damage)>,
    /// Events were lost: from then on nothing can be compared.
    lost: bool,
    /// Not all events are read, so nothing is compared.
    skipped: bool,
    /// The index may have what full stubs are written for.
    erasing: bool,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Derived")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl Derived {
    /// Opens what there is; before the journal's end is looked at, which a live writer moves on.
    pub(super) fn open(
        fs: Arc<dyn StoreFs>,
        layout: &Layout,
        journal: JournalId,
    ) -> Result<Self, Error> {
        let dir = IndexDir::new(Arc::clone(&fs), layout.index(), journal);
        let index = index::Checker::open(&dir, random_secret())?;
        let tree = tree::Checker::open(Arc::clone(&fs), layout.tree())?;
        Ok(Self {
            fs,
            layout: layout.clone(),
            journal,
            index: Some(index),
            tree: Some(tree),
            offsets: None,
            places: Vec::new(),
            complete: Vec::new(),
            ended: None,
            in_segment: 0,
            counts: Vec::new(),
            wrong_offsets: Vec::new(),
            lost: false,
            skipped: false,
            erasing: false,
        })
    }

    /// What is to be read of the index beside the log.
    pub(super) fn runs(&self) -> Option<RunReader> {
        self.index.as_ref().map(index::Checker::runs)
    }

    /// A segment's events follow.
    pub(super) fn begin_segment(&mut self, segment: &SegmentFile) -> Result<(), Error> {
        self.in_segment = 0;
        if self.lost {
            return Ok(());
        }
        let (first, generation) = (segment.header.first_sequence, segment.header.generation);
        let of = OffsetsOf {
            journal: self.journal,
            first,
            generation,
        };
        let path = segment.path.with_extension("off");
        self.offsets = Some(OffsetsChecker::open(self.fs.as_ref(), &path, of)?);
        Ok(())
    }

    /// What the index has of the next event; `opens`: it begins its stream, or follows a full stub in it.
    pub(super) fn event(&mut self, event: &Passed, opens: bool) {
        if let Some(index) = &mut self.index {
            let sequence = event.order.sequence;
            let mut add = |table, key| {
                index.add(&Entry {
                    table,
                    key,
                    sequence,
                });
            };
            add(Table::Stream, event.order.stream);
            if let Some(facts) = &event.keys {
                add(Table::Id, facts.event_id);
                if opens {
                    add(Table::Coordinate, facts.coordinate);
                }
                add(Table::Kind, facts.kind);
                facts.tags.iter().for_each(|tag| add(Table::Tag, *tag));
            }
        }
    }

    /// Where the next events stand, and their leaves.
    pub(super) fn places(
        &mut self,
        offsets: impl Iterator<Item = u64>,
        leaves: &[Hash],
    ) -> Result<(), Error> {
        if self.lost {
            return Ok(());
        }
        self.in_segment += leaves.len() as u64;
        if let Some(tree) = &mut self.tree {
            tree.leaves(leaves)?;
        }
        if let Some(checker) = &mut self.offsets {
            // A segment's offsets fit 32 bits.
            self.places.clear();
            self.places
                .extend(offsets.map(|offset| u32::try_from(offset).unwrap_or(0)));
            checker.add_all(&self.places)?;
        }
        Ok(())
    }

    /// Tiles of the tree that the last events filled: where each ends, and its root.
    pub(super) fn tiles(&mut self, tiles: &[(u64, Hash)]) -> Result<(), Error> {
        if let Some(tree) = &mut self.tree {
            for (end, root) in tiles {
                tree.tile(*end, root)?;
            }
        }
        Ok(())
    }

    /// Events can't be read: what derives from them can't be compared any more.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.index = None;
        self.tree = None;
        self.offsets = None;
    }

    /// Erasures that aren't completed take what the index still has.
    pub(super) fn leave_index(&mut self) {
        self.erasing = true;
    }

    /// Only the last events will pass.
    pub(super) fn skip(&mut self) {
        self.skipped = true;
        self.lose();
    }

    /// The segment's events have passed.
    pub(super) fn end_segment(&mut self, segment: &SegmentFile) {
        self.complete.extend(self.ended.take());
        if let Some(damage) = self.offsets.take().and_then(OffsetsChecker::finish) {
            self.wrong_offsets.push((self.counts.len(), damage));
        } else if !self.lost {
            self.ended = Some(Complete {
                path: segment.path.with_extension("off"),
                start: OFFSETS_HEADER,
                entry: 4,
                len: OFFSETS_HEADER + 4 * self.in_segment,
            });
        }
        self.counts.push(self.in_segment);
    }

    /// Offsets are synced some time after their segment was sealed. Those whose turn need not have come
    /// when the journal ended uncleanly are written again by the next session.
    fn wrong_offsets(&mut self, clean: bool, findings: &mut Findings) {
        for (at, damage) in self.wrong_offsets.drain(..) {
            let sealed = self.counts.len().saturating_sub(1);
            let after = self.counts.get(at + 1..sealed).unwrap_or_default();
            if !clean && offsets_may_be_unsynced(after.iter().sum()) {
                let detail =
                    "written shortly before an end that was not clean, so it was not checked";
                findings.note(Damage::new("derived.not_checked", &damage.path, detail));
            } else {
                findings.wrong(damage);
            }
        }
    }

    /// The segment before was ended by a recovery, not by its writer, so its offsets may end early.
    pub(super) fn forgive_offsets(&mut self) {
        self.ended = None;
    }

    /// All events have passed, `end` of them. `clean`: the journal was closed cleanly. `runs` are the index's.
    pub(super) fn finish(
        &mut self,
        end: u64,
        clean: bool,
        runs: Vec<Result<RunRead, Error>>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        if self.skipped {
            return Ok(());
        }
        self.wrong_offsets(clean, findings);
        if self.lost {
            let detail = "not all that they derive from is known, so the index and the tree's files were not compared";
            findings.note(Damage::new("derived.not_checked", &self.layout.dir, detail));
            return Ok(());
        }
        if self.erasing {
            let detail = "an erasure isn't completed, so the index was not compared";
            let note = Damage::new("derived.not_checked", &self.layout.index(), detail);
            findings.note(note);
        } else if let Some(index) = self.index.take() {
            index
                .finish(end, runs)?
                .into_iter()
                .for_each(|damage| findings.wrong(damage));
        }
        if let Some(tree) = self.tree.take() {
            tree.finish()
                .into_iter()
                .for_each(|damage| findings.wrong(damage));
        }
        if clean {
            self.complete.extend(self.ended.take());
            self.tree_lengths(end)?;
            self.check_lengths(findings)?;
        }
        Ok(())
    }

    fn tree_lengths(&mut self, end: u64) -> Result<(), Error> {
        let dir = self.layout.tree();
        for entry in list(self.fs.as_ref(), &dir)? {
            let name = entry.name.to_str().unwrap_or_default();
            let pack = name
                .strip_suffix(".leaves")
                .and_then(|pack| u64::from_str_radix(pack, 16).ok());
            let hashes = match pack {
                Some(pack) => end.saturating_sub(pack.saturating_mul(PACK)).min(PACK),
                None if name == "upper" => (8..64).step_by(8).map(|bits| end >> bits).sum(),
                None => continue,
            };
            let path = dir.join(name);
            self.complete.push(Complete {
                path,
                start: 0,
                entry: 32,
                len: 32 * hashes,
            });
        }
        Ok(())
    }

    fn check_lengths(&self, findings: &mut Findings) -> Result<(), Error> {
        for complete in &self.complete {
            let Complete { path, len, .. } = complete;
            let file = match self.fs.open(path, OpenMode::Read) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(Error::io("open", path))?,
            };
            let written = complete
                .written(file.as_ref())
                .map_err(Error::io("read", path))?;
            if written < *len {
                let detail = format!(
                    "the file is written to byte {written} of {len}, though the journal was closed \
                     cleanly"
                );
                findings.wrong(Damage::new("derived.truncated", path, detail).at(written));
            }
        }
        Ok(())
    }
}

/// A file that a clean close leaves written to its end.
struct Complete {
    path: PathBuf,
    /// Where its entries begin, and how long each is: a divisor of 32.
    start: u64,
    entry: usize,
    len: u64,
}

impl Complete {
    /// How far the file is written: an entry of zeros never was, since no hash and no offset is zero.
    fn written(&self, file: &dyn StoreFile) -> std::io::Result<u64> {
        let mut buffer = vec![0u8; 1 << 16];
        let mut at = self.start;
        while at < self.len {
            let want = (self.len - at).min(buffer.len() as u64) as usize;
            let got = read_up_to(file, buffer.get_mut(..want).unwrap_or_default(), at)?;
            let used = buffer.get(..got).unwrap_or_default();
            let zeros = |entry: &[u8]| entry.iter().all(|byte| *byte == 0);
            if let Some(unwritten) = used.chunks(self.entry).position(zeros) {
                return Ok(at + (unwritten * self.entry) as u64);
            }
            at += got as u64;
            if got < want {
                break;
            }
        }
        Ok(at)
    }
}

const OFFSETS_HEADER: u64 = 48;

/// Unknown to whoever made the files.
fn random_secret() -> [u8; 16] {
    let half = || RandomState::new().hash_one(0u8);
    ((u128::from(half()) << 64) | u128::from(half())).to_le_bytes()
}
