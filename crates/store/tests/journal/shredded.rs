//! What those who follow a journal are given of events whose keys were destroyed, or aren't there.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use factlog::{
    Delivered, Encoding, Event, EventRef, Failure, InMemory, Integrity, Journal, KeyDomain,
    NewEvent, Options, Phase, Policy, Projection, Projector, Provider, Query, Random, Retries,
    Sealed, Selector, Shown, Shred, SystemRandom, UnverifiedReceipt, VerifyOptions,
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

/// Remembers all keys that were drawn.
#[derive(Debug, Default)]
struct Drawn {
    system: SystemRandom,
    keys: Mutex<Vec<[u8; 32]>>,
}

impl Random for Drawn {
    fn fill(&self, out: &mut [u8]) {
        self.system.fill(out);
    }

    fn fill_key(&self, out: &mut [u8]) {
        self.system.fill_key(out);
        if let Ok(key) = <[u8; 32]>::try_from(&*out) {
            self.keys.lock().unwrap().push(key);
        }
    }
}

/// Of one of a thousand streams that is shredded no byte of plaintext is anywhere, nor is its key, nor any other
/// that was ever drawn, outside of what wraps it; all that was proved before is so still.
#[test]
fn of_a_thousand_streams_one_is_gone_with_its_key_and_nothing_else_has_changed() {
    let fs = Arc::new(MemFs::new());
    let drawn = Arc::new(Drawn::default());
    let with = options(&fs)
        .encrypt(KeyDomain::Stream)
        .unlock(Provider::KeyFile("reader.key".into()))
        .dangerous()
        .random(Arc::clone(&drawn) as Arc<dyn Random>);
    let journal = Journal::create("journal", with).unwrap();
    let name = |number: u64| format!("stream-{number}");
    let text = |number: u64| format!("what is said of number {number}, and of nobody else");
    let names: Vec<String> = (1..=1000).map(name).collect();
    let batch: Vec<_> = (1..=1000)
        .zip(&names)
        .map(|(number, name)| {
            NewEvent::new("s", name, "said.something")
                .data(Encoding::Raw, text(number).into_bytes())
        })
        .collect();
    journal.append_batch(&batch).unwrap();
    let reader = journal.reader();
    let some = || (1..=1000).step_by(37).chain([500]);
    let receipts: Vec<String> = some().map(|at| reader.receipt(at).unwrap()).collect();
    let stream = Selector::Stream {
        scope: "s".to_owned(),
        entity: name(500),
    };
    let done = journal
        .shred(&Shred::new(vec![stream], "request 17"))
        .unwrap();
    assert_eq!((done.keys.len(), done.missing.len()), (1, 0));
    let policy = Policy::from(reader.verifier_key().unwrap());
    journal.close().unwrap();
    // The data keys of a thousand streams, their buckets' keys, roots, and what recipients were sealed with.
    let keys = drawn.keys.lock().unwrap();
    assert!(keys.len() > 1000);
    for (path, bytes) in crate::encrypted::files(&fs, Path::new("journal")) {
        for number in some() {
            let text = text(number);
            let found = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!found, "{}: {text}", path.display());
        }
        let parts: std::collections::HashSet<&[u8]> = bytes.windows(32).collect();
        let found = keys.iter().filter(|key| parts.contains(&key[..])).count();
        assert_eq!(found, 0, "{} holds a key", path.display());
    }
    let report = factlog::verify(
        "journal",
        &VerifyOptions::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>),
    );
    assert_eq!(report.unwrap().integrity, Integrity::Intact);
    for receipt in receipts {
        let receipt = UnverifiedReceipt::parse(receipt.as_bytes()).unwrap();
        receipt.verify(&policy).unwrap();
    }
    let with = options(&fs).unlock(Provider::KeyFile("reader.key".into()));
    let reader = Journal::open_read_only("journal", with).unwrap();
    for event in reader.read(Query::all().scope("s")) {
        let event = event.unwrap();
        let data = event.data().unwrap();
        match event.sequence() {
            500 => assert!(matches!(data.sealed(), Some(Sealed::Shredded { .. }))),
            number => assert_eq!(data.bytes().unwrap(), text(number).as_bytes()),
        }
    }
}
