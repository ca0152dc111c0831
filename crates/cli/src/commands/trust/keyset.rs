//! The keyset of an encrypted journal: who can open it, and what keys are in it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use data_encoding::HEXLOWER;
use factlog::{KeysetInfo, OldSecrets, Options, Reader, RecipientInfo, Rewrap};
use serde::Serialize;

use crate::exit::Exit;
use crate::opening::{self, NO_RECOVERY, WriteArgs};
use crate::output::{Output, note, shown, table};
use crate::{files, kek, misused, paths};

/// Who is to open the keyset from now on.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct NewArgs {
    /// What unlocks the keyset from now on, in place of what does: as for --kek
    #[arg(long, value_name = "PROVIDER")]
    new_kek: Option<String>,
    /// From now on the recovery recipient's key, made if there is no such file
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// Say that every copy of the old secrets is destroyed
    #[arg(long)]
    old_secret_destroyed: bool,
}

impl NewArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.new_kek.is_none() && self.recovery_key.is_none()
    }

    /// The change that it asks for, of the journal in `dir`.
    pub(crate) fn change(&self, dir: &Path) -> Result<Rewrap> {
        let mut change = Rewrap::new();
        if let Some(kek) = &self.new_kek {
            change = change.provider(kek::provider(kek, true)?);
        }
        if let Some(path) = &self.recovery_key {
            change = change.recovery(files::recovery_key(path, dir)?);
        }
        Ok(change.old_secrets(match self.old_secret_destroyed {
            true => OldSecrets::Attested,
            false => OldSecrets::Unknown,
        }))
    }
}

#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog keys rewrap ledger --kek passphrase --new-kek file:/secure/ledger.kek
  factlog keys rewrap ledger --kek file:ledger.kek --recovery-key recovery.key

Whoever could open the keyset before, and has an old copy of keys/, still opens what that holds.")]
pub(crate) struct RewrapArgs {
    /// The journal's directory
    dir: PathBuf,
    #[command(flatten)]
    new: NewArgs,
    /// Take a keyset as it is though it is an older copy, where the newest is lost for good: what was made
    /// since is given up, and who could open it then can again
    #[arg(long)]
    accept_older_keyset: bool,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Serialize)]
struct CheckJson {
    schema: &'static str,
    domain: &'static str,
    generation: u64,
    /// How many keys there are, where each was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<usize>,
    recipients: Vec<RecipientJson>,
}

#[derive(Serialize)]
struct RecipientJson {
    recipient: String,
    key: String,
    label: String,
    recovery: bool,
}

#[derive(Serialize)]
struct KeyJson {
    schema: &'static str,
    key: String,
    domain: String,
}

fn recipient(info: &RecipientInfo) -> RecipientJson {
    RecipientJson {
        recipient: HEXLOWER.encode(&info.id),
        key: info.key.clone(),
        label: info.label.clone(),
        recovery: info.recovery,
    }
}

/// Opens every key of the keyset; what is wrong with it is told with what to do about that.
pub(super) fn check(dir: &Path, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(dir)?;
    let keys = reader.check_keyset().inspect_err(|error| {
        let mut codes = factlog::codes().iter();
        if let Some(code) = codes.find(|code| code.code == error.code()) {
            note(format!("What to do: {}.", code.remedy));
        }
    })?;
    show("factlog.keys-check/1", &reader.keyset()?, Some(keys), out)
}

fn show(
    schema: &'static str,
    info: &KeysetInfo,
    keys: Option<usize>,
    out: &mut Output,
) -> Result<Exit> {
    let json = CheckJson {
        schema,
        domain: info.domain.name(),
        generation: info.generation,
        keys,
        recipients: info.recipients.iter().map(recipient).collect(),
    };
    if out.is_json() {
        out.object(&json)?;
    } else {
        if let Some(keys) = keys {
            out.line(format!("{keys} keys by {}: every one opens", json.domain))?;
        }
        let mut rows = table(&["recipient", "id", "key"]);
        for one in &json.recipients {
            rows.add_row([shown(&one.label), one.recipient.clone(), shown(&one.key)]);
        }
        out.line(rows)?;
    }
    if !info.has_recovery() {
        note(NO_RECOVERY);
    }
    Ok(Exit::Done)
}

/// Who can open the keyset, and if it is open, what keys are in it.
pub(super) fn list(reader: &Reader, out: &mut Output) -> Result<()> {
    let info = match reader.keyset() {
        Err(error) if error.code() == "journal.not_encrypted" => return Ok(()),
        info => info?,
    };
    show("factlog.keyset/1", &info, None, out)?;
    if !kek::is_given() {
        return Ok(());
    }
    let mut rows = table(&["data key", info.domain.name()]);
    for key in reader.data_keys()? {
        let id = HEXLOWER.encode(&key.id);
        match out.is_json() {
            true => out.object(&KeyJson {
                schema: "factlog.data-key/1",
                key: id,
                domain: key.domain,
            })?,
            false => {
                rows.add_row([id, shown(&key.domain)]);
            }
        }
    }
    if !out.is_json() {
        out.line(rows)?;
    }
    Ok(())
}

pub(super) fn rewrap(args: &RewrapArgs, out: &mut Output) -> Result<Exit> {
    if args.new.is_empty() && !args.accept_older_keyset {
        return Err(misused("say what changes: --new-kek or --recovery-key"));
    }
    let journal = match args.accept_older_keyset {
        true => opening::writer_of(&args.dir, &args.write, Options::accept_older_keyset)?,
        false => opening::writer(&args.dir, &args.write)?,
    };
    let info = match args.new.is_empty() {
        true => journal.reader().keyset()?,
        false => journal.rewrap_keyset(&args.new.change(&args.dir)?)?,
    };
    journal.close()?;
    show("factlog.keys-rewrap/1", &info, None, out)
}

pub(super) fn rebind(dir: &Path, write: &WriteArgs, out: &mut Output) -> Result<Exit> {
    let journal = opening::writer(dir, write)?;
    files::make_dir(&paths::config_dir()?)?;
    let here = Rewrap::new().rebind(paths::machine_secret()?);
    let info = journal.rewrap_keyset(&here)?;
    journal.close()?;
    show("factlog.keys-rewrap/1", &info, None, out)
}
