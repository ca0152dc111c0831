//! The key of a recovery recipient.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use factlog::{Identity, Random, RecipientKey, SystemRandom};
use zeroize::Zeroizing;

use crate::output::note;
use crate::paths::shown;
use crate::{files, misused};

/// The longest file with a public key.
const MAX_PUBLIC: u64 = 512;
const PUBLIC: &[u8] = b"factlog-recipient-1 ";

/// The public half of the key in a file; where there is no such file, of a fresh one that is written there.
///
/// It stands outside the journal's folder `dir`: a copy of that would bring along what opens it.
pub(crate) fn recovery_key(path: &Path, dir: &Path) -> Result<RecipientKey> {
    if files::is_inside(path, dir) {
        return Err(misused(format!(
            "{} is in the journal's folder: keep the recovery key away from what it opens",
            shown(path)
        )));
    }
    if !files::exists(path) {
        return fresh(path);
    }
    let read = |text: &str| {
        RecipientKey::from_text(text).map_err(|error| misused(format!("{}: {error}", shown(path))))
    };
    // A public key may be anybody's to read; whatever else it is, it must be private.
    match files::read(path, MAX_PUBLIC) {
        Ok(bytes) if bytes.starts_with(PUBLIC) => read(&String::from_utf8_lossy(&bytes)),
        other => {
            other.map(Zeroizing::new)?;
            read(&files::read_secret(path)?)
        }
    }
}

fn fresh(path: &Path) -> Result<RecipientKey> {
    let mut seed = Zeroizing::new([0; 32]);
    SystemRandom::default().fill_key(seed.as_mut());
    let identity = Identity::generate(&seed);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot make {}", shown(path)))?;
    let written = file
        .write_all(identity.to_text().as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_parent(path));
    if written.is_err() {
        // Half of one would stand in the way of the next attempt.
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", shown(path)))?;
    note(format!(
        "The recovery key is {}. Move it to where this machine can't lose it: it opens every payload.",
        shown(path)
    ));
    Ok(identity.public())
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
