//! Verification of a journal from its bytes alone.
//!
//! Nothing is believed that can be computed: every event is hashed again, every link, commit, segment
//! and derived file compared with what the events give, and the tree with the evidence that was shown.
//! It reads by position, takes no lock, maps nothing and never writes; it doesn't stop at the first
//! finding, and says what could not be checked. `docs/verify.md` is its specification.
//!
//! Memory: a few MiB per thread, about 250 bytes per stream, 16 per event id up to a limit, and what the
//! evidence takes. A group is held while it is checked, at less than twice its size on disk.

mod ahead;
mod chain;
mod derived;
mod directory;
mod events;
mod evidence;
mod findings;
mod groups;
mod history;
mod ids;
mod options;
mod plan;
mod progress;
mod report;
mod salvage;
mod segments;
mod since;
mod streams;
mod tail;

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use factlog_format::CachedValue;
use factlog_fs::StoreFs;
use factlog_proof::Hash;
use uuid::Uuid;

use self::{
    chain::Chain,
    derived::Derived,
    directory::Directory,
    evidence::{Evidence as Gathered, Trust},
    findings::Findings,
    history::History,
    plan::Plan,
    progress::Progress,
    since::{Begin, Since},
};
use crate::{
    Damage, Error,
    index::{RunRead, RunReader},
    layout::Layout,
    recover::{read_manifest, repeats_keys},
};

pub use options::VerifyOptions;
pub use report::{Authenticity, Completeness, Evidence, Finding, Integrity, Outcome, Report};

/// Checks the journal in `dir` and the evidence shown for it, and says all that was found.
///
/// A journal that is being written can be verified: what is appended meanwhile is left out.
///
/// ```
/// use factlog::{Outcome, VerifyOptions, verify};
///
/// let missing = verify("/nonexistent/journal", &VerifyOptions::new());
/// assert_eq!(missing.unwrap_err().code(), "journal.not_found");
/// ```
///
/// # Errors
/// `journal.not_found` if there is nothing to look at, and [`Error::Io`] if a file can't be read.
/// Whatever is wrong with the bytes is in the report.
pub fn verify(dir: impl AsRef<Path>, options: &VerifyOptions) -> Result<Report, Error> {
    let layout = Layout::new(dir.as_ref());
    for _ in 1..ATTEMPTS {
        if let Some(report) = attempt(layout.clone(), options, true)? {
            return Ok(report);
        }
    }
    let report = attempt(layout.clone(), options, false)?;
    let missing = || Damage::new("segment.missing", &layout.segments(), "segments vanish");
    report.ok_or_else(|| missing().into())
}

/// Beside a writer that compacts, a verification may have to begin anew.
const ATTEMPTS: u32 = 5;

