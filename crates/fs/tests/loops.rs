//! The helper functions deal with whatever raw calls may do.

mod support;

use std::io::ErrorKind;
use std::path::Path;

use factlog_fs::{
    Access, MemFs, OpenMode, StoreFile, StoreFs, read_exact_at, read_file, read_up_to, write_all_at,
};
use support::{Fault, FaultFs};

fn new_file(fs: &dyn StoreFs) -> Box<dyn StoreFile> {
    fs.create_new(Path::new("f"), Access::Shared).unwrap()
}

#[test]
fn short_and_interrupted_calls_are_repeated_until_all_is_moved() {
    let fs = FaultFs::new(MemFs::new(), Fault::ShortAndInterrupted);
    let bytes: Vec<u8> = (0..10_000_u32).map(|i| (i % 251) as u8).collect();
    let file = new_file(&fs);
    write_all_at(file.as_ref(), &bytes, 3).unwrap();

    let mut exact = vec![0; bytes.len()];
    read_exact_at(file.as_ref(), &mut exact, 3).unwrap();
    assert!(exact == bytes);

    let mut longer = vec![0; bytes.len() + 10];
    let n = read_up_to(file.as_ref(), &mut longer, 3).unwrap();
    assert!(longer[..n] == bytes);

    let whole = read_file(&fs, Path::new("f"), bytes.len() + 3).unwrap();
    assert!(whole[..3] == [0; 3] && whole[3..] == bytes);
}

#[test]
fn reading_past_the_end_is_an_error_only_where_all_was_asked_for() {
    let fs = MemFs::new();
    let file = new_file(&fs);
    write_all_at(file.as_ref(), b"abc", 0).unwrap();
    let mut buf = [0; 4];
    assert_eq!(read_up_to(file.as_ref(), &mut buf, 1).unwrap(), 2);
    let error = read_exact_at(file.as_ref(), &mut buf, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    read_exact_at(file.as_ref(), &mut [], 99).unwrap();
}

#[test]
fn a_write_without_progress_is_an_error() {
    let fs = FaultFs::new(MemFs::new(), Fault::StuckWrites);
    let file = new_file(&fs);
    let error = write_all_at(file.as_ref(), b"abc", 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    write_all_at(file.as_ref(), b"", 0).unwrap();
}

#[test]
fn a_file_that_claims_too_much_is_not_believed() {
    let fs = FaultFs::new(MemFs::new(), Fault::Overlong);
    let file = new_file(&fs);
    assert!(write_all_at(file.as_ref(), b"abc", 0).is_err());
    assert!(read_up_to(file.as_ref(), &mut [0; 3], 0).is_err());
}

#[test]
fn other_errors_end_the_loop() {
    for call in ["read_at", "write_at"] {
        let fs = FaultFs::new(MemFs::new(), Fault::At(call, 0));
        let file = new_file(&fs);
        let error = match call {
            "read_at" => read_up_to(file.as_ref(), &mut [0; 3], 0).unwrap_err(),
            _ => write_all_at(file.as_ref(), b"abc", 0).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}

#[test]
fn offsets_do_not_wrap() {
    let fs = FaultFs::new(MemFs::new(), Fault::ShortAndInterrupted);
    let file = new_file(&fs);
    assert!(write_all_at(file.as_ref(), &[1; 500], u64::MAX - 5).is_err());
}

#[test]
fn whole_files_are_read_up_to_a_limit() {
    let fs = MemFs::new();
    write_all_at(new_file(&fs).as_ref(), b"abc", 0).unwrap();
    let path = Path::new("f");
    assert_eq!(read_file(&fs, path, 3).unwrap(), b"abc");
    let error = read_file(&fs, path, 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    let error = read_file(&fs, Path::new("missing"), 9).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);

    // A file said to be enormous costs nothing to refuse.
    let file = fs.open(path, OpenMode::Write).unwrap();
    file.set_len(1 << 49).unwrap();
    let error = read_file(&fs, path, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
}
