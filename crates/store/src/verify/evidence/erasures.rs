//! Whether what is gone was erased, and whether what was erased is gone.
//!
//! An erasure stands above the events of its set, so these are looked at a second time, once all erasures
//! are known; a journal that has none isn't.

use std::ops::Range;

use factlog_format::{
    Digest, ErasureCompleted, ErasureHasher, ErasureLevel, ErasureOrdered, EventFrame, FormatError,
    FrameType, FullStub, JournalEvent, JournalId, Ordering, StreamId,
};
use factlog_fs::OpenMode;

use crate::{
    Damage, Error,
    compact::erasing_from,
    recover::read_manifest,
    segment::{FrameReader, FrameStop, SegmentFile},
    verify::{Pass, findings::Findings, plan::Plan, report::Evidence},
};

/// What the events say of erasures, and where stubs are.
#[derive(Debug, Default)]
pub(in crate::verify) struct Erasures {
    ordered: Vec<(u64, ErasureOrdered)>,
    completed: Vec<(u64, ErasureCompleted)>,
    holds: Vec<u64>,
    /// From the first stub to the last.
    stubs: Option<Range<u64>>,
    /// The journal's own stream.
    own: Option<StreamId>,
}

impl Erasures {
    /// There is a stub.
    pub(in crate::verify) fn met_stub(&mut self, sequence: u64) {
        let first = self.stubs.take().map_or(sequence, |stubs| stubs.start);
        self.stubs = Some(first..sequence.saturating_add(1));
    }

    /// There is an event of the journal's own.
    pub(in crate::verify) fn take(&mut self, order: &Ordering, event: &JournalEvent) {
        let sequence = order.sequence;
        self.own.get_or_insert(order.stream);
        match event {
            JournalEvent::ErasureOrdered(ordered) => self.ordered.push((sequence, ordered.clone())),
            JournalEvent::ErasureCompleted(done) => self.completed.push((sequence, done.clone())),
            JournalEvent::HoldPlaced(_) => self.holds.push(sequence),
            _ => {}
        }
    }

    /// Whether events of a range have to be looked at.
    fn ask(&self, events: &Range<u64>) -> bool {
        let stubs = self.stubs.as_ref();
        stubs.is_some_and(|stubs| stubs.start < events.end && events.start < stubs.end)
            || self.ordered.iter().any(|(_, one)| one.set.meets(events))
    }
}

/// An erasure, compared with the events of its set.
struct Compared<'e> {
    sequence: u64,
    ordered: &'e ErasureOrdered,
    done: Option<&'e ErasureCompleted>,
    hasher: ErasureHasher,
    seen: u64,
}

/// What is left of an event, and its hash.
struct Left {
    hash: Digest,
    /// Sections that are there; `None` in a full stub.
    present: Option<u16>,
    /// Sections that aren't.
    gone: u16,
}

impl Left {
    fn of(journal: &JournalId, kind: FrameType, body: &[u8]) -> Result<Self, FormatError> {
        if kind == FrameType::FullStub {
            return Ok(Self {
                hash: FullStub::decode(body)?.event_hash(journal),
                present: None,
                gone: u16::MAX,
            });
        }
        let event = EventFrame::decode(kind, body)?;
        let all = (1u32 << event.facts.sections.len()) - 1;
        Ok(Self {
            hash: event.event_hash(journal),
            present: Some(event.present),
            gone: all as u16 & !event.present,
        })
    }

    /// Whether no more is gone than was to be taken.
    fn is_authorised(&self, taken: Option<ErasureLevel>) -> bool {
        match (taken, self.present) {
            (Some(ErasureLevel::Full), _) => true,
            (Some(ErasureLevel::Sections(bits)), Some(_)) => self.gone & !bits == 0,
            (None, Some(_)) => self.gone == 0,
            _ => false,
        }
    }

    /// Whether something is there that was to be taken.
    fn is_readable(&self, level: ErasureLevel) -> bool {
        match (level, self.present) {
            (_, None) => false,
            (ErasureLevel::Sections(bits), Some(present)) => present & bits != 0,
            _ => true,
        }
    }
}

/// Looks again at what erasures and stubs are about.
pub(in crate::verify) fn check(pass: &mut Pass<'_>, plans: &[Plan]) -> Result<(), Error> {
    let erasures = std::mem::take(&mut pass.chain.erasures);
    if erasures.ordered.is_empty() && erasures.completed.is_empty() && erasures.stubs.is_none() {
        return Ok(());
    }
    completions(pass, &erasures);
    // An index of before is taken for one of after only when MANIFEST says no more of it.
    let from = pass.directory.manifest.as_ref().and_then(erasing_from);
    let mut full = erasures.ordered.iter();
    if full.any(|(at, one)| one.level == ErasureLevel::Full && from.is_some_and(|from| from <= *at))
    {
        pass.derived.leave_index();
    }
    let mut all: Vec<Compared<'_>> = erasures
        .ordered
        .iter()
        .map(|(sequence, ordered)| Compared {
            sequence: *sequence,
            ordered,
            done: done(&erasures, *sequence),
            hasher: ErasureHasher::new(),
            seen: 0,
        })
        .collect();
    for plan in plans {
        let until = plan.until.unwrap_or(pass.chain.next);
        if erasures.ask(&(plan.first..until)) {
            look(pass, plan, &mut all, erasures.own)?;
        }
    }
    for one in &all {
        conclude(pass, one);
    }
    pending(pass, &all);
    Ok(())
}

