//! Cursors in files: how far a consumer has come whose effects are elsewhere.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use factlog_fs::{Access, FileLock, LockError, StoreFs, read_file, replace_file};
use serde::{Deserialize, Serialize};

use super::Ended;
use crate::{Damage, Error, Misuse, Reader, Refusal, read::Shared};

const VERSION: u32 = 1;
const MAX_FILE: usize = 64 << 10;
/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 4_000;
const SUFFIX: &str = ".cursor";
const LOCK_SUFFIX: &str = ".lock";

/// Whether a file of this name belongs into the journal's folder of cursors.
pub(crate) fn is_own(name: &str) -> bool {
    let stem = name.strip_suffix(SUFFIX);
    stem.or_else(|| name.strip_suffix(LOCK_SUFFIX))
        .is_some_and(is_name)
}

fn is_name(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
    (1..=64).contains(&name.len())
        && name.bytes().all(fits)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// How far a consumer has come, kept in a file of the journal's directory.
///
/// [`advance`](Self::advance) is durable when it returns, and only goes forward. What a consumer did
/// since the last time it does again after a crash: at least once. For exactly once the position has to
/// be committed with the effects: in the target's transaction (see [`Projection`](crate::Projection)),
/// or in this journal (see [`Journal::cursor`](crate::Journal::cursor)).
///
/// ```
/// use factlog::{Journal, NewEvent, Query};
///
/// let journal = Journal::in_memory()?;
/// journal.append(NewEvent::new("shop", "order-1", "order.placed"))?;
/// let mut cursor = journal.reader().cursor_file("mails")?;
/// let orders = Query::all().kind("order.placed").from(cursor.reached());
/// for order in journal.reader().read(orders) {
///     // Send a mail.
///     cursor.advance(order?.sequence() + 1)?;
/// }
/// assert_eq!(cursor.reached(), 2);
/// # Ok::<(), factlog::Error>(())
/// ```
pub struct CursorFile {
    shared: Arc<Shared>,
    name: String,
    stored: Stored,
    _lock: Box<dyn FileLock>,
}

/// What stands in a cursor's file. Times are in microseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    journal: String,
    next: u64,
    /// Hash of the last event that it has passed.
    passed: Option<String>,
    moved_at: Option<i64>,
    /// What is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    ended: Option<Reason>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reason {
    word: String,
    detail: String,
}

/// How far a consumer has come that keeps its position in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorStatus {
    /// Its name.
    pub name: String,
    /// The first event that it hasn't passed.
    pub position: u64,
    /// How many events of the journal it hasn't passed.
    pub lag: u64,
    /// For how long the first of them has been waiting, in microseconds.
    pub lag_micros: i64,
    /// When it moved last, in microseconds since 1970-01-01 UTC.
    pub last_progress: Option<i64>,
    /// Whether a process holds it now.
    pub held: bool,
    /// What fails and is tried again, if anything is: only a [`Projector`](crate::Projector) says so.
    pub trouble: Option<String>,
    /// Why its consumer ended, if it said so and none has begun since: a word and a sentence.
    pub ended: Option<(String, String)>,
}

