//! The golden journals of `fixtures/journals/`: what is written today is what was stored, and what was
//! stored can be read.
#![forbid(unsafe_code)]

#[path = "golden/digests.rs"]
mod digests;
#[path = "golden/journals.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod journals;
mod support;

use std::sync::{Arc, Once};

use digests::Digests;
use factlog::{
    Encoding, Journal, Options, Outcome, Policy, Query, SectionSecret, UnverifiedReceipt,
    VerifyOptions, verify,
};
use journals::{FixedClock, Golden, NAMES, READ, fixtures, make, options};
use support::DIR;

/// Set to store journals that aren't there yet. What is stored once is never made anew: another build reads it
/// as it is, or the test fails.
const BLESS: &str = "FACTLOG_BLESS";

/// A golden journal as it is stored, or was stored just now.
fn stored(name: &'static str) -> Golden {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os(BLESS).is_none() {
            return;
        }
        let folder = fixtures().join("journals");
        for name in readable() {
            if !folder.join(name).exists() {
                make(name).write(&folder);
            }
        }
        let known = digests::stored();
        let new = readable().filter(|name| !known.contains_key(*name));
        digests::store(new.map(|name| (name.to_owned(), look(name))).collect());
    });
    journals::stored(name)
}

/// All that this build reads whole.
fn readable() -> impl Iterator<Item = &'static str> {
    let is_sealed = |name: &&str| ["encrypted", "subjects"].contains(name);
    let all = NAMES.into_iter().chain(READ);
    all.filter(move |name| cfg!(feature = "encryption") || !is_sealed(name))
}

/// Reads a stored journal.
fn look(name: &'static str) -> Digests {
    let golden = journals::stored(name);
    let reader = Journal::open_read_only(DIR, session("read", &golden)).unwrap();
    assert!(reader.damage().is_empty(), "{name}: {:?}", reader.damage());
    let found = Digests::of(&golden, &reader);
    for event in reader.read(Query::all()).map(Result::unwrap) {
        event.check_sections().unwrap();
    }
    found
}

/// Whatever is changed in this project, each of them stays what it was.
#[test]
fn every_stored_journal_is_untouched_reads_as_it_did_and_verifies() {
    let goldens: Vec<Golden> = readable().map(stored).collect();
    let known = digests::stored();
    for golden in goldens {
        let name = golden.name;
        let expected = known
            .get(name)
            .unwrap_or_else(|| panic!("{name} is new: set {BLESS}=1"));
        assert_eq!(look(name), *expected, "{name}");
        let is_unsigned = name == "unsigned";
        let holds = if is_unsigned {
            Outcome::Undecided
        } else {
            Outcome::Holds
        };
        assert_eq!(outcome(&golden), holds, "{name}");
        // Nothing is written to what is only looked at.
        assert_eq!(digests::files(&golden), expected.files, "{name}");
        if !is_unsigned {
            let policy = Policy::from(golden.key());
            for (_, text) in golden.receipts() {
                let receipt = UnverifiedReceipt::parse(text.as_bytes()).unwrap();
                receipt.verify(&policy).unwrap();
            }
        }
    }
    assert!(
        known
            .keys()
            .all(|name| NAMES.iter().chain(&READ).any(|one| one == name))
    );
}

#[test]
fn what_is_made_today_is_what_is_stored() {
    let mut total = 0;
    for name in NAMES {
        let (made, stored) = (make(name), stored(name));
        let (made_files, stored_files) = (made.files(), stored.files());
        for (path, bytes) in &made_files {
            let same = stored_files.get(path) == Some(bytes);
            assert!(
                same,
                "{name}/{} differs; if that is meant, the new one is stored under another name",
                path.display()
            );
            total += bytes.len();
        }
        assert!(
            made_files.keys().eq(stored_files.keys()),
            "{name}: {:?}",
            stored_files.keys()
        );
        assert_eq!(made.beside, stored.beside, "{name}");
    }
    assert!(total < 280_000, "{total} bytes are too many to store");
}

