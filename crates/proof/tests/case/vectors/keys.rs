//! Other histories, and who signed them.

use super::*;

pub(super) fn histories(vectors: &mut Vectors) {
    let (lab, good) = after();
    let mut case = good.clone();
    case.earlier.clear();
    vectors.add("case-before-left-out", &case, INCOMPLETE, "case.after");
    let mut case = good.clone();
    let mut other = Lab::new(JOURNAL, ORIGIN, &log_key());
    for time in 0..5 {
        other.deposit(1000 + time, "z", b"1");
    }
    case.earlier[0].note = note(&other.signed(6, &[&log_key()]));
    vectors.add(
        "case-before-swapped",
        &case,
        BROKEN_AND_INCOMPLETE,
        "case.earlier",
    );
    let mut case = good.clone();
    case.earlier[0].path[0][0] ^= 1;
    vectors.add("consistency-changed", &case, BROKEN, "case.earlier");
    let mut case = good.clone();
    case.earlier = vec![lab.earlier(5, &[&log_key()])];
    vectors.add(
        "case-before-of-another-size",
        &case,
        INCOMPLETE,
        "case.after",
    );
    let mut case = good.clone();
    case.earlier = vec![lab.earlier(6, &[&log_key()]), lab.earlier(5, &[&log_key()])];
    vectors.add(
        "earlier-checkpoints-unsorted",
        &case,
        BROKEN,
        "case.earlier",
    );
    let mut case = good;
    let claimed = lab.signed(6, &[&log_key()]);
    let mut forged = claimed.to_string();
    let last = forged.len() - 20;
    let swapped = if forged.as_bytes()[last] == b'A' {
        "B"
    } else {
        "A"
    };
    forged.replace_range(last..=last, swapped);
    case.earlier[0].note = String::leak(forged);
    vectors.add("earlier-signature-forged", &case, FOREIGN, "case.signature");
}

/// What only the journal's keeper could do, who can sign.
pub(super) fn keepers(vectors: &mut Vectors) {
    let other = [0xee; 16];
    let origin = ORIGIN.rsplit_once('/').unwrap().0;
    let elsewhere = format!("{origin}/{}", "ee".repeat(16));
    let mut fresh = empty_like(&Lab::ledger());
    fresh.own(100, &created(other, &elsewhere, &log_key()));
    fresh.deposit(1000, "a", b"1");
    fresh.deposit(2000, "a", b"2");
    let (_, case) = fresh.export(by_sequence(1, 2), true);
    vectors.add("genesis-of-another-journal", &case, BROKEN, "case.genesis");

    let mut lab = empty_like(&fresh);
    lab.deposit(1000, "a", b"1");
    lab.deposit(2000, "a", b"2");
    let (_, case) = lab.export(by_sequence(0, 2), false);
    vectors.add("no-genesis", &case, BROKEN, "case.journal_event");

    let mut lab = Lab::ledger();
    lab.deposit(1999, "a", b"late");
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add("clock-turned-back", &case, BROKEN, "case.time_order");

    let mut lab = Lab::ledger();
    let (stream, revision, hash) = lab.stream("bank", "a");
    lab.put("bank", "b2", (stream, revision, hash));
    lab.deposit(2500, "b2", b"1");
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add("stream-of-another-entity", &case, BROKEN, "case.coordinate");

    let mut lab = Lab::ledger();
    lab.append("$system", "x", "system.noted", 2500, &[part("data", b"1")]);
    let (_, case) = lab.export(by_sequence(1, 11), true);
    let open = ["undecided", "holds", "undecided"];
    vectors.add("reserved-scope", &case, open, "case.unsupported_event");
    let mut lab = Lab::ledger();
    lab.append(
        "$journal",
        "journal",
        "journal.sang",
        2500,
        &[part("data", b"\x01")],
    );
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add(
        "own-event-of-a-newer-version",
        &case,
        open,
        "case.unsupported_event",
    );
    let mut lab = Lab::ledger();
    lab.append(
        "$journal",
        "journal",
        "clock.stepped_back",
        2500,
        &[part("data", b"\x01\x00")],
    );
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add("own-event-malformed", &case, BROKEN, "case.journal_event");
    let mut lab = Lab::ledger();
    lab.append(
        "$journal",
        "second",
        "clock.stepped_back",
        2500,
        &[part("data", &[1; 17])],
    );
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add(
        "second-stream-of-its-own",
        &case,
        BROKEN,
        "case.journal_event",
    );
}

pub(super) fn empty_like(lab: &Lab) -> Lab {
    let mut empty = Lab::new(lab.id, &lab.origin, &log_key());
    empty.clear();
    empty
}

