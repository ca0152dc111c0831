//! Subscriptions as their users meet them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use factlog::{
    CursorStatus, Delivered, Ended, Error, Journal, Misuse, NewEvent, Options, Query, Subscription,
};
use factlog_fs::MemFs;
use factlog_sim::{Failure, Fault, Rng, SimFs};
use futures_core::Stream;

use super::{event, options};

fn next(subscription: &mut Subscription) -> u64 {
    subscription.next().unwrap().unwrap().sequence()
}

fn ready(subscription: &mut Subscription) -> Vec<u64> {
    let next = || subscription.try_next().unwrap();
    std::iter::from_fn(next)
        .map(|event| event.sequence())
        .collect()
}

#[test]
fn who_joins_at_a_random_moment_under_load_sees_each_sequence_once() {
    const THREADS: u64 = 4;
    const JOINS: u64 = 10_000;
    const SEEN: u64 = 8;
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Appends go on until all have joined, so that a join is never behind the last of them.
        for writer in 0..2u64 {
            let (journal, done) = (&journal, &done);
            scope.spawn(move || {
                for at in 0.. {
                    if done.load(Relaxed) {
                        return;
                    }
                    let event = NewEvent::new("load", format!("{writer}"), "load.noted");
                    let event = event.tag(if at % 3 == 0 { "third" } else { "other" });
                    journal.append(event).unwrap();
                }
            });
        }
        let joins = (0..THREADS).map(|thread| {
            let journal = &journal;
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for _ in 0..JOINS / THREADS {
                    join_and_follow(journal, &mut rng, SEEN);
                }
            })
        });
        let joins: Vec<_> = joins.collect();
        let ended: Vec<_> = joins
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Relaxed);
        for ended in ended {
            ended.unwrap();
        }
    });
}

/// Joins a little before or behind the end, and looks at what comes over the seam.
fn join_and_follow(journal: &Journal, rng: &mut Rng, events: u64) {
    let end = journal.reader().len();
    let from = (end + rng.below(4)).saturating_sub(rng.below(5)).max(1);
    let third = rng.below(2) == 0;
    let query = match third {
        true => Query::all().tag("third"),
        false => Query::all(),
    };
    let mut subscription = journal.reader().subscribe(query.from(from)).unwrap();
    let seen: Vec<u64> = (0..events).map(|_| next(&mut subscription)).collect();
    match third {
        // What the log says now of the range that was seen.
        true => {
            let query = Query::all().tag("third").from(from).limit(events);
            let read = journal.reader().read(query);
            let read: Vec<u64> = read.map(|event| event.unwrap().sequence()).collect();
            assert_eq!(seen, read);
        }
        false => assert!(seen.into_iter().eq(from..from + events)),
    }
}

#[test]
fn a_subscription_begins_where_it_is_told_and_ends_where_its_query_does() {
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    for number in 0..6 {
        let name = format!("account-{}", number % 2);
        journal.append(event(&name, "x")).unwrap();
    }
    let time = journal.reader().get(4).unwrap().unwrap().recorded_at();
    let first = journal
        .reader()
        .read(Query::all().recorded_from(time))
        .next();
    let first = first.unwrap().unwrap().sequence();
    for (query, wanted) in [
        (Query::all().scope("bank").from(4), vec![4, 5, 6]),
        (Query::all().recorded_from(time), (first..=6).collect()),
        (Query::stream("bank", "account-1"), vec![2, 4, 6]),
        (Query::all().category("account").from(6), vec![6]),
        (Query::all().kind("account.noted").limit(2), vec![1, 2]),
        (Query::all().until(3), vec![0, 1, 2]),
        (Query::all().from(100), vec![]),
    ] {
        let mut subscription = journal.reader().subscribe(query).unwrap();
        assert_eq!(ready(&mut subscription), wanted);
    }
    let mut ends = journal
        .reader()
        .subscribe(Query::all().kind("no.such").until(8))
        .unwrap();
    assert!(ends.try_next().unwrap().is_none() && ends.ended().is_none());
    // The end is reached by an event that it doesn't take.
    journal.append(event("account-0", "x")).unwrap();
    assert!(ends.next().is_none());
    assert!(matches!(ends.ended(), Some(Ended::Complete)));
    for query in [Query::all().reverse(), Query::all().recorded_until(1)] {
        let refused = journal.reader().subscribe(query);
        assert!(matches!(
            refused,
            Err(Error::Misuse(Misuse::Subscription(_)))
        ));
    }
}

#[test]
fn an_end_is_said_whoever_causes_it_and_after_all_that_is_durable() {
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    let mut closed = journal
        .reader()
        .subscribe_as("closed", Query::all())
        .unwrap();
    let mut stopped = journal
        .reader()
        .subscribe_as("stopped", Query::all())
        .unwrap();
    let names: Vec<String> = journal
        .reader()
        .subscriptions()
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names, ["closed", "stopped"]);
    stopped.stopper().stop();
    assert!(stopped.next().is_none());
    assert_eq!(stopped.ended().unwrap().word(), "stopped");
    journal.append(event("a", "x")).unwrap();
    let reader = journal.reader().clone();
    journal.close().unwrap();
    assert_eq!((next(&mut closed), next(&mut closed)), (0, 1));
    assert!(matches!(closed.next(), Some(Err(Ended::Closed))));
    assert!(closed.next().is_none(), "the end is said once");
    let mut late = reader.subscribe(Query::all().from(1)).unwrap();
    assert_eq!(next(&mut late), 1);
    assert!(matches!(late.next(), Some(Err(Ended::Closed))));
    drop((closed, stopped, late));
    assert!(reader.subscriptions().is_empty());
}

