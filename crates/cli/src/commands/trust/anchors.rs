use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use clap::Subcommand;
use factlog::{Anchor, Journal, Options, Policy, Reader, SignedCheckpoint};
use factlog_proof::{AddCheckpoint, Witness, verify_consistency};
use serde::Serialize;

use crate::exit::{Exit, Problem, classify};
use crate::opening::{self, id_text};
use crate::output::{Output, note, shown};
use crate::{files, paths};

const MAX_CHECKPOINT: u64 = 64 << 10;
const MAX_LIST: u64 = 1 << 20;
const EVERY: u64 = 60;
/// The variable that tells a command what it is asked for.
const ASKED: &str = "FACTLOG_ANCHOR";
/// Something is put where an anchor is added.
const GONE: &str = "what was put there is gone; `anchor add` begins anew";

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
    let listed = match &args.action {
        Action::List { dir } => listed(dir)?,
        Action::Add { dir, anchor, every } => add(dir, anchor, *every)?,
        Action::Remove { dir, anchor } => remove(dir, anchor)?,
    };
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

/// Puts a checkpoint there before the anchor is listed, so that one that holds nothing later on lost it.
fn add(dir: &Path, anchor: &str, every: Option<u64>) -> Result<Listed> {
    let spec = absolute(anchor)?;
    let path = list_file(dir)?;
    files::private_dir(&paths::anchors_dir()?)?;
    let _lock = files::lock(&path.with_extension("lock"))?;
    let mut listed = read_list(&path)?;
    let reader = opening::reader(dir)?;
    put(&spec, &reader.checkpoint()?, &reader, true)?;
    if !listed.specs.contains(&spec) {
        listed.specs.push(spec);
    }
    listed.every = every.or(listed.every);
    write(&path, &listed)?;
    Ok(listed)
}

