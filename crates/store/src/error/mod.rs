mod codes;
mod misuse;

use std::{
    io,
    path::{Path, PathBuf},
};

use factlog_format::FormatError;
use thiserror::Error;
use uuid::Uuid;

pub use codes::{Code, Fault, codes};
pub use misuse::{Misuse, SealedCause};

use crate::keys::Sealed;

/// What a call of this crate can fail with, by who is at fault.
///
/// Every error has a stable [`code`](Self::code); codes never change meaning.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `read`, `sync`, `rename`.
        operation: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is on disk isn't what was written, or isn't a journal.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The caller asked for something that can't be done; nothing was changed.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The journal's state doesn't allow it now; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An expectation doesn't hold, or an event id stands for another event.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// What the user's known journals say stands against it.
    #[error(transparent)]
    Known(#[from] crate::known::KnownError),
    /// A write or sync failed, so the writer stopped for good; reads go on, reopening recovers.
    #[error(transparent)]
    Writer(#[from] WriterFailure),
    /// The section is encrypted, and can't be decrypted: shredded, or its key isn't here.
    #[error("the section can't be read: {0}")]
    Sealed(#[from] Sealed),
}

impl Error {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk.full",
                io::ErrorKind::Unsupported => "fs.unsupported",
                _ => "io.failed",
            },
            Self::Damaged(damage) => damage.code,
            Self::Misuse(misuse) => misuse.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Conflict(conflict) => conflict.code(),
            Self::Known(known) => known.code(),
            Self::Writer(failure) => failure.code(),
            Self::Sealed(sealed) => sealed.code(),
        }
    }

    /// Whether there was no space, found out before anything was written that counts.
    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Refused(Refusal::DiskFull { .. }))
    }

    /// As [`io`](Self::io), of a step on which nothing rests yet: a lack of space refuses it, and it
    /// can be tried again.
    pub(crate) fn space<'a>(
        operation: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let path = path.to_owned();
                Refusal::DiskFull { path, source }.into()
            }
            _ => Self::io(operation, path)(source),
        }
    }

    /// The error that says what happened, where this one says what it meant for the call.
    fn cause(&self) -> &Self {
        match self {
            Self::Refused(Refusal::ReadOnly(why))
            | Self::Writer(
                WriterFailure::Indeterminate(why)
                | WriterFailure::Unsigned(why)
                | WriterFailure::Poisoned(why),
            ) => why.cause(),
            error => error,
        }
    }

    fn damage(&self) -> Option<&Damage> {
        match self.cause() {
            Self::Damaged(damage) | Self::Refused(Refusal::StrictRecovery(damage)) => Some(damage),
            _ => None,
        }
    }

    /// The file or directory concerned, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self.cause() {
            Self::Io { path, .. }
            | Self::Misuse(
                Misuse::Exists(path)
                | Misuse::NotAJournal(path)
                | Misuse::Unfinished(path)
                | Misuse::KeyExists(path)
                | Misuse::NoKeyFile(path),
            )
            | Self::Refused(
                Refusal::Locked(path)
                | Refusal::FileSystem { path, .. }
                | Refusal::SignerInUse(path)
                | Refusal::KeyPermissions(path)
                | Refusal::KeyFileMissing(path)
                | Refusal::SignerState { path, .. }
                | Refusal::DiskFull { path, .. },
            ) => Some(path),
            other => other.damage().map(|damage| damage.path.as_path()),
        }
    }

    /// Where in the file, in bytes, where that is known.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.damage()?.offset
    }

    /// The sequence concerned, where there is one.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        match self.cause() {
            Self::Misuse(Misuse::NotYetSigned(sequence) | Misuse::Unreadable { sequence, .. })
            | Self::Conflict(
                Conflict::IdReused { sequence, .. } | Conflict::Boundary { sequence, .. },
            ) => Some(*sequence),
            other => other.damage()?.sequence,
        }
    }

    /// The operating system's number for what went wrong, where it was the system.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        let (Self::Io { source, .. } | Self::Refused(Refusal::DiskFull { source, .. })) =
            self.cause()
        else {
            return None;
        };
        let first = source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<factlog_fs::CleanupFailed>());
        source
            .raw_os_error()
            .or_else(|| first?.first.raw_os_error())
    }

    pub(crate) fn io<'a>(
        operation: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// Bytes on disk that are not what was written: where, and what is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail} ({code}) in {}{}{}", path.display(), At(" at byte ", *offset), At(", sequence ", *sequence))]
