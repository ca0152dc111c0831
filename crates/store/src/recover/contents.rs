use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use factlog_fs::{FileKind, OpenMode, StoreFs, TEMPORARY_SUFFIX, read_up_to};

use crate::{
    Error,
    follow::is_cursor,
    index,
    layout::{
        CURSORS, JOURNAL, LOCK, Layout, MANIFEST, is_checkpoint_name, is_key_file, is_subdirectory,
    },
    segment::{GroupScanner, SegmentFile, largest_statement, parse_segment_name},
    tree,
};

/// What every `JOURNAL` begins with, in all versions.
const TITLE: &[u8] = b"factlog journal";
/// What every MANIFEST begins with, in all versions.
const MANIFEST_MAGIC: &[u8] = b"FACTMAN\0";
/// The length of a segment's header without edge and inputs, and of a hash of the edge.
const BARE_HEADER: u64 = 112;
const EDGE_HASH: u64 = 32;

/// What stands in a directory, by name and kind: what is a journal's, and what is not.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Files that a journal makes, leftovers of its own included.
    pub(crate) files: Vec<PathBuf>,
    /// Subdirectories that a journal makes.
    pub(crate) dirs: Vec<PathBuf>,
    /// Anything else: files of other names, links, devices.
    pub(crate) strangers: Vec<PathBuf>,
    /// First sequence and generation of the segment files.
    pub(crate) segments: Vec<(u64, u32)>,
}

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is no such directory, or nothing in it.
    Nothing,
    /// Something that no journal made.
    Stranger,
    /// A creation that a crash cut short before event 0 was there. It holds nothing.
    Unfinished,
    /// A journal, in whatever state.
    Journal,
}

impl Contents {
    /// Lists a directory and those in it that are a journal's. Follows no link.
    pub(crate) fn list(fs: &dyn StoreFs, layout: &Layout) -> Result<Self, Error> {
        let mut contents = Self::default();
        let dir = &layout.dir;
        let entries = match fs.list(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(contents),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                contents.strangers.push(dir.clone());
                return Ok(contents);
            }
            entries => entries.map_err(Error::io("list", dir))?,
        };
        for entry in entries {
            let path = dir.join(&entry.name);
            let name = entry.name.to_str().unwrap_or_default();
            match entry.kind {
                FileKind::Dir if is_subdirectory(name) => {
                    contents.list_inside(fs, name, &path)?;
                    contents.dirs.push(path);
                }
                FileKind::File if belongs("", name) => contents.files.push(path),
                _ => contents.strangers.push(path),
            }
        }
        Ok(contents)
    }

    fn list_inside(&mut self, fs: &dyn StoreFs, folder: &str, dir: &Path) -> Result<(), Error> {
        for entry in fs.list(dir).map_err(Error::io("list", dir))? {
            let path = dir.join(&entry.name);
            let name = entry.name.to_str().unwrap_or_default();
            if entry.kind != FileKind::File || !belongs(folder, name) {
                self.strangers.push(path);
                continue;
            }
            if folder == "segments" {
                self.segments.extend(parse_segment_name(name));
            }
            self.files.push(path);
        }
        Ok(())
    }

    fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file == path)
    }

    /// Decides what the directory is. A journal is known by any of `JOURNAL`, MANIFEST and segments,
    /// also of a newer version and also damaged.
    pub(crate) fn standing(&self, fs: &dyn StoreFs, layout: &Layout) -> Result<Standing, Error> {
        if self.files.is_empty() && self.dirs.is_empty() {
            return Ok(if self.strangers.is_empty() {
                Standing::Nothing
            } else {
                Standing::Stranger
            });
        }
        if self.has(&layout.journal()) && begins_with(fs, &layout.journal(), TITLE)? {
            return Ok(Standing::Journal);
        }
        let listed =
            self.has(&layout.manifest()) && begins_with(fs, &layout.manifest(), MANIFEST_MAGIC)?;
        if !self.has(&layout.journal()) && self.is_empty_creation(fs, layout)? {
            return Ok(Standing::Unfinished);
        }
        Ok(if listed || !self.segments.is_empty() {
            Standing::Journal
        } else {
            Standing::Stranger
        })
    }

    /// Whether this is what a crash leaves of a creation before event 0: only what creation makes, at
    /// most one segment, no event in it, and nothing that calls one durable.
    fn is_empty_creation(&self, fs: &dyn StoreFs, layout: &Layout) -> Result<bool, Error> {
        let kept = self
            .files
            .iter()
            .any(|path| path.starts_with(layout.checkpoints()));
        if kept || !self.strangers.is_empty() || self.segments.len() > 1 {
            return Ok(false);
        }
        let listed = self.has(&layout.manifest());
        if listed {
            // It comes whole or not at all.
            let Ok(manifest) = super::identity::read_manifest(fs, layout) else {
                return Ok(false);
            };
            let begun = manifest
                .rows
                .iter()
                .all(|row| row.count.is_none() && row.proven_end == 0 && row.first_sequence == 0);
            if !begun {
                return Ok(false);
            }
        }
        let Some((first, generation)) = self.segments.first() else {
            return Ok(true);
        };
        if *first != 0 {
            return Ok(false);
        }
        holds_nothing(fs, &layout.segment(*first, *generation), listed)
    }
}

