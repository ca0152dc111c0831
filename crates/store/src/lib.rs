//! An embedded, append-only event store with hash-chained, signed receipts.
//!
//! One directory is one *journal*: one writer, any number of readers. Events of a stream are chained
//! by hash, the whole journal is a Merkle tree, and every acknowledged append returns a [`Receipt`]
//! that anyone can verify offline with the journal's public key.
//!
//! Begin with [`Journal`], [`NewEvent`] and [`Query`]; check with [`verify`]. Events as Rust types, and
//! decisions upon them, stand in [`typed`]; how they are tested, in [`testing`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod commit;
mod compact;
mod config;
mod error;
mod event;
mod follow;
mod index;
mod journal;
mod keys;
mod known;
mod open;
mod read;
mod recover;
mod segment;
mod signer;
mod sync;
mod tree;
pub mod typed;
mod verify;

use open::layout;

pub use commit::{Anchor, BatchReceipt, Receipt, Ticket};
pub use compact::{
    Compaction, CompactionStep, ErasedBy, Hold, Retained, Retention, RetentionRule, RuleTakes,
};
pub use config::{
    ChainVerification, Clock, Dangerous, Options, Random, Recovery, RegistryCheck, SigningPolicy,
    SystemClock, SystemRandom,
};
pub use error::{
    Code, Conflict, Damage, Error, Fault, Misuse, Refusal, SealedCause, WriterFailure, codes,
};
pub use event::{
    Condition, DATA_SECTION, Event, EventRef, Expect, NewEvent, Payload, Section, to_display_json,
};
pub use factlog_format::{
    Digest, Encoding, EventRecord, FactsRef, JournalEvent, JournalId, KeyDomain, SectionSecret,
    StreamId, TraceContext,
};
#[cfg(feature = "encryption")]
pub use factlog_format::{SecretFate, ShredCompleted, ShredGrade};
#[cfg(feature = "encryption")]
pub use factlog_keys::{Identity, RecipientKey, SectionKey};
/// Makes a type an event: see [`typed`].
pub use factlog_macros::Event;
pub use factlog_proof::{
    CaseFinding, CaseReport, CaseTrust, CaseVerdict, Checkpoint, CosignerKey, CosigningKey, Hash,
    Policy, SignedCheckpoint, SigningKey, TrustPolicy, UnverifiedReceipt, VerifiedCase,
    VerifiedReceipt, VerifierKey, sample_order, verify_case,
};
pub use follow::{
    Claim, CursorFile, CursorStatus, Delivered, Ended, Failure, Group, GroupStatus, InMemory,
    Member, Phase, Projection, ProjectionStatus, Projector, Retries, Shown, Stopper, Subscription,
    SubscriptionStatus, Worker,
};
pub use journal::{Journal, Rotated, Rotation};
#[cfg(feature = "encryption")]
pub use keys::{
    Erased, ErasureEntry, KeyEntry, KeysetInfo, OldSecrets, OnErased, Passphrase, Provider,
    RecipientInfo, Rewrap, Shred, Shredded,
};
pub use keys::{Sealed, Selector};
pub use known::{KnownError, KnownJournal, KnownJournals, RotationProof, Standing};
pub use read::{
    Ancestry, AncestryEnd, CaseQuery, Events, Query, Reader, Stats, StorageBytes, StreamHead,
    StreamInfo, Streams,
};
pub use recover::{
    Inspection, Opens, RecoveryReport, Removed, Salvage, destroy, inspect, repair, reset, salvage,
};
pub use signer::{Adopted, Adoption, ExternalSigner, LogKey, SigningAgent};
pub use typed::testing;
pub use uuid::Uuid;
pub use verify::{
    Authenticity, Completeness, Evidence, Finding, Integrity, Outcome, Report, VerifyOptions,
    verify,
};

// The crash harness, over the build in which mistakes can be planted.
#[cfg(test)]
#[path = "../tests/crash/mod.rs"]
mod crash;
#[cfg(test)]
extern crate self as factlog;

/// What the README shows, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// What the guide shows, compiled and run.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/first-aggregate.md")]
    struct FirstAggregate;
    #[doc = include_str!("../../../docs/guide/events.md")]
    struct Events;
    #[doc = include_str!("../../../docs/guide/decisions.md")]
    struct Decisions;
    #[doc = include_str!("../../../docs/guide/boundaries.md")]
    struct Boundaries;
    #[doc = include_str!("../../../docs/guide/reading.md")]
    struct Reading;
    #[doc = include_str!("../../../docs/guide/retention.md")]
    struct Retention;
    #[doc = include_str!("../../../docs/guide/subscriptions.md")]
    struct Subscriptions;
    #[doc = include_str!("../../../docs/guide/projections.md")]
    struct Projections;
    #[doc = include_str!("../../../docs/guide/consumers.md")]
    struct Consumers;
    #[doc = include_str!("../../../docs/guide/throughput.md")]
    struct Throughput;
    #[doc = include_str!("../../../docs/guide/proofs.md")]
    struct Proofs;
    #[cfg(feature = "encryption")]
    #[doc = include_str!("../../../docs/guide/erasure.md")]
    struct Erasure;
    #[doc = include_str!("../../../docs/guide/running.md")]
    struct Running;
    #[doc = include_str!("../../../docs/guide/crashes.md")]
    struct Crashes;
}
