use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use data_encoding::{BASE64, HEXLOWER};
use factlog::{Encoding, Expect, NewEvent, Receipt, Uuid};
use serde::Serialize;

use crate::exit::Exit;
use crate::opening::{self, WriteArgs};
use crate::output::{Output, note};
use crate::{files, misused, time};

/// No event stores more payload.
const MAX_PAYLOAD: u64 = factlog_format::MAX_PAYLOAD_LEN as u64;

/// Append one event; it is durable when the command returns
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog append ledger bank/account-7 account.opened --data '{\"owner\":\"Ada\"}' --expect none
  factlog append ledger bank/account-7 account.deposited --data '{\"cents\":500}' --expect 0
  factlog append ledger scans/2026-01 page.scanned --file page.png --tag invoice
  some-command | factlog append ledger jobs/nightly job.finished")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// The stream: a scope without slashes, and an entity
    #[arg(value_name = "SCOPE/ENTITY")]
    stream: String,
    /// What the payload means: a dotted name
    kind: String,
    /// The payload, as JSON [default: read from standard input]
    #[arg(long, value_name = "JSON", conflicts_with_all = ["file", "encoding"])]
    data: Option<String>,
    /// Read the payload from a file
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    /// How the bytes of a file or of standard input are to be read
    #[arg(long, value_enum, default_value_t = Bytes::Raw)]
    encoding: Bytes,
    /// A key by which the event can be found; may be given 32 times
    #[arg(long, value_name = "T")]
    tag: Vec<String>,
    /// The stream's last revision must be N, or `none`: there must be no such stream
    #[arg(long, value_name = "N|none")]
    expect: Option<String>,
    /// The event's id; the same id with the same content again adds nothing
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// When it happened, RFC 3339
    #[arg(long, value_name = "T")]
    occurred_at: Option<String>,
    /// Who did it
    #[arg(long, value_name = "A")]
    actor: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bytes {
    Raw,
    Json,
    Msgpack,
    Cbor,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    sequence: u64,
    revision: u64,
    stream_id: String,
    event_id: String,
    event_hash: String,
    recorded_at: String,
    signed: bool,
    already: bool,
    /// Whether the payload of what is already there was compared; `false` where it was shredded or erased.
    compared: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let (scope, entity) = opening::coordinate(&args.stream)?;
    let expect = parse_expect(args.expect.as_deref())?;
    let occurred_at = args.occurred_at.as_deref().map(time::parse).transpose()?;
    let payload = payload(args)?;
    let journal = opening::writer(&args.dir, &args.write)?;

    let mut event = NewEvent::new(scope, entity, args.kind.as_str()).expect(expect);
    if let Some((encoding, bytes)) = &payload {
        event = event.data(*encoding, bytes.as_slice());
    }
    for tag in &args.tag {
        event = event.tag(tag.as_str());
    }
    if let Some(id) = args.id {
        event = event.id(id);
    }
    if let Some(micros) = occurred_at {
        event = event.occurred_at(micros);
    }
    if let Some(actor) = &args.actor {
        event = event.actor(actor.as_str());
    }
    let batch = journal.append_batch(&[event])?;
    // The event is durable: what a close can't do any more must not hide that.
    if let Err(error) = journal.close() {
        note(format!(
            "the event is stored, but: {error} ({})",
            error.code()
        ));
    }
    let receipt = batch
        .receipt(0)
        .ok_or(factlog::Error::from(factlog::Misuse::BatchSize))?;
    answer(&receipt, batch.compared(), out)
}

fn answer(receipt: &Receipt, compared: bool, out: &mut Output) -> Result<Exit> {
    if out.is_json() {
        out.object(&Json {
            schema: "factlog.append/1",
            sequence: receipt.sequence(),
            revision: receipt.revision(),
            stream_id: HEXLOWER.encode(&receipt.stream_id()),
            event_id: receipt.event_id().to_string(),
            event_hash: BASE64.encode(&receipt.event_hash()),
            recorded_at: time::show(receipt.recorded_at()),
            signed: receipt.is_signed(),
            already: receipt.already(),
            compared,
        })?;
    } else {
        let already = match (receipt.already(), compared) {
            (true, true) => "  (already there)",
            (true, false) => {
                "  (already there; its payload is gone, so that only the facts were compared)"
            }
            (false, _) => "",
        };
        out.line(format!(
            "sequence {}  revision {}  id {}{already}",
            receipt.sequence(),
            receipt.revision(),
            receipt.event_id()
        ))?;
    }
    Ok(Exit::Done)
}

fn parse_expect(text: Option<&str>) -> Result<Expect> {
    match text {
        None => Ok(Expect::Any),
        Some("none") => Ok(Expect::NoStream),
        Some(text) => text
            .parse()
            .map(Expect::Revision)
            .map_err(|_| misused(format!("{text:?} is neither a revision nor `none`"))),
    }
}

fn payload(args: &Args) -> Result<Option<(Encoding, Vec<u8>)>> {
    let encoding = match args.encoding {
        _ if args.data.is_some() => Encoding::Json,
        Bytes::Raw => Encoding::Raw,
        Bytes::Json => Encoding::Json,
        Bytes::Msgpack => Encoding::MessagePack,
        Bytes::Cbor => Encoding::Cbor,
    };
    let bytes = match (&args.data, &args.file) {
        (Some(data), _) => data.clone().into_bytes(),
        (None, Some(path)) => files::read(path, MAX_PAYLOAD)?,
        (None, None) => {
            if std::io::stdin().is_terminal() {
                note("Type the payload, and end it with Ctrl-D.");
            }
            let bytes = files::read(Path::new(files::STANDARD), MAX_PAYLOAD)?;
            // Nothing on standard input is no payload; an empty one can be given as a file.
            if bytes.is_empty() {
                return Ok(None);
            }
            bytes
        }
    };
    if encoding != Encoding::Raw && factlog::to_display_json(encoding, &bytes).is_none() {
        let name = encoding.name();
        return Err(misused(format!("the payload is not one value of {name}")));
    }
    Ok(Some((encoding, bytes)))
}
