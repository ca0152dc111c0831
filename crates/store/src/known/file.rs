//! The file: one JSON object per line and journal.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use data_encoding::{BASE64, HEXLOWER};
use factlog_fs::{Access, StoreFs, read_file, replace_file};
use factlog_proof::{SignedCheckpoint, VerifierKey};
use serde::{Deserialize, Serialize};

use super::KnownJournal;
use crate::{Damage, Error};

const VERSION: u32 = 1;
/// Enough for tens of thousands of journals.
const MAX_FILE: usize = 256 << 20;

/// Read before the rest, so that a newer version is told apart from damage.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    version: u32,
    id: String,
    origin: String,
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    key_file: Option<StoredPath>,
    checkpoints: Vec<String>,
    paths: Vec<StoredPath>,
}

/// A path is text where it can be; file systems allow any bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredPath {
    Text(String),
    Bytes(PathBytes),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PathBytes {
    base64: String,
}

pub(super) fn read(fs: &dyn StoreFs, path: &Path) -> Result<Vec<KnownJournal>, Error> {
    let bytes = match read_file(fs, path, MAX_FILE) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(Error::io("read", path))?,
    };
    let text = str::from_utf8(&bytes).map_err(|_| unreadable(path, "it is not text"))?;
    let mut journals: Vec<KnownJournal> = Vec::new();
    for (number, line) in text.split_terminator('\n').enumerate() {
        let journal = decode(line).map_err(|(code, why)| {
            Damage::new(code, path, format!("line {}: {why}", number + 1))
        })?;
        let taken = |other: &KnownJournal| {
            other.id == journal.id || other.paths.iter().any(|path| journal.paths.contains(path))
        };
        if journals.iter().any(taken) {
            let why = "its journal, or one of its paths, stands in an earlier line";
            return Err(unreadable(path, format!("line {}: {why}", number + 1)).into());
        }
        journals.push(journal);
    }
    // The last line is as whole as the others only if it ends.
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(unreadable(path, "it ends within a line").into());
    }
    Ok(journals)
}

pub(super) fn write(
    fs: &dyn StoreFs,
    dir: &Path,
    name: &str,
    journals: &[KnownJournal],
) -> Result<(), Error> {
    let path = dir.join(name);
    let mut text = String::new();
    for journal in journals {
        let line = serde_json::to_string(&encode(journal)).map_err(io::Error::from);
        text.push_str(&line.map_err(Error::io("write", &path))?);
        text.push('\n');
    }
    replace_file(fs, dir, name, text.as_bytes(), Access::Private).map_err(Error::io("write", &path))
}

pub(super) fn unreadable(path: &Path, why: impl Into<String>) -> Damage {
    Damage::new("known.unreadable", path, why)
}

fn encode(journal: &KnownJournal) -> Line {
    Line {
        version: VERSION,
        id: HEXLOWER.encode(&journal.id),
        origin: journal.origin.clone(),
        key: journal.key.as_ref().map(VerifierKey::to_string),
        retired: journal.retired.iter().map(VerifierKey::to_string).collect(),
        next: journal.next.as_ref().map(|next| HEXLOWER.encode(next)),
        key_file: journal.key_file.as_deref().map(store),
        checkpoints: journal
            .checkpoints
            .iter()
            .map(SignedCheckpoint::to_string)
            .collect(),
        paths: journal.paths.iter().map(|path| store(path)).collect(),
    }
}

/// The error is a code and a sentence.
fn decode(line: &str) -> Result<KnownJournal, (&'static str, String)> {
    let unreadable = |why: String| ("known.unreadable", why);
    let json = |error: serde_json::Error| ("known.unreadable", error.to_string());
    let Version { version } = serde_json::from_str(line).map_err(json)?;
    if version != VERSION {
        let why = format!("version {version} is newer than this program");
        return Err(("known.newer_version", why));
    }
    let line: Line = serde_json::from_str(line).map_err(json)?;
    let id = HEXLOWER
        .decode(line.id.as_bytes())
        .ok()
        .and_then(|id| id.try_into().ok());
    let id = id.ok_or_else(|| unreadable("the id is not 32 hex digits".to_owned()))?;
    let key = line.key.as_deref().map(VerifierKey::parse).transpose();
    let key = key.map_err(|error| unreadable(error.to_string()))?;
    let retired = line.retired.iter().map(|key| VerifierKey::parse(key));
    let retired = retired
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    let hash = |text: &String| {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let hash = bytes.and_then(|bytes| bytes.try_into().ok());
        hash.ok_or_else(|| unreadable("the announced key is not 64 hex digits".to_owned()))
    };
    let next = line.next.as_ref().map(hash).transpose()?;
    let checkpoints = line
        .checkpoints
        .iter()
        .map(|note| SignedCheckpoint::parse(note.as_bytes()));
    let checkpoints = checkpoints
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    let load = |path| load(path).ok_or_else(|| unreadable("a path is not base64".to_owned()));
    let journal = KnownJournal {
        id,
        origin: line.origin,
        key,
        retired,
        next,
        key_file: line.key_file.map(load).transpose()?,
        checkpoints,
        paths: line.paths.into_iter().map(load).collect::<Result<_, _>>()?,
    };
    journal
        .check_shape()
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(journal)
}

fn store(path: &Path) -> StoredPath {
    match path.to_str() {
        Some(text) => StoredPath::Text(text.to_owned()),
        None => StoredPath::Bytes(PathBytes {
            base64: BASE64.encode(path.as_os_str().as_bytes()),
        }),
    }
}

fn load(path: StoredPath) -> Option<PathBuf> {
    match path {
        StoredPath::Text(text) => Some(text.into()),
        StoredPath::Bytes(PathBytes { base64 }) => {
            let bytes = BASE64.decode(base64.as_bytes()).ok()?;
            Some(OsString::from_vec(bytes).into())
        }
    }
}
