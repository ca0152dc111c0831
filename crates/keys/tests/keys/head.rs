use factlog_keys::{
    BucketKey, BucketRow, Head, Identity, KdfParams, KeysetError, Lock, MachineIdentity, Mark,
    NamesKey, Recipient, RecipientKey, Root, Unlock,
};
use zeroize::Zeroizing;

use crate::JOURNAL;

fn identity(seed: u8) -> Identity {
    Identity::generate(&[seed; 32])
}

fn recipient(seed: u8) -> Recipient {
    let label = format!("recipient {seed}");
    Recipient::new(identity(seed).public(), Lock::Elsewhere, &label, seed == 1)
}

fn locked(unlock: &Unlock) -> Recipient {
    let identity = identity(9);
    let lock = Lock::of(
        &JOURNAL,
        &identity,
        unlock,
        KdfParams::RECOMMENDED,
        &[4; 28],
    )
    .unwrap();
    Recipient::new(identity.public(), lock, "locked", false)
}

fn head(recipients: Vec<Recipient>) -> (Head, Root) {
    let root = Root::new([1; 32]);
    let mut head = Head::new(
        JOURNAL,
        1,
        &root,
        &NamesKey::new([2; 32]),
        &[3; 12],
        recipients,
    )
    .unwrap();
    head.seal(&root, || [5; 32]).unwrap();
    (head, root)
}

fn unlock(bytes: &[u8], unlock: &Unlock) -> Result<(), KeysetError> {
    let head = Head::decode(bytes, &JOURNAL)?;
    head.unlock(bytes, unlock).map(|_| ())
}

#[test]
fn each_recipient_opens_the_keyset_and_nobody_else_does() {
    let (head, root) = head(vec![recipient(1), recipient(2)]);
    let bytes = head.encode(&root).unwrap();
    for seed in [1, 2] {
        let read = Head::decode(&bytes, &JOURNAL).unwrap();
        assert_eq!(read, head);
        let unlock = Unlock::Identity(identity(seed));
        let (opened, names) = read.unlock(&bytes, &unlock).unwrap();
        assert_eq!(opened.commitment(), root.commitment());
        assert_eq!(names.tag(b"x"), NamesKey::new([2; 32]).tag(b"x"));
    }
    let stranger = Unlock::Identity(identity(3));
    assert_eq!(unlock(&bytes, &stranger), Err(KeysetError::NoRecipient));
}

#[test]
fn a_passphrase_opens_and_a_wrong_one_is_told_apart() {
    let right = Unlock::Passphrase(Zeroizing::new("correct horse".to_owned()));
    let wrong = Unlock::Passphrase(Zeroizing::new("correct house".to_owned()));
    let (head, root) = head(vec![locked(&right)]);
    let bytes = head.encode(&root).unwrap();
    assert_eq!(unlock(&bytes, &right), Ok(()));
    assert_eq!(unlock(&bytes, &wrong), Err(KeysetError::WrongPassphrase));
}

#[test]
fn a_machine_that_changed_is_told_apart_from_a_secret_that_is_another() {
    let machine = |secret: u8, id: &str| {
        Unlock::Machine(MachineIdentity {
            secret: Zeroizing::new([secret; 32]),
            system_id: id.as_bytes().to_vec(),
        })
    };
    let (head, root) = head(vec![locked(&machine(1, "a"))]);
    let bytes = head.encode(&root).unwrap();
    assert_eq!(unlock(&bytes, &machine(1, "a")), Ok(()));
    assert_eq!(
        unlock(&bytes, &machine(1, "b")),
        Err(KeysetError::MachineChanged)
    );
    assert_eq!(
        unlock(&bytes, &machine(2, "a")),
        Err(KeysetError::NoRecipient)
    );
}

#[test]
fn every_cut_and_every_flipped_bit_is_named_before_anything_is_opened() {
    let (head, root) = head(vec![recipient(1)]);
    let bytes = head.encode(&root).unwrap();
    for end in 0..bytes.len() {
        assert_eq!(
            Head::decode(&bytes[..end], &JOURNAL),
            Err(KeysetError::Truncated),
            "{end}"
        );
    }
    for at in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let found = Head::decode(&changed, &JOURNAL).unwrap_err();
        // A length that grew can't be told from a file that was cut.
        let expected = [KeysetError::Damaged, KeysetError::Truncated];
        assert!(expected.contains(&found), "bit {at}: {found:?}");
    }
}

