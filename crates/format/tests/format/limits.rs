//! At each limit a value passes; one above, it is refused with the code for limits, and nothing is
//! left in the buffer.

use factlog_format::*;

use crate::{
    canonical::{JOURNAL, body_of, group_key},
    examples::{self, *},
};

type Outcome = Result<(), &'static str>;
const OVER: Outcome = Err("format.limit");
const NOT_ALLOWED: Outcome = Err("format.invalid");

fn code<T>(result: Result<T, FormatError>) -> Outcome {
    result.map(|_| ()).map_err(|error| error.code())
}

fn encode(facts: &Facts<'_>) -> Outcome {
    let mut out = vec![7];
    let result = facts.encode(&mut out);
    match result {
        Ok(()) => assert!(
            FactsRef::decode(&out[1..]).is_ok(),
            "what is written can be read"
        ),
        Err(_) => assert_eq!(out, [7], "nothing is left of what was refused"),
    }
    code(result)
}

#[test]
fn names_are_1_to_255_bytes_without_control_characters() {
    let long = "n".repeat(255);
    let too_long = "n".repeat(256);
    let wide = format!("{}é", "n".repeat(254));
    let table: [(&str, Outcome); 14] = [
        ("", NOT_ALLOWED),
        ("n", Ok(())),
        (&long, Ok(())),
        (&too_long, OVER),
        (&wide, OVER),
        ("two words", Ok(())),
        ("línea 日本 🦀", Ok(())),
        ("a\nb", NOT_ALLOWED),
        ("a\0", NOT_ALLOWED),
        ("a\u{7f}", NOT_ALLOWED),
        ("a\u{85}", NOT_ALLOWED),
        ("é\t", NOT_ALLOWED),
        // Compared as bytes, not normalised: these are two names.
        ("\u{e9}", Ok(())),
        ("e\u{301}", Ok(())),
    ];
    let plain = EVENT.facts;
    let row = SectionRow {
        name: "body",
        stored_len: 0,
        encoding: Encoding::Raw,
        hash: [0; 32],
        sealed: None,
    };
    for (name, expected) in table {
        let tags = [name];
        let sections = [SectionRow { name, ..row }];
        for facts in [
            Facts {
                entity: name,
                ..plain
            },
            Facts {
                scope: name,
                ..plain
            },
            Facts {
                kind: name,
                ..plain
            },
            Facts {
                actor: Some(name),
                ..plain
            },
            Facts {
                tags: &tags,
                ..plain
            },
            Facts {
                sections: &sections,
                ..plain
            },
        ] {
            assert_eq!(encode(&facts), expected, "{name:?}");
        }
    }
}

#[test]
fn a_scope_has_no_slash_and_everything_else_may() {
    let plain = EVENT.facts;
    assert_eq!(
        encode(&Facts {
            scope: "a/b",
            ..plain
        }),
        NOT_ALLOWED
    );
    for facts in [
        Facts {
            entity: "a/b",
            ..plain
        },
        Facts {
            kind: "a/b",
            ..plain
        },
        Facts {
            actor: Some("a/b"),
            ..plain
        },
        Facts {
            tags: &["a/b"],
            ..plain
        },
    ] {
        assert_eq!(encode(&facts), Ok(()));
    }
}

