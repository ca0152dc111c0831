//! What a journal says of damage, held against what the simulator did.
//!
//! The simulator knows which bytes it spoiled, and which events nothing but the last commit itself
//! vouched for. So it can tell a right answer from a wrong one: an acknowledged event may be
//! missing only where the journal says so, or where no log with one copy could know.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use factlog::{Journal, Outcome, VerifyOptions, verify};
use factlog_format::{CommitHeader, CrcSeed, Frame, FrameType, GroupKey, Manifest, SegmentHeader};
use factlog_sim::{Moment, Rng, SimFs};

use super::{
    lab::{DIR, Lab},
    oracle::is_derived,
    run::{Record, Run, record_of},
    survive::text_of,
    workload::Workload,
};

/// A journal at rest, about which everything is known.
pub struct Specimen {
    pub run: Run,
    pub now: Moment,
    /// Whether MANIFEST and signer vouch for all of it. A close records no end where nothing was
    /// written since an unclean one.
    pub closed: bool,
    statements: Vec<Statement>,
}

/// A commit header that says how many events are durable, and where it stands.
struct Statement {
    path: PathBuf,
    bytes: Range<u64>,
    durable: u64,
}

/// What is spoiled: a stretch of a file, or all of it.
struct Damage<'d> {
    fault: &'static str,
    path: &'d Path,
    bytes: Range<u64>,
}

impl Damage<'_> {
    fn hits(&self, statement: &Statement) -> bool {
        self.path == statement.path
            && self.bytes.start < statement.bytes.end
            && statement.bytes.start < self.bytes.end
    }
}

impl Specimen {
    /// After a close.
    pub fn closed(workload: Workload) -> Self {
        let run = record(workload);
        let now = run.moments.last().cloned().expect("a run has moments");
        let fs = now.kill_process(1);
        Self {
            run,
            now,
            closed: is_recorded(&fs),
            statements: statements(&fs),
        }
    }

    /// Right after the last acknowledgement, with everything on the disk; `None` if nothing was
    /// appended.
    pub fn abandoned(workload: Workload) -> Option<Self> {
        let run = record(workload);
        let last = run.log.acks.last()?;
        let moments = run.moments.iter();
        let now = moments.rev().find(|moment| moment.calls() <= last.call)?;
        let now = now.clone();
        let end = last.first as usize + last.plans.len();
        let mut run = run;
        run.truth.truncate(end);
        let statements = statements(&now.kill_process(1));
        Some(Self {
            run,
            now,
            closed: false,
            statements,
        })
    }

    /// How many events something still vouches for that the damage left whole.
    fn stated(&self, damage: &Damage<'_>) -> u64 {
        let left = self.statements.iter().filter(|at| !damage.hits(at));
        match self.closed {
            true => self.run.truth.len() as u64,
            false => left.map(|statement| statement.durable).max().unwrap_or(0),
        }
    }

    fn machine(&self) -> SimFs {
        self.now.kill_process(1)
    }

    /// Files of the journal and what they hold.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let contents = self.machine().contents().into_iter();
        contents
            .filter(|(path, bytes)| path.starts_with(DIR) && !bytes.is_empty())
            .collect()
    }
}

/// Whether MANIFEST says that the active segment ends where it does.
fn is_recorded(fs: &SimFs) -> bool {
    let files = fs.contents();
    let manifest = files.get(&Path::new(DIR).join("MANIFEST"));
    let manifest = manifest.and_then(|bytes| Manifest::decode(bytes).ok());
    manifest
        .and_then(|manifest| manifest.rows.last().cloned())
        .is_some_and(|row| {
            let name = format!("{:016x}-{:08x}.seg", row.first_sequence, row.generation);
            let segment = files.get(&Path::new(DIR).join("segments").join(name));
            segment.is_some_and(|bytes| bytes.len() as u64 == row.proven_end)
        })
}

/// The commit headers of every segment.
fn statements(fs: &SimFs) -> Vec<Statement> {
    let mut found = Vec::new();
    for (path, bytes) in fs.contents() {
        let segment = path.extension().is_some_and(|e| e == "seg");
        let Some(header) = segment
            .then(|| SegmentHeader::decode(&bytes).ok())
            .flatten()
        else {
            continue;
        };
        let seed = CrcSeed::of(&header.journal);
        let key = GroupKey::derive(
            &header.salt,
            &header.journal,
            header.first_sequence,
            header.generation,
        );
        let mut at = header.encode().len();
        while let Ok(frame) = Frame::read(seed, bytes.get(at..).unwrap_or_default()) {
            let end = at + frame.len;
            if frame.kind == FrameType::Commit
                && let Ok(commit) = CommitHeader::decode(&key, frame.body)
            {
                found.push(Statement {
                    path: path.clone(),
                    bytes: at as u64..end as u64,
                    durable: commit.durable,
                });
            }
            at = end;
        }
    }
    found
}

fn record(workload: Workload) -> Run {
    let lab = Lab::new(SimFs::new(workload.seed), workload.seed);
    Run::record(workload, &lab).expect("a workload without faults does its steps")
}

