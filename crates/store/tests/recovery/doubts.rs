//! Where a directory looks harmless, and isn't: nothing that may have held what was acknowledged is
//! passed over, cleared away or continued.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog::{Journal, KnownJournals, Misuse, Options, SigningPolicy, destroy, inspect, repair};
use factlog_fs::{Access, MemFs, OpenMode, RealFs, StoreFs, write_all_at};

use crate::lists::rolled;
use crate::support::{DIR, content, copy, event, files, options, overwrite, segment};

fn segments(fs: &MemFs) -> Vec<PathBuf> {
    let mut found = files(fs, DIR.as_ref());
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    found
}

/// The list then ended one segment early, and the next session removed what stood in it.
#[test]
fn a_last_segment_whose_header_is_rotten_is_a_gap_when_the_list_is_lost() {
    let fs = copy(&rolled());
    let last = segments(&fs).pop().unwrap();
    let mut bytes = content(fs.as_ref(), &last);
    bytes[60] ^= 1;
    overwrite(fs.as_ref(), &last, &bytes);
    fs.remove_file("j/MANIFEST".as_ref()).unwrap();
    assert!(repair(DIR, &options(&fs)).is_err());
    let journal = Journal::open(DIR, options(&fs)).unwrap();
    assert!(journal.append(event("more", "more")).is_err());
    drop(journal);
    assert_eq!(content(fs.as_ref(), &last), bytes);
}

/// A header that never got to the disk, and nothing behind it, is no gap.
#[test]
fn a_last_segment_that_never_had_a_header_is_none() {
    let fs = copy(&rolled());
    fs.remove_file("j/MANIFEST".as_ref()).unwrap();
    let path = Path::new("j/segments/00000000000000ff-000000ff.seg");
    let file = fs.create_new(path, Access::Shared).unwrap();
    write_all_at(file.as_ref(), &[0; 5000], 0).unwrap();
    assert!(repair(DIR, &options(&fs)).is_ok());
}

#[test]
fn a_header_that_rotted_is_no_failed_creation() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    journal.append(event("a", "acknowledged")).unwrap();
    drop(journal);
    fs.remove_file("j/JOURNAL".as_ref()).unwrap();
    let path = segment(fs.as_ref());
    let mut bytes = content(fs.as_ref(), &path);
    bytes[60] ^= 1;
    overwrite(fs.as_ref(), &path, &bytes);
    let again = Options::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
    assert!(Journal::create(DIR, again).is_err());
    assert_eq!(content(fs.as_ref(), &path), bytes);
}

#[test]
fn a_strangers_file_of_a_journals_name_is_left_alone() {
    let fs = Arc::new(MemFs::new());
    fs.create_dir(DIR.as_ref(), Access::Shared).unwrap();
    let path = Path::new("j/MANIFEST");
    let file = fs.create_new(path, Access::Shared).unwrap();
    write_all_at(file.as_ref(), b"of a ship", 0).unwrap();
    assert!(Journal::create(DIR, options(&fs)).is_err());
    let refused = destroy(DIR, &options(&fs)).unwrap_err();
    assert!(matches!(
        refused,
        factlog::Error::Misuse(Misuse::NotAJournal(_))
    ));
    assert_eq!(content(fs.as_ref(), path), b"of a ship");
}

/// A shell completes a link to a directory with a slash.
#[test]
fn a_link_with_a_slash_behind_it_is_a_link() {
    let home = tempfile::tempdir().unwrap();
    let real = home.path().join("real");
    let options = || Options::new().file_system(Arc::new(RealFs));
    Journal::create(&real, options().fresh_signing_key())
        .unwrap()
        .close()
        .unwrap();
    std::os::unix::fs::symlink(&real, home.path().join("link")).unwrap();
    for path in ["link", "link/", "link/."] {
        let path = home.path().join(path);
        let refused = destroy(&path, &options()).unwrap_err();
        assert_eq!(refused.code(), "journal.not_found", "{}", path.display());
    }
    assert!(Journal::open_read_only(&real, options()).is_ok());
    let mut slash = real.clone().into_os_string();
    slash.push("/");
    destroy(&slash, &options()).unwrap();
    assert!(!real.exists());
}

/// Whoever can write to the directory could take the key out of sequence 0 and all hashes with it.
#[test]
fn a_journal_that_is_known_as_signed_is_not_opened_without_its_key_in_it() {
    let (fs, known) = (Arc::new(MemFs::new()), Arc::new(MemFs::new()));
    let pins = || KnownJournals::with_fs(Arc::clone(&known) as Arc<dyn StoreFs>, "known");
    let signed = || options(&fs).known_journals(pins());
    let fixed = || signed().dangerous().random(Arc::new(Same));
    Journal::create(DIR, fixed()).unwrap().close().unwrap();
    // The same id, made anew without a key.
    for path in files(fs.as_ref(), DIR.as_ref()) {
        fs.remove_file(&path).unwrap();
    }
    let store = || Options::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
    for name in ["segments", "index", "tree", "checkpoints", "keys"] {
        let _ = fs.remove_dir(&Path::new(DIR).join(name));
    }
    let unsigned = store().dangerous().random(Arc::new(Same));
    Journal::create(DIR, unsigned).unwrap().close().unwrap();
    let refused = Journal::open(DIR, signed()).err().map(|error| error.code());
    assert_eq!(refused, Some("known.key_differs"));
    // And whoever demands a signature isn't given a journal without one.
    let required = store().signing_policy(SigningPolicy::Required);
    let refused = Journal::open(DIR, required).err().map(|error| error.code());
    assert_eq!(refused, Some("journal.unsigned"));
}

/// Gives the same bytes to everyone, so that two journals get one id.
#[derive(Debug)]
struct Same;

impl factlog::Random for Same {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// A reader that ends before damage says so.
#[test]
fn a_reader_tells_of_damage_in_the_segment_being_written() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(&fs)).unwrap();
    for number in 0..5 {
        journal.append(event("a", &number.to_string())).unwrap();
    }
    journal.close().unwrap();
    let path = segment(fs.as_ref());
    let len = content(fs.as_ref(), &path).len() as u64;
    let file = fs.open(&path, OpenMode::Write).unwrap();
    write_all_at(file.as_ref(), &[0xff; 8], len / 2).unwrap();
    let reader = Journal::open_read_only(DIR, options(&fs)).unwrap();
    assert!(reader.len() < 6);
    assert_eq!(reader.damage().len(), 1);
    assert!(!inspect(DIR, &options(&fs)).unwrap().damage.is_empty());
}
