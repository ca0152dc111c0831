//! Journals to tamper with, and what verification says of them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog::{
    Finding, Journal, KnownJournals, Options, Outcome, Report, SignedCheckpoint, VerifierKey,
    VerifyOptions, verify,
};
use factlog_fs::{MemFs, StoreFs};

use crate::support::{self, DIR, content, event, overwrite};

/// Where the user's record of journals is.
pub(crate) const KNOWN: &str = "/state/known";

/// A journal that was closed cleanly, and what its owner kept of it elsewhere.
pub(crate) struct Lab {
    pub(crate) fs: Arc<MemFs>,
    pub(crate) key: VerifierKey,
    /// Of every event.
    pub(crate) checkpoint: SignedCheckpoint,
    /// Of a third of the events.
    pub(crate) early: SignedCheckpoint,
    /// Of an event in the middle.
    pub(crate) receipt: String,
    pub(crate) events: u64,
}

impl Lab {
    /// A few events in one segment.
    pub(crate) fn small() -> Self {
        Self::of(6, 20, 64 << 10)
    }

    /// Enough to fill several segments.
    pub(crate) fn rolled() -> Self {
        Self::of(60, 4000, 64 << 10)
    }

    /// `count` events with payloads of `len` bytes, each a commit, in three streams.
    pub(crate) fn of(count: u64, len: usize, segment_len: u64) -> Self {
        let fs = Arc::new(MemFs::new());
        let options = Self::options(&fs).segment_len(segment_len);
        let journal = Journal::create(DIR, options.dangerous().without_housekeeper()).unwrap();
        let key = journal.reader().verifier_key().unwrap();
        let mut early = None;
        let mut receipt = String::new();
        for number in 0..count {
            let text = format!("{number:03}").repeat(len / 3);
            let taken = journal
                .append(event(&format!("account-{}", number % 3), &text))
                .unwrap();
            if number == count / 3 {
                early = Some(journal.reader().checkpoint().unwrap());
                receipt = taken.text().unwrap();
            }
        }
        let checkpoint = journal.reader().checkpoint().unwrap();
        journal.close().unwrap();
        let fs = support::copy(&fs);
        Self {
            fs,
            key,
            checkpoint,
            early: early.unwrap(),
            receipt,
            events: count + 1,
        }
    }

    pub(crate) fn options(fs: &Arc<MemFs>) -> Options {
        support::options(fs).known_journals(Self::known_of(fs))
    }

    pub(crate) fn known_of(fs: &Arc<MemFs>) -> KnownJournals {
        let fs: Arc<MemFs> = Arc::clone(fs);
        KnownJournals::with_fs(fs, KNOWN)
    }

    pub(crate) fn known(&self) -> KnownJournals {
        Self::known_of(&self.fs)
    }

    /// Opens the journal to append to it, as its owner.
    pub(crate) fn open(&self) -> Journal {
        let options = Self::options(&self.fs).dangerous().without_housekeeper();
        Journal::open(DIR, options).unwrap()
    }

    /// With nothing but the file system.
    pub(crate) fn bare(&self) -> VerifyOptions {
        let fs: Arc<MemFs> = Arc::clone(&self.fs);
        VerifyOptions::new().file_system(fs)
    }

    /// With key and newest checkpoint.
    pub(crate) fn evidence(&self) -> VerifyOptions {
        self.bare()
            .key(self.key.clone())
            .checkpoint(self.checkpoint.clone())
    }

    pub(crate) fn verify(&self, options: &VerifyOptions) -> Report {
        verify(DIR, options).unwrap()
    }

    /// An independent copy.
    pub(crate) fn copy(&self) -> Self {
        Self {
            fs: support::copy(&self.fs),
            key: self.key.clone(),
            checkpoint: self.checkpoint.clone(),
            early: self.early.clone(),
            receipt: self.receipt.clone(),
            events: self.events,
        }
    }

    /// Every file below a directory.
    pub(crate) fn files_below(&self, dir: &str) -> Vec<PathBuf> {
        support::files(self.fs.as_ref(), Path::new(dir))
    }

    /// Every file of the journal but `LOCK`.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = support::files(self.fs.as_ref(), Path::new(DIR));
        files.retain(|path| path.file_name().unwrap() != "LOCK");
        files
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        content(self.fs.as_ref(), path.as_ref())
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        overwrite(self.fs.as_ref(), path.as_ref(), bytes);
    }

    pub(crate) fn remove(&self, path: impl AsRef<Path>) {
        self.fs.remove_file(path.as_ref()).unwrap();
    }

    /// What derives from events: a tamperer can always drop it.
    pub(crate) fn remove_derived(&self) {
        for path in self.files() {
            let derived = path.extension().is_some_and(|e| e == "off")
                || path.starts_with(Path::new(DIR).join("tree"))
                || path.starts_with(Path::new(DIR).join("index"));
            if derived {
                self.remove(path);
            }
        }
    }

    pub(crate) fn remove_checkpoints(&self) {
        for path in self.files() {
            if path.starts_with(Path::new(DIR).join("checkpoints")) {
                self.remove(path);
            }
        }
    }
}

pub(crate) fn codes(findings: &[Finding]) -> Vec<&'static str> {
    let mut codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Everything of a report that a failed test wants to show.
pub(crate) fn show(report: &Report) -> String {
    let mut text = format!(
        "{} / {} through {:?} / {} through {:?}, {} events, {} streams: {:?}\n",
        report.integrity.name(),
        report.authenticity.name(),
        report.signed_through,
        report.completeness.name(),
        report.anchored_through,
        report.events,
        report.streams,
        report.outcome(false),
    );
    for (kind, findings) in [
        ("wrong", &report.findings),
        ("unchecked", &report.unchecked),
        ("note", &report.notes),
    ] {
        for finding in findings {
            text += &format!(
                "  {kind} {} {} @{:?} #{:?} {} ({:?})\n",
                finding.code,
                finding.path.display(),
                finding.offset,
                finding.sequence,
                finding.detail,
                finding.evidence
            );
        }
    }
    text
}

#[track_caller]
pub(crate) fn assert_holds(report: &Report) {
    assert_eq!(report.outcome(false), Outcome::Holds, "{}", show(report));
    assert!(
        report.findings.is_empty() && report.unchecked.is_empty(),
        "{}",
        show(report)
    );
}