/// As a forger would: with a checksum that fits.
fn resealed(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    bytes.truncate(bytes.len() - 4);
    change(&mut bytes);
    let crc = crc32fast::hash(&bytes).to_le_bytes();
    bytes.extend_from_slice(&crc);
    bytes
}

#[test]
fn what_was_changed_without_the_root_is_forged() {
    let (head, root) = head(vec![recipient(1)]);
    let bytes = head.encode(&root).unwrap();
    let mine = Unlock::Identity(identity(1));
    let generation = resealed(bytes.clone(), |bytes| bytes[64] += 1);
    assert_eq!(unlock(&generation, &mine), Err(KeysetError::Forged));
    let newer = resealed(bytes.clone(), |bytes| bytes[12] = 2);
    assert_eq!(unlock(&newer, &mine), Err(KeysetError::Unsupported));
    let foreign = resealed(bytes.clone(), |bytes| bytes[16] ^= 1);
    assert_eq!(unlock(&foreign, &mine), Err(KeysetError::OtherJournal));
    let domain = resealed(bytes, |bytes| bytes[13] = 7);
    assert!(matches!(
        unlock(&domain, &mine),
        Err(KeysetError::Invalid(_))
    ));
}

#[test]
fn what_is_refused_on_reading_is_refused_on_writing() {
    let (good, root) = head(vec![recipient(1), recipient(2)]);
    let refused = |change: fn(&mut Head)| {
        let mut head = good.clone();
        change(&mut head);
        head.encode(&root).unwrap_err()
    };
    let row = |epoch, at| BucketRow {
        image: Mark { file: 1, at },
        epoch,
        key: [0; 60],
    };
    assert!(matches!(
        refused(|head| head.recipients.clear()),
        KeysetError::Invalid(_)
    ));
    assert!(matches!(
        refused(|head| head.recipients[1] = head.recipients[0].clone()),
        KeysetError::Invalid(_)
    ));
    assert!(matches!(
        refused(|head| head.recipients[0].public = RecipientKey([0; 32])),
        KeysetError::Invalid(_)
    ));
    assert!(matches!(
        refused(|head| head.domain = 0),
        KeysetError::Invalid(_)
    ));
    assert!(matches!(
        refused(|head| head.root_number = 2),
        KeysetError::Invalid(_)
    ));
    let mut head = good.clone();
    head.mark = Mark { file: 1, at: 100 };
    head.buckets = vec![row(1, 64)];
    head.encode(&root).unwrap();
    head.buckets = vec![row(2, 64)];
    assert!(head.encode(&root).is_err(), "an epoch that is yet to come");
    head.buckets = vec![row(1, 100)];
    assert!(head.encode(&root).is_err(), "an image behind the mark");
}

#[test]
fn weak_and_endless_passphrase_parameters_are_refused_in_a_file() {
    let right = Unlock::Passphrase(Zeroizing::new("x".to_owned()));
    for (memory, why) in [
        (1, KeysetError::KdfWeak),
        (u32::MAX, KeysetError::KdfCostly),
    ] {
        let mut recipient = locked(&right);
        if let Lock::Passphrase { params, .. } = &mut recipient.lock {
            params.memory = memory;
        }
        let (head, root) = head(vec![recipient]);
        assert_eq!(head.encode(&root), Err(why));
        // As read from a disk: the same file with a checksum that fits.
        let (good, root) = self::head(vec![locked(&right)]);
        let bytes = resealed(good.encode(&root).unwrap(), |bytes| {
            let floor = [0, 0, 1, 0, 3, 0, 0, 0, 4, 0, 0, 0];
            let at = bytes
                .windows(12)
                .position(|window| window == floor)
                .unwrap();
            bytes[at..at + 4].copy_from_slice(&memory.to_le_bytes());
        });
        assert_eq!(unlock(&bytes, &right), Err(why));
    }
}

