//! Exit codes, and what becomes of an error at the end of the program.

use std::fmt;
use std::io;

use factlog::{Error, Misuse, Refusal, Sealed};

/// What the program ends with. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done, or all that was asked for holds.
    Done = 0,
    /// Something failed that none of the others describes.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The evidence does not hold: tampering, corruption, a bad signature, a rollback.
    NotHolding = 3,
    /// It can't be decided: a key, an anchor or bytes are missing.
    Undecided = 4,
    /// Someone else has it open.
    Locked = 5,
    /// An expectation doesn't hold, or an event id stands for another event.
    Conflict = 6,
    /// There is no such journal, event or file.
    NotFound = 7,
}

/// An error of the command itself, with its stable code.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Whoever read the output is gone: nothing is wrong, and nothing more is to be said.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of the output is gone")
    }
}

impl std::error::Error for ClosedPipe {}

/// The exit code and the stable code of an error.
pub(crate) fn classify(error: &anyhow::Error) -> (Exit, &'static str) {
    for cause in error.chain() {
        if let Some(problem) = cause.downcast_ref::<Problem>() {
            return (problem.exit, problem.code);
        }
        if let Some(error) = cause.downcast_ref::<Error>() {
            return (of_library(error), error.code());
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return of_io(error);
        }
    }
    (Exit::Failed, "failed")
}

fn of_io(error: &io::Error) -> (Exit, &'static str) {
    match error.kind() {
        io::ErrorKind::NotFound => (Exit::NotFound, "file.not_found"),
        io::ErrorKind::StorageFull => (Exit::Failed, "disk.full"),
        _ => (Exit::Failed, "io.failed"),
    }
}

fn of_library(error: &Error) -> Exit {
    match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
        // A newer format is neither fine nor tampered with: it can't be judged by this build.
        Error::Damaged(damage) if damage.code == "journal.unsupported_version" => Exit::Undecided,
        Error::Damaged(_) => Exit::NotHolding,
        Error::Conflict(_) => Exit::Conflict,
        Error::Misuse(misuse) => of_misuse(misuse),
        Error::Refused(refusal) => of_refusal(refusal),
        // Shredded is an answer; a key that isn't here decides nothing.
        Error::Sealed(Sealed::Shredded { .. }) => Exit::NotFound,
        Error::Sealed(_) => Exit::Undecided,
        _ => of_code(error.code()),
    }
}

fn of_misuse(misuse: &Misuse) -> Exit {
    match misuse {
        Misuse::NotAJournal(_) | Misuse::Unfinished(_) | Misuse::NoSuchEvent(_) => Exit::NotFound,
        Misuse::Event(_)
        | Misuse::ReservedScope
        | Misuse::ReservedEncoding
        | Misuse::Origin
        | Misuse::BatchSize => Exit::Usage,
        _ => Exit::Failed,
    }
}

fn of_refusal(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::Locked(_) | Refusal::SignerInUse(_) | Refusal::CursorInUse(_) => Exit::Locked,
        Refusal::KeyMissing | Refusal::KeysetLocked => Exit::Undecided,
        Refusal::HistoryMismatch { .. } | Refusal::NotAdopted(_) => Exit::NotHolding,
        Refusal::ReadOnly(why) => of_library(why),
        _ => Exit::Failed,
    }
}

/// Errors told apart by their code alone.
fn of_code(code: &str) -> Exit {
    match code {
        "known.not_found" => Exit::NotFound,
        "known.locked" => Exit::Locked,
        "known.invalid" => Exit::Failed,
        code if code.starts_with("known.")
            || code.starts_with("history.")
            || code.starts_with("checkpoint.")
            || code.starts_with("note.") =>
        {
            Exit::NotHolding
        }
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use factlog::{Conflict, Expect};

    use super::*;

    #[test]
    fn errors_end_in_their_exit_codes() {
        let expectation = || Conflict::Expectation {
            scope: "s".to_owned(),
            entity: "e".to_owned(),
            expected: Expect::NoStream,
            found: Some(3),
        };
        let io = |kind: io::ErrorKind| Error::Io {
            operation: "read",
            path: PathBuf::new(),
            source: kind.into(),
        };
        let read_only = |why: Error| Error::from(Refusal::ReadOnly(Arc::new(why)));
        for (error, exit) in [
            (io(io::ErrorKind::PermissionDenied), 1),
            (io(io::ErrorKind::NotFound), 7),
            (Misuse::NotAJournal(PathBuf::new()).into(), 7),
            (Misuse::Unfinished(PathBuf::new()).into(), 7),
            (Misuse::NoSuchEvent("9".to_owned()).into(), 7),
            (Misuse::ReservedScope.into(), 2),
            (Misuse::Unsigned.into(), 1),
            (Misuse::Exists(PathBuf::new()).into(), 1),
            (Refusal::Locked(PathBuf::new()).into(), 5),
            (Refusal::SignerInUse(PathBuf::new()).into(), 5),
            (Refusal::KeyMissing.into(), 4),
            (Refusal::HistoryMismatch { remembered: 9 }.into(), 3),
            (
                read_only(Refusal::HistoryMismatch { remembered: 9 }.into()),
                3,
            ),
            (expectation().into(), 6),
        ] {
            let error = anyhow::Error::from(error);
            assert_eq!(classify(&error).0 as u8, exit, "{error}");
        }
        let wrapped = anyhow::Error::from(Problem::usage("no")).context("while trying");
        assert_eq!(classify(&wrapped), (Exit::Usage, "usage"));
    }
}
