//! Reading in every way that there is gives the same events, and damage ends in an error in all of them.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use factlog::{
    Clock, Condition, Encoding, Error, Event, Events, Journal, NewEvent, Options, Query, Uuid,
    VerifyOptions, verify,
};
use factlog_fs::{MemFs, OpenMode, StoreFs, read_file};

const EVENTS: u64 = 3000;

/// A journal of several sealed segments and one that isn't.
fn fill(dir: &Path, maps: bool) -> Journal {
    let options = Options::new().fresh_signing_key().map_segments(maps);
    let journal = Journal::create(dir, options.segment_len(64 << 10)).unwrap();
    for start in (0..EVENTS).step_by(100) {
        let names: Vec<_> = (start..start + 100)
            .map(|number| {
                (
                    format!("account-{}", number % 7),
                    vec![number as u8; (number % 90) as usize],
                )
            })
            .collect();
        let events: Vec<_> = names
            .iter()
            .map(|(name, payload)| {
                let kind = ["account.opened", "account.moved"][payload.len() % 2];
                NewEvent::new("bank", name, kind)
                    .tag(if payload.len() % 3 == 0 {
                        "third"
                    } else {
                        "other"
                    })
                    .data(Encoding::Raw, payload.as_slice())
            })
            .collect();
        journal.append_batch(&events).unwrap();
    }
    assert!(journal.reader().stats().unwrap().segments > 5);
    journal
}

fn queries() -> Vec<Query<'static>> {
    let all = Query::all();
    vec![
        all.clone(),
        all.clone().from(17).until(2000),
        all.clone().limit(5),
        all.clone().reverse(),
        all.clone().scope("bank"),
        all.clone().category("account").from(700).limit(900),
        all.clone().kind("account.moved").tag("third"),
        all.clone().tag("third").reverse().limit(50),
        all.recorded_from(i64::MAX),
        Query::stream("bank", "account-3"),
        Query::stream("bank", "account-3").reverse().from(100),
        Query::stream("bank", "nobody"),
    ]
}

fn bytes_of(event: &Event) -> (u64, Vec<u8>) {
    let data = event
        .data()
        .and_then(|data| data.bytes().map(<[u8]>::to_vec));
    (event.sequence(), data.unwrap_or_default())
}

/// What is lent, as copies.
fn lent(mut events: Events) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(event) = events.next_ref().unwrap() {
        let data = event.data().unwrap().unwrap_or_default().to_vec();
        let copy = event.to_event().unwrap();
        assert_eq!(copy.facts(), event.facts().unwrap());
        assert_eq!(
            (copy.revision(), copy.stream_id()),
            (event.revision(), event.stream_id())
        );
        assert_eq!(
            (copy.recorded_at(), copy.previous_hash()),
            (event.recorded_at(), event.previous_hash())
        );
        all.push((event.sequence(), data));
    }
    assert!(events.next().is_none(), "an end is an end");
    all
}

#[test]
fn lent_and_mapped_events_are_those_that_are_read_by_position() {
    for maps in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = fill(&path, maps);
        let other = Journal::open_read_only(&path, Options::new().map_segments(true)).unwrap();
        for query in queries() {
            let read = |reader: &factlog::Reader| -> Vec<_> {
                let events = reader.read(query.clone()).map(Result::unwrap);
                events.map(|event| bytes_of(&event)).collect()
            };
            let here = read(journal.reader());
            assert_eq!(
                here,
                lent(journal.reader().read(query.clone())),
                "{query:?}"
            );
            // Another process can't know of the last group yet.
            let shown = other.len();
            let mut there = read(&other);
            there.retain(|(sequence, _)| *sequence < shown);
            if !format!("{query:?}").contains("limit: Some") {
                let here: Vec<_> = here.iter().filter(|(at, _)| *at < shown).cloned().collect();
                assert_eq!(here, there, "{query:?}");
            }
        }
        for sequence in 0..journal.reader().len() {
            let event = journal.reader().get(sequence).unwrap().unwrap();
            assert_eq!(event.sequence(), sequence);
            let id = event.id().unwrap();
            let by_id = journal.reader().get_by_id(id).unwrap().unwrap();
            assert_eq!(bytes_of(&by_id), bytes_of(&event));
        }
        // Copies and loans of one walk follow one another.
        let mut mixed = journal.reader().read(Query::all());
        for sequence in 0..50 {
            let found = match sequence % 2 {
                0 => mixed.next().unwrap().unwrap().sequence(),
                _ => mixed.next_ref().unwrap().unwrap().sequence(),
            };
            assert_eq!(found, sequence);
        }
    }
}

