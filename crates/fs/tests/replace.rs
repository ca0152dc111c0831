//! Replacing a file: the old one or the new one, and nothing beside it.

mod support;

use std::io::ErrorKind;
use std::path::Path;

use factlog_fs::{
    Access, CleanupFailed, MemFs, RealFs, StoreFs, is_temporary, read_file, replace_file,
    write_all_at,
};
use support::{Fault, FaultFs};

const DIR: &str = "journal";

/// A directory with the file `NAME` that holds `old`.
fn with_old() -> MemFs {
    let fs = MemFs::new();
    let dir = Path::new(DIR);
    fs.create_dir(dir, Access::Shared).unwrap();
    replace_file(&fs, dir, "NAME", b"old", Access::Shared).unwrap();
    fs
}

fn content(fs: &dyn StoreFs) -> Vec<u8> {
    read_file(fs, &Path::new(DIR).join("NAME"), 100).unwrap()
}

fn names(fs: &dyn StoreFs) -> Vec<String> {
    let entries = fs.list(Path::new(DIR)).unwrap();
    let names = entries.into_iter().map(|e| e.name.into_string().unwrap());
    names.collect()
}

#[test]
fn a_file_is_created_then_replaced() {
    let fs = with_old();
    assert_eq!(content(&fs), b"old");
    replace_file(&fs, Path::new(DIR), "NAME", b"newer", Access::Shared).unwrap();
    assert_eq!(content(&fs), b"newer");
    assert_eq!(names(&fs), ["NAME"]);
}

#[test]
fn a_failure_at_any_step_leaves_no_temporary_and_is_the_error_returned() {
    for (step, content_after) in [
        ("create_new", "old"),
        ("write_at", "old"),
        ("sync_all", "old"),
        ("rename", "old"),
        ("sync_dir", "new"),
    ] {
        let mem = with_old();
        let fs = FaultFs::new(mem.clone(), Fault::At(step, 0));
        let result = replace_file(&fs, Path::new(DIR), "NAME", b"new", Access::Shared);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{step}");
        assert_eq!(error.to_string(), format!("planted, at {step}"));
        assert_eq!(content(&mem), content_after.as_bytes(), "{step}");
        assert_eq!(names(&mem), ["NAME"], "{step}");
    }
}

#[test]
fn a_failed_clean_up_is_attached_to_the_first_error() {
    for step in ["write_at", "sync_all", "rename"] {
        let mem = with_old();
        let fs = FaultFs::new(mem.clone(), Fault::AtAndRemoval(step, 0));
        let result = replace_file(&fs, Path::new(DIR), "NAME", b"new", Access::Shared);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{step}");
        let inner = error.get_ref().unwrap();
        let inner = inner.downcast_ref::<CleanupFailed>().unwrap();
        assert_eq!(inner.first.to_string(), format!("planted, at {step}"));
        assert_eq!(inner.cleanup.to_string(), "planted, at removal");
        assert_eq!(content(&mem), b"old");

        // What was left is cleared by the next replace.
        assert_eq!(names(&mem), ["NAME", "NAME.tmp"]);
        replace_file(&mem, Path::new(DIR), "NAME", b"new", Access::Shared).unwrap();
        assert_eq!(names(&mem), ["NAME"]);
    }
}

#[test]
fn a_stale_temporary_lends_nothing_to_the_new_file() {
    let fs = with_old();
    let stale = Path::new(DIR).join("NAME.tmp");
    let file = fs.create_new(&stale, Access::Shared).unwrap();
    write_all_at(file.as_ref(), b"a long stale text", 0).unwrap();
    replace_file(&fs, Path::new(DIR), "NAME", b"new", Access::Private).unwrap();
    assert_eq!(content(&fs), b"new");
    let found = fs.metadata(&Path::new(DIR).join("NAME")).unwrap().unwrap();
    assert!(found.private);
}

#[test]
fn a_link_in_place_of_the_temporary_is_not_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join("NAME.tmp")).unwrap();
    replace_file(&RealFs, dir.path(), "NAME", b"new", Access::Private).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(
        read_file(&RealFs, &dir.path().join("NAME"), 9).unwrap(),
        b"new"
    );
}

#[test]
fn temporaries_are_known_by_name() {
    assert!(is_temporary("NAME.tmp".as_ref()));
    assert!(!is_temporary("NAME".as_ref()));
    assert!(!is_temporary("tmp".as_ref()));
}
