//! The corpus of the fuzz target runs as an ordinary test, and so does each of its files with any byte changed.

use std::fs;

use factlog_keys::{
    BucketKey, BucketRow, Head, Identity, Lock, LogHeader, Mark, NamesKey, Recipient, Root,
};

use crate::{JOURNAL, canonical, expect_file, log, root};

/// A head with every sort of recipient, and two buckets.
fn head() -> Vec<u8> {
    let root = Root::new([1; 32]);
    let passphrase = Lock::Passphrase {
        params: factlog_keys::KdfParams::RECOMMENDED,
        salt: [1; 16],
        private: [2; 60],
    };
    let machine = Lock::Machine {
        salt: [3; 16],
        check: [4; 16],
        private: [5; 60],
    };
    let recipients = [passphrase, machine, Lock::Elsewhere].into_iter().zip(1..);
    let recipients = recipients.map(|(lock, seed)| {
        let public = Identity::generate(&[seed; 32]).public();
        Recipient::new(public, lock, "recipient", seed == 3)
    });
    let names = NamesKey::new([2; 32]);
    let head = Head::new(JOURNAL, 1, &root, &names, &[3; 12], recipients.collect());
    let mut head = head.unwrap();
    head.seal(&root, || [5; 32]).unwrap();
    head.mark = Mark { file: 1, at: 4096 };
    for (bucket, at) in [(0, 64), (1, 0)] {
        let key = BucketKey::new([7; 32], 1);
        head.buckets.push(BucketRow {
            image: Mark {
                file: u32::from(at > 0),
                at,
            },
            epoch: 1,
            key: root
                .wrap_bucket(&JOURNAL, bucket, 1, &key, &[9; 12])
                .unwrap(),
        });
    }
    head.encode(&root).unwrap()
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let header = LogHeader {
        number: 3,
        previous: 1,
        previous_end: 4096,
        starts_over: true,
    };
    let mine = Identity::generate(&[1; 32]);
    vec![
        ("head", head()),
        ("log", log::log()),
        ("log-header", header.encode(&JOURNAL).to_vec()),
        ("key-file", mine.to_text().as_bytes().to_vec()),
        ("recipient", mine.public().to_text().into_bytes()),
    ]
}

#[test]
fn files_of_a_keyset_are_seeds_of_the_fuzz_target() {
    for (name, bytes) in seeds() {
        expect_file(&format!("fuzz/corpus/keyset/{name}"), &bytes);
    }
}

#[test]
fn whatever_is_read_of_a_keyset_is_written_the_same() {
    for entry in fs::read_dir(root().join("fuzz/corpus/keyset")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        canonical::keyset(&bytes);
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                canonical::keyset(&changed);
            }
        }
    }
}
