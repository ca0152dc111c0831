//! Appends that don't wait: tickets that are waited for, awaited, or dropped.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use factlog::{
    Conflict, Encoding, Error, Expect, Journal, NewEvent, Options, Policy, Query, Rotation,
    UnverifiedReceipt, Uuid,
};
use factlog_fs::MemFs;

fn event<'a>(number: u64) -> NewEvent<'a> {
    NewEvent::new("bank", format!("account-{}", number % 7), "account.moved")
        .data(Encoding::Raw, number.to_le_bytes().to_vec())
}

/// Runs a future to its end on this thread, which is all that tickets ask of a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn tickets_of_many_threads_all_become_durable_in_their_order() {
    let journal = Journal::in_memory().unwrap();
    let before = journal.reader().len();
    thread::scope(|scope| {
        for producer in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                let mut tickets = std::collections::VecDeque::new();
                let mut last = 0;
                let mut check = |ticket: factlog::Ticket<'_>| {
                    let receipt = ticket.wait().unwrap().receipt(0).unwrap();
                    assert!(
                        receipt.sequence() > last,
                        "places in the order of submission"
                    );
                    assert!(
                        journal.reader().len() > receipt.sequence(),
                        "durable and visible"
                    );
                    last = receipt.sequence();
                };
                for number in 0..500 {
                    tickets.push_back(journal.submit(&[event(producer * 1000 + number)]).unwrap());
                    if tickets.len() == 64 {
                        check(tickets.pop_front().unwrap());
                    }
                }
                tickets.into_iter().for_each(check);
            });
        }
    });
    assert_eq!(journal.reader().len(), before + 2000);
    journal.close().unwrap();
}

#[test]
fn a_ticket_can_be_awaited_while_others_append() {
    let journal = Journal::in_memory().unwrap();
    thread::scope(|scope| {
        let journal = &journal;
        scope.spawn(move || (0..200).for_each(|number| drop(journal.append(event(number)))));
        for number in 0..200 {
            let ticket = journal.submit(&[event(number), event(number + 1)]).unwrap();
            assert_eq!(block_on(ticket).unwrap().len(), 2);
        }
    });
}

/// Who polls a ticket never writes, syncs or waits: nobody leads here but the second task, which comes to its
/// turn only if the first one gives the thread back.
#[test]
fn who_awaits_a_ticket_leaves_the_executors_thread_to_others() {
    let options = Options::new().file_system(Arc::new(MemFs::new()));
    let journal = Journal::create("journal", options.dangerous().without_housekeeper()).unwrap();
    let journal = Arc::new(journal);
    let said = Arc::new(Mutex::new(Vec::new()));
    let (appender, leader) = (Arc::clone(&journal), Arc::clone(&journal));
    let (by_appender, by_leader) = (Arc::clone(&said), Arc::clone(&said));
    let one_thread = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    one_thread.block_on(async {
        let appended = tokio::spawn(async move {
            let ticket = appender.submit(&[event(1)]).unwrap();
            by_appender.lock().unwrap().push("submitted");
            let receipts = ticket.await.unwrap();
            assert!(appender.reader().len() > receipts.first_sequence());
            by_appender.lock().unwrap().push("durable");
        });
        let led = tokio::spawn(async move {
            by_leader.lock().unwrap().push("leads");
            leader.housekeep().unwrap();
        });
        appended.await.unwrap();
        led.await.unwrap();
    });
    assert_eq!(*said.lock().unwrap(), ["submitted", "leads", "durable"]);
}

#[test]
fn a_spent_ticket_says_so() {
    let journal = Journal::in_memory().unwrap();
    let mut ticket = pin!(journal.submit(&[event(1)]).unwrap());
    block_on(ticket.as_mut()).unwrap();
    let error = block_on(ticket).unwrap_err();
    assert_eq!(error.code(), "ticket.spent");
}

#[test]
fn a_ticket_without_anybody_who_waits_is_durable_after_a_close() {
    let fs = Arc::new(MemFs::new());
    let options = || {
        let options = Options::new().file_system(fs.clone()).fresh_signing_key();
        options.dangerous().without_housekeeper()
    };
    let journal = Journal::create("journal", options()).unwrap();
    let ticket = journal.submit(&[event(1)]).unwrap();
    assert!(!ticket.is_ready(), "nobody leads here");
    drop(ticket);
    let len = journal.reader().len();
    journal.close().unwrap();
    let options = Options::new().file_system(fs.clone());
    let reader = Journal::open_read_only("journal", options).unwrap();
    assert_eq!(reader.len(), len + 1);
}