/// Verifies once. With `again`, nothing where a segment has gone that MANIFEST doesn't name any more.
fn attempt(layout: Layout, options: &VerifyOptions, again: bool) -> Result<Option<Report>, Error> {
    let fs = options.fs.as_ref();
    let mut findings = Findings::default();
    let directory = Directory::read(fs, &layout, &mut findings)?;
    let mut evidence = Gathered::gather(options, &layout, &directory, &mut findings)?;
    let plans = match &directory.manifest {
        Some(manifest) => plan::named(manifest),
        None => plan::rebuilt(
            fs,
            &layout,
            &directory.id,
            &directory.segments,
            &mut findings,
        )?,
    };
    let names = &directory.segments;
    let orphans_say = plan::orphans_say(fs, &layout, &directory.id, names, &plans, &mut findings)?;
    let total = total_len(fs, &layout, &plans)?;
    let mut derived = Derived::open(Arc::clone(&options.fs), &layout, directory.id)?;
    let manifest = directory.manifest.as_ref();
    // What the list of segments lacks may be what a newer version wrote.
    let newer = manifest.is_none() && findings.has_newer();
    if newer || manifest.is_some_and(|manifest| manifest.features.compatible != 0) {
        // A newer version may derive other files.
        derived.lose();
    }
    let begin = begin(
        options,
        &layout,
        &directory,
        &plans,
        &mut evidence,
        &mut findings,
    );
    let (mut first, mut offset) = (0, None);
    let chain = match begin {
        Some((begin, trust)) => {
            derived.skip();
            (first, offset) = (begin.segment, begin.offset);
            Chain::resumed(directory.id, trust, begin)
        }
        None => {
            let history = History::new(evidence.sizes(), evidence.sequences());
            Chain::new(
                directory.id,
                history,
                trust_of(options, &directory, &evidence),
            )
        }
    };
    let mut pass = Pass {
        fs,
        derived,
        chain,
        progress: Progress::new(options.progress.clone(), total),
        layout,
        directory,
        findings,
        evidence,
        orphans_say,
        owed: 0,
        newer,
        newer_end: newer,
        clean: false,
        replaced: false,
        threads: if total < SMALL {
            1
        } else {
            options.worker_count()
        },
    };
    let mut runs = pass.derived.runs();
    thread::scope(|scope| {
        let reading = match pass.threads {
            1 => None,
            _ => runs.take().map(|runs| scope.spawn(|| runs.read())),
        };
        for plan in plans.iter().skip(first) {
            segments::pass_segment(&mut pass, plan, offset.take())?;
            if pass.replaced && again {
                return Ok(None);
            }
        }
        evidence::erasures::check(&mut pass, &plans)?;
        if pass.replaced && again {
            return Ok(None);
        }
        let runs = match reading {
            Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => runs.map(RunReader::read).unwrap_or_default(),
        };
        pass.finish(runs).map(Some)
    })
}

fn trust_of(options: &VerifyOptions, directory: &Directory, evidence: &Gathered) -> Trust {
    Trust::new(
        evidence.trusted_key(options, &directory.id),
        evidence.former_keys(),
    )
}

/// Where reading may begin, if a checkpoint is to be rested on and can be; a note says so, or why not.
fn begin(
    options: &VerifyOptions,
    layout: &Layout,
    directory: &Directory,
    plans: &[Plan],
    evidence: &mut Gathered,
    findings: &mut Findings,
) -> Option<(Begin, Trust)> {
    if options.since.is_none() && options.mark.is_none() {
        return None;
    }
    let mut trust = trust_of(options, directory, evidence);
    let mut older = Vec::new();
    let mut find = || {
        let mark = match (&options.since, options.mark) {
            (Some(checkpoint), _) => trust.mark(checkpoint)?,
            (None, Some(mark)) => mark,
            (None, None) => return Err("there is none".to_owned()),
        };
        let manifest = directory.manifest.as_ref().ok_or("there is no MANIFEST")?;
        let since = Since::new(Arc::clone(&options.fs), layout, directory.id, plans, mark);
        // What the journal keeps of before was looked at when the checkpoint was made.
        older = evidence.take_stored_below(mark.0);
        let begin = Begin::find(since, plans, manifest, evidence, &mut trust)?;
        if options.since.is_some() && !trust.counted_at(mark.0, manifest) {
            return Err("the key that signed it was replaced or revoked by then".to_owned());
        }
        Ok(begin)
    };
    let found = find();
    let note = |code, detail: String| Damage::new(code, &layout.dir, detail);
    match found {
        Ok(begin) => {
            let size = begin.since.size;
            let detail = format!(
                "the first {size} events were not read: that they are as they were rests on the checkpoint; which of \
                 them was the last of its stream, on the journal's word; which keys there were, on MANIFEST"
            );
            findings.note(note("since.not_read", detail).sequence(0));
            Some((begin, trust))
        }
        Err(why) => {
            evidence.anchors.append(&mut older);
            let detail =
                format!("everything was read, as the checkpoint can't be rested on: {why}");
            findings.note(note("since.not_used", detail));
            None
        }
    }
}

/// Other threads don't pay for a journal with fewer bytes.
const SMALL: u64 = 4 << 20;

