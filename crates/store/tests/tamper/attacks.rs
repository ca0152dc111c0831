//! Attackers who know the format, by what they can do and by what exposes them.

use std::path::Path;

use factlog::{
    Authenticity::{self, BadSignature, SelfSigned, Signed},
    Completeness::{self, Anchored, Forked, NotChecked, RolledBack},
    Integrity::{self, Damaged, Intact},
    Outcome, Report, SigningKey,
};
use factlog_format::{CommitHeader, Identity};

use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::DIR,
    wire::{Forgery, Group},
};

/// One way of tampering.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What the attacker can do.
    pub(crate) power: Power,
    tamper: fn(&Lab, &mut Forgery),
    /// What must be among the findings of a verification with key and checkpoint.
    finding: &'static str,
    /// Its verdicts.
    verdicts: (Integrity, Authenticity, Completeness),
}

/// Each can do what those before it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Power {
    /// Makes checksums and keyed checks right.
    Checks,
    /// Makes places, links and hashes of events right.
    Hashes,
    /// Makes trees, commit headers, segments and MANIFEST right, and drops derived files.
    Trees,
    /// Drops signatures and the journal's own checkpoints as well.
    Strips,
    /// Signs with the journal's key.
    Signs,
}

use Power::{Checks, Hashes, Signs, Strips, Trees};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a payload is rewritten, its hash not",
        power: Checks,
        tamper: |_, journal| *journal.event(3).body.last_mut().unwrap() ^= 1,
        finding: "event.section_mismatch",
        verdicts: (Damaged, Signed, Anchored),
    },
    Attack {
        name: "a payload is rewritten with its hash, later links not",
        power: Checks,
        tamper: |_, journal| journal.event(1).repay(|bytes| bytes[0] ^= 1),
        finding: "stream.broken",
        verdicts: (Damaged, BadSignature, NotChecked),
    },
    Attack {
        name: "the last payload of a stream is rewritten with its hash",
        power: Checks,
        tamper: |_, journal| journal.event(6).repay(|bytes| bytes[0] ^= 1),
        finding: "commit.root_mismatch",
        verdicts: (Damaged, BadSignature, NotChecked),
    },
    Attack {
        name: "the time of an event is changed",
        power: Checks,
        tamper: |_, journal| journal.event(6).set(32, &i64::MAX.to_le_bytes()),
        finding: "commit.root_mismatch",
        verdicts: (Damaged, BadSignature, NotChecked),
    },
    Attack {
        name: "time runs backwards",
        power: Trees,
        tamper: |_, journal| journal.event(3).set(32, &1i64.to_le_bytes()),
        finding: "event.recorded_at",
        verdicts: (Damaged, BadSignature, Forked),
    },
    Attack {
        name: "two events change places",
        power: Checks,
        tamper: swap_neighbours,
        finding: "segment.corrupt",
        verdicts: (Damaged, Signed, NotChecked),
    },
    Attack {
        name: "two events change places, and are renumbered",
        power: Trees,
        tamper: swap_neighbours,
        finding: "signature.invalid",
        verdicts: (Intact, BadSignature, Forked),
    },
    Attack {
        name: "a middle event is removed",
        power: Checks,
        tamper: |_, journal| journal.retain(|event| event.sequence() != 3),
        finding: "segment.events_lost",
        verdicts: (Damaged, Signed, NotChecked),
    },
    Attack {
        name: "a middle event is removed, and the rest renumbered",
        power: Trees,
        tamper: |_, journal| journal.retain(|event| event.sequence() != 3),
        finding: "history.rolled_back",
        verdicts: (Intact, BadSignature, RolledBack),
    },
    Attack {
        name: "a stream is dropped and all hashes recomputed",
        power: Trees,
        tamper: drop_stream,
        finding: "signature.invalid",
        verdicts: (Intact, BadSignature, RolledBack),
    },
    Attack {
        name: "a stream is dropped, all hashes recomputed and signatures stripped",
        power: Strips,
        tamper: drop_stream,
        finding: "signature.missing",
        verdicts: (Intact, BadSignature, RolledBack),
    },
    Attack {
        name: "an event is rewritten with all hashes recomputed",
        power: Trees,
        tamper: |_, journal| journal.event(2).repay(|bytes| bytes[0] ^= 1),
        finding: "signature.invalid",
        verdicts: (Intact, BadSignature, Forked),
    },
    Attack {
        name: "an event is rewritten, all hashes recomputed and signatures stripped",
        power: Strips,
        tamper: |_, journal| journal.event(2).repay(|bytes| bytes[0] ^= 1),
        finding: "history.forked",
        verdicts: (Intact, BadSignature, Forked),
    },
    Attack {
        name: "history is rewritten by the holder of the key",
        power: Signs,
        tamper: |_, journal| journal.event(2).repay(|bytes| bytes[0] ^= 1),
        finding: "history.forked",
        verdicts: (Intact, Signed, Forked),
    },
    Attack {
        name: "the tail is cut by the holder of the key",
        power: Signs,
        tamper: drop_tail,
        finding: "history.rolled_back",
        verdicts: (Intact, Signed, RolledBack),
    },
    Attack {
        name: "the tail is cut at a commit, MANIFEST rewritten",
        power: Trees,
        tamper: drop_tail,
        finding: "history.rolled_back",
        verdicts: (Intact, Signed, RolledBack),
    },
    Attack {
        name: "an event is replaced by a stub",
        power: Trees,
        tamper: |_, journal| {
            let id = journal.journal();
            let stub = journal.event(3).stub(&id);
            *journal.event(3) = stub;
        },
        finding: "stub.unauthorised",
        verdicts: (Damaged, Signed, Anchored),
    },
    Attack {
        name: "an event is replaced by a full stub with invented links",
        power: Checks,
        tamper: |_, journal| {
            let id = journal.journal();
            let mut stub = journal.event(6).stub(&id);
            stub.set(40, &[9; 32]);
            *journal.event(6) = stub;
        },
        finding: "stream.broken",
        verdicts: (Damaged, BadSignature, NotChecked),
    },
    Attack {
        name: "an event is moved to the journal's own stream",
        power: Trees,
        tamper: |_, journal| {
            let own = journal.event(0).stream();
            journal.event(4).set(16, &own);
        },
        finding: "stream.coordinate_changed",
        verdicts: (Damaged, BadSignature, Forked),
    },
    Attack {
        name: "a stream goes on under another id",
        power: Trees,
        tamper: |_, journal| journal.event(6).set(16, &[9; 16]),
        finding: "stream.second",
        verdicts: (Damaged, BadSignature, Forked),
    },
    Attack {
        name: "an event is repeated with its id",
        power: Trees,
        tamper: |_, journal| {
            let group = journal.segments[0].groups[3].clone();
            journal.segments[0].groups.push(group);
        },
        finding: "event.id_repeated",
        verdicts: (Damaged, BadSignature, Anchored),
    },
    Attack {
        name: "an event imitates the journal's own",
        power: Trees,
        tamper: |_, journal| rename_scope(journal.event(3), "bank", "$jrn"),
        finding: "event.reserved_scope",
        verdicts: (Damaged, BadSignature, Forked),
    },
    Attack {
        name: "a commit is left out",
        power: Checks,
        tamper: |_, journal| drop(journal.segments[0].groups.remove(3)),
        finding: "commit.number",
        verdicts: (Damaged, Signed, NotChecked),
    },
    Attack {
        name: "a commit states less than the one before",
        power: Trees,
        tamper: |_, journal| last_group(journal).header.durable = 0,
        finding: "commit.durable",
        verdicts: (Damaged, Signed, Anchored),
    },
    Attack {
        name: "a signature is changed",
        power: Trees,
        tamper: |_, journal| last_group(journal).header.signatures[0].bytes[7] ^= 1,
        finding: "signature.invalid",
        verdicts: (Intact, BadSignature, Anchored),
    },
    Attack {
        name: "a signature is left out",
        power: Trees,
        tamper: |_, journal| journal.segments[0].groups[4].header.signatures.clear(),
        finding: "signature.missing",
        verdicts: (Intact, BadSignature, Anchored),
    },
    Attack {
        name: "the segment's salt is exchanged",
        power: Trees,
        tamper: |_, journal| journal.segments[0].header.salt[0] ^= 1,
        finding: "segment.salt_mismatch",
        verdicts: (Damaged, Signed, Anchored),
    },
    Attack {
        name: "the segment is said to be of a later session than its commits",
        power: Trees,
        tamper: |_, journal| {
            journal.segments[0].header.incarnation = factlog_format::MAX_GENERATION
        },
        finding: "commit.incarnation",
        verdicts: (Damaged, Signed, Anchored),
    },
];

