//! The user's files that belong to no journal: what is imported, shown as evidence, or asked to be
//! written. The only place of the command that touches the file system itself.

mod recovery;
mod shell;
mod tree;
mod witness;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use zeroize::Zeroizing;

use crate::exit::{Exit, Problem};
use crate::paths::shown;

pub(crate) use recovery::recovery_key;
pub(crate) use shell::{LIMIT, shell};
pub(crate) use tree::{absolute, copy_tree, empty_dir, exists, is_dir, is_there, list, remove};
pub(crate) use witness::Home;

/// The path that means standard input or output.
pub(crate) const STANDARD: &str = "-";

/// The longest file with a private key.
const MAX_SECRET: usize = 1 << 10;

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

/// Whether a file that can be read begins like this.
pub(crate) fn begins_with(path: &Path, bytes: &[u8]) -> bool {
    let mut found = vec![0; bytes.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut found));
    read.is_ok() && found == bytes
}

/// What this process holds from now on must not come to stand in a dump of its memory: neither in a core file
/// nor for whoever attaches to it. Best effort: an operating system that can't goes without.
pub(crate) fn keep_out_of_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Reads a file that holds a private key: only its owner may have access, a link is not followed, and what
/// was read is wiped.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>> {
    let refused = |why: &str| {
        let message = format!("{}: {why}", shown(path));
        Problem::new(Exit::Failed, "signer.key_permissions", message)
    };
    // Not looked at first and opened then: it could become a link in between.
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, how, Mode::empty()) {
        Err(Errno::LOOP) => {
            return Err(refused("a private key is a file of its own, not a link").into());
        }
        file => file.map_err(io::Error::from),
    };
    let file = file.with_context(|| format!("cannot read {}", shown(path)))?;
    let file = File::from(file);
    let open = file.metadata()?;
    if !open.is_file() {
        return Err(refused("a private key is a file of its own").into());
    }
    if open.permissions().mode() & 0o077 != 0 {
        let why = "others than its owner have access to it; make it private (chmod 600)";
        return Err(refused(why).into());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
    file.take(MAX_SECRET as u64 + 1).read_to_end(&mut bytes)?;
    let text = std::str::from_utf8(&bytes)
        .ok()
        .filter(|_| bytes.len() <= MAX_SECRET);
    let text = text.ok_or_else(|| {
        let message = format!("{} is no private key", shown(path));
        Problem::new(Exit::Failed, "signer.key_unreadable", message)
    })?;
    Ok(Zeroizing::new(
        text.strip_suffix('\n').unwrap_or(text).to_owned(),
    ))
}

/// A lock that ends with the value; whoever holds it is waited for.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let attempt = || -> io::Result<File> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.lock()?;
        Ok(file)
    };
    attempt().with_context(|| format!("cannot lock {}", shown(path)))
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

/// Whether a path, which may not exist yet, is inside a folder, which may not either.
pub(crate) fn is_inside(path: &Path, dir: &Path) -> bool {
    let real = |path: &Path| {
        let whole = fs::canonicalize(path);
        whole.or_else(|_| {
            let parent = fs::canonicalize(parent(path))?;
            Ok::<_, io::Error>(parent.join(path.file_name().unwrap_or_default()))
        })
    };
    match (real(path), real(dir)) {
        (Ok(path), Ok(dir)) => path.starts_with(dir),
        // Where a folder on the way is missing, nothing can be made.
        _ => false,
    }
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
