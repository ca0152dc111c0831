//! What only the file system in memory has.

use std::io::ErrorKind;
use std::path::Path;

use factlog_fs::{Access, LockError, MemFs, StoreFs, probe, read_file, replace_file};

#[test]
fn clones_share_files_and_locks() {
    let fs = MemFs::new();
    let again = fs.clone();
    replace_file(&fs, Path::new(""), "f", b"abc", Access::Shared).unwrap();
    assert_eq!(read_file(&again, Path::new("f"), 9).unwrap(), b"abc");
    let _lock = fs.lock(Path::new("LOCK")).unwrap();
    let second = again.lock(Path::new("LOCK"));
    assert!(matches!(second, Err(LockError::Held)));
}

#[test]
fn new_ones_share_nothing() {
    let (one, two) = (MemFs::new(), MemFs::new());
    one.create_dir(Path::new("d"), Access::Shared).unwrap();
    assert_eq!(two.list(Path::new("")).unwrap(), []);
}

#[test]
fn one_place_has_many_spellings() {
    let fs = MemFs::new();
    fs.create_dir(Path::new("/a"), Access::Shared).unwrap();
    fs.create_dir(Path::new("./a/b"), Access::Shared).unwrap();
    for spelling in ["a/b", "/a/b/", "./a/./b"] {
        assert!(fs.metadata(Path::new(spelling)).unwrap().is_some());
    }
    let error = fs.metadata(Path::new("a/../a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_root_is_there_and_stays() {
    let fs = MemFs::new();
    for root in ["", "/", "."] {
        let root = Path::new(root);
        fs.sync_dir(root).unwrap();
        probe(&fs, root).unwrap();
        assert_eq!(fs.list(root).unwrap(), []);
        assert!(fs.remove_dir(root).is_err());
        assert!(fs.create_dir(root, Access::Shared).is_err());
        assert!(fs.rename(root, Path::new("x")).is_err());
    }
}
