use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use factlog::{Adopted, Adoption, LogKey, Rotation, SigningAgent, SigningKey};
use serde::Serialize;

use super::{keyset, publish};
use crate::commands::verify::read_checkpoint;
use crate::exit::{Exit, Problem};
use crate::opening::{self, KnownArgs, WriteArgs};
use crate::output::{Output, note, shown, table};
use crate::{files, paths};

/// A request to sign is at most 68 KiB.
const MAX_REQUEST: u64 = 68 << 10;

/// The keys that sign a journal: list them, replace them, take trust in an old one back
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog keys list ledger
  factlog keys rotate ledger
  factlog keys adopt restored-ledger --newer /srv/www/ledger --give-up 12
  factlog keys revoke ledger example.com/ledger/0f3c…+1a2b3c4d+AWdl… --from 1200")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the keys that a journal has had, the oldest first
    #[command(
        before_help = "Examples:\n  factlog keys list ledger\n  factlog keys list ledger --json"
    )]
    List {
        /// The journal's directory
        dir: PathBuf,
    },
    /// Replace the key; whoever knows only the old one can follow
    #[command(
        before_help = "Examples:\n  factlog keys rotate ledger\n  factlog keys rotate ledger --key next.key --then example.com/ledger/0f3c…+9c8b7a6d+AYx…"
    )]
    Rotate {
        /// The journal's directory
        dir: PathBuf,
        /// The new private key, kept beside the old one from then on [default: a fresh one]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Announce the public key that will come after the new one: no other then can
        #[arg(long, value_name = "VKEY")]
        then: Option<String>,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Sign what is asked on standard input, and print the answer: for `--signer`, wherever the key is
    #[command(
        before_help = "Examples:\n  factlog append ledger a/1 x --data 1 --signer 'sudo -u keeper factlog keys agent /secure/ledger.key'"
    )]
    Agent {
        /// The journal's private key, with its state beside it
        key: PathBuf,
    },
    /// Let a key sign a journal again that it remembers otherwise, or of which it has lost the memory
    #[command(
        before_help = "Examples:\n  factlog keys adopt ledger --checkpoint ledger.checkpoint --nothing-past 1200\n  factlog keys adopt restored-ledger --newer /srv/www/ledger --give-up 12"
    )]
    Adopt {
        /// The journal's directory
        dir: PathBuf,
        /// The journal's private key [default: where `init` put it]
        #[arg(long, value_name = "FILE")]
        signing_key: Option<PathBuf>,
        /// A checkpoint that the key has signed, kept elsewhere; may be repeated
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// A newer copy of the journal, or what was published of it: it proves this one a true prefix
        #[arg(long, value_name = "DIR")]
        newer: Option<PathBuf>,
        /// Give up the events that the key has signed past this journal's end: exactly so many
        #[arg(long, value_name = "EVENTS")]
        give_up: Option<u64>,
        /// Where the key has lost its memory: say that it has signed nothing past so many events
        #[arg(long, value_name = "EVENTS")]
        nothing_past: Option<u64>,
        #[command(flatten)]
        known: KnownArgs,
    },
    /// Look through the keyset of an encrypted journal, and say who can open it
    #[command(before_help = "Examples:\n  factlog keys check ledger --kek passphrase")]
    Check {
        /// The journal's directory
        dir: PathBuf,
    },
    /// Change what unlocks the keyset of an encrypted journal, without touching any data
    Rewrap(keyset::RewrapArgs),
    /// Bind the keyset of an encrypted journal to this machine, after it has moved or was installed anew
    #[command(before_help = "Examples:\n  factlog keys rebind ledger --kek file:recovery.key")]
    Rebind {
        /// The journal's directory
        dir: PathBuf,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Say that what a replaced key has signed doesn't count from an event on
    #[command(
        before_help = "Examples:\n  factlog keys revoke ledger example.com/ledger/0f3c…+1a2b3c4d+AWdl… --from 1200"
    )]
    Revoke {
        /// The journal's directory
        dir: PathBuf,
        /// The key, or a file that holds it
        vkey: String,
        /// The first sequence that it doesn't vouch for any more
        #[arg(long, value_name = "SEQ")]
        from: u64,
        #[command(flatten)]
        write: WriteArgs,
    },
}

