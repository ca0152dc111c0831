//! Unclean ends and damage: what is a torn write, what is corruption, and what can still be read.

use std::path::{Path, PathBuf};

use factlog::{Completeness, Integrity, Journal, Outcome, Report, SignedCheckpoint};
use factlog_format::SegmentHeader;
use factlog_fs::StoreFs;

use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::{self, DIR, event, segment},
};

/// A journal whose writer died right after it had acknowledged `count` more events, with the
/// checkpoint of the last.
fn crashed(count: u64) -> (Lab, SignedCheckpoint) {
    let lab = Lab::small();
    let journal = lab.open();
    for number in 0..count {
        journal
            .append(event("account-0", &format!("late {number}")))
            .unwrap();
    }
    let checkpoint = journal.reader().checkpoint().unwrap();
    let copy = lab.copy();
    drop(journal);
    (copy, checkpoint)
}

fn cut(lab: &Lab, path: &Path, bytes: usize) {
    let written = support::written(lab.fs.as_ref(), path);
    lab.write(path, &written[..written.len() - bytes]);
}

fn segments(lab: &Lab) -> Vec<PathBuf> {
    let mut files = lab.files();
    files.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    files.sort();
    files
}

#[track_caller]
fn assert_fails(report: &Report, code: &str) {
    assert!(
        codes(&report.findings).contains(&code),
        "{code}: {}",
        show(report)
    );
    assert_eq!(report.outcome(true), Outcome::Fails, "{}", show(report));
}

#[test]
fn an_unclean_end_is_no_damage() {
    let (lab, checkpoint) = crashed(3);
    let report = lab.verify(&lab.evidence());
    assert_holds(&report);
    assert_eq!(report.events, lab.events + 3);
    assert_eq!(
        codes(&report.notes),
        ["signature.tail", "tail.events_unproven"],
        "{}",
        show(&report)
    );
    let report = lab.verify(&lab.evidence().checkpoint(checkpoint));
    assert_holds(&report);
    assert_eq!(report.anchored_through, Some(lab.events + 2));
}

#[test]
fn a_torn_write_is_no_damage_and_is_not_believed() {
    let (lab, _) = crashed(3);
    let active = segment(lab.fs.as_ref());
    cut(&lab, &active, 5);
    let report = lab.verify(&lab.evidence());
    assert_holds(&report);
    assert_eq!(report.events, lab.events + 2);
    assert!(
        codes(&report.notes).contains(&"tail.unproven"),
        "{}",
        show(&report)
    );
}

#[test]
fn a_torn_write_that_a_checkpoint_covers_is_corruption() {
    let (lab, checkpoint) = crashed(3);
    let active = segment(lab.fs.as_ref());
    cut(&lab, &active, 5);
    let report = lab.verify(&lab.evidence().checkpoint(checkpoint));
    assert_fails(&report, "segment.corrupt");
    assert_fails(&report, "segment.events_lost");
}

#[test]
fn a_tail_cut_at_a_commit_is_exposed_by_a_checkpoint_only() {
    let (lab, checkpoint) = crashed(1);
    let active = segment(lab.fs.as_ref());
    let proven = Lab::small().read(segment(Lab::small().fs.as_ref())).len();
    let len = support::written(lab.fs.as_ref(), &active).len();
    // Names and payloads are of the same lengths in every such journal.
    cut(&lab, &active, len - proven);
    assert_holds(&lab.verify(&lab.evidence()));
    let report = lab.verify(&lab.evidence().checkpoint(checkpoint));
    assert_fails(&report, "history.rolled_back");
    assert_eq!(report.completeness, Completeness::RolledBack);
    let told = report
        .findings
        .iter()
        .any(|finding| finding.detail.contains("behind by 1"));
    assert!(told, "{}", show(&report));
}

#[test]
fn damage_below_a_later_statement_is_corruption() {
    let (lab, _) = crashed(3);
    let active = segment(lab.fs.as_ref());
    let proven = Lab::small().read(segment(Lab::small().fs.as_ref())).len();
    let mut bytes = lab.read(&active);
    bytes[proven + 40] ^= 1;
    lab.write(&active, &bytes);
    let report = lab.verify(&lab.evidence());
    assert_fails(&report, "segment.corrupt");
}

