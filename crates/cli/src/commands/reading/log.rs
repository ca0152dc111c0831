use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use factlog::{Query, Reader, Uuid};

use crate::exit::Exit;
use crate::output::Output;
use crate::{event, opening, time};

/// How often a follower looks for new events.
const POLL: Duration = Duration::from_millis(100);

/// List events, oldest first
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog log ledger
  factlog log ledger --stream bank/account-7 --reverse --limit 10
  factlog log ledger --kind account.deposited --since 2h --json
  factlog log ledger --after 1200 --follow")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// Only events of this stream
    #[arg(long, value_name = "S/E")]
    stream: Option<String>,
    /// Only events of this scope
    #[arg(long, value_name = "S")]
    scope: Option<String>,
    /// Only events of this kind
    #[arg(long, value_name = "K")]
    kind: Option<String>,
    /// Only events with this tag
    #[arg(long, value_name = "T")]
    tag: Option<String>,
    /// Only events with this correlation id
    #[arg(long, value_name = "ID")]
    correlation: Option<Uuid>,
    /// Only events with a higher sequence
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only events recorded at or after a time, or in a span until now, such as 2h
    #[arg(long, value_name = "T|2h")]
    since: Option<String>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Newest first
    #[arg(long, conflicts_with = "follow")]
    reverse: bool,
    /// Go on with new events as they become durable, until interrupted
    #[arg(long)]
    follow: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let since = args
        .since
        .as_deref()
        .map(|text| time::parse_since(text, jiff::Timestamp::now()))
        .transpose()?;
    if let Some(stream) = &args.stream {
        opening::coordinate(stream)?;
    }
    let reader = opening::reader(&args.dir)?;
    // Past the end of all numbers there is nothing.
    let Some(mut from) = args.after.map_or(Some(0), |after| after.checked_add(1)) else {
        return Ok(Exit::Done);
    };
    let mut left = args.limit;
    loop {
        let end = reader.len();
        let given = list(&reader, args, from..end, since, left, out)?;
        left = left.map(|left| left.saturating_sub(given));
        if !args.follow || left == Some(0) {
            return Ok(Exit::Done);
        }
        from = from.max(end);
        out.flush()?;
        wait(&reader)?;
    }
}

fn wait(reader: &Reader) -> Result<()> {
    while !reader.refresh()? {
        thread::sleep(POLL);
    }
    Ok(())
}

/// Lists what the arguments ask for within a range, and says how many events that were.
fn list(
    reader: &Reader,
    args: &Args,
    range: std::ops::Range<u64>,
    since: Option<i64>,
    limit: Option<u64>,
    out: &mut Output,
) -> Result<u64> {
    let mut query = match &args.stream {
        Some(stream) => {
            let (scope, entity) = opening::coordinate(stream)?;
            Query::stream(scope, entity)
        }
        None => Query::all(),
    };
    query = query.from(range.start).until(range.end);
    if let Some(scope) = &args.scope {
        query = query.scope(scope.as_str());
    }
    if let Some(kind) = &args.kind {
        query = query.kind(kind.as_str());
    }
    if let Some(tag) = &args.tag {
        query = query.tag(tag.as_str());
    }
    if let Some(id) = args.correlation {
        query = query.correlation(id);
    }
    if let Some(micros) = since {
        query = query.recorded_from(micros);
    }
    if let Some(limit) = limit {
        query = query.limit(limit);
    }
    if args.reverse {
        query = query.reverse();
    }
    let mut given = 0;
    for found in reader.read(query) {
        let found = found?;
        if out.is_json() {
            out.object(&event::listed(&found, "factlog.log/1"))?;
        } else {
            out.line(event::line(&found))?;
        }
        given += 1;
    }
    Ok(given)
}
