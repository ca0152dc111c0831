//! Derived files that can't be used, or that lie.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog::{Expect, Journal, Options, VerifyOptions, verify};
use factlog_fs::{MemFs, OpenMode, StoreFs};
use factlog_sim::SimFs;

use crate::support::{DIR, content, copy, event, files, options, overwrite, texts};
use crate::{faulty::Faulty, lists::rolled};

fn open(fs: &Arc<MemFs>) -> Journal {
    Journal::open(DIR, options(fs).dangerous().without_housekeeper()).unwrap()
}

/// An I/O error below `index/` or `tree/` used to fail the whole open.
#[test]
fn derived_files_that_fail_never_keep_a_journal_from_opening() {
    let fs = rolled();
    let all = texts(&open(&copy(&fs)));
    let faults: [fn(&Path) -> bool; 4] = [
        |path| path.starts_with("j/index"),
        |path| path.starts_with("j/tree"),
        |path| path.extension().is_some_and(|extension| extension == "off"),
        |path| {
            let derived = ["j/index", "j/tree"]
                .iter()
                .any(|dir| path.starts_with(dir));
            derived || path.extension().is_some_and(|extension| extension == "off")
        },
    ];
    for (at, fails) in faults.into_iter().enumerate() {
        let inner = copy(&fs);
        let faulty: Arc<Faulty> = Arc::new(Faulty {
            inner: Arc::clone(&inner),
            fails,
        });
        let options = || options(&inner).file_system(Arc::clone(&faulty) as Arc<dyn StoreFs>);
        let reader = Journal::open_read_only(DIR, options()).unwrap();
        assert_eq!(reader.len(), all.len() as u64 + 2, "{at}");
        let journal = Journal::open(DIR, options()).unwrap();
        assert!(journal.read_only_reason().is_none(), "{at}");
        assert_eq!(texts(&journal), all, "{at}");
        let next = journal
            .append(event("a4", "more").expect(Expect::Revision(0)))
            .unwrap();
        next.text().unwrap();
        journal.close().unwrap();
        // Once they can be written again they are, bit for bit.
        let journal = open(&inner);
        journal.append(event("a4", "again")).unwrap();
        journal.close().unwrap();
        let store: Arc<MemFs> = Arc::clone(&inner);
        let report = verify(DIR, &VerifyOptions::new().file_system(store)).unwrap();
        assert!(report.findings.is_empty(), "{at}: {report:?}");
    }
}

fn offsets(fs: &MemFs) -> Vec<PathBuf> {
    let all = files(fs, "j/segments".as_ref()).into_iter();
    all.filter(|path| path.extension().is_some_and(|extension| extension == "off"))
        .collect()
}

/// Offsets carry no checksum; one that looks like one and leads elsewhere read as `segment.corrupt`.
#[test]
fn offsets_that_lead_elsewhere_are_scanned_over_and_mended() {
    let fs = Arc::new(MemFs::new());
    let small = |fs: &Arc<MemFs>| {
        options(fs)
            .segment_len(64 << 10)
            .dangerous()
            .without_housekeeper()
    };
    let journal = Journal::create(DIR, small(&fs)).unwrap();
    for number in 0..40 {
        let batch: Vec<_> = (0..9)
            .map(|i| event(&format!("a{i}"), &format!("{number}.{i}")))
            .collect();
        journal.append_batch(&batch).unwrap();
    }
    journal.close().unwrap();
    let all = texts(&open(&copy(&fs)));
    assert!(offsets(&fs).len() > 1);
    for path in offsets(&fs) {
        let good = content(fs.as_ref(), &path);
        let entries = (good.len() - 48) / 4;
        for entry in [0, 1, entries / 2, entries - 2] {
            let fs = copy(&fs);
            let mut bytes = good.clone();
            let at = 48 + 4 * entry;
            let old = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            bytes[at..at + 4].copy_from_slice(&(old + 8).to_le_bytes());
            overwrite(fs.as_ref(), &path, &bytes);
            let context = format!("{} entry {entry}", path.display());
            let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
            for sequence in 0..reader.len() {
                let event = reader.get(sequence).unwrap().expect(&context);
                assert_eq!(event.sequence(), sequence, "{context}");
            }
            assert_eq!(content(fs.as_ref(), &path), bytes, "reading mends nothing");
            let journal = Journal::open(DIR, small(&fs)).unwrap();
            assert_eq!(texts(&journal), all, "{context}");
            for sequence in 0..reader.len() {
                journal.reader().get(sequence).unwrap().expect(&context);
            }
            journal.append(event("a1", "x")).unwrap();
            journal.close().unwrap();
            let mended = content(fs.as_ref(), &path);
            assert_eq!(mended.get(..good.len()), Some(&*good), "{context}");
        }
    }
}

