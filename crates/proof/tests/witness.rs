//! Witnesses and policies: what is cosigned, what counts, and what is refused.

use std::{collections::HashMap, convert::Infallible};

use ed25519_dalek::Verifier;
use factlog_proof::{
    AddCheckpoint, Checkpoint, CheckpointError, CosignerKey, CosigningKey, Hash, NoteSignature,
    Policy, PolicyProblem, SignedCheckpoint, SigningKey, TrustPolicy, VerifierKey, Witness,
    WitnessError, WitnessMemory, consistency_path, root_at,
};

mod common;
use common::{Levels, ORIGIN, key, leaves};

const TIME: u64 = 1_763_777_777;

fn checkpoint(size: u64) -> SignedCheckpoint {
    let root = root_at(&Levels::new(&leaves(size)), size).unwrap();
    Checkpoint::new(ORIGIN, size, root)
        .unwrap()
        .sign(&key(ORIGIN, 1))
        .unwrap()
}

fn ask(old: u64, size: u64) -> AddCheckpoint {
    AddCheckpoint {
        old,
        path: consistency_path(&Levels::new(&leaves(size)), old, size).unwrap(),
        checkpoint: checkpoint(size),
    }
}

/// Keeps nothing but in memory, and counts how often.
#[derive(Default)]
struct Memory {
    logs: HashMap<String, (Policy, Option<SignedCheckpoint>)>,
    kept: u32,
}

impl Memory {
    fn knowing() -> Self {
        let mut memory = Self::default();
        let policy = Policy::from(key(ORIGIN, 1).verifier().clone());
        memory.logs.insert(ORIGIN.to_owned(), (policy, None));
        memory
    }
}

impl WitnessMemory for Memory {
    type Error = Infallible;

    fn last(&self, origin: &str) -> Result<Option<(Policy, Option<SignedCheckpoint>)>, Infallible> {
        Ok(self.logs.get(origin).cloned())
    }

    fn keep(&mut self, checkpoint: &SignedCheckpoint) -> Result<(), Infallible> {
        self.kept += 1;
        let log = self.logs.get_mut(checkpoint.claimed().origin()).unwrap();
        log.1 = Some(checkpoint.clone());
        Ok(())
    }
}

fn witness(number: u8) -> Witness {
    Witness::new(cosigning(number))
}

fn cosigning(number: u8) -> CosigningKey {
    CosigningKey::generate(&format!("witness.example/w{number}"), [100 + number; 32]).unwrap()
}

#[test]
fn a_witness_follows_a_log_that_grows() {
    let mut memory = Memory::knowing();
    let witness = witness(1);
    let key = cosigning(1).verifier().clone();
    for (old, size, kept) in [(0, 3, 1), (3, 3, 1), (3, 8, 2), (8, 21, 3)] {
        let answer = witness
            .add_checkpoint(&mut memory, &ask(old, size), TIME)
            .unwrap();
        assert_eq!(answer.first_contact, old == 0);
        assert_eq!(memory.kept, kept, "the same checkpoint is not kept anew");
        assert_eq!(answer.checkpoint.claimed().size(), size);
        assert_eq!(key.cosigned(&answer.checkpoint), Ok(Some(TIME)));
        // The log's own signature still stands there.
        assert!(
            answer
                .checkpoint
                .verify(common::key(ORIGIN, 1).verifier())
                .is_ok()
        );
    }
}

/// By the letter of the text, with another implementation's Ed25519 and key id.
#[test]
fn a_cosignature_is_what_the_text_says() {
    let answer = witness(1)
        .add_checkpoint(&mut Memory::knowing(), &ask(0, 5), TIME)
        .unwrap();
    let signature: &NoteSignature = answer.checkpoint.signatures().last().unwrap();
    let key = cosigning(1);
    let mut typed = vec![4];
    typed.extend(key.verifier().public_key());
    let id = signed_note::key_id("witness.example/w1", &typed);
    assert_eq!(signature.key_id(), id.to_be_bytes());
    let (time, bytes) = signature.bytes().split_at(8);
    assert_eq!(time, TIME.to_be_bytes());
    let text = answer.checkpoint.to_string();
    let body = text
        .split_inclusive("\n\n")
        .next()
        .unwrap()
        .strip_suffix('\n')
        .unwrap();
    let message = format!("cosignature/v1\ntime {TIME}\n{body}");
    let public = ed25519_dalek::VerifyingKey::from_bytes(key.verifier().public_key()).unwrap();
    let bytes = ed25519_dalek::Signature::from_slice(bytes).unwrap();
    assert!(public.verify(message.as_bytes(), &bytes).is_ok());
}

