mod codes;

use std::{
    io,
    path::{Path, PathBuf},
};

use factlog_format::FormatError;
use thiserror::Error;
use uuid::Uuid;

pub use codes::{Code, Fault, codes};

use crate::{keys::Sealed, typed::RegistryProblem};

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

/// A mistake of the caller; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A name, size or count is not allowed.
    #[error("the event can't be stored: {0}")]
    Event(#[from] FormatError),
    /// A batch has no event, or more events or bytes than one group holds.
    #[error("a batch holds 1 to 65,536 events and at most 64 MiB")]
    BatchSize,
    /// A name that no cursor's file can have.
    #[error(
        "{0:?} is no name for a cursor: it takes 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit"
    )]
    CursorName(String),
    /// A projection can't be added.
    #[error("the projection can't be added: {0}")]
    Projection(&'static str),
    /// A subscription was asked for that no subscription can be.
    #[error("there is no such subscription: {0}")]
    Subscription(&'static str),
    /// A [`Ticket`](crate::Ticket) was polled again after it had given its answer.
    #[error("the ticket has given its answer already")]
    TicketSpent,
    /// A scope that starts with `$` belongs to the journal itself.
    #[error("scopes that start with $ belong to the journal itself")]
    ReservedScope,
    /// The encoding of the journal's own events.
    #[error("the encoding of the journal's own events is not for others")]
    ReservedEncoding,
    /// Two events of one batch have the same id.
    #[error("two events of one batch have the id {0}")]
    RepeatedId(Uuid),
    /// A payload that would not come out as it went in.
    #[error("the payload can't be encoded without loss: {0}")]
    Payload(String),
    /// The origin isn't a name of 1 to 200 bytes without blanks or `+`.
    #[error("an origin is a name of 1 to 200 bytes without blanks or +")]
    Origin,
    /// There is something at the path already.
    #[error("{} exists already and is not an empty directory", .0.display())]
    Exists(PathBuf),
    /// There is no journal at the path.
    #[error("{} is not a journal", .0.display())]
    NotAJournal(PathBuf),
    /// A crash cut the creation of a journal short; nothing was ever written to it.
    #[error(
        "the creation of a journal in {} was cut short, and it holds nothing: create it again, or remove it",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// A key already used for another journal.
    #[error(
        "the signing key belongs to {found}, not to {wanted}: every journal has a key of its own"
    )]
    KeyOfAnotherJournal {
        /// The origin that the key names.
        found: String,
        /// The journal's origin.
        wanted: String,
    },
    /// The journal's keys don't allow it.
    #[error("the journal's keys can't be changed like this: {0}")]
    KeyRefused(&'static str),
    /// There is a file where a new key was to be written.
    #[error("{} exists already, and keys are never overwritten", .0.display())]
    KeyExists(PathBuf),
    /// A payload can't be read as the type that was asked for.
    #[error("the payload can't be read as {wanted}: {detail}")]
    PayloadType {
        /// The name of the Rust type.
        wanted: &'static str,
        /// What stood in the way.
        detail: String,
    },
    /// The journal isn't signed, so it has no receipts and no checkpoints.
    #[error("the journal is not signed, so nothing of it can be proved to a third party")]
    Unsigned,
    /// No stored signature covers the event yet: the next commit, or 20 ms of idleness, stores one.
    #[error("no stored signature covers event {0} yet")]
    NotYetSigned(u64),
    /// What a signer was asked is no request, or can't be signed.
    #[error("the request to sign is refused: {0}")]
    SignRequest(String),
    /// The receipt would pass the limits of its text form.
    #[error("the receipt can't be written: {0}")]
    Receipt(String),
    /// An event of an earlier version can't be read as one of the current version.
    #[error("the payload of {kind} can't be carried from version {from} to {}: {detail}", from + 1)]
    Upcast {
        /// The event's kind.
        kind: &'static str,
        /// The version that the step takes.
        from: u16,
        /// Why not.
        detail: String,
    },
    /// An event of which a state is made can't be read, so there is no such state.
    #[error(
        "event {sequence} can't be read, and what rests on it can't be told without it: {detail}"
    )]
    Unreadable {
        /// Where the event is.
        sequence: u64,
        /// Why not.
        detail: String,
    },
    /// The event types of this program contradict each other.
    #[error("the event types of this program contradict each other: {}", Sentences(.0))]
    Registry(Vec<RegistryProblem>),
    /// A condition of an append asks for what a condition can't say, or was read from another journal.
    #[error("the condition can't be checked: {0}")]
    Condition(&'static str),
    /// An evidence case of such a period can't be made.
    #[error("the case can't be made: {0}")]
    Case(&'static str),
    /// An encrypted payload can't be read as a type.
    #[error("the payload can't be read: {0}")]
    Locked(SealedCause),
    /// The journal isn't encrypted.
    #[error(
        "the journal is not encrypted, so there is nothing to shred: that is decided at creation"
    )]
    NotEncrypted,
    /// An encrypted journal is to be made, and nothing was given that unlocks its keyset.
    #[error("an encrypted journal needs something that unlocks its keyset")]
    NoProvider,
    /// The machine's identity would be all that unlocks the keyset.
    #[error(
        "a machine can break, so it is never all that unlocks a keyset: name a recovery recipient"
    )]
    OnlyMachine,
    /// A machine is to take the place of another, and none unlocks the keyset.
    #[error(
        "no machine unlocks the keyset, so that none can take its place: a rewrap makes one a recipient"
    )]
    NoMachine,
    /// The recipients that are named would not make a keyset: two of them are one key.
    #[error("two recipients have the same key: name another key for each")]
    Recipients,
    /// What is to replace a recipient is the same secret, or not all are replaced.
    #[error(
        "not every recipient is replaced by another secret: name another one for each, the recovery recipient too"
    )]
    SameSecret,
    /// An empty passphrase was given.
    #[error("the passphrase is empty")]
    NoPassphrase,
    /// The file holds no key.
    #[error("{} holds no private key of a recipient", .0.display())]
    NoKeyFile(PathBuf),
    /// A section names a subject where keys aren't by subject, or doesn't where they are.
    #[error(
        "the journal's keys are by {0}: each section names a subject exactly if they are by subject"
    )]
    Subject(&'static str),
    /// What was named is of another sort than the journal's keys.
    #[error("the journal's keys are by {journal}, so nothing can be shredded or held by {asked}")]
    OtherDomain {
        /// What was named.
        asked: &'static str,
        /// What the keys are of.
        journal: &'static str,
    },
    /// No live key is there for what was named.
    #[error(
        "there is no key for any of it: nothing was ever written there, or it is shredded already"
    )]
    NothingToShred,
    /// There is no such hold in force.
    #[error("there is no hold {0}")]
    NoSuchHold(u64),
    /// A rule of retention makes no sense.
    #[error("the rules can't be followed: {0}")]
    Retention(&'static str),
    /// Nothing in the journal has this sequence or id.
    #[error("there is no event {0}")]
    NoSuchEvent(String),
}

