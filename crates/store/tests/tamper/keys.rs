//! A journal's keys change, and who knew an earlier one still knows whom to believe.
use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::{DIR, event},
    wire::Forgery,
};
use factlog::{
    Authenticity, Completeness, Journal, Options, Outcome, Report, Rotation, SignedCheckpoint,
    SigningKey, VerifierKey, verify,
};

/// A journal whose key was replaced twice, and its three keys.
pub(crate) fn rotated() -> (Lab, [VerifierKey; 3]) {
    let mut lab = Lab::small();
    let journal = lab.open();
    let first = lab.key.clone();
    let second = journal.rotate_key(Rotation::new()).unwrap().key;
    journal.append(event("account-1", "by the second")).unwrap();
    let third = journal.rotate_key(Rotation::new()).unwrap().key;
    journal.append(event("account-1", "by the third")).unwrap();
    lab.checkpoint = journal.reader().checkpoint().unwrap();
    lab.events = journal.reader().len();
    journal.close().unwrap();
    (lab, [first, second, third])
}

fn with(lab: &Lab, key: &VerifierKey, checkpoint: &SignedCheckpoint) -> Report {
    lab.verify(&lab.bare().key(key.clone()).checkpoint(checkpoint.clone()))
}

#[test]
fn whoever_knows_any_key_follows_to_the_last() {
    let (lab, keys) = rotated();
    for key in &keys {
        let report = with(&lab, key, &lab.checkpoint);
        assert_holds(&report);
        assert_eq!(report.signed_through, Some(lab.events - 1));
        // A checkpoint that the first key has signed is confirmed by the last.
        let report = with(&lab, key, &lab.early);
        assert_holds(&report);
    }
    assert_holds(&lab.verify(&lab.bare().known(lab.known())));
}

#[test]
fn the_keys_of_a_journal_say_since_when_and_until_when() {
    let (lab, keys) = rotated();
    let options = Lab::options(&lab.fs);
    let reader = Journal::open_read_only(DIR, options).unwrap();
    let told = reader.keys();
    let told: Vec<_> = told
        .iter()
        .map(|key| (&key.key, key.since, key.retired))
        .collect();
    let first = 7;
    assert_eq!(
        told,
        [
            (&keys[0], 0, Some(first)),
            (&keys[1], first, Some(first + 2)),
            (&keys[2], first + 2, None)
        ]
    );
    assert_eq!(reader.verifier_key(), Some(keys[2].clone()));
}

#[test]
fn receipts_after_a_rotation_are_the_new_keys() {
    let (lab, keys) = rotated();
    let journal = lab.open();
    let text = journal
        .append(event("account-0", "later"))
        .unwrap()
        .text()
        .unwrap();
    let receipt = factlog::UnverifiedReceipt::parse(text.as_bytes()).unwrap();
    assert!(receipt.verify(&keys[2].clone().into()).is_ok());
    assert!(receipt.verify(&keys[0].clone().into()).is_err());
}

/// The checkpoint that hands over has two signatures; a receipt under it has that of the new key alone.
#[test]
fn receipts_right_after_a_rotation_have_one_signature() {
    let lab = Lab::small();
    let journal = lab.open();
    let new = journal.rotate_key(Rotation::new()).unwrap().key;
    assert_eq!(journal.reader().checkpoint().unwrap().signatures().len(), 2);
    let policy = factlog::Policy::from(new).refuse_unknown_signatures();
    let text = journal.reader().receipt(3).unwrap();
    let receipt = factlog::UnverifiedReceipt::parse(text.as_bytes()).unwrap();
    assert!(receipt.verify(&policy).is_ok());
}

/// Whoever has the old key, but not the new one, goes on from a copy as if nothing had happened.
#[test]
fn what_an_old_key_signs_after_it_was_replaced_does_not_count() {
    let (lab, keys) = rotated();
    let old = signing_key(&lab);
    assert_eq!(*old.verifier(), keys[0]);
    let checkpoint = &lab.checkpoint;
    let forged = factlog::Checkpoint::new(
        checkpoint.claimed().origin(),
        checkpoint.claimed().size() + 5,
        checkpoint.claimed().root(),
    );
    let ahead = forged.unwrap().sign(&old).unwrap();
    let other = factlog::Checkpoint::new(
        checkpoint.claimed().origin(),
        5,
        checkpoint.claimed().root(),
    );
    let other = other.unwrap().sign(&old).unwrap();
    for forged in [ahead, other] {
        let report = with(&lab, &keys[0], &forged);
        assert!(report.findings.is_empty(), "{}", show(&report));
        assert_eq!(codes(&report.unchecked), ["checkpoint.retired_key"]);
        assert_eq!(report.completeness, Completeness::NotChecked);
        assert_eq!(report.outcome(false), Outcome::Undecided);
    }
}

