//! Events of which nothing but the spine stays: what no longer finds them, and what is free again.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use factlog::{
    CaseQuery, CaseTrust, CaseVerdict, ChainVerification, Clock, Compaction, Condition, Delivered,
    Event, Expect, InMemory, Journal, NewEvent, Options, Outcome, Policy, Projector, Query, Reader,
    Retention, RetentionRule, Retries, Selector, UnverifiedReceipt, Uuid, VerifyOptions, verify,
    verify_case,
};
use factlog_fs::{FileKind, MemFs, StoreFs};

#[cfg(feature = "encryption")]
use super::encrypted;
use super::{event, options};

fn small(fs: &Arc<MemFs>) -> Options {
    let options = options(fs).segment_len(64 << 10);
    options.dangerous().without_housekeeper()
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number) << 64 | 0xfeed)
}

/// An event that only its number tells from others, found by all that finds events.
fn numbered(entity: &str, number: u64) -> NewEvent<'static> {
    let text = format!("secret {number:05} ").repeat(8);
    event(entity, &text)
        .id(id(number))
        .tag(format!("number:{number:05}"))
        .tag(format!("half:{}", number % 2))
}

fn rule() -> RetentionRule {
    RetentionRule::new("forget", "a request").full()
}

fn retain(journal: &Journal, rule: RetentionRule) -> factlog::Retained {
    journal.retain(&Retention::new(vec![rule])).unwrap()
}

/// A rule that takes the events of these sequences.
fn these(sequences: &[u64]) -> RetentionRule {
    let sequences = sequences.to_vec();
    rule().only_if(move |event| sequences.contains(&event.sequence()))
}

fn verify_holds(fs: &Arc<MemFs>, reader: &Reader) {
    let same: Arc<MemFs> = Arc::clone(fs);
    let options = VerifyOptions::new()
        .file_system(same)
        .key(reader.verifier_key().unwrap())
        .checkpoint(reader.checkpoint().unwrap());
    let report = verify("j", &options).unwrap();
    assert_eq!(report.outcome(false), Outcome::Holds, "{report:?}");
    assert!(
        report.findings.is_empty() && report.unchecked.is_empty(),
        "{report:?}"
    );
    let unseen = |note: &&factlog::Finding| note.code.starts_with("derived.");
    assert!(!report.notes.iter().any(|note| unseen(&note)), "{report:?}");
}

/// Every file below a directory.
fn files(fs: &MemFs, dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        match entry.kind {
            FileKind::Dir => found.extend(files(fs, &path)),
            _ => found.push((
                path.display().to_string(),
                factlog_fs::read_file(fs, &path, 1 << 30).unwrap_or_default(),
            )),
        }
    }
    found.sort();
    found
}

fn stands(fs: &MemFs, wanted: &[u8]) -> bool {
    let all = files(fs, Path::new("j"));
    let has = |bytes: &Vec<u8>| bytes.windows(wanted.len()).any(|at| at == wanted);
    all.iter().any(|(_, bytes)| has(bytes))
}

fn found(reader: &Reader, query: Query<'_>) -> Vec<u64> {
    let events = reader.read(query);
    events.map(|event| event.unwrap().sequence()).collect()
}

/// Walks a stream back as its events say, stubs included.
fn walked(reader: &Reader, from: u64) -> Vec<u64> {
    let mut walked = vec![from];
    let mut event: Event = reader.get(from).unwrap().unwrap();
    while let Some(previous) = event.previous_sequence() {
        let before = reader.get(previous).unwrap().unwrap();
        assert_eq!(event.previous_hash(), before.hash());
        assert_eq!(event.stream_id(), before.stream_id());
        walked.push(previous);
        event = before;
    }
    walked
}

/// The journal as others would come to have it: closed and opened; and with the index made from segments.
fn reopened(fs: &Arc<MemFs>, journal: Journal) -> Journal {
    journal.close().unwrap();
    let options = small(fs).chain_verification(ChainVerification::Full);
    let journal = Journal::open("j", options).unwrap();
    assert!(journal.read_only_reason().is_none());
    journal
}

