//! What a witness keeps, in a folder of its own: its key, and a file for each log that it watches.
//!
//! A log's file is lines `log VKEY`, lines `dropped VKEY` of keys that were taken back, a line `last SIZE`, a blank line, and then the newest checkpoint that was
//! cosigned, as the log signed it; `last none` and nothing there before the first. So what is kept shows by
//! itself whether it is the log's, and a file that was cut short is not taken for a log never met.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use factlog_proof::{CosigningKey, Policy, SignedCheckpoint, VerifierKey, WitnessMemory};

use crate::exit::{Exit, Problem};
use crate::paths::shown;

const KEY: &str = "witness.key";
const LOCK: &str = "lock";
/// How the name of a key begins that is being written.
const NEW: &str = "new-key";
/// Keys and a checkpoint.
const MAX_LOG: u64 = 128 << 10;

/// A witness's folder, held alone.
pub(crate) struct Home {
    dir: PathBuf,
    _lock: File,
}

/// Whether a creation that was cut short left this.
fn is_leftover(entry: &io::Result<fs::DirEntry>) -> bool {
    let name = entry.as_ref().map(fs::DirEntry::file_name);
    name.is_ok_and(|name| name.to_string_lossy().starts_with(NEW))
}

/// Why a record fails.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

#[derive(Default)]
struct Log {
    keys: Vec<VerifierKey>,
    /// Those that were taken back; one of them may have signed the last checkpoint.
    dropped: Vec<VerifierKey>,
    last: Option<SignedCheckpoint>,
}

impl Home {
    /// Makes a witness with this key, in a new folder or in an empty one, as a creation that was cut short
    /// leaves it: the key appears whole or not at all.
    pub(crate) fn create(dir: &Path, key: &CosigningKey) -> Result<Self> {
        let attempt = || -> io::Result<()> {
            match fs::DirBuilder::new().mode(0o700).create(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) if fs::read_dir(dir)?.any(|entry| !is_leftover(&entry)) => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
            let mut file = tempfile::Builder::new()
                .prefix(NEW)
                .permissions(fs::Permissions::from_mode(0o600))
                .tempfile_in(dir)?;
            file.write_all(key.to_text().as_bytes())?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist_noclobber(dir.join(KEY))?;
            File::open(dir)?.sync_all()?;
            File::open(super::parent(dir))?.sync_all()
        };
        attempt().with_context(|| format!("cannot make a witness in {}", shown(dir)))?;
        Self::open(dir)
    }

