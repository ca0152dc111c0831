//! What directories promise.

use std::io::ErrorKind;

use super::{Cases, Scratch, Seen, fails, fails_as, holds, ok, reads};
use crate::{Access, FileKind, OpenMode};

pub(super) const CASES: Cases = &[
    (
        "create_dir makes one level of a free name",
        creates_one_level,
    ),
    ("list names every entry once, sorted, with its kind", lists),
    ("metadata tells what is there, and what isn't", metadata),
    ("rename replaces a file in place", renames_over),
    ("rename moves a directory with all in it", renames_dirs),
    ("rename refuses what is missing", rename_refuses),
    ("handles follow a renamed file", renamed_while_open),
    ("remove_file removes files only", removes_files),
    ("remove_dir removes empty directories only", removes_dirs),
    ("a directory can be synced, a missing one can't", syncs_dirs),
    ("a private directory is private", private_dirs),
    ("the space left can be asked for", space),
];

fn creates_one_level(s: &Scratch<'_>) -> Seen {
    s.dir("d")?;
    s.file("f", b"")?;
    for taken in ["d", "f"] {
        let again = s.fs.create_dir(&s.path(taken), Access::Shared);
        fails_as("create_dir over something", ErrorKind::AlreadyExists, again)?;
    }
    let deep = s.fs.create_dir(&s.path("x/y"), Access::Shared);
    fails_as("create_dir of two levels", ErrorKind::NotFound, deep)
}

fn lists(s: &Scratch<'_>) -> Seen {
    holds("a new directory isn't empty", s.names()?.is_empty())?;
    for name in ["b", "a.tmp", "B", "ab", "é"] {
        s.file(name, b"")?;
    }
    s.dir("a")?;
    s.file("a/inner", b"")?;
    let names = s.names()?;
    if names != ["B", "a", "a.tmp", "ab", "b", "é"] {
        return Err(format!("the entries are: {}", names.join(", ")));
    }
    let entries = ok("list", s.fs.list(&s.dir))?;
    holds(
        "a kind is wrong",
        entries.iter().all(|e| match e.kind {
            FileKind::Dir => e.name == "a",
            FileKind::File => e.name != "a",
            FileKind::Other => false,
        }),
    )?;
    let missing = s.fs.list(&s.path("missing"));
    fails_as("list of nothing", ErrorKind::NotFound, missing)?;
    fails("list of a file", s.fs.list(&s.path("b")))?;
    Ok(())
}

fn metadata(s: &Scratch<'_>) -> Seen {
    s.file("f", b"abc")?;
    s.dir("d")?;
    let file = ok("metadata", s.fs.metadata(&s.path("f")))?;
    holds(
        "the file isn't reported as one of 3 bytes",
        file.is_some_and(|found| found.kind == FileKind::File && found.len == 3),
    )?;
    let dir = ok("metadata", s.fs.metadata(&s.path("d")))?;
    holds(
        "the directory isn't reported as one",
        dir.is_some_and(|found| found.kind == FileKind::Dir),
    )?;
    holds("something is where nothing is", !s.there("missing")?)?;
    holds("something is where nothing is", !s.there("missing/deeper")?)?;
    let below_file = s.fs.metadata(&s.path("f/x"));
    holds(
        "something is below a file",
        !matches!(below_file, Ok(Some(_))),
    )
}

fn renames_over(s: &Scratch<'_>) -> Seen {
    s.file("new", b"new")?;
    let old = s.file("old", b"old")?;
    ok("rename", s.fs.rename(&s.path("new"), &s.path("old")))?;
    holds("other names are left", s.names()? == ["old"])?;
    let found = ok("open", s.open("old", OpenMode::Read))?;
    reads(found.as_ref(), b"new")?;
    reads(old.as_ref(), b"old")?;
    ok(
        "rename onto itself",
        s.fs.rename(&s.path("old"), &s.path("old")),
    )?;
    reads(found.as_ref(), b"new")
}

