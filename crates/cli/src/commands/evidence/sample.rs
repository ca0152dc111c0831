use std::path::PathBuf;

use anyhow::Result;
use data_encoding::BASE64;
use factlog::{CaseVerdict, sample_order, verify_case};
use factlog_format::CaseRecord;
use serde::Serialize;

use super::{Known, Tables, exit, read_case, report, tables};
use crate::exit::{Exit, Problem};
use crate::output::{BOLD, DIM, Output, shown, styled};
use crate::time;

/// Draw a sample from an evidence case that holds; the same seed draws the same sample again
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog sample q1.case --vkey ledger.vkey --n 25 --seed 'audit 2026 Q1'
  factlog sample q1.case --vkey ledger.vkey --n 25 --seed 48291 --csv sample.csv")]
pub(crate) struct Args {
    /// The case
    file: PathBuf,
    #[command(flatten)]
    known: Known,
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 25)]
    n: usize,
    /// What draws them: anything, such as a number that dice gave
    #[arg(long, value_name = "S")]
    seed: String,
    #[command(flatten)]
    tables: Tables,
}

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

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let trust = args.known.trust()?;
    let bytes = read_case(&args.file)?;
    let checked = verify_case(&bytes, &trust);
    let (Some(case), CaseVerdict::Holds) = (&checked.case, checked.overall()) else {
        let finding = checked.findings.first();
        let why = finding.map_or_else(String::new, |finding| format!(": {finding}"));
        let code = finding.map_or("case.malformed", |finding| finding.code);
        let message = format!("no sample is drawn from a case that does not hold{why}");
        return Err(Problem::new(exit(checked.overall()), code, message).into());
    };
    let mut drawn: Vec<&CaseRecord<'_>> = case.population().collect();
    drawn.sort_by_key(|event| sample_order(&args.seed, &event.hash));
    drawn.truncate(args.n);
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
    if !out.is_json() {
        out.line("")?;
        out.line(format!(
            "{} of {} events, drawn by the seed {:?} from the case for {}, {}.",
            drawn.len(),
            case.statement.selected,
            shown(&args.seed),
            report::query(&case.statement),
            report::period(&case.statement)
        ))?;
        for line in report::proven(case) {
            out.line(line)?;
        }
    }
    Ok(Exit::Done)
}
