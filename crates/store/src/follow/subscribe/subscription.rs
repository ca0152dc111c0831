use std::{
    fmt,
    iter::FusedIterator,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use futures_core::{Stream, stream::FusedStream};

use super::{
    super::Ended,
    interest::Interest,
    notices,
    slot::{News, Slot},
};
use crate::{
    Error, Event, Misuse, Query, Reader,
    read::{Events, Shared},
};

/// What a subscription gives: each event that its query takes, in the order of their sequences, each
/// once, and what an erasure or a shred left of one in its place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivered {
    /// An event as it was appended.
    Event(Event),
    /// What an erasure left of an event: its place, and its facts if they were spared.
    Erased(Event),
    /// An event of which the key of a section was destroyed: its facts, and what isn't sealed under that key.
    Shredded(Event),
}

impl Delivered {
    fn of(event: Event) -> Self {
        match event.is_stub() {
            true => Self::Erased(event),
            false if event.is_shredded() => Self::Shredded(event),
            false => Self::Event(event),
        }
    }

    /// Place in the journal.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.event().sequence()
    }

    /// The event, or what is left of it.
    #[must_use]
    pub fn event(&self) -> &Event {
        match self {
            Self::Event(event) | Self::Erased(event) | Self::Shredded(event) => event,
        }
    }

    /// The event, or what is left of it.
    #[must_use]
    pub fn into_event(self) -> Event {
        match self {
            Self::Event(event) | Self::Erased(event) | Self::Shredded(event) => event,
        }
    }
}

/// How far a subscription is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// Its name; empty if it was given none.
    pub name: String,
    /// One past the last event that was given or that it doesn't take.
    pub position: u64,
    /// How many events of the journal, whatever they are, it hasn't passed.
    pub lag: u64,
    /// How many events it has given.
    pub delivered: u64,
    /// When it gave one last, in microseconds since 1970-01-01 UTC.
    pub last_progress: Option<i64>,
    /// Why it ended, or is about to once it has given what is durable.
    pub ended: Option<Ended>,
}

impl Reader {
    /// The events that a query takes: those that are durable, and then each as it becomes so, until the
    /// query's end if it has one. [`Query::from`] and [`Query::recorded_from`] say where it begins.
    ///
    /// It reads from the log whatever it gives, a buffer at a time, so that one that is slow costs
    /// nobody anything and misses nothing. While there is nothing for it, it does nothing: it is woken by
    /// events that have the stream, the kind or a tag of its query. Asked for by scope or category alone,
    /// it is woken by every group.
    ///
    /// In a process that doesn't write the journal, a thread looks for news while there are
    /// subscriptions: after 2 ms, and while nothing comes after twice as long each time, up to 100 ms.
    ///
    /// ```
    /// use factlog::{Journal, NewEvent, Query};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.append(NewEvent::new("bank", "account-7", "account.opened"))?;
    /// let mut opened = journal.reader().subscribe(Query::all().kind("account.opened"))?;
    /// assert_eq!(opened.next().unwrap().unwrap().sequence(), 1);
    /// journal.append(NewEvent::new("bank", "account-8", "account.opened"))?;
    /// assert_eq!(opened.next().unwrap().unwrap().sequence(), 2);
    /// # Ok::<(), factlog::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse::Subscription`] for a query that runs backwards; [`Error::Io`] if the thread can't be
    /// started, or what finding the place to begin at comes to.
    pub fn subscribe(&self, query: Query<'_>) -> Result<Subscription, Error> {
        let name = String::new();
        Subscription::new(&self.shared, name, query.into_owned(), false)
    }

    /// As [`subscribe`](Self::subscribe), with a name under which [`subscriptions`](Self::subscriptions)
    /// shows it, and under which other processes see it: while it moves, a thread writes about once a second
    /// how far it is to a file in the journal's directory, where that can be written, and when it ends it
    /// says why. [`cursor_files`](Self::cursor_files) and `factlog stats` show it there as `NAME.sub`.
    /// Nothing goes on from that file.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_as(
        &self,
        name: impl Into<String>,
        query: Query<'_>,
    ) -> Result<Subscription, Error> {
        Subscription::new(&self.shared, name.into(), query.into_owned(), true)
    }

    /// All subscriptions to this journal in this process, the oldest first.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        let shared = &self.shared;
        let told = shared.followers.told();
        let slots = shared.followers.slots();
        slots
            .iter()
            .map(|slot| status(shared, slot, told))
            .collect()
    }
}

