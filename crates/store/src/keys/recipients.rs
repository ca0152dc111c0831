//! Who can open a keyset.

use std::{path::PathBuf, sync::Arc};

use factlog_format::{JournalId, SecretFate};
use factlog_keys::{Identity, KdfParams, KeysetError, Lock, Recipient, RecipientKey, Root, Unlock};

use super::{
    Keys, KeysetInfo, Provider, head::read_head, keyset::fresh, log::damage, noted::former,
    shred::finish,
};
use crate::{Error, Journal, Misuse, Random, read::Shared};

/// A change of who can open a keyset. What it doesn't name stays.
#[derive(Clone, Debug, Default)]
pub struct Rewrap {
    provider: Option<Provider>,
    /// Whether the provider takes the place of a machine alone.
    rebinds: bool,
    recovery: Option<RecipientKey>,
    old: OldSecrets,
}

/// What becomes of the secrets of recipients that are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldSecrets {
    /// Nobody says.
    #[default]
    Unknown,
    /// Their keepers say that they are destroyed, in every copy.
    Attested,
}

impl Rewrap {
    /// Changes nothing but the root key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this unlocks the keyset, in the place of all that did but the recovery recipient.
    #[must_use]
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// From now on this machine unlocks the keyset, by the secret in this file, in the place of the machine that
    /// did; nobody else's secret is touched.
    #[must_use]
    pub fn rebind(self, secret: PathBuf) -> Self {
        Self {
            provider: Some(Provider::Machine(secret)),
            rebinds: true,
            ..self
        }
    }

    /// From now on this is the recovery recipient.
    #[must_use]
    pub fn recovery(mut self, key: RecipientKey) -> Self {
        self.recovery = Some(key);
        self
    }

    /// What becomes of the secrets that are replaced, for the report of a shred.
    #[must_use]
    pub fn old_secrets(mut self, old: OldSecrets) -> Self {
        self.old = old;
        self
    }
}

/// The recipients of a new keyset: the one that the provider unlocks, and the recovery recipient.
pub(super) fn recipients(
    journal: &JournalId,
    provider: &Provider,
    unlock: &Unlock,
    recovery: Option<&RecipientKey>,
    random: &dyn Random,
) -> Result<Vec<Recipient>, KeysetError> {
    let mut recipients = vec![first(journal, provider, unlock, random)?];
    recipients.extend(recovery.map(|key| for_recovery(*key)));
    Ok(recipients)
}

fn first(
    journal: &JournalId,
    provider: &Provider,
    unlock: &Unlock,
    random: &dyn Random,
) -> Result<Recipient, KeysetError> {
    let identity = match unlock {
        Unlock::Identity(identity) => identity.clone(),
        Unlock::Passphrase(_) | Unlock::Machine(_) => Identity::generate(&fresh(random)),
    };
    let params = KdfParams::RECOMMENDED;
    let lock = Lock::of(journal, &identity, unlock, params, &fresh(random))?;
    let (public, label) = (identity.public(), provider.label());
    Ok(Recipient::new(public, lock, &label, false))
}

fn for_recovery(key: RecipientKey) -> Recipient {
    Recipient::new(key, Lock::Elsewhere, "recovery", true)
}

/// A machine can break, so it is never all that opens a keyset.
pub(super) fn refuse_machine_alone(recipients: &[Recipient]) -> Result<(), Misuse> {
    let is_machine = |one: &Recipient| matches!(one.lock, Lock::Machine { .. });
    match recipients.iter().all(is_machine) {
        true => Err(Misuse::OnlyMachine),
        false => Ok(()),
    }
}

impl Keys {
    /// The recipients after a change.
    fn changed(&self, change: &Rewrap, all: bool) -> Result<Vec<Recipient>, Error> {
        let (fs, random) = (self.fs.as_ref(), self.random.as_ref());
        let failed = |error| damage(error, &self.layout.keyset());
        let (head, bytes) = read_head(fs, &self.layout, &self.journal)?;
        if let Some(open) = &self.opened()?.open {
            // Nobody becomes a recipient by having written the file.
            head.authenticate(&bytes, &open.root).map_err(failed)?;
        }
        let is_machine = |one: &Recipient| matches!(one.lock, Lock::Machine { .. });
        if change.rebinds && !head.recipients.iter().any(is_machine) {
            return Err(Misuse::NoMachine.into());
        }
        let mut new = Vec::new();
        if let Some(provider) = &change.provider {
            let unlock = provider.unlock_or_make(fs, random)?;
            // One that opens what is there is no other secret.
            if all && head.unlock(&bytes, &unlock).is_ok() {
                return Err(Misuse::SameSecret.into());
            }
            new.push(first(&self.journal, provider, &unlock, random).map_err(failed)?);
        }
        new.extend(change.recovery.map(for_recovery));
        let mut after = head.clone();
        for recipient in head.recipients {
            let replaced = match recipient.recovery {
                true => change.recovery.is_some(),
                false if change.rebinds => is_machine(&recipient),
                false => change.provider.is_some(),
            };
            let again = new.iter().any(|one| one.public == recipient.public);
            match (replaced, again) {
                (true, false) => {}
                _ if all => return Err(Misuse::SameSecret.into()),
                (false, false) => new.push(recipient),
                (_, true) => {}
            }
        }
        refuse_machine_alone(&new)?;
        // Before anything is said or done: whether such a head can be written.
        after.recipients.clone_from(&new);
        let root = Root::new(fresh(random));
        after.seal(&root, || fresh(random)).map_err(failed)?;
        after.check().map_err(|error| match error {
            KeysetError::Invalid(_) => Misuse::Recipients.into(),
            error => failed(error),
        })?;
        Ok(new)
    }

    /// The recipients that are to take the place of all there are, and of whoever was one before.
    pub(super) fn replacement(
        &self,
        change: &Rewrap,
        shared: &Arc<Shared>,
    ) -> Result<Replacement, Error> {
        let new = self.changed(change, true)?;
        let former = former(shared)?;
        if new.iter().any(|one| former.contains(&one.public.id())) {
            return Err(Misuse::SameSecret.into());
        }
        let fate = match change.old {
            OldSecrets::Attested => SecretFate::Attested,
            OldSecrets::Unknown => SecretFate::Unknown,
        };
        Ok(Replacement { new, fate })
    }
}

/// Who takes the place of all recipients, and what is known then of the secrets of these. Destroying them is for
/// their keepers: nothing here removes what another keyset or recipient may still need.
pub(super) struct Replacement {
    pub(super) new: Vec<Recipient>,
    pub(super) fate: SecretFate,
}

impl Journal {
    /// Changes who can open the keyset, without touching any data: there is another root key, which only the
    /// recipients of now can open. Whoever was one before, and has an old copy of `keys/`, still opens what that
    /// holds.
    ///
    /// # Errors
    /// [`Misuse::NotEncrypted`], [`Misuse::OnlyMachine`], [`Misuse::NoMachine`], [`Misuse::Recipients`], and what is
    /// wrong with the provider: nothing was changed.
    pub fn rewrap_keyset(&self, change: &Rewrap) -> Result<KeysetInfo, Error> {
        let (keys, writer) = self.keys_and_writer()?;
        let _one = writer.changing_keys.lock();
        finish(keys, writer)?;
        let changed = keys.changed(change, false)?;
        // Before and behind it, so that an older copy is named, and its recipients are known to have been some.
        keys.note_recipients(writer)?;
        keys.give_to(changed)?;
        keys.note_recipients(writer)?;
        keys.info()
    }
}