impl Misuse {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event(error) => match error {
                FormatError::Limit { .. } => "event.limit",
                _ => "event.invalid",
            },
            Self::BatchSize => "batch.size",
            Self::CursorName(_) => "cursor.name",
            Self::Projection(_) => "projection.invalid",
            Self::Subscription(_) => "subscription.invalid",
            Self::TicketSpent => "ticket.spent",
            Self::ReservedScope => "event.reserved_scope",
            Self::ReservedEncoding => "event.reserved_encoding",
            Self::RepeatedId(_) => "batch.repeated_id",
            Self::Payload(_) => "payload.lossy",
            Self::Origin => "origin.invalid",
            Self::Exists(_) => "journal.exists",
            Self::NotAJournal(_) => "journal.not_found",
            Self::Unfinished(_) => "journal.unfinished",
            Self::KeyOfAnotherJournal { .. } => "signer.other_journal",
            Self::KeyRefused(_) => "key.refused",
            Self::KeyExists(_) => "signer.key_exists",
            Self::PayloadType { .. } => "payload.type",
            Self::Unsigned => "journal.unsigned",
            Self::NotYetSigned(_) => "receipt.not_yet_signed",
            Self::SignRequest(_) => "signer.request",
            Self::Receipt(_) => "receipt.limit",
            Self::Upcast { .. } => "payload.upcast",
            Self::Unreadable { .. } => "event.unreadable",
            Self::Registry(_) => "registry.invalid",
            Self::Condition(_) => "condition.invalid",
            Self::Case(_) => "case.invalid",
            Self::Retention(_) => "retention.invalid",
            Self::NoSuchEvent(_) => "event.not_found",
            Self::Locked(why) => why.0.code(),
            Self::NotEncrypted => "journal.not_encrypted",
            Self::NoProvider => "keyset.no_provider",
            Self::OnlyMachine => "machine.only_recipient",
            Self::NoMachine => "machine.no_recipient",
            Self::Recipients => "keyset.recipients",
            Self::SameSecret => "keyset.same_secret",
            Self::NoPassphrase => "keyset.no_passphrase",
            Self::NoKeyFile(_) => "keyset.key_text",
            Self::Subject(_) => "event.subject",
            Self::OtherDomain { .. } => "shred.other_domain",
            Self::NothingToShred => "shred.nothing",
            Self::NoSuchHold(_) => "hold.not_found",
        }
    }
}

/// Why a payload can't be decrypted, as a mistake carries it: compared by its code.
#[derive(Clone, Debug, Error)]
#[error(transparent)]
pub struct SealedCause(pub(crate) Sealed);

impl PartialEq for SealedCause {
    fn eq(&self, other: &Self) -> bool {
        self.0.code() == other.0.code()
    }
}

impl Eq for SealedCause {}

struct Sentences<'p>(&'p [RegistryProblem]);

impl std::fmt::Display for Sentences<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if at > 0 { "; and " } else { "" })?;
        }
        Ok(())
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
