use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use data_encoding::HEXLOWER;
use factlog::{
    Authenticity, Completeness, Error, Integrity, JournalId, KnownJournal, KnownJournals, Misuse,
    Outcome, Report, TrustPolicy,
};
use serde::Serialize;

use super::verify::{Evidence, run_verify};
use crate::exit::{Exit, Problem};
use crate::opening::{self, KnownArgs, id_text};
use crate::output::{Output, note, shown, table};
use crate::{files, paths};

/// What this machine remembers of journals, like ssh's known hosts
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog known list
  factlog known forget ledger
  factlog known accept restored-ledger")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    known: KnownArgs,
}

#[derive(Subcommand)]
enum Action {
    /// List known journals
    #[command(before_help = "Examples:\n  factlog known list\n  factlog known list --json")]
    List {
        /// Only this journal
        #[arg(value_name = "DIR|ID")]
        journal: Option<String>,
    },
    /// Forget a journal: a later verification has no key and no checkpoint of it any more
    #[command(
        before_help = "Examples:\n  factlog known forget ledger\n  factlog known forget 0f3c…"
    )]
    Forget {
        /// The journal's directory, or its id
        #[arg(value_name = "DIR|ID")]
        journal: String,
    },
    /// Remember a journal as it is now, whatever was known of it and of its directory
    #[command(before_help = "Examples:\n  factlog known accept restored-ledger")]
    Accept {
        /// The journal's directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    id: String,
    origin: String,
    vkey: Option<String>,
    key_file: Option<String>,
    size: Option<u64>,
    root: Option<String>,
    checkpoints: usize,
    paths: Vec<String>,
}

#[derive(Serialize)]
struct ForgotJson {
    schema: &'static str,
    id: String,
    forgotten: bool,
}

pub(crate) fn run(args: Args, out: &mut Output) -> Result<Exit> {
    let Some(known) = args.known.journals()? else {
        return Err(Problem::usage("--known none leaves nothing to look at").into());
    };
    match args.action {
        Action::List { journal } => list(&known, journal.as_deref(), out),
        Action::Forget { journal } => forget(&known, &journal, out),
        Action::Accept { dir } => accept(&known, &dir, out),
    }
}

fn list(known: &KnownJournals, journal: Option<&str>, out: &mut Output) -> Result<Exit> {
    let mut journals = known.list()?;
    if let Some(text) = journal {
        let id = find(known, text)?;
        journals.retain(|journal| journal.id == id);
        if journals.is_empty() {
            return Err(not_known(text));
        }
    }
    if out.is_json() {
        for journal in &journals {
            out.object(&json(journal))?;
        }
        return Ok(Exit::Done);
    }
    let mut rows = table(&["origin", "events", "directory"]);
    for journal in &journals {
        let paths: Vec<_> = journal
            .paths
            .iter()
            .map(|path| paths::shown(path))
            .collect();
        let events = match (&journal.key, journal.newest()) {
            (None, _) => "unsigned".to_owned(),
            (Some(_), None) => String::new(),
            (Some(_), Some((size, _))) => size.to_string(),
        };
        rows.add_row([shown(&journal.origin), events, shown(&paths.join("\n"))]);
    }
    out.line(rows)?;
    Ok(Exit::Done)
}

fn json(journal: &KnownJournal) -> Json {
    let newest = journal.newest();
    Json {
        schema: "factlog.known/1",
        id: id_text(&journal.id),
        origin: journal.origin.clone(),
        vkey: journal.key.as_ref().map(ToString::to_string),
        key_file: journal.key_file.as_deref().map(paths::shown),
        size: newest.map(|(size, _)| size),
        root: newest.map(|(_, root)| root.to_string()),
        checkpoints: journal.checkpoints.len(),
        paths: journal
            .paths
            .iter()
            .map(|path| paths::shown(path))
            .collect(),
    }
}

fn forget(known: &KnownJournals, text: &str, out: &mut Output) -> Result<Exit> {
    let id = find(known, text)?;
    let forgotten = known.forget(&id)?;
    if !forgotten {
        return Err(not_known(text));
    }
    if out.is_json() {
        out.object(&ForgotJson {
            schema: "factlog.known-forget/1",
            id: id_text(&id),
            forgotten,
        })?;
    } else {
        out.line(format!("forgotten: {}", id_text(&id)))?;
    }
    Ok(Exit::Done)
}

/// Takes the journal as it is, provided that it agrees with itself.
fn accept(known: &KnownJournals, dir: &Path, out: &mut Output) -> Result<Exit> {
    let evidence = Evidence {
        internal: true,
        known: KnownArgs::none(),
        ..Evidence::default()
    };
    let report = run_verify(dir, &evidence)?;
    if report.outcome(true) != Outcome::Holds {
        let message = "the journal does not agree with itself; `factlog verify` says where";
        return Err(Problem::new(Exit::NotHolding, "known.refused", message).into());
    }
    let old = known.list()?;
    let key_file = old
        .into_iter()
        .find(|journal| journal.id == report.id)
        .and_then(|journal| journal.key_file)
        .or_else(|| own_key(&report.id));
    let journal = entry(dir, key_file)?;
    known.accept(journal.clone())?;
    if out.is_json() {
        out.object(&json(&journal))?;
    } else {
        out.line(format!("accepted: {}", shown(&journal.origin)))?;
    }
    Ok(Exit::Done)
}

