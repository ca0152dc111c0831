use factlog_keys::{
    BucketKey, DataKey, Image, KeysetError, LogHeader, LogRecord, LogStop, MintedKey, Resync,
    Tombstone, next_record, seal_record,
};
use proptest::prelude::*;

use crate::JOURNAL;

fn minted(number: u32) -> MintedKey {
    let key = DataKey::new([number as u8 + 1; 32]);
    let bucket = BucketKey::new([6; 32], 1);
    let tag = [number as u8 + 1; 16];
    MintedKey {
        number,
        tag,
        id: key.id(),
        wrapped: bucket
            .wrap(&JOURNAL, &tag, number / 64, &[2; 12], &key, b"bank/a")
            .unwrap(),
    }
}

fn records() -> Vec<LogRecord> {
    vec![
        LogRecord::Bucket {
            bucket: 0,
            root_number: 1,
            key: [8; 60],
        },
        LogRecord::Key(minted(0)),
        LogRecord::Key(minted(1)),
        LogRecord::Image(Image {
            bucket: 0,
            keys: vec![minted(1)],
            tombstones: vec![Tombstone {
                number: 0,
                id: minted(0).id,
                intent: 9,
            }],
        }),
    ]
}

pub(crate) fn log() -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records() {
        let durable = bytes.len() as u64;
        seal_record(&JOURNAL, &record, durable, &mut bytes).unwrap();
    }
    bytes
}

fn resync(bytes: &[u8]) -> u64 {
    let mut resync = Resync::default();
    resync.take(&JOURNAL, bytes, bytes.len());
    resync.durable()
}

fn read(mut bytes: &[u8]) -> (Vec<LogRecord>, LogStop) {
    let mut found = Vec::new();
    loop {
        match next_record(&JOURNAL, bytes) {
            Ok((record, _, len)) => {
                found.push(record);
                bytes = &bytes[len..];
            }
            Err(stop) => return (found, stop),
        }
    }
}

#[test]
fn records_come_out_as_they_went_in() {
    assert_eq!(read(&log()), (records(), LogStop::End));
    assert_eq!(
        next_record(&[9; 16], &log()),
        Err(LogStop::Broken),
        "of another journal"
    );
}

#[test]
fn every_cut_and_flip_ends_the_log_where_it_stands() {
    let bytes = log();
    for end in 0..bytes.len() {
        let (found, _) = read(&bytes[..end]);
        assert!(records().starts_with(&found) && found.len() < records().len());
    }
    for at in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let (found, stop) = read(&changed);
        assert!(
            records().starts_with(&found) && found.len() < records().len(),
            "bit {at}"
        );
        assert_eq!(stop, LogStop::Broken, "bit {at}");
    }
}

#[test]
fn what_later_records_call_durable_is_found_behind_a_hole() {
    let mut bytes = log();
    assert_eq!(resync(&[]), 0);
    bytes[4] ^= 1;
    assert!(read(&bytes).0.is_empty());
    assert!(resync(&bytes) > 0);
}

/// A file made of headers, each of which claims the largest body there can be, used to be checksummed once
/// for every eight bytes of it.
#[test]
fn what_nobody_wrote_is_not_looked_through_for_ever() {
    let mut bytes = Vec::new();
    while bytes.len() < 1 << 20 {
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(1u32 << 17).to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[2, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 4]);
    }
    assert_eq!(resync(&bytes), u64::MAX, "it is damage");
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let long = MintedKey {
        wrapped: vec![1; 1 << 16],
        ..minted(0)
    };
    let image = Image {
        bucket: 0,
        keys: vec![
            MintedKey {
                wrapped: vec![1; 60_000],
                ..minted(0)
            };
            3
        ],
        tombstones: Vec::new(),
    };
    for record in [LogRecord::Key(long), LogRecord::Image(image)] {
        let mut bytes = b"in front".to_vec();
        let refused = seal_record(&JOURNAL, &record, 0, &mut bytes);
        assert!(matches!(refused, Err(KeysetError::Invalid(_))));
        assert_eq!(bytes, b"in front");
    }
}

#[test]
fn a_wrapped_key_opens_in_its_own_place_only() {
    let bucket = BucketKey::new([6; 32], 1);
    let key = minted(3);
    let open = |bucket: &BucketKey, tag, id, number: u32| {
        let opened = bucket.unwrap(&JOURNAL, &tag, &id, number, &key.wrapped);
        opened.map(|(key, name)| (key.id(), name.to_vec()))
    };
    assert_eq!(
        open(&bucket, key.tag, key.id, 0),
        Some((key.id, b"bank/a".to_vec()))
    );
    assert_eq!(open(&bucket, [9; 16], key.id, 0), None);
    assert_eq!(open(&bucket, key.tag, [9; 16], 0), None);
    assert_eq!(open(&bucket, key.tag, key.id, 1), None);
    assert_eq!(open(&BucketKey::new([6; 32], 2), key.tag, key.id, 0), None);
}

#[test]
fn a_key_is_found_where_its_record_says() {
    for record in records() {
        let mut bytes = b"in front".to_vec();
        seal_record(&JOURNAL, &record, 0, &mut bytes).unwrap();
        for (key, at) in record.key_places() {
            assert_eq!(MintedKey::read(&bytes[8 + at..]).as_ref(), Some(key));
        }
    }
}

#[test]
fn headers_are_of_one_journal_and_version() {
    let header = LogHeader {
        number: 3,
        previous: 1,
        previous_end: 4096,
        starts_over: false,
    };
    let bytes = header.encode(&JOURNAL);
    assert_eq!(LogHeader::decode(&bytes, &JOURNAL), Ok(header));
    assert_eq!(LogHeader::decode(&bytes, &[1; 16]), Err(LogStop::Broken));
    assert_eq!(LogHeader::decode(&bytes[..47], &JOURNAL), Err(LogStop::End));
    for at in 0..bytes.len() * 8 {
        let mut changed = bytes;
        changed[at / 8] ^= 1 << (at % 8);
        assert_eq!(LogHeader::decode(&changed, &JOURNAL), Err(LogStop::Broken));
    }
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_value(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
        let _ = resync(&bytes);
        let _ = LogHeader::decode(&bytes, &JOURNAL);
        let _ = factlog_keys::Head::decode(&bytes, &JOURNAL);
    }
}