#[test]
fn answers_rest_on_what_is_durable() {
    let options = Options::new().file_system(Arc::new(MemFs::new()));
    let journal = Journal::create("journal", options.dangerous().without_housekeeper()).unwrap();
    let id = Uuid::from_u128(7);
    let first = journal.submit(&[event(1).id(id)]).unwrap();
    let again = journal.submit(&[event(1).id(id)]).unwrap();
    let other = journal.submit(&[event(2).id(id)]).unwrap();
    let late = journal
        .submit(&[event(1).expect(Expect::NoStream)])
        .unwrap();
    for ticket in [&first, &again, &other, &late] {
        assert!(!ticket.is_ready(), "the first event isn't durable yet");
    }
    assert_eq!(
        journal
            .reader()
            .read(Query::stream("bank", "account-1"))
            .count(),
        0
    );
    let again = again.wait().unwrap();
    assert!(again.already() && first.is_ready() && other.is_ready() && late.is_ready());
    assert_eq!(
        again.first_sequence(),
        first.wait().unwrap().first_sequence()
    );
    assert!(matches!(
        other.wait(),
        Err(Error::Conflict(Conflict::IdReused { .. }))
    ));
    let late = late.wait().unwrap_err();
    assert!(
        matches!(late, Error::Conflict(Conflict::Expectation { .. })),
        "{late}"
    );
}

#[test]
fn a_large_append_among_many_small_ones_has_its_turn() {
    let journal = Journal::in_memory().unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for producer in 0..4 {
            let (journal, over) = (&journal, &over);
            scope.spawn(move || {
                let mut count = 0;
                while !over.load(Relaxed) {
                    journal.append(event(producer)).unwrap();
                    count += 1;
                    assert!(count < 200_000, "a large append is put off for ever");
                }
            });
        }
        // Each needs more room than is ever made ready for small ones.
        let large = vec![7; 8 << 20];
        for number in 0..10 {
            let event = event(number).section("large", Encoding::Raw, large.as_slice());
            journal.append(event).unwrap();
        }
        over.store(true, Relaxed);
    });
}

#[test]
fn small_and_bulk_appends_find_their_room_side_by_side() {
    let journal = Journal::in_memory().unwrap();
    let large = vec![7; 100_000];
    thread::scope(|scope| {
        for producer in 0..4 {
            let (journal, large) = (&journal, &large);
            scope.spawn(move || {
                for number in 0..300 {
                    let event = event(producer);
                    let event = match number % 3 {
                        0 => event.section("large", Encoding::Raw, large.as_slice()),
                        _ => event,
                    };
                    journal.append(event).unwrap();
                }
            });
        }
    });
    assert_eq!(
        journal.reader().read(Query::all().scope("bank")).count(),
        1200
    );
}

#[test]
fn keys_change_between_the_appends_of_many() {
    let journal = Journal::in_memory().unwrap();
    let over = AtomicBool::new(false);
    let receipts = thread::scope(|scope| {
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let (journal, over) = (&journal, &over);
                scope.spawn(move || {
                    let mut receipts = Vec::new();
                    while !over.load(Relaxed) {
                        receipts.push(journal.append(event(producer)).unwrap());
                        let ticket = journal.submit(&[event(producer)]).unwrap();
                        receipts.push(ticket.wait().unwrap().receipt(0).unwrap());
                    }
                    receipts
                })
            })
            .collect();
        for _ in 0..5 {
            journal.rotate_key(Rotation::new()).unwrap();
        }
        over.store(true, Relaxed);
        let receipts = producers
            .into_iter()
            .map(|producer| producer.join().unwrap());
        receipts.flatten().collect::<Vec<_>>()
    });
    let keys = journal.reader().keys();
    assert_eq!(keys.len(), 6, "the first key and five more");
    let policy = Policy::new(keys.into_iter().map(|key| key.key)).unwrap();
    for receipt in receipts {
        let text = receipt.text().unwrap();
        let parsed = UnverifiedReceipt::parse(text.as_bytes()).unwrap();
        let verified = parsed.verify(&policy).unwrap();
        assert_eq!(verified.sequence(), receipt.sequence());
    }
}
