use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use factlog_format::KeyDomain;
use factlog_fs::{Access, StoreFs, read_file, read_up_to, write_all_at};
use factlog_keys::{Identity, MachineIdentity, RecipientKey, Unlock};
use zeroize::Zeroizing;

use super::{derived::OnErased, keyset::fresh};
use crate::{Error, Misuse, Random, Refusal};

/// A key file holds one line.
const MAX_KEY_FILE: usize = 512;
/// What Linux systems keep their installation's id in.
const SYSTEM_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// What unlocks the keyset of an encrypted journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Provider {
    /// A passphrase, typed or out of the environment or a command; hardened by Argon2id.
    Passphrase(Passphrase),
    /// A file with a private key, which only its owner may read; made at creation if missing. Keep it
    /// outside the journal.
    KeyFile(PathBuf),
    /// A private key that the caller holds.
    Key(Identity),
    /// This machine: the system's id of its installation, and a random secret in this file, which is made at
    /// creation if missing. Never network addresses, the host's name or its disks.
    Machine(PathBuf),
}

/// A passphrase, wiped when it is dropped and shown nowhere.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

impl From<Zeroizing<String>> for Passphrase {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(..)")
    }
}

/// What of the options is about keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyOptions {
    pub(crate) domain: Option<KeyDomain>,
    pub(crate) provider: Option<Provider>,
    pub(crate) recovery: Option<RecipientKey>,
    pub(crate) without_padding: bool,
    pub(crate) accept_older: bool,
    pub(crate) derived: Vec<Arc<dyn OnErased>>,
}

impl Provider {
    /// The secret as it is there.
    pub(super) fn unlock(&self, fs: &dyn StoreFs) -> Result<Unlock, Error> {
        Ok(match self {
            Self::Passphrase(passphrase) if passphrase.0.is_empty() => {
                return Err(Misuse::NoPassphrase.into());
            }
            Self::Passphrase(passphrase) => Unlock::Passphrase(passphrase.0.clone()),
            Self::Key(identity) => Unlock::Identity(identity.clone()),
            Self::KeyFile(path) => {
                let text = read_secret_file(fs, path)?;
                let identity = Identity::from_text(&text);
                Unlock::Identity(identity.map_err(|_| no_key(path))?)
            }
            Self::Machine(path) => {
                let text = read_secret_file(fs, path)?;
                let bytes = HEXLOWER.decode(text.trim_end().as_bytes());
                let bytes = Zeroizing::new(bytes.map_err(|_| no_key(path))?);
                let secret = bytes.as_slice().try_into().map_err(|_| no_key(path))?;
                Unlock::Machine(MachineIdentity {
                    secret: Zeroizing::new(secret),
                    system_id: system_id(fs)?,
                })
            }
        })
    }

    /// The secret, made if there is none yet and this is a provider that can make one.
    pub(super) fn unlock_or_make(
        &self,
        fs: &dyn StoreFs,
        random: &dyn Random,
    ) -> Result<Unlock, Error> {
        let text = match self {
            Self::KeyFile(_) => |seed: &[u8; 32]| Identity::generate(seed).to_text(),
            Self::Machine(_) => {
                |seed: &[u8; 32]| {
                    // Long enough from the start, so that no shorter copy is left behind.
                    let mut text = Zeroizing::new(String::with_capacity(72));
                    HEXLOWER.encode_append(seed, &mut text);
                    text.push('\n');
                    text
                }
            }
            Self::Passphrase(_) | Self::Key(_) => return self.unlock(fs),
        };
        let (Self::KeyFile(path) | Self::Machine(path)) = self else {
            return self.unlock(fs);
        };
        let found = fs.metadata(path).map_err(Error::io("examine", path))?;
        if found.is_none() {
            let seed = Zeroizing::new(fresh(random));
            make_secret_file(fs, path, text(&seed).as_bytes())?;
        }
        self.unlock(fs)
    }

    /// What a list of recipients says of it.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Passphrase(_) => "passphrase".to_owned(),
            Self::Key(_) => "key".to_owned(),
            Self::KeyFile(_) => "key file".to_owned(),
            Self::Machine(_) => "machine".to_owned(),
        }
    }
}

fn no_key(path: &Path) -> Error {
    Misuse::NoKeyFile(path.to_owned()).into()
}

/// The content of a file that only its owner may read.
fn read_secret_file(fs: &dyn StoreFs, path: &Path) -> Result<Zeroizing<String>, Error> {
    let file = fs.open_private(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Refusal::KeyFileMissing(path.to_owned()).into(),
        ErrorKind::PermissionDenied => Refusal::KeyPermissions(path.to_owned()).into(),
        _ => Error::io("open", path)(error),
    })?;
    // One more than is allowed, so that a longer file shows.
    let mut bytes = Zeroizing::new(vec![0; MAX_KEY_FILE + 1]);
    let got = read_up_to(file.as_ref(), &mut bytes, 0).map_err(Error::io("read", path))?;
    if got > MAX_KEY_FILE {
        return Err(no_key(path));
    }
    let text = bytes.get(..got).map(str::from_utf8);
    match text {
        Some(Ok(text)) => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(no_key(path)),
    }
}

/// Writes a new file that only its owner may read; durable when it returns, and not there after an error.
pub(super) fn make_secret_file(fs: &dyn StoreFs, path: &Path, text: &[u8]) -> Result<(), Error> {
    // Never a rename onto the name: somebody else's secret may have come to stand there.
    let file = fs
        .create_new(path, Access::Private)
        .map_err(Error::io("create", path))?;
    let parent = path.parent().unwrap_or(Path::new(""));
    let written = write_all_at(file.as_ref(), text, 0)
        .map_err(Error::io("write", path))
        .and_then(|()| file.sync_all().map_err(Error::io("sync", path)))
        .and_then(|()| fs.sync_dir(parent).map_err(Error::io("sync", parent)));
    if written.is_err() {
        // Half of one would stand in the way of the next attempt.
        let _ = fs.remove_file(path);
    }
    written
}

fn system_id(fs: &dyn StoreFs) -> Result<Vec<u8>, Error> {
    for path in SYSTEM_IDS {
        let id = read_file(fs, Path::new(path), 256).unwrap_or_default();
        let id = id.trim_ascii().to_vec();
        // What a system says before its first start is no id.
        if !id.is_empty() && id != b"uninitialized" {
            return Ok(id);
        }
    }
    Err(Refusal::NoMachineId.into())
}
