//! What can be wrong with a proof: one small enum per kind of input, a stable code each.

use factlog_format::FormatError;
use thiserror::Error;

/// Why a path, or the state it is made from, does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The index is not below the size.
    #[error("the index lies outside the tree")]
    IndexOutOfRange,
    /// The older tree is larger than the newer one.
    #[error("the older tree is larger than the newer one")]
    SizesReversed,
    /// The path has more or fewer hashes than index and sizes demand.
    #[error("the path has too many or too few hashes")]
    PathLength,
    /// The path does not lead to the root.
    #[error("the path does not lead to the root")]
    RootMismatch,
    /// The number of hashes is not the number of one-bits of the size.
    #[error("the right edge does not have one hash per complete subtree")]
    FrontierLength,
    /// The size is over 2^63.
    #[error("the tree is too large")]
    TooLarge,
}

impl ProofError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::IndexOutOfRange => "proof.index_out_of_range",
            Self::SizesReversed => "proof.sizes_reversed",
            Self::PathLength => "proof.path_length",
            Self::RootMismatch => "proof.root_mismatch",
            Self::FrontierLength => "proof.frontier_length",
            Self::TooLarge => "proof.too_large",
        }
    }
}

/// Why a path could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError<E> {
    /// The index or the older size does not fit the size asked about.
    #[error("the index or older size lies outside the tree")]
    OutOfRange,
    /// A node could not be read.
    #[error("a tree node could not be read")]
    Source(#[source] E),
}

impl<E> PathError<E> {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange => "proof.out_of_range",
            Self::Source(_) => "proof.source",
        }
    }
}

/// Why a key text or its parts are refused. Never holds key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text does not have the form of a key.
    #[error("the text is not a key in its one valid spelling")]
    Malformed,
    /// The name is empty, over 255 bytes, or has a space, `+` or control character.
    #[error("the key name is empty, too long, or has a space, plus or control character")]
    Name,
    /// The signature type is not the one wanted: Ed25519 (0x01), for a witness Ed25519 cosignatures
    /// (0x04).
    #[error("the key is not of the type that is wanted here")]
    UnsupportedType,
    /// The key id is not the one that name and key give.
    #[error("the key id does not belong to this name and key")]
    IdMismatch,
    /// The public key is no point, a non-canonical one, or one of low order.
    #[error("the public key is not a usable curve point")]
    UnusablePoint,
    /// Two keys of one policy have the same name and key id, so signatures can't be told apart.
    #[error("two keys have the same name and key id")]
    Ambiguous,
}

impl KeyError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "key.malformed",
            Self::Name => "key.name",
            Self::UnsupportedType => "key.unsupported_type",
            Self::IdMismatch => "key.id_mismatch",
            Self::UnusablePoint => "key.unusable_point",
            Self::Ambiguous => "key.ambiguous",
        }
    }
}

/// Why a signed note is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Over 64 KiB.
    #[error("the note is over 64 KiB")]
    TooLarge,
    /// Not UTF-8, or with a control character other than the line feed.
    #[error("the note is not UTF-8 or has a control character")]
    Characters,
    /// No text ending in a line feed, blank line and signature lines.
    #[error("the note is not a text, a blank line and signature lines")]
    Malformed,
    /// A signature line is not "— ", name, space, canonical base64 of a key id and a signature.
    #[error("a signature line is not in its one valid spelling")]
    SignatureLine,
    /// More than 100 signatures.
    #[error("the note has more than 100 signatures")]
    TooManySignatures,
    /// A signature names a known key and does not verify.
    #[error("the signature of {name} does not verify")]
    BadSignature {
        /// The name of the known key.
        name: String,
    },
    /// A known key has more than one signature.
    #[error("{name} has signed twice with the same key")]
    DuplicateSignature {
        /// The name of the known key.
        name: String,
    },
    /// No signature is by a known key.
    #[error("no signature is by a known key")]
    NoKnownSignature,
    /// The policy takes signatures of known keys only, and one is by another key.
    #[error("a signature is by an unknown key, which the policy refuses")]
    UnknownSignature,
}

