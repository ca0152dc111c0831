mod erasure;
mod keys;
mod retention;
mod sequences;

use crate::{Digest, FormatError, JournalId, check_origin, cursor::Cursor};

pub use erasure::{
    Encryption, HoldLifted, HoldPlaced, KeyDomain, KeysetNoted, SecretFate, ShredCompleted,
    ShredGrade, ShredIntended,
};
pub(crate) use erasure::{check_reason, decode_reason, encode_reason};
pub use keys::{KeyRevoked, KeyRotated};
pub use retention::{ErasureCompleted, ErasureLevel, ErasureOrdered};
pub use sequences::SequenceSet;

const VERSION: u8 = 1;
const MAX_KEYS: usize = 16;
const TOO_MANY_KEYS: FormatError = FormatError::Limit {
    what: "keys of journal.created",
    limit: MAX_KEYS as u64,
};

/// Whether a journal must be signed, as sequence 0 records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningPolicyCode {
    /// The journal is not signed (code 0).
    Unsigned,
    /// It is signed; without its key it opens, and refuses appends (code 1).
    Optional,
    /// It is signed; without its key a writable open is refused (code 2).
    Required,
}

/// `journal.created`: sequence 0 of every journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalCreated {
    /// The journal's id.
    pub journal: JournalId,
    /// The journal's public name.
    pub origin: String,
    /// When it was made, in microseconds since 1970-01-01 UTC.
    pub created: i64,
    /// Whether it must be signed.
    pub signing: SigningPolicyCode,
    /// The first Ed25519 public keys of the log; empty if it isn't signed.
    pub keys: Vec<[u8; 32]>,
    /// For a fork: the id of the journal it came from, and how many of its events it took.
    pub forked_from: Option<(JournalId, u64)>,
    /// How its payloads are encrypted; `None` if they aren't.
    pub encryption: Option<Encryption>,
}

/// Why a recovery ended a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryReason {
    /// The segment ended in a torn write.
    TornTail,
    /// The last group was whole but nothing said that it was durable, so it was copied.
    Unproven,
}

/// `journal.recovered`: how an unclean end was dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecovered {
    /// Why.
    pub reason: RecoveryReason,
    /// First sequence of the segment that was ended.
    pub segment_first: u64,
    /// Its generation.
    pub segment_generation: u32,
    /// Where it was ended, in bytes.
    pub sealed_end: u64,
    /// How many bytes past that end were set aside.
    pub set_aside: u64,
    /// How many events were copied into the next segment.
    pub copied: u64,
}

/// `clock.stepped_back`: the clock read earlier than at the commit before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSteppedBack {
    /// The earlier commit's reading, in microseconds since 1970-01-01 UTC.
    pub before: i64,
    /// The reading now.
    pub now: i64,
}

/// `case.exported`: someone was given an evidence case.
///
/// What it was about isn't said here, since names in it could never be erased: the commitment is the
/// hash of the case's statement, which stands with its salt in the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseExported {
    /// First sequence of the period.
    pub first: u64,
    /// One past its last sequence.
    pub end: u64,
    /// How many events of the period the case selects.
    pub selected: u64,
    /// [`case_commitment`](crate::case_commitment) of the statement.
    pub commitment: Digest,
}

/// The payload of an event in the stream `$journal/journal`: what governs the journal itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalEvent {
    /// Sequence 0.
    Created(JournalCreated),
    /// An unclean end was dealt with.
    Recovered(JournalRecovered),
    /// The clock stepped back.
    ClockSteppedBack(ClockSteppedBack),
    /// Another key signs from here on.
    KeyRotated(KeyRotated),
    /// What a replaced key has signed doesn't count any more.
    KeyRevoked(KeyRevoked),
    /// Keys are to be destroyed.
    ShredIntended(ShredIntended),
    /// They were.
    ShredCompleted(ShredCompleted),
    /// How far the keyset has come.
    KeysetNoted(KeysetNoted),
    /// Something must not be shredded.
    HoldPlaced(HoldPlaced),
    /// It may be again.
    HoldLifted(HoldLifted),
    /// An evidence case was made.
    CaseExported(CaseExported),
    /// Events are to be stubs.
    ErasureOrdered(ErasureOrdered),
    /// They are.
    ErasureCompleted(ErasureCompleted),
}

