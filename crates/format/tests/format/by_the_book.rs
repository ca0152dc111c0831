//! Every formula of the format page once more, from a plain BLAKE3 and a plain CRC-32.

use factlog_format::*;

use crate::{
    canonical::{JOURNAL, SEGMENT_SALT, group_key},
    examples::*,
};

fn padded(secret: &[u8], stored: &[u8]) -> Vec<u8> {
    let mut message = (stored.len() as u64).to_le_bytes().to_vec();
    message.extend_from_slice(secret);
    message.extend_from_slice(stored);
    message.resize(message.len().next_multiple_of(64), 0);
    message
}

/// A CRC-32 bit by bit: reflected, polynomial 0xEDB88320, all ones before and after.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn hashes_are_derive_key_over_the_stated_bytes() {
    let (_, facts) = frame_of(&EVENT, &ORDER);
    let section = blake3::derive_key("factlog 1 section", &padded(&[0x33; 16], BODY));
    let sealed = blake3::derive_key("factlog 1 sealed section", &padded(&[0x44; 24], &CUSTOMER));
    let facts_hash = blake3::derive_key("factlog 1 facts", &padded(&FACTS_SALT, &facts));
    assert_eq!(section_hash(&BODY_SALT, BODY), section);
    assert_eq!(section_hash(&CUSTOMER_NONCE, &CUSTOMER), sealed);
    assert_eq!(spine().facts_hash, facts_hash);
    let event = blake3::derive_key("factlog 1 event", &spine().encode());
    assert_eq!(event_hash(&spine()), event);
}

#[test]
fn a_frames_crc_is_that_of_the_journal_id_and_the_frame_in_one() {
    for frame in [
        frame_of(&EVENT, &ORDER).0,
        full_stub(),
        payload_stub(),
        commit_frame(),
    ] {
        let body_len = u32::from_le_bytes(frame[..4].try_into().expect("4 bytes")) as usize;
        let mut covered = JOURNAL.to_vec();
        covered.extend_from_slice(&frame[..4]);
        covered.extend_from_slice(&frame[8..12 + body_len]);
        assert_eq!(frame[4..8], crc32(&covered).to_le_bytes());
    }
}

#[test]
fn the_checks_of_a_commit_are_keyed_hashes_cut_to_16_bytes() {
    let mut message = SEGMENT_SALT.to_vec();
    message.extend_from_slice(&JOURNAL);
    message.extend_from_slice(&6u64.to_le_bytes());
    message.extend_from_slice(&3u32.to_le_bytes());
    let key = blake3::derive_key("factlog 1 group key", &message);
    let crcs = [0x0102_0304u32, 0xffff_ffff];
    let frames = blake3::keyed_hash(&key, b"F\x04\x03\x02\x01\xff\xff\xff\xff");
    assert_eq!(group_key().frames_check(crcs), frames.as_bytes()[..16]);
    let frame = commit_frame();
    let body = crate::canonical::body_of(&frame);
    let (fields, check) = body.split_at(body.len() - 16);
    let header = blake3::keyed_hash(&key, &[b"H", fields].concat());
    assert_eq!(check, &header.as_bytes()[..16]);
}

#[test]
fn the_headers_hash_is_over_the_header_and_each_commit_frame() {
    let message = [segment_header().encode(), commit_frame()].concat();
    let hash = blake3::derive_key("factlog 1 segment headers", &message);
    assert_eq!(headers_hash(), hash);
}

#[test]
fn files_end_in_the_crc_of_what_stands_before() {
    let segment = segment_header().encode();
    let at = segment.len() - 8;
    assert_eq!(segment[at..at + 4], crc32(&segment[..at]).to_le_bytes());
    assert_eq!(segment[at + 4..], [0; 4]);
    let manifest = manifest().encode();
    let at = manifest.len() - 4;
    assert_eq!(manifest[at..], crc32(&manifest[..at]).to_le_bytes());
    let text = identity().encode();
    let (content, line) = text.split_at(text.len() - 15);
    assert_eq!(line, format!("crc32 {:08x}\n", crc32(content.as_bytes())));
}

#[test]
fn a_coordinate_key_is_16_bytes_of_a_hash() {
    let mut message = [0; 64];
    message[0] = 12;
    message[8..24].copy_from_slice(b"bankaccount-0042");
    let hash = blake3::derive_key("factlog 1 coordinate", &message);
    assert_eq!(coordinate_key("bank", "account-0042"), hash[..16]);
}

#[test]
fn a_journal_key_is_a_hash_over_the_secret_and_the_purpose() {
    let message = [&[9u8; 32][..], b"import id"].concat();
    let key = blake3::derive_key("factlog 1 journal key", &message);
    assert_eq!(journal_key(&[9; 32], "import id"), key);
}

#[test]
fn a_tag_of_a_held_domain_is_a_keyed_hash_of_its_name() {
    let hash = blake3::keyed_hash(&[9; 32], b"a name");
    assert_eq!(plain_domain_tag(&[9; 32], b"a name"), hash.as_bytes()[..16]);
}

#[test]
fn the_hash_of_a_next_key_is_over_its_type_and_bytes() {
    let typed = [&[1][..], &[7; 32]].concat();
    let expected = blake3::derive_key("factlog 1 next key", &typed);
    assert_eq!(next_key_hash(&[7; 32]), expected);
}
