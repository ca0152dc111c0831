//! What witnesses outside of everyone's reach add.

use std::collections::HashMap;

use factlog::{
    Completeness, CosigningKey, Outcome, Report, Rotation, SignedCheckpoint, TrustPolicy,
};
use factlog_proof::{AddCheckpoint, Policy, Witness, WitnessMemory};

use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::event,
};

/// A witness that met every log just now.
struct Fresh(Policy);

impl WitnessMemory for Fresh {
    type Error = std::convert::Infallible;

    fn last(&self, _: &str) -> Result<Option<(Policy, Option<SignedCheckpoint>)>, Self::Error> {
        Ok(Some((self.0.clone(), None)))
    }

    fn keep(&mut self, _: &SignedCheckpoint) -> Result<(), Self::Error> {
        Ok(())
    }
}

pub(crate) fn key(number: u8) -> CosigningKey {
    CosigningKey::generate(&format!("witness.example/{number}"), [number; 32]).unwrap()
}

pub(crate) fn cosigned(
    lab: &Lab,
    checkpoint: &SignedCheckpoint,
    by: &[u8],
    time: u64,
) -> SignedCheckpoint {
    let mut checkpoint = checkpoint.clone();
    for number in by {
        let mut memory = Fresh(Policy::from(lab.key.clone()));
        let ask = AddCheckpoint {
            old: 0,
            path: Vec::new(),
            checkpoint,
        };
        let witness = Witness::new(key(*number));
        checkpoint = witness
            .add_checkpoint(&mut memory, &ask, time)
            .unwrap()
            .checkpoint;
    }
    checkpoint
}

pub(crate) fn policy(lab: &Lab) -> TrustPolicy {
    let mut text = format!("log {}\n", lab.key);
    for number in 1..=3 {
        text += &format!("witness w{number} {}\n", key(number).verifier());
    }
    text += "group most 2 w1 w2 w3\nquorum most\n";
    TrustPolicy::parse(text.as_bytes()).unwrap()
}

fn check(lab: &Lab, checkpoint: &SignedCheckpoint) -> Report {
    lab.verify(
        &lab.bare()
            .policy(policy(lab))
            .checkpoint(checkpoint.clone()),
    )
}

#[test]
fn a_policy_gives_the_key_and_wants_its_quorum() {
    let lab = Lab::small();
    assert_holds(&check(&lab, &cosigned(&lab, &lab.checkpoint, &[1, 3], 1)));
    for by in [&[][..], &[2]] {
        let report = check(&lab, &cosigned(&lab, &lab.checkpoint, by, 1));
        assert_eq!(
            codes(&report.unchecked),
            ["checkpoint.no_quorum"],
            "{}",
            show(&report)
        );
        assert_eq!(report.completeness, Completeness::NotChecked);
        assert_eq!(report.outcome(false), Outcome::Undecided);
    }
    // A receipt alone, which nobody cosigned, anchors nothing then.
    let options = lab.bare().policy(policy(&lab)).receipt(lab.receipt.clone());
    let report = lab.verify(&options);
    assert_eq!(
        report.completeness,
        Completeness::NotChecked,
        "{}",
        show(&report)
    );
}

/// What the user remembers was never cosigned, so it can contradict, but doesn't make up for a quorum.
#[test]
fn what_is_known_is_no_quorum() {
    let lab = Lab::small();
    let options = || lab.bare().policy(policy(&lab)).known(lab.known());
    let report = lab.verify(&options());
    assert_eq!(
        (report.completeness, report.outcome(false)),
        (Completeness::NotChecked, Outcome::Undecided),
        "{}",
        show(&report)
    );
    assert_eq!(report.anchored_through, None);
    let good = cosigned(&lab, &lab.checkpoint, &[1, 2], 1);
    assert_holds(&lab.verify(&options().checkpoint(good)));
    // Without a policy it is all that is wanted.
    assert_holds(&lab.verify(&lab.bare().known(lab.known())));
}