/// What a journal said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// It opens, and every event is there.
    Whole,
    /// It opens and says that a torn write was set aside.
    Torn,
    /// It opens, and reading some event fails.
    ReadFails,
    /// It opens for reading only, with a reason.
    ReadOnly,
    /// It doesn't open.
    Refused,
}

/// Verdicts by what was done, and what was wrong about some.
#[derive(Debug, Default)]
pub struct Verdicts {
    pub said: BTreeMap<(&'static str, Said), u64>,
    pub wrong: Vec<String>,
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| spoiled by | said | count |\n|---|---|---|")?;
        for ((fault, said), count) in &self.said {
            writeln!(f, "| {fault} | {} | {count} |", said.name())?;
        }
        for wrong in self.wrong.iter().take(30) {
            writeln!(f, "{wrong}")?;
        }
        Ok(())
    }
}

impl Said {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Torn => "torn tail",
            Self::ReadFails => "an event can't be read",
            Self::ReadOnly => "for reading only",
            Self::Refused => "not opened",
        }
    }
}

impl Verdicts {
    /// Adds other verdicts.
    pub fn add(&mut self, other: Self) {
        for (what, count) in other.said {
            *self.said.entry(what).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }

    /// How often a fault was noticed by an open or a read.
    pub fn noticed(&self, fault: &str) -> u64 {
        let counts = self.said.iter();
        let noticed = counts.filter(|((name, said), _)| *name == fault && *said != Said::Whole);
        noticed.map(|(_, count)| count).sum()
    }

    /// Spoils a copy of the specimen and judges what the journal says of it.
    fn judge(
        &mut self,
        specimen: &Specimen,
        damage: Damage<'_>,
        spoil: impl FnOnce(&SimFs) -> std::io::Result<()>,
    ) {
        let fs = specimen.machine();
        if spoil(&fs).is_err() || fs.differences(&specimen.now).is_empty() {
            return;
        }
        let said = catch_unwind(AssertUnwindSafe(|| examine(specimen, &damage, &fs)));
        let Damage { fault, path, bytes } = damage;
        let at = bytes.start;
        let said =
            said.unwrap_or_else(|panic| Err(format!("a panic: {}", text_of(panic.as_ref()))));
        match said {
            Ok(said) => *self.said.entry((fault, said)).or_default() += 1,
            Err(why) => {
                let (path, seed) = (path.display(), specimen.run.workload.seed);
                let closed = specimen.closed;
                self.wrong.push(format!(
                    "{fault} at {at} of {path}, workload {seed}, closed {closed}: {why}"
                ));
            }
        }
    }
}

/// Whether it is a segment that another one follows, and not the one with sequence 0: where that can't
/// be read, nothing says what journal this is.
fn is_sealed(fs: &SimFs, path: &Path) -> bool {
    let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "seg");
    let mut files = fs.contents().into_keys();
    let first = path.file_name().is_some_and(|name| {
        let zeros = b"0000000000000000-";
        name.as_encoded_bytes().starts_with(zeros)
    });
    is_segment(path) && !first && files.any(|other| is_segment(&other) && other.as_path() > path)
}

fn examine(specimen: &Specimen, damage: &Damage<'_>, fs: &SimFs) -> Result<Said, String> {
    let lab = Lab::later(fs.clone(), 9, 30);
    let (path, stated) = (damage.path, specimen.stated(damage));
    verdict_of_verify(specimen, damage, &lab)?;
    let journal = match lab.open() {
        Ok(journal) => journal,
        // A swap spoils a second file as well, which may be the one without which nothing opens.
        Err(_) if damage.fault == "swap" && !is_derived(path) => return Ok(Said::Refused),
        Err(_) if !is_derived(path) && !is_sealed(fs, path) => return Ok(Said::Refused),
        Err(error) => return Err(format!("{} blocks the open: {error}", path.display())),
    };
    let (there, failing) = read(specimen, &journal)?;
    let truth = specimen.run.truth.len() as u64;
    if let Some(why) = journal.read_only_reason() {
        if is_derived(path) {
            return Err(format!("a derived file makes it read-only: {why}"));
        }
        return Ok(Said::ReadOnly);
    }
    if there < stated {
        return Err(format!(
            "{there} of {truth} acknowledged events are there, {stated} are stated durable, and it is writable"
        ));
    }
    let torn = journal
        .recovery()
        .is_some_and(|report| report.set_aside > 0);
    if torn && (specimen.closed || is_derived(path)) {
        return Err("rot below a durable statement is called a torn tail".to_owned());
    }
    if there < truth && !torn && (specimen.closed || !looks_unwritten(fs, damage)) {
        return Err(format!(
            "{there} of {truth} events are there, and nothing was said"
        ));
    }
    Ok(match (torn, failing) {
        (true, _) => Said::Torn,
        (false, true) => Said::ReadFails,
        (false, false) => Said::Whole,
    })
}

