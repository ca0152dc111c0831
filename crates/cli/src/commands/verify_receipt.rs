use std::path::{Path, PathBuf};

use anyhow::Result;
use data_encoding::{BASE64, HEXLOWER};
use factlog::{EventRecord, Policy, Section, SectionSecret, UnverifiedReceipt, VerifiedReceipt};
use factlog_proof::{ReceiptError, SuppliedSection};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{evidence, trust::publish};
use crate::event::{self, Parts};
use crate::exit::{ClosedPipe, Exit, Problem};
use crate::output::{BAD, DIM, GOOD, OPEN, Output, shown, styled};
use crate::{files, opening, paths, time};

/// An event of the largest payload as `show --json` prints it: base64, and the payload once more.
const MAX_EVENT: u64 = 128 << 20;

/// Check a receipt on its own: it needs no journal
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog verify-receipt event-42.receipt --vkey example.com/ledger/0f3c…+1a2b3c4d+AWdl…
  factlog verify-receipt event-42.receipt --vkey ledger.vkey --event event-42.json")]
pub(crate) struct Args {
    /// The receipt, or `-` for standard input
    file: PathBuf,
    /// The journal's verifier key, known to you from elsewhere: the key, or a file that holds it
    #[arg(long, value_name = "KEY")]
    vkey: String,
    /// The event, as `show --json` prints it: its payload is then checked as well
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// A folder that `publish` has written, or a copy of it: the receipt must be of the history there
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    holds: bool,
    /// Why it doesn't.
    code: Option<&'static str>,
    detail: Option<String>,
    origin: Option<String>,
    size: Option<u64>,
    root: Option<String>,
    signers: Vec<String>,
    sequence: Option<u64>,
    revision: Option<u64>,
    stream_id: Option<String>,
    event_hash: Option<String>,
    recorded_at: Option<String>,
    event_id: Option<String>,
    scope: Option<String>,
    entity: Option<String>,
    kind: Option<String>,
    sections_checked: Vec<String>,
}

/// What is taken from the output of `show --json`; all else in it must follow from this.
#[derive(Deserialize)]
struct EventFile {
    record: String,
    sections: Vec<SectionFile>,
    previous_sequence: Option<u64>,
}

#[derive(Deserialize)]
struct SectionFile {
    name: String,
    salt: Option<String>,
    bytes: Option<String>,
}

/// A section of the event file, decoded.
struct Supplied {
    name: String,
    secret: SectionSecret,
    bytes: Vec<u8>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let key = opening::verifier_key(&args.vkey)?;
    let policy = Policy::from(key.clone()).refuse_unknown_signatures();
    let bytes = evidence::read_receipt(&args.file)?;
    let event = args.event.as_deref().map(read_event).transpose()?;
    let sections = event.as_ref().map_or(&[][..], |(_, sections)| sections);
    let verified = check(
        &bytes,
        &policy,
        event.as_ref().map(|(record, _)| record),
        sections,
    );
    let verified = match (verified, &args.from) {
        (Ok(receipt), Some(from)) => publish::check(from, receipt, &key)?,
        (verified, _) => verified,
    };
    let (exit, json) = match &verified {
        Ok(receipt) => (Exit::Done, held(receipt, sections)),
        Err(problem) => (problem.exit, refused(problem)),
    };
    let printed = if out.is_json() {
        out.object(&json)
    } else {
        page(&json, exit == Exit::Undecided, event.is_some(), out)
    };
    match printed.and_then(|()| out.flush()) {
        Err(error) if !error.is::<ClosedPipe>() => Err(error),
        _ => Ok(exit),
    }
}

fn check(
    receipt: &[u8],
    policy: &Policy,
    record: Option<&EventRecord>,
    sections: &[Supplied],
) -> Result<VerifiedReceipt, Problem> {
    let supplied: Vec<SuppliedSection<'_>> = sections
        .iter()
        .map(|section| SuppliedSection {
            name: &section.name,
            secret: section.secret,
            stored: &section.bytes,
        })
        .collect();
    let verified = UnverifiedReceipt::parse(receipt)
        .and_then(|receipt| receipt.verify_with_sections(policy, &supplied))
        .map_err(|error| {
            // What nobody signed, and what a newer version wrote, is no sign of tampering.
            let undecided = matches!(
                error,
                ReceiptError::Unsigned | ReceiptError::UnsupportedEvent(_)
            );
            let exit = if undecided {
                Exit::Undecided
            } else {
                Exit::NotHolding
            };
            Problem::new(exit, error.code(), error.to_string())
        })?;
    if record.is_some_and(|record| record.event_hash() != *verified.event_hash()) {
        let message = "the event is not the one of the receipt";
        return Err(Problem::new(
            Exit::NotHolding,
            "receipt.other_event",
            message,
        ));
    }
    Ok(verified)
}

fn held(receipt: &VerifiedReceipt, sections: &[Supplied]) -> Json {
    let (spine, facts) = (receipt.event().spine(), receipt.event().facts());
    let checkpoint = receipt.checkpoint();
    Json {
        schema: "factlog.verify-receipt/1",
        holds: true,
        code: None,
        detail: None,
        origin: Some(checkpoint.origin().to_owned()),
        size: Some(checkpoint.size()),
        root: Some(checkpoint.root().to_string()),
        signers: receipt.signers().iter().map(ToString::to_string).collect(),
        sequence: Some(receipt.sequence()),
        revision: Some(spine.revision),
        stream_id: Some(HEXLOWER.encode(&spine.stream)),
        event_hash: Some(BASE64.encode(receipt.event_hash())),
        recorded_at: Some(time::show(spine.recorded_at)),
        event_id: facts.map(|facts| uuid::Uuid::from_bytes(facts.event_id).to_string()),
        scope: facts.map(|facts| facts.scope.to_owned()),
        entity: facts.map(|facts| facts.entity.to_owned()),
        kind: facts.map(|facts| facts.kind.to_owned()),
        sections_checked: sections
            .iter()
            .map(|section| section.name.clone())
            .collect(),
    }
}

