use super::*;

fn pinned(fs: &MemFs) -> KnownJournals {
    let known = known(fs);
    known.pin(journal(1, "/a")).unwrap();
    known
}

fn advance(known: &KnownJournals, size: u64) {
    known
        .advance_with(&[1; 16], &TRUE.checkpoint(1, size), |from| {
            if from == 0 {
                Vec::new()
            } else {
                TRUE.path(from, size)
            }
        })
        .unwrap();
}

#[test]
fn the_first_checkpoint_needs_no_proof_and_takes_none() {
    let known = pinned(&MemFs::new());
    let checkpoint = TRUE.checkpoint(1, 5);
    let path = [TRUE.root(1)];
    assert_eq!(
        code(known.advance(&[1; 16], &checkpoint, &path)),
        "known.not_consistent"
    );
    known.advance(&[1; 16], &checkpoint, &[]).unwrap();
    assert_eq!(sizes(&known, 1), [5]);
}

#[test]
fn a_newer_checkpoint_must_continue_the_newest() {
    let fs = MemFs::new();
    let known = pinned(&fs);
    advance(&known, 5);
    let id = [1; 16];
    let before = read(&fs);
    let next = TRUE.checkpoint(1, 9);
    for path in [
        vec![],
        TRUE.path(4, 9),
        TRUE.path(5, 10),
        vec![TRUE.root(5); 4],
    ] {
        assert_eq!(
            code(known.advance(&id, &next, &path)),
            "known.not_consistent"
        );
    }
    let fork = History { parts_at: 3 };
    let forked = known.advance(&id, &fork.checkpoint(1, 9), &fork.path(5, 9));
    assert_eq!(code(forked), "known.not_consistent");
    assert_eq!(
        code(known.advance(&id, &fork.checkpoint(1, 5), &[])),
        "history.forked"
    );
    assert_eq!(
        code(known.advance(&id, &TRUE.checkpoint(1, 4), &[])),
        "known.behind"
    );
    assert_eq!(
        code(known.advance(&[2; 16], &TRUE.checkpoint(2, 9), &[])),
        "known.not_found"
    );
    assert_eq!(read(&fs), before);
    known.advance(&id, &next, &TRUE.path(5, 9)).unwrap();
    // The same again is nothing new.
    let before = read(&fs);
    known.advance(&id, &next, &[]).unwrap();
    assert_eq!(read(&fs), before);
    // The size of an older kept one tells a fork as well.
    assert_eq!(
        code(known.advance(&id, &fork.checkpoint(1, 5), &[])),
        "history.forked"
    );
    assert_eq!(
        code(known.advance(&id, &TRUE.checkpoint(1, 5), &[])),
        "known.behind"
    );
}

#[test]
fn only_the_pinned_key_counts() {
    let fs = MemFs::new();
    let known = pinned(&fs);
    known
        .pin(KnownJournal {
            key: None,
            ..journal(2, "/b")
        })
        .unwrap();
    let id = [1; 16];
    let other = SigningKey::generate(&origin(1), [9; 32]).unwrap();
    let by_other = signed(&other, &origin(1), 5, TRUE.root(5));
    assert_eq!(
        code(known.advance(&id, &by_other, &[])),
        "note.no_known_signature"
    );
    let foreign = TRUE.checkpoint(2, 5);
    assert_eq!(
        code(known.advance(&id, &foreign, &[])),
        "checkpoint.origin_mismatch"
    );
    assert_eq!(
        code(known.advance(&[2; 16], &foreign, &[])),
        "known.unsigned"
    );
    let mut text = TRUE.checkpoint(1, 5).to_string().into_bytes();
    let last = text.len() - 10;
    text[last] = if text[last] == b'A' { b'B' } else { b'A' };
    let forged = SignedCheckpoint::parse(&text).unwrap();
    assert_eq!(code(known.advance(&id, &forged, &[])), "note.bad_signature");
}

#[test]
fn one_checkpoint_per_doubling_is_kept() {
    let known = pinned(&MemFs::new());
    for size in 1..=20 {
        advance(&known, size);
    }
    assert_eq!(sizes(&known, 1), [1, 2, 4, 8, 16, 20]);
    advance(&known, 31);
    assert_eq!(sizes(&known, 1), [1, 2, 4, 8, 16, 31]);
    advance(&known, 100);
    advance(&known, 101);
    advance(&known, 1000);
    assert_eq!(sizes(&known, 1), [1, 2, 4, 8, 16, 100, 1000]);
}

/// Another process may have advanced the pin since a proof was made; asked under the lock, the
/// proof begins where it must.
#[test]
fn the_proof_is_asked_for_from_the_newest_kept_size() {
    let known = pinned(&MemFs::new());
    advance(&known, 5);
    let stale = TRUE.path(5, 9);
    advance(&known, 7);
    let next = TRUE.checkpoint(1, 9);
    assert_eq!(
        code(known.advance(&[1; 16], &next, &stale)),
        "known.not_consistent"
    );
    let mut asked = None;
    let path_from = |from| {
        asked = Some(from);
        TRUE.path(from, 9)
    };
    known.advance_with(&[1; 16], &next, path_from).unwrap();
    assert_eq!(asked, Some(7));
}