fn signing_key(lab: &Lab) -> SigningKey {
    let text = String::from_utf8(lab.read("signer.key")).unwrap();
    SigningKey::from_text(text.trim_end()).unwrap()
}

/// An attacker who has the journal but no key replaces the key by one of theirs.
#[test]
fn a_key_that_the_old_one_did_not_bring_is_not_followed() {
    let (lab, keys) = rotated();
    let thief = SigningKey::generate(keys[0].name(), [7; 32]).unwrap();
    let mut journal = Forgery::read(&lab);
    // The third key becomes the thief's; what it signs is signed by the thief.
    let (old, new) = (*keys[2].public_key(), *thief.verifier().public_key());
    let at = 9;
    let before = journal.root_before(at);
    let signature = factlog::Checkpoint::new(keys[0].name(), at, before).unwrap();
    let signature = thief.sign(signature.to_string().as_bytes());
    journal.event(at).repay(|payload| {
        let place = payload.windows(32).position(|w| w == old).unwrap();
        payload[place..place + 32].copy_from_slice(&new);
        payload[place + 34..place + 98].copy_from_slice(&signature);
    });
    journal.relink();
    journal.restate();
    journal.sign_from(at, &thief);
    journal.write(&lab);
    lab.remove_checkpoints();
    for key in &keys[..2] {
        let report = lab.verify(&lab.bare().key(key.clone()));
        assert_eq!(
            report.authenticity,
            Authenticity::BadSignature,
            "{}",
            show(&report)
        );
        assert!(
            report.signed_through.is_none_or(|through| through < at),
            "{}",
            show(&report)
        );
        assert!(
            codes(&report.findings).contains(&"signature.missing"),
            "{}",
            show(&report)
        );
    }
    let report = lab.verify(&lab.bare().key(keys[2].clone()));
    assert!(
        codes(&report.findings).contains(&"signature.other_key"),
        "{}",
        show(&report)
    );
}

/// Forges what follows the rotation at 7, with nothing but the key that it replaced.
fn forged_by_the_old_key(revoke: bool, sessions: bool) -> (Lab, VerifierKey) {
    let lab = Lab::small();
    let old = signing_key(&lab);
    let journal = lab.open();
    journal.rotate_key(Rotation::new()).unwrap();
    let mut honest = 8;
    if revoke {
        journal.revoke_key(old.verifier(), honest).unwrap();
        honest += 1;
    }
    for text in ["one", "two", "six", "ten"] {
        journal.append(event("account-1", text)).unwrap();
    }
    journal.close().unwrap();
    let mut forged = Forgery::read(&lab);
    forged.event(honest).repay(|payload| payload[0] ^= 1);
    forged.relink();
    forged.restate();
    forged.sign_from(honest, &old);
    if sessions {
        let groups = forged.segments.iter_mut().flat_map(|s| &mut s.groups);
        let late = groups.filter(|group| group.header.first_sequence > honest);
        for (number, group) in (1..).zip(late) {
            group.header.incarnation += number;
        }
    }
    forged.write(&lab);
    lab.remove_checkpoints();
    (lab, old.verifier().clone())
}

/// It is the key that the auditor knows, and still it signs nothing any more.
#[test]
fn a_replaced_key_does_not_sign_on_because_it_is_the_one_given() {
    for revoke in [false, true] {
        let (lab, old) = forged_by_the_old_key(revoke, false);
        let report = with(&lab, &old, &lab.early);
        let found = codes(&report.findings);
        assert!(found.contains(&"signature.missing"), "{}", show(&report));
        assert_eq!(report.outcome(false), Outcome::Fails, "{}", show(&report));
        let honest = 7 + u64::from(revoke);
        assert_eq!(report.signed_through, Some(honest), "{}", show(&report));
        // Whoever begins a session for each event doesn't get round it either: each begins with a signature.
        let (lab, old) = forged_by_the_old_key(revoke, true);
        let report = with(&lab, &old, &lab.early);
        assert_eq!(report.signed_through, Some(honest), "{}", show(&report));
        let found = codes(&report.findings);
        assert!(found.contains(&"signature.missing"), "{}", show(&report));
        assert_eq!(report.outcome(false), Outcome::Fails, "{}", show(&report));
    }
}

