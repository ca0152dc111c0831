use std::fmt;

use super::{super::CursorFile, Failure, Projection};
use crate::{Ended, Error, EventRef, Query, Reader};

/// A consumer whose effects are somewhere else, with its position in a [`CursorFile`]: each event is
/// handled at least once. It is fed by a [`Projector`](super::Projector), with retries, a budget and dead
/// letters as [`Retries`](super::Retries) say.
///
/// What is handled is kept after every so many events, 64 if nothing else is said, whenever it has caught
/// up, and when it ends. A crash in between has them handled again; a failure hasn't.
///
/// ```
/// use factlog::{Journal, NewEvent, Projector, Query, Retries, Worker};
///
/// let journal = Journal::in_memory()?;
/// let wanted = Query::all().kind("mail.wanted");
/// let mails = Worker::new(journal.reader(), "mails", wanted, |event| {
///     let mail = event.data()?;
///     // Send it, under the event's id, so that its receiver can drop what it has seen.
///     Ok(())
/// })?;
/// let projector = Projector::start(journal.reader(), "workers", Retries::new())?;
/// projector.add(mails)?;
/// # Ok::<(), factlog::Error>(())
/// ```
pub struct Worker<H> {
    cursor: CursorFile,
    query: Query<'static>,
    handler: H,
    batch: u64,
    /// What is handled, and may not be kept yet.
    done: u64,
}

impl<H> Worker<H>
where
    H: FnMut(&EventRef<'_>) -> Result<(), Failure> + Send + 'static,
{
    /// A worker of this name, which goes on where its cursor stands.
    ///
    /// # Errors
    /// As [`Reader::cursor_file`].
    pub fn new(reader: &Reader, name: &str, query: Query<'_>, handler: H) -> Result<Self, Error> {
        let cursor = reader.cursor_file(name)?;
        Ok(Self {
            done: cursor.reached(),
            cursor,
            query: query.into_owned(),
            handler,
            batch: 64,
        })
    }

    /// After how many events it is kept how far it has come, at the latest: as many may be handled again
    /// after a crash, and each time costs two syncs.
    #[must_use]
    pub fn every(self, events: u64) -> Self {
        Self {
            batch: events.max(1),
            ..self
        }
    }
}

impl<H> Projection for Worker<H>
where
    H: FnMut(&EventRef<'_>) -> Result<(), Failure> + Send + 'static,
{
    fn name(&self) -> &str {
        self.cursor.name()
    }

    fn query(&self) -> Query<'static> {
        self.query.clone()
    }

    fn batch(&self) -> u64 {
        self.batch
    }

    fn position(&mut self) -> Result<u64, Failure> {
        Ok(self.done)
    }

    fn apply(&mut self, event: &EventRef<'_>) -> Result<(), Failure> {
        (self.handler)(event)?;
        self.done = event.sequence() + 1;
        Ok(())
    }

    fn commit(&mut self, next: u64) -> Result<(), Failure> {
        self.done = self.done.max(next);
        self.cursor.advance(next).map_err(Failure::later)?;
        Ok(())
    }

    fn keeps_cursor(&self) -> bool {
        true
    }

    /// What was handled stays so.
    fn rollback(&mut self) {}

    fn ended(&mut self, why: &Ended) {
        // Who looks at the file sees then that nobody holds it any more, if not why.
        let _ = self.cursor.advance(self.done);
        let _ = self.cursor.end(why);
    }
}

impl<H> fmt::Debug for Worker<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