fn code(result: Result<factlog_proof::Cosigned, WitnessError>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn a_witness_refuses_rollbacks_forks_and_what_is_not_shown() {
    let witness = witness(1);
    let mut memory = Memory::knowing();
    witness
        .add_checkpoint(&mut memory, &ask(0, 8), TIME)
        .unwrap();
    let mut answer =
        |request: &AddCheckpoint| code(witness.add_checkpoint(&mut memory, request, TIME));
    assert_eq!(answer(&ask(0, 5)), "history.rolled_back");
    assert_eq!(answer(&ask(5, 5)), "history.rolled_back");
    assert_eq!(answer(&ask(5, 13)), "witness.conflict");
    assert_eq!(answer(&ask(0, 13)), "witness.conflict");
    let other = Checkpoint::new(ORIGIN, 8, Hash::from_bytes([7; 32])).unwrap();
    let other = other.sign(&key(ORIGIN, 1)).unwrap();
    let forked = AddCheckpoint {
        checkpoint: other,
        ..ask(8, 8)
    };
    assert_eq!(answer(&forked), "history.forked");
    let mut longer = ask(8, 13);
    longer.path.push(Hash::from_bytes([0; 32]));
    assert_eq!(answer(&longer), "witness.not_consistent");
    let mut shorter = ask(8, 13);
    shorter.path.pop();
    assert_eq!(answer(&shorter), "witness.not_consistent");
    let mut elsewhere = ask(8, 13);
    elsewhere.path[0] = Hash::from_bytes([0; 32]);
    assert_eq!(answer(&elsewhere), "witness.not_consistent");
    assert_eq!(
        answer(&AddCheckpoint {
            old: 14,
            ..ask(8, 13)
        }),
        "proof.sizes_reversed"
    );
    let stranger = Checkpoint::new(ORIGIN, 13, Hash::from_bytes([7; 32])).unwrap();
    let unsigned = AddCheckpoint {
        checkpoint: stranger.sign(&key(ORIGIN, 2)).unwrap(),
        ..ask(8, 13)
    };
    assert_eq!(answer(&unsigned), "note.no_known_signature");
    assert_eq!(memory.kept, 1, "nothing of it was kept");
}

#[test]
fn a_log_that_the_witness_was_not_told_of_is_unknown() {
    let mut memory = Memory::default();
    let answer = witness(1).add_checkpoint(&mut memory, &ask(0, 3), TIME);
    assert_eq!(code(answer), "witness.unknown_log");
    // Nor does a first contact come with a proof of anything.
    let mut memory = Memory::knowing();
    let first = AddCheckpoint {
        path: vec![Hash::from_bytes([1; 32])],
        ..ask(0, 3)
    };
    let answer = witness(1).add_checkpoint(&mut memory, &first, TIME);
    assert_eq!(code(answer), "witness.not_consistent");
}

#[test]
fn nothing_is_cosigned_that_could_not_be_kept() {
    #[derive(Debug)]
    struct Full(Memory);
    impl WitnessMemory for Full {
        type Error = std::io::Error;

        fn last(
            &self,
            origin: &str,
        ) -> Result<Option<(Policy, Option<SignedCheckpoint>)>, std::io::Error> {
            Ok(self.0.logs.get(origin).cloned())
        }

        fn keep(&mut self, _: &SignedCheckpoint) -> Result<(), std::io::Error> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    let answer = witness(1).add_checkpoint(&mut Full(Memory::knowing()), &ask(0, 3), TIME);
    assert_eq!(code(answer), "witness.memory");
}

#[test]
fn requests_have_one_spelling() {
    let text = ask(3, 8).to_string();
    assert_eq!(AddCheckpoint::parse(text.as_bytes()).unwrap(), ask(3, 8));
    assert!(text.starts_with("old 3\n"));
    let many = format!(
        "old 3\n{}",
        format!("{}\n", Hash::from_bytes([1; 32])).repeat(64)
    );
    let rest = checkpoint(8).to_string();
    for bad in [
        text.replacen("old 3", "old 03", 1),
        text.replacen("old 3", "old  3", 1),
        text.replacen("old 3", "old +3", 1),
        text.replacen("old 3\n", "", 1),
        text.replacen("old 3\n", "old 3\n\n", 1),
        text.replacen('\n', "\r\n", 1),
        text.trim_end().to_owned(),
        format!("{many}\n{rest}"),
        format!("old 18446744073709551616\n\n{rest}"),
        String::new(),
    ] {
        assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn keys_of_logs_and_witnesses_are_not_confused() {
    let (log, witness) = (key(ORIGIN, 1), cosigning(1));
    assert!(CosignerKey::parse(&log.verifier().to_string()).is_err());
    assert!(VerifierKey::parse(&witness.verifier().to_string()).is_err());
    assert!(SigningKey::from_text(&witness.to_text()).is_err());
    assert!(CosigningKey::from_text(&log.to_text()).is_err());
    let again = CosigningKey::from_text(&witness.to_text()).unwrap();
    assert_eq!(again.verifier(), witness.verifier());
    assert_eq!(
        CosignerKey::parse(&witness.verifier().to_string()).as_ref(),
        Ok(witness.verifier())
    );
    let text = witness.verifier().to_string();
    for bad in [
        format!("{text}\n"),
        text.replace("+", " "),
        text.replacen('w', "v", 1),
    ] {
        assert!(CosignerKey::parse(&bad).is_err(), "{bad}");
    }
    let debug = format!("{witness:?}");
    assert!(debug.contains("secret") && !debug.contains(witness.to_text().as_str()));
}

/// A checkpoint of 8 leaves with the cosignatures of these witnesses.
fn cosigned(by: &[u8]) -> SignedCheckpoint {
    let mut request = ask(0, 8);
    for number in by {
        let answer = witness(*number).add_checkpoint(&mut Memory::knowing(), &request, TIME);
        request.checkpoint = answer.unwrap().checkpoint;
    }
    request.checkpoint
}

fn policy(rest: &str) -> String {
    let mut text = format!(
        "# of ours\n\nlog {} https://log.example/\n",
        key(ORIGIN, 1).verifier()
    );
    for number in 1..=5 {
        text += &format!("\t witness w{number}  {}\n", cosigning(number).verifier());
    }
    text + rest
}

#[test]
fn a_quorum_counts_who_cosigned() {
    let groups = "group x 2 w1 w2 w3\ngroup y any w4 w5\ngroup both all x y\nquorum both\n";
    for (rest, by, enough) in [
        ("quorum none\n", &[][..], true),
        ("quorum w2\n", &[2], true),
        ("quorum w2\n", &[1, 3], false),
        (groups, &[1, 3, 5], true),
        (groups, &[1, 2, 3], false),
        (groups, &[1, 4, 5], false),
        ("group all all w1 w2\nquorum all\n", &[1], false),
        ("group all all w1 w2\nquorum all\n", &[2, 1], true),
        ("quorum w1\ngroup later any w2\n", &[1], true),
    ] {
        let policy = TrustPolicy::parse(policy(rest).as_bytes()).unwrap();
        let checked = policy.check(&cosigned(by));
        assert_eq!(checked.is_ok(), enough, "{rest} by {by:?}: {checked:?}");
        match checked {
            Ok(vouched) => {
                assert_eq!(vouched.witnesses.len(), by.len());
                assert_eq!(vouched.logs, [key(ORIGIN, 1).verifier().clone()]);
            }
            Err(error) => assert_eq!(error, CheckpointError::NoQuorum),
        }
    }
}

/// What an attacker adds to a checkpoint gives no more votes, and what doesn't verify spoils it.
#[test]
fn forged_cosignatures_do_not_count() {
    let policy = TrustPolicy::parse(policy("group g 2 w1 w2 w3\nquorum g\n").as_bytes()).unwrap();
    let good = cosigned(&[1]);
    let last = good.signatures().last().unwrap().clone();
    let with = |more: Vec<NoteSignature>| {
        let all = good.signatures().iter().cloned().chain(more).collect();
        SignedCheckpoint::new(good.claimed().clone(), all).unwrap()
    };
    let refused = |checkpoint: &SignedCheckpoint| policy.check(checkpoint).unwrap_err().code();
    assert_eq!(refused(&with(vec![])), "checkpoint.no_quorum");
    // Twice the same, or of another time.
    assert_eq!(
        refused(&with(vec![last.clone()])),
        "note.duplicate_signature"
    );
    // The same bytes under another witness's name.
    let w2 = cosigning(2).verifier().clone();
    let stolen = NoteSignature::new(w2.name(), w2.key_id(), last.bytes().to_vec()).unwrap();
    assert_eq!(refused(&with(vec![stolen])), "note.bad_signature");
    // Another time than was signed, and one past the end of time.
    for time in [TIME + 1, u64::MAX] {
        let mut bytes = last.bytes().to_vec();
        bytes[..8].copy_from_slice(&time.to_be_bytes());
        let moved = NoteSignature::new(last.name(), last.key_id(), bytes).unwrap();
        let mut all = good.signatures().to_vec();
        *all.last_mut().unwrap() = moved;
        let moved = SignedCheckpoint::new(good.claimed().clone(), all).unwrap();
        assert_eq!(refused(&moved), "note.bad_signature");
    }
    // A plain signature by the witness's secret is no cosignature.
    let plain = SigningKey::generate(w2.name(), [102; 32]).unwrap();
    let bytes = plain.sign(good.claimed().to_string().as_bytes()).to_vec();
    let plain = NoteSignature::new(w2.name(), plain.verifier().key_id(), bytes).unwrap();
    assert_eq!(refused(&with(vec![plain])), "checkpoint.no_quorum");
    // Nor is the log's own.
    let own = cosigned(&[1, 2]);
    let stripped: Vec<_> = own.signatures().iter().skip(1).cloned().collect();
    let stripped = SignedCheckpoint::new(own.claimed().clone(), stripped).unwrap();
    assert_eq!(refused(&stripped), "note.no_known_signature");
    // A cosignature of another checkpoint.
    let mut other = ask(0, 5);
    other = AddCheckpoint {
        checkpoint: witness(2)
            .add_checkpoint(&mut Memory::knowing(), &other, TIME)
            .unwrap()
            .checkpoint,
        ..other
    };
    let moved = other.checkpoint.signatures().last().unwrap().clone();
    assert_eq!(refused(&with(vec![moved])), "note.bad_signature");
}

#[test]
fn a_policy_has_its_logs_and_so_many_witnesses_and_groups_and_no_more() {
    let chain = |groups: u32| {
        let mut text = policy("group g1 any w1\n");
        for number in 2..=groups {
            text += &format!("group g{number} any g{}\n", number - 1);
        }
        TrustPolicy::parse((text + "quorum none\n").as_bytes())
    };
    // Five witnesses are there already.
    let most = chain(2048 - 5).unwrap();
    assert_eq!(most.logs(), [key(ORIGIN, 1).verifier().clone()]);
    assert_eq!(chain(2048 - 4).unwrap_err().why, PolicyProblem::TooMany);
}

#[test]
fn policy_files_are_read_strictly() {
    let fails = |text: &str| TrustPolicy::parse(text.as_bytes()).unwrap_err().why;
    let (w1, log) = (cosigning(1).verifier().to_string(), key(ORIGIN, 1));
    let same = CosignerKey::new("other.example", cosigning(1).verifier().public_key()).unwrap();
    let logs_own = CosignerKey::new("own.example", log.verifier().public_key()).unwrap();
    for (rest, why) in [
        ("", PolicyProblem::NoQuorum),
        ("quorum none", PolicyProblem::NoLineEnd),
        ("quorum none\nquorum none\n", PolicyProblem::SecondQuorum),
        ("quorum w9\n", PolicyProblem::Undefined),
        ("quorum w1 w2\n", PolicyProblem::Items),
        ("quorum\n", PolicyProblem::Items),
        ("quorum g\ngroup g any w1\n", PolicyProblem::Undefined),
        ("group g any g\nquorum g\n", PolicyProblem::Undefined),
        ("group g 0 w1\nquorum g\n", PolicyProblem::Threshold),
        ("group g 2 w1\nquorum g\n", PolicyProblem::Threshold),
        ("group g 01 w1\nquorum g\n", PolicyProblem::Threshold),
        ("group g +1 w1\nquorum g\n", PolicyProblem::Threshold),
        ("group g all\nquorum g\n", PolicyProblem::Threshold),
        ("group g any w1 w1\nquorum g\n", PolicyProblem::Repeated),
        (
            "group g any w1\ngroup h any w1\nquorum g\n",
            PolicyProblem::Repeated,
        ),
        ("group w1 any w2\nquorum w1\n", PolicyProblem::Repeated),
        ("group none any w2\nquorum none\n", PolicyProblem::Repeated),
        ("group g any none\nquorum g\n", PolicyProblem::Undefined),
        ("Quorum none\n", PolicyProblem::Unknown),
        ("quorum none\r\n", PolicyProblem::Characters),
        ("quorum none\u{b}\n", PolicyProblem::Characters),
        (
            &format!("witness again {w1}\nquorum none\n"),
            PolicyProblem::SameKey,
        ),
        (
            &format!("witness again {same}\nquorum none\n"),
            PolicyProblem::SameKey,
        ),
        (
            &format!("witness own {logs_own}\nquorum none\n"),
            PolicyProblem::SameKey,
        ),
        (
            &format!("log {}\nquorum none\n", log.verifier()),
            PolicyProblem::SameKey,
        ),
    ] {
        assert_eq!(fails(&policy(rest)), why, "{rest:?}");
    }
    let wrong = format!("log {w1}\nquorum none\n");
    let error = TrustPolicy::parse(wrong.as_bytes()).unwrap_err();
    assert_eq!((error.line, error.code()), (1, "key.unsupported_type"));
    // Names are bytes, and comments may hold any text.
    let opaque = [
        b"witness \xff ".as_slice(),
        w1.as_bytes(),
        b"\n# \xfe\nquorum \xff\n",
    ]
    .concat();
    let policy = TrustPolicy::parse(&opaque).unwrap();
    assert!(policy.logs().is_empty() && policy.wants_witnesses());
}

#[test]
fn any_bytes_as_a_policy_or_request_end_in_an_answer() {
    let good = policy("group x 2 w1 w2 w3\nquorum x\n").into_bytes();
    let request = ask(3, 8).to_string().into_bytes();
    for text in [good, request] {
        for at in 0..text.len() {
            for byte in [0, b'\n', b' ', b'+', 0x7f, 0xff] {
                let mut changed = text.clone();
                changed[at] = byte;
                let _ = TrustPolicy::parse(&changed);
                let _ = AddCheckpoint::parse(&changed);
            }
            let _ = TrustPolicy::parse(&text[..at]);
            let _ = AddCheckpoint::parse(&text[..at]);
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({})", self.kept)
    }
}

/// Anybody can add a line in the name and id of the log's next key before the witness learns of it.
#[test]
fn lines_that_nobody_checked_are_not_kept() {
    let next = key(ORIGIN, 2).verifier().clone();
    let junk = NoteSignature::new(next.name(), next.key_id(), vec![7; 64]).unwrap();
    let mut first = ask(0, 5);
    let mut lines = first.checkpoint.signatures().to_vec();
    lines.push(junk);
    first.checkpoint = SignedCheckpoint::new(first.checkpoint.claimed().clone(), lines).unwrap();
    let mut memory = Memory::knowing();
    let witness = witness(1);
    witness.add_checkpoint(&mut memory, &first, TIME).unwrap();
    let log = memory.logs.get_mut(ORIGIN).unwrap();
    let both = Policy::new([key(ORIGIN, 1).verifier().clone(), next]).unwrap();
    log.0 = both.clone();
    let kept = log.1.clone().unwrap();
    assert!(kept.verify_by(&both).is_ok(), "{kept}");
    assert_eq!(kept, checkpoint(5));
    assert!(
        witness
            .add_checkpoint(&mut memory, &ask(5, 8), TIME)
            .is_ok()
    );
}
