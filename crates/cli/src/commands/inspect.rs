use std::path::PathBuf;

use anyhow::Result;
use factlog::{Inspection, Opens, Options};
use serde::Serialize;

use crate::exit::Exit;
use crate::opening::id_text;
use crate::output::{BAD, GOOD, OPEN, Output, shown, styled};
use crate::paths;

/// Say what a directory holds of a journal, what is damaged, and whether it can be opened
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog inspect ledger
  factlog inspect ledger --json")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    dir: String,
    opens: &'static str,
    unfinished: bool,
    in_use: bool,
    id: Option<String>,
    origin: Option<&'a str>,
    signed: bool,
    events: u64,
    unproven: u64,
    torn_bytes: u64,
    segments: u64,
    damage: Vec<Entry>,
    strangers: Vec<String>,
}

/// What is wrong, and where.
#[derive(Serialize)]
pub(super) struct Entry {
    code: &'static str,
    file: String,
    offset: Option<u64>,
    sequence: Option<u64>,
    detail: String,
}

impl From<&factlog::Damage> for Entry {
    fn from(damage: &factlog::Damage) -> Self {
        Self {
            code: damage.code,
            file: paths::shown(&damage.path),
            offset: damage.offset,
            sequence: damage.sequence,
            detail: damage.detail.clone(),
        }
    }
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let found = factlog::inspect(&args.dir, &Options::new())?;
    if out.is_json() {
        out.object(&json(args, &found))?;
    } else {
        page(&found, out)?;
    }
    let newer = |code| code == "journal.unsupported_version";
    Ok(match found.opens {
        Opens::Writable | Opens::AfterRecovery => Exit::Done,
        _ if found.unfinished && found.damage.is_empty() => Exit::NotFound,
        _ if found.damage.iter().all(|damage| newer(damage.code)) => Exit::Undecided,
        _ => Exit::NotHolding,
    })
}

fn word(opens: Opens) -> &'static str {
    match opens {
        Opens::Writable => "writable",
        Opens::AfterRecovery => "after_recovery",
        Opens::ReadOnly => "read_only",
        _ => "not",
    }
}

fn json<'a>(args: &Args, found: &'a Inspection) -> Json<'a> {
    Json {
        schema: "factlog.inspect/1",
        dir: paths::shown(&args.dir),
        opens: word(found.opens),
        unfinished: found.unfinished,
        in_use: found.in_use,
        id: found.id.as_ref().map(id_text),
        origin: found.origin.as_deref(),
        signed: found.signed,
        events: found.events,
        unproven: found.unproven,
        torn_bytes: found.torn,
        segments: found.segments,
        damage: found.damage.iter().map(Entry::from).collect(),
        strangers: found
            .strangers
            .iter()
            .map(|path| paths::shown(path))
            .collect(),
    }
}

fn page(found: &Inspection, out: &mut Output) -> Result<()> {
    let opens = match found.opens {
        Opens::Writable => styled(GOOD, "for writing"),
        Opens::AfterRecovery => styled(OPEN, "for writing, after a recovery"),
        Opens::ReadOnly => styled(BAD, "for reading alone"),
        _ if found.unfinished => styled(
            OPEN,
            "not: its creation was cut short, and it holds nothing",
        ),
        _ => styled(BAD, "not"),
    };
    let line = |out: &mut Output, name: &str, value: &str| out.line(format!("{name:<12} {value}"));
    line(out, "opens", &opens)?;
    if let Some(origin) = &found.origin {
        line(out, "origin", &shown(origin))?;
        line(
            out,
            "signed",
            if found.signed {
                "yes: writing wants its key"
            } else {
                "no"
            },
        )?;
        line(out, "events", &found.events.to_string())?;
    }
    if found.unproven > 0 {
        let text = format!("{} events, which a recovery keeps", found.unproven);
        line(out, "unproven", &text)?;
    }
    if found.torn > 0 {
        let text = format!(
            "{} bytes of a write that was never acknowledged",
            found.torn
        );
        line(out, "torn", &text)?;
    }
    line(out, "segments", &found.segments.to_string())?;
    if found.in_use {
        line(out, "in use", "a process has it open for writing")?;
    }
    for damage in &found.damage {
        line(out, "damage", &shown(&damage.to_string()))?;
    }
    for path in &found.strangers {
        let text = format!("{} is no journal's", paths::shown(path));
        line(out, "stranger", &shown(&text))?;
    }
    Ok(())
}