pub struct Damage {
    /// A stable, machine-readable code: `segment.corrupt`, `manifest.missing`, …
    pub code: &'static str,
    /// The file concerned.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// The sequence concerned.
    pub sequence: Option<u64>,
    /// What is wrong, as a sentence without a full stop.
    pub detail: String,
}

impl Damage {
    pub(crate) fn new(code: &'static str, path: &Path, detail: impl Into<String>) -> Self {
        Self {
            code,
            path: path.to_owned(),
            offset: None,
            sequence: None,
            detail: detail.into(),
        }
    }

    pub(crate) fn at(self, offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    pub(crate) fn sequence(self, sequence: u64) -> Self {
        Self {
            sequence: Some(sequence),
            ..self
        }
    }

    /// Damage found by decoding; a newer version is told apart from damage.
    pub(crate) fn format(code: &'static str, path: &Path, error: FormatError) -> Self {
        let code = match error {
            FormatError::Unsupported(_) => "journal.unsupported_version",
            _ => code,
        };
        Self::new(code, path, error.to_string())
    }
}

struct At(&'static str, Option<u64>);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.1
            .map_or(Ok(()), |value| write!(f, "{}{value}", self.0))
    }
}

/// The journal's state doesn't allow the call; nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Another process, or another handle of this one, writes to the journal.
    #[error("{} is open for writing elsewhere", .0.display())]
    Locked(PathBuf),
    /// The file system lacks locks or directory sync.
    #[error("the file system of {} can't hold a journal: {detail}", path.display())]
    FileSystem {
        /// The journal's directory.
        path: PathBuf,
        /// What is missing.
        detail: String,
    },
    /// The journal can be read but not written; why stands in the error inside.
    #[error("the journal is open read-only: {0}")]
    ReadOnly(std::sync::Arc<Error>),
    /// The journal was opened read-only, as the caller asked.
    #[error("the journal was opened read-only")]
    OpenedReadOnly,
    /// The journal is signed, and its key isn't here.
    #[error("the journal is signed, and its signing key was not given")]
    KeyMissing,
    /// The signer's state is in use by another journal handle.
    #[error("the signer's state {} is in use: another copy of the journal is open", .0.display())]
    SignerInUse(PathBuf),
    /// Others than its owner have access to the private key.
    #[error("{} can be read by others than its owner; make it private (chmod 600) first", .0.display())]
    KeyPermissions(PathBuf),
    /// The signer's state can't be read.
    #[error("the signer's state {} can't be read: {detail}", path.display())]
    SignerState {
        /// The state's file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Who holds the key can't be asked, or doesn't answer as it should.
    #[error("the signer is not available: {detail}")]
    SignerUnavailable {
        /// What happened.
        detail: String,
    },
    /// The journal is behind what its signer remembers, or has another history.
    #[error(
        "the signer remembers {remembered} events, and this journal does not continue them; find the newer copy, or see `factlog keys adopt`"
    )]
    HistoryMismatch {
        /// The size that the signer signed last.
        remembered: u64,
    },
    /// A key doesn't take the journal for the one that it signs.
    #[error("the journal is not adopted: {0}")]
    NotAdopted(String),
    /// A strict open found a tail that would have to be cut.
    #[error("recovery would have to cut a torn tail, and the open is strict: {0}")]
    StrictRecovery(Damage),
    /// There is no space left for what was to be written; nothing was, and it can be tried again.
    #[error("there is no space left on the disk for {}: {source}", path.display())]
    DiskFull {
        /// The file that needs the space.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another consumer holds the cursor.
    #[error("the cursor {0} is in use: another consumer of this name runs")]
    CursorInUse(String),
    /// The keyset was not unlocked.
    #[error("the journal is encrypted, and its keyset was not unlocked")]
    KeysetLocked,
    /// An earlier write of the keyset failed, so that it isn't known what stands on the disk.
    #[error("an earlier write of the keyset failed; reopen the journal")]
    KeysetFailed,
    /// There is no key file.
    #[error("there is no key file {}", .0.display())]
    KeyFileMissing(PathBuf),
    /// The system has no id of its installation.
    #[error("this system keeps no id of its installation (/etc/machine-id)")]
    NoMachineId,
    /// A hold forbids it.
    #[error("hold {0} forbids to shred this")]
    Held(u64),
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
}

