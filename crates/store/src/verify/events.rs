use factlog_format::{
    Digest, Encoding, EventFrame, EventId, FormatError, FrameType, FullStub, HashBatch, HashSort,
    JournalEvent, JournalId, Ordering, SPINE_LEN, SectionSecret, event_hashes, section_hash,
};

use crate::{
    index::{NameKeys, push_names},
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
    sections: HashBatch,
    facts: HashBatch,
    /// Of coordinates, kinds and tags.
    names: HashBatch,
    /// Which event of the batch has a section of which hash.
    wanted: Vec<(usize, Digest)>,
    spines: Vec<[u8; SPINE_LEN]>,
    hashes: Vec<Digest>,
    /// For bytes that are to be checked.
    pub(super) memory: Vec<u8>,
}

impl EventChecks {
    pub(super) fn new() -> Self {
        Self {
            sections: HashBatch::new(HashSort::Section),
            facts: HashBatch::new(HashSort::Facts),
            names: HashBatch::new(HashSort::Coordinate),
            wanted: Vec::new(),
            spines: Vec::new(),
            hashes: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Decodes frames and checks and hashes all that is in them, up to the first that is no event's; then
    /// also says where that is, and why.
    pub(super) fn check(
        &mut self,
        segment: &SegmentFile,
        frames: &[EventBytes<'_>],
    ) -> (Vec<CheckedEvent>, Option<(u64, FormatError)>) {
        let mut events = Vec::with_capacity(frames.len());
        let mut failed = None;
        let mut done = 0;
        for frame in frames {
            match self.decode(frame, events.len() - done) {
                Ok(event) => events.push(event),
                Err(error) => {
                    failed = Some((frame.offset, error));
                    break;
                }
            }
            if self.held() > MOST_HELD {
                self.hash(segment, events.get_mut(done..).unwrap_or_default());
                done = events.len();
            }
        }
        self.hash(segment, events.get_mut(done..).unwrap_or_default());
        (events, failed)
    }

    /// How many bytes are to be hashed: padded, they can be many times what is on the disk.
    fn held(&self) -> usize {
        let batches = [&self.sections, &self.facts, &self.names];
        batches.map(HashBatch::padded_len).iter().sum()
    }

    /// Hashes what was noted of these events.
    fn hash(&mut self, segment: &SegmentFile, events: &mut [CheckedEvent]) {
        self.check_sections(events);
        self.hash_events(&segment.header.journal, events);
        self.hash_names(events);
    }

    /// Takes a frame apart, and notes what is to be hashed of it: hashes are filled in later. `place` is
    /// the event's in the batch.
    fn decode(
        &mut self,
        bytes: &EventBytes<'_>,
        place: usize,
    ) -> Result<CheckedEvent, FormatError> {
        let mut event = CheckedEvent {
            passed: Passed {
                offset: bytes.offset,
                order: Ordering::peek(bytes.body)?,
                hash: [0; 32],
                keys: None,
                stub: bytes.kind != FrameType::Event,
            },
            journal_event: None,
            problems: Vec::new(),
        };
        if bytes.kind == FrameType::FullStub {
            event.passed.hash = FullStub::decode(bytes.body)?.facts_hash;
            return Ok(event);
        }
        let frame = EventFrame::decode(bytes.kind, bytes.body)?;
        for (row, content) in frame.sections() {
            let Some((secret, stored)) = content else {
                continue;
            };
            if let SectionSecret::Salt(salt) = secret {
                self.sections.push(&salt, stored);
                self.wanted.push((place, row.hash));
            } else if section_hash(&secret, stored) != row.hash {
                event.problems.push(altered());
            }
        }
        self.facts.push(&frame.facts_salt, frame.facts_bytes);
        let tags = push_names(&frame.facts, &mut self.names);
        event.passed.keys = Some(Keys {
            event_id: frame.facts.event_id,
            coordinate: [0; 16],
            kind: [0; 16],
            tags: vec![[0; 16]; tags].into(),
        });
        event.journal_event = check_reserved(&frame, &mut event.problems);
        Ok(event)
    }

    fn check_sections(&mut self, events: &mut [CheckedEvent]) {
        self.sections.finish(&mut self.hashes);
        for ((place, wanted), hash) in self.wanted.drain(..).zip(&self.hashes) {
            if *hash != wanted
                && let Some(event) = events.get_mut(place)
                && !event.problems.contains(&altered())
            {
                event.problems.push(altered());
            }
        }
    }

    fn hash_events(&mut self, journal: &JournalId, events: &mut [CheckedEvent]) {
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

    fn hash_names(&mut self, events: &mut [CheckedEvent]) {
        self.names.finish(&mut self.hashes);
        let mut hashes = self.hashes.iter();
        let keys = events
            .iter_mut()
            .filter_map(|event| event.passed.keys.as_mut());
        for keys in keys {
            let names = NameKeys::of(&mut hashes, keys.tags.len());
            (keys.coordinate, keys.kind, keys.tags) = (names.coordinate, names.kind, names.tags);
        }
    }
}

/// So many bytes are hashed at once at most, and a frame's more.
const MOST_HELD: usize = 2 << 20;

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
