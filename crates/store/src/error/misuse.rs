//! What a caller can do wrong.

use std::{fmt, path::PathBuf};

use factlog_format::FormatError;
use thiserror::Error;
use uuid::Uuid;

use crate::{keys::Sealed, typed::RegistryProblem};

/// A mistake of the caller; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A name, size or count is not allowed.
    #[error("the event can't be stored: {0}")]
    Event(#[from] FormatError),
    /// A batch has no event, or more events or bytes than one group holds.
    #[error("a batch holds 1 to 65,536 events and at most 64 MiB")]
    BatchSize,
    /// A name that no cursor's file can have.
    #[error(
        "{0:?} is no name for a cursor: it takes 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit"
    )]
    CursorName(String),
    /// A projection can't be added.
    #[error("the projection can't be added: {0}")]
    Projection(&'static str),
    /// A subscription was asked for that no subscription can be.
    #[error("there is no such subscription: {0}")]
    Subscription(&'static str),
    /// A [`Ticket`](crate::Ticket) was polled again after it had given its answer.
    #[error("the ticket has given its answer already")]
    TicketSpent,
    /// A scope that starts with `$` belongs to the journal itself.
    #[error("scopes that start with $ belong to the journal itself")]
    ReservedScope,
    /// The encoding of the journal's own events.
    #[error("the encoding of the journal's own events is not for others")]
    ReservedEncoding,
    /// Two events of one batch have the same id.
    #[error("two events of one batch have the id {0}")]
    RepeatedId(Uuid),
    /// A payload that would not come out as it went in.
    #[error("the payload can't be encoded without loss: {0}")]
    Payload(String),
    /// The origin isn't a name of 1 to 200 bytes without blanks or `+`.
    #[error("an origin is a name of 1 to 200 bytes without blanks or +")]
    Origin,
    /// There is something at the path already.
    #[error("{} exists already and is not an empty directory", .0.display())]
    Exists(PathBuf),
    /// There is no journal at the path.
    #[error("{} is not a journal", .0.display())]
    NotAJournal(PathBuf),
    /// A crash cut the creation of a journal short; nothing was ever written to it.
    #[error(
        "the creation of a journal in {} was cut short, and it holds nothing: create it again, or remove it",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// A key already used for another journal.
    #[error(
        "the signing key belongs to {found}, not to {wanted}: every journal has a key of its own"
    )]
    KeyOfAnotherJournal {
        /// The origin that the key names.
        found: String,
        /// The journal's origin.
        wanted: String,
    },
    /// The journal's keys don't allow it.
    #[error("the journal's keys can't be changed like this: {0}")]
    KeyRefused(&'static str),
    /// There is a file where a new key was to be written.
    #[error("{} exists already, and keys are never overwritten", .0.display())]
    KeyExists(PathBuf),
    /// A payload can't be read as the type that was asked for.
    #[error("the payload can't be read as {wanted}: {detail}")]
    PayloadType {
        /// The name of the Rust type.
        wanted: &'static str,
        /// What stood in the way.
        detail: String,
    },
    /// The journal isn't signed, so it has no receipts and no checkpoints.
    #[error("the journal is not signed, so nothing of it can be proved to a third party")]
    Unsigned,
    /// No stored signature covers the event yet: the next commit, or 20 ms of idleness, stores one.
    #[error("no stored signature covers event {0} yet")]
    NotYetSigned(u64),
    /// What a signer was asked is no request, or can't be signed.
    #[error("the request to sign is refused: {0}")]
    SignRequest(String),
    /// The receipt would pass the limits of its text form.
    #[error("the receipt can't be written: {0}")]
    Receipt(String),
    /// An event of an earlier version can't be read as one of the current version.
    #[error("the payload of {kind} can't be carried from version {from} to {}: {detail}", from + 1)]
    Upcast {
        /// The event's kind.
        kind: &'static str,
        /// The version that the step takes.
        from: u16,
        /// Why not.
        detail: String,
    },
    /// An event of which a state is made can't be read, so there is no such state.
    #[error(
        "event {sequence} can't be read, and what rests on it can't be told without it: {detail}"
    )]
    Unreadable {
        /// Where the event is.
        sequence: u64,
        /// Why not.
        detail: String,
    },
    /// The event types of this program contradict each other.
    #[error("the event types of this program contradict each other: {}", Sentences(.0))]
    Registry(Vec<RegistryProblem>),
    /// A condition of an append asks for what a condition can't say, or was read from another journal.
    #[error("the condition can't be checked: {0}")]
    Condition(&'static str),
    /// An evidence case of such a period can't be made.
    #[error("the case can't be made: {0}")]
    Case(&'static str),
    /// An encrypted payload can't be read as a type.
    #[error("the payload can't be read: {0}")]
    Locked(SealedCause),
    /// The journal isn't encrypted.
    #[error(
        "the journal is not encrypted, so there is nothing to shred: that is decided at creation"
    )]
    NotEncrypted,
    /// An encrypted journal is to be made, and nothing was given that unlocks its keyset.
    #[error("an encrypted journal needs something that unlocks its keyset")]
    NoProvider,
    /// The machine's identity would be all that unlocks the keyset.
    #[error(
        "a machine can break, so it is never all that unlocks a keyset: name a recovery recipient"
    )]
    OnlyMachine,
    /// A machine is to take the place of another, and none unlocks the keyset.
    #[error(
        "no machine unlocks the keyset, so that none can take its place: a rewrap makes one a recipient"
    )]
    NoMachine,
    /// The recipients that are named would not make a keyset: two of them are one key.
    #[error("two recipients have the same key: name another key for each")]
    Recipients,
    /// What is to replace a recipient is the same secret, or not all are replaced.
    #[error(
        "not every recipient is replaced by another secret: name another one for each, the recovery recipient too"
    )]
    SameSecret,
    /// An empty passphrase was given.
    #[error("the passphrase is empty")]
    NoPassphrase,
    /// The file holds no key.
    #[error("{} holds no private key of a recipient", .0.display())]
    NoKeyFile(PathBuf),
    /// A section names a subject where keys aren't by subject, or doesn't where they are.
    #[error(
        "the journal's keys are by {0}: each section names a subject exactly if they are by subject"
    )]
    Subject(&'static str),
    /// What was named is of another sort than the journal's keys.
    #[error("the journal's keys are by {journal}, so nothing can be shredded or held by {asked}")]
    OtherDomain {
        /// What was named.
        asked: &'static str,
        /// What the keys are of.
        journal: &'static str,
    },
    /// No live key is there for what was named.
    #[error(
        "there is no key for any of it: nothing was ever written there, or it is shredded already"
    )]
    NothingToShred,
    /// There is no such hold in force.
    #[error("there is no hold {0}")]
    NoSuchHold(u64),
    /// A rule of retention makes no sense.
    #[error("the rules can't be followed: {0}")]
    Retention(&'static str),
    /// Nothing in the journal has this sequence or id.
    #[error("there is no event {0}")]
    NoSuchEvent(String),
}

