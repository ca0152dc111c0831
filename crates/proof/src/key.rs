//! Ed25519 keys in the text forms of C2SP signed-note and Go's `sumdb/note`.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{KeyError, text};

/// The signature type of plain Ed25519 note signatures.
const ED25519: u8 = 0x01;
/// That of Ed25519 cosignatures.
pub(crate) const COSIGNATURE: u8 = 0x04;
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

/// A public key under a name: what verifies the signatures of one log.
///
/// Its text, the *vkey* of C2SP signed-note, is `<name>+<key id>+<key>`: the key id as 8 lowercase
/// hex digits, the key as base64 of the type byte 0x01 and the 32 bytes of the public key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// A key from its name and the 32 bytes of RFC 8032.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`]; [`KeyError::UnusablePoint`] if the bytes are not a curve point, not the
    /// canonical encoding of one, or a point of low order, under which one signature fits many texts.
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        if !text::is_name(name) {
            return Err(KeyError::Name);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(public_key)
            .map_err(|_| KeyError::UnusablePoint)?;
        // Decoding reduces the coordinate; only what encodes back is the one spelling of a point.
        let canonical = key.to_edwards().compress().to_bytes() == *public_key;
        if !canonical || key.is_weak() {
            return Err(KeyError::UnusablePoint);
        }
        Ok(Self {
            name: name.to_owned(),
            key_id: key_id(name, ED25519, public_key),
            key,
        })
    }

    /// Reads a vkey. Takes one spelling only, without a line end.
    ///
    /// # Errors
    ///
    /// Any of [`KeyError`].
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let (name, id, public_key) = parse_vkey(vkey, ED25519)?;
        let key = Self::new(name, &public_key)?;
        if key.key_id != id {
            return Err(KeyError::IdMismatch);
        }
        Ok(key)
    }

    /// The name; for a log's key this is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the hash over name, type and public key. Not collision resistant: it
    /// finds a key among known ones, it does not identify one.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// The public key as RFC 8032 encodes it.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether `signature` is this key's over exactly `message`.
    ///
    /// Strict: refuses what RFC 8032 leaves to the implementer (a scalar that is not reduced, a point
    /// of low order or in another encoding), so that two verifiers can't disagree.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(vkey: &str) -> Result<Self, KeyError> {
        Self::parse(vkey)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_vkey(f, &self.name, self.key_id, ED25519, self.public_key())
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// A private key under a name: what signs the checkpoints of one log.
///
/// Its text is that of Go's `sumdb/note`: `PRIVATE+KEY+<name>+<key id>+<seed>`, the seed as base64
/// of the type byte 0x01 and 32 bytes. It is wiped from memory when dropped; `Debug` does not show it.
pub struct SigningKey {
    verifier: VerifierKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// The key that a seed of 32 random bytes gives (RFC 8032, section 5.1.5).
    ///
    /// The seed must come from a cryptographic source and be used for nothing else; wiping the
    /// caller's copy is up to the caller.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn generate(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let seed = Zeroizing::new(seed);
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let verifier = VerifierKey::new(name, key.verifying_key().as_bytes())?;
        Ok(Self { verifier, key })
    }

    /// Reads the text form. Takes one spelling only, without a line end.
    ///
    /// # Errors
    ///
    /// Any of [`KeyError`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let (name, id, seed) = parse_private(text, ED25519)?;
        let key = Self::generate(name, *seed)?;
        if key.verifier.key_id != id {
            return Err(KeyError::IdMismatch);
        }
        Ok(key)
    }

    /// The text form, without a line end.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        self.text_as(ED25519, self.verifier.key_id)
    }

    /// The text form under a type and key id.
    pub(crate) fn text_as(&self, kind: u8, key_id: [u8; 4]) -> Zeroizing<String> {
        let mut typed = Zeroizing::new([kind; 33]);
        let (_, seed) = typed.split_at_mut(1);
        seed.copy_from_slice(self.key.as_bytes());
        let name = self.verifier.name();
        // Reserved at once: growing would leave a copy behind that is not wiped.
        let length = PRIVATE_PREFIX.len() + name.len() + 10 + BASE64.encode_len(typed.len());
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(PRIVATE_PREFIX);
        text.push_str(name);
        text.push('+');
        text.push_str(&HEXLOWER.encode(&key_id));
        text.push('+');
        BASE64.encode_append(typed.as_slice(), &mut text);
        text
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs `message`. Deterministic (RFC 8032), so signing again gives the same bytes.
    ///
    /// A log key signs checkpoints and nothing else: use
    /// [`Checkpoint::sign`](crate::Checkpoint::sign) for them.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret)", self.verifier)
    }
}

