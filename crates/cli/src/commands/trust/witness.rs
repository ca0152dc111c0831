use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Subcommand;
use factlog_proof::{AddCheckpoint, CosigningKey, Witness, WitnessError};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::exit::{Exit, Problem};
use crate::output::{Output, note, shown};
use crate::{files, opening, paths};

/// A request is at most 68 KiB.
const MAX_REQUEST: u64 = 68 << 10;

/// A witness: cosigns checkpoints of logs that only grow, so that nobody can show two histories
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog witness init w --name witness.example/w1
  factlog witness trust w example.com/ledger/0f3c…+1a2b3c4d+AWdl…
  factlog witness ask ledger --old 0 -o request
  factlog witness cosign w request -o ledger.checkpoint")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a witness with a fresh key
    #[command(before_help = "Examples:\n  factlog witness init w --name witness.example/w1")]
    Init {
        /// The folder to be made
        home: PathBuf,
        /// The witness's public name
        #[arg(long)]
        name: String,
    },
    /// Watch a log, or take a further key of one that is watched
    #[command(before_help = "Examples:\n  factlog witness trust w ledger.vkey")]
    Trust {
        /// The witness's folder
        home: PathBuf,
        /// The log's verifier key, or a file that holds it
        vkey: String,
    },
    /// Take no more checkpoints by a key; what was cosigned is remembered
    #[command(before_help = "Examples:\n  factlog witness untrust w old.vkey")]
    Untrust {
        /// The witness's folder
        home: PathBuf,
        /// The log's verifier key, or a file that holds it
        vkey: String,
    },
    /// Ask for a cosignature of a journal's newest checkpoint
    #[command(before_help = "Examples:\n  factlog witness ask ledger --old 1200 -o request")]
    Ask {
        /// The journal's directory
        dir: PathBuf,
        /// How many events the witness has cosigned before
        #[arg(long, value_name = "SIZE", default_value_t = 0)]
        old: u64,
        /// Write to a file
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check a request and cosign its checkpoint
    #[command(before_help = "Examples:\n  factlog witness cosign w request -o ledger.checkpoint")]
    Cosign {
        /// The witness's folder
        home: PathBuf,
        /// The request, or `-` for standard input
        request: PathBuf,
        /// Write the checkpoint to a file
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct InitJson {
    schema: &'static str,
    vkey: String,
}

#[derive(Serialize)]
struct TrustJson {
    schema: &'static str,
    origin: String,
}

#[derive(Serialize)]
struct AskJson {
    schema: &'static str,
    old: u64,
    size: u64,
    request: String,
    file: Option<String>,
}

#[derive(Serialize)]
struct CosignJson {
    schema: &'static str,
    origin: String,
    size: u64,
    first_contact: bool,
    checkpoint: String,
    file: Option<String>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    match &args.action {
        Action::Init { home, name } => init(home, name, out),
        Action::Trust { home, vkey } => {
            let key = opening::verifier_key(vkey)?;
            files::Home::open(home)?.trust(&key)?;
            let origin = key.name().to_owned();
            if out.is_json() {
                let schema = "factlog.witness-trust/1";
                out.object(&TrustJson { schema, origin })?;
            } else {
                out.line(format!("watched: {}", shown(&origin)))?;
            }
            Ok(Exit::Done)
        }
        Action::Untrust { home, vkey } => {
            let key = opening::verifier_key(vkey)?;
            files::Home::open(home)?.untrust(&key)?;
            let origin = key.name().to_owned();
            if out.is_json() {
                let schema = "factlog.witness-trust/1";
                out.object(&TrustJson { schema, origin })?;
            } else {
                out.line(format!("not trusted any more: {}", shown(&key.to_string())))?;
            }
            Ok(Exit::Done)
        }
        Action::Ask { dir, old, output } => ask(dir, *old, output.as_deref(), out),
        Action::Cosign {
            home,
            request,
            output,
        } => cosign(home, request, output.as_deref(), out),
    }
}

fn init(home: &Path, name: &str, out: &mut Output) -> Result<Exit> {
    let mut seed = Zeroizing::new([0; 32]);
    factlog::Random::fill(&factlog::SystemRandom::default(), seed.as_mut());
    let key = CosigningKey::generate(name, *seed)
        .map_err(|error| Problem::new(Exit::Usage, error.code(), error.to_string()))?;
    files::Home::create(home, &key)?;
    let vkey = key.verifier().to_string();
    if out.is_json() {
        let schema = "factlog.witness-init/1";
        out.object(&InitJson { schema, vkey })?;
    } else {
        out.line(format!("vkey  {}", shown(&vkey)))?;
    }
    Ok(Exit::Done)
}

fn ask(dir: &Path, old: u64, output: Option<&Path>, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(dir)?;
    let checkpoint = reader.checkpoint()?;
    let size = checkpoint.claimed().size();
    if old > size {
        let message = format!("the journal has {size} signed events, which is less than {old}");
        return Err(Problem::new(Exit::NotHolding, "history.rolled_back", message).into());
    }
    let path = reader.consistency(old, size)?;
    let request = AddCheckpoint {
        old,
        path,
        checkpoint,
    };
    let request = request.to_string();
    give(&request, output, out)?;
    if out.is_json() {
        out.object(&AskJson {
            schema: "factlog.witness-ask/1",
            old,
            size,
            request,
            file: output.map(paths::shown),
        })?;
    }
    Ok(Exit::Done)
}

fn cosign(home: &Path, request: &Path, output: Option<&Path>, out: &mut Output) -> Result<Exit> {
    let bytes = files::read(request, MAX_REQUEST)?;
    let request = AddCheckpoint::parse(&bytes).map_err(refused)?;
    let mut home = files::Home::open(home)?;
    let witness = Witness::new(home.key()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let answer = witness
        .add_checkpoint(&mut home, &request, now)
        .map_err(refused)?;
    if answer.first_contact {
        note(
            "The witness meets this log for the first time: it vouches for nothing before (trust on first use).",
        );
    }
    let checkpoint = answer.checkpoint.to_string();
    give(&checkpoint, output, out)?;
    if out.is_json() {
        let claimed = answer.checkpoint.claimed();
        out.object(&CosignJson {
            schema: "factlog.witness-cosign/1",
            origin: claimed.origin().to_owned(),
            size: claimed.size(),
            first_contact: answer.first_contact,
            checkpoint,
            file: output.map(paths::shown),
        })?;
    }
    Ok(Exit::Done)
}

fn give(text: &str, output: Option<&Path>, out: &mut Output) -> Result<()> {
    match output {
        Some(path) => files::write(path, text.as_bytes()),
        None if out.is_json() => Ok(()),
        None => out.write(text.as_bytes()),
    }
}

fn refused(error: WitnessError) -> anyhow::Error {
    let exit = match error {
        WitnessError::Memory(_) => Exit::Failed,
        WitnessError::Conflict { .. } => Exit::Conflict,
        WitnessError::UnknownLog => Exit::Undecided,
        _ => Exit::NotHolding,
    };
    Problem::new(exit, error.code(), error.to_string()).into()
}
