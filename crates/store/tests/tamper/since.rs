//! Verification that rests on a checkpoint for all before it.

use std::path::PathBuf;

use factlog::{Finding, Integrity, Outcome, Report, SignedCheckpoint, SigningKey};

use crate::{
    attacks::{self, ATTACKS, Power},
    lab::{Lab, assert_holds, codes, show},
    support::event,
};

fn since(lab: &Lab, checkpoint: &SignedCheckpoint) -> Report {
    lab.verify(&lab.bare().key(lab.key.clone()).since(checkpoint.clone()))
}

fn noted(report: &Report, code: &str) -> bool {
    report.notes.iter().any(|note| note.code == code)
}

/// The segment that holds the payload of an event of a lab, and where.
fn place_of(lab: &Lab, number: u64) -> (PathBuf, usize) {
    // All of it: 020020 stands in the payload of event 2 as well.
    let text = format!("{number:03}").repeat(if lab.events > 20 { 1333 } else { 6 });
    let segments = lab.files_below("j/segments").into_iter();
    let mut found = segments.filter_map(|path| {
        let bytes = lab.read(&path);
        let at = bytes
            .windows(text.len())
            .position(|bytes| bytes == text.as_bytes())?;
        Some((path, at))
    });
    found.next().expect("it is in some segment")
}

fn flip(lab: &Lab, path: &PathBuf, at: usize) {
    let mut bytes = lab.read(path);
    bytes[at] ^= 4;
    lab.write(path, &bytes);
}

#[test]
fn what_came_since_a_checkpoint_holds_as_the_whole_does() {
    for lab in [Lab::small(), Lab::rolled()] {
        let whole = lab.verify(&lab.evidence());
        for checkpoint in [&lab.early, &lab.checkpoint] {
            let report = since(&lab, checkpoint);
            assert_holds(&report);
            assert!(noted(&report, "since.not_read"), "{}", show(&report));
            assert_eq!(report.resumed_from, checkpoint.claimed().size());
            let come_to = |report: &Report| (report.events, report.root, report.signed_through);
            assert_eq!(come_to(&report), come_to(&whole));
        }
        // Receipts, older checkpoints and what is known are compared all the same.
        let options = lab.evidence().known(lab.known()).receipt(&lab.receipt);
        let options = options
            .checkpoint(lab.early.clone())
            .since(lab.checkpoint.clone());
        let report = lab.verify(&options);
        assert_holds(&report);
        assert_eq!(report.resumed_from, lab.events);
        assert_eq!(report.anchored_through, Some(lab.events - 1));
    }
}

#[test]
fn tampering_after_the_checkpoint_is_found_and_what_lies_before_is_not_looked_at() {
    for lab in [Lab::small(), Lab::rolled()] {
        let last = lab.events - 2;
        let (path, at) = place_of(&lab, last);
        let after = lab.copy();
        flip(&after, &path, at);
        let report = since(&after, &lab.early);
        assert_eq!(report.outcome(false), Outcome::Fails, "{}", show(&report));
        assert_eq!(report.integrity, Integrity::Damaged);
        let (path, at) = place_of(&lab, 0);
        let before = lab.copy();
        flip(&before, &path, at);
        assert_holds(&since(&before, &lab.checkpoint));
        let whole = before.verify(&before.evidence());
        assert!(codes(&whole.findings).contains(&"segment.corrupt"));
    }
}

/// The one thing before the checkpoint that what comes after rests on.
#[test]
fn an_event_that_a_later_one_follows_in_its_stream_is_checked() {
    for lab in [Lab::small(), Lab::rolled()] {
        let last = lab.early.claimed().size() - 2;
        // Three streams take turns. The last event of all is where reading begins: without it everything is read.
        for (number, used, expected) in [
            (last, false, "segment.corrupt"),
            (last - 1, true, "stream.broken"),
        ] {
            let tampered = lab.copy();
            let (path, at) = place_of(&lab, number);
            flip(&tampered, &path, at);
            let report = since(&tampered, &lab.early);
            assert_eq!(report.resumed_from > 0, used, "{}", show(&report));
            let found = codes(&report.findings);
            assert!(found.contains(&expected), "{}", show(&report));
        }
    }
}

/// Whatever byte behind the checkpoint is changed: the verdict is the one of a whole verification.
#[test]
fn behind_the_checkpoint_every_byte_counts_as_in_a_whole_verification() {
    let lab = Lab::small();
    let size = lab.early.claimed().size();
    let (path, at) = place_of(&lab, size - 2);
    let behind = (at + 20).next_multiple_of(8);
    let len = lab.read(&path).len();
    let mut differs = 0;
    for at in (behind..len).step_by(5) {
        let tampered = lab.copy();
        flip(&tampered, &path, at);
        let report = since(&tampered, &lab.early);
        let options = tampered.bare().key(lab.key.clone());
        let whole = tampered.verify(&options.checkpoint(lab.early.clone()));
        assert_eq!(
            report.outcome(false),
            whole.outcome(false),
            "byte {at}: {}{}",
            show(&report),
            show(&whole)
        );
        differs += u64::from(whole.outcome(false) != Outcome::Holds);
    }
    assert!(differs > 50, "{differs}");
}

