use std::path::PathBuf;

use anyhow::Result;
use factlog::{Journal, KeyDomain, Options};
use serde::Serialize;

use crate::exit::Exit;
use crate::opening::NO_RECOVERY;
use crate::opening::{KnownArgs, id_text};
use crate::output::{BOLD, Output, note, styled};
use crate::{files, kek, misused, paths};

/// Create a journal
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog init ledger
  factlog init ledger --origin example.com/ledger
  factlog init ledger --signing-key /secure/ledger.key
  factlog init scratch --no-sign
  factlog init secret --encrypt stream --kek passphrase --recovery-key recovery.key")]
pub(crate) struct Args {
    /// The journal's directory: missing or empty
    dir: PathBuf,
    /// The public name, to which the journal's id is added: best one under a domain of yours
    #[arg(long, value_name = "NAME", default_value = "factlog.local")]
    origin: String,
    /// Don't sign: nothing of the journal can then be proved to a third party
    #[arg(long, conflicts_with = "signing_key")]
    no_sign: bool,
    /// Where to make the private key [default: in the user's config folder, named after the id]
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Encrypt payloads, with a key for each of these: stream, scope, category, kind, event, subject
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    encrypt: Option<KeyDomain>,
    /// The recovery recipient's key, made if there is no such file: keep it away from this machine
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    recovery_key: Option<PathBuf>,
    /// Do without a recovery recipient
    #[arg(long, requires = "encrypt", conflicts_with = "recovery_key")]
    no_recovery: bool,
    #[command(flatten)]
    known: KnownArgs,
}

fn domain(text: &str) -> Result<KeyDomain, String> {
    let mut all = KeyDomain::ALL.into_iter();
    all.find(|domain| domain.name() == text)
        .ok_or_else(|| "one of stream, scope, category, kind, event, subject".to_owned())
}

fn encrypted(args: &Args, mut options: Options) -> Result<Options> {
    let Some(domain) = args.encrypt else {
        return Ok(options);
    };
    options = options.encrypt(domain).unlock(kek::first()?);
    match &args.recovery_key {
        Some(path) => Ok(options.recovery_recipient(files::recovery_key(path, &args.dir)?)),
        None if args.no_recovery => {
            note(NO_RECOVERY);
            Ok(options)
        }
        None => Err(misused(
            "say where the recovery key goes, which opens payloads when all else is lost: \
             --recovery-key FILE, or --no-recovery to do without",
        )),
    }
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    dir: String,
    id: String,
    origin: String,
    vkey: Option<String>,
    key_file: Option<String>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let known = args.known.journals()?;
    let pinned_in = known.clone();
    let mut options = encrypted(args, Options::new().origin(&args.origin))?;
    let keys = paths::keys_dir();
    if let Some(path) = &args.signing_key {
        options = options.signing_key_file(path);
    } else if !args.no_sign {
        options = options.signing_key_dir(keys.as_ref().map_err(Clone::clone)?);
    }
    if let Some(known) = known {
        options = options.known_journals(known);
    }
    let journal = Journal::create(&args.dir, options)?;
    let reader = journal.reader().clone();
    journal.close()?;
    // A pin that can't be made fails nothing, and yet is missed later.
    if pinned_in.is_some_and(|known| !matches!(known.find(&reader.id()), Ok(Some(_)))) {
        note(
            "The journal could not be added to the known journals: was another one known at this \
             directory? `factlog known accept DIR` adds it.",
        );
    }
    let id = id_text(&reader.id());
    let key_file = match &args.signing_key {
        Some(path) => Some(path.clone()),
        None if args.no_sign => None,
        None => keys.ok().map(|keys| keys.join(format!("{id}.key"))),
    };
    let json = Json {
        schema: "factlog.init/1",
        dir: paths::shown(&args.dir),
        id,
        origin: reader.origin().to_owned(),
        vkey: reader.verifier_key().map(|key| key.to_string()),
        key_file: key_file.as_deref().map(paths::shown),
    };
    if out.is_json() {
        out.object(&json)?;
        return Ok(Exit::Done);
    }
    out.line(format!("origin  {}", styled(BOLD, &json.origin)))?;
    if let Some(vkey) = &json.vkey {
        out.line(format!("vkey    {}", styled(BOLD, vkey)))?;
        note("Give the vkey to whoever is to verify receipts; it is public.");
    } else {
        note("The journal is not signed: it has no receipts and no checkpoints.");
    }
    if let Some(path) = &json.key_file {
        note(format!(
            "The private key is {path}. Keep it out of the journal's directory and its backups."
        ));
    }
    Ok(Exit::Done)
}
