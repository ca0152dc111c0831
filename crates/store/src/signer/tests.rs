use std::{path::Path, sync::Arc};

use factlog_fs::{Access, MemFs, RealFs, StoreFs, read_file, replace_file, write_all_at};
use factlog_proof::{Checkpoint, Hash, SigningKey, leaf_hash};

use super::{Signer, failing::FailFs, read_state_only};
use crate::Error;

const ORIGIN: &str = "example.com/ledger/000102030405060708090a0b0c0d0e0f";
const KEY: &str = "/user/keys/ledger.key";
const STATE: &str = "/user/keys/ledger.key.state";

fn key(seed: u8) -> SigningKey {
    SigningKey::generate(ORIGIN, [seed; 32]).unwrap()
}

fn root(n: u8) -> Hash {
    leaf_hash(&[n])
}

fn create(fs: &MemFs) -> Signer {
    Signer::create(Arc::new(fs.clone()), Path::new(KEY), key(1)).unwrap()
}

fn open(fs: &MemFs) -> Result<Signer, Error> {
    Signer::open(Arc::new(fs.clone()), Path::new(KEY))
}

fn read(fs: &dyn StoreFs, path: &str) -> Vec<u8> {
    read_file(fs, Path::new(path), 1 << 20).unwrap()
}

fn write(fs: &dyn StoreFs, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    let name = path.file_name().unwrap().to_str().unwrap();
    replace_file(fs, path.parent().unwrap(), name, bytes, Access::Private).unwrap();
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[test]
fn a_new_key_is_private_and_opens_again() {
    let fs = MemFs::new();
    let signer = create(&fs);
    assert_eq!(signer.origin(), ORIGIN);
    assert_eq!(signer.remembered(), None);
    let verifier = signer.verifier();
    drop(signer);
    for path in ["/user", "/user/keys", KEY, STATE] {
        let metadata = fs.metadata(Path::new(path)).unwrap().unwrap();
        assert!(metadata.private, "{path}");
    }
    let text = format!("{}\n", key(1).to_text().as_str());
    assert_eq!(read(&fs, KEY), text.as_bytes());
    let signer = open(&fs).unwrap();
    assert_eq!(signer.verifier(), verifier);
    assert_eq!(signer.remembered(), None);
}

#[test]
fn keys_are_never_overwritten() {
    let fs = MemFs::new();
    drop(create(&fs));
    let before = read(&fs, KEY);
    let again = Signer::create(Arc::new(fs.clone()), Path::new(KEY), key(2));
    assert_eq!(code(again), "signer.key_exists");
    assert_eq!(read(&fs, KEY), before);
    fs.create_dir(Path::new("/dir"), Access::Shared).unwrap();
    let on_a_dir = Signer::create(Arc::new(fs), Path::new("/dir"), key(2));
    assert_eq!(code(on_a_dir), "signer.key_exists");
}

#[test]
fn one_signer_at_a_time() {
    let fs = MemFs::new();
    let signer = create(&fs);
    assert_eq!(code(open(&fs)), "signer.in_use");
    let again = Signer::create(Arc::new(fs.clone()), Path::new(KEY), key(2));
    assert_eq!(code(again), "signer.in_use");
    // Looking takes no lock.
    read_state_only(&fs, Path::new(KEY)).unwrap();
    drop(signer);
    let signer = open(&fs).unwrap();
    assert_eq!(code(open(&fs)), "signer.in_use");
    drop(signer);
    open(&fs).unwrap();
}

#[test]
fn what_is_remembered_survives_and_never_shrinks() {
    let fs = MemFs::new();
    let signer = create(&fs);
    signer.remember(0, factlog_proof::empty_root()).unwrap();
    assert_eq!(signer.remembered(), None);
    signer.remember(7, root(7)).unwrap();
    signer.remember(7, root(7)).unwrap();
    assert_eq!(code(signer.remember(6, root(6))), "signer.history_mismatch");
    assert_eq!(code(signer.remember(7, root(6))), "signer.history_mismatch");
    assert_eq!(code(signer.remember(0, root(0))), "signer.history_mismatch");
    signer.remember(9, root(9)).unwrap();
    assert_eq!(signer.remembered(), Some((9, root(9))));
    let seen = read_state_only(&fs, Path::new(KEY)).unwrap();
    assert_eq!(
        (seen.key, seen.remembered),
        (signer.verifier(), Some((9, root(9))))
    );
    drop(signer);
    assert_eq!(open(&fs).unwrap().remembered(), Some((9, root(9))));
}

#[test]
fn only_checkpoints_of_its_own_growing_history_are_signed() {
    for signer in [create(&MemFs::new()), Signer::in_memory(key(1))] {
        let checkpoint = |size, n| Checkpoint::new(ORIGIN, size, root(n)).unwrap();
        let signature = signer.sign(&checkpoint(5, 5)).unwrap();
        assert!(
            signer
                .verifier()
                .verifies(checkpoint(5, 5).to_string().as_bytes(), signature.bytes())
        );
        assert_eq!(signature.name(), ORIGIN);
        assert_eq!(signature.key_id(), signer.verifier().key_id());
        // Signing is not remembering.
        assert_eq!(signer.remembered(), None);
        signer.remember(5, root(5)).unwrap();
        signer.sign(&checkpoint(5, 5)).unwrap();
        signer.sign(&checkpoint(6, 6)).unwrap();
        assert_eq!(
            code(signer.sign(&checkpoint(5, 6))),
            "signer.history_mismatch"
        );
        assert_eq!(
            code(signer.sign(&checkpoint(4, 4))),
            "signer.history_mismatch"
        );
        let other = Checkpoint::new("example.com/other/1", 9, root(9)).unwrap();
        assert_eq!(code(signer.sign(&other)), "signer.other_journal");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let fs = MemFs::new();
    drop(create(&fs));
    let text = read(&fs, KEY);
    fs.remove_file(Path::new(KEY)).unwrap();
    let file = fs.create_new(Path::new(KEY), Access::Shared).unwrap();
    write_all_at(file.as_ref(), &text, 0).unwrap();
    assert_eq!(code(open(&fs)), "signer.key_permissions");
}

#[test]
fn on_the_real_file_system_the_files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/journal.key");
    drop(Signer::create(Arc::new(RealFs::new()), &path, key(1)).unwrap());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("key.state")), 0o600);
    assert_eq!(mode(&dir.path().join("a")), 0o700);
    assert_eq!(mode(&dir.path().join("a/b")), 0o700);
    drop(Signer::open(Arc::new(RealFs::new()), &path).unwrap());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(
        code(Signer::open(Arc::new(RealFs::new()), &path)),
        "signer.key_permissions"
    );
    // A link is not followed, wherever it leads.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(
        code(Signer::open(Arc::new(RealFs::new()), &link)),
        "io.failed"
    );
}

