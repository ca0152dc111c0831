//! Verification that rests on a checkpoint for all before it.

use std::path::PathBuf;

use factlog::{Finding, Integrity, Outcome, Report, SignedCheckpoint, SigningKey};

use crate::{
    attacks::{self, ATTACKS, Power},
    lab::{Lab, assert_holds, codes, show},
    support::event,
    wire::Forgery,
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
    let sound = since(&lab, &lab.early);
    let mut unused = 0;
    for path in lab.files_below("j/tree") {
        let tampered = lab.copy();
        let mut bytes = lab.read(&path);
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        tampered.write(&path, &bytes);
        let report = since(&tampered, &lab.early);
        assert_eq!(report.root, sound.root, "{}", show(&report));
        match report.resumed_from {
            0 => {
                assert_eq!(codes(&report.findings), ["derived.tree"]);
                unused += 1;
            }
            _ => assert_holds(&report),
        }
    }
    assert!(unused > 0);
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

/// Events after the early checkpoint made by the holder of the key, with all that derives from the events before.
fn forged_since(tamper: impl FnOnce(&mut Forgery)) -> Lab {
    let lab = Lab::of(9, 20, 64 << 10);
    let key = attacks::signing_key(&lab);
    let derived = lab.files().into_iter().filter(|path| {
        let tree = path.components().any(|part| part.as_os_str() == "tree");
        tree || path.extension().is_some_and(|e| e == "off")
    });
    let derived: Vec<_> = derived.map(|path| (lab.read(&path), path)).collect();
    let mut journal = Forgery::read(&lab);
    tamper(&mut journal);
    journal.restate();
    journal.sign(&key);
    journal.write(&lab);
    lab.remove_checkpoints();
    for (bytes, path) in derived {
        use factlog_fs::StoreFs;
        lab.fs
            .create_new(&path, factlog_fs::Access::Shared)
            .unwrap();
        lab.write(&path, &bytes);
    }
    lab
}

/// Nothing else shows it: the tree fits, the key signs it, and no newer checkpoint is at hand.
#[test]
fn what_the_holder_of_the_key_breaks_after_the_checkpoint_is_found_where_it_is_rested_on() {
    const REVISION: usize = 8;
    const RECORDED: usize = 32;
    const PREVIOUS: usize = 40;
    const AT: usize = 72;
    let size = 5;
    let cases: [(&str, usize, &[u8]); 4] = [
        ("stream.broken", REVISION, &3u64.to_le_bytes()),
        ("stream.broken", PREVIOUS, &[7; 32]),
        ("stream.broken", AT, &3u64.to_le_bytes()),
        ("event.recorded_at", RECORDED, &0u64.to_le_bytes()),
    ];
    for (code, at, bytes) in cases {
        let lab = forged_since(|journal| journal.event(7).set(at, bytes));
        assert_eq!(lab.early.claimed().size(), size);
        let report = since(&lab, &lab.early);
        let found = codes(&report.findings);
        assert!(found.contains(&code), "{at}: {}", show(&report));
        assert!(!found.contains(&"signature.invalid"), "{}", show(&report));
        assert_eq!(report.resumed_from, size, "{}", show(&report));
    }
}

/// A root can't prove that no event follows another: the note says so, and reading everything finds it.
#[test]
fn a_stream_that_forks_across_the_checkpoint_is_found_by_reading_everything_alone() {
    let lab = forged_since(|journal| {
        let id = journal.journal();
        let first = journal.event(1).hash(&id);
        let fork = journal.event(7);
        fork.set(8, &1u64.to_le_bytes());
        fork.set(40, &first);
        fork.set(72, &1u64.to_le_bytes());
    });
    let report = since(&lab, &lab.early);
    assert!(report.resumed_from > 0, "{}", show(&report));
    assert!(!codes(&report.findings).contains(&"stream.broken"));
    let note = report
        .notes
        .iter()
        .find(|note| note.code == "since.not_read");
    let said = &note.unwrap().detail;
    assert!(
        said.contains("which of them was the last of its stream"),
        "{said}"
    );
    let options = lab
        .bare()
        .key(lab.key.clone())
        .checkpoint(lab.early.clone());
    let whole = lab.verify(&options);
    let found = codes(&whole.findings);
    assert!(found.contains(&"stream.broken"), "{}", show(&whole));
}

/// Bug: whoever stole a key that was replaced could make a mark for all that came after it.
#[test]
fn a_mark_by_a_key_that_was_replaced_or_revoked_by_then_is_not_rested_on() {
    let (lab, [first, ..]) = crate::keys::rotated();
    let old = attacks::signing_key(&lab);
    let late = lab.checkpoint.claimed().sign(&old).unwrap();
    let unused = |lab: &Lab, checkpoint: &SignedCheckpoint| {
        let options = lab.bare().key(first.clone()).since(checkpoint.clone());
        let report = lab.verify(&options);
        let notes = report
            .notes
            .iter()
            .filter(|note| note.code == "since.not_used");
        let said = notes.map(|note| note.detail.clone()).collect::<String>();
        assert_eq!(report.resumed_from == 0, !said.is_empty());
        said
    };
    assert!(unused(&lab, &late).contains("replaced or revoked by then"));
    assert_eq!(unused(&lab, &lab.early), "");
    // The revocation comes after the mark.
    let journal = lab.open();
    journal.revoke_key(old.verifier(), 3).unwrap();
    journal.close().unwrap();
    assert!(unused(&lab, &lab.early).contains("replaced or revoked by then"));
}
