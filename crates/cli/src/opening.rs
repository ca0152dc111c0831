//! Finding a journal's key and what is known of it, and opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use anyhow::Result;
use clap::Args;
use data_encoding::HEXLOWER;
use factlog::{ExternalSigner, Journal, JournalId, KnownJournals, Options, Reader, VerifierKey};

use crate::commands::trust::anchors;
use crate::exit::{Exit, Problem};
use crate::output::note;
use crate::{files, kek, misused, paths};

/// What whoever has none hears, again and again.
pub(crate) const NO_RECOVERY: &str = "There is no recovery recipient: whoever loses what unlocks the keyset \
     loses every payload. `factlog keys rewrap DIR --recovery-key FILE` adds one.";

/// Which known journals to ask.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KnownArgs {
    /// The file of known journals, or `none` to ask nothing of it [default: the user's own]
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
}

impl KnownArgs {
    /// The file named by hand.
    pub(crate) fn file(path: &Path) -> Self {
        Self {
            known: Some(path.to_owned()),
        }
    }

    pub(crate) fn none() -> Self {
        Self::file(Path::new("none"))
    }

    /// Whether nothing is to be asked of what is remembered.
    pub(crate) fn is_none(&self) -> bool {
        self.known.as_deref() == Some(Path::new("none"))
    }

    /// The known journals; `None` if they are not to be asked.
    pub(crate) fn journals(&self) -> Result<Option<KnownJournals>> {
        match &self.known {
            Some(path) if path == Path::new("none") => Ok(None),
            Some(path) => Ok(Some(KnownJournals::at(path))),
            None => Ok(Some(KnownJournals::at(paths::known_file()?))),
        }
    }
}

/// What a command that appends needs besides the journal.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WriteArgs {
    /// The journal's private key [default: where `init` put it]
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_key: Option<PathBuf>,
    /// A command that signs in place of a key that is here; docs/signer.md says how
    #[arg(long, value_name = "CMD", conflicts_with = "signing_key")]
    pub(crate) signer: Option<String>,
    #[command(flatten)]
    pub(crate) known: KnownArgs,
}

/// Opens for reading, without a lock.
pub(crate) fn reader(dir: &Path) -> Result<Reader> {
    let reader = Journal::open_read_only(dir, kek::unlock(Options::new())?)?;
    for damage in reader.damage() {
        note(format!("Read without what is damaged: {damage}."));
    }
    if let Some(first) = reader.unproven_from() {
        note(format!(
            "Event {first} and what follows was written, but nothing proves yet that it is durable."
        ));
    }
    Ok(reader)
}

/// Opens for appending, with the key named, the one that the known journals name, or the one of the
/// user's key folder.
pub(crate) fn writer(dir: &Path, args: &WriteArgs) -> Result<Journal> {
    writer_of(dir, args, |options| options)
}

/// The same with options changed.
pub(crate) fn writer_of(
    dir: &Path,
    args: &WriteArgs,
    change: impl FnOnce(Options) -> Options,
) -> Result<Journal> {
    let known = args.known.journals()?;
    let mut options = change(kek::unlock(Options::new())?);
    options = match &args.signer {
        Some(command) => {
            let key = Journal::open_read_only(dir, Options::new())?.verifier_key();
            let key =
                key.ok_or_else(|| misused("the journal isn't signed: --signer has nothing to do"))?;
            options.external_signer(key, Arc::new(SigningCommand(command.clone())))
        }
        None => match key_file(dir, args, known.as_ref())? {
            Some(path) => options.signing_key_file(path),
            None => options.signing_key_dir(paths::keys_dir()?),
        },
    };
    if let Some(known) = known {
        options = options.known_journals(known);
    }
    if !args.known.is_none() {
        options = anchors::add_to(options, dir)?;
    }
    let journal = Journal::open(dir, options)?;
    if let Some(damage) = journal.keyset_rolled_back() {
        note(format!(
            "An older copy of the keyset had been put back, and what was shredded since is destroyed again: \
             {damage}."
        ));
    }
    if journal.recovery().is_some() {
        note("The journal was not closed cleanly, and was recovered.");
    }
    Ok(journal)
}

/// A command that is run for each signature.
struct SigningCommand(String);

impl fmt::Debug for SigningCommand {
    /// It may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningCommand")
    }
}

impl ExternalSigner for SigningCommand {
    fn ask(&self, request: &str) -> io::Result<String> {
        let asked = ("FACTLOG_SIGNER", "sign");
        let answer = files::shell(&self.0, asked, request.as_bytes(), files::LIMIT);
        let answer = answer.map_err(|error| io::Error::other(format!("{error:#}")))?;
        String::from_utf8(answer).map_err(|_| io::Error::other("its answer is not text"))
    }
}

/// The journal's private key: the one named, or the one that the known journals name.
pub(crate) fn key_file(
    dir: &Path,
    args: &WriteArgs,
    known: Option<&KnownJournals>,
) -> Result<Option<PathBuf>> {
    if let Some(path) = &args.signing_key {
        if !files::exists(path) {
            let message = format!("there is no key file {}", paths::shown(path));
            return Err(Problem::new(Exit::NotFound, "file.not_found", message).into());
        }
        return Ok(Some(path.clone()));
    }
    // A known journal that can't be looked up must not keep its owner from writing.
    let Some(known) = known else { return Ok(None) };
    let listed = known.list().unwrap_or_default();
    if listed.is_empty() {
        return Ok(None);
    }
    let id = Journal::open_read_only(dir, Options::new())?.id();
    let entry = listed.into_iter().find(|journal| journal.id == id);
    Ok(entry
        .and_then(|entry| entry.key_file)
        .filter(|path| files::exists(path)))
}

/// Reads a verifier key: the key itself, or the name of a file that holds it.
pub(crate) fn verifier_key(text: &str) -> Result<VerifierKey> {
    // A vkey always has a `+`; a file of that name would be a strange one.
    let path = Path::new(text);
    if text.matches('+').count() >= 2 {
        return VerifierKey::parse(text)
            .map_err(|error| misused(format!("not a verifier key: {error}")));
    }
    if !files::exists(path) {
        let message = format!(
            "there is no file {}, and it is no verifier key either, which is NAME+HASH+KEY on one line",
            paths::shown(path)
        );
        return Err(misused(message));
    }
    let bytes = files::read(path, 1 << 10)?;
    let text = String::from_utf8_lossy(&bytes);
    let key = VerifierKey::parse(text.trim_end());
    key.map_err(|error| {
        misused(format!(
            "{} holds no verifier key: {error}",
            paths::shown(path)
        ))
    })
}

/// A journal's id as people see it.
pub(crate) fn id_text(id: &JournalId) -> String {
    HEXLOWER.encode(id)
}

/// `SCOPE/ENTITY`: the scope has no slash, the entity may have some.
pub(crate) fn coordinate(text: &str) -> Result<(&str, &str)> {
    text.split_once('/')
        .filter(|(scope, entity)| !scope.is_empty() && !entity.is_empty())
        .ok_or_else(|| misused(format!("{text:?} is not of the form SCOPE/ENTITY")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinate_splits_at_its_first_slash() {
        assert_eq!(coordinate("a/b/c").unwrap(), ("a", "b/c"));
        for text in ["a", "", "/b", "a/"] {
            assert!(coordinate(text).is_err(), "{text}");
        }
    }
}