fn without_index(fs: &Arc<MemFs>, journal: Journal) -> Journal {
    journal.close().unwrap();
    for (path, _) in files(fs, Path::new("j/index")) {
        fs.remove_file(Path::new(&path)).unwrap();
    }
    Journal::open("j", small(fs)).unwrap()
}

#[test]
fn of_a_full_erasure_the_spine_stays_and_the_id_is_free() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", small(&fs)).unwrap();
    for number in 1..=200 {
        let entity = format!("account-{}", number % 4);
        journal.append(numbered(&entity, number)).unwrap();
    }
    let policy = Policy::from(journal.reader().verifier_key().unwrap());
    let receipt = journal.reader().receipt(7).unwrap();
    let spine = journal.reader().get(7).unwrap().unwrap();
    let planned = journal
        .retention_plan(&Retention::new(vec![rule().tag("half:1")]))
        .unwrap();
    let done = retain(&journal, rule().tag("half:1"));
    assert_eq!((done.rules[0].events, done.rules[0].full), (100, true));
    assert_eq!(planned.rules[0].bytes, done.rules[0].bytes);

    let check = |journal: &Journal| {
        let reader = journal.reader();
        let stub = reader.get(7).unwrap().unwrap();
        assert!(stub.facts().is_none() && stub.id().is_none() && stub.sections().count() == 0);
        assert_eq!(
            (
                stub.hash(),
                stub.revision(),
                stub.stream_id(),
                stub.recorded_at()
            ),
            (
                spine.hash(),
                spine.revision(),
                spine.stream_id(),
                spine.recorded_at()
            )
        );
        assert!(reader.get_by_id(id(7)).unwrap().is_none());
        assert!(!reader.contains_id(id(7)).unwrap());
        assert_eq!(found(reader, Query::all().tag("number:00007")), [0; 0]);
        assert_eq!(found(reader, Query::all().tag("half:1")), [0; 0]);
        let even: Vec<u64> = (1..=200).filter(|number| number % 2 == 0).collect();
        assert_eq!(found(reader, Query::all().tag("half:0")), even);
        assert_eq!(found(reader, Query::all().kind("account.noted")), even);
        assert_eq!(found(reader, Query::all().until(201)).len(), 201);
        let by = reader.erased_by(7).unwrap().unwrap();
        assert_eq!(
            (by.sequence, &*by.reason),
            (done.rules[0].erasures[0], "a request")
        );
        let old = UnverifiedReceipt::parse(receipt.as_bytes()).unwrap();
        old.verify(&policy).unwrap();
        let new = reader.receipt(7).unwrap();
        let new = UnverifiedReceipt::parse(new.as_bytes()).unwrap();
        assert_eq!(*new.verify(&policy).unwrap().event_hash(), spine.hash());
        let given: Vec<bool> = reader
            .subscribe(Query::all().from(1).until(201))
            .unwrap()
            .map(|event| matches!(event.unwrap(), Delivered::Erased(_)))
            .collect();
        assert_eq!(
            given,
            (1..=200).map(|number| number % 2 == 1).collect::<Vec<_>>()
        );
    };
    check(&journal);
    verify_holds(&fs, journal.reader());
    assert!(!stands(&fs, b"number:00007") && !stands(&fs, b"secret 00007"));
    assert!(!stands(&fs, id(7).as_bytes()));
    assert!(stands(&fs, b"number:00008") && stands(&fs, id(8).as_bytes()));
    assert_eq!(retain(&journal, rule().tag("half:1")).rules[0].events, 0);

    // What kept its id is known, what lost it is not.
    let again = journal.append(numbered("account-0", 8)).unwrap();
    assert_eq!(again.sequence(), 8);
    let back = journal.append(numbered("account-3", 7)).unwrap();
    assert!(back.sequence() > 200);
    let again = journal.append(numbered("account-3", 7)).unwrap();
    assert_eq!(again.sequence(), back.sequence());
    let back = journal.reader().get_by_id(id(7)).unwrap().unwrap();
    assert_eq!(
        found(journal.reader(), Query::all().tag("number:00007")),
        [back.sequence()]
    );
    verify_holds(&fs, journal.reader());
    let journal = reopened(&fs, journal);
    let known = journal.append(numbered("account-3", 7)).unwrap();
    assert_eq!(known.sequence(), back.sequence());
    journal.append(numbered("account-1", 9)).unwrap();
    verify_holds(&fs, journal.reader());
    journal.close().unwrap();
}

