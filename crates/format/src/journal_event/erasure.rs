//! What one key encrypts, and how keys are destroyed.

use crate::{Digest, FormatError, cursor::Cursor};

/// The longest reason, in bytes.
const MAX_REASON: usize = 1024;
/// The most keys that one event names.
const MAX_KEYS: usize = 65_536;
const MAX_RECIPIENTS: usize = 16;
/// How many keepers of derived data are told of a shred at most, and how long their names may be.
const MAX_ACKNOWLEDGED: usize = 16;
const MAX_HOLDER: usize = 64;

/// What one data key encrypts, and so what a shred destroys at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyDomain {
    /// A stream: one entity in one scope (code 1).
    Stream,
    /// A scope (code 2).
    Scope,
    /// A category: all kinds that begin alike up to their first dot (code 3).
    Category,
    /// A kind (code 4).
    Kind,
    /// A single event (code 5).
    Event,
    /// The person or thing that a section names as its subject (code 6).
    Subject,
}

impl KeyDomain {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Stream,
        Self::Scope,
        Self::Category,
        Self::Kind,
        Self::Event,
        Self::Subject,
    ];

    /// The code on disk; 0 stands for payloads that are not encrypted.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Stream => 1,
            Self::Scope => 2,
            Self::Category => 3,
            Self::Kind => 4,
            Self::Event => 5,
            Self::Subject => 6,
        }
    }

    /// The sort of a code on disk, if this build knows it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|domain| domain.code() == code)
    }

    /// The word used on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Scope => "scope",
            Self::Category => "category",
            Self::Kind => "kind",
            Self::Event => "event",
            Self::Subject => "subject",
        }
    }
}

/// How a journal's payloads are encrypted, as sequence 0 records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// What one key encrypts.
    pub domain: KeyDomain,
    /// Commits to the keyset: nobody without its names key can make another one for this journal.
    pub keyset: Digest,
}

/// `shred.intended`: from here on these keys are gone, whatever a file still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShredIntended {
    /// The sort of key domain, as in sequence 0.
    pub domain: KeyDomain,
    /// Why.
    pub reason: String,
    /// The ids of the keys, ascending, each once.
    pub keys: Vec<[u8; 16]>,
}

/// How far a shred reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShredGrade {
    /// The keys are out of the keyset. Who has a recipient's secret and an old copy of `keys/` can still
    /// open what they sealed (code 1).
    Removed,
    /// All recipients were replaced too, so that none that still exists opens an old copy (code 2).
    RecipientsReplaced,
}

/// What became of a recipient's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretFate {
    /// The recipient was not replaced (code 0).
    Kept,
    /// It was replaced; whether its old secret still exists is not known (code 1).
    Unknown,
    /// It was replaced, and its keeper attests that the old secret was destroyed (code 2).
    Attested,
    /// It was replaced, and the provider proved that the old secret was destroyed (code 3).
    Proved,
}

/// `shred.completed`: the destruction that an intent demanded has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShredCompleted {
    /// Sequence of the intent.
    pub intent: u64,
    /// Generation of the keyset without the keys.
    pub generation: u64,
    /// Commits to its root key.
    pub root: Digest,
    /// How many of the keys were there to be destroyed.
    pub destroyed: u32,
    /// How far it reached.
    pub grade: ShredGrade,
    /// Each recipient before the shred, by the first 8 bytes of its key, and what became of its secret.
    pub recipients: Vec<([u8; 8], SecretFate)>,
    /// Who keeps data derived from payloads and was told, by name, and whether it says that this is gone.
    pub acknowledged: Vec<(String, bool)>,
}

/// `keyset.noted`: how far the keyset has come. A keyset that is behind it is an older copy.
///
/// It stands behind a change of recipients, before it and, where new ones take the place of all there are, right
/// behind the intent of the shred that wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysetNoted {
    /// Generation of the keyset.
    pub generation: u64,
    /// Commits to its root key.
    pub root: Digest,
    /// How many keys were ever minted.
    pub keys: u32,
    /// Who can open it: the first 8 bytes of each recipient's key.
    pub recipients: Vec<[u8; 8]>,
    /// What will be known of their secrets, where all of them are to be replaced from here on.
    pub replacing: Option<SecretFate>,
}

