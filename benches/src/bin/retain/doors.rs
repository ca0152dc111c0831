//! What a retention must leave as it was: read before it, and through every door after it.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use factlog::{
    CaseQuery, CaseTrust, InMemory, Journal, Policy, Projector, Query, Reader, Retries,
    UnverifiedReceipt, verify_case,
};
use factlog_format::{CaseSection, CrcSeed, EventFrame, FactsRef, Frame, FrameType, SegmentHeader};

use crate::{DROPPED, KEPT, SCOPE, STREAMS, stream};

/// How many events an evidence case is about.
const CASE: u64 = 20_000;
/// How many receipts are handed out.
const RECEIPTS: u64 = 4000;
const LONG: Duration = Duration::from_secs(600);

/// A sum over sequences, each with something of its event: the same in whatever order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    events: u64,
    hashes: u128,
}

impl Sum {
    fn add(&mut self, sequence: u64, bytes: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&sequence.to_le_bytes()).update(bytes);
        let mut half = [0; 16];
        hasher.finalize_xof().fill(&mut half);
        self.hashes = self.hashes.wrapping_add(u128::from_le_bytes(half));
        self.events += 1;
    }
}

/// Of the events below a sequence.
pub(crate) struct Kept {
    /// The whole frames of those that are kept, as they stand in the files.
    frames: Sum,
    /// Their payloads.
    payloads: Sum,
    /// The same of a first part alone.
    first: Sum,
    /// The event hashes of all.
    hashes: Sum,
}

impl Kept {
    pub(crate) fn of(journal: &Journal, end: u64) -> Result<Self> {
        let (payloads, hashes) = gotten(journal.reader(), end)?;
        Ok(Self {
            frames: frames(journal.reader(), end)?,
            payloads,
            first: scanned(journal.reader(), CASE.min(end))?,
            hashes,
        })
    }

    /// Reads through every door.
    pub(crate) fn assert_same(&self, journal: &Journal, end: u64, full: bool) -> Result<()> {
        let reader = journal.reader();
        ensure!(frames(reader, end)? == self.frames, "frames are others");
        let (payloads, hashes) = gotten(reader, end)?;
        ensure!(hashes == self.hashes, "event hashes are others");
        let case = in_case(journal, CASE.min(end))?;
        ensure!(case == self.first, "a case shows other payloads");
        for (door, found) in [
            ("get", payloads),
            ("scan", scanned(reader, end)?),
            ("stream", by_stream(reader, end)?),
            ("projection", projected(reader, end)?),
            ("subscription", subscribed(reader, end)?),
        ] {
            ensure!(found == self.payloads, "{door} gives other payloads");
        }
        ensure!(
            are_gone(reader, end, full)?,
            "some that were to go are there"
        );
        Ok(())
    }
}

fn is_kept(facts: Option<&FactsRef<'_>>) -> bool {
    facts.is_some_and(|facts| facts.kind == KEPT)
}