/// What a segment that a recovery ended is forgiven, offsets that end early, was forgiven the segment before it
/// where its own were wrong.
#[test]
fn wrong_offsets_of_a_recovered_segment_hide_no_others() {
    let before = Arc::new(MemFs::new());
    let small = |fs: &Arc<MemFs>| {
        let options = options(fs).segment_len(64 << 10).dangerous();
        options.without_housekeeper()
    };
    let batch: Vec<_> = (0..9).map(|i| event(&format!("a{i}"), "one")).collect();
    let killed = Journal::create(DIR, small(&before)).unwrap();
    while offsets(&before).len() < 2 {
        killed.append_batch(&batch).unwrap();
        killed.housekeep().unwrap();
    }
    killed.append_batch(&batch).unwrap();
    let fs = copy(&before);
    let journal = Journal::open(DIR, small(&fs)).unwrap();
    journal.append_batch(&batch).unwrap();
    journal.close().unwrap();
    let paths = offsets(&fs);
    assert_eq!(
        paths.len(),
        3,
        "a full segment, a recovered one, an active one"
    );
    let first = fs.open(&paths[0], OpenMode::Write).unwrap();
    first.set_len(48 + 4).unwrap();
    let mut second = content(fs.as_ref(), &paths[1]);
    second[48] ^= 8;
    overwrite(fs.as_ref(), &paths[1], &second);
    let report = verify(DIR, &VerifyOptions::new().file_system(fs)).unwrap();
    let found = report.findings.iter();
    let found: Vec<_> = found.map(|one| (one.code, one.path.clone())).collect();
    let expected = [
        ("derived.offsets", paths[1].clone()),
        ("derived.truncated", paths[0].clone()),
    ];
    assert_eq!(found, expected);
    drop(killed);
}

/// A damaged group used to make its whole segment unreadable where the offsets were missing too.
#[test]
fn damage_in_a_sealed_segment_fails_the_reads_that_need_it_and_no_other() {
    let fs = rolled();
    let path: PathBuf = "j/segments/0000000000000000-00000001.seg".into();
    let mut bytes = content(fs.as_ref(), &path);
    let at = bytes.len() / 2 - 20_000;
    bytes[at] ^= 1;
    overwrite(fs.as_ref(), &path, &bytes);
    let len = Journal::open_read_only(DIR, options(&fs)).unwrap().len();
    for gone in [false, true] {
        let fs = copy(&fs);
        for path in files(fs.as_ref(), DIR.as_ref()) {
            let derived = path.starts_with("j/index") || path.starts_with("j/tree");
            if gone && (derived || path.extension().is_some_and(|extension| extension == "off")) {
                fs.remove_file(&path).unwrap();
            }
        }
        for journal in [open(&copy(&fs)), open(&fs)] {
            let read = |sequence| journal.reader().get(sequence);
            let failed: Vec<_> = (0..len)
                .filter(|sequence| read(*sequence).is_err())
                .collect();
            assert_eq!(failed, [1], "{gone}");
            assert_eq!(read(1).unwrap_err().code(), "segment.corrupt");
            // Without leaves it can't be told whether the history is the one its signer remembers.
            let code = journal.read_only_reason().map(factlog::Error::code);
            assert_eq!(code, gone.then_some("segment.corrupt"));
        }
        // Which stream the damaged event is of can't be told without an index, so that no stream's
        // head can be decided; the writer goes on all the same.
        let journal = open(&fs);
        let error = journal.append(event("a4", "x")).unwrap_err();
        assert_eq!(error.code(), "segment.corrupt");
        assert_eq!(
            journal.append(event("a4", "x")).unwrap_err().code(),
            "segment.corrupt"
        );
        journal.close().unwrap();
    }
}