/// The length of the header of a segment that no compaction made.
pub(crate) fn header_len(first: u64) -> u64 {
    BARE_HEADER + EDGE_HASH * u64::from(first.count_ones())
}

/// Whether a segment of sequence 0 on holds no whole group, and no statement that there was any. A
/// commit header whose group is torn is none: nothing was acknowledged on its word.
///
/// MANIFEST lists a segment only once its header is durable: `listed` makes a damaged one rot.
fn holds_nothing(fs: &dyn StoreFs, path: &Path, listed: bool) -> Result<bool, Error> {
    let segment = match SegmentFile::open_any(fs, path) {
        Ok(segment) => segment,
        // The first group comes after the header is durable, so without one there is none. Space
        // may have been secured, as zeros.
        Err(Error::Damaged(damage)) if damage.code == "segment.header" && !listed => {
            return only_zeros_behind(fs, path, header_len(0));
        }
        Err(Error::Damaged(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let start = segment.header_len;
    let whole = GroupScanner::new(&segment, start, 0, segment.len()?).next();
    let stated = largest_statement(&segment, start)?.max(segment.header.durable);
    Ok(whole.is_err() && stated == 0)
}

/// Whether a file holds nothing but zeros from `offset` on.
pub(crate) fn only_zeros_behind(fs: &dyn StoreFs, path: &Path, offset: u64) -> Result<bool, Error> {
    let file = fs
        .open(path, OpenMode::Read)
        .map_err(Error::io("open", path))?;
    let mut buffer = vec![0; 64 << 10];
    let mut at = offset;
    loop {
        let got = read_up_to(file.as_ref(), &mut buffer, at).map_err(Error::io("read", path))?;
        if got == 0 {
            return Ok(true);
        }
        if buffer.iter().take(got).any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += got as u64;
    }
}

fn begins_with(fs: &dyn StoreFs, path: &Path, wanted: &[u8]) -> Result<bool, Error> {
    let file = match fs.open(path, OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file.map_err(Error::io("open", path))?,
    };
    let mut start = vec![0; wanted.len()];
    let got = read_up_to(file.as_ref(), &mut start, 0).map_err(Error::io("read", path))?;
    Ok(start.get(..got) == Some(wanted))
}

/// Whether a file of this name is one that a journal makes in that folder.
fn belongs(folder: &str, name: &str) -> bool {
    let name = name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name);
    match folder {
        "" => matches!(name, JOURNAL | MANIFEST | LOCK | "probe"),
        "segments" => {
            let stem = name.strip_suffix(".off").map(|stem| format!("{stem}.seg"));
            parse_segment_name(stem.as_deref().unwrap_or(name)).is_some()
        }
        "index" => index::is_own(name),
        "tree" => tree::is_own(name),
        "checkpoints" => is_checkpoint_name(name),
        "keys" => is_key_file(name),
        CURSORS => is_cursor(name),
        _ => false,
    }
}
