use factlog_format::Digest;

use super::Reader;
use crate::{Error, Event, Misuse};

/// A stream walked back from one of its events, and how that ended: a walk is never silently short.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ancestry {
    /// The events, the newest first. Each but the first is the very one, by its hash, that the one before it
    /// in this list was appended to.
    pub events: Vec<Event>,
    /// Why there are no more.
    pub end: AncestryEnd,
}

/// How walking a stream back ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum AncestryEnd {
    /// The last event of the list is the stream's first.
    Start,
    /// So many were asked for; the next one is at this sequence.
    Limit {
        /// Its sequence.
        next: u64,
    },
    /// An erasure took the next event but for what the hashes need.
    Stub {
        /// Its sequence.
        sequence: u64,
    },
    /// The next event can't be read.
    Unreadable {
        /// Its sequence.
        sequence: u64,
        /// Why.
        error: Error,
    },
    /// The next event isn't there: where it should stand is none, or another.
    Missing {
        /// Where it should stand, as far as that is known.
        sequence: Option<u64>,
        /// Its hash.
        hash: Digest,
    },
}

impl AncestryEnd {
    /// A stable word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Limit { .. } => "limit",
            Self::Stub { .. } => "stub",
            Self::Unreadable { .. } => "unreadable",
            Self::Missing { .. } => "missing",
        }
    }
}

impl Reader {
    /// Walks a stream back from one of its events, at most `limit` events, which are held in memory.
    ///
    /// ```
    /// use factlog::{AncestryEnd, Journal, NewEvent};
    ///
    /// let journal = Journal::in_memory()?;
    /// for _ in 0..3 {
    ///     journal.append(NewEvent::new("bank", "account-7", "account.noted"))?;
    /// }
    /// let walked = journal.reader().ancestry(3, 100)?;
    /// assert_eq!(walked.events.len(), 3);
    /// assert!(matches!(walked.end, AncestryEnd::Start));
    /// # Ok::<(), factlog::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse::NoSuchEvent`] if there is no event at `sequence`. What is wrong with events is how the walk
    /// ends, and no error.
    pub fn ancestry(&self, sequence: u64, limit: usize) -> Result<Ancestry, Error> {
        let mut events: Vec<Event> = Vec::new();
        if sequence >= self.len() {
            return Err(Misuse::NoSuchEvent(sequence.to_string()).into());
        }
        let mut next = sequence;
        let end = loop {
            if events.len() >= limit {
                break AncestryEnd::Limit { next };
            }
            let after = events.last();
            let found = match self.get(next) {
                Ok(found) => found.filter(|found| after.is_none_or(|after| precedes(found, after))),
                Err(error) => {
                    let sequence = next;
                    break AncestryEnd::Unreadable { sequence, error };
                }
            };
            let Some(found) = found else {
                break AncestryEnd::Missing {
                    sequence: Some(next),
                    hash: after.map_or([0; 32], Event::previous_hash),
                };
            };
            if found.facts().is_none() {
                break AncestryEnd::Stub { sequence: next };
            }
            let (revision, hash, hint) = (
                found.revision(),
                found.previous_hash(),
                found.previous_sequence(),
            );
            events.push(found);
            if revision == 0 {
                break AncestryEnd::Start;
            }
            // The hint is in no hash, so it may be anything.
            match hint.filter(|hint| *hint < next) {
                Some(hint) => next = hint,
                None => {
                    let sequence = None;
                    break AncestryEnd::Missing { sequence, hash };
                }
            }
        };
        Ok(Ancestry { events, end })
    }
}

/// Whether `after` was appended to this very event of its stream.
fn precedes(event: &Event, after: &Event) -> bool {
    event.hash() == after.previous_hash()
        && event.stream_id() == after.stream_id()
        && event.revision().checked_add(1) == Some(after.revision())
}
