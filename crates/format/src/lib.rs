//! The bytes of a factlog journal: frames, spine, facts, hashes.
//!
//! Everything that is hashed, signed or stored by a journal is encoded and decoded here, and nowhere
//! else. The crate does no I/O, reads no clock and draws no randomness. `docs/format.md` describes
//! every byte; the golden vectors in `fixtures/` pin it.
//!
//! Decoding is strict: one value has one encoding, reserved bits are zero, and anything else is an
//! error. It never panics and never allocates more than the input justifies.
//!
//! ```
//! use factlog_format::{section_hash, SectionSecret};
//!
//! let hash = section_hash(&SectionSecret::Salt([7; 16]), b"{\"amount\":5}");
//! assert_ne!(hash, section_hash(&SectionSecret::Salt([8; 16]), b"{\"amount\":5}"));
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod case;
mod commit;
mod cursor;
mod error;
mod event;
mod facts;
mod frame;
mod hash;
mod identity;
mod journal_event;
mod lanes;
mod limits;
mod manifest;
mod name;
mod order;
mod record;
mod section;
mod segment;
mod spine;

pub use case::{
    CASE_MAGIC, CaseEdge, CaseErased, CaseFile, CaseRecord, CaseSection, CaseStatement,
    EarlierCheckpoint, MAX_CASE_LEN,
};
pub use commit::{CommitHeader, HeaderSignature};
pub use error::FormatError;
pub use event::{
    EventFrame, FoundSection, FrameParts, FramedSection, FullStub, PreparedFrame, SectionParts,
    StoredSection, encode_bare_stub, encode_event, encode_full_stub, encode_hashed,
    encode_payload_stub, find_section,
};
pub use facts::{Facts, FactsRef, TraceContext};
pub use frame::{CrcSeed, FRAME_HEADER_LEN, Frame, FrameType, seal_frame, write_frame};
pub use hash::{
    ErasureHasher, FramesHasher, GroupKey, HashBatch, HashSort, HeadersHasher, SectionSecret,
    case_commitment, coordinate_key, event_hash, event_hashes, facts_hash, journal_key,
    key_commitment, keyed_blocks, next_key_hash, plain_domain_tag, section_hash,
};
pub use identity::{Identity, check_origin};
pub use journal_event::{
    CaseExported, ClockSteppedBack, Encryption, ErasureCompleted, ErasureLevel, ErasureOrdered,
    HoldLifted, HoldPlaced, JournalCreated, JournalEvent, JournalRecovered, KeyDomain, KeyRevoked,
    KeyRotated, KeysetNoted, RecoveryReason, SecretFate, SequenceSet, ShredCompleted, ShredGrade,
    ShredIntended, SigningPolicyCode,
};
pub use limits::*;
pub use manifest::{CachedValue, Manifest, ManifestRow};
pub use name::{Names, category_of, check_entity, check_kind, check_name, check_scope};
pub use order::Ordering;
pub use record::EventRecord;
pub use section::{Encoding, SealedRow, SectionRow, SectionRows};
pub use segment::{SegmentHeader, SegmentInput};
pub use spine::{SPINE_LEN, Spine};

/// The format version that this build writes, and the newest that it reads. Version 0 was that of development.
pub const FORMAT_VERSION: u8 = 1;
/// The hash suite of this format: BLAKE3 for sections, facts and events, SHA-256 for the tree.
pub const HASH_SUITE: u8 = 1;

/// Sixteen random bytes that name a journal.
pub type JournalId = [u8; 16];
/// Sixteen random bytes that name a stream, minted at its revision 0.
pub type StreamId = [u8; 16];
/// A UUID that names an event, in the byte order of RFC 9562.
pub type EventId = [u8; 16];
/// A 32-byte BLAKE3 digest.
pub type Digest = [u8; 32];

/// The feature words of a file: which extensions a reader must know.
///
/// This build knows none, so any bit in `incompatible` is refused, any bit in `read_only_compatible`
/// allows reading only, and `compatible` bits are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// A reader that doesn't know one of these must refuse the file.
    pub incompatible: u64,
    /// A reader that doesn't know one of these may read the file but not write to it.
    pub read_only_compatible: u64,
    /// May be ignored.
    pub compatible: u64,
}

impl Features {
    /// Refuses features that this build doesn't know and can't ignore.
    ///
    /// # Errors
    /// [`FormatError::Unsupported`] if an incompatible bit is set.
    pub fn check_readable(&self) -> Result<(), FormatError> {
        if self.incompatible == 0 {
            return Ok(());
        }
        Err(FormatError::Unsupported("incompatible feature word"))
    }

    /// These and others: what holds for a journal of which both are a part.
    #[must_use]
    pub fn with(&self, others: Self) -> Self {
        Self {
            incompatible: self.incompatible | others.incompatible,
            read_only_compatible: self.read_only_compatible | others.read_only_compatible,
            compatible: self.compatible | others.compatible,
        }
    }

    /// Whether this build may write to what carries these features.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.incompatible == 0 && self.read_only_compatible == 0
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.incompatible.to_le_bytes());
        out.extend_from_slice(&self.read_only_compatible.to_le_bytes());
        out.extend_from_slice(&self.compatible.to_le_bytes());
    }

    pub(crate) fn decode(input: &mut cursor::Cursor<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            incompatible: input.u64()?,
            read_only_compatible: input.u64()?,
            compatible: input.u64()?,
        })
    }
}
