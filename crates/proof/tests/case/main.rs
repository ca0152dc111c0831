//! Evidence cases: what they prove, and that nothing of them can change.
#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
mod lab;
mod set;
mod vectors;

use std::fs;
use std::path::PathBuf;

use factlog_format::{CaseEdge, CaseFile, CaseSection, CaseStatement};
use factlog_proof::{
    AddCheckpoint, CaseReport, CaseTrust, CaseVerdict, Checkpoint, CosigningKey, Policy,
    SignedCheckpoint, TrustPolicy, Witness, WitnessMemory, sample_order, verify_case,
};

use lab::{Lab, period};
use vectors::{all, checkpoint, log_key, sealed};

fn trust() -> CaseTrust {
    CaseTrust {
        keys: vec![log_key().verifier().clone()],
        ..CaseTrust::default()
    }
}

fn words(report: &CaseReport<'_>) -> [&'static str; 3] {
    [
        report.integrity(),
        report.authenticity(),
        report.completeness(),
    ]
    .map(CaseVerdict::word)
}

/// The first finding that decides; the first, if none does.
fn finding(report: &CaseReport<'_>) -> &'static str {
    let decides = report.findings.iter().find(|found| !found.undecided);
    let first = decides.or(report.findings.first());
    first.map_or("", |found| found.code)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases")
}

#[test]
fn every_case_has_its_verdicts_and_its_finding() {
    let mut wrong = Vec::new();
    for vector in all() {
        let report = verify_case(&vector.bytes, &trust());
        let code = finding(&report);
        if (words(&report), code) != (vector.verdicts, vector.code) {
            let (name, words) = (vector.name, words(&report));
            wrong.push(format!("{name}: {words:?}, {:?}", report.findings));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `FACTLOG_BLESS=1` writes them anew.
#[test]
fn the_vectors_that_others_are_given_are_these() {
    let mut table = String::from("# name integrity authenticity completeness finding\n");
    let vkey = format!("{}\n", log_key().verifier());
    let mut files = vec![("log.vkey".to_owned(), vkey.into_bytes())];
    for vector in all() {
        let [integrity, authenticity, completeness] = vector.verdicts;
        let code = if vector.code.is_empty() {
            "-"
        } else {
            vector.code
        };
        let row = format!(
            "{} {integrity} {authenticity} {completeness} {code}\n",
            vector.name
        );
        table.push_str(&row);
        files.push((format!("{}.case", vector.name), vector.bytes));
    }
    files.push(("table.txt".to_owned(), table.into_bytes()));
    if std::env::var_os("FACTLOG_BLESS").is_some() {
        let _ = fs::remove_dir_all(folder());
        fs::create_dir_all(folder()).unwrap();
        for (name, bytes) in &files {
            fs::write(folder().join(name), bytes).unwrap();
        }
    }
    for (name, bytes) in &files {
        let found = fs::read(folder().join(name)).unwrap_or_default();
        assert!(found == *bytes, "{name} is another: bless it");
    }
    let count = fs::read_dir(folder()).unwrap().count();
    assert_eq!(count, files.len(), "a file that is no vector");
}

#[test]
fn at_least_thirty_tamperings_are_found_and_none_passes() {
    let bad = all().into_iter().filter(|vector| !vector.code.is_empty());
    let overall = bad.map(|vector| verify_case(&vector.bytes, &trust()).overall());
    let overall: Vec<_> = overall.collect();
    assert!(overall.len() >= 30);
    assert!(!overall.contains(&CaseVerdict::Holds));
}

#[test]
fn no_bit_of_a_logged_case_can_change_though_the_file_hash_is_made_right() {
    let bytes = everything().encode().unwrap();
    assert_eq!(verify_case(&bytes, &trust()).overall(), CaseVerdict::Holds);
    let body = bytes.len() - 32;
    for bit in 0..8 * body {
        let mut changed = bytes[..body].to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = sealed(changed);
        let report = verify_case(&changed, &trust());
        assert_ne!(report.overall(), CaseVerdict::Holds, "bit {bit}");
    }
    for bit in 8 * body..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let report = verify_case(&changed, &trust());
        assert_eq!(report.findings[0].code, "case.damaged", "bit {bit}");
    }
}

/// Everything that a case may have in it and yet hold: a filter of each sort, events that were not asked
/// for, plain and encrypted sections shown, left out and shredded, an earlier checkpoint, another key.
fn everything() -> lab::Case {
    let mut lab = Lab::ledger();
    let earlier = lab.signed(6, &[&log_key()]);
    let claimed = earlier.claimed().clone();
    lab.transfer(2150, "b");
    lab.own(2200, &vectors::shred_of(0x77));
    let rotation = vectors::rotation(&lab, None);
    lab.own(2300, &rotation);
    let statement = CaseStatement {
        kinds: vec!["account.deposited".into(), "account.transferred".into()],
        streams: vec![("bank".into(), "a".into()), ("bank".into(), "b".into())],
        tags: vec!["eu".into()],
        redacted: vec!["note".into()],
        after: Some((claimed.size(), *claimed.root().as_bytes())),
        end: 11,
        until: CaseEdge::Recorded(2180),
        ..period()
    };
    let (lab, mut case) = lab.export_erased(statement, "request 17", &|case| {
        lab::at(case, 3).sections.as_mut().unwrap()[1] = CaseSection::Erased { by: 11 };
    });
    let second = vectors::second();
    case.checkpoint = lab::note(&lab.signed(lab.size(), &[&second]));
    case.earlier = vec![
        lab.earlier(6, &[&log_key()]),
        lab.earlier(13, &[&log_key(), &second]),
    ];
    case
}

#[test]
fn no_bit_of_a_case_with_stubs_can_change_unseen() {
    for name in ["erased-and-unknown", "erased-section"] {
        let vector = all().into_iter().find(|vector| vector.name == name);
        let bytes = vector.unwrap().bytes;
        let body = bytes.len() - 32;
        assert_eq!(verify_case(&bytes, &trust()).overall(), CaseVerdict::Holds);
        for bit in 0..8 * body {
            let mut changed = bytes[..body].to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = sealed(changed);
            let found = verify_case(&changed, &trust()).overall();
            assert_ne!(found, CaseVerdict::Holds, "{name}, bit {bit}");
        }
    }
}

#[test]
fn no_bit_and_no_length_of_an_unlogged_case_can_change_by_accident() {
    let (_, case) = Lab::ledger().export(period(), false);
    let bytes = case.encode().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert_ne!(
            verify_case(&changed, &trust()).overall(),
            CaseVerdict::Holds,
            "byte {at}"
        );
        assert_ne!(
            verify_case(&bytes[..at], &trust()).overall(),
            CaseVerdict::Holds,
            "cut {at}"
        );
    }
}

#[test]
fn what_decodes_is_encoded_to_the_same_bytes() {
    for vector in all() {
        let Ok(case) = CaseFile::decode(&vector.bytes) else {
            continue;
        };
        assert_eq!(case.encode().unwrap(), vector.bytes, "{}", vector.name);
        if let Ok(statement) = CaseStatement::decode(case.statement) {
            assert_eq!(
                statement.encode().unwrap(),
                case.statement,
                "{}",
                vector.name
            );
        }
    }
}

#[test]
fn what_was_kept_elsewhere_is_compared() {
    let named = |name: &str| {
        all()
            .into_iter()
            .find(|vector| vector.name == name)
            .unwrap()
    };
    let (after, alone) = (named("good-after"), named("good-everything"));
    let parse = |text: &str| SignedCheckpoint::parse(text.as_bytes()).unwrap();
    let shown = verify_case(&after.bytes, &trust()).case.unwrap().earlier[0].clone();
    let claimed = |text: String| parse(&text).claimed().clone();
    let kept = shown.claimed().clone();
    let check = |bytes: &[u8], change: &dyn Fn(&mut CaseTrust)| {
        let mut trust = trust();
        change(&mut trust);
        let report = verify_case(bytes, &trust);
        (report.completeness().word(), finding(&report))
    };
    let other = || claimed(checkpoint(6, [3; 32]));
    let further = || claimed(checkpoint(7, [3; 32]));
    let later = || claimed(checkpoint(99, [3; 32]));
    let foreign = || {
        let text = checkpoint(6, [3; 32]).replace("example.com", "example.org");
        claimed(text)
    };
    let with_after = |checkpoint: Checkpoint| {
        move |trust: &mut CaseTrust| trust.after = Some(checkpoint.clone())
    };
    let with_anchor = |checkpoint: Checkpoint| {
        move |trust: &mut CaseTrust| trust.anchors = vec![checkpoint.clone()]
    };
    assert_eq!(
        check(&after.bytes, &with_after(kept.clone())),
        ("holds", "")
    );
    assert_eq!(
        check(&after.bytes, &with_after(other())),
        ("fails", "case.forked")
    );
    for foreign in [later(), foreign()] {
        assert_eq!(
            check(&after.bytes, &with_after(foreign)),
            ("fails", "case.after")
        );
    }
    // One made without --after, and one that follows another, can't be told.
    for bytes in [&alone.bytes, &after.bytes] {
        assert_eq!(
            check(bytes, &with_after(further())),
            ("undecided", "case.not_compared")
        );
    }
    assert_eq!(check(&after.bytes, &with_anchor(kept)), ("holds", ""));
    assert_eq!(
        check(&after.bytes, &with_anchor(other())),
        ("fails", "case.forked")
    );
    assert_eq!(
        check(&after.bytes, &with_anchor(further())),
        ("undecided", "case.not_compared")
    );
}

#[test]
fn witnesses_count_if_they_saw_the_whole_period() {
    let (lab, mut case) = Lab::ledger().export(period(), true);
    let witness = CosigningKey::generate("witness.example/w", [9; 32]).unwrap();
    let policy = format!("witness w {}\nquorum w\n", witness.verifier());
    let trust = CaseTrust {
        policy: Some(TrustPolicy::parse(policy.as_bytes()).unwrap()),
        ..trust()
    };
    let cosigned = |size: u64| {
        let signed = lab.signed(size, &[&log_key()]);
        let key = CosigningKey::generate("witness.example/w", [9; 32]).unwrap();
        let request = AddCheckpoint {
            old: 0,
            path: Vec::new(),
            checkpoint: signed,
        };
        let answer = Witness::new(key).add_checkpoint(&mut NeverMet, &request, 1_800_000_000);
        answer.unwrap().checkpoint
    };
    let bytes = case.encode().unwrap();
    let report = verify_case(&bytes, &trust);
    assert_eq!(report.findings[0].code, "case.no_quorum");
    let (early, late) = (cosigned(6), cosigned(9));
    for (size, checkpoint, holds) in [(6, early, false), (9, late, true)] {
        let mut earlier = lab.earlier(size, &[&log_key()]);
        earlier.note = lab::note(&checkpoint);
        case.earlier = vec![earlier];
        let bytes = case.encode().unwrap();
        let report = verify_case(&bytes, &trust);
        assert_eq!(
            report.overall() == CaseVerdict::Holds,
            holds,
            "{:?}",
            report.findings
        );
        assert_eq!(report.case.unwrap().witnesses.len(), usize::from(holds));
    }
}

#[test]
fn a_sample_is_drawn_by_seed_and_event_alone() {
    // printf 'factlog sample\nseed\n' and 32 zero bytes, through sha256sum.
    let expected = "Ck8chRfMyezNEWpYeIWCVt+lIBU9TjS56XW3B/yB32s=";
    assert_eq!(sample_order("seed", &[0; 32]).to_string(), expected);
}

/// A witness's memory with the one log in it.
struct NeverMet;

impl WitnessMemory for NeverMet {
    type Error = std::convert::Infallible;

    fn last(
        &self,
        _: &str,
    ) -> Result<Option<(Policy, Option<SignedCheckpoint>)>, std::convert::Infallible> {
        Ok(Some((Policy::from(log_key().verifier().clone()), None)))
    }

    fn keep(&mut self, _: &SignedCheckpoint) -> Result<(), std::convert::Infallible> {
        Ok(())
    }
}
