//! Tests for anyone's [`StoreFs`].
//!
//! [`check`] tries what the documentation of the traits promises and returns what didn't
//! hold, as values, so that it can be used from any test harness:
//!
//! ```
//! use std::path::Path;
//! use factlog_fs::{Access, MemFs, StoreFs, conformance};
//!
//! let fs = MemFs::new();
//! fs.create_dir(Path::new("scratch"), Access::Shared)?;
//! let failures = conformance::check(&fs, Path::new("scratch"));
//! assert!(failures.is_empty(), "{}", conformance::report(&failures));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What it can't test is durability: for that an implementation needs a way to cut the
//! power, and tests of its own. It can't make links or pipes either, as the trait has none.

mod dirs;
mod files;
mod locks;

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::{Access, FileKind, OpenMode, StoreFile, StoreFs, read_up_to, write_all_at};

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The promise, as a short sentence.
    pub promise: &'static str,
    /// What was seen instead.
    pub seen: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.seen)
    }
}

impl std::error::Error for Failure {}

/// Runs the whole suite in `scratch`, an existing directory that is empty or whose content
/// doesn't matter, and leaves it without what the suite made there.
///
/// An empty list means that every promise held.
pub fn check(fs: &dyn StoreFs, scratch: &Path) -> Vec<Failure> {
    let cases = [files::CASES, dirs::CASES, locks::CASES].concat();
    let mut failures = Vec::new();
    for (number, (promise, case)) in cases.into_iter().enumerate() {
        let dir = scratch.join(format!("conformance-{number}"));
        if let Err(seen) = run(fs, dir, case) {
            failures.push(Failure { promise, seen });
        }
    }
    failures
}

/// The failures as text, one a line.
pub fn report(failures: &[Failure]) -> String {
    failures.iter().map(|f| format!("{f}\n")).collect()
}

type Case = fn(&Scratch<'_>) -> Seen;
type Cases = &'static [(&'static str, Case)];
/// `Err` is what was seen instead of what was promised.
type Seen<T = ()> = Result<T, String>;

fn run(fs: &dyn StoreFs, dir: PathBuf, case: Case) -> Seen {
    clear(fs, &dir).map_err(|e| format!("can't clear {}: {e}", dir.display()))?;
    fs.create_dir(&dir, Access::Shared)
        .map_err(|e| format!("can't create {}: {e}", dir.display()))?;
    let outcome = case(&Scratch {
        fs,
        dir: dir.clone(),
    });
    let cleared = clear(fs, &dir).map_err(|e| format!("can't clear up afterwards: {e}"));
    outcome.and(cleared)
}

fn clear(fs: &dyn StoreFs, path: &Path) -> io::Result<()> {
    match fs.metadata(path)?.map(|found| found.kind) {
        None => Ok(()),
        Some(FileKind::Dir) => {
            for entry in fs.list(path)? {
                clear(fs, &path.join(entry.name))?;
            }
            fs.remove_dir(path)
        }
        Some(_) => fs.remove_file(path),
    }
}

/// A directory of its own for each case, with shorthands.
struct Scratch<'a> {
    fs: &'a dyn StoreFs,
    dir: PathBuf,
}

impl Scratch<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new shared file with these bytes.
    fn file(&self, name: &str, bytes: &[u8]) -> Seen<Box<dyn StoreFile>> {
        let file = ok(
            "create_new",
            self.fs.create_new(&self.path(name), Access::Shared),
        )?;
        ok("write_at", write_all_at(file.as_ref(), bytes, 0))?;
        Ok(file)
    }

    fn dir(&self, name: &str) -> Seen {
        ok(
            "create_dir",
            self.fs.create_dir(&self.path(name), Access::Shared),
        )
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        self.fs.open(&self.path(name), mode)
    }

    fn names(&self) -> Seen<Vec<String>> {
        let entries = ok("list", self.fs.list(&self.dir))?;
        Ok(entries
            .iter()
            .map(|entry| entry.name.to_string_lossy().into_owned())
            .collect())
    }

    /// Whether anything is at this path.
    fn there(&self, name: &str) -> Seen<bool> {
        Ok(ok("metadata", self.fs.metadata(&self.path(name)))?.is_some())
    }
}

fn ok<T, E: fmt::Display>(what: &str, result: Result<T, E>) -> Seen<T> {
    result.map_err(|e| format!("{what} failed: {e}"))
}

fn fails<T>(what: &str, result: io::Result<T>) -> Seen<io::Error> {
    match result {
        Ok(_) => Err(format!("{what} succeeded")),
        Err(e) => Ok(e),
    }
}

fn fails_as<T>(what: &str, wanted: ErrorKind, result: io::Result<T>) -> Seen {
    let error = fails(what, result)?;
    if error.kind() == wanted {
        return Ok(());
    }
    Err(format!(
        "{what} failed with the wrong kind of error ({}, not {wanted}): {error}",
        error.kind()
    ))
}

fn holds(what: &str, holds: bool) -> Seen {
    holds.then_some(()).ok_or_else(|| what.to_owned())
}

/// The whole file reads as `wanted`, and no further.
fn reads(file: &dyn StoreFile, wanted: &[u8]) -> Seen {
    let mut bytes = vec![0xaa; wanted.len() + 16];
    let n = ok("read_at", read_up_to(file, &mut bytes, 0))?;
    bytes.truncate(n);
    let len = ok("len", file.len())?;
    if len != wanted.len() as u64 {
        return Err(format!("the length is {len}, not {}", wanted.len()));
    }
    if bytes != wanted {
        let at = bytes.iter().zip(wanted).position(|(a, b)| a != b);
        return Err(match at {
            Some(at) => format!("other bytes were read, from offset {at} on"),
            None => format!("{n} bytes were read, not {}", wanted.len()),
        });
    }
    Ok(())
}
