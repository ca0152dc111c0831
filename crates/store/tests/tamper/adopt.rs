//! Keys that remember more than a journal has, or nothing.

use std::{path::Path, sync::Arc};

use factlog::{Adopted, Adoption, Error, Hash, Journal, SignedCheckpoint};
use factlog_fs::MemFs;

use crate::{
    lab::Lab,
    support::{DIR, event, files, segment},
};

const KEY: &str = "signer.key";
const STATE: &str = "signer.key.state";

/// An older copy of a journal beside the key that has signed on, and the journal as it was then.
fn behind() -> (Lab, Lab) {
    let older = Lab::small();
    let newer = older.copy();
    let journal = newer.open();
    for text in ["one", "two", "three"] {
        journal.append(event("account-1", text)).unwrap();
    }
    journal.close().unwrap();
    let state = newer.read(STATE);
    older.write(STATE, &state);
    older.remove(crate::lab::KNOWN);
    (older, newer)
}

fn adoption(lab: &Lab) -> Adoption<'static> {
    let fs: Arc<MemFs> = Arc::clone(&lab.fs);
    Adoption::new().file_system(fs)
}

/// As a newer copy makes the proof.
fn proven_by(lab: &Lab, newer: &Lab) -> Adoption<'static> {
    let fs: Arc<MemFs> = Arc::clone(&newer.fs);
    let options = factlog::Options::new().file_system(fs);
    let reader = Journal::open_read_only(DIR, options).unwrap();
    adoption(lab).proof(move |from, to| {
        let proof = reader.consistency(from, to);
        proof.map_err(|error| error.to_string())
    })
}

/// Why not; then nothing was changed.
#[track_caller]
fn refused(lab: &Lab, adoption: &Adoption<'_>) -> String {
    let all = || {
        let files = files(lab.fs.as_ref(), Path::new(""));
        let with = |path| (lab.read(&path), path);
        files.into_iter().map(with).collect::<Vec<_>>()
    };
    let before = all();
    let error = adoption.adopt(DIR, KEY).unwrap_err();
    assert_eq!(error.code(), "signer.not_adopted", "{error}");
    let locks = |path: &Path| path.to_string_lossy().ends_with(".lock");
    let mut after = all();
    after.retain(|(_, path)| !locks(path) || before.iter().any(|(_, old)| old == path));
    assert!(before == after, "something was written");
    error.to_string()
}

fn why(lab: &Lab) -> Option<&'static str> {
    lab.open().read_only_reason().map(Error::code)
}

#[test]
fn a_shorter_journal_is_adopted_only_as_a_proven_prefix_and_by_the_number_it_lacks() {
    let (older, newer) = behind();
    assert_eq!(why(&older), Some("signer.history_mismatch"));
    let said = refused(&older, &adoption(&older).give_up(3));
    assert!(
        said.contains("nothing shows that it is a true prefix"),
        "{said}"
    );
    let said = refused(&older, &proven_by(&older, &newer));
    assert!(said.contains("--give-up 3"), "{said}");
    for wrong in [0, 2, 4, u64::MAX] {
        refused(&older, &proven_by(&older, &newer).give_up(wrong));
    }
    for forged in [Vec::new(), vec![Hash::from_bytes([7; 32]); 3]] {
        let said = refused(
            &older,
            &adoption(&older)
                .proof(move |_, _| Ok(forged.clone()))
                .give_up(3),
        );
        assert!(said.contains("isn't shown to be a true prefix"), "{said}");
    }
    assert_eq!(why(&older), Some("signer.history_mismatch"), "as before");
    let adopted = proven_by(&older, &newer)
        .give_up(3)
        .adopt(DIR, KEY)
        .unwrap();
    assert_eq!(adopted, Adopted::GaveUp { events: 3 });
    assert_eq!(why(&older), None);
    let again = proven_by(&older, &newer)
        .give_up(3)
        .adopt(DIR, KEY)
        .unwrap();
    assert_eq!(again, Adopted::Continues, "once is enough");
}

