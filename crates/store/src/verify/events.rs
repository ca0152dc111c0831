use factlog_format::{
    Encoding, EventFrame, FormatError, FrameType, FullStub, JournalEvent, coordinate_key,
};

use crate::segment::{ScannedEvent, ScannedFacts, SegmentFile};

/// The one coordinate that the journal keeps for itself.
const JOURNAL_SCOPE: &str = "$journal";
const JOURNAL_ENTITY: &str = "journal";

/// An event or stub, with all that can be said of it without its neighbours.
#[derive(Debug)]
pub(super) struct CheckedEvent {
    pub(super) scanned: ScannedEvent,
    /// What a `$journal` event says.
    pub(super) journal_event: Option<Box<JournalEvent>>,
    /// Code and detail of what is wrong with it.
    pub(super) problems: Vec<(&'static str, String)>,
}

impl CheckedEvent {
    pub(super) fn sequence(&self) -> u64 {
        self.scanned.order.sequence
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
        let scanned = ScannedEvent { offset, order: stub.order, hash, facts: None };
        return Ok(CheckedEvent { scanned, journal_event: None, problems });
    }
    let event = EventFrame::decode(kind, body)?;
    if event.check_sections().is_err() {
        let detail = "the payload is not the one that the facts commit to".to_owned();
        problems.push(("event.section_mismatch", detail));
    }
    let journal_event = check_reserved(&event, &mut problems);
    let scanned = ScannedEvent {
        offset,
        order: event.order,
        hash: event.event_hash(journal),
        facts: Some(ScannedFacts {
            event_id: event.facts.event_id,
            coordinate: coordinate_key(event.facts.scope, event.facts.entity),
        }),
    };
    Ok(CheckedEvent { scanned, journal_event, problems })
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
