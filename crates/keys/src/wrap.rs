use std::{fmt, sync::LazyLock};

use blake3::{
    Hasher,
    hazmat::{ContextKey, HasherExt, hash_derive_key_context},
};
use factlog_format::{Digest, JournalId};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    DataKey, KeyId, KeysetError, Suite,
    cipher::{self, TAG},
};

/// Stands before each wrapped key.
const NONCE: usize = 12;
/// The length of a wrapped key of 32 bytes.
pub const WRAPPED_KEY_LEN: usize = NONCE + 32 + TAG;
/// What is wrapped is always wrapped with this.
const SUITE: Suite = Suite::ChaCha20Poly1305;

/// A key of 32 bytes, encrypted under another: `nonce [12] ‖ ciphertext [32] ‖ tag [16]`.
pub type WrappedKey = [u8; WRAPPED_KEY_LEN];

/// Sixteen bytes by which the keyset knows a domain, and nobody else without the names key.
pub type DomainTag = [u8; 16];

macro_rules! context {
    ($name:ident, $context:literal) => {
        pub(crate) static $name: LazyLock<ContextKey> =
            LazyLock::new(|| hash_derive_key_context($context));
    };
}

context!(WRAP_KEY, "factlog 1 wrap key");
context!(ROOT_COMMITMENT, "factlog 1 root commitment");
context!(HEAD_KEY, "factlog 1 keyset head key");
context!(KEYSET_ID, "factlog 1 keyset id");
context!(NAMES_KEY, "factlog 1 domain tag");
context!(MACHINE_KEY, "factlog 1 machine key");
context!(MACHINE_CHECK, "factlog 1 machine check");

pub(crate) fn derive(context: &ContextKey, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new_from_context_key(context);
    for part in parts {
        hasher.update(part);
    }
    let digest = *hasher.finalize().as_bytes();
    // Most parts are keys that last.
    hasher.zeroize();
    digest
}

/// What a wrapped key is for; goes into its additional data, so that none can stand in another's place.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Data = 1,
    Bucket = 2,
    Names = 3,
    Recipient = 4,
}

/// Where a wrapped key stands.
pub(crate) struct WrapPlace<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) journal: &'a JournalId,
    pub(crate) domain: &'a [u8],
    pub(crate) key: &'a KeyId,
    pub(crate) bucket: u32,
    pub(crate) generation: u64,
}

