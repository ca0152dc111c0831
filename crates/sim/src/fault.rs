//! Calls that fail.

use std::io;

use crate::FailedSync;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It fails with EIO and has done nothing; a write may have done its first bytes.
    Io,
    /// It fails with EIO and has done everything all the same.
    IoAfter,
    /// It fails with ENOSPC, if it needs space (create, write, lengthen, rename, directory
    /// sync); a write may have done its first bytes.
    NoSpace,
    /// It is interrupted by a signal before it did anything, if it reads or writes.
    Interrupted,
    /// It moves fewer bytes than asked for, if it reads or writes.
    Short,
    /// A sync of a file reports EIO once and leaves this behind; a directory's changes are
    /// then seen and never written, or still wait. Any other call is left alone.
    Sync(FailedSync),
    /// A sync that says all is written, where nothing was: the pages count as clean, and what
    /// was written is gone with the power. Any other call is left alone.
    LostWrite,
}

/// A failure, and the calls that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) changes_only: bool,
    pub(crate) failure: Failure,
}

impl Fault {
    /// Hits one call, by its number from 0; see [`SimFs::calls`](crate::SimFs::calls).
    #[must_use]
    pub fn at(call: u64, failure: Failure) -> Self {
        Self {
            from: call,
            until: call + 1,
            changes_only: false,
            failure,
        }
    }

    /// Hits this call and every later one.
    #[must_use]
    pub fn from(call: u64, failure: Failure) -> Self {
        Self {
            until: u64::MAX,
            ..Self::at(call, failure)
        }
    }

    /// Lets reads, lists and lengths through: what a disk does that only stops taking writes.
    #[must_use]
    pub fn changes_only(self) -> Self {
        Self {
            changes_only: true,
            ..self
        }
    }

    pub(crate) fn hits(&self, call: u64, call_kind: Kind) -> bool {
        (self.from..self.until).contains(&call) && (call_kind.changes() || !self.changes_only)
    }
}

/// What sort of call it is, as far as faults go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Look,
    Read,
    Write,
    /// Anything that makes a file, an entry or a length.
    Grow,
    Remove,
    SyncFile,
    SyncDir,
}

impl Kind {
    pub(crate) fn changes(self) -> bool {
        !matches!(self, Self::Look | Self::Read)
    }

    fn needs_space(self) -> bool {
        matches!(self, Self::Write | Self::Grow | Self::SyncDir)
    }

    fn moves_bytes(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

/// What a fault comes to at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Fails before it does anything, or, for a write, behind its first bytes.
    Before(i32),
    /// Fails after it is done.
    After(i32),
    Short,
    Sync(FailedSync),
    /// Says that it did its work.
    Lie,
}

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

pub(crate) fn eio() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

pub(crate) fn enospc() -> io::Error {
    io::Error::from_raw_os_error(ENOSPC)
}

impl Failure {
    pub(crate) fn effect(self, kind: Kind) -> Option<Effect> {
        match self {
            Self::Io => Some(Effect::Before(EIO)),
            Self::IoAfter if kind.changes() => Some(Effect::After(EIO)),
            Self::IoAfter => Some(Effect::Before(EIO)),
            Self::NoSpace => kind.needs_space().then_some(Effect::Before(ENOSPC)),
            Self::Interrupted => kind.moves_bytes().then_some(Effect::Before(EINTR)),
            Self::Short => kind.moves_bytes().then_some(Effect::Short),
            Self::LostWrite => {
                matches!(kind, Kind::SyncFile | Kind::SyncDir).then_some(Effect::Lie)
            }
            Self::Sync(how) => {
                matches!(kind, Kind::SyncFile | Kind::SyncDir).then_some(Effect::Sync(how))
            }
        }
    }
}

pub(crate) fn interrupts(code: i32) -> bool {
    code == EINTR
}
