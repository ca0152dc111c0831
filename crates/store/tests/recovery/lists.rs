//! A list of segments that is missing or rotten: rebuilt in memory, and nothing written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog::{Journal, Query, Reader};
use factlog_format::SegmentHeader;
use factlog_fs::{Access, MemFs, StoreFs, write_all_at};

use crate::support::{DIR, content, copy, event, files, options, overwrite};

/// A journal of several segments, one of which ended uncleanly, with an event copied to the next.
pub(crate) fn rolled() -> Arc<MemFs> {
    let fs = Arc::new(MemFs::new());
    let options = || {
        let options = options(&fs).segment_len(64 << 10);
        options.dangerous().without_housekeeper()
    };
    let mut journal = Journal::create(DIR, options()).unwrap();
    for number in 0..12 {
        journal
            .append(event(&format!("a{number}"), &"x".repeat(30_000)))
            .unwrap();
        if number % 3 == 0 {
            journal.housekeep().unwrap();
        }
        if number == 6 {
            drop(journal);
            journal = Journal::open(DIR, options()).unwrap();
            assert_eq!(journal.recovery().map(|report| report.copied), None);
            // The first begins a segment and is remembered by the signer; the second is not.
            journal.append(event("b", "y")).unwrap();
            journal.append(event("b", "z")).unwrap();
            drop(journal);
            journal = Journal::open(DIR, options()).unwrap();
            assert_eq!(journal.recovery().unwrap().copied, 1);
        }
    }
    journal.close().unwrap();
    assert!(segments(&fs).len() > 4);
    fs
}

fn segments(fs: &MemFs) -> Vec<PathBuf> {
    let all = files(fs, "j/segments".as_ref()).into_iter();
    all.filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect()
}

fn all_files(fs: &MemFs) -> Vec<(PathBuf, Vec<u8>)> {
    let all = files(fs, DIR.as_ref()).into_iter();
    all.map(|path| (path.clone(), content(fs, &path))).collect()
}

/// Every event there is, as far as reading comes.
fn hashes(reader: &Reader) -> Vec<[u8; 32]> {
    let events = reader.read(Query::all());
    events
        .map_while(Result::ok)
        .map(|event| event.hash())
        .collect()
}

#[test]
fn without_a_good_manifest_everything_is_read_and_nothing_written() {
    let fs = rolled();
    let all = hashes(&Journal::open_read_only(DIR, options(&fs)).unwrap());
    let path = "j/MANIFEST".as_ref();
    let good = content(fs.as_ref(), path);
    let derived = ["j/index", "j/tree"];
    for (code, manifest) in [
        ("manifest.missing", None),
        ("manifest.damaged", Some(good[..good.len() / 2].to_vec())),
        ("manifest.damaged", Some(Vec::new())),
    ] {
        for keep_derived in [true, false] {
            let fs = copy(&fs);
            match &manifest {
                Some(bytes) => overwrite(fs.as_ref(), path, bytes),
                None => fs.remove_file(path).unwrap(),
            }
            let gone = files(fs.as_ref(), DIR.as_ref()).into_iter().filter(|path| {
                let is_derived = derived.iter().any(|folder| path.starts_with(folder));
                !keep_derived && (is_derived || path.extension().is_some_and(|e| e == "off"))
            });
            gone.for_each(|path| fs.remove_file(&path).unwrap());
            let before = all_files(&fs);
            let journal = Journal::open(DIR, options(&fs)).unwrap();
            assert_eq!(journal.read_only_reason().unwrap().code(), code);
            assert_eq!(journal.append(event("a", "x")).unwrap_err().code(), code);
            assert_eq!(hashes(journal.reader()), all);
            assert_eq!(journal.reader().damage().len(), 1, "no gap");
            journal.reader().receipt(3).unwrap();
            journal.close().unwrap();
            let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
            assert_eq!(
                (hashes(&reader).len(), reader.refresh().unwrap()),
                (all.len(), false)
            );
            let head = reader.stream_head("bank", "a4").unwrap().unwrap();
            assert_eq!(head.revision, 0);
            assert_eq!(all_files(&fs), before, "nothing is written");
        }
    }
}

#[test]
fn a_gap_is_told_and_what_stands_around_it_is_read() {
    let fs = rolled();
    let whole = hashes(&Journal::open_read_only(DIR, options(&fs)).unwrap());
    fs.remove_file("j/MANIFEST".as_ref()).unwrap();
    let segments = segments(&fs);
    let gone = &segments[2];
    let first = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        u64::from_str_radix(&name[..16], 16).unwrap()
    };
    let (from, until) = (first(gone), first(&segments[3]));
    fs.remove_file(gone).unwrap();
    let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
    let gap = &reader.damage()[1];
    assert_eq!(
        (gap.code, gap.sequence),
        ("segment.missing", Some(from)),
        "{gap}"
    );
    assert_eq!(hashes(&reader).len() as u64, from);
    assert!(reader.get(from).is_err());
    let behind: Vec<_> = reader
        .read(Query::all().from(until))
        .map(|event| event.unwrap().hash())
        .collect();
    assert_eq!(behind, whole[until as usize..]);
}

#[test]
fn a_segment_that_a_recovery_never_finished_wins_nothing() {
    let fs = rolled();
    let whole = hashes(&Journal::open_read_only(DIR, options(&fs)).unwrap());
    // As a recovery leaves it that failed before MANIFEST named its segment: a header, no group. It
    // begins inside of the first segment.
    let first = content(fs.as_ref(), &segments(&fs)[0]);
    let mut header = SegmentHeader::decode(&first[..128]).unwrap();
    header.first_sequence = 1;
    header.generation = 0xff;
    header.edge = vec![[7; 32]];
    fs.remove_file("j/MANIFEST".as_ref()).unwrap();
    let cut = Path::new("j/segments/0000000000000001-000000ff.seg");
    let file = fs.create_new(cut, Access::Shared).unwrap();
    write_all_at(file.as_ref(), &header.encode(), 0).unwrap();
    let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
    assert_eq!(hashes(&reader), whole);
}

#[test]
fn a_journal_of_a_newer_version_is_not_rebuilt() {
    let fs = rolled();
    let path = "j/MANIFEST".as_ref();
    let mut bytes = content(fs.as_ref(), path);
    bytes[8] = 2;
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    overwrite(fs.as_ref(), path, &bytes);
    for error in [
        Journal::open(DIR, options(&fs)).unwrap_err(),
        Journal::open_read_only(DIR, options(&fs)).unwrap_err(),
    ] {
        assert_eq!(error.code(), "journal.unsupported_version");
    }
}
