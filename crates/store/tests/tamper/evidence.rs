//! What is sound holds, and each verdict says what evidence it rests on.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use factlog::{
    Authenticity, Completeness, Evidence, Journal, NewEvent, Options, Outcome, SigningKey,
    VerifyOptions, verify,
};
use factlog_fs::MemFs;

use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::{DIR, event},
};

#[test]
fn a_sound_journal_holds_with_key_and_checkpoint() {
    for lab in [Lab::small(), Lab::rolled()] {
        let report = lab.verify(&lab.evidence());
        assert_holds(&report);
        assert_eq!(report.authenticity, Authenticity::Signed);
        assert_eq!(report.completeness, Completeness::Anchored);
        assert_eq!(report.events, lab.events);
        assert_eq!(report.streams, 4);
        assert_eq!(report.signed_through, Some(lab.events - 1));
        assert_eq!(report.anchored_through, Some(lab.events - 1));
        assert_eq!(report.root, lab.checkpoint.claimed().root());
        assert!(report.notes.is_empty(), "{}", show(&report));
    }
}

#[test]
fn known_journals_make_it_complete_without_arguments() {
    let lab = Lab::small();
    let report = lab.verify(&lab.bare().known(lab.known()));
    assert_holds(&report);
    assert_eq!(report.key.as_ref(), Some(&lab.key));
    assert_eq!(report.anchored_through, Some(lab.events - 1));
}

/// Bug: a journal verified with the key that its maker named, though another was known for it, and nothing
/// was said as long as no checkpoint was kept.
#[test]
fn a_key_given_does_not_hide_that_another_is_known() {
    let lab = Lab::small();
    let other = SigningKey::generate(lab.key.name(), [7; 32]).unwrap();
    let known = lab.known();
    let mut entry = known.list().unwrap().remove(0);
    entry.key = Some(other.verifier().clone());
    entry.checkpoints.clear();
    known.accept(entry).unwrap();
    let report = lab.verify(&lab.evidence().known(known));
    assert_eq!(
        codes(&report.findings),
        ["known.key_differs"],
        "{}",
        show(&report)
    );
    assert_eq!(report.outcome(false), Outcome::Fails);
}

#[test]
fn on_its_own_word_a_journal_is_undecided_and_internally_sound() {
    let lab = Lab::small();
    let report = lab.verify(&lab.bare());
    assert_eq!(report.authenticity, Authenticity::SelfSigned);
    assert_eq!(report.completeness, Completeness::NotChecked);
    assert_eq!(report.outcome(false), Outcome::Undecided);
    assert_eq!(report.outcome(true), Outcome::Holds, "{}", show(&report));
}

#[test]
fn a_key_without_an_anchor_leaves_completeness_open() {
    let lab = Lab::small();
    let report = lab.verify(&lab.bare().key(lab.key.clone()));
    assert_eq!(report.authenticity, Authenticity::Signed);
    assert_eq!(report.completeness, Completeness::NotChecked);
    assert_eq!(report.outcome(false), Outcome::Undecided);
}

#[test]
fn an_unsigned_journal_says_so() {
    let fs = Arc::new(MemFs::new());
    let options = Options::new().file_system(Arc::<MemFs>::clone(&fs));
    let journal = Journal::create(DIR, options).unwrap();
    journal.append(event("a", "b")).unwrap();
    journal.close().unwrap();
    let report = verify(DIR, &VerifyOptions::new().file_system(fs)).unwrap();
    assert_eq!(
        report.authenticity,
        Authenticity::Unsigned,
        "{}",
        show(&report)
    );
    assert_eq!(report.signed_through, None);
    assert_eq!(report.outcome(false), Outcome::Undecided);
    assert_eq!(report.outcome(true), Outcome::Holds, "{}", show(&report));
}

#[test]
fn an_older_copy_is_told_from_another_history() {
    let lab = Lab::small();
    let old = lab.copy();
    let journal = lab.open();
    for number in 0..5 {
        journal
            .append(event("account-1", &format!("{number}")))
            .unwrap();
    }
    journal.close().unwrap();
    let report = old.verify(&old.bare().known(lab.known()));
    assert_eq!(
        report.completeness,
        Completeness::RolledBack,
        "{}",
        show(&report)
    );
    let words = format!("behind by {}", 5);
    let told = report
        .findings
        .iter()
        .any(|finding| finding.code == "history.rolled_back" && finding.detail.contains(&words));
    assert!(told, "{}", show(&report));
    assert_eq!(report.outcome(false), Outcome::Fails);
    assert_eq!(report.authenticity, Authenticity::Signed);
}

#[test]
fn two_histories_that_went_on_from_one_copy_are_forked() {
    let lab = Lab::small();
    let other = lab.copy();
    for (lab, text) in [(&lab, "one"), (&other, "two")] {
        let journal = lab.open();
        journal.append(event("account-1", text)).unwrap();
        journal.close().unwrap();
    }
    let report = other.verify(&other.bare().known(lab.known()));
    assert_eq!(
        report.completeness,
        Completeness::Forked,
        "{}",
        show(&report)
    );
    let forked = report
        .findings
        .iter()
        .find(|finding| finding.code == "history.forked")
        .unwrap();
    assert_eq!(forked.evidence, Evidence::KnownJournals);
}

