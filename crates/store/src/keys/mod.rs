//! Keys that can be destroyed: sealing, the keyset on disk, and shredding.
//!
//! Without the feature `encryption` nothing of it is here but what readers say of a section that they
//! can't decrypt.

#[cfg(feature = "encryption")]
mod compact;
#[cfg(feature = "encryption")]
mod derived;
#[cfg(feature = "encryption")]
mod destroy;
mod domain;
#[cfg(feature = "encryption")]
mod head;
#[cfg(feature = "encryption")]
mod index;
#[cfg(feature = "encryption")]
mod info;
#[cfg(feature = "encryption")]
mod keyset;
#[cfg(feature = "encryption")]
mod log;
#[cfg(feature = "encryption")]
mod mint;
#[cfg(feature = "encryption")]
mod noted;
#[cfg(not(feature = "encryption"))]
mod off;
#[cfg(feature = "encryption")]
mod open;
#[cfg(feature = "encryption")]
mod provider;
#[cfg(feature = "encryption")]
mod recipients;
mod seal;
mod sealed;
#[cfg(feature = "encryption")]
mod shred;
#[cfg(all(test, feature = "encryption"))]
mod tests;

#[cfg(feature = "encryption")]
pub use derived::{Erased, OnErased};
pub(crate) use domain::Domain;
pub use domain::Selector;
#[cfg(feature = "encryption")]
pub use info::{KeyEntry, KeysetInfo, RecipientInfo};
#[cfg(feature = "encryption")]
pub(crate) use keyset::Keys;
#[cfg(not(feature = "encryption"))]
pub(crate) use off::{KeyOptions, Keys, finish};
#[cfg(feature = "encryption")]
pub(crate) use provider::KeyOptions;
#[cfg(feature = "encryption")]
pub use provider::{Passphrase, Provider};
#[cfg(feature = "encryption")]
pub use recipients::{OldSecrets, Rewrap};
pub(crate) use seal::{SealedPart, SealedSections};
pub use sealed::Sealed;
#[cfg(feature = "encryption")]
pub(crate) use shred::finish;
#[cfg(feature = "encryption")]
pub use shred::{ErasureEntry, Shred, Shredded};