fn renames_dirs(s: &Scratch<'_>) -> Seen {
    s.dir("d")?;
    s.dir("d/sub")?;
    s.file("d/sub/f", b"abc")?;
    s.file("d.x", b"beside")?;
    ok("rename", s.fs.rename(&s.path("d"), &s.path("e")))?;
    holds("other names are left", s.names()? == ["d.x", "e"])?;
    let moved = ok("open", s.open("e/sub/f", OpenMode::Read))?;
    reads(moved.as_ref(), b"abc")?;
    let old = s.open("d/sub/f", OpenMode::Read);
    fails_as("open at the old path", ErrorKind::NotFound, old)
}

fn rename_refuses(s: &Scratch<'_>) -> Seen {
    let missing = s.fs.rename(&s.path("missing"), &s.path("a"));
    fails_as("rename of nothing", ErrorKind::NotFound, missing)?;
    s.file("f", b"")?;
    let nowhere = s.fs.rename(&s.path("f"), &s.path("missing/f"));
    fails_as(
        "rename into a missing directory",
        ErrorKind::NotFound,
        nowhere,
    )?;
    s.dir("d")?;
    fails(
        "rename of a file over a directory",
        s.fs.rename(&s.path("f"), &s.path("d")),
    )?;
    fails(
        "rename of a directory over a file",
        s.fs.rename(&s.path("d"), &s.path("f")),
    )?;
    fails(
        "rename of a directory into itself",
        s.fs.rename(&s.path("d"), &s.path("d/d")),
    )?;
    holds("names changed", s.names()? == ["d", "f"])
}

fn renamed_while_open(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"one")?;
    ok("rename", s.fs.rename(&s.path("a"), &s.path("b")))?;
    ok("write_at", crate::write_all_at(file.as_ref(), b"two", 0))?;
    reads(ok("open", s.open("b", OpenMode::Read))?.as_ref(), b"two")
}

fn removes_files(s: &Scratch<'_>) -> Seen {
    s.file("f", b"")?;
    s.dir("d")?;
    fails("remove_file of a directory", s.fs.remove_file(&s.path("d")))?;
    ok("remove_file", s.fs.remove_file(&s.path("f")))?;
    let again = s.fs.remove_file(&s.path("f"));
    fails_as("remove_file of nothing", ErrorKind::NotFound, again)?;
    holds("other names are left", s.names()? == ["d"])
}

fn removes_dirs(s: &Scratch<'_>) -> Seen {
    s.dir("d")?;
    s.file("d/f", b"")?;
    let full = s.fs.remove_dir(&s.path("d"));
    fails_as(
        "remove_dir of a full directory",
        ErrorKind::DirectoryNotEmpty,
        full,
    )?;
    fails("remove_dir of a file", s.fs.remove_dir(&s.path("d/f")))?;
    ok("remove_file", s.fs.remove_file(&s.path("d/f")))?;
    ok("remove_dir", s.fs.remove_dir(&s.path("d")))?;
    let again = s.fs.remove_dir(&s.path("d"));
    fails_as("remove_dir of nothing", ErrorKind::NotFound, again)
}

fn syncs_dirs(s: &Scratch<'_>) -> Seen {
    s.file("f", b"")?;
    ok("sync_dir", s.fs.sync_dir(&s.dir))?;
    let missing = s.fs.sync_dir(&s.path("missing"));
    fails_as("sync_dir of nothing", ErrorKind::NotFound, missing)?;
    fails("sync_dir of a file", s.fs.sync_dir(&s.path("f")))?;
    Ok(())
}

fn private_dirs(s: &Scratch<'_>) -> Seen {
    let keys = s.path("keys");
    ok("create_dir", s.fs.create_dir(&keys, Access::Private))?;
    let found = ok("metadata", s.fs.metadata(&keys))?;
    holds(
        "others can get at it",
        found.is_some_and(|found| found.private),
    )
}

fn space(s: &Scratch<'_>) -> Seen {
    ok("available_space", s.fs.available_space(&s.dir))?;
    fails(
        "available_space of nothing",
        s.fs.available_space(&s.path("missing")),
    )?;
    Ok(())
}
