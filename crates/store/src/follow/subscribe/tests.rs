//! Who is woken and who isn't, and subscriptions in many orders of what threads do.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use factlog_sim::SimFs;
use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

use super::Following;
use crate::{
    Ended, Journal, NewEvent, Options, Query, Subscription,
    crash::lab::{DIR, Lab},
    sync::scheduled::with_scheduler,
};

fn sequences(subscription: &mut Subscription) -> Vec<u64> {
    let next = || subscription.try_next().unwrap();
    std::iter::from_fn(next)
        .map(|event| event.sequence())
        .collect()
}

fn journal() -> Journal {
    let options = Options::new()
        .file_system(Arc::new(factlog_fs::MemFs::new()))
        .dangerous()
        .without_housekeeper();
    Journal::create("j", options).unwrap()
}

fn wakes(journal: &Journal) -> Vec<u64> {
    let slots = journal.reader().shared.followers.slots();
    slots.iter().map(|slot| slot.wakes.load(Relaxed)).collect()
}

#[test]
fn only_those_are_woken_whom_an_event_may_concern() {
    let journal = journal();
    let subscribe = |query| journal.reader().subscribe(query).unwrap();
    let mut subscriptions = [
        subscribe(Query::all().kind("a.b")),
        subscribe(Query::all().kind("a.c")),
        subscribe(Query::stream("s", "one")),
        subscribe(Query::stream("s", "two")),
        subscribe(Query::all().tag("x:1").kind("a.b")),
        subscribe(Query::all().tag("x:2")),
        subscribe(Query::all().category("a")),
    ];
    for subscription in &mut subscriptions {
        sequences(subscription);
    }
    let event = NewEvent::new("s", "one", "a.b").tag("x:1");
    journal.append_batch(&[event.clone(), event]).unwrap();
    assert_eq!(wakes(&journal), [1, 0, 1, 0, 1, 0, 1]);
    // Told or not, all of them know that there is nothing below the end that they haven't given.
    for subscription in &mut subscriptions {
        sequences(subscription);
        assert_eq!(subscription.reached(), 3);
        assert_eq!(subscription.status().lag, 0);
    }
}

#[test]
fn who_is_told_late_begins_at_the_event_that_is_new_and_not_where_it_waited() {
    let journal = journal();
    let mut rare = journal
        .reader()
        .subscribe(Query::all().kind("a.rare"))
        .unwrap();
    assert!(sequences(&mut rare).is_empty());
    for kind in ["a.b", "a.b", "a.rare", "a.b", "a.rare"] {
        journal.append(NewEvent::new("s", "e", kind)).unwrap();
    }
    assert_eq!(wakes(&journal), [2]);
    assert_eq!(sequences(&mut rare), [3, 5]);
    assert_eq!(rare.reached(), 6);
}

/// Subscriptions are told by whoever commits.
fn scene_without_a_thread() {
    scene(Following::Inline);
}

/// Subscriptions are told by the thread that is there for that.
fn scene_with_a_thread() {
    scene(Following::Thread);
}

/// Who subscribes in the midst of appends gets every event once and in order, whatever threads do when; and
/// who waits when the journal ends is told.
fn scene(following: Following) {
    const APPENDERS: u64 = 2;
    const EACH: u64 = 3;
    with_scheduler(move || {
        let lab = Lab::new(SimFs::new(7), 7);
        let mut options = lab.options();
        options.following = following;
        let journal = Arc::new(Journal::create(DIR, options).unwrap());
        let mut waits = journal.reader().subscribe(Query::all().from(100)).unwrap();
        let waits = thread::spawn(move || {
            assert!(matches!(waits.next(), Some(Err(Ended::Closed))));
        });
        let mut threads = Vec::new();
        for appender in 0..APPENDERS {
            let journal = Arc::clone(&journal);
            threads.push(thread::spawn(move || {
                for at in 0..EACH {
                    let kind = if (appender + at) % 2 == 0 {
                        "a.even"
                    } else {
                        "a.odd"
                    };
                    journal.append(NewEvent::new("s", "e", kind)).unwrap();
                }
            }));
        }
        for query in [
            Query::all(),
            Query::all().kind("a.even"),
            Query::all().scope("s"),
        ] {
            let journal = Arc::clone(&journal);
            threads.push(thread::spawn(move || {
                let wanted = match query.takes_all() {
                    true => 1 + APPENDERS * EACH,
                    false if query.last.kinds.is_empty() => APPENDERS * EACH,
                    false => APPENDERS * EACH / 2,
                };
                let mut found: Vec<u64> = Vec::new();
                let mut events = journal.reader().subscribe(query).unwrap();
                while (found.len() as u64) < wanted {
                    found.push(events.next().unwrap().unwrap().sequence());
                }
                assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
                assert!(events.try_next().unwrap().is_none(), "one came twice");
            }));
        }
        for thread in threads {
            thread.join().unwrap();
        }
        Arc::into_inner(journal).unwrap().close().unwrap();
        waits.join().unwrap();
    });
}

fn explore(scheduler: impl Scheduler + 'static, scene: fn()) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(scene);
}

#[test]
fn subscriptions_lose_and_repeat_nothing_in_any_order() {
    explore(
        RandomScheduler::new_from_seed(1, 500),
        scene_without_a_thread,
    );
    explore(
        PctScheduler::new_from_seed(2, 3, 500),
        scene_without_a_thread,
    );
}

#[test]
fn a_thread_that_tells_subscriptions_loses_no_word_in_any_order() {
    explore(RandomScheduler::new_from_seed(3, 500), scene_with_a_thread);
    explore(PctScheduler::new_from_seed(4, 3, 500), scene_with_a_thread);
}