impl WrapPlace<'_> {
    fn aad(&self) -> Vec<u8> {
        let mut out = vec![1, self.purpose as u8, SUITE.code()];
        out.extend_from_slice(self.journal);
        out.extend_from_slice(&(self.domain.len() as u16).to_le_bytes());
        out.extend_from_slice(self.domain);
        out.extend_from_slice(self.key);
        out.extend_from_slice(&self.bucket.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out
    }

    /// Encrypts `plain`, with a fresh nonce of the caller's in front.
    pub(crate) fn wrap(
        &self,
        key: &[u8; 32],
        nonce: &[u8; NONCE],
        plain: &[u8],
    ) -> Result<Vec<u8>, KeysetError> {
        let wrap_key = Zeroizing::new(derive(&WRAP_KEY, &[key]));
        let mut out = Vec::with_capacity(NONCE + plain.len() + TAG);
        out.extend_from_slice(nonce);
        out.extend_from_slice(plain);
        let (_, bytes) = out.split_at_mut(NONCE);
        let Some(tag) = cipher::seal(SUITE, &wrap_key, *nonce, &self.aad(), bytes) else {
            out.zeroize();
            return Err(KeysetError::Invalid("length of what is wrapped"));
        };
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// As [`wrap`](Self::wrap), of a key.
    pub(crate) fn wrap_key(
        &self,
        key: &[u8; 32],
        nonce: &[u8; NONCE],
        plain: &[u8; 32],
    ) -> Result<WrappedKey, KeysetError> {
        let mut out = [0; WRAPPED_KEY_LEN];
        out.copy_from_slice(&self.wrap(key, nonce, plain)?);
        Ok(out)
    }

    /// Decrypts what [`wrap`](Self::wrap) made; `None` if it is anything else.
    pub(crate) fn unwrap(&self, key: &[u8; 32], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE>()?;
        let wrap_key = Zeroizing::new(derive(&WRAP_KEY, &[key]));
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let len = cipher::open(SUITE, &wrap_key, *nonce, &self.aad(), &mut bytes)?.len();
        bytes.truncate(len);
        Some(bytes)
    }

    pub(crate) fn unwrap_key(&self, key: &[u8; 32], wrapped: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let bytes = self.unwrap(key, wrapped)?;
        Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
    }
}

/// What some data keys are wrapped under; destroyed and replaced with each of them.
pub struct BucketKey {
    key: Zeroizing<[u8; 32]>,
    /// The root under which it was made; part of what is bound to its data keys.
    pub epoch: u64,
}

impl BucketKey {
    /// A key of these bytes, which must be fresh.
    #[must_use]
    pub fn new(mut bytes: [u8; 32], epoch: u64) -> Self {
        let key = Zeroizing::new(bytes);
        bytes.zeroize();
        Self { key, epoch }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Wraps a data key together with the name of its domain. `nonce` must be fresh.
    ///
    /// # Errors
    /// [`KeysetError::Invalid`] for more bytes than a cipher takes.
    pub fn wrap(
        &self,
        journal: &JournalId,
        tag: &DomainTag,
        bucket: u32,
        nonce: &[u8; 12],
        key: &DataKey,
        name: &[u8],
    ) -> Result<Vec<u8>, KeysetError> {
        // Of its whole length from the start: a vector that grows leaves copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(32 + name.len()));
        plain.extend_from_slice(key.bytes());
        plain.extend_from_slice(name);
        let id = key.id();
        self.place(journal, tag, &id, bucket)
            .wrap(&self.key, nonce, &plain)
    }

    /// The data key and its domain's name; `None` if that isn't what was wrapped there.
    #[must_use]
    pub fn unwrap(
        &self,
        journal: &JournalId,
        tag: &DomainTag,
        id: &KeyId,
        bucket: u32,
        wrapped: &[u8],
    ) -> Option<(DataKey, Zeroizing<Vec<u8>>)> {
        let plain = self
            .place(journal, tag, id, bucket)
            .unwrap(&self.key, wrapped)?;
        let (key, name) = plain.split_first_chunk::<32>()?;
        let key = DataKey::new(*key);
        (key.id() == *id).then(|| (key, Zeroizing::new(name.to_vec())))
    }

    fn place<'p>(
        &self,
        journal: &'p JournalId,
        tag: &'p DomainTag,
        key: &'p KeyId,
        bucket: u32,
    ) -> WrapPlace<'p> {
        WrapPlace {
            purpose: Purpose::Data,
            journal,
            domain: tag,
            key,
            bucket,
            generation: self.epoch,
        }
    }
}

/// What turns the names of domains into tags. It stays the same as long as the keyset does, and
/// sequence 0 commits to it: so nobody without it can make a keyset for the journal.
pub struct NamesKey {
    key: Zeroizing<[u8; 32]>,
    /// What tags are keyed with.
    tags: Zeroizing<[u8; 32]>,
}

impl NamesKey {
    /// A key of these bytes, which must be fresh.
    #[must_use]
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let names = Self {
            key: Zeroizing::new(bytes),
            tags: Zeroizing::new(derive(&NAMES_KEY, &[&bytes])),
        };
        bytes.zeroize();
        names
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// The keyset's id, as sequence 0 has it.
    #[must_use]
    pub fn keyset_id(&self) -> Digest {
        derive(&KEYSET_ID, &[self.key.as_ref()])
    }

    /// The tag of a domain.
    #[must_use]
    pub fn tag(&self, name: &[u8]) -> DomainTag {
        let mut tag = [0; 16];
        tag.copy_from_slice(
            blake3::keyed_hash(&self.tags, name)
                .as_bytes()
                .split_at(16)
                .0,
        );
        tag
    }
}

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BucketKey(..)")
    }
}

impl fmt::Debug for NamesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamesKey(..)")
    }
}
