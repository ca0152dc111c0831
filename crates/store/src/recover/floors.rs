use factlog_format::JournalId;
use factlog_fs::{DirEntry, FileKind, OpenMode, StoreFs, is_temporary, read_file};
use factlog_proof::{Hash, SignedCheckpoint};

use crate::{
    Error,
    layout::Layout,
    segment::{SegmentFile, largest_statement, parse_segment_name},
    signer::KeyHistory,
};

const MAX_CHECKPOINT: usize = 64 << 10;

/// Everything outside the active segment that says how many events are durable. It is consulted
/// before recovery writes anything: what lies below the largest of these was acknowledged, and its
/// absence is corruption, never a torn tail.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    /// From segments that MANIFEST doesn't name, by the writer's own statements.
    pub(crate) orphans: u64,
    /// Signed checkpoints: those kept in the journal, the known journal's, and the caller's.
    pub(crate) checkpoints: Vec<(u64, Hash)>,
    /// What the signer remembers.
    pub(crate) signer: Option<(u64, Hash)>,
    /// Where in `checkpoints` those begin that come from outside the journal.
    pub(crate) foreign: usize,
    /// The largest of the journal's own signed checkpoints.
    pub(crate) kept: Option<SignedCheckpoint>,
    /// The largest of them that the key before the one that signs now has signed.
    pub(crate) handed_over: u64,
}

impl Floors {
    /// What a reader consults: the checkpoints that the journal keeps itself. One that can't be read
    /// says nothing.
    pub(crate) fn kept(fs: &dyn StoreFs, layout: &Layout, keys: &KeyHistory) -> Self {
        let mut floors = Self::default();
        let _ = floors.consider_kept(fs, layout, keys);
        floors
    }

    /// The largest statement.
    pub(crate) fn largest(&self) -> u64 {
        let checkpoints = self
            .checkpoints
            .iter()
            .chain(&self.signer)
            .map(|(size, _)| *size);
        checkpoints.max().unwrap_or(0).max(self.orphans)
    }

    /// Adds a checkpoint if it is signed by a key of the journal; says whether it is.
    pub(crate) fn consider(&mut self, checkpoint: &SignedCheckpoint, keys: &KeyHistory) -> bool {
        let signed = keys.has_signed(checkpoint);
        if signed {
            let claimed = checkpoint.claimed();
            self.checkpoints.push((claimed.size(), claimed.root()));
        }
        signed
    }

    /// Adds the checkpoints that the journal keeps itself.
    pub(crate) fn consider_kept(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        keys: &KeyHistory,
    ) -> Result<(), Error> {
        let before = keys.before_live();
        let dir = layout.checkpoints();
        let entries = match fs.list(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list", &dir)(error)),
        };
        let whole = |entry: &&DirEntry| entry.kind == FileKind::File && !is_temporary(&entry.name);
        for entry in entries.iter().filter(whole) {
            let path = dir.join(&entry.name);
            let bytes = read_file(fs, &path, MAX_CHECKPOINT).map_err(Error::io("read", &path))?;
            // One that doesn't parse says nothing; `verify` reports it.
            if let Ok(checkpoint) = SignedCheckpoint::parse(&bytes) {
                let signed = self.consider(&checkpoint, keys);
                let size = |kept: &SignedCheckpoint| kept.claimed().size();
                if before.is_some_and(|before| checkpoint.verify(&before.key).is_ok()) {
                    self.handed_over = self.handed_over.max(size(&checkpoint));
                }
                if signed
                    && self
                        .kept
                        .as_ref()
                        .is_none_or(|kept| size(kept) < size(&checkpoint))
                {
                    self.kept = Some(checkpoint);
                }
            }
        }
        Ok(())
    }

    /// The kept checkpoint, if it is of exactly this tree. At a roll it is written before the next
    /// segment, whose first commit header is to carry its signature: after a crash in between it
    /// is the only place that has it.
    pub(crate) fn kept_of(&self, size: u64, root: Hash) -> Option<&SignedCheckpoint> {
        let kept = self.kept.as_ref()?;
        (kept.claimed().size() == size && kept.claimed().root() == root).then_some(kept)
    }

    /// Adds what commit headers say in segments that MANIFEST doesn't name.
    pub(crate) fn consider_orphans(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
        named: &[(u64, u32)],
    ) -> Result<(), Error> {
        for (first, generation) in unnamed(fs, layout, named)? {
            let path = layout.segment(first, generation);
            // A file whose header doesn't hold was never named by anything.
            let Ok(segment) = SegmentFile::open(fs, &path, OpenMode::Read, journal) else {
                continue;
            };
            let stated = largest_statement(&segment, segment.header_len)?;
            self.orphans = self.orphans.max(stated).max(segment.header.durable);
        }
        Ok(())
    }
}

/// The segments in the directory that MANIFEST doesn't name.
pub(crate) fn unnamed(
    fs: &dyn StoreFs,
    layout: &Layout,
    named: &[(u64, u32)],
) -> Result<Vec<(u64, u32)>, Error> {
    let dir = layout.segments();
    let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
    let names = entries
        .iter()
        .filter_map(|entry| parse_segment_name(entry.name.to_str()?));
    Ok(names.filter(|name| !named.contains(name)).collect())
}
