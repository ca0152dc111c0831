use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    super::Ended,
    Phase, Projection, ProjectionStatus, Retries,
    feed::{Feed, Hub},
    member::{Cell, Member, Seen},
};
use crate::{Error, Misuse, Reader, read::Shared};

/// Keeps projections up to date, on a thread of its own: all that stand at one place with one read of the
/// log.
///
/// One that fails tries again while the others go on; what it is stuck at and why, its lag, and the reason
/// of its end are in [`status`](Self::status). Dropping it stops it as [`stop`](Self::stop) does.
///
/// ```
/// use factlog::{InMemory, Journal, NewEvent, Projector, Query, Retries};
///
/// let journal = Journal::in_memory()?;
/// let opened = Query::all().kind("account.opened");
/// let (count, shown) = InMemory::new("accounts", 1, opened, || 0u64, |count, _event| {
///     *count += 1;
///     Ok(())
/// });
/// let projector = Projector::start(journal.reader(), "views", Retries::new())?;
/// projector.add(count)?;
/// let receipt = journal.append(NewEvent::new("bank", "account-7", "account.opened"))?;
/// assert!(projector.wait_for(receipt.sequence(), std::time::Duration::from_secs(60)));
/// assert_eq!(shown.read(|count, _position| *count), 1);
/// # Ok::<(), factlog::Error>(())
/// ```
pub struct Projector {
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    thread: Option<JoinHandle<()>>,
}

/// How often who waits looks by itself.
const LOOK: Duration = Duration::from_millis(2);

impl Projector {
    /// Starts the thread, without projections yet. Subscriptions are listed by name, and so is this.
    ///
    /// # Errors
    /// [`Error::Io`] if the thread can't be started.
    pub fn start(
        reader: &Reader,
        name: impl Into<String>,
        retries: Retries,
    ) -> Result<Self, Error> {
        let shared = Arc::clone(&reader.shared);
        let hub = Arc::new(Hub::new());
        let mut feed = Feed::new(Arc::clone(&shared), Arc::clone(&hub), name.into(), retries);
        let thread = std::thread::Builder::new().name("factlog-project".to_owned());
        let seen = Arc::clone(&hub);
        let thread = thread.spawn(move || {
            let run = catch_unwind(AssertUnwindSafe(|| feed.run()));
            if run.is_err() {
                // A mistake of ours, or of a query's maker: nobody is left believing that it runs.
                seen.orders.lock().stop = true;
                for cell in seen.cells.lock().iter() {
                    cell.end(Ended::Panicked);
                }
                seen.moved.notify_all();
            }
        });
        let thread = thread.map_err(Error::io("start a thread for", &shared.layout.dir))?;
        Ok(Self {
            shared,
            hub,
            thread: Some(thread),
        })
    }

    /// Adds a projection, which begins where its state says. One of the name of another that runs, and of
    /// a higher version, is built beside it and takes its place once it has come as far.
    ///
    /// # Errors
    /// [`Misuse::Projection`] for one of the name of another that runs and of no higher version, and once
    /// this has ended.
    pub fn add(&self, projection: impl Projection) -> Result<(), Error> {
        let (name, version) = (projection.name().to_owned(), projection.version());
        let query = projection.query();
        let ends = query.until.is_some() || query.limit.is_some() || query.recorded_until.is_some();
        if ends || query.reverse {
            let why = "its query has an end, or goes backwards";
            return Err(Misuse::Projection(why).into());
        }
        let mut orders = self.hub.orders.lock();
        if orders.stop {
            return Err(Misuse::Projection("what would feed it has ended").into());
        }
        let mut cells = self.hub.cells.lock();
        let namesakes = || cells.iter().filter(|cell| cell.name == name);
        let runs = |cell: &&Arc<Cell>| cell.seen.lock().ended.is_none();
        let newest = namesakes().filter(runs).map(|cell| cell.version).max();
        if newest.is_some_and(|newest| newest >= version) {
            let why = "another of its name runs, and its version is not a higher one";
            return Err(Misuse::Projection(why).into());
        }
        let before = namesakes().max_by_key(|cell| cell.version).cloned();
        let member = Member::new(Box::new(projection), before);
        // Of those that have ended, the last says why.
        cells.retain(|cell| cell.name != name || cell.seen.lock().ended.is_none());
        cells.push(Arc::clone(&member.cell));
        orders.added.push(member);
        drop((cells, orders));
        self.hub.rouse();
        Ok(())
    }

