use std::path::{Path, PathBuf};

use factlog_format::JournalId;

/// Where each thing of a journal stands in its directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

pub(crate) const JOURNAL: &str = "JOURNAL";
pub(crate) const MANIFEST: &str = "MANIFEST";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const SECRET: &str = "journal.secret";
pub(crate) const KEYSET: &str = "keyset";
/// The subdirectories that a creation makes; `keys` is private.
pub(crate) const SUBDIRECTORIES: [&str; 5] = ["segments", "index", "tree", "checkpoints", "keys"];
/// The one that is made when it is needed.
pub(crate) const CURSORS: &str = "cursors";

/// Whether a subdirectory of this name is a journal's.
pub(crate) fn is_subdirectory(name: &str) -> bool {
    SUBDIRECTORIES.contains(&name) || name == CURSORS
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join(JOURNAL)
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.dir.join(MANIFEST)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join(LOCK)
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.dir.join("segments")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// Made with the first cursor.
    pub(crate) fn cursors(&self) -> PathBuf {
        self.dir.join(CURSORS)
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.dir.join("keys")
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.keys().join(SECRET)
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn keyset(&self) -> PathBuf {
        self.keys().join(KEYSET)
    }

    pub(crate) fn segment(&self, first: u64, generation: u32) -> PathBuf {
        self.segments()
            .join(crate::segment::segment_name(first, generation))
    }
}

/// The content of `keys/journal.secret`: 32 secret bytes and a CRC-32 over the journal's id and them,
/// little-endian.
pub(crate) const SECRET_LEN: usize = 36;

/// The file's content for a secret.
pub(crate) fn encode_secret(journal: &JournalId, secret: &[u8; 32]) -> [u8; SECRET_LEN] {
    let mut out = [0; SECRET_LEN];
    let (bytes, crc) = out.split_at_mut(secret.len());
    bytes.copy_from_slice(secret);
    crc.copy_from_slice(&secret_crc(journal, secret));
    out
}

/// The secret of a file's content; `None` if it isn't what was written, or is another journal's.
pub(crate) fn decode_secret(journal: &JournalId, content: &[u8]) -> Option<[u8; 32]> {
    let (secret, crc) = content.split_first_chunk::<32>()?;
    (crc == secret_crc(journal, secret)).then_some(*secret)
}

fn secret_crc(journal: &JournalId, secret: &[u8; 32]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(journal);
    hasher.update(secret);
    hasher.finalize().to_le_bytes()
}

/// The name of a file of the log of minted keys: `minted-{number:08x}`.
pub(crate) fn log_name(number: u32) -> String {
    format!("minted-{number:08x}")
}

/// The number of a file of this name, if it is one of that log.
pub(crate) fn log_number(file: &str) -> Option<u32> {
    let number = u32::from_str_radix(file.strip_prefix("minted-")?, 16).ok()?;
    ((1..1 << 24).contains(&number) && log_name(number) == file).then_some(number)
}

/// Whether a file of this name belongs into `keys/`.
pub(crate) fn is_key_file(name: &str) -> bool {
    name == SECRET || name == KEYSET || log_number(name).is_some()
}

/// `{size:016x}.checkpoint`
pub(crate) fn checkpoint_name(size: u64) -> String {
    format!("{size:016x}.checkpoint")
}

/// Whether a file of this name in `checkpoints/` is one that the journal keeps.
pub(crate) fn is_checkpoint_name(name: &str) -> bool {
    checkpoint_size(name).is_some()
}

/// The size of the checkpoint in a file of this name.
pub(crate) fn checkpoint_size(name: &str) -> Option<u64> {
    let size = name
        .strip_suffix(".checkpoint")
        .and_then(|size| u64::from_str_radix(size, 16).ok());
    size.filter(|size| checkpoint_name(*size) == name)
}
