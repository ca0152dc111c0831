//! What only the operating system's file system has: modes, links, pipes, other processes.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use factlog_fs::{
    Access, FileKind, LockError, OpenMode, RealFs, StoreFs, probe, read_exact_at, write_all_at,
};
use tempfile::TempDir;

/// Held by tests that start programs: a lock taken by one could otherwise live on, for a
/// moment, in a program that another is just starting.
static STARTING: Mutex<()> = Mutex::new(());

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn private_is_0600_and_0700() {
    let dir = scratch();
    let (file, sub) = (dir.path().join("f"), dir.path().join("d"));
    RealFs.create_new(&file, Access::Private).unwrap();
    RealFs.create_dir(&sub, Access::Private).unwrap();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&sub), 0o700);

    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert!(!RealFs.metadata(&file).unwrap().unwrap().private);
}

#[test]
fn links_are_never_opened_created_through_or_locked() {
    let dir = scratch();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    let dangling = dir.path().join("dangling");
    std::fs::write(&target, "kept").unwrap();
    symlink(&target, &link).unwrap();
    symlink(dir.path().join("nowhere"), &dangling).unwrap();

    for mode in [OpenMode::Read, OpenMode::Write] {
        assert!(RealFs.open(&link, mode).is_err());
        assert!(RealFs.open(&dangling, mode).is_err());
    }
    for path in [&link, &dangling] {
        let error = RealFs.create_new(path, Access::Shared).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(matches!(RealFs.lock(path), Err(LockError::Io(_))));
        let found = RealFs.metadata(path).unwrap().unwrap();
        assert_eq!(found.kind, FileKind::Other);
    }
    assert!(!dir.path().join("nowhere").exists());

    RealFs.remove_file(&link).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"kept");
}

#[test]
fn a_linked_directory_is_listed_as_a_link_and_not_removed_as_a_directory() {
    let dir = scratch();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let entries = RealFs.list(dir.path()).unwrap();
    let kinds: Vec<FileKind> = entries.into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [FileKind::Other, FileKind::Dir]);
    assert!(RealFs.remove_dir(&link).is_err());
}

#[test]
fn a_pipe_is_refused_without_waiting_for_its_other_end() {
    let dir = scratch();
    let pipe = dir.path().join("pipe");
    let _guard = STARTING.lock();
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for mode in [OpenMode::Read, OpenMode::Write] {
        let error = RealFs.open(&pipe, mode).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(matches!(RealFs.lock(&pipe), Err(LockError::Io(_))));
}

/// The other process is this test binary again, running only the test `child_takes_the_lock`.
#[test]
fn a_lock_excludes_other_processes_and_ends_with_its_own() {
    let dir = scratch();
    let path = dir.path().join("LOCK");
    let _guard = STARTING.lock();
    let held = RealFs.lock(&path).unwrap();
    assert_eq!(child_locks(&path), Some(1));
    drop(held);
    assert_eq!(child_locks(&path), Some(0));
    // The child ended without unlocking.
    RealFs.lock(&path).unwrap();
}

fn child_locks(path: &Path) -> Option<i32> {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_takes_the_lock"])
        .env("FACTLOG_FS_LOCK", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .code()
}

#[test]
fn child_takes_the_lock() {
    let Some(path) = std::env::var_os("FACTLOG_FS_LOCK") else {
        return;
    };
    match RealFs.lock(Path::new(&path)) {
        Ok(_lock) => std::process::exit(0),
        Err(LockError::Held) => std::process::exit(1),
        Err(_) => std::process::exit(2),
    }
}

#[test]
fn the_empty_path_is_the_working_directory() {
    let here = Path::new("journal").parent().unwrap();
    RealFs.sync_dir(here).unwrap();
    assert!(!RealFs.list(here).unwrap().is_empty());
    assert!(RealFs.available_space(here).unwrap() > 0);
    let found = RealFs.metadata(here).unwrap().unwrap();
    assert_eq!(found.kind, FileKind::Dir);
}

#[test]
fn more_buffers_than_the_system_takes_are_a_short_read() {
    let dir = scratch();
    let file = RealFs
        .create_new(&dir.path().join("f"), Access::Shared)
        .unwrap();
    write_all_at(file.as_ref(), &[1; 4000], 0).unwrap();
    let mut bytes = vec![[0_u8; 1]; 4000];
    let mut bufs: Vec<_> = bytes
        .iter_mut()
        .map(|b| std::io::IoSliceMut::new(b))
        .collect();
    let n = file.read_vectored_at(&mut bufs, 0).unwrap();
    assert!((1..=4000).contains(&n));
    assert!(bytes[..n].iter().all(|b| b == &[1]));
}

#[test]
fn a_map_shows_what_was_written_before_it() {
    let dir = scratch();
    let path = dir.path().join("f");
    let file = RealFs.create_new(&path, Access::Shared).unwrap();
    write_all_at(file.as_ref(), b"mapped", 0).unwrap();
    let map = file.map().unwrap();
    drop(file);
    RealFs.remove_file(&path).unwrap();
    assert_eq!(&map[..], b"mapped");
}

#[test]
fn the_probe_passes_here_and_leaves_nothing() {
    let dir = scratch();
    probe(&RealFs, dir.path()).unwrap();
    assert_eq!(RealFs.list(dir.path()).unwrap(), []);
}

#[test]
fn probes_at_the_same_time_do_not_disturb_each_other() {
    let dir = scratch();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    probe(&RealFs, dir.path()).unwrap();
                }
            });
        }
    });
    assert_eq!(RealFs.list(dir.path()).unwrap(), []);
}

#[test]
fn lock_files_removed_by_their_holders_never_admit_two() {
    let dir = scratch();
    let path = dir.path().join("LOCK");
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let Ok(_lock) = RealFs.lock(&path) else {
                        continue;
                    };
                    let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    assert_eq!(before, 0);
                    // Removing the file is what lets the next one in.
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    std::fs::remove_file(&path).unwrap();
                }
            });
        }
    });
}

#[test]
fn reading_and_writing_far_into_a_file_works() {
    let dir = scratch();
    let path = dir.path().join("f");
    let file = RealFs.create_new(&path, Access::Shared).unwrap();
    let far = 5 << 30;
    write_all_at(file.as_ref(), b"far", far).unwrap();
    let mut buf = [0; 3];
    read_exact_at(file.as_ref(), &mut buf, far).unwrap();
    assert_eq!(&buf, b"far");
    assert_eq!(file.len().unwrap(), far + 3);
}