/// The key that `init` made here, if it did.
fn own_key(id: &JournalId) -> Option<PathBuf> {
    let path = paths::keys_dir().ok()?.join(format!("{}.key", id_text(id)));
    files::exists(&path).then_some(path)
}

/// What is to be remembered of a journal that was just verified.
fn entry(dir: &Path, key_file: Option<PathBuf>) -> Result<KnownJournal> {
    let reader = opening::reader(dir)?;
    let checkpoints = match reader.checkpoint() {
        Ok(checkpoint) => vec![checkpoint],
        Err(Error::Misuse(Misuse::Unsigned)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(KnownJournal {
        id: reader.id(),
        origin: reader.origin().to_owned(),
        key: reader.verifier_key(),
        retired: Vec::new(),
        next: reader.keys().last().and_then(|live| live.next),
        key_file,
        checkpoints,
        paths: vec![files::absolute(dir)],
    })
}

/// The id of a journal that was named by its id, or by a directory it is known at or stands in.
fn find(known: &KnownJournals, text: &str) -> Result<JournalId> {
    if let Ok(id) = HEXLOWER.decode(text.as_bytes())
        && let Ok(id) = JournalId::try_from(id)
    {
        return Ok(id);
    }
    let dir = Path::new(text);
    for path in [dir.to_owned(), files::absolute(dir)] {
        if let Some(journal) = known.find_path(&path)? {
            return Ok(journal.id);
        }
    }
    if files::is_dir(dir) {
        return Ok(opening::reader(dir)?.id());
    }
    Err(not_known(text))
}

fn not_known(text: &str) -> anyhow::Error {
    let message = format!("no journal {text} is known");
    Problem::new(Exit::NotFound, "known.not_found", message).into()
}

/// Follows to the key that signs now, as far as each proves the next.
fn follow(reader: &factlog::Reader, known: &KnownJournals) -> Result<()> {
    for _ in reader.keys() {
        let key = known.find(&reader.id())?.and_then(|journal| journal.key);
        let Some(key) = key else { break };
        match reader.rotation_proof(&key)? {
            Some(proof) => known.follow(&reader.id(), &proof)?,
            None => break,
        }
    }
    Ok(())
}

/// After a verification: pins the journal if its key was given by hand, and moves a pin on to the
/// newest checkpoint. That the note can't be taken must not change the verdict.
pub(crate) fn remember(dir: &Path, evidence: &Evidence, report: &Report) {
    let no_quorum = |finding: &factlog::Finding| finding.code == "checkpoint.no_quorum";
    let holds = report.findings.is_empty()
        && !report.unchecked.iter().any(no_quorum)
        && report.integrity == Integrity::Intact
        && report.authenticity == Authenticity::Signed
        && matches!(
            report.completeness,
            Completeness::Anchored | Completeness::NotChecked
        );
    let witnessed = evidence
        .policy
        .as_ref()
        .is_some_and(TrustPolicy::wants_witnesses);
    // Whoever wants witnesses has seen nothing that counts without them.
    if evidence.internal || !holds || (witnessed && report.completeness != Completeness::Anchored) {
        return;
    }
    let Ok(Some(known)) = evidence.known.journals() else {
        return;
    };
    if let Err(error) = try_remember(dir, evidence, report, &known) {
        note(format!(
            "what was verified could not be remembered: {error:#}"
        ));
    }
}

fn try_remember(
    dir: &Path,
    evidence: &Evidence,
    report: &Report,
    known: &KnownJournals,
) -> Result<()> {
    let reader = opening::reader(dir)?;
    let checkpoint = reader.checkpoint()?;
    let size = checkpoint.claimed().size();
    // Only what this verification has seen signed; the journal may have grown since. And no more than
    // witnesses have cosigned, where they must.
    let witnessed = evidence
        .policy
        .as_ref()
        .is_some_and(TrustPolicy::wants_witnesses);
    let through = match witnessed {
        true => report.anchored_through.min(report.signed_through),
        false => report.signed_through,
    };
    let seen = through.map_or(0, |through| through + 1);
    if reader.id() != report.id || size > seen {
        return Ok(());
    }
    if known.find(&report.id)?.is_none() {
        let Some(key) = &evidence.vkey else {
            return Ok(());
        };
        // The key given may be one that was replaced since: what follows leads on from there.
        let own = reader.keys().into_iter().find(|own| own.key == *key);
        known.pin(KnownJournal {
            key: Some(key.clone()),
            next: own.and_then(|own| own.next),
            checkpoints: Vec::new(),
            ..entry(dir, own_key(&report.id))?
        })?;
    }
    follow(&reader, known)?;
    match known.advance_with(&report.id, &checkpoint, |from| {
        // A proof that can't be made is one that doesn't hold.
        reader.consistency(from, size).unwrap_or_default()
    }) {
        // Another process has moved it further meanwhile.
        Err(error) if error.code() == "known.behind" => Ok(()),
        other => Ok(other?),
    }
}