/// Name, key id and public key of a vkey of this type; whether they belong together is to be checked.
pub(crate) fn parse_vkey(vkey: &str, kind: u8) -> Result<(&str, [u8; 4], [u8; 32]), KeyError> {
    let (name, rest) = vkey.split_once('+').ok_or(KeyError::Malformed)?;
    let (id, key) = rest.split_once('+').ok_or(KeyError::Malformed)?;
    let id = decode_key_id(id)?;
    let typed = text::decode_base64(key).ok_or(KeyError::Malformed)?;
    Ok((name, id, typed_key(&typed, kind)?))
}

/// Name, key id and seed of a private key.
pub(crate) type PrivateParts<'t> = (&'t str, [u8; 4], Zeroizing<[u8; 32]>);

/// The parts of a private key of this type.
pub(crate) fn parse_private(text: &str, kind: u8) -> Result<PrivateParts<'_>, KeyError> {
    let rest = text
        .strip_prefix(PRIVATE_PREFIX)
        .ok_or(KeyError::Malformed)?;
    let (name, rest) = rest.split_once('+').ok_or(KeyError::Malformed)?;
    let (id, seed) = rest.split_once('+').ok_or(KeyError::Malformed)?;
    let id = decode_key_id(id)?;
    let typed = decode_secret(seed)?;
    let seed = Zeroizing::new(typed_key(typed.as_slice(), kind)?);
    Ok((name, id, seed))
}

pub(crate) fn write_vkey(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    key_id: [u8; 4],
    kind: u8,
    public_key: &[u8; 32],
) -> fmt::Result {
    let mut typed = vec![kind];
    typed.extend(public_key);
    let (id, key) = (HEXLOWER.encode(&key_id), BASE64.encode(&typed));
    write!(f, "{name}+{id}+{key}")
}

pub(crate) fn key_id(name: &str, kind: u8, public_key: &[u8; 32]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', kind]);
    hasher.update(public_key);
    let hash: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

fn decode_key_id(text: &str) -> Result<[u8; 4], KeyError> {
    let bytes = HEXLOWER
        .decode(text.as_bytes())
        .map_err(|_| KeyError::Malformed)?;
    bytes.try_into().map_err(|_| KeyError::Malformed)
}

/// Splits the type byte from a 32-byte key.
fn typed_key(typed: &[u8], kind: u8) -> Result<[u8; 32], KeyError> {
    match typed.split_first() {
        Some((found, key)) if *found == kind => key.try_into().map_err(|_| KeyError::Malformed),
        Some(_) => Err(KeyError::UnsupportedType),
        None => Err(KeyError::Malformed),
    }
}

/// [`text::decode_base64`] for 33 secret bytes, leaving no copy.
fn decode_secret(text: &str) -> Result<Zeroizing<[u8; 33]>, KeyError> {
    let mut bytes = Zeroizing::new([0; 33]);
    if text.len() != 44 {
        return Err(KeyError::Malformed);
    }
    // 44 characters that give 33 bytes have no padding, and then there is one spelling.
    match BASE64.decode_mut(text.as_bytes(), bytes.as_mut_slice()) {
        Ok(33) => Ok(bytes),
        _ => Err(KeyError::Malformed),
    }
}
