//! A full disk: appends are refused before anything is written, all else goes on, and appends resume
//! once there is room.

mod support;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use factlog::{Clock, Journal, Options, Query, VerifyOptions, verify};
use factlog_fs::StoreFs;
use factlog_sim::SimFs;
use support::{DIR, event, texts};

/// Small enough that disks fill up around a roll as well.
const SEGMENT_LEN: u64 = 64 << 10;

fn options(fs: &SimFs) -> Options {
    Options::new()
        .file_system(fs.store())
        .signing_key_file("signer.key")
        .segment_len(SEGMENT_LEN)
        .dangerous()
        .without_housekeeper()
}

/// Appends until the disk is full. Returns what was acknowledged.
fn fill(journal: &Journal, len: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    loop {
        let text = format!("{:0len$}", acknowledged.len());
        match journal.append(event("filler", &text)) {
            Ok(_) => acknowledged.push(text),
            Err(error) => {
                assert_eq!(error.code(), "disk.full", "{error}");
                return acknowledged;
            }
        }
    }
}

/// What counts on disk: everything but zeros behind the last group.
fn state(fs: &SimFs) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = fs.contents();
    files.retain(|path, _| path.extension().is_none_or(|e| e != "key" && e != "state"));
    for bytes in files.values_mut() {
        let last = bytes.iter().rposition(|byte| *byte != 0);
        bytes.truncate(last.map_or(0, |last| last + 1));
    }
    files
}

fn assert_verifies(fs: &SimFs) {
    let options = VerifyOptions::new().file_system(fs.store());
    let report = verify(DIR, &options).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// Disks that fill up in every place that a journal takes space in: behind groups, at a roll, in
/// MANIFEST, in a checkpoint.
fn disks() -> impl Iterator<Item = (SimFs, Journal, usize)> {
    let extras = (0..40_000u64)
        .step_by(997)
        .chain((40_000..400_000).step_by(16_411));
    extras.enumerate().map(|(number, extra)| {
        let fs = SimFs::new(extra);
        let journal = Journal::create(DIR, options(&fs)).unwrap();
        journal.append(event("filler", "before")).unwrap();
        fs.set_space(Some(fs.used() + extra));
        (fs, journal, [10, 900, 30_000][number % 3])
    })
}

#[test]
fn appends_are_refused_and_resume_without_a_reopen() {
    let mut most = 0;
    for (fs, journal, len) in disks() {
        let mut all = vec!["before".to_owned()];
        all.extend(fill(&journal, len));
        most = most.max(all.len());
        let before = state(&fs);
        for _ in 0..3 {
            let error = journal
                .append(event("filler", &"x".repeat(len)))
                .unwrap_err();
            assert_eq!(error.code(), "disk.full");
        }
        assert_eq!(state(&fs), before, "a refused append changed something");
        assert_eq!(texts(&journal), all, "reads go on");
        journal.housekeep().unwrap();
        fs.set_space(None);
        journal.append(event("filler", "after")).unwrap();
        all.push("after".to_owned());
        assert_eq!(texts(&journal), all);
        journal.close().unwrap();
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        assert!(journal.recovery().is_none());
        assert_eq!(texts(&journal), all);
        journal.close().unwrap();
        assert_verifies(&fs);
    }
    assert!(most > 300, "only {most} appends fitted");
}

#[test]
fn a_journal_closes_and_reopens_on_a_full_disk() {
    for (fs, journal, len) in disks() {
        let mut all = vec!["before".to_owned()];
        all.extend(fill(&journal, len));
        // What others write takes the rest.
        fs.set_space(Some(fs.used()));
        journal.close().unwrap();
        assert_verifies(&fs);
        fs.set_space(Some(fs.used()));
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        assert!(
            journal.read_only_reason().is_none(),
            "{:?}",
            journal.read_only_reason()
        );
        assert_eq!(texts(&journal), all);
        let error = journal
            .append(event("filler", &"x".repeat(40_000)))
            .unwrap_err();
        assert_eq!(error.code(), "disk.full", "{error}");
        fs.set_space(None);
        journal.append(event("filler", "after")).unwrap();
        all.push("after".to_owned());
        journal.close().unwrap();
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        assert_eq!(texts(&journal), all);
        drop(journal);
        assert_verifies(&fs);
    }
}

/// All who wait are told, none waits for ever, and none is acknowledged that isn't there.
#[test]
fn many_threads_are_refused_together() {
    let fs = SimFs::new(1);
    let journal = Arc::new(Journal::create(DIR, options(&fs)).unwrap());
    fs.set_space(Some(fs.used() + 100_000));
    let acknowledged: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| fill(&journal, 500).len()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(acknowledged > 0);
    assert_eq!(texts(&journal).len(), acknowledged);
    let store: Arc<dyn StoreFs> = fs.store();
    assert!(store.available_space(DIR.as_ref()).is_ok());
}

#[derive(Debug)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_micros(&self) -> i64 {
        self.0.fetch_add(1, SeqCst)
    }
}