/// Whoever saw the rest is told: the journal is another history for them.
#[test]
fn what_was_given_up_contradicts_the_journal_once_it_goes_on() {
    let (older, newer) = behind();
    let seen = newer.open().reader().checkpoint().unwrap();
    proven_by(&older, &newer)
        .give_up(3)
        .adopt(DIR, KEY)
        .unwrap();
    let journal = older.open();
    for text in ["a", "b", "c", "d"] {
        journal.append(event("account-1", text)).unwrap();
    }
    journal.close().unwrap();
    let report = older.verify(&older.bare().key(older.key.clone()).checkpoint(seen));
    let codes = crate::lab::codes(&report.findings);
    assert_eq!(codes, ["history.forked"], "{}", crate::lab::show(&report));
}

/// Two copies that both went on: neither is a prefix, whatever is said.
#[test]
fn a_journal_of_another_history_is_never_adopted() {
    let (older, newer) = behind();
    // A key file whose memory was lost can be told of less than it has signed.
    let fork = older.copy();
    fork.remove(STATE);
    let told = adoption(&fork).evidence(older.checkpoint.clone());
    let told = told.nothing_past(older.events);
    assert_eq!(
        told.adopt(DIR, KEY).unwrap(),
        Adopted::Remembers {
            events: older.events
        }
    );
    let journal = fork.open();
    journal.append(event("account-1", "fork")).unwrap();
    journal.close().unwrap();
    for (longer, lacking) in [(false, 2), (true, 0)] {
        if longer {
            let journal = fork.open();
            for text in ["x", "y", "z"] {
                journal.append(event("account-1", text)).unwrap();
            }
            journal.close().unwrap();
        }
        let attempt = fork.copy();
        attempt.write(STATE, &newer.read(STATE));
        assert_eq!(why(&attempt), Some("signer.history_mismatch"));
        let adoption = proven_by(&attempt, &newer).give_up(lacking);
        let said = refused(&attempt, &adoption);
        assert!(said.contains("begin a new journal"), "{said}");
    }
}

#[test]
fn a_key_without_memory_is_told_by_a_checkpoint_that_it_signed() {
    let lab = Lab::small();
    let good = lab.read(STATE);
    for lost in [None, Some(&b"garbage"[..]), Some(&b""[..])] {
        let lab = lab.copy();
        match lost {
            None => lab.remove(STATE),
            Some(bytes) => lab.write(STATE, bytes),
        }
        assert_eq!(why(&lab), Some("signer.state_unreadable"));
        let said = refused(&lab, &adoption(&lab));
        assert!(said.contains("show a checkpoint"), "{said}");
        let stranger = factlog::SigningKey::generate(lab.key.name(), [7; 32]).unwrap();
        let forged = lab.checkpoint.claimed().sign(&stranger).unwrap();
        let said = refused(&lab, &adoption(&lab).evidence(forged));
        assert!(said.contains("not signed by the journal's key"), "{said}");
        let told = adoption(&lab)
            .evidence(lab.early.clone())
            .evidence(lab.checkpoint.clone());
        let said = refused(&lab, &told);
        assert!(said.contains("--nothing-past 7"), "{said}");
        let events = lab.events;
        let told = told.nothing_past(events);
        assert_eq!(told.adopt(DIR, KEY).unwrap(), Adopted::Remembers { events });
        assert_eq!(lab.read(STATE), good, "it remembers what it did");
        assert_eq!(why(&lab), None);
    }
    // What a newer version remembers isn't lost.
    lab.write(STATE, b"factlog signer state 2\nkey");
    let told = adoption(&lab).evidence(lab.checkpoint.clone());
    let error = told.adopt(DIR, KEY).unwrap_err();
    assert_eq!(error.code(), "signer.state_unreadable");
}

/// The state is a lower bound: a checkpoint may show that the key has signed more.
#[test]
fn a_checkpoint_that_shows_more_than_the_key_remembers_counts() {
    let (older, newer) = behind();
    let shown: SignedCheckpoint = newer.open().reader().checkpoint().unwrap();
    let lab = older.copy();
    lab.remove(STATE);
    let said = refused(&lab, &adoption(&lab).evidence(shown.clone()));
    assert!(said.contains("lacks 3 events"), "{said}");
    let told = proven_by(&lab, &newer).evidence(shown).give_up(3);
    let said = refused(&lab, &told);
    assert!(said.contains("--nothing-past 10"), "{said}");
    let told = told.nothing_past(10);
    assert_eq!(told.adopt(DIR, KEY).unwrap(), Adopted::GaveUp { events: 3 });
}

