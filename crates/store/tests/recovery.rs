//! Unclean ends: what was acknowledged stays, what was torn goes, what is damaged is said.

#[path = "recovery/creation.rs"]
mod creation;
#[path = "recovery/derived.rs"]
mod derived;
#[path = "recovery/doubts.rs"]
mod doubts;
#[path = "recovery/elsewhere.rs"]
mod elsewhere;
#[path = "recovery/faulty.rs"]
mod faulty;
#[path = "recovery/handles.rs"]
mod handles;
#[path = "recovery/harmed.rs"]
mod harmed;
#[path = "recovery/lists.rs"]
mod lists;
#[path = "recovery/mishaps.rs"]
mod mishaps;
#[path = "recovery/orphans.rs"]
mod orphans;
#[path = "recovery/repairs.rs"]
mod repairs;
#[path = "recovery/space.rs"]
mod space;
mod support;

use std::sync::Arc;

use factlog::{Journal, Policy, Query, Recovery, UnverifiedReceipt};
use factlog_fs::MemFs;
use support::{DIR, content, copy, event, files, options, overwrite, segment, texts, written};

/// A journal of some groups that was dropped without a close, with what each append acknowledged:
/// (length of the segment after it, number of events of scope `bank`).
fn dropped() -> (Arc<MemFs>, Vec<(usize, usize)>) {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(&fs).dangerous().without_housekeeper()).unwrap();
    let mut marks = vec![(written(fs.as_ref(), &segment(fs.as_ref())).len(), 0)];
    for number in 0..6 {
        let batch: Vec<_> = (0..=number % 3)
            .map(|i| event(&format!("a{i}"), &format!("{number}.{i}")))
            .collect();
        journal.append_batch(&batch).unwrap();
        let count = texts(&journal).len();
        marks.push((written(fs.as_ref(), &segment(fs.as_ref())).len(), count));
        if number == 3 {
            journal.housekeep().unwrap();
        }
    }
    drop(journal);
    (fs, marks)
}

fn open(fs: &Arc<MemFs>) -> Journal {
    Journal::open(DIR, options(fs).dangerous().without_housekeeper()).unwrap()
}

/// What must hold after any recovery: it goes on, it closes, and the next open changes nothing.
fn goes_on(fs: &Arc<MemFs>, journal: Journal, expected: &[String]) {
    assert_eq!(texts(&journal), expected, "{:?}", journal.recovery());
    journal.append(event("more", "more")).unwrap();
    journal.close().unwrap();
    let before: Vec<_> = files(fs.as_ref(), DIR.as_ref())
        .into_iter()
        .map(|path| (content(fs.as_ref(), &path), path))
        .collect();
    let journal = open(fs);
    assert!(journal.recovery().is_none());
    let mut with_more = expected.to_vec();
    with_more.push("more".to_owned());
    assert_eq!(texts(&journal), with_more);
    journal.close().unwrap();
    for (bytes, path) in before {
        assert_eq!(content(fs.as_ref(), &path), bytes, "{}", path.display());
    }
}

#[test]
fn a_segment_cut_at_any_byte_keeps_every_whole_group_or_is_called_damaged() {
    let (fs, marks) = dropped();
    let path = segment(fs.as_ref());
    let bytes = written(fs.as_ref(), &path);
    let all = texts(&open(&copy(&fs)));
    let mut recovered = 0;
    for (cut, zeros) in
        (marks[0].0..=bytes.len()).map(|cut| (cut, if cut % 3 == 0 { 9000 } else { 0 }))
    {
        let fs = copy(&fs);
        // Cut short, or written in part over what was made ready.
        let torn = [&bytes[..cut], &vec![0; zeros]].concat();
        overwrite(fs.as_ref(), &path, &torn);
        let journal = open(&fs);
        // Zeros that were cut off a frame's end are there again.
        let there = |len: usize| len <= cut || zeros > 0 && bytes[cut..len].iter().all(|b| *b == 0);
        let whole = marks.iter().rev().find(|(len, _)| there(*len)).unwrap().1;
        assert!(
            journal.read_only_reason().is_none(),
            "{:?}",
            journal.read_only_reason()
        );
        recovered += usize::from(journal.recovery().is_some());
        goes_on(&fs, journal, &all[..whole]);
    }
    assert!(
        recovered > 100,
        "recovery was put to work {recovered} times only"
    );
}

