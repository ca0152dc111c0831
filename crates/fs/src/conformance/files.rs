//! What files promise.

use std::io::{ErrorKind, IoSliceMut};

use super::{Cases, Scratch, Seen, fails, fails_as, holds, ok, reads};
use crate::{Access, OpenMode, read_exact_at, read_up_to, write_all_at};

pub(super) const CASES: Cases = &[
    ("create_new refuses a name that is taken", new_refuses_taken),
    ("create_new needs the directory to exist", new_needs_parent),
    (
        "open refuses what is missing and what is a directory",
        open_refuses,
    ),
    (
        "a file opened for reading refuses changes",
        read_mode_is_read_only,
    ),
    (
        "bytes written are read back, also across rewrites",
        rewrites,
    ),
    ("a gap reads as zeros", gaps_are_zeros),
    ("reading ends at the end of the file", reads_end),
    (
        "what was cut off reads as zeros when the file grows again",
        cut_and_grown,
    ),
    ("vectored reads fill their buffers in order", vectored),
    (
        "preallocation makes the file long enough and changes no byte",
        preallocates,
    ),
    ("syncs succeed", syncs),
    (
        "handles of one file see each other's writes",
        shared_handles,
    ),
    (
        "handles outlive the removal of the name",
        removed_while_open,
    ),
    ("a map holds the file's bytes and outlives the handle", maps),
    ("an absurd offset is an error", absurd_offsets),
    ("a private file is private", private_files),
];

fn new_refuses_taken(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"kept")?;
    let again = s.fs.create_new(&s.path("a"), Access::Shared);
    fails_as("create_new over a file", ErrorKind::AlreadyExists, again)?;
    s.dir("d")?;
    let over_dir = s.fs.create_new(&s.path("d"), Access::Shared);
    fails_as(
        "create_new over a directory",
        ErrorKind::AlreadyExists,
        over_dir,
    )?;
    reads(file.as_ref(), b"kept")
}

fn new_needs_parent(s: &Scratch<'_>) -> Seen {
    let new = s.fs.create_new(&s.path("missing/a"), Access::Shared);
    fails_as(
        "create_new in a missing directory",
        ErrorKind::NotFound,
        new,
    )
}

fn open_refuses(s: &Scratch<'_>) -> Seen {
    s.dir("d")?;
    for mode in [OpenMode::Read, OpenMode::Write] {
        fails_as(
            "open of nothing",
            ErrorKind::NotFound,
            s.open("missing", mode),
        )?;
        fails("open of a directory", s.open("d", mode))?;
    }
    holds("open created a file", !s.there("missing")?)
}

fn read_mode_is_read_only(s: &Scratch<'_>) -> Seen {
    s.file("a", b"kept")?;
    let file = ok("open", s.open("a", OpenMode::Read))?;
    fails("write_at", file.write_at(b"x", 0))?;
    fails("set_len", file.set_len(0))?;
    reads(file.as_ref(), b"kept")
}

fn rewrites(s: &Scratch<'_>) -> Seen {
    let mut wanted: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = s.file("a", &wanted)?;
    for (at, len) in [(0, 1), (4_095, 2), (8_192, 4_096), (70_001, 9_999)] {
        wanted[at..at + len].fill(0x5c);
        ok(
            "write_at",
            write_all_at(file.as_ref(), &vec![0x5c; len], at as u64),
        )?;
    }
    reads(file.as_ref(), &wanted)?;
    drop(file);
    reads(ok("open", s.open("a", OpenMode::Read))?.as_ref(), &wanted)
}

fn gaps_are_zeros(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"ab")?;
    ok("write_at", write_all_at(file.as_ref(), b"yz", 9_000))?;
    let mut wanted = vec![0; 9_002];
    wanted[..2].copy_from_slice(b"ab");
    wanted[9_000..].copy_from_slice(b"yz");
    reads(file.as_ref(), &wanted)
}

fn reads_end(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"abc")?;
    let mut buf = [0; 8];
    for offset in [3, 4, 1 << 40] {
        let n = ok("read_at", read_up_to(file.as_ref(), &mut buf, offset))?;
        holds("bytes were read past the end", n == 0)?;
    }
    let n = ok("read_at", read_up_to(file.as_ref(), &mut [], 0))?;
    holds("bytes were read into nothing", n == 0)?;
    let error = read_exact_at(file.as_ref(), &mut buf, 1);
    fails_as(
        "an exact read past the end",
        ErrorKind::UnexpectedEof,
        error,
    )
}

fn cut_and_grown(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", &[7; 10_000])?;
    for cut in [9_999, 8_192, 5_000, 1] {
        ok("set_len", file.set_len(cut))?;
        ok("set_len", file.set_len(10_000))?;
        let mut wanted = vec![7; 10_000];
        wanted[cut as usize..].fill(0);
        reads(file.as_ref(), &wanted)?;
    }
    ok("set_len", file.set_len(0))?;
    reads(file.as_ref(), b"")
}