#[test]
fn a_stream_goes_on_behind_full_stubs_as_long_as_one_event_tells_of_it() {
    // A stream of four among others: which of its events go, and whether it is still the same then.
    for (gone, same) in [
        (vec![0], true),
        (vec![3], true),
        (vec![1, 2], true),
        (vec![0, 1, 2], true),
        (vec![1, 2, 3], true),
        (vec![0, 2, 3], true),
        (vec![0, 1, 2, 3], false),
    ] {
        for way in 0..3 {
            let fs = Arc::new(MemFs::new());
            let mut journal = Journal::create("j", small(&fs)).unwrap();
            let mut places = Vec::new();
            for number in 0..12 {
                let entity = ["ada", "eve", "kim"][number as usize % 3];
                let receipt = journal.append(numbered(entity, number)).unwrap();
                if entity == "ada" {
                    places.push(receipt);
                }
            }
            let stream = places[0].stream_id();
            let all: Vec<u64> = places.iter().map(factlog::Receipt::sequence).collect();
            let taken: Vec<u64> = gone.iter().map(|at| all[*at]).collect();
            assert_eq!(
                retain(&journal, these(&taken)).rules[0].events,
                taken.len() as u64
            );
            journal = match way {
                0 => journal,
                1 => reopened(&fs, journal),
                _ => {
                    journal.compact(&Compaction::new()).unwrap();
                    without_index(&fs, journal)
                }
            };
            let reader = journal.reader();
            let head = reader.stream_head("bank", "ada").unwrap();
            assert_eq!(head.is_some(), same, "{gone:?} {way}");
            let streams: Vec<_> = reader.streams().map(Result::unwrap).collect();
            let of = streams.iter().find(|one| one.stream_id == stream).unwrap();
            assert_eq!((of.events, of.last_sequence), (4, all[3]));
            assert_eq!(of.coordinate.is_some(), same, "{gone:?} {way}");
            let read = found(reader, Query::stream("bank", "ada"));
            let expected = if same { &all[..] } else { &[] };
            assert_eq!(read, expected, "{gone:?} {way}");
            verify_holds(&fs, reader);

            let (wrong, right) = match same {
                true => (Expect::NoStream, Expect::Revision(3)),
                false => (Expect::Revision(3), Expect::NoStream),
            };
            let refused = journal
                .append(numbered("ada", 90).expect(wrong))
                .unwrap_err();
            assert_eq!(refused.code(), "conflict.expectation", "{refused}");
            let next = journal.append(numbered("ada", 90).expect(right)).unwrap();
            assert_eq!(next.stream_id() == stream, same);
            assert_eq!(next.revision(), if same { 4 } else { 0 });
            let walked = walked(journal.reader(), next.sequence());
            assert_eq!(walked.len(), if same { 5 } else { 1 });
            journal.append(numbered("ada", 91)).unwrap();
            verify_holds(&fs, journal.reader());
            let journal = reopened(&fs, journal);
            let head = journal
                .reader()
                .stream_head("bank", "ada")
                .unwrap()
                .unwrap();
            assert_eq!(head.revision, if same { 5 } else { 1 });
            verify_holds(&fs, journal.reader());
            let journal = without_index(&fs, journal);
            let last = journal.append(numbered("ada", 92)).unwrap();
            assert_eq!(last.stream_id(), next.stream_id(), "{gone:?} {way}");
            verify_holds(&fs, journal.reader());
        }
    }
}