fn total_len(fs: &dyn StoreFs, layout: &Layout, plans: &[Plan]) -> Result<u64, Error> {
    let mut total = 0u64;
    for plan in plans {
        let path = layout.segment(plan.first, plan.generation);
        let metadata = fs.metadata(&path).map_err(Error::io("read", &path))?;
        total = total.saturating_add(metadata.map_or(0, |metadata| metadata.len));
    }
    Ok(total)
}

/// One verification under way.
struct Pass<'v> {
    fs: &'v dyn StoreFs,
    layout: Layout,
    directory: Directory,
    findings: Findings,
    chain: Chain,
    derived: Derived,
    evidence: Gathered,
    progress: Progress,
    /// What segments that nothing names call durable.
    orphans_say: u64,
    /// How many events something calls durable, though damage hides some of them.
    owed: u64,
    /// A newer version wrote something that can't be read, so what it hides isn't lost.
    newer: bool,
    /// And it may be at the journal's end, so that nobody knows how many events it hides.
    newer_end: bool,
    /// The journal was closed cleanly.
    clean: bool,
    /// A segment is gone since MANIFEST was read: compaction has put another in its place.
    replaced: bool,
    /// How many threads read and hash.
    threads: usize,
}

impl Pass<'_> {
    /// The events up to `until` can't be read; `place` is where they should stand.
    fn lose_until(&mut self, until: u64, place: Option<(&PathBuf, u64)>) {
        let next = self.chain.next;
        if until <= next {
            return;
        }
        let segments = self.layout.segments();
        let (path, offset) = match place {
            Some((path, offset)) => (path, Some(offset)),
            None => (&segments, None),
        };
        let detail = match until - next {
            1 => format!("event {next} can't be read"),
            count => format!("the {count} events {next} to {} can't be read", until - 1),
        };
        let damage = Damage::new("segment.events_lost", path, detail).sequence(next);
        let damage = Damage { offset, ..damage };
        if self.newer {
            self.findings.unchecked(damage, Evidence::Journal);
        } else {
            self.findings.wrong(damage);
        }
        self.chain.lose_until(until, &mut self.derived);
    }

    /// The journal's public name, as far as it is known.
    fn origin(&self) -> String {
        let created = self.chain.trust.created().map(|created| &created.origin);
        let identity = self
            .directory
            .identity
            .as_ref()
            .map(|identity| &identity.origin);
        let known = self.evidence.known.as_ref().map(|known| &known.origin);
        created.or(identity).or(known).cloned().unwrap_or_default()
    }

    fn finish(mut self, runs: Vec<Result<RunRead, Error>>) -> Result<Report, Error> {
        self.check_identity();
        self.check_values();
        self.check_ids();
        self.derived
            .finish(self.chain.next, self.clean, runs, &mut self.findings)?;
        let anchoring = evidence::compare(&mut self);
        let (lost, segments) = (!self.chain.lost.is_empty(), self.layout.segments());
        self.chain.trust.end(lost, &segments, &mut self.findings);
        self.note_unsigned();
        let damaged = self.findings.findings.iter().any(is_damage);
        let origin = self.origin();
        let Findings {
            findings,
            unchecked,
            notes,
            omitted,
            ..
        } = self.findings;
        let trust = &self.chain.trust;
        Ok(Report {
            integrity: if damaged {
                Integrity::Damaged
            } else {
                Integrity::Intact
            },
            authenticity: trust.authenticity(),
            signed_through: trust.signed_through(),
            completeness: anchoring.completeness,
            anchored_through: anchoring.anchored_through,
            anchored_by: anchoring.anchored_by,
            resumed_from: self.chain.since.as_ref().map_or(0, |since| since.size),
            events: self.chain.events(),
            streams: self.chain.streams.len(),
            root: self
                .chain
                .history
                .root()
                .unwrap_or(Hash::from_bytes([0; 32])),
            origin,
            id: self.chain.journal,
            key: trust.key().map(|(key, _)| key.clone()),
            findings,
            unchecked,
            notes,
            omitted,
        })
    }

    /// `JOURNAL` is a cache of sequence 0.
    fn check_identity(&mut self) {
        let path = self.layout.journal();
        match (&self.directory.identity, self.chain.trust.created()) {
            (Some(identity), Some(created)) => {
                let same = identity.journal == created.journal
                    && identity.origin == created.origin
                    && identity.created == created.created;
                if !same {
                    let detail = "JOURNAL is not what sequence 0 says";
                    self.findings
                        .wrong(Damage::new("journal.identity_mismatch", &path, detail));
                }
            }
            (_, None) => {
                let detail = "sequence 0, which says what journal this is, can't be read";
                let damage = Damage::new("journal.no_genesis", &path, detail).sequence(0);
                self.findings.unchecked(damage, Evidence::Journal);
            }
            (None, Some(_)) if self.directory.has_journal_file => {}
            // Written as the last thing of creation.
            (None, Some(_)) if self.chain.next <= 1 => {
                let detail = "there is no JOURNAL: the journal's creation was never finished";
                let damage = Damage::new("journal.unfinished", &path, detail);
                self.findings.unchecked(damage, Evidence::Journal);
            }
            (None, Some(_)) => {
                self.findings
                    .wrong(Damage::new("journal.missing", &path, "there is no JOURNAL"));
            }
        }
    }

    /// MANIFEST repeats the events about keys, since an open goes by it.
    fn check_values(&mut self) {
        let Some(manifest) = &self.directory.manifest else {
            return;
        };
        let path = self.layout.manifest();
        let mut wrong = |sequence, detail: &str| {
            let damage = Damage::new("manifest.value_mismatch", &path, detail);
            self.findings.wrong(damage.sequence(sequence));
        };
        let events = self.chain.trust.values();
        for value in manifest.values.iter().filter(|value| repeats_keys(value)) {
            let lost = |range: &std::ops::Range<u64>| range.contains(&value.sequence);
            // It is written before its event, which a crash may have kept from coming.
            let can_be_known =
                value.sequence < self.chain.next && !self.chain.lost.iter().any(lost);
            if can_be_known && !events.contains(value) {
                let detail = "MANIFEST repeats an event about keys that is not there";
                wrong(value.sequence, detail);
            }
        }
        let missing = |value: &&CachedValue| !manifest.values.contains(value);
        let mut missing = events.iter().filter(missing).peekable();
        // A live writer may have changed a key since MANIFEST was read.
        let now = missing
            .peek()
            .and_then(|_| read_manifest(self.fs, &self.layout).ok());
        for value in
            missing.filter(|value| !now.as_ref().is_some_and(|now| now.values.contains(value)))
        {
            let detail = "MANIFEST does not repeat this event about keys";
            wrong(value.sequence, detail);
        }
    }

    fn check_ids(&mut self) {
        let ids = std::mem::replace(&mut self.chain.ids, ids::Ids::new());
        let (repeated, unchecked_from) = ids.finish(self.threads);
        for id in repeated {
            let detail = format!(
                "the id {} stands for more than one event",
                Uuid::from_bytes(id)
            );
            self.findings.wrong(Damage::new(
                "event.id_repeated",
                &self.layout.segments(),
                detail,
            ));
        }
        if let Some(sequence) = unchecked_from {
            let detail = "from here on it was not checked whether an event's id stands for another";
            let damage = Damage::new("ids.not_checked", &self.layout.segments(), detail);
            self.findings.note(damage.sequence(sequence));
        }
    }

    /// A signature reaches the disk with the next commit, so the last one's may be missing.
    fn note_unsigned(&mut self) {
        let (next, trust) = (self.chain.next, &self.chain.trust);
        let signed = trust.signed_through().map_or(0, |through| through + 1);
        if trust.expects_signatures() && signed > 0 && signed < next {
            let count = next - signed;
            let detail = format!("no signature on disk covers the last {count} events");
            let damage = Damage::new("signature.tail", &self.layout.segments(), detail);
            self.findings.note(damage.sequence(signed));
        }
    }
}

/// Whether a finding means that the journal disagrees with itself, rather than with other evidence.
fn is_damage(finding: &Finding) -> bool {
    finding.evidence == Evidence::Journal && !finding.code.starts_with("history.")
}
