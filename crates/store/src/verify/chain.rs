use std::{iter, ops::Range, path::Path};

use factlog_format::{CommitHeader, JournalEvent, JournalId, SegmentHeader};
use factlog_proof::Hash;

use super::{
    derived::Derived,
    events::CheckedEvent,
    evidence::{Trust, erasures::Erasures},
    findings::Findings,
    groups::WholeGroup,
    history::History,
    ids::Ids,
    since::{Begin, Since},
    streams::Streams,
};
use crate::{Damage, Error};

/// What the next event, group and segment must continue: everything that a verification remembers of
/// what it passed. Memory is bounded but for the streams.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) journal: JournalId,
    /// The next event's sequence.
    pub(super) next: u64,
    pub(super) history: History,
    pub(super) streams: Streams,
    pub(super) trust: Trust,
    pub(super) ids: Ids,
    /// What was erased, and by what.
    pub(super) erasures: Erasures,
    /// What comes before, where not all was read.
    pub(super) since: Option<Since>,
    /// Sequences that couldn't be read, ascending.
    pub(super) lost: Vec<Range<u64>>,
    /// The largest number of events that a statement in passing called durable.
    pub(super) durable: u64,
    last: Last,
    /// The newest writer session so far.
    session: u32,
    last_recorded: i64,
    /// A root differed; until a segment's header gives a new edge, later ones do as well.
    parted: bool,
    /// The group under way has an event about keys.
    changes_keys: bool,
}

/// The streams of so many events are looked up ahead.
const TOUCHED: usize = 64;

/// The commit header before.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// `None` at the start, and where headers were lost or compacted away.
    number: Option<u64>,
    incarnation: u32,
    /// Whether it had events, so that its checkpoint's signature must stand in the next.
    unsigned: bool,
}

impl Chain {
    pub(super) fn new(journal: JournalId, history: History, trust: Trust) -> Self {
        Self {
            journal,
            next: 0,
            history,
            streams: Streams::default(),
            trust,
            ids: Ids::new(),
            erasures: Erasures::default(),
            since: None,
            lost: Vec::new(),
            durable: 0,
            last: Last {
                number: Some(0),
                ..Last::default()
            },
            session: 0,
            last_recorded: i64::MIN,
            parted: false,
            changes_keys: false,
        }
    }

    /// Goes on from a checkpoint.
    pub(super) fn resumed(journal: JournalId, trust: Trust, begin: Begin) -> Self {
        let mut chain = Self::new(journal, begin.history, trust);
        chain.next = begin.since.size;
        chain.last.number = None;
        chain.last_recorded = begin.last_recorded;
        chain.since = Some(begin.since);
        chain
    }

    /// How many events there are, but for those that couldn't be read.
    pub(super) fn events(&self) -> u64 {
        let lost: u64 = self.lost.iter().map(|range| range.end - range.start).sum();
        self.next.saturating_sub(lost)
    }

    /// Whether the last commit header was that of an empty commit, as a clean close writes it.
    pub(super) fn ends_empty(&self) -> bool {
        self.last.number.is_some() && !self.last.unsigned
    }

    /// Whether this header's segment is not of the session that wrote the last commit: a session goes on
    /// in the segment of the one before, unless that one died.
    pub(super) fn follows_an_unclean_end(&self, header: &SegmentHeader) -> bool {
        self.next > 0 && header.incarnation != self.last.incarnation
    }

    /// Events up to `next` can't be read.
    pub(super) fn lose_until(&mut self, next: u64, derived: &mut Derived) {
        if next <= self.next {
            return;
        }
        match self.lost.last_mut() {
            Some(range) if range.end == self.next => range.end = next,
            _ => self.lost.push(self.next..next),
        }
        self.next = next;
        self.history.lose();
        derived.lose();
    }

    /// Commit headers were lost: the next one's number can't be foreseen.
    pub(super) fn lose_headers(&mut self) {
        self.last = Last {
            incarnation: self.last.incarnation,
            ..Last::default()
        };
    }

