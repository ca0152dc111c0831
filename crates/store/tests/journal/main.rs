//! A journal as its users meet it: append, read, prove, close, open again.

mod compact;
mod cursors;
#[cfg(feature = "encryption")]
mod disclosed;
#[cfg(feature = "encryption")]
mod encrypted;
mod follow;
#[cfg(feature = "encryption")]
mod forged;
mod full;
mod groups;
#[cfg(feature = "encryption")]
mod keyset;
#[cfg(feature = "encryption")]
mod machine;
mod project;
mod reads;
mod retain;
#[cfg(feature = "encryption")]
mod shredded;
mod space;
mod tickets;

use std::sync::Arc;

use factlog::{
    Conflict, Encoding, Error, Expect, Journal, NewEvent, Options, Policy, Query,
    UnverifiedReceipt, Uuid,
};
use factlog_fs::MemFs;

fn options(fs: &Arc<MemFs>) -> Options {
    let fs: Arc<MemFs> = Arc::clone(fs);
    Options::new()
        .file_system(fs)
        .signing_key_file("signer.key")
}

fn event(entity: &str, text: &str) -> NewEvent<'static> {
    NewEvent::new("bank", entity.to_owned(), "account.noted")
        .data(Encoding::Raw, text.as_bytes().to_vec())
}

fn texts(journal: &Journal, query: Query<'_>) -> Vec<String> {
    let events = journal.reader().read(query);
    let text = |event: &factlog::Event| {
        String::from_utf8(event.data().unwrap().bytes().unwrap().to_vec()).unwrap()
    };
    events.map(|event| text(&event.unwrap())).collect()
}

#[test]
fn what_is_appended_is_read_in_order_after_reopening() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    for number in 0..10 {
        let entity = format!("account-{}", number % 3);
        let receipt = journal.append(event(&entity, &number.to_string())).unwrap();
        assert_eq!(receipt.sequence(), number + 1);
        assert_eq!(receipt.revision(), number / 3);
    }
    let check = |journal: &Journal| {
        assert_eq!(
            texts(journal, Query::stream("bank", "account-1")),
            ["1", "4", "7"]
        );
        assert_eq!(
            texts(journal, Query::stream("bank", "account-1").reverse()),
            ["7", "4", "1"]
        );
        assert_eq!(
            texts(journal, Query::all().scope("bank").limit(2)),
            ["0", "1"]
        );
        assert_eq!(
            texts(journal, Query::all().scope("bank").reverse().limit(2)),
            ["9", "8"]
        );
        assert_eq!(texts(journal, Query::stream("bank", "nobody")), [""; 0]);
    };
    check(&journal);
    journal.close().unwrap();
    let journal = Journal::open("j", options(&fs)).unwrap();
    assert!(journal.recovery().is_none());
    assert!(journal.read_only_reason().is_none());
    check(&journal);
    assert_eq!(
        journal.append(event("account-0", "x")).unwrap().revision(),
        4
    );
}

#[test]
fn receipts_verify_with_the_key_alone() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    let policy = Policy::from(journal.reader().verifier_key().unwrap());
    let events: Vec<_> = (0..100)
        .map(|i| event(&format!("a{}", i % 7), "x"))
        .collect();
    let batch = journal.append_batch(&events).unwrap();
    for receipt in batch.iter() {
        let text = receipt.text().unwrap();
        let verified = UnverifiedReceipt::parse(text.as_bytes())
            .unwrap()
            .verify(&policy)
            .unwrap();
        assert_eq!(verified.sequence(), receipt.sequence());
        assert_eq!(*verified.event_hash(), receipt.event_hash());
    }
    journal.close().unwrap();
    let reader = Journal::open_read_only("j", options(&fs)).unwrap();
    for sequence in 0..reader.len() {
        let text = reader.receipt(sequence).unwrap();
        let verified = UnverifiedReceipt::parse(text.as_bytes())
            .unwrap()
            .verify(&policy)
            .unwrap();
        assert_eq!(verified.sequence(), sequence);
    }
}