impl NoteError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "note.too_large",
            Self::Characters => "note.characters",
            Self::Malformed => "note.malformed",
            Self::SignatureLine => "note.signature_line",
            Self::TooManySignatures => "note.too_many_signatures",
            Self::BadSignature { .. } => "note.bad_signature",
            Self::DuplicateSignature { .. } => "note.duplicate_signature",
            Self::NoKnownSignature => "note.no_known_signature",
            Self::UnknownSignature => "note.unknown_signature",
        }
    }
}

/// Why a checkpoint is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note around it is refused.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not three lines of origin, size and root.
    #[error("the checkpoint is not origin, size and root, each in its one valid spelling")]
    Malformed,
    /// The origin can't be the name of a key.
    #[error("the origin can't be the name of a key")]
    Origin,
    /// There are lines after the root, which factlog's checkpoints never have.
    #[error("the checkpoint has extension lines")]
    ExtensionLines,
    /// The root of size 0 is not that of the empty tree.
    #[error("the checkpoint of an empty tree has another root than the empty tree")]
    EmptyRoot,
    /// The key is named otherwise than the origin.
    #[error("the key is named otherwise than the log")]
    OriginMismatch,
    /// Not enough witnesses have cosigned.
    #[error("not as many witnesses have cosigned as the policy wants")]
    NoQuorum,
    /// Signatures verify, but none is by a key named like the origin.
    #[error("no signature is by a known key of this log")]
    NotSignedByLog,
}

impl CheckpointError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Note(error) => error.code(),
            Self::Malformed => "checkpoint.malformed",
            Self::Origin => "checkpoint.origin",
            Self::ExtensionLines => "checkpoint.extension_lines",
            Self::EmptyRoot => "checkpoint.empty_root",
            Self::OriginMismatch => "checkpoint.origin_mismatch",
            Self::NoQuorum => "checkpoint.no_quorum",
            Self::NotSignedByLog => "checkpoint.not_signed_by_log",
        }
    }
}

/// Why a receipt, or another proof in text form, is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Over 64 KiB.
    #[error("the proof is over 64 KiB")]
    TooLarge,
    /// Not in the one valid spelling of a proof.
    #[error("the proof is not in its one valid spelling")]
    Malformed,
    /// More than 64 hashes.
    #[error("the proof has more than 64 hashes")]
    TooManyHashes,
    /// An unsigned proof, which proves nothing by itself.
    #[error("this is an unsigned proof, not a receipt")]
    Unsigned,
    /// The checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// There is no extra data, so the proof is not of an event.
    #[error("the proof has no event in it")]
    NoEvent,
    /// The extra data is not an event in its one valid encoding, or its facts are not those that
    /// its spine commits to.
    #[error("the event in the proof is not valid")]
    Event(#[source] FormatError),
    /// The event needs another version of factlog: not decided, rather than wrong.
    #[error("the event in the proof needs another version of factlog")]
    UnsupportedEvent(#[source] FormatError),
    /// The event decodes, but not from the bytes that encode it.
    #[error("the event in the proof is not in its one valid encoding")]
    EventSpelling,
    /// The event belongs to another journal than the origin names.
    #[error("the event belongs to another journal than the one that signed")]
    JournalMismatch,
    /// The event's sequence is not the index of the proof.
    #[error("the event's sequence is not the index of the proof")]
    SequenceMismatch,
    /// The path does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A section was supplied that the event's facts don't list, or the receipt has no facts.
    #[error("the facts in the receipt list no section of that name")]
    SectionUnknown,
    /// A supplied section is not the one that the event commits to.
    #[error("the section is not the one that the event commits to")]
    SectionMismatch,
}

impl ReceiptError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "receipt.too_large",
            Self::Malformed => "receipt.malformed",
            Self::TooManyHashes => "receipt.too_many_hashes",
            Self::Unsigned => "receipt.unsigned",
            Self::Checkpoint(error) => error.code(),
            Self::NoEvent => "receipt.no_event",
            Self::Event(_) | Self::EventSpelling => "receipt.event",
            Self::UnsupportedEvent(_) => "receipt.unsupported_event",
            Self::JournalMismatch => "receipt.journal_mismatch",
            Self::SequenceMismatch => "receipt.sequence_mismatch",
            Self::Proof(error) => error.code(),
            Self::SectionUnknown => "receipt.section_unknown",
            Self::SectionMismatch => "receipt.section_mismatch",
        }
    }
}
