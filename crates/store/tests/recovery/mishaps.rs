//! Rare harm, in which more was given up than had to be, or less was said than was known.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use factlog::{Error, Journal, Opens, Options, Random, destroy, inspect, repair, salvage};
use factlog_format::Identity;
use factlog_fs::{Access, MemFs, StoreFs, write_all_at};
use factlog_sim::{PowerCut, SimFs, Unsynced};

use crate::harmed::{Harm, Harmed};
use crate::lists::rolled;
use crate::support::{DIR, content, copy, event, files, options, overwrite, segment, texts};

fn all(fs: &MemFs) -> Vec<(PathBuf, Vec<u8>)> {
    let all = files(fs, DIR.as_ref()).into_iter();
    all.map(|path| (path.clone(), content(fs, &path))).collect()
}

/// The whole journal was refused, although MANIFEST repeats what its groups are checked with.
#[test]
fn a_rotten_header_of_the_segment_being_written_leaves_all_to_be_read() {
    let whole = rolled();
    let expected = texts(&Journal::open(DIR, options(&copy(&whole))).unwrap());
    let path = segment(whole.as_ref());
    for at in [0, 20, 60, 100, 130] {
        let fs = copy(&whole);
        let mut bytes = content(fs.as_ref(), &path);
        bytes[at] ^= 1;
        overwrite(fs.as_ref(), &path, &bytes);
        let before = all(&fs);
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        let why = journal.read_only_reason().map(Error::code);
        assert_eq!(why, Some("segment.header"), "byte {at}");
        assert_eq!(texts(&journal), expected, "byte {at}");
        assert!(journal.append(event("a", "more")).is_err());
        journal.close().unwrap();
        let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
        assert_eq!(reader.damage()[0].code, "segment.header");
        let found = inspect(DIR, &options(&fs)).unwrap();
        assert_eq!(found.opens, Opens::ReadOnly);
        assert_eq!(found.damage[0].code, "segment.header");
        for path in files(fs.as_ref(), "j/index".as_ref()) {
            fs.remove_file(&path).unwrap();
        }
        let (derived, _): (Vec<_>, Vec<_>) = before
            .iter()
            .partition(|(path, _)| path.starts_with("j/index"));
        let left = before.iter().filter(|one| !derived.contains(one));
        assert!(all(&fs).iter().eq(left), "nothing is written");
        // Without the tree the segment's events are not shown, and all before them are.
        for path in files(fs.as_ref(), "j/tree".as_ref()) {
            fs.remove_file(&path).unwrap();
        }
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        let found = texts(&journal);
        assert!(
            !found.is_empty() && expected.starts_with(&found),
            "byte {at}"
        );
    }
}

#[test]
fn an_inspection_tells_of_a_lost_secret_and_of_checkpoints_of_more() {
    let fs = rolled();
    fs.remove_file("j/keys/journal.secret".as_ref()).unwrap();
    let found = inspect(DIR, &options(&fs)).unwrap();
    assert_eq!(found.opens, Opens::ReadOnly);
    assert_eq!(found.damage[0].code, "journal.secret");
    // An older copy, in which the checkpoints stayed.
    let fs = Arc::new(MemFs::new());
    let plain = |fs: &Arc<MemFs>| options(fs).dangerous().without_housekeeper();
    let journal = Journal::create(DIR, plain(&fs)).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.close().unwrap();
    let older = copy(&fs);
    assert_eq!(
        inspect(DIR, &options(&older)).unwrap().opens,
        Opens::Writable
    );
    let journal = Journal::open(DIR, plain(&fs)).unwrap();
    journal.append(event("a", "2")).unwrap();
    journal.close().unwrap();
    for path in files(fs.as_ref(), "j/checkpoints".as_ref()) {
        if older.metadata(&path).unwrap().is_none() {
            let file = older.create_new(&path, Access::Shared).unwrap();
            write_all_at(file.as_ref(), &content(fs.as_ref(), &path), 0).unwrap();
        }
    }
    let found = inspect(DIR, &options(&older)).unwrap();
    assert_eq!(found.opens, Opens::ReadOnly);
    assert_eq!(found.damage[0].code, "history.rolled_back");
    let journal = Journal::open(DIR, plain(&older)).unwrap();
    assert!(journal.read_only_reason().is_some());
}

