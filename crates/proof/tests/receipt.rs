//! Receipts: what one proves, and that nothing of it can change.

use factlog_format::{
    Encoding, EventRecord, Facts, SectionRow, SectionSecret, Spine, facts_hash, section_hash,
};
use factlog_proof::{
    Checkpoint, Frontier, Hash, Policy, ReceiptError, SignedCheckpoint, SuppliedSection, TlogProof,
    UnsignedProof, UnverifiedReceipt, leaf_hash,
};
use proptest::prelude::*;

mod common;
use common::{JOURNAL, ORIGIN, key, leaves};

const SALT: [u8; 16] = [5; 16];
const PAYLOAD: &[u8] = b"{\"amount\":5}";
/// The event's sequence, and the number of events.
const SEQUENCE: u64 = 6;
const SIZE: u64 = 11;

fn event(journal: [u8; 16], sequence: u64) -> EventRecord {
    event_with(journal, sequence, row())
}

fn row() -> SectionRow<'static> {
    SectionRow {
        name: "payload",
        stored_len: PAYLOAD.len() as u32,
        encoding: Encoding::Json,
        hash: section_hash(&SectionSecret::Salt(SALT), PAYLOAD),
        sealed: None,
    }
}

fn event_with(journal: [u8; 16], sequence: u64, row: SectionRow<'_>) -> EventRecord {
    let facts = Facts {
        event_id: [1; 16],
        entity: "account-1",
        scope: "bank",
        kind: "account.deposited",
        payload_version: 1,
        tags: &["large", "new"],
        occurred_at: Some(1_700_000_000_000_000),
        actor: Some("teller"),
        correlation: None,
        causation: None,
        trace: None,
        sections: &[row],
    };
    let mut encoded = Vec::new();
    facts.encode(&mut encoded).unwrap();
    let spine = Spine {
        journal,
        sequence,
        revision: 2,
        stream: [3; 16],
        recorded_at: 1_700_000_000_000_001,
        previous: [4; 32],
        facts_hash: facts_hash(&SALT, &encoded),
    };
    EventRecord::with_facts(spine, SALT, encoded).unwrap()
}

/// A tree with the event in it: its path and the tree's root.
fn tree(event: &EventRecord, index: u64) -> (Vec<Hash>, Hash) {
    let mut leaves = leaves(SIZE);
    leaves[index as usize] = leaf_hash(&event.event_hash());
    let mut frontier = Frontier::new();
    frontier.append(&leaves[..4]);
    let span = frontier.extend(&leaves[4..]);
    (span.inclusion(index).unwrap(), span.root())
}

fn signed(origin: &str, root: Hash, seeds: &[u8]) -> SignedCheckpoint {
    let checkpoint = Checkpoint::new(origin, SIZE, root).unwrap();
    let signatures = seeds.iter().flat_map(|seed| {
        checkpoint
            .sign(&key(origin, *seed))
            .unwrap()
            .signatures()
            .to_vec()
    });
    SignedCheckpoint::new(checkpoint.clone(), signatures.collect()).unwrap()
}

fn receipt_of(event: &EventRecord, origin: &str, seeds: &[u8]) -> TlogProof {
    let (path, root) = tree(event, SEQUENCE);
    TlogProof::new(
        Some(event.encode()),
        SEQUENCE,
        path,
        signed(origin, root, seeds),
    )
    .unwrap()
}

fn receipt(seeds: &[u8]) -> TlogProof {
    receipt_of(&event(JOURNAL, SEQUENCE), ORIGIN, seeds)
}

fn policy(seeds: &[u8]) -> Policy {
    Policy::new(
        seeds
            .iter()
            .map(|seed| key(ORIGIN, *seed).verifier().clone()),
    )
    .unwrap()
}

/// Reads and verifies, with the code of what went wrong.
fn check(receipt: &[u8], policy: &Policy) -> Result<u64, &'static str> {
    UnverifiedReceipt::parse(receipt)
        .and_then(|receipt| receipt.verify(policy))
        .map(|verified| verified.sequence())
        .map_err(|error| error.code())
}