/// Rewriting leaves the tree's files, or drops them: neither leads to the checkpoint.
#[test]
fn no_rewritten_journal_holds_since_a_checkpoint() {
    let sound = Lab::small();
    let key = attacks::signing_key(&sound);
    for attack in ATTACKS.iter().filter(|attack| attack.power >= Power::Trees) {
        let lab = sound.copy();
        attacks::attack(attack, &lab, &key);
        let evidence = || lab.evidence().checkpoint(lab.early.clone());
        for checkpoint in [&lab.early, &lab.checkpoint] {
            let report = lab.verify(&evidence().since(checkpoint.clone()));
            let (name, text) = (attack.name, show(&report));
            assert_eq!(report.outcome(false), Outcome::Fails, "{name}: {text}");
        }
    }
}

#[test]
fn a_mark_that_could_be_forged_is_not_rested_on() {
    let lab = Lab::small();
    let (path, at) = place_of(&lab, 0);
    flip(&lab, &path, at);
    let found = |report: &Report| {
        assert!(noted(report, "since.not_used"), "{}", show(report));
        assert_eq!(report.resumed_from, 0);
        codes(&report.findings).contains(&"segment.corrupt")
    };
    let stranger = SigningKey::generate(lab.key.name(), [7; 32]).unwrap();
    let forged = lab.checkpoint.claimed().sign(&stranger).unwrap();
    assert!(found(&since(&lab, &forged)));
    let text = lab.checkpoint.to_string();
    let edited = text.replacen(&format!("\n{}\n", lab.events), "\n5\n", 1);
    let edited = SignedCheckpoint::parse(edited.as_bytes()).unwrap();
    assert!(found(&since(&lab, &edited)));
    // The key that the journal names itself is anybody's.
    assert!(found(
        &lab.verify(&lab.bare().since(lab.checkpoint.clone()))
    ));
    let other = Lab::small();
    assert!(found(&since(&lab, &other.checkpoint)));
    let known = lab.bare().known(lab.known());
    let report = lab.verify(&known.since(lab.checkpoint.clone()));
    assert_holds(&report);
    assert_eq!(report.resumed_from, lab.events, "known from outside");
}

#[test]
fn a_journal_that_went_back_or_forked_is_named_so_with_where_it_parted() {
    let older = Lab::small();
    let newer = older.copy();
    let journal = newer.open();
    for text in ["one", "two", "three"] {
        journal.append(event("account-1", text)).unwrap();
    }
    let seen = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let named = |report: &Report, code: &str| -> Finding {
        assert!(noted(report, "since.not_used"), "{}", show(report));
        let mut found = report.findings.iter().filter(|found| found.code == code);
        found
            .next()
            .unwrap_or_else(|| panic!("{}", show(report)))
            .clone()
    };
    let behind = named(&since(&older, &seen), "history.rolled_back");
    assert_eq!(behind.sequence, Some(older.events));
    assert!(behind.detail.contains("behind by 3"), "{}", behind.detail);
    let journal = older.open();
    for text in ["a", "b", "c", "d"] {
        journal.append(event("account-1", text)).unwrap();
    }
    journal.close().unwrap();
    let parted = named(&since(&older, &seen), "history.forked");
    assert_eq!(parted.sequence, Some(older.events), "{}", parted.detail);
}

#[test]
fn without_the_files_of_the_tree_everything_is_read() {
    let lab = Lab::rolled();
    for path in lab.files_below("j/tree") {
        let tampered = lab.copy();
        let mut bytes = lab.read(&path);
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        tampered.write(&path, &bytes);
        let report = since(&tampered, &lab.early);
        let used = report.resumed_from > 0;
        assert!(
            used || codes(&report.findings) == ["derived.tree"],
            "{}",
            show(&report)
        );
    }
    lab.remove_derived();
    let report = since(&lab, &lab.early);
    assert_holds(&report);
    assert_eq!(report.resumed_from, 0);
    assert!(noted(&report, "since.not_used"), "{}", show(&report));
}

#[test]
fn keys_that_change_before_and_after_the_checkpoint_are_followed() {
    let (lab, [first, _, last]) = crate::keys::rotated();
    let with = |key: &factlog::VerifierKey, checkpoint: &SignedCheckpoint| {
        let options = lab.bare().key(key.clone()).since(checkpoint.clone());
        let report = lab.verify(&options);
        assert_holds(&report);
        assert_eq!(report.signed_through, Some(report.events - 1));
        report.resumed_from
    };
    assert_eq!(with(&first, &lab.early), lab.early.claimed().size());
    let newest = lab.checkpoint.claimed().size();
    assert_eq!(with(&last, &lab.checkpoint), newest);
    assert_eq!(
        with(&first, &lab.checkpoint),
        0,
        "the first key has not signed it"
    );
}
