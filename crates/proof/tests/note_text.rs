//! Keys and notes as texts: published examples, and every spelling that must be refused.

use factlog_proof::{
    KeyError, NoteError, NoteSignature, Policy, SignedNote, SigningKey, VerifierKey,
};
use proptest::prelude::*;

mod common;
use common::key;

// The examples of C2SP signed-note and of Go's sumdb/note, and the key of sum.golang.org.
const C2SP_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const C2SP_NOTE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const PETER_SKEY: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PETER_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH_VKEY: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n";
const PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
const SUMDB_VKEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const SALVATORE: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n\
    ed è subito sera.\n\n\
    — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn vkey(text: &str) -> VerifierKey {
    VerifierKey::parse(text).unwrap()
}

fn verify(note: &str, keys: &[&str]) -> Result<usize, NoteError> {
    let keys: Vec<_> = keys.iter().copied().map(vkey).collect();
    SignedNote::parse(note.as_bytes())?
        .verify(&keys)
        .map(|signers| signers.len())
}

#[test]
fn a_key_shows_itself_as_its_text() {
    assert_eq!(
        format!("{:?}", vkey(PETER_VKEY)),
        format!("VerifierKey({PETER_VKEY})")
    );
}

#[test]
fn published_notes_verify() {
    assert_eq!(verify(C2SP_NOTE, &[C2SP_VKEY]), Ok(1));
    let both = format!("{TEXT}\n{PETER}{ENOCH}");
    assert_eq!(verify(&both, &[PETER_VKEY]), Ok(1));
    assert_eq!(verify(&both, &[PETER_VKEY, ENOCH_VKEY]), Ok(2));
    assert_eq!(
        verify(&both, &[SUMDB_VKEY]),
        Err(NoteError::NoKnownSignature)
    );
    for note in [C2SP_NOTE, SALVATORE, &both] {
        assert_eq!(
            SignedNote::parse(note.as_bytes()).unwrap().to_string(),
            note
        );
    }
}

#[test]
fn published_keys_are_read_and_written() {
    for text in [C2SP_VKEY, PETER_VKEY, ENOCH_VKEY, SUMDB_VKEY] {
        assert_eq!(vkey(text).to_string(), text);
    }
    let peter = SigningKey::from_text(PETER_SKEY).unwrap();
    assert_eq!(*peter.verifier(), vkey(PETER_VKEY));
    assert_eq!(peter.to_text().as_str(), PETER_SKEY);
    // Ed25519 is deterministic, so the published signature is made again.
    let bytes = peter.sign(TEXT.as_bytes()).to_vec();
    let signature = NoteSignature::new("PeterNeumann", peter.verifier().key_id(), bytes).unwrap();
    let note = SignedNote::new(TEXT.to_owned(), vec![signature]).unwrap();
    assert_eq!(note.to_string(), format!("{TEXT}\n{PETER}"));
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", SigningKey::from_text(PETER_SKEY).unwrap());
    assert!(shown.contains("PeterNeumann+c74f20a3+"), "{shown}");
    assert!(!shown.contains("AYEKFALVFGyNhPJEMzD1QIDr"), "{shown}");
}

