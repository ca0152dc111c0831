//! Arbitrary legal values.

use std::collections::BTreeSet;

use factlog_format::*;
use proptest::{collection, option, prelude::*};

use crate::canonical::JOURNAL;

/// A legal name: mostly short and readable, sometimes of every script, sometimes as long as it gets.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z][a-z0-9.:_/-]{0,20}",
        2 => "\\PC{1,60}".prop_filter("at most 255 bytes", |name| name.len() <= 255),
        1 => Just("x".repeat(255)),
        1 => Just("é".repeat(127)),
    ]
    .prop_filter("a legal name", |name| check_name(name, "name").is_ok())
}

fn scope() -> impl Strategy<Value = String> {
    name().prop_map(|name| name.replace('/', "|"))
}

#[derive(Clone, Debug)]
pub(crate) struct Section {
    name: String,
    encoding: Encoding,
    secret: SectionSecret,
    sealed: Option<SealedRow>,
    stored: Vec<u8>,
}

fn encoding() -> impl Strategy<Value = Encoding> {
    (0u8..5).prop_map(|code| Encoding::from_code(code).expect("a known code"))
}

fn sealed() -> impl Strategy<Value = (SealedRow, SectionSecret)> {
    (
        1u8..3,
        0u8..2,
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        any::<[u8; 24]>(),
    )
        .prop_map(|(suite, padding, key_id, key_commitment, nonce)| {
            let row = SealedRow {
                suite,
                padding,
                key_id,
                key_commitment,
            };
            (row, SectionSecret::Nonce(nonce))
        })
}

fn sections() -> impl Strategy<Value = Vec<Section>> {
    let stored = collection::vec(any::<u8>(), 0..200);
    let section = (
        name(),
        encoding(),
        any::<[u8; 16]>(),
        option::of(sealed()),
        stored,
    )
        .prop_map(|(name, encoding, salt, sealed, stored)| {
            let (sealed, secret) = match sealed {
                Some((row, nonce)) => (Some(row), nonce),
                None => (None, SectionSecret::Salt(salt)),
            };
            Section {
                name,
                encoding,
                secret,
                sealed,
                stored,
            }
        });
    collection::vec(section, 0..=MAX_SECTIONS).prop_map(|mut sections| {
        let mut seen = BTreeSet::new();
        sections.retain(|section| seen.insert(section.name.clone()));
        sections
    })
}

fn trace() -> impl Strategy<Value = TraceContext> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())
        .prop_filter("not all zeros", |(trace, span, _)| {
            *trace != [0; 16] && *span != [0; 8]
        })
        .prop_map(|(trace_id, span_id, flags)| TraceContext {
            trace_id,
            span_id,
            flags,
        })
}

/// An event that owns its parts.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    names: (String, String, String, Option<String>),
    tags: BTreeSet<String>,
    ids: (EventId, Option<[u8; 16]>, Option<EventId>),
    payload_version: u16,
    occurred_at: Option<i64>,
    trace: Option<TraceContext>,
    pub(crate) salt: [u8; 16],
    pub(crate) sections: Vec<Section>,
    pub(crate) order: Ordering,
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    (
        (name(), scope(), name(), option::of(name())),
        collection::btree_set(name(), 0..=MAX_TAGS),
        any::<(EventId, Option<[u8; 16]>, Option<EventId>)>(),
        any::<(u16, Option<i64>, [u8; 16])>(),
        option::of(trace()),
        sections(),
        order(),
    )
        .prop_map(
            |(names, tags, ids, (payload_version, occurred_at, salt), trace, sections, order)| {
                Event {
                    names,
                    tags,
                    ids,
                    payload_version,
                    occurred_at,
                    trace,
                    salt,
                    sections,
                    order,
                }
            },
        )
}

pub(crate) fn order() -> impl Strategy<Value = Ordering> {
    let place = any::<(u64, u64, StreamId, i64, Digest)>();
    (place, option::of(any::<u64>())).prop_map(
        |((sequence, revision, stream, recorded_at, previous), before)| {
            let previous_sequence = before
                .filter(|_| sequence > 0 && revision > 0)
                .map(|before| before % sequence);
            let first = previous_sequence.is_none();
            Ordering {
                sequence,
                revision: if first { 0 } else { revision },
                stream,
                recorded_at,
                previous: if first { [0; 32] } else { previous },
                previous_sequence,
            }
        },
    )
}

