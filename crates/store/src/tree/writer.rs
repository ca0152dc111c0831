//! Writing leaves and the nodes above them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog_fs::{Access, OpenMode, StoreFile, StoreFs, write_all_at};
use factlog_proof::{Hash, Span};

use super::files::Files;
use super::reader::TreeReader;
use super::{CODE, Edge, HASH, PACK, STEP, TILE, UPPER, pack_name, parse_pack_name, upper_len};
use crate::{Damage, Error};

/// Leaves read at once where many are.
const READ: u64 = 4096;

/// Appends leaves to the files of the tree.
///
/// After an error it takes no more: what is on disk is then found out by the next open. Nothing is
/// written when it is dropped.
#[derive(Debug)]
pub(crate) struct TreeWriter {
    fs: Arc<dyn StoreFs>,
    dir: PathBuf,
    /// Leaves written.
    size: u64,
    /// The edge after the buffer; `None` once others have hashed what stands above the leaves.
    edge: Option<Edge>,
    buffer: Vec<Hash>,
    /// The stored nodes that the leaves of the buffer make complete.
    nodes: Vec<Hash>,
    upper: Box<dyn StoreFile>,
    pack: Option<Box<dyn StoreFile>>,
    /// Whether a file was made since the directory was synced.
    made: bool,
    failed: bool,
}

impl TreeWriter {
    /// Opens the files for writing, and makes the directory if it is missing.
    ///
    /// [`size`](Self::size) then says how many leaves are there. Nodes that are missing above them
    /// are written; packs behind the first hole are removed. Files are synced when a pack is full and
    /// at a close, so after an unclean end the caller sets `recheck`: of the last pack only those
    /// leaves are kept that the nodes above them confirm, and written once more.
    pub(crate) fn open(fs: Arc<dyn StoreFs>, dir: &Path, recheck: bool) -> Result<Self, Error> {
        make_dir(fs.as_ref(), dir)?;
        let (upper, made) = open_or_make(fs.as_ref(), &dir.join(UPPER))?;
        let mut writer = Self {
            fs,
            dir: dir.to_owned(),
            size: 0,
            edge: Some(Edge::default()),
            buffer: Vec::new(),
            nodes: Vec::new(),
            upper,
            pack: None,
            // What an earlier session made need not be in the directory on the disk.
            made: made || recheck,
            failed: false,
        };
        match writer.restore(recheck) {
            // Holes where none can be after any crash: it is all made again.
            Err(Error::Damaged(_)) => {
                writer.failed = false;
                writer.truncate_to(0)?;
            }
            restored => restored?,
        }
        Ok(writer)
    }

    /// How many leaves were appended, written or not.
    pub(crate) fn size(&self) -> u64 {
        self.size + self.buffer.len() as u64
    }

    /// Takes in leaves, in memory.
    ///
    /// # Panics
    /// After [`append_span`](Self::append_span): a mistake of the caller.
    pub(crate) fn append(&mut self, leaves: &[Hash]) {
        self.hash(leaves);
        self.buffer.extend_from_slice(leaves);
    }

    /// Computes the stored nodes that these leaves, which follow the edge, make complete.
    fn hash(&mut self, leaves: &[Hash]) {
        let edge = self.edge.as_mut().expect("spans come after leaves");
        for leaf in leaves {
            edge.push(*leaf, |node| self.nodes.push(node));
        }
    }

    /// Takes in the leaves of a group and the nodes above them, in memory; nothing is hashed again.
    pub(crate) fn append_span(&mut self, span: &Span) {
        self.edge = None;
        self.buffer.extend_from_slice(span.leaves());
        let mut tile = span.first() >> STEP;
        for node in span.complete_subtrees(STEP) {
            self.nodes.push(*node);
            tile += 1;
            let mut level = 2 * STEP;
            while level < u64::BITS && (tile << STEP).trailing_zeros() >= level {
                let at = (tile << STEP >> level) - 1 - (span.first() >> level);
                let nodes = span.complete_subtrees(level);
                self.nodes.extend(nodes.get(at as usize));
                level += STEP;
            }
        }
    }

