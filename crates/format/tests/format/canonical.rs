//! What must hold of every decoder for any bytes at all; shared by the tests and the fuzz targets.
//!
//! Each function feeds `data` to one decoder, once as it is and, where a checksum would turn almost
//! everything away, once more with the checksum made right. Whatever decodes must encode to exactly
//! the bytes it came from: one value has one encoding. Nothing may panic. The result says whether
//! anything decoded.

use factlog_format::*;

/// The journal of all examples.
pub(crate) const JOURNAL: JournalId = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// The segment salt of all examples.
pub(crate) const SEGMENT_SALT: [u8; 16] = [0x5a; 16];

/// The key of the commit checks in all examples.
pub(crate) fn group_key() -> GroupKey {
    GroupKey::derive(&SEGMENT_SALT, &JOURNAL, 6, 3)
}

/// Any bytes as the start of a frame.
pub(crate) fn frame(data: &[u8]) -> bool {
    let seed = CrcSeed::of(&JOURNAL);
    let mut fixed = data.to_vec();
    if Frame::peek_len(data).is_ok_and(|len| len <= data.len()) {
        seal_frame(seed, &mut fixed);
    }
    [data, &fixed].map(|bytes| {
        let Ok(frame) = Frame::read(seed, bytes) else {
            return false;
        };
        let mut again = Vec::new();
        let written = write_frame(frame.kind, &mut again, |out| {
            out.extend_from_slice(frame.body);
            Ok(())
        });
        assert_eq!(written, Ok(0));
        assert_eq!(seal_frame(seed, &mut again), frame.crc);
        assert_eq!(again, bytes[..frame.len]);
        true
    }) != [false; 2]
}

/// Any bytes as the body of an event, a payload stub and a full stub.
pub(crate) fn event_body(data: &[u8]) -> bool {
    let mut decoded = false;
    for kind in [FrameType::Event, FrameType::PayloadStub] {
        if let Ok(event) = EventFrame::decode(kind, data) {
            decoded = true;
            assert_eq!(encode_body(&event), data);
            check_found(&event, kind, data);
            if event.check_sections().is_ok() && kind == FrameType::Event {
                assert_eq!(encode_again(&event), data);
            }
            check_stubs(&event);
        }
    }
    if let Ok(stub) = FullStub::decode(data) {
        decoded = true;
        let mut again = Vec::new();
        assert_eq!(encode_full_stub(&stub, &mut again), Ok(0));
        assert_eq!(body_of(&again), data);
    }
    decoded
}

/// A section that is looked for by its name is the one that decoding gives.
fn check_found(event: &EventFrame<'_>, kind: FrameType, body: &[u8]) {
    let found = |section| FoundSection {
        kind: event.facts.kind.as_bytes(),
        payload_version: event.facts.payload_version,
        section,
    };
    for (index, section) in event.sections().enumerate() {
        let wanted = found(Some((index, section)));
        assert_eq!(find_section(kind, body, section.0.name), Ok(wanted));
    }
    assert_eq!(find_section(kind, body, "there is none"), Ok(found(None)));
}

/// What the format page says of the body, put together by hand.
fn encode_body(event: &EventFrame<'_>) -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend_from_slice(&(event.facts_bytes.len() as u16).to_le_bytes());
    body.extend_from_slice(&event.present.to_le_bytes());
    body.extend_from_slice(&[0, 0]);
    let order = &event.order;
    body.extend_from_slice(&order.sequence.to_le_bytes());
    body.extend_from_slice(&order.revision.to_le_bytes());
    body.extend_from_slice(&order.stream);
    body.extend_from_slice(&order.recorded_at.to_le_bytes());
    body.extend_from_slice(&order.previous);
    body.extend_from_slice(&order.previous_sequence.unwrap_or(u64::MAX).to_le_bytes());
    body.extend_from_slice(&event.facts_salt);
    body.extend_from_slice(event.facts_bytes);
    for (secret, stored) in event.sections().filter_map(|(_, content)| content) {
        body.extend_from_slice(secret.as_bytes());
        body.extend_from_slice(stored);
    }
    body
}