pub(super) fn status(shared: &Shared, slot: &Slot, told: u64) -> SubscriptionStatus {
    let end = shared.view.load().durable;
    let position = slot.position.load(Relaxed);
    let (idle, ended) = slot.standing();
    // Who has looked at all that it was told, takes nothing of what came since.
    let position = if idle { position.max(told) } else { position };
    let last_progress = slot.last_progress.load(Relaxed);
    SubscriptionStatus {
        name: slot.name.clone(),
        position,
        lag: end.saturating_sub(position),
        delivered: slot.delivered.load(Relaxed),
        last_progress: (last_progress != i64::MIN).then_some(last_progress),
        ended,
    }
}

/// Events as they become durable: see [`Reader::subscribe`].
///
/// A blocking iterator and a [`Stream`] of no runtime; what it reads, it reads from files on the thread
/// that asks. An end that somebody wanted is `None`, any other an error first; [`ended`](Self::ended)
/// says why in either case.
pub struct Subscription {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    interest: Interest,
    query: Query<'static>,
    /// What is being read.
    events: Option<Box<Events>>,
    /// Where that ends.
    reading_to: u64,
    /// One past the last event that was given or passed.
    next: u64,
    /// How many events may still be given.
    left: u64,
    ended: Option<Ended>,
    /// Whether whoever reads has been told of the end.
    said: bool,
}

/// What looking for the next event comes to.
enum Step {
    Given(Box<Event>),
    Ended,
    Nothing,
}

impl Subscription {
    /// Other processes see it if it is to be `shown`.
    pub(in crate::follow) fn new(
        shared: &Arc<Shared>,
        name: String,
        query: Query<'static>,
        shown: bool,
    ) -> Result<Self, Error> {
        if query.reverse {
            let why = "a subscription goes forward, and its query backwards";
            return Err(Misuse::Subscription(why).into());
        }
        if query.recorded_until.is_some() {
            let why =
                "a subscription has no end in time; stop it, or name the sequence at which it ends";
            return Err(Misuse::Subscription(why).into());
        }
        let interest = Interest::of(&query);
        let next = query.from;
        let followers = &shared.followers;
        let slot = followers.register(shared, name, next, &interest, shown)?;
        let mut subscription = Self {
            shared: Arc::clone(shared),
            slot,
            interest,
            next,
            left: query.limit.unwrap_or(u64::MAX),
            query: Query {
                limit: None,
                ..query
            },
            events: None,
            reading_to: 0,
            ended: None,
            said: false,
        };
        if let Some(from) = subscription.query.recorded_from {
            let view = shared.view.load_full();
            let first = shared.first_recorded_from(&view, 0..view.durable, from)?;
            subscription.pass(first);
        }
        subscription.read_from(subscription.next);
        Ok(subscription)
    }

