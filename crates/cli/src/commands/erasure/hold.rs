use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::{SelectArgs, id_of};
use crate::exit::Exit;
use crate::opening::{self, WriteArgs};
use crate::output::{Output, shown, table};
use crate::time;

/// Forbid to erase something, lift that again, or list what is forbidden
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog hold add ledger --kek passphrase --stream bank/account-7 --reason 'case 4'
  factlog hold list ledger
  factlog hold remove ledger 112 --kek passphrase --reason settled")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Forbid to shred or erase something, or with nothing named anything at all
    Add {
        /// The journal's directory
        dir: PathBuf,
        #[command(flatten)]
        select: SelectArgs,
        /// Why; stays in the journal for good
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Lift a hold
    Remove {
        /// The journal's directory
        dir: PathBuf,
        /// The hold, as `hold list` numbers it
        hold: u64,
        /// Why; stays in the journal for good
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        write: WriteArgs,
    },
    /// List the holds in force
    List {
        /// The journal's directory
        dir: PathBuf,
    },
}

#[derive(Serialize)]
struct HoldJson {
    schema: &'static str,
    hold: u64,
    at: String,
    reason: String,
    domains: usize,
}

#[derive(Serialize)]
struct ChangeJson {
    schema: &'static str,
    hold: u64,
    sequence: u64,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let (journal, hold, sequence) = match &args.action {
        Action::List { dir } => return list(dir, out),
        Action::Add {
            dir,
            select,
            reason,
            write,
        } => {
            let journal = opening::writer(dir, write)?;
            let reader = journal.reader().clone();
            let selectors = select.selectors(|sequence| id_of(&reader, sequence))?;
            let hold = journal.hold(&selectors, reason)?;
            (journal, hold, hold)
        }
        Action::Remove {
            dir,
            hold,
            reason,
            write,
        } => {
            let journal = opening::writer(dir, write)?;
            let sequence = journal.lift_hold(*hold, reason)?;
            (journal, *hold, sequence)
        }
    };
    journal.close()?;
    if out.is_json() {
        out.object(&ChangeJson {
            schema: "factlog.hold-change/1",
            hold,
            sequence,
        })?;
    } else {
        out.line(format!("hold {hold}, as event {sequence} tells"))?;
    }
    Ok(Exit::Done)
}

fn list(dir: &std::path::Path, out: &mut Output) -> Result<Exit> {
    let holds = opening::reader(dir)?.holds()?;
    if out.is_json() {
        for hold in holds {
            out.object(&HoldJson {
                schema: "factlog.hold/1",
                hold: hold.id,
                at: time::show(hold.at),
                reason: hold.reason,
                domains: hold.domains.len(),
            })?;
        }
        return Ok(Exit::Done);
    }
    let mut rows = table(&["hold", "since", "covers", "reason"]);
    for hold in &holds {
        let covers = match hold.domains.len() {
            0 => "everything".to_owned(),
            count => format!("{count} domains"),
        };
        rows.add_row([
            hold.id.to_string(),
            time::show(hold.at),
            covers,
            shown(&hold.reason),
        ]);
    }
    out.line(rows)?;
    Ok(Exit::Done)
}
