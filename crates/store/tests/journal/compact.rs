//! Segments become one while the journal goes on: nothing that anybody sees of an event changes.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use factlog::{
    Compaction, Event, InMemory, Journal, Options, Outcome, Policy, Projector, Query, Reader,
    Retries, Subscription, UnverifiedReceipt, VerifyOptions, verify,
};
use factlog_fs::{MemFs, StoreFs};

use super::{event, options};

const SEGMENT: u64 = 64 << 10;

fn small(fs: &Arc<MemFs>) -> Options {
    options(fs).segment_len(SEGMENT)
}

/// Many commits of one event each, so that commit headers weigh.
fn journal_of(fs: &Arc<MemFs>, events: u64) -> Journal {
    let quiet = small(fs).dangerous().without_housekeeper();
    let journal = Journal::create("j", quiet).unwrap();
    for number in 0..events {
        let entity = format!("account-{}", number % 5);
        let tag = format!("branch:{}", number % 3);
        let text = format!("{number:04}").repeat(40);
        journal.append(event(&entity, &text).tag(tag)).unwrap();
    }
    journal
}

/// All that is seen of an event.
fn seen(event: &Event) -> String {
    let sections: Vec<_> = event.sections().map(|section| section.content).collect();
    format!(
        "{:?} {:?} {sections:?}",
        event.record(),
        event.previous_sequence()
    )
}

/// What each way of reading gives.
fn all_seen(reader: &Reader) -> Vec<Vec<String>> {
    let queries = [
        Query::all(),
        Query::all().reverse(),
        Query::stream("bank", "account-1"),
        Query::all().tag("branch:2"),
        Query::all().kind("account.noted"),
    ];
    let mut all: Vec<Vec<String>> = queries
        .into_iter()
        .map(|query| {
            reader
                .read(query)
                .map(|event| seen(&event.unwrap()))
                .collect()
        })
        .collect();
    let by_sequence = (0..reader.len()).map(|at| seen(&reader.get(at).unwrap().unwrap()));
    all.push(by_sequence.collect());
    let mut lent = Vec::new();
    let mut events = reader.read(Query::all());
    while let Some(event) = events.next_ref().unwrap() {
        lent.push(seen(&event.to_event().unwrap()));
    }
    all.push(lent);
    all
}

fn segment_bytes(journal: &Journal) -> u64 {
    journal.reader().stats().unwrap().bytes.segments
}

fn verify_holds(fs: &Arc<MemFs>, journal: &Reader) {
    let same: Arc<MemFs> = Arc::clone(fs);
    let options = VerifyOptions::new()
        .file_system(same)
        .key(journal.verifier_key().unwrap())
        .checkpoint(journal.checkpoint().unwrap());
    let report = verify("j", &options).unwrap();
    assert_eq!(report.outcome(false), Outcome::Holds, "{report:?}");
    assert!(
        report.findings.is_empty() && report.unchecked.is_empty(),
        "{report:?}"
    );
}