#[test]
fn expectations_are_three_different_words() {
    let journal = Journal::in_memory().unwrap();
    let append = |expect| {
        journal
            .append(event("a", "x").expect(expect))
            .map(|done| done.revision())
    };
    let found = |result: Result<u64, Error>| match result {
        Err(Error::Conflict(Conflict::Expectation { found, .. })) => found,
        other => panic!("no conflict: {other:?}"),
    };
    assert_eq!(found(append(Expect::Revision(0))), None);
    assert_eq!(append(Expect::NoStream).unwrap(), 0);
    assert_eq!(found(append(Expect::NoStream)), Some(0));
    assert_eq!(append(Expect::Revision(0)).unwrap(), 1);
    assert_eq!(found(append(Expect::Revision(0))), Some(1));
    assert_eq!(append(Expect::Any).unwrap(), 2);
}

#[test]
fn a_batch_is_whole_or_absent() {
    let journal = Journal::in_memory().unwrap();
    let good = event("a", "1").expect(Expect::NoStream);
    let bad = event("b", "2").expect(Expect::Revision(7));
    assert!(journal.append_batch(&[good.clone(), bad]).is_err());
    assert_eq!(journal.reader().len(), 1);
    let next = event("a", "2").expect(Expect::Revision(0));
    assert_eq!(journal.append_batch(&[good, next]).unwrap().len(), 2);
}

#[test]
fn a_repeat_is_answered_with_the_first_receipt() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    let id = Uuid::from_u128(7);
    let new = || event("a", "1").id(id).expect(Expect::NoStream);
    let first = journal.append(new()).unwrap();
    let check = |journal: &Journal| {
        // The expectation no longer holds, but the append it stood on did happen.
        let again = journal.append(new()).unwrap();
        assert!(again.already() && !first.already());
        assert_eq!(
            (again.sequence(), again.event_hash()),
            (first.sequence(), first.event_hash())
        );
        let other = journal.append(event("a", "other").id(id));
        assert!(matches!(
            other,
            Err(Error::Conflict(Conflict::IdReused { .. }))
        ));
        let partly = journal.append_batch(&[new(), event("a", "2").id(Uuid::from_u128(8))]);
        assert!(matches!(
            partly,
            Err(Error::Conflict(Conflict::PartialRepeat { .. }))
        ));
        assert_eq!(journal.reader().len(), 2);
    };
    check(&journal);
    journal.close().unwrap();
    check(&Journal::open("j", options(&fs)).unwrap());
}

#[test]
fn dropping_without_closing_loses_nothing() {
    let fs = Arc::new(MemFs::new());
    let mut journal = Journal::create("j", options(&fs)).unwrap();
    for round in 0..5 {
        for number in 0..3 {
            journal
                .append(event("a", &format!("{round}.{number}")))
                .unwrap();
        }
        drop(journal);
        journal = Journal::open("j", options(&fs)).unwrap();
        assert!(
            journal.read_only_reason().is_none(),
            "{:?}",
            journal.read_only_reason()
        );
        assert_eq!(
            texts(&journal, Query::stream("bank", "a")).len(),
            (round + 1) * 3
        );
    }
}

#[test]
fn segments_roll_and_everything_stays_readable() {
    let fs = Arc::new(MemFs::new());
    let small = |fs: &Arc<MemFs>| options(fs).segment_len(64 << 10);
    let journal = Journal::create("j", small(&fs)).unwrap();
    let text = "x".repeat(500);
    for _ in 0..60 {
        let events: Vec<_> = (0..50)
            .map(|i| event(&format!("a{}", i % 10), &text))
            .collect();
        journal.append_batch(&events).unwrap();
    }
    let check = |journal: &Journal| {
        let reader = journal.reader();
        assert!(reader.stats().unwrap().segments > 10);
        assert_eq!(reader.read(Query::all().scope("bank")).count(), 3000);
        assert_eq!(reader.read(Query::stream("bank", "a3")).count(), 300);
        assert_eq!(reader.streams().count(), 11);
        for sequence in (0..reader.len()).step_by(97) {
            assert_eq!(reader.get(sequence).unwrap().unwrap().sequence(), sequence);
        }
    };
    check(&journal);
    journal.close().unwrap();
    check(&Journal::open("j", small(&fs)).unwrap());
}

