//! Checkpoints as texts and as signed statements.

use factlog_proof::{
    Checkpoint, CheckpointError, Hash, NoteSignature, Policy, SignedCheckpoint, SigningKey,
    empty_root, leaf_hash,
};

mod common;
use common::{ORIGIN, key};

// The examples of C2SP tlog-checkpoint and tlog-cosignature.
const BODY: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const LOG: &str = "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
const WITNESS: &str = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

fn root() -> Hash {
    leaf_hash(b"root")
}

#[test]
fn published_checkpoints_are_read_and_written() {
    for lines in [LOG.to_owned(), format!("{LOG}{WITNESS}")] {
        let text = format!("{BODY}\n{lines}");
        let signed = SignedCheckpoint::parse(text.as_bytes()).unwrap();
        assert_eq!(signed.to_string(), text);
        assert_eq!(signed.claimed().origin(), "example.com/behind-the-sofa");
        assert_eq!(signed.claimed().size(), 20_852_163);
        assert_eq!(signed.claimed().to_string(), BODY);
    }
}

#[test]
fn checkpoints_have_one_spelling() {
    let root = root().to_string();
    let empty = empty_root().to_string();
    // name, text, code
    #[rustfmt::skip]
    let cases = [
        ("empty", String::new(), "checkpoint.malformed"),
        ("one line", "log\n".into(), "checkpoint.malformed"),
        ("two lines", "log\n7\n".into(), "checkpoint.malformed"),
        ("no last line feed", format!("log\n7\n{root}"), "checkpoint.malformed"),
        ("blank line after", format!("log\n7\n{root}\n\n"), "checkpoint.malformed"),
        ("extension", format!("log\n7\n{root}\nmore\n"), "checkpoint.extension_lines"),
        ("no origin", format!("\n7\n{root}\n"), "checkpoint.origin"),
        ("spaced origin", format!("go.sum database tree\n7\n{root}\n"), "checkpoint.origin"),
        ("plus in the origin", format!("a+b\n7\n{root}\n"), "checkpoint.origin"),
        ("long origin", format!("{}\n7\n{root}\n", "o".repeat(256)), "checkpoint.origin"),
        ("CR", format!("log\r\n7\r\n{root}\r\n"), "checkpoint.malformed"),
        ("leading zero", format!("log\n07\n{root}\n"), "checkpoint.malformed"),
        ("sign", format!("log\n+7\n{root}\n"), "checkpoint.malformed"),
        ("negative", format!("log\n-7\n{root}\n"), "checkpoint.malformed"),
        ("hex", format!("log\n0x7\n{root}\n"), "checkpoint.malformed"),
        ("space", format!("log\n7 \n{root}\n"), "checkpoint.malformed"),
        ("no size", format!("log\n\n{root}\n"), "checkpoint.malformed"),
        ("too large", format!("log\n18446744073709551616\n{root}\n"), "checkpoint.malformed"),
        ("short root", "log\n7\nAAAA\n".into(), "checkpoint.malformed"),
        ("long root", format!("log\n7\n{root}{root}\n"), "checkpoint.malformed"),
        ("no padding", format!("log\n7\n{}\n", root.trim_end_matches('=')), "checkpoint.malformed"),
        ("root of an empty tree", format!("log\n0\n{root}\n"), "checkpoint.empty_root"),
    ];
    for (name, text, code) in cases {
        let result = Checkpoint::parse(&text).map_err(|error| error.code());
        assert_eq!(result.err(), Some(code), "{name}");
    }
    for text in [
        format!("log\n0\n{empty}\n"),
        format!("größe\n18446744073709551615\n{root}\n"),
    ] {
        assert_eq!(Checkpoint::parse(&text).unwrap().to_string(), text);
    }
}

#[test]
fn only_the_logs_own_key_signs() {
    let log = key(ORIGIN, 1);
    let other = key("example.com/other", 1);
    let checkpoint = Checkpoint::new(ORIGIN, 7, root()).unwrap();
    let signed = checkpoint.sign(&log).unwrap();
    assert_eq!(signed.verify(log.verifier()), Ok(&checkpoint));
    assert_eq!(checkpoint.sign(&log), Ok(signed.clone()));
    assert_eq!(
        checkpoint.sign(&other),
        Err(CheckpointError::OriginMismatch)
    );
    assert_eq!(
        signed.verify(other.verifier()),
        Err(CheckpointError::OriginMismatch)
    );
    let again = SignedCheckpoint::new(checkpoint, signed.signatures().to_vec());
    assert_eq!(again, Ok(signed));
}

#[test]
fn a_policy_needs_the_log_and_checks_all_it_knows() {
    let (old, new) = (key(ORIGIN, 1), key(ORIGIN, 2));
    let friend = key("example.com/friend", 3);
    let checkpoint = Checkpoint::new(ORIGIN, 7, root()).unwrap();
    let by = |key: &SigningKey| {
        let bytes = key.sign(checkpoint.to_string().as_bytes()).to_vec();
        NoteSignature::new(key.verifier().name(), key.verifier().key_id(), bytes).unwrap()
    };
    let bad = |key: &SigningKey| {
        let verifier = key.verifier();
        NoteSignature::new(verifier.name(), verifier.key_id(), vec![1; 64]).unwrap()
    };
    // name, signatures, keys of the policy, whether unknown ones are refused, signers or code
    let none = "note.no_known_signature";
    #[rustfmt::skip]
    let cases = [
        ("log", vec![by(&old)], vec![&old], true, Ok(1)),
        ("either key", vec![by(&new)], vec![&old, &new], true, Ok(1)),
        ("both keys", vec![by(&old), by(&new)], vec![&old, &new], true, Ok(2)),
        ("unknown ignored", vec![by(&old), bad(&new)], vec![&old], false, Ok(1)),
        ("unknown refused", vec![by(&old), by(&new)], vec![&old], true, Err("note.unknown_signature")),
        ("another's name counts not", vec![by(&friend)], vec![&friend], false, Err("checkpoint.not_signed_by_log")),
        ("another's name beside", vec![by(&friend), by(&old)], vec![&old, &friend], true, Ok(1)),
        ("another's is checked", vec![bad(&friend), by(&old)], vec![&old, &friend], false, Err("note.bad_signature")),
        ("unknown alone", vec![by(&new)], vec![&old], false, Err(none)),
        ("no keys", vec![by(&new)], vec![], false, Err(none)),
        ("twice", vec![by(&old), by(&old)], vec![&old], false, Err("note.duplicate_signature")),
    ];
    for (name, signatures, keys, strict, expected) in cases {
        let signed = SignedCheckpoint::new(checkpoint.clone(), signatures).unwrap();
        let mut policy = Policy::new(keys.iter().map(|key| key.verifier().clone())).unwrap();
        if strict {
            policy = policy.refuse_unknown_signatures();
        }
        let result = signed.verify_by(&policy).map(|(_, signers)| signers.len());
        assert_eq!(result.map_err(|error| error.code()), expected, "{name}");
    }
}
