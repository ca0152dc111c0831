use factlog_format::{
    Digest, Encoding, EventFrame, EventId, FormatError, FrameType, FullStub, JournalEvent,
    Ordering, coordinate_key,
};

use crate::segment::SegmentFile;

use crate::index::{kind_key, tag_key};

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

/// Decodes an event frame or stub and checks and hashes all that is in it.
pub(super) fn check_event(
    segment: &SegmentFile,
    kind: FrameType,
    offset: u64,
    body: &[u8],
) -> Result<CheckedEvent, FormatError> {
    let journal = &segment.header.journal;
    let mut problems = Vec::new();
    if kind != FrameType::Event {
        let detail = "a stub stands here, and no erasure covers it".to_owned();
        problems.push(("stub.unauthorised", detail));
    }
    if kind == FrameType::FullStub {
        let stub = FullStub::decode(body)?;
        let hash = stub.event_hash(journal);
        let passed = Passed {
            offset,
            order: stub.order,
            hash,
            keys: None,
        };
        return Ok(CheckedEvent {
            passed,
            journal_event: None,
            problems,
        });
    }
    let event = EventFrame::decode(kind, body)?;
    if event.check_sections().is_err() {
        let detail = "the payload is not the one that the facts commit to".to_owned();
        problems.push(("event.section_mismatch", detail));
    }
    let journal_event = check_reserved(&event, &mut problems);
    let passed = Passed {
        offset,
        order: event.order,
        hash: event.event_hash(journal),
        keys: Some(Keys {
            event_id: event.facts.event_id,
            coordinate: coordinate_key(event.facts.scope, event.facts.entity),
            kind: kind_key(event.facts.kind),
            tags: event.facts.tags.iter().map(tag_key).collect(),
        }),
    };
    Ok(CheckedEvent {
        passed,
        journal_event,
        problems,
    })
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
