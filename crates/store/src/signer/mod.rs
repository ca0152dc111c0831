//! The private key of a journal and what its holder remembers, both outside the journal.
//!
//! Three files stand side by side: the key (`<path>`, 0600), the state (`<path>.state`: the last
//! size and root whose signature was released) and the lock (`<path>.lock`, empty), held while a
//! [`Signer`] lives. `docs/keys-and-known-journals.md` describes them.
//!
//! **Which file comes first.** The initial state is durable before the key exists, and the key
//! appears whole. So a key without a state has *lost* its state and is refused, whatever the
//! reason; a state without a key, or beside an empty key file, is a creation that was cut short,
//! and as long as it remembers nothing the next creation takes its place.

mod adopt;
mod dirs;
mod external;
mod history;
mod mark;
mod state;

#[cfg(test)]
pub(crate) mod failing;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog_fs::{Access, FileKind, FileLock, LockError, StoreFs, read_file, replace_file};
use factlog_proof::{
    Checkpoint, CheckpointError, Hash, NoteSignature, SignedCheckpoint, SigningKey, VerifierKey,
};
use zeroize::Zeroizing;

use crate::{
    Damage, Error, Misuse, Refusal,
    sync::{Mutex, MutexGuard},
};

pub use adopt::{Adopted, Adoption};
pub(crate) use dirs::create_private_dirs;
pub use external::{ExternalSigner, SigningAgent};
pub(crate) use history::KeyHistory;
pub use history::LogKey;
pub(crate) use state::read_state_only;

/// The longest key file: prefix, a name of 255 bytes, key id and seed, generously.
const MAX_KEY_FILE: usize = 1024;

/// What signs a journal's checkpoints: its private key, and the memory of what was signed.
///
/// While one lives no other can be opened on the same key file, in this process or another on
/// this machine, so two copies of a journal can't both sign here. It is wiped from memory when
/// dropped, and `Debug` doesn't show the secret.
pub(crate) struct Signer {
    key: Key,
    remembered: Mutex<Option<(u64, Hash)>>,
    files: Option<Files>,
}

/// Where the private key is.
enum Key {
    Here(Box<SigningKey>),
    /// Who has it keeps its own memory of what was signed.
    Elsewhere(Box<VerifierKey>, Arc<dyn ExternalSigner>),
}

impl Key {
    fn verifier(&self) -> &VerifierKey {
        match self {
            Self::Here(key) => key.verifier(),
            Self::Elsewhere(key, _) => key,
        }
    }
}

struct Files {
    fs: Arc<dyn StoreFs>,
    state: PathBuf,
    mark: PathBuf,
    /// Dropping it ends the exclusion, so it lives as long as the signer.
    _lock: Box<dyn FileLock>,
}