/// One place that the disk didn't read ended the whole salvage.
#[test]
fn a_salvage_passes_over_what_the_disk_does_not_read() {
    let fs = rolled();
    let journal = Journal::open(DIR, options(&copy(&fs))).unwrap();
    let whole = texts(&journal).len() as u64;
    drop(journal);
    let path = segment(fs.as_ref());
    let len = content(fs.as_ref(), &path).len() as u64;
    for (bad, fewest) in [(0..16, whole), (len / 2..len / 2 + 1, whole - 3)] {
        let harm = Harm {
            bad: Some((path.clone(), bad)),
            ..Harm::default()
        };
        let disk = Arc::new(Harmed {
            inner: copy(&fs),
            harm: Arc::new(harm),
        });
        let options = Options::new().file_system(disk).signing_key_file("new.key");
        let report = salvage(DIR, "new", options).unwrap();
        let codes: Vec<_> = report.lost.iter().map(|lost| lost.code).collect();
        assert!(codes.contains(&"segment.unreadable"), "{report:?}");
        assert!((fewest..=whole).contains(&report.copied), "{report:?}");
        assert_eq!(report.copied + report.lost_events, whole, "{report:?}");
    }
}

/// `JOURNAL` went first: what a removal that was cut short left beside a stranger's file was no journal
/// any more, and had to be removed by hand.
#[test]
fn a_removal_beside_a_strangers_file_goes_on_after_a_crash() {
    let options = |fs: &SimFs| Options::new().file_system(fs.store()).signing_key_file("k");
    for stranger in ["j/notes.txt", "j/segments/notes.txt"] {
        let fs = SimFs::new(6);
        let journal = Journal::create(DIR, options(&fs)).unwrap();
        journal.append(event("a", "1")).unwrap();
        journal.append(event("a", "2")).unwrap();
        journal.close().unwrap();
        let store = fs.store();
        let file = store.create_new(stranger.as_ref(), Access::Shared).unwrap();
        file.sync_all().unwrap();
        for dir in ["j", "j/segments"] {
            store.sync_dir(dir.as_ref()).unwrap();
        }
        let begun = fs.calls();
        fs.record();
        destroy(DIR, &options(&fs)).unwrap();
        let moments = fs.moments().into_iter();
        for moment in moments.filter(|moment| moment.calls() > begun) {
            for unsynced in Unsynced::ALL {
                let fs = moment.power_cut(&PowerCut::new(unsynced), 2);
                if let Ok(journal) = Journal::open(DIR, options(&fs))
                    && journal.read_only_reason().is_none()
                {
                    assert_eq!(texts(&journal), ["1", "2"]);
                }
                if let Err(error) = destroy(DIR, &options(&fs)) {
                    assert_eq!(error.code(), "journal.not_found");
                }
                let contents = fs.contents().into_keys();
                let left: Vec<_> = contents.filter(|path| path.starts_with(DIR)).collect();
                let lock = Path::new("j/LOCK");
                assert!(
                    left.iter()
                        .all(|path| path == Path::new(stranger) || path == lock),
                    "{left:?}"
                );
            }
        }
    }
}

#[derive(Debug)]
struct Always(u8);