    /// A segment begins.
    pub(super) fn segment(&mut self, header: &SegmentHeader, path: &Path, findings: &mut Findings) {
        let wrong = |code, detail: &str| Damage::new(code, path, detail).at(0);
        match self.history.frontier() {
            Some(frontier) => {
                let edge = frontier.hashes().iter().map(|hash| hash.as_bytes());
                if !edge.eq(header.edge.iter()) {
                    if !self.parted {
                        let detail = "the segment's tree is not the tree of the events before it";
                        let damage = wrong("segment.edge_mismatch", detail);
                        findings.wrong(damage.sequence(header.first_sequence));
                    }
                    self.history.assume(header.first_sequence, &header.edge);
                }
            }
            None => self.history.assume(header.first_sequence, &header.edge),
        }
        self.parted = false;
        if header.durable < self.durable {
            let detail = "the segment takes back what was called durable before";
            findings.wrong(wrong("commit.durable", detail));
        }
        self.durable = self.durable.max(header.durable);
        if !header.inputs.is_empty() {
            // It was made later than what follows it.
            return;
        }
        if header.incarnation < self.session {
            let detail = "the segment is of an earlier writer session than the one before";
            findings.wrong(wrong("commit.incarnation", detail));
        }
        self.session = self.session.max(header.incarnation);
    }

    /// A commit header that stands where `next` says.
    pub(super) fn header(
        &mut self,
        header: &CommitHeader,
        path: &Path,
        offset: u64,
        findings: &mut Findings,
    ) {
        let damage = |code, detail: String| {
            Damage::new(code, path, detail)
                .at(offset)
                .sequence(header.first_sequence)
        };
        let compacted = header.number == 0;
        if let Some(last) = self.last.number
            && !compacted
            && last.checked_add(1) != Some(header.number)
        {
            let detail = format!("commit {} follows commit {last}", header.number);
            findings.wrong(damage("commit.number", detail));
        }
        if !compacted && header.incarnation < self.session {
            let detail =
                "the commit is of an earlier writer session than the one before".to_owned();
            findings.wrong(damage("commit.incarnation", detail));
        }
        if !compacted && header.durable < self.durable {
            let detail = "the commit takes back what was called durable before".to_owned();
            findings.wrong(damage("commit.durable", detail));
        }
        if !compacted {
            self.session = self.session.max(header.incarnation);
        }
        self.durable = self.durable.max(header.durable);
        let root = self.history.root();
        let signed = self.trust.check_header(header, root, damage, findings);
        // A session signs each commit before it begins the next; another session may come to find
        // the last one unsigned.
        let owed = self.last.unsigned && self.last.incarnation == header.incarnation;
        if owed && !signed && !compacted && self.trust.expects_signatures() {
            let detail = "the signature of the commit before is missing".to_owned();
            self.trust
                .missing(damage("signature.missing", detail), findings);
        }
        self.last = Last {
            number: (!compacted).then_some(header.number),
            incarnation: header.incarnation,
            unsigned: header.count > 0 && !compacted,
        };
    }

    /// The next event, or one past a gap that was reported.
    pub(super) fn event(
        &mut self,
        event: &CheckedEvent,
        leaf: Hash,
        path: &Path,
        findings: &mut Findings,
        derived: &mut Derived,
    ) -> Result<(), Error> {
        self.place(event, path, findings, derived);
        let passed = &event.passed;
        derived.places(iter::once(passed.offset), &[leaf])?;
        let mut tiles = Vec::new();
        let tile = |end, root: &Hash| tiles.push((end, *root));
        self.history
            .push(event.sequence(), &passed.hash, leaf, tile);
        derived.tiles(&tiles)
    }