#[test]
fn tags_are_at_most_32_sorted_and_unique() {
    let names: Vec<String> = (0..33).map(|i| format!("tag{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tags = |tags: &[&str]| {
        encode(&Facts {
            tags,
            ..EVENT.facts
        })
    };
    assert_eq!(tags(&names[..32]), Ok(()));
    assert_eq!(tags(&names), OVER);
    assert_eq!(tags(&["b", "a"]), NOT_ALLOWED);
    assert_eq!(tags(&["a", "a"]), NOT_ALLOWED);
    assert_eq!(tags(&["B", "a"]), Ok(()));
}

fn section<'a>(name: &'a str, stored: &'a [u8]) -> SectionParts<'a> {
    SectionParts {
        name,
        encoding: Encoding::Raw,
        secret: BODY_SALT,
        sealed: None,
        stored,
    }
}

fn event(sections: &[SectionParts<'_>]) -> Outcome {
    let mut out = vec![7];
    let result = encode_event(&FrameParts { sections, ..EVENT }, &mut Vec::new(), &mut out);
    match &result {
        Ok(frame) => {
            frame.place(&mut out, &ORDER);
            let read = EventFrame::decode(FrameType::Event, body_of(&out[1..]));
            assert!(read.is_ok(), "what is written can be read");
        }
        Err(_) => assert_eq!(out, [7], "nothing is left of what was refused"),
    }
    code(result)
}

#[test]
fn sections_are_at_most_16_with_unique_names() {
    let names: Vec<String> = (0..17).map(|i| format!("section {i}")).collect();
    let sections: Vec<SectionParts<'_>> = names.iter().map(|name| section(name, b"x")).collect();
    assert_eq!(event(&[]), Ok(()));
    assert_eq!(event(&sections[..16]), Ok(()));
    assert_eq!(event(&sections), OVER);
    assert_eq!(event(&[section("a", b""), section("a", b"")]), NOT_ALLOWED);
}

#[test]
fn a_payload_is_at_most_16_mebibytes_in_all_its_sections() {
    let big = vec![0u8; MAX_PAYLOAD_LEN + 1];
    assert_eq!(event(&[section("a", &big[..MAX_PAYLOAD_LEN])]), Ok(()));
    assert_eq!(event(&[section("a", &big)]), OVER);
    let most = &big[..MAX_PAYLOAD_LEN - 1];
    assert_eq!(
        event(&[section("a", most), section("b", &big[..1])]),
        Ok(())
    );
    assert_eq!(event(&[section("a", most), section("b", &big[..2])]), OVER);
}

/// A table row can say more than a frame could hold: 16 times `u32::MAX` must not overflow.
#[test]
fn facts_that_announce_a_larger_payload_are_refused() {
    let names: Vec<String> = (0..16).map(|i| format!("s{i}")).collect();
    let rows = |stored_len| -> Vec<SectionRow<'_>> {
        let row = |name| SectionRow {
            name,
            stored_len,
            encoding: Encoding::Raw,
            hash: [0; 32],
            sealed: None,
        };
        names.iter().map(|name| row(name.as_str())).collect()
    };
    let facts = |stored_len| {
        encode(&Facts {
            sections: &rows(stored_len),
            ..EVENT.facts
        })
    };
    assert_eq!(facts(1 << 20), Ok(()));
    assert_eq!(facts((1 << 20) + 1), OVER);
    assert_eq!(facts(u32::MAX), OVER);
    let mut bytes = Vec::new();
    let sections = rows(1 << 20);
    let encoded = Facts {
        sections: &sections,
        ..EVENT.facts
    }
    .encode(&mut bytes);
    assert_eq!(encoded, Ok(()));
    // The last row ends in length 4, codes 5, hash 32; raise its length.
    let at = bytes.len() - 41;
    bytes[at] = 1;
    assert_eq!(code(FactsRef::decode(&bytes)), OVER);
}

/// No legal fields reach the limit; it leaves room for extensions, and readers keep it.
#[test]
fn facts_are_at_most_32_kibibytes() {
    let name = |i: u8| format!("{i:03}{}", "n".repeat(252));
    let names: Vec<String> = (0..32).map(name).collect();
    let tags: Vec<&str> = names.iter().map(String::as_str).collect();
    let row = |name| SectionRow {
        name,
        stored_len: 0,
        encoding: Encoding::Raw,
        hash: [0; 32],
        sealed: Some(SealedRow {
            suite: 1,
            padding: 0,
            key_id: [0; 16],
            key_commitment: [0; 32],
        }),
    };
    let sections: Vec<SectionRow<'_>> = tags[..16].iter().map(|name| row(*name)).collect();
    let largest = Facts {
        entity: tags[0],
        scope: tags[0],
        kind: tags[0],
        tags: &tags,
        actor: Some(tags[0]),
        correlation: Some([1; 16]),
        causation: Some([1; 16]),
        trace: Some(TraceContext {
            trace_id: [1; 16],
            span_id: [1; 8],
            flags: 1,
        }),
        sections: &sections,
        ..EVENT.facts
    };
    let mut out = Vec::new();
    assert_eq!(largest.encode(&mut out), Ok(()));
    assert_eq!(out.len(), 14_875);
    out.resize(MAX_FACTS_LEN, 0);
    assert_eq!(code(FactsRef::decode(&out)), Err("format.trailing_bytes"));
    out.push(0);
    assert_eq!(code(FactsRef::decode(&out)), OVER);
}

#[test]
fn a_frames_body_is_1_byte_to_its_limit() {
    let frame = |len: usize| {
        let mut out = vec![7];
        let result = write_frame(FrameType::Event, &mut out, |out| {
            out.resize(1 + FRAME_HEADER_LEN + len, 0);
            Ok(())
        });
        if result.is_err() {
            assert_eq!(out, [7]);
        }
        code(result)
    };
    assert_eq!(frame(0), NOT_ALLOWED);
    assert_eq!(frame(1), Ok(()));
    assert_eq!(frame(MAX_FRAME_BODY), Ok(()));
    assert_eq!(frame(MAX_FRAME_BODY + 1), OVER);
    let peek = |len: u32| code(Frame::peek_len(&len.to_le_bytes()));
    assert_eq!(peek(0), NOT_ALLOWED);
    assert_eq!(peek(MAX_FRAME_BODY as u32), Ok(()));
    assert_eq!(peek(MAX_FRAME_BODY as u32 + 1), OVER);
    assert_eq!(peek(u32::MAX), OVER);
}

fn commit(change: impl FnOnce(&mut CommitHeader)) -> Outcome {
    let mut header = examples::commit_header();
    change(&mut header);
    let mut out = vec![7];
    let result = header.write(CrcSeed::of(&JOURNAL), &group_key(), &mut out);
    match result {
        Ok(()) => assert_eq!(
            CommitHeader::decode(&group_key(), body_of(&out[1..])),
            Ok(header)
        ),
        Err(_) => assert_eq!(out, [7], "nothing is left of what was refused"),
    }
    code(result)
}

#[test]
fn a_commit_header_carries_at_most_16_signatures_of_2420_bytes() {
    let signature = |len| HeaderSignature {
        kind: 6,
        key_id: [1; 4],
        bytes: vec![1; len],
    };
    assert_eq!(
        commit(|header| header.signatures = vec![signature(2420); 16]),
        Ok(())
    );
    assert_eq!(
        commit(|header| header.signatures = vec![signature(64); 17]),
        OVER
    );
    assert_eq!(
        commit(|header| header.signatures = vec![signature(2421)]),
        OVER
    );
    assert_eq!(
        commit(|header| header.signatures = vec![signature(0)]),
        NOT_ALLOWED
    );
    assert_eq!(commit(|header| header.signatures.clear()), Ok(()));
}

#[test]
fn a_commit_header_that_contradicts_itself_is_refused() {
    type Change = fn(&mut CommitHeader);
    let table: [(Change, Outcome); 18] = [
        (|header| header.durable = 8, NOT_ALLOWED),
        (|header| header.durable = 0, Ok(())),
        (|header| header.count = 0, NOT_ALLOWED),
        (|header| header.frames_len = 0, NOT_ALLOWED),
        (|header| (header.count, header.frames_len) = (0, 0), Ok(())),
        (|header| header.frames_len += 4, NOT_ALLOWED),
        (|header| header.frames_len = 128, NOT_ALLOWED),
        (|header| header.frames_len = 136, Ok(())),
        (
            |header| (header.count, header.frames_len) = (u32::MAX, u32::MAX - 7),
            NOT_ALLOWED,
        ),
        (|header| header.first_sequence = u64::MAX, NOT_ALLOWED),
        (|header| header.first_sequence = MAX_EVENTS, NOT_ALLOWED),
        (|header| header.first_sequence = MAX_EVENTS - 1, Ok(())),
        (|header| header.number = MAX_EVENTS + 1, NOT_ALLOWED),
        (|header| header.incarnation = MAX_GENERATION, Ok(())),
        (
            |header| header.incarnation = MAX_GENERATION + 1,
            NOT_ALLOWED,
        ),
        // A compacted group: unsigned, and all of it durable before.
        (|header| header.number = 0, NOT_ALLOWED),
        (
            |header| (header.number, header.durable, header.signatures) = (0, 8, vec![]),
            Ok(()),
        ),
        (
            |header| (header.number, header.durable, header.signatures) = (0, 7, vec![]),
            NOT_ALLOWED,
        ),
    ];
    for (index, (change, expected)) in table.into_iter().enumerate() {
        assert_eq!(commit(change), expected, "row {index}");
    }
}

#[test]
fn a_segment_header_is_at_most_1_mebibyte_and_contradicts_nothing() {
    type Change = fn(&mut SegmentHeader);
    fn inputs(count: u64) -> Vec<SegmentInput> {
        (4..4 + count)
            .map(|first_sequence| SegmentInput {
                first_sequence,
                generation: 8,
            })
            .collect()
    }
    let table: [(Change, Outcome); 14] = [
        (|header| header.inputs = inputs(65_527), Ok(())),
        (|header| header.inputs = inputs(65_528), OVER),
        (|header| header.inputs.reverse(), NOT_ALLOWED),
        (|header| header.inputs[0].first_sequence = 3, NOT_ALLOWED),
        (|header| header.inputs[1].first_sequence = 4, NOT_ALLOWED),
        (|header| header.inputs[1].generation = 9, NOT_ALLOWED),
        (|header| header.edge.clear(), NOT_ALLOWED),
        (|header| header.edge.push([0; 32]), NOT_ALLOWED),
        (|header| header.durable = u64::MAX, Ok(())),
        (|header| header.inputs.clear(), NOT_ALLOWED), // durable past its first sequence
        (|header| header.generation = MAX_GENERATION, Ok(())),
        (|header| header.generation = MAX_GENERATION + 1, NOT_ALLOWED),
        (|header| header.incarnation = u32::MAX, NOT_ALLOWED),
        (
            |header| (header.first_sequence, header.inputs) = (MAX_EVENTS + 1, vec![]),
            NOT_ALLOWED,
        ),
    ];
    for (index, (change, expected)) in table.into_iter().enumerate() {
        let mut header = compacted_segment_header();
        change(&mut header);
        assert_eq!(code(header.check()), expected, "row {index}");
        if expected.is_ok() {
            assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }
    }
    let mut head = segment_header().encode()[..16].to_vec();
    let mut peek = |len: u32| {
        head[12..].copy_from_slice(&len.to_le_bytes());
        code(SegmentHeader::peek_len(&head))
    };
    assert_eq!(peek(112), Ok(()));
    assert_eq!(peek(104), NOT_ALLOWED);
    assert_eq!(peek(116), NOT_ALLOWED);
    assert_eq!(peek(1 << 20), Ok(()));
    assert_eq!(peek((1 << 20) + 8), OVER);
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    type Change = fn(&mut Manifest);
    let table: [(Change, Outcome); 19] = [
        (|manifest| manifest.rows.clear(), Ok(())),
        (|manifest| manifest.rows[0].first_sequence = 1, NOT_ALLOWED),
        (|manifest| manifest.rows[1].first_sequence = 7, NOT_ALLOWED),
        (|manifest| manifest.rows[0].count = Some(5), NOT_ALLOWED),
        (|manifest| manifest.rows[0].count = None, NOT_ALLOWED),
        (|manifest| manifest.rows[0].sealed_end = 0, NOT_ALLOWED),
        (
            |manifest| manifest.rows[0].sealed_end = MAX_SEGMENT_LEN,
            Ok(()),
        ),
        (
            |manifest| manifest.rows[0].sealed_end = MAX_SEGMENT_LEN + 1,
            NOT_ALLOWED,
        ),
        (
            |manifest| manifest.rows[1].proven_end = MAX_SEGMENT_LEN + 1,
            NOT_ALLOWED,
        ),
        (
            |manifest| manifest.rows[1].headers_hash = [1; 32],
            NOT_ALLOWED,
        ),
        (|manifest| manifest.rows[1].generation = 1, NOT_ALLOWED),
        (|manifest| manifest.rows[1].generation = 4, NOT_ALLOWED),
        (
            |manifest| {
                (manifest.rows[1].count, manifest.rows[1].sealed_end) = (Some(u64::MAX), 1);
            },
            NOT_ALLOWED,
        ),
        (
            |manifest| {
                (manifest.rows[1].count, manifest.rows[1].sealed_end) = (Some(MAX_EVENTS - 5), 1);
            },
            NOT_ALLOWED,
        ),
        (|manifest| manifest.next_generation = MAX_GENERATION, Ok(())),
        (
            |manifest| manifest.next_generation = MAX_GENERATION + 1,
            NOT_ALLOWED,
        ),
        (|manifest| manifest.incarnation = u32::MAX, NOT_ALLOWED),
        (
            |manifest| manifest.values.push(manifest.values[0].clone()),
            NOT_ALLOWED,
        ),
        (
            |manifest| {
                let value = manifest.values[0].clone();
                manifest.values.push(CachedValue { code: 2, ..value });
            },
            Ok(()),
        ),
    ];
    for (index, (change, expected)) in table.into_iter().enumerate() {
        let mut manifest = examples::manifest();
        change(&mut manifest);
        assert_eq!(code(manifest.check()), expected, "row {index}");
        if expected.is_ok() {
            assert_eq!(
                Manifest::decode(&manifest.encode()),
                Ok(manifest),
                "row {index}"
            );
        }
    }
}

#[test]
fn an_origin_is_a_key_name_that_ends_in_the_journals_id() {
    let id = data_encoding::HEXLOWER.encode(&JOURNAL);
    let upper = data_encoding::HEXUPPER.encode(&[0xab; 16]);
    let with = |prefix: &str| format!("{prefix}/{id}");
    let table: [(String, Outcome); 11] = [
        (with("example.com/ledger"), Ok(())),
        (with("日本"), Ok(())),
        (with(&"o".repeat(222)), Ok(())),
        (with(&"o".repeat(223)), OVER),
        (with(""), NOT_ALLOWED),
        (with("two words"), NOT_ALLOWED),
        (with("a\u{a0}b"), NOT_ALLOWED),
        (with("a+b"), NOT_ALLOWED),
        (with("a\nb"), NOT_ALLOWED),
        (format!("ledger{id}"), NOT_ALLOWED),
        (format!("ledger/{upper}"), NOT_ALLOWED),
    ];
    for (origin, expected) in table {
        assert_eq!(
            code(check_origin(&origin, &JOURNAL)),
            expected,
            "{origin:?}"
        );
        let identity = Identity {
            origin: origin.clone(),
            ..examples::identity()
        };
        assert_eq!(code(identity.check()), expected);
        let JournalEvent::Created(created) = examples::created() else {
            unreachable!("the example is of this kind");
        };
        let event = JournalEvent::Created(JournalCreated { origin, ..created });
        assert_eq!(code(event.check()), expected);
    }
}

#[test]
fn sequence_0_names_up_to_16_keys_and_none_when_unsigned() {
    use SigningPolicyCode::{Optional, Required, Unsigned};
    let table = [
        (Unsigned, 0, Ok(())),
        (Unsigned, 1, NOT_ALLOWED),
        (Optional, 0, NOT_ALLOWED),
        (Required, 0, NOT_ALLOWED),
        (Optional, 1, Ok(())),
        (Required, 16, Ok(())),
        (Required, 17, OVER),
    ];
    for (signing, keys, expected) in table {
        let JournalEvent::Created(created) = examples::created() else {
            unreachable!("the example is of this kind");
        };
        let keys = (0..keys as u8).map(|key| [key; 32]).collect();
        let event = JournalEvent::Created(JournalCreated {
            signing,
            keys,
            ..created
        });
        assert_eq!(code(event.check()), expected);
    }
}

#[test]
fn a_key_stands_in_sequence_0_once() {
    let JournalEvent::Created(created) = examples::created() else {
        unreachable!("the example is of this kind");
    };
    let keys = vec![[1; 32], [2; 32], [1; 32]];
    let event = JournalEvent::Created(JournalCreated { keys, ..created });
    assert_eq!(code(event.check()), NOT_ALLOWED);
}
