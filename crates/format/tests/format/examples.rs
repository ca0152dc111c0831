//! The values behind the worked examples of the format page: fixed inputs, no randomness.

use crate::canonical::{JOURNAL, SEGMENT_SALT, group_key};
use factlog_format::*;

pub(crate) const STREAM: StreamId = [0x11; 16];
pub(crate) const EVENT_ID: EventId = [
    0x01, 0x9a, 0x3c, 0x5e, 0x7b, 0x1a, 0x7c, 0x3d, 0x8e, 0x4f, 0xa0, 0xb1, 0xc2, 0xd3, 0xe4, 0xf5,
];
pub(crate) const FACTS_SALT: [u8; 16] = [0x22; 16];
pub(crate) const BODY: &[u8] = br#"{"amount":100,"currency":"EUR"}"#;
pub(crate) const BODY_SALT: SectionSecret = SectionSecret::Salt([0x33; 16]);
/// Not a real ciphertext: the format never looks inside.
pub(crate) const CUSTOMER: [u8; 32] = [0xc5; 32];
pub(crate) const CUSTOMER_NONCE: SectionSecret = SectionSecret::Nonce([0x44; 24]);
pub(crate) const CREATED: i64 = 1_763_777_777_000_000;
pub(crate) const ORIGIN: &str = "example.com/ledger/000102030405060708090a0b0c0d0e0f";

pub(crate) const ORDER: Ordering = Ordering {
    sequence: 7,
    revision: 1,
    stream: STREAM,
    recorded_at: CREATED + 2_000_000,
    previous: [0x66; 32],
    previous_sequence: Some(3),
};

const SECTIONS: [SectionParts<'static>; 2] = [
    SectionParts {
        name: "body",
        encoding: Encoding::Json,
        secret: BODY_SALT,
        sealed: None,
        stored: BODY,
    },
    SectionParts {
        name: "customer",
        encoding: Encoding::Cbor,
        secret: CUSTOMER_NONCE,
        sealed: Some(SealedRow {
            suite: 1,
            padding: 1,
            key_id: [0x77; 16],
            key_commitment: [0x88; 32],
        }),
        stored: &CUSTOMER,
    },
];

/// The event of the worked examples: one plain and one encrypted section.
pub(crate) const EVENT: FrameParts<'static> = FrameParts {
    facts: Facts {
        event_id: EVENT_ID,
        entity: "account-0042",
        scope: "bank",
        kind: "account.deposited",
        payload_version: 1,
        tags: &["branch:12", "region:eu"],
        occurred_at: Some(CREATED + 1_000_000),
        actor: Some("teller-7"),
        correlation: None,
        causation: None,
        trace: None,
        sections: &[],
    },
    facts_salt: FACTS_SALT,
    sections: &SECTIONS,
};

/// A placed and sealed event frame, and its facts.
pub(crate) fn frame_of(parts: &FrameParts<'_>, order: &Ordering) -> (Vec<u8>, Vec<u8>) {
    let (mut facts, mut out) = (Vec::new(), Vec::new());
    let frame = encode_event(parts, &mut facts, &mut out).expect("an event within limits");
    frame.place(&mut out, order);
    seal_frame(CrcSeed::of(&JOURNAL), &mut out);
    (out, facts)
}

pub(crate) fn spine() -> Spine {
    let (_, facts) = frame_of(&EVENT, &ORDER);
    ORDER.spine(&JOURNAL, facts_hash(&FACTS_SALT, &facts))
}

/// The stub that keeps the plain section of the event.
pub(crate) fn payload_stub() -> Vec<u8> {
    let (frame, _) = frame_of(&EVENT, &ORDER);
    let frame = Frame::read(CrcSeed::of(&JOURNAL), &frame).expect("a frame");
    let event = EventFrame::decode(frame.kind, frame.body).expect("an event");
    let mut out = Vec::new();
    encode_payload_stub(&event, 0b01, &mut out).expect("a section is left");
    seal_frame(CrcSeed::of(&JOURNAL), &mut out);
    out
}

