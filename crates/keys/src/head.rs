use std::fmt;

use blake3::Hash;
use factlog_format::{Digest, JournalId};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    BucketKey, KeysetError, NamesKey, Recipient, Unlock, WrappedKey,
    input::Input,
    wrap::{HEAD_KEY, Purpose, ROOT_COMMITMENT, WRAPPED_KEY_LEN, WrapPlace, derive},
};

const MAGIC: &[u8; 8] = b"factlogK";
const VERSION: u8 = 1;
const MAX_RECIPIENTS: usize = 16;
/// What trying all passphrases of a head may cost at most: 16 GiB of memory written.
const MAX_COST: u64 = 16 << 20;
/// The largest head: that of three million buckets.
pub const MAX_HEAD_LEN: usize = 256 << 20;
/// How many buckets that are not where they belong are tried in each other's places.
const MAX_STRAYS: usize = 64;
/// How many buckets there can be.
pub const MAX_BUCKETS: u32 = 3_000_000;
const BUCKET_ROW: usize = 4 + 8 + 8 + WRAPPED_KEY_LEN;
const CRC: usize = 4;
const MAC: usize = 32;

/// The key that all others of a keyset hang on; there is a new one after each shred.
pub struct Root(Zeroizing<[u8; 32]>);

/// A place in the log of minted keys: the number of its file, and a byte in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Number of the file, from 1.
    pub file: u32,
    /// Byte in it.
    pub at: u64,
}

/// A bucket as the head knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRow {
    /// Where its image stands; 0, 0 if its keys never had to be wrapped anew.
    pub image: Mark,
    /// The root under which its key was made.
    pub epoch: u64,
    /// Its key, under the root.
    pub key: WrappedKey,
}

/// The file `keys/keyset`: what opens the rest. It is replaced whole by a shred and by a change of
/// recipients, and never by minting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The journal.
    pub journal: JournalId,
    /// Code of the sort of key domain.
    pub domain: u8,
    /// What sequence 0 commits to.
    pub keyset_id: Digest,
    /// Counts the replaces of this file.
    pub generation: u64,
    /// Counts root keys.
    pub root_number: u64,
    /// Of the root key.
    pub commitment: Digest,
    /// Every destruction that events below this sequence demand has happened.
    pub applied: u64,
    /// How far the log had come when this was written; less of it is a loss.
    pub mark: Mark,
    /// The names key, under the root.
    names: WrappedKey,
    /// Who can open it.
    pub recipients: Vec<Recipient>,
    /// The buckets of up to `mark`.
    pub buckets: Vec<BucketRow>,
}

impl Root {
    /// A key of these bytes, which must be fresh.
    #[must_use]
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let root = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        root
    }

    /// What the journal's events commit to.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        derive(&ROOT_COMMITMENT, &[self.0.as_ref()])
    }

    /// Wraps a bucket's key. `nonce` must be fresh.
    ///
    /// # Errors
    /// [`KeysetError::Invalid`] if the cipher refuses.
    pub fn wrap_bucket(
        &self,
        journal: &JournalId,
        bucket: u32,
        root_number: u64,
        key: &BucketKey,
        nonce: &[u8; 12],
    ) -> Result<WrappedKey, KeysetError> {
        let epoch = key.epoch.to_le_bytes();
        bucket_place(journal, bucket, &epoch, root_number).wrap_key(&self.0, nonce, key.bytes())
    }

    /// A bucket's key; `None` if that isn't what was wrapped there.
    #[must_use]
    pub fn unwrap_bucket(
        &self,
        journal: &JournalId,
        bucket: u32,
        root_number: u64,
        epoch: u64,
        wrapped: &WrappedKey,
    ) -> Option<BucketKey> {
        let place = bucket_place(journal, bucket, &epoch.to_le_bytes(), root_number)
            .unwrap_key(&self.0, wrapped)?;
        Some(BucketKey::new(*place, epoch))
    }

    fn mac(&self, bytes: &[u8]) -> Hash {
        let key = Zeroizing::new(derive(&HEAD_KEY, &[self.0.as_ref()]));
        blake3::keyed_hash(&key, bytes)
    }
}

fn bucket_place<'p>(
    journal: &'p JournalId,
    bucket: u32,
    epoch: &'p [u8; 8],
    root_number: u64,
) -> WrapPlace<'p> {
    WrapPlace {
        purpose: Purpose::Bucket,
        journal,
        domain: epoch,
        key: &[0; 16],
        bucket,
        generation: root_number,
    }
}

fn names_place(journal: &JournalId, root_number: u64) -> WrapPlace<'_> {
    WrapPlace {
        purpose: Purpose::Names,
        journal,
        domain: &[],
        key: &[0; 16],
        bucket: 0,
        generation: root_number,
    }
}

impl Head {
    /// Where in the file the generation stands, as a little-endian u64.
    pub const GENERATION_AT: usize = 64;