    /// Writes what was taken in; syncs each pack that gets full.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.guarded(Self::write_buffer)
    }

    /// Writes what was taken in and makes it durable, as a clean close does.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.guarded(|writer| {
            writer.write_buffer()?;
            writer.sync_files()
        })
    }

    /// Forgets the leaves from `size` on, in the files too.
    pub(crate) fn truncate_to(&mut self, size: u64) -> Result<(), Error> {
        self.guarded(|writer| writer.cut(size))
    }

    fn restore(&mut self, recheck: bool) -> Result<(), Error> {
        self.size = self.find_end()?;
        self.restore_upper(recheck)?;
        self.truncate_to(self.size)
    }

    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if self.failed {
            let why = std::io::Error::other("an earlier write of these files failed");
            return Err(Error::io("write", &self.dir)(why));
        }
        let done = work(self);
        self.failed = done.is_err();
        done
    }

    fn write_buffer(&mut self) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            let room = (PACK - self.size % PACK) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.write_leaves(now)?;
            let end = self.size + now.len() as u64;
            self.write_upper((upper_len(end) - upper_len(self.size)) as usize)?;
            self.size = end;
            if self.size.is_multiple_of(PACK) {
                self.sync_files()?;
                self.pack = None;
            }
            rest = later;
        }
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write_leaves(&mut self, leaves: &[Hash]) -> Result<(), Error> {
        let path = self.dir.join(pack_name(self.size / PACK));
        let pack = match self.pack.take() {
            Some(pack) => pack,
            None => {
                let (pack, made) = open_or_make(self.fs.as_ref(), &path)?;
                self.made |= made;
                pack
            }
        };
        let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| *leaf.as_bytes()).collect();
        let offset = self.size % PACK * HASH;
        write_all_at(pack.as_ref(), &bytes, offset).map_err(Error::io("write", &path))?;
        self.pack = Some(pack);
        Ok(())
    }

    /// Writes the next `count` nodes behind those of the leaves written.
    fn write_upper(&mut self, count: usize) -> Result<(), Error> {
        let nodes = self.nodes.drain(..count.min(self.nodes.len()));
        let bytes: Vec<u8> = nodes.flat_map(|node| *node.as_bytes()).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(UPPER);
        write_all_at(self.upper.as_ref(), &bytes, upper_len(self.size) * HASH)
            .map_err(Error::io("write", &path))
    }

    fn sync_files(&mut self) -> Result<(), Error> {
        let upper = self.upper.sync_data();
        upper.map_err(|e| Error::io("sync", &self.dir.join(UPPER))(e))?;
        if let Some(pack) = &self.pack {
            pack.sync_data().map_err(Error::io("sync", &self.dir))?;
        }
        if self.made {
            self.fs
                .sync_dir(&self.dir)
                .map_err(Error::io("sync", &self.dir))?;
            self.made = false;
        }
        Ok(())
    }

    fn cut(&mut self, size: u64) -> Result<(), Error> {
        let kept = size.saturating_sub(self.size).min(self.buffer.len() as u64);
        self.buffer.truncate(kept as usize);
        self.size = self.size.min(size);
        self.pack = None;
        for (pack, len) in self.packs()? {
            let path = self.dir.join(pack_name(pack));
            let wanted = self.size.saturating_sub(pack * PACK).min(PACK) * HASH;
            if wanted == 0 {
                self.fs
                    .remove_file(&path)
                    .map_err(Error::io("remove", &path))?;
            } else if len > wanted {
                let (file, _) = open_or_make(self.fs.as_ref(), &path)?;
                file.set_len(wanted).map_err(Error::io("cut", &path))?;
            }
        }
        let upper = self.dir.join(UPPER);
        let wanted = upper_len(self.size) * HASH;
        if self.upper.len().map_err(Error::io("read", &upper))? > wanted {
            self.upper
                .set_len(wanted)
                .map_err(Error::io("cut", &upper))?;
        }
        self.edge = Some(self.edge_at(self.size)?);
        self.nodes.clear();
        let kept = std::mem::take(&mut self.buffer);
        self.append(&kept);
        Ok(())
    }

    /// The packs there are, with their lengths in bytes.
    fn packs(&self) -> Result<Vec<(u64, u64)>, Error> {
        let entries = self
            .fs
            .list(&self.dir)
            .map_err(Error::io("list", &self.dir))?;
        let mut packs = Vec::new();
        for pack in entries
            .iter()
            .filter_map(|entry| parse_pack_name(&entry.name))
        {
            let path = self.dir.join(pack_name(pack));
            let metadata = self.fs.metadata(&path).map_err(Error::io("read", &path))?;
            packs.push((pack, metadata.map_or(0, |metadata| metadata.len)));
        }
        packs.sort_unstable();
        Ok(packs)
    }

    /// The number of leaves before the first hole. Only the last pack is searched for one.
    fn find_end(&self) -> Result<u64, Error> {
        let packs = self.packs()?;
        let numbered = (0..).zip(&packs).take_while(|(at, (pack, _))| at == pack);
        let full = numbered
            .take_while(|(_, (_, len))| *len == PACK * HASH)
            .count() as u64;
        let partial = packs
            .iter()
            .find(|(pack, len)| *pack == full && *len < PACK * HASH);
        let last = match partial {
            Some((pack, len)) if len / HASH > 0 => pack * PACK..pack * PACK + len / HASH,
            _ => full.saturating_sub(1) * PACK..full * PACK,
        };
        let files = Files::new(self.fs.as_ref(), &self.dir);
        let mut at = last.start;
        while at < last.end {
            let count = READ.min(last.end - at);
            let leaves = files.leaves(at, count as usize)?;
            let there = leaves.iter().take_while(|leaf| leaf.is_some()).count() as u64;
            at += there;
            if there < count {
                break;
            }
        }
        Ok(at)
    }

    /// Writes the nodes that are missing above the leaves; with `recheck`, ends the tree at the first
    /// group of 256 leaves in the last pack that no node confirms.
    fn restore_upper(&mut self, recheck: bool) -> Result<(), Error> {
        let (fs, dir) = (self.fs.clone(), self.dir.clone());
        let files = Files::new(fs.as_ref(), &dir);
        let tiles = self.size / TILE;
        let size = self.size;
        self.size = self.first_doubtful_tile(&files, tiles, recheck)? * TILE;
        self.edge = Some(self.edge_at(self.size)?);
        for tile in self.size / TILE..tiles {
            let leaves = files.leaves(tile * TILE, TILE as usize)?;
            let Some(leaves) = leaves.into_iter().collect::<Option<Vec<Hash>>>() else {
                return Ok(());
            };
            let edge = self.edge.clone();
            self.hash(&leaves);
            if recheck {
                let stored = files.nodes(STEP, tile, 1)?.pop().flatten();
                if stored.as_ref() != self.nodes.first() {
                    self.nodes.clear();
                    self.edge = edge;
                    return Ok(());
                }
                // What reads well need not be on the disk, and no later sync puts it there.
                self.write_leaves(&leaves)?;
            }
            self.write_upper(self.nodes.len())?;
            self.size += TILE;
            if recheck && self.size.is_multiple_of(PACK) {
                self.sync_files()?;
                self.pack = None;
            }
        }
        if !recheck {
            self.size = size;
        }
        Ok(())
    }

    /// The first group of 256 leaves whose nodes are missing or to be compared.
    fn first_doubtful_tile(
        &self,
        files: &Files<'_>,
        tiles: u64,
        recheck: bool,
    ) -> Result<u64, Error> {
        let path = self.dir.join(UPPER);
        let len = self.upper.len().map_err(Error::io("read", &path))? / HASH;
        let covered = last_tile_within(len, tiles);
        let last_pack = self.size.saturating_sub(1) / PACK * (PACK / TILE);
        if recheck || covered < last_pack {
            return Ok(covered.min(last_pack));
        }
        // Nodes above earlier packs were synced with them.
        let nodes = files.nodes(STEP, last_pack, (covered - last_pack) as usize)?;
        let there = nodes.iter().take_while(|node| node.is_some()).count();
        Ok(last_pack + there as u64)
    }

    fn edge_at(&self, size: u64) -> Result<Edge, Error> {
        let hole = |index| {
            let what = "a leaf below the end is missing";
            Err(Damage::new(CODE, &self.dir, what).sequence(index).into())
        };
        let frontier = TreeReader::new(self.fs.as_ref(), &self.dir, hole).frontier(size)?;
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        Ok(Edge(
            levels.zip(frontier.hashes().iter().copied()).collect(),
        ))
    }
}

/// How many tiles, of `tiles`, have all the nodes that they make complete within `len` hashes.
fn last_tile_within(len: u64, tiles: u64) -> u64 {
    let (mut low, mut high) = (0, tiles);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if upper_len(middle * TILE) <= len {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

fn open_or_make(fs: &dyn StoreFs, path: &Path) -> Result<(Box<dyn StoreFile>, bool), Error> {
    match fs.open(path, OpenMode::Write) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let file = fs.create_new(path, Access::Shared);
            Ok((file.map_err(Error::io("create", path))?, true))
        }
        opened => Ok((opened.map_err(Error::io("open", path))?, false)),
    }
}

fn make_dir(fs: &dyn StoreFs, dir: &Path) -> Result<(), Error> {
    if fs.metadata(dir).map_err(Error::io("read", dir))?.is_some() {
        return Ok(());
    }
    fs.create_dir(dir, Access::Shared)
        .map_err(Error::io("create", dir))?;
    match dir.parent() {
        Some(parent) => fs.sync_dir(parent).map_err(Error::io("sync", parent)),
        None => Ok(()),
    }
}
