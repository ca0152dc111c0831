//! The 32-byte hash of leaves, nodes and roots.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};

use crate::text;

/// A SHA-256 hash of the tree: of a leaf, a node or a root.
///
/// `Display` is standard base64 as C2SP texts spell it, `Debug` is hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// A hash from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads standard base64 in its one canonical spelling; anything else is `None`.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        // A hash is always 44 characters: saying so keeps a long line from being decoded at all.
        if text.len() != 44 {
            return None;
        }
        text::decode_base64(text)?.try_into().ok().map(Self)
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Hash> for [u8; 32] {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Hash;

    #[test]
    fn bytes_go_in_and_come_out() {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8);
        assert_eq!(<[u8; 32]>::from(Hash::from(bytes)), bytes);
    }

    #[test]
    fn base64_has_one_spelling() {
        let hash = Hash::from_bytes([0xfb; 32]);
        let text = hash.to_string();
        assert_eq!(Hash::from_base64(&text), Some(hash));
        let unpadded = text.trim_end_matches('=');
        let url_safe = text.replace('+', "-").replace('/', "_");
        // The last character before the padding carries two bits that must be zero.
        let trailing = text.replace("s=", "t=");
        assert_ne!(trailing, text);
        for other in [unpadded, &url_safe, &trailing, &format!("{text}\n"), ""] {
            assert_eq!(Hash::from_base64(other), None, "{other}");
        }
    }
}