fn remove(dir: &Path, anchor: &str) -> Result<Listed> {
    let spec = absolute(anchor)?;
    let path = list_file(dir)?;
    files::private_dir(&paths::anchors_dir()?)?;
    let _lock = files::lock(&path.with_extension("lock"))?;
    let mut listed = read_list(&path)?;
    if !listed.specs.contains(&spec) {
        let message = format!("{anchor} is no anchor of this journal");
        return Err(Problem::new(Exit::NotFound, "anchor.not_found", message).into());
    }
    listed.specs.retain(|other| *other != spec);
    write(&path, &listed)?;
    Ok(listed)
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

/// Where the anchors of a journal are listed, in whatever state it is.
fn list_file(dir: &Path) -> Result<PathBuf> {
    let id = match Journal::open_read_only(dir, Options::new()) {
        Ok(reader) => reader.id(),
        Err(error) => factlog::inspect(dir, &Options::new())
            .ok()
            .and_then(|found| found.id)
            .ok_or(error)?,
    };
    Ok(paths::anchors_dir()?.join(id_text(&id)))
}

/// What was said of a journal's anchors. Where nothing was said of any journal, it isn't looked at.
pub(crate) fn listed(dir: &Path) -> Result<Listed> {
    let folder = paths::anchors_dir()?;
    if !files::is_there(&folder)? || files::list(&folder)?.is_empty() {
        return Ok(Listed::default());
    }
    read_list(&list_file(dir)?)
}

fn read_list(path: &Path) -> Result<Listed> {
    let mut listed = Listed::default();
    if !files::is_there(path)? {
        return Ok(listed);
    }
    let text = String::from_utf8(files::read(path, MAX_LIST)?)?;
    for line in text.lines() {
        match line.strip_prefix("every ") {
            Some(every) => listed.every = Some(every.parse().context("a list of anchors")?),
            None => listed.specs.push(line.to_owned()),
        }
    }
    Ok(listed)
}

fn write(path: &Path, listed: &Listed) -> Result<()> {
    let mut text = format!("every {}\n", listed.every.unwrap_or(EVERY));
    for spec in &listed.specs {
        text += &format!("{spec}\n");
    }
    files::write(path, text.as_bytes())
}

/// An anchor as messages name it. A command may hold what is nobody's business.
pub(crate) fn name(spec: &str, place: usize) -> String {
    match spec.starts_with("command:") {
        true => format!("command #{}", place + 1),
        false => spec.to_owned(),
    }
}

/// Options with the journal's anchors.
pub(crate) fn add_to(mut options: Options, dir: &Path) -> Result<Options> {
    let folder = paths::anchors_dir()?;
    // A journal that can't be opened is said to be that by who opens it.
    let reader = Journal::open_read_only(dir, Options::new());
    let listed = match reader {
        Ok(reader) if files::is_there(&folder)? => read_list(&folder.join(id_text(&reader.id())))?,
        _ => return Ok(options),
    };
    for (place, spec) in listed.specs.into_iter().enumerate() {
        let name = name(&spec, place);
        options = options.anchor(Arc::new(Place { name, spec }));
    }
    Ok(match listed.every {
        Some(every) => options.anchor_every(Duration::from_secs(every)),
        None => options,
    })
}

/// What an anchor holds for `verify`. Something was put there when it was added, so nothing is too little.
pub(crate) fn read(dir: &Path, spec: &str) -> Result<SignedCheckpoint> {
    let origin = || -> Result<String> {
        let reader = Journal::open_read_only(dir, Options::new())?;
        Ok(reader.origin().to_owned())
    };
    kept(spec, origin)?.ok_or_else(|| anyhow!("{GONE}"))
}

/// What an anchor holds; `None` for nothing at all.
fn kept(spec: &str, origin: impl Fn() -> Result<String>) -> Result<Option<SignedCheckpoint>> {
    let bytes = match spec.split_once(':') {
        Some(("file", path)) if !files::is_there(Path::new(path))? => return Ok(None),
        Some(("file", path)) => files::read(Path::new(path), MAX_CHECKPOINT)?,
        Some(("witness", home)) => {
            return Ok(files::Home::open(Path::new(home))?.cosigned(&origin()?)?);
        }
        Some(("command", command)) => files::shell(command, (ASKED, "get"), b"", files::LIMIT)?,
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
    name: String,
    spec: String,
}

impl Anchor for Place {
    fn put(&self, checkpoint: &SignedCheckpoint, journal: &Reader) -> io::Result<()> {
        put(&self.spec, checkpoint, journal, false).map_err(|error| {
            let code = classify(&error).1;
            let message = format!("{}: {code}: {error:#}", self.name);
            note(format!("An anchor was not written: {message}."));
            io::Error::other(message)
        })
    }
}

/// Puts a checkpoint where the one that is there is continued by it, or where nothing may be because it is
/// `new`. One that was there and is gone is not made again by itself: whoever removed it should not get
/// away with another history.
fn put(spec: &str, checkpoint: &SignedCheckpoint, journal: &Reader, new: bool) -> Result<()> {
    match kept(spec, || Ok(journal.origin().to_owned()))? {
        Some(kept) => continues(&kept, checkpoint, journal)?,
        None if new => {}
        None => return Err(anyhow!("{GONE}")),
    }
    match spec.split_once(':') {
        Some(("file", path)) => files::write(Path::new(path), checkpoint.to_string().as_bytes()),
        Some(("command", command)) => {
            let text = checkpoint.to_string();
            files::shell(command, (ASKED, "put"), text.as_bytes(), files::LIMIT).map(|_| ())
        }
        Some(("witness", home)) => ask(Path::new(home), checkpoint, journal),
        _ => Err(anyhow!("it is no anchor")),
    }
}

fn ask(home: &Path, checkpoint: &SignedCheckpoint, journal: &Reader) -> Result<()> {
    let mut home = files::Home::open(home)?;
    let claimed = checkpoint.claimed();
    let old = home.size(claimed.origin())?;
    // Of a larger one the witness says itself that the journal was rolled back.
    let path = journal.consistency(old.min(claimed.size()), claimed.size())?;
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

/// An anchor never takes back what it holds.
fn continues(kept: &SignedCheckpoint, new: &SignedCheckpoint, journal: &Reader) -> Result<()> {
    let keys = journal.keys().into_iter().map(|own| own.key);
    if kept.claimed().origin() != new.claimed().origin() {
        return Err(anyhow!("it holds a checkpoint of another journal"));
    }
    let policy = Policy::new(keys)?;
    let signed = kept.verify_by(&policy);
    let (old, _) = signed.context("it holds what no key of the journal has signed")?;
    let new = new.claimed();
    if old.size() > new.size() {
        let message = format!(
            "it holds a checkpoint of {} events, and the journal has {}",
            old.size(),
            new.size()
        );
        return Err(Problem::new(Exit::NotHolding, "history.rolled_back", message).into());
    }
    let path = journal.consistency(old.size(), new.size())?;
    verify_consistency(old.size(), &old.root(), new.size(), &new.root(), &path).map_err(|_| {
        let message = format!(
            "it holds a checkpoint of {} events of another history than the journal's",
            old.size()
        );
        Problem::new(Exit::NotHolding, "history.forked", message)
    })?;
    Ok(())
}