#[test]
fn a_recovered_journal_holds() {
    // A torn write that is set aside, and a whole group that is copied.
    for bytes in [5, 0] {
        let (lab, _) = crashed(3);
        cut(&lab, &segment(lab.fs.as_ref()), bytes);
        let journal = lab.open();
        assert!(journal.recovery().is_some());
        assert_holds(&lab.verify(&lab.evidence()));
        journal.append(event("account-1", "after")).unwrap();
        journal.close().unwrap();
        let report = lab.verify(&lab.evidence().known(lab.known()));
        assert_holds(&report);
        assert_eq!(segments(&lab).len(), 2);
        // And once more, in the segment that the recovery began.
        let journal = lab.open();
        journal.append(event("account-1", "later")).unwrap();
        journal.close().unwrap();
        assert_holds(&lab.verify(&lab.evidence().known(lab.known())));
    }
}

#[test]
fn a_journal_that_is_being_written_can_be_verified() {
    let lab = Lab::small();
    let journal: Journal = lab.open();
    for number in 0..20 {
        journal
            .append(event("account-9", &format!("{number}")))
            .unwrap();
        assert_holds(&lab.verify(&lab.evidence()));
    }
    journal.close().unwrap();
    assert_holds(&lab.verify(&lab.evidence()));
}

#[test]
fn a_lost_manifest_is_rebuilt_and_reported() {
    let (torn, _) = crashed(3);
    cut(&torn, &segment(torn.fs.as_ref()), 5);
    torn.open().close().unwrap();
    for lab in [Lab::small(), Lab::rolled(), torn] {
        let whole = lab.verify(&lab.evidence()).events;
        lab.remove(Path::new(DIR).join("MANIFEST"));
        let report = lab.verify(&lab.evidence());
        assert_eq!(
            codes(&report.findings),
            ["manifest.missing"],
            "{}",
            show(&report)
        );
        assert_eq!(report.completeness, Completeness::Anchored);
        assert_eq!(report.events, whole);
    }
}

#[test]
fn behind_a_damaged_event_everything_else_is_still_read() {
    let lab = Lab::rolled();
    let path = &segments(&lab)[1];
    let mut bytes = lab.read(path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    lab.write(path, &bytes);
    let report = lab.verify(&lab.evidence());
    assert_eq!(
        codes(&report.findings),
        ["segment.corrupt", "segment.events_lost"],
        "{}",
        show(&report)
    );
    assert_eq!(report.events, lab.events - 1);
    assert_eq!(report.integrity, Integrity::Damaged);
    // The edges of later segments are signed, so that what follows the damage is still proved.
    assert_eq!(
        report.anchored_through,
        Some(lab.events - 1),
        "{}",
        show(&report)
    );
}

#[test]
fn behind_a_damaged_segment_header_its_events_are_still_read() {
    let lab = Lab::rolled();
    let path = &segments(&lab)[1];
    let mut bytes = lab.read(path);
    bytes[20] ^= 1;
    lab.write(path, &bytes);
    let report = lab.verify(&lab.evidence());
    assert_eq!(
        codes(&report.findings),
        ["segment.header"],
        "{}",
        show(&report)
    );
    assert_eq!(report.events, lab.events);
}

#[test]
fn a_missing_segment_is_named_with_its_events() {
    let lab = Lab::rolled();
    let all = segments(&lab);
    let (gone, next) = (&all[1], &all[2]);
    let first = SegmentHeader::decode(&lab.read(gone))
        .unwrap()
        .first_sequence;
    let end = SegmentHeader::decode(&lab.read(next))
        .unwrap()
        .first_sequence;
    lab.fs.remove_file(gone).unwrap();
    let report = lab.verify(&lab.evidence());
    assert_fails(&report, "segment.missing");
    let lost = report
        .findings
        .iter()
        .find(|finding| finding.code == "segment.events_lost")
        .unwrap();
    assert_eq!(lost.sequence, Some(first), "{}", show(&report));
    assert_eq!(report.events, lab.events - (end - first));
}

#[test]
fn what_nothing_knows_is_reported() {
    for name in [
        "note.txt",
        "segments/x.seg",
        "index/zzz",
        "tree/zzz",
        "keys/root.key",
    ] {
        let lab = Lab::small();
        let path = Path::new(DIR).join(name);
        lab.fs
            .create_new(&path, factlog_fs::Access::Shared)
            .unwrap();
        let report = lab.verify(&lab.evidence());
        assert_eq!(
            report.outcome(true),
            Outcome::Fails,
            "{name}: {}",
            show(&report)
        );
        // What a crash leaves of a file being replaced is nothing.
        let lab = Lab::small();
        lab.fs
            .create_new(&path.with_extension("tmp"), factlog_fs::Access::Shared)
            .unwrap();
        if !name.starts_with("tree") {
            assert_holds(&lab.verify(&lab.evidence()));
        }
    }
}

#[test]
fn derived_files_may_be_missing_and_not_wrong() {
    let lab = Lab::rolled();
    lab.remove_derived();
    assert_holds(&lab.verify(&lab.evidence()));
}