/// `hold.placed`: what it covers must not be shredded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldPlaced {
    /// Why.
    pub reason: String,
    /// The tags of the key domains it covers, ascending, each once; none means the whole journal.
    pub domains: Vec<[u8; 16]>,
}

/// `hold.lifted`: a hold ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldLifted {
    /// Sequence of the event that placed it.
    pub hold: u64,
    /// Why.
    pub reason: String,
}

pub(crate) fn check_reason(reason: &str) -> Result<(), FormatError> {
    if reason.len() > MAX_REASON {
        return Err(FormatError::Limit {
            what: "reason",
            limit: MAX_REASON as u64,
        });
    }
    if reason.is_empty() || reason.chars().any(char::is_control) {
        return Err(FormatError::Invalid("reason"));
    }
    Ok(())
}

fn check_ids(ids: &[[u8; 16]]) -> Result<(), FormatError> {
    if ids.len() > MAX_KEYS {
        return Err(FormatError::Limit {
            what: "keys of a shred",
            limit: MAX_KEYS as u64,
        });
    }
    let ascending = ids.is_sorted_by(|left, right| left < right);
    if !ascending || ids.first() == Some(&[0; 16]) {
        return Err(FormatError::Invalid("order of keys"));
    }
    Ok(())
}

pub(crate) fn encode_reason(reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(reason.len() as u16).to_le_bytes());
    out.extend_from_slice(reason.as_bytes());
}

pub(crate) fn decode_reason(input: &mut Cursor<'_>) -> Result<String, FormatError> {
    let len = usize::from(input.u16()?);
    let reason = str::from_utf8(input.take(len)?).map_err(|_| FormatError::Invalid("reason"))?;
    check_reason(reason)?;
    Ok(reason.to_owned())
}

fn fate_code(fate: SecretFate) -> u8 {
    match fate {
        SecretFate::Kept => 0,
        SecretFate::Unknown => 1,
        SecretFate::Attested => 2,
        SecretFate::Proved => 3,
    }
}

fn fate_of(code: u8) -> Result<SecretFate, FormatError> {
    Ok(match code {
        0 => SecretFate::Kept,
        1 => SecretFate::Unknown,
        2 => SecretFate::Attested,
        3 => SecretFate::Proved,
        _ => return Err(FormatError::Unsupported("fate of a secret")),
    })
}

fn encode_ids(ids: &[[u8; 16]], out: &mut Vec<u8>) {
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    ids.iter().for_each(|id| out.extend_from_slice(id));
}

fn decode_ids(input: &mut Cursor<'_>) -> Result<Vec<[u8; 16]>, FormatError> {
    let count = input.u32()? as usize;
    if count > MAX_KEYS {
        return Err(FormatError::Limit {
            what: "keys of a shred",
            limit: MAX_KEYS as u64,
        });
    }
    let bytes = input.take(count * 16)?;
    let ids = bytes.as_chunks::<16>().0.to_vec();
    check_ids(&ids)?;
    Ok(ids)
}

impl Encryption {
    pub(super) fn encode(encryption: Option<&Self>, out: &mut Vec<u8>) {
        match encryption {
            None => out.push(0),
            Some(encryption) => {
                out.push(encryption.domain.code());
                out.extend_from_slice(&encryption.keyset);
            }
        }
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Option<Self>, FormatError> {
        let domain = match input.u8()? {
            0 => return Ok(None),
            code => KeyDomain::from_code(code).ok_or(FormatError::Unsupported("key domain"))?,
        };
        let keyset = input.array()?;
        Ok(Some(Self { domain, keyset }))
    }
}

impl ShredIntended {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        check_reason(&self.reason)?;
        if self.keys.is_empty() {
            return Err(FormatError::Invalid("a shred of no key"));
        }
        check_ids(&self.keys)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.domain.code());
        encode_reason(&self.reason, out);
        encode_ids(&self.keys, out);
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let domain = KeyDomain::from_code(input.u8()?);
        let intended = Self {
            domain: domain.ok_or(FormatError::Unsupported("key domain"))?,
            reason: decode_reason(input)?,
            keys: decode_ids(input)?,
        };
        intended.check()?;
        Ok(intended)
    }
}

