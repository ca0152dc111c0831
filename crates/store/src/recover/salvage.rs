use std::path::Path;

use factlog_format::{Encoding, EventFrame, FrameType, JournalId, Manifest, ManifestRow};
use factlog_fs::OpenMode;
use factlog_proof::{NodeSource, leaf_hash};
use serde_json::json;
use uuid::Uuid;

use super::{
    contents::{Contents, Standing},
    identity::{journal_of, read_manifest},
    rebuild::rebuild,
    unreadable::Readable,
};
use crate::{
    Damage, Error, Event, Journal, Misuse, NewEvent, Options,
    event::own::SCOPE,
    layout::Layout,
    segment::{FrameReader, FrameStop, GroupScanner, ScanStop, Search, SegmentFile, Work},
    tree::TreeReader,
};

/// Events and bytes that are appended together.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 8 << 20;
/// The coordinate of what tells of the salvage.
const NOTE_SCOPE: &str = "salvage";
/// After so many damaged places the rest of a segment is given up: each may cost megabytes to be read in
/// vain.
const MAX_PLACES: u32 = 4096;
/// The code of what a disk doesn't read.
const UNREADABLE: &str = "segment.unreadable";
/// Losses that the closing note lists.
const LISTED: usize = 1000;

/// What [`salvage`] brought over, and what it could not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Salvage {
    /// The journal that it was brought out of.
    pub from: JournalId,
    /// The new journal, and its public name.
    pub id: JournalId,
    /// Its public name.
    pub origin: String,
    /// How many events were brought over.
    pub copied: u64,
    /// How many events of the old journal's own were left: they speak of that journal alone.
    pub own: u64,
    /// How many events are lost, as far as their sequences are known.
    pub lost_events: u64,
    /// What is lost and why; each entry's sequence is the first one concerned.
    pub lost: Vec<Damage>,
}

/// Brings everything that verifies out of a damaged journal into a new one, and leaves the damaged one
/// untouched.
///
/// An event verifies if its commit is whole by both of its checks; out of a damaged commit, if the
/// tree's file holds its leaf. The new journal has an id, origin and key of its own, as `options` say; it
/// begins with a note of where it came from and ends with one of what was lost, both in the scope
/// `salvage`. Events keep their ids, facts, occurred-at and payloads; sequences, revisions and
/// recorded-at are new, and old receipts prove nothing of it.
///
/// # Errors
/// [`Misuse::NotAJournal`], damage where not even a list of segments can be had, and what
/// [`Journal::create`] and appends fail with.
pub fn salvage(
    dir: impl AsRef<Path>,
    out: impl AsRef<Path>,
    options: Options,
) -> Result<Salvage, Error> {
    let layout = Layout::new(dir.as_ref());
    let (from, manifest, lost) = list(&layout, &options)?;
    let fs = std::sync::Arc::clone(&options.fs);
    let journal = Journal::create(out, options)?;
    let id = uuid_text(&from);
    let note = json!({
        "from": { "id": id, "directory": layout.dir.display().to_string() },
        "said": "events of this journal were salvaged from that one; their receipts there prove nothing here",
    });
    journal.append(NewEvent::new(NOTE_SCOPE, id.clone(), "factlog.salvaged").json(&note)?)?;
    let report = Salvage {
        from,
        id: journal.reader().id(),
        origin: journal.reader().origin().to_owned(),
        copied: 0,
        own: 0,
        lost_events: 0,
        lost,
    };
    let mut run = Run {
        fs: fs.as_ref(),
        layout: &layout,
        journal: &journal,
        report,
        batch: Vec::new(),
        bytes: 0,
        next: 0,
    };
    for row in &manifest.rows {
        run.segment(from, row)?;
    }
    run.flush()?;
    let report = run.report;
    let lost: Vec<String> = report
        .lost
        .iter()
        .take(LISTED)
        .map(ToString::to_string)
        .collect();
    let note = json!({
        "copied": report.copied, "own": report.own, "lost_events": report.lost_events, "lost": lost,
    });
    journal.append(NewEvent::new(NOTE_SCOPE, id, "factlog.lost").json(&note)?)?;
    journal.close()?;
    Ok(report)
}

fn uuid_text(id: &JournalId) -> String {
    data_encoding::HEXLOWER.encode(id)
}

/// Which segments there are, from MANIFEST or without it.
fn list(layout: &Layout, options: &Options) -> Result<(JournalId, Manifest, Vec<Damage>), Error> {
    let fs = options.fs.as_ref();
    let contents = Contents::list(fs, layout)?;
    if contents.standing(fs, layout)? != Standing::Journal {
        return Err(Misuse::NotAJournal(layout.dir.clone()).into());
    }
    match read_manifest(fs, layout) {
        Ok(manifest) => Ok((manifest.journal, manifest, Vec::new())),
        Err(Error::Damaged(damage)) if damage.code != super::UNSUPPORTED => {
            let journal = journal_of(fs, layout, &contents.segments)?;
            let rebuilt = rebuild(fs, layout, &journal, &contents.segments)?;
            Ok((journal, rebuilt.manifest, vec![damage]))
        }
        Err(error) => Err(error),
    }
}