#[test]
fn garbage_or_zeros_behind_the_end_are_no_events() {
    let (fs, _) = dropped();
    let path = segment(fs.as_ref());
    let bytes = written(fs.as_ref(), &path);
    let all = texts(&open(&copy(&fs)));
    for tail in [
        vec![0; 5000],
        vec![0xff; 4096],
        bytes[200..700].to_vec(),
        vec![1],
        bytes.clone(),
    ] {
        let fs = copy(&fs);
        overwrite(fs.as_ref(), &path, &[bytes.as_slice(), &tail].concat());
        goes_on(&fs, open(&fs), &all);
    }
}

#[test]
fn damage_below_what_a_later_header_calls_durable_is_no_torn_tail() {
    let (fs, marks) = dropped();
    let path = segment(fs.as_ref());
    let bytes = written(fs.as_ref(), &path);
    let last_group = marks[marks.len() - 2].0;
    for at in (marks[0].0..bytes.len()).step_by(7) {
        let fs = copy(&fs);
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        overwrite(fs.as_ref(), &path, &changed);
        let journal = open(&fs);
        if at < last_group {
            let why = journal
                .read_only_reason()
                .unwrap_or_else(|| panic!("byte {at} passed"));
            assert_eq!(why.code(), "segment.corrupt");
            assert!(journal.append(event("x", "x")).is_err());
            assert_eq!(
                content(fs.as_ref(), &path),
                changed,
                "nothing is repaired by guessing"
            );
        } else {
            // Rot in the very last group can't be told from a torn write.
            assert!(journal.read_only_reason().is_none());
        }
    }
}

#[test]
fn a_clean_end_is_never_taken_for_a_torn_one() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.close().unwrap();
    let path = segment(fs.as_ref());
    let bytes = content(fs.as_ref(), &path);
    for cut in [bytes.len() - 1, bytes.len() - 100, bytes.len() - 400] {
        let fs = copy(&fs);
        overwrite(fs.as_ref(), &path, &bytes[..cut]);
        let journal = open(&fs);
        assert_eq!(
            journal.read_only_reason().unwrap().code(),
            "segment.corrupt",
            "{cut}"
        );
    }
}

#[test]
fn a_strict_open_refuses_a_torn_tail_and_changes_nothing() {
    let (fs, _) = dropped();
    let path = segment(fs.as_ref());
    let bytes = content(fs.as_ref(), &path);
    overwrite(fs.as_ref(), &path, &[&bytes[..], b"torn"].concat());
    let essential = || -> Vec<_> {
        let all = files(fs.as_ref(), DIR.as_ref()).into_iter();
        let kept = all.filter(|path| !path.starts_with("j/tree") && !path.starts_with("j/index"));
        kept.map(|path| (content(fs.as_ref(), &path), path))
            .collect()
    };
    let before = essential();
    let strict = options(&fs).recovery(Recovery::Strict);
    assert_eq!(
        Journal::open(DIR, strict).unwrap_err().code(),
        "recovery.strict"
    );
    assert_eq!(essential(), before);
    // The lock is free again.
    assert!(open(&fs).recovery().is_some());
}

#[test]
fn a_journal_older_than_its_signer_remembers_opens_read_only() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.close().unwrap();
    let old = copy(&fs);
    let journal = Journal::open(DIR, options(&fs)).unwrap();
    journal.append(event("a", "2")).unwrap();
    journal.close().unwrap();
    // The journal goes back in time; its signer does not.
    for name in ["signer.key", "signer.key.state"] {
        overwrite(
            old.as_ref(),
            name.as_ref(),
            &content(fs.as_ref(), name.as_ref()),
        );
    }
    let journal = open(&old);
    assert_eq!(
        journal.read_only_reason().unwrap().code(),
        "signer.history_mismatch"
    );
    assert_eq!(journal.reader().read(Query::all().scope("bank")).count(), 1);
}

