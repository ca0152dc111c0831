//! The keyset through the command: who opens it, what is wrong with it, and what to do then.

use std::fs;

use crate::support::{Place, Ran, files};

const KEK: &str = "file:a.key";

/// An encrypted journal `j` with an event each of `s/a` and `s/b`, opened by the file `a.key`.
fn place() -> Place {
    let place = Place::new();
    let init = [
        "init",
        "j",
        "--encrypt",
        "stream",
        "--recovery-key",
        "r.key",
    ];
    with(&place, KEK, &init).exits(0);
    for entity in ["s/a", "s/b"] {
        with(
            &place,
            KEK,
            &["append", "j", entity, "x", "--data", "{\"n\":1}"],
        )
        .exits(0);
    }
    place
}

fn with(place: &Place, kek: &str, args: &[&str]) -> Ran {
    place.run(&[args, &["--kek", kek]].concat())
}

/// The code that `keys check` ends with, after which nothing on the disk is another.
fn checked(place: &Place, kek: &str) -> String {
    let before = files(&place.path("j"));
    let ran = with(place, kek, &["keys", "check", "j", "--json"]);
    assert!(
        files(&place.path("j")) == before,
        "a check changed something"
    );
    if ran.code == 0 {
        return String::new();
    }
    assert!(ran.stderr.contains("What to do: "), "{}", ran.stderr);
    let told = ran.error();
    told["code"].as_str().unwrap().to_owned()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn what_opens_the_keyset_is_changed_and_the_old_one_opens_nothing() {
    let place = place();
    let rewrap = ["keys", "rewrap", "j", "--new-kek", "file:b.key"];
    with(&place, KEK, &rewrap).exits(0);
    assert_eq!(checked(&place, KEK), "keyset.no_recipient");
    for kek in ["file:b.key", "file:r.key"] {
        assert_eq!(checked(&place, kek), "", "{kek}");
    }
    // Of all of them, with a shred; then the old copy of the folder opens to nobody of now.
    let shred = |rest: &[&str]| {
        let args = [
            "shred", "j", "--stream", "s/a", "--reason", "r", "--yes", "--json",
        ];
        with(&place, "file:b.key", &[&args, rest].concat())
    };
    shred(&["--new-kek", "file:c.key"]).exits(2);
    shred(&[
        "--replace-recipients",
        "--new-kek",
        "file:a.key",
        "--recovery-key",
        "s.key",
    ])
    .exits(1);
    let done = shred(&[
        "--replace-recipients",
        "--new-kek",
        "file:c.key",
        "--recovery-key",
        "t.key",
        "--old-secret-destroyed",
    ]);
    let told = done.exits(0).object();
    assert_eq!(told["grade"], "recipients_replaced");
    assert_eq!(
        (&told["destroyed"], &told["recipients"][0]["secret"]),
        (&1.into(), &"attested".into())
    );
    // Destroying them is for their keepers.
    assert!(place.path("b.key").exists() && place.path("r.key").exists());
    let report = place.run(&["erasure-report", "j", "--json"]).exits(0);
    assert_eq!(report.object()["replacing"], true);
    assert_eq!(checked(&place, "file:c.key"), "");
}

#[test]
fn a_machine_is_bound_anew_and_nobody_else_is_touched() {
    let place = Place::new();
    let init = [
        "init",
        "j",
        "--encrypt",
        "stream",
        "--recovery-key",
        "r.key",
    ];
    with(&place, "machine", &init).exits(0);
    with(
        &place,
        "machine",
        &["append", "j", "s/a", "x", "--data", "1"],
    )
    .exits(0);
    let secret = place.path("config/factlog/machine.secret");
    fs::rename(&secret, place.path("gone")).unwrap();
    assert_eq!(checked(&place, "machine"), "keyset.key_missing");
    with(&place, "file:r.key", &["keys", "rebind", "j"]).exits(0);
    assert_eq!(checked(&place, "machine"), "");
    assert_eq!(checked(&place, "file:r.key"), "");
    let other = self::place();
    with(&other, "file:r.key", &["keys", "rebind", "j"]).exits(1);
    assert_eq!(checked(&other, KEK), "");
}

#[test]
fn each_failure_of_a_keyset_has_a_code_and_changes_nothing() {
    let place = place();
    let head = place.path("j/keys/keyset");
    let good = fs::read(&head).unwrap();
    let mut codes = Vec::new();
    let mut tried = |bytes: &[u8], code: &str| {
        fs::write(&head, bytes).unwrap();
        assert_eq!(checked(&place, KEK), code);
        // Nor does an append that can't be.
        let before = files(&place.path("j/keys"));
        with(&place, KEK, &["append", "j", "s/c", "x", "--data", "1"]).exits(3);
        assert!(files(&place.path("j/keys")) == before);
        codes.push(code.to_owned());
    };
    tried(&good[..good.len() / 2], "keyset.truncated");
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    tried(&flipped, "keyset.damaged");
    let mut newer = good.clone();
    newer[12] = 9;
    let end = newer.len() - 4;
    let crc = crc32(&newer[..end]).to_le_bytes();
    newer[end..].copy_from_slice(&crc);
    tried(&newer, "keyset.unsupported_version");
    let other = self::place();
    tried(
        &fs::read(other.path("j/keys/keyset")).unwrap(),
        "keyset.other_journal",
    );
    fs::write(&head, &good).unwrap();
    assert_eq!(checked(&place, "file:nowhere.key"), "keyset.key_missing");
    assert_eq!(checked(&place, KEK), "");
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 4);
}

#[test]
fn a_wrong_passphrase_is_told_and_half_of_a_key_is_no_passphrase() {
    let place = Place::new();
    place.write("pass", "correct horse\r\n");
    place.write("wrong", "correct horses\n");
    let init = [
        "init",
        "j",
        "--encrypt",
        "stream",
        "--recovery-key",
        "r.key",
    ];
    with(&place, "command:cat pass", &init).exits(0);
    assert_eq!(
        checked(&place, "command:cat wrong"),
        "keyset.wrong_passphrase"
    );
    assert_eq!(checked(&place, "command:cat pass"), "");
    // A key whose lines end as on other systems is the key still.
    let key = fs::read_to_string(place.path("r.key")).unwrap();
    place.write("dos", key.trim_end().to_owned() + "\r\n");
    assert_eq!(checked(&place, "command:cat dos"), "");
    place.write("half", &key[..60]);
    with(&place, "command:cat half", &["keys", "check", "j"]).exits(2);
}

#[test]
fn a_keyset_of_before_its_recipients_changed_is_refused_until_it_is_accepted() {
    let place = place();
    let head = place.path("j/keys/keyset");
    let older = fs::read(&head).unwrap();
    with(
        &place,
        KEK,
        &["keys", "rewrap", "j", "--new-kek", "file:b.key"],
    )
    .exits(0);
    fs::write(&head, older).unwrap();
    assert_eq!(checked(&place, KEK), "keyset.rolled_back");
    let append = ["append", "j", "s/a", "x", "--data", "1"];
    with(&place, KEK, &append).exits(3);
    with(
        &place,
        KEK,
        &["keys", "rewrap", "j", "--accept-older-keyset"],
    )
    .exits(0);
    assert_eq!(checked(&place, KEK), "");
    with(&place, KEK, &append).exits(0);
}

#[test]
fn a_recovery_key_is_not_kept_with_what_it_opens() {
    let place = place();
    let args = ["keys", "rewrap", "j", "--recovery-key", "j/keys/r2.key"];
    with(&place, KEK, &args).exits(2);
    assert!(!place.path("j/keys/r2.key").exists());
}