fn vectored(s: &Scratch<'_>) -> Seen {
    let bytes: Vec<u8> = (0..=255).collect();
    let file = s.file("a", &bytes)?;
    let (mut one, mut two, mut three) = ([0; 3], [0; 0], [0; 300]);
    let mut bufs = [
        IoSliceMut::new(&mut one),
        IoSliceMut::new(&mut two),
        IoSliceMut::new(&mut three),
    ];
    let n = ok("read_vectored_at", file.read_vectored_at(&mut bufs, 10))?;
    holds(
        "more was read than there is, or nothing",
        (1..=246).contains(&n),
    )?;
    let read = [&one[..], &three[..]].concat();
    holds("other bytes were read", read[..n] == bytes[10..10 + n])?;
    holds(
        "a buffer changed past the end",
        read[n..].iter().all(|b| *b == 0),
    )?;
    let n = ok("read_vectored_at", file.read_vectored_at(&mut [], 0))?;
    holds("bytes were read into nothing", n == 0)
}

fn preallocates(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"abc")?;
    match file.preallocate(0, 20_000) {
        Err(e) if e.kind() == ErrorKind::Unsupported => return reads(file.as_ref(), b"abc"),
        result => ok("preallocate", result)?,
    }
    let mut wanted = vec![0; 20_000];
    wanted[..3].copy_from_slice(b"abc");
    reads(file.as_ref(), &wanted)?;
    ok("preallocate", file.preallocate(1, 5))?;
    reads(file.as_ref(), &wanted)?;
    ok("preallocate", file.preallocate(19_999, 2))?;
    wanted.push(0);
    reads(file.as_ref(), &wanted)
}

fn syncs(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"abc")?;
    ok("sync_data", file.sync_data())?;
    ok("sync_all", file.sync_all())?;
    reads(file.as_ref(), b"abc")
}

fn shared_handles(s: &Scratch<'_>) -> Seen {
    let first = s.file("a", b"one")?;
    let second = ok("open", s.open("a", OpenMode::Write))?;
    let reader = ok("open", s.open("a", OpenMode::Read))?;
    ok("write_at", write_all_at(second.as_ref(), b"two!", 0))?;
    reads(first.as_ref(), b"two!")?;
    ok("set_len", first.set_len(1))?;
    reads(reader.as_ref(), b"t")
}

fn removed_while_open(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"one")?;
    ok("remove_file", s.fs.remove_file(&s.path("a")))?;
    let other = s.file("a", b"two")?;
    ok("write_at", write_all_at(file.as_ref(), b"ONE", 0))?;
    reads(file.as_ref(), b"ONE")?;
    reads(other.as_ref(), b"two")
}

fn maps(s: &Scratch<'_>) -> Seen {
    let bytes = vec![9; 10_000];
    s.file("a", &bytes)?;
    let map = ok("map", ok("open", s.open("a", OpenMode::Read))?.map())?;
    holds("the map holds other bytes", map[..] == bytes)?;
    let empty = ok("map of an empty file", s.file("b", b"")?.map())?;
    holds("the map of an empty file holds bytes", empty.is_empty())
}

fn absurd_offsets(s: &Scratch<'_>) -> Seen {
    let file = s.file("a", b"abc")?;
    fails(
        "write_at the end of the world",
        file.write_at(b"x", u64::MAX),
    )?;
    fails("set_len to the end of the world", file.set_len(u64::MAX))?;
    reads(file.as_ref(), b"abc")
}

fn private_files(s: &Scratch<'_>) -> Seen {
    let secret = s.path("secret");
    let file = ok("create_new", s.fs.create_new(&secret, Access::Private))?;
    ok("write_at", write_all_at(file.as_ref(), b"abc", 0))?;
    let found = ok("metadata", s.fs.metadata(&secret))?;
    holds(
        "others can get at it",
        found.is_some_and(|found| found.private && found.len == 3),
    )?;
    let opened = ok("open_private", s.fs.open_private(&secret))?;
    reads(opened.as_ref(), b"abc")?;
    s.file("open to all", b"abc")?;
    let shared = s.fs.open_private(&s.path("open to all"));
    fails_as("open_private", ErrorKind::PermissionDenied, shared)?;
    let missing = s.fs.open_private(&s.path("nothing"));
    fails_as("open_private", ErrorKind::NotFound, missing)?;
    // What ends up in its place after a rename is the private file.
    s.file("target", b"")?;
    ok("rename", s.fs.rename(&secret, &s.path("target")))?;
    let found = ok("metadata", s.fs.metadata(&s.path("target")))?;
    holds(
        "others can get at it after a rename",
        found.is_some_and(|found| found.private),
    )
}