/// Whoever signs the log can't be one of those who watch it.
#[test]
fn a_key_of_the_journal_is_no_witness_of_it() {
    let lab = Lab::small();
    let text = String::from_utf8(lab.read("signer.key")).unwrap();
    let private = text.trim_end().splitn(5, '+').last().unwrap();
    let private = data_encoding::BASE64.decode(private.as_bytes()).unwrap();
    let seed = private[1..].try_into().unwrap();
    let own = CosigningKey::generate("witness.example/own", seed).unwrap();
    assert_eq!(own.verifier().public_key(), lab.key.public_key());
    let own_key = own.verifier().clone();
    let mut memory = Fresh(Policy::from(lab.key.clone()));
    let ask = AddCheckpoint {
        old: 0,
        path: Vec::new(),
        checkpoint: lab.checkpoint.clone(),
    };
    let answer = Witness::new(own).add_checkpoint(&mut memory, &ask, 1);
    let checkpoint = answer.unwrap().checkpoint;
    let text = format!("witness w {}\nquorum w\n", own_key);
    let policy = TrustPolicy::parse(text.as_bytes()).unwrap();
    let options = lab.bare().key(lab.key.clone()).policy(policy);
    let report = lab.verify(&options.checkpoint(checkpoint));
    assert_eq!(
        codes(&report.unchecked),
        ["policy.own_witness"],
        "{}",
        show(&report)
    );
    assert_eq!(report.completeness, Completeness::NotChecked);
    assert_eq!(report.outcome(false), Outcome::Undecided);
}

#[test]
fn a_cosignature_that_does_not_verify_spoils_its_checkpoint() {
    let lab = Lab::small();
    let good = cosigned(&lab, &lab.checkpoint, &[1, 2], 1);
    let mut seen = HashMap::new();
    for signature in good.signatures() {
        seen.insert(signature.key_id(), signature.bytes().to_vec());
    }
    let text = good.to_string();
    let line = text.lines().last().unwrap();
    let (rest, base64) = line.rsplit_once(' ').unwrap();
    let other = if base64.as_bytes()[20] == b'A' {
        "B"
    } else {
        "A"
    };
    let changed = format!("{rest} {}{other}{}", &base64[..20], &base64[21..]);
    let forged = SignedCheckpoint::parse(text.replace(line, &changed).as_bytes()).unwrap();
    let report = check(&lab, &forged);
    assert_eq!(
        codes(&report.findings),
        ["checkpoint.bad_signature"],
        "{}",
        show(&report)
    );
}

/// Only witnesses can tell a checkpoint of a replaced key from one that a thief made since.
#[test]
fn witnesses_vouch_for_a_checkpoint_of_a_replaced_key() {
    let lab = Lab::small();
    let old = lab.copy();
    let journal = old.open();
    journal
        .append(event("account-1", "another history"))
        .unwrap();
    let other = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let journal = lab.open();
    journal.append(event("account-1", "this history")).unwrap();
    journal.rotate_key(Rotation::new()).unwrap();
    journal.close().unwrap();
    let report = lab.verify(&lab.bare().key(lab.key.clone()).checkpoint(other.clone()));
    assert_eq!(
        codes(&report.unchecked),
        ["checkpoint.retired_key"],
        "{}",
        show(&report)
    );
    let report = check(&lab, &cosigned(&lab, &other, &[1, 2], 1));
    assert_eq!(
        codes(&report.findings),
        ["history.forked"],
        "{}",
        show(&report)
    );
    // After the key was revoked even theirs doesn't count.
    let journal = lab.open();
    journal.revoke_key(&lab.key, 1).unwrap();
    journal.close().unwrap();
    let late = i64::MAX as u64 / 1_000_000;
    let report = check(&lab, &cosigned(&lab, &other, &[1, 2], late));
    assert!(report.findings.is_empty(), "{}", show(&report));
    assert!(
        codes(&report.unchecked).contains(&"checkpoint.retired_key"),
        "{}",
        show(&report)
    );
}