fn done(erasures: &Erasures, ordered: u64) -> Option<&ErasureCompleted> {
    let mut completed = erasures.completed.iter();
    let found = completed.find(|(at, done)| done.erasure == ordered && *at > ordered);
    found.map(|(_, done)| done)
}

/// Compares completions with what they complete.
fn completions(pass: &mut Pass<'_>, erasures: &Erasures) {
    let since = pass.chain.since.as_ref().map_or(0, |since| since.size);
    let segments = pass.layout.segments();
    for (at, done) in &erasures.completed {
        // What stands before a checkpoint that is rested on wasn't read.
        if done.erasure < since {
            continue;
        }
        let ordered = erasures.ordered.iter();
        let mut ordered = ordered.filter(|(one, _)| *one == done.erasure && one < at);
        let others = erasures.completed.iter();
        let mut before = others.take_while(|(other, _)| other < at);
        let said_before = before.any(|(_, other)| other.erasure == done.erasure);
        let fits = ordered.next().is_some_and(|(_, ordered)| {
            done.held.iter().all(|(hold, set)| {
                let is_hold = *hold < since || erasures.holds.contains(hold);
                is_hold && hold < at && ordered.set.contains_all(set)
            })
        });
        if !fits || said_before {
            let detail = "the event completes no erasure, or leaves out what no hold or set has";
            let damage = Damage::new("erasure.contradicted", &segments, detail);
            pass.findings.wrong(damage.sequence(*at));
        }
    }
}