#[test]
fn a_writer_that_fails_ends_what_waits_for_it() {
    let disk = SimFs::new(3);
    let journal = Journal::create("j", Options::new().file_system(disk.store())).unwrap();
    journal.append(event("a", "x")).unwrap();
    let mut waiting = journal.reader().subscribe(Query::all().from(1)).unwrap();
    assert_eq!(next(&mut waiting), 1);
    disk.inject(Fault::from(disk.calls(), Failure::Io).changes_only());
    journal.append(event("a", "y")).unwrap_err();
    let Some(Err(Ended::WriterFailed(why))) = waiting.next() else {
        panic!("it must say that nothing more comes");
    };
    assert_eq!(why.code(), "io.failed");
}

/// Only projections and workers used to be seen by others.
#[test]
fn other_processes_see_how_far_named_subscriptions_are_and_why_they_ended() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    let other = Journal::open_read_only("j", options(&fs)).unwrap();
    let seen = |name: &str| {
        other.refresh().unwrap();
        let mut all = other.cursor_files().unwrap().into_iter();
        all.find(|one| one.name == name)
    };
    let until = |name: &str, holds: &dyn Fn(CursorStatus) -> bool| {
        while !seen(name).is_some_and(holds) {
            std::thread::yield_now();
        }
    };
    let query = || Query::all().kind("a.b");
    let mut live = journal.reader().subscribe_as("Live", query()).unwrap();
    journal.append(NewEvent::new("s", "e", "a.b")).unwrap();
    assert_eq!(next(&mut live), 1);
    // It has not looked for more, so what comes is still before it, whoever it is for.
    journal.append(NewEvent::new("s", "e", "a.b")).unwrap();
    until("live.sub", &|one| {
        one.held && one.position == 2 && one.lag == 1
    });
    assert_eq!(next(&mut live), 2);
    assert!(live.try_next().unwrap().is_none());
    // It waits, so that what isn't for it doesn't make it look slow.
    journal.append(NewEvent::new("s", "e", "a.other")).unwrap();
    until("live.sub", &|one| {
        one.position == 4 && one.lag == 0 && one.last_progress.is_some()
    });
    drop(live);
    let ended = |name: &str| seen(name).unwrap().ended.unwrap().0;
    assert_eq!(ended("live.sub"), "stopped");

    let reader = journal.reader().clone();
    let panicked = std::thread::spawn(move || {
        let mut events = reader.subscribe_as("panics", Query::all()).unwrap();
        next(&mut events);
        panic!("a handler that can't");
    });
    assert!(panicked.join().is_err());
    let one = seen("panics.sub").unwrap();
    assert_eq!(
        (ended("panics.sub").as_str(), one.position, one.held),
        ("panicked", 1, false)
    );
    let mut closed = journal.reader().subscribe_as("closed", query()).unwrap();
    journal.close().unwrap();
    assert_eq!((next(&mut closed), next(&mut closed)), (1, 2));
    assert!(matches!(closed.next(), Some(Err(Ended::Closed))));
    assert_eq!(ended("closed.sub"), "closed");
}

/// What it is told while it doesn't look is one number, so that nothing piles up and nobody waits for it.
#[test]
fn who_does_not_look_for_long_keeps_nobody_waiting_and_misses_nothing() {
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    let mut slow = journal.reader().subscribe_as("slow", Query::all()).unwrap();
    assert_eq!(next(&mut slow), 0);
    let batch = vec![NewEvent::new("s", "e", "a.b"); 1_000];
    for _ in 0..30 {
        journal.append_batch(&batch).unwrap();
    }
    let status = journal.reader().subscriptions().remove(0);
    assert_eq!((status.lag, status.position), (30_000, 1));
    assert!(ready(&mut slow).into_iter().eq(1..=30_000));
    assert_eq!(slow.status().lag, 0);
}

#[derive(Default)]
struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_task_is_woken_by_what_it_wants_and_by_nothing_else() {
    let options = options(&Arc::new(MemFs::new()))
        .dangerous()
        .without_housekeeper();
    let journal = Journal::create("j", options).unwrap();
    let mut stream = journal
        .reader()
        .subscribe(Query::all().kind("a.wanted"))
        .unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let mut poll = || match Pin::new(&mut stream).poll_next(&mut context) {
        Poll::Ready(Some(Ok(Delivered::Event(event)))) => Some(event.sequence()),
        Poll::Pending => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(poll(), None);
    journal.append(NewEvent::new("s", "e", "a.other")).unwrap();
    assert_eq!((count.0.load(Relaxed), poll()), (0, None));
    journal.append(NewEvent::new("s", "e", "a.wanted")).unwrap();
    assert_eq!((count.0.load(Relaxed), poll(), poll()), (1, Some(2), None));
}

#[test]
fn another_process_follows_over_rolls_and_sees_only_what_is_durable() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs).segment_len(64 << 10)).unwrap();
    let reader = Journal::open_read_only("j", options(&fs)).unwrap();
    let mut all = reader.subscribe(Query::all().from(1)).unwrap();
    let mut rare = reader.subscribe(Query::all().tag("rare")).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..400 {
                let event = event("a", &"x".repeat(1_000));
                let event = if number % 100 == 99 {
                    event.tag("rare")
                } else {
                    event
                };
                journal.append(event).unwrap();
            }
        });
        for sequence in 1..=400 {
            assert_eq!(next(&mut all), sequence);
        }
    });
    let found: Vec<u64> = (0..4).map(|_| next(&mut rare)).collect();
    assert_eq!(found, [100, 200, 300, 400]);
    assert!(
        rare.next_within(Duration::from_millis(1))
            .unwrap()
            .is_none()
    );
    assert_eq!(rare.status().lag, 0);
}
