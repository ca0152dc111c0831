//! What is left of an event is given in its place to whoever follows the journal, never as a hole. Stubs
//! are made here by hand, as an erasure would make them.

use std::time::Duration;

use factlog::{Delivered, EventRef, Failure, Journal, Projection, Projector, Query, Retries};

use crate::{lab::Lab, support::DIR, wire::Forgery};

const ERASED: u64 = 3;

fn lab_with_stub() -> Lab {
    let lab = Lab::small();
    let mut forged = Forgery::read(&lab);
    let id = forged.journal();
    let stub = forged.event(ERASED).stub(&id);
    *forged.event(ERASED) = stub;
    forged.relink();
    forged.restate();
    forged.write(&lab);
    lab.remove_checkpoints();
    lab
}

#[test]
fn a_subscription_gives_a_stub_in_its_place() {
    let lab = lab_with_stub();
    let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
    let mut events = reader.subscribe(Query::all()).unwrap();
    for sequence in 0..lab.events {
        let given = events.next().unwrap().unwrap();
        assert_eq!(given.sequence(), sequence);
        let erased = matches!(given, Delivered::Erased(_));
        assert_eq!(erased, sequence == ERASED);
    }
}

/// Counts what it is given, and what of.
struct Counts {
    position: u64,
    applied: u64,
    erased: Vec<u64>,
}

impl Projection for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn query(&self) -> Query<'static> {
        Query::all()
    }

    fn position(&mut self) -> Result<u64, Failure> {
        Ok(self.position)
    }

    fn apply(&mut self, event: &EventRef<'_>) -> Result<(), Failure> {
        assert!(event.facts()?.is_some());
        self.applied += 1;
        Ok(())
    }

    fn erased(&mut self, event: &EventRef<'_>) -> Result<(), Failure> {
        self.erased.push(event.sequence());
        Ok(())
    }

    fn commit(&mut self, next: u64) -> Result<(), Failure> {
        assert_eq!(self.erased, [ERASED]);
        self.position = next;
        Ok(())
    }

    fn rollback(&mut self) {}
}

#[test]
fn a_projection_passes_over_a_stub_and_knows_it() {
    let lab = lab_with_stub();
    let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
    let projector = Projector::start(&reader, "views", Retries::new()).unwrap();
    let counts = Counts {
        position: 0,
        applied: 0,
        erased: Vec::new(),
    };
    projector.add(counts).unwrap();
    assert!(projector.wait_for(lab.events - 1, Duration::from_secs(60)));
    let status = projector.status().remove(0);
    assert_eq!(
        (status.applied, status.erased, status.failures),
        (lab.events - 1, 1, 0)
    );
}