#[test]
fn a_clean_end_opens_on_a_full_disk() {
    let fs = SimFs::new(1);
    let options = || Options::new().file_system(fs.store()).signing_key_file("k");
    let journal = Journal::create(DIR, options()).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.close().unwrap();
    fs.set_space(Some(fs.used()));
    let before = fs.contents();
    let journal = Journal::open(DIR, options()).unwrap();
    assert!(journal.read_only_reason().is_none());
    assert_eq!(texts(&journal), ["1"]);
    journal.close().unwrap();
    assert_eq!(fs.contents(), before);
}

/// A last group that nothing proves, which every kill leaves, used to cost a scan of the whole active
/// segment: now it is read but once, for the hash over its commit headers.
#[test]
fn an_open_after_a_kill_begins_near_the_end_of_the_active_segment() {
    let fs = SimFs::new(1);
    let options = |fs: &SimFs| {
        let options = Options::new().file_system(fs.store());
        options.dangerous().without_housekeeper()
    };
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    let payload = "x".repeat(200);
    for batch in 0..200 {
        let events: Vec<_> = (0..60).map(|_| event("a", &payload)).collect();
        journal.append_batch(&events).unwrap();
        if batch % 10 == 0 {
            journal.housekeep().unwrap();
        }
    }
    let killed = fs.kill_process(2);
    let before = killed.trace().calls.len();
    let reopened = Journal::open(DIR, options(&killed)).unwrap();
    // And the event of the recovery.
    assert_eq!(reopened.reader().len(), journal.reader().len() + 1);
    let trace = killed.trace();
    let of_segments = |call: &&factlog_sim::Call| {
        let segment = call
            .path
            .extension()
            .is_some_and(|extension| extension == "seg");
        segment && call.name == "read"
    };
    let calls = trace.calls.iter().skip(before).filter(of_segments);
    let read: u64 = calls
        .filter_map(|call| call.range)
        .map(|(_, len)| len)
        .sum();
    // Frames of such events have some 470 bytes; to be scanned and hashed once would make it twice as much.
    let written = 12_000 * 470;
    assert!(
        2 * read < 3 * written,
        "{read} bytes were read of {written}"
    );
}

/// Offsets of a sealed segment that has rotted can't be written again after a kill. That used to end the
/// writing of all derived files, and every close was unclean.
#[test]
fn rot_in_a_sealed_segment_keeps_no_derived_file_from_being_written() {
    let fs = SimFs::new(5);
    let options = |fs: &SimFs| {
        let options = Options::new().file_system(fs.store()).segment_len(4 << 20);
        options.dangerous().without_housekeeper()
    };
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    let payload = "x".repeat(300);
    for _ in 0..10 {
        let events: Vec<_> = (0..1000).map(|_| event("a", &payload)).collect();
        journal.append_batch(&events).unwrap();
        journal.housekeep().unwrap();
    }
    let killed = fs.kill_process(6);
    let names = killed.store().list(Path::new("j/segments")).unwrap();
    let sealed = names
        .into_iter()
        .map(|entry| Path::new("j/segments").join(entry.name));
    let sealed = sealed.filter(|path| path.extension().is_some_and(|kind| kind == "seg"));
    killed.flip(&sealed.min().unwrap(), 5_000, 0x10).unwrap();
    let journal = Journal::open(DIR, options(&killed)).unwrap();
    let runs = |fs: &SimFs| fs.store().list(Path::new("j/index")).unwrap().len();
    let before = runs(&killed);
    let events: Vec<_> = (0..5000).map(|_| event("b", "y")).collect();
    journal.append_batch(&events).unwrap();
    journal.housekeep().unwrap();
    assert!(runs(&killed) > before, "the index goes on");
    journal.close().unwrap();
    let calls = killed.calls();
    drop(Journal::open(DIR, options(&killed)).unwrap());
    let trace = killed.trace();
    let mut after = trace.calls.iter().filter(|call| call.number >= calls);
    assert!(
        !after.any(|call| call.changes && call.name == "write"),
        "it was closed cleanly"
    );
}
