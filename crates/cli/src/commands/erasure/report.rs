use std::path::PathBuf;

use anyhow::Result;
use data_encoding::HEXLOWER;
use factlog::{ErasureEntry, Reader, SecretFate, ShredGrade};
use serde::Serialize;

use crate::exit::Exit;
use crate::opening;
use crate::output::{Output, note, shown};
use crate::time;

/// Say what was shredded: when, why, by whom, and how far it reached
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog erasure-report ledger
  factlog erasure-report ledger --json

Each entry rests on two events of the journal; with --json their receipts stand beside it, as `factlog receipt`
gives them. Exit 4 if a shred is
intended and not yet done: the next open for writing finishes it.")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    intent: u64,
    at: String,
    domain: &'static str,
    reason: String,
    actor: Option<String>,
    keys: Vec<String>,
    completion: Option<u64>,
    destroyed: Option<u32>,
    generation: Option<u64>,
    grade: Option<&'static str>,
    /// Whether all recipients were to be replaced; the grade says whether they were.
    replacing: bool,
    recipients: Vec<RecipientJson>,
    acknowledged: Vec<AcknowledgedJson>,
    /// Receipts of both events, as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receipts: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct RecipientJson {
    recipient: String,
    secret: &'static str,
}

/// What who keeps derived data has answered.
#[derive(Serialize)]
pub(super) struct AcknowledgedJson {
    name: String,
    forgotten: bool,
}

pub(super) fn recipients(found: &[([u8; 8], SecretFate)]) -> Vec<RecipientJson> {
    let json = |(id, state): &([u8; 8], SecretFate)| RecipientJson {
        recipient: HEXLOWER.encode(id),
        secret: fate(*state),
    };
    found.iter().map(json).collect()
}

pub(super) fn acknowledged(found: &[(String, bool)]) -> Vec<AcknowledgedJson> {
    let json = |(name, forgotten): &(String, bool)| AcknowledgedJson {
        name: name.clone(),
        forgotten: *forgotten,
    };
    found.iter().map(json).collect()
}

/// In words.
pub(super) fn grade(grade: ShredGrade) -> &'static str {
    match grade {
        ShredGrade::RecipientsReplaced => "recipients_replaced",
        _ => "removed_from_keyset",
    }
}

fn fate(fate: SecretFate) -> &'static str {
    match fate {
        SecretFate::Kept => "not_replaced",
        SecretFate::Attested => "attested",
        SecretFate::Proved => "proved",
        _ => "unknown",
    }
}

fn json(reader: &Reader, entry: &ErasureEntry) -> Json {
    let done = entry.completed.as_ref();
    let (all, answers) = done.map_or((&[][..], &[][..]), |(_, done)| {
        (&done.recipients[..], &done.acknowledged[..])
    });
    let events = [Some(entry.intent), done.map(|(sequence, _)| *sequence)];
    // A journal that isn't signed has none.
    let receipts = events.into_iter().flatten();
    let receipts = receipts.filter_map(|sequence| reader.receipt(sequence).ok());
    Json {
        schema: "factlog.erasure/1",
        intent: entry.intent,
        at: time::show(entry.at),
        domain: entry.domain.name(),
        reason: entry.reason.clone(),
        actor: entry.actor.clone(),
        keys: entry.keys.iter().map(|id| HEXLOWER.encode(id)).collect(),
        completion: done.map(|(sequence, _)| *sequence),
        destroyed: done.map(|(_, done)| done.destroyed),
        generation: done.map(|(_, done)| done.generation),
        grade: done.map(|(_, done)| grade(done.grade)),
        replacing: entry.replacing,
        recipients: recipients(all),
        acknowledged: acknowledged(answers),
        receipts: receipts.collect(),
    }
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let entries = reader.erasures()?;
    let open = entries
        .iter()
        .filter(|entry| entry.completed.is_none())
        .count();
    for entry in &entries {
        let json = json(&reader, entry);
        if out.is_json() {
            out.object(&json)?;
            continue;
        }
        let who = json
            .actor
            .as_deref()
            .map_or(String::new(), |who| format!(", for {}", shown(who)));
        out.line(format!("event {}  {}{who}", json.intent, json.at))?;
        out.line(format!("  reason      {}", shown(&json.reason)))?;
        out.line(format!(
            "  keys        {} of sort {}, {} of them there to be destroyed",
            json.keys.len(),
            json.domain,
            json.destroyed.unwrap_or_default()
        ))?;
        match (json.completion, json.grade) {
            (Some(at), Some(grade)) => {
                out.line(format!("  done        event {at}, grade {grade}"))?;
                if json.replacing && json.grade == Some("removed_from_keyset") {
                    let todo = "NOT replaced, as was wanted: use `factlog keys rewrap`";
                    out.line(format!("  recipients  {todo}"))?;
                }
            }
            _ => out.line("  done        not yet: open the journal for writing")?,
        }
        for recipient in &json.recipients {
            let (id, secret) = (&recipient.recipient, recipient.secret);
            out.line(format!("  recipient   {id}: {secret}"))?;
        }
        for one in &json.acknowledged {
            let answer = match one.forgotten {
                true => "has forgotten it",
                false => "has NOT forgotten it",
            };
            out.line(format!("  derived     {} {answer}", shown(&one.name)))?;
        }
    }
    if entries.is_empty() && !out.is_json() {
        note("Nothing was shredded.");
    }
    Ok(match open {
        0 => Exit::Done,
        _ => Exit::Undecided,
    })
}
