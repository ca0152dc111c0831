//! Finding out what a file system can't do, before anything is trusted to it.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::{LockError, StoreFs, TEMPORARY_SUFFIX};

/// Why factlog can't work in a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Locks are missing, or don't exclude.
    #[error("the file system does not support exclusive file locks")]
    Locks(#[source] io::Error),
    /// Directories can't be synced, so no new file can be made durable.
    #[error("the file system does not support syncing a directory")]
    DirectorySync(#[source] io::Error),
    /// It could not be found out.
    #[error("the file system could not be probed")]
    Io(#[source] io::Error),
}

/// Finds out whether locks and directory sync work in `dir`, with a temporary file that it
/// removes again.
///
/// `Ok` means that what must work does; whether a sync reaches the platter can't be tested.
/// Several probes of one directory may run at once.
pub fn probe(fs: &dyn StoreFs, dir: &Path) -> Result<(), ProbeError> {
    let path = dir.join(format!("probe{TEMPORARY_SUFFIX}"));
    match fs.lock(&path) {
        Ok(_lock) => {
            let second = fs.lock(&path);
            // The file goes while its lock is still held, so no other probe can lock it
            // first and then find it gone.
            let removed = match fs.remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(ProbeError::Io(e)),
                _ => Ok(()),
            };
            match second {
                Err(LockError::Held) => removed?,
                Ok(_) => return Err(ProbeError::Locks(not_exclusive())),
                Err(e) => return Err(failed(e)),
            }
        }
        // Another probe holds it: locks do work.
        Err(LockError::Held) => {}
        Err(e) => return Err(failed(e)),
    }
    fs.sync_dir(dir).map_err(|e| match e.kind() {
        ErrorKind::Unsupported => ProbeError::DirectorySync(e),
        _ => ProbeError::Io(e),
    })
}

fn failed(error: LockError) -> ProbeError {
    match error {
        LockError::Held => ProbeError::Io(ErrorKind::ResourceBusy.into()),
        LockError::Unsupported(e) => ProbeError::Locks(e),
        LockError::Io(e) => ProbeError::Io(e),
    }
}

fn not_exclusive() -> io::Error {
    io::Error::new(
        ErrorKind::Unsupported,
        "the same lock was granted twice at once",
    )
}