#[test]
fn a_key_has_one_spelling() {
    let good = key(1).to_text();
    let good = good.as_str();
    for bad in [
        String::new(),
        good.to_owned(),
        format!("{good}\r\n"),
        format!("{good}\n\n"),
        format!(" {good}\n"),
        format!("{}\n", good.to_lowercase()),
        format!("{}\n", "x".repeat(2000)),
    ] {
        let fs = MemFs::new();
        drop(create(&fs));
        write(&fs, KEY, bad.as_bytes());
        let error = open(&fs).unwrap_err();
        assert_eq!(error.code(), "signer.key_unreadable", "{bad}");
        let secret = good.rsplit('+').next().unwrap();
        assert!(!error.to_string().contains(secret));
    }
    let fs = MemFs::new();
    drop(create(&fs));
    write(&fs, KEY, b"\xff\n");
    assert_eq!(code(open(&fs)), "signer.key_unreadable");
    fs.remove_file(Path::new(KEY)).unwrap();
    assert_eq!(code(open(&fs)), "io.failed");
}

#[test]
fn a_state_that_is_lost_or_changed_is_never_an_empty_one() {
    for size in [0, 1234] {
        let fs = MemFs::new();
        let signer = create(&fs);
        if size > 0 {
            signer.remember(size, root(1)).unwrap();
        }
        drop(signer);
        let good = read(&fs, STATE);
        let refused = |bytes: &[u8]| {
            write(&fs, STATE, bytes);
            assert_eq!(code(open(&fs)), "signer.state_unreadable");
            assert_eq!(
                code(read_state_only(&fs, Path::new(KEY))),
                "signer.state_unreadable"
            );
        };
        for at in 0..good.len() {
            refused(&good[..at]);
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                refused(&bad);
            }
        }
        refused(&[&good[..], b"\n"].concat());
        refused(&[&good[..], &good].concat());
        refused(&vec![b'x'; 1 << 16]);
        fs.remove_file(Path::new(STATE)).unwrap();
        assert_eq!(code(open(&fs)), "signer.state_unreadable");
        assert_eq!(
            code(read_state_only(&fs, Path::new(KEY))),
            "signer.state_unreadable"
        );
        write(&fs, STATE, &good);
        open(&fs).unwrap();
    }
}