/// Nothing of a receipt that doesn't hold is repeated.
fn refused(problem: &Problem) -> Json {
    Json {
        schema: "factlog.verify-receipt/1",
        holds: false,
        code: Some(problem.code),
        detail: Some(problem.message.clone()),
        origin: None,
        size: None,
        root: None,
        signers: Vec::new(),
        sequence: None,
        revision: None,
        stream_id: None,
        event_hash: None,
        recorded_at: None,
        event_id: None,
        scope: None,
        entity: None,
        kind: None,
        sections_checked: Vec::new(),
    }
}

fn page(json: &Json, undecided: bool, with_event: bool, out: &mut Output) -> Result<()> {
    if !json.holds {
        let verdict = match undecided {
            true => styled(OPEN, "The receipt can't be verified."),
            false => styled(BAD, "The receipt does not hold."),
        };
        out.line(verdict)?;
        let detail = json.detail.as_deref().unwrap_or_default();
        return out.line(format!(
            "{} ({})",
            shown(detail),
            json.code.unwrap_or_default()
        ));
    }
    out.line(styled(GOOD, "The receipt holds."))?;
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let stream = json.scope.as_ref().zip(json.entity.as_ref());
    for (name, value) in [
        ("journal", json.origin.clone()),
        ("sequence", number(json.sequence)),
        (
            "of",
            json.size
                .map(|size| format!("{size} events under the signature")),
        ),
        (
            "stream",
            stream.map(|(scope, entity)| format!("{scope}/{entity}")),
        ),
        ("kind", json.kind.clone()),
        ("event id", json.event_id.clone()),
        ("recorded", json.recorded_at.clone()),
        ("event hash", json.event_hash.clone()),
    ] {
        if let Some(value) = value {
            let name = styled(DIM, format!("{name:<12}"));
            out.line(format!("{name} {}", shown(&value)))?;
        }
    }
    let payload = if with_event {
        format!("checked: {}", json.sections_checked.join(", "))
    } else {
        "not checked; give --event FILE".to_owned()
    };
    let name = styled(DIM, format!("{:<12}", "payload"));
    out.line(format!("{name} {}", shown(&payload)))
}

fn read_event(path: &Path) -> Result<(EventRecord, Vec<Supplied>)> {
    let malformed = |why: &str| {
        let message = format!("{} is not an event: {why}", paths::shown(path));
        Problem::new(Exit::NotHolding, "event.malformed", message)
    };
    let bytes = files::read(path, MAX_EVENT)?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| malformed(&error.to_string()))?;
    let file = EventFile::deserialize(&value).map_err(|error| malformed(&error.to_string()))?;
    let decode = |text: &str| {
        BASE64
            .decode(text.as_bytes())
            .map_err(|error| malformed(&error.to_string()))
    };
    let record = EventRecord::decode(&decode(&file.record)?)
        .map_err(|error| malformed(&error.to_string()))?;
    let mut sections = Vec::new();
    for section in file.sections {
        // A section that was erased has neither.
        let (Some(salt), Some(bytes)) = (&section.salt, &section.bytes) else {
            continue;
        };
        let salt = decode(salt)?;
        let secret = match salt.len() {
            16 => salt.try_into().map(SectionSecret::Salt),
            _ => salt.try_into().map(SectionSecret::Nonce),
        };
        sections.push(Supplied {
            name: section.name,
            secret: secret.map_err(|_| malformed("a salt has another length"))?,
            bytes: decode(bytes)?,
        });
    }
    let again = rebuilt(&record, &sections, file.previous_sequence);
    if without_decrypted(again, &record) != without_decrypted(value, &record) {
        // Whoever reads the file reads those fields, and not the record.
        return Err(malformed("its fields are not those of its record and sections").into());
    }
    Ok((record, sections))
}

/// The same without what was decrypted for whoever printed it: that, nothing here can prove.
fn without_decrypted(mut value: Value, record: &EventRecord) -> Value {
    let facts = record.facts();
    let rows = facts.into_iter().flat_map(|facts| facts.sections.iter());
    let shown = value.get_mut("sections").and_then(Value::as_array_mut);
    for (row, section) in rows.zip(shown.into_iter().flatten()) {
        if let (Some(_), Some(fields)) = (row.sealed, section.as_object_mut()) {
            for name in ["value", "length", "sealed"] {
                fields.remove(name);
            }
        }
    }
    value
}

/// What `show --json` prints of this event.
fn rebuilt(record: &EventRecord, supplied: &[Supplied], previous_sequence: Option<u64>) -> Value {
    let facts = record.facts();
    let rows = facts.into_iter().flat_map(|facts| facts.sections.iter());
    let sections = rows.map(|row| {
        let content = supplied
            .iter()
            .find(|section| section.name == row.name)
            .map(|section| (section.secret, section.bytes.as_slice()));
        Section::shown(row.name, row.encoding, row.hash, content)
    });
    let parts = Parts {
        record: record.clone(),
        facts,
        sections: sections.collect(),
        previous_sequence,
    };
    serde_json::to_value(event::from_parts(&parts, event::SHOW, true)).unwrap_or_default()
}
