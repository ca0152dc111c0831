mod kinds;

use factlog_format::{
    Digest, Encoding, EventFrame, EventId, FactsRef, FormatError, FrameType, FullStub, HashBatch,
    HashSort, JournalEvent, JournalId, Ordering, SPINE_LEN, event_hashes,
};

use self::kinds::{KnownKinds, Place};
use crate::{
    index::{kind_of_category, push_coordinate, push_kind, push_tags},
    segment::SegmentFile,
};

/// The one coordinate that the journal keeps for itself.
const JOURNAL_SCOPE: &str = "$journal";
const JOURNAL_ENTITY: &str = "journal";

/// An event or stub, as far as later ones and the derived files need it.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub(super) offset: u64,
    pub(super) order: Ordering,
    pub(super) hash: Digest,
    /// `None` in a full stub.
    pub(super) keys: Option<Keys>,
    /// Whether something of it is gone.
    pub(super) stub: bool,
}

/// What an event is found by besides its stream.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) event_id: EventId,
    pub(super) coordinate: [u8; 16],
    pub(super) kind: [u8; 16],
    pub(super) tags: Box<[[u8; 16]]>,
}

/// An event or stub, with all that can be said of it without its neighbours.
#[derive(Debug)]
pub(super) struct CheckedEvent {
    pub(super) passed: Passed,
    /// What a `$journal` event says.
    pub(super) journal_event: Option<Box<JournalEvent>>,
    /// Code and detail of what is wrong with it.
    pub(super) problems: Vec<(&'static str, String)>,
}

impl CheckedEvent {
    pub(super) fn sequence(&self) -> u64 {
        self.passed.order.sequence
    }
}

/// A frame of an event or stub that is to be checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventBytes<'b> {
    pub(super) kind: FrameType,
    pub(super) offset: u64,
    pub(super) body: &'b [u8],
}

/// Checks and hashes events, many at once: hashes that don't depend on one another are several times
/// cheaper side by side. Kept, so that its memory is used again.
#[derive(Debug)]
pub(super) struct EventChecks {
    events: Vec<CheckedEvent>,
    /// How many of them are hashed.
    hashed: usize,
    sections: Sections,
    sealed: Sections,
    facts: HashBatch,
    /// Of coordinates, kinds and tags.
    names: HashBatch,
    /// Which events wait for which of the hashes of names.
    asked: Vec<(usize, Asked)>,
    kinds: KnownKinds,
    spines: Vec<[u8; SPINE_LEN]>,
    hashes: Vec<Digest>,
    /// For bytes that are to be checked.
    pub(super) memory: Vec<u8>,
}

/// Sections that are to be hashed, and which event states which hash of them.
#[derive(Debug)]
struct Sections {
    batch: HashBatch,
    wanted: Vec<(usize, Digest)>,
}

impl Sections {
    fn new(sort: HashSort) -> Self {
        Self {
            batch: HashBatch::new(sort),
            wanted: Vec::new(),
        }
    }
}

/// What hashes of names make.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Coordinate,
    Kind(Place),
    Tags,
}

