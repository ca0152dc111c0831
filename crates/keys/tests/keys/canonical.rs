//! What holds of any bytes that are taken for a part of a keyset, whoever wrote them: shared with the fuzz target.

use factlog_keys::{
    Head, Identity, KeysetError, LOG_HEADER_LEN, LogHeader, RecipientKey, Resync, Root, Unlock,
    next_record, seal_record,
};

pub(crate) const JOURNAL: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Everything that a keyset is read by.
pub(crate) fn keyset(bytes: &[u8]) {
    head(bytes);
    head(&with_checksum(bytes));
    log_header(bytes);
    log_header(&with_checksum(bytes.get(..LOG_HEADER_LEN).unwrap_or(bytes)));
    log(bytes);
    log(&record(bytes));
    if let Ok(text) = str::from_utf8(bytes) {
        key_text(text);
    }
}

/// The bytes with a checksum in the place of the last four, so that it doesn't turn everything away.
fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let covered = bytes.len().saturating_sub(4);
    let mut out = bytes.split_at(covered).0.to_vec();
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

/// The bytes as a record's: its type, what it calls durable, its body.
fn record(bytes: &[u8]) -> Vec<u8> {
    let Some((kind, body)) = bytes.split_first() else {
        return Vec::new();
    };
    let mut covered = (body.len() as u32).to_le_bytes().to_vec();
    covered.extend_from_slice(&48_u64.to_le_bytes());
    covered.extend_from_slice(&[*kind, 0, 0, 0]);
    covered.extend_from_slice(body);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&JOURNAL);
    hasher.update(&covered);
    let mut out = hasher.finalize().to_le_bytes().to_vec();
    out.extend_from_slice(&covered);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// A head that is read is written the same but for what only its root key makes, and opens to nobody.
fn head(bytes: &[u8]) {
    let Ok(head) = Head::decode(bytes, &JOURNAL) else {
        return;
    };
    head.check().expect("what is read is what may be written");
    let root = Root::new([0xee; 32]);
    let again = head.encode(&root).expect("what is read can be written");
    assert_eq!(again.len(), bytes.len());
    let covered = bytes.len() - 32 - 4;
    assert_eq!(again[..covered], bytes[..covered]);
    assert_eq!(head.authenticate(bytes, &root), Err(KeysetError::Forged));
    let stranger = Unlock::Identity(Identity::generate(&[0xcc; 32]));
    assert!(head.unlock(bytes, &stranger).is_err());
}

fn log_header(bytes: &[u8]) {
    if let Ok(header) = LogHeader::decode(bytes, &JOURNAL) {
        assert_eq!(header.encode(&JOURNAL)[..], bytes[..LOG_HEADER_LEN]);
    }
}

/// Each record that is read is written the same, and its keys stand where it says.
fn log(mut bytes: &[u8]) {
    let mut resync = Resync::default();
    resync.take(&JOURNAL, bytes, bytes.len());
    while let Ok((record, durable, len)) = next_record(&JOURNAL, bytes) {
        let mut again = Vec::new();
        seal_record(&JOURNAL, &record, durable, &mut again).expect("what is read can be written");
        assert_eq!(again, bytes[..len]);
        for (key, at) in record.key_places() {
            let there = factlog_keys::MintedKey::read(&again[at..]);
            assert_eq!(there.as_ref(), Some(key));
        }
        assert!(resync.durable() >= durable);
        bytes = &bytes[len..];
    }
}

/// A key has one spelling, but for the end of its line.
fn key_text(text: &str) {
    if let Ok(identity) = Identity::from_text(text) {
        assert_eq!(identity.to_text().trim_end(), text.trim_end());
        assert_eq!(RecipientKey::from_text(text), Ok(identity.public()));
    } else if let Ok(key) = RecipientKey::from_text(text) {
        assert_eq!(key.to_text(), text.trim_end());
    }
}