#[test]
fn a_receipt_is_checked_against_the_journal() {
    let lab = Lab::small();
    assert_holds(&lab.verify(&lab.evidence().receipt(lab.receipt.clone())));
    // Of the same journal name, but a history in which another event stands there.
    let other = lab.copy();
    let journal = other.open();
    let receipt = journal
        .append(event("account-0", "elsewhere"))
        .unwrap()
        .text()
        .unwrap();
    journal.close().unwrap();
    let journal = lab.open();
    journal.append(event("account-0", "here")).unwrap();
    journal.close().unwrap();
    let report = lab.verify(&lab.evidence().receipt(receipt));
    let found = codes(&report.findings);
    assert!(
        found.contains(&"receipt.event_differs"),
        "{}",
        show(&report)
    );
    assert!(found.contains(&"history.forked"), "{}", show(&report));
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.evidence == Evidence::Receipt(0))
    );
}

#[test]
fn evidence_that_does_not_hold_by_itself_is_named() {
    let lab = Lab::small();
    let stranger = SigningKey::generate(lab.key.name(), [9; 32]).unwrap();
    let forged = lab.checkpoint.claimed().sign(&stranger).unwrap();
    let report = lab.verify(&lab.bare().key(lab.key.clone()).checkpoint(forged));
    assert_eq!(
        codes(&report.findings),
        ["checkpoint.bad_signature"],
        "{}",
        show(&report)
    );
    assert_eq!(report.findings[0].evidence, Evidence::Checkpoint(0));
    for text in [
        "",
        "c2sp.org/tlog-proof@v1\n",
        &lab.receipt.replace("index 3", "index 2"),
    ] {
        let report = lab.verify(&lab.evidence().receipt(text));
        assert_eq!(
            codes(&report.findings),
            ["receipt.invalid"],
            "{}",
            show(&report)
        );
        assert_eq!(report.findings[0].evidence, Evidence::Receipt(0));
    }
}

#[test]
fn a_key_of_another_journal_decides_nothing() {
    let lab = Lab::small();
    let report = lab.verify(
        &lab.bare()
            .key(Lab::small().key)
            .checkpoint(lab.checkpoint.clone()),
    );
    assert_eq!(
        report.authenticity,
        Authenticity::Unverifiable,
        "{}",
        show(&report)
    );
    assert_eq!(report.outcome(false), Outcome::Undecided);
    assert!(report.findings.is_empty(), "{}", show(&report));
}

#[test]
fn an_unreadable_record_of_journals_leaves_it_undecided() {
    let lab = Lab::small();
    lab.write(crate::lab::KNOWN, b"noise");
    let report = lab.verify(&lab.bare().known(lab.known()));
    assert_eq!(report.outcome(false), Outcome::Undecided);
    assert_eq!(
        codes(&report.unchecked),
        ["known.unreadable"],
        "{}",
        show(&report)
    );
}

#[test]
fn what_is_no_journal_is_an_error() {
    for dir in ["nowhere", "signer.key"] {
        let lab = Lab::small();
        assert_eq!(
            verify(dir, &lab.bare()).unwrap_err().code(),
            "journal.not_found"
        );
    }
}

#[test]
fn progress_ends_at_the_total() {
    let lab = Lab::rolled();
    let last = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&last);
    let options = lab.evidence().progress(move |done, total| {
        assert!(done <= total);
        assert!(seen.swap(done, Relaxed) <= done);
        if done == total {
            seen.store(u64::MAX, Relaxed);
        }
    });
    lab.verify(&options);
    assert_eq!(last.load(Relaxed), u64::MAX);
}

/// An index that hides an event is tampering too, though it can be made again.
#[test]
fn an_index_that_was_changed_is_found_even_with_its_checksums_made_right() {
    let lab = Lab::small();
    let journal = lab.open();
    let events: Vec<NewEvent<'_>> = (0..5000)
        .map(|number| event(&format!("a{}", number % 50), "x"))
        .collect();
    journal.append_batch(&events).unwrap();
    journal.close().unwrap();
    assert_holds(&lab.verify(&lab.evidence()));
    let runs: Vec<_> = lab
        .files()
        .into_iter()
        .filter(|path| path.starts_with("j/index"))
        .collect();
    assert!(!runs.is_empty());
    let id = factlog::Journal::open_read_only(DIR, Lab::options(&lab.fs))
        .unwrap()
        .id();
    for path in runs {
        let bytes = lab.read(&path);
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (first, level) = name.split_once('-').unwrap();
        let mut seed = crc32fast::Hasher::new();
        seed.update(&id);
        seed.update(&u64::from_str_radix(first, 16).unwrap().to_le_bytes());
        seed.update(&[u8::from_str_radix(level, 16).unwrap()]);
        let seed = seed.finalize();
        for number in 0..bytes.len() / 4096 {
            let mut changed = bytes.clone();
            let block = &mut changed[number * 4096..][..4096];
            block[64] ^= 1;
            let mut crc = crc32fast::Hasher::new_with_initial(seed);
            crc.update(&(number as u64).to_le_bytes());
            crc.update(&block[..4092]);
            let crc = crc.finalize();
            block[4092..].copy_from_slice(&crc.to_le_bytes());
            lab.write(&path, &changed);
            let report = lab.verify(&lab.evidence());
            assert_eq!(
                codes(&report.findings),
                ["derived.index"],
                "block {number}: {}",
                show(&report)
            );
        }
        lab.remove(&path);
        assert_holds(&lab.verify(&lab.evidence()));
    }
}
