//! Consumers that share the events of one name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    thread,
};

use factlog::{Ended, Group, Journal, NewEvent, Query, StreamId};
use factlog_fs::MemFs;
use factlog_sim::Rng;

use super::options;

fn append(journal: &Journal, streams: u64, events: u64) {
    let batch: Vec<_> = (0..events)
        .map(|number| NewEvent::new("s", format!("e-{}", number % streams), "a.b"))
        .collect();
    journal.append_batch(&batch).unwrap();
}

fn wanted() -> Query<'static> {
    Query::all().kind("a.b")
}

/// Members join, leave and drop what they have at any moment: each event is acknowledged once, and of each
/// stream in order.
#[test]
fn streams_are_split_and_stay_in_order_while_members_come_and_go() {
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    let group = Group::new(journal.reader(), "packers", wanted()).unwrap();
    append(&journal, 40, 4_000);
    let last = journal.reader().len() - 1;
    let done: Mutex<BTreeMap<StreamId, Vec<u64>>> = Mutex::default();
    let count = || done.lock().unwrap().values().map(Vec::len).sum::<usize>();
    thread::scope(|scope| {
        for seed in 0..4 {
            let (group, done, count) = (group.clone(), &done, &count);
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                while count() < 4_000 {
                    let member = group.join();
                    for _ in 0..rng.below(60) {
                        let Some(claim) = member.try_next() else {
                            break;
                        };
                        if rng.below(10) == 0 {
                            // It fails at it: somebody is given it again.
                            continue;
                        }
                        let (stream, sequence) = (claim.event().stream_id(), claim.sequence());
                        done.lock()
                            .unwrap()
                            .entry(stream)
                            .or_default()
                            .push(sequence);
                        claim.acknowledge().unwrap();
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    assert_eq!(done.len(), 40);
    assert!(done.values().all(|list| list.is_sorted_by(|a, b| a < b)));
    let status = group.status();
    assert_eq!((status.unacknowledged, status.position), (0, last + 1));
}

#[test]
fn members_share_the_streams_and_those_of_one_that_leaves_go_to_the_others() {
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    // Before the group, which then need not be told of them.
    append(&journal, 200, 400);
    let group = Group::new(journal.reader(), "packers", wanted()).unwrap();
    let (one, two) = (group.join(), group.join());
    let take = |member: &factlog::Member| -> Vec<factlog::Claim> {
        std::iter::from_fn(|| member.try_next()).collect()
    };
    let (ones, twos) = (take(&one), take(&two));
    assert_eq!(ones.len() + twos.len(), 400);
    assert!(
        ones.len() > 100 && twos.len() > 100,
        "{} {}",
        ones.len(),
        twos.len()
    );
    let of = |claims: &[factlog::Claim]| -> BTreeSet<StreamId> {
        claims
            .iter()
            .map(|claim| claim.event().stream_id())
            .collect()
    };
    assert!(of(&ones).is_disjoint(&of(&twos)), "a stream has one member");
    // What it held goes to the other, once it lets it go.
    drop(two);
    assert!(take(&one).is_empty());
    let held = twos.len();
    drop(twos);
    assert_eq!(take(&one).len(), held);
}

#[test]
fn what_is_not_acknowledged_is_given_again_and_nothing_before_it() {
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    append(&journal, 7, 300);
    let left = 150;
    let group = Group::new(journal.reader(), "packers", wanted()).unwrap();
    let member = group.join();
    let mut held = None;
    while let Some(claim) = member.try_next() {
        match claim.sequence() == left {
            true => held = Some(claim),
            false => claim.acknowledge().unwrap(),
        }
    }
    group.stop().unwrap();
    assert!(member.next().is_none());
    assert_eq!(group.status().position, left);
    drop((held, member, group));
    let group = Group::new(journal.reader(), "packers", wanted()).unwrap();
    let member = group.join();
    assert_eq!(member.next().unwrap().unwrap().sequence(), left);
}

#[test]
fn a_group_goes_on_where_all_was_acknowledged_and_says_why_it_ended() {
    let journal = Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap();
    append(&journal, 7, 100);
    for from in [1, 51] {
        let group = Group::new(journal.reader(), "packers", wanted()).unwrap();
        let member = group.join();
        for sequence in from..from + 50 {
            let claim = member.next().unwrap().unwrap();
            assert_eq!(claim.sequence(), sequence);
            claim.acknowledge().unwrap();
        }
    }
    let group = Group::new(journal.reader(), "packers", wanted()).unwrap();
    let member = group.join();
    thread::scope(|scope| {
        let waits = scope.spawn(|| member.next());
        append(&journal, 1, 1);
        let claim = waits.join().unwrap().unwrap().unwrap();
        assert_eq!(claim.sequence(), 101);
        claim.acknowledge().unwrap();
    });
    let reader = journal.reader().clone();
    journal.close().unwrap();
    assert!(matches!(member.next(), Some(Err(Ended::Closed))));
    drop((member, group));
    let cursor = reader.cursor_files().unwrap().remove(0);
    assert_eq!(
        (cursor.position, cursor.ended.unwrap().0.as_str()),
        (102, "closed")
    );
}