fn swap_neighbours(_: &Lab, journal: &mut Forgery) {
    let groups = &mut journal.segments[0].groups;
    let at = groups
        .iter()
        .position(|group| group.events.iter().any(|e| e.sequence() == 3))
        .unwrap();
    let (left, right) = groups.split_at_mut(at + 1);
    let (left, right) = (&mut left[at].events, &mut right[0].events);
    std::mem::swap(left, right);
    // So that their times don't give it away.
    let time: [u8; 8] = right[0].body[8 + 32..8 + 40].try_into().unwrap();
    left[0].set(32, &time);
}

fn drop_stream(_: &Lab, journal: &mut Forgery) {
    let stream = journal.event(1).stream();
    journal.retain(|event| event.stream() != stream);
    journal.segments[0]
        .groups
        .retain(|group| !group.events.is_empty());
}

fn drop_tail(_: &Lab, journal: &mut Forgery) {
    journal.segments[0].groups.truncate(5);
    let header = journal.segments[0].groups[4].header.clone();
    // What a clean close leaves behind: an empty commit, with the signature that was already there.
    journal.segments[0].groups[4] = Group {
        header,
        events: Vec::new(),
    };
}

fn last_group(journal: &mut Forgery) -> &mut Group {
    journal.segments[0].groups.last_mut().unwrap()
}