impl Reader {
    /// The cursor of this name, at the journal's beginning if it is a new one; held until it is dropped.
    ///
    /// # Errors
    /// [`Misuse::CursorName`] for a name that isn't 1 to 64 of `a`–`z`, `0`–`9`, `.`, `_` and `-`;
    /// [`Refusal::CursorInUse`] if somebody else holds it; [`Error::Damaged`] if its file isn't what was
    /// written, or is ahead of the journal, which then is an older copy; [`Error::Io`].
    pub fn cursor_file(&self, name: &str) -> Result<CursorFile, Error> {
        if !is_name(name) {
            return Err(Misuse::CursorName(name.to_owned()).into());
        }
        let shared = &self.shared;
        let (fs, dir) = (shared.fs.as_ref(), shared.layout.cursors());
        make_dir(fs, &dir, &shared.layout.dir)?;
        let path = dir.join(format!("{name}{LOCK_SUFFIX}"));
        let lock = fs.lock(&path).map_err(|error| match error {
            LockError::Held => Refusal::CursorInUse(name.to_owned()).into(),
            LockError::Io(error) => Error::space("lock", &path)(error),
            other => Error::io("lock", &path)(std::io::Error::other(other)),
        })?;
        let stored = read(shared, name)?.unwrap_or_else(|| Stored {
            version: VERSION,
            journal: HEXLOWER.encode(&shared.identity.journal),
            next: 0,
            passed: None,
            moved_at: None,
            trouble: None,
            ended: None,
        });
        if stored.next > self.len() {
            // Whoever moved it may have seen more than this reader until now.
            self.refresh()?;
        }
        if stored.next > self.len() || stored.passed != passed(shared, stored.next)? {
            let detail = "it has passed events that this journal does not have";
            let path = dir.join(format!("{name}{SUFFIX}"));
            return Err(Damage::new("cursor.ahead", &path, detail).into());
        }
        Ok(CursorFile {
            shared: Arc::clone(shared),
            name: name.to_owned(),
            stored,
            _lock: lock,
        })
    }

    /// All cursors that are kept in the journal's directory, by name.
    ///
    /// # Errors
    /// As [`cursor_file`](Self::cursor_file).
    pub fn cursor_files(&self) -> Result<Vec<CursorStatus>, Error> {
        let shared = &self.shared;
        let dir = shared.layout.cursors();
        let entries = match shared.fs.list(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("list", &dir))?,
        };
        let names = entries.iter().filter_map(|entry| entry.name.to_str());
        let mut names: Vec<&str> = names.filter_map(|name| name.strip_suffix(SUFFIX)).collect();
        names.sort_unstable();
        let mut found = Vec::with_capacity(names.len());
        for name in names.into_iter().filter(|name| is_name(name)) {
            if let Some(stored) = read(shared, name)? {
                let lock = dir.join(format!("{name}{LOCK_SUFFIX}"));
                let held = matches!(shared.fs.lock(&lock), Err(LockError::Held));
                found.push(status(shared, name, &stored, held)?);
            }
        }
        Ok(found)
    }
}

fn status(shared: &Shared, name: &str, stored: &Stored, held: bool) -> Result<CursorStatus, Error> {
    let ended = stored.ended.clone();
    Ok(CursorStatus {
        name: name.to_owned(),
        position: stored.next,
        lag: shared.view.load().durable.saturating_sub(stored.next),
        lag_micros: shared.waits_since(stored.next)?,
        last_progress: stored.moved_at,
        held,
        trouble: stored.trouble.clone().filter(|_| held),
        ended: ended
            .filter(|_| !held)
            .map(|reason| (reason.word, reason.detail)),
    })
}

impl Shared {
    /// For how long the event of a sequence has been there, in microseconds; 0 if there is none.
    pub(super) fn waits_since(&self, sequence: u64) -> Result<i64, Error> {
        let view = self.view.load_full();
        if sequence >= view.durable {
            return Ok(0);
        }
        let recorded_at = self.recorded_at(&view, sequence)?;
        let now = self.followers.now_micros();
        Ok(now.saturating_sub(recorded_at).max(0))
    }
}

impl CursorFile {
    /// The sequence of the first event that it hasn't passed.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.stored.next
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Moves to before `next`; durable when it returns. `false`: it stood there or further already, and
    /// stays there, since what was acknowledged is not taken back.
    ///
    /// # Errors
    /// [`Misuse::Condition`] for a position past the journal's end. [`Refusal::DiskFull`] and
    /// [`Error::Io`]: it has not moved, and it can be tried again.
    pub fn advance(&mut self, next: u64) -> Result<bool, Error> {
        if next <= self.stored.next {
            return Ok(false);
        }
        if next > self.shared.view.load().durable {
            let why = "a cursor moves forward, and no further than the journal goes";
            return Err(Misuse::Condition(why).into());
        }
        self.write(Stored {
            next,
            passed: passed(&self.shared, next)?,
            moved_at: Some(self.shared.followers.now_micros()),
            ended: None,
            ..self.stored.clone()
        })?;
        Ok(true)
    }