#[test]
fn compaction_gives_space_back_and_changes_nothing_that_is_read() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs, 600);
    let policy = Policy::from(journal.reader().verifier_key().unwrap());
    let before = all_seen(journal.reader());
    let receipts: Vec<String> = (0..600)
        .step_by(7)
        .map(|sequence| journal.reader().receipt(sequence).unwrap())
        .collect();
    let bytes = segment_bytes(&journal);
    // Readers who began before, here and elsewhere.
    let mut begun = journal.reader().read(Query::all());
    let mut begun_seen = vec![seen(&begun.next().unwrap().unwrap())];
    journal.housekeep().unwrap();
    let elsewhere = Journal::open_read_only("j", small(&fs)).unwrap();
    let mut begun_elsewhere = elsewhere.read(Query::all());
    let mut elsewhere_seen = vec![seen(&begun_elsewhere.next().unwrap().unwrap())];

    let planned = journal.compaction_plan().unwrap();
    assert_eq!(segment_bytes(&journal), bytes, "a plan changes nothing");
    let steps = journal.compact(&Compaction::new()).unwrap();
    assert!(!steps.is_empty());
    assert_eq!(planned.len(), steps.len());
    let saved: u64 = steps.iter().map(|step| step.before - step.after).sum();
    assert_eq!(bytes - segment_bytes(&journal), saved);
    assert!(saved * 5 > bytes, "{saved} of {bytes}");
    assert_eq!(
        journal.compact(&Compaction::new()).unwrap(),
        [],
        "nothing more pays"
    );

    let now = all_seen(journal.reader());
    assert!(now == before);
    begun_seen.extend(begun.map(|event| seen(&event.unwrap())));
    assert!(begun_seen == before[0]);
    elsewhere_seen.extend(begun_elsewhere.map(|event| seen(&event.unwrap())));
    assert!(elsewhere_seen == before[0]);
    assert!(all_seen(&elsewhere) == before);
    for text in receipts {
        let receipt = UnverifiedReceipt::parse(text.as_bytes()).unwrap();
        receipt.verify(&policy).unwrap();
    }
    verify_holds(&fs, journal.reader());

    let more = journal.append(event("account-1", "more")).unwrap();
    assert_eq!(more.sequence(), 601);
    verify_holds(&fs, journal.reader());
    let reader = journal.reader().clone();
    journal.close().unwrap();
    verify_holds(&fs, &reader);
    let journal = Journal::open("j", small(&fs)).unwrap();
    let reopened = all_seen(journal.reader());
    assert_eq!(reopened[0].len(), before[0].len() + 1);
    assert!(reopened[0].starts_with(&before[0]));
    assert_eq!(journal.recovery().map(|_| ()), None);
}

fn take(events: &mut Subscription, count: usize) -> Vec<u64> {
    let events = events.take(count);
    events.map(|event| event.unwrap().sequence()).collect()
}

#[test]
fn who_follows_a_journal_that_is_compacted_meanwhile_misses_and_repeats_nothing() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs, 600);
    journal.housekeep().unwrap();
    let other = Journal::open_read_only("j", small(&fs)).unwrap();
    let tagged = || Query::all().tag("branch:2");
    let readers = [
        (journal.reader(), Query::all()),
        (journal.reader(), tagged()),
        (&other, Query::all()),
    ];
    let mut following = readers.map(|(reader, query)| {
        let mut events = reader.subscribe(query).unwrap();
        let begun = take(&mut events, 100);
        (events, begun)
    });
    // A projection stands in the midst of a batch.
    let (stands, wait) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let (list, shown) = InMemory::new("list", 1, Query::all(), Vec::new, move |list, event| {
        if event.sequence() == 300 {
            stands.send(())?;
            goes.recv()?;
        }
        list.push(event.sequence());
        Ok(())
    });
    let projector = Projector::start(journal.reader(), "views", Retries::new()).unwrap();
    projector.add(list).unwrap();
    wait.recv().unwrap();
    assert!(!journal.compact(&Compaction::new()).unwrap().is_empty());
    go.send(()).unwrap();

    let last = journal
        .append(event("account-1", "more").tag("branch:2"))
        .unwrap()
        .sequence();
    // Another process sees it once a later commit calls it durable.
    journal
        .append(event("account-1", "more").tag("branch:2"))
        .unwrap();
    let wanted = |query: Query<'_>| -> Vec<u64> {
        let events = journal.reader().read(query.until(last + 1));
        events.map(|event| event.unwrap().sequence()).collect()
    };
    for ((events, seen), query) in following
        .iter_mut()
        .zip([Query::all(), tagged(), Query::all()])
    {
        let wanted = wanted(query);
        seen.extend(take(events, wanted.len() - seen.len()));
        assert!(*seen == wanted);
    }
    assert!(projector.wait_for(last, Duration::from_secs(600)));
    shown.read(|list, _| assert!(list.starts_with(&wanted(Query::all()))));
    assert_eq!(projector.stop()[0].failures, 0);
}