    /// Opens a witness's folder, and waits for no other.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let attempt = || -> io::Result<File> {
            // Nothing is made where there is no witness.
            fs::metadata(dir.join(KEY))?;
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(dir.join(LOCK))
        };
        let lock = attempt().with_context(|| format!("no witness in {}", shown(dir)))?;
        if lock.try_lock().is_err() {
            let message = format!(
                "the witness in {} is at work in another process",
                shown(dir)
            );
            return Err(Problem::new(Exit::Locked, "witness.locked", message).into());
        }
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn key(&self) -> Result<CosigningKey> {
        let path = self.dir.join(KEY);
        let text = super::read_secret(&path)?;
        CosigningKey::from_text(&text).map_err(|error| {
            let message = format!("{}: {error}", shown(&path));
            Problem::new(Exit::Failed, "signer.key_unreadable", message).into()
        })
    }

    /// Watches a log, or takes a further key of a log that is watched.
    pub(crate) fn trust(&self, key: &VerifierKey) -> Result<()> {
        let mut log = self.read(key.name())?.unwrap_or_default();
        if !log.keys.contains(key) {
            log.dropped.retain(|dropped| dropped != key);
            log.keys.push(key.clone());
            self.write(key.name(), &log)?;
        }
        Ok(())
    }

    /// Takes no more checkpoints by a key. What was cosigned stays, so that the log can't begin anew.
    pub(crate) fn untrust(&self, key: &VerifierKey) -> Result<()> {
        let log = self.read(key.name())?;
        let Some(mut log) = log.filter(|log| log.keys.contains(key)) else {
            let message = "the witness does not trust this key".to_owned();
            return Err(Problem::new(Exit::NotFound, "witness.unknown_log", message).into());
        };
        log.keys.retain(|kept| kept != key);
        log.dropped.push(key.clone());
        Ok(self.write(key.name(), &log)?)
    }

    /// Named after a hash of the origin, which may hold anything.
    fn path(&self, origin: &str) -> PathBuf {
        let name = blake3::hash(origin.as_bytes());
        self.dir
            .join(format!("{}.log", HEXLOWER.encode(name.as_bytes())))
    }

    fn read(&self, origin: &str) -> Result<Option<Log>, Broken> {
        let path = self.path(origin);
        let broken = |why: String| Broken(format!("{}: {why}", shown(&path)));
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(error.to_string())),
            Ok(_) => {}
        }
        let bytes = super::read(&path, MAX_LOG).map_err(|error| broken(format!("{error:#}")))?;
        let text = String::from_utf8(bytes).map_err(|_| broken("it is not text".to_owned()))?;
        let (head, rest) = text
            .split_once("\n\n")
            .ok_or_else(|| broken("it is cut short".to_owned()))?;
        let (head, size) = head
            .rsplit_once("\nlast ")
            .ok_or_else(|| broken("it is cut short".to_owned()))?;
        let (mut keys, mut dropped) = (Vec::new(), Vec::new());
        for line in head.split('\n') {
            let (list, vkey) = match line.strip_prefix("dropped ") {
                Some(vkey) => (&mut dropped, Some(vkey)),
                None => (&mut keys, line.strip_prefix("log ")),
            };
            let key = vkey.and_then(|vkey| VerifierKey::parse(vkey).ok());
            let key = key.filter(|key| key.name() == origin);
            list.push(key.ok_or_else(|| broken("a line is no key of the log".to_owned()))?);
        }
        let last = match rest {
            "" => None,
            rest => {
                let policy = Policy::new(keys.iter().chain(&dropped).cloned());
                let policy = policy.map_err(|error| broken(error.to_string()))?;
                let last = SignedCheckpoint::parse(rest.as_bytes())
                    .map_err(|error| broken(error.to_string()))?;
                last.verify_by(&policy)
                    .map_err(|error| broken(error.to_string()))?;
                Some(last)
            }
        };
        let kept = last.as_ref().map(|last| last.claimed().size().to_string());
        if kept.as_deref().unwrap_or("none") != size {
            return Err(broken(
                "the checkpoint that it speaks of is not there".to_owned(),
            ));
        }
        Ok(Some(Log {
            keys,
            dropped,
            last,
        }))
    }

    /// The size of the newest checkpoint of a log that was cosigned; 0 if none was.
    pub(crate) fn size(&self, origin: &str) -> Result<u64, Broken> {
        let last = self.read(origin)?.and_then(|log| log.last);
        Ok(last.map_or(0, |last| last.claimed().size()))
    }

    /// Keeps an answer, for who asked.
    pub(crate) fn keep_cosigned(&self, checkpoint: &SignedCheckpoint) -> Result<(), Broken> {
        let path = self
            .path(checkpoint.claimed().origin())
            .with_extension("cosigned");
        super::write(&path, checkpoint.to_string().as_bytes())
            .map_err(|error| Broken(format!("{error:#}")))
    }

    /// The newest answer that was kept.
    pub(crate) fn cosigned(&self, origin: &str) -> Result<Option<SignedCheckpoint>, Broken> {
        let path = self.path(origin).with_extension("cosigned");
        if !super::exists(&path) {
            return Ok(None);
        }
        let bytes = super::read(&path, MAX_LOG).map_err(|error| Broken(format!("{error:#}")))?;
        let kept = SignedCheckpoint::parse(&bytes).map_err(|error| Broken(error.to_string()))?;
        Ok(Some(kept))
    }

    fn write(&self, origin: &str, log: &Log) -> Result<(), Broken> {
        let path = self.path(origin);
        let mut text = String::new();
        for key in &log.keys {
            text += &format!("log {key}\n");
        }
        for key in &log.dropped {
            text += &format!("dropped {key}\n");
        }
        let size = log
            .last
            .as_ref()
            .map(|last| last.claimed().size().to_string());
        text += &format!("last {}\n\n", size.as_deref().unwrap_or("none"));
        text += &log
            .last
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        super::write(&path, text.as_bytes()).map_err(|error| Broken(format!("{error:#}")))
    }
}

impl WitnessMemory for Home {
    type Error = Broken;

    fn last(&self, origin: &str) -> Result<Option<(Policy, Option<SignedCheckpoint>)>, Broken> {
        let log = self.read(origin)?;
        let Some(log) = log.filter(|log| !log.keys.is_empty()) else {
            return Ok(None);
        };
        let policy = Policy::new(log.keys).map_err(|error| Broken(error.to_string()))?;
        Ok(Some((policy, log.last)))
    }

    fn keep(&mut self, checkpoint: &SignedCheckpoint) -> Result<(), Broken> {
        let origin = checkpoint.claimed().origin();
        let log = self.read(origin)?;
        let log = log.ok_or_else(|| Broken("the log is not watched any more".to_owned()))?;
        let last = Some(checkpoint.clone());
        self.write(origin, &Log { last, ..log })
    }
}
