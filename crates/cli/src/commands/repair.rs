use std::path::{Path, PathBuf};

use anyhow::Result;
use factlog::{Journal, Options, Salvage};
use serde::Serialize;

use super::inspect::Entry;
use crate::exit::Exit;
use crate::opening::{KnownArgs, id_text};
use crate::output::{BAD, BOLD, Output, note, shown, styled};
use crate::paths;

/// Write a lost MANIFEST or JOURNAL back, or salvage what is left into a new journal
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog repair ledger
  factlog repair ledger --out salvaged
  factlog repair ledger --out salvaged --origin example.com/ledger

Without --out only MANIFEST and JOURNAL are written, and only if the segments tell all that was in them.
With --out nothing is written to the damaged journal: what verifies is appended to a new one, which
has an id and a key of its own; old receipts prove nothing of it.")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// Make a new journal here of everything that verifies
    #[arg(long, value_name = "NEW")]
    out: Option<PathBuf>,
    /// The new journal's public name
    #[arg(
        long,
        value_name = "NAME",
        default_value = "factlog.local",
        requires = "out"
    )]
    origin: String,
    /// Don't sign the new journal
    #[arg(long, conflicts_with = "signing_key", requires = "out")]
    no_sign: bool,
    /// Where to make the new journal's private key [default: in the user's config folder]
    #[arg(long, value_name = "FILE", requires = "out")]
    signing_key: Option<PathBuf>,
    #[command(flatten)]
    known: KnownArgs,
}

#[derive(Serialize)]
struct RepairJson {
    schema: &'static str,
    dir: String,
    written: Vec<String>,
}

#[derive(Serialize)]
struct SalvageJson {
    schema: &'static str,
    from: String,
    dir: String,
    id: String,
    origin: String,
    vkey: Option<String>,
    copied: u64,
    own: u64,
    lost_events: u64,
    lost: Vec<Entry>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    if let Some(new) = &args.out {
        return salvage(args, new, out);
    }
    let written = factlog::repair(&args.dir, &Options::new())?;
    let json = RepairJson {
        schema: "factlog.repair/1",
        dir: paths::shown(&args.dir),
        written: written.iter().map(|path| paths::shown(path)).collect(),
    };
    if out.is_json() {
        out.object(&json)?;
        return Ok(Exit::Done);
    }
    if json.written.is_empty() {
        note("MANIFEST and JOURNAL are good; nothing was written.");
    }
    for path in &json.written {
        out.line(format!("{} was written", shown(path)))?;
    }
    Ok(Exit::Done)
}

fn salvage(args: &Args, new: &Path, out: &mut Output) -> Result<Exit> {
    let mut options = Options::new().origin(&args.origin);
    if let Some(path) = &args.signing_key {
        options = options.signing_key_file(path);
    } else if !args.no_sign {
        options = options.signing_key_dir(paths::keys_dir()?);
    }
    if let Some(known) = args.known.journals()? {
        options = options.known_journals(known);
    }
    let report = factlog::salvage(&args.dir, new, options)?;
    let reader = Journal::open_read_only(new, Options::new())?;
    let json = SalvageJson {
        schema: "factlog.salvage/1",
        from: id_text(&report.from),
        dir: paths::shown(new),
        id: id_text(&report.id),
        origin: report.origin.clone(),
        vkey: reader.verifier_key().map(|key| key.to_string()),
        copied: report.copied,
        own: report.own,
        lost_events: report.lost_events,
        lost: report.lost.iter().map(Entry::from).collect(),
    };
    if out.is_json() {
        out.object(&json)?;
    } else {
        page(&json, &report, out)?;
    }
    Ok(if report.lost_events > 0 {
        Exit::NotHolding
    } else {
        Exit::Done
    })
}

fn page(json: &SalvageJson, report: &Salvage, out: &mut Output) -> Result<()> {
    out.line(format!("origin  {}", styled(BOLD, &json.origin)))?;
    if let Some(vkey) = &json.vkey {
        out.line(format!("vkey    {}", styled(BOLD, vkey)))?;
    }
    out.line(format!("copied  {} events", json.copied))?;
    let lost = format!("{} events", json.lost_events);
    let lost = if json.lost_events > 0 {
        styled(BAD, lost)
    } else {
        lost
    };
    out.line(format!("lost    {lost}"))?;
    for damage in &report.lost {
        out.line(format!("        {}", shown(&damage.to_string())))?;
    }
    Ok(())
}