    /// How far all of them are, the oldest first; those that have ended too.
    #[must_use]
    pub fn status(&self) -> Vec<ProjectionStatus> {
        let cells = self.hub.cells.lock().clone();
        cells.iter().map(|cell| self.status_of(cell)).collect()
    }

    /// Those that something keeps from going on; none if all is well.
    #[must_use]
    pub fn stuck(&self) -> Vec<ProjectionStatus> {
        let mut status = self.status();
        status.retain(|one| !one.is_healthy());
        status
    }

    /// How a projection stands; what isn't for it, it has passed without being woken.
    fn seen(&self, cell: &Cell) -> Seen {
        let told = self.shared.followers.told();
        let idle = self.hub.is_idle();
        let mut seen = cell.seen.lock().clone();
        if idle && seen.live && seen.trouble.is_none() && seen.ended.is_none() {
            seen.position = seen.position.max(told);
        }
        seen
    }

    fn status_of(&self, cell: &Cell) -> ProjectionStatus {
        let end = self.shared.view.load().proven();
        let seen = self.seen(cell);
        let lag = end.saturating_sub(seen.position);
        let left = seen.began.and_then(|(from, at)| {
            let passed = seen.position.saturating_sub(from);
            (passed > 0).then(|| at.elapsed().mul_f64(lag as f64 / passed as f64))
        });
        let phase = match (seen.ended, seen.trouble) {
            (Some(why), _) => Phase::Ended(why),
            (None, Some((sequence, attempts, why))) => Phase::Retrying {
                sequence,
                attempts,
                why,
            },
            (None, None) if seen.live => Phase::Live,
            (None, None) => Phase::CatchingUp { left },
        };
        ProjectionStatus {
            name: cell.name.clone(),
            version: cell.version,
            position: seen.position,
            lag,
            // An event that can't be read is told of by what it keeps from going on.
            lag_micros: self.shared.waits_since(seen.position).unwrap_or(0),
            applied: seen.applied,
            erased: seen.erased,
            dead_letters: seen.dead_letters,
            failures: seen.failures,
            last_progress: seen.last_progress,
            phase,
        }
    }

    /// Waits until all that run have passed an event, or for so long: for who wants to read what it has
    /// just written. `false`: at least one hasn't, or has ended before.
    #[must_use]
    pub fn wait_for(&self, sequence: u64, most: Duration) -> bool {
        let begun = Instant::now();
        let mut cells = self.hub.cells.lock();
        loop {
            let (mut passed, mut ended) = (true, false);
            for cell in cells.iter() {
                let seen = self.seen(cell);
                let replaced = matches!(seen.ended, Some(Ended::Replaced { .. }));
                passed &= replaced || seen.position > sequence;
                ended |= !replaced && seen.ended.is_some() && seen.position <= sequence;
            }
            let left = most.saturating_sub(begun.elapsed());
            if passed || ended || left.is_zero() {
                return passed;
            }
            // Of events that are for none of them nobody is told.
            cells = self.hub.moved.wait_for(cells, left.min(LOOK));
        }
    }

    /// Stops after the batch that is just being applied, and says how far each came.
    #[must_use]
    pub fn stop(mut self) -> Vec<ProjectionStatus> {
        self.end();
        self.status()
    }

    fn end(&mut self) {
        self.hub.orders.lock().stop = true;
        self.hub.rouse();
        if let Some(thread) = self.thread.take() {
            // A panic in it was seen where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Projector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.hub.cells.lock();
        let names: Vec<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
        f.debug_struct("Projector")
            .field("projections", &names)
            .finish_non_exhaustive()
    }
}