    /// Takes in an event but for the tree.
    fn place(
        &mut self,
        event: &CheckedEvent,
        path: &Path,
        findings: &mut Findings,
        derived: &mut Derived,
    ) {
        let CheckedEvent {
            passed,
            journal_event,
            problems,
        } = event;
        let order = &passed.order;
        let damage = |code, detail: String| {
            Damage::new(code, path, detail)
                .at(passed.offset)
                .sequence(order.sequence)
        };
        for (code, detail) in problems {
            findings.wrong(damage(*code, detail.clone()));
        }
        if let Some(since) = &self.since
            && let Some(before) = order.previous_sequence.filter(|at| *at < since.size)
            && !self.streams.knows(&order.stream)
        {
            match since.event(before) {
                Ok(CheckedEvent { passed, .. }) => {
                    let coordinate = passed.keys.as_ref().map(|facts| facts.coordinate);
                    self.streams.recall(&passed.order, passed.hash, coordinate);
                }
                Err(why) => {
                    let detail = format!("the event before in the stream is not as it was: {why}");
                    findings.wrong(damage("stream.broken", detail));
                }
            }
        }
        let coordinate = passed.keys.as_ref().map(|facts| &facts.coordinate);
        let wrong = |code, detail| findings.wrong(damage(code, detail));
        let opens = self
            .streams
            .link(order, &passed.hash, coordinate, &self.lost, wrong);
        if order.recorded_at < self.last_recorded {
            let detail = "the event is recorded earlier than the one before it".to_owned();
            findings.wrong(damage("event.recorded_at", detail));
        }
        self.last_recorded = self.last_recorded.max(order.recorded_at);
        if let Some(facts) = &passed.keys {
            self.ids.push(order.sequence, &facts.event_id);
        }
        if passed.stub {
            self.erasures.met_stub(order.sequence);
        }
        if let Some(event) = journal_event {
            self.erasures.take(order, event);
        }
        match journal_event.as_deref() {
            Some(JournalEvent::Created(created)) if order.sequence == 0 => {
                if created.journal != self.journal {
                    let detail = "sequence 0 creates another journal".to_owned();
                    findings.wrong(damage("journal.identity_mismatch", detail));
                }
                self.trust.learn(created.clone(), path, findings);
            }
            Some(JournalEvent::Created(_)) => {
                let detail = "a journal is created once, at sequence 0".to_owned();
                findings.wrong(damage("event.journal_event", detail));
            }
            Some(event) if order.sequence > 0 => {
                self.changes_keys |= matches!(
                    event,
                    JournalEvent::KeyRotated(_) | JournalEvent::KeyRevoked(_)
                );
                let root = self.history.root();
                if let Err(why) = self
                    .trust
                    .change(order.sequence, order.recorded_at, event, root)
                {
                    let detail = format!("there can't be such an event: {why}");
                    findings.wrong(damage("event.journal_event", detail));
                }
            }
            _ if order.sequence == 0 => {
                let detail = "sequence 0 does not create a journal".to_owned();
                findings.wrong(damage("event.journal_event", detail));
            }
            _ => {}
        }
        self.next = order.sequence.saturating_add(1);
        derived.event(passed, opens);
    }

    /// The group's last event was passed.
    pub(super) fn end_group(
        &mut self,
        header: &CommitHeader,
        path: &Path,
        offset: u64,
        findings: &mut Findings,
    ) {
        let stated = Hash::from_bytes(header.root);
        self.history.state(header.end_sequence(), stated);
        if header.first_sequence == 0 && header.count > 1 && header.number != 0 {
            let detail = "the event that creates the journal shares its commit with others";
            findings.wrong(Damage::new("event.journal_event", path, detail).at(offset));
        }
        let changes_keys = std::mem::take(&mut self.changes_keys);
        if changes_keys && header.count > 1 && header.number != 0 {
            let detail = "an event about the journal's keys shares its commit with others";
            findings.wrong(Damage::new("event.journal_event", path, detail).at(offset));
        }
        if let Some(root) = self.history.root()
            && root != stated
            && !self.parted
        {
            self.parted = true;
            let detail =
                "the commit states another tree than that of its events: they were changed";
            let damage = Damage::new("commit.root_mismatch", path, detail);
            findings.wrong(damage.at(offset).sequence(header.first_sequence));
        }
    }

    /// A whole group that continues the chain.
    pub(super) fn group(
        &mut self,
        group: &WholeGroup,
        path: &Path,
        findings: &mut Findings,
        derived: &mut Derived,
    ) -> Result<(), Error> {
        self.header(&group.header, path, group.offset, findings);
        let (first, end) = (group.header.first_sequence, group.header.end_sequence());
        let changes_nothing = |event: &CheckedEvent| event.journal_event.is_none();
        if self.history.takes_at_once(first, end) && group.events.iter().all(changes_nothing) {
            for some in group.events.chunks(TOUCHED) {
                let streams = some.iter().map(|event| &event.passed.order.stream);
                self.streams.touch(streams);
                for event in some {
                    self.place(event, path, findings, derived);
                }
            }
            let offsets = group.events.iter().map(|event| event.passed.offset);
            derived.places(offsets, &group.leaves)?;
            let mut tiles = Vec::new();
            let tile = |end, root: &Hash| tiles.push((end, *root));
            self.history.push_all(&group.subtrees, tile);
            derived.tiles(&tiles)?;
        } else {
            for (event, leaf) in group.events.iter().zip(&group.leaves) {
                self.event(event, *leaf, path, findings, derived)?;
            }
        }
        self.end_group(&group.header, path, group.offset, findings);
        Ok(())
    }

    /// Whether the group's events, appended to the tree as it is now, give the root that its header
    /// states; `true` where the tree is unknown.
    pub(super) fn gives_its_root(&self, group: &WholeGroup) -> bool {
        let Some(frontier) = self.history.frontier() else {
            return true;
        };
        let mut frontier = frontier.clone();
        for subtree in &group.subtrees {
            if !frontier.push_subtree(subtree, |_, _| {}) {
                return false;
            }
        }
        frontier.root() == Hash::from_bytes(group.header.root)
    }
}