/// Whether zeros are all there is from the damage on: as if the last group had never been written.
fn looks_unwritten(fs: &SimFs, damage: &Damage<'_>) -> bool {
    let files = fs.contents();
    let rest = files
        .get(damage.path)
        .and_then(|bytes| bytes.get(damage.bytes.start as usize..));
    rest.is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

/// How many of the events there are at least some kind of answer about, and whether some can't be
/// read; or which one is wrong.
fn read(specimen: &Specimen, journal: &Journal) -> Result<(u64, bool), String> {
    let (mut there, mut failing) = (0, false);
    let survivors = journal.recovery().map_or(u64::MAX, |report| report.events);
    for (sequence, truth) in (0..survivors).zip(&specimen.run.truth) {
        match journal.reader().get(sequence) {
            Ok(Some(event)) => {
                let record: Record = record_of(&event);
                if record != *truth {
                    return Err(format!("event {sequence} reads as another one"));
                }
            }
            Ok(None) => break,
            Err(_) => failing = true,
        }
        there = sequence + 1;
    }
    Ok((there, failing))
}

/// A verification must not call a spoiled journal whole, where there is anything to tell it by.
fn verdict_of_verify(specimen: &Specimen, damage: &Damage<'_>, lab: &Lab) -> Result<(), String> {
    let Damage { fault, path, .. } = damage;
    let mut options = VerifyOptions::new().file_system(lab.store());
    // What its users were given is shown, so that a shorter or another history is found out.
    if let Some((_, text)) = specimen.run.log.receipts.last() {
        options = options.receipt(text.clone());
    }
    let sound = match verify(DIR, &options) {
        Ok(report) => report.outcome(false) == Outcome::Holds && report.findings.is_empty(),
        Err(_) => false,
    };
    // Nothing vouches for the very last group but itself; what only its user was given does.
    let tail_only = !specimen.closed && path.extension().is_some_and(|e| e == "seg");
    if sound && path.starts_with(DIR) && !tail_only {
        return Err(format!("`verify` finds nothing after {fault}"));
    }
    Ok(())
}

fn stretch<'d>(fault: &'static str, path: &'d Path, at: u64, len: u64) -> Damage<'d> {
    let bytes = at..at + len;
    Damage { fault, path, bytes }
}

/// Of the zeros that were made ready behind the last group one byte in so many more is flipped.
const SPARSE: usize = 61;

/// Every so manieth byte flipped.
pub fn flips(specimen: &Specimen, verdicts: &mut Verdicts, step: usize) {
    for (path, bytes) in specimen.files() {
        let last = bytes.iter().rposition(|byte| *byte != 0);
        let written = last.map_or(0, |last| last + 1);
        let behind = (written..bytes.len()).step_by(step * SPARSE);
        for at in (0..written).step_by(step).chain(behind) {
            let at = at as u64;
            let mask = 1 << (at % 8);
            let damage = stretch("flip", &path, at, 1);
            verdicts.judge(specimen, damage, |fs| fs.flip(&path, at, mask));
        }
    }
}

/// Sectors zeroed, misdirected, gone stale; files exchanged.
pub fn sectors(specimen: &Specimen, verdicts: &mut Verdicts) {
    const SECTOR: u64 = 512;
    let seed = specimen.run.workload.seed;
    let mut rng = Rng::new(seed ^ 0x5ec);
    let files = specimen.files().into_iter();
    let files: Vec<_> = files
        .map(|(path, bytes)| (path, bytes.len() as u64))
        .collect();
    for (path, len) in &files {
        for at in (0..*len).step_by(SECTOR as usize) {
            let n = SECTOR.min(len - at);
            let damage = |fault| stretch(fault, path, at, n);
            verdicts.judge(specimen, damage("zero"), |fs| fs.zero(path, at, n));
            let long: Vec<_> = files.iter().filter(|(_, len)| *len >= n).collect();
            let (other, other_len) = rng.pick(&long).expect("one of them is this file");
            let from = rng.below(other_len - n + 1) / 8 * 8;
            verdicts.judge(specimen, damage("misdirect"), |fs| {
                fs.misdirect((other, from), (path, at), n)
            });
            for _ in 0..3 {
                let then = rng.pick(&specimen.run.moments).expect("a run has moments");
                if then.calls() < specimen.now.calls() {
                    let damage = damage("stale");
                    verdicts.judge(specimen, damage, |fs| fs.stale(path, at, n, then));
                }
            }
        }
        // Two files are spoiled; what is said is about the one that matters more.
        for (other, _) in files.iter().filter(|(other, _)| path < other) {
            let worse = if is_derived(path) { other } else { path };
            let damage = stretch("swap", worse, 0, 1 << 40);
            verdicts.judge(specimen, damage, |fs| fs.swap(path, other));
        }
    }
}

/// The journal's directory put back as it was at any earlier moment, while its signer remembers:
/// all of it where the end was recorded, else only some, and then there is no telling.
pub fn rollbacks(specimen: &Specimen, verdicts: &mut Verdicts) {
    if !specimen.closed {
        return;
    }
    let created = specimen.run.log.created.unwrap_or(u64::MAX);
    for then in &specimen.run.moments {
        if (created..specimen.now.calls()).contains(&then.calls()) {
            let dir = Path::new(DIR);
            let damage = stretch("rollback", dir, then.calls(), 1);
            verdicts.judge(specimen, damage, |fs| fs.restore(dir, then));
        }
    }
}
