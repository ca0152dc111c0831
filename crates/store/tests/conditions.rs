//! What appends may rest on besides the streams they write to, and who wins when many decide at once.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use factlog::{
    Condition, Conflict, Error, Expect, Journal, Misuse, NewEvent, Options, Query, Uuid,
};
use factlog_fs::MemFs;

fn unsigned() -> Journal {
    let fs = Arc::new(MemFs::new());
    Journal::create("j", Options::new().file_system(fs)).unwrap()
}

fn event<'a>(entity: &'a str, kind: &'a str, tag: &'a str) -> NewEvent<'a> {
    NewEvent::new("shop", entity, kind).tag(tag)
}

fn moved(result: Result<factlog::BatchReceipt, Error>) -> (usize, u64) {
    match result {
        Err(Error::Conflict(Conflict::Boundary {
            condition,
            sequence,
        })) => (condition, sequence),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_condition_is_met_by_exactly_the_events_that_its_query_takes() {
    let journal = unsigned();
    journal.append(event("a", "cart.filled", "t1")).unwrap(); // 1
    journal
        .append(event("b", "cart.paid", "t1").tag("t2"))
        .unwrap(); // 2
    let all = Query::all;
    let cases: Vec<(Query<'_>, Option<u64>)> = vec![
        (all().kind("cart.filled"), Some(1)),
        (all().kind("cart.paid"), Some(2)),
        (all().kind("cart.paid").kind("cart.filled"), Some(1)),
        (all().kind("cart.lost"), None),
        (all().tag("t1"), Some(1)),
        (all().tag("t1").tag("t2"), Some(2)),
        (all().tag("t1").tag("t3"), None),
        (all().tag("t1").kind("cart.paid"), Some(2)),
        (all().tag("t1").from(2), Some(2)),
        (all().tag("t1").from(3), None),
        (Query::stream("shop", "b"), Some(2)),
        (Query::stream("shop", "c"), None),
        (Query::stream("shop", "b").kind("cart.filled"), None),
        (
            Query::stream("shop", "c").in_stream("shop", "b").tag("t1"),
            Some(2),
        ),
        (all().tag("t3").or().kind("cart.paid"), Some(2)),
        (all().tag("t3").or().kind("cart.lost"), None),
        (all(), Some(0)),
    ];
    let before = journal.reader().len();
    for (query, expected) in cases {
        // A condition that can't hold goes along where this one does, so that nothing is ever written.
        let never = Condition::stream("shop", "a", Expect::NoStream);
        let mut conditions = vec![Condition::nothing(query.clone())];
        conditions.extend(expected.is_none().then_some(never));
        let result = journal.append_if(&[event("z", "cart.checked", "other")], &conditions);
        match expected {
            Some(sequence) => assert_eq!(moved(result), (0, sequence), "{query:?}"),
            None => assert!(
                matches!(result, Err(Error::Conflict(Conflict::Expectation { .. }))),
                "{query:?}"
            ),
        }
        let read = journal.reader().read(query).next();
        assert_eq!(read.map(|event| event.unwrap().sequence()), expected);
    }
    assert_eq!(journal.reader().len(), before, "nothing was written");
}

#[test]
fn events_of_the_same_append_do_not_count_against_its_conditions() {
    let journal = unsigned();
    let batch = [
        event("a", "seat.taken", "seat:1"),
        event("b", "seat.taken", "seat:1"),
    ];
    let free = || [Condition::nothing(Query::all().tag("seat:1"))];
    journal.append_if(&batch, &free()).unwrap();
    assert_eq!(moved(journal.append_if(&batch, &free())), (0, 1));
}

#[test]
fn streams_that_are_not_written_are_checked() {
    let journal = unsigned();
    journal.append(event("tariff", "tariff.set", "t")).unwrap();
    let append = |expect| {
        let condition = Condition::stream("shop", "tariff", expect);
        journal.append_if(&[event("order", "order.placed", "o")], &[condition])
    };
    append(Expect::Revision(0)).unwrap();
    append(Expect::Any).unwrap();
    for wrong in [Expect::NoStream, Expect::Revision(1)] {
        match append(wrong) {
            Err(Error::Conflict(Conflict::Expectation {
                entity,
                expected,
                found,
                ..
            })) => assert_eq!((&*entity, expected, found), ("tariff", wrong, Some(0))),
            other => panic!("{other:?}"),
        }
    }
    let tariff = journal.reader().stream_head("shop", "tariff").unwrap();
    assert_eq!(tariff.unwrap().revision, 0, "checking writes nothing");
}

/// Found elsewhere: the condition was checked before idempotency, so that the retry of a write that had
/// succeeded got a conflict in place of its receipt.
#[test]
fn streams_whose_heads_are_not_held_in_memory_go_on_where_they_ended() {
    let fs = Arc::new(MemFs::new());
    let options = || {
        Options::new()
            .file_system(Arc::clone(&fs) as _)
            .stream_heads(1)
    };
    let names: Vec<String> = (0..20).map(|stream| format!("s{stream}")).collect();
    let mut journal = Journal::create("j", options()).unwrap();
    for revision in 0..6 {
        for name in &names {
            let expect = match revision {
                0 => Expect::NoStream,
                _ => Expect::Revision(revision - 1),
            };
            let wrong = event(name, "cart.filled", "t").expect(Expect::Revision(revision));
            assert!(matches!(journal.append(wrong), Err(Error::Conflict(_))));
            let receipt = journal.append(event(name, "cart.filled", "t").expect(expect));
            assert_eq!(receipt.unwrap().revision(), revision);
        }
        if revision == 3 {
            journal.close().unwrap();
            journal = Journal::open("j", options()).unwrap();
        }
    }
}

#[test]
fn a_conditional_append_that_succeeded_can_be_retried() {
    let journal = Journal::in_memory().unwrap();
    let id = Uuid::from_u128(7);
    let append = |journal: &Journal, name: &str| {
        let user = NewEvent::new("users", "u1", "user.registered")
            .tag(format!("name:{name}"))
            .id(id)
            .expect(Expect::NoStream);
        let free = Query::all().tag(format!("name:{name}"));
        journal.append_if(&[user], &[Condition::nothing(free)])
    };
    let first = append(&journal, "ada").unwrap();
    assert!(!first.already());
    let again = append(&journal, "ada").unwrap();
    assert!(again.already());
    let (first, again) = (first.receipt(0).unwrap(), again.receipt(0).unwrap());
    assert_eq!(again.event_hash(), first.event_hash());
    // The id says nothing about another request, which is neither written nor answered with the receipt.
    match append(&journal, "eve") {
        Err(Error::Conflict(Conflict::IdReused { sequence, .. })) => assert_eq!(sequence, 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(journal.reader().len(), 2);
}

#[test]
fn a_condition_that_can_not_be_checked_is_refused() {
    let journal = unsigned();
    let end = journal.reader().len();
    let refused = [
        Query::all().limit(1),
        Query::all().reverse(),
        Query::all().facts_only(),
        Query::all().until(1),
        Query::all().recorded_from(0),
        Query::all().recorded_until(0),
        Query::all().scope("shop"),
        Query::all().tag("t").or().category("cart"),
        // Read from another, longer journal.
        Query::all().from(end + 1),
    ];
    for query in refused {
        let result = journal.append_if(
            &[event("a", "cart.filled", "t")],
            &[Condition::nothing(query.clone())],
        );
        assert!(
            matches!(result, Err(Error::Misuse(Misuse::Condition(_)))),
            "{query:?}"
        );
    }
    assert_eq!(journal.reader().len(), end);
}

#[test]
fn what_was_read_tells_where_the_journal_ended() {
    let journal = unsigned();
    let query = || Query::all().tag("course:c1");
    let read = journal.reader().read(query());
    let end = read.end();
    // Between reading and appending somebody else decides.
    journal.append(event("x", "other", "course:c2")).unwrap();
    let moves = journal.append(event("x", "other", "course:c1")).unwrap();
    assert_eq!(read.count(), 0);
    let condition = Condition::nothing(query().from(end));
    let result = journal.append_if(&[event("y", "mine", "course:c1")], &[condition]);
    assert_eq!(moved(result), (0, moves.sequence()));
}

/// Each thread decides upon what it knows; with each answer it knows one event more. If two of one round
/// ever won, there were more events than rounds.
#[test]
fn of_32_threads_on_one_boundary_exactly_one_wins_each_of_10000_rounds() {
    const ROUNDS: u64 = 10_000;
    let journal = unsigned();
    let first = journal.reader().len();
    let won = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut mark = first;
                while mark < first + ROUNDS {
                    let nothing_since = Condition::nothing(Query::all().tag("it").from(mark));
                    let append =
                        journal.append_if(&[event("e", "round.won", "it")], &[nothing_since]);
                    mark = 1 + match append {
                        Ok(receipt) => {
                            won.fetch_add(1, Relaxed);
                            receipt.first_sequence()
                        }
                        Err(Error::Conflict(Conflict::Boundary { sequence, .. })) => sequence,
                        Err(error) => panic!("{error}"),
                    };
                }
            });
        }
    });
    assert_eq!(won.load(Relaxed), ROUNDS);
    assert_eq!(journal.reader().len(), first + ROUNDS);
}