impl Misuse {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event(error) => match error {
                FormatError::Limit { .. } => "event.limit",
                _ => "event.invalid",
            },
            Self::BatchSize => "batch.size",
            Self::CursorName(_) => "cursor.name",
            Self::Projection(_) => "projection.invalid",
            Self::Subscription(_) => "subscription.invalid",
            Self::TicketSpent => "ticket.spent",
            Self::ReservedScope => "event.reserved_scope",
            Self::ReservedEncoding => "event.reserved_encoding",
            Self::RepeatedId(_) => "batch.repeated_id",
            Self::Payload(_) => "payload.lossy",
            Self::Origin => "origin.invalid",
            Self::Exists(_) => "journal.exists",
            Self::NotAJournal(_) => "journal.not_found",
            Self::Unfinished(_) => "journal.unfinished",
            Self::KeyOfAnotherJournal { .. } => "signer.other_journal",
            Self::KeyRefused(_) => "key.refused",
            Self::KeyExists(_) => "signer.key_exists",
            Self::PayloadType { .. } => "payload.type",
            Self::Unsigned => "journal.unsigned",
            Self::NotYetSigned(_) => "receipt.not_yet_signed",
            Self::SignRequest(_) => "signer.request",
            Self::Receipt(_) => "receipt.limit",
            Self::Upcast { .. } => "payload.upcast",
            Self::Unreadable { .. } => "event.unreadable",
            Self::Registry(_) => "registry.invalid",
            Self::Condition(_) => "condition.invalid",
            Self::Case(_) => "case.invalid",
            Self::Retention(_) => "retention.invalid",
            Self::NoSuchEvent(_) => "event.not_found",
            Self::Locked(why) => why.0.code(),
            Self::NotEncrypted => "journal.not_encrypted",
            Self::NoProvider => "keyset.no_provider",
            Self::OnlyMachine => "machine.only_recipient",
            Self::NoMachine => "machine.no_recipient",
            Self::Recipients => "keyset.recipients",
            Self::SameSecret => "keyset.same_secret",
            Self::NoPassphrase => "keyset.no_passphrase",
            Self::NoKeyFile(_) => "keyset.key_text",
            Self::Subject(_) => "event.subject",
            Self::OtherDomain { .. } => "shred.other_domain",
            Self::NothingToShred => "shred.nothing",
            Self::NoSuchHold(_) => "hold.not_found",
        }
    }
}

/// Why a payload can't be decrypted, as a mistake carries it: compared by its code.
#[derive(Clone, Debug, Error)]
#[error(transparent)]
pub struct SealedCause(pub(crate) Sealed);

impl PartialEq for SealedCause {
    fn eq(&self, other: &Self) -> bool {
        self.0.code() == other.0.code()
    }
}

impl Eq for SealedCause {}

struct Sentences<'p>(&'p [RegistryProblem]);

impl fmt::Display for Sentences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if at > 0 { "; and " } else { "" })?;
        }
        Ok(())
    }
}
