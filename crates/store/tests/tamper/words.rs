//! What stands in MANIFEST about keys is compared with the events that it repeats.

use std::path::{Path, PathBuf};

use factlog::{Error, Journal, Outcome, Rotation, SigningKey};
use factlog_format::{CachedValue, JournalEvent, KeyRotated, Manifest};

use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::{DIR, event},
};

const MISMATCH: &str = "manifest.value_mismatch";

fn path() -> PathBuf {
    Path::new(DIR).join("MANIFEST")
}

/// A journal with a key that was replaced, and its MANIFEST.
fn rotated() -> (Lab, Manifest) {
    let mut lab = Lab::small();
    let journal = lab.open();
    journal.rotate_key(Rotation::new()).unwrap();
    journal.append(event("account-1", "later")).unwrap();
    lab.checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let manifest = Manifest::decode(&lab.read(path())).unwrap();
    assert_eq!(manifest.values.len(), 1);
    (lab, manifest)
}

/// All ways in which MANIFEST can lie about keys.
pub(crate) fn lies() -> Vec<(&'static str, Lab)> {
    let lie = |change: &dyn Fn(&mut Manifest)| {
        let (lab, mut manifest) = rotated();
        change(&mut manifest);
        lab.write(path(), &manifest.encode());
        lab
    };
    vec![
        (
            "MANIFEST doesn't repeat that a key was replaced",
            lie(&|manifest| manifest.values.clear()),
        ),
        (
            "MANIFEST repeats that a key was replaced by another",
            lie(&|manifest| manifest.values[0].value[40] ^= 1),
        ),
        (
            "MANIFEST repeats a replaced key at another event",
            lie(&|manifest| manifest.values[0].sequence -= 2),
        ),
        ("MANIFEST repeats a replaced key that never was", {
            let lab = Lab::small();
            plant(&lab, 3);
            lab
        }),
    ]
}

/// Lets MANIFEST say that an attacker's key took the place of the journal's.
fn plant(lab: &Lab, sequence: u64) {
    let thief = SigningKey::generate(lab.key.name(), [7; 32]).unwrap();
    let mut manifest = Manifest::decode(&lab.read(path())).unwrap();
    let rotated = JournalEvent::KeyRotated(KeyRotated {
        old: *lab.key.public_key(),
        new: *thief.verifier().public_key(),
        signature: [0; 64],
        next: None,
    });
    manifest.values.push(CachedValue {
        sequence,
        code: 1,
        value: rotated.encode(),
    });
    lab.write(path(), &manifest.encode());
}

#[test]
fn a_manifest_that_lies_about_keys_is_found() {
    let (lab, _) = rotated();
    assert_holds(&lab.verify(&lab.evidence()));
    for (name, lab) in lies() {
        let report = lab.verify(&lab.evidence());
        assert_eq!(
            codes(&report.findings),
            [MISMATCH],
            "{name}: {}",
            show(&report)
        );
        assert_eq!(report.outcome(true), Outcome::Fails);
    }
}

/// Bug: a MANIFEST that named a key of an attacker's in a sealed segment was believed without a look at
/// the event, so their key was the journal's until somebody verified it.
#[test]
fn an_open_reads_the_events_that_manifest_repeats() {
    let lab = Lab::rolled();
    plant(&lab, 3);
    let key = |lab: &Lab| {
        let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
        (reader.verifier_key().unwrap(), reader.damage().len())
    };
    assert_eq!(key(&lab), (lab.key.clone(), 1));
    let journal = Journal::open(DIR, Lab::options(&lab.fs)).unwrap();
    assert_eq!(journal.read_only_reason().map(Error::code), Some(MISMATCH));
    drop(journal);
    factlog::repair(DIR, &Lab::options(&lab.fs)).unwrap();
    assert_eq!(key(&lab), (lab.key.clone(), 0));
    assert_holds(&lab.verify(&lab.evidence()));
}

/// It is written before the event: where that never came, nothing is wrong.
#[test]
fn what_manifest_announces_and_never_came_is_no_finding() {
    let lab = Lab::small();
    plant(&lab, lab.events);
    assert_holds(&lab.verify(&lab.evidence()));
    let journal = lab.open();
    assert_eq!(journal.reader().verifier_key(), Some(lab.key.clone()));
    journal.append(event("account-1", "later")).unwrap();
    journal.close().unwrap();
    assert_holds(&lab.verify(&lab.evidence()));
}
