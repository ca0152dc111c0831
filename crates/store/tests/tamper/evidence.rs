//! What is sound holds, and each verdict says what evidence it rests on.

use factlog::{Authenticity, Completeness, Evidence, Outcome};

use crate::lab::{Lab, assert_holds, codes, show};

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
