//! `destroy` and `reset`: the same removal, with a directory left or not.

use std::path::{Path, PathBuf};

use anyhow::Result;
use factlog::{Options, Removed};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Output, note, shown};
use crate::{misused, paths};

/// Remove a journal for good, in whatever state it is
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog destroy ledger --yes

The journal's files and its directory are removed. What else is in the directory stays and is
listed; no link is followed. The signing key, its state and the known journals stay.")]
pub(crate) struct Destroy {
    /// The journal's directory
    dir: PathBuf,
    /// Really do it
    #[arg(long)]
    yes: bool,
}

/// Make a journal's directory an empty one again
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog reset ledger --yes
  factlog reset /mnt/ledger --yes --keep-dir

All events are removed: what stays is an empty directory, in which `init` makes another journal. What
else is in the directory stays and is listed; no link is followed. The signing key, its state and the
known journals stay.")]
pub(crate) struct Reset {
    /// The journal's directory
    dir: PathBuf,
    /// Really do it
    #[arg(long)]
    yes: bool,
    /// Only empty the directory, with its owner and mode, instead of making it anew
    #[arg(long)]
    keep_dir: bool,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    dir: String,
    files: u64,
    left: Vec<String>,
}

pub(crate) fn destroy(args: &Destroy, out: &mut Output) -> Result<Exit> {
    confirm(args.yes, "destroy", &args.dir)?;
    let removed = factlog::destroy(&args.dir, &Options::new())?;
    say("factlog.destroy/1", &args.dir, &removed, out)
}

pub(crate) fn reset(args: &Reset, out: &mut Output) -> Result<Exit> {
    confirm(args.yes, "reset", &args.dir)?;
    let removed = factlog::reset(&args.dir, args.keep_dir, &Options::new())?;
    say("factlog.reset/1", &args.dir, &removed, out)
}

fn confirm(yes: bool, command: &str, dir: &Path) -> Result<()> {
    if yes {
        return Ok(());
    }
    let dir = paths::shown(dir);
    Err(misused(format!(
        "{command} removes every event in {dir} for good: say --yes if that is meant"
    )))
}

fn say(schema: &'static str, dir: &Path, removed: &Removed, out: &mut Output) -> Result<Exit> {
    let left = removed.left.iter().map(|path| paths::shown(path));
    let json = Json {
        schema,
        dir: paths::shown(dir),
        files: removed.files,
        left: left.collect(),
    };
    if out.is_json() {
        out.object(&json)?;
        return Ok(Exit::Done);
    }
    out.line(format!("{} files removed", json.files))?;
    for path in &json.left {
        note(format!("{} is no journal's, and was left.", shown(path)));
    }
    Ok(Exit::Done)
}