impl JournalEvent {
    /// The event's kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "journal.created",
            Self::Recovered(_) => "journal.recovered",
            Self::ClockSteppedBack(_) => "clock.stepped_back",
            Self::KeyRotated(_) => "key.rotated",
            Self::KeyRevoked(_) => "key.revoked",
            Self::ShredIntended(_) => "shred.intended",
            Self::ShredCompleted(_) => "shred.completed",
            Self::KeysetNoted(_) => "keyset.noted",
            Self::HoldPlaced(_) => "hold.placed",
            Self::HoldLifted(_) => "hold.lifted",
            Self::CaseExported(_) => "case.exported",
            Self::ErasureOrdered(_) => "erasure.ordered",
            Self::ErasureCompleted(_) => "erasure.completed",
        }
    }

    /// Refuses what [`decode`](Self::decode) would refuse to read back.
    ///
    /// # Errors
    /// [`FormatError::Limit`] for too many keys or too long an origin, [`FormatError::Invalid`] for an
    /// origin that is no name of this journal, for keys that don't fit the signing policy, and for a
    /// key that replaces itself.
    pub fn check(&self) -> Result<(), FormatError> {
        match self {
            Self::Created(created) => created.check(),
            Self::KeyRotated(rotated) => rotated.check(),
            Self::ShredIntended(intended) => intended.check(),
            Self::ShredCompleted(completed) => completed.check(),
            Self::KeysetNoted(noted) => noted.check(),
            Self::HoldPlaced(placed) => placed.check(),
            Self::HoldLifted(lifted) => lifted.check(),
            Self::CaseExported(case) => case.check(),
            Self::ErasureOrdered(ordered) => ordered.check(),
            Self::ErasureCompleted(completed) => completed.check(),
            Self::Recovered(_) | Self::ClockSteppedBack(_) | Self::KeyRevoked(_) => Ok(()),
        }
    }

    /// The payload's bytes.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses the event: what is written must be readable.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(
            self.check().is_ok(),
            "a journal event that can't be read back"
        );
        let mut out = vec![VERSION];
        match self {
            Self::Created(created) => created.encode(&mut out),
            Self::Recovered(recovered) => recovered.encode(&mut out),
            Self::ClockSteppedBack(step) => {
                out.extend_from_slice(&step.before.to_le_bytes());
                out.extend_from_slice(&step.now.to_le_bytes());
            }
            Self::KeyRotated(rotated) => rotated.encode(&mut out),
            Self::KeyRevoked(revoked) => revoked.encode(&mut out),
            Self::ShredIntended(intended) => intended.encode(&mut out),
            Self::ShredCompleted(completed) => completed.encode(&mut out),
            Self::KeysetNoted(noted) => noted.encode(&mut out),
            Self::HoldPlaced(placed) => placed.encode(&mut out),
            Self::HoldLifted(lifted) => lifted.encode(&mut out),
            Self::CaseExported(case) => case.encode(&mut out),
            Self::ErasureOrdered(ordered) => ordered.encode(&mut out),
            Self::ErasureCompleted(completed) => completed.encode(&mut out),
        }
        out
    }

    /// Reads the payload of an event of the kind given.
    ///
    /// # Errors
    /// [`FormatError::Unsupported`] for an unknown kind or version, another variant for anything that
    /// [`encode`](Self::encode) would not have written.
    pub fn decode(kind: &str, payload: &[u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(payload, "journal event");
        if input.u8()? != VERSION {
            return Err(FormatError::Unsupported("journal event version"));
        }
        let event = match kind {
            "journal.created" => Self::Created(JournalCreated::decode(&mut input)?),
            "journal.recovered" => Self::Recovered(JournalRecovered::decode(&mut input)?),
            "clock.stepped_back" => Self::ClockSteppedBack(ClockSteppedBack {
                before: input.i64()?,
                now: input.i64()?,
            }),
            "key.rotated" => Self::KeyRotated(KeyRotated::decode(&mut input)?),
            "key.revoked" => Self::KeyRevoked(KeyRevoked::decode(&mut input)?),
            "shred.intended" => Self::ShredIntended(ShredIntended::decode(&mut input)?),
            "shred.completed" => Self::ShredCompleted(ShredCompleted::decode(&mut input)?),
            "keyset.noted" => Self::KeysetNoted(KeysetNoted::decode(&mut input)?),
            "hold.placed" => Self::HoldPlaced(HoldPlaced::decode(&mut input)?),
            "hold.lifted" => Self::HoldLifted(HoldLifted::decode(&mut input)?),
            "case.exported" => Self::CaseExported(CaseExported::decode(&mut input)?),
            "erasure.ordered" => Self::ErasureOrdered(ErasureOrdered::decode(&mut input)?),
            "erasure.completed" => Self::ErasureCompleted(ErasureCompleted::decode(&mut input)?),
            _ => return Err(FormatError::Unsupported("journal event kind")),
        };
        input.finish()?;
        Ok(event)
    }
}