/// A tail without any signature, by someone who has no key and begins a session for each event.
/// With `idle`, an empty commit of a session of its own stands before each.
pub(crate) fn unsigned_sessions(lab: &Lab, last: u64, idle: bool) {
    let mut forged = Forgery::read(lab);
    let mut groups: Vec<_> = forged.segments[0].groups.drain(..).collect();
    groups.retain(|group| !group.events.is_empty());
    for (number, group) in (1..).zip(groups.iter_mut().rev().take(last as usize).rev()) {
        group.header.incarnation += number;
        group.events[0].repay(|payload| payload[0] ^= 1);
        if number > 1 {
            // That of what stands before them is good.
            group.header.signatures.clear();
        }
    }
    if idle {
        let late = groups.len() - last as usize + 1;
        for group in groups.split_off(late) {
            let mut empty = group.clone();
            empty.events.clear();
            groups.extend([empty, group]);
        }
        for (number, group) in (1..).zip(groups.iter_mut().skip(late)) {
            group.header.incarnation += number;
        }
    }
    forged.segments[0].groups = groups;
    forged.manifest.incarnation += 4 * last as u32;
    forged.relink();
    forged.restate();
    // Nobody called it closed.
    forged.write(lab);
    let mut manifest =
        factlog_format::Manifest::decode(&lab.read(format!("{DIR}/MANIFEST"))).unwrap();
    manifest.rows.last_mut().unwrap().proven_end = 0;
    lab.write(format!("{DIR}/MANIFEST"), &manifest.encode());
    lab.remove_checkpoints();
}

/// Bug: the owner's next session signed whatever stood behind the last signature, however much it was.
#[test]
fn more_than_one_unsigned_commit_is_never_signed_afterwards() {
    for (last, idle) in [(1, false), (3, false), (3, true)] {
        let lab = Lab::small();
        unsigned_sessions(&lab, last, idle);
        // The owner remembers nothing of what was rewritten: a key that a caller holds has no state.
        let key = signing_key(&lab);
        let fs: std::sync::Arc<factlog_fs::MemFs> = lab.fs.clone();
        let options = Options::new().file_system(fs).signing_key(key);
        let journal = Journal::open(DIR, options.dangerous().without_housekeeper()).unwrap();
        let why = journal.read_only_reason().map(factlog::Error::code);
        let wanted = (last > 1).then_some("signature.missing");
        assert_eq!(why, wanted, "{last}, {idle}");
    }
}

/// A new key whose holder didn't agree could be anybody's.
#[test]
fn a_rotation_without_the_new_keys_own_signature_is_no_rotation() {
    let (lab, keys) = rotated();
    let mut journal = Forgery::read(&lab);
    journal
        .event(7)
        .repay(|payload| *payload.last_mut().unwrap() ^= 0);
    journal.event(7).repay(|payload| payload[80] ^= 1);
    journal.relink();
    journal.restate();
    journal.write(&lab);
    let report = with(&lab, &keys[0], &lab.checkpoint);
    let found = codes(&report.findings);
    assert!(found.contains(&"event.journal_event"), "{}", show(&report));
    assert_eq!(report.outcome(false), Outcome::Fails);
}

#[test]
fn a_revoked_key_leads_nowhere_and_the_newest_still_vouches_for_all() {
    let (lab, keys) = rotated();
    let journal = lab.open();
    let refused = journal.revoke_key(&keys[2], 3).unwrap_err();
    assert_eq!(
        refused.code(),
        "key.refused",
        "the key that signs can't be revoked"
    );
    assert_eq!(
        journal.revoke_key(&keys[0], 99).unwrap_err().code(),
        "key.refused"
    );
    journal.revoke_key(&keys[0], 3).unwrap();
    let checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    for key in &keys[1..] {
        assert_holds(&with(&lab, key, &checkpoint));
    }
    let report = with(&lab, &keys[0], &checkpoint);
    assert!(report.findings.is_empty(), "{}", show(&report));
    assert_eq!(report.signed_through, Some(2), "{}", show(&report));
    assert_eq!(
        report.outcome(false),
        Outcome::Undecided,
        "{}",
        show(&report)
    );
    assert!(
        codes(&report.unchecked).contains(&"key.not_followed"),
        "{}",
        show(&report)
    );
}