/// Long enough for runs of the index of two levels.
#[test]
fn an_index_after_a_full_erasure_is_the_one_made_from_the_segments() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs).segment_len(1 << 20)).unwrap();
    let entity = |number: u64| format!("account-{}", number % 700);
    for batch in 0..45 {
        let numbers = batch * 1000..(batch + 1) * 1000;
        let events: Vec<_> = numbers
            .map(|number| numbered(&entity(number), number))
            .collect();
        journal.append_batch(&events).unwrap();
    }
    journal.housekeep().unwrap();
    // Of some streams all goes, of others their beginnings.
    let taken = |event: &Event| {
        let old = event.revision() < 9 && !event.sequence().is_multiple_of(3);
        let entity = event.facts().map(|facts| facts.entity.len());
        old || entity == Some("account-7".len())
    };
    let done = retain(&journal, rule().scope("bank").only_if(taken));
    assert!(done.rules[0].events > 4000, "{done:?}");
    verify_holds(&fs, journal.reader());
    assert!(
        journal
            .reader()
            .stream_head("bank", "account-7")
            .unwrap()
            .is_none()
    );
    let head = journal.reader().stream_head("bank", "account-70").unwrap();
    assert_eq!(head.unwrap().revision, 64);
    for number in (0..45_000).step_by(997) {
        let holder = journal.reader().get_by_id(id(number)).unwrap();
        let stub = journal.reader().get(number + 1).unwrap().unwrap();
        assert_eq!(holder.is_some(), stub.facts().is_some(), "{number}");
    }
    let events: Vec<_> = (0..9000)
        .map(|number| numbered(&entity(number), 90_000 + number))
        .collect();
    journal.append_batch(&events).unwrap();
    journal.housekeep().unwrap();
    verify_holds(&fs, journal.reader());
    journal.close().unwrap();
    let before = files(&fs, Path::new("j/index"));
    assert!(before.len() > 1, "{}", before.len());
    for (path, _) in &before {
        fs.remove_file(Path::new(path)).unwrap();
    }
    let journal = Journal::open("j", options(&fs).segment_len(1 << 20)).unwrap();
    let first = journal.append(numbered("account-7", 99_999)).unwrap();
    assert!(first.revision() > 0, "it began anew before");
    journal.housekeep().unwrap();
    verify_holds(&fs, journal.reader());
    journal.close().unwrap();
    let entries = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(path, _)| path.clone()).collect()
    };
    let after = files(&fs, Path::new("j/index"));
    assert_eq!(entries(&before), entries(&after));
    assert!(before == after, "runs of other bytes");
}

#[test]
fn rules_of_both_levels_order_erasures_of_their_own_and_full_wins() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", small(&fs)).unwrap();
    for number in 1..=40 {
        journal.append(numbered("ada", number)).unwrap();
    }
    let payload = || RetentionRule::new("old", "no longer needed").kind("account.noted");
    let both = Retention::new(vec![payload(), rule().tag("half:0")]);
    let done = journal.retain(&both).unwrap();
    assert_eq!((done.rules[0].events, done.rules[1].events), (20, 20));
    assert_eq!((done.rules[0].full, done.rules[1].full), (false, true));
    assert_ne!(done.rules[0].erasures, done.rules[1].erasures);
    for sequence in 1..=40 {
        let event = journal.reader().get(sequence).unwrap().unwrap();
        assert_eq!(event.facts().is_none(), sequence % 2 == 0);
        assert!(event.data().is_none_or(|data| data.bytes().is_none()));
    }
    verify_holds(&fs, journal.reader());
    // What lost its payload may lose its facts later; what has none may too.
    journal
        .append(NewEvent::new("bank", "ada", "account.closed").id(id(41)))
        .unwrap();
    let rest = retain(&journal, rule().scope("bank"));
    assert_eq!(rest.rules[0].events, 21);
    assert!(
        journal
            .reader()
            .stream_head("bank", "ada")
            .unwrap()
            .is_none()
    );
    assert!(!stands(&fs, b"number:"));
    verify_holds(&fs, journal.reader());
    let journal = reopened(&fs, journal);
    assert_eq!(journal.append(numbered("ada", 1)).unwrap().revision(), 0);
    verify_holds(&fs, journal.reader());
}

