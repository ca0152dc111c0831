use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use clap::Subcommand;
use factlog::{Anchor, Journal, Options, SignedCheckpoint};
use factlog_proof::{AddCheckpoint, Witness};
use serde::Serialize;

use crate::exit::{Exit, Problem};
use crate::opening::id_text;
use crate::output::{Output, shown};
use crate::{files, paths};

const MAX_CHECKPOINT: u64 = 64 << 10;
const MAX_LIST: u64 = 1 << 20;
const EVERY: u64 = 60;

/// Anchors: places outside the journal where its checkpoints are kept, so that a cut or rewritten
/// history shows
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog anchor add ledger file:/mnt/other-disk/ledger.checkpoint
  factlog anchor add ledger 'command:/usr/local/bin/keep-checkpoint ledger'
  factlog anchor add ledger witness:/srv/witness
  factlog anchor list ledger")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Keep the journal's checkpoints there from now on
    #[command(
        before_help = "Examples:\n  factlog anchor add ledger file:/mnt/other-disk/ledger.checkpoint --every 300"
    )]
    Add {
        /// The journal's directory
        dir: PathBuf,
        /// `file:PATH`, `command:CMD` or `witness:FOLDER`
        anchor: String,
        /// How many seconds all anchors may stay behind while events come [default: 60]
        #[arg(long, value_name = "SECONDS")]
        every: Option<u64>,
    },
    /// List the journal's anchors
    #[command(before_help = "Examples:\n  factlog anchor list ledger")]
    List {
        /// The journal's directory
        dir: PathBuf,
    },
    /// Keep no more checkpoints there, and ask it for none
    #[command(before_help = "Examples:\n  factlog anchor remove ledger witness:/srv/witness")]
    Remove {
        /// The journal's directory
        dir: PathBuf,
        /// As it was added
        anchor: String,
    },
}

/// The anchors of a journal on this machine.
#[derive(Default)]
pub(crate) struct Listed {
    pub(crate) specs: Vec<String>,
    every: Option<u64>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    every: u64,
    anchors: &'a [String],
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let (dir, listed) = match &args.action {
        Action::List { dir } => (dir, listed(dir)?),
        Action::Add { dir, anchor, every } => {
            let spec = absolute(anchor)?;
            let mut listed = listed(dir)?;
            if !listed.specs.contains(&spec) {
                listed.specs.push(spec);
            }
            listed.every = every.or(listed.every);
            (dir, listed)
        }
        Action::Remove { dir, anchor } => {
            let spec = absolute(anchor)?;
            let mut listed = listed(dir)?;
            if !listed.specs.contains(&spec) {
                let message = format!("{anchor} is no anchor of this journal");
                return Err(Problem::new(Exit::NotFound, "anchor.not_found", message).into());
            }
            listed.specs.retain(|other| *other != spec);
            (dir, listed)
        }
    };
    if !matches!(args.action, Action::List { .. }) {
        write(dir, &listed)?;
    }
    let every = listed.every.unwrap_or(EVERY);
    if out.is_json() {
        out.object(&Json {
            schema: "factlog.anchors/1",
            every,
            anchors: &listed.specs,
        })?;
        return Ok(Exit::Done);
    }
    for spec in &listed.specs {
        out.line(shown(spec))?;
    }
    Ok(Exit::Done)
}

/// A spec that means the same from everywhere, if it is one.
fn absolute(spec: &str) -> Result<String> {
    let bad = || {
        Problem::usage(format!(
            "{spec:?} is not file:PATH, command:CMD or witness:FOLDER"
        ))
    };
    let (sort, rest) = spec.split_once(':').ok_or_else(bad)?;
    if rest.is_empty() || rest.contains('\n') {
        return Err(bad().into());
    }
    match sort {
        "command" => Ok(spec.to_owned()),
        "file" | "witness" => {
            let path = files::absolute(Path::new(rest));
            let path = path.to_str().ok_or_else(bad)?;
            Ok(format!("{sort}:{path}"))
        }
        _ => Err(bad().into()),
    }
}

fn list_file(dir: &Path) -> Result<PathBuf> {
    let id = Journal::open_read_only(dir, Options::new())?.id();
    Ok(paths::anchors_dir()?.join(id_text(&id)))
}

