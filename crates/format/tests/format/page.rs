//! `docs/format.md` can't drift: its hex is that of the golden files, its numbers are the code's.

use std::{collections::BTreeSet, fs};

use factlog_format::*;

use crate::{
    canonical::JOURNAL,
    examples::*,
    golden::{self, root, to_hex},
};

const OPENING: &str = "<!-- golden: ";

fn page() -> String {
    fs::read_to_string(root().join("docs/format.md")).expect("the format page")
}

#[test]
fn hex_on_the_page_is_that_of_the_golden_files() {
    let page = page();
    let mut shown = BTreeSet::new();
    for block in page.split(OPENING).skip(1) {
        let (name, rest) = block
            .split_once(" -->\n```text\n")
            .expect("a marker and a block");
        let (hex, _) = rest.split_once("```").expect("the end of the block");
        let example = golden::all().into_iter().find(|(known, ..)| *known == name);
        let (_, bytes, _) = example.unwrap_or_else(|| panic!("no golden file {name}"));
        assert_eq!(hex, to_hex(&bytes), "{name}");
        shown.insert(name.to_owned());
    }
    for (name, ..) in golden::all() {
        assert!(shown.contains(name), "{name} is not on the page");
    }
}

#[test]
fn the_page_names_every_context_string() {
    let page = page();
    let source = fs::read_to_string(root().join("crates/format/src/hash.rs")).expect("the hashes");
    let contexts: Vec<&str> = source
        .split("context!(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .collect();
    assert!(contexts.len() >= 8);
    for context in contexts {
        assert!(page.contains(&format!("`{context}`")), "{context}");
    }
}

#[test]
fn the_page_states_the_limits_of_the_code() {
    let page = page();
    for (what, limit) in [
        ("payload of an event", MAX_PAYLOAD_LEN),
        ("name", MAX_NAME_LEN),
        ("tags of an event", MAX_TAGS),
        ("sections of an event", MAX_SECTIONS),
        ("facts", MAX_FACTS_LEN),
        ("events in a batch", MAX_BATCH_EVENTS),
        ("batch", MAX_BATCH_BYTES),
        ("segment header", MAX_SEGMENT_HEADER_LEN),
        ("body of a frame", MAX_FRAME_BODY),
        ("segment", MAX_SEGMENT_LEN as usize),
        ("signatures in a commit header", MAX_HEADER_SIGNATURES),
        ("signature", MAX_SIGNATURE_LEN),
        ("keys in `journal.created`", 16),
        ("events of a journal, commits", MAX_EVENTS as usize),
        ("generation, incarnation", MAX_GENERATION as usize),
        ("MANIFEST", MAX_MANIFEST_LEN),
    ] {
        let row = format!("| {what} | {limit} |");
        assert!(page.contains(&row), "the page has no row {row}");
    }
}

/// The byte budget of a typical event: 256 bytes of payload in one plain section.
#[test]
fn the_byte_budget_on_the_page_is_what_an_event_costs() {
    let stored = [b'x'; 256];
    let section = SectionParts {
        name: "body",
        encoding: Encoding::Json,
        secret: BODY_SALT,
        sealed: None,
        stored: &stored,
    };
    let facts = Facts {
        tags: &[],
        actor: None,
        ..EVENT.facts
    };
    let parts = FrameParts {
        facts,
        facts_salt: FACTS_SALT,
        sections: &[section],
    };
    let (frame, facts) = frame_of(&parts, &ORDER);
    let budget = [
        ("frame header", FRAME_HEADER_LEN),
        ("flags, facts length, present, zero", 8),
        (
            "place: sequence, revision, stream id, recorded-at, previous hash, previous sequence",
            80,
        ),
        ("salt of the facts", 16),
        ("event id", 16),
        ("entity `account-0042`", 14),
        ("scope `bank`", 6),
        ("kind `account.deposited`", 19),
        ("payload version, tag count, bitmap", 5),
        ("occurred-at", 8),
        ("section table: count, one row with the name `body`", 48),
        ("salt of the section", 16),
        ("payload", 256),
        ("zeros to a multiple of 8", 0),
    ];
    let page = page();
    let mut total = 0;
    for (part, bytes) in budget {
        assert!(
            page.contains(&format!("| {part} | {bytes} |")),
            "{part}: {bytes}"
        );
        total += bytes;
    }
    assert_eq!(facts.len(), 16 + 14 + 6 + 19 + 5 + 8 + 48);
    assert_eq!(frame.len(), total);
    assert!(page.contains(&format!("| **whole frame** | **{total}** |")));
    let overhead = total - 256;
    assert!(
        page.contains(&format!("{overhead} bytes beside the payload")),
        "{overhead}"
    );
    assert!(Frame::read(CrcSeed::of(&JOURNAL), &frame).is_ok());
}