#[test]
fn a_flipped_byte_of_a_sealed_segment_is_an_error_however_it_is_read() {
    for maps in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = fill(&path, maps);
        let mut segments: Vec<_> = std::fs::read_dir(path.join("segments"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
            .collect();
        segments.sort();
        let victim = &segments[1];
        let mut bytes = std::fs::read(victim).unwrap();
        // Within a payload: only there is a byte that is one event's and no other's for certain.
        let middle = bytes.len() / 2;
        let alike = |run: &[u8]| run[0] != 0 && run.iter().all(|byte| *byte == run[0]);
        let payload = bytes[middle..].windows(32).position(alike).unwrap();
        bytes[middle + payload + 16] ^= 1;
        std::fs::write(victim, bytes).unwrap();
        let reader = journal.reader();
        let damaged = |error: Error| assert!(matches!(error, Error::Damaged(_)), "{error}");
        let copies = reader.read(Query::all()).find_map(Result::err);
        damaged(copies.expect("the scan meets it"));
        let mut lent = reader.read(Query::all());
        let error = loop {
            match lent.next_ref() {
                Ok(event) => assert!(event.is_some(), "the scan meets it"),
                Err(error) => break error,
            }
        };
        damaged(error);
        assert!(
            lent.next_ref().unwrap().is_none(),
            "after an error there is nothing"
        );
        let bad = (0..reader.len()).filter_map(|sequence| reader.get(sequence).err());
        assert_eq!(bad.map(damaged).count(), 1, "one event, and no other");
    }
}

/// A clock that stands where it is put.
#[derive(Debug, Default)]
struct Stopped(AtomicI64);

impl Clock for Stopped {
    fn now_micros(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

#[test]
fn times_bound_what_is_read_in_every_direction() {
    let clock = Arc::new(Stopped::default());
    let fs = Arc::new(MemFs::new());
    let options = Options::new().file_system(fs).dangerous();
    let options = options.clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let journal = Journal::create("journal", options.segment_len(64 << 10)).unwrap();
    // Several events share a time, and once the clock steps back.
    for (number, time) in (0..600).map(|number| (number, 10 * (number / 4))) {
        clock
            .0
            .store(if number % 50 == 0 { 1 } else { time }, Relaxed);
        let event = NewEvent::new("bank", "a", "account.moved");
        journal
            .append(event.data(Encoding::Raw, vec![7; 200]))
            .unwrap();
    }
    let reader = journal.reader();
    let all: Vec<_> = reader.read(Query::all()).map(Result::unwrap).collect();
    let of = |query: Query<'static>| -> Vec<u64> {
        let events = reader.read(query).map(Result::unwrap);
        events.map(|event| event.sequence()).collect()
    };
    let in_bank: HashSet<u64> = of(Query::all().scope("bank")).into_iter().collect();
    for from in (-5..1510).step_by(5) {
        for until in [from - 1, from, from + 1, from + 10, from + 395] {
            let wanted = all
                .iter()
                .filter(|event| (from..until).contains(&event.recorded_at()));
            let mut wanted: Vec<u64> = wanted.map(Event::sequence).collect();
            let query = Query::all().recorded_from(from).recorded_until(until);
            assert_eq!(of(query.clone()), wanted, "{from} to {until}");
            let moved = of(query.clone().kind("account.moved"));
            let of_bank = wanted
                .iter()
                .copied()
                .filter(|sequence| in_bank.contains(sequence));
            assert_eq!(moved, of_bank.collect::<Vec<_>>(), "{from} to {until}");
            wanted.reverse();
            assert_eq!(of(query.reverse()), wanted, "{from} to {until}, downwards");
        }
    }
}

#[test]
fn events_of_one_correlation_are_found_forbidden_and_indexed_again() {
    let fs = Arc::new(MemFs::new());
    let options = || Options::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
    let journal = Journal::create("journal", options()).unwrap();
    let id = |of: u128| Uuid::from_u128(of);
    let event = |number: u128| {
        let event = NewEvent::new("bank", format!("a-{}", number % 3), "account.moved");
        let event = event.tag(format!("n:{}", number % 2));
        match number % 5 {
            0 => event,
            work => event.correlation(id(work)),
        }
    };
    let events: Vec<_> = (0..9000).map(event).collect();
    journal.append_batch(&events).unwrap();
    let count = |journal: &Journal, query: Query<'_>| journal.reader().read(query).count();
    let check = |journal: &Journal| {
        let query = || Query::all().correlation(id(3));
        assert_eq!(count(journal, query()), 1800);
        assert_eq!(count(journal, query().tag("n:1")), 900);
        assert_eq!(count(journal, query().kind("account.closed")), 0);
        assert_eq!(count(journal, Query::all().correlation(id(77))), 0);
        assert_eq!(count(journal, query().or().correlation(id(4))), 3600);
        // Found through the index, and by looking at each event.
        assert_eq!(
            count(
                journal,
                query().scope("bank").or().scope("bank").correlation(id(3))
            ),
            1800
        );
    };
    check(&journal);
    let nothing = |of| Condition::nothing(Query::all().correlation(id(of)));
    let again = |of| journal.append_if(&[event(1)], &[nothing(of)]);
    assert_eq!(again(2).unwrap_err().code(), "conflict.boundary_moved");
    again(77).unwrap();
    let fresh = || NewEvent::new("bank", "a", "account.moved").correlation(id(78));
    journal.append(fresh()).unwrap();
    // Durable a moment ago, and compared in memory.
    assert_eq!(again(78).unwrap_err().code(), "conflict.boundary_moved");
    journal.close().unwrap();
    let verified = || {
        let options = VerifyOptions::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
        let report = verify("journal", &options.internal(true)).unwrap();
        assert_eq!(report.findings, [], "the index is the log's");
    };
    verified();
    let index = Path::new("journal/index");
    for entry in fs.list(index).unwrap() {
        fs.remove_file(&index.join(entry.name)).unwrap();
    }
    let journal = Journal::open("journal", options()).unwrap();
    check(&journal);
    journal.append(fresh()).unwrap();
    journal.close().unwrap();
    verified();
}

/// What is found through the index isn't looked for among other events: damage to one of them is not met.
#[test]
fn events_of_a_category_are_found_without_reading_the_others() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", super::options(&fs)).unwrap();
    let of = |number: u64, kind: &'static str, payload: &[u8]| {
        NewEvent::new("bank", format!("a-{}", number % 9), kind)
            .data(Encoding::Raw, payload.to_vec())
    };
    let marker = b"the one event that is going to be damaged";
    let kinds = [
        "account.opened",
        "account",
        "accounts.opened",
        "account.moved",
    ];
    // A minority: what most events have is found by a look at all of them.
    let kind = |number: usize| kinds.get(number % 20).copied().unwrap_or("noise.made");
    let events: Vec<_> = (0..400)
        .map(|number| of(number, kind(number as usize), b"x"))
        .collect();
    journal.append_batch(&events[..300]).unwrap();
    journal.append(of(0, "loan.granted", marker)).unwrap();
    journal.append_batch(&events[300..]).unwrap();
    let segments = Path::new("j/segments");
    let entries = fs.list(segments).unwrap();
    let segment = entries
        .iter()
        .map(|entry| segments.join(&entry.name))
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let bytes = read_file(fs.as_ref(), &segment, usize::MAX).unwrap();
    let at = bytes
        .windows(marker.len())
        .position(|bytes| bytes == marker)
        .unwrap();
    let file = fs.open(&segment, OpenMode::Write).unwrap();
    file.write_at(b"T", at as u64).unwrap();
    let count = |query: Query<'static>| {
        let events: Result<Vec<_>, Error> = journal.reader().read(query).collect();
        events.map(|events| events.len())
    };
    assert!(count(Query::all()).is_err(), "the damage is there");
    assert_eq!(count(Query::all().category("account")).unwrap(), 60);
    assert_eq!(
        count(Query::all().category("account").reverse().limit(7)).unwrap(),
        7
    );
    assert_eq!(
        count(Query::all().category("accounts").or().kind("account")).unwrap(),
        40
    );
    assert_eq!(count(Query::all().category("nothing")).unwrap(), 0);
}