#[test]
fn what_is_gone_moves_no_boundary_and_holds_none() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", small(&fs)).unwrap();
    journal.append(numbered("ada", 1)).unwrap();
    journal.append(numbered("ada", 2)).unwrap();
    let nothing = || Condition::nothing(Query::all().tag("number:00001"));
    let refused = journal
        .append_if(&[numbered("eve", 3)], &[nothing()])
        .unwrap_err();
    assert_eq!(refused.code(), "conflict.boundary_moved");
    retain(&journal, these(&[1]));
    journal
        .append_if(&[numbered("eve", 3)], &[nothing()])
        .unwrap();
    verify_holds(&fs, journal.reader());
}

#[test]
fn a_case_says_that_an_event_is_gone_and_why() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", small(&fs)).unwrap();
    for number in 1..=30 {
        journal.append(numbered("ada", number)).unwrap();
    }
    let by = retain(&journal, rule().tag("half:1")).rules[0].erasures[0];
    for query in [CaseQuery::new(), CaseQuery::new().kind("account.noted")] {
        let bytes = journal.export_case(&query).unwrap();
        let trust = CaseTrust {
            keys: vec![journal.reader().verifier_key().unwrap()],
            ..CaseTrust::default()
        };
        let report = verify_case(&bytes, &trust);
        assert_eq!(
            report.overall(),
            CaseVerdict::Holds,
            "{:?}",
            report.findings
        );
        let case = report.case.unwrap();
        let whole = case
            .file
            .records
            .iter()
            .filter(|one| one.erased_by == Some(by));
        assert_eq!(whole.count(), 15);
    }
}

#[test]
fn a_reader_elsewhere_is_given_stubs_and_finds_nothing_by_what_is_gone() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", small(&fs)).unwrap();
    for number in 1..=40 {
        journal.append(numbered("ada", number)).unwrap();
    }
    journal.housekeep().unwrap();
    let elsewhere = Journal::open_read_only("j", small(&fs)).unwrap();
    let begun = journal.reader().read(Query::all().from(1).until(41));
    retain(&journal, these(&[1, 2, 3, 40]));
    let given: Vec<_> = begun
        .map(|event| event.unwrap().facts().is_none())
        .collect();
    assert_eq!(given.iter().filter(|bare| **bare).count(), 4);
    journal.append(numbered("ada", 50)).unwrap();
    journal.housekeep().unwrap();
    while elsewhere.refresh().unwrap() {}
    for reader in [&elsewhere, journal.reader()] {
        assert!(reader.get(3).unwrap().unwrap().facts().is_none());
        assert!(reader.get_by_id(id(3)).unwrap().is_none());
        assert_eq!(found(reader, Query::all().tag("number:00003")), [0; 0]);
        let head = reader.stream_head("bank", "ada").unwrap().unwrap();
        assert_eq!(head.revision, 40);
        assert_eq!(found(reader, Query::stream("bank", "ada")).len(), 41);
    }
    let fresh = Journal::open_read_only("j", small(&fs)).unwrap();
    assert_eq!(
        fresh.stream_head("bank", "ada").unwrap().unwrap().revision,
        40
    );
}

