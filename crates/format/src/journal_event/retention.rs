//! What retention takes of events, and when it is done.

use super::{
    erasure::{check_reason, decode_reason, encode_reason},
    sequences::SequenceSet,
};
use crate::{Digest, FormatError, cursor::Cursor};

/// The most holds that a completion names.
const MAX_HELD: usize = 1024;

/// How much an erasure takes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErasureLevel {
    /// The sections whose bits are set, counted from the first in the event's table (code 1). What an
    /// event doesn't have is no matter.
    Sections(u16),
    /// All but the spine (code 2).
    Full,
}

impl ErasureLevel {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sections(one), Self::Sections(two)) => Self::Sections(one | two),
            _ => Self::Full,
        }
    }
}

/// `erasure.ordered`: from here on these events are stubs, whatever a file still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureOrdered {
    /// How much of each.
    pub level: ErasureLevel,
    /// By which policy: a name, or nothing if it was by hand.
    pub policy: String,
    /// Why.
    pub reason: String,
    /// Which events; all stand before this one, and none is of the journal's own stream.
    pub set: SequenceSet,
    /// [`ErasureHasher`](crate::ErasureHasher) over their sequences and event hashes, in order.
    pub commitment: Digest,
}

/// `erasure.completed`: no file of the journal holds any more what an erasure took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureCompleted {
    /// Sequence of the event that ordered it.
    pub erasure: u64,
    /// What was left as it is: by hold (the sequence of the event that placed it, ascending), events of
    /// the set. No event is named twice.
    pub held: Vec<(u64, SequenceSet)>,
}

impl ErasureOrdered {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        check_reason(&self.reason)?;
        if self.policy.len() > 255 || self.policy.chars().any(char::is_control) {
            return Err(FormatError::Invalid("policy of an erasure"));
        }
        if self.level == ErasureLevel::Sections(0) || self.set.is_empty() {
            return Err(FormatError::Invalid("an erasure of nothing"));
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (code, sections) = match self.level {
            ErasureLevel::Sections(sections) => (1, sections),
            ErasureLevel::Full => (2, u16::MAX),
        };
        out.push(code);
        out.extend_from_slice(&sections.to_le_bytes());
        out.push(self.policy.len() as u8);
        out.extend_from_slice(self.policy.as_bytes());
        encode_reason(&self.reason, out);
        out.extend_from_slice(&self.commitment);
        self.set.encode(out);
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let level = match (input.u8()?, input.u16()?) {
            (1, sections) => ErasureLevel::Sections(sections),
            (2, u16::MAX) => ErasureLevel::Full,
            (2, _) => return Err(FormatError::Invalid("sections of a full erasure")),
            _ => return Err(FormatError::Unsupported("level of an erasure")),
        };
        let len = usize::from(input.u8()?);
        let policy = str::from_utf8(input.take(len)?)
            .map_err(|_| FormatError::Invalid("policy of an erasure"))?;
        let ordered = Self {
            level,
            policy: policy.to_owned(),
            reason: decode_reason(input)?,
            commitment: input.array()?,
            set: SequenceSet::decode(input)?,
        };
        ordered.check()?;
        Ok(ordered)
    }
}

impl ErasureCompleted {
    /// Whether an event of the set was left as it is.
    #[must_use]
    pub fn is_held(&self, sequence: u64) -> bool {
        self.held.iter().any(|(_, set)| set.contains(sequence))
    }

    pub(super) fn check(&self) -> Result<(), FormatError> {
        if self.held.len() > MAX_HELD {
            return Err(FormatError::Limit {
                what: "holds of an erasure",
                limit: MAX_HELD as u64,
            });
        }
        let ascending = self.held.is_sorted_by(|one, two| one.0 < two.0);
        if !ascending || self.held.iter().any(|(_, set)| set.is_empty()) {
            return Err(FormatError::Invalid("holds of an erasure"));
        }
        let mut ranges: Vec<_> = self.held.iter().flat_map(|(_, set)| set.ranges()).collect();
        ranges.sort_by_key(|range| range.start);
        if !ranges.is_sorted_by(|one, two| one.end <= two.start) {
            return Err(FormatError::Invalid("holds of an erasure"));
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.erasure.to_le_bytes());
        out.extend_from_slice(&(self.held.len() as u16).to_le_bytes());
        for (hold, set) in &self.held {
            out.extend_from_slice(&hold.to_le_bytes());
            set.encode(out);
        }
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let erasure = input.u64()?;
        let count = usize::from(input.u16()?);
        input.bounded(count, 20)?;
        let mut held = Vec::with_capacity(count);
        for _ in 0..count {
            held.push((input.u64()?, SequenceSet::decode(input)?));
        }
        let completed = Self { erasure, held };
        completed.check()?;
        Ok(completed)
    }
}