#[derive(Serialize)]
struct KeyJson {
    schema: &'static str,
    vkey: String,
    since: u64,
    retired: Option<u64>,
    revoked_from: Option<u64>,
}

#[derive(Serialize)]
struct RotatedJson {
    schema: &'static str,
    sequence: u64,
    vkey: String,
    key_file: Option<String>,
}

#[derive(Serialize)]
struct AdoptedJson {
    schema: &'static str,
    adopted: &'static str,
    events: Option<u64>,
}

#[derive(Serialize)]
struct RevokedJson {
    schema: &'static str,
    sequence: u64,
    vkey: String,
    from: u64,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    match &args.action {
        Action::List { dir } => list(dir, out),
        Action::Check { dir } => keyset::check(dir, out),
        Action::Rewrap(args) => keyset::rewrap(args, out),
        Action::Rebind { dir, write } => keyset::rebind(dir, write, out),
        Action::Rotate {
            dir,
            key,
            then,
            write,
        } => rotate(dir, key.as_deref(), then.as_deref(), write, out),
        Action::Agent { key } => {
            let request = files::read(Path::new(files::STANDARD), MAX_REQUEST)?;
            let request = String::from_utf8(request)?;
            let answer = SigningAgent::open(key)?.answer(&request)?;
            out.write(answer.as_bytes())?;
            Ok(Exit::Done)
        }
        Action::Adopt {
            dir,
            signing_key,
            checkpoint,
            newer,
            give_up,
            nothing_past,
            known,
        } => {
            let write = WriteArgs {
                signing_key: signing_key.clone(),
                signer: None,
                known: known.clone(),
            };
            let mut adoption = Adoption::new();
            for path in checkpoint {
                adoption = adoption.evidence(read_checkpoint(path)?);
            }
            if let Some(newer) = newer {
                adoption = adoption.proof(|from, to| {
                    let proof = publish::consistency(newer, from, to);
                    proof.map_err(|error| format!("{error:#}"))
                });
            }
            if let Some(events) = give_up {
                adoption = adoption.give_up(*events);
            }
            if let Some(events) = nothing_past {
                adoption = adoption.nothing_past(*events);
            }
            adopt(dir, adoption, &write, out)
        }
        Action::Revoke {
            dir,
            vkey,
            from,
            write,
        } => revoke(dir, vkey, *from, write, out),
    }
}

fn list(dir: &Path, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(dir)?;
    let keys = reader.keys();
    if out.is_json() {
        for key in &keys {
            out.object(&KeyJson {
                schema: "factlog.keys/1",
                vkey: key.key.to_string(),
                since: key.since,
                retired: key.retired,
                revoked_from: key.revoked_from,
            })?;
        }
    } else {
        let mut rows = table(&["key", "since event", "standing"]);
        for key in &keys {
            let row = [
                shown(&key.key.to_string()),
                key.since.to_string(),
                standing(key),
            ];
            rows.add_row(row);
        }
        out.line(rows)?;
    }
    keyset::list(&reader, out)?;
    Ok(Exit::Done)
}

fn standing(key: &LogKey) -> String {
    match (key.retired, key.revoked_from) {
        (None, _) => "signs".to_owned(),
        (Some(at), None) => format!("replaced at {at}"),
        (Some(at), Some(from)) => format!("replaced at {at}, revoked from {from} on"),
    }
}