#[test]
fn a_state_of_another_key_or_a_newer_version_is_refused() {
    let fs = MemFs::new();
    drop(create(&fs));
    let other = MemFs::new();
    drop(Signer::create(Arc::new(other.clone()), Path::new(KEY), key(2)).unwrap());
    write(&fs, STATE, &read(&other, STATE));
    let error = open(&fs).unwrap_err();
    assert_eq!(error.code(), "signer.state_unreadable");
    assert!(error.to_string().contains("another key"), "{error}");
    write(&fs, STATE, b"factlog signer state 2\nwhat is new\n");
    let error = open(&fs).unwrap_err();
    assert_eq!(error.code(), "signer.state_unreadable");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn the_state_is_spelled_as_documented() {
    let fs = MemFs::new();
    let signer = create(&fs);
    signer.remember(1234, root(1)).unwrap();
    let text = String::from_utf8(read(&fs, STATE)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let body = format!(
        "factlog signer state 1\nkey {}\nsize 1234\nroot {}\n",
        signer.verifier(),
        root(1)
    );
    assert_eq!(
        text,
        format!("{body}crc32 {:08x}\n", crc32fast::hash(body.as_bytes()))
    );
    assert_eq!(lines.len(), 5);
}

/// A creation that ends anywhere leaves no key, or a whole one with its state; and the next
/// attempt succeeds where there is no key.
#[test]
fn a_creation_cut_short_anywhere_can_be_repeated_or_is_whole() {
    let (mut whole, mut cut) = (0, 0);
    for (call, dead) in (0..100).flat_map(|call| [(call, false), (call, true)]) {
        let mem = MemFs::new();
        let fs = if dead {
            FailFs::from(mem.clone(), call)
        } else {
            FailFs::at(mem.clone(), call)
        };
        let first = Signer::create(Arc::new(fs.clone()), Path::new(KEY), key(1));
        if !fs.has_failed() {
            assert!(call > 10);
            break;
        }
        let succeeded = first.is_ok();
        drop(first);
        match open(&mem) {
            Ok(signer) => {
                whole += 1;
                assert_eq!(signer.verifier(), *key(1).verifier());
                assert_eq!(signer.remembered(), None);
            }
            Err(error) => {
                cut += 1;
                assert!(!succeeded, "call {call}");
                assert!(
                    ["io.failed", "signer.key_unreadable"].contains(&error.code()),
                    "{error}"
                );
                let second = Signer::create(Arc::new(mem), Path::new(KEY), key(2)).unwrap();
                assert_eq!(second.verifier(), *key(2).verifier());
            }
        }
    }
    assert!(whole > 0 && cut > 20, "{whole} {cut}");
}

/// Whatever fails, the file holds the old memory or the new one.
#[test]
fn a_failed_write_keeps_the_old_memory() {
    for call in 0..100 {
        let mem = MemFs::new();
        let signer = create(&mem);
        signer.remember(5, root(5)).unwrap();
        drop(signer);
        // Opening alone makes some calls; those are another test's.
        let fs = FailFs::at(mem.clone(), call);
        let Ok(signer) = Signer::open(Arc::new(fs.clone()), Path::new(KEY)) else {
            continue;
        };
        let result = signer.remember(6, root(6));
        let expect = if result.is_ok() { 6 } else { 5 };
        assert_eq!(signer.remembered(), Some((expect, root(expect as u8))));
        drop(signer);
        let kept = open(&mem).unwrap().remembered();
        assert!(kept == Some((6, root(6))) || (result.is_err() && kept == Some((5, root(5)))));
        if !fs.has_failed() {
            return;
        }
    }
    panic!("the fault was always reached");
}

/// A leftover of a creation is replaced only as long as it remembers nothing.
#[test]
fn a_used_state_without_its_key_stops_a_creation() {
    let fs = MemFs::new();
    let signer = create(&fs);
    signer.remember(3, root(3)).unwrap();
    drop(signer);
    fs.remove_file(Path::new(KEY)).unwrap();
    let again = || Signer::create(Arc::new(fs.clone()), Path::new(KEY), key(2));
    assert_eq!(code(again()), "signer.state_unreadable");
    write(&fs, STATE, b"damaged");
    assert_eq!(code(again()), "signer.state_unreadable");
    assert_eq!(read(&fs, STATE), b"damaged");
}

#[test]
fn nothing_shows_the_secret() {
    let text = key(1).to_text();
    let secret = text.rsplit('+').next().unwrap();
    let fs = MemFs::new();
    let shown = format!("{:?} {:?}", create(&fs), Signer::in_memory(key(1)));
    assert!(shown.contains(ORIGIN) && !shown.contains(secret), "{shown}");
    assert!(!shown.contains(&format!("{:?}", [1u8; 4])[1..]), "{shown}");
    let state = String::from_utf8(read(&fs, STATE)).unwrap();
    assert!(!state.contains(secret));
}