fn rename_scope(event: &mut crate::wire::Event, from: &str, to: &str) {
    let at = event
        .body
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    event.body[at..at + to.len()].copy_from_slice(to.as_bytes());
}

pub(crate) fn attack(attack: &Attack, lab: &Lab, key: &SigningKey) {
    let mut journal = Forgery::read(lab);
    (attack.tamper)(lab, &mut journal);
    if attack.power >= Hashes {
        journal.relink();
    }
    if attack.power >= Trees {
        let stated: Vec<CommitHeader> = journal.segments[0]
            .groups
            .iter()
            .map(|group| group.header.clone())
            .collect();
        journal.restate();
        // What the tampering itself did to a statement stays.
        if attack.finding == "commit.durable" {
            last_group(&mut journal).header.durable = stated.last().unwrap().durable;
        }
    }
    if attack.power == Strips {
        journal.unsign();
    }
    if attack.power == Signs {
        journal.sign(key);
    }
    journal.write(lab);
    if attack.power >= Trees {
        lab.remove_checkpoints();
    }
}

pub(crate) fn signing_key(lab: &Lab) -> SigningKey {
    let text = String::from_utf8(lab.read("signer.key")).unwrap();
    SigningKey::from_text(text.trim_end()).unwrap()
}

#[test]
fn taking_a_journal_apart_and_together_changes_nothing() {
    for lab in [Lab::small(), Lab::rolled()] {
        let before = lab.read(
            lab.files()
                .iter()
                .find(|path| path.extension().is_some_and(|e| e == "seg"))
                .unwrap(),
        );
        let mut journal = Forgery::read(&lab);
        journal.relink();
        journal.restate();
        journal.write(&lab);
        let after = lab.read(
            lab.files()
                .iter()
                .find(|path| path.extension().is_some_and(|e| e == "seg"))
                .unwrap(),
        );
        assert!(before == after, "the attacker's tools are not the writer's");
        assert_holds(&lab.verify(&lab.evidence()));
    }
}

