use std::path::PathBuf;

use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use data_encoding::HEXLOWER;
use factlog::StreamInfo;
use serde::Serialize;

use crate::exit::Exit;
use crate::opening;
use crate::output::{Output, shown, table};
use crate::time;

/// A table of so many rows is printed before the next begins, so that memory stays flat.
const ROWS: usize = 1_000;

/// List streams
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog streams ledger
  factlog streams ledger --scope bank --json")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// Only streams of this scope
    #[arg(long, value_name = "S")]
    scope: Option<String>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    stream_id: String,
    scope: Option<&'a str>,
    entity: Option<&'a str>,
    events: u64,
    last_sequence: u64,
    last_recorded_at: String,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let mut rows = empty();
    let mut count = 0u64;
    for stream in reader.streams() {
        let stream = stream?;
        let scope = stream.coordinate.as_ref().map(|(scope, _)| scope);
        if args.scope.is_some() && scope != args.scope.as_ref() {
            continue;
        }
        count += 1;
        if out.is_json() {
            out.object(&json(&stream))?;
            continue;
        }
        add(&mut rows, &stream);
        if rows.row_count() == ROWS {
            out.line(&rows)?;
            rows = empty();
        }
    }
    if !out.is_json() && (!rows.is_empty() || count == 0) {
        out.line(&rows)?;
    }
    Ok(Exit::Done)
}

fn json(stream: &StreamInfo) -> Json<'_> {
    let coordinate = stream.coordinate.as_ref();
    Json {
        schema: "factlog.streams/1",
        stream_id: HEXLOWER.encode(&stream.stream_id),
        scope: coordinate.map(|(scope, _)| scope.as_str()),
        entity: coordinate.map(|(_, entity)| entity.as_str()),
        events: stream.events,
        last_sequence: stream.last_sequence,
        last_recorded_at: time::show(stream.last_recorded_at),
    }
}

/// An empty table of streams.
pub(crate) fn empty() -> Table {
    let mut rows = table(&["stream", "events", "last", "recorded"]);
    for column in [1, 2] {
        if let Some(column) = rows.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    rows
}

/// Adds one stream to it.
pub(crate) fn add(rows: &mut Table, stream: &StreamInfo) {
    let name = match &stream.coordinate {
        Some((scope, entity)) => format!("{}/{}", shown(scope), shown(entity)),
        None => format!("(erased) {}", HEXLOWER.encode(&stream.stream_id)),
    };
    rows.add_row([
        name,
        stream.events.to_string(),
        stream.last_sequence.to_string(),
        time::show(stream.last_recorded_at),
    ]);
}