impl Event {
    /// Hands the event to `use_it` as the encoder takes it.
    pub(crate) fn with_parts<T>(&self, use_it: impl FnOnce(&FrameParts<'_>) -> T) -> T {
        let tags: Vec<&str> = self.tags.iter().map(String::as_str).collect();
        let rows: Vec<SectionRow<'_>> = self
            .sections
            .iter()
            .map(|section| SectionRow {
                name: &section.name,
                stored_len: section.stored.len() as u32,
                encoding: section.encoding,
                hash: section_hash(&section.secret, &section.stored),
                sealed: section.sealed,
            })
            .collect();
        let sections: Vec<SectionParts<'_>> = self
            .sections
            .iter()
            .map(|section| SectionParts {
                name: &section.name,
                encoding: section.encoding,
                secret: section.secret,
                sealed: section.sealed,
                stored: &section.stored,
            })
            .collect();
        let (entity, scope, kind, actor) = &self.names;
        let facts = Facts {
            event_id: self.ids.0,
            entity,
            scope,
            kind,
            payload_version: self.payload_version,
            tags: &tags,
            occurred_at: self.occurred_at,
            actor: actor.as_deref(),
            correlation: self.ids.1,
            causation: self.ids.2,
            trace: self.trace,
            sections: &rows,
        };
        use_it(&FrameParts {
            facts,
            facts_salt: self.salt,
            sections: &sections,
        })
    }
}

pub(crate) fn commit_header() -> impl Strategy<Value = CommitHeader> {
    let signature = (
        any::<u8>(),
        any::<[u8; 4]>(),
        collection::vec(any::<u8>(), 1..100),
    )
        .prop_map(|(kind, key_id, bytes)| HeaderSignature {
            kind,
            key_id,
            bytes,
        });
    let numbers = (
        0u64..1000,
        0..=MAX_GENERATION,
        0u32..1000,
        0..MAX_EVENTS - 1000,
        any::<u64>(),
    );
    let rest = (any::<i64>(), any::<Digest>(), any::<[u8; 16]>(), 0u32..1000);
    (
        numbers,
        rest,
        collection::vec(signature, 0..=MAX_HEADER_SIGNATURES),
    )
        .prop_map(
            |((number, incarnation, count, first_sequence, durable), rest, mut signatures)| {
                let (raw_clock, root, frames_check, more) = rest;
                let durable = match number {
                    0 => (first_sequence + u64::from(count)).saturating_add(durable),
                    _ => durable % (first_sequence + 1),
                };
                if number == 0 {
                    signatures.clear();
                }
                let frames_len = if count == 0 {
                    0
                } else {
                    count * 136 + more * 8
                };
                CommitHeader {
                    number,
                    incarnation,
                    count,
                    first_sequence,
                    frames_len,
                    durable,
                    raw_clock,
                    root,
                    signatures,
                    frames_check,
                }
            },
        )
}

pub(crate) fn features() -> impl Strategy<Value = Features> {
    (any::<u64>(), any::<u64>()).prop_map(|(read_only_compatible, compatible)| Features {
        incompatible: 0,
        read_only_compatible,
        compatible,
    })
}

pub(crate) fn segment_header() -> impl Strategy<Value = SegmentHeader> {
    let numbers = (
        0..=MAX_EVENTS,
        1..=MAX_GENERATION,
        0..=MAX_GENERATION,
        any::<[u8; 16]>(),
        any::<u64>(),
    );
    let inputs = collection::btree_map(any::<u64>(), any::<u32>(), 0..20);
    (features(), numbers, inputs, any::<u8>()).prop_map(
        |(features, (first, generation, incarnation, salt, durable), inputs, fill)| {
            let mut inputs: Vec<SegmentInput> = inputs
                .into_iter()
                .filter(|(sequence, _)| *sequence > first)
                .map(|(first_sequence, other)| SegmentInput {
                    first_sequence,
                    generation: other % generation,
                })
                .collect();
            if !inputs.is_empty() {
                let own = SegmentInput {
                    first_sequence: first,
                    generation: generation - 1,
                };
                inputs.insert(0, own);
            }
            let compacted = !inputs.is_empty();
            SegmentHeader {
                features,
                journal: JOURNAL,
                first_sequence: first,
                generation,
                incarnation,
                salt,
                durable: if compacted {
                    durable
                } else {
                    durable.min(first)
                },
                edge: vec![[fill; 32]; first.count_ones() as usize],
                inputs,
            }
        },
    )
}

pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    let row = (
        1u64..1 << 40,
        any::<[u8; 16]>(),
        any::<u32>(),
        1u32..,
        any::<Digest>(),
    );
    let value = (
        (any::<u64>(), any::<u16>()),
        collection::vec(any::<u8>(), 0..40),
    );
    let rows = collection::vec(row, 0..12);
    let values = collection::btree_map(value.0, value.1, 0..8);
    (
        features(),
        any::<JournalId>(),
        0..=MAX_GENERATION,
        rows,
        any::<bool>(),
        values,
    )
        .prop_map(|(features, journal, incarnation, rows, closed, values)| {
            let mut next = 0;
            let last = rows.len();
            let row = |(index, (count, salt, proven_end, sealed_end, headers_hash))| {
                let sealed = closed || index + 1 < last;
                let row = ManifestRow {
                    first_sequence: next,
                    count: sealed.then_some(count),
                    generation: (last - index) as u32,
                    salt,
                    proven_end: u64::from(proven_end),
                    sealed_end: if sealed { u64::from(sealed_end) } else { 0 },
                    headers_hash: if sealed { headers_hash } else { [0; 32] },
                };
                next += count;
                row
            };
            let rows: Vec<ManifestRow> = rows.into_iter().enumerate().map(row).collect();
            let values = values
                .into_iter()
                .map(|((sequence, code), value)| CachedValue {
                    sequence,
                    code,
                    value,
                })
                .collect();
            let next_generation = last as u32 + 1;
            Manifest {
                features,
                journal,
                next_generation,
                incarnation,
                rows,
                values,
            }
        })
}