/// A run that is damaged while the journal is open is made again from the events, with all that they are
/// found by: correlation ids used to be left out.
#[test]
fn a_part_of_the_index_that_is_made_again_finds_by_everything() {
    let fs = Arc::new(MemFs::new());
    let options = super::options(&fs).dangerous().without_housekeeper();
    let journal = Journal::create("j", options).unwrap();
    let work = Uuid::from_u128(77);
    let named = || {
        let event = NewEvent::new("bank", "one", "loan.granted");
        let event = event.tag("special").correlation(work);
        event.id(Uuid::from_u128(7))
    };
    journal.append(named()).unwrap();
    let events: Vec<_> = (0..1000)
        .map(|number| NewEvent::new("bank", format!("a-{number}"), "account.opened"))
        .collect();
    for _ in 0..5 {
        journal.append_batch(&events).unwrap();
    }
    journal.housekeep().unwrap();
    let index = Path::new("j/index");
    let runs = fs.list(index).unwrap();
    assert_eq!(runs.len(), 1, "4096 events have a run");
    let run = index.join(&runs[0].name);
    let file = fs.open(&run, OpenMode::Write).unwrap();
    let blocks = file.len().unwrap() / 4096;
    for block in 1..blocks {
        file.write_at(b"damaged", block * 4096 + 100).unwrap();
    }
    // A repeat has to be looked up, which meets the damage.
    assert!(journal.append_batch(&[named()]).unwrap().already());
    let count = |query: Query<'static>| {
        let events: Result<Vec<_>, Error> = journal.reader().read(query).collect();
        events.map(|events| events.len())
    };
    assert_eq!(count(Query::all().correlation(work)).unwrap(), 1);
    assert_eq!(count(Query::all().tag("special")).unwrap(), 1);
    assert_eq!(count(Query::all().kind("loan.granted")).unwrap(), 1);
    assert_eq!(count(Query::all().category("loan")).unwrap(), 1);
    assert_eq!(count(Query::stream("bank", "one")).unwrap(), 1);
}