pub(crate) fn full_stub() -> Vec<u8> {
    let stub = FullStub {
        order: ORDER,
        facts_hash: spine().facts_hash,
    };
    let mut out = Vec::new();
    encode_full_stub(&stub, &mut out).expect("a place");
    seal_frame(CrcSeed::of(&JOURNAL), &mut out);
    out
}

/// The header of the group that holds the event of the worked examples and nothing else.
pub(crate) fn commit_header() -> CommitHeader {
    let (event, _) = frame_of(&EVENT, &ORDER);
    let crc = u32::from_le_bytes(event[4..8].try_into().expect("4 bytes"));
    CommitHeader {
        number: 5,
        incarnation: 1,
        count: 1,
        first_sequence: 7,
        frames_len: event.len() as u32,
        durable: 7,
        raw_clock: CREATED + 2_000_050,
        root: [0x99; 32],
        signatures: vec![HeaderSignature {
            kind: 1,
            key_id: [0xaa, 0xbb, 0xcc, 0xdd],
            bytes: vec![0xee; 64],
        }],
        frames_check: group_key().frames_check([crc]),
    }
}

pub(crate) fn commit_frame() -> Vec<u8> {
    let mut out = Vec::new();
    let written = commit_header().write(CrcSeed::of(&JOURNAL), &group_key(), &mut out);
    written.expect("a header within limits");
    out
}

pub(crate) fn segment_header() -> SegmentHeader {
    SegmentHeader {
        features: Features::default(),
        journal: JOURNAL,
        first_sequence: 6,
        generation: 3,
        incarnation: 1,
        salt: SEGMENT_SALT,
        durable: 6,
        edge: vec![[0xd4; 32], [0xd2; 32]],
        inputs: Vec::new(),
    }
}

/// The header of a compacted segment.
pub(crate) fn compacted_segment_header() -> SegmentHeader {
    let inputs = [(4, 1), (5, 2)].map(|(first_sequence, generation)| SegmentInput {
        first_sequence,
        generation,
    });
    SegmentHeader {
        first_sequence: 4,
        generation: 9,
        durable: 20,
        edge: vec![[0xd4; 32]],
        inputs: inputs.to_vec(),
        ..segment_header()
    }
}

/// MANIFEST's hash over the example segment: its header and one commit header.
pub(crate) fn headers_hash() -> Digest {
    let mut hasher = HeadersHasher::new(&segment_header().encode());
    hasher.add(&commit_frame());
    hasher.digest()
}

pub(crate) fn manifest() -> Manifest {
    let sealed = ManifestRow {
        first_sequence: 0,
        count: Some(6),
        generation: 1,
        salt: [0x5b; 16],
        proven_end: 0,
        sealed_end: 4096,
        headers_hash: headers_hash(),
    };
    let active = ManifestRow {
        first_sequence: 6,
        count: None,
        generation: 3,
        salt: SEGMENT_SALT,
        proven_end: 1024,
        sealed_end: 0,
        headers_hash: [0; 32],
    };
    Manifest {
        features: Features::default(),
        journal: JOURNAL,
        next_generation: 4,
        incarnation: 1,
        rows: vec![sealed, active],
        values: vec![CachedValue {
            sequence: 0,
            code: 1,
            value: b"value".to_vec(),
        }],
    }
}

pub(crate) fn identity() -> Identity {
    Identity {
        features: Features::default(),
        journal: JOURNAL,
        origin: ORIGIN.to_owned(),
        created: CREATED,
    }
}

pub(crate) fn created() -> JournalEvent {
    JournalEvent::Created(JournalCreated {
        journal: JOURNAL,
        origin: ORIGIN.to_owned(),
        created: CREATED,
        signing: SigningPolicyCode::Required,
        keys: vec![[0xab; 32]],
        forked_from: None,
        encryption: None,
    })
}

pub(crate) fn created_encrypted() -> JournalEvent {
    let JournalEvent::Created(created) = created() else {
        unreachable!()
    };
    JournalEvent::Created(JournalCreated {
        encryption: Some(Encryption {
            domain: KeyDomain::Stream,
            keyset: [0xc1; 32],
        }),
        ..created
    })
}

