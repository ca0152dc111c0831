//! A keyset that somebody has changed who can make every checksum fit: each change has its name, or means the same
//! as before, and none ever reads as a shred.

use std::{path::Path, sync::Arc};

use factlog::{Journal, KeyDomain, NewEvent, Sealed, Shred};
use factlog_format::{CrcSeed, Frame, seal_frame};
use factlog_fs::{Access, FileKind, MemFs, StoreFs, read_file};
use factlog_keys::{Image, LOG_HEADER_LEN, LogRecord, Tombstone, next_record, seal_record};

use crate::{
    encrypted::{SECRET, create, event, open, options, read, shred, stream},
    keyset::put,
};

const HEAD: &str = "journal/keys/keyset";
const LOG: &str = "journal/keys/minted-00000001";
const SEGMENT: &str = "journal/segments/0000000000000000-00000001.seg";
/// A bucket's row in the head: where its image stands, its epoch, its key.
const ROW: usize = 4 + 8 + 8 + 60;

fn bytes(fs: &MemFs, path: &str) -> Vec<u8> {
    read_file(fs, Path::new(path), 1 << 30).unwrap()
}

/// A copy of all files, which the next change doesn't touch.
fn copied(fs: &MemFs) -> Arc<MemFs> {
    let copy = MemFs::new();
    copy_into(fs, &copy, Path::new(""));
    Arc::new(copy)
}

fn copy_into(fs: &MemFs, copy: &MemFs, dir: &Path) {
    for entry in fs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        match entry.kind {
            FileKind::Dir => {
                copy.create_dir(&path, Access::Private).unwrap();
                copy_into(fs, copy, &path);
            }
            _ => put(copy, &path, &read_file(fs, &path, 1 << 30).unwrap()),
        }
    }
}

/// With another head, whose checksum fits.
fn with_head(fs: &MemFs, change: impl FnOnce(&mut [u8])) -> Arc<MemFs> {
    let mut head = bytes(fs, HEAD);
    let end = head.len() - 4;
    change(&mut head[..end]);
    let crc = crc32fast::hash(&head[..end]).to_le_bytes();
    head[end..].copy_from_slice(&crc);
    let copy = copied(fs);
    put(&copy, Path::new(HEAD), &head);
    copy
}

/// With other records, each of which has a checksum that fits. Those that have become shorter are followed by
/// something that counts for nothing, so that all others stay where they were.
fn with_log(fs: &Arc<MemFs>, change: impl Fn(usize, LogRecord) -> LogRecord) -> Arc<MemFs> {
    let journal = open(fs).reader().id();
    let before = bytes(fs, LOG);
    let mut after = before[..LOG_HEADER_LEN].to_vec();
    let mut number = 0;
    while let Ok((record, durable, len)) = next_record(&journal, &before[after.len()..]) {
        let end = after.len() + len;
        seal_record(&journal, &change(number, record), durable, &mut after).unwrap();
        if after.len() < end {
            let mut wrapped = vec![0; end - after.len() - 66];
            wrapped.truncate(wrapped.len() / 8 * 8 + 6);
            let filler = factlog_keys::MintedKey {
                number: 0,
                tag: [1; 16],
                id: [1; 16],
                wrapped,
            };
            let keys = vec![filler];
            let filler = LogRecord::Image(Image {
                keys,
                ..Image::default()
            });
            seal_record(&journal, &filler, durable, &mut after).unwrap();
        }
        assert_eq!(after.len(), end);
        number += 1;
    }
    let copy = copied(fs);
    put(&copy, Path::new(LOG), &after);
    copy
}

fn name(number: usize) -> String {
    format!("account-{number:03}")
}

/// A journal with two full buckets, and a key destroyed in each.
fn two_buckets() -> Arc<MemFs> {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    let names: Vec<String> = (0..128).map(name).collect();
    let events: Vec<NewEvent<'_>> = names.iter().map(|name| event(name)).collect();
    journal.append_batch(&events).unwrap();
    let both = vec![stream(&name(5)), stream(&name(69))];
    journal.shred(&Shred::new(both, "request 9")).unwrap();
    journal.close().unwrap();
    fs
}

fn checked(fs: &Arc<MemFs>) -> &'static str {
    let reader = Journal::open_read_only("journal", options(fs)).unwrap();
    reader.check_keyset().unwrap_err().code()
}

/// What the payload of a stream reads as.
fn found(fs: &Arc<MemFs>, number: usize) -> &'static str {
    let reader = Journal::open_read_only("journal", options(fs)).unwrap();
    match read(&reader, &name(number)) {
        Ok(bytes) => {
            assert_eq!(bytes, SECRET);
            "read"
        }
        Err(why) => why.code(),
    }
}