struct Run<'r> {
    fs: &'r dyn factlog_fs::StoreFs,
    layout: &'r Layout,
    journal: &'r Journal,
    report: Salvage,
    batch: Vec<NewEvent<'static>>,
    bytes: usize,
    /// The sequence that comes next in the old journal.
    next: u64,
}

impl Run<'_> {
    fn segment(&mut self, from: JournalId, row: &ManifestRow) -> Result<(), Error> {
        let until = row
            .count
            .map(|count| row.first_sequence.saturating_add(count));
        let path = self.layout.segment(row.first_sequence, row.generation);
        self.lose_until(row.first_sequence, &self.layout.segments());
        let mut segment = match SegmentFile::open(self.fs, &path, OpenMode::Read, &from) {
            Ok(segment) => segment,
            // MANIFEST repeats what the checks of the groups need.
            Err(error) => {
                let damage = match error {
                    Error::Damaged(damage) => damage,
                    error => Damage::new(UNREADABLE, &path, error.to_string()).at(0),
                };
                self.report.lost.push(damage.sequence(row.first_sequence));
                match SegmentFile::open_by_row(self.fs, &path, row, from) {
                    Ok(segment) => segment,
                    Err(_) => {
                        self.lose_until(until.unwrap_or(self.next), &path);
                        return Ok(());
                    }
                }
            }
        };
        let (file, noted) = Readable::over(segment.file);
        segment.file = file;
        let len = segment.len()?;
        let end = if until.is_some() {
            row.sealed_end.min(len)
        } else {
            len
        };
        self.groups(&segment, end)?;
        if let Some(failed) = noted.take() {
            let damage = Damage::new(UNREADABLE, &path, failed.why).at(failed.offset);
            self.report.lost.push(damage.sequence(row.first_sequence));
        }
        self.lose_until(until.unwrap_or(self.next), &path);
        Ok(())
    }

    fn groups(&mut self, segment: &SegmentFile, end: u64) -> Result<(), Error> {
        let mut work = Work::of(end);
        let mut places = 0;
        let mut scanner = GroupScanner::new(segment, segment.header_len, self.next, end);
        loop {
            match scanner.next() {
                Ok(group) => {
                    for event in &group.events {
                        self.take_at(segment, event.offset)?;
                    }
                }
                Err(ScanStop::End) => return Ok(()),
                Err(ScanStop::Failed(Error::Damaged(damage))) => {
                    self.report.lost.push(damage.sequence(self.next));
                    return Ok(());
                }
                Err(ScanStop::Failed(error)) => return Err(error),
                Err(ScanStop::Damage { offset, detail, .. }) => {
                    let mut search = Search::new(segment, offset + 1, end, &mut work);
                    let follows = loop {
                        match search.next_commit()? {
                            Some((_, header)) if header.first_sequence < self.next => {}
                            found => break found,
                        }
                    };
                    let limit = follows.as_ref().map_or(end, |(at, _)| *at);
                    places += 1 + self.damaged(segment, offset..limit, detail, &mut work)?;
                    if places > MAX_PLACES {
                        let detail = format!("given up after {MAX_PLACES} damaged places");
                        let damage = segment.damage(limit, detail).sequence(self.next);
                        self.report.lost.push(damage);
                        return Ok(());
                    }
                    let Some((at, header)) = follows else {
                        return Ok(());
                    };
                    self.lose_until(header.first_sequence, &segment.path);
                    scanner = GroupScanner::new(segment, at, header.first_sequence, end);
                }
            }
        }
    }

    /// What stands between damage and the next commit: events whose leaves the tree holds. Returns at
    /// how many more places there was damage.
    fn damaged(
        &mut self,
        segment: &SegmentFile,
        range: std::ops::Range<u64>,
        detail: String,
        work: &mut Work,
    ) -> Result<u32, Error> {
        if only_zeros(segment, &range)? {
            return Ok(0);
        }
        let damage = segment.damage(range.start, detail).sequence(self.next);
        self.report.lost.push(damage);
        let dir = self.layout.tree();
        let none = |_| Err(Damage::new("derived.tree", &dir, "a leaf is missing").into());
        let tree = TreeReader::new(self.fs, &dir, none);
        let file = segment.file.as_ref();
        let mut at = range.start;
        let mut frames = FrameReader::new(file, segment.seed, at, range.end);
        let mut places = 0;
        while at < range.end && places <= MAX_PLACES {
            match frames.next() {
                Ok(frame) => {
                    let len = frame.bytes.len() as u64;
                    let vouched = frame.kind == FrameType::Event
                        && EventFrame::decode(frame.kind, frame.body).is_ok_and(|event| {
                            let leaf = leaf_hash(&event.event_hash(&segment.header.journal));
                            let sequence = event.order.sequence;
                            sequence >= self.next
                                && tree.node(0, sequence).is_ok_and(|is| is == leaf)
                        });
                    if vouched {
                        self.take_at(segment, at)?;
                    }
                    at += len;
                }
                Err(FrameStop::Io(error)) => return Err(Error::io("read", &segment.path)(error)),
                Err(FrameStop::End) => break,
                Err(FrameStop::Bad(_)) => {
                    let mut search = Search::new(segment, at + 8, range.end, work);
                    at = search.next_frame()?.unwrap_or(range.end);
                    frames = FrameReader::new(file, segment.seed, at, range.end);
                    places += 1;
                }
            }
        }
        Ok(places)
    }

    /// Counts the events up to a sequence as lost.
    fn lose_until(&mut self, until: u64, path: &Path) {
        let count = until.saturating_sub(self.next);
        if count == 0 {
            return;
        }
        let detail = format!("the events {} to {} can't be read", self.next, until - 1);
        let damage = Damage::new("segment.events_lost", path, detail);
        self.report.lost.push(damage.sequence(self.next));
        self.report.lost_events += count;
        self.next = until;
    }

    fn take_at(&mut self, segment: &SegmentFile, offset: u64) -> Result<(), Error> {
        let mut buffer = Vec::new();
        let (kind, body) = segment.read_frame(offset, &mut buffer)?;
        let body = buffer.get(body).unwrap_or_default().to_vec();
        let event = match Event::decode(&segment.header.journal, kind, body) {
            Ok(event) => event,
            Err(error) => {
                let damage = segment.damage(offset, error.to_string());
                self.report.lost.push(damage.sequence(self.next));
                return Ok(());
            }
        };
        self.lose_until(event.sequence(), &segment.path);
        self.next = event.sequence() + 1;
        let whole = event.check_sections().is_ok();
        match again(&event).filter(|_| whole) {
            Some(event) if event.scope == SCOPE => self.report.own += 1,
            Some(event) => {
                self.bytes += buffer.len();
                self.batch.push(event);
                if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
                    self.flush()?;
                }
            }
            None => {
                let what = "its payload is not the one that its facts commit to, or was erased";
                self.lose_one(
                    segment.damage(offset, what).sequence(event.sequence()),
                    "event.section_mismatch",
                );
            }
        }
        Ok(())
    }

    fn lose_one(&mut self, damage: Damage, code: &'static str) {
        self.report.lost_events += 1;
        self.report.lost.push(Damage { code, ..damage });
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        if self.journal.append_batch(&batch).is_ok() {
            self.report.copied += batch.len() as u64;
            return Ok(());
        }
        // One of them can't be stored: the others can.
        for event in batch {
            let id = event.id;
            match self.journal.append(event) {
                Ok(_) => self.report.copied += 1,
                Err(error @ (Error::Misuse(_) | Error::Conflict(_))) => {
                    let id = id.map(|id| id.to_string()).unwrap_or_default();
                    let detail = format!("the event {id} can't be stored again: {error}");
                    let damage = Damage::new("salvage.event", &self.layout.segments(), detail);
                    self.lose_one(damage, "salvage.event");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Space that was secured and never written is no damage.
fn only_zeros(segment: &SegmentFile, range: &std::ops::Range<u64>) -> Result<bool, Error> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = range.start;
    while at < range.end {
        let want = (range.end - at).min(buffer.len() as u64) as usize;
        let into = buffer.get_mut(..want).unwrap_or_default();
        let got = factlog_fs::read_up_to(segment.file.as_ref(), into, at)
            .map_err(Error::io("read", &segment.path))?;
        if got == 0 {
            break;
        }
        if buffer.iter().take(got).any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += got as u64;
    }
    Ok(true)
}

/// The event as it was appended; `None` where something of it was erased.
fn again(event: &Event) -> Option<NewEvent<'static>> {
    let facts = event.facts()?;
    let (scope, entity) = (facts.scope.to_owned(), facts.entity.to_owned());
    let uuid = Uuid::from_bytes;
    let mut again = NewEvent::new(scope, entity, facts.kind.to_owned());
    again.id = Some(uuid(facts.event_id));
    again.payload_version = facts.payload_version;
    again.tags = facts.tags.iter().map(|tag| tag.to_owned().into()).collect();
    again.occurred_at = facts.occurred_at;
    again.actor = facts.actor.map(|actor| actor.to_owned().into());
    again.correlation = facts.correlation.map(uuid);
    again.causation = facts.causation.map(uuid);
    again.trace = facts.trace;
    for section in event.sections() {
        let bytes = section.bytes()?.to_vec();
        if section.encoding != Encoding::Journal || facts.scope == SCOPE {
            again = again.section(section.name.to_owned(), section.encoding, bytes);
        }
    }
    Some(again)
}
