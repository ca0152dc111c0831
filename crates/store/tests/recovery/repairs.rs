//! What can be done with a journal without opening it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog::{
    Journal, Opens, Options, Query, VerifyOptions, destroy, inspect, repair, reset, salvage, verify,
};
use factlog_format::Manifest;
use factlog_fs::{Access, MemFs, StoreFs};
use factlog_sim::SimFs;

use crate::lists::rolled;
use crate::support::{DIR, content, copy, event, files, options, overwrite, texts};

fn all(fs: &MemFs) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = files(fs, DIR.as_ref()).into_iter();
    all.map(|path| (path.clone(), content(fs, &path))).collect()
}

/// What a row of MANIFEST says that doesn't depend on how the journal was closed.
type Row = (u64, Option<u64>, u32, u64, [u8; 32]);
/// Bytes to flip.
type Flips = Vec<(PathBuf, usize)>;
type Harm<'h> = &'h dyn Fn(&MemFs);

fn rows(fs: &MemFs) -> Vec<Row> {
    let manifest = Manifest::decode(&content(fs, "j/MANIFEST".as_ref())).unwrap();
    let row = |row: &factlog_format::ManifestRow| {
        (
            row.first_sequence,
            row.count,
            row.generation,
            row.sealed_end,
            row.headers_hash,
        )
    };
    manifest.rows.iter().map(row).collect()
}

#[test]
fn a_repair_writes_back_the_list_and_the_name_and_nothing_else() {
    let whole = rolled();
    let expected = texts(&Journal::open(DIR, options(&copy(&whole))).unwrap());
    for lost in [
        vec!["j/MANIFEST"],
        vec!["j/JOURNAL"],
        vec!["j/MANIFEST", "j/JOURNAL"],
        vec![],
    ] {
        let fs = copy(&whole);
        for path in &lost {
            fs.remove_file(path.as_ref()).unwrap();
        }
        let written = repair(DIR, &options(&fs)).unwrap();
        assert_eq!(written, lost.iter().map(PathBuf::from).collect::<Vec<_>>());
        let mut after = all(&fs);
        assert_eq!(rows(&fs), rows(&whole), "every row is what it was");
        let mut before = all(&whole);
        for map in [&mut after, &mut before] {
            map.remove(Path::new("j/MANIFEST"));
        }
        assert_eq!(after, before);
        let journal = Journal::open(DIR, options(&fs)).unwrap();
        assert!(journal.read_only_reason().is_none());
        assert_eq!(texts(&journal), expected);
        journal.append(event("a", "more")).unwrap();
        journal.close().unwrap();
        let store: Arc<MemFs> = Arc::clone(&fs);
        let report = verify(DIR, &VerifyOptions::new().file_system(store)).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
    }
}

#[test]
fn a_repair_refuses_a_gap_and_a_live_writer() {
    let fs = rolled();
    let segments = files(fs.as_ref(), "j/segments".as_ref());
    let gone = segments
        .iter()
        .filter(|path| path.extension().unwrap() == "seg")
        .nth(1)
        .unwrap();
    fs.remove_file(gone).unwrap();
    fs.remove_file("j/MANIFEST".as_ref()).unwrap();
    let before = all(&fs);
    let error = repair(DIR, &options(&fs)).unwrap_err();
    assert_eq!(error.code(), "journal.not_repairable");
    assert!(
        error.sequence().is_some() && error.path().is_some(),
        "{error}"
    );
    assert_eq!(all(&fs), before);
    let _lock = fs.lock("j/LOCK".as_ref()).unwrap();
    assert_eq!(
        repair(DIR, &options(&fs)).unwrap_err().code(),
        "journal.locked"
    );
}