#[test]
fn buckets_in_each_others_place_are_named_wherever_they_are_swapped() {
    let fs = two_buckets();
    assert_eq!((found(&fs, 1), found(&fs, 5)), ("read", "section.shredded"));
    let rows = bytes(&fs, HEAD).len() - 36 - 2 * ROW;
    let keys_of_rows = with_head(&fs, |head| {
        let (first, second) = head[rows..].split_at_mut(ROW);
        first[20..].swap_with_slice(&mut second[20..ROW]);
    });
    let mut images = Vec::new();
    let journal = open(&fs).reader().id();
    let log = bytes(&fs, LOG);
    let mut at = LOG_HEADER_LEN;
    while let Ok((record, _, len)) = next_record(&journal, &log[at..]) {
        if let LogRecord::Image(_) = record {
            images.push((at, len, record));
        }
        at += len;
    }
    let [(first, len, a), (second, other, b)] = images.try_into().unwrap();
    assert_eq!(len, other);
    let whole_images = copied(&fs);
    let mut swapped = log.clone();
    swapped[first..first + len].copy_from_slice(&log[second..second + len]);
    swapped[second..second + len].copy_from_slice(&log[first..first + len]);
    put(&whole_images, Path::new(LOG), &swapped);
    // Each key under the other bucket's numbers.
    let (LogRecord::Image(a), LogRecord::Image(b)) = (a, b) else {
        panic!("no images");
    };
    let their_keys = with_log(&fs, |_, record| {
        let LogRecord::Image(mut image) = record else {
            return record;
        };
        let others = if image.bucket == 0 { &b } else { &a };
        for (key, other) in image.keys.iter_mut().zip(&others.keys) {
            let number = key.number;
            *key = other.clone();
            key.number = number;
        }
        LogRecord::Image(image)
    });
    for forged in [&keys_of_rows, &whole_images, &their_keys] {
        assert_eq!(checked(forged), "keyset.buckets_swapped");
        assert_eq!(found(forged, 1), "keyset.buckets_swapped");
        assert_eq!(found(forged, 5), "section.shredded");
        let journal = Journal::open("journal", options(forged).signing_key_file("log.key"));
        let refused = journal.unwrap().append(event("account-001")).unwrap_err();
        assert_eq!(refused.code(), "keyset.buckets_swapped");
    }
    assert_eq!(found(&fs, 1), "read");
}

/// Without the image that the head speaks of, or a part of it, keys looked like keys that never were.
#[test]
fn an_image_that_is_gone_or_has_gaps_is_no_image() {
    let fs = two_buckets();
    let replaced = |by: &dyn Fn(Image) -> LogRecord| {
        let forged = with_log(&fs, |_, record| match record {
            LogRecord::Image(image) if image.bucket == 1 => by(image),
            record => record,
        });
        let found = [1, 70].map(|number| found(&forged, number));
        assert_eq!(found, [checked(&forged); 2]);
        found[0]
    };
    let gone = |_| LogRecord::Bucket {
        bucket: 0,
        root_number: 1,
        key: [0; 60],
    };
    assert_eq!(replaced(&gone), "keyset.damaged");
    let empty = |image: Image| {
        LogRecord::Image(Image {
            bucket: image.bucket,
            ..Image::default()
        })
    };
    assert_eq!(replaced(&empty), "keyset.invalid");
    let without_one = |mut image: Image| {
        image.keys.pop();
        LogRecord::Image(image)
    };
    assert_eq!(replaced(&without_one), "keyset.invalid");
    let twice = |mut image: Image| {
        image.keys[0] = image.keys[1].clone();
        LogRecord::Image(image)
    };
    assert_eq!(replaced(&twice), "keyset.invalid");
}

#[test]
fn a_tombstone_that_no_event_knows_of_is_forged_and_not_a_shred() {
    let fs = two_buckets();
    let forged = with_log(&fs, |_, record| {
        let LogRecord::Image(mut image) = record else {
            return record;
        };
        if image.bucket == 1 {
            let key = image.keys.pop().unwrap();
            let (number, id) = (key.number, key.id);
            let intent = image.tombstones[0].intent;
            image.tombstones.push(Tombstone { number, id, intent });
        }
        LogRecord::Image(image)
    });
    assert_eq!(found(&forged, 127), "keyset.forged_tombstone");
    assert_eq!(found(&forged, 69), "section.shredded");
    assert_eq!(found(&forged, 126), "read");
    assert_eq!(checked(&forged), "keyset.forged_tombstone");
    // Nor does an append take it for a shred, and make the next key.
    let refused = open(&forged).append(event("account-127")).unwrap_err();
    assert_eq!(refused.code(), "key.missing");
}