/// What a query takes, by looking at every event.
fn by_looking(journal: &Journal, takes: impl Fn(u64, &str, &[&str]) -> bool) -> Vec<u64> {
    let all = journal.reader().read(Query::all().category("thing"));
    let all = all.map(Result::unwrap).filter(|event| {
        let facts = event.facts().unwrap();
        let tags: Vec<&str> = facts.tags.iter().collect();
        takes(event.sequence(), facts.kind, &tags)
    });
    all.map(|event| event.sequence()).collect()
}

fn found(journal: &Journal, query: Query<'_>) -> Vec<u64> {
    let events = journal.reader().read(query);
    events.map(|event| event.unwrap().sequence()).collect()
}

fn check_answers(journal: &Journal) {
    let all = Query::all;
    let answers: [(Query<'_>, Vec<u64>); 6] = [
        (
            all().kind("thing.k3"),
            by_looking(journal, |_, kind, _| kind == "thing.k3"),
        ),
        (
            all().kind("thing.k3").kind("thing.k0").tag("every:2"),
            by_looking(journal, |_, kind, tags| {
                ["thing.k0", "thing.k3"].contains(&kind) && tags.contains(&"every:2")
            }),
        ),
        (
            all().tag("every:2").tag("every:1001"),
            by_looking(journal, |_, _, tags| {
                tags.contains(&"every:2") && tags.contains(&"every:1001")
            }),
        ),
        (
            all()
                .tag("every:1001")
                .or()
                .kind("thing.k1")
                .tag("every:77"),
            by_looking(journal, |_, kind, tags| {
                tags.contains(&"every:1001") || kind == "thing.k1" && tags.contains(&"every:77")
            }),
        ),
        (
            all().tag("every:77").from(4_000).until(9_001),
            by_looking(journal, |at, _, tags| {
                tags.contains(&"every:77") && (4_000..9_001).contains(&at)
            }),
        ),
        (all().tag("every:3"), Vec::new()),
    ];
    for (query, expected) in answers {
        assert_eq!(found(journal, query.clone()), expected, "{query:?}");
        let backwards: Vec<u64> = expected.iter().rev().copied().collect();
        assert_eq!(found(journal, query.clone().reverse()), backwards);
        let first: Vec<u64> = expected.iter().take(1).copied().collect();
        assert_eq!(found(journal, query.limit(1)), first);
    }
}

#[test]
fn kinds_and_tags_are_found_in_an_index_that_was_kept_and_in_one_made_anew_byte_for_byte() {
    let fs = Arc::new(MemFs::new());
    let options = || Options::new().file_system(Arc::clone(&fs) as Arc<MemFs>);
    let journal = Journal::create("j", options()).unwrap();
    for first in (0..12_000u64).step_by(500) {
        let things = (first..first + 500).map(|number| {
            let kind = format!("thing.k{}", number % 7);
            let event = NewEvent::new("things", format!("t{}", number % 50), kind);
            let of = [2, 77, 1001]
                .into_iter()
                .filter(|every| number % every == 0);
            of.fold(event, |event, every| event.tag(format!("every:{every}")))
        });
        journal.append_batch(&things.collect::<Vec<_>>()).unwrap();
    }
    check_answers(&journal);
    journal.close().unwrap();
    let index = std::path::Path::new("j/index");
    let kept: Vec<_> = support::files(fs.as_ref(), index)
        .into_iter()
        .map(|path| (support::content(fs.as_ref(), &path), path))
        .collect();
    assert!(
        kept.len() >= 2,
        "the events reach beyond what stands in memory"
    );
    for (_, path) in &kept {
        factlog_fs::StoreFs::remove_file(fs.as_ref(), path).unwrap();
    }
    let journal = Journal::open("j", options()).unwrap();
    journal.housekeep().unwrap();
    check_answers(&journal);
    journal.close().unwrap();
    for (bytes, path) in kept {
        assert_eq!(
            support::content(fs.as_ref(), &path),
            bytes,
            "{}",
            path.display()
        );
    }
    let verified = factlog::VerifyOptions::new().file_system(fs);
    let report = factlog::verify("j", &verified).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}