impl Random for Always {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

/// A creation that is repeated with the same randomness met the key that its first attempt had left.
#[test]
fn a_creation_goes_on_with_the_very_key_that_it_left() {
    let fixed = |fs: &SimFs, byte| {
        let options = Options::new()
            .file_system(fs.store())
            .signing_key_file("k/key");
        let options = options.dangerous().random(Arc::new(Always(byte)));
        options.dangerous().without_housekeeper()
    };
    let fs = SimFs::new(7);
    fs.record();
    drop(Journal::create(DIR, fixed(&fs, 7)).unwrap());
    let mut met = 0;
    for moment in fs.moments() {
        let fs = moment.kill_process(1);
        if Journal::open(DIR, fixed(&fs, 7)).is_ok() {
            continue;
        }
        let key = fs
            .contents()
            .get(Path::new("k/key"))
            .is_some_and(|key| !key.is_empty());
        met += u32::from(key);
        let other = Journal::create(DIR, fixed(&fs.fork(1), 8)).err();
        let other = other.map(|error| error.code());
        assert_eq!(other, key.then_some("signer.key_exists"));
        let journal = Journal::create(DIR, fixed(&fs, 7)).unwrap();
        journal.append(event("a", "1")).unwrap();
        journal.close().unwrap();
        destroy(DIR, &fixed(&fs, 7)).unwrap();
        let used = Journal::create(DIR, fixed(&fs, 7)).err();
        assert_eq!(used.map(|error| error.code()), Some("signer.key_exists"));
    }
    assert!(met > 5, "{met}");
}

#[test]
fn a_journal_that_this_version_may_only_read_is_not_repaired() {
    let fs = rolled();
    let path = Path::new("j/JOURNAL");
    let mut identity = Identity::decode(&content(fs.as_ref(), path)).unwrap();
    identity.features.read_only_compatible = 1;
    overwrite(fs.as_ref(), path, identity.encode().as_bytes());
    fs.remove_file("j/MANIFEST".as_ref()).unwrap();
    let before = all(&fs);
    let refused = repair(DIR, &options(&fs)).unwrap_err();
    assert_eq!(refused.code(), "journal.unsupported_version");
    assert_eq!(all(&fs), before);
}

/// The group stayed unproven in the eyes of a follower until the next one came.
#[test]
fn an_idle_commit_proves_what_a_follower_showed_unproven() {
    let fs = Arc::new(MemFs::new());
    let plain = options(&fs).dangerous().without_housekeeper();
    let journal = Journal::create(DIR, plain).unwrap();
    journal.append(event("a", "1")).unwrap();
    // Nobody holds the lock of the copy.
    let followed = copy(&fs);
    let reader = Journal::open_read_only(DIR, options(&followed)).unwrap();
    assert_eq!((reader.len(), reader.unproven_from()), (2, Some(1)));
    journal.housekeep().unwrap();
    let path = segment(fs.as_ref());
    let file = followed.open(&path, factlog_fs::OpenMode::Write).unwrap();
    write_all_at(file.as_ref(), &content(fs.as_ref(), &path), 0).unwrap();
    reader.refresh().unwrap();
    assert_eq!((reader.len(), reader.unproven_from()), (2, None));
}

#[test]
fn a_leader_that_panics_leaves_nobody_waiting_and_loses_nothing() {
    let (inner, harm) = (Arc::new(MemFs::new()), Arc::new(Harm::default()));
    let disk = Arc::new(Harmed {
        inner: Arc::clone(&inner),
        harm: Arc::clone(&harm),
    });
    let plain = Options::new()
        .file_system(disk)
        .signing_key_file("signer.key");
    let journal = Journal::create(DIR, plain.dangerous().without_housekeeper()).unwrap();
    let appends = |thread: usize| {
        let mut acknowledged = Vec::new();
        for number in 0..1000 {
            let text = format!("{thread}.{number}");
            match journal.append(event("a", &text)) {
                Ok(_) => acknowledged.push(text),
                Err(error) => {
                    assert!(matches!(error, Error::Writer(_)), "{error}");
                    break;
                }
            }
            if thread == 0 && number == 5 {
                harm.panics.store(true, SeqCst);
            }
        }
        acknowledged
    };
    let mut panicked = 0;
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|thread| scope.spawn(move || appends(thread)))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(texts) => all.extend(texts),
                Err(_) => panicked += 1,
            }
        }
        all
    });
    assert_eq!(panicked, 1);
    let code = journal
        .append(event("a", "later"))
        .err()
        .map(|error| error.code());
    assert_eq!(code, Some("writer.poisoned"));
    assert!(journal.close().is_err());
    let found = texts(&Journal::open(DIR, options(&inner)).unwrap());
    assert!(acknowledged.iter().all(|text| found.contains(text)));
}