#[test]
fn a_ciphertext_offered_under_another_key_is_named() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    let keys = journal.reader().data_keys().unwrap();
    let id = |domain| keys.iter().find(|key| key.domain == domain).unwrap().id;
    let (a, b) = (id("bank/a"), id("bank/b"));
    let seed = CrcSeed::of(&journal.reader().id());
    journal.close().unwrap();
    let mut segment = bytes(&fs, SEGMENT);
    let found = segment.windows(16).position(|window| window == a).unwrap();
    segment[found..found + 16].copy_from_slice(&b);
    let mut starts = (0..found).step_by(8).rev();
    let start = starts.find(|at| {
        let mut frame = segment[*at..].to_vec();
        let there = Frame::peek_len(&frame).is_ok_and(|len| len > found - at && len < 4096);
        there && {
            seal_frame(seed, &mut frame);
            Frame::read(seed, &frame).is_ok()
        }
    });
    seal_frame(seed, &mut segment[start.unwrap()..]);
    put(&fs, Path::new(SEGMENT), &segment);
    let reader = Journal::open_read_only("journal", options(&fs)).unwrap();
    let why = read(&reader, "a").unwrap_err();
    assert!(matches!(why, Sealed::OtherKey), "{why:?}");
    assert_eq!(why.code(), "section.other_key");
    assert_eq!(read(&reader, "b").unwrap(), SECRET);
}

/// Recomputes the checksum that covers a byte of a file of the log.
fn fit(log: &mut [u8], at: usize, journal: &[u8; 16], lens: &[usize]) {
    if at < LOG_HEADER_LEN {
        let end = LOG_HEADER_LEN - 4;
        let crc = crc32fast::hash(&log[..end]).to_le_bytes();
        log[end..LOG_HEADER_LEN].copy_from_slice(&crc);
        return;
    }
    let mut start = LOG_HEADER_LEN;
    for len in lens {
        if at < start + len {
            let record = &mut log[start..start + len];
            let body = u32::from_le_bytes(record[4..8].try_into().unwrap()) as usize;
            let end = (20 + body).clamp(20, *len);
            let mut crc = crc32fast::Hasher::new();
            crc.update(journal);
            crc.update(&record[4..end]);
            record[..4].copy_from_slice(&crc.finalize().to_le_bytes());
            return;
        }
        start += len;
    }
}

#[test]
fn any_byte_of_a_keyset_that_is_changed_is_named_or_means_the_same() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    for name in ["a", "b", "c"] {
        journal.append(event(name)).unwrap();
    }
    shred(&journal, "b");
    journal.append(event("d")).unwrap();
    let id = journal.reader().id();
    journal.close().unwrap();
    let (head, log) = (bytes(&fs, HEAD), bytes(&fs, LOG));
    let mut lens = Vec::new();
    let mut rest = &log[LOG_HEADER_LEN..];
    while let Ok((_, _, len)) = next_record(&id, rest) {
        lens.push(len);
        rest = &rest[len..];
    }
    assert!(rest.is_empty() && lens.len() > 5);
    let codes = factlog::codes();
    let check = |what: &str, path: &str, changed: &[u8]| {
        put(&fs, Path::new(path), changed);
        let reader = Journal::open_read_only("journal", options(&fs)).unwrap();
        for name in ["a", "b", "c", "d"] {
            match read(&reader, name) {
                Ok(bytes) => assert!(name != "b" && bytes == SECRET, "{what}: {name}"),
                Err(why) if name == "b" => assert_eq!(why.code(), "section.shredded", "{what}"),
                Err(why) => {
                    let code = why.code();
                    assert!(
                        codes.iter().any(|known| known.code == code),
                        "{what}: {code}"
                    );
                    assert_ne!(code, "section.shredded", "{what}: {name}");
                }
            }
        }
        // Who looks for it finds it, but for what a forger can take off an end that nothing tells of yet.
        let _ = reader.check_keyset();
    };
    for at in 0..head.len() {
        let mut changed = head.clone();
        changed[at] ^= 0x41;
        check(&format!("head {at}"), HEAD, &changed);
        let end = head.len() - 4;
        let crc = crc32fast::hash(&changed[..end]).to_le_bytes();
        changed[end..].copy_from_slice(&crc);
        check(&format!("head {at}, fitting"), HEAD, &changed);
    }
    put(&fs, Path::new(HEAD), &head);
    for at in 0..log.len() {
        let mut changed = log.clone();
        changed[at] ^= 0x41;
        check(&format!("log {at}"), LOG, &changed);
        fit(&mut changed, at, &id, &lens);
        check(&format!("log {at}, fitting"), LOG, &changed);
    }
}
