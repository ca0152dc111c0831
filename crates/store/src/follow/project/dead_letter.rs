use factlog_format::Encoding;
use serde::Serialize;
use uuid::Uuid;

use crate::{Conflict, Error, FactsRef, Journal, NewEvent, Payload};

const SCOPE: &str = "dead-letters";
const KIND: &str = "dead_letter.written";

/// An event that a projection has given up.
#[derive(Serialize)]
pub(super) struct DeadLetter<'a> {
    pub(super) sequence: u64,
    pub(super) attempts: u32,
    pub(super) error: &'a str,
    #[serde(skip)]
    pub(super) name: &'a str,
    #[serde(skip)]
    pub(super) id: Option<Uuid>,
}

impl DeadLetter<'_> {
    /// Writes it down, once however often that is tried.
    pub(super) fn write(&self, journal: &Journal) -> Result<(), Error> {
        let number = self.sequence.to_le_bytes();
        let id = journal.import_id(&[b"dead letter", self.name.as_bytes(), &number])?;
        let mut event = NewEvent::new(SCOPE, self.name, KIND)
            .id(id)
            .payload(Payload::encoded(Encoding::Json, self)?);
        if let Some(cause) = self.id {
            event = event.causation(cause);
        }
        match journal.append(event) {
            // It was written before a crash, when the message was another.
            Ok(_) | Err(Error::Conflict(Conflict::IdReused { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether an event is a dead letter of this name: nobody is given its own, or one that can't be applied
/// would make others without end.
pub(super) fn is_own(facts: &FactsRef<'_>, name: &str) -> bool {
    facts.scope == SCOPE && facts.entity == name
}
