//! The file beside the key: what was signed last.
//!
//! ```text
//! factlog signer state 1
//! key example.com/ledger/0f3c…+1b2c3d4e+AQ…
//! size 1234
//! root xK…=
//! crc32 9ae0daaf
//! ```
//!
//! The CRC is over all lines before it. A key that was never used has size 0 and the root of the
//! empty tree. Only this spelling is read.

use std::{
    io,
    path::{Path, PathBuf},
};

use factlog_fs::{Access, StoreFs, read_file, replace_file};
use factlog_proof::{Hash, VerifierKey, empty_root};

use super::{beside, split};
use crate::{Error, Refusal};

const TITLE: &str = "factlog signer state ";
const VERSION: &str = "1";
const MAX_STATE: usize = 1024;
pub(super) const NEWER: &str = "it was written by a newer version";

/// What a signer remembers, read without its lock and without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignerState {
    /// The public half of the key.
    pub(crate) key: VerifierKey,
    /// The last size and root whose signature was released; a lower bound, since it is written
    /// now and then. `None` for a key that was never used.
    pub(crate) remembered: Option<(u64, Hash)>,
}

/// Reads what the signer of this key file remembers, for a verification that signs nothing.
///
/// # Errors
/// `signer.state_unreadable` if the state is missing or damaged; [`Error::Io`].
pub(crate) fn read_state_only(fs: &dyn StoreFs, key_path: &Path) -> Result<SignerState, Error> {
    let path = path_of(key_path);
    match read(fs, &path)? {
        Some(state) => Ok(state),
        None => Err(unreadable(&path, "it is missing")),
    }
}

pub(super) fn path_of(key_path: &Path) -> PathBuf {
    beside(key_path, ".state")
}

/// Before a key is made: a state is no obstacle as long as it remembers nothing.
pub(super) fn refuse_a_used_one(fs: &dyn StoreFs, key_path: &Path) -> Result<(), Error> {
    let path = path_of(key_path);
    match read(fs, &path)? {
        Some(state) if state.remembered.is_some() => {
            Err(unreadable(&path, "it belongs to a key that is gone"))
        }
        _ => Ok(()),
    }
}

pub(super) fn write(
    fs: &dyn StoreFs,
    path: &Path,
    key: &VerifierKey,
    remembered: Option<(u64, Hash)>,
) -> Result<(), Error> {
    let (dir, name) = split(path)?;
    let text = encode(key, remembered);
    replace_file(fs, dir, name, text.as_bytes(), Access::Private).map_err(Error::io("write", path))
}

fn read(fs: &dyn StoreFs, path: &Path) -> Result<Option<SignerState>, Error> {
    let bytes = match read_file(fs, path, MAX_STATE) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            return Err(unreadable(path, "it is too long"));
        }
        read => read.map_err(Error::io("read", path))?,
    };
    decode(&bytes)
        .map(Some)
        .map_err(|detail| unreadable(path, detail))
}

fn unreadable(path: &Path, detail: &str) -> Error {
    Refusal::SignerState {
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
    .into()
}

fn encode(key: &VerifierKey, remembered: Option<(u64, Hash)>) -> String {
    let (size, root) = remembered.unwrap_or_else(|| (0, empty_root()));
    let text = format!("{TITLE}{VERSION}\nkey {key}\nsize {size}\nroot {root}\n");
    let crc = crc32fast::hash(text.as_bytes());
    format!("{text}crc32 {crc:08x}\n")
}

fn decode(bytes: &[u8]) -> Result<SignerState, &'static str> {
    let text = str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let mut lines = text.split('\n');
    let mut field = |name| lines.next().and_then(|line| line.strip_prefix(name));
    match field(TITLE) {
        Some(VERSION) => {}
        Some(version) if version.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(NEWER);
        }
        _ => return Err("it is not a signer's state"),
    }
    let key = field("key ").and_then(|key| VerifierKey::parse(key).ok());
    let size = field("size ").and_then(|size| size.parse::<u64>().ok());
    let root = field("root ").and_then(Hash::from_base64);
    let (Some(key), Some(size), Some(root)) = (key, size, root) else {
        return Err("it is damaged");
    };
    let remembered = (size > 0).then_some((size, root));
    // Comparing with the one spelling checks the CRC, the end of the file and the empty root.
    if encode(&key, remembered).as_bytes() != bytes {
        return Err("it is damaged");
    }
    Ok(SignerState { key, remembered })
}