#[test]
fn many_threads_share_groups_and_lose_nothing() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..200 {
                    let receipt = journal.append(event(&format!("t{thread}"), "x")).unwrap();
                    assert_eq!(receipt.revision(), number);
                    assert!(journal.reader().len() > receipt.sequence());
                }
            });
        }
    });
    assert_eq!(journal.reader().len(), 1601);
    journal.close().unwrap();
    let journal = Journal::open("j", options(&fs)).unwrap();
    assert_eq!(journal.reader().len(), 1601);
}

#[test]
fn what_is_the_journals_own_is_refused_to_others() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    let scope = NewEvent::new("$journal", "journal", "journal.created");
    let encoding = NewEvent::new("bank", "a", "b.c").data(Encoding::Journal, b"x");
    let table = [
        (scope, "event.reserved_scope"),
        (encoding, "event.reserved_encoding"),
    ];
    for (event, code) in table {
        assert_eq!(journal.append(event).unwrap_err().code(), code);
    }
    assert_eq!(journal.reader().len(), 1);
}

/// Space is secured in one way for small groups and in another for large ones.
#[test]
fn small_and_large_appends_follow_each_other_in_any_order() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs).segment_len(1 << 20)).unwrap();
    let lens = [
        10, 200_000, 10, 300_000, 70_000, 10, 10, 900_000, 10, 60_000, 2_000_000, 10, 66_000,
    ];
    for (number, len) in lens.iter().cycle().take(100).enumerate() {
        let receipt = journal.append(event("a", &"x".repeat(*len))).unwrap();
        assert_eq!(receipt.sequence(), number as u64 + 1);
    }
    journal.close().unwrap();
    assert_eq!(
        Journal::open("j", options(&fs)).unwrap().reader().len(),
        101
    );
}

/// It was hashed and allocated for before it was refused: a terabyte of what borrows one slice.
#[test]
fn a_batch_that_borrows_one_payload_again_and_again_is_refused_at_once() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    let payload = vec![1; 16 << 20];
    let batch: Vec<_> = (0..65_536)
        .map(|_| NewEvent::new("bank", "a", "b.c").data(Encoding::Raw, payload.as_slice()))
        .collect();
    assert_eq!(
        journal.append_batch(&batch).unwrap_err().code(),
        "batch.size"
    );
    assert_eq!(journal.reader().len(), 1);
}

#[test]
fn facts_are_read_without_payloads_and_hash_to_the_same() {
    let journal = Journal::in_memory().unwrap();
    let large = vec![7; 100_000];
    journal
        .append(event("a", "x").section("more", Encoding::Raw, large))
        .unwrap();
    journal
        .append(NewEvent::new("bank", "b", "account.noted"))
        .unwrap();
    for query in [
        Query::all(),
        Query::all().reverse(),
        Query::all().kind("account.noted"),
    ] {
        let whole = journal.reader().read(query.clone());
        let facts = journal.reader().read(query.facts_only());
        for (whole, facts) in whole.zip(facts) {
            let (whole, facts) = (whole.unwrap(), facts.unwrap());
            assert_eq!(facts.hash(), whole.hash());
            assert_eq!(facts.facts().unwrap().kind, whole.facts().unwrap().kind);
            assert_eq!(
                facts.is_without_payload(),
                whole.sections().next().is_some()
            );
            let names = |event: &factlog::Event| -> Vec<String> {
                event
                    .sections()
                    .map(|section| section.name.to_owned())
                    .collect()
            };
            assert_eq!(names(&facts), names(&whole));
            assert!(facts.sections().all(|section| section.bytes().is_none()));
            assert!(!whole.is_without_payload());
        }
    }
}
