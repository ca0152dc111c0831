//! The user's files that belong to no journal: what is imported, shown as evidence, or asked to be
//! written. The only place of the command that touches the file system itself.

mod shell;
mod tree;
mod witness;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::exit::{Exit, Problem};
use crate::paths::shown;

pub(crate) use shell::shell;
pub(crate) use tree::{absolute, copy_tree, empty_dir, exists, is_dir, list, remove};
pub(crate) use witness::Home;

/// The path that means standard input or output.
pub(crate) const STANDARD: &str = "-";

/// Reads a whole file, or standard input for `-`; more than `most` bytes are an error.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let result = if path == Path::new(STANDARD) {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    result.with_context(|| format!("cannot read {}", shown(path)))?;
    if bytes.len() as u64 > most {
        return Err(Problem::new(
            Exit::Failed,
            "file.too_large",
            format!("{} is larger than {most} bytes", shown(path)),
        )
        .into());
    }
    Ok(bytes)
}

/// Replaces a file as a whole, so that a reader never meets half of it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = parent(path);
    let attempt = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(dir)?.sync_all()
    };
    attempt().with_context(|| format!("cannot write {}", shown(path)))
}

/// Makes a folder, with those it stands in.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", shown(path)))
}

/// Makes a folder for its owner alone, with those it stands in.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.recursive(true).create(path);
    made.with_context(|| format!("cannot make {}", shown(path)))
}

/// The folder that a path stands in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

/// An open file to import from, with its length where that is known.
pub(crate) struct Input {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) len: Option<u64>,
}

/// Opens a file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> Result<Input> {
    if path == Path::new(STANDARD) {
        return Ok(Input {
            reader: Box::new(io::stdin()),
            len: None,
        });
    }
    let attempt = || -> io::Result<Input> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Input {
            reader: Box::new(file),
            len: metadata.is_file().then_some(metadata.len()),
        })
    };
    attempt().with_context(|| format!("cannot read {}", shown(path)))
}

/// Replaces a file's bytes by what `change` makes of them.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let attempt = || -> io::Result<()> {
        let mut bytes = fs::read(path)?;
        change(&mut bytes);
        fs::write(path, bytes)
    };
    attempt().with_context(|| format!("cannot change {}", shown(path)))
}