/// The same event by way of the writer, which hashes anew.
fn encode_again(event: &EventFrame<'_>) -> Vec<u8> {
    let sections: Vec<SectionParts<'_>> = event
        .sections()
        .map(|(row, content)| {
            let (secret, stored) = content.expect("an event has all its sections");
            SectionParts {
                name: row.name,
                encoding: row.encoding,
                secret,
                sealed: row.sealed,
                stored,
            }
        })
        .collect();
    let tags: Vec<&str> = event.facts.tags.iter().collect();
    let parts = FrameParts {
        facts: owned_facts(&event.facts, &tags, &[]),
        facts_salt: event.facts_salt,
        sections: &sections,
    };
    let mut out = Vec::new();
    let frame = encode_event(&parts, &mut Vec::new(), &mut out).expect("it was decoded");
    frame.place(&mut out, &event.order);
    assert_eq!(frame.len, out.len());
    assert_eq!(frame.facts_hash, event.spine(&JOURNAL).facts_hash);
    body_of(&out).to_vec()
}

/// Every level of erasure keeps the event hash, and gives back what it keeps.
fn check_stubs(event: &EventFrame<'_>) {
    let hash = event.event_hash(&JOURNAL);
    let all = (1u32 << event.facts.sections.len()) - 1;
    for keep in [0, event.present, event.present & 0x5555] {
        let mut out = Vec::new();
        let stub = encode_payload_stub(event, keep, &mut out);
        assert_eq!(
            stub.is_ok(),
            u32::from(keep) != all,
            "keep {keep:b} of {all:b}"
        );
        if stub.is_ok() {
            let stub = EventFrame::decode(FrameType::PayloadStub, body_of(&out)).expect("a stub");
            assert_eq!(stub.present, keep);
            assert_eq!(stub.event_hash(&JOURNAL), hash);
            assert_eq!(encode_body(&stub), body_of(&out));
            check_found(&stub, FrameType::PayloadStub, body_of(&out));
        }
    }
    let (mut bare, mut out) = (Vec::new(), Vec::new());
    let made = encode_bare_stub(&encode_body(event), &mut bare);
    assert_eq!(made, Ok(event.present != 0));
    if made == Ok(true) {
        encode_payload_stub(event, 0, &mut out).expect("a section goes");
    }
    assert_eq!(bare, out);
    let facts_hash = event.spine(&JOURNAL).facts_hash;
    let stub = FullStub {
        order: event.order,
        facts_hash,
    };
    assert_eq!(stub.event_hash(&JOURNAL), hash);
    let mut out = Vec::new();
    assert_eq!(encode_full_stub(&stub, &mut out), Ok(0));
    assert_eq!(FullStub::decode(body_of(&out)), Ok(stub));
}

/// The body of the one frame in `bytes`.
pub(crate) fn body_of(bytes: &[u8]) -> &[u8] {
    let len = u32::from_le_bytes(bytes[..4].try_into().expect("4 bytes")) as usize;
    &bytes[FRAME_HEADER_LEN..FRAME_HEADER_LEN + len]
}

/// Decoded facts as the encoder takes them.
pub(crate) fn owned_facts<'a>(
    facts: &FactsRef<'a>,
    tags: &'a [&'a str],
    sections: &'a [SectionRow<'a>],
) -> Facts<'a> {
    Facts {
        event_id: facts.event_id,
        entity: facts.entity,
        scope: facts.scope,
        kind: facts.kind,
        payload_version: facts.payload_version,
        tags,
        occurred_at: facts.occurred_at,
        actor: facts.actor,
        correlation: facts.correlation,
        causation: facts.causation,
        trace: facts.trace,
        sections,
    }
}

/// Any bytes as facts.
pub(crate) fn facts(data: &[u8]) -> bool {
    let Ok(facts) = FactsRef::decode(data) else {
        return false;
    };
    let tags: Vec<&str> = facts.tags.iter().collect();
    let sections: Vec<SectionRow<'_>> = facts.sections.iter().collect();
    assert_eq!(tags.len(), facts.tags.len());
    assert_eq!(sections.len(), facts.sections.len());
    let mut again = Vec::new();
    assert_eq!(
        owned_facts(&facts, &tags, &sections).encode(&mut again),
        Ok(())
    );
    assert_eq!(again, data);
    true
}

/// Any bytes as the body of a commit header.
pub(crate) fn commit_header(data: &[u8]) -> bool {
    let key = group_key();
    let mut fixed = data.to_vec();
    if let Some(fields) = data.len().checked_sub(16) {
        fixed.truncate(fields);
        let check = key.header_check(&fixed);
        fixed.extend_from_slice(&check);
    }
    [data, &fixed].map(|bytes| {
        let Ok(header) = CommitHeader::decode(&key, bytes) else {
            return false;
        };
        let mut again = Vec::new();
        let seed = CrcSeed::of(&JOURNAL);
        assert_eq!(header.write(seed, &key, &mut again), Ok(()));
        let frame = Frame::read(seed, &again).expect("a whole frame");
        assert_eq!((frame.kind, frame.body), (FrameType::Commit, bytes));
        assert!(header.end_sequence() >= header.first_sequence);
        true
    }) != [false; 2]
}