pub(super) fn keys(vectors: &mut Vectors) {
    let (lab, good) = logged();
    let size = lab.size();
    let stranger = key(ORIGIN, 66);
    let mut case = good.clone();
    case.checkpoint = note(&lab.signed(size, &[&stranger]));
    vectors.add("signed-by-a-stranger", &case, FOREIGN, "case.not_signed");
    let mut case = good.clone();
    case.checkpoint = note(&lab.signed(size, &[&log_key(), &stranger]));
    vectors.add(
        "signed-by-a-stranger-too",
        &case,
        FOREIGN,
        "case.unknown_signature",
    );

    let mut case = good.clone();
    let text = case.checkpoint;
    let claimed = lab.signed(size, &[&log_key()]);
    let forged = Checkpoint::new(ORIGIN, size, crate::lab::hash(&[7; 32])).unwrap();
    case.checkpoint = String::leak(text.replace(
        &claimed.claimed().root().to_string(),
        &forged.root().to_string(),
    ));
    let broken = ["fails", "fails", "undecided"];
    vectors.add("root-forged", &case, broken, "case.root");

    // A tree of the forger's own, under the signature of the true one.
    let mut forger = Lab::ledger();
    forger.deposit(2600, "x", b"forged");
    let (forger, mut case) = forger.export(period(), true);
    let mine = forger.signed(forger.size(), &[&log_key()]);
    let signature = claimed.signatures().to_vec();
    let stolen = factlog_proof::SignedCheckpoint::new(mine.claimed().clone(), signature).unwrap();
    case.checkpoint = note(&stolen);
    vectors.add(
        "signature-of-another-checkpoint",
        &case,
        FOREIGN,
        "case.signature",
    );

    let (lab, case) = rotated(None);
    vectors.add("good-rotated", &case, HOLDS, "");
    let mut without = case.clone();
    without.earlier.clear();
    vectors.add("handover-left-out", &without, FOREIGN, "case.not_signed");
    let mut by_old = case.clone();
    by_old.checkpoint = note(&lab.signed(lab.size(), &[&log_key()]));
    vectors.add(
        "signed-by-the-key-that-was-replaced",
        &by_old,
        FOREIGN,
        "case.not_signed",
    );
    let mut by_new = case;
    by_new.earlier = vec![lab.earlier(11, &[&second()])];
    vectors.add(
        "handover-signed-by-the-new-key-alone",
        &by_new,
        FOREIGN,
        "case.not_signed",
    );
    let (_, case) = rotated(Some(next_key_hash(second().verifier().public_key())));
    vectors.add("good-rotated-as-announced", &case, HOLDS, "");
    let (_, case) = rotated(Some([4; 32]));
    vectors.add(
        "rotated-to-a-key-not-announced",
        &case,
        FOREIGN,
        "case.not_signed",
    );

    let mut lab = Lab::ledger();
    let rotation = rotation(&lab, None);
    lab.own(2200, &rotation);
    let first = *log_key().verifier().public_key();
    lab.own(
        2300,
        &JournalEvent::KeyRevoked(KeyRevoked {
            key: first,
            from: 3,
        }),
    );
    let (lab, mut case) = lab.export(period(), true);
    case.checkpoint = note(&lab.signed(lab.size(), &[&second()]));
    case.earlier = vec![lab.earlier(11, &[&log_key(), &second()])];
    vectors.add(
        "handover-by-a-revoked-key",
        &case,
        FOREIGN,
        "case.not_signed",
    );
}

pub(crate) fn second() -> SigningKey {
    key(ORIGIN, 2)
}

pub(crate) fn rotation(lab: &Lab, next: Option<[u8; 32]>) -> JournalEvent {
    let signed = lab.signed(lab.size(), &[&second()]);
    JournalEvent::KeyRotated(KeyRotated {
        old: *log_key().verifier().public_key(),
        new: *second().verifier().public_key(),
        signature: signed.signatures()[0].bytes().try_into().unwrap(),
        next,
    })
}

/// The first key hands over to the second at event 10, or first to itself announcing `next`.
pub(super) fn rotated(announced: Option<[u8; 32]>) -> (Lab, Case) {
    let mut lab = Lab::ledger();
    let mut handed = 11;
    let (first, third) = (log_key(), key(ORIGIN, 3));
    let mut earlier = Vec::new();
    if let Some(next) = announced {
        let signed = lab.signed(lab.size(), &[&third]);
        let rotation = KeyRotated {
            old: *first.verifier().public_key(),
            new: *third.verifier().public_key(),
            signature: signed.signatures()[0].bytes().try_into().unwrap(),
            next: Some(next),
        };
        lab.own(2150, &JournalEvent::KeyRotated(rotation));
        earlier.push((handed, [log_key(), key(ORIGIN, 3)]));
        handed += 1;
    }
    let from = if announced.is_some() { &third } else { &first };
    let signed = lab.signed(lab.size(), &[&second()]);
    let rotation = KeyRotated {
        old: *from.verifier().public_key(),
        new: *second().verifier().public_key(),
        signature: signed.signatures()[0].bytes().try_into().unwrap(),
        next: None,
    };
    lab.own(2200, &JournalEvent::KeyRotated(rotation));
    let from = if announced.is_some() {
        key(ORIGIN, 3)
    } else {
        log_key()
    };
    earlier.push((handed, [from, second()]));
    let (lab, mut case) = lab.export(period(), true);
    case.checkpoint = note(&lab.signed(lab.size(), &[&second()]));
    for (size, [old, new]) in &earlier {
        case.earlier.push(lab.earlier(*size, &[old, new]));
    }
    (lab, case)
}

/// Signs as a checkpoint of its own: used where a test wants one that no case holds.
pub(crate) fn checkpoint(size: u64, root: [u8; 32]) -> String {
    let checkpoint = Checkpoint::new(ORIGIN, size, crate::lab::hash(&root)).unwrap();
    sign(&checkpoint, &[&log_key()]).to_string()
}
