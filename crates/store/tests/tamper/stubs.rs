//! What is left of an event is given in its place to whoever follows the journal, never as a hole. Stubs
//! are made here by hand, as an erasure would make them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use factlog::{
    Delivered, EventRef, Failure, Journal, NewEvent, Projection, Projector, Query, Retention,
    RetentionRule, Retries,
};
use factlog_format::{Manifest, ManifestRow};
use factlog_fs::StoreFs;

use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::DIR,
    wire::Forgery,
};

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

/// A journal of several segments that has lost the payloads of its first events, and how it was before.
fn lab_that_erased() -> (Lab, Lab) {
    let lab = Lab::rolled();
    let before = lab.copy();
    let journal = lab.open();
    let done = journal.retain(&of_the_first()).unwrap();
    assert_eq!(done.rules[0].events, 3);
    journal.close().unwrap();
    assert_holds(&lab.verify(&lab.evidence()));
    (lab, before)
}

fn of_the_first() -> Retention {
    let rule = RetentionRule::new("old", "no longer needed").only_if(|event| event.sequence() < 4);
    Retention::new(vec![rule])
}

fn manifest_of(lab: &Lab) -> Manifest {
    Manifest::decode(&lab.read(Path::new(DIR).join("MANIFEST"))).unwrap()
}

fn segment_of(row: &ManifestRow) -> PathBuf {
    let name = format!("{:016x}-{:08x}.seg", row.first_sequence, row.generation);
    Path::new(DIR).join("segments").join(name)
}

/// An old segment stands in the place of the one that was written anew, and MANIFEST names it.
fn put_back() -> Lab {
    let (lab, before) = lab_that_erased();
    swap_first(&lab, &before);
    lab
}

fn swap_first(lab: &Lab, before: &Lab) {
    let old = manifest_of(before).rows.remove(0);
    let mut manifest = manifest_of(lab);
    let (new, path) = (segment_of(&manifest.rows[0]), segment_of(&old));
    assert_ne!(new, path, "it was written anew");
    lab.remove(&new);
    lab.fs
        .create_new(&path, factlog_fs::Access::Shared)
        .unwrap();
    lab.write(&path, &before.read(&path));
    manifest.rows[0] = old;
    lab.write(Path::new(DIR).join("MANIFEST"), &manifest.encode());
    lab.remove_derived();
}

/// The event that ordered an erasure says another set.
fn another_set() -> Lab {
    let (lab, _) = lab_that_erased();
    let ordered = lab.events;
    let mut forged = Forgery::read(&lab);
    // The set stands last: its first sequence, how many ranges, and one of no gap.
    forged.event(ordered).repay(|payload| {
        let first = payload.len() - 20;
        assert_eq!(payload[first], 1);
        payload[first] = 2;
    });
    forged.relink();
    forged.restate_last();
    forged.write(&lab);
    lab
}

/// An erased event is a full stub, though its payload alone was to go.
fn more_than_ordered() -> Lab {
    let (lab, _) = lab_that_erased();
    let mut forged = Forgery::read(&lab);
    let id = forged.journal();
    let stub = forged.event(2).stub(&id);
    *forged.event(2) = stub;
    forged.write(&lab);
    lab
}

/// An event that lost all but its spine, and whose id another one has now, stands again where it stood.
fn brought_back_twice() -> Lab {
    let lab = Lab::rolled();
    let before = lab.copy();
    let journal = lab.open();
    let first = journal.reader().get(1).unwrap().unwrap();
    let rule = RetentionRule::new("forget", "a request").full();
    let rule = rule.only_if(|event| event.sequence() == 1);
    journal.retain(&Retention::new(vec![rule])).unwrap();
    let again = NewEvent::new("people", "ada", "note.written").id(first.id().unwrap());
    assert!(journal.append(again).unwrap().sequence() > 1);
    journal.close().unwrap();
    assert_holds(&lab.verify(&lab.evidence()));
    swap_first(&lab, &before);
    lab
}

/// Ways of tampering with a journal that erased, what each takes, and the tampered journal.
pub(crate) fn ways() -> [(&'static str, &'static str, Lab); 4] {
    [
        (
            "recomputes checksums",
            "an event erased in full is brought back beside the one that has its id now",
            brought_back_twice(),
        ),
        (
            "recomputes checksums",
            "an erased event is brought back with an old segment and MANIFEST",
            put_back(),
        ),
        (
            "rebuilds the whole tree, without the key",
            "the set of an erasure is moved to another event",
            another_set(),
        ),
        (
            "recomputes checksums",
            "more of an event is erased than was ordered",
            more_than_ordered(),
        ),
    ]
}

#[test]
fn an_old_segment_that_is_put_back_is_named() {
    let lab = put_back();
    let report = lab.verify(&lab.evidence());
    assert_eq!(
        codes(&report.findings),
        ["erasure.not_applied"],
        "{}",
        show(&report)
    );
    assert_eq!(report.findings.len(), 3);

    let journal = lab.open();
    let again = journal.retain(&of_the_first()).unwrap();
    assert_eq!(again.rules[0].events, 3, "what the finding advises");
    journal.close().unwrap();
    assert_holds(&lab.verify(&lab.evidence()));
}

#[test]
fn an_event_that_is_back_beside_the_one_that_took_its_id_is_named() {
    let lab = brought_back_twice();
    let found = codes(&lab.verify(&lab.evidence()).findings);
    assert_eq!(found, ["erasure.not_applied", "event.id_repeated"]);
}

#[test]
fn an_erasure_that_covers_another_event_is_named() {
    let lab = another_set();
    let found = codes(&lab.verify(&lab.bare()).findings);
    assert!(found.contains(&"erasure.set_mismatch"), "{found:?}");
    // What it doesn't cover any more, and what it covers now.
    assert!(found.contains(&"stub.unauthorised"), "{found:?}");
    assert!(found.contains(&"erasure.not_applied"), "{found:?}");
}

#[test]
fn a_stub_of_more_than_was_ordered_is_named() {
    let lab = more_than_ordered();
    let report = lab.verify(&lab.evidence());
    let found = codes(&report.findings);
    assert_eq!(found, ["stub.unauthorised"], "{}", show(&report));
}