/// Looks at the events of a segment.
fn look(
    pass: &mut Pass<'_>,
    plan: &Plan,
    all: &mut [Compared<'_>],
    own: Option<StreamId>,
) -> Result<(), Error> {
    let path = pass.layout.segment(plan.first, plan.generation);
    let segment = match SegmentFile::open(pass.fs, &path, OpenMode::Read, &pass.chain.journal) {
        Ok(segment) => segment,
        Err(Error::Damaged(_)) => {
            // It was reported before, or compaction has put another in its place meanwhile.
            let now = read_manifest(pass.fs, &pass.layout).ok();
            let mut rows = now.iter().flat_map(|now| &now.rows);
            pass.replaced |= now.is_some()
                && plan.row.is_some()
                && !rows.any(|row| row.generation == plan.generation);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let len = segment.len()?;
    let end = plan.sealed_end().unwrap_or(len).min(len);
    let judged_from = pass.chain.since.as_ref().map_or(0, |since| since.size);
    let file = segment.file.as_ref();
    let mut frames = FrameReader::new(file, segment.seed, segment.header_len, end);
    loop {
        let frame = match frames.next() {
            Ok(frame) => frame,
            Err(FrameStop::Io(error)) => return Err(Error::io("read", &path)(error)),
            Err(FrameStop::End | FrameStop::Bad(_)) => return Ok(()),
        };
        if frame.kind == FrameType::Commit {
            continue;
        }
        let Ok(order) = Ordering::peek(frame.body) else {
            return Ok(());
        };
        let sequence = order.sequence;
        if sequence >= pass.chain.next {
            return Ok(());
        }
        let covering = all.iter().any(|one| one.ordered.set.contains(sequence));
        if !covering && frame.kind == FrameType::Event {
            continue;
        }
        let Ok(left) = Left::of(&pass.chain.journal, frame.kind, frame.body) else {
            continue;
        };
        let damage = |code, detail: &str| {
            let damage = Damage::new(code, &segment.path, detail);
            damage.at(frame.offset).sequence(sequence)
        };
        let judged = sequence >= judged_from;
        let own = own == Some(order.stream);
        compare(
            &mut pass.findings,
            all,
            (sequence, &left, judged, own),
            &damage,
        );
    }
}

/// Compares what is left of an event with what erasures take of it.
fn compare(
    findings: &mut Findings,
    all: &mut [Compared<'_>],
    (sequence, left, judged, own): (u64, &Left, bool, bool),
    damage: &dyn Fn(&'static str, &str) -> Damage,
) {
    let mut taken: Option<ErasureLevel> = None;
    let covering = all.iter_mut();
    for one in covering.filter(|one| one.ordered.set.contains(sequence)) {
        one.hasher.add(sequence, &left.hash);
        one.seen += 1;
        let level = one.ordered.level;
        // What a hold kept, the erasure didn't take: if it is gone all the same, that is another's doing.
        let kept = one.done.is_some_and(|done| done.is_held(sequence));
        if !kept {
            taken = Some(taken.map_or(level, |taken| taken.and(level)));
        }
        if own {
            let detail = "an erasure covers an event of the journal itself";
            findings.wrong(damage("erasure.contradicted", detail));
        }
        if one.done.is_some() && !kept && left.is_readable(level) {
            let detail = format!(
                "the erasure of event {} took this, and it is here",
                one.sequence
            );
            findings.wrong(damage("erasure.not_applied", &detail));
        }
    }
    if judged && !left.is_authorised(taken) {
        let detail = "content of the event is gone, and no erasure took it";
        findings.wrong(damage("stub.unauthorised", detail));
    }
}

/// Whether an erasure covers what it commits to.
fn conclude(pass: &mut Pass<'_>, one: &Compared<'_>) {
    let segments = pass.layout.segments();
    let damage = |code, detail: String| Damage::new(code, &segments, detail).sequence(one.sequence);
    if one.ordered.set.end() > one.sequence {
        let detail = "the erasure covers events that don't stand before it".to_owned();
        pass.findings.wrong(damage("erasure.contradicted", detail));
    } else if one.seen != one.ordered.set.len() {
        let (seen, of) = (one.seen, one.ordered.set.len());
        let detail = format!("{seen} of the {of} events that the erasure covers can be read");
        let damage = damage("erasure.not_checked", detail);
        pass.findings.unchecked(damage, Evidence::Journal);
    } else if one.hasher.digest() != one.ordered.commitment {
        let detail = "the erasure commits to other events than those it covers".to_owned();
        pass.findings.wrong(damage("erasure.set_mismatch", detail));
    }
}

/// An erasure that isn't completed is no finding; but MANIFEST must tell of it.
fn pending(pass: &mut Pass<'_>, all: &[Compared<'_>]) {
    let Some(oldest) = all.iter().find(|one| one.done.is_none()) else {
        return;
    };
    let segments = pass.layout.segments();
    let detail = "an erasure is ordered, and not said to be completed";
    let note = Damage::new("erasure.pending", &segments, detail).sequence(oldest.sequence);
    pass.findings.note(note);
    let Some(manifest) = &pass.directory.manifest else {
        return;
    };
    let told = erasing_from(manifest).is_some_and(|from| from <= oldest.sequence);
    // A live writer may have changed it since.
    let same = || read_manifest(pass.fs, &pass.layout).is_ok_and(|now| now == *manifest);
    if !told && same() {
        let detail = "MANIFEST doesn't tell of an erasure that isn't completed";
        let path = pass.layout.manifest();
        let damage = Damage::new("manifest.value_mismatch", &path, detail);
        pass.findings.wrong(damage.sequence(oldest.sequence));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use factlog_format::SequenceSet;

    use super::*;

    /// The codes of what is wrong with the last of ten events of an erasure at this level, of which so much is
    /// gone, where its completion says that a hold kept it.
    fn codes(level: ErasureLevel, left: &Left) -> Vec<&'static str> {
        let set: SequenceSet = (1..=10).collect();
        let ordered = ErasureOrdered {
            level,
            policy: "age".to_owned(),
            reason: "old".to_owned(),
            set,
            commitment: [0; 32],
        };
        let done = ErasureCompleted {
            erasure: 20,
            held: vec![(21, [10].into_iter().collect())],
        };
        let mut all = [Compared {
            sequence: 20,
            ordered: &ordered,
            done: Some(&done),
            hasher: ErasureHasher::new(),
            seen: 0,
        }];
        let mut findings = Findings::default();
        let damage = |code, detail: &str| Damage::new(code, Path::new("x.seg"), detail);
        compare(&mut findings, &mut all, (10, left, true, false), &damage);
        findings.findings.iter().map(|found| found.code).collect()
    }

    /// The keeper had it erased all the same: the stub that the erasure would have left fits every hash.
    #[test]
    fn a_stub_of_what_a_hold_kept_is_named() {
        let whole = |gone: u16| Left {
            hash: [0; 32],
            present: Some(1 & !gone),
            gone,
        };
        let bare = Left {
            hash: [0; 32],
            present: None,
            gone: u16::MAX,
        };
        let payload = ErasureLevel::Sections(u16::MAX);
        for level in [payload, ErasureLevel::Full] {
            assert!(codes(level, &whole(0)).is_empty());
            assert_eq!(codes(level, &whole(1)), ["stub.unauthorised"]);
            assert_eq!(codes(level, &bare), ["stub.unauthorised"]);
        }
    }
}
