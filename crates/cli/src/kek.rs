//! What unlocks the keyset of an encrypted journal: `--kek`.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use factlog::{Identity, Options, Passphrase, Provider};
use zeroize::Zeroizing;

use crate::{files, misused, paths};

/// What `--kek` said, once for the whole run.
static KEK: OnceLock<String> = OnceLock::new();

/// Takes note of what the command line said.
pub(crate) fn set(kek: Option<String>) {
    if let Some(kek) = kek {
        let _ = KEK.set(kek);
    }
}

/// Whether anything was given.
pub(crate) fn is_given() -> bool {
    KEK.get().is_some()
}

/// The options with what unlocks the keyset, if anything was given.
pub(crate) fn unlock(options: Options) -> Result<Options> {
    match KEK.get() {
        Some(kek) => Ok(options.unlock(provider(kek, false)?)),
        None => Ok(options),
    }
}

/// What is to unlock the keyset of a new journal.
pub(crate) fn first() -> Result<Provider> {
    match KEK.get() {
        Some(kek) => provider(kek, true),
        None => Err(misused("--encrypt needs --kek, which unlocks the keyset")),
    }
}

/// What a provider's name stands for; a passphrase that is `new` is asked for twice.
pub(crate) fn provider(kek: &str, new: bool) -> Result<Provider> {
    // From here on the process holds keys.
    files::keep_out_of_core_dumps();
    let (sort, rest) = kek.split_once(':').unwrap_or((kek, ""));
    match (sort, rest) {
        ("passphrase", "") => Ok(Provider::Passphrase(Passphrase::from(ask(new)?))),
        ("file", path) if !path.is_empty() => Ok(Provider::KeyFile(PathBuf::from(path))),
        ("env", name) if !name.is_empty() => {
            let value = std::env::var(name);
            let value = value.map_err(|_| misused(format!("the environment has no {name}")))?;
            of_text(Zeroizing::new(value))
        }
        ("machine", "") => {
            files::make_dir(&paths::config_dir()?)?;
            Ok(Provider::Machine(paths::machine_secret()?))
        }
        ("command", line) if !line.is_empty() => of_text(output_of(line)?),
        _ => Err(misused(format!(
            "{sort}: give passphrase, file:PATH, env:NAME, machine or command:CMD"
        ))),
    }
}

/// A private key, or else a passphrase.
fn of_text(text: Zeroizing<String>) -> Result<Provider> {
    let line = text.lines().next().unwrap_or_default();
    match Identity::from_text(line) {
        Ok(identity) => Ok(Provider::Key(identity)),
        // Half of a key is no passphrase.
        Err(error) if line.starts_with("factlog-") => {
            Err(misused(format!("what was given as a key: {error}")))
        }
        Err(_) => Ok(Provider::Passphrase(Passphrase::new(line))),
    }
}

/// A passphrase from the terminal, or the first line of standard input.
fn ask(new: bool) -> Result<Zeroizing<String>> {
    if std::io::stdin().is_terminal() {
        let prompt = |text| {
            let line = rpassword::prompt_password(text);
            line.map(Zeroizing::new)
                .context("cannot read the passphrase")
        };
        let first = prompt(match new {
            true => "New passphrase of the keyset: ",
            false => "Passphrase of the keyset: ",
        })?;
        if new && prompt("The same again: ")? != first {
            return Err(misused("the two are not the same"));
        }
        return Ok(first);
    }
    let mut line = Zeroizing::new(String::with_capacity(256));
    std::io::stdin().lock().read_line(&mut line)?;
    let line = line.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return Err(misused("no passphrase was given on standard input"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// What a command of the user's prints.
fn output_of(line: &str) -> Result<Zeroizing<String>> {
    let asked = ("FACTLOG_KEK", "unlock");
    let output = Zeroizing::new(files::shell(line, asked, &[], files::LIMIT)?);
    let text = std::str::from_utf8(&output).unwrap_or_default();
    match text.is_empty() {
        true => Err(misused("the command that unlocks the keyset gave nothing")),
        false => Ok(Zeroizing::new(text.to_owned())),
    }
}
