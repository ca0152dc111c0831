//! The negative golden files: bytes that must be refused, each with its code.
//!
//! `fixtures/format/bad/table.txt` drives the check, and another implementation can read it: name,
//! decoder, code. The cases here make the files.

use std::fs;

use factlog_format::*;

use crate::{
    canonical::{JOURNAL, group_key},
    examples::{self, *},
    golden::{self, expect_file, from_hex, root, to_hex},
};

const TABLE: &str = "fixtures/format/bad/table.txt";
const HEADING: &str = "# Bytes that must be refused: file, decoder, code.
# Journal id 000102…0f; segment salt sixteen times 5a, first sequence 6, generation 3.
";

/// What the decoder called `decoder` says of the bytes.
fn refuse(decoder: &str, bytes: &[u8]) -> Option<FormatError> {
    let seed = CrcSeed::of(&JOURNAL);
    // Frame, then what it holds: as a reader meets it.
    let body = |kind| {
        let frame = Frame::read(seed, bytes)?;
        let wrong = FormatError::Invalid("frame type");
        if frame.kind == kind {
            Ok(frame.body)
        } else {
            Err(wrong)
        }
    };
    match decoder {
        "event" => body(FrameType::Event)
            .and_then(|body| EventFrame::decode(FrameType::Event, body)?.check_sections())
            .err(),
        "payload-stub" => body(FrameType::PayloadStub)
            .and_then(|body| EventFrame::decode(FrameType::PayloadStub, body)?.check_sections())
            .err(),
        "full-stub" => body(FrameType::FullStub).and_then(FullStub::decode).err(),
        "commit-header" => body(FrameType::Commit)
            .and_then(|body| CommitHeader::decode(&group_key(), body))
            .err(),
        "facts" => FactsRef::decode(bytes).err(),
        "spine" => Spine::decode(bytes).err(),
        "segment-header" => SegmentHeader::decode(bytes).err(),
        "manifest" => Manifest::decode(bytes).err(),
        "journal-file" => Identity::decode(bytes).err(),
        "event-record" => EventRecord::decode(bytes).err(),
        kind => JournalEvent::decode(kind, bytes).err(),
    }
}

#[test]
fn every_bad_file_is_refused_with_its_code() {
    let table = fs::read_to_string(root().join(TABLE)).expect("the table");
    let mut files = 1;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let [name, decoder, code] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("a line of the table that is not name, decoder, code: {line}");
        };
        let path = root().join(format!("fixtures/format/bad/{name}.hex"));
        let bytes = from_hex(&fs::read_to_string(path).expect("a file for each line"));
        let found = refuse(decoder, &bytes).map(|error| error.code());
        assert_eq!(found, Some(code), "{name}");
        files += 1;
    }
    let entries = fs::read_dir(root().join("fixtures/format/bad")).expect("the bad files");
    assert_eq!(entries.count(), files, "each file has its line");
}

#[test]
fn bad_files_are_what_the_cases_make() {
    let mut table = HEADING.to_owned();
    for case in cases() {
        table += &format!("{:<36} {:<19} {}\n", case.name, case.decoder, case.code);
        let path = format!("fixtures/format/bad/{}.hex", case.name);
        expect_file(&path, to_hex(&case.bytes).as_bytes());
    }
    expect_file(TABLE, table.as_bytes());
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) decoder: &'static str,
    code: &'static str,
    pub(crate) bytes: Vec<u8>,
}

fn good(name: &str) -> Vec<u8> {
    let found = golden::all().into_iter().find(|(known, ..)| *known == name);
    found.expect("an example of that name").1
}

/// A frame of the golden files whose body was changed, with its CRC made right again.
fn reframed(name: &str, kind: FrameType, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = crate::canonical::body_of(&good(name)).to_vec();
    change(&mut body);
    let mut out = Vec::new();
    let written = write_frame(kind, &mut out, |out| {
        out.extend_from_slice(&body);
        Ok(())
    });
    written.expect("a small frame");
    seal_frame(CrcSeed::of(&JOURNAL), &mut out);
    out
}

