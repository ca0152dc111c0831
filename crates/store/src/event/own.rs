use factlog_format::{ClockSteppedBack, Encoding, JournalEvent, JournalRecovered};

use crate::NewEvent;

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
