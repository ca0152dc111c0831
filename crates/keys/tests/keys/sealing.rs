use data_encoding::HEXLOWER;
use factlog_keys::{DataKey, OpenError, SectionPlace, Suite, TAG_LEN, padded_len};
use proptest::prelude::*;

use crate::{JOURNAL, expect_file, on_the_page};

const EVENT: [u8; 16] = *b"\x01\x9a\x3c\x5e\x7b\x1a\x7c\x3d\x8e\x4f\xa0\xb1\xc2\xd3\xe4\xf5";
const PLAIN: &[u8] = br#"{"owner":"Ada"}"#;

fn place() -> SectionPlace<'static> {
    SectionPlace {
        journal: &JOURNAL,
        event: &EVENT,
        scope: "bank",
        entity: "account-0042",
        kind: "account.opened",
        payload_version: 1,
        index: 0,
        name: "data",
        encoding: 1,
        suite: Suite::ChaCha20Poly1305,
        padding: 1,
    }
}

fn key() -> DataKey {
    DataKey::new([7; 32])
}

#[test]
fn golden_vectors_are_what_sealing_makes_and_the_page_says() {
    let mut text = String::new();
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let place = SectionPlace { suite, ..place() };
        let mut stored = Vec::new();
        let sealed = key().seal(&place, &[3; 32], PLAIN, &mut stored).unwrap();
        let section = key().section_key(&EVENT, 0, &sealed.nonce);
        for value in [
            &key().id()[..],
            &sealed.nonce,
            &place.aad(&key().id()),
            section.bytes().as_ref(),
            &sealed.commitment,
            &stored,
        ] {
            text += &(HEXLOWER.encode(value) + "\n");
        }
    }
    expect_file("fixtures/keys/sealed.txt", text.as_bytes());
    assert_eq!(on_the_page("sealed"), text);
}

/// Without any shortcut, from the words of the page.
#[test]
fn derivations_are_those_of_the_page() {
    let sealed = key()
        .seal(&place(), &[3; 32], PLAIN, &mut Vec::new())
        .unwrap();
    let id = blake3::derive_key("factlog 1 key id", &[7; 32]);
    assert_eq!(key().id(), id[..16]);
    let mut input = vec![7; 32];
    input.extend_from_slice(&EVENT);
    input.push(0);
    input.extend_from_slice(&sealed.nonce);
    let section = blake3::derive_key("factlog 1 section key", &input);
    assert_eq!(
        key().section_key(&EVENT, 0, &sealed.nonce).bytes().as_ref(),
        &section
    );
    assert_eq!(
        sealed.commitment,
        blake3::derive_key("factlog 1 key commitment", &section)
    );
    let mut aad = vec![1];
    aad.extend_from_slice(&JOURNAL);
    aad.extend_from_slice(&EVENT);
    for name in ["bank", "account-0042", "account.opened", "data"] {
        aad.push(name.len() as u8);
        aad.extend_from_slice(name.as_bytes());
    }
    aad.extend_from_slice(&[1, 0, 0, 1, 1, 0, 1, 0]);
    aad.extend_from_slice(&key().id());
    let aad = blake3::derive_key("factlog 1 section aad", &aad);
    assert_eq!(place().aad(&key().id()), aad);
    let mut plain = (PLAIN.len() as u32).to_le_bytes().to_vec();
    plain.extend_from_slice(PLAIN);
    plain.resize(padded_len(plain.len() as u64) as usize, 0);
    let nonce_key = blake3::derive_key("factlog 1 nonce key", &[7; 32]);
    let input = [&[3; 32][..], &aad, &plain].concat();
    assert_eq!(
        sealed.nonce,
        blake3::keyed_hash(&nonce_key, &input).as_bytes()[..24]
    );
}

#[test]
fn nothing_of_a_place_can_change_under_a_ciphertext() {
    let mut stored = Vec::new();
    let sealed = key().seal(&place(), &[3; 32], PLAIN, &mut stored).unwrap();
    let open = |place: &SectionPlace<'_>| {
        let mut out = Vec::new();
        key()
            .open(place, &sealed.nonce, &sealed.commitment, &stored, &mut out)
            .map(|()| out)
    };
    assert_eq!(open(&place()).unwrap(), PLAIN);
    let other = [9; 16];
    let good = place();
    for moved in [
        SectionPlace {
            journal: &other,
            ..good
        },
        SectionPlace {
            scope: "ban",
            entity: "kaccount-0042",
            ..good
        },
        SectionPlace {
            entity: "account-0043",
            ..good
        },
        SectionPlace {
            kind: "account.closed",
            ..good
        },
        SectionPlace {
            payload_version: 2,
            ..good
        },
        SectionPlace {
            name: "date",
            ..good
        },
        SectionPlace {
            encoding: 2,
            ..good
        },
        SectionPlace {
            suite: Suite::Aes256Gcm,
            ..good
        },
        SectionPlace { padding: 0, ..good },
    ] {
        assert_eq!(open(&moved), Err(OpenError::Cipher), "{moved:?}");
    }
    // These two make another section key, which the commitment shows before anything is decrypted.
    for moved in [
        SectionPlace {
            event: &other,
            ..good
        },
        SectionPlace { index: 1, ..good },
    ] {
        assert_eq!(open(&moved), Err(OpenError::Commitment), "{moved:?}");
    }
}