impl Signer {
    /// Writes a new key and its initial state, and opens them.
    ///
    /// Directories that are missing are made for the owner alone. On success key, state and
    /// their directories are durable. On an error nothing of the key is left, or an empty file
    /// by its name, which the next attempt replaces.
    ///
    /// # Errors
    /// `signer.key_exists` if there is anything at `key_path` but this very key, of which nothing was
    /// released, as a creation that was cut short leaves it; `signer.in_use` if another signer
    /// holds its lock; `signer.state_unreadable` if a state is there that remembers something, or
    /// can't be read; [`Error::Io`].
    pub(crate) fn create(
        fs: Arc<dyn StoreFs>,
        key_path: &Path,
        key: SigningKey,
    ) -> Result<Self, Error> {
        let (dir, name) = split(key_path)?;
        create_private_dirs(fs.as_ref(), dir)?;
        let lock = lock(fs.as_ref(), key_path)?;
        let again = is_the_same_unused(fs.as_ref(), key_path, &key);
        let reserved = again || is_unused(fs.as_ref(), key_path)?;
        state::refuse_a_used_one(fs.as_ref(), key_path)?;
        let state = state::path_of(key_path);
        state::write(fs.as_ref(), &state, key.verifier(), None)?;
        if !reserved {
            // Excludes those who don't know the lock: from here on the name is ours.
            fs.create_new(key_path, Access::Private)
                .map_err(|e| exists_or_io(e, key_path))?;
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE));
        text.push_str(&key.to_text());
        text.push('\n');
        if let Err(error) = replace_file(fs.as_ref(), dir, name, text.as_bytes(), Access::Private) {
            // Nothing was signed with it yet. If it can't be removed it is empty, or whole.
            if !again {
                let _ = fs.remove_file(key_path);
            }
            return Err(Error::io("write", key_path)(error));
        }
        let files = Some(Files {
            fs,
            state,
            mark: mark::path_of(key_path),
            _lock: lock,
        });
        Ok(Self {
            key: Key::Here(Box::new(key)),
            remembered: Mutex::new(None),
            files,
        })
    }

    /// Opens an existing key for signing.
    ///
    /// # Errors
    /// `signer.key_permissions` if others than the owner have access to the key file;
    /// `signer.key_unreadable` if it isn't a key in its one spelling; `signer.in_use` if another
    /// signer holds its lock; `signer.state_unreadable` if the state is missing, damaged or that
    /// of another key; [`Error::Io`], also if there is no key file.
    pub(crate) fn open(fs: Arc<dyn StoreFs>, key_path: &Path) -> Result<Self, Error> {
        let key = read_key(fs.as_ref(), key_path)?;
        let lock = lock(fs.as_ref(), key_path)?;
        let read = read_state_only(fs.as_ref(), key_path)?;
        let state = state::path_of(key_path);
        if read.key != *key.verifier() {
            let detail = "it is that of another key".to_owned();
            return Err(Refusal::SignerState {
                path: state,
                detail,
            }
            .into());
        }
        let files = Some(Files {
            fs,
            state,
            mark: mark::path_of(key_path),
            _lock: lock,
        });
        Ok(Self {
            key: Key::Here(Box::new(key)),
            remembered: Mutex::new(read.remembered),
            files,
        })
    }

    /// A signer without files, which forgets with the process: for tests and for journals in
    /// memory.
    #[must_use]
    pub(crate) fn in_memory(key: SigningKey) -> Self {
        Self {
            key: Key::Here(Box::new(key)),
            remembered: Mutex::new(None),
            files: None,
        }
    }

    /// A signer whose key is held by somebody else.
    pub(crate) fn elsewhere(key: VerifierKey, agent: Arc<dyn ExternalSigner>) -> Self {
        Self {
            key: Key::Elsewhere(Box::new(key), agent),
            remembered: Mutex::new(None),
            files: None,
        }
    }

    /// Whether it may be asked only for what is durable.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self.key, Key::Elsewhere(..))
    }

    /// The signature of a tree that is durable, by whoever has the key. `from` is the size that was signed last,
    /// as far as is known, and `path` proves from a size to this one.
    ///
    /// # Errors
    /// `signer.history_mismatch`, `signer.unavailable`.
    pub(crate) fn ask(
        &self,
        size: u64,
        root: Hash,
        from: u64,
        path: &dyn Fn(u64) -> Result<Vec<Hash>, Error>,
    ) -> Result<SignedCheckpoint, Error> {
        let broken = |error: CheckpointError| Misuse::SignRequest(error.to_string());
        let checkpoint = Checkpoint::new(self.origin(), size, root).map_err(broken)?;
        match &self.key {
            Key::Here(_) => {
                let signature = self.sign(&checkpoint)?;
                Ok(SignedCheckpoint::new(checkpoint, vec![signature]).map_err(broken)?)
            }
            Key::Elsewhere(key, agent) => {
                external::ask(agent.as_ref(), key, &checkpoint, from, path)
            }
        }
    }

    /// The origin that the key is named after.
    #[must_use]
    pub(crate) fn origin(&self) -> &str {
        self.key.verifier().name()
    }

    /// The public half of the key.
    #[must_use]
    pub(crate) fn verifier(&self) -> VerifierKey {
        self.key.verifier().clone()
    }

    /// Signs a checkpoint, in memory: nothing is remembered before [`remember`](Self::remember).
    ///
    /// # Errors
    /// `signer.other_journal` if the checkpoint has another origin than the key;
    /// `signer.history_mismatch` if it is smaller than what is remembered, or of the same size
    /// with another root.
    pub(crate) fn sign(&self, checkpoint: &Checkpoint) -> Result<NoteSignature, Error> {
        self.check_continues(*self.memory(), checkpoint.size(), checkpoint.root())?;
        let other = || Misuse::KeyOfAnotherJournal {
            found: self.origin().to_owned(),
            wanted: checkpoint.origin().to_owned(),
        };
        let Key::Here(key) = &self.key else {
            let detail = "only what is durable is signed elsewhere".to_owned();
            return Err(Refusal::SignerUnavailable { detail }.into());
        };
        let signed = checkpoint.sign(key).map_err(|_| other())?;
        let signature = signed.signatures().first().cloned();
        Ok(signature.ok_or_else(other)?)
    }

    /// The last size and root whose signature was released, as far as is known here; `None` for
    /// a key that was never used.
    #[must_use]
    pub(crate) fn remembered(&self) -> Option<(u64, Hash)> {
        *self.memory()
    }

    /// Remembers, durably, that the signature of this size and root was released.
    ///
    /// What is remembered already is not written again. After an [`Error::Io`] the memory is as
    /// before; the file may hold either.
    ///
    /// # Errors
    /// `signer.history_mismatch` as [`sign`](Self::sign); [`Error::Io`].
    pub(crate) fn remember(&self, size: u64, root: Hash) -> Result<(), Error> {
        let mut memory = self.memory();
        self.check_continues(*memory, size, root)?;
        // Whoever has the key elsewhere remembers for themselves.
        if size == 0 || *memory == Some((size, root)) || self.is_elsewhere() {
            return Ok(());
        }
        if let Some(Files { fs, state, .. }) = &self.files {
            state::write(fs.as_ref(), state, self.key.verifier(), Some((size, root)))?;
        }
        *memory = Some((size, root));
        Ok(())
    }

    /// How far the journal was verified, if that is remembered here.
    #[must_use]
    pub(crate) fn verified(&self) -> Option<(u64, Hash)> {
        let (Key::Here(key), Some(files)) = (&self.key, &self.files) else {
            return None;
        };
        mark::read(files.fs.as_ref(), &files.mark, key)
    }

    /// Remembers how far the journal was verified, where there is a place for it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn set_verified(&self, size: u64, root: Hash) -> Result<(), Error> {
        match (&self.key, &self.files) {
            (Key::Here(key), Some(files)) => {
                mark::write(files.fs.as_ref(), &files.mark, key, (size, root))
            }
            _ => Ok(()),
        }
    }

    fn check_continues(
        &self,
        memory: Option<(u64, Hash)>,
        size: u64,
        root: Hash,
    ) -> Result<(), Error> {
        match memory {
            Some((known, known_root)) if size < known || (size == known && root != known_root) => {
                Err(Refusal::HistoryMismatch { remembered: known }.into())
            }
            _ => Ok(()),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Option<(u64, Hash)>> {
        self.remembered.lock()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("verifier", self.key.verifier())
            .field("remembered", &self.remembered())
            .field("state", &self.files.as_ref().map(|files| &files.state))
            .finish_non_exhaustive()
    }
}

fn read_key(fs: &dyn StoreFs, path: &Path) -> Result<SigningKey, Error> {
    let metadata = fs.metadata(path).map_err(Error::io("read", path))?;
    if metadata.is_some_and(|found| found.kind == FileKind::File && !found.private) {
        return Err(Refusal::KeyPermissions(path.to_owned()).into());
    }
    let unreadable = |detail: String| Damage::new("signer.key_unreadable", path, detail);
    let bytes = match read_file(fs, path, MAX_KEY_FILE) {
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            return Err(unreadable("it is too long for a key".to_owned()).into());
        }
        read => Zeroizing::new(read.map_err(Error::io("read", path))?),
    };
    if bytes.is_empty() {
        return Err(unreadable("it is empty: its creation was cut short".to_owned()).into());
    }
    let text = str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.strip_suffix('\n'));
    let text = text.ok_or_else(|| unreadable("it is not one line of text".to_owned()))?;
    Ok(SigningKey::from_text(text).map_err(|e| unreadable(e.to_string()))?)
}

