use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        Ended,
        subscribe::{Interest, News, Slot},
    },
    Failure, Retries,
    member::{Cell, Member},
};
use crate::{
    Error, Query,
    read::{Events, Shared},
    sync::{Condvar, Mutex},
};

/// So many sequences are read in one go.
const SPAN: u64 = 16_384;
/// How long a turn lasts: as many batches as go into it, and at least one, cut short where its events take long.
const TURN: Duration = Duration::from_millis(50);
/// After how many events it is looked how long it took.
const LOOK_EVERY: u64 = 16;

/// What the thread that feeds and those who look at it share.
pub(super) struct Hub {
    pub(super) orders: Mutex<Orders>,
    pub(super) cells: Mutex<Vec<Arc<Cell>>>,
    /// Told whenever a projection has moved or ended.
    pub(super) moved: Condvar,
    slot: Mutex<Option<Arc<Slot>>>,
}

impl Hub {
    /// Whether the thread waits, and has seen to all that it was told.
    pub(super) fn is_idle(&self) -> bool {
        let slot = self.slot.lock();
        slot.as_ref().is_some_and(|slot| slot.standing().0)
    }
}

#[derive(Default)]
pub(super) struct Orders {
    pub(super) added: Vec<Member>,
    pub(super) stop: bool,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            orders: Mutex::new(Orders::default()),
            cells: Mutex::default(),
            moved: Condvar::default(),
            slot: Mutex::default(),
        }
    }

    /// Has the thread look at its orders.
    pub(super) fn rouse(&self) {
        let slot = self.slot.lock().clone();
        if let Some(slot) = slot {
            slot.tell(u64::MAX).wake();
        }
    }

    /// Whoever waits looks under this lock, so that nobody sleeps through a move.
    fn tell_moved(&self) {
        drop(self.cells.lock());
        self.moved.notify_all();
    }
}