#[test]
fn one_ciphertext_is_never_opened_under_two_keys() {
    let mut stored = Vec::new();
    let sealed = key().seal(&place(), &[3; 32], PLAIN, &mut stored).unwrap();
    let other = DataKey::new([8; 32]);
    let open = |commitment| {
        other.open(
            &place(),
            &sealed.nonce,
            commitment,
            &stored,
            &mut Vec::new(),
        )
    };
    assert_eq!(open(&sealed.commitment), Err(OpenError::Commitment));
    // Nor where the table is made to fit: then the cipher says it.
    let forged = other.section_key(&EVENT, 0, &sealed.nonce).commitment();
    assert_eq!(open(&forged), Err(OpenError::Cipher));
}

#[test]
fn a_section_key_opens_its_section_and_no_other() {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let seal = |index, out| key().seal(&SectionPlace { index, ..place() }, &[3; 32], PLAIN, out);
    let one = seal(0, &mut first).unwrap();
    let two = seal(1, &mut second).unwrap();
    let given = key().section_key(&EVENT, 0, &one.nonce);
    let id = key().id();
    let mut out = Vec::new();
    given
        .open(&place(), &id, &one.commitment, &first, &mut out)
        .unwrap();
    assert_eq!(out, PLAIN);
    let other = SectionPlace {
        index: 1,
        ..place()
    };
    let refused = given.open(&other, &id, &two.commitment, &second, &mut out);
    assert_eq!(
        (refused, out.as_slice()),
        (Err(OpenError::Commitment), &[][..])
    );
}

#[test]
fn a_repeated_generator_gives_equal_nonces_to_equal_sections_only() {
    let nonce = |place: &SectionPlace<'_>, plain: &[u8]| {
        key()
            .seal(place, &[3; 32], plain, &mut Vec::new())
            .unwrap()
            .nonce
    };
    let base = nonce(&place(), b"a");
    assert_eq!(base, nonce(&place(), b"a"));
    assert_ne!(base, nonce(&place(), b"b"));
    assert_ne!(
        base,
        nonce(
            &SectionPlace {
                index: 1,
                ..place()
            },
            b"a"
        )
    );
}

#[test]
fn secrets_are_in_no_debug_output() {
    let shown = format!("{:?} {:?}", key(), key().section_key(&EVENT, 0, &[0; 24]));
    assert!(!shown.contains('7') && shown.len() < 40, "{shown}");
}

proptest! {
    #[test]
    fn what_goes_in_comes_out_and_any_changed_bit_is_refused(
        plain in proptest::collection::vec(any::<u8>(), 0..600),
        padding in 0..2u8, aes in any::<bool>(), at in any::<usize>(), bit in 0..8u8,
    ) {
        let suite = if aes { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
        let place = SectionPlace { suite, padding, ..place() };
        let mut stored = b"before".to_vec();
        let sealed = key().seal(&place, &[5; 32], &plain, &mut stored).unwrap();
        let stored = &mut stored[6..];
        let inner = plain.len() as u64 + 4;
        let inner = if padding == 1 { padded_len(inner) } else { inner };
        prop_assert_eq!(stored.len() as u64, inner + TAG_LEN as u64);
        let mut out = Vec::new();
        key().open(&place, &sealed.nonce, &sealed.commitment, stored, &mut out).unwrap();
        prop_assert_eq!(&out, &plain);
        let at = at % stored.len();
        stored[at] ^= 1 << bit;
        let refused = key().open(&place, &sealed.nonce, &sealed.commitment, stored, &mut out);
        prop_assert_eq!((refused, out.len()), (Err(OpenError::Cipher), 0));
        stored[at] ^= 1 << bit;
        for end in 0..stored.len() {
            let cut = key().open(&place, &sealed.nonce, &sealed.commitment, &stored[..end], &mut out);
            prop_assert_eq!(cut, Err(OpenError::Cipher));
        }
    }
}
