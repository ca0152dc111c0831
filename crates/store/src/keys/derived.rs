//! Whoever keeps what was derived from payloads is told when these are shredded.

use std::{fmt::Debug, sync::Arc};

use factlog_keys::KeyId;

use super::mint::key_ids;
use crate::{Event, Reader, read::Shared};

/// Keeps data that was derived from payloads, and forgets what was shredded.
///
/// Given to [`Options::on_erased`](crate::Options::on_erased). It is asked after the keys are destroyed and before
/// the event is written that says so, which then tells what it answered: the report of every erasure shows it. After
/// a crash in between it is asked again, so that it must not mind being asked twice.
pub trait OnErased: Debug + Send + Sync {
    /// What reports call it, in 1 to 64 bytes: `search index`.
    fn name(&self) -> &str;

    /// Forgets what was derived. Gives whether that is done: what it couldn't forget, it says so of.
    fn erased(&self, erased: &Erased<'_>) -> bool;
}

/// What was shredded.
#[derive(Debug)]
pub struct Erased<'e> {
    intent: u64,
    keys: &'e [KeyId],
    reader: Reader,
}

impl<'e> Erased<'e> {
    /// Sequence of the event that demanded it.
    #[must_use]
    pub fn intent(&self) -> u64 {
        self.intent
    }

    /// Ids of the keys that are gone.
    #[must_use]
    pub fn keys(&self) -> &'e [[u8; 16]] {
        self.keys
    }

    /// Reads the journal, in which all of it is shredded already.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Whether anything of an event's payload is gone with it.
    #[must_use]
    pub fn covers(&self, event: &Event) -> bool {
        key_ids(event).iter().any(|id| self.keys.contains(id))
    }
}

/// Asks everybody, and gives what they said.
pub(super) fn tell(
    derived: &[Arc<dyn OnErased>],
    shared: &Arc<Shared>,
    intent: u64,
    keys: &[KeyId],
) -> Vec<(String, bool)> {
    let ask = |one: &Arc<dyn OnErased>| {
        let erased = Erased {
            intent,
            keys,
            reader: Reader {
                shared: Arc::clone(shared),
            },
        };
        (one.name().to_owned(), one.erased(&erased))
    };
    derived.iter().map(ask).collect()
}