#[test]
fn derived_files_may_vanish_at_any_time() {
    let fs = Arc::new(MemFs::new());
    let small = |fs: &Arc<MemFs>| options(fs).segment_len(64 << 10);
    let journal = Journal::create(DIR, small(&fs)).unwrap();
    for number in 0..1000 {
        let batch: Vec<_> = (0..10)
            .map(|i| event(&format!("a{i}"), &number.to_string()))
            .collect();
        journal.append_batch(&batch).unwrap();
    }
    journal.close().unwrap();
    let derived = |path: &std::path::Path| {
        let text = path.to_str().unwrap();
        text.ends_with(".off") || text.contains("index") || text.contains("tree")
    };
    let all: Vec<_> = files(fs.as_ref(), DIR.as_ref())
        .into_iter()
        .filter(|p| derived(p))
        .collect();
    assert!(all.len() > 10);
    let kept: Vec<_> = all.iter().map(|path| content(fs.as_ref(), path)).collect();
    for path in &all {
        factlog_fs::StoreFs::remove_file(fs.as_ref(), path).unwrap();
    }
    let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
    assert_eq!(reader.read(Query::stream("bank", "a3")).count(), 1000);
    reader.receipt(77).unwrap();
    let journal = Journal::open(DIR, small(&fs)).unwrap();
    assert_eq!(
        journal.reader().read(Query::stream("bank", "a3")).count(),
        1000
    );
    journal.append(event("a3", "x")).unwrap();
    journal.close().unwrap();
    // Index and tree are a function of the segments: what is there again is as it was.
    for (path, kept) in all.iter().zip(kept) {
        if path.to_str().unwrap().contains("index") {
            assert_eq!(content(fs.as_ref(), path), kept, "{}", path.display());
        }
    }
}

#[test]
fn rotten_derived_files_never_change_what_a_journal_says() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    for number in 0..40 {
        let batch: Vec<_> = (0..110)
            .map(|i| event(&format!("a{}", i % 9), &format!("{number}.{i}")))
            .collect();
        journal.append_batch(&batch).unwrap();
    }
    journal.close().unwrap();
    let all = texts(&open(&copy(&fs)));
    let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
    let revisions = reader.stream_head("bank", "a3").unwrap().unwrap().revision + 1;
    let derived = |path: &std::path::Path| {
        let text = path.to_str().unwrap();
        text.ends_with(".off") || text.contains("index") || text.contains("tree")
    };
    for path in files(fs.as_ref(), DIR.as_ref())
        .into_iter()
        .filter(|path| derived(path))
    {
        let bytes = content(fs.as_ref(), &path);
        for at in (0..bytes.len())
            .step_by(bytes.len() / 5 + 1)
            .chain([bytes.len() - 1])
        {
            let fs = copy(&fs);
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            overwrite(fs.as_ref(), &path, &changed);
            let journal = open(&fs);
            let context = format!("{} byte {at}", path.display());
            assert!(journal.read_only_reason().is_none(), "{context}");
            assert_eq!(texts(&journal), all, "{context}");
            let receipt = journal.append(event("new", "x")).unwrap();
            let policy = Policy::from(journal.reader().verifier_key().unwrap());
            let text = receipt.text().unwrap();
            UnverifiedReceipt::parse(text.as_bytes())
                .unwrap()
                .verify(&policy)
                .expect(&context);
            // Looks a stream up that only the index knows.
            let next = journal.append(event("a3", "x"));
            assert_eq!(next.expect(&context).revision(), revisions, "{context}");
            journal.close().unwrap();
        }
    }
}