#[test]
fn an_announced_key_is_the_only_one_that_can_follow() {
    let lab = Lab::small();
    let next = SigningKey::generate(lab.key.name(), [5; 32]).unwrap();
    let journal = lab.open();
    journal
        .rotate_key(Rotation::new().then(next.verifier()))
        .unwrap();
    let other = journal.rotate_key(Rotation::new()).unwrap_err();
    assert_eq!(other.code(), "key.refused");
    let rotated = journal.rotate_key(Rotation::new().key(next)).unwrap();
    let checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    assert_holds(&with(&lab, &lab.key, &checkpoint));
    let file = rotated.key_file.unwrap();
    assert!(lab.files_below("").iter().any(|path| file.ends_with(path)));
    // It opens with the key that signs, wherever the caller says the first one is.
    let journal = lab.open();
    assert!(journal.read_only_reason().is_none());
    journal.append(event("account-0", "on")).unwrap();
}

#[test]
fn a_key_never_comes_back() {
    let lab = Lab::small();
    let journal = lab.open();
    let old = signing_key(&lab);
    journal.rotate_key(Rotation::new()).unwrap();
    let again = journal.rotate_key(Rotation::new().key(old)).unwrap_err();
    assert_eq!(again.code(), "key.refused");
    let stranger = SigningKey::generate("example.com/other", [5; 32]).unwrap();
    let other = journal
        .rotate_key(Rotation::new().key(stranger))
        .unwrap_err();
    assert_eq!(other.code(), "signer.other_journal");
    journal.append(event("account-0", "on")).unwrap();
}

#[test]
fn with_the_old_key_alone_a_journal_opens_for_reading() {
    let (lab, _) = rotated();
    for path in lab.files_below("") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("signer-") {
            lab.remove(path);
        }
    }
    let journal = Journal::open(DIR, Lab::options(&lab.fs)).unwrap();
    let why = journal.read_only_reason().map(factlog::Error::code);
    assert_eq!(why, Some("signer.key_missing"));
    let strict = Lab::options(&lab.fs).signing_policy(factlog::SigningPolicy::Required);
    drop(journal);
    assert!(Journal::open(DIR, strict).is_err());
}

#[test]
fn a_reader_elsewhere_follows_a_rotation() {
    let lab = Lab::small();
    let fs: std::sync::Arc<factlog_fs::MemFs> = lab.fs.clone();
    let reader = Journal::open_read_only(DIR, Options::new().file_system(fs)).unwrap();
    let journal = lab.open();
    let new = journal.rotate_key(Rotation::new()).unwrap().key;
    for text in ["one", "two"] {
        journal.append(event("account-0", text)).unwrap();
    }
    journal.housekeep().unwrap();
    while reader.refresh().unwrap() {}
    assert_eq!(reader.verifier_key(), Some(new.clone()));
    assert!(reader.checkpoint().unwrap().verify(&new).is_ok());
}

#[test]
fn a_lost_manifest_does_not_forget_the_keys() {
    let (lab, keys) = rotated();
    lab.remove(format!("{DIR}/MANIFEST"));
    factlog::repair(DIR, &Lab::options(&lab.fs)).unwrap();
    let journal = lab.open();
    assert_eq!(journal.reader().verifier_key(), Some(keys[2].clone()));
    journal.append(event("account-0", "on")).unwrap();
    let checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let report = verify(DIR, &lab.bare().key(keys[0].clone()).checkpoint(checkpoint));
    assert_holds(&report.unwrap());
}

/// A key that isn't the one that signs now needs no care for the journal to open.
#[test]
fn a_file_of_an_older_key_that_is_broken_hinders_nothing() {
    let (lab, keys) = rotated();
    for path in lab.files_below("") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("signer.key") {
            lab.write(path, b"broken");
        }
    }
    let journal = lab.open();
    assert!(
        journal.read_only_reason().is_none(),
        "{:?}",
        journal.read_only_reason()
    );
    journal.append(event("account-0", "on")).unwrap();
    assert_eq!(journal.reader().verifier_key(), Some(keys[2].clone()));
}