fn rotate(
    dir: &Path,
    key: Option<&Path>,
    then: Option<&str>,
    write: &WriteArgs,
    out: &mut Output,
) -> Result<Exit> {
    let mut rotation = Rotation::new();
    if let Some(path) = key {
        rotation = rotation.key(read_key(path)?);
    }
    if let Some(then) = then {
        rotation = rotation.then(&opening::verifier_key(then)?);
    }
    let journal = opening::writer(dir, write)?;
    let rotated = journal.rotate_key(rotation)?;
    journal.close()?;
    let vkey = rotated.key.to_string();
    let key_file = rotated.key_file.as_deref().map(paths::shown);
    if out.is_json() {
        out.object(&RotatedJson {
            schema: "factlog.keys-rotate/1",
            sequence: rotated.sequence,
            vkey,
            key_file,
        })?;
        return Ok(Exit::Done);
    }
    out.line(format!("vkey  {}", shown(&vkey)))?;
    if let Some(file) = key_file {
        out.line(format!("key   {}", shown(&file)))?;
    }
    Ok(Exit::Done)
}

fn adopt(
    dir: &Path,
    mut adoption: Adoption<'_>,
    write: &WriteArgs,
    out: &mut Output,
) -> Result<Exit> {
    let id = opening::reader(dir)?.id();
    let known = write.known.journals()?;
    let remembered = match &known {
        Some(known) => known.find(&id)?,
        None => None,
    };
    let remembered = remembered.map_or_else(Vec::new, |journal| journal.checkpoints);
    for checkpoint in &remembered {
        adoption = adoption.evidence(checkpoint.clone());
    }
    let key = match opening::key_file(dir, write, known.as_ref())? {
        Some(path) => path,
        None => paths::keys_dir()?.join(format!("{}.key", opening::id_text(&id))),
    };
    let adopted = adoption.adopt(dir, &key)?;
    let (word, events) = match adopted {
        Adopted::Remembers { events } => ("remembers", Some(events)),
        Adopted::GaveUp { events } => ("gave_up", Some(events)),
        _ => ("continues", None),
    };
    if out.is_json() {
        out.object(&AdoptedJson {
            schema: "factlog.keys-adopt/1",
            adopted: word,
            events,
        })?;
    } else {
        out.line(match adopted {
            Adopted::Remembers { events } => {
                format!("the key remembers that it has signed {events} events")
            }
            Adopted::GaveUp { events } => format!("given up: {events} events"),
            _ => "nothing to adopt: the journal continues all that the key remembers".to_owned(),
        })?;
    }
    if matches!(adopted, Adopted::Remembers { .. }) {
        note(
            "If the key has signed more after all, receipts and checkpoints of that contradict the journal from \
             now on.",
        );
    }
    if matches!(adopted, Adopted::GaveUp { .. }) {
        note(
            "Receipts and checkpoints of what was given up contradict the journal from now on, and witnesses \
             that have seen it sign no more.",
        );
        if !remembered.is_empty() {
            note(
                "The known journals remember it too: `factlog known accept` lets the journal be written.",
            );
        }
    }
    Ok(Exit::Done)
}

fn read_key(path: &Path) -> Result<SigningKey> {
    let text = files::read_secret(path)?;
    SigningKey::from_text(&text).map_err(|error| {
        let message = format!("{} is not a private key: {error}", paths::shown(path));
        Problem::new(Exit::Usage, error.code(), message).into()
    })
}

fn revoke(dir: &Path, vkey: &str, from: u64, write: &WriteArgs, out: &mut Output) -> Result<Exit> {
    let key = opening::verifier_key(vkey)?;
    let journal = opening::writer(dir, write)?;
    let sequence = journal.revoke_key(&key, from)?;
    journal.close()?;
    let vkey = key.to_string();
    if out.is_json() {
        out.object(&RevokedJson {
            schema: "factlog.keys-revoke/1",
            sequence,
            vkey,
            from,
        })?;
    } else {
        out.line(format!("revoked from {from} on: {}", shown(&vkey)))?;
    }
    Ok(Exit::Done)
}