#[test]
fn a_receipt_proves_its_event() {
    let text = receipt(&[1]).to_string();
    let parsed = UnverifiedReceipt::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.to_string(), text);
    assert_eq!(parsed.claimed_checkpoint().origin(), ORIGIN);
    let verified = parsed.verify(&policy(&[1])).unwrap();
    let event = event(JOURNAL, SEQUENCE);
    assert_eq!(*verified.event(), event);
    assert_eq!(*verified.event_hash(), event.event_hash());
    assert_eq!(verified.sequence(), SEQUENCE);
    assert_eq!(verified.checkpoint().size(), SIZE);
    assert_eq!(verified.signers(), policy(&[1]).keys());
    assert_eq!(verified.event().facts().unwrap().entity, "account-1");
}

#[test]
fn a_receipt_without_facts_proves_its_spine() {
    let record = EventRecord::spine_only(event(JOURNAL, SEQUENCE).spine().clone());
    let text = receipt_of(&record, ORIGIN, &[1]).to_string();
    assert_eq!(check(text.as_bytes(), &policy(&[1])), Ok(SEQUENCE));
}

#[test]
fn no_bit_of_a_receipt_can_change() {
    let text = receipt(&[1]).to_string().into_bytes();
    let policy = policy(&[1]);
    assert_eq!(check(&text, &policy), Ok(SEQUENCE));
    for bit in 0..text.len() * 8 {
        let mut changed = text.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&changed, &policy).is_err(), "bit {bit}");
    }
}

#[test]
fn no_bit_of_a_receipt_with_several_signatures_can_change() {
    let text = receipt(&[1, 2]).to_string().into_bytes();
    let (lenient, strict) = (policy(&[1, 2]), policy(&[1, 2]).refuse_unknown_signatures());
    assert_eq!(check(&text, &strict), Ok(SEQUENCE));
    let signatures = text
        .windows(3)
        .position(|bytes| bytes == "—".as_bytes())
        .unwrap();
    for bit in 0..text.len() * 8 {
        let mut changed = text.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&changed, &strict).is_err(), "bit {bit}");
        // Where unknown signatures are ignored, one of the two can become unknown, but what the
        // receipt says can't change.
        if let Ok(sequence) = check(&changed, &lenient) {
            assert!(bit / 8 > signatures && sequence == SEQUENCE, "bit {bit}");
        }
    }
}

#[test]
fn no_part_of_a_receipt_is_a_receipt() {
    let text = receipt(&[1]).to_string().into_bytes();
    let policy = policy(&[1]);
    for end in 0..text.len() {
        assert!(check(&text[..end], &policy).is_err(), "{end} bytes");
        assert!(
            check(&text[end + 1..], &policy).is_err(),
            "from {}",
            end + 1
        );
        let without = [&text[..end], &text[end + 1..]].concat();
        assert!(check(&without, &policy).is_err(), "without byte {end}");
        let twice = [&text[..=end], &text[end..]].concat();
        assert!(check(&twice, &policy).is_err(), "byte {end} twice");
    }
}

