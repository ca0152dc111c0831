use std::path::PathBuf;

use anyhow::{Context, Result};
use factlog::{CaseQuery, CaseTrust, CaseVerdict, verify_case};
use serde::Serialize;

use super::{Before, Tables, exit, read_checkpoint, report, tables};
use crate::exit::{Exit, Problem};
use crate::opening::WriteArgs;
use crate::output::{Output, note};
use crate::{files, misused, opening, paths, time};

/// Make an evidence case: the events of a period in one file, with what proves that none was left out
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog evidence ledger --from 2026-01-01 --to 2026-04-01 -o q1.case
  factlog evidence ledger --from 2026-04-01 --to 2026-07-01 --after q1.case -o q2.case
  factlog evidence ledger --kind account.closed --redact customer -o closed.case --csv closed.csv
  factlog evidence /mnt/copy --unlogged --from 1000 --to 2000 -o copy.case")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// Where the period begins: a date, an RFC 3339 time, or a sequence [default: 0]
    #[arg(long, value_name = "T|SEQ")]
    from: Option<String>,
    /// Where it ends, that moment not included: a date, an RFC 3339 time, or a sequence [default: now]
    #[arg(long, value_name = "T|SEQ")]
    to: Option<String>,
    /// Only events of this stream; of one of them if repeated
    #[arg(long, value_name = "S/E")]
    stream: Vec<String>,
    /// Only events of this kind; of one of them if repeated
    #[arg(long, value_name = "K")]
    kind: Vec<String>,
    /// Only events with this tag; with all of them if repeated
    #[arg(long, value_name = "T")]
    tag: Vec<String>,
    /// Leave this section of all payloads out; may be repeated
    #[arg(long, value_name = "SECTION")]
    redact: Vec<String>,
    /// The case before this one, to prove that this one continues it
    #[arg(long, value_name = "CASE")]
    after: Option<PathBuf>,
    /// A checkpoint that was kept or cosigned elsewhere, to be put in; may be repeated
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// Write nothing into the journal: the case says that it is an unlogged export
    #[arg(long)]
    unlogged: bool,
    /// Where the case goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    file: String,
    bytes: u64,
    /// Sequence of the journal's event about it.
    manifest: Option<u64>,
    first: u64,
    end: u64,
    selected: u64,
    size: u64,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let mut query = CaseQuery::new();
    if let Some(from) = &args.from {
        query = match edge(from)? {
            Edge::Sequence(sequence) => query.from(sequence),
            Edge::Time(micros) => query.recorded_from(micros),
        };
    }
    if let Some(to) = &args.to {
        query = match edge(to)? {
            Edge::Sequence(sequence) => query.until(sequence),
            Edge::Time(micros) => query.recorded_until(micros),
        };
    }
    for stream in &args.stream {
        let (scope, entity) = opening::coordinate(stream)?;
        query = query.stream(scope, entity);
    }
    for kind in &args.kind {
        query = query.kind(kind);
    }
    for tag in &args.tag {
        query = query.tag(tag);
    }
    for section in &args.redact {
        query = query.redact(section);
    }
    for path in &args.anchor {
        query = query.anchor(read_checkpoint(path)?);
    }
    let (bytes, trust) = if args.unlogged {
        let reader = opening::reader(&args.dir)?;
        let trust = own_keys(&reader);
        query = after(query, args, &trust)?;
        let now = jiff::Timestamp::now().as_microsecond();
        (reader.export_case(&query, now)?, trust)
    } else {
        let journal = opening::writer(&args.dir, &args.write)?;
        let trust = own_keys(journal.reader());
        query = after(query, args, &trust)?;
        let bytes = journal.export_case(&query).map_err(hinted)?;
        journal.close()?;
        (bytes, trust)
    };
    // Checked as its reader will, before anyone gets it.
    let checked = verify_case(&bytes, &trust);
    let case = checked
        .case
        .as_ref()
        .context("the case can't be read back")?;
    if checked.overall() != CaseVerdict::Holds {
        let finding = checked.findings.first();
        let why = finding.map_or_else(String::new, ToString::to_string);
        let code = finding.map_or("case.malformed", |finding| finding.code);
        return Err(Problem::new(exit(checked.overall()), code, why).into());
    }
    files::write(&args.output, &bytes)?;
    tables::write(&args.tables, case)?;
    let people = case.population().any(|event| event.facts.is_some());
    if people {
        note(
            "Facts name people: entities, actors and tags of the whole period stand in the case, \
             also of events that it doesn't select. Give it only to who may see them.",
        );
    }
    let statement = &case.statement;
    if out.is_json() {
        out.object(&Json {
            schema: "factlog.evidence/1",
            file: paths::shown(&args.output),
            bytes: bytes.len() as u64,
            manifest: case.file.manifest,
            first: statement.first,
            end: statement.end,
            selected: statement.selected,
            size: case.checkpoint.claimed().size(),
        })?;
    } else {
        for line in report::population(case) {
            out.line(line)?;
        }
    }
    Ok(Exit::Done)
}

fn after(query: CaseQuery, args: &Args, trust: &CaseTrust) -> Result<CaseQuery> {
    Ok(match &args.after {
        Some(path) => query.after(Before::read(path, trust)?.checkpoint),
        None => query,
    })
}

/// The journal's own keys: what it makes is checked with them.
fn own_keys(reader: &factlog::Reader) -> CaseTrust {
    let keys = reader.keys().into_iter().map(|key| key.key);
    CaseTrust {
        keys: keys.collect(),
        ..CaseTrust::default()
    }
}

fn hinted(error: factlog::Error) -> anyhow::Error {
    let read_only = matches!(
        error,
        factlog::Error::Refused(factlog::Refusal::ReadOnly(_) | factlog::Refusal::KeyMissing)
    );
    if read_only {
        note("With --unlogged a case can be made without writing into the journal.");
    }
    error.into()
}

enum Edge {
    Sequence(u64),
    Time(i64),
}

fn edge(text: &str) -> Result<Edge> {
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(sequence) = text.parse()
    {
        return Ok(Edge::Sequence(sequence));
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && text.len() == 10
    {
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC);
        let midnight = midnight.map_err(|error| misused(error.to_string()))?;
        return Ok(Edge::Time(midnight.timestamp().as_microsecond()));
    }
    time::parse(text).map(Edge::Time).map_err(|_| {
        misused(format!(
            "{text:?} is neither a date, nor an RFC 3339 time, nor a sequence"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_a_sequence_a_date_or_a_time() {
        for (text, wanted) in [
            ("12", Some((12, 0))),
            ("1970-01-02", Some((0, 86_400_000_000))),
            ("1970-01-01T00:00:01Z", Some((0, 1_000_000))),
            ("1970-01-01T01:00:00+01:00", Some((0, 0))),
            ("", None),
            ("1970-01-02T00:00:00", None),
            ("-1", None),
        ] {
            let found = edge(text).ok().map(|edge| match edge {
                Edge::Sequence(sequence) => (sequence, 0),
                Edge::Time(micros) => (0, micros),
            });
            assert_eq!(found, wanted, "{text}");
        }
    }
}
