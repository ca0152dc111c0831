//! What goes in comes out: for arbitrary legal values, and no panic for arbitrary bytes.

use factlog_format::*;
use proptest::prelude::*;

use crate::{
    arbitrary,
    canonical::{self, JOURNAL, body_of, group_key, owned_facts},
    examples::frame_of,
};

proptest! {
    #[test]
    fn facts_come_back(event in arbitrary::event()) {
        event.with_parts(|parts| {
            let mut bytes = vec![1, 2, 3];
            parts.facts.encode(&mut bytes).expect("legal facts");
            let facts = FactsRef::decode(&bytes[3..]).expect("what was encoded");
            let tags: Vec<&str> = facts.tags.iter().collect();
            let rows: Vec<SectionRow<'_>> = facts.sections.iter().collect();
            let read = owned_facts(&facts, &tags, &rows);
            assert_eq!(format!("{read:?}"), format!("{:?}", parts.facts));
            assert!(canonical::facts(&bytes[3..]));
        });
    }

    #[test]
    fn events_come_back_and_their_stubs_keep_the_hash(event in arbitrary::event()) {
        event.with_parts(|parts| {
            let (frame, facts) = frame_of(parts, &event.order);
            let frame = Frame::read(CrcSeed::of(&JOURNAL), &frame).expect("a whole frame");
            let read = EventFrame::decode(frame.kind, frame.body).expect("an event");
            assert_eq!(read.order, event.order);
            assert_eq!((read.facts_salt, read.facts_bytes), (event.salt, facts.as_slice()));
            assert_eq!(read.check_sections(), Ok(()));
            let contents: Vec<_> = read.sections().map(|(_, content)| content).collect();
            let expected: Vec<_> =
                parts.sections.iter().map(|part| Some((part.secret, part.stored))).collect();
            assert_eq!(contents, expected);
            assert!(canonical::event_body(frame.body));
        });
    }

    #[test]
    fn records_of_events_come_back(event in arbitrary::event()) {
        let (_, facts) = event.with_parts(|parts| frame_of(parts, &event.order));
        let spine = event.order.spine(&JOURNAL, facts_hash(&event.salt, &facts));
        prop_assert_eq!(Spine::decode(&spine.encode()), Ok(spine.clone()));
        let bare = EventRecord::spine_only(spine.clone());
        let full = EventRecord::with_facts(spine, event.salt, facts).expect("its own facts");
        for record in [bare, full] {
            prop_assert_eq!(EventRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn facts_of_another_event_are_refused(
        mut event in arbitrary::event(),
        salt in any::<[u8; 16]>(),
    ) {
        prop_assume!(salt != event.salt);
        let (_, facts) = event.with_parts(|parts| frame_of(parts, &event.order));
        let spine = event.order.spine(&JOURNAL, facts_hash(&event.salt, &facts));
        event.salt = salt;
        let refused = EventRecord::with_facts(spine, event.salt, facts);
        prop_assert_eq!(refused, Err(FormatError::Checksum("facts")));
    }

    #[test]
    fn commit_headers_come_back(header in arbitrary::commit_header()) {
        let mut bytes = Vec::new();
        header.write(CrcSeed::of(&JOURNAL), &group_key(), &mut bytes).expect("a legal header");
        prop_assert_eq!(CommitHeader::decode(&group_key(), body_of(&bytes)), Ok(header));
        prop_assert!(canonical::commit_header(body_of(&bytes)));
    }

    #[test]
    fn segment_headers_come_back(header in arbitrary::segment_header()) {
        let mut bytes = header.encode();
        prop_assert_eq!(SegmentHeader::peek_len(&bytes), Ok(bytes.len()));
        prop_assert_eq!(header.encoded_len(), bytes.len());
        bytes.extend_from_slice(b"a frame follows");
        prop_assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        prop_assert!(canonical::segment_header(&bytes));
    }

    #[test]
    fn manifests_come_back(manifest in arbitrary::manifest()) {
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn identities_come_back(identity in arbitrary::identity()) {
        prop_assert_eq!(Identity::decode(identity.encode().as_bytes()), Ok(identity));
    }

    #[test]
    fn journal_events_come_back(event in arbitrary::journal_event()) {
        prop_assert_eq!(JournalEvent::decode(event.kind(), &event.encode()), Ok(event));
    }

    #[test]
    fn places_come_back_or_are_refused(
        order in arbitrary::order(),
        revision in any::<u64>(),
        before in any::<Option<u64>>(),
    ) {
        prop_assert_eq!(order.check(), Ok(()));
        let order = Ordering { revision, previous_sequence: before, ..order };
        let stub = FullStub { order, facts_hash: [1; 32] };
        let mut bytes = Vec::new();
        match encode_full_stub(&stub, &mut bytes) {
            Ok(_) => prop_assert_eq!(FullStub::decode(body_of(&bytes)), Ok(stub)),
            Err(_) => prop_assert!(order.check().is_err() && bytes.is_empty()),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        for (_, decodes) in canonical::ALL {
            decodes(&data);
        }
    }
}
