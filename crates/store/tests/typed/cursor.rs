//! Consumers that append what they make of events and move their cursor in one commit.

use factlog::{Conflict, Error, Journal, Misuse, NewEvent, Options, Query};
use factlog_fs::MemFs;
use std::sync::Arc;

fn order(number: u64) -> NewEvent<'static> {
    NewEvent::new("shop", format!("order-{number}"), "order.placed")
}

fn invoice(number: u64) -> NewEvent<'static> {
    NewEvent::new("shop", format!("invoice-{number}"), "invoice.written")
}

fn count(journal: &Journal, kind: &str) -> usize {
    journal.reader().read(Query::all().kind(kind)).count()
}

/// Makes an invoice of each order; stops after some.
fn consume(journal: &Journal, most: usize) {
    let mut cursor = journal.cursor("consumers", "invoices").unwrap();
    for order in cursor.read(Query::all().kind("order.placed")).take(most) {
        let at = order.unwrap().sequence();
        cursor.advance(at + 1, &[invoice(at)]).unwrap();
    }
}

#[test]
fn a_consumer_that_is_interrupted_goes_on_where_it_was_and_makes_nothing_twice() {
    let fs = Arc::new(MemFs::new());
    let options = || Options::new().file_system(Arc::clone(&fs) as Arc<MemFs>);
    let journal = Journal::create("j", options()).unwrap();
    for number in 0..6 {
        journal.append(order(number)).unwrap();
    }
    consume(&journal, 2);
    consume(&journal, 0);
    drop(journal);
    let journal = Journal::open("j", options()).unwrap();
    assert_eq!(count(&journal, "invoice.written"), 2);
    consume(&journal, 10);
    consume(&journal, 10);
    assert_eq!(count(&journal, "invoice.written"), 6);
    // Each of another order.
    let invoices = journal.reader().read(Query::all().kind("invoice.written"));
    let mut of: Vec<String> = invoices
        .map(|event| event.unwrap().facts().unwrap().entity.to_owned())
        .collect();
    of.dedup();
    assert_eq!(of.len(), 6);
}

#[test]
fn of_two_consumers_of_one_name_one_moves_the_cursor_and_the_results_of_the_other_are_not_there() {
    let journal = Journal::in_memory().unwrap();
    journal.append(order(1)).unwrap();
    let mut one = journal.cursor("consumers", "invoices").unwrap();
    let mut two = journal.cursor("consumers", "invoices").unwrap();
    one.advance(2, &[invoice(1)]).unwrap();
    match two.advance(2, &[invoice(2)]) {
        Err(Error::Conflict(Conflict::Expectation { entity, .. })) => {
            assert_eq!(entity, "invoices")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(count(&journal, "invoice.written"), 1);
    assert_eq!(two.position(), 0);
    two.reload().unwrap();
    assert_eq!(two.position(), 2);
}

#[test]
fn a_cursor_moves_forward_and_not_past_the_end() {
    let journal = Journal::in_memory().unwrap();
    journal.append(order(1)).unwrap();
    let end = journal.reader().len();
    let mut cursor = journal.cursor("consumers", "c").unwrap();
    for wrong in [0, end + 1, u64::MAX] {
        let moved = cursor.advance(wrong, &[]);
        assert!(
            matches!(moved, Err(Error::Misuse(Misuse::Condition(_)))),
            "{wrong}"
        );
    }
    cursor.advance(end, &[]).unwrap();
    assert!(cursor.advance(end, &[]).is_err());
    // What cursors are made of is not what they pass: a consumer of all events comes to an end.
    let left: Vec<_> = cursor.read(Query::all()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_stream_of_something_else_is_no_cursor() {
    let journal = Journal::in_memory().unwrap();
    journal.append(order(1)).unwrap();
    let cursor = journal.cursor("shop", "order-1");
    assert!(matches!(
        cursor,
        Err(Error::Misuse(Misuse::Unreadable { sequence: 1, .. }))
    ));
}