#[test]
fn receipts_have_one_spelling() {
    let text = receipt(&[1]).to_string();
    let with = |from: &str, to: &str| text.replacen(from, to, 1);
    let hash = leaf_hash(b"").to_string();
    let hashes = format!("{hash}\n").repeat(65);
    let unsigned = with("c2sp.org/tlog-proof@v1", "factlog.dev/unsigned-proof@v1");
    let (head, rest) = text.split_once("extra ").unwrap();
    let no_extra = format!("{head}{}", rest.split_once('\n').unwrap().1);
    // name, text, code
    #[rustfmt::skip]
    let cases = [
        ("empty", String::new(), "receipt.malformed"),
        ("first line alone", "c2sp.org/tlog-proof@v1\n".into(), "receipt.malformed"),
        ("no first line", with("c2sp.org/tlog-proof@v1\n", ""), "receipt.malformed"),
        ("other version", with("proof@v1", "proof@v2"), "receipt.malformed"),
        ("unsigned", unsigned, "receipt.unsigned"),
        ("CR LF", text.replace('\n', "\r\n"), "receipt.malformed"),
        ("space before", format!(" {text}"), "receipt.malformed"),
        ("line before", format!("\n{text}"), "receipt.malformed"),
        ("no extra", no_extra, "receipt.no_event"),
        ("empty extra", with("extra ", "extra \n"), "receipt.malformed"),
        ("extra twice", with("extra ", "extra AAAA\nextra "), "receipt.malformed"),
        ("tab after extra", with("extra ", "extra\t"), "receipt.malformed"),
        ("two spaces after extra", with("extra ", "extra  "), "receipt.malformed"),
        ("extra in capitals", with("extra ", "Extra "), "receipt.malformed"),
        ("no index", with("index 6\n", ""), "receipt.malformed"),
        ("leading zero", with("index 6", "index 06"), "receipt.malformed"),
        ("sign", with("index 6", "index +6"), "receipt.malformed"),
        ("index twice", with("index 6\n", "index 6\nindex 6\n"), "receipt.malformed"),
        ("space after the index", with("index 6\n", "index 6 \n"), "receipt.malformed"),
        ("index too large", with("index 6", "index 18446744073709551616"), "receipt.malformed"),
        ("other index", with("index 6", "index 7"), "receipt.sequence_mismatch"),
        ("hash too much", with("index 6\n", &format!("index 6\n{hash}\n")), "proof.path_length"),
        ("65 hashes", with("index 6\n", &format!("index 6\n{hashes}")), "receipt.too_many_hashes"),
        ("short hash", with("index 6\n", "index 6\nAAAA\n"), "receipt.malformed"),
        ("blank line in the path", with("index 6\n", "index 6\n\n"), "checkpoint.malformed"),
        ("no signature", text.split('—').next().unwrap().into(), "note.malformed"),
        ("line after", format!("{text}more\n"), "note.signature_line"),
        ("too large", format!("{text}{}", "x".repeat(65_536)), "receipt.too_large"),
    ];
    for (name, text, code) in cases {
        assert_eq!(check(text.as_bytes(), &policy(&[1])), Err(code), "{name}");
    }
}

#[test]
fn a_receipt_is_bound_to_log_journal_sequence_and_tree() {
    let good = event(JOURNAL, SEQUENCE);
    let (path, root) = tree(&good, SEQUENCE);
    let encoded = good.encode();
    let proof = |extra: &[u8], index, path: &[Hash], checkpoint| {
        TlogProof::new(Some(extra.to_vec()), index, path.to_vec(), checkpoint).unwrap()
    };
    let checkpoint = || signed(ORIGIN, root, &[1]);
    let other_event = event(JOURNAL, SEQUENCE + 1);
    let mut other_facts = encoded.clone();
    *other_facts.last_mut().unwrap() ^= 1;
    let mut newer = encoded.clone();
    newer[1] = 9;
    let mut other_type = encoded.clone();
    other_type[0] = 3;
    let other_origin = "example.com/ledger";
    // name, receipt, code
    #[rustfmt::skip]
    let cases = [
        ("it holds", proof(&encoded, SEQUENCE, &path, checkpoint()), None),
        ("another's event", receipt_of(&event([9; 16], SEQUENCE), ORIGIN, &[1]), Some("receipt.journal_mismatch")),
        ("another's sequence", receipt_of(&other_event, ORIGIN, &[1]), Some("receipt.sequence_mismatch")),
        ("another event", proof(&other_event.encode(), SEQUENCE + 1, &path, checkpoint()), Some("proof.root_mismatch")),
        ("index past the size", proof(&event(JOURNAL, SIZE).encode(), SIZE, &path, checkpoint()), Some("proof.index_out_of_range")),
        ("neighbour's path", proof(&encoded, SEQUENCE, &tree(&good, 7).0, checkpoint()), Some("proof.root_mismatch")),
        ("short path", proof(&encoded, SEQUENCE, &path[1..], checkpoint()), Some("proof.path_length")),
        ("another root", proof(&encoded, SEQUENCE, &path, signed(ORIGIN, leaf_hash(b""), &[1])), Some("proof.root_mismatch")),
        ("another key", receipt(&[2]), Some("note.no_known_signature")),
        ("another origin", receipt_of(&good, other_origin, &[1]), Some("note.no_known_signature")),
        ("other facts", proof(&other_facts, SEQUENCE, &path, checkpoint()), Some("receipt.event")),
        ("newer format", proof(&newer, SEQUENCE, &path, checkpoint()), Some("receipt.unsupported_event")),
        ("other type of event", proof(&other_type, SEQUENCE, &path, checkpoint()), Some("receipt.unsupported_event")),
        ("bytes after the event", proof(&[&encoded[..], &[0]].concat(), SEQUENCE, &path, checkpoint()), Some("receipt.event")),
        ("cut event", proof(&encoded[..100], SEQUENCE, &path, checkpoint()), Some("receipt.event")),
    ];
    for (name, receipt, code) in cases {
        let text = receipt.to_string();
        assert_eq!(check(text.as_bytes(), &policy(&[1])).err(), code, "{name}");
        let made = UnverifiedReceipt::from(receipt).verify(&policy(&[1]));
        assert_eq!(made.map_err(|error| error.code()).err(), code, "{name}");
    }
    // A log whose origin does not end in the journal's id can't vouch for its events.
    let lax = Policy::from(key(other_origin, 1).verifier().clone());
    let text = receipt_of(&good, other_origin, &[1]).to_string();
    assert_eq!(
        check(text.as_bytes(), &lax),
        Err("receipt.journal_mismatch")
    );
}