#[test]
fn a_journal_that_does_not_hold_or_is_another_keys_is_not_adopted() {
    let (older, newer) = behind();
    let damaged = older.copy();
    let path = segment(damaged.fs.as_ref());
    let mut bytes = damaged.read(&path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    damaged.write(&path, &bytes);
    let said = refused(&damaged, &proven_by(&damaged, &newer).give_up(3));
    assert!(said.contains("doesn't hold"), "{said}");
    let other = Lab::small();
    let foreign = older.copy();
    foreign.write(KEY, &other.read(KEY));
    let error = proven_by(&foreign, &newer).give_up(3).adopt(DIR, KEY);
    assert_eq!(error.unwrap_err().code(), "signer.other_journal");
    let journal = newer.open();
    let busy = adoption(&newer).adopt(DIR, KEY).unwrap_err();
    assert_eq!(busy.code(), "signer.in_use");
    journal.close().unwrap();
}

/// Bug: after a rotation the file that commands are told of holds the old key, and the journal was refused as another's.
#[test]
fn a_key_that_took_the_place_of_another_is_found_beside_it() {
    let (lab, _) = crate::keys::rotated();
    let states = lab.files_below("").into_iter();
    for path in states.filter(|path| path.to_string_lossy().ends_with(".state")) {
        lab.remove(path);
    }
    assert_eq!(why(&lab), Some("signer.state_unreadable"));
    let told = adoption(&lab).evidence(lab.checkpoint.clone());
    let events = lab.events;
    let told = told.nothing_past(events);
    assert_eq!(told.adopt(DIR, KEY).unwrap(), Adopted::Remembers { events });
    assert_eq!(why(&lab), None);
}

/// Bug: with an old checkpoint the key remembered less than the journal beside it holds under its signature, and
/// signed other events in the place of those, unasked.
#[test]
fn a_key_that_forgot_remembers_all_that_the_journal_holds_signed_and_takes_the_users_word_for_the_rest()
 {
    let (_, newer) = behind();
    let good = newer.read(STATE);
    newer.remove(STATE);
    let told = || adoption(&newer).evidence(newer.early.clone());
    let said = refused(&newer, &told());
    assert!(said.contains("--nothing-past 10"), "{said}");
    for wrong in [0, newer.early.claimed().size(), 9, 11, u64::MAX] {
        let said = refused(&newer, &told().nothing_past(wrong));
        assert!(said.contains("ends at 10"), "{said}");
    }
    let adopted = told().nothing_past(10).adopt(DIR, KEY).unwrap();
    assert_eq!(adopted, Adopted::Remembers { events: 10 });
    assert_eq!(newer.read(STATE), good);
}

/// Bug: a state of last month stayed, though more was shown.
#[test]
fn a_memory_that_lags_behind_is_raised() {
    let (older, newer) = behind();
    let good = newer.read(STATE);
    newer.write(STATE, &older_state(&older).read(STATE));
    let adopted = adoption(&newer).adopt(DIR, KEY).unwrap();
    assert_eq!(adopted, Adopted::Remembers { events: 10 });
    assert_eq!(newer.read(STATE), good);
    let word = adoption(&newer).nothing_past(9);
    assert!(refused(&newer, &word).contains("ends at 10"));
    assert_eq!(
        adoption(&newer).adopt(DIR, KEY).unwrap(),
        Adopted::Continues
    );
}

/// The key's files as they were when the older copy was made.
fn older_state(older: &Lab) -> Lab {
    let lab = older.copy();
    lab.remove(STATE);
    let told = adoption(&lab).evidence(lab.checkpoint.clone());
    told.nothing_past(lab.events).adopt(DIR, KEY).unwrap();
    lab
}

/// Bug: only the largest had to continue the journal, and the key went on with a fork of what it had signed before.
#[test]
fn all_that_the_key_has_signed_past_the_journal_must_continue_it() {
    let (older, newer) = behind();
    let fork = older_state(&older);
    let append = |lab: &Lab, texts: &[&str]| {
        let journal = lab.open();
        for text in texts {
            journal.append(event("account-1", text)).unwrap();
        }
        let checkpoint = journal.reader().checkpoint().unwrap();
        journal.close().unwrap();
        checkpoint
    };
    append(&fork, &["fork"]);
    let attempt = fork.copy();
    let longer = append(&fork, &["x", "y", "z"]);
    assert!(longer.claimed().size() > 10);
    attempt.write(STATE, &newer.read(STATE));
    let told = proven_by(&attempt, &fork).evidence(longer).give_up(3);
    let said = refused(&attempt, &told);
    assert!(said.contains("true prefix of the 10 events"), "{said}");
}

/// Bug: whoever stole a key that was replaced could say how far the one that signs now had come.
#[test]
fn what_a_replaced_key_signs_says_nothing_of_the_one_that_signs_now() {
    let (lab, keys) = crate::keys::rotated();
    let text = String::from_utf8(lab.read(KEY)).unwrap();
    let old = factlog::SigningKey::from_text(text.trim_end()).unwrap();
    assert_eq!(*old.verifier(), keys[0]);
    let claimed = lab.checkpoint.claimed();
    for size in [lab.events, lab.events + 5] {
        let forged = factlog::Checkpoint::new(claimed.origin(), size, claimed.root());
        let forged = forged.unwrap().sign(&old).unwrap();
        let told = adoption(&lab).evidence(forged.clone()).give_up(5);
        assert_eq!(told.adopt(DIR, KEY).unwrap(), Adopted::Continues);
        let forgot = lab.copy();
        let states = forgot.files_below("").into_iter();
        for path in states.filter(|path| path.to_string_lossy().ends_with(".state")) {
            forgot.remove(path);
        }
        let told = adoption(&forgot).evidence(forged).nothing_past(lab.events);
        let said = refused(&forgot, &told);
        assert!(said.contains("show a checkpoint"), "{said}");
    }
    let told = adoption(&lab).evidence(lab.early.clone());
    assert_eq!(told.adopt(DIR, KEY).unwrap(), Adopted::Continues);
}

/// Bug: what the key that came after had signed was given up without a word of it.
#[test]
fn a_copy_from_before_a_rotation_is_not_adopted_beside_the_key_that_took_over() {
    use factlog_fs::StoreFs;
    let lab = Lab::small();
    let copy = lab.copy();
    copy.remove(crate::lab::KNOWN);
    let journal = lab.open();
    journal.rotate_key(factlog::Rotation::new()).unwrap();
    for text in ["one", "two", "three"] {
        journal.append(event("account-1", text)).unwrap();
    }
    journal.close().unwrap();
    let names = lab.files_below("").into_iter();
    for path in names.filter(|path| path.to_string_lossy().starts_with("signer")) {
        if copy.fs.metadata(&path).unwrap().is_none() {
            let private = factlog_fs::Access::Private;
            copy.fs.create_new(&path, private).unwrap();
        }
        copy.write(&path, &lab.read(&path));
    }
    for lacking in [1, 4] {
        let said = refused(&copy, &proven_by(&copy, &lab).give_up(lacking));
        assert!(said.contains("before its key was replaced"), "{said}");
        assert!(said.contains("has signed 11 events"), "{said}");
    }
}

#[test]
fn a_checkpoint_of_no_event_shows_nothing() {
    let lab = Lab::small();
    let text = String::from_utf8(lab.read(KEY)).unwrap();
    let key = factlog::SigningKey::from_text(text.trim_end()).unwrap();
    lab.remove(STATE);
    let none = factlog::Checkpoint::new(lab.key.name(), 0, factlog_proof::empty_root());
    let none = none.unwrap().sign(&key).unwrap();
    let said = refused(&lab, &adoption(&lab).evidence(none).nothing_past(7));
    assert!(said.contains("show a checkpoint"), "{said}");
}
