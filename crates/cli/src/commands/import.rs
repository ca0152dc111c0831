use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::exit::Exit;
use crate::import::git::{self, Git, GitOptions};
use crate::import::jsonl::{FieldPath, Fields, Jsonl, TimeUnit};
use crate::import::{self, Job, Outcome, Shared, Source};
use crate::opening::{self, WriteArgs};
use crate::output::{Output, note};
use crate::progress::Unit;
use crate::{files, misused};

/// Import events from elsewhere; importing again adds only what is new
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog import ledger orders.jsonl --format jsonl --scope shop --entity order --kind type --time at
  factlog import ledger - --format jsonl --source sensors --id id < readings.jsonl
  factlog import ledger ~/src/project --format git --by-path
  factlog import ledger orders.jsonl --format jsonl --dry-run")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// What to import: a file, `-` for standard input; with --format git a repository
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// What it is
    #[arg(long, value_enum)]
    format: Format,
    /// What the source is called in ids and positions [default: the name of the file, without folders]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The scope of the events' streams [default: the format]
    #[arg(long, value_name = "S")]
    scope: Option<String>,
    /// jsonl: the field that names the entity [default: one stream for all, named like the source]
    #[arg(long, value_name = "FIELD")]
    entity: Option<FieldPath>,
    /// jsonl: the field that names the kind [default: all are `jsonl.line`]
    #[arg(long, value_name = "FIELD")]
    kind: Option<FieldPath>,
    /// jsonl: the field that tells events apart [default: the number of the line]
    #[arg(long, value_name = "FIELD")]
    id: Option<FieldPath>,
    /// jsonl: the field that says when it happened: RFC 3339, or a number
    #[arg(long, value_name = "FIELD")]
    time: Option<FieldPath>,
    /// jsonl: what numbers in the time field count
    #[arg(long, value_enum, default_value_t)]
    time_unit: TimeUnit,
    /// jsonl: the field that says who did it
    #[arg(long, value_name = "FIELD")]
    actor: Option<FieldPath>,
    /// jsonl: a field that gives a tag, or a list of tags; may be repeated
    #[arg(long, value_name = "FIELD")]
    tag: Vec<FieldPath>,
    /// git: one stream per top-level path that a commit touches, instead of one for all
    #[arg(long)]
    by_path: bool,
    /// Say what would be added, and add nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave out lines that can't be events, listing and counting them
    #[arg(long)]
    skip_bad: bool,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Git,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    source: &'a str,
    added: u64,
    known: u64,
    bad: u64,
    bad_lines: Vec<BadJson<'a>>,
    dry_run: bool,
    events: u64,
}

#[derive(Serialize)]
struct BadJson<'a> {
    line: u64,
    detail: &'a str,
}

pub(crate) fn run(args: Args, out: &mut Output) -> Result<Exit> {
    refuse_nonsense(&args)?;
    let journal = opening::writer(&args.dir, &args.write)?;
    let result = take(&args, &journal);
    let events = journal.reader().len();
    // What was appended is durable; a failed close must not hide how the import went.
    if let Err(error) = journal.close() {
        note(format!(
            "what was imported is stored, but: {error} ({})",
            error.code()
        ));
    }
    let (name, outcome) = result?;
    answer(&name, &outcome, &args, events, out)
}

fn take(args: &Args, journal: &factlog::Journal) -> Result<(String, Outcome)> {
    let name = source_name(args)?;
    let scope = args.scope.clone();
    let (mut source, shared, unit): (Box<dyn Source>, _, _) = match args.format {
        Format::Jsonl => {
            let source = Jsonl::open(&args.file, name.clone(), fields(args))?;
            let shared = Shared {
                scope: scope.unwrap_or_else(|| "jsonl".to_owned()),
                entity: name,
                kind: "jsonl.line".to_owned(),
            };
            (Box::new(source), shared, Unit::Bytes)
        }
        Format::Git => {
            let options = GitOptions {
                by_path: args.by_path,
                newest: None,
            };
            let source = Git::open(&args.file, name.clone(), options)?;
            let shared = Shared {
                scope: scope.unwrap_or_else(|| "git".to_owned()),
                entity: name,
                kind: git::KIND.to_owned(),
            };
            (Box::new(source), shared, Unit::Events)
        }
    };
    let job = Job {
        journal,
        shared,
        unit,
        dry_run: args.dry_run,
        skip_bad: args.skip_bad,
        quiet: false,
    };
    let outcome = import::run(&job, source.as_mut())?;
    Ok((source.name().to_owned(), outcome))
}

fn refuse_nonsense(args: &Args) -> Result<()> {
    let fields = [&args.entity, &args.kind, &args.id, &args.time, &args.actor];
    let has_fields = fields.iter().any(|field| field.is_some()) || !args.tag.is_empty();
    match args.format {
        Format::Git if has_fields => Err(misused("fields are for --format jsonl")),
        Format::Jsonl if args.by_path => Err(misused("--by-path is for --format git")),
        // Positions stand there; events of others would be taken for them.
        _ if args.scope.as_deref() == Some(import::SCOPE) => {
            Err(misused("the scope `import` holds the positions of imports"))
        }
        _ if args.tag.len() > factlog_format::MAX_TAGS => Err(misused("too many --tag")),
        _ => Ok(()),
    }
}

fn fields(args: &Args) -> Fields {
    Fields {
        entity: args.entity.clone(),
        kind: args.kind.clone(),
        id: args.id.clone(),
        time: args.time.clone(),
        time_unit: args.time_unit,
        actor: args.actor.clone(),
        tags: args.tag.clone(),
    }
}

/// Without folders: a journal keeps its positions for good, and where a file was is nobody's business.
fn source_name(args: &Args) -> Result<String> {
    if let Some(name) = &args.source {
        return Ok(name.clone());
    }
    if args.file == Path::new(files::STANDARD) {
        return match args.format {
            Format::Jsonl => Ok("stdin".to_owned()),
            Format::Git => Err(misused("a git repository is a folder, not standard input")),
        };
    }
    if args.format == Format::Git
        && let Some(name) = git::repository_name(&args.file)?
    {
        return Ok(name);
    }
    let path = files::absolute(&args.file);
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| misused("the source has no name; give it one with --source"))
}

fn answer(
    name: &str,
    outcome: &Outcome,
    args: &Args,
    events: u64,
    out: &mut Output,
) -> Result<Exit> {
    if out.is_json() {
        let bad_lines = outcome.bad_lines.iter().map(|bad| BadJson {
            line: bad.line,
            detail: &bad.detail,
        });
        out.object(&Json {
            schema: "factlog.import/1",
            source: name,
            added: outcome.added,
            known: outcome.known,
            bad: outcome.bad,
            bad_lines: bad_lines.collect(),
            dry_run: args.dry_run,
            events,
        })?;
        return Ok(Exit::Done);
    }
    let verb = if args.dry_run { "would add" } else { "added" };
    let mut line = format!(
        "{verb} {} events, {} were known",
        outcome.added, outcome.known
    );
    if outcome.bad > 0 {
        line.push_str(&format!(", {} bad lines left out", outcome.bad));
    }
    out.line(line)?;
    Ok(Exit::Done)
}
