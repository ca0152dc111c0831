use std::path::{Path, PathBuf};

use super::*;

#[test]
fn a_pinned_journal_is_found_by_id_and_path() {
    let fs = MemFs::new();
    let known = known(&fs);
    assert_eq!(known.list().unwrap(), []);
    assert_eq!(known.find(&[1; 16]).unwrap(), None);
    let mut one = journal(1, "/data/one");
    one.key_file = Some("/keys/one".into());
    one.checkpoints = vec![TRUE.checkpoint(1, 5)];
    let two = journal(2, "/data/two");
    known.pin(one.clone()).unwrap();
    known.pin(two.clone()).unwrap();
    assert_eq!(known.list().unwrap(), [one.clone(), two.clone()]);
    assert_eq!(known.find(&[1; 16]).unwrap(), Some(one));
    assert_eq!(known.find_path(Path::new("/data/two/")).unwrap(), Some(two));
    assert_eq!(known.find_path(Path::new("/data")).unwrap(), None);
    for path in ["/user/state/factlog", FILE] {
        assert!(
            fs.metadata(Path::new(path)).unwrap().unwrap().private,
            "{path}"
        );
    }
}

#[test]
fn pinning_again_adds_paths_and_nothing_else() {
    let fs = MemFs::new();
    let known = known(&fs);
    known.pin(journal(1, "/a")).unwrap();
    let mut again = journal(1, "/b");
    again.key_file = Some("/key".into());
    again.checkpoints = vec![TRUE.checkpoint(1, 3)];
    known.pin(again).unwrap();
    let mut later = journal(1, "/a");
    later.checkpoints = vec![TRUE.checkpoint(1, 9)];
    known.pin(later).unwrap();
    let found = known.find(&[1; 16]).unwrap().unwrap();
    assert_eq!(found.paths, [PathBuf::from("/a"), "/b".into()]);
    assert_eq!(found.key_file, Some("/key".into()));
    assert_eq!(sizes(&known, 1), [3]);
    let mut forked = journal(1, "/a");
    forked.checkpoints = vec![History { parts_at: 1 }.checkpoint(1, 3)];
    assert_eq!(code(known.pin(forked)), "history.forked");
}

#[test]
fn another_key_is_an_error_and_changes_nothing() {
    let fs = MemFs::new();
    let known = known(&fs);
    known.pin(journal(1, "/a")).unwrap();
    known
        .pin(KnownJournal {
            key: None,
            ..journal(2, "/b")
        })
        .unwrap();
    let before = read(&fs);
    let other = SigningKey::generate(&origin(1), [9; 32]).unwrap();
    let other = Some(other.verifier().clone());
    for differing in [
        KnownJournal {
            key: other,
            ..journal(1, "/c")
        },
        KnownJournal {
            key: None,
            ..journal(1, "/c")
        },
        journal(2, "/c"),
        KnownJournal {
            key: None,
            origin: format!("x.org{}", &origin(2)[11..]),
            ..journal(2, "/c")
        },
    ] {
        let error = known.pin(differing).unwrap_err();
        assert_eq!(error.code(), "known.key_differs", "{error}");
    }
    assert_eq!(read(&fs), before);
}

#[test]
fn another_journal_at_a_known_path_is_an_error() {
    let fs = MemFs::new();
    let known = known(&fs);
    known.pin(journal(1, "/a")).unwrap();
    known.pin(journal(2, "/b")).unwrap();
    let before = read(&fs);
    assert_eq!(code(known.pin(journal(3, "/a"))), "known.replaced");
    assert_eq!(code(known.pin(journal(2, "/a"))), "known.replaced");
    assert_eq!(
        code(known.add_path(&[2; 16], Path::new("/a"))),
        "known.replaced"
    );
    assert_eq!(
        code(known.check_path(Path::new("/a"), &[3; 16])),
        "known.replaced"
    );
    known.check_path(Path::new("/a"), &[1; 16]).unwrap();
    known.check_path(Path::new("/new"), &[3; 16]).unwrap();
    assert_eq!(read(&fs), before);
    assert_eq!(
        code(known.add_path(&[3; 16], Path::new("/c"))),
        "known.not_found"
    );
    known.add_path(&[2; 16], Path::new("/c")).unwrap();
    known.add_path(&[2; 16], Path::new("/c/.")).unwrap();
    let found = known.find_path(Path::new("/c")).unwrap().unwrap();
    assert_eq!(found.paths, [PathBuf::from("/b"), "/c".into()]);
}

