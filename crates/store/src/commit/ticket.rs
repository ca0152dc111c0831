use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{BatchReceipt, Writer, batch::Batch, waiting::GroupCell};
use crate::{Error, Misuse};

/// An append that has its place and isn't durable yet, or one whose answer rests on such an event.
///
/// [`wait`](Self::wait) for it, or await it: it is a future of no runtime. One that is dropped is made
/// durable all the same, only nobody hears of it.
///
/// ```
/// use factlog::{Journal, NewEvent};
///
/// let journal = Journal::in_memory()?;
/// let tickets: Vec<_> = (0..100)
///     .map(|_| journal.submit(&[NewEvent::new("bank", "account-7", "account.opened")]))
///     .collect::<Result<_, _>>()?;
/// for ticket in tickets {
///     ticket.wait()?; // durable from here on
/// }
/// # Ok::<(), factlog::Error>(())
/// ```
#[must_use = "nobody hears whether it became durable"]
pub struct Ticket<'j> {
    writer: &'j Writer,
    /// `None` once the future has given its answer.
    pending: Option<Pending>,
}

/// An append whose answer isn't certain yet.
pub(crate) enum Pending {
    /// All of it was durable before.
    Known(BatchReceipt),
    /// It has its place in a group.
    Ordered { group: Arc<GroupCell>, batch: Batch },
    /// It hasn't, and the answer rests on events of a group that isn't durable yet, or of none.
    Decided {
        group: Option<Arc<GroupCell>>,
        answer: Answer,
        batch: Batch,
    },
}

/// What an append comes to that was given no place.
pub(crate) enum Answer {
    /// Events of the batch were in the journal before: their sequences, in order.
    Known(Vec<Option<u64>>),
    Refused(Error),
}

impl Pending {
    /// The group that has to end first.
    fn group(&self) -> Option<&Arc<GroupCell>> {
        match self {
            Self::Known(_) => None,
            Self::Ordered { group, .. } => Some(group),
            Self::Decided { group, .. } => group.as_ref(),
        }
    }

    /// Whether nothing has to be waited for.
    fn is_ready(&self) -> bool {
        self.group().is_none_or(|group| group.has_ended())
    }
}

impl<'j> Ticket<'j> {
    pub(crate) fn new(writer: &'j Writer, pending: Pending) -> Self {
        Self {
            writer,
            pending: Some(pending),
        }
    }

    /// Waits until it is durable.
    ///
    /// # Errors
    /// As [`Journal::append`](crate::Journal::append).
    pub fn wait(mut self) -> Result<BatchReceipt, Error> {
        self.answer()
    }

    fn answer(&mut self) -> Result<BatchReceipt, Error> {
        let pending = self.pending.take().ok_or(Misuse::TicketSpent)?;
        self.writer.finish(None, pending)
    }

    /// Whether [`wait`](Self::wait) would answer at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pending.as_ref().is_none_or(Pending::is_ready)
    }
}

impl Future for Ticket<'_> {
    type Output = Result<BatchReceipt, Error>;

    /// Gives the answer once; polled again after that, it gives an error.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let group = self.pending.as_ref().and_then(Pending::group);
        if group.is_some_and(|group| !group.poll(context)) {
            return Poll::Pending;
        }
        // Its group has ended, so that nothing waits.
        Poll::Ready(self.answer())
    }
}

impl fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}
