//! What those who follow a journal are given of events whose keys were destroyed, or aren't there.

use std::{sync::Arc, thread, time::Duration};

use factlog::{
    Delivered, Event, EventRef, Failure, InMemory, Journal, KeyDomain, Options, Phase, Projection,
    Projector, Provider, Query, Retries, Selector, Shown, Shred,
    typed::{Typed, TypedEvent},
};
use factlog_fs::{MemFs, StoreFs};
use serde::{Deserialize, Serialize};

const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(kind = "person.named")]
struct Named {
    name: String,
}

fn options(fs: &Arc<MemFs>) -> Options {
    let options = Options::new().file_system(Arc::clone(fs) as Arc<dyn StoreFs>);
    options.signing_key_file("log.key")
}

/// A journal in which ada is forgotten and eve isn't; and the sequence that says so.
fn forgotten(fs: &Arc<MemFs>) -> (Journal, u64) {
    let options = options(fs).encrypt(KeyDomain::Stream);
    let unlocked = options.unlock(Provider::KeyFile("reader.key".into()));
    let journal = Journal::create("journal", unlocked).unwrap();
    for name in ["ada", "eve"] {
        let named = Named { name: name.into() };
        journal
            .append(journal.event("people", name, &named).unwrap())
            .unwrap();
    }
    let ada = Selector::Stream {
        scope: "people".to_owned(),
        entity: "ada".to_owned(),
    };
    let shred = Shred::new(vec![ada], "request 17").actor("officer");
    let intent = journal.shred(&shred).unwrap().intent;
    (journal, intent)
}

fn named() -> Query<'static> {
    Query::all().kind("person.named")
}

/// The names that there are.
fn names() -> (impl Projection, Shown<Vec<String>>) {
    let note = |names: &mut Vec<String>, event: &EventRef<'_>| -> Result<(), Failure> {
        names.extend(Named::read_ref(event)?.known().map(|named| named.name));
        Ok(())
    };
    InMemory::new("names", 1, named(), Vec::new, note)
}

#[test]
fn what_was_shredded_is_given_as_such_and_stops_nothing() {
    let fs = Arc::new(MemFs::new());
    let (journal, intent) = forgotten(&fs);
    let mut people = journal.reader().subscribe(named()).unwrap();
    let Some(Ok(Delivered::Shredded(ada))) = people.next() else {
        panic!("ada was shredded");
    };
    assert_eq!(ada.facts().unwrap().entity, "ada");
    assert_eq!(Named::read(&ada).unwrap(), Typed::Shredded { intent });
    let Some(Ok(Delivered::Event(eve))) = people.next() else {
        panic!("eve was not");
    };
    let wanted = Named { name: "eve".into() };
    assert_eq!(Named::read(&eve).unwrap(), Typed::Known(wanted));

    let mut lent = journal.reader().read(named());
    let ada = lent.next_ref().unwrap().unwrap();
    assert!(ada.is_shredded());
    assert_eq!(Named::read_ref(&ada).unwrap(), Typed::Shredded { intent });

    let projector = Projector::start(journal.reader(), "views", Retries::new()).unwrap();
    let (projection, shown) = names();
    projector.add(projection).unwrap();
    assert!(projector.wait_for(journal.reader().len() - 1, LONG));
    assert_eq!(shown.read(|names, _| names.clone()), ["eve"]);
    let status = projector.stop().remove(0);
    // It knows what it has passed over.
    assert_eq!((status.applied, status.erased, status.failures), (1, 1, 0));
}

/// That a key isn't here is no event's fault: nothing is given up for it.
#[test]
fn what_can_not_be_decrypted_yet_is_waited_for_and_seen() {
    let fs = Arc::new(MemFs::new());
    let (journal, _) = forgotten(&fs);
    journal.close().unwrap();
    let locked = Journal::open_read_only("journal", options(&fs)).unwrap();
    let retries = Retries::new()
        .attempts(1)
        .pauses(Duration::ZERO, Duration::ZERO);
    let projector = Projector::start(&locked, "views", retries).unwrap();
    projector.add(names().0).unwrap();
    let status = loop {
        let status = projector.status().remove(0);
        if status.failures > 3 || matches!(status.phase, Phase::Ended(_)) {
            break status;
        }
        thread::yield_now();
    };
    match status.phase {
        Phase::Retrying { why, .. } => assert!(why.contains("keyset was not opened"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(projector.stuck().len(), 1);
}
