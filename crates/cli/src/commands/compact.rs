use std::path::PathBuf;

use anyhow::Result;
use factlog::{Compaction, CompactionStep};
use serde::Serialize;

use crate::exit::Exit;
use crate::opening::{WriteArgs, writer};
use crate::output::{Output, note};
use crate::paths;

/// Give back space: merge small segments, and drop what they need not hold
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog compact ledger --dry-run
  factlog compact ledger
  factlog compact ledger --rate 50

Events stay as they are, byte for byte, and receipts stay good. A program that has the journal open for
writing compacts it itself.")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Write at most so many megabytes a second
    #[arg(long, value_name = "MB/S", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Serialize)]
struct CompactJson {
    schema: &'static str,
    dir: String,
    dry_run: bool,
    before: u64,
    after: u64,
    steps: Vec<StepJson>,
}

#[derive(Serialize)]
struct StepJson {
    first: u64,
    events: u64,
    segments: u64,
    before: u64,
    after: u64,
}

impl From<&CompactionStep> for StepJson {
    fn from(step: &CompactionStep) -> Self {
        Self {
            first: step.first,
            events: step.events,
            segments: step.segments,
            before: step.before,
            after: step.after,
        }
    }
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let journal = writer(&args.dir, &args.write)?;
    let mut how = Compaction::new();
    if let Some(rate) = args.rate {
        how = how.rate(u64::from(rate) * 1_000_000);
    }
    let steps = match args.dry_run {
        true => journal.compaction_plan()?,
        false => journal.compact(&how)?,
    };
    journal.close()?;
    let json = CompactJson {
        schema: "factlog.compact/1",
        dir: paths::shown(&args.dir),
        dry_run: args.dry_run,
        before: steps.iter().map(|step| step.before).sum(),
        after: steps.iter().map(|step| step.after).sum(),
        steps: steps.iter().map(StepJson::from).collect(),
    };
    if out.is_json() {
        out.object(&json)?;
        return Ok(Exit::Done);
    }
    if json.steps.is_empty() {
        note("Nothing is worth compacting.");
        return Ok(Exit::Done);
    }
    for step in &json.steps {
        let (segments, verb) = match step.segments {
            1 => ("1 segment".to_owned(), "is rewritten"),
            many => (format!("{many} segments"), "become one"),
        };
        out.line(format!(
            "{segments} from event {} on {verb}: {} events, {} bytes become {}",
            step.first, step.events, step.before, step.after
        ))?;
    }
    let about = if json.dry_run { "about " } else { "" };
    out.line(format!(
        "{about}{} of {} bytes given back",
        json.before.saturating_sub(json.after),
        json.before
    ))?;
    Ok(Exit::Done)
}
