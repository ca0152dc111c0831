use std::{path::Path, sync::Arc};

use factlog_format::JournalId;
use factlog_fs::{MemFs, StoreFs};
use factlog_proof::{SigningKey, VerifierKey};

use super::{parts::absolute, *};
use crate::{
    Authenticity, Encoding, KnownJournal, KnownJournals, Options, VerifyOptions,
    signer::failing::FailFs, verify,
};

const DIR: &str = "j";

fn options(fs: Arc<dyn StoreFs>) -> Options {
    let options = Options::new()
        .file_system(fs)
        .signing_key_file("ledger.key");
    options.dangerous().without_housekeeper()
}

fn event(number: u32) -> NewEvent<'static> {
    NewEvent::new("bank", "account", "account.noted").data(Encoding::Raw, vec![number as u8])
}

/// A closed journal of three events, and its first key.
fn sound() -> (Arc<MemFs>, factlog_proof::VerifierKey) {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(fs.clone())).unwrap();
    let key = journal.reader().verifier_key().unwrap();
    for number in 0..2 {
        journal.append(event(number)).unwrap();
    }
    journal.close().unwrap();
    (fs, key)
}

/// Whatever was cut short: the journal opens with the key that its events name, goes on, and who knows
/// only the first key can check all of it.
fn check_afterwards(fs: Arc<MemFs>, first: &factlog_proof::VerifierKey, what: &str) -> usize {
    let journal = Journal::open(DIR, options(fs.clone())).unwrap();
    let why = journal.read_only_reason().map(ToString::to_string);
    assert_eq!(why, None, "{what}");
    journal.append(event(9)).unwrap();
    let keys = journal.reader().keys().len();
    journal.close().unwrap();
    let reader = Journal::open_read_only(DIR, options(fs.clone())).unwrap();
    let told = reader.read(crate::Query::all());
    let told = told.filter(|event| {
        let event = event.as_ref().unwrap();
        event
            .facts()
            .is_some_and(|facts| facts.kind == "key.rotated")
    });
    assert_eq!(told.count() + 1, keys, "{what}: events and keys differ");
    let checkpoint = reader.checkpoint().unwrap();
    let evidence = VerifyOptions::new()
        .file_system(fs)
        .key(first.clone())
        .checkpoint(checkpoint);
    let report = verify(DIR, &evidence).unwrap();
    assert!(
        report.findings.is_empty() && report.unchecked.is_empty(),
        "{what}: {:?} {:?}",
        report.findings,
        report.unchecked
    );
    assert_eq!(report.authenticity, Authenticity::Signed, "{what}");
    assert_eq!(report.signed_through, Some(report.events - 1), "{what}");
    keys
}

#[test]
fn a_rotation_that_fails_anywhere_leaves_one_key_that_signs() {
    let mut outcomes = [0, 0];
    for all_later in [false, true] {
        for call in 0.. {
            let (fs, first) = sound();
            let failing = match all_later {
                false => FailFs::at(MemFs::clone(&fs), call),
                true => FailFs::from(MemFs::clone(&fs), call),
            };
            let failing = Arc::new(failing);
            if let Ok(journal) = Journal::open(DIR, options(failing.clone())) {
                let _ = journal.rotate_key(Rotation::new());
                let _ = journal.append(event(7));
                let _ = journal.close();
            }
            if !failing.has_failed() {
                break;
            }
            let keys = check_afterwards(fs, &first, &format!("{call}, all later {all_later}"));
            outcomes[keys - 1] += 1;
        }
    }
    // Before the event is durable the old key signs, after it the new one: both came up.
    assert!(outcomes.iter().all(|count| *count > 3), "{outcomes:?}");
}

#[test]
fn known_journals_follow_a_rotation_at_once_or_at_the_next_close() {
    let (fs, first) = sound();
    let known = KnownJournals::with_fs(fs.clone(), "/state/known");
    let journal = Journal::open(DIR, options(fs.clone())).unwrap();
    let entry = |key| KnownJournal {
        id: journal.reader().id(),
        origin: journal.reader().origin().to_owned(),
        key: Some(key),
        retired: Vec::new(),
        next: None,
        key_file: None,
        checkpoints: vec![journal.reader().checkpoint().unwrap()],
        paths: vec![absolute(Path::new(DIR))],
    };
    known.pin(entry(first.clone())).unwrap();
    // This handle knows of no known journals, so they are left behind twice.
    let second = journal.rotate_key(Rotation::new()).unwrap();
    let third = journal.rotate_key(Rotation::new()).unwrap();
    journal.close().unwrap();
    let pinned = || known.find(&entry_id(&fs)).unwrap().unwrap();
    assert_eq!(pinned().key, Some(first.clone()));
    let options = || options(fs.clone()).known_journals(known.clone());
    let journal = Journal::open(DIR, options()).unwrap();
    journal.append(event(3)).unwrap();
    journal.close().unwrap();
    assert_eq!(pinned().key, Some(third.key.clone()));
    assert_eq!(pinned().retired, [first, second.key]);
    let journal = Journal::open(DIR, options()).unwrap();
    let fourth = journal.rotate_key(Rotation::new()).unwrap();
    assert_eq!(pinned().key, Some(fourth.key));
    journal.close().unwrap();
    let report = verify(
        DIR,
        &VerifyOptions::new().file_system(fs.clone()).known(known),
    )
    .unwrap();
    assert_eq!(report.outcome(false), crate::Outcome::Holds, "{report:?}");
}

/// Whoever stole the second key can have it sign another third one; a pin that knows better stays.
#[test]
fn a_pin_follows_only_to_the_key_that_was_announced() {
    let (fs, first) = sound();
    let known = KnownJournals::with_fs(fs.clone(), "/state/known");
    let journal = Journal::open(DIR, options(fs.clone())).unwrap();
    let third = SigningKey::generate(journal.reader().origin(), [3; 32]).unwrap();
    let rotation = Rotation::new().then(third.verifier());
    let second = journal.rotate_key(rotation).unwrap().key;
    let entry = |key: &VerifierKey, next| KnownJournal {
        id: journal.reader().id(),
        origin: journal.reader().origin().to_owned(),
        key: Some(key.clone()),
        retired: Vec::new(),
        next,
        key_file: None,
        checkpoints: Vec::new(),
        paths: vec![absolute(Path::new(DIR))],
    };
    known.pin(entry(&first, None)).unwrap();
    let proof = journal.reader().rotation_proof(&first).unwrap().unwrap();
    known.follow(&journal.reader().id(), &proof).unwrap();
    let pinned = || known.find(&journal.reader().id()).unwrap().unwrap();
    let announced = factlog_format::next_key_hash(third.verifier().public_key());
    assert_eq!(pinned().next, Some(announced));
    let third = journal.rotate_key(Rotation::new().key(third)).unwrap().key;
    let proof = journal.reader().rotation_proof(&second).unwrap().unwrap();
    known.accept(entry(&second, Some([7; 32]))).unwrap();
    let refused = known.follow(&journal.reader().id(), &proof).unwrap_err();
    assert_eq!(refused.code(), "known.not_followed");
    assert_eq!(pinned().key, Some(second.clone()));
    known.accept(entry(&second, Some(announced))).unwrap();
    known.follow(&journal.reader().id(), &proof).unwrap();
    assert_eq!((pinned().key, pinned().next), (Some(third), None));
    journal.close().unwrap();
}

fn entry_id(fs: &Arc<MemFs>) -> JournalId {
    let reader = Journal::open_read_only(DIR, options(fs.clone())).unwrap();
    reader.id()
}