impl ShredCompleted {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        if self.recipients.len() > MAX_RECIPIENTS {
            return Err(FormatError::Limit {
                what: "recipients of a keyset",
                limit: MAX_RECIPIENTS as u64,
            });
        }
        if self.acknowledged.len() > MAX_ACKNOWLEDGED {
            return Err(FormatError::Limit {
                what: "acknowledgements of a shred",
                limit: MAX_ACKNOWLEDGED as u64,
            });
        }
        let bad = |(name, _): &(String, bool)| {
            !(1..=MAX_HOLDER).contains(&name.len()) || name.chars().any(char::is_control)
        };
        if self.acknowledged.iter().any(bad) {
            return Err(FormatError::Invalid("name of who acknowledges"));
        }
        let kept = |(_, fate): &([u8; 8], SecretFate)| *fate == SecretFate::Kept;
        let replaced = self.grade == ShredGrade::RecipientsReplaced;
        if replaced && self.recipients.iter().any(kept) {
            return Err(FormatError::Invalid("a kept recipient among replaced ones"));
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.intent.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.root);
        out.extend_from_slice(&self.destroyed.to_le_bytes());
        out.push(match self.grade {
            ShredGrade::Removed => 1,
            ShredGrade::RecipientsReplaced => 2,
        });
        out.push(self.recipients.len() as u8);
        for (id, fate) in &self.recipients {
            out.extend_from_slice(id);
            out.push(fate_code(*fate));
        }
        out.push(self.acknowledged.len() as u8);
        for (name, gone) in &self.acknowledged {
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            out.push(u8::from(*gone));
        }
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let mut completed = Self {
            intent: input.u64()?,
            generation: input.u64()?,
            root: input.array()?,
            destroyed: input.u32()?,
            grade: match input.u8()? {
                1 => ShredGrade::Removed,
                2 => ShredGrade::RecipientsReplaced,
                _ => return Err(FormatError::Unsupported("grade of a shred")),
            },
            recipients: Vec::new(),
            acknowledged: Vec::new(),
        };
        for _ in 0..input.u8()? {
            let id = input.array()?;
            completed.recipients.push((id, fate_of(input.u8()?)?));
        }
        for _ in 0..input.u8()? {
            let len = usize::from(input.u8()?);
            let name = str::from_utf8(input.take(len)?);
            let name = name.map_err(|_| FormatError::Invalid("name of who acknowledges"))?;
            let gone = match input.u8()? {
                0 => false,
                1 => true,
                _ => return Err(FormatError::Unsupported("acknowledgement of a shred")),
            };
            completed.acknowledged.push((name.to_owned(), gone));
        }
        completed.check()?;
        Ok(completed)
    }
}

impl KeysetNoted {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        if self.recipients.len() > MAX_RECIPIENTS {
            return Err(FormatError::Limit {
                what: "recipients of a keyset",
                limit: MAX_RECIPIENTS as u64,
            });
        }
        match self.replacing {
            Some(SecretFate::Kept) => {
                Err(FormatError::Invalid("a kept recipient among replaced ones"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.root);
        out.extend_from_slice(&self.keys.to_le_bytes());
        out.push(self.replacing.map_or(0, fate_code));
        out.push(self.recipients.len() as u8);
        self.recipients
            .iter()
            .for_each(|id| out.extend_from_slice(id));
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let mut noted = Self {
            generation: input.u64()?,
            root: input.array()?,
            keys: input.u32()?,
            replacing: Some(fate_of(input.u8()?)?).filter(|fate| *fate != SecretFate::Kept),
            recipients: Vec::new(),
        };
        for _ in 0..input.u8()? {
            noted.recipients.push(input.array()?);
        }
        noted.check()?;
        Ok(noted)
    }
}

impl HoldPlaced {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        check_reason(&self.reason)?;
        check_ids(&self.domains)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_reason(&self.reason, out);
        encode_ids(&self.domains, out);
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            reason: decode_reason(input)?,
            domains: decode_ids(input)?,
        })
    }
}

impl HoldLifted {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        check_reason(&self.reason)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hold.to_le_bytes());
        encode_reason(&self.reason, out);
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            hold: input.u64()?,
            reason: decode_reason(input)?,
        })
    }
}