/// The commit header with a changed body, check and CRC made right again.
fn recommitted(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    reframed("commit-header", FrameType::Commit, |body| {
        body.truncate(body.len() - 16);
        change(body);
        let check = group_key().header_check(body);
        body.extend_from_slice(&check);
    })
}

fn changed(name: &str, at: usize, value: u8) -> Vec<u8> {
    let mut bytes = good(name);
    bytes[at] = value;
    bytes
}

/// A change, and the CRC `from_end` bytes before the end made right again.
fn with_crc(mut bytes: Vec<u8>, from_end: usize, at: usize, value: u8) -> Vec<u8> {
    bytes[at] = value;
    let crc_at = bytes.len() - from_end;
    let crc = crc32fast::hash(&bytes[..crc_at]);
    bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn journal_text(change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let text = identity().encode();
    let (content, _) = text.split_once("crc32").expect("its last line");
    let content = change(content);
    let crc = crc32fast::hash(content.as_bytes());
    format!("{content}crc32 {crc:08x}\n").into_bytes()
}

/// `good` facts with the bytes of `old`, which occur once, replaced.
fn facts_with(old: &[u8], new: &[u8]) -> Vec<u8> {
    let facts = good("facts");
    let found: Vec<usize> = (0..facts.len())
        .filter(|at| facts[*at..].starts_with(old))
        .collect();
    assert_eq!(found.len(), 1, "one place for the change");
    [&facts[..found[0]], new, &facts[found[0] + old.len()..]].concat()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for list in [
        frames(),
        commits(),
        facts(),
        records(),
        files(),
        journal_events(),
    ] {
        for (name, decoder, code, bytes) in list {
            cases.push(Case {
                name,
                decoder,
                code,
                bytes,
            });
        }
    }
    cases
}

type Row = (&'static str, &'static str, &'static str, Vec<u8>);
const INVALID: &str = "format.invalid";
const UNSUPPORTED: &str = "format.unsupported";
const CHECKSUM: &str = "format.checksum";
const TRUNCATED: &str = "format.truncated";
const TRAILING: &str = "format.trailing_bytes";
const LIMIT: &str = "format.limit";

#[rustfmt::skip] // a table
fn frames() -> Vec<Row> {
    use FrameType::{Event, FullStub, PayloadStub};
    let event = good("event-frame");
    let len = event.len();
    let crc_of = |mut frame: Vec<u8>| {
        seal_frame(CrcSeed::of(&JOURNAL), &mut frame);
        frame
    };
    let mut other_journal = event.clone();
    seal_frame(CrcSeed::of(&[1; 16]), &mut other_journal);
    let mut long = event.clone();
    long[..4].copy_from_slice(&(MAX_FRAME_BODY as u32 + 1).to_le_bytes());
    // In the body: flags 0, facts length 2, present 4, zero 6, place 8.
    let event_with = |at: usize, value: u8| reframed("event-frame", Event, |body| body[at] = value);
    let stub_with = |at: usize, value: u8| reframed("full-stub", FullStub, |body| body[at] = value);
    vec![
        ("frame-of-zeros", "event", INVALID, vec![0; 32]),
        ("frame-cut", "event", TRUNCATED, event[..len - 9].to_vec()),
        ("frame-flipped-bit", "event", CHECKSUM, changed("event-frame", 100, 0xff)),
        ("frame-of-another-journal", "event", CHECKSUM, other_journal),
        ("frame-padding", "event", INVALID, changed("event-frame", len - 1, 1)),
        ("frame-reserved", "event", INVALID, crc_of(changed("event-frame", 9, 1))),
        ("frame-type-0", "event", INVALID, crc_of(changed("event-frame", 8, 0))),
        ("frame-type-9", "event", UNSUPPORTED, crc_of(changed("event-frame", 8, 9))),
        ("frame-too-long", "event", LIMIT, long),
        ("event-flag", "event", UNSUPPORTED, event_with(0, 1)),
        ("event-reserved", "event", INVALID, event_with(6, 1)),
        ("event-section-missing", "event", INVALID, event_with(4, 0b01)),
        ("event-section-too-many", "event", INVALID, event_with(4, 0b111)),
        ("event-revision-0-with-previous", "event", INVALID, event_with(16, 0)),
        ("event-previous-not-before", "event", INVALID, event_with(80, 7)),
        ("event-section-changed", "event", CHECKSUM, {
            reframed("event-frame", Event, |body| *body.last_mut().expect("a byte") ^= 1)
        }),
        ("event-trailing", "event", TRAILING, {
            reframed("event-frame", Event, |body| body.push(0))
        }),
        (
            "event-short",
            "event",
            TRUNCATED,
            reframed("event-frame", Event, |body| {
                body.pop();
            }),
        ),
        ("stub-that-is-whole", "payload-stub", INVALID, {
            reframed("event-frame", PayloadStub, |_| ())
        }),
        ("stub-of-no-such-section", "payload-stub", INVALID, {
            reframed("payload-stub", PayloadStub, |body| body[4] = 0b101)
        }),
        ("full-stub-flag", "full-stub", UNSUPPORTED, stub_with(0, 1)),
        ("full-stub-reserved", "full-stub", INVALID, stub_with(2, 1)),
        ("full-stub-trailing", "full-stub", TRAILING, {
            reframed("full-stub", FullStub, |body| body.push(0))
        }),
    ]
}

#[rustfmt::skip] // a table
fn commits() -> Vec<Row> {
    // In the body: number 0, incarnation 8, count 12, first sequence 16, frames length 24,
    // signatures 28, zero 30, durable 32, clock 40, root 48, signatures from 80.
    let with = |at: usize, value: u8| recommitted(|body| body[at] = value);
    vec![
        ("commit-check", "commit-header", CHECKSUM, {
            reframed("commit-header", FrameType::Commit, |body| body[0] ^= 1)
        }),
        ("commit-durable-too-high", "commit-header", INVALID, with(32, 8)),
        ("commit-empty-with-frames", "commit-header", INVALID, with(12, 0)),
        ("commit-frames-unaligned", "commit-header", INVALID, {
            recommitted(|body| body[24] |= 4)
        }),
        ("commit-more-events-than-bytes", "commit-header", INVALID, with(12, 200)),
        ("commit-reserved", "commit-header", INVALID, with(30, 1)),
        ("commit-17-signatures", "commit-header", LIMIT, with(28, 17)),
        ("commit-long-signature", "commit-header", LIMIT, {
            recommitted(|body| body[85..87].copy_from_slice(&2421u16.to_le_bytes()))
        }),
        (
            "commit-empty-signature",
            "commit-header",
            INVALID,
            recommitted(|body| {
                body[85] = 0;
                body.drain(87..151);
            }),
        ),
        ("commit-of-compaction-signed", "commit-header", INVALID, with(0, 0)),
        (
            "commit-last-sequence",
            "commit-header",
            INVALID,
            recommitted(|body| {
                body[16..24].fill(0xff);
            }),
        ),
        ("commit-trailing", "commit-header", TRAILING, recommitted(|body| body.push(0))),
    ]
}

#[rustfmt::skip] // a table
fn facts() -> Vec<Row> {
    let facts = good("facts");
    let bitmap = facts_bitmap_at(&facts);
    let with = |at: usize, value: u8| changed("facts", at, value);
    // name 2 + 4, stored length 4, then encoding, suite, compression, padding, flags.
    let body_row = [&b"\x00\x04body"[..], &(BODY.len() as u32).to_le_bytes()].concat();
    let row = |codes: &[u8; 5]| {
        let old = [&body_row[..], &[1, 0, 0, 0, 0]].concat();
        facts_with(&old, &[&body_row[..], &codes[..]].concat())
    };
    let large = [&b"\x00\x04body"[..], &(MAX_PAYLOAD_LEN as u32).to_le_bytes()].concat();
    let long = [facts.clone(), vec![0; MAX_FACTS_LEN]].concat()[..=MAX_FACTS_LEN].to_vec();
    vec![
        ("facts-cut", "facts", TRUNCATED, facts[..facts.len() - 1].to_vec()),
        ("facts-trailing", "facts", TRAILING, [&facts[..], &[0]].concat()),
        ("facts-too-long", "facts", LIMIT, long),
        ("facts-blind-name", "facts", UNSUPPORTED, with(16, 1)),
        ("facts-empty-entity", "facts", INVALID, {
            facts_with(b"\x00\x0caccount-0042", b"\x00\x00")
        }),
        (
            "facts-control-character",
            "facts",
            INVALID,
            facts_with(b"account-0042", b"account\n0042"),
        ),
        ("facts-not-utf8", "facts", INVALID, facts_with(b"account-0042", b"account\xff0042")),
        ("facts-scope-with-slash", "facts", INVALID, facts_with(b"\x04bank", b"\x04ba/k")),
        ("facts-tags-unsorted", "facts", INVALID, facts_with(b"branch:12", b"tranch:12")),
        ("facts-tags-twice", "facts", INVALID, facts_with(b"branch:12", b"region:eu")),
        ("facts-33-tags", "facts", LIMIT, facts_with(b"\x02\x00\x09branch", b"\x21\x00\x09branch")),
        ("facts-unknown-optional", "facts", UNSUPPORTED, with(bitmap, facts[bitmap] | 0x40)),
        ("facts-extension", "facts", UNSUPPORTED, with(bitmap, facts[bitmap] | 0x20)),
        ("facts-17-sections", "facts", LIMIT, {
            facts_with(b"\x02\x00\x04body", b"\x11\x00\x04body")
        }),
        ("facts-sections-of-one-name", "facts", INVALID, {
            facts_with(b"\x00\x08customer", b"\x00\x04body")
        }),
        ("facts-payload-too-large", "facts", LIMIT, facts_with(&body_row, &large)),
        ("facts-unknown-encoding", "facts", UNSUPPORTED, row(&[9, 0, 0, 0, 0])),
        ("facts-unknown-suite", "facts", UNSUPPORTED, row(&[1, 3, 0, 0, 0])),
        ("facts-compressed", "facts", UNSUPPORTED, row(&[1, 0, 1, 0, 0])),
        ("facts-plain-with-padding", "facts", INVALID, row(&[1, 0, 0, 1, 0])),
        ("facts-section-flag", "facts", UNSUPPORTED, row(&[1, 0, 0, 0, 1])),
        ("facts-trace-of-zeros", "facts", INVALID, {
            let parts = Facts { tags: &[], sections: &[], ..EVENT.facts };
            let trace = Some(TraceContext { trace_id: [1; 16], span_id: [1; 8], flags: 0 });
            let mut bytes = Vec::new();
            Facts { trace, ..parts }.encode(&mut bytes).expect("legal facts");
            let at = bytes.len() - 1 - 9;
            bytes[at..at + 8].fill(0);
            bytes
        }),
    ]
}

/// Where the bitmap of optional fields stands in the example's facts: after the second tag.
fn facts_bitmap_at(facts: &[u8]) -> usize {
    let tag = b"region:eu";
    let at = facts.windows(tag.len()).position(|window| window == tag);
    at.expect("the second tag") + tag.len()
}

#[rustfmt::skip] // a table
fn records() -> Vec<Row> {
    let record = good("event-record");
    vec![
        ("spine-short", "spine", TRUNCATED, good("spine")[..127].to_vec()),
        ("spine-trailing", "spine", TRAILING, [&good("spine")[..], &[0]].concat()),
        ("spine-version", "spine", UNSUPPORTED, changed("spine", 0, 2)),
        ("spine-version-0", "spine", UNSUPPORTED, changed("spine", 0, 0)),
        ("spine-hash-suite", "spine", UNSUPPORTED, changed("spine", 1, 2)),
        ("spine-flag", "spine", UNSUPPORTED, changed("spine", 2, 1)),
        ("spine-reserved", "spine", INVALID, changed("spine", 4, 1)),
        ("spine-revision-0-with-previous", "spine", INVALID, changed("spine", 32, 0)),
        ("record-type", "event-record", UNSUPPORTED, changed("event-record", 0, 3)),
        ("record-type-0", "event-record", UNSUPPORTED, changed("event-record", 0, 0)),
        ("record-bare-with-facts", "event-record", TRAILING, changed("event-record", 0, 2)),
        ("record-other-salt", "event-record", CHECKSUM, changed("event-record", 129, 0)),
        ("record-other-facts", "event-record", CHECKSUM, {
            let mut record = record.clone();
            record[145] ^= 1; // in the event id
            record
        }),
        ("record-cut", "event-record", TRUNCATED, record[..140].to_vec()),
    ]
}

#[rustfmt::skip] // a table
fn files() -> Vec<Row> {
    let segment = |at, value| with_crc(good("segment-header"), 8, at, value);
    let compacted = |at, value| with_crc(good("compacted-segment-header"), 8, at, value);
    let manifest = |at, value| with_crc(good("manifest"), 4, at, value);
    let manifest_len = good("manifest").len();
    // MANIFEST: rows from 68, each 96 long; in a row generation 16, flags 20, end of padding 95.
    vec![
        ("segment-magic", "segment-header", INVALID, segment(0, b'f')),
        ("segment-flipped-bit", "segment-header", CHECKSUM, changed("segment-header", 60, 0xff)),
        ("segment-version", "segment-header", UNSUPPORTED, segment(8, 2)),
        ("segment-version-0", "segment-header", UNSUPPORTED, segment(8, 0)),
        ("segment-incompatible", "segment-header", UNSUPPORTED, segment(16, 1)),
        ("segment-reserved", "segment-header", INVALID, segment(10, 1)),
        ("segment-after-crc", "segment-header", INVALID, {
            changed("segment-header", good("segment-header").len() - 1, 1)
        }),
        ("segment-durable-too-high", "segment-header", INVALID, segment(88, 7)),
        ("segment-edge-too-short", "segment-header", INVALID, segment(56, 7)),
        ("segment-cut", "segment-header", TRUNCATED, good("segment-header")[..100].to_vec()),
        ("segment-too-long", "segment-header", LIMIT, changed("segment-header", 15, 1)),
        ("segment-inputs-unsorted", "segment-header", INVALID, compacted(136 + 16, 4)),
        ("segment-input-of-later-generation", "segment-header", INVALID, compacted(136 + 8, 9)),
        ("manifest-magic", "manifest", INVALID, manifest(0, b'f')),
        ("manifest-flipped-bit", "manifest", CHECKSUM, changed("manifest", 100, 0xff)),
        ("manifest-version", "manifest", UNSUPPORTED, manifest(8, 2)),
        ("manifest-version-0", "manifest", UNSUPPORTED, manifest(8, 0)),
        ("manifest-incompatible", "manifest", UNSUPPORTED, manifest(12, 1)),
        ("manifest-gap", "manifest", INVALID, manifest(68 + 96, 7)),
        ("manifest-generation-twice", "manifest", INVALID, manifest(68 + 96 + 16, 1)),
        ("manifest-generation-too-high", "manifest", INVALID, manifest(68 + 96 + 16, 4)),
        ("manifest-active-in-the-middle", "manifest", INVALID, {
            with_crc(manifest(68 + 20, 0), 4, 68 + 8, 0)
        }),
        ("manifest-row-flag", "manifest", UNSUPPORTED, manifest(68 + 20, 3)),
        ("manifest-row-reserved", "manifest", INVALID, manifest(68 + 95, 1)),
        ("manifest-cut", "manifest", CHECKSUM, good("manifest")[..manifest_len - 5].to_vec()),
        ("manifest-too-many-rows", "manifest", TRUNCATED, manifest(63, 0xff)),
        ("journal-flipped-bit", "journal-file", CHECKSUM, changed("journal-file", 40, b'1')),
        ("journal-version", "journal-file", UNSUPPORTED, {
            journal_text(|text| text.replace("format 1", "format 2"))
        }),
        ("journal-version-0", "journal-file", UNSUPPORTED, {
            journal_text(|text| text.replace("format 1", "format 0"))
        }),
        ("journal-incompatible", "journal-file", UNSUPPORTED, {
            journal_text(|text| text.replace("features 0", "features 1"))
        }),
        ("journal-leading-zero", "journal-file", INVALID, {
            journal_text(|text| text.replace("created 1", "created 01"))
        }),
        ("journal-carriage-return", "journal-file", INVALID, {
            journal_text(|text| text.replacen('\n', "\r\n", 1))
        }),
        ("journal-more-lines", "journal-file", INVALID, {
            journal_text(|text| format!("{text}note x\n"))
        }),
        ("journal-origin-of-another", "journal-file", INVALID, {
            journal_text(|text| text.replace("0e0f\ncreated", "0e0e\ncreated"))
        }),
        ("journal-not-utf8", "journal-file", INVALID, changed("journal-file", 40, 0xff)),
        ("journal-cut", "journal-file", CHECKSUM, good("journal-file")[..60].to_vec()),
        ("journal-empty", "journal-file", TRUNCATED, Vec::new()),
    ]
}

#[rustfmt::skip] // a table
fn journal_events() -> Vec<Row> {
    let created = good("journal-created");
    let (kind, recovered) = ("journal.created", "journal.recovered");
    // version 0, id 1, created 17, signing 25, origin length 26, origin from 27, keys, fork, ends 3.
    let keys = 27 + examples::ORIGIN.len();
    let end = created.len();
    vec![
        ("created-version", kind, UNSUPPORTED, changed("journal-created", 0, 2)),
        ("created-of-an-unknown-kind", "journal.no_such", UNSUPPORTED, created.clone()),
        ("created-other-id", kind, INVALID, changed("journal-created", 1, 9)),
        ("created-signing-policy", kind, UNSUPPORTED, changed("journal-created", 25, 3)),
        ("created-unsigned-with-key", kind, INVALID, changed("journal-created", 25, 0)),
        ("created-17-keys", kind, LIMIT, changed("journal-created", keys, 17)),
        ("created-key-type", kind, UNSUPPORTED, changed("journal-created", keys + 1, 2)),
        ("created-fork-flag", kind, INVALID, changed("journal-created", end - 4, 2)),
        ("created-key-domain", kind, UNSUPPORTED, changed("journal-created", end - 3, 7)),
        ("created-keyset-cut", kind, TRUNCATED, changed("journal-created", end - 3, 1)),
        ("created-extension", kind, UNSUPPORTED, changed("journal-created", end - 2, 1)),
        ("created-trailing", kind, TRAILING, [&created[..], &[0]].concat()),
        ("created-cut", kind, TRUNCATED, created[..end - 1].to_vec()),
        ("recovered-reason", recovered, UNSUPPORTED, changed("journal-recovered", 1, 3)),
        ("rotated-key-type", "key.rotated", UNSUPPORTED, changed("key-rotated", 34, 2)),
        ("rotated-to-itself", "key.rotated", INVALID, {
            let mut same = good("key-rotated");
            same.copy_within(2..34, 35);
            same
        }),
        ("rotated-short-signature", "key.rotated", INVALID, changed("key-rotated", 67, 63)),
        ("rotated-next-flag", "key.rotated", INVALID, changed("key-rotated", 133, 2)),
        ("rotated-extension", "key.rotated", UNSUPPORTED, changed("key-rotated", 166, 1)),
        ("rotated-cut", "key.rotated", TRUNCATED, good("key-rotated")[..167].to_vec()),
        ("rotated-trailing", "key.rotated", TRAILING, [&good("key-rotated")[..], &[0]].concat()),
        ("revoked-key-type", "key.revoked", UNSUPPORTED, changed("key-revoked", 1, 2)),
        ("revoked-cut", "key.revoked", TRUNCATED, good("key-revoked")[..41].to_vec()),
        ("shred-domain", "shred.intended", UNSUPPORTED, changed("shred-intended", 1, 0)),
        ("shred-repeated-key", "shred.intended", INVALID, {
            let mut same = good("shred-intended");
            let end = same.len();
            same.copy_within(end - 32..end - 16, end - 16);
            same
        }),
        ("shred-of-no-key", "shred.intended", INVALID, {
            let mut none = good("shred-intended");
            none.truncate(none.len() - 36);
            none.extend_from_slice(&[0; 4]);
            none
        }),
        ("shred-of-too-many-keys", "shred.intended", LIMIT, changed("shred-intended", 16, 1)),
        ("shred-cut", "shred.intended", TRUNCATED, good("shred-intended")[..40].to_vec()),
        ("shred-reason", "shred.intended", INVALID, changed("shred-intended", 4, 10)),
        ("completed-grade", "shred.completed", UNSUPPORTED, changed("shred-completed", 53, 3)),
        ("completed-fate", "shred.completed", UNSUPPORTED, changed("shred-completed", 63, 4)),
        ("completed-kept-among-replaced", "shred.completed", INVALID, changed("shred-completed", 63, 0)),
        ("noted-fate", "keyset.noted", UNSUPPORTED, changed("keyset-noted", 45, 4)),
        ("noted-too-many", "keyset.noted", LIMIT, {
            let mut many = good("keyset-noted");
            many.truncate(46);
            many.push(17);
            many.extend_from_slice(&[0xd5; 17 * 8]);
            many
        }),
        ("noted-cut", "keyset.noted", TRUNCATED, good("keyset-noted")[..50].to_vec()),
        ("hold-without-reason", "hold.lifted", INVALID, [&[1, 9, 0, 0, 0, 0, 0, 0, 0][..], &[0, 0]].concat()),
        ("exported-more-than-there-are", "case.exported", INVALID, changed("case-exported", 17, 9)),
        ("exported-end-before-first", "case.exported", INVALID, changed("case-exported", 9, 0)),
        ("exported-cut", "case.exported", TRUNCATED, good("case-exported")[..56].to_vec()),
        ("erasure-level", "erasure.ordered", UNSUPPORTED, changed("erasure-ordered", 1, 3)),
        ("erasure-of-no-section", "erasure.ordered", INVALID, changed("erasure-ordered", 2, 0)),
        ("erasure-full-of-some-sections", "erasure.ordered", INVALID, changed("erasure-ordered-full", 2, 1)),
        ("erasure-policy-not-text", "erasure.ordered", INVALID, changed("erasure-ordered", 5, 10)),
        ("erasure-of-touching-ranges", "erasure.ordered", INVALID, changed("erasure-ordered", 84, 0)),
        ("erasure-of-an-empty-range", "erasure.ordered", INVALID, changed("erasure-ordered", 80, 0)),
        ("erasure-of-nothing", "erasure.ordered", INVALID, {
            let mut none = good("erasure-ordered");
            none.truncate(64);
            none.extend_from_slice(&[0; 12]);
            none
        }),
        ("erasure-of-more-ranges", "erasure.ordered", TRUNCATED, changed("erasure-ordered", 72, 3)),
        ("erasure-of-too-many-ranges", "erasure.ordered", LIMIT, changed("erasure-ordered", 75, 1)),
        ("erasure-holds-descend", "erasure.completed", INVALID, {
            let mut two = good("erasure-completed");
            two[9] = 2;
            two.extend_from_slice(&good("erasure-completed")[11..]);
            two
        }),
        ("erasure-hold-of-nothing", "erasure.completed", INVALID, {
            let mut none = good("erasure-completed");
            none.truncate(19);
            none.extend_from_slice(&[0; 12]);
            none
        }),
        ("erasure-held-twice", "erasure.completed", INVALID, {
            let mut two = good("erasure-completed");
            two[9] = 2;
            two.extend_from_slice(&good("erasure-completed")[11..]);
            let again = good("erasure-completed").len();
            two[again] = 14;
            two
        }),
        ("clock-cut", "clock.stepped_back", TRUNCATED, good("clock-stepped-back")[..16].to_vec()),
    ]
}
