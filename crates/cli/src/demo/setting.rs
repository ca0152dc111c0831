//! The demo's journal, and the evidence of it that is kept outside.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use factlog::{
    Encoding, Journal, NewEvent, Options, Policy, Reader, StreamId, UnverifiedReceipt, VerifierKey,
};
use tempfile::TempDir;

use crate::import::git::{self, Git, GitOptions};
use crate::import::jsonl::{Fields, Jsonl};
use crate::import::{self, Job, Shared, Source};
use crate::progress::Unit;
use crate::{files, opening};

/// What stands in place of the evidence where there is none.
pub(super) const NOTHING: &str = "the journal alone";

/// The newest so many commits are enough to see.
const COMMITS: u64 = 2_000;

/// What is imported where there is no git repository.
const SAMPLE: &[u8] = include_bytes!("../../../../fixtures/samples/orders.jsonl");

pub(super) struct Setting {
    /// Goes last, and with it everything.
    dir: TempDir,
    pub(super) journal: PathBuf,
    pub(super) known: PathBuf,
    pub(super) checkpoint: PathBuf,
    pub(super) receipt: PathBuf,
    pub(super) receipt_text: String,
    pub(super) vkey: VerifierKey,
    /// Where the events are from, in words.
    pub(super) source: String,
    /// The event that the receipt is of.
    pub(super) sequence: u64,
    /// Its stream.
    pub(super) stream: StreamId,
    /// The event that was appended last, on its own.
    pub(super) last_sequence: u64,
}

impl Setting {
    /// Makes the journal; of the `sample` alone, or of what one stands in.
    pub(super) fn make(sample: bool) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("factlog-demo-").tempdir()?;
        let at = |name: &str| dir.path().join(name);
        let (path, known) = (at("journal"), at("known_journals"));
        let options = Options::new()
            .origin("demo.factlog.local")
            .signing_key_file(at("journal.key"))
            .known_journals(factlog::KnownJournals::at(&known));
        let journal = Journal::create(&path, options)?;
        let source = fill(&journal, dir.path(), sample)?;
        let last = NewEvent::new("demo", "visitor", "demo.watched")
            .data(Encoding::Json, &br#"{"watched":true}"#[..]);
        let last_sequence = journal.append(last)?.sequence();
        journal.close()?;

        let reader = opening::reader(&path)?;
        let (sequence, stream) = chosen(&reader)?;
        let receipt_text = reader.receipt(sequence)?;
        let (checkpoint, receipt) = (at("saved.checkpoint"), at("event.receipt"));
        files::write(&checkpoint, reader.checkpoint()?.to_string().as_bytes())?;
        files::write(&receipt, receipt_text.as_bytes())?;
        let vkey = reader.verifier_key().context("the journal has no key")?;
        Ok(Self {
            dir,
            journal: path,
            known,
            checkpoint,
            receipt,
            receipt_text,
            vkey,
            source,
            sequence,
            stream,
            last_sequence,
        })
    }

    pub(super) fn reader(&self) -> Result<Reader> {
        opening::reader(&self.journal)
    }

    /// Verifies the receipt with nothing but the public key.
    pub(super) fn check_receipt(&self) -> Result<()> {
        let policy = Policy::from(self.vkey.clone());
        UnverifiedReceipt::parse(self.receipt_text.as_bytes())?.verify(&policy)?;
        Ok(())
    }

    /// A copy of the journal to tamper with.
    pub(super) fn copy(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name.replace(' ', "-"));
        files::copy_tree(&self.journal, &path)?;
        Ok(path)
    }
}

/// The history of the repository that one stands in, or the sample.
fn fill(journal: &Journal, dir: &Path, sample: bool) -> Result<String> {
    let here = Path::new(".");
    if !sample && let Ok(Some(name)) = git::repository_name(here) {
        let options = GitOptions {
            by_path: true,
            newest: Some(COMMITS),
        };
        let mut source = Git::open(here, name.clone(), options)?;
        let outcome = take(journal, &mut source, "git", &name, git::KIND)?;
        if outcome > 1 {
            return Ok(format!("the git history of {name}"));
        }
    }
    let path = dir.join("orders.jsonl");
    files::write(&path, SAMPLE)?;
    let fields = Fields {
        entity: "order".parse().ok(),
        kind: "type".parse().ok(),
        time: "at".parse().ok(),
        ..Fields::default()
    };
    let mut source = Jsonl::open(&path, "orders.jsonl".to_owned(), fields)?;
    take(journal, &mut source, "shop", "orders", "jsonl.line")?;
    Ok("a sample of orders".to_owned())
}

fn take(
    journal: &Journal,
    source: &mut dyn Source,
    scope: &str,
    entity: &str,
    kind: &str,
) -> Result<u64> {
    let job = Job {
        journal,
        shared: Shared {
            scope: scope.to_owned(),
            entity: entity.to_owned(),
            kind: kind.to_owned(),
        },
        unit: Unit::Events,
        dry_run: false,
        skip_bad: false,
        quiet: true,
    };
    Ok(import::run(&job, source)?.added)
}

/// The last event of the smallest stream that was imported: dropping that stream is what a forger
/// would get away with most easily.
fn chosen(reader: &Reader) -> Result<(u64, StreamId)> {
    let mut best: Option<(u64, u64, StreamId)> = None;
    for stream in reader.streams() {
        let stream = stream?;
        let own = |scope: &str| scope.starts_with('$') || [import::SCOPE, "demo"].contains(&scope);
        if stream
            .coordinate
            .as_ref()
            .is_none_or(|(scope, _)| own(scope))
        {
            continue;
        }
        if best
            .is_none_or(|(events, last, _)| (stream.events, stream.last_sequence) < (events, last))
        {
            best = Some((stream.events, stream.last_sequence, stream.stream_id));
        }
    }
    let (_, sequence, stream) = best.context("nothing was imported")?;
    Ok((sequence, stream))
}