/// The event that tells of the step is refused as well; it comes before the first append that fits.
#[test]
fn a_clock_step_on_a_full_disk_is_told_once_there_is_room() {
    let fs = SimFs::new(2);
    let clock = Arc::new(Hands(AtomicI64::new(1_700_000_000_000_000)));
    let options = options(&fs)
        .dangerous()
        .clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let journal = Journal::create(DIR, options).unwrap();
    fs.set_space(Some(fs.used()));
    let filled = fill(&journal, 900).len();
    clock.0.fetch_sub(60_000_000, SeqCst);
    let before = state(&fs);
    for _ in 0..3 {
        let error = journal
            .append(event("filler", &"x".repeat(900)))
            .unwrap_err();
        assert_eq!(error.code(), "disk.full");
    }
    assert_eq!(state(&fs), before);
    fs.set_space(None);
    for _ in 0..2 {
        journal.append(event("filler", "after")).unwrap();
    }
    let events: Vec<_> = journal
        .reader()
        .read(Query::all())
        .map(Result::unwrap)
        .collect();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event.facts().unwrap().kind.to_owned())
        .collect();
    let steps: Vec<_> = (0..)
        .zip(&kinds)
        .filter(|(_, kind)| *kind == "clock.stepped_back")
        .collect();
    assert_eq!(steps.len(), 1, "{kinds:?}");
    assert_eq!(steps[0].0, filled + 1);
    assert!(events.is_sorted_by_key(|event| event.recorded_at()));
    journal.close().unwrap();
    assert_verifies(&fs);
}

/// What isn't indexed stands in memory: it used to stay there, and all that came later, until the next open.
#[test]
fn the_index_goes_on_once_there_is_room() {
    let fs = SimFs::new(1);
    let options = options(&fs).segment_len(8 << 20);
    let journal = Journal::create(DIR, options).unwrap();
    for _ in 0..10 {
        let batch: Vec<_> = (0..1000)
            .map(|number| event("many", &number.to_string()))
            .collect();
        journal.append_batch(&batch).unwrap();
    }
    let runs = || {
        let files = fs.contents();
        let runs = files
            .keys()
            .filter(|path| path.extension().is_some_and(|end| end == "run"));
        runs.count()
    };
    fs.set_space(Some(fs.used()));
    journal.housekeep().unwrap();
    assert_eq!(runs(), 0, "there was no room for it");
    fs.set_space(None);
    journal.append(event("many", "later")).unwrap();
    journal.housekeep().unwrap();
    assert_eq!(runs(), 2, "10,000 events are two whole chunks and some");
    assert_eq!(
        journal.reader().read(Query::stream("bank", "many")).count(),
        10_001
    );
    journal.close().unwrap();
    assert_verifies(&fs);
}
