use std::{
    collections::{BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    super::notice::{Notice, name_of},
    Failure, Projection, Retries, dead_letter,
    dead_letter::DeadLetter,
};
use crate::{Ended, Error, EventRef, Query, read::Shared, sync::Mutex};

/// In what time failures count against the budget.
const HOUR: Duration = Duration::from_secs(3_600);
/// A position behind which nothing was applied is committed when it is so many events further.
const LAZY: u64 = 8_192;

/// A projection that is fed, and how it stands.
pub(super) struct Member {
    projection: Box<dyn Projection>,
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) query: Query<'static>,
    pub(super) batch: u64,
    pub(super) cell: Arc<Cell>,
    /// The first event that it hasn't passed; `None` until the state was asked.
    pub(super) position: Option<u64>,
    committed: u64,
    /// How many events of the batch it has applied.
    applied: u64,
    /// The version before, while this one waits to take its place.
    replaces: Option<Arc<Cell>>,
    trouble: Option<Trouble>,
    /// What other processes see of it, once its state was asked for the first time.
    notice: Option<Notice>,
    /// Events that were given up.
    given_up: BTreeSet<u64>,
    failed_at: VecDeque<Instant>,
}

struct Trouble {
    sequence: Option<u64>,
    attempts: u32,
    until: Instant,
}

/// What is seen of a member from outside.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) seen: Mutex<Seen>,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) position: u64,
    pub(super) applied: u64,
    pub(super) erased: u64,
    pub(super) dead_letters: u64,
    pub(super) failures: u64,
    pub(super) last_progress: Option<i64>,
    /// Where it began, and when.
    pub(super) began: Option<(u64, Instant)>,
    pub(super) live: bool,
    /// Event, attempts and reason of a failure that isn't overcome.
    pub(super) trouble: Option<(Option<u64>, u32, String)>,
    pub(super) ended: Option<Ended>,
}

impl Cell {
    fn new(name: String, version: u32) -> Self {
        let seen = Seen {
            position: 0,
            applied: 0,
            erased: 0,
            dead_letters: 0,
            failures: 0,
            last_progress: None,
            began: None,
            live: false,
            trouble: None,
            ended: None,
        };
        Self {
            name,
            version,
            seen: Mutex::new(seen),
        }
    }

    pub(super) fn end(&self, why: Ended) {
        self.seen.lock().ended.get_or_insert(why);
    }
}

/// Calls code of others, and makes a failure of a panic.
fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let why = format!("it panicked: {}", text.unwrap_or_default());
        Err(Failure::Event(why.into()))
    })
}