impl Refusal {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked(_) => "journal.locked",
            Self::FileSystem { .. } => "fs.unsupported",
            Self::ReadOnly(why) => why.code(),
            Self::OpenedReadOnly => "journal.read_only",
            Self::KeyMissing => "signer.key_missing",
            Self::SignerInUse(_) => "signer.in_use",
            Self::KeyPermissions(_) => "signer.key_permissions",
            Self::SignerState { .. } => "signer.state_unreadable",
            Self::SignerUnavailable { .. } => "signer.unavailable",
            Self::HistoryMismatch { .. } => "signer.history_mismatch",
            Self::NotAdopted(_) => "signer.not_adopted",
            Self::StrictRecovery(_) => "recovery.strict",
            Self::DiskFull { .. } => "disk.full",
            Self::CursorInUse(_) => "cursor.in_use",
            Self::KeysetLocked => "keyset.locked",
            Self::KeysetFailed => "keyset.failed",
            Self::KeyFileMissing(_) => "keyset.key_missing",
            Self::NoMachineId => "machine.no_id",
            Self::Held(_) => "shred.held",
            Self::Closed => "journal.closed",
        }
    }
}

/// An answer that is about the journal's content: the append was decided, against the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The stream isn't as expected.
    #[error("{scope}/{entity}: expected {expected}, found {}", Found(*.found))]
    Expectation {
        /// The stream's scope.
        scope: String,
        /// The stream's entity.
        entity: String,
        /// What was expected.
        expected: crate::Expect,
        /// The stream's last revision; `None` if there is no stream.
        found: Option<u64>,
    },
    /// An event stands where a condition wants none: something has come since the caller looked.
    #[error("the boundary has moved: event {sequence} is one that condition {condition} rules out")]
    Boundary {
        /// Which of the append's conditions, from 0.
        condition: usize,
        /// The first such event.
        sequence: u64,
    },
    /// The event id stands for an event with other content.
    #[error("the id {id} stands for another event, at sequence {sequence}")]
    IdReused {
        /// The id.
        id: Uuid,
        /// Where the other event is.
        sequence: u64,
    },
    /// Some events of a batch are in the journal already and some are not.
    #[error(
        "{known} of the {events} events of the batch are in the journal already; a batch repeats whole"
    )]
    PartialRepeat {
        /// How many are known.
        known: usize,
        /// How many the batch has.
        events: usize,
    },
}

struct Found(Option<u64>);

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("no stream"),
            Some(revision) => write!(f, "revision {revision}"),
        }
    }
}

impl Conflict {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expectation { .. } => "conflict.expectation",
            Self::Boundary { .. } => "conflict.boundary_moved",
            Self::IdReused { .. } => "conflict.id_reused",
            Self::PartialRepeat { .. } => "conflict.partial_repeat",
        }
    }
}

/// What became of an append when the writer failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum WriterFailure {
    /// The group was being written: it may or may not be there after the next open.
    #[error("the write failed, so the event may or may not be durable; reopen to know: {0}")]
    Indeterminate(std::sync::Arc<Error>),
    /// The group is durable, and will be signed when the journal is opened again with its signer at hand.
    #[error("the event is durable and not yet signed; reopen once the signer answers: {0}")]
    Unsigned(std::sync::Arc<Error>),
    /// The writer had failed before; nothing of this append was written.
    #[error("the writer has stopped after a failure, and nothing of this append was written: {0}")]
    Poisoned(std::sync::Arc<Error>),
}

impl WriterFailure {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Indeterminate(_) => "append.indeterminate",
            Self::Unsigned(_) => "signer.unavailable",
            Self::Poisoned(_) => "writer.poisoned",
        }
    }
}