    /// One past the last event that was given, or that it doesn't take: where another would begin that
    /// goes on where this one stands.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.next
    }

    /// Why it has ended; `None` while it hasn't.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> SubscriptionStatus {
        let mut status = status(&self.shared, &self.slot, self.shared.followers.told());
        status.ended = self.ended.clone().or(status.ended);
        status
    }

    /// Stops this subscription from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.slot))
    }

    /// The next event if there is one now; `None` if there isn't, or if it has ended. What was appended a
    /// moment ago may be told of a moment later: [`next`](Iterator::next) waits for it.
    ///
    /// # Errors
    /// The end, if nobody wanted it; once.
    pub fn try_next(&mut self) -> Result<Option<Delivered>, Ended> {
        match self.step() {
            Step::Given(event) => Ok(Some(Delivered::of(*event))),
            Step::Ended => self.say_end().map_or(Ok(None), Err),
            Step::Nothing => Ok(None),
        }
    }

    /// As [`next`](Iterator::next), waiting for no longer than so long; `None` if there was none until
    /// then, or if it has ended.
    ///
    /// # Errors
    /// The end, if nobody wanted it; once.
    pub fn next_within(&mut self, most: Duration) -> Result<Option<Delivered>, Ended> {
        match self.step() {
            Step::Nothing => {
                self.slot.wait(Some(most));
                self.try_next()
            }
            Step::Given(event) => Ok(Some(Delivered::of(*event))),
            Step::Ended => self.say_end().map_or(Ok(None), Err),
        }
    }

    /// How many events of the journal are durable.
    pub(in crate::follow) fn journal_end(&self) -> u64 {
        self.shared.view.load().proven()
    }

    /// Has a task woken once there is something to look at. `true`: there is already.
    pub(in crate::follow) fn is_woken(&self, context: &Context<'_>) -> bool {
        self.slot.poll(context)
    }

    /// The end, the first time it is asked for and if nobody wanted it.
    fn say_end(&mut self) -> Option<Ended> {
        let first = !std::mem::replace(&mut self.said, true);
        self.ended
            .clone()
            .filter(|ended| first && !ended.is_wanted())
    }

    fn step(&mut self) -> Step {
        loop {
            if self.ended.is_some() {
                return Step::Ended;
            }
            let is_over = self.query.until.is_some_and(|until| self.next >= until);
            if self.left == 0 || is_over {
                return self.end(Ended::Complete);
            }
            if let Some(events) = &mut self.events {
                if self.slot.is_stopped() {
                    return self.end(Ended::Stopped);
                }
                match events.next() {
                    Some(Ok(event)) => {
                        self.given(&event);
                        return Step::Given(Box::new(event));
                    }
                    Some(Err(error)) => return self.end(Ended::ReadFailed(Arc::new(error))),
                    None => {
                        self.pass(self.reading_to);
                        self.events = None;
                        continue;
                    }
                }
            }
            // Before the look: what was told until here, the look sees.
            let told = self.shared.followers.told();
            match self.slot.look() {
                News::From(first) => self.read_from(first),
                News::Ended(ended) => return self.end(ended),
                News::None => {
                    self.pass(told);
                    self.slot.is_waiting();
                    return Step::Nothing;
                }
            }
        }
    }

    fn given(&mut self, event: &Event) {
        self.left -= 1;
        self.pass(event.sequence() + 1);
        let slot = &self.slot;
        slot.delivered.fetch_add(1, Relaxed);
        let now = self.shared.followers.now_micros();
        slot.last_progress.store(now, Relaxed);
        if slot.notice.is_some() {
            self.shared.followers.notices.touch();
        }
    }

    fn pass(&mut self, next: u64) {
        // A query's end is not passed, whatever has come behind it.
        let next = next.min(self.query.until.unwrap_or(u64::MAX));
        self.next = self.next.max(next);
        self.slot.position.store(self.next, Relaxed);
    }

    /// Reads what is durable now, from a sequence on before which there is nothing for it.
    fn read_from(&mut self, first: u64) {
        self.next = self.next.max(first);
        let view = self.shared.view.load_full();
        // What nothing calls durable yet may be gone with the next open.
        self.reading_to = view.proven();
        let until = self.query.until.unwrap_or(u64::MAX).min(self.reading_to);
        let query = self.query.clone().from(self.next).until(until);
        let events = Events::new(Arc::clone(&self.shared), view, query);
        self.events = Some(Box::new(events));
    }

    fn end(&mut self, ended: Ended) -> Step {
        self.slot.end(ended.clone()).wake();
        notices::end(&self.shared, &self.slot, &ended);
        self.ended = Some(ended);
        self.events = None;
        Step::Ended
    }
}

impl Iterator for Subscription {
    type Item = Result<Delivered, Ended>;

    /// Waits for the next event.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Step::Given(event) => return Some(Ok(Delivered::of(*event))),
                Step::Ended => return self.say_end().map(Err),
                Step::Nothing => self.slot.wait(None),
            }
        }
    }
}

impl FusedIterator for Subscription {}

impl Stream for Subscription {
    type Item = Result<Delivered, Ended>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.step() {
                Step::Given(event) => return Poll::Ready(Some(Ok(Delivered::of(*event)))),
                Step::Ended => return Poll::Ready(self.say_end().map(Err)),
                Step::Nothing => {
                    if !self.slot.poll(context) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl FusedStream for Subscription {
    fn is_terminated(&self) -> bool {
        self.said
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let why = match std::thread::panicking() {
                true => Ended::Panicked,
                false => self.slot.standing().1.unwrap_or(Ended::Stopped),
            };
            notices::end(&self.shared, &self.slot, &why);
        }
        let followers = &self.shared.followers;
        followers.unregister(&self.slot, &self.interest);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.slot.name)
            .field("position", &self.next)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Stops a subscription: see [`Subscription::stopper`].
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Slot>);

impl Stopper {
    /// Stops it after the event that it is just giving.
    pub fn stop(&self) {
        self.0.end(Ended::Stopped).wake();
    }
}
