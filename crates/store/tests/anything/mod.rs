//! Directories that hold anything at all.
//!
//! [`open_it`] takes a golden journal, does to it what its input says, and then opens, reads, goes on
//! with and verifies what is left. Whatever that is, it ends in values and errors: no panic, no endless
//! loop, no memory beyond what the bytes justify; and what the library takes for whole, the library
//! verifies. Shared by an ordinary test and a fuzz target.

#![allow(
    unreachable_pub,
    reason = "a module of a test program, which others may include"
)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use factlog::{Journal, Options, Outcome, Query, VerifyOptions, verify};
use factlog_format::{CrcSeed, FRAME_HEADER_LEN, Frame, GroupKey, seal_frame};
use factlog_fs::{Access, MemFs, StoreFs, write_all_at};

const DIR: &str = "j";
const NAMES: [&str; 5] = ["signed", "unsigned", "rolled", "recovered", "unclean"];
/// One change takes so many bytes of input.
const OP_LEN: usize = 8;
const MAX_FILE: usize = 1 << 20;

type Files = Vec<(PathBuf, Vec<u8>)>;

static GOLDEN: LazyLock<Vec<Files>> = LazyLock::new(|| {
    let journals = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/journals");
    let journals = if journals.exists() {
        journals
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/journals")
    };
    let load = |name: &&str| {
        let dir = journals.join(name);
        let mut files = Vec::new();
        collect(&dir, Path::new(""), &mut files);
        files.sort();
        files
    };
    NAMES.iter().map(load).collect()
});

fn collect(root: &Path, below: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(root.join(below)).expect("the golden journals") {
        let entry = entry.expect("an entry");
        let path = below.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            collect(root, &path, files);
        } else {
            let bytes = std::fs::read(root.join(&path)).expect("a golden file");
            files.push((path, bytes));
        }
    }
}

/// The first byte says which journal and whether checksums are made right afterwards; then come changes.
pub fn open_it(input: &[u8]) {
    let Some((first, ops)) = input.split_first() else {
        return;
    };
    let mut files = GOLDEN[usize::from(*first) % GOLDEN.len()].clone();
    for op in ops.chunks_exact(OP_LEN).take(16) {
        change(&mut files, op.try_into().expect("eight bytes"));
    }
    if first & 0x80 != 0 {
        make_checksums_right(&mut files);
    }
    let fs = Arc::new(laid_out(&files));
    look(&fs);
    // Once more on what the first open may have mended.
    look(&fs);
}

fn change(files: &mut Files, op: [u8; OP_LEN]) {
    let [kind, which, a, b, c, value, more, len] = op;
    if files.is_empty() {
        return;
    }
    let at = usize::from(which) % files.len();
    let other = usize::from(more) % files.len();
    let wide = u32::from_le_bytes([a, b, c, 0]) as usize;
    let place = wide % files[at].1.len().max(1);
    let bytes = &mut files[at].1;
    match kind % 12 {
        0 => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << (value % 8);
            }
        }
        2 => bytes.truncate(place),
        3 => bytes.resize((bytes.len() + wide % 9000).min(MAX_FILE), value),
        4 => {
            // A field of eight bytes.
            let field = [value, more, 0, 0, 0, 0, 0, len];
            for (byte, new) in bytes.iter_mut().skip(place).zip(field) {
                *byte = new;
            }
        }
        5 => {
            // Bytes of one place stand in another.
            let source = files[other].1.clone();
            let from = usize::from(value) * 64 % source.len().max(1);
            let piece = source.into_iter().skip(from).take(usize::from(len) * 8);
            for (byte, new) in files[at].1.iter_mut().skip(place).zip(piece) {
                *byte = new;
            }
        }
        6 => {
            let (one, two) = (files[at].1.clone(), files[other].1.clone());
            files[at].1 = two;
            files[other].1 = one;
        }
        7 => drop(files.remove(at)),
        8 => {
            let end = (place + usize::from(len) * 16).min(bytes.len());
            bytes.drain(place..end);
        }
        9 => {
            let end = (place + usize::from(len) * 16).min(bytes.len());
            let piece = bytes[place..end].to_vec();
            bytes.splice(place..place, piece);
            bytes.truncate(MAX_FILE);
        }
        10 => {
            // Under another segment's or pack's name.
            let name = format!("{:016x}-{:08x}.seg", u64::from(value), u32::from(more));
            let path = files[at].0.with_file_name(name);
            let bytes = files[at].1.clone();
            if !files.iter().any(|(known, _)| *known == path) {
                files.push((path, bytes));
            }
        }
        _ => bytes
            .iter_mut()
            .skip(place)
            .take(usize::from(len) * 8)
            .for_each(|byte| *byte = 0),
    }
}

