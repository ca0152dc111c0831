//! What several test programs use.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of it"
)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog::{Encoding, Journal, NewEvent, Options, Query};
use factlog_fs::{Access, FileKind, MemFs, OpenMode, StoreFs, read_file, write_all_at};

pub const DIR: &str = "j";

pub fn options(fs: &Arc<MemFs>) -> Options {
    let fs: Arc<MemFs> = Arc::clone(fs);
    Options::new()
        .file_system(fs)
        .signing_key_file("signer.key")
}

pub fn event(entity: &str, text: &str) -> NewEvent<'static> {
    NewEvent::new("bank", entity.to_owned(), "account.noted")
        .data(Encoding::Raw, text.as_bytes().to_vec())
}

/// Every payload of scope `bank`, in order.
pub fn texts(journal: &Journal) -> Vec<String> {
    let events = journal.reader().read(Query::all().scope("bank"));
    let text = |event: &factlog::Event| {
        String::from_utf8(event.data().unwrap().bytes().unwrap().to_vec()).unwrap()
    };
    events.map(|event| text(&event.unwrap())).collect()
}

/// All files below a directory.
pub fn files(fs: &dyn StoreFs, dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        match entry.kind {
            FileKind::Dir => found.extend(files(fs, &path)),
            _ => found.push(path),
        }
    }
    found
}

pub fn content(fs: &dyn StoreFs, path: &Path) -> Vec<u8> {
    read_file(fs, path, usize::MAX).unwrap()
}

/// What a segment holds, without the zeros behind its last group.
pub fn written(fs: &dyn StoreFs, path: &Path) -> Vec<u8> {
    let mut bytes = content(fs, path);
    let last = bytes.iter().rposition(|byte| *byte != 0);
    // Frames are padded to a multiple of 8.
    bytes.truncate(last.map_or(0, |last| (last + 1).next_multiple_of(8)));
    bytes
}

/// Gives a file new content, in place.
pub fn overwrite(fs: &dyn StoreFs, path: &Path, bytes: &[u8]) {
    let file = fs.open(path, OpenMode::Write).unwrap();
    file.set_len(0).unwrap();
    write_all_at(file.as_ref(), bytes, 0).unwrap();
}

/// A copy of everything in a file system.
pub fn copy(fs: &MemFs) -> Arc<MemFs> {
    let to = MemFs::new();
    copy_dir(fs, &to, Path::new(""));
    Arc::new(to)
}

fn copy_dir(fs: &MemFs, to: &MemFs, dir: &Path) {
    for entry in fs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        let private = fs
            .metadata(&path)
            .unwrap()
            .is_some_and(|metadata| metadata.private);
        let access = if private {
            Access::Private
        } else {
            Access::Shared
        };
        if entry.kind == FileKind::Dir {
            to.create_dir(&path, access).unwrap();
            copy_dir(fs, to, &path);
        } else {
            let file = to.create_new(&path, access).unwrap();
            write_all_at(file.as_ref(), &content(fs, &path), 0).unwrap();
        }
    }
}

/// The newest segment.
pub fn segment(fs: &dyn StoreFs) -> PathBuf {
    let all = files(fs, &Path::new(DIR).join("segments"));
    all.into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .max()
        .unwrap()
}
