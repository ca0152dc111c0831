//! How often the library allocates, which is the same on every machine: a change that copies or boxes
//! once more per event turns this red long before a clock would notice.

use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use factlog::{Encoding, Journal, NewEvent, Options, Query};
use factlog_fs::MemFs;

const BATCH: usize = 1000;
const STREAMS: usize = 100;
const PAYLOAD: [u8; 256] = [7; 256];

/// Without the housekeeper, whose work would be counted or not as the threads happen to run.
fn journal() -> Journal {
    let options = Options::new()
        .file_system(Arc::new(MemFs::new()))
        .fresh_signing_key()
        .dangerous()
        .without_housekeeper();
    Journal::create("journal", options).unwrap()
}

fn events(names: &[String]) -> Vec<NewEvent<'_>> {
    (0..BATCH)
        .map(|number| {
            NewEvent::new("bench", &names[number % STREAMS], "bench.measured")
                .data(Encoding::Raw, PAYLOAD.as_slice())
        })
        .collect()
}

fn names() -> Vec<String> {
    (0..STREAMS)
        .map(|number| format!("stream-{number}"))
        .collect()
}

/// What an event may cost: a little more than it does.
struct Most {
    allocations: f64,
    bytes: f64,
}

/// Holds how often and how much memory is allocated per event, for a round of [`BATCH`] events. The
/// least of some rounds counts: what grows now and then is not what an event costs.
fn check(most: Most, mut round: impl FnMut()) {
    let rounds: Vec<_> = (0..8).map(|_| measure(&mut round)).collect();
    let least = |figure: fn(&AllocationInfo) -> u64| {
        rounds.iter().map(figure).min().unwrap() as f64 / BATCH as f64
    };
    let allocations = least(|round| round.count_total);
    let bytes = least(|round| round.bytes_total);
    assert!(
        allocations <= most.allocations && bytes <= most.bytes,
        "{allocations} allocations and {bytes} bytes per event"
    );
}

#[test]
fn a_batch_allocates_little_per_event() {
    let names = names();
    let journal = journal();
    let events = events(&names);
    journal.append_batch(&events).unwrap();
    check(
        Most {
            allocations: 0.25,
            bytes: 1000.0,
        },
        || drop(journal.append_batch(&events).unwrap()),
    );
}

#[test]
fn an_append_alone_allocates_little() {
    let journal = journal();
    let event = || {
        NewEvent::new("bench", "stream", "bench.measured").data(Encoding::Raw, PAYLOAD.as_slice())
    };
    journal.append(event()).unwrap();
    check(
        Most {
            allocations: 62.0,
            bytes: 7200.0,
        },
        || (0..BATCH).for_each(|_| drop(journal.append(event()).unwrap())),
    );
}

#[test]
fn a_scan_allocates_little_per_event() {
    let names = names();
    let journal = journal();
    journal.append_batch(&events(&names)).unwrap();
    check(
        Most {
            allocations: 1.1,
            // Some 480 are the event's own; the rest is the window that is read ahead, grown step by step.
            bytes: 850.0,
        },
        || {
            let found = journal.reader().read(Query::all().scope("bench"));
            assert_eq!(found.map(Result::unwrap).count(), BATCH);
        },
    );
}

#[test]
fn a_read_by_place_allocates_little() {
    let names = names();
    let journal = journal();
    journal.append_batch(&events(&names)).unwrap();
    check(
        Most {
            allocations: 1.0,
            bytes: 1100.0,
        },
        || {
            for sequence in 1..=BATCH as u64 {
                assert!(journal.reader().get(sequence).unwrap().is_some());
            }
        },
    );
}
