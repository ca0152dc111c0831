//! Creations that a crash cut short: finished by an open, or cleared by the next creation.

use std::collections::BTreeMap;

use factlog::{Journal, Options, SigningPolicy, VerifyOptions, verify};
use factlog_fs::{Access, StoreFs};
use factlog_sim::{PowerCut, SimFs, Unsynced};

use crate::support::{DIR, event, overwrite, texts};

fn options(fs: &SimFs) -> Options {
    let options = Options::new().file_system(fs.store()).signing_key_dir("k");
    options.dangerous().without_housekeeper()
}

/// Before the mistake was mended such a directory was no journal and could be none: it had to be
/// removed by hand.
#[test]
fn every_crash_of_a_creation_is_finished_or_cleared() {
    let fs = SimFs::new(3);
    fs.record();
    drop(Journal::create(DIR, options(&fs)).unwrap());
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    for moment in fs.moments() {
        let mut machines = vec![moment.kill_process(1)];
        for unsynced in Unsynced::ALL {
            machines.extend((0..3).map(|seed| moment.power_cut(&PowerCut::new(unsynced), seed)));
        }
        for fs in machines {
            *outcomes.entry(go_on(&fs)).or_default() += 1;
        }
    }
    for outcome in ["opened", "journal.not_found", "journal.unfinished"] {
        assert!(outcomes.contains_key(outcome), "{outcomes:?}");
    }
}

/// Opens what is there, or creates it again, and uses it.
fn go_on(fs: &SimFs) -> String {
    let (journal, outcome) = match Journal::open(DIR, options(fs)) {
        Ok(journal) => (journal, "opened".to_owned()),
        Err(error) => {
            let outcome = error.code().to_owned();
            let again = Journal::create(DIR, options(fs));
            (
                again.unwrap_or_else(|why| {
                    panic!("{outcome}, then {why}\n{:?}", fs.contents().keys())
                }),
                outcome,
            )
        }
    };
    let context = format!("{outcome} {:?}", fs.contents().keys());
    assert!(
        journal.read_only_reason().is_none(),
        "{context}: {:?}",
        journal.read_only_reason()
    );
    journal.append(event("a", "1")).unwrap();
    journal.close().unwrap();
    let journal = Journal::open(DIR, options(fs)).unwrap();
    assert!(
        journal.recovery().is_none() && texts(&journal) == ["1"],
        "{context}"
    );
    journal.close().unwrap();
    let report = verify(DIR, &VerifyOptions::new().file_system(fs.store())).unwrap();
    assert!(
        report.findings.is_empty() && report.unchecked.is_empty(),
        "{context}: {report:?}"
    );
    outcome
}

/// The state right before the last step: all but `JOURNAL`.
fn without_journal_file() -> SimFs {
    let fs = SimFs::new(4);
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    drop(journal);
    fs.store().remove_file("j/JOURNAL".as_ref()).unwrap();
    fs
}

#[test]
fn a_creation_is_finished_by_its_signer_alone_and_read_by_anyone() {
    let fs = without_journal_file();
    let before = fs.contents();
    let keyless = || Options::new().file_system(fs.store());
    let journal = Journal::open(DIR, keyless()).unwrap();
    assert_eq!(
        journal.read_only_reason().unwrap().code(),
        "signer.key_missing"
    );
    assert_eq!(journal.reader().len(), 1);
    journal.close().unwrap();
    let required = keyless().signing_policy(SigningPolicy::Required);
    assert_eq!(
        Journal::open(DIR, required).unwrap_err().code(),
        "signer.key_missing"
    );
    assert_eq!(Journal::open_read_only(DIR, keyless()).unwrap().len(), 1);
    assert_eq!(fs.contents(), before, "nobody but the signer writes");
    go_on(&fs);
}

#[test]
fn a_lost_journal_file_of_a_used_journal_is_damage() {
    let fs = SimFs::new(5);
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.close().unwrap();
    for rot in [true, false] {
        let fs = fs.fork(1);
        let path = "j/JOURNAL".as_ref();
        let (store, code) = (
            fs.store(),
            if rot {
                "journal.damaged"
            } else {
                "journal.missing"
            },
        );
        if rot {
            overwrite(store.as_ref(), path, b"rot");
        } else {
            store.remove_file(path).unwrap();
        }
        let before = fs.contents();
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        assert_eq!(journal.read_only_reason().unwrap().code(), code);
        assert_eq!(journal.append(event("a", "2")).unwrap_err().code(), code);
        assert_eq!(texts(&journal), ["1"]);
        journal.close().unwrap();
        let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
        assert_eq!((reader.len(), reader.damage()[0].code), (2, code));
        assert_eq!(
            Journal::create(DIR, options(&fs)).unwrap_err().code(),
            "journal.exists"
        );
        assert_eq!(fs.contents(), before, "nothing is written");
    }
}

#[test]
fn a_creation_never_clears_what_may_be_someones() {
    let unfinished = || {
        let fs = SimFs::new(6);
        for dir in ["j", "j/segments", "j/keys"] {
            fs.create_dir(dir.as_ref(), Access::Shared).unwrap();
        }
        fs.create_new("j/LOCK".as_ref(), Access::Shared).unwrap();
        fs
    };
    Journal::create(DIR, options(&unfinished())).unwrap();
    for path in ["j/notes.txt", "j/segments/movie.seg", "j/keys/id_rsa"] {
        let fs = unfinished();
        fs.create_new(path.as_ref(), Access::Shared).unwrap();
        let before = fs.contents();
        let error = Journal::create(DIR, options(&fs)).unwrap_err();
        assert_eq!(error.code(), "journal.exists", "{path}");
        for (path, bytes) in before {
            assert_eq!(fs.contents().get(&path), Some(&bytes), "{}", path.display());
        }
    }
    // Another process is creating right now.
    let fs = unfinished();
    let _lock = fs.lock("j/LOCK".as_ref()).unwrap();
    assert_eq!(
        Journal::create(DIR, options(&fs)).unwrap_err().code(),
        "journal.locked"
    );
}