/// Feeds projections, all that stand at one place with one read.
///
/// Those that are behind have their turn after those that are ahead, a span each, until they meet: so a
/// new version is built beside the one that runs, and a part that fails keeps none of the others waiting.
pub(super) struct Feed {
    pub(super) shared: Arc<Shared>,
    pub(super) hub: Arc<Hub>,
    pub(super) name: String,
    pub(super) retries: Retries,
    members: Vec<Member>,
    place: Option<(Arc<Slot>, Interest)>,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, hub: Arc<Hub>, name: String, retries: Retries) -> Self {
        Self {
            shared,
            hub,
            name,
            retries,
            members: Vec::new(),
            place: None,
        }
    }

    /// Feeds until it is told to stop, or until nothing more can come.
    pub(super) fn run(&mut self) {
        loop {
            match self.take_orders() {
                Ok(false) => {}
                Ok(true) => return self.finish(&Ended::Stopped),
                Err(error) => return self.finish(&Ended::ReadFailed(Arc::new(error))),
            }
            let news = match &self.place {
                Some((slot, _)) => slot.look(),
                None => News::None,
            };
            if self.turn() {
                self.hub.tell_moved();
                self.keep_notices();
                if let News::Ended(why) = news {
                    // Told before the last of it was applied.
                    self.end_once_done(why);
                }
                continue;
            }
            match news {
                News::From(_) => {}
                News::Ended(why) => return self.finish(&why),
                News::None => self.rest(),
            }
        }
    }

    /// The end is looked at again once there is nothing more to apply.
    fn end_once_done(&self, why: Ended) {
        if let Some((slot, _)) = &self.place {
            slot.end(why).wake();
        }
    }

    /// Takes in what was added. `true`: it is to stop.
    fn take_orders(&mut self) -> Result<bool, Error> {
        loop {
            let mut orders = self.hub.orders.lock();
            let (added, stop) = (std::mem::take(&mut orders.added), orders.stop);
            drop(orders);
            if stop || (added.is_empty() && self.place.is_some()) {
                return Ok(stop);
            }
            self.members.extend(added);
            // Orders are looked at again once there is a place at which their givers ring.
            self.register()?;
        }
    }

    /// Asks to be told of what any of them wants.
    fn register(&mut self) -> Result<(), Error> {
        let interest = match self.union(|_| true) {
            Some(query) => Interest::of(&query),
            None => Interest::none(),
        };
        let (followers, name) = (&self.shared.followers, self.name.clone());
        let slot = followers.register(&self.shared, name, 0, &interest, false)?;
        *self.hub.slot.lock() = Some(Arc::clone(&slot));
        self.leave();
        self.place = Some((slot, interest));
        Ok(())
    }

    fn leave(&mut self) {
        if let Some((slot, interest)) = self.place.take() {
            self.shared.followers.unregister(&slot, &interest);
        }
    }

    /// What any of those members wants.
    fn union(&self, of: impl Fn(&Member) -> bool) -> Option<Query<'static>> {
        let wanted = self.members.iter().filter(|member| of(member));
        let mut queries = wanted.map(|member| member.query.clone());
        let first = queries.next()?;
        Some(queries.fold(first, Query::or_all_of))
    }

    /// Gives everybody who can go on a span of what there is. `false`: there was nothing for anybody.
    fn turn(&mut self) -> bool {
        let end = self.shared.view.load().proven();
        let now = Instant::now();
        let mut places: Vec<u64> = Vec::new();
        for member in &mut self.members {
            places.extend(member.ready(now, &self.retries).filter(|at| *at < end));
        }
        places.sort_unstable();
        places.dedup();
        if let Some((slot, _)) = self.place.as_ref().filter(|_| !places.is_empty()) {
            // It may have come here because a pause is over, with no news.
            slot.is_busy();
        }
        // Those ahead first: they have the least to do.
        for (at, from) in places.iter().enumerate().rev() {
            // Who comes to where another stands goes on with it.
            let until = places.get(at + 1).copied().unwrap_or(end);
            let ends = Instant::now() + TURN;
            let mut from = *from;
            while let Some(next) = self.span(from, until.min(from + SPAN), ends)
                && next < until
                && Instant::now() < ends
            {
                from = next;
            }
        }
        // What has ended holds on to nothing any more.
        self.members.retain(|member| !member.has_ended());
        !places.is_empty()
    }

    /// Applies the events of a range to all who stand at its beginning, and has them commit; until it ends, a
    /// batch is full, or the turn is over. Gives how far that went, unless nobody stands there.
    fn span(&mut self, from: u64, mut until: u64, ends: Instant) -> Option<u64> {
        let mut chosen: Vec<usize> = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            if member.position == Some(from) && !member.has_ended() {
                chosen.push(at);
            }
        }
        let alone = chosen.len() == 1 && self.retries.dead_letters.is_none();
        let here = |member: &Member| member.position == Some(from) && !member.has_ended();
        let query = self.union(here)?;
        let view = self.shared.view.load_full();
        let query = query.from(from).until(until);
        let mut events = Events::new(Arc::clone(&self.shared), view, query);
        let letters = self.retries.dead_letters.is_some();
        let batches = chosen.iter().filter_map(|at| self.members.get(*at));
        let mut left = batches.map(|member| member.batch).min().unwrap_or(SPAN);
        let mut passed = 0u64;
        while !chosen.is_empty() {
            let event = match events.next_ref() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    self.fail_all(&chosen, &error);
                    return None;
                }
            };
            let (members, retries) = (&mut self.members, &self.retries);
            chosen.retain(|at| {
                let Some(member) = members.get_mut(*at) else {
                    return false;
                };
                match alone || member.takes(&event, letters).unwrap_or(true) {
                    true => member.apply(&event, retries),
                    false => true,
                }
            });
            left -= 1;
            passed += 1;
            let is_long = passed.is_multiple_of(LOOK_EVERY) && Instant::now() >= ends;
            if left == 0 || is_long {
                until = event.sequence() + 1;
                break;
            }
        }
        self.commit(&chosen, until);
        Some(until)
    }

    fn commit(&mut self, chosen: &[usize], until: u64) {
        let now = self.shared.followers.now_micros();
        let end = self.shared.view.load().proven();
        let mut replaced: Vec<(String, u32)> = Vec::new();
        for at in chosen {
            let Some(member) = self.members.get_mut(*at) else {
                continue;
            };
            if member.commit(until, end, now, &self.retries) {
                replaced.push((member.name.clone(), member.version));
            }
        }
        for (name, by) in replaced {
            let old = |member: &Member| member.name == name && member.version < by;
            for member in self.members.iter_mut().filter(|member| old(member)) {
                member.finish(Ended::Replaced { by });
            }
        }
    }

    /// An event that can't be read stops those who have come to it.
    fn fail_all(&mut self, chosen: &[usize], error: &Error) {
        for at in chosen {
            if let Some(member) = self.members.get_mut(*at) {
                let why = Failure::later(error.to_string());
                member.fail(why, None, &self.retries);
            }
        }
    }

    /// Lets other processes see how all stand; gives the time at which that is to be done again.
    fn keep_notices(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut due = None;
        for member in &mut self.members {
            let next = member.keep_notice(&self.shared, now);
            due = due.into_iter().chain(next).min();
        }
        due
    }

    /// Waits for news, orders, or the time to try something again.
    fn rest(&mut self) {
        let end = self.shared.view.load().proven();
        for member in &mut self.members {
            let live = member.position.is_some_and(|position| position >= end);
            member.cell.seen.lock().live |= live;
        }
        self.hub.tell_moved();
        let pauses = self.members.iter().filter(|member| !member.has_ended());
        let until = pauses.filter_map(Member::pauses_until).min();
        let until = until.into_iter().chain(self.keep_notices()).min();
        let most = until.map(|until| until.saturating_duration_since(Instant::now()));
        if most == Some(Duration::ZERO) {
            return;
        }
        if let Some((slot, _)) = &self.place {
            slot.is_waiting();
            slot.wait(most);
        }
    }

    fn finish(&mut self, why: &Ended) {
        for member in &mut self.members {
            member.finish(why.clone());
        }
        // Who is added from now on finds out at once.
        let mut orders = self.hub.orders.lock();
        orders.stop = true;
        for mut member in orders.added.drain(..) {
            member.finish(why.clone());
        }
        drop(orders);
        self.leave();
        self.hub.tell_moved();
    }
}
