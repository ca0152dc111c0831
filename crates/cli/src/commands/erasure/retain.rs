use std::path::PathBuf;

use anyhow::Result;
use factlog::{Compaction, Retention};
use serde::Serialize;

use super::policy;
use crate::exit::{Exit, Problem};
use crate::opening::{WriteArgs, writer};
use crate::output::{Output, note, shown};
use crate::{files, paths};

/// The longest policy file.
const MAX_POLICY: u64 = 1 << 20;

/// Take the payloads of events by rules of age, count, kind, category, tag or scope
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog retain ledger --policy retention.toml --dry-run
  factlog retain ledger --policy retention.toml --actor 'records office'

A policy, of which each rule takes the events that fit all that it asks for:
  [[rule]]
  name = \"chats\"
  reason = \"kept for 90 days\"
  scope = \"support\"                # also category, kind, tag; several: [\"a\", \"b\"]
  older_than = \"90d\"
  keep_last = 10                   # all but the last so many of each stream
  level = \"full\"                   # facts go too; \"payload\", where nothing is said, leaves them

An event of the journal says for good which events lost something, and why: name a policy or a law in it, and
nobody who is to be forgotten. Hashes and receipts stay; what a hold covers stays too. After level full
nothing finds an event by its id, stream, kind or tags, and its id may be used again.")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// The file with the rules; - for standard input
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Who wants it; stays in the journal for good
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Write at most so many megabytes a second
    #[arg(long, value_name = "MB/S", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Serialize)]
struct RetainJson {
    schema: &'static str,
    dir: String,
    dry_run: bool,
    rules: Vec<RuleJson>,
    /// How many events a rule would take that a hold keeps.
    held: u64,
}

#[derive(Serialize)]
struct RuleJson {
    rule: String,
    reason: String,
    level: &'static str,
    events: u64,
    bytes: u64,
    erasures: Vec<u64>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let text = String::from_utf8(files::read(&args.policy, MAX_POLICY)?).map_err(|_| {
        let message = format!("{} is not UTF-8", paths::shown(&args.policy));
        Problem::new(Exit::Usage, "retention.invalid", message)
    })?;
    let mut retention = Retention::new(policy::rules(&args.policy, &text)?);
    if let Some(actor) = &args.actor {
        retention = retention.actor(actor);
    }
    if let Some(rate) = args.rate {
        retention = retention.how(Compaction::new().rate(u64::from(rate) * 1_000_000));
    }
    let journal = writer(&args.dir, &args.write)?;
    let done = match args.dry_run {
        true => journal.retention_plan(&retention)?,
        false => journal.retain(&retention)?,
    };
    journal.close()?;
    let json = RetainJson {
        schema: "factlog.retain/1",
        dir: paths::shown(&args.dir),
        dry_run: args.dry_run,
        held: done.held,
        rules: done
            .rules
            .into_iter()
            .map(|rule| RuleJson {
                rule: rule.rule,
                reason: rule.reason,
                level: if rule.full { "full" } else { "payload" },
                events: rule.events,
                bytes: rule.bytes,
                erasures: rule.erasures,
            })
            .collect(),
    };
    if out.is_json() {
        out.object(&json)?;
        return Ok(Exit::Done);
    }
    let lose = if json.dry_run { "would lose" } else { "lost" };
    for rule in &json.rules {
        out.line(format!(
            "{}, {}: {} events {lose} {} bytes ({})",
            shown(&rule.rule),
            rule.level,
            rule.events,
            rule.bytes,
            shown(&rule.reason)
        ))?;
    }
    if json.held > 0 {
        note(format!(
            "{} events stay, since a hold covers them.",
            json.held
        ));
    }
    Ok(Exit::Done)
}