#[test]
fn supplied_sections_are_checked() {
    let receipt = UnverifiedReceipt::from(receipt(&[1]));
    let policy = policy(&[1]);
    let salt = SectionSecret::Salt(SALT);
    let mismatch = Some("receipt.section_mismatch");
    // case, section, salt or nonce, bytes, code
    #[rustfmt::skip]
    let cases: [(_, _, _, &[u8], _); 6] = [
        ("it holds", "payload", salt, PAYLOAD, None),
        ("other bytes", "payload", salt, b"{\"amount\":6}", mismatch),
        ("other length", "payload", salt, b"{\"amount\":5}\0", mismatch),
        ("other salt", "payload", SectionSecret::Salt([6; 16]), PAYLOAD, mismatch),
        ("nonce", "payload", SectionSecret::Nonce([5; 24]), PAYLOAD, mismatch),
        ("other section", "attachment", salt, PAYLOAD, Some("receipt.section_unknown")),
    ];
    for (case, name, secret, stored, code) in cases {
        let section = SuppliedSection {
            name,
            secret,
            stored,
        };
        let result = receipt.verify_with_sections(&policy, &[section]);
        assert_eq!(result.map_err(|error| error.code()).err(), code, "{case}");
    }
    let record = EventRecord::spine_only(event(JOURNAL, SEQUENCE).spine().clone());
    let bare = UnverifiedReceipt::from(receipt_of(&record, ORIGIN, &[1]));
    let section = SuppliedSection {
        name: "payload",
        secret: salt,
        stored: PAYLOAD,
    };
    let result = bare.verify_with_sections(&policy, &[section]);
    assert_eq!(result, Err(ReceiptError::SectionUnknown));
}

#[test]
fn a_section_table_that_contradicts_its_hash_convinces_nobody() {
    let nonce = SectionSecret::Nonce([5; 24]);
    let too_long = SectionRow {
        stored_len: PAYLOAD.len() as u32 + 1,
        ..row()
    };
    let hash_of_sealed = SectionRow {
        hash: section_hash(&nonce, PAYLOAD),
        ..row()
    };
    for (row, secret) in [
        (too_long, SectionSecret::Salt(SALT)),
        (hash_of_sealed, nonce),
    ] {
        let event = event_with(JOURNAL, SEQUENCE, row);
        let receipt = UnverifiedReceipt::from(receipt_of(&event, ORIGIN, &[1]));
        let section = SuppliedSection {
            name: "payload",
            secret,
            stored: PAYLOAD,
        };
        let result = receipt.verify_with_sections(&policy(&[1]), &[section]);
        assert_eq!(result, Err(ReceiptError::SectionMismatch));
    }
}

