//! Who can open a keyset.

use factlog_format::JournalId;
use factlog_keys::{Identity, KdfParams, KeysetError, Lock, Recipient, RecipientKey, Unlock};

use super::{Provider, keyset::fresh};
use crate::Random;

/// The recipients of a new keyset: the one that the provider unlocks, and the recovery recipient.
pub(super) fn recipients(
    journal: &JournalId,
    provider: &Provider,
    unlock: &Unlock,
    recovery: Option<&RecipientKey>,
    random: &dyn Random,
) -> Result<Vec<Recipient>, KeysetError> {
    let identity = match unlock {
        Unlock::Identity(identity) => identity.clone(),
        Unlock::Passphrase(_) | Unlock::Machine(_) => Identity::generate(&fresh(random)),
    };
    let params = KdfParams::RECOMMENDED;
    let lock = Lock::of(journal, &identity, unlock, params, &fresh(random))?;
    let mut recipients = vec![Recipient::new(
        identity.public(),
        lock,
        &provider.label(),
        false,
    )];
    if let Some(key) = recovery {
        recipients.push(Recipient::new(*key, Lock::Elsewhere, "recovery", true));
    }
    Ok(recipients)
}