/// A journal id with an origin that ends in it.
pub(crate) fn origin() -> impl Strategy<Value = (JournalId, String)> {
    let prefix = prop_oneof![
        "[a-z0-9./-]{1,60}",
        "[^\\s\\pC+]{1,40}",
        Just("o".repeat(222))
    ];
    (any::<JournalId>(), prefix)
        .prop_map(|(id, prefix)| {
            (
                id,
                format!("{prefix}/{}", data_encoding::HEXLOWER.encode(&id)),
            )
        })
        .prop_filter("at most 255 bytes", |(_, origin)| origin.len() <= 255)
}

pub(crate) fn identity() -> impl Strategy<Value = Identity> {
    (features(), origin(), any::<i64>()).prop_map(|(features, (journal, origin), created)| {
        Identity {
            features,
            journal,
            origin,
            created,
        }
    })
}

pub(crate) fn journal_event() -> impl Strategy<Value = JournalEvent> {
    let created = (
        origin(),
        any::<i64>(),
        any::<bool>(),
        collection::vec(any::<[u8; 32]>(), 0..=16),
        any::<Option<(JournalId, u64)>>(),
        option::of((key_domain(), any::<[u8; 32]>())),
    )
        .prop_map(
            |((journal, origin), created, required, keys, forked_from, encryption)| {
                let signing = match (keys.is_empty(), required) {
                    (true, _) => SigningPolicyCode::Unsigned,
                    (false, false) => SigningPolicyCode::Optional,
                    (false, true) => SigningPolicyCode::Required,
                };
                let created = JournalCreated {
                    journal,
                    origin,
                    created,
                    signing,
                    keys,
                    forked_from,
                    encryption: encryption.map(|(domain, keyset)| Encryption { domain, keyset }),
                };
                JournalEvent::Created(created)
            },
        );
    let recovered = any::<(bool, u64, u32, u64, u64, u64)>().prop_map(
        |(torn, segment_first, segment_generation, sealed_end, set_aside, copied)| {
            JournalEvent::Recovered(JournalRecovered {
                reason: if torn {
                    RecoveryReason::TornTail
                } else {
                    RecoveryReason::Unproven
                },
                segment_first,
                segment_generation,
                sealed_end,
                set_aside,
                copied,
            })
        },
    );
    let clock = any::<(i64, i64)>()
        .prop_map(|(before, now)| JournalEvent::ClockSteppedBack(ClockSteppedBack { before, now }));
    let keys = any::<([u8; 32], [u8; 32], [u8; 32], [u8; 32], Option<[u8; 32]>)>();
    let rotated = keys
        .prop_filter("a key that replaces itself", |(old, new, ..)| old != new)
        .prop_map(|(old, new, r, s, next)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&r);
            signature[32..].copy_from_slice(&s);
            JournalEvent::KeyRotated(KeyRotated {
                old,
                new,
                signature,
                next,
            })
        });
    let revoked = any::<([u8; 32], u64)>()
        .prop_map(|(key, from)| JournalEvent::KeyRevoked(KeyRevoked { key, from }));
    let exported =
        any::<(u64, u64, u64, [u8; 32])>().prop_map(|(one, other, count, commitment)| {
            let (first, end) = (one.min(other), one.max(other));
            JournalEvent::CaseExported(CaseExported {
                first,
                end,
                selected: count.min(end - first),
                commitment,
            })
        });
    prop_oneof![
        created,
        recovered,
        clock,
        rotated,
        revoked,
        exported,
        erasure(),
        retention()
    ]
}