    /// The head of a new keyset. `nonce` must be fresh; the recipients get their root by
    /// [`seal`](Self::seal).
    ///
    /// # Errors
    /// [`KeysetError::Invalid`] if the cipher refuses.
    pub fn new(
        journal: JournalId,
        domain: u8,
        root: &Root,
        names: &NamesKey,
        nonce: &[u8; 12],
        recipients: Vec<Recipient>,
    ) -> Result<Self, KeysetError> {
        let names_key = names_place(&journal, 1).wrap_key(&root.0, nonce, names.bytes())?;
        Ok(Self {
            journal,
            domain,
            keyset_id: names.keyset_id(),
            generation: 1,
            root_number: 1,
            commitment: root.commitment(),
            applied: 0,
            mark: Mark::default(),
            names: names_key,
            recipients,
            buckets: Vec::new(),
        })
    }

    /// Puts another root key in the place of the old one; the caller has wrapped the buckets under it.
    /// `nonce` must be fresh.
    ///
    /// # Errors
    /// [`KeysetError::Invalid`] if the cipher refuses.
    pub fn set_root(
        &mut self,
        root: &Root,
        names: &NamesKey,
        nonce: &[u8; 12],
    ) -> Result<(), KeysetError> {
        self.root_number = self.root_number.saturating_add(1);
        self.commitment = root.commitment();
        let place = names_place(&self.journal, self.root_number);
        self.names = place.wrap_key(&root.0, nonce, names.bytes())?;
        Ok(())
    }

    /// Wraps the root for every recipient; `random` gives fresh bytes.
    ///
    /// # Errors
    /// [`KeysetError::BadKeyText`] for a recipient's key that is none.
    pub fn seal(
        &mut self,
        root: &Root,
        mut random: impl FnMut() -> [u8; 32],
    ) -> Result<(), KeysetError> {
        for recipient in &mut self.recipients {
            let seed = Zeroizing::new(random());
            recipient.wrap_root(&self.journal, &root.0, &self.commitment, &seed)?;
        }
        Ok(())
    }

    /// Whether who made the file of these bytes has this root key.
    ///
    /// # Errors
    /// [`KeysetError::Forged`] if not.
    pub fn authenticate(&self, bytes: &[u8], root: &Root) -> Result<(), KeysetError> {
        let covered = bytes.len().saturating_sub(MAC + CRC);
        let (covered, rest) = bytes.split_at_checked(covered).unwrap_or_default();
        let mac = rest.first_chunk::<MAC>().ok_or(KeysetError::Truncated)?;
        if Hash::from_bytes(root.commitment()) != Hash::from_bytes(self.commitment)
            || root.mac(covered) != Hash::from_bytes(*mac)
        {
            return Err(KeysetError::Forged);
        }
        Ok(())
    }

