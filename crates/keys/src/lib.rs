//! Keys that can be destroyed: data keys and the sections sealed under them, the keyset that holds the
//! keys, and the recipients who can open it.
//!
//! The crate does no I/O, reads no clock and draws no randomness: the store keeps the files, and brings
//! fresh bytes. `docs/format.md` describes every byte that is hashed, sealed or stored here.
//!
//! ```
//! use factlog_keys::{DataKey, SectionPlace, Suite};
//!
//! let key = DataKey::new([7; 32]); // drawn from the operating system, in earnest
//! let place = SectionPlace {
//!     journal: &[1; 16], event: &[2; 16], scope: "bank", entity: "account-7", kind: "account.opened",
//!     payload_version: 1, index: 0, name: "data", encoding: 1, suite: Suite::ChaCha20Poly1305, padding: 1,
//! };
//! let mut stored = Vec::new();
//! let sealed = key.seal(&place, &[3; 32], b"{}", &mut stored).unwrap();
//! let mut plain = Vec::new();
//! key.open(&place, &sealed.nonce, &sealed.commitment, &stored, &mut plain).unwrap();
//! assert_eq!(plain, b"{}");
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

mod cipher;
mod error;
mod head;
mod input;
mod log;
mod padding;
mod passphrase;
mod recipient;
mod section;
mod wrap;

pub use cipher::Suite;
pub use error::KeysetError;
pub use head::{BucketRow, Head, MAX_BUCKETS, MAX_HEAD_LEN, Mark, Root};
pub use log::{
    BUCKET_KEYS, Image, LOG_HEADER_LEN, LogHeader, LogRecord, LogStop, MAX_LOG_NUMBER,
    MAX_RECORD_LEN, MintedKey, Resync, Tombstone, next_record, seal_record,
};
pub use padding::padded_len;
pub use passphrase::KdfParams;
pub use recipient::{Identity, Lock, MachineIdentity, Recipient, RecipientKey, Unlock};
pub use section::{DataKey, KeyId, OpenError, Sealed, SectionKey, SectionPlace, TAG_LEN};
pub use wrap::{BucketKey, DomainTag, NamesKey, WRAPPED_KEY_LEN, WrappedKey};
