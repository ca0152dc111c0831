use factlog_format::{ClockSteppedBack, Encoding, JournalEvent, JournalRecovered};

use crate::{Event, NewEvent};

/// The stream of what governs the journal itself.
pub(crate) const SCOPE: &str = "$journal";
pub(crate) const ENTITY: &str = "journal";

/// A `$journal` event to be appended.
pub(crate) fn event(payload: &JournalEvent) -> NewEvent<'static> {
    NewEvent::new(SCOPE, ENTITY, payload.kind()).data(Encoding::Journal, payload.encode())
}

pub(crate) fn clock_stepped_back(before: i64, now: i64) -> NewEvent<'static> {
    event(&JournalEvent::ClockSteppedBack(ClockSteppedBack {
        before,
        now,
    }))
}

pub(crate) fn recovered(recovered: JournalRecovered) -> NewEvent<'static> {
    event(&JournalEvent::Recovered(recovered))
}

/// Sequence and content of an event of the journal's own stream, if it is one that this build knows.
pub(crate) fn decoded(event: &Event) -> Option<(u64, JournalEvent)> {
    let facts = event.facts()?;
    if (facts.scope, facts.entity) != (SCOPE, ENTITY) {
        return None;
    }
    let payload = event.data()?.bytes()?;
    let decoded = JournalEvent::decode(facts.kind, payload).ok()?;
    Some((event.sequence(), decoded))
}
