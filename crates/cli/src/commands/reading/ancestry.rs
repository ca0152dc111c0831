use std::path::PathBuf;

use anyhow::Result;
use data_encoding::BASE64;
use factlog::AncestryEnd;
use serde::Serialize;

use super::show;
use crate::exit::Exit;
use crate::output::{BAD, GOOD, OPEN, Output, shown, styled};
use crate::{event, opening};

/// Walk a stream back from one of its events, and say how that ended
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog ancestry ledger 42
  factlog ancestry ledger 0198b5a0-7c1e-7cc3-9d0b-5f0a3a9e2f11 --limit 10 --json")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// The event's sequence, or its id
    #[arg(value_name = "SEQ|ID")]
    event: String,
    /// At most so many events
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
}

/// The last line: how it ended.
#[derive(Serialize)]
struct Json {
    schema: &'static str,
    events: u64,
    end: &'static str,
    /// Where the next event stands, or should.
    sequence: Option<u64>,
    /// The hash of an event that is missing.
    hash: Option<String>,
    detail: Option<String>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let from = show::sequence_of(&reader, &args.event)?;
    let walked = reader.ancestry(from, args.limit)?;
    for found in &walked.events {
        if out.is_json() {
            out.object(&event::listed(found, "factlog.log/1"))?;
        } else {
            out.line(event::line(found))?;
        }
    }
    let mut json = Json {
        schema: "factlog.ancestry/1",
        events: walked.events.len() as u64,
        end: walked.end.name(),
        sequence: None,
        hash: None,
        detail: None,
    };
    let (exit, style, words) = match &walked.end {
        AncestryEnd::Start => (
            Exit::Done,
            GOOD,
            "That is the start of the stream.".to_owned(),
        ),
        AncestryEnd::Limit { next } => {
            json.sequence = Some(*next);
            (
                Exit::Done,
                OPEN,
                format!("There is more: the next one is at sequence {next}."),
            )
        }
        AncestryEnd::Stub { sequence } => {
            json.sequence = Some(*sequence);
            (
                Exit::Undecided,
                OPEN,
                format!("Event {sequence}, which is next, was erased."),
            )
        }
        AncestryEnd::Unreadable { sequence, error } => {
            (json.sequence, json.detail) = (Some(*sequence), Some(error.to_string()));
            (
                Exit::NotHolding,
                BAD,
                format!("Event {sequence}, which is next, can't be read: {error}."),
            )
        }
        AncestryEnd::Missing { sequence, hash } => {
            (json.sequence, json.hash) = (*sequence, Some(BASE64.encode(hash)));
            (
                Exit::NotHolding,
                BAD,
                "The next event is not there.".to_owned(),
            )
        }
        _ => (
            Exit::Undecided,
            OPEN,
            "It ended in a way that this version doesn't know.".to_owned(),
        ),
    };
    if out.is_json() {
        out.object(&json)?;
    } else {
        out.line(styled(style, shown(&words)))?;
    }
    Ok(exit)
}