#[test]
fn a_compacted_journal_is_read_without_its_derived_files_and_without_manifest() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs, 700);
    assert!(!journal.compact(&Compaction::new()).unwrap().is_empty());
    let before = all_seen(journal.reader());
    journal.close().unwrap();
    for folder in ["j/index", "j/tree", "j/segments"] {
        for entry in fs.list(Path::new(folder)).unwrap() {
            let path = Path::new(folder).join(&entry.name);
            if path.extension().is_none_or(|extension| extension != "seg") {
                fs.remove_file(&path).unwrap();
            }
        }
    }
    let reader = Journal::open_read_only("j", small(&fs)).unwrap();
    assert!(all_seen(&reader) == before);
    let journal = Journal::open("j", small(&fs)).unwrap();
    assert!(all_seen(journal.reader()) == before);
    journal.append(event("account-1", "more")).unwrap();
    let before = all_seen(journal.reader());
    let reader = journal.reader().clone();
    journal.close().unwrap();
    verify_holds(&fs, &reader);
    fs.remove_file(Path::new("j/MANIFEST")).unwrap();
    let reader = Journal::open_read_only("j", small(&fs)).unwrap();
    assert!(all_seen(&reader) == before);
    factlog::repair("j", &small(&fs)).unwrap();
    let journal = Journal::open("j", small(&fs)).unwrap();
    assert!(journal.read_only_reason().is_none());
    verify_holds(&fs, journal.reader());
}

#[test]
fn a_damaged_segment_is_left_as_it_is() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs, 700);
    let mut segments: Vec<_> = fs
        .list(Path::new("j/segments"))
        .unwrap()
        .into_iter()
        .map(|entry| Path::new("j/segments").join(entry.name))
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    let rotten = &segments[1];
    let mut bytes = factlog_fs::read_file(fs.as_ref(), rotten, 1 << 30).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let file = fs.open(rotten, factlog_fs::OpenMode::Write).unwrap();
    factlog_fs::write_all_at(file.as_ref(), &bytes, 0).unwrap();
    let refused = journal.compact(&Compaction::new()).unwrap_err();
    assert_eq!(refused.code(), "segment.corrupt");
    assert_eq!(
        factlog_fs::read_file(fs.as_ref(), rotten, 1 << 30).unwrap(),
        bytes
    );
    journal.append(event("account-1", "goes on")).unwrap();
}

#[test]
fn small_segments_become_one_and_what_was_set_aside_goes() {
    let fs = Arc::new(MemFs::new());
    let mut journal = journal_of(&fs, 3);
    for number in 0..8 {
        // Its process died: what comes next goes into another segment.
        drop(journal);
        let quiet = small(&fs).dangerous().without_housekeeper();
        journal = Journal::open("j", quiet).unwrap();
        journal
            .append(event("account-1", &number.to_string()))
            .unwrap();
    }
    let before = all_seen(journal.reader());
    let segments = journal.reader().stats().unwrap().segments;
    assert!(segments > 8);
    let steps = journal.compact(&Compaction::new()).unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].segments, segments - 1);
    assert_eq!(journal.reader().stats().unwrap().segments, 2);
    assert!(all_seen(journal.reader()) == before);
    verify_holds(&fs, journal.reader());
    drop(journal);
    let journal = Journal::open("j", small(&fs)).unwrap();
    assert!(
        all_seen(journal.reader())
            .iter()
            .zip(&before)
            .all(|(now, then)| now.len() >= then.len())
    );
    verify_holds(&fs, journal.reader());
}

#[test]
fn a_journal_compacts_by_itself_when_asked() {
    let fs = Arc::new(MemFs::new());
    journal_of(&fs, 700).close().unwrap();
    let journal = Journal::open("j", small(&fs)).unwrap();
    let before = segment_bytes(&journal);
    journal.close().unwrap();
    // It may be done before anybody looks.
    let options = small(&fs).compact(Compaction::new());
    let journal = Journal::open("j", options).unwrap();
    while !journal.compaction_plan().unwrap().is_empty() {
        std::thread::yield_now();
    }
    assert!(segment_bytes(&journal) < before);
    verify_holds(&fs, journal.reader());
    journal.close().unwrap();
}