/// Makes every CRC and keyed check fit what it stands over, as far as the bytes still have a shape.
fn make_checksums_right(files: &mut Files) {
    for (path, bytes) in files {
        if path.ends_with("MANIFEST") && bytes.len() > 4 {
            let end = bytes.len() - 4;
            let crc = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&crc.to_le_bytes());
        }
        if path.extension().is_some_and(|extension| extension == "seg") {
            segment(bytes);
        }
    }
}

fn segment(bytes: &mut [u8]) {
    let field = |at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|b| <[u8; 4]>::try_from(b).ok())
    };
    let Some(header_len) = field(12).map(u32::from_le_bytes).map(|len| len as usize) else {
        return;
    };
    if !(112..=bytes.len()).contains(&header_len) {
        return;
    }
    let crc = crc32fast::hash(&bytes[..header_len - 8]);
    bytes[header_len - 8..header_len - 4].copy_from_slice(&crc.to_le_bytes());
    let journal: [u8; 16] = bytes[40..56].try_into().expect("sixteen bytes");
    let first = u64::from_le_bytes(bytes[56..64].try_into().expect("eight bytes"));
    let generation = u32::from_le_bytes(bytes[64..68].try_into().expect("four bytes"));
    let salt: [u8; 16] = bytes[72..88].try_into().expect("sixteen bytes");
    let key = GroupKey::derive(&salt, &journal, first, generation);
    let seed = CrcSeed::of(&journal);
    // From the end, so that the CRCs of a group are there before its header needs them.
    let mut starts = Vec::new();
    let mut at = header_len;
    while let Some(len) = bytes.get(at..).and_then(|rest| Frame::peek_len(rest).ok()) {
        if at + len > bytes.len() || len <= FRAME_HEADER_LEN {
            break;
        }
        starts.push((at, len));
        at += len;
    }
    let mut crcs = Vec::new();
    for (at, len) in starts.into_iter().rev() {
        let frame = &mut bytes[at..at + len];
        if frame[8] == 1 {
            let body = u32::from_le_bytes(frame[..4].try_into().expect("four bytes")) as usize;
            let body = &mut frame[FRAME_HEADER_LEN..FRAME_HEADER_LEN + body];
            if let Some(fields) = body.len().checked_sub(16).filter(|fields| *fields >= 16) {
                let check = key.frames_check(crcs.iter().rev().copied());
                body[fields - 16..fields].copy_from_slice(&check);
                let check = key.header_check(&body[..fields]);
                body[fields..].copy_from_slice(&check);
            }
            crcs.clear();
            seal_frame(seed, frame);
        } else {
            crcs.push(seal_frame(seed, frame));
        }
    }
}

fn laid_out(files: &Files) -> MemFs {
    let fs = MemFs::new();
    let dir = Path::new(DIR);
    fs.create_dir(dir, Access::Shared).expect("a directory");
    for name in ["segments", "index", "tree", "checkpoints", "keys"] {
        fs.create_dir(&dir.join(name), Access::Shared)
            .expect("a directory");
    }
    for (path, bytes) in files {
        let file = fs
            .create_new(&dir.join(path), Access::Private)
            .expect("a file");
        write_all_at(file.as_ref(), bytes, 0).expect("a write");
    }
    fs
}

fn look(fs: &Arc<MemFs>) {
    let store: Arc<dyn StoreFs> = Arc::<MemFs>::clone(fs);
    let options = || Options::new().file_system(Arc::clone(&store));
    let report = verify(DIR, &VerifyOptions::new().file_system(Arc::clone(&store)));
    if let Ok(reader) = Journal::open_read_only(DIR, options()) {
        let read = reader
            .read(Query::all())
            .take(1000)
            .filter(Result::is_ok)
            .count();
        // What is of a newer version is neither fine nor damaged.
        if report.is_ok_and(|report| report.outcome(true) == Outcome::Holds) {
            assert_eq!(
                read as u64,
                reader.len().min(1000),
                "verified, and can't be read"
            );
        }
        for sequence in [0, 1, reader.len().saturating_sub(1), reader.len(), u64::MAX] {
            if let Ok(Some(event)) = reader.get(sequence) {
                assert_eq!(event.sequence(), sequence);
                if let Some(id) = event.id() {
                    let _ = reader.get_by_id(id);
                }
            }
            let _ = reader.receipt(sequence);
        }
        let _ = reader.root_at(reader.len());
    }
    if let Ok(journal) = Journal::open(DIR, options().dangerous().without_housekeeper()) {
        let before = journal.reader().len();
        let event =
            || factlog::NewEvent::new("bank", "a", "b.c").data(factlog::Encoding::Raw, b"x");
        if let Ok(receipt) = journal.append(event()) {
            // A recovery is an event, too.
            assert!(receipt.sequence() >= before, "a place was given away twice");
            assert!(matches!(
                journal.reader().get(receipt.sequence()),
                Ok(Some(_))
            ));
        }
        let _ = journal.housekeep();
        let _ = journal.close();
    }
}
