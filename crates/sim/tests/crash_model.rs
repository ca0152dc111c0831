//! What a power cut leaves, and what a failed sync does.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

use factlog_fs::{Access, OpenMode, StoreFile, StoreFs, read_file, write_all_at};
use factlog_sim::{FailedSync, Failure, Fault, Garbage, PowerCut, SimFs, Unsynced};

const NAME: &str = "file";

fn content(fs: &SimFs) -> Option<Vec<u8>> {
    read_file(fs, Path::new(NAME), 1 << 20).ok()
}

/// A machine with a durable file of 8 KiB of `a`.
fn durable() -> (SimFs, Box<dyn StoreFile>) {
    let fs = SimFs::new(1);
    let file = fs.create_new(Path::new(NAME), Access::Shared).unwrap();
    write_all_at(file.as_ref(), &[b'a'; 8192], 0).unwrap();
    file.sync_all().unwrap();
    fs.sync_dir(Path::new("")).unwrap();
    (fs, file)
}

#[test]
fn what_was_synced_is_there_after_any_cut() {
    let (fs, _file) = durable();
    assert!(!fs.moment().has_unsynced());
    for unsynced in Unsynced::ALL {
        let after = fs.power_cut(&PowerCut::new(unsynced), 3);
        assert_eq!(content(&after).unwrap(), [b'a'; 8192]);
    }
}

#[test]
fn an_entry_is_durable_once_its_directory_is() {
    let fs = SimFs::new(1);
    let file = fs.create_new(Path::new(NAME), Access::Shared).unwrap();
    file.sync_all().unwrap();
    assert_eq!(content(&fs.power_cut(&PowerCut::lost(), 1)), None);
    assert!(content(&fs.kill_process(1)).is_some());
    // What a killed process wrote can still be lost later.
    assert_eq!(
        content(&fs.kill_process(1).power_cut(&PowerCut::lost(), 1)),
        None
    );
    fs.sync_dir(Path::new("")).unwrap();
    assert!(content(&fs.power_cut(&PowerCut::lost(), 1)).is_some());
}

#[test]
fn torn_writes_are_torn_by_sector_and_keep_unchanged_bytes() {
    let (fs, file) = durable();
    // Only bytes 100 to 6,099 change.
    write_all_at(file.as_ref(), &[b'b'; 6000], 100).unwrap();
    let (mut seen, mut torn_inside) = (BTreeSet::new(), false);
    for seed in 0..200 {
        let after = content(&fs.power_cut(&PowerCut::torn(), seed)).unwrap();
        assert!(
            after[..100]
                .iter()
                .chain(&after[6100..])
                .all(|byte| *byte == b'a')
        );
        assert!(after.iter().all(|byte| b"ab".contains(byte)));
        let sector = &after[1024..1536];
        torn_inside |= sector.contains(&b'a') && sector.contains(&b'b');
        seen.insert(after);
    }
    assert!(seen.len() > 50 && torn_inside, "{} outcomes", seen.len());
}

#[test]
fn a_length_may_be_durable_before_the_bytes() {
    for garbage in [Garbage::Zeros, Garbage::Random, Garbage::Stale] {
        let (fs, file) = durable();
        write_all_at(file.as_ref(), &[b'b'; 4096], 8192).unwrap();
        let cut = PowerCut {
            garbage,
            ..PowerCut::new(Unsynced::Reordered)
        };
        let ahead = (0..50).any(|seed| {
            let after = content(&fs.power_cut(&cut, seed)).unwrap();
            after.len() == 12288 && after[8192] != b'b'
        });
        assert!(ahead, "{garbage:?}");
    }
}

#[test]
fn renames_may_overtake_the_bytes_they_publish() {
    let (fs, _file) = durable();
    let new = fs.create_new(Path::new("new"), Access::Shared).unwrap();
    write_all_at(new.as_ref(), b"whole", 0).unwrap();
    fs.rename(Path::new("new"), Path::new(NAME)).unwrap();
    let cut = PowerCut::new(Unsynced::Reordered);
    let outcomes: BTreeSet<_> = (0..100)
        .map(|seed| content(&fs.power_cut(&cut, seed)).unwrap())
        .collect();
    assert!(outcomes.contains(b"whole".as_slice()));
    assert!(outcomes.contains([b'a'; 8192].as_slice()));
    assert!(
        outcomes.contains(b"".as_slice()),
        "a rename is never ahead of the bytes"
    );
}