#[test]
fn a_proof_of_any_leaf_verifies_without_an_event() {
    let event = event(JOURNAL, SEQUENCE);
    let (path, root) = tree(&event, SEQUENCE);
    let leaf = leaf_hash(&event.event_hash());
    let proof = TlogProof::new(None, SEQUENCE, path.clone(), signed(ORIGIN, root, &[1])).unwrap();
    let parsed = TlogProof::parse(proof.to_string().as_bytes()).unwrap();
    let (index, checkpoint) = parsed.verify_inclusion_of(&leaf, &policy(&[1])).unwrap();
    assert_eq!((index, checkpoint.root()), (SEQUENCE, root));
    let other = parsed.verify_inclusion_of(&leaf_hash(b""), &policy(&[1]));
    assert_eq!(
        other.map_err(|error| error.code()),
        Err("proof.root_mismatch")
    );

    let checkpoint = Checkpoint::new(ORIGIN, SIZE, root).unwrap();
    let unsigned = UnsignedProof::new(Some(event.encode()), SEQUENCE, path, checkpoint).unwrap();
    let text = unsigned.to_string();
    assert!(text.starts_with("factlog.dev/unsigned-proof@v1\nextra "));
    let parsed = UnsignedProof::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed, unsigned);
    assert_eq!(parsed.verify_inclusion_of(&leaf, &root), Ok(SEQUENCE));
    assert!(parsed.verify_inclusion_of(&leaf, &leaf_hash(b"")).is_err());
    assert_eq!(
        check(text.as_bytes(), &policy(&[1])),
        Err("receipt.unsigned")
    );
    assert!(UnsignedProof::parse(proof.to_string().as_bytes()).is_err());
}

#[test]
fn proofs_that_could_not_be_read_are_not_made() {
    let checkpoint = || signed(ORIGIN, leaf_hash(b""), &[1]);
    let hash = leaf_hash(b"");
    #[rustfmt::skip]
    let cases = [
        ("empty extra", TlogProof::new(Some(vec![]), 0, vec![], checkpoint()), Some("receipt.malformed")),
        ("65 hashes", TlogProof::new(None, 0, vec![hash; 65], checkpoint()), Some("receipt.too_many_hashes")),
        ("64 hashes", TlogProof::new(None, u64::MAX, vec![hash; 64], checkpoint()), None),
        ("too large", TlogProof::new(Some(vec![1; 50_000]), 0, vec![], checkpoint()), Some("receipt.too_large")),
    ];
    for (name, proof, code) in cases {
        assert_eq!(proof.map_err(|error| error.code()).err(), code, "{name}");
    }
    // The limit is the same whichever way a proof comes, to the byte.
    let fits = |length: usize| TlogProof::new(Some(vec![1; length]), 10, vec![hash], checkpoint());
    let longest = (48_000..50_000)
        .rev()
        .find_map(|length| fits(length).ok())
        .unwrap()
        .to_string();
    assert!(TlogProof::parse(longest.as_bytes()).is_ok());
    assert!(
        (65_533..=65_536).contains(&longest.len()),
        "{}",
        longest.len()
    );
}

proptest! {
    #[test]
    fn what_is_read_is_written_back(
        extra in prop::option::of(prop::collection::vec(any::<u8>(), 1..200)),
        index: u64,
        path in prop::collection::vec(any::<[u8; 32]>(), 0..=64),
    ) {
        let path = path.into_iter().map(Hash::from_bytes).collect();
        let proof = TlogProof::new(extra, index, path, signed(ORIGIN, leaf_hash(b""), &[1])).unwrap();
        let parsed = TlogProof::parse(proof.to_string().as_bytes()).unwrap();
        prop_assert_eq!(parsed.to_string(), proof.to_string());
        prop_assert_eq!(parsed, proof);
    }

    #[test]
    fn reading_anything_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text = receipt(&[1]).to_string().into_bytes();
        text.truncate(cut.index(text.len() * 4).min(text.len() - 1) + 1);
        for (place, byte) in edits {
            let place = place.index(text.len());
            text[place] = byte;
        }
        if let Ok(parsed) = UnverifiedReceipt::parse(&text) {
            prop_assert_eq!(parsed.to_string().into_bytes(), text);
            let _ = parsed.verify(&policy(&[1]));
        }
    }
}
