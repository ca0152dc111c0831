//! What locks promise.

use super::{Cases, Scratch, Seen, fails, holds, ok, reads};
use crate::{FileLock, LockError, OpenMode};

pub(super) const CASES: Cases = &[
    (
        "a lock excludes a second one, until it is dropped",
        excludes,
    ),
    (
        "a lock creates its file, and changes none",
        creates_its_file,
    ),
    (
        "a lock survives other handles of its file being closed",
        survives_other_handles,
    ),
    ("locks of different files don't meet", independent),
    ("a held lock file can be removed and locked anew", removed),
    (
        "a lock on a directory or in a missing one is an error",
        refuses,
    ),
];

fn lock(s: &Scratch<'_>, name: &str) -> Seen<Box<dyn FileLock>> {
    ok("lock", s.fs.lock(&s.path(name)))
}

fn held(s: &Scratch<'_>, name: &str) -> Seen {
    match s.fs.lock(&s.path(name)) {
        Ok(_) => Err("a second lock was granted".to_owned()),
        Err(LockError::Held) => Ok(()),
        Err(e) => Err(format!("a second lock failed for another reason: {e}")),
    }
}

fn excludes(s: &Scratch<'_>) -> Seen {
    let first = lock(s, "LOCK")?;
    held(s, "LOCK")?;
    held(s, "LOCK")?;
    drop(first);
    let second = lock(s, "LOCK")?;
    held(s, "LOCK")?;
    drop(second);
    Ok(())
}

fn creates_its_file(s: &Scratch<'_>) -> Seen {
    drop(lock(s, "LOCK")?);
    holds("there is no lock file", s.names()? == ["LOCK"])?;
    let file = s.file("other", b"kept")?;
    let _lock = lock(s, "other")?;
    reads(file.as_ref(), b"kept")
}

fn survives_other_handles(s: &Scratch<'_>) -> Seen {
    let _lock = lock(s, "LOCK")?;
    for mode in [OpenMode::Read, OpenMode::Write] {
        drop(ok("open", s.open("LOCK", mode))?);
    }
    held(s, "LOCK")
}

fn independent(s: &Scratch<'_>) -> Seen {
    let _one = lock(s, "one")?;
    let two = lock(s, "two")?;
    drop(two);
    held(s, "one")
}

fn removed(s: &Scratch<'_>) -> Seen {
    let first = lock(s, "LOCK")?;
    ok("remove_file", s.fs.remove_file(&s.path("LOCK")))?;
    let second = lock(s, "LOCK")?;
    drop(first);
    held(s, "LOCK")?;
    drop(second);
    drop(lock(s, "LOCK")?);
    Ok(())
}

fn refuses(s: &Scratch<'_>) -> Seen {
    s.dir("d")?;
    for name in ["d", "missing/LOCK"] {
        match s.fs.lock(&s.path(name)) {
            Err(LockError::Io(_)) => {}
            Ok(_) => return Err(format!("{name} was locked")),
            Err(e) => return Err(format!("{name} failed for another reason: {e}")),
        }
    }
    fails(
        "open of the missing lock file",
        s.open("missing/LOCK", OpenMode::Read),
    )?;
    Ok(())
}
