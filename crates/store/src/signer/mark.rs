//! How far a journal was verified, as its signer's owner last saw it: `<key>.verified`.
//!
//! ```text
//! factlog verified 1
//! size 1234
//! root xK…=
//! mac 64 hex digits
//! ```
//!
//! The MAC is keyed BLAKE3 over the lines before it, its key derived from the private key: who hasn't that can't make
//! a mark. An older mark than the newest only means that more is read. One that isn't right is none.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use factlog_fs::{Access, StoreFs, read_file, replace_file};
use factlog_proof::{Hash, SigningKey};
use zeroize::Zeroizing;

use super::{beside, split};
use crate::Error;

const TITLE: &str = "factlog verified 1\n";
const CONTEXT: &str = "factlog 1 verified mark";
const MAX_MARK: usize = 512;

pub(super) fn path_of(key_path: &Path) -> PathBuf {
    beside(key_path, ".verified")
}

/// Size and root of the mark; `None` if there is none that this key has made.
pub(super) fn read(fs: &dyn StoreFs, path: &Path, key: &SigningKey) -> Option<(u64, Hash)> {
    let bytes = read_file(fs, path, MAX_MARK).ok()?;
    let text = str::from_utf8(&bytes).ok()?;
    let mut lines = text.strip_prefix(TITLE)?.lines();
    let size = lines.next()?.strip_prefix("size ")?.parse().ok()?;
    let root = Hash::from_base64(lines.next()?.strip_prefix("root ")?)?;
    let mac = lines.next()?.strip_prefix("mac ")?;
    let mac: [u8; 32] = HEXLOWER.decode(mac.as_bytes()).ok()?.try_into().ok()?;
    let mark = (size, root);
    // Of two `blake3::Hash` the comparison takes the same time wherever they differ.
    let own = blake3::Hash::from_bytes(mac) == mac_of(&lines_of(mark), key);
    (own && text == encode(mark, key)).then_some(mark)
}

pub(super) fn write(
    fs: &dyn StoreFs,
    path: &Path,
    key: &SigningKey,
    mark: (u64, Hash),
) -> Result<(), Error> {
    let (dir, name) = split(path)?;
    let text = encode(mark, key);
    replace_file(fs, dir, name, text.as_bytes(), Access::Private).map_err(Error::io("write", path))
}

fn lines_of((size, root): (u64, Hash)) -> String {
    format!("{TITLE}size {size}\nroot {root}\n")
}

fn encode(mark: (u64, Hash), key: &SigningKey) -> String {
    let text = lines_of(mark);
    let mac = mac_of(&text, key).to_hex();
    format!("{text}mac {mac}\n")
}

fn mac_of(text: &str, key: &SigningKey) -> blake3::Hash {
    let secret = Zeroizing::new(blake3::derive_key(CONTEXT, key.to_text().as_bytes()));
    blake3::keyed_hash(&secret, text.as_bytes())
}
