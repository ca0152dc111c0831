//! What is done to golden journals, as a table of (name, journal, file, change).

use std::path::{Path, PathBuf};

use factlog_format::Manifest;

use super::journals::{Golden, stored};
use crate::support::{self, DIR, content, overwrite};

pub(crate) struct Tampered {
    pub(crate) name: &'static str,
    pub(crate) journal: &'static str,
    /// Below the journal's directory; `segments/1` is the second in order.
    pub(crate) file: &'static str,
    pub(crate) change: Change,
    /// What a verification with key and checkpoint exits with.
    pub(crate) exit: i32,
}

#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// One bit, at the first place that reads like this.
    Flip(&'static [u8]),
    /// The same, and the frame's CRC made to fit.
    FlipAndFix(&'static [u8]),
    /// One bit that many bytes before such a place, and the CRC made to fit.
    FlipBeforeAndFix(&'static [u8], usize),
    /// One bit at an offset.
    FlipAt(usize),
    /// The frame that reads like this, and the one behind it.
    SwapFrames(&'static [u8]),
    /// So many groups at the end, and MANIFEST made to fit.
    DropGroups(usize),
    /// Drops so many bytes at the end.
    Cut(usize),
    /// Zeros at the end.
    Extend(usize),
    Remove,
    /// Takes the file from another journal.
    From(&'static str),
}

use Change::{
    Cut, DropGroups, Extend, Flip, FlipAndFix, FlipAt, FlipBeforeAndFix, From, Remove, SwapFrames,
};

const fn row(
    name: &'static str,
    journal: &'static str,
    file: &'static str,
    change: Change,
    exit: i32,
) -> Tampered {
    Tampered {
        name,
        journal,
        file,
        change,
        exit,
    }
}

/// From the salt of the facts, which stands before the event id, back to the field of the place.
const REVISION: usize = 16 + 72;
const PREVIOUS_HASH: usize = 16 + 40;
/// The event id of the first event of `bank/account-0042`.
const OPENED: &[u8] = b"\x01\x9a\x3c\x5e\x7b\x1a\x7c\x3d\x8e\x4f\xa0\xb1\xc2\xd3\xe4\xf5";

pub(crate) const TAMPERED: &[Tampered] = &[
    row(
        "payload",
        "signed",
        "segments/0",
        Flip(b"\"amount\":100"),
        3,
    ),
    row(
        "payload and CRC",
        "signed",
        "segments/0",
        FlipAndFix(b"\"amount\":100"),
        3,
    ),
    row(
        "salt of a payload and CRC",
        "signed",
        "segments/0",
        FlipBeforeAndFix(b"{\"owner\"", 1),
        3,
    ),
    row("facts", "signed", "segments/0", Flip(b"region:eu"), 3),
    row(
        "facts and CRC",
        "signed",
        "segments/0",
        FlipAndFix(b"region:eu"),
        3,
    ),
    row(
        "salt of facts and CRC",
        "signed",
        "segments/0",
        FlipBeforeAndFix(OPENED, 1),
        3,
    ),
    row(
        "spine: revision and CRC",
        "signed",
        "segments/0",
        FlipBeforeAndFix(OPENED, REVISION),
        3,
    ),
    row(
        "spine: link and CRC",
        "signed",
        "segments/0",
        FlipBeforeAndFix(OPENED, PREVIOUS_HASH),
        3,
    ),
    row(
        "frames swapped",
        "signed",
        "segments/0",
        SwapFrames(b"batch 0"),
        3,
    ),
    row("salt of a segment", "signed", "segments/0", FlipAt(72), 3),
    row("version of a segment", "signed", "segments/0", FlipAt(8), 3),
    row("tail dropped", "signed", "segments/0", DropGroups(2), 3),
    row(
        "tail dropped, MANIFEST as it was",
        "signed",
        "segments/0",
        Cut(8),
        3,
    ),
    row(
        "zeros behind the end",
        "signed",
        "segments/0",
        Extend(64),
        0,
    ),
    row("MANIFEST", "signed", "MANIFEST", FlipAt(70), 3),
    row(
        "MANIFEST of another journal",
        "signed",
        "MANIFEST",
        From("unsigned"),
        3,
    ),
    row("MANIFEST missing", "signed", "MANIFEST", Remove, 3),
    row("JOURNAL", "signed", "JOURNAL", Flip(b"created "), 3),
    row(
        "JOURNAL of another journal",
        "signed",
        "JOURNAL",
        From("unsigned"),
        3,
    ),
    row("JOURNAL missing", "signed", "JOURNAL", Remove, 3),
    row(
        "stored checkpoint: size",
        "signed",
        "checkpoints/0",
        Flip(b"\n1"),
        3,
    ),
    row(
        "stored checkpoint: signature",
        "signed",
        "checkpoints/0",
        Cut(5),
        3,
    ),
    row(
        "stored checkpoint of another journal",
        "signed",
        "checkpoints/0",
        From("rolled"),
        3,
    ),
    row(
        "payload of a sealed segment",
        "rolled",
        "segments/0",
        FlipAndFix(b"page 0 "),
        3,
    ),
    row("sealed segment cut", "rolled", "segments/1", Cut(8), 3),
    row(
        "zeros behind a sealed segment",
        "rolled",
        "segments/1",
        Extend(64),
        0,
    ),
    row("sealed segment missing", "rolled", "segments/1", Remove, 3),
    row("last segment missing", "rolled", "segments/2", Remove, 3),
    row(
        "copied group",
        "recovered",
        "segments/1",
        FlipAndFix(b"but not proven"),
        3,
    ),
    row("torn tail", "unclean", "segments/0", Cut(8), 0),
    row(
        "signed for, then lost",
        "unclean",
        "segments/0",
        FlipAndFix(b"signed for"),
        3,
    ),
    row(
        "proven, then damaged",
        "unclean",
        "segments/0",
        FlipAndFix(b"proven"),
        3,
    ),
];

impl Tampered {
    pub(crate) fn apply(&self) -> Golden {
        let golden = stored(self.journal);
        let fs = golden.fs.as_ref();
        let path = resolve(&golden, self.file);
        let mut bytes = content(fs, &path);
        match self.change {
            Flip(text) => {
                let at = find(&bytes, text);
                bytes[at] ^= 1;
            }
            FlipAndFix(text) => flip_and_fix(&mut bytes, text, 0),
            FlipBeforeAndFix(text, back) => flip_and_fix(&mut bytes, text, back),
            FlipAt(at) => bytes[at] ^= 1,
            SwapFrames(text) => swap_frames(&mut bytes, text),
            DropGroups(count) => drop_groups(&golden, &mut bytes, count),
            Cut(count) => bytes.truncate(bytes.len() - count),
            Extend(count) => bytes.resize(bytes.len() + count, 0),
            Remove => {
                use factlog_fs::StoreFs;
                fs.remove_file(&path).unwrap();
                return golden;
            }
            From(other) => {
                let other = stored(other);
                bytes = content(other.fs.as_ref(), &resolve(&other, self.file));
            }
        }
        overwrite(fs, &path, &bytes);
        golden
    }
}

fn resolve(golden: &Golden, file: &str) -> PathBuf {
    let Some((folder, Ok(index))) = file.split_once('/').map(|(f, i)| (f, i.parse::<usize>()))
    else {
        return Path::new(DIR).join(file);
    };
    let mut all = support::files(golden.fs.as_ref(), &Path::new(DIR).join(folder));
    all.retain(|path| {
        path.extension()
            .is_some_and(|end| end == "seg" || end == "checkpoint")
    });
    all.sort();
    all.swap_remove(index)
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes
        .windows(text.len())
        .position(|window| window == text)
        .expect("the text is there")
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Type, start and end of each frame of a segment.
fn frames(segment: &[u8]) -> Vec<(u8, usize, usize)> {
    let mut at = word(segment, 12);
    let mut all = Vec::new();
    while at < segment.len() {
        let end = (at + 12 + word(segment, at)).next_multiple_of(8);
        all.push((segment[at + 8], at, end));
        at = end;
    }
    all
}

fn flip_and_fix(segment: &mut [u8], text: &[u8], back: usize) {
    let at = find(segment, text) - back;
    let (_, start, _) = frames(segment)
        .into_iter()
        .rfind(|(_, start, _)| *start <= at)
        .unwrap();
    segment[at] ^= 1;
    let end = start + 12 + word(segment, start);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&segment[40..56]);
    crc.update(&segment[start..start + 4]);
    crc.update(&segment[start + 8..end]);
    let crc = crc.finalize().to_le_bytes();
    segment[start + 4..start + 8].copy_from_slice(&crc);
}

/// A CRC says nothing of where its frame stands, so both still fit.
fn swap_frames(segment: &mut [u8], text: &[u8]) {
    let at = find(segment, text);
    let all = frames(segment);
    let index = all.iter().rposition(|(_, start, _)| *start <= at).unwrap();
    let ((first, start, middle), (second, _, end)) = (all[index], all[index + 1]);
    assert_eq!((first, second), (2, 2), "both are events");
    segment[start..end].rotate_left(middle - start);
}

fn drop_groups(golden: &Golden, segment: &mut Vec<u8>, count: usize) {
    let headers: Vec<_> = frames(segment)
        .into_iter()
        .filter(|(kind, ..)| *kind == 1)
        .collect();
    segment.truncate(headers[headers.len() - count].1);
    let path = Path::new(DIR).join("MANIFEST");
    let mut manifest = Manifest::decode(&content(golden.fs.as_ref(), &path)).unwrap();
    manifest.rows.last_mut().unwrap().proven_end = segment.len() as u64;
    overwrite(golden.fs.as_ref(), &path, &manifest.encode());
}