/// What was said of a journal's anchors. Where nothing was said of any journal, it isn't looked at.
pub(crate) fn listed(dir: &Path) -> Result<Listed> {
    let mut listed = Listed::default();
    if !files::is_dir(&paths::anchors_dir()?) {
        return Ok(listed);
    }
    let Ok(path) = list_file(dir) else {
        // A journal that can't be opened is verified all the same, and doesn't hold.
        return Ok(listed);
    };
    if !files::exists(&path) {
        return Ok(listed);
    }
    let text = String::from_utf8(files::read(&path, MAX_LIST)?)?;
    for line in text.lines() {
        match line.strip_prefix("every ") {
            Some(every) => listed.every = Some(every.parse().context("a list of anchors")?),
            None => listed.specs.push(line.to_owned()),
        }
    }
    Ok(listed)
}

fn write(dir: &Path, listed: &Listed) -> Result<()> {
    let path = list_file(dir)?;
    files::private_dir(&paths::anchors_dir()?)?;
    let mut text = format!("every {}\n", listed.every.unwrap_or(EVERY));
    for spec in &listed.specs {
        text += &format!("{spec}\n");
    }
    files::write(&path, text.as_bytes())
}

/// Options with the journal's anchors.
pub(crate) fn add_to(mut options: Options, dir: &Path) -> Result<Options> {
    let listed = listed(dir)?;
    for spec in listed.specs {
        let place = Place {
            dir: files::absolute(dir),
            spec,
        };
        options = options.anchor(Arc::new(place));
    }
    Ok(match listed.every {
        Some(every) => options.anchor_every(Duration::from_secs(every)),
        None => options,
    })
}

/// What an anchor holds; `None` if nothing was ever put there.
pub(crate) fn read(dir: &Path, spec: &str) -> Result<Option<SignedCheckpoint>> {
    let bytes = match spec.split_once(':') {
        Some(("file", path)) if !files::exists(Path::new(path)) => return Ok(None),
        Some(("file", path)) => files::read(Path::new(path), MAX_CHECKPOINT)?,
        Some(("witness", home)) => {
            let origin = Journal::open_read_only(dir, Options::new())?
                .origin()
                .to_owned();
            return Ok(files::Home::open(Path::new(home))?.cosigned(&origin)?);
        }
        Some(("command", command)) => files::shell(command, "get", b"")?,
        _ => return Err(anyhow!("it is no anchor")),
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(SignedCheckpoint::parse(&bytes)?))
}

/// One anchor, as the journal sees it.
#[derive(Debug)]
struct Place {
    dir: PathBuf,
    spec: String,
}

impl Anchor for Place {
    fn put(&self, checkpoint: &SignedCheckpoint) -> io::Result<()> {
        self.keep(checkpoint)
            .map_err(|error| io::Error::other(format!("{}: {error:#}", self.spec)))
    }
}

impl Place {
    fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<()> {
        match self.spec.split_once(':') {
            Some(("file", path)) => {
                let path = Path::new(path);
                if let Some(kept) = read(&self.dir, &self.spec)? {
                    continues(&kept, checkpoint)?;
                }
                files::write(path, checkpoint.to_string().as_bytes())
            }
            Some(("command", command)) => {
                files::shell(command, "put", checkpoint.to_string().as_bytes()).map(|_| ())
            }
            Some(("witness", home)) => self.ask(Path::new(home), checkpoint),
            _ => Err(anyhow!("it is no anchor")),
        }
    }

    fn ask(&self, home: &Path, checkpoint: &SignedCheckpoint) -> Result<()> {
        let mut home = files::Home::open(home)?;
        let claimed = checkpoint.claimed();
        let old = home.size(claimed.origin())?;
        let reader = Journal::open_read_only(&self.dir, Options::new())?;
        // Of a larger one the witness says itself that the journal was rolled back.
        let path = reader.consistency(old.min(claimed.size()), claimed.size())?;
        let request = AddCheckpoint {
            old,
            path,
            checkpoint: checkpoint.clone(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let witness = Witness::new(home.key()?);
        let now = now.map_or(0, |now| now.as_secs());
        let answer = witness.add_checkpoint(&mut home, &request, now)?;
        home.keep_cosigned(&answer.checkpoint)?;
        Ok(())
    }
}

/// An anchor never takes back what it holds.
fn continues(kept: &SignedCheckpoint, new: &SignedCheckpoint) -> Result<()> {
    let (kept, new) = (kept.claimed(), new.claimed());
    if kept.origin() != new.origin() {
        return Err(anyhow!("it holds a checkpoint of {}", kept.origin()));
    }
    if kept.size() > new.size() || (kept.size() == new.size() && kept.root() != new.root()) {
        return Err(anyhow!(
            "it holds a checkpoint of {} events, which this journal does not continue",
            kept.size()
        ));
    }
    Ok(())
}
