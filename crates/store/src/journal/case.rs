//! Evidence cases that the journal itself tells of.

use factlog_format::{CaseEdge, CaseExported, JournalEvent, case_commitment};

use super::Journal;
use crate::{CaseQuery, Error, Misuse, event::own};

/// How often a period is looked at again because an event of it came late.
const MOST_TRIES: usize = 8;

impl Journal {
    /// Makes an evidence case: the events of a period, and what proves to anyone who knows the journal's
    /// key that they are unchanged and that none was left out. Verified by
    /// [`verify_case`](crate::verify_case).
    ///
    /// The journal notes that it was made, as a `case.exported` event; what it was about stays in the
    /// case, and the event only commits to it.
    ///
    /// # Errors
    /// [`Misuse::Unsigned`]; [`Misuse::Case`] for a period that ends before it begins, or isn't over;
    /// `history.forked` if a checkpoint that it is to continue is of another history; what reading comes
    /// to; and as [`append`](Self::append).
    pub fn export_case(&self, query: &CaseQuery) -> Result<Vec<u8>, Error> {
        let writer = self.writer()?;
        if self.reader.verifier_key().is_none() {
            return Err(Misuse::Unsigned.into());
        }
        let mut salt = [0; 16];
        writer.random.fill(&mut salt);
        for _ in 0..MOST_TRIES {
            let now = writer.clock.now_micros();
            let draft = self.reader.draft_case(query, self.reader.len(), now)?;
            let statement = &draft.statement;
            let bytes = statement.encode().map_err(Misuse::Event)?;
            let exported = JournalEvent::CaseExported(CaseExported {
                first: statement.first,
                end: statement.end,
                selected: statement.selected,
                commitment: case_commitment(&salt, &bytes),
            });
            let appended = writer.append(&[own::event(&exported)], &[], true)?;
            let sequence = appended.first_sequence();
            let signed = appended.checkpoint().ok_or(Misuse::Unsigned)?;
            if let CaseEdge::Recorded(until) = statement.until {
                // An event that was given its time before we looked may have become durable since.
                let next = self.reader.get(statement.end)?;
                if next.is_some_and(|next| next.recorded_at() < until) {
                    continue;
                }
            }
            return (self.reader).build_case(query, &draft, salt, Some(sequence), signed);
        }
        Err(Misuse::Case("events of the period keep coming").into())
    }
}
