//! Appenders, readers and the housekeeper in many orders, each decided by a seed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use factlog_sim::SimFs;
use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

use super::scheduled::{Mutex, READER, waits_for_readers, with_scheduler};
use crate::{
    Condition, Conflict, Error, Expect, Journal, NewEvent, Query,
    config::{Bug, with},
    crash::{
        SCOPE,
        lab::Lab,
        oracle::verifies,
        run::{Log, read_all},
        workload::Plan,
    },
};

const APPENDERS: u64 = 3;
const EACH: u64 = 2;
const SUBMITTED: u64 = 3;

/// What an answer rests on must be visible to whoever was given it.
fn visible(journal: &Journal, sequence: u64, hash: &crate::Digest) {
    let reader = journal.reader();
    assert!(reader.len() > sequence, "acknowledged, and not visible");
    let event = reader.get(sequence).unwrap().unwrap();
    assert_eq!(event.hash(), *hash, "another event was acknowledged");
}

/// Appends to the one stream that all share, with the revision last seen, until it is right.
fn append(journal: &Journal, number: u64) {
    let mut expect = Expect::NoStream;
    loop {
        let event = Plan::small(number).event().expect(expect);
        match journal.append(event) {
            Ok(receipt) => {
                visible(journal, receipt.sequence(), &receipt.event_hash());
                break;
            }
            Err(Error::Conflict(Conflict::Expectation { found, .. })) => {
                let revision = found.expect("some stream was expected to be none");
                let stream = journal.reader().read(Query::stream(SCOPE, "account-0"));
                let seen = stream.count() as u64;
                assert!(seen > revision, "a conflict with what isn't there yet");
                expect = Expect::Revision(revision);
            }
            Err(error) => panic!("{error}"),
        }
    }
    // A retry by somebody else is answered from the same event.
    let again = journal.append(Plan::small(number).event()).unwrap();
    assert!(again.already());
    visible(journal, again.sequence(), &again.event_hash());
}

/// Tickets are answered whoever leads, also where nobody waits for some of them.
fn submit(journal: &Journal) {
    let events: Vec<NewEvent<'_>> = [997, 998].map(|number| Plan::small(number).event()).into();
    let tickets: Vec<_> = events
        .chunks(1)
        .map(|event| journal.submit(event).unwrap())
        .collect();
    let mut receipts = tickets
        .into_iter()
        .rev()
        .map(|ticket| ticket.wait().unwrap());
    let last = receipts.next().unwrap().receipt(0).unwrap();
    visible(journal, last.sequence(), &last.event_hash());
    // Nobody waits for it, and it becomes durable all the same.
    drop(journal.submit(&[Plan::small(996).event()]).unwrap());
}

/// The same event from two threads is appended once.
fn append_same(journal: &Journal) {
    let receipt = journal.append(Plan::small(999).event()).unwrap();
    visible(journal, receipt.sequence(), &receipt.event_hash());
}

fn read(journal: &Journal) {
    let mut before = 0;
    for _ in 0..4 {
        let now = journal.reader().len();
        assert!(now >= before, "events went away");
        before = now;
        for sequence in 0..now {
            let event = journal.reader().get(sequence).unwrap().unwrap();
            assert_eq!(event.sequence(), sequence);
        }
        thread::yield_now();
    }
}

fn scene() {
    with_scheduler(|| {
        let lab = Lab::new(SimFs::new(7), 7);
        let journal = Arc::new(lab.create().unwrap());
        let mut threads = Vec::new();
        for appender in 0..APPENDERS {
            let journal = Arc::clone(&journal);
            threads.push(thread::spawn(move || {
                for at in 0..EACH {
                    append(&journal, 1 + appender * EACH + at);
                }
                append_same(&journal);
            }));
        }
        for work in [read, submit, |journal: &Journal| {
            for _ in 0..3 {
                journal.housekeep().unwrap();
                thread::yield_now();
            }
        }] {
            let journal = Arc::clone(&journal);
            threads.push(thread::spawn(move || work(&journal)));
        }
        for thread in threads {
            thread.join().unwrap();
        }
        // The ticket that nobody waited for may still be open.
        journal.housekeep().unwrap();
        let found = read_all(journal.reader()).unwrap();
        let ours = found.iter().filter(|record| record.scope == SCOPE);
        let revisions: Vec<u64> = ours.map(|record| record.revision).collect();
        let wanted: Vec<u64> = (0..=APPENDERS * EACH + SUBMITTED).collect();
        assert_eq!(
            revisions, wanted,
            "events are missing, doubled or out of order"
        );
        let journal = Arc::into_inner(journal).expect("all threads have ended");
        journal.close().unwrap();
        verifies(&lab, &Log::default(), 0).unwrap();
    });
}

fn race() {
    race_of(APPENDERS, 3);
}