/// One that had them before keeps what it made of them; one that comes later has the same place.
#[test]
fn projections_pass_over_full_stubs_and_count_them() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", small(&fs)).unwrap();
    for number in 1..=60 {
        journal.append(numbered("ada", number)).unwrap();
    }
    let list = |name: &str, query: Query<'static>| {
        let note = |list: &mut Vec<u64>, event: &factlog::EventRef<'_>| {
            list.push(event.sequence());
            Ok(())
        };
        InMemory::new(name, 1, query, Vec::new, note)
    };
    let projector = Projector::start(journal.reader(), "views", Retries::new()).unwrap();
    let (early, before) = list("early", Query::all().scope("bank"));
    projector.add(early).unwrap();
    assert!(projector.wait_for(60, LONG));
    retain(&journal, rule().tag("half:1"));
    journal.append(numbered("ada", 62)).unwrap();
    let end = journal.reader().len() - 1;
    let (all, every) = list("all", Query::all());
    let (kind, noted) = list("kind", Query::all().kind("account.noted"));
    projector.add(all).unwrap();
    projector.add(kind).unwrap();
    assert!(projector.wait_for(end, LONG));
    let even: Vec<u64> = (1..=60).filter(|number| number % 2 == 0).collect();
    let with_last = |mut list: Vec<u64>| {
        list.push(end);
        list
    };
    let below = |list: &Vec<u64>| -> Vec<u64> {
        let below = list.iter().copied();
        below.filter(|one| (1..=60).contains(one)).collect()
    };
    assert_eq!(every.read(|list, _| below(list)), even);
    assert_eq!(noted.read(|list, _| list.clone()), with_last(even));
    let all = with_last((1..=60).collect());
    assert_eq!(before.read(|list, _| list.clone()), all);
    for status in projector.stop() {
        let erased = if status.name == "all" { 30 } else { 0 };
        let counts = (status.erased, status.failures);
        assert_eq!(counts, (erased, 0), "{}", status.name);
    }
}

#[cfg(feature = "encryption")]
#[test]
fn of_sealed_events_that_went_in_full_nothing_is_left_to_open_and_all_others_open() {
    use encrypted::{SECRET, content, event, read, shred};

    let fs = Arc::new(MemFs::new());
    let journal = encrypted::create(&fs, factlog::KeyDomain::Stream);
    let (gone, shredded, kept) = ("ada-9513", "eve-9514", "kim-9515");
    let mut places = Vec::new();
    for entity in [gone, shredded, kept, gone] {
        places.push(journal.append(event(entity)).unwrap());
    }
    let stands = |name: &str| {
        let stores = ["journal/segments", "journal/index"];
        let files = stores.map(|dir| encrypted::files(&fs, Path::new(dir)));
        let mut files = files.iter().flatten();
        files.any(|(_, bytes)| bytes.windows(name.len()).any(|at| at == name.as_bytes()))
    };
    shred(&journal, shredded);
    assert!(stands(gone) && stands(shredded));
    // By what is inside, of the one; by its key that is no more, of the other.
    let secret = rule().only_if(move |event| {
        let entity = event.facts().map(|facts| facts.entity.to_owned());
        entity.as_deref() == Some(gone) && content(event).is_ok_and(|plain| plain == SECRET)
    });
    assert_eq!(retain(&journal, secret).rules[0].events, 2);
    assert_eq!(retain(&journal, rule().shredded()).rules[0].events, 1);

    let check = |journal: &Journal| {
        let reader = journal.reader();
        let bare = [0, 1, 3].map(|at: usize| places[at].sequence());
        for sequence in bare {
            let stub = reader.get(sequence).unwrap().unwrap();
            assert!(stub.facts().is_none() && stub.sections().count() == 0);
            assert!(reader.erased_by(sequence).unwrap().is_some());
        }
        let mut lent = reader.read(Query::all().from(places[0].sequence()));
        let mut opened = 0;
        while let Some(event) = lent.next_ref().unwrap() {
            let facts = event.facts().unwrap();
            assert_eq!(facts.is_none(), bare.contains(&event.sequence()));
            assert!(!event.is_shredded());
            let secret = facts.is_some_and(|facts| facts.scope == "bank");
            let data = event.data().unwrap();
            assert_eq!(data == Some(SECRET), secret);
            opened += u64::from(secret);
        }
        assert_eq!(read(reader, kept).unwrap(), SECRET);
        assert!(!stands(gone) || opened > 1);
        assert!(!stands(shredded));
        opened
    };
    assert_eq!(check(&journal), 1);
    assert!(!stands(gone));
    let verify_holds = |reader: &Reader| {
        let options = VerifyOptions::new()
            .file_system(Arc::clone(&fs) as Arc<dyn StoreFs>)
            .key(reader.verifier_key().unwrap())
            .checkpoint(reader.checkpoint().unwrap());
        let report = verify("journal", &options).unwrap();
        assert_eq!(report.outcome(false), Outcome::Holds, "{report:?}");
    };
    verify_holds(journal.reader());
    journal.close().unwrap();
    let journal = encrypted::open(&fs);
    assert_eq!(check(&journal), 1);
    // The stream begins anew, under a key that is there.
    let again = journal.append(event(gone)).unwrap();
    assert_eq!(again.revision(), 0);
    assert_eq!(read(journal.reader(), gone).unwrap(), SECRET);
    assert_eq!(check(&journal), 2);
    verify_holds(journal.reader());
}

