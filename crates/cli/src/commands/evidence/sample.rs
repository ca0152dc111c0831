use std::path::PathBuf;

use anyhow::Result;
use data_encoding::BASE64;
use factlog::{CaseVerdict, VerifiedCase, sample_order, verify_case};
use factlog_format::CaseRecord;
use serde::Serialize;

use super::{Brought, Known, Tables, exit, report, tables};
use crate::exit::{Exit, Problem};
use crate::output::{BOLD, DIM, Output, shown, styled};
use crate::time;

/// Draw a sample from an evidence case that holds; the same seed draws the same sample again
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog sample q1.case --vkey ledger.vkey --n 25 --seed 3516426251 --csv sample.csv")]
pub(crate) struct Args {
    /// The case
    file: PathBuf,
    #[command(flatten)]
    known: Known,
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    n: u32,
    /// What draws them: ten throws of a die, say, made now. Nobody may have known it when the case was made
    #[arg(long, value_name = "S", value_parser = seed)]
    seed: String,
    #[command(flatten)]
    tables: Tables,
}

/// An event that was drawn.
#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    sequence: u64,
    recorded_at: String,
    scope: Option<&'a str>,
    entity: Option<&'a str>,
    kind: Option<&'a str>,
    event_id: Option<String>,
    event_hash: String,
}

/// The last line: out of what, by what, and what was proven.
#[derive(Serialize)]
struct StatementJson {
    schema: &'static str,
    drawn: usize,
    wanted: u32,
    population: u64,
    seed: String,
    sha256: String,
    vkey: String,
    origin: String,
    size: u64,
    root: String,
    first: u64,
    end: u64,
    checked_at: String,
    tool: &'static str,
    statement: Vec<String>,
}

fn seed(text: &str) -> Result<String, &'static str> {
    match text.trim().is_empty() {
        true => Err("an empty seed is known to everybody"),
        false => Ok(text.to_owned()),
    }
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let brought = args.known.bring(&args.file)?;
    let checked = verify_case(&brought.bytes, &brought.trust);
    let (Some(case), CaseVerdict::Holds) = (&checked.case, checked.overall()) else {
        let finding = checked.findings.first();
        let why = finding.map_or_else(String::new, |finding| format!(": {finding}"));
        let code = finding.map_or("case.malformed", |finding| finding.code);
        let message = format!("no sample is drawn from a case that does not hold{why}");
        return Err(Problem::new(exit(checked.overall()), code, message).into());
    };
    let mut drawn: Vec<&CaseRecord<'_>> = case.population().collect();
    drawn.sort_by_key(|event| sample_order(&args.seed, &event.hash));
    drawn.truncate(usize::try_from(args.n).unwrap_or(usize::MAX));
    drawn.sort_by_key(|event| event.spine.sequence);
    tables::write_some(&args.tables, &drawn)?;
    for event in &drawn {
        let facts = event.facts();
        if out.is_json() {
            out.object(&Json {
                schema: "factlog.sample/1",
                sequence: event.spine.sequence,
                recorded_at: time::show(event.spine.recorded_at),
                scope: facts.map(|facts| facts.scope),
                entity: facts.map(|facts| facts.entity),
                kind: facts.map(|facts| facts.kind),
                event_id: facts.map(|facts| uuid::Uuid::from_bytes(facts.event_id).to_string()),
                event_hash: BASE64.encode(&event.hash),
            })?;
            continue;
        }
        let recorded = styled(DIM, time::show(event.spine.recorded_at));
        let about = facts.map_or_else(
            || "(erased)".to_owned(),
            |facts| {
                let kind = styled(BOLD, shown(facts.kind));
                format!("{}/{}  {kind}", shown(facts.scope), shown(facts.entity))
            },
        );
        out.line(format!("{:>8}  {recorded}  {about}", event.spine.sequence))?;
    }
    let statement = statement(args, &brought, case, drawn.len());
    if out.is_json() {
        let claimed = case.checkpoint.claimed();
        out.object(&StatementJson {
            schema: "factlog.sample-statement/1",
            drawn: drawn.len(),
            wanted: args.n,
            population: case.statement.selected,
            seed: args.seed.clone(),
            sha256: brought.sha256.clone(),
            vkey: brought.vkey.clone(),
            origin: claimed.origin().to_owned(),
            size: claimed.size(),
            root: claimed.root().to_string(),
            first: case.statement.first,
            end: case.statement.end,
            checked_at: time::show(report::now()),
            tool: report::TOOL,
            statement,
        })?;
        return Ok(Exit::Done);
    }
    out.line("")?;
    for line in report::identity(&brought, case)
        .into_iter()
        .chain(statement)
    {
        out.line(line)?;
    }
    Ok(Exit::Done)
}

/// Out of what it was drawn and how, and what was proven.
fn statement(args: &Args, brought: &Brought, case: &VerifiedCase<'_>, drawn: usize) -> Vec<String> {
    let population = case.statement.selected;
    let mut lines = vec![format!(
        "{drawn} of {population} events, drawn by the seed {:?}. The period: {}.",
        shown(&args.seed),
        report::period(case)
    )];
    if u64::from(args.n) > population {
        lines.push(format!(
            "NOTE: {} were wanted. The population is no larger than this, so that all of it is listed.",
            args.n
        ));
    }
    lines.extend(report::proven(brought, case));
    lines
}
