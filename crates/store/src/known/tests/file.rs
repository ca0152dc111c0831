use super::*;
use crate::signer::failing::FailFs;

fn filled(fs: &MemFs) -> KnownJournals {
    let known = known(fs);
    let mut one = journal(1, "/a");
    one.checkpoints = vec![TRUE.checkpoint(1, 2), TRUE.checkpoint(1, 5)];
    known.pin(one).unwrap();
    known
        .pin(KnownJournal {
            key: None,
            ..journal(2, "/b")
        })
        .unwrap();
    known
}

#[test]
fn the_file_is_spelled_as_documented() {
    let fs = MemFs::new();
    filled(&fs);
    let text = read(&fs);
    let second = text.lines().nth(1).unwrap();
    let expect = format!(
        r#"{{"version":1,"id":"{}","origin":"{}","key":null,"key_file":null,"checkpoints":[],"paths":["/b"]}}"#,
        HEXLOWER.encode(&[2; 16]),
        origin(2)
    );
    assert_eq!(second, expect);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["key"], key(1).verifier().to_string());
    assert_eq!(first["checkpoints"][1], TRUE.checkpoint(1, 5).to_string());
}

#[test]
fn a_damaged_file_is_an_error_and_never_an_empty_one() {
    let fs = MemFs::new();
    let known = filled(&fs);
    let good = read(&fs);
    let lines: Vec<&str> = good.lines().collect();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1).into_bytes()
    };
    let cases = [
        b"\xff\n".to_vec(),
        b"\n".to_vec(),
        b"{}\n".to_vec(),
        b"null\n".to_vec(),
        good.trim_end().as_bytes().to_vec(),
        good.as_bytes()[..good.len() / 2].to_vec(),
        format!("{good}\n").into_bytes(),
        format!("{good}{}\n", lines[0]).into_bytes(),
        with("\"paths\"", "\"more\":1,\"paths\""),
        with("\"key_file\":null,", "\"key_file\":5,"),
        with("\"paths\":[\"/b\"]", "\"paths\":[\"/a\"]"),
        with("\"paths\":[\"/b\"]", "\"paths\":[\"b\"]"),
        with("\"paths\":[\"/b\"]", "\"paths\":[\"/b\",\"/b\"]"),
        with("\"paths\":[\"/b\"]", "\"paths\":[{\"base64\":\"?\"}]"),
        with("\"id\":\"01", "\"id\":\"02"),
        with("\"id\":\"0", "\"id\":\""),
        with(&origin(1), &origin(2)),
        with("\\n2\\n", "\\n7\\n"),
        with("\\n2\\n", "\\n02\\n"),
        with(&key(1).verifier().to_string(), "key"),
    ];
    for bad in cases {
        let shown = String::from_utf8_lossy(&bad).into_owned();
        write(&fs, &bad);
        assert_eq!(code(known.list()), "known.unreadable", "{shown}");
        assert_eq!(code(known.find(&[9; 16])), "known.unreadable", "{shown}");
        assert_eq!(
            code(known.pin(journal(3, "/c"))),
            "known.unreadable",
            "{shown}"
        );
        assert_eq!(code(known.forget(&[1; 16])), "known.unreadable", "{shown}");
        assert_eq!(read_file(&fs, Path::new(FILE), 1 << 20).unwrap(), bad);
    }
    write(&fs, &with("\"version\":1", "\"version\":2,\"new\":1"));
    assert_eq!(code(known.list()), "known.newer_version");
    write(&fs, good.as_bytes());
    known.list().unwrap();
}

/// A changed root or size of a kept checkpoint is not what the key signed.
#[test]
fn a_forged_checkpoint_is_noticed_where_it_would_count() {
    let fs = MemFs::new();
    let known = filled(&fs);
    let forged = read(&fs).replacen("\\n5\\n", "\\n6\\n", 1);
    write(&fs, forged.as_bytes());
    assert_eq!(code(known.find(&[1; 16])), "known.unreadable");
    assert_eq!(code(known.find_path(Path::new("/a"))), "known.unreadable");
    let next = known.advance(&[1; 16], &TRUE.checkpoint(1, 9), &TRUE.path(6, 9));
    assert_eq!(code(next), "known.unreadable");
    // Of other journals it says nothing.
    assert!(known.find(&[2; 16]).unwrap().is_some());
}

/// Whatever fails, the file is the old one or the new one.
#[test]
fn a_failed_change_keeps_the_old_file() {
    for call in 0..100 {
        let mem = MemFs::new();
        filled(&mem);
        let before = read(&mem);
        let fs = FailFs::at(mem.clone(), call);
        let known_on = KnownJournals::with_fs(Arc::new(fs.clone()), FILE);
        let result = known_on.pin(journal(3, "/c"));
        let after = read(&mem);
        match &result {
            Ok(()) => assert_ne!(after, before),
            Err(error) => assert_eq!(error.code(), "io.failed"),
        }
        let count = known(&mem).list().unwrap().len();
        assert!(count == 3 || (count == 2 && after == before && result.is_err()));
        if !fs.has_failed() {
            assert!(call > 5);
            return;
        }
    }
    panic!("the fault was always reached");
}

#[test]
fn a_file_that_can_not_be_read_is_not_an_empty_one() {
    let mem = MemFs::new();
    filled(&mem);
    let known = KnownJournals::with_fs(Arc::new(FailFs::at(mem, 0)), FILE);
    assert_eq!(code(known.list()), "io.failed");
}