#[test]
fn a_salvage_brings_over_all_that_verifies_and_tells_the_rest() {
    let fs = Arc::new(MemFs::new());
    let small = options(&fs).segment_len(64 << 10);
    let journal = Journal::create(DIR, small).unwrap();
    for number in 0..40 {
        let batch: Vec<_> = (0..9)
            .map(|i| {
                event(&format!("a{i}"), &format!("{number}.{i}"))
                    .tag("t")
                    .occurred_at(number)
            })
            .collect();
        journal.append_batch(&batch).unwrap();
    }
    let ids: Vec<_> = journal
        .reader()
        .read(Query::all().scope("bank"))
        .map(|event| event.unwrap().id())
        .collect();
    journal.close().unwrap();
    let first: PathBuf = "j/segments/0000000000000000-00000001.seg".into();
    let out = |fs: &Arc<MemFs>, key: &str| {
        let options = options(fs).signing_key_file(key);
        options.dangerous().without_housekeeper()
    };
    // A flipped bit in one event, in a whole group's header, in MANIFEST, in a segment's header.
    let offset = |text: &str| {
        let bytes = content(fs.as_ref(), &first);
        let at = bytes
            .windows(text.len())
            .position(|part| part == text.as_bytes());
        at.unwrap()
    };
    let cases: [(&str, Flips, u64); 5] = [
        ("an event", vec![(first.clone(), offset("7.3"))], 1),
        (
            "two events",
            vec![
                (first.clone(), offset("7.3")),
                (first.clone(), offset("9.8")),
            ],
            2,
        ),
        ("MANIFEST", vec![("j/MANIFEST".into(), 40)], 0),
        ("a header", vec![(first.clone(), 40)], 0),
        ("nothing", Vec::new(), 0),
    ];
    for (what, flips, lost) in cases {
        let fs = copy(&fs);
        for (path, at) in flips {
            let mut bytes = content(fs.as_ref(), &path);
            bytes[at] ^= 1;
            overwrite(fs.as_ref(), &path, &bytes);
        }
        let before = all(&fs);
        let report = salvage(DIR, "new", out(&fs, "new.key")).unwrap();
        assert_eq!(all(&fs), before, "{what}: the damaged one stays as it is");
        assert_eq!(report.copied, ids.len() as u64 - lost, "{what}: {report:?}");
        assert_eq!(
            (report.lost_events, report.own),
            (lost, 1),
            "{what}: {report:?}"
        );
        assert_eq!(
            report.lost.is_empty(),
            what == "nothing",
            "{what}: {report:?}"
        );
        let new = Journal::open("new", out(&fs, "new.key")).unwrap();
        assert_ne!(new.reader().id(), report.from);
        let events: Vec<_> = new
            .reader()
            .read(Query::all())
            .map(Result::unwrap)
            .collect();
        let kinds = |at: usize| events[at].facts().unwrap().kind.to_owned();
        assert_eq!(
            (kinds(1), kinds(events.len() - 1)),
            ("factlog.salvaged".into(), "factlog.lost".into())
        );
        let found: Vec<_> = new
            .reader()
            .read(Query::all().scope("bank"))
            .map(Result::unwrap)
            .collect();
        assert!(
            found.iter().all(|event| ids.contains(&event.id())),
            "{what}"
        );
        let facts = found[9].facts().unwrap();
        assert_eq!(
            (facts.occurred_at, facts.tags.iter().next()),
            (Some(1), Some("t")),
            "{what}"
        );
        new.close().unwrap();
        let store: Arc<MemFs> = Arc::clone(&fs);
        let report = verify("new", &VerifyOptions::new().file_system(store)).unwrap();
        assert!(report.findings.is_empty(), "{what}: {report:?}");
    }
}