/// The frames of the segments' files.
fn frames(reader: &Reader, end: u64) -> Result<Sum> {
    let (mut sum, seed) = (Sum::default(), CrcSeed::of(&reader.id()));
    for entry in fs::read_dir(reader.path().join("segments"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        let bytes = fs::read(path)?;
        let mut rest = &bytes[SegmentHeader::decode(&bytes)?.encoded_len()..];
        while let Ok(frame) = Frame::read(seed, rest) {
            let (whole, behind) = rest.split_at(frame.len);
            rest = behind;
            if frame.kind == FrameType::Event {
                let event = EventFrame::decode(frame.kind, frame.body)?;
                if event.facts.kind == KEPT && event.order.sequence < end {
                    sum.add(event.order.sequence, whole);
                }
            }
        }
    }
    Ok(sum)
}

/// The payloads of those that are kept, and the event hashes of all, got one by one.
fn gotten(reader: &Reader, end: u64) -> Result<(Sum, Sum)> {
    let (mut payloads, mut hashes) = (Sum::default(), Sum::default());
    for sequence in 0..end {
        let event = reader.get(sequence)?.context("an event")?;
        hashes.add(sequence, &event.hash());
        if is_kept(event.facts().as_ref()) {
            let data = event.data().and_then(|data| data.bytes());
            payloads.add(sequence, data.context("a payload")?);
        }
    }
    Ok((payloads, hashes))
}

fn scanned(reader: &Reader, end: u64) -> Result<Sum> {
    let mut sum = Sum::default();
    let mut events = reader.read(Query::all().until(end));
    while let Some(event) = events.next_ref()? {
        if is_kept(event.facts()?.as_ref()) {
            sum.add(event.sequence(), event.data()?.context("a payload")?);
        }
    }
    Ok(sum)
}

/// Each stream, from its first event on.
fn by_stream(reader: &Reader, end: u64) -> Result<Sum> {
    let mut sum = Sum::default();
    for number in 0..STREAMS {
        let name = stream(number);
        let mut events = reader.read(Query::stream(SCOPE, &name).until(end));
        let mut next = 0;
        while let Some(event) = events.next_ref()? {
            ensure!(event.revision() == next, "a stream has a gap");
            next += 1;
            if is_kept(event.facts()?.as_ref()) {
                sum.add(event.sequence(), event.data()?.context("a payload")?);
            }
        }
    }
    Ok(sum)
}

fn projected(reader: &Reader, end: u64) -> Result<Sum> {
    let projector = Projector::start(reader, "bench", Retries::new())?;
    let (projection, shown) = InMemory::new(
        "kept",
        1,
        Query::all().kind(KEPT),
        Sum::default,
        move |sum: &mut Sum, event| {
            if event.sequence() < end
                && let Some(data) = event.data()?
            {
                sum.add(event.sequence(), data);
            }
            Ok(())
        },
    );
    projector.add(projection)?;
    ensure!(projector.wait_for(end - 1, LONG), "a projection is stuck");
    Ok(shown.read(|sum, _| *sum))
}

fn subscribed(reader: &Reader, end: u64) -> Result<Sum> {
    let mut sum = Sum::default();
    for delivered in reader.subscribe(Query::all())? {
        let delivered = delivered?;
        let event = delivered.event();
        if is_kept(event.facts().as_ref()) && event.sequence() < end {
            let data = event.data().and_then(|data| data.bytes());
            sum.add(event.sequence(), data.context("a payload")?);
        }
        if event.sequence() + 1 == end {
            break;
        }
    }
    Ok(sum)
}

/// A case of the first events, made and verified.
fn in_case(journal: &Journal, end: u64) -> Result<Sum> {
    let bytes = journal.export_case(&CaseQuery::new().until(end))?;
    let trust = CaseTrust {
        keys: journal.reader().verifier_key().into_iter().collect(),
        ..CaseTrust::default()
    };
    let report = verify_case(&bytes, &trust);
    ensure!(report.findings.is_empty(), "{:?}", report.findings);
    let case = report.case.context("a case")?;
    let mut sum = Sum::default();
    for record in case
        .population()
        .filter(|record| record.spine.sequence < end)
    {
        for section in record.sections.iter().flatten() {
            let (_, facts) = record.facts.context("its facts")?;
            let is_kept = facts
                .windows(KEPT.len())
                .any(|name| name == KEPT.as_bytes());
            match section {
                CaseSection::Disclosed { stored, .. } if is_kept => {
                    sum.add(record.spine.sequence, stored);
                }
                _ => {}
            }
        }
    }
    Ok(sum)
}

/// Whether all that were to go are without their payloads, or with all of them gone not found at all.
fn are_gone(reader: &Reader, end: u64, full: bool) -> Result<bool> {
    let mut events = reader.read(Query::all().kind(DROPPED).until(end));
    if full {
        return Ok(events.next_ref()?.is_none());
    }
    while let Some(event) = events.next_ref()? {
        if !event.is_erased() || event.data()?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Receipts that were handed out, of events that stay and of such that go.
pub(crate) struct Receipts(Vec<String>);

impl Receipts {
    pub(crate) fn of(reader: &Reader, end: u64) -> Result<Self> {
        let step = (end / RECEIPTS).max(1) as usize;
        let texts = (0..end).step_by(step).map(|one| reader.receipt(one));
        Ok(Self(texts.collect::<Result<_, _>>()?))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether each verifies, and is of the event that stands there now.
    pub(crate) fn assert_hold(&self, reader: &Reader) -> Result<()> {
        let policy = Policy::from(reader.verifier_key().context("a key")?);
        for text in &self.0 {
            let receipt = UnverifiedReceipt::parse(text.as_bytes())?.verify(&policy)?;
            let event = reader.get(receipt.sequence())?.context("its event")?;
            ensure!(event.hash() == *receipt.event_hash(), "of another event");
        }
        Ok(())
    }
}
