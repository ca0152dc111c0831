//! Recoveries that lack what they need: space, or a key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use factlog::{Journal, Options, SigningPolicy};
use factlog_fs::StoreFs;
use factlog_sim::{PowerCut, SimFs, Unsynced};

use crate::support::{DIR, event, texts};

fn options(fs: &SimFs) -> Options {
    let options = Options::new().file_system(fs.store()).signing_key_file("k");
    options.dangerous().without_housekeeper()
}

/// A journal with three events, of which nothing says that the last is durable.
fn unclean() -> SimFs {
    let fs = SimFs::new(7);
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    for text in ["1", "2", "3"] {
        journal.append(event("a", text)).unwrap();
    }
    drop(journal);
    fs
}

/// Everything but derived files.
fn essential(fs: &SimFs) -> BTreeMap<PathBuf, Vec<u8>> {
    let derived = |path: &Path| {
        let folder = ["j/index", "j/tree"]
            .iter()
            .any(|dir| path.starts_with(dir));
        folder || path.extension().is_some_and(|extension| extension == "off")
    };
    let all = fs.contents().into_iter();
    all.filter(|(path, _)| !derived(path)).collect()
}

#[test]
fn a_recovery_without_space_writes_nothing_and_one_with_space_tells() {
    let (mut full, mut recovered) = (0, 0);
    for room in (0..160_000).step_by(977) {
        let fs = unclean();
        fs.set_space(Some(fs.used() + room));
        let before = essential(&fs);
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        assert_eq!(
            texts(&journal),
            ["1", "2", "3"][..if journal.recovery().is_some() { 3 } else { 2 }]
        );
        match journal.read_only_reason() {
            Some(why) => {
                full += 1;
                assert_eq!(why.code(), "disk.full", "{room}");
                assert_eq!(
                    journal.append(event("a", "4")).unwrap_err().code(),
                    "disk.full"
                );
                drop(journal);
                assert_eq!(essential(&fs), before, "{room}");
            }
            None => {
                recovered += 1;
                assert_eq!(
                    journal.reader().len(),
                    5,
                    "the recovery is an event, {room}"
                );
                drop(journal);
            }
        }
        fs.set_space(None);
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        assert!(journal.read_only_reason().is_none(), "{room}");
        assert_eq!(texts(&journal), ["1", "2", "3"], "{room}");
        journal.append(event("a", "4")).unwrap();
    }
    assert!(full > 5 && recovered > 5, "{full} {recovered}");
}

#[test]
fn a_recovery_without_its_key_writes_nothing() {
    let fs = unclean();
    let before = fs.contents();
    let keyless = || Options::new().file_system(fs.store());
    let journal = Journal::open(DIR, keyless()).unwrap();
    assert_eq!(
        journal.read_only_reason().unwrap().code(),
        "signer.key_missing"
    );
    assert_eq!(texts(&journal), ["1", "2", "3"]);
    assert_eq!(journal.reader().unproven_from(), Some(3));
    journal.close().unwrap();
    let required = keyless().signing_policy(SigningPolicy::Required);
    assert_eq!(
        Journal::open(DIR, required).unwrap_err().code(),
        "signer.key_missing"
    );
    // The signer is there, but its state is lost.
    fs.remove_file("k.state".as_ref()).unwrap();
    let journal = Journal::open(DIR, options(&fs)).unwrap();
    assert_eq!(
        journal.read_only_reason().unwrap().code(),
        "signer.state_unreadable"
    );
    journal.close().unwrap();
    let mut after = fs.contents();
    after.remove(Path::new("k.lock"));
    let mut before = before;
    for path in ["k.lock", "k.state"] {
        before.remove(Path::new(path));
    }
    assert_eq!(after, before);
}

#[test]
fn a_reader_shows_an_unproven_tail_only_where_nobody_writes() {
    let fs = unclean();
    let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
    assert_eq!((reader.len(), reader.unproven_from()), (4, Some(3)));
    assert_eq!(reader.get(3).unwrap().unwrap().sequence(), 3);
    assert!(!reader.refresh().unwrap());
    // Its writer comes back and makes it durable; the reader follows.
    let journal = Journal::open(DIR, options(&fs)).unwrap();
    journal.append(event("a", "4")).unwrap();
    while reader.refresh().unwrap() {}
    assert_eq!(reader.unproven_from(), None);
    let shown = reader.len();
    assert!((4..=5).contains(&shown), "{shown}");
    // What a live writer has not called durable is not shown.
    let other = Journal::open_read_only(DIR, options(&fs)).unwrap();
    assert_eq!((other.len(), other.unproven_from()), (shown, None));
    journal.close().unwrap();
    while reader.refresh().unwrap() {}
    assert_eq!(reader.len(), 6);
}

/// At a roll the newest signature stands in a file alone until the next commit.
#[test]
fn after_a_crash_right_after_a_roll_a_reader_still_has_a_checkpoint() {
    let fs = SimFs::new(8);
    let small = || options(&fs).segment_len(64 << 10);
    let journal = Journal::create(DIR, small()).unwrap();
    journal.append(event("a", &"x".repeat(50_000))).unwrap();
    fs.record();
    journal.append(event("a", &"y".repeat(50_000))).unwrap();
    let mut seen = 0;
    for moment in fs.moments() {
        let fs = moment.power_cut(&PowerCut::new(Unsynced::ALL[0]), 1);
        let Ok(reader) = Journal::open_read_only(DIR, options(&fs)) else {
            continue;
        };
        let segments = reader.stats().unwrap().segments;
        if segments == 2 && reader.len() == 2 {
            seen += 1;
            assert_eq!(reader.checkpoint().unwrap().claimed().size(), 2);
            reader.receipt(1).unwrap();
        }
    }
    assert!(seen > 0);
}