#[test]
fn a_failed_sync_reports_once_and_does_what_it_says() {
    for (how, cached, durable_later) in [
        (FailedSync::KeepsDirty, b'b', b'b'),
        (FailedSync::KeepsInCache, b'b', b'a'),
        (FailedSync::DropsPages, b'a', b'a'),
    ] {
        let (fs, file) = durable();
        write_all_at(file.as_ref(), &[b'b'; 8192], 0).unwrap();
        fs.inject(Fault::at(fs.calls(), Failure::Sync(how)));
        assert!(file.sync_all().is_err());
        file.sync_all().unwrap();
        assert_eq!(content(&fs).unwrap(), [cached; 8192], "{how:?}");
        let after = fs.power_cut(&PowerCut::new(Unsynced::Kept), 1);
        assert_eq!(content(&after).unwrap(), [durable_later; 8192], "{how:?}");
    }
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (fs, file) = durable();
    fs.set_space(Some(8192 + 10));
    let full = write_all_at(file.as_ref(), &[b'b'; 100], 8192).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 8192 + 10);
    // Writing over what is there needs no room.
    write_all_at(file.as_ref(), &[b'c'; 100], 0).unwrap();
}

#[test]
fn rot_hits_disk_and_cache() {
    let (fs, _file) = durable();
    fs.flip(Path::new(NAME), 5000, 1).unwrap();
    fs.zero(Path::new(NAME), 4000, 200).unwrap();
    for fs in [fs.power_cut(&PowerCut::lost(), 1), fs] {
        let bytes = content(&fs).unwrap();
        assert_eq!(
            (bytes[5000], bytes[3999], bytes[4000], bytes[4199]),
            (b'a' ^ 1, b'a', 0, 0)
        );
    }
}

#[test]
fn forks_go_their_own_ways() {
    let (fs, _file) = durable();
    let fork = fs.fork(9);
    let file = fork.open(Path::new(NAME), OpenMode::Write).unwrap();
    write_all_at(file.as_ref(), b"other", 0).unwrap();
    assert_eq!(fork.differences(&fs.moment()), [Path::new(NAME)]);
    assert_eq!(content(&fs).unwrap(), [b'a'; 8192]);
    assert_eq!(fs.trace().calls.len() as u64, fs.calls());
}

#[test]
fn sectors_go_astray_and_come_back_old() {
    let (fs, file) = durable();
    let then = fs.moment();
    write_all_at(file.as_ref(), &[b'b'; 8192], 0).unwrap();
    file.sync_all().unwrap();
    let name = Path::new(NAME);
    fs.stale(name, 512, 512, &then).unwrap();
    write_all_at(file.as_ref(), &[b'c'; 512], 4096).unwrap();
    file.sync_all().unwrap();
    fs.misdirect((name, 4096), (name, 1024), 512).unwrap();
    let bytes = content(&fs.power_cut(&PowerCut::lost(), 1)).unwrap();
    assert_eq!(
        [
            bytes[511],
            bytes[512],
            bytes[1023],
            bytes[1024],
            bytes[1535],
            bytes[1536]
        ],
        *b"baaccb"
    );
    assert!(fs.stale(name, 8191, 2, &then).is_err());
}

#[test]
fn a_lost_write_is_noticed_only_after_the_power_was_gone() {
    let (fs, file) = durable();
    write_all_at(file.as_ref(), &[b'b'; 8192], 0).unwrap();
    fs.inject(Fault::at(fs.calls(), Failure::LostWrite));
    file.sync_all().unwrap();
    file.sync_all().unwrap();
    assert_eq!(content(&fs).unwrap(), [b'b'; 8192]);
    let after = fs.power_cut(&PowerCut::new(Unsynced::Kept), 1);
    assert_eq!(content(&after).unwrap(), [b'a'; 8192]);
}

#[test]
fn a_directory_can_be_put_back_and_files_exchanged() {
    let fs = SimFs::new(1);
    let dir = Path::new("d");
    fs.create_dir(dir, Access::Shared).unwrap();
    fs.sync_dir(Path::new("")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        let file = fs
            .open(&path, OpenMode::Write)
            .or_else(|_| fs.create_new(&path, Access::Shared));
        write_all_at(file.unwrap().as_ref(), bytes, 0).unwrap();
    };
    let read = |name: &str| read_file(&fs, &dir.join(name), 10).ok();
    write("one", b"1");
    let (then, print) = (fs.moment(), fs.fingerprint());
    write("one", b"x");
    write("two", b"2");
    assert_ne!(fs.fingerprint(), print);
    fs.swap(&dir.join("one"), &dir.join("two")).unwrap();
    assert_eq!(
        (read("one"), read("two")),
        (Some(b"2".into()), Some(b"x".into()))
    );
    fs.restore(dir, &then).unwrap();
    assert_eq!((read("one"), read("two")), (Some(b"1".into()), None));
    let after = fs.power_cut(&PowerCut::lost(), 1);
    assert_eq!(read_file(&after, &dir.join("one"), 10).unwrap(), b"1");
    assert_eq!(fs.handles(), 0);
}