#[test]
fn a_journal_is_removed_whatever_its_state_and_nothing_else_is() {
    let newer = |fs: &MemFs| {
        let text = String::from_utf8(content(fs, "j/JOURNAL".as_ref())).unwrap();
        overwrite(
            fs,
            "j/JOURNAL".as_ref(),
            text.replace("format 1", "format 2").as_bytes(),
        );
    };
    let states: [(&str, Harm<'_>); 4] = [
        ("whole", &|_| ()),
        ("without JOURNAL", &|fs| {
            fs.remove_file("j/JOURNAL".as_ref()).unwrap()
        }),
        ("without MANIFEST", &|fs| {
            fs.remove_file("j/MANIFEST".as_ref()).unwrap()
        }),
        ("newer", &newer),
    ];
    for (what, damage) in states {
        let fs = rolled();
        damage(&fs);
        let lock = fs.lock("j/LOCK".as_ref()).unwrap();
        assert_eq!(
            destroy(DIR, &options(&fs)).unwrap_err().code(),
            "journal.locked",
            "{what}"
        );
        drop(lock);
        let kept = copy(&fs);
        let removed = destroy(DIR, &options(&fs)).unwrap();
        assert!(
            removed.files > 5 && removed.left.is_empty(),
            "{what}: {removed:?}"
        );
        assert_eq!(fs.metadata(DIR.as_ref()).unwrap(), None, "{what}");
        assert!(
            fs.metadata("signer.key".as_ref()).unwrap().is_some(),
            "{what}: keys stay"
        );
        for keep in [true, false] {
            let fs = copy(&kept);
            reset(DIR, keep, &options(&fs)).unwrap();
            assert_eq!(fs.list(DIR.as_ref()).unwrap(), [], "{what}");
            let other = options(&fs).signing_key_file("other.key");
            Journal::create(DIR, other).unwrap();
        }
        // A stranger's file stays, and what it stands in.
        for stranger in ["j/notes.txt", "j/segments/0000.seg", "j/keys/id_rsa"] {
            let fs = copy(&kept);
            fs.create_new(stranger.as_ref(), Access::Shared).unwrap();
            let removed = destroy(DIR, &options(&fs)).unwrap();
            assert_eq!(removed.left, [PathBuf::from(stranger)], "{what}");
            assert_eq!(
                all(&fs).into_keys().collect::<Vec<_>>(),
                removed.left,
                "{what}"
            );
        }
    }
    for stranger in ["", "j/notes.txt", "j/JOURNAL", "j/index/a.run"] {
        let fs = Arc::new(MemFs::new());
        for dir in ["j", "j/index"] {
            fs.create_dir(dir.as_ref(), Access::Shared).unwrap();
        }
        if !stranger.is_empty() {
            fs.create_new(stranger.as_ref(), Access::Shared).unwrap();
            assert_eq!(
                destroy(DIR, &options(&fs)).unwrap_err().code(),
                "journal.not_found",
                "{stranger}"
            );
            assert_eq!(
                reset(DIR, true, &options(&fs)).unwrap_err().code(),
                "journal.not_found"
            );
            assert!(
                fs.metadata("j/LOCK".as_ref()).unwrap().is_none(),
                "not even a lock is made"
            );
        }
        assert_eq!(
            destroy("nothing", &options(&fs)).unwrap_err().code(),
            "journal.not_found"
        );
    }
}

#[test]
fn no_link_is_followed_out_of_a_journal() {
    let place = tempfile::tempdir().unwrap();
    let (dir, outside) = (place.path().join("j"), place.path().join("outside"));
    let options = || Options::new().signing_key_file(place.path().join("key"));
    Journal::create(&dir, options()).unwrap().close().unwrap();
    std::fs::create_dir(&outside).unwrap();
    let precious = outside.join("0000000000000000-00000001.seg");
    std::fs::write(&precious, "precious").unwrap();
    std::fs::remove_dir_all(dir.join("tree")).unwrap();
    std::os::unix::fs::symlink(&outside, dir.join("tree")).unwrap();
    let file = dir.join("segments/0000000000000000-00000009.seg");
    std::os::unix::fs::symlink(&precious, &file).unwrap();
    let link = place.path().join("link");
    std::os::unix::fs::symlink(&dir, &link).unwrap();
    assert_eq!(
        destroy(&link, &options()).unwrap_err().code(),
        "journal.not_found"
    );
    let removed = destroy(&dir, &options()).unwrap();
    assert_eq!(removed.left, [file, dir.join("tree")]);
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn a_removal_that_a_crash_cuts_short_leaves_nothing_that_can_be_written_to() {
    let fs = SimFs::new(5);
    let options = |fs: &SimFs| Options::new().file_system(fs.store()).signing_key_file("k");
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.append(event("a", "2")).unwrap();
    journal.close().unwrap();
    let begun = fs.calls();
    fs.record();
    destroy(DIR, &options(&fs)).unwrap();
    let mut cut_short = 0;
    for moment in fs
        .moments()
        .into_iter()
        .filter(|moment| moment.calls() > begun)
    {
        for unsynced in factlog_sim::Unsynced::ALL {
            let fs = moment.power_cut(&factlog_sim::PowerCut::new(unsynced), 2);
            match Journal::open(DIR, options(&fs)) {
                Ok(journal) if journal.read_only_reason().is_none() => {
                    assert_eq!(
                        texts(&journal),
                        ["1", "2"],
                        "whole, or not to be written to"
                    );
                }
                _ => cut_short += 1,
            }
            match destroy(DIR, &options(&fs)) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code(), "journal.not_found"),
            }
            let left: Vec<_> = fs
                .contents()
                .into_keys()
                .filter(|path| path.starts_with(DIR))
                .collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
    assert!(cut_short > 10);
}

#[test]
fn an_inspection_says_how_a_journal_opens_and_writes_nothing() {
    let look = |fs: &Arc<MemFs>| {
        let before = all(fs);
        let found = inspect(DIR, &options(fs)).unwrap();
        assert_eq!(all(fs), before);
        found
    };
    let whole = rolled();
    let found = look(&whole);
    assert_eq!(
        (found.opens, found.in_use, found.damage.len()),
        (Opens::Writable, false, 0)
    );
    let journal = Journal::open(DIR, options(&whole).dangerous().without_housekeeper()).unwrap();
    assert_eq!(
        (journal.reader().len(), Some(journal.reader().id())),
        (found.events, found.id)
    );
    journal.append(event("a", "1")).unwrap();
    journal.append(event("a", "2")).unwrap();
    assert!(look(&whole).in_use);
    drop(journal);
    let found = look(&whole);
    assert_eq!(
        (found.opens, found.unproven, found.in_use),
        (Opens::AfterRecovery, 1, false)
    );
    let cases: [(&str, Opens, &str); 4] = [
        ("j/MANIFEST", Opens::ReadOnly, "manifest.missing"),
        ("j/JOURNAL", Opens::ReadOnly, "journal.missing"),
        (
            "j/segments/0000000000000000-00000001.seg",
            Opens::Not,
            "segment.missing",
        ),
        (
            "j/segments/0000000000000003-00000002.seg",
            Opens::AfterRecovery,
            "segment.missing",
        ),
    ];
    for (path, opens, code) in cases {
        let fs = copy(&whole);
        fs.remove_file(path.as_ref()).unwrap();
        let found = look(&fs);
        assert_eq!(found.opens, opens, "{path}: {found:?}");
        assert_eq!(found.damage[0].code, code, "{path}");
        assert_eq!(
            Journal::open(DIR, options(&fs)).is_ok(),
            opens != Opens::Not,
            "{path}"
        );
    }
    let fs = Arc::new(MemFs::new());
    assert_eq!(
        inspect(DIR, &options(&fs)).unwrap_err().code(),
        "journal.not_found"
    );
    fs.create_dir(DIR.as_ref(), Access::Shared).unwrap();
    fs.create_new("j/LOCK".as_ref(), Access::Shared).unwrap();
    let found = look(&fs);
    assert_eq!((found.opens, found.unfinished), (Opens::Not, true));
}