    /// Says how far a consumer is that keeps its position elsewhere, which may have gone back.
    pub(super) fn note(
        &mut self,
        next: u64,
        moved_at: Option<i64>,
        trouble: Option<String>,
    ) -> Result<(), Error> {
        self.write(Stored {
            next,
            passed: passed(&self.shared, next)?,
            moved_at,
            trouble: trouble.map(|why| why.chars().take(MAX_REASON).collect()),
            ended: None,
            ..self.stored.clone()
        })
    }

    /// Keeps why its consumer ends, for who looks at it later.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn end(&mut self, why: &Ended) -> Result<(), Error> {
        let detail = why.to_string().chars().take(MAX_REASON).collect();
        let word = why.word().to_owned();
        self.write(Stored {
            ended: Some(Reason { word, detail }),
            ..self.stored.clone()
        })
    }

    /// How far it is.
    ///
    /// # Errors
    /// If the first event that waits can't be read.
    pub fn status(&self) -> Result<CursorStatus, Error> {
        status(&self.shared, &self.name, &self.stored, true)
    }

    fn write(&mut self, stored: Stored) -> Result<(), Error> {
        let dir = self.shared.layout.cursors();
        let name = format!("{}{SUFFIX}", self.name);
        let path = dir.join(&name);
        let unwritable = |error| Error::io("write", &path)(std::io::Error::other(error));
        let mut text = serde_json::to_string(&stored).map_err(unwritable)?;
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("\n{crc:08x}\n"));
        let fs = self.shared.fs.as_ref();
        replace_file(fs, &dir, &name, text.as_bytes(), Access::Shared)
            .map_err(Error::space("write", &path))?;
        self.stored = stored;
        Ok(())
    }
}

impl fmt::Debug for CursorFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorFile")
            .field("name", &self.name)
            .field("next", &self.stored.next)
            .finish_non_exhaustive()
    }
}

/// The hash of the event before a sequence, by which a journal that went another way is known.
fn passed(shared: &Shared, next: u64) -> Result<Option<String>, Error> {
    let view = shared.view.load_full();
    let Some(last) = next.checked_sub(1).filter(|last| *last < view.durable) else {
        return Ok(None);
    };
    let hash = shared.order_of(&view, last, None)?.hash;
    Ok(Some(HEXLOWER.encode(&hash)))
}

fn make_dir(fs: &dyn StoreFs, dir: &Path, parent: &Path) -> Result<(), Error> {
    match fs.create_dir(dir, Access::Shared) {
        Ok(()) => fs.sync_dir(parent).map_err(Error::io("sync", parent)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::space("create", dir)(error)),
    }
}

/// What stands in the file of a cursor; `None` if there is none.
fn read(shared: &Shared, name: &str) -> Result<Option<Stored>, Error> {
    let path: PathBuf = shared.layout.cursors().join(format!("{name}{SUFFIX}"));
    let damaged = |detail: &str| {
        let detail = format!("{detail}; remove it to have its consumer begin anew");
        Error::from(Damage::new("cursor.damaged", &path, detail))
    };
    let bytes = match read_file(shared.fs.as_ref(), &path, MAX_FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return Err(damaged("the cursor's file is too long"));
        }
        bytes => bytes.map_err(Error::io("read", &path))?,
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let parts = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once('\n'));
    let whole =
        parts.filter(|(text, crc)| format!("{:08x}", crc32fast::hash(text.as_bytes())) == *crc);
    let (text, _) = whole.ok_or_else(|| damaged("the cursor's file is not what was written"))?;
    let stored: Stored = serde_json::from_str(text)
        .map_err(|_| damaged("the cursor's file is of a form that is not known"))?;
    if stored.version != VERSION {
        return Err(damaged(
            "the cursor's file is of a version that is not known",
        ));
    }
    if stored.journal != HEXLOWER.encode(&shared.identity.journal) {
        return Err(damaged("the cursor's file is another journal's"));
    }
    Ok(Some(stored))
}