pub(crate) fn shred_intended() -> JournalEvent {
    JournalEvent::ShredIntended(ShredIntended {
        domain: KeyDomain::Stream,
        reason: "request 17".to_owned(),
        keys: vec![[0x77; 16], [0x78; 16]],
    })
}

pub(crate) fn shred_completed() -> JournalEvent {
    JournalEvent::ShredCompleted(ShredCompleted {
        intent: 9,
        generation: 2,
        root: [0xc2; 32],
        destroyed: 2,
        grade: ShredGrade::RecipientsReplaced,
        recipients: vec![
            ([0xd1; 8], SecretFate::Attested),
            ([0xd2; 8], SecretFate::Unknown),
        ],
        acknowledged: vec![("search".to_owned(), true)],
    })
}

pub(crate) fn keyset_noted() -> JournalEvent {
    JournalEvent::KeysetNoted(KeysetNoted {
        generation: 3,
        root: [0xc3; 32],
        keys: 65,
        recipients: vec![[0xd3; 8], [0xd4; 8]],
        replacing: Some(SecretFate::Attested),
    })
}

pub(crate) fn hold_placed() -> JournalEvent {
    JournalEvent::HoldPlaced(HoldPlaced {
        reason: "case 4".to_owned(),
        domains: vec![[0x91; 16]],
    })
}

pub(crate) fn hold_lifted() -> JournalEvent {
    JournalEvent::HoldLifted(HoldLifted {
        hold: 11,
        reason: "settled".to_owned(),
    })
}

pub(crate) fn recovered() -> JournalEvent {
    JournalEvent::Recovered(JournalRecovered {
        reason: RecoveryReason::TornTail,
        segment_first: 6,
        segment_generation: 3,
        sealed_end: 1024,
        set_aside: 96,
        copied: 1,
    })
}

pub(crate) fn clock() -> JournalEvent {
    JournalEvent::ClockSteppedBack(ClockSteppedBack {
        before: CREATED,
        now: CREATED - 5_000_000,
    })
}

pub(crate) fn rotated() -> JournalEvent {
    JournalEvent::KeyRotated(KeyRotated {
        old: [0xab; 32],
        new: [0xac; 32],
        signature: [0xee; 64],
        next: Some(next_key_hash(&[0xad; 32])),
    })
}

pub(crate) fn revoked() -> JournalEvent {
    JournalEvent::KeyRevoked(KeyRevoked {
        key: [0xab; 32],
        from: 6,
    })
}

pub(crate) fn exported() -> JournalEvent {
    JournalEvent::CaseExported(CaseExported {
        first: 1,
        end: 9,
        selected: 3,
        commitment: case_commitment(&[0x33; 16], b"statement"),
    })
}

/// Of the events 7, 8 and 11, with made up hashes.
pub(crate) fn erasure_ordered() -> JournalEvent {
    let set: SequenceSet = [7, 8, 11].into_iter().collect();
    let mut hasher = ErasureHasher::new();
    for (sequence, hash) in set.iter().zip([[0x71; 32], [0x72; 32], [0x73; 32]]) {
        hasher.add(sequence, &hash);
    }
    JournalEvent::ErasureOrdered(ErasureOrdered {
        level: ErasureLevel::Sections(1),
        policy: "support".to_owned(),
        reason: "older than 90 days".to_owned(),
        set,
        commitment: hasher.digest(),
    })
}

pub(crate) fn erasure_ordered_full() -> JournalEvent {
    match erasure_ordered() {
        JournalEvent::ErasureOrdered(ordered) => JournalEvent::ErasureOrdered(ErasureOrdered {
            level: ErasureLevel::Full,
            policy: String::new(),
            ..ordered
        }),
        other => other,
    }
}

pub(crate) fn erasure_completed() -> JournalEvent {
    JournalEvent::ErasureCompleted(ErasureCompleted {
        erasure: 12,
        held: vec![(13, [8].into_iter().collect())],
    })
}

pub(crate) fn record() -> EventRecord {
    let (_, facts) = frame_of(&EVENT, &ORDER);
    EventRecord::with_facts(spine(), FACTS_SALT, facts).expect("the spine's own facts")
}

pub(crate) fn bare_record() -> EventRecord {
    EventRecord::spine_only(spine())
}
