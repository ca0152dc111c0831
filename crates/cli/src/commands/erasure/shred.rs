use std::path::PathBuf;

use anyhow::Result;
use data_encoding::HEXLOWER;
use factlog::Shred;
use serde::Serialize;

use super::report::{AcknowledgedJson, RecipientJson, acknowledged, grade, recipients};
use super::{SelectArgs, id_of};
use crate::commands::trust::keyset::NewArgs;
use crate::exit::Exit;
use crate::misused;
use crate::opening::{self, NO_RECOVERY, WriteArgs};
use crate::output::{Output, note};

/// Destroy the keys of payloads, and so the payloads, for good
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog shred ledger --kek passphrase --stream bank/account-7 --reason 'request 17' --yes
  factlog shred ledger --kek file:ledger.kek --subject customer-4711 --reason 'request 18' --yes

What was encrypted under them is gone wherever nobody kept an older copy of the journal's keys; docs/erasure.md
says what that reaches and what it doesn't. The reason stays in the journal: name a request, not a person.")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    #[command(flatten)]
    select: SelectArgs,
    /// Why; stays in the journal for good
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who wants it; stays in the journal for good
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Replace all recipients too, so that none of now opens an older copy of the journal's folder; needs
    /// --new-kek, and --recovery-key if there is a recovery recipient
    #[arg(long, requires = "new_kek")]
    replace_recipients: bool,
    #[command(flatten)]
    new: NewArgs,
    /// Really do it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    intent: u64,
    completion: u64,
    keys: Vec<String>,
    /// How many of them were there to be destroyed, and which were lost before.
    destroyed: usize,
    missing: Vec<String>,
    grade: &'static str,
    recipients: Vec<RecipientJson>,
    acknowledged: Vec<AcknowledgedJson>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    if !args.yes {
        return Err(misused(
            "shred destroys payloads for good: say --yes if that is meant",
        ));
    }
    let journal = opening::writer(&args.dir, &args.write)?;
    let reader = journal.reader().clone();
    let selectors = args.select.some(|sequence| id_of(&reader, sequence))?;
    let mut shred = Shred::new(selectors, &args.reason);
    if let Some(actor) = &args.actor {
        shred = shred.actor(actor);
    }
    match args.replace_recipients {
        true => shred = shred.replace_recipients(args.new.change(&args.dir)?),
        false if args.new.is_empty() => {}
        false => {
            return Err(misused(
                "--new-kek and --recovery-key go with --replace-recipients",
            ));
        }
    }
    let done = journal.shred(&shred)?;
    let has_recovery = journal.reader().keyset()?.has_recovery();
    journal.close()?;
    if !has_recovery {
        note(NO_RECOVERY);
    }
    let json = Json {
        schema: "factlog.shred/1",
        intent: done.intent,
        completion: done.completion,
        keys: done.keys.iter().map(|id| HEXLOWER.encode(id)).collect(),
        destroyed: done.keys.len() - done.missing.len(),
        missing: done.missing.iter().map(|id| HEXLOWER.encode(id)).collect(),
        grade: grade(done.grade),
        recipients: recipients(&done.recipients),
        acknowledged: acknowledged(&done.acknowledged),
    };
    if out.is_json() {
        out.object(&json)?;
        return Ok(Exit::Done);
    }
    out.line(format!(
        "shredded: {} keys destroyed, as events {} and {} tell",
        json.destroyed, json.intent, json.completion
    ))?;
    for id in &json.missing {
        out.line(format!(
            "given up: {id} was lost before, and was not there to be destroyed"
        ))?;
    }
    if done.grade == factlog::ShredGrade::Removed {
        note(
            "An older copy of keys/ together with a recipient's secret still opens it: look after backups, or \
             give --replace-recipients.",
        );
    }
    Ok(Exit::Done)
}