impl JournalCreated {
    fn check(&self) -> Result<(), FormatError> {
        check_origin(&self.origin, &self.journal)?;
        if self.keys.len() > MAX_KEYS {
            return Err(TOO_MANY_KEYS);
        }
        if self.keys.is_empty() != (self.signing == SigningPolicyCode::Unsigned) {
            return Err(FormatError::Invalid("keys of journal.created"));
        }
        let mut keys = self.keys.clone();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() < self.keys.len() {
            return Err(FormatError::Invalid("a repeated key of journal.created"));
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.created.to_le_bytes());
        out.push(match self.signing {
            SigningPolicyCode::Unsigned => 0,
            SigningPolicyCode::Optional => 1,
            SigningPolicyCode::Required => 2,
        });
        out.push(self.origin.len() as u8);
        out.extend_from_slice(self.origin.as_bytes());
        out.push(self.keys.len() as u8);
        for key in &self.keys {
            out.push(1); // Ed25519
            out.extend_from_slice(key);
        }
        match &self.forked_from {
            None => out.push(0),
            Some((journal, size)) => {
                out.push(1);
                out.extend_from_slice(journal);
                out.extend_from_slice(&size.to_le_bytes());
            }
        }
        Encryption::encode(self.encryption.as_ref(), out);
        // The length of an area for extensions.
        out.extend_from_slice(&[0, 0]);
    }

    fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let journal = input.array()?;
        let created = input.i64()?;
        let signing = match input.u8()? {
            0 => SigningPolicyCode::Unsigned,
            1 => SigningPolicyCode::Optional,
            2 => SigningPolicyCode::Required,
            _ => return Err(FormatError::Unsupported("signing policy")),
        };
        let origin_len = usize::from(input.u8()?);
        let origin =
            str::from_utf8(input.take(origin_len)?).map_err(|_| FormatError::Invalid("origin"))?;
        let key_count = usize::from(input.u8()?);
        if key_count > MAX_KEYS {
            return Err(TOO_MANY_KEYS);
        }
        let mut keys = Vec::with_capacity(key_count);
        for _ in 0..key_count {
            if input.u8()? != 1 {
                return Err(FormatError::Unsupported("key type"));
            }
            keys.push(input.array()?);
        }
        let forked_from = match input.u8()? {
            0 => None,
            1 => Some((input.array()?, input.u64()?)),
            _ => return Err(FormatError::Invalid("origin of a fork")),
        };
        let encryption = Encryption::decode(input)?;
        if input.u16()? != 0 {
            return Err(FormatError::Unsupported("extensions of journal.created"));
        }
        let created = Self {
            journal,
            origin: origin.to_owned(),
            created,
            signing,
            keys,
            forked_from,
            encryption,
        };
        created.check()?;
        Ok(created)
    }
}

impl CaseExported {
    fn check(&self) -> Result<(), FormatError> {
        let within = self.end.checked_sub(self.first);
        if within.is_some_and(|events| self.selected <= events) {
            return Ok(());
        }
        Err(FormatError::Invalid("period of case.exported"))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.first, self.end, self.selected] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.commitment);
    }

    fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let case = Self {
            first: input.u64()?,
            end: input.u64()?,
            selected: input.u64()?,
            commitment: input.array()?,
        };
        case.check()?;
        Ok(case)
    }
}

impl JournalRecovered {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.reason {
            RecoveryReason::TornTail => 1,
            RecoveryReason::Unproven => 2,
        });
        out.extend_from_slice(&self.segment_first.to_le_bytes());
        out.extend_from_slice(&self.segment_generation.to_le_bytes());
        out.extend_from_slice(&self.sealed_end.to_le_bytes());
        out.extend_from_slice(&self.set_aside.to_le_bytes());
        out.extend_from_slice(&self.copied.to_le_bytes());
    }

    fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let reason = match input.u8()? {
            1 => RecoveryReason::TornTail,
            2 => RecoveryReason::Unproven,
            _ => return Err(FormatError::Unsupported("recovery reason")),
        };
        Ok(Self {
            reason,
            segment_first: input.u64()?,
            segment_generation: input.u32()?,
            sealed_end: input.u64()?,
            set_aside: input.u64()?,
            copied: input.u64()?,
        })
    }
}
