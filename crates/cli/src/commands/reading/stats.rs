use std::path::PathBuf;

use anyhow::Result;
use factlog::CursorStatus;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::exit::Exit;
use crate::opening::{self, id_text};
use crate::output::{Output, shown};
use crate::time;

/// Say what a journal holds and what it takes on disk
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog stats ledger
  factlog stats ledger --json")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    id: String,
    origin: &'a str,
    created: String,
    vkey: Option<String>,
    events: u64,
    streams: u64,
    segments: u64,
    bytes: Bytes,
    first_recorded_at: String,
    last_recorded_at: String,
    signed_through: Option<u64>,
    consumers: Vec<Consumer>,
}

/// A consumer that keeps its position in the journal's directory, or what a projection tells of itself there.
#[derive(Serialize)]
struct Consumer {
    name: String,
    position: u64,
    lag: u64,
    lag_seconds: f64,
    last_progress: Option<String>,
    running: bool,
    trouble: Option<String>,
    ended: Option<Ended>,
}

#[derive(Serialize)]
struct Ended {
    reason: String,
    detail: String,
}

#[derive(Serialize)]
struct Bytes {
    segments: u64,
    derived: u64,
    other: u64,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let stats = reader.stats()?;
    let json = Json {
        schema: "factlog.stats/1",
        id: id_text(&reader.id()),
        origin: reader.origin(),
        created: time::show(reader.created()),
        vkey: reader.verifier_key().map(|key| key.to_string()),
        events: stats.events,
        streams: stats.streams,
        segments: stats.segments,
        bytes: Bytes {
            segments: stats.bytes.segments,
            derived: stats.bytes.derived,
            other: stats.bytes.other,
        },
        first_recorded_at: time::show(stats.first_recorded_at),
        last_recorded_at: time::show(stats.last_recorded_at),
        signed_through: stats.signed_through,
        consumers: reader.cursor_files()?.into_iter().map(consumer).collect(),
    };
    if out.is_json() {
        out.object(&json)?;
        return Ok(Exit::Done);
    }
    page(&json, out)?;
    Ok(Exit::Done)
}

fn consumer(cursor: CursorStatus) -> Consumer {
    let ended = cursor.ended;
    Consumer {
        name: cursor.name,
        position: cursor.position,
        lag: cursor.lag,
        lag_seconds: cursor.lag_micros as f64 / 1e6,
        last_progress: cursor.last_progress.map(time::show),
        running: cursor.held,
        trouble: cursor.trouble,
        ended: ended.map(|(reason, detail)| Ended { reason, detail }),
    }
}

fn page(stats: &Json<'_>, out: &mut Output) -> Result<()> {
    let bytes = |bytes| HumanBytes(bytes).to_string();
    let signed = match (&stats.vkey, stats.signed_through) {
        (None, _) => "no".to_owned(),
        (Some(_), None) => "nothing yet".to_owned(),
        (Some(_), Some(through)) => format!("through sequence {through}"),
    };
    for (name, value) in [
        ("origin", stats.origin.to_owned()),
        ("created", stats.created.clone()),
        ("events", stats.events.to_string()),
        ("streams", stats.streams.to_string()),
        ("first", stats.first_recorded_at.clone()),
        ("last", stats.last_recorded_at.clone()),
        ("signed", signed),
        (
            "segments",
            format!("{} ({})", stats.segments, bytes(stats.bytes.segments)),
        ),
        ("derived", bytes(stats.bytes.derived)),
        ("other files", bytes(stats.bytes.other)),
    ] {
        out.line(format!("{name:<12} {value}"))?;
    }
    for consumer in &stats.consumers {
        let state = match (&consumer.ended, &consumer.trouble, consumer.running) {
            (Some(ended), ..) => format!("ended: {}", shown(&ended.detail)),
            (None, Some(why), _) => format!("stuck, tries again: {}", shown(why)),
            (None, None, true) => "running".to_owned(),
            (None, None, false) => "not running".to_owned(),
        };
        out.line(format!(
            "consumer     {}: at {}, {} events and {:.1} s behind, {state}",
            consumer.name, consumer.position, consumer.lag, consumer.lag_seconds
        ))?;
    }
    Ok(())
}
