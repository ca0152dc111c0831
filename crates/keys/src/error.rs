use thiserror::Error;

/// What is wrong with a keyset, or with who wants to open it. None of them ever means that something
/// was shredded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeysetError {
    /// The file ends before what it says it holds.
    #[error("the keyset ends too early")]
    Truncated,
    /// The bytes are not what was written.
    #[error("the keyset is not what was written")]
    Damaged,
    /// A newer version wrote it.
    #[error("the keyset is of a version that this one doesn't know")]
    Unsupported,
    /// It belongs to another journal.
    #[error("the keyset is another journal's")]
    OtherJournal,
    /// It holds keys of another sort of domain than sequence 0 says.
    #[error("the keyset is for another sort of key domain than the journal's")]
    OtherDomain,
    /// Somebody who doesn't have the root key made or changed it.
    #[error("the keyset was made or changed by somebody without its root key")]
    Forged,
    /// Somebody has put the key or the keys of one bucket in the place of another's.
    #[error("buckets of the keyset stand in each other's place")]
    BucketsSwapped,
    /// A rule that every writer keeps is broken.
    #[error("the keyset is invalid: {0}")]
    Invalid(&'static str),
    /// The secret opens no recipient of this keyset.
    #[error("the secret that was given is none of the keyset's recipients")]
    NoRecipient,
    /// The passphrase is wrong.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The parameters of the passphrase are weaker than any that factlog writes.
    #[error("the keyset asks for passphrase parameters that are too weak")]
    KdfWeak,
    /// The parameters of the passphrase would keep a machine busy or full.
    #[error("the keyset asks for passphrase parameters that are too costly")]
    KdfCostly,
    /// There is not enough memory for the passphrase's parameters.
    #[error("there is not enough memory for what the keyset's passphrase parameters ask")]
    NoMemory,
    /// The machine is another one than when the keyset was bound to it.
    #[error("the keyset is bound to another machine")]
    MachineChanged,
    /// The head is older than the log beside it.
    #[error("the keyset is an older copy than the log of its keys")]
    RolledBack,
    /// The text is no key of a recipient.
    #[error("the text is no recipient's key")]
    BadKeyText,
}

impl KeysetError {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "keyset.truncated",
            Self::Damaged => "keyset.damaged",
            Self::Unsupported => "keyset.unsupported_version",
            Self::OtherJournal => "keyset.other_journal",
            Self::OtherDomain => "keyset.other_domain",
            Self::Forged => "keyset.forged",
            Self::BucketsSwapped => "keyset.buckets_swapped",
            Self::Invalid(_) => "keyset.invalid",
            Self::NoRecipient => "keyset.no_recipient",
            Self::WrongPassphrase => "keyset.wrong_passphrase",
            Self::KdfWeak => "keyset.kdf_weak",
            Self::KdfCostly => "keyset.kdf_costly",
            Self::NoMemory => "keyset.no_memory",
            Self::MachineChanged => "machine.changed",
            Self::RolledBack => "keyset.rolled_back",
            Self::BadKeyText => "keyset.key_text",
        }
    }
}