#[test]
fn stored_journals_open_and_read_as_expected() {
    for (name, events, streams) in
        // Of the last one nothing yet says that its last whole group is durable.
        [
            ("signed", 19, 6),
            ("unsigned", 4, 3),
            ("rolled", 11, 3),
            ("recovered", 8, 3),
            ("unclean", 2, 2),
            ("rotated", 7, 2),
            ("retained", 17, 4),
            ("forgotten", 16, 4),
            ("compacted", 9, 3),
        ]
    {
        let golden = stored(name);
        let reader = Journal::open_read_only(DIR, session("read", &golden)).unwrap();
        assert_eq!(
            (reader.len(), reader.streams().count()),
            (events, streams),
            "{name}"
        );
        assert_eq!(
            reader.read(Query::all()).map(Result::unwrap).count() as u64,
            events,
            "{name}"
        );
        for event in reader.read(Query::all()).map(Result::unwrap) {
            event.check_sections().unwrap();
        }
    }
}

#[test]
fn stored_events_have_all_that_was_put_in() {
    let golden = stored("signed");
    let reader = Journal::open_read_only(DIR, session("read", &golden)).unwrap();
    let event = reader.get(2).unwrap().unwrap();
    let facts = event.facts().unwrap();
    assert_eq!(facts.entity, "account-0042");
    assert_eq!(facts.payload_version, 3);
    let sections: Vec<_> = event
        .sections()
        .map(|s| (s.name.to_owned(), s.encoding, s.bytes().unwrap().to_vec()))
        .collect();
    let expected = [
        (
            "amount",
            Encoding::Json,
            &br#"{"amount":100,"currency":"EUR"}"#[..],
        ),
        ("customer", Encoding::Cbor, b"\xa1\x64name\x63Ada"),
        ("slip", Encoding::Raw, b"\x00\xff\x00"),
        ("nothing", Encoding::Raw, b""),
    ];
    let expected =
        expected.map(|(name, encoding, bytes)| (name.to_owned(), encoding, bytes.to_vec()));
    assert_eq!(sections, expected);
    let parcels = reader
        .read(Query::stream("parcels", "Zürich/42 🦀"))
        .map(Result::unwrap);
    let packed: Vec<_> = parcels
        .map(|event| event.data().unwrap().bytes().unwrap()[3])
        .collect();
    assert_eq!(packed, [0, 1, 2]);
    assert_eq!(reader.read(Query::all().tag("batch")).count(), 3);
    let plain = event
        .sections()
        .all(|s| matches!(s.content, Some((SectionSecret::Salt(_), _))));
    assert!(plain);
}

#[test]
fn stored_receipts_verify_with_the_stored_key() {
    let mut count = 0;
    for golden in NAMES
        .map(stored)
        .iter()
        .filter(|golden| golden.name != "unsigned")
    {
        let policy = Policy::from(golden.key());
        for (name, text) in golden.receipts() {
            let receipt = UnverifiedReceipt::parse(text.as_bytes())
                .unwrap()
                .verify(&policy)
                .unwrap();
            assert_eq!(format!("{}.receipt", receipt.sequence()), *name);
            count += 1;
        }
    }
    assert_eq!(count, 24);
}

#[test]
fn stored_journals_verify_before_and_after_an_append() {
    for golden in NAMES.map(stored) {
        let before = outcome(&golden);
        let journal = Journal::open(DIR, session("append", &golden)).unwrap();
        if ["rotated", "retained"].contains(&golden.name) {
            // Only its first key can be made again, and that one was replaced.
            let why = journal.read_only_reason().map(factlog::Error::code);
            assert_eq!((before, why), (Outcome::Holds, Some("signer.key_missing")));
            continue;
        }
        journal.append(support::event("more", "more")).unwrap();
        journal.close().unwrap();
        let holds = if golden.name == "unsigned" {
            Outcome::Undecided
        } else {
            Outcome::Holds
        };
        let after = outcome(&golden);
        assert_eq!((before, after), (holds, holds), "{}", golden.name);
    }
}

/// A session on the day after.
fn session(part: &str, golden: &Golden) -> Options {
    options(
        golden.name,
        part,
        &golden.fs,
        Arc::new(FixedClock::days_later(1)),
    )
}

fn outcome(golden: &Golden) -> Outcome {
    let fs: Arc<factlog_fs::MemFs> = Arc::clone(&golden.fs);
    let mut verification = VerifyOptions::new().file_system(fs);
    if golden.name != "unsigned" {
        verification = verification
            .key(golden.key())
            .checkpoint(golden.checkpoint());
    }
    verify(DIR, &verification).unwrap().outcome(false)
}