impl EventChecks {
    pub(super) fn new() -> Self {
        Self {
            events: Vec::new(),
            hashed: 0,
            sections: Sections::new(HashSort::Section),
            sealed: Sections::new(HashSort::SealedSection),
            facts: HashBatch::new(HashSort::Facts),
            names: HashBatch::new(HashSort::Coordinate),
            asked: Vec::new(),
            kinds: KnownKinds::new(KINDS),
            spines: Vec::new(),
            hashes: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Decodes a frame, and checks and hashes all that is in it.
    pub(super) fn check(
        &mut self,
        segment: &SegmentFile,
        frame: &EventBytes<'_>,
    ) -> Result<CheckedEvent, FormatError> {
        self.push(segment, frame)?;
        let event = self.finish(segment).pop();
        event.ok_or(FormatError::Invalid("event frame"))
    }

    /// How many events were taken in.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Decodes a frame, and takes it in to be checked and hashed beside others.
    pub(super) fn push(
        &mut self,
        segment: &SegmentFile,
        frame: &EventBytes<'_>,
    ) -> Result<(), FormatError> {
        self.decode(frame)?;
        if self.held() > MOST_HELD {
            self.hash(segment);
        }
        Ok(())
    }

    /// All events that were taken in, checked and hashed.
    pub(super) fn finish(&mut self, segment: &SegmentFile) -> Vec<CheckedEvent> {
        self.hash(segment);
        self.hashed = 0;
        let room = self.events.len();
        std::mem::replace(&mut self.events, Vec::with_capacity(room))
    }

    /// How many bytes are to be hashed: padded, they can be many times what is on the disk.
    fn held(&self) -> usize {
        let (plain, sealed) = (&self.sections.batch, &self.sealed.batch);
        let batches = [plain, sealed, &self.facts, &self.names];
        batches.map(HashBatch::padded_len).iter().sum()
    }

    /// Hashes what was noted since the last time.
    fn hash(&mut self, segment: &SegmentFile) {
        self.check_sections();
        self.hash_events(&segment.header.journal);
        self.hash_names();
        self.hashed = self.events.len();
    }

    /// Takes a frame apart, and notes what is to be hashed of it: hashes are filled in later. A frame that
    /// is no event's leaves nothing behind.
    fn decode(&mut self, bytes: &EventBytes<'_>) -> Result<(), FormatError> {
        let passed = |order, hash, keys| Passed {
            offset: bytes.offset,
            order,
            hash,
            keys,
            stub: bytes.kind != FrameType::Event,
        };
        // Where its place is none, that is what is wrong with it, whatever else is.
        let misplaced = |error| Ordering::peek(bytes.body).err().unwrap_or(error);
        if bytes.kind == FrameType::FullStub {
            let stub = FullStub::decode(bytes.body).map_err(misplaced)?;
            self.events.push(CheckedEvent {
                passed: passed(stub.order, stub.facts_hash, None),
                journal_event: None,
                problems: Vec::new(),
            });
            return Ok(());
        }
        let frame = EventFrame::decode(bytes.kind, bytes.body).map_err(misplaced)?;
        let mut problems = Vec::new();
        let place = self.events.len();
        for section in frame.stored_sections() {
            let sections = if section.sealed {
                &mut self.sealed
            } else {
                &mut self.sections
            };
            sections.batch.push(section.secret, section.stored);
            sections.wanted.push((place, *section.hash));
        }
        self.facts.push(&frame.facts_salt, frame.facts_bytes);
        let keys = self.keys(place, &frame.facts);
        let journal_event = check_reserved(&frame, &mut problems);
        self.events.push(CheckedEvent {
            passed: passed(frame.order, [0; 32], Some(keys)),
            journal_event,
            problems,
        });
        Ok(())
    }

    /// The keys of an event: that of its kind if it is known; what is left is asked for. Coordinates are so
    /// many that to look one up takes longer than to hash it beside others.
    fn keys(&mut self, place: usize, facts: &FactsRef<'_>) -> Keys {
        let mut ask = |asked| self.asked.push((place, asked));
        push_coordinate(facts, &mut self.names);
        ask(Asked::Coordinate);
        let kind = self.kinds.find(facts.kind);
        let kind = kind.unwrap_or_else(|slot| {
            push_kind(facts, &mut self.names);
            ask(Asked::Kind(slot));
            [0; 16]
        });
        let tags = push_tags(facts, &mut self.names);
        if tags > 0 {
            ask(Asked::Tags);
        }
        Keys {
            event_id: facts.event_id,
            coordinate: [0; 16],
            kind,
            tags: vec![[0; 16]; tags].into(),
        }
    }

    fn check_sections(&mut self) {
        for sections in [&mut self.sections, &mut self.sealed] {
            sections.batch.finish(&mut self.hashes);
            for ((place, wanted), hash) in sections.wanted.drain(..).zip(&self.hashes) {
                if *hash != wanted
                    && let Some(event) = self.events.get_mut(place)
                    && !event.problems.contains(&altered())
                {
                    event.problems.push(altered());
                }
            }
        }
    }

    fn hash_events(&mut self, journal: &JournalId) {
        let events = self.events.get_mut(self.hashed..).unwrap_or_default();
        self.facts.finish(&mut self.hashes);
        let mut facts = self.hashes.iter().copied();
        self.spines.clear();
        for event in &*events {
            let passed = &event.passed;
            let hash = match &passed.keys {
                Some(_) => facts.next().unwrap_or_default(),
                // A full stub carries it.
                None => passed.hash,
            };
            self.spines.push(passed.order.spine(journal, hash).encode());
        }
        self.hashes.clear();
        event_hashes(&self.spines, &mut self.hashes);
        for (event, hash) in events.iter_mut().zip(&self.hashes) {
            event.passed.hash = *hash;
        }
    }

    fn hash_names(&mut self) {
        self.names.finish(&mut self.hashes);
        let mut hashes = self.hashes.iter().map(|hash| {
            let key = hash.first_chunk::<16>();
            key.copied().unwrap_or_default()
        });
        let mut next = || hashes.next().unwrap_or_default();
        for (place, asked) in self.asked.drain(..) {
            let event = self.events.get_mut(place);
            let Some(keys) = event.and_then(|event| event.passed.keys.as_mut()) else {
                continue;
            };
            match asked {
                Asked::Coordinate => keys.coordinate = next(),
                Asked::Kind(slot) => {
                    keys.kind = kind_of_category(&next(), &next());
                    self.kinds.put(slot, keys.kind);
                }
                Asked::Tags => keys.tags.fill_with(&mut next),
            }
        }
    }
}

/// Of so many kinds the keys are remembered.
const KINDS: usize = 256;

/// So many bytes are hashed at once at most, and a frame's more: enough for many lanes, little enough for a
/// cache.
const MOST_HELD: usize = 64 << 10;

fn altered() -> (&'static str, String) {
    let detail = "the payload is not the one that the facts commit to";
    ("event.section_mismatch", detail.to_owned())
}

/// Scopes that start with `$` are the journal's own, and hold nothing but what the format knows.
fn check_reserved(
    event: &EventFrame<'_>,
    problems: &mut Vec<(&'static str, String)>,
) -> Option<Box<JournalEvent>> {
    let facts = &event.facts;
    if !facts.scope.starts_with('$') {
        return None;
    }
    if (facts.scope, facts.entity) != (JOURNAL_SCOPE, JOURNAL_ENTITY) {
        let detail = "scopes that start with $ belong to the journal itself".to_owned();
        problems.push(("event.reserved_scope", detail));
        return None;
    }
    let mut sections = event.sections();
    let content = match (sections.next(), sections.next()) {
        (Some((row, content)), None) => {
            content.filter(|_| row.sealed.is_none() && row.encoding == Encoding::Journal)
        }
        _ => None,
    };
    let Some((_, stored)) = content else {
        let detail = "an event of the journal itself has no payload of its own kind".to_owned();
        problems.push(("event.journal_event", detail));
        return None;
    };
    match JournalEvent::decode(facts.kind, stored) {
        Ok(event) => Some(Box::new(event)),
        Err(error @ FormatError::Unsupported(_)) => {
            problems.push(("journal.unsupported_version", error.to_string()));
            None
        }
        Err(error) => {
            problems.push(("event.journal_event", error.to_string()));
            None
        }
    }
}