#[test]
fn keys_have_one_spelling() {
    // name, vkey, code
    #[rustfmt::skip]
    let cases = [
        ("empty", "", "key.malformed"),
        ("no parts", "PeterNeumann", "key.malformed"),
        ("no key", "PeterNeumann+c74f20a3", "key.malformed"),
        ("empty key", "PeterNeumann+c74f20a3+", "key.malformed"),
        ("empty name", "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.name"),
        ("space", "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.name"),
        ("wide space", "Peter\u{3000}N+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.name"),
        ("control", "Peter\u{7}N+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.name"),
        ("other name", "Peterneumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.id_mismatch"),
        ("other id", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.id_mismatch"),
        ("upper case id", "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.malformed"),
        ("short id", "PeterNeumann+c74f20+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.malformed"),
        ("long id", "PeterNeumann+00c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.malformed"),
        ("signed id", "PeterNeumann++74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.malformed"),
        ("fourth part", "PeterNeumann+c74f20a3+ARpc+2QcU", "key.malformed"),
        ("long key", "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", "key.malformed"),
        ("other type", "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key.unsupported_type"),
        ("line end", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n", "key.malformed"),
        ("url base64", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq_LDE4izWy10TW", "key.malformed"),
    ];
    for (name, text, code) in cases {
        assert_eq!(
            VerifierKey::parse(text).map_err(|e| e.code()).err(),
            Some(code),
            "{name}"
        );
    }
    for (name, text, code) in cases.iter().filter(|(name, ..)| *name != "no parts") {
        let private = format!("PRIVATE+KEY+{text}");
        let result = SigningKey::from_text(&private).map_err(|e| e.code()).err();
        // The seed is not the public key, so a well-formed one has another id.
        let expected = match *name {
            "other name" | "other id" => "key.id_mismatch",
            _ => code,
        };
        assert_eq!(result, Some(expected), "{name}");
    }
    for prefix in [
        "",
        "PRIVATE+",
        "private+key+",
        "PRIVATE+KEY",
        " PRIVATE+KEY+",
    ] {
        let text = PETER_SKEY.replace("PRIVATE+KEY+", prefix);
        let result = SigningKey::from_text(&text);
        assert!(matches!(result, Err(KeyError::Malformed)), "{prefix}");
    }
}

#[test]
fn no_part_and_no_changed_character_of_a_key_is_a_key() {
    for end in 0..=PETER_SKEY.len() {
        for start in (0..end).filter(|start| (*start, end) != (0, PETER_SKEY.len())) {
            assert!(SigningKey::from_text(&PETER_SKEY[start..end]).is_err());
            if let Some(part) = PETER_VKEY
                .get(start..end)
                .filter(|part| *part != PETER_VKEY)
            {
                assert!(VerifierKey::parse(part).is_err());
            }
        }
    }
    for text in [PETER_VKEY, PETER_SKEY] {
        for bit in 0..text.len() * 8 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(VerifierKey::parse(&changed).is_err(), "{changed}");
            assert!(SigningKey::from_text(&changed).is_err(), "{changed}");
        }
    }
}

#[test]
fn notes_have_one_spelling() {
    let (note, long) = (format!("{TEXT}\n{PETER}"), "x".repeat(65_537));
    let with = |from: &str, to: &str| note.replacen(from, to, 1).into_bytes();
    let long_name = format!("— {} ", "n".repeat(256));
    let many = format!("{TEXT}\n{}", "— a AAAAAAA=\n".repeat(101));
    // name, note, code
    #[rustfmt::skip]
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty", vec![], "note.malformed"),
        ("text alone", TEXT.into(), "note.malformed"),
        ("no signatures", format!("{TEXT}\n").into(), "note.malformed"),
        ("blank signature", format!("{TEXT}\n\n").into(), "note.signature_line"),
        ("no last line feed", note.trim_end().into(), "note.malformed"),
        ("no blank line", format!("{TEXT}{PETER}").into(), "note.malformed"),
        ("two last line feeds", format!("{note}\n").into(), "note.signature_line"),
        ("line after", format!("{note}more\n").into(), "note.signature_line"),
        ("CR LF", note.replace('\n', "\r\n").into(), "note.characters"),
        ("tab", with("If", "\tIf"), "note.characters"),
        ("NUL", with("If", "\0If"), "note.characters"),
        ("not UTF-8", [b"\xff", note.as_bytes()].concat(), "note.characters"),
        ("hyphen", with("— ", "- "), "note.signature_line"),
        ("en dash", with("— ", "– "), "note.signature_line"),
        ("indented", with("— ", " — "), "note.signature_line"),
        ("two spaces", with("— ", "—  "), "note.signature_line"),
        ("wide space", with("— ", "—\u{a0}"), "note.signature_line"),
        ("two spaces after the name", with("Neumann ", "Neumann  "), "note.signature_line"),
        ("space in the name", with("Neumann ", " Neumann "), "note.signature_line"),
        ("plus in the name", with("Neumann ", "+Neumann "), "note.signature_line"),
        ("no name", with("PeterNeumann ", ""), "note.signature_line"),
        ("long name", with("— PeterNeumann ", &long_name), "note.signature_line"),
        ("space at the end", with("AM=\n", "AM= \n"), "note.signature_line"),
        ("no padding", with("AM=\n", "AM\n"), "note.signature_line"),
        ("trailing bits", with("AM=\n", "AN=\n"), "note.signature_line"),
        ("url base64", with("x08go/Z", "x08go_Z"), "note.signature_line"),
        ("key id alone", format!("{TEXT}\n— PeterNeumann x08gow==\n").into(), "note.signature_line"),
        ("short key id", format!("{TEXT}\n— PeterNeumann x08g\n").into(), "note.signature_line"),
        ("no signature", format!("{TEXT}\n— PeterNeumann \n").into(), "note.signature_line"),
        ("too long", format!("{long}\n\n{PETER}").into(), "note.too_large"),
        ("too many", many.into(), "note.too_many_signatures"),
    ];
    for (name, note, code) in cases {
        let result = SignedNote::parse(note).map_err(|error| error.code());
        assert_eq!(result.err(), Some(*code), "{name}");
    }
}

#[test]
fn signatures_of_known_keys_must_all_verify() {
    let bad = ENOCH.replace("rwz+eBzm", "rwz+eBzn");
    let short = "— EnochRoot rwz+eBzm\n";
    let both = [PETER_VKEY, ENOCH_VKEY];
    // name, signature lines, known keys, result
    #[rustfmt::skip]
    let cases: [(_, _, &[&str], _); 9] = [
        ("unknown ones are ignored", format!("{PETER}{bad}{short}"), &[PETER_VKEY], Ok(1)),
        ("repeated unknown ones too", format!("{ENOCH}{PETER}{ENOCH}"), &[PETER_VKEY], Ok(1)),
        ("a bad one spoils a good one", format!("{PETER}{bad}"), &both, Err("note.bad_signature")),
        ("in any order", format!("{bad}{PETER}"), &both, Err("note.bad_signature")),
        ("a short one is bad", format!("{PETER}{short}"), &both, Err("note.bad_signature")),
        ("twice", format!("{PETER}{PETER}"), &both, Err("note.duplicate_signature")),
        ("good and bad", format!("{ENOCH}{bad}"), &both, Err("note.bad_signature")),
        ("no known one", ENOCH.into(), &[PETER_VKEY], Err("note.no_known_signature")),
        ("no keys", ENOCH.into(), &[], Err("note.no_known_signature")),
    ];
    for (name, lines, keys, expected) in cases {
        let result = verify(&format!("{TEXT}\n{lines}"), keys);
        assert_eq!(result.map_err(|error| error.code()), expected, "{name}");
    }
}

#[test]
fn a_note_has_room_for_large_signatures() {
    let post_quantum = |name| NoteSignature::new(name, [1, 2, 3, 4], vec![7; 2_428]).unwrap();
    let names: Vec<_> = (0..16).map(|n| format!("witness{n}.example")).collect();
    let signatures: Vec<_> = names.iter().map(|name| post_quantum(name)).collect();
    let note = SignedNote::new(TEXT.to_owned(), signatures).unwrap();
    let parsed = SignedNote::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(parsed, note);
    assert_eq!(parsed.signatures()[15].bytes().len(), 2_428);
}

#[test]
fn notes_that_could_not_be_read_are_not_made() {
    let signature = || NoteSignature::new("a", [0; 4], vec![1]).unwrap();
    #[rustfmt::skip]
    let cases = [
        ("no line feed", "text", vec![signature()], "note.malformed"),
        ("empty", "", vec![signature()], "note.malformed"),
        ("no signature", "text\n", vec![], "note.malformed"),
        ("control", "te\rxt\n", vec![signature()], "note.characters"),
        ("too many", "text\n", vec![signature(); 101], "note.too_many_signatures"),
        ("too large", "text\n", vec![NoteSignature::new("a", [0; 4], vec![1; 65_000]).unwrap()], "note.too_large"),
    ];
    for (name, text, signatures, code) in cases {
        let result = SignedNote::new(text.to_owned(), signatures).map_err(|error| error.code());
        assert_eq!(result.err(), Some(code), "{name}");
    }
    // The limit is exact, whichever way the note comes.
    let lines = "\n— a AAAAAAA=\n";
    for (length, fits) in [(65_536, true), (65_537, false)] {
        let text = "x".repeat(length - lines.len() - 1) + "\n";
        let signature = NoteSignature::new("a", [0; 4], vec![0]).unwrap();
        assert_eq!(SignedNote::new(text.clone(), vec![signature]).is_ok(), fits);
        assert_eq!(
            SignedNote::parse(format!("{text}{lines}").as_bytes()).is_ok(),
            fits
        );
    }
    for (name, bytes) in [
        ("a b", vec![1]),
        ("a+b", vec![1]),
        ("", vec![1]),
        ("a", vec![]),
    ] {
        assert!(NoteSignature::new(name, [0; 4], bytes).is_err(), "{name}");
    }
}

#[test]
fn a_policy_tells_its_keys_apart() {
    let (a, b) = (key("a.example/log", 1), key("b.example/log", 2));
    let (a, b) = (a.verifier(), b.verifier());
    let policy = Policy::new([a.clone(), b.clone(), a.clone()]).unwrap();
    assert_eq!(policy.keys(), [a.clone(), b.clone()]);
    assert!(Policy::new([]).unwrap().keys().is_empty());

    // Key ids are short: these two seeds give one, under the same name.
    let [one, two] = [65_544_u32, 106_977].map(|number| {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        SigningKey::generate("log.example", seed).unwrap()
    });
    assert_eq!(one.verifier().key_id(), two.verifier().key_id());
    let both = [one.verifier().clone(), two.verifier().clone()];
    assert_eq!(
        Policy::new(both).err().map(|error| error.code()),
        Some("key.ambiguous")
    );
}

proptest! {
    #[test]
    fn what_is_read_is_written_back(
        text in "([ -~äé—\n]{0,80}\n){1,3}",
        names in prop::collection::vec("[a-z0-9./é]{1,20}", 1..5),
        bytes in prop::collection::vec(any::<u8>(), 1..100),
        key_id: [u8; 4],
    ) {
        let signature = |name: &String| NoteSignature::new(name, key_id, bytes.clone()).unwrap();
        let note = SignedNote::new(text, names.iter().map(signature).collect()).unwrap();
        let parsed = SignedNote::parse(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(parsed.to_string(), note.to_string());
        prop_assert_eq!(parsed, note);
    }

    #[test]
    fn reading_anything_never_panics(
        note in prop::collection::vec(
            prop::sample::select(vec!["\n", "— ", " ", "a", "+", "AAAAAAA=", "AAAA", "é", "\u{a0}", "\r"]),
            0..30,
        ),
    ) {
        let text = note.concat();
        if let Ok(parsed) = SignedNote::parse(text.as_bytes()) {
            prop_assert_eq!(parsed.to_string(), text.as_str());
        }
        if let Ok(key) = VerifierKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text.as_str());
        }
        prop_assert!(SigningKey::from_text(&text).is_err());
    }
}