#[test]
fn forgetting_and_accepting_are_explicit() {
    let fs = MemFs::new();
    let known = known(&fs);
    let mut two = journal(2, "/b");
    two.paths.push("/c".into());
    known.pin(journal(1, "/a")).unwrap();
    known.pin(two).unwrap();
    // The key of 1 has changed, and it now stands where 2 stood.
    let other = SigningKey::generate(&origin(1), [9; 32]).unwrap();
    let accepted = KnownJournal {
        key: Some(other.verifier().clone()),
        ..journal(1, "/b")
    };
    known.accept(accepted.clone()).unwrap();
    assert_eq!(known.find(&[1; 16]).unwrap(), Some(accepted));
    assert_eq!(
        known.find(&[2; 16]).unwrap().unwrap().paths,
        [PathBuf::from("/c")]
    );
    known.accept(journal(3, "/d")).unwrap();
    assert!(known.forget(&[1; 16]).unwrap());
    assert!(!known.forget(&[1; 16]).unwrap());
    let ids: Vec<u8> = known
        .list()
        .unwrap()
        .iter()
        .map(|journal| journal.id[0])
        .collect();
    assert_eq!(ids, [2, 3]);
}

#[test]
fn what_contradicts_itself_is_not_taken_in() {
    let fs = MemFs::new();
    let known = known(&fs);
    let with = |checkpoints| KnownJournal {
        checkpoints,
        ..journal(1, "/a")
    };
    let foreign = signed(&key(2), &origin(2), 5, TRUE.root(5));
    for (bad, expect) in [
        (
            KnownJournal {
                origin: origin(2),
                ..journal(1, "/a")
            },
            "known.invalid",
        ),
        (
            KnownJournal {
                key: Some(key(2).verifier().clone()),
                ..journal(1, "/a")
            },
            "known.invalid",
        ),
        (
            KnownJournal {
                key: None,
                ..with(vec![TRUE.checkpoint(1, 5)])
            },
            "known.invalid",
        ),
        (with(vec![foreign]), "known.invalid"),
        (
            with(vec![TRUE.checkpoint(1, 5), TRUE.checkpoint(1, 5)]),
            "known.invalid",
        ),
        (
            with(vec![TRUE.checkpoint(1, 6), TRUE.checkpoint(1, 5)]),
            "known.invalid",
        ),
    ] {
        assert_eq!(code(known.pin(bad.clone())), expect);
        assert_eq!(code(known.accept(bad)), expect);
    }
    let other = SigningKey::generate(&origin(1), [9; 32]).unwrap();
    let unsigned = with(vec![signed(&other, &origin(1), 5, TRUE.root(5))]);
    assert_eq!(code(known.pin(unsigned)), "note.no_known_signature");
    assert_eq!(fs.metadata(Path::new(FILE)).unwrap(), None);
}

#[test]
fn two_processes_take_turns() {
    let fs = MemFs::new();
    let threads: Vec<_> = (0..8)
        .map(|id| {
            let known = known(&fs);
            std::thread::spawn(move || known.pin(journal(id, &format!("/{id}"))).unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(known(&fs).list().unwrap().len(), 8);
    let _held = fs
        .lock(Path::new("/user/state/factlog/known_journals.lock"))
        .unwrap();
    assert_eq!(code(known(&fs).forget(&[1; 16])), "known.locked");
    known(&fs).list().unwrap();
}

#[test]
fn a_real_file_is_for_the_owner_alone() {
    use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state/known_journals");
    let known = KnownJournals::at(&file);
    assert_eq!(known.path(), file);
    let mut pinned = journal(1, "/a");
    pinned
        .paths
        .push(std::ffi::OsStr::from_bytes(b"/not \xff text").into());
    known.pin(pinned.clone()).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(known.list().unwrap(), [pinned]);
    // A relative path means one in the working directory.
    known.add_path(&[1; 16], Path::new("here")).unwrap();
    assert!(
        known
            .find_path(&std::env::current_dir().unwrap().join("here"))
            .unwrap()
            .is_some()
    );
}