fn key_domain() -> impl Strategy<Value = KeyDomain> {
    (0..KeyDomain::ALL.len()).prop_map(|at| KeyDomain::ALL[at])
}

fn ids() -> impl Strategy<Value = Vec<[u8; 16]>> {
    collection::btree_set(any::<[u8; 16]>(), 1..20)
        .prop_map(|ids| ids.into_iter().filter(|id| *id != [0; 16]).collect())
}

fn set() -> impl Strategy<Value = SequenceSet> {
    let gaps = collection::vec((1..9u64, any::<bool>()), 1..40);
    (any::<u32>(), gaps).prop_map(|(first, gaps)| {
        let mut at = u64::from(first);
        let sequences = gaps.into_iter().map(|(gap, far)| {
            at += if far { gap } else { 1 };
            at
        });
        sequences.collect()
    })
}

/// Erasures by retention.
fn retention() -> impl Strategy<Value = JournalEvent> {
    let level = prop_oneof![
        (1..=u16::MAX).prop_map(ErasureLevel::Sections),
        Just(ErasureLevel::Full)
    ];
    let ordered = (
        level,
        "[a-z0-9]{0,20}",
        "[a-zé -]{1,80}",
        set(),
        any::<[u8; 32]>(),
    )
        .prop_map(|(level, policy, reason, set, commitment)| {
            JournalEvent::ErasureOrdered(ErasureOrdered {
                level,
                policy,
                reason,
                set,
                commitment,
            })
        });
    let completed = (any::<u64>(), any::<u64>(), proptest::option::of(set())).prop_map(
        |(erasure, hold, held)| {
            JournalEvent::ErasureCompleted(ErasureCompleted {
                erasure,
                held: held.into_iter().map(|set| (hold, set)).collect(),
            })
        },
    );
    prop_oneof![ordered, completed]
}

/// Shreds and holds.
fn erasure() -> impl Strategy<Value = JournalEvent> {
    let reason = || "[a-zé -]{1,80}";
    let intended = (key_domain(), reason(), ids())
        .prop_filter("a shred of no key", |(.., keys)| !keys.is_empty())
        .prop_map(|(domain, reason, keys)| {
            JournalEvent::ShredIntended(ShredIntended {
                domain,
                reason,
                keys,
            })
        });
    let recipients = collection::vec((any::<[u8; 8]>(), 0..4usize), 0..=16);
    let acknowledged = proptest::collection::vec(("[a-z]{1,64}", any::<bool>()), 0..16);
    let completed = (any::<(u64, u64, [u8; 32], u32)>(), recipients, acknowledged).prop_map(
        |((intent, generation, root, destroyed), recipients, acknowledged)| {
            let fates = [
                SecretFate::Kept,
                SecretFate::Unknown,
                SecretFate::Attested,
                SecretFate::Proved,
            ];
            let kept = recipients.iter().any(|(_, fate)| *fate == 0);
            JournalEvent::ShredCompleted(ShredCompleted {
                intent,
                generation,
                root,
                destroyed,
                grade: match kept {
                    true => ShredGrade::Removed,
                    false => ShredGrade::RecipientsReplaced,
                },
                recipients: recipients
                    .into_iter()
                    .map(|(id, fate)| (id, fates[fate]))
                    .collect(),
                acknowledged,
            })
        },
    );
    let noted = (
        any::<(u64, [u8; 32], u32)>(),
        collection::vec(any::<[u8; 8]>(), 0..=16),
        0..4usize,
    )
        .prop_map(|((generation, root, keys), recipients, fate)| {
            let fates = [
                None,
                Some(SecretFate::Unknown),
                Some(SecretFate::Attested),
                Some(SecretFate::Proved),
            ];
            JournalEvent::KeysetNoted(KeysetNoted {
                generation,
                root,
                keys,
                recipients,
                replacing: fates[fate],
            })
        });
    let placed = (reason(), ids())
        .prop_map(|(reason, domains)| JournalEvent::HoldPlaced(HoldPlaced { reason, domains }));
    let lifted = (any::<u64>(), reason())
        .prop_map(|(hold, reason)| JournalEvent::HoldLifted(HoldLifted { hold, reason }));
    prop_oneof![intended, completed, noted, placed, lifted]
}
