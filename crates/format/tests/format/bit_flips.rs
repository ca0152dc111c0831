//! One value has one encoding: whatever a changed byte decodes to, it is another value, which encodes
//! to exactly the changed bytes. The properties in `canonical` assert that; here are the changes.

use factlog_format::*;
use proptest::prelude::*;

use crate::{
    arbitrary,
    canonical::{self, ALL, JOURNAL, Property, body_of, group_key},
    examples::frame_of,
    golden,
};

fn flip_each_bit(bytes: &[u8], property: Property) {
    let mut changed = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        changed[bit / 8] ^= 1 << (bit % 8);
        property(&changed);
        changed[bit / 8] ^= 1 << (bit % 8);
    }
}

fn cut_everywhere(bytes: &[u8], property: Property) {
    for len in 0..bytes.len() {
        property(&bytes[..len]);
    }
}

#[test]
fn every_bit_of_every_golden_file_is_canonical() {
    for (_, bytes, target) in golden::all() {
        for (name, property) in ALL {
            if target == Some(name) {
                flip_each_bit(&bytes, property);
                cut_everywhere(&bytes, property);
            }
            if target == Some("frame") && matches!(name, "event_body" | "commit_header") {
                flip_each_bit(body_of(&bytes), property);
                cut_everywhere(body_of(&bytes), property);
            }
        }
    }
}

/// Files and frames carry a checksum of their own: no single changed bit passes for anything.
#[test]
fn no_changed_bit_passes_where_there_is_a_checksum() {
    let seed = CrcSeed::of(&JOURNAL);
    for (name, bytes, target) in golden::all() {
        let read = |bytes: &[u8]| match target {
            Some("frame") => Frame::read(seed, bytes).is_ok(),
            Some("segment_header") => SegmentHeader::decode(bytes).is_ok(),
            Some("manifest") => Manifest::decode(bytes).is_ok(),
            Some("identity") => Identity::decode(bytes).is_ok(),
            _ => false,
        };
        let mut changed = bytes.clone();
        for bit in 0..bytes.len() * 8 {
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!read(&changed), "bit {bit} of {name}");
            changed[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// Rot must not be shown as "needs a newer version", which is no finding.
#[test]
fn a_flipped_version_is_damage_and_not_a_newer_format() {
    for (name, bytes, target) in golden::all() {
        let mut changed = bytes.clone();
        let found = match target {
            Some("segment_header") => {
                changed[8] ^= 1;
                SegmentHeader::decode(&changed).map(|_| ())
            }
            Some("manifest") => {
                changed[8] ^= 1;
                Manifest::decode(&changed).map(|_| ())
            }
            Some("identity") => {
                changed["factlog journal\nformat ".len()] = b'9';
                Identity::decode(&changed).map(|_| ())
            }
            _ => continue,
        };
        assert_eq!(
            found.map_err(|error| error.code()),
            Err("format.checksum"),
            "{name}"
        );
    }
}

/// The key makes the header check, so that another segment's header never passes.
#[test]
fn a_commit_header_of_another_segment_is_refused() {
    let bytes = crate::examples::commit_frame();
    assert!(CommitHeader::decode(&group_key(), body_of(&bytes)).is_ok());
    for key in [
        GroupKey::derive(&[0; 16], &JOURNAL, 6, 3),
        GroupKey::derive(&canonical::SEGMENT_SALT, &[0; 16], 6, 3),
        GroupKey::derive(&canonical::SEGMENT_SALT, &JOURNAL, 7, 3),
        GroupKey::derive(&canonical::SEGMENT_SALT, &JOURNAL, 6, 4),
    ] {
        let refused = CommitHeader::decode(&key, body_of(&bytes));
        assert_eq!(refused, Err(FormatError::Checksum("commit header")));
    }
}

proptest! {
    #[test]
    fn a_changed_bit_of_an_event_is_canonical(event in arbitrary::event(), at in any::<prop::sample::Index>()) {
        let (frame, facts) = event.with_parts(|parts| frame_of(parts, &event.order));
        flip_at(body_of(&frame), at, canonical::event_body);
        flip_at(&facts, at, canonical::facts);
        flip_at(&frame, at, canonical::frame);
    }

    #[test]
    fn a_changed_bit_of_a_header_or_file_is_canonical(
        commit in arbitrary::commit_header(),
        segment in arbitrary::segment_header(),
        manifest in arbitrary::manifest(),
        identity in arbitrary::identity(),
        event in arbitrary::journal_event(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut frame = Vec::new();
        commit.write(CrcSeed::of(&JOURNAL), &group_key(), &mut frame).expect("a legal header");
        flip_at(body_of(&frame), at, canonical::commit_header);
        flip_at(&segment.encode(), at, canonical::segment_header);
        flip_at(&manifest.encode(), at, canonical::manifest);
        flip_at(identity.encode().as_bytes(), at, canonical::identity);
        flip_at(&event.encode(), at, canonical::journal_event);
    }
}

fn flip_at(bytes: &[u8], at: prop::sample::Index, property: Property) {
    let bit = at.index(bytes.len() * 8);
    let mut changed = bytes.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    property(&changed);
}