/// Several deciders on one boundary: each decides upon what it knows, and knows more with each answer.
fn race_of(deciders: u64, rounds: u64) {
    with_scheduler(move || {
        let lab = Lab::new(SimFs::new(7), 7);
        let journal = Arc::new(lab.create().unwrap());
        let first = journal.reader().len();
        let threads = (0..deciders).map(|_| {
            let journal = Arc::clone(&journal);
            thread::spawn(move || {
                let (mut mark, mut won) = (first, 0);
                while mark < first + rounds {
                    let event = NewEvent::new("race", "one", "round.won").tag("boundary");
                    let nothing = Condition::nothing(Query::all().tag("boundary").from(mark));
                    mark = 1 + match journal.append_if(&[event], &[nothing]) {
                        Ok(receipt) => {
                            won += 1;
                            receipt.first_sequence()
                        }
                        Err(Error::Conflict(Conflict::Boundary { sequence, .. })) => {
                            let len = journal.reader().len();
                            assert!(len > sequence, "a conflict with what isn't there yet");
                            sequence
                        }
                        Err(error) => panic!("{error}"),
                    };
                }
                won
            })
        });
        let threads: Vec<_> = threads.collect();
        let wins = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(wins.sum::<u64>(), rounds, "a round has one winner");
        assert_eq!(journal.reader().len(), first + rounds);
    });
}

/// Appenders, their housekeeper, and readers of every sort in a journal of many small segments.
fn beside_readers() {
    with_scheduler(|| {
        let before = waits_for_readers();
        let lab = Lab::new(SimFs::new(7), 7);
        let journal = Arc::new(lab.create().unwrap());
        let mut threads = Vec::new();
        for appender in 0..2 {
            let journal = Arc::clone(&journal);
            threads.push(thread::spawn(move || {
                for at in 0..EACH {
                    let event = Plan::small(1 + appender * EACH + at).event();
                    journal.append(event).unwrap();
                }
                journal.writer().unwrap().roll().unwrap();
                journal.housekeep().unwrap();
            }));
        }
        for way in 0..3 {
            let journal = Arc::clone(&journal);
            let reader = thread::Builder::new().name(READER.to_owned());
            let read = move || {
                let reader = journal.reader();
                match way {
                    0 => read(&journal),
                    1 => {
                        assert!(reader.read(Query::all()).all(|event| event.is_ok()));
                        reader.stats().unwrap();
                    }
                    _ => {
                        let stream = reader.read(Query::stream(SCOPE, "account-0"));
                        assert!(stream.into_iter().all(|event| event.is_ok()));
                        for stream in reader.streams() {
                            stream.unwrap();
                        }
                        reader.receipt(0).unwrap();
                    }
                }
            };
            threads.push(reader.spawn(read).unwrap());
        }
        for thread in threads {
            thread.join().unwrap();
        }
        let journal = Arc::into_inner(journal).expect("all threads have ended");
        journal.close().unwrap();
        assert_eq!(
            waits_for_readers(),
            before,
            "an appender waited for a reader"
        );
    });
}

#[test]
fn appenders_never_wait_for_a_lock_that_a_reader_holds() {
    explore(RandomScheduler::new_from_seed(8, 500), beside_readers);
    explore(PctScheduler::new_from_seed(9, 3, 500), beside_readers);
}

#[test]
fn an_appender_who_waits_for_a_reader_is_counted() {
    let found = catch_unwind(AssertUnwindSafe(|| {
        explore(RandomScheduler::new_from_seed(10, 200), || {
            with_scheduler(|| {
                let before = waits_for_readers();
                let lock = Arc::new(Mutex::new(0));
                let held = Arc::clone(&lock);
                let reader = thread::Builder::new().name(READER.to_owned());
                let reads = move || {
                    let guard = held.lock();
                    thread::yield_now();
                    drop(guard);
                };
                let reader = reader.spawn(reads).unwrap();
                *lock.lock() += 1;
                reader.join().unwrap();
                assert_eq!(waits_for_readers(), before);
            });
        });
    }));
    assert!(found.is_err(), "no wait was counted in 200 orders");
}

fn explore(scheduler: impl Scheduler + 'static, scene: fn()) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(scene);
}

#[test]
fn of_many_deciders_on_one_boundary_exactly_one_wins_in_any_order() {
    explore(RandomScheduler::new_from_seed(4, 1_000), race);
    explore(PctScheduler::new_from_seed(5, 3, 1_000), race);
}

#[test]
fn of_32_deciders_on_one_boundary_exactly_one_wins_each_round_in_any_order() {
    let crowd = || race_of(32, 8);
    explore(RandomScheduler::new_from_seed(7, 40), crowd);
    explore(PctScheduler::new_from_seed(8, 3, 40), crowd);
}

#[test]
fn a_boundary_that_is_not_compared_under_the_lock_is_found() {
    for bug in [Bug::BoundaryNotCompared, Bug::AnswerTooEarly] {
        let found = catch_unwind(AssertUnwindSafe(|| {
            with(bug, || {
                explore(RandomScheduler::new_from_seed(6, 200), race)
            });
        }));
        assert!(found.is_err(), "{bug:?} was not found in 200 orders");
    }
}

#[test]
fn appends_and_reads_in_any_order_keep_every_promise() {
    explore(RandomScheduler::new_from_seed(1, 1_000), scene);
    explore(PctScheduler::new_from_seed(2, 3, 1_000), scene);
}

#[test]
fn mistakes_that_only_some_orders_show_are_found() {
    for bug in [Bug::AnswerTooEarly, Bug::LostWakeup, Bug::StaleHead] {
        let found = catch_unwind(AssertUnwindSafe(|| {
            with(bug, || {
                explore(RandomScheduler::new_from_seed(3, 200), scene)
            });
        }));
        assert!(found.is_err(), "{bug:?} was not found in 200 orders");
    }
}
