//! What an open verifies before it writes.

use factlog::{ChainVerification, Error, Journal};

use crate::{
    lab::Lab,
    support::{DIR, event, texts},
};

const MARK: &str = "signer.key.verified";

fn open(lab: &Lab, chain: ChainVerification) -> Journal {
    let options = Lab::options(&lab.fs).chain_verification(chain);
    Journal::open(DIR, options.dangerous().without_housekeeper()).unwrap()
}

fn why(lab: &Lab, chain: ChainVerification) -> Option<&'static str> {
    open(lab, chain).read_only_reason().map(Error::code)
}

/// A lab of several segments with an event's payload changed: `true` for one before the last 10 events.
fn tampered(lab: &Lab, early: bool) -> Lab {
    let lab = lab.copy();
    let text = if early { "005005005" } else { "late late late" };
    for path in lab.files_below("j/segments") {
        let mut bytes = lab.read(&path);
        let at = bytes
            .windows(text.len())
            .position(|bytes| bytes == text.as_bytes());
        if let Some(at) = at {
            bytes[at] ^= 1;
            lab.write(&path, &bytes);
            return lab;
        }
    }
    panic!("the event isn't there");
}

#[test]
fn an_open_verifies_as_much_as_it_is_told_and_refuses_to_write_what_does_not_hold() {
    let lab = Lab::rolled();
    assert_eq!(why(&lab, ChainVerification::Full), None);
    let bad = tampered(&lab, true);
    let journal = open(&bad, ChainVerification::Full);
    let reason = journal.read_only_reason().map(Error::code);
    assert_eq!(reason, Some("segment.corrupt"));
    let refused = journal.append(event("account-1", "x")).unwrap_err();
    assert_eq!(refused.code(), "segment.corrupt");
    drop(journal);
    assert_eq!(
        why(&bad, ChainVerification::Tail),
        None,
        "it lies in a sealed segment"
    );
}

#[test]
fn an_open_since_the_last_verified_reads_what_is_new_and_believes_no_other_mark() {
    use ChainVerification::{Full, SinceLastVerified};
    let lab = Lab::rolled();
    // Without a mark it is all of it.
    assert_eq!(
        why(&tampered(&lab, true), SinceLastVerified),
        Some("segment.corrupt")
    );
    assert_eq!(why(&lab, SinceLastVerified), None);
    let older = lab.read(MARK);
    let journal = open(&lab, SinceLastVerified);
    journal
        .append(event("account-1", "late late late"))
        .unwrap();
    for number in 0..5 {
        journal
            .append(event("account-1", &format!("after {number}")))
            .unwrap();
    }
    journal.close().unwrap();
    assert_eq!(
        why(&tampered(&lab, true), SinceLastVerified),
        None,
        "verified before"
    );
    assert_eq!(why(&tampered(&lab, true), Full), Some("segment.corrupt"));
    assert!(
        why(&tampered(&lab, false), SinceLastVerified).is_some(),
        "new"
    );
    assert_eq!(why(&lab, SinceLastVerified), None);
    let newer = lab.read(MARK);
    assert_ne!(older, newer, "it has moved on");
    assert_eq!(why(&tampered(&lab, false), Full), Some("segment.corrupt"));
    // The mark of another size, of another key, and none.
    let text = String::from_utf8(newer.clone()).unwrap();
    let size = text.lines().nth(1).unwrap();
    let forged = [
        text.replace(size, "size 20"),
        text.replace("mac ", "mac 0"),
        String::from_utf8(Lab::rolled().read_marked()).unwrap(),
        format!("{text}\n"),
        String::new(),
    ];
    for mark in forged {
        let lab = tampered(&lab, true);
        lab.write(MARK, mark.as_bytes());
        assert_eq!(
            why(&lab, SinceLastVerified),
            Some("segment.corrupt"),
            "{mark}"
        );
    }
    // An older one of this key's own only makes it read more.
    let bad = tampered(&lab, false);
    bad.write(MARK, &older);
    assert!(why(&bad, SinceLastVerified).is_some());
    assert!(texts(&open(&lab, SinceLastVerified)).contains(&"after 4".to_owned()));
}

impl Lab {
    /// The mark that an open leaves.
    fn read_marked(&self) -> Vec<u8> {
        drop(open(self, ChainVerification::Full));
        self.read(MARK)
    }
}
