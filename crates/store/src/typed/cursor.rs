use factlog_format::Encoding;
use serde::{Deserialize, Serialize};

use crate::{BatchReceipt, Error, Event, Expect, Journal, Misuse, NewEvent, Payload, Query};

/// The kind of the events that a cursor is made of.
const MOVED: &str = "cursor.moved";

/// How far a consumer has come in a journal, kept in that journal: a consumer appends what it makes of
/// the events and moves its cursor in one commit, so that after a crash it goes on with exactly the events
/// of which nothing was made.
///
/// ```
/// # use factlog::{Journal, NewEvent, Query};
/// let journal = Journal::in_memory()?;
/// journal.append(NewEvent::new("shop", "order-1", "order.placed"))?;
///
/// let mut cursor = journal.cursor("consumers", "invoices")?;
/// for order in cursor.read(Query::all().kind("order.placed")) {
///     let order = order?;
///     let invoice = NewEvent::new("shop", "invoice-1", "invoice.written");
///     cursor.advance(order.sequence() + 1, &[invoice])?;
/// }
/// # Ok::<(), factlog::Error>(())
/// ```
#[derive(Debug)]
pub struct Cursor<'j> {
    journal: &'j Journal,
    scope: String,
    name: String,
    next: u64,
    revision: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Moved {
    next: u64,
}

impl Journal {
    /// The cursor of a consumer: the stream `name` in `scope`, which holds nothing else. A new one stands
    /// at the journal's beginning.
    ///
    /// # Errors
    /// [`Misuse::Unreadable`] if the stream's last event is no cursor's, or what reading it comes to.
    pub fn cursor(
        &self,
        scope: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<Cursor<'_>, Error> {
        let mut cursor = Cursor {
            journal: self,
            scope: scope.into(),
            name: name.into(),
            next: 0,
            revision: None,
        };
        cursor.reload()?;
        Ok(cursor)
    }
}

impl Cursor<'_> {
    /// The sequence of the first event that it hasn't passed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The events that a query takes from the cursor's position on, as they are durable now; without the
    /// events that cursors are made of.
    pub fn read(&self, query: Query<'_>) -> impl Iterator<Item = Result<Event, Error>> + use<> {
        let from = self.next.max(query.from);
        let events = self.journal.reader().read(query.from(from));
        events.filter(|event| {
            let event = event.as_ref().ok().and_then(Event::facts);
            event.is_none_or(|facts| facts.kind != MOVED)
        })
    }

    /// Appends what was made of the events before `next`, and moves there, in one commit: both are durable
    /// when this returns, or neither ever is.
    ///
    /// # Errors
    /// [`Conflict::Expectation`](crate::Conflict::Expectation) if another consumer has moved the cursor:
    /// [`reload`](Self::reload) it. [`Misuse::Condition`] for a position that isn't ahead, or past the
    /// journal's end. Else as [`Journal::append`].
    pub fn advance(&mut self, next: u64, results: &[NewEvent<'_>]) -> Result<BatchReceipt, Error> {
        if next <= self.next || next > self.journal.reader().len() {
            let why = "a cursor moves forward, and no further than the journal goes";
            return Err(Misuse::Condition(why).into());
        }
        let moved = NewEvent::new(self.scope.clone(), self.name.clone(), MOVED)
            .payload(Payload::encoded(Encoding::Json, &Moved { next })?)
            .expect(self.revision.map_or(Expect::NoStream, Expect::Revision));
        let mut batch = results.to_vec();
        batch.push(moved);
        let receipts = self.journal.append_batch(&batch)?;
        self.next = next;
        self.revision = Some(self.revision.map_or(0, |revision| revision + 1));
        Ok(receipts)
    }

    /// Goes where the journal says that the cursor stands.
    ///
    /// # Errors
    /// As [`Journal::cursor`].
    pub fn reload(&mut self) -> Result<(), Error> {
        let query = Query::stream(&*self.scope, &*self.name).reverse().limit(1);
        let Some(last) = self.journal.reader().read(query).next().transpose()? else {
            return Ok(());
        };
        let ours = last.facts().is_some_and(|facts| facts.kind == MOVED);
        let data = last.data().filter(|_| ours);
        let Some(moved) = data
            .map(|data| data.decode::<Moved>())
            .transpose()?
            .flatten()
        else {
            let detail = "it is not one that moves a cursor".to_owned();
            let sequence = last.sequence();
            return Err(Misuse::Unreadable { sequence, detail }.into());
        };
        self.next = moved.next;
        self.revision = Some(last.revision());
        Ok(())
    }
}