/// What of a batch was hashed before one of its events was refused stayed in memory that the next append used:
/// its events were then stored with the hashes of others' sections, so that nobody could read them.
#[test]
fn a_batch_that_is_refused_half_way_leaves_nothing_to_the_next() {
    let fs = Arc::new(MemFs::new());
    let options = || Options::new().file_system(Arc::clone(&fs) as _);
    let journal = Journal::create("journal", options()).unwrap();
    let good = |text: &'static str| {
        NewEvent::new("bank", "a", "noted").data(Encoding::Raw, text.as_bytes())
    };
    let refused = [
        good("x").subject("ada"),
        good("x").tag("a\nb"),
        good("x").actor("a\nb"),
        NewEvent::new("bank", "", "noted").data(Encoding::Raw, b"x".as_slice()),
        good("x").section("data", Encoding::Raw, b"twice".as_slice()),
        good("x").data(Encoding::Raw, vec![0; (16 << 20) + 1]),
        NewEvent::new("$bank", "a", "noted").data(Encoding::Raw, b"x".as_slice()),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        let told = journal.append_batch(&[good("first"), good("second"), refused]);
        assert!(matches!(told, Err(Error::Misuse(_))), "{number}: {told:?}");
        let receipts = journal
            .append_batch(&[good("third"), good("fourth")])
            .unwrap();
        for (sequence, text) in (receipts.first_sequence()..).zip(["third", "fourth"]) {
            let event = journal.reader().get(sequence).unwrap().unwrap();
            let data = event
                .data()
                .and_then(|section| section.bytes().map(<[u8]>::to_vec));
            assert_eq!(data.as_deref(), Some(text.as_bytes()), "{number}");
        }
    }
    journal.close().unwrap();
    let found = verify("journal", &VerifyOptions::new().file_system(fs)).unwrap();
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}