/// Longer than any test takes that isn't stuck.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

/// Once an erasure is ordered, does something as often as the clock was read.
struct Meanwhile {
    journal: Mutex<Option<Arc<Journal>>>,
    left: AtomicI64,
    work: fn(&Journal),
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Clock for Meanwhile {
    fn now_micros(&self) -> i64 {
        if let Ok(mut journal) = self.journal.try_lock()
            && let Some(held) = journal.as_ref()
            && held
                .reader()
                .read(Query::all().kind("erasure.ordered"))
                .next()
                .is_some()
            && self.left.fetch_sub(1, Relaxed) == 0
            && let Some(held) = journal.take()
        {
            (self.work)(&held);
        }
        1_000_000
    }
}

const LAST: u64 = 2000;

/// As long as a hold may come and keep an event, its id and its stream are not free.
#[test]
fn an_event_that_a_hold_saves_still_has_its_id_and_its_stream() {
    let hold: fn(&Journal) = |journal| {
        // A repeat is answered with what is there, or brings back what is gone.
        for number in [1, LAST] {
            journal.append(numbered("ada", number)).unwrap();
        }
        let all = Selector::Scope("bank".to_owned());
        journal.hold(&[all], "case 4").unwrap();
    };
    let mut kept = Vec::new();
    for after in [0, 2, 3, 4, 5, 6, 8] {
        let fs = Arc::new(MemFs::new());
        let journal = Journal::create("j", small(&fs)).unwrap();
        for numbers in (1..=LAST).collect::<Vec<_>>().chunks(10) {
            let events: Vec<_> = numbers
                .iter()
                .map(|number| numbered("ada", *number))
                .collect();
            journal.append_batch(&events).unwrap();
        }
        journal.close().unwrap();
        let clock = Arc::new(Meanwhile {
            journal: Mutex::default(),
            left: AtomicI64::new(after),
            work: hold,
        });
        let options = small(&fs).dangerous().clock(Arc::clone(&clock) as _);
        let journal = Arc::new(Journal::open("j", options).unwrap());
        *clock.journal.lock().unwrap() = Some(Arc::clone(&journal));
        let retention = Retention::new(vec![rule().scope("bank")]);
        let retention = retention.how(Compaction::new().rate(1 << 40));
        journal.retain(&retention).unwrap();
        let there = |sequence: &u64| {
            let event = journal.reader().get(*sequence).unwrap().unwrap();
            event.facts().is_some()
        };
        kept.push((1..=LAST).filter(there).count());
        verify_holds(&fs, journal.reader());
        journal.append(numbered("ada", 5000)).unwrap();
        verify_holds(&fs, journal.reader());
    }
    assert!(kept.iter().any(|kept| (1..2000).contains(kept)), "{kept:?}");
}