/// Each alone would be allowed, and sixteen of them would keep a machine busy for minutes.
#[test]
fn what_all_passphrases_of_a_keyset_cost_is_bounded() {
    let costly = |seed: u8| {
        let lock = Lock::Passphrase {
            params: KdfParams {
                memory: 1 << 20,
                passes: 16,
                lanes: 4,
            },
            salt: [1; 16],
            private: [2; 60],
        };
        Recipient::new(identity(seed).public(), lock, "costly", false)
    };
    let (one, root) = head(vec![costly(1), recipient(3)]);
    one.encode(&root).unwrap();
    let (two, root) = head(vec![costly(1), costly(2)]);
    assert_eq!(two.encode(&root), Err(KeysetError::KdfCostly));
}

#[test]
fn a_head_of_somebody_without_the_root_is_not_authentic() {
    let (head, root) = head(vec![recipient(1)]);
    let bytes = head.encode(&root).unwrap();
    assert_eq!(head.authenticate(&bytes, &root), Ok(()));
    let changed = resealed(bytes, |bytes| bytes[64] += 1);
    let read = Head::decode(&changed, &JOURNAL).unwrap();
    assert_eq!(read.authenticate(&changed, &root), Err(KeysetError::Forged));
}

#[test]
fn buckets_that_stand_in_each_others_place_are_named() {
    let (mut head, root) = head(vec![recipient(1)]);
    for bucket in 0..3 {
        let key = BucketKey::new([bucket as u8; 32], 1);
        let wrapped = root.wrap_bucket(&JOURNAL, bucket, 1, &key, &[9; 12]);
        head.buckets.push(BucketRow {
            image: Mark::default(),
            epoch: 1,
            key: wrapped.unwrap(),
        });
    }
    let bytes = head.encode(&root).unwrap();
    let mine = Unlock::Identity(identity(1));
    assert_eq!(unlock(&bytes, &mine), Ok(()));
    let row = |bytes: &[u8], bucket: usize| {
        let key = head.buckets[bucket].key;
        let at = bytes.windows(key.len()).position(|window| window == key);
        at.unwrap()
    };
    let (first, last) = (row(&bytes, 0), row(&bytes, 2));
    let swapped = resealed(bytes.clone(), |bytes| {
        for byte in 0..60 {
            bytes.swap(first + byte, last + byte);
        }
    });
    assert_eq!(unlock(&swapped, &mine), Err(KeysetError::BucketsSwapped));
    let copied = resealed(bytes.clone(), |bytes| {
        bytes.copy_within(first..first + 60, last);
    });
    assert_eq!(unlock(&copied, &mine), Err(KeysetError::Forged));
    let changed = resealed(bytes, |bytes| bytes[first + 20] ^= 1);
    assert_eq!(unlock(&changed, &mine), Err(KeysetError::Forged));
}

#[test]
fn bucket_keys_fit_one_bucket_one_root_and_one_epoch() {
    let root = Root::new([1; 32]);
    let key = BucketKey::new([6; 32], 3);
    let wrapped = root.wrap_bucket(&JOURNAL, 5, 4, &key, &[1; 12]).unwrap();
    let unwrap = |root: &Root, bucket, number, epoch| {
        root.unwrap_bucket(&JOURNAL, bucket, number, epoch, &wrapped)
            .is_some()
    };
    assert!(unwrap(&root, 5, 4, 3));
    assert!(!unwrap(&root, 6, 4, 3) && !unwrap(&root, 5, 5, 3) && !unwrap(&root, 5, 4, 2));
    assert!(!unwrap(&Root::new([2; 32]), 5, 4, 3));
}

#[test]
fn keys_have_one_spelling_and_show_no_secret() {
    let mine = identity(1);
    let text = mine.to_text();
    assert_eq!(Identity::from_text(&text).unwrap().public(), mine.public());
    let public = mine.public().to_text();
    assert_eq!(RecipientKey::from_text(&public).unwrap(), mine.public());
    assert_eq!(RecipientKey::from_text(&text).unwrap(), mine.public());
    for bad in [
        "",
        "factlog-private-key-1 ",
        &text.to_uppercase(),
        &text[..40],
        &format!("{public}\n\n"),
    ] {
        assert_eq!(
            RecipientKey::from_text(bad),
            Err(KeysetError::BadKeyText),
            "{bad}"
        );
    }
    let hex = text.split(' ').nth(1).unwrap().trim();
    assert!(!format!("{mine:?} {:?}", Unlock::Identity(mine.clone())).contains(hex));
}