/// Whether this very key stands there already, and nothing is remembered to have been released by it.
fn is_the_same_unused(fs: &dyn StoreFs, path: &Path, key: &SigningKey) -> bool {
    let same = read_key(fs, path).is_ok_and(|found| *found.to_text() == *key.to_text());
    same && state::read_state_only(fs, path)
        .is_ok_and(|state| state.remembered.is_none() && state.key == *key.verifier())
}

/// Whether the name is taken by an empty file that a creation left; an error if by anything else.
fn is_unused(fs: &dyn StoreFs, path: &Path) -> Result<bool, Error> {
    match fs.metadata(path).map_err(Error::io("read", path))? {
        None => Ok(false),
        Some(found) if found.kind == FileKind::File && found.len == 0 => Ok(true),
        Some(_) => Err(Misuse::KeyExists(path.to_owned()).into()),
    }
}

fn exists_or_io(error: io::Error, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Misuse::KeyExists(path.to_owned()).into(),
        _ => Error::io("create", path)(error),
    }
}

fn lock(fs: &dyn StoreFs, key_path: &Path) -> Result<Box<dyn FileLock>, Error> {
    let path = beside(key_path, ".lock");
    fs.lock(&path).map_err(|error| match error {
        LockError::Held => Refusal::SignerInUse(state::path_of(key_path)).into(),
        LockError::Io(source) => Error::io("lock", &path)(source),
        error => Refusal::FileSystem {
            path: path.clone(),
            detail: error.to_string(),
        }
        .into(),
    })
}

/// The directory and the name of a file.
pub(crate) fn split(path: &Path) -> Result<(&Path, &str), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(dir), Some(name)) => Ok((dir, name)),
        _ => {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file");
            Err(Error::io("create", path)(source))
        }
    }
}

/// The path with a suffix added to its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
