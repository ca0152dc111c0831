//! Walking a stream back says how it ended, whatever stands in the way.

use factlog::{Ancestry, AncestryEnd, Journal, Rotation};

use crate::{
    lab::Lab,
    support::{DIR, event},
    wire::Forgery,
};

/// A journal in which a stream's events have equal payloads.
fn equal() -> Lab {
    let lab = Lab::small();
    let journal = lab.open();
    for _ in 0..5 {
        journal.append(event("account-7", "the same")).unwrap();
        journal.append(event("account-8", "the same")).unwrap();
    }
    // It begins a new segment: in the one that is being written, damage would hide all behind it.
    journal.rotate_key(Rotation::new()).unwrap();
    journal.close().unwrap();
    lab
}

/// The last event of a stream of five.
const LAST: u64 = 15;

fn walk(lab: &Lab, limit: usize) -> Ancestry {
    let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
    let walked = reader.ancestry(LAST, limit).unwrap();
    let sequences: Vec<u64> = walked.events.iter().map(|event| event.sequence()).collect();
    let wanted: Vec<u64> = (0..5)
        .map(|back| LAST - 2 * back)
        .take(sequences.len())
        .collect();
    assert_eq!(sequences, wanted);
    walked
}

#[test]
fn a_walk_reaches_the_start_or_its_limit() {
    let lab = equal();
    let walked = walk(&lab, 100);
    assert_eq!(walked.events.len(), 5);
    assert!(matches!(walked.end, AncestryEnd::Start));
    let walked = walk(&lab, 5);
    assert!(
        matches!(walked.end, AncestryEnd::Start),
        "the limit isn't in the way"
    );
    let walked = walk(&lab, 2);
    assert!(matches!(walked.end, AncestryEnd::Limit { next: 11 }));
    let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
    let code = reader.ancestry(99, 1).unwrap_err().code();
    assert_eq!(code, "event.not_found");
}

/// What stands in the way of a walk at event 11, by a forger who makes checksums right.
fn forged(change: impl FnOnce(&mut Forgery)) -> Ancestry {
    let lab = equal();
    let mut journal = Forgery::read(&lab);
    change(&mut journal);
    journal.write(&lab);
    walk(&lab, 100)
}

#[test]
fn a_walk_says_what_it_could_not_pass() {
    let walked = forged(|journal| {
        let id = journal.journal();
        let stub = journal.event(11).stub(&id);
        *journal.event(11) = stub;
    });
    assert_eq!(walked.events.len(), 2);
    assert!(
        matches!(walked.end, AncestryEnd::Stub { sequence: 11 }),
        "{:?}",
        walked.end
    );
    // Another event of the stream with the same payload is not the one that was there.
    let walked = forged(|journal| {
        journal.event(11).set(32, &77i64.to_le_bytes());
    });
    let missing = |sequence| move |end: &AncestryEnd| matches!(end, AncestryEnd::Missing { sequence: found, .. } if *found == sequence);
    assert!(missing(Some(11))(&walked.end), "{:?}", walked.end);
    // The hint leads to another event of the same payload.
    for hint in [9u64, 12] {
        let walked = forged(|journal| journal.event(13).set(72, &hint.to_le_bytes()));
        assert_eq!(walked.events.len(), 2, "{hint}");
        assert!(missing(Some(hint))(&walked.end), "{hint}: {:?}", walked.end);
    }
    // Round in a circle, or nowhere: no event has such a hint.
    for hint in [13u64, u64::MAX] {
        let walked = forged(|journal| journal.event(13).set(72, &hint.to_le_bytes()));
        let unreadable = matches!(walked.end, AncestryEnd::Unreadable { sequence: 13, .. });
        assert!(unreadable, "{hint}: {:?}", walked.end);
    }
}

#[test]
fn a_walk_ends_at_an_event_that_can_not_be_read() {
    let lab = equal();
    let path = lab
        .files()
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "seg"));
    let path = path.unwrap();
    let good = lab.read(&path);
    let body = Forgery::read(&lab).event(11).body.clone();
    let at = good
        .windows(body.len())
        .position(|window| window == body)
        .unwrap();
    let mut bytes = good.clone();
    bytes[at + body.len() - 1] ^= 1;
    // Below what was closed cleanly it is damage, and the derived files know where all events stand.
    lab.write(&path, &bytes);
    let walked = walk(&lab, 100);
    assert_eq!(walked.events.len(), 2);
    assert!(
        matches!(walked.end, AncestryEnd::Unreadable { sequence: 11, .. }),
        "{:?}",
        walked.end
    );
}
