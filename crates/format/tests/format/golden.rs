//! The golden files: regenerated from fixed inputs, and compared byte for byte.

use std::{fs, path::PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use factlog_format::*;

use crate::{
    canonical::JOURNAL,
    examples::{self, *},
};

/// Set to write what is new instead of failing. Golden files that are there are frozen, and never written over.
const BLESS: &str = "FACTLOG_BLESS";

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Lowercase hex, 32 bytes a line.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| HEXLOWER.encode(line) + "\n");
    lines.collect()
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_ascii_whitespace().collect();
    HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .expect("pairs of hex digits")
}

/// Compares a file of the repository with what it should hold.
pub(crate) fn expect_file(path: &str, expected: &[u8]) {
    let full = root().join(path);
    if fs::read(&full).is_ok_and(|found| found == expected) {
        return;
    }
    let is_frozen = path.ends_with(".hex") && full.exists();
    assert!(
        std::env::var_os(BLESS).is_some() && !is_frozen,
        "{path} is not what the encoders write; {BLESS}=1 writes what is new, and nothing over a golden file"
    );
    fs::create_dir_all(full.parent().expect("a folder")).expect("a folder");
    fs::write(full, expected).expect("a file");
}

/// Every worked example: its name, its bytes, and which property must decode it, if any.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let (event, facts) = frame_of(&EVENT, &ORDER);
    let facts_hash = facts_hash(&FACTS_SALT, &facts).to_vec();
    let hash = |secret, stored| section_hash(secret, stored).to_vec();
    let seed = crc32fast::hash(&JOURNAL).to_le_bytes().to_vec();
    let segment = examples::segment_header().encode();
    let compacted = compacted_segment_header().encode();
    vec![
        ("section-hash", hash(&BODY_SALT, BODY), None),
        (
            "sealed-section-hash",
            hash(&CUSTOMER_NONCE, &CUSTOMER),
            None,
        ),
        ("facts", facts, Some("facts")),
        ("facts-hash", facts_hash, None),
        ("spine", spine().encode().to_vec(), Some("event_record")),
        ("event-hash", event_hash(&spine()).to_vec(), None),
        ("crc-seed", seed, None),
        ("event-frame", event, Some("frame")),
        ("payload-stub", payload_stub(), Some("frame")),
        ("full-stub", full_stub(), Some("frame")),
        ("commit-header", commit_frame(), Some("frame")),
        ("segment-header", segment, Some("segment_header")),
        (
            "compacted-segment-header",
            compacted,
            Some("segment_header"),
        ),
        ("headers-hash", headers_hash().to_vec(), None),
        ("manifest", manifest().encode(), Some("manifest")),
        (
            "journal-file",
            identity().encode().into_bytes(),
            Some("identity"),
        ),
        ("journal-created", created().encode(), Some("journal_event")),
        (
            "journal-recovered",
            recovered().encode(),
            Some("journal_event"),
        ),
        (
            "clock-stepped-back",
            clock().encode(),
            Some("journal_event"),
        ),
        ("key-rotated", rotated().encode(), Some("journal_event")),
        ("key-revoked", revoked().encode(), Some("journal_event")),
        (
            "journal-created-encrypted",
            created_encrypted().encode(),
            Some("journal_event"),
        ),
        (
            "shred-intended",
            shred_intended().encode(),
            Some("journal_event"),
        ),
        (
            "shred-completed",
            shred_completed().encode(),
            Some("journal_event"),
        ),
        (
            "keyset-noted",
            keyset_noted().encode(),
            Some("journal_event"),
        ),
        ("hold-placed", hold_placed().encode(), Some("journal_event")),
        ("hold-lifted", hold_lifted().encode(), Some("journal_event")),
        ("case-exported", exported().encode(), Some("journal_event")),
        (
            "erasure-ordered",
            erasure_ordered().encode(),
            Some("journal_event"),
        ),
        (
            "erasure-ordered-full",
            erasure_ordered_full().encode(),
            Some("journal_event"),
        ),
        (
            "erasure-completed",
            erasure_completed().encode(),
            Some("journal_event"),
        ),
        ("event-record", record().encode(), Some("event_record")),
        (
            "event-record-spine-only",
            bare_record().encode(),
            Some("event_record"),
        ),
    ]
}

#[test]
fn golden_files_are_what_the_encoders_write() {
    for (name, bytes, _) in all() {
        expect_file(
            &format!("fixtures/format/{name}.hex"),
            to_hex(&bytes).as_bytes(),
        );
    }
}

#[test]
fn every_golden_file_has_its_example() {
    for entry in fs::read_dir(root().join("fixtures/format")).expect("the golden files") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let known = path.is_dir() || all().iter().any(|(known, ..)| *known == name);
        assert!(known, "no example makes {}", path.display());
    }
}

#[test]
fn golden_files_decode() {
    for (name, bytes, property) in all() {
        if let Some(target) = property {
            let (_, decodes) = crate::canonical::ALL
                .into_iter()
                .find(|(known, _)| *known == target)
                .expect("a property of that name");
            assert!(decodes(&bytes), "{name} as {target}");
        }
    }
}