#[test]
fn every_attack_is_found_and_named() {
    let sound = Lab::small();
    let key = signing_key(&sound);
    let mut failures = String::new();
    for case in ATTACKS {
        let lab = sound.copy();
        attack(case, &lab, &key);
        let report = lab.verify(&lab.evidence());
        let verdicts = (report.integrity, report.authenticity, report.completeness);
        let named = codes(&report.findings).contains(&case.finding);
        if !named || verdicts != case.verdicts || report.outcome(false) != Outcome::Fails {
            failures += &format!(
                "{} ({:?}): expected {} and {:?}, got {}\n",
                case.name,
                case.power,
                case.finding,
                case.verdicts,
                show(&report)
            );
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Without key and anchor nobody can tell a journal that was made anew; nothing may be said to hold.
#[test]
fn without_evidence_nothing_forged_holds() {
    let sound = Lab::small();
    let key = signing_key(&sound);
    for case in ATTACKS {
        let lab = sound.copy();
        attack(case, &lab, &key);
        let report = lab.verify(&lab.bare());
        assert_ne!(
            report.outcome(false),
            Outcome::Holds,
            "{}: {}",
            case.name,
            show(&report)
        );
    }
}

/// On the owner's machine no argument is needed.
#[test]
fn known_journals_alone_expose_every_attack() {
    let sound = Lab::small();
    let key = signing_key(&sound);
    for case in ATTACKS {
        let lab = sound.copy();
        attack(case, &lab, &key);
        let report = lab.verify(&lab.bare().known(lab.known()));
        assert_eq!(
            report.outcome(false),
            Outcome::Fails,
            "{}: {}",
            case.name,
            show(&report)
        );
    }
}

#[test]
fn a_journal_made_anew_under_the_same_name_names_another_key() {
    let lab = Lab::small();
    let stranger = SigningKey::generate(lab.key.name(), [7; 32]).unwrap();
    let mut journal = Forgery::read(&lab);
    let (old, new) = (*lab.key.public_key(), *stranger.verifier().public_key());
    journal.event(0).repay(|payload| {
        let at = payload
            .windows(32)
            .position(|window| window == old)
            .unwrap();
        payload[at..at + 32].copy_from_slice(&new);
    });
    journal.relink();
    journal.restate();
    journal.sign(&stranger);
    journal.write(&lab);
    lab.remove_checkpoints();
    let expose = |report: Report, code: &str| {
        assert_eq!(report.authenticity, BadSignature, "{}", show(&report));
        assert!(codes(&report.findings).contains(&code), "{}", show(&report));
    };
    expose(lab.verify(&lab.evidence()), "signature.other_key");
    expose(
        lab.verify(&lab.bare().known(lab.known())),
        "signature.other_key",
    );
    // On its own word it is sound: that is why self-signed never holds.
    let report = lab.verify(&lab.bare());
    assert_eq!(report.authenticity, SelfSigned, "{}", show(&report));
    assert_eq!(report.integrity, Intact, "{}", show(&report));
    assert_eq!(report.outcome(false), Outcome::Undecided);
}

/// Events with the same payload are told apart by place and hash, so none can stand in for another.
#[test]
fn middle_events_with_equal_payloads_can_not_be_removed() {
    let lab = Lab::small();
    let journal = lab.open();
    for _ in 0..6 {
        journal
            .append(crate::support::event("account-7", "the same"))
            .unwrap();
    }
    journal.close().unwrap();
    for removed in [8..9, 8..11] {
        let lab = lab.copy();
        let mut journal = Forgery::read(&lab);
        journal.retain(|event| !removed.contains(&event.sequence()));
        let kept = journal.segments[0]
            .groups
            .iter()
            .filter(|group| !group.events.is_empty());
        journal.segments[0].groups = kept.cloned().collect();
        // All is made right but the hashes of the events before: equal payloads don't stand in.
        let previous: Vec<Vec<u8>> = journal
            .events()
            .map(|event| event.body[8 + 40..8 + 72].to_vec())
            .collect();
        journal.relink();
        for (event, hash) in journal.events().zip(previous) {
            event.set(40, &hash);
        }
        journal.restate();
        journal.write(&lab);
        lab.remove_checkpoints();
        let report = lab.verify(&lab.evidence());
        assert!(
            codes(&report.findings).contains(&"stream.broken"),
            "{}",
            show(&report)
        );
        assert_eq!(report.integrity, Damaged);
    }
}

#[test]
fn the_genesis_of_another_journal_does_not_pass() {
    let (lab, other) = (Lab::small(), Lab::small());
    let mut journal = Forgery::read(&lab);
    let stream = journal.event(0).stream();
    *journal.event(0) = Forgery::read(&other).event(0).clone();
    journal.event(0).set(16, &stream);
    journal.relink();
    journal.restate();
    journal.write(&lab);
    let report = lab.verify(&lab.evidence());
    assert!(
        codes(&report.findings).contains(&"journal.identity_mismatch"),
        "{}",
        show(&report)
    );
    assert_eq!(report.outcome(true), Outcome::Fails);
}

#[test]
fn identity_is_that_of_sequence_0() {
    let lab = Lab::small();
    let path = Path::new(DIR).join("JOURNAL");
    let mut identity = Identity::decode(&lab.read(&path)).unwrap();
    identity.created += 1;
    lab.write(&path, identity.encode().as_bytes());
    let report = lab.verify(&lab.evidence());
    assert_eq!(
        codes(&report.findings),
        ["journal.identity_mismatch"],
        "{}",
        show(&report)
    );
}

#[test]
fn another_journal_in_its_place_is_known_to_be_another() {
    let (ours, theirs) = (Lab::small(), Lab::small());
    let known = ours.known();
    let report = theirs.verify(&theirs.bare().known(known));
    assert!(
        codes(&report.findings).contains(&"known.replaced"),
        "{}",
        show(&report)
    );
    assert_eq!(report.outcome(false), Outcome::Fails);
    // Against key and checkpoint of ours it can't be checked, which isn't fine.
    let evidence = ours.evidence().file_system(theirs.fs.clone());
    let report = theirs.verify(&evidence);
    assert_eq!(
        report.outcome(false),
        Outcome::Undecided,
        "{}",
        show(&report)
    );
    assert!(
        codes(&report.unchecked).contains(&"evidence.other_journal"),
        "{}",
        show(&report)
    );
}