/// Any bytes as the start of a segment.
pub(crate) fn segment_header(data: &[u8]) -> bool {
    let mut fixed = data.to_vec();
    if let Ok(len) = SegmentHeader::peek_len(data)
        && len <= data.len()
    {
        let crc = crc32fast::hash(&data[..len - 8]);
        fixed[len - 8..len - 4].copy_from_slice(&crc.to_le_bytes());
    }
    [data, &fixed].map(|bytes| {
        let Ok(header) = SegmentHeader::decode(bytes) else {
            return false;
        };
        assert_eq!(header.encode(), bytes[..header.encoded_len()]);
        true
    }) != [false; 2]
}

/// Any bytes as MANIFEST.
pub(crate) fn manifest(data: &[u8]) -> bool {
    let mut fixed = data.to_vec();
    if let Some(covered) = data.len().checked_sub(4) {
        fixed.truncate(covered);
        let crc = crc32fast::hash(&fixed);
        fixed.extend_from_slice(&crc.to_le_bytes());
    }
    [data, &fixed].map(|bytes| {
        let Ok(manifest) = Manifest::decode(bytes) else {
            return false;
        };
        assert_eq!(manifest.encode(), bytes);
        true
    }) != [false; 2]
}

/// Any bytes as JOURNAL.
pub(crate) fn identity(data: &[u8]) -> bool {
    let mut fixed = data.to_vec();
    if let Some(covered) = data.len().checked_sub("crc32 00000000\n".len()) {
        fixed.truncate(covered);
        let line = format!("crc32 {:08x}\n", crc32fast::hash(&fixed));
        fixed.extend_from_slice(line.as_bytes());
    }
    [data, &fixed].map(|bytes| {
        let Ok(identity) = Identity::decode(bytes) else {
            return false;
        };
        assert_eq!(identity.encode().as_bytes(), bytes);
        true
    }) != [false; 2]
}

/// Any bytes as the payload of each kind of `$journal` event.
pub(crate) fn journal_event(data: &[u8]) -> bool {
    [
        "journal.created",
        "journal.recovered",
        "clock.stepped_back",
        "key.rotated",
        "key.revoked",
        "shred.intended",
        "shred.completed",
        "keyset.noted",
        "hold.placed",
        "hold.lifted",
        "case.exported",
        "erasure.ordered",
        "erasure.completed",
        "no.such",
    ]
    .map(|kind| {
        let Ok(event) = JournalEvent::decode(kind, data) else {
            return false;
        };
        assert_eq!((event.kind(), event.encode().as_slice()), (kind, data));
        true
    }) != [false; 14]
}

/// Any bytes as what a receipt says of its event, and as a spine.
pub(crate) fn event_record(data: &[u8]) -> bool {
    let mut fixed = data.to_vec();
    if let [1, rest @ ..] = data
        && let Some((_, rest)) = rest.split_first_chunk::<SPINE_LEN>()
        && let Some((salt, facts)) = rest.split_first_chunk::<16>()
    {
        fixed[SPINE_LEN - 31..=SPINE_LEN].copy_from_slice(&facts_hash(salt, facts));
    }
    let spine = Spine::decode(data);
    if let Ok(spine) = &spine {
        assert_eq!(spine.encode(), data);
    }
    let records = [data, &fixed].map(|bytes| {
        let Ok(record) = EventRecord::decode(bytes) else {
            return false;
        };
        assert_eq!(record.encode(), bytes);
        assert_eq!(record.facts().is_some(), record.salted_facts().is_some());
        assert_eq!(record.event_hash(), event_hash(record.spine()));
        true
    });
    spine.is_ok() || records != [false; 2]
}

/// A property: feeds any bytes to one decoder.
pub(crate) type Property = fn(&[u8]) -> bool;

/// Every property under the name of its fuzz target.
pub(crate) const ALL: [(&str, Property); 9] = [
    ("frame", frame),
    ("event_body", event_body),
    ("facts", facts),
    ("commit_header", commit_header),
    ("segment_header", segment_header),
    ("manifest", manifest),
    ("identity", identity),
    ("journal_event", journal_event),
    ("event_record", event_record),
];