impl Member {
    pub(super) fn new(projection: Box<dyn Projection>, replaces: Option<Arc<Cell>>) -> Self {
        let (name, version) = (projection.name().to_owned(), projection.version());
        Self {
            query: projection.query(),
            batch: projection.batch().max(1),
            cell: Arc::new(Cell::new(name.clone(), version)),
            projection,
            name,
            version,
            position: None,
            committed: 0,
            applied: 0,
            replaces,
            trouble: None,
            notice: None,
            given_up: BTreeSet::new(),
            failed_at: VecDeque::new(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.cell.seen.lock().ended.is_some()
    }

    /// When it is to be tried again; `None` if nothing keeps it from going on.
    pub(super) fn pauses_until(&self) -> Option<Instant> {
        self.trouble.as_ref().map(|trouble| trouble.until)
    }

    /// Lets other processes see how it stands; gives the time at which that is to be done again.
    pub(super) fn keep_notice(&mut self, shared: &Arc<Shared>, now: Instant) -> Option<Instant> {
        let seen = self.cell.seen.lock().clone();
        if self.projection.keeps_cursor() || seen.began.is_none() || seen.ended.is_some() {
            return None;
        }
        let (name, version) = (&self.name, self.version);
        let new = || Notice::new(name_of(name, &format!(".v{version}")));
        let notice = self.notice.get_or_insert_with(new);
        let trouble = seen.trouble.map(|(_, _, why)| why);
        notice.moved(seen.position, seen.last_progress, trouble.as_deref());
        notice.keep(shared, now)
    }

    /// Where it goes on, if it can now.
    pub(super) fn ready(&mut self, now: Instant, retries: &Retries) -> Option<u64> {
        if self.has_ended() || self.pauses_until().is_some_and(|until| until > now) {
            return None;
        }
        if self.position.is_none() {
            match guarded(|| self.projection.position()) {
                Ok(position) => {
                    let position = position.max(self.query.from);
                    self.position = Some(position);
                    self.committed = position;
                    self.applied = 0;
                    let mut seen = self.cell.seen.lock();
                    seen.position = position;
                    seen.began.get_or_insert((position, now));
                }
                Err(Failure::Event(why) | Failure::Later(why)) => {
                    self.fail(Failure::Later(why), None, retries);
                }
            }
        }
        self.position
    }

    /// Whether an event is for it, where several are fed with one read.
    pub(super) fn takes(&self, event: &EventRef<'_>, dead_letters: bool) -> Result<bool, Error> {
        let Some(facts) = event.facts()? else {
            return Ok(self.query.takes_stub(false));
        };
        let own = dead_letters && dead_letter::is_own(&facts, &self.name);
        let in_time = self.query.takes_time(event.recorded_at());
        Ok(!own && in_time && self.query.takes_facts(&facts))
    }

    /// Applies an event. `false`: it is out of this batch.
    pub(super) fn apply(&mut self, event: &EventRef<'_>, retries: &Retries) -> bool {
        let sequence = event.sequence();
        if self.given_up.contains(&sequence) {
            return true;
        }
        let erased = event.is_erased() || event.is_shredded();
        let applied = guarded(|| match erased {
            true => self.projection.erased(event),
            false => self.projection.apply(event),
        });
        match applied {
            Ok(()) => {
                self.applied += 1;
                let mut seen = self.cell.seen.lock();
                seen.applied += u64::from(!erased);
                seen.erased += u64::from(erased);
                true
            }
            Err(failure) => {
                let id = event.facts().ok().flatten();
                let id = id.map(|facts| Uuid::from_bytes(facts.event_id));
                self.fail(failure.sorted(), Some((sequence, id)), retries);
                false
            }
        }
    }

    /// Ends a batch before `next`. `true`: it has taken the place of the version before.
    pub(super) fn commit(&mut self, next: u64, end: u64, now: i64, retries: &Retries) -> bool {
        let before = self.replaces.as_ref();
        let activates = before.is_some_and(|before| next >= before.seen.lock().position);
        let far = next.saturating_sub(self.committed) >= LAZY;
        if self.applied > 0 || far || activates {
            let committed = guarded(|| {
                if activates {
                    self.projection.activate()?;
                }
                self.projection.commit(next)
            });
            if let Err(Failure::Event(why) | Failure::Later(why)) = committed {
                // No event is to blame.
                self.fail(Failure::Later(why), None, retries);
                return false;
            }
            self.committed = next;
            self.applied = 0;
            self.given_up = self.given_up.split_off(&next);
            self.cell.seen.lock().last_progress = Some(now);
        }
        self.pass(next, end);
        self.replaces.take_if(|_| activates);
        activates
    }

    /// Notes that there is nothing for it before `next`, in a journal that goes up to `end`.
    fn pass(&mut self, next: u64, end: u64) {
        self.position = Some(next);
        let behind = |trouble: &Trouble| trouble.sequence.is_some_and(|at| at >= next);
        if !self.trouble.as_ref().is_some_and(behind) {
            self.trouble = None;
        }
        let mut seen = self.cell.seen.lock();
        seen.position = next;
        seen.live |= next >= end;
        if self.trouble.is_none() {
            seen.trouble = None;
        }
    }

    /// Rolls back, and decides how it goes on.
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        event: Option<(u64, Option<Uuid>)>,
        retries: &Retries,
    ) {
        let _ = guarded(|| {
            self.projection.rollback();
            Ok(())
        });
        self.position = None;
        self.applied = 0;
        let now = Instant::now();
        let why = failure.to_string();
        let sequence = event.map(|(sequence, _)| sequence);
        let before = self.trouble.take();
        let before = before.filter(|before| before.sequence == sequence);
        let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
        self.cell.seen.lock().failures += 1;
        let mut until = now + retries.pause(attempts);
        if let (Failure::Event(_), Some((sequence, id))) = (&failure, event) {
            while self.failed_at.front().is_some_and(|at| now - *at > HOUR) {
                self.failed_at.pop_front();
            }
            self.failed_at.push_back(now);
            let failures = self.failed_at.len();
            if failures > retries.budget {
                self.end(Ended::BudgetSpent { failures, why });
                return;
            }
            if attempts >= retries.attempts {
                let letter = DeadLetter {
                    sequence,
                    attempts,
                    error: &why,
                    name: &self.name,
                    id,
                };
                match retries
                    .dead_letters
                    .as_ref()
                    .map(|journal| letter.write(journal))
                {
                    None => {
                        self.end(Ended::GaveUp {
                            sequence,
                            attempts,
                            why,
                        });
                        return;
                    }
                    Some(Ok(())) => {
                        self.given_up.insert(sequence);
                        self.cell.seen.lock().dead_letters += 1;
                        until = now;
                    }
                    // It is tried again, and then written down.
                    Some(Err(_)) => {}
                }
            }
        }
        self.cell.seen.lock().trouble = Some((sequence, attempts, why));
        self.trouble = Some(Trouble {
            sequence,
            attempts,
            until,
        });
    }

    /// Ends it, with what it has applied committed if that can be done.
    pub(super) fn finish(&mut self, why: Ended) {
        if self.has_ended() {
            return;
        }
        if let Some(position) = self.position.filter(|position| *position > self.committed) {
            let committed = guarded(|| self.projection.commit(position));
            if committed.is_err() {
                let _ = guarded(|| {
                    self.projection.rollback();
                    Ok(())
                });
                self.cell.seen.lock().position = self.committed;
            }
        }
        self.end(why);
    }

    pub(super) fn end(&mut self, why: Ended) {
        let _ = guarded(|| {
            self.projection.ended(&why);
            Ok(())
        });
        if let Some(notice) = &mut self.notice {
            let seen = self.cell.seen.lock().clone();
            notice.moved(seen.position, seen.last_progress, None);
            notice.end(&why);
        }
        self.cell.end(why);
    }
}