    /// The root key, for who brings the secret of a recipient.
    ///
    /// # Errors
    /// [`KeysetError`]: that of the recipient that the secret is nearest to; [`KeysetError::Forged`] or
    /// [`KeysetError::BucketsSwapped`] if the root that it opens is not the one that made this file.
    pub fn unlock(&self, bytes: &[u8], unlock: &Unlock) -> Result<(Root, NamesKey), KeysetError> {
        let mut why = KeysetError::NoRecipient;
        for recipient in &self.recipients {
            match recipient.open(&self.journal, &self.commitment, unlock) {
                Ok(root) => return self.take_root(bytes, Root(root)),
                Err(KeysetError::NoRecipient) => {}
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn take_root(&self, bytes: &[u8], root: Root) -> Result<(Root, NamesKey), KeysetError> {
        self.authenticate(bytes, &root)
            .map_err(|error| self.why_not(&root).unwrap_or(error))?;
        let names = names_place(&self.journal, self.root_number).unwrap_key(&root.0, &self.names);
        let names = NamesKey::new(*names.ok_or(KeysetError::Forged)?);
        if names.keyset_id() != self.keyset_id {
            return Err(KeysetError::Forged);
        }
        Ok((root, names))
    }

    /// What else is known of a keyset that somebody without the root has made or changed: whether buckets stand
    /// in each other's place.
    #[must_use]
    pub fn why_not(&self, root: &Root) -> Option<KeysetError> {
        let opens = |bucket: u32, row: &BucketRow| {
            let number = self.root_number;
            let key = root.unwrap_bucket(&self.journal, bucket, number, row.epoch, &row.key);
            key.is_some()
        };
        let rows = (0u32..).zip(&self.buckets);
        let strays = rows.filter(|(bucket, row)| !opens(*bucket, row));
        let strays: Vec<_> = strays.take(MAX_STRAYS).collect();
        let mut places = strays.iter().map(|(bucket, _)| *bucket);
        places
            .any(|bucket| strays.iter().any(|(_, row)| opens(bucket, row)))
            .then_some(KeysetError::BucketsSwapped)
    }

    /// Refuses what no writer may write and no reader believe.
    ///
    /// # Errors
    /// [`KeysetError::Invalid`], [`KeysetError::KdfWeak`], [`KeysetError::KdfCostly`].
    pub fn check(&self) -> Result<(), KeysetError> {
        let invalid = |what| Err(KeysetError::Invalid(what));
        if !(1..=6).contains(&self.domain) {
            return invalid("sort of key domain");
        }
        if self.generation == 0 || self.root_number == 0 || self.root_number > self.generation {
            return invalid("generation");
        }
        if self.recipients.is_empty() || self.recipients.len() > MAX_RECIPIENTS {
            return invalid("number of recipients");
        }
        let mut cost = 0;
        for (at, recipient) in self.recipients.iter().enumerate() {
            if recipient.public.0 == [0; 32] {
                return invalid("a recipient without a key");
            }
            let mut before = self.recipients.iter().take(at);
            if before.any(|other| other.public == recipient.public) {
                return invalid("a recipient stands there twice");
            }
            if let crate::Lock::Passphrase { params, .. } = &recipient.lock {
                params.check()?;
                cost += params.cost();
            }
        }
        if cost > MAX_COST {
            return Err(KeysetError::KdfCostly);
        }
        if self.buckets.len() > MAX_BUCKETS as usize {
            return invalid("number of buckets");
        }
        for row in &self.buckets {
            if row.epoch == 0
                || row.epoch > self.root_number
                || row.image.at > 0 && row.image >= self.mark
            {
                return invalid("a bucket");
            }
        }
        Ok(())
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// As [`check`](Self::check): what can't be read back is never written.
    pub fn encode(&self, root: &Root) -> Result<Vec<u8>, KeysetError> {
        self.check()?;
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[0; 4]); // length, once it is known
        out.extend_from_slice(&[VERSION, self.domain, 0, 0]);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.keyset_id);
        for figure in [self.generation, self.root_number, self.applied] {
            out.extend_from_slice(&figure.to_le_bytes());
        }
        out.extend_from_slice(&self.commitment);
        out.extend_from_slice(&self.mark.file.to_le_bytes());
        out.extend_from_slice(&self.mark.at.to_le_bytes());
        out.extend_from_slice(&self.names);
        out.push(self.recipients.len() as u8);
        for recipient in &self.recipients {
            recipient.encode(&mut out);
        }
        out.extend_from_slice(&(self.buckets.len() as u32).to_le_bytes());
        for row in &self.buckets {
            out.extend_from_slice(&row.image.file.to_le_bytes());
            out.extend_from_slice(&row.image.at.to_le_bytes());
            out.extend_from_slice(&row.epoch.to_le_bytes());
            out.extend_from_slice(&row.key);
        }
        let len = out.len() + MAC + CRC;
        if len > MAX_HEAD_LEN {
            return Err(KeysetError::Invalid("length"));
        }
        let len = len as u32; // just bounded
        if let Some(slot) = out.get_mut(8..12) {
            slot.copy_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(root.mac(&out).as_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        Ok(out)
    }

    /// Reads a file's bytes. Who made them is known only after [`unlock`](Self::unlock).
    ///
    /// # Errors
    /// [`KeysetError::Truncated`], [`KeysetError::Damaged`], [`KeysetError::Unsupported`],
    /// [`KeysetError::OtherJournal`], and those of [`check`](Self::check).
    pub fn decode(bytes: &[u8], journal: &JournalId) -> Result<Self, KeysetError> {
        let mut input = Input(bytes);
        let magic = input.array::<8>().ok_or(KeysetError::Truncated)?;
        let len = input.u32().ok_or(KeysetError::Truncated)? as usize;
        if magic != *MAGIC {
            return Err(KeysetError::Damaged);
        }
        if bytes.len() < len {
            return Err(KeysetError::Truncated);
        }
        // The checksum is the last thing in every version, and is looked at first.
        let (covered, crc) = bytes
            .split_last_chunk::<CRC>()
            .ok_or(KeysetError::Truncated)?;
        if bytes.len() > len || crc32fast::hash(covered).to_le_bytes() != *crc {
            return Err(KeysetError::Damaged);
        }
        if input.u8() != Some(VERSION) {
            return Err(KeysetError::Unsupported);
        }
        let head = Self::decode_rest(&mut input).ok_or(KeysetError::Invalid("its layout"))?;
        if head.journal != *journal {
            return Err(KeysetError::OtherJournal);
        }
        head.check()?;
        Ok(head)
    }

    fn decode_rest(input: &mut Input<'_>) -> Option<Self> {
        let domain = input.u8()?;
        if input.u16()? != 0 {
            return None;
        }
        let mut head = Self {
            domain,
            journal: input.array()?,
            keyset_id: input.array()?,
            generation: input.u64()?,
            root_number: input.u64()?,
            applied: input.u64()?,
            commitment: input.array()?,
            mark: Mark {
                file: input.u32()?,
                at: input.u64()?,
            },
            names: input.array()?,
            recipients: Vec::new(),
            buckets: Vec::new(),
        };
        for _ in 0..input.u8()? {
            head.recipients.push(Recipient::decode(input)?);
        }
        let buckets = input.u32()? as usize;
        if input.0.len() != buckets.checked_mul(BUCKET_ROW)?.checked_add(MAC + CRC)? {
            return None;
        }
        head.buckets.reserve(buckets);
        for _ in 0..buckets {
            head.buckets.push(BucketRow {
                image: Mark {
                    file: input.u32()?,
                    at: input.u64()?,
                },
                epoch: input.u64()?,
                key: input.array()?,
            });
        }
        Some(head)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(..)")
    }
}
