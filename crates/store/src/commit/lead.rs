//! Who leads, who waits, and how room is made for those who found none.

use std::sync::Arc;

use super::{
    Writer, active_generation,
    baton::{BULK, Baton, Room},
    order::{Order, Stopped},
    receipt::GroupProof,
    remember,
    waiting::{GroupCell, Woken},
};
use crate::{
    Ended, Error, Refusal, WriterFailure,
    config::{Bug, planted},
    sync::{MutexGuard, Patience},
};

impl Writer {
    /// Waits for a group to end, leading if nobody does.
    pub(super) fn wait_for<'w>(
        &'w self,
        order: Option<MutexGuard<'w, Order>>,
        group: &Arc<GroupCell>,
    ) -> Result<Arc<GroupProof>, Error> {
        if let Some(outcome) = group.outcome() {
            return Ok(outcome?);
        }
        let mut order = order.unwrap_or_else(|| self.order.lock());
        order.note_waiter(group);
        // Whether the lead is kept for this thread, which then has to take it.
        let mut told_to_lead = false;
        loop {
            // Groups end under the lock, so that one which hasn't can be led or waited for.
            if let Some(outcome) = group.outcome() {
                return Ok(outcome?);
            }
            if told_to_lead || !order.leading {
                self.lead(order);
            } else {
                drop(order);
                told_to_lead = group.wait() == Woken::Lead;
            }
            if let Some(outcome) = group.outcome() {
                return Ok(outcome?);
            }
            order = self.order.lock();
        }
    }

    /// Waits until any group has ended, leading if nobody does.
    pub(crate) fn wait_for_room<'w>(
        &'w self,
        mut order: MutexGuard<'w, Order>,
    ) -> MutexGuard<'w, Order> {
        if !order.leading {
            self.lead(order);
            return self.order.lock();
        }
        order.waiting += 1;
        order = self.ended.wait(order);
        order.waiting -= 1;
        order
    }

    /// Commits the open group if it has events that nobody leads for; for the housekeeper.
    pub(crate) fn lead_for_tickets(&self) -> bool {
        let order = self.order.lock();
        let wanted = self.is_leader_wanted(&order);
        if wanted {
            self.lead(order);
        }
        wanted
    }

    /// Whether events are ordered, and nobody is going to make them durable.
    pub(crate) fn is_leader_wanted(&self, order: &Order) -> bool {
        !order.leading && order.stopped.is_none() && !order.group.events.is_empty()
    }

    /// Takes the baton and commits the open group.
    pub(super) fn lead<'w>(&'w self, mut order: MutexGuard<'w, Order>) {
        order.leading = true;
        let mut order = self.gather(order);
        let group = order.take_group();
        drop(order);
        let (cell, waiters) = (Arc::clone(&group.cell), group.waiters);
        let mut guard = LeadGuard {
            writer: self,
            group: Some(Arc::clone(&cell)),
            done: false,
        };
        let outcome = self.commit(group);
        guard.done = true;
        let mut order = self.order.lock();
        let mut stopped = None;
        match outcome {
            Ok(ended) => {
                order.recent_keys.durable(self.shared.view.load().durable);
                cell.end(Ok(ended.proof));
                order.room = match order.wanted {
                    0 => ended.room.less(order.group.needs()),
                    // Nobody else is given a place before there is room for those who wait for it.
                    _ => Room::default(),
                };
                order.keep_memory(ended.memory);
            }
            Err(error) => {
                let error = Arc::new(error);
                let failure = match &*error {
                    // It is asked after the sync.
                    Error::Refused(Refusal::SignerUnavailable { .. }) => WriterFailure::Unsigned,
                    _ => WriterFailure::Indeterminate,
                };
                cell.end(Err(failure(Arc::clone(&error))));
                stopped = Some((stop(&mut order, Arc::clone(&error)), error));
            }
        }
        let next = order.hand_over(waiters);
        let tell = order.waiting > 0;
        let tickets = self.is_leader_wanted(&order);
        drop(order);
        if let Some(next) = next {
            next.promote();
        }
        if planted(Bug::LostWakeup) {
            return;
        }
        if tell {
            self.ended.notify_all();
        }
        if tickets {
            self.signal.lead();
        }
        // Last, and without any lock, since the wakers of tickets are other people's code.
        cell.wake();
        if let Some((waiting, error)) = stopped {
            waiting.wake();
            self.shared.followers.end(Ended::WriterFailed(error));
        }
    }

    /// Lets those join the group who are likely to come at once: they waited for the last groups, and
    /// are just being woken. One sync then serves all of them.
    fn gather<'w>(&'w self, mut order: MutexGuard<'w, Order>) -> MutexGuard<'w, Order> {
        let more = |order: &Order| {
            let group = &order.group;
            (1..order.expected).contains(&group.waiters) && group.needs() < BULK
        };
        if !more(&order) {
            return order;
        }
        let mut patience = Patience::new();
        loop {
            drop(order);
            let goes_on = patience.wait();
            order = self.order.lock();
            if !goes_on || !more(&order) {
                return order;
            }
        }
    }

    /// Secures space for `need` bytes that are to be ordered next. All that was ordered before is
    /// written first, since only then is it known where they go.
    ///
    /// # Errors
    /// `disk.full`, upon which the journal can be used on.
    pub(super) fn secure<'w>(
        &'w self,
        mut order: MutexGuard<'w, Order>,
        need: u64,
    ) -> Result<MutexGuard<'w, Order>, Error> {
        loop {
            self.refuse_if_stopped(&order)?;
            if order.room.takes(need) {
                // Somebody else has secured it.
                return Ok(order);
            }
            if !order.leading && order.group.events.is_empty() {
                break;
            }
            order.wanted = order.wanted.max(need);
            order = self.wait_for_room(order);
        }
        // For all who wait for it, the largest too. Where there isn't as much, this one may still find
        // enough.
        let wanted = need.max(std::mem::take(&mut order.wanted));
        let order = self.between_groups(order, |baton| {
            match baton.secure(wanted) {
                Err(error) if !error.is_disk_full() => Err(error),
                // Bulk and small appends find their room in different ways.
                _ => baton.secure(need),
            }
        })?;
        assert!(order.room.takes(need), "what was secured is there");
        Ok(order)
    }

    /// Ends the active segment and begins the next, whatever its size.
    pub(crate) fn roll(&self) -> Result<(), Error> {
        let order = self.wait_for_silence(self.order.lock());
        self.refuse_if_stopped(&order)?;
        drop(self.between_groups(order, Baton::roll)?);
        Ok(())
    }

    /// Waits until no group is being written and none is open; meanwhile nobody is given a place, so that
    /// it doesn't take for ever.
    pub(crate) fn wait_for_silence<'w>(
        &'w self,
        mut order: MutexGuard<'w, Order>,
    ) -> MutexGuard<'w, Order> {
        while order.leading || !order.group.events.is_empty() {
            order.wanted = order.wanted.max(1);
            order = self.wait_for_room(order);
        }
        order
    }

    /// Works on files while no group is being written and none is open.
    ///
    /// # Errors
    /// `disk.full`, upon which the journal can be used on; after any other error of `work` it can't.
    pub(super) fn between_groups<'w>(
        &'w self,
        mut order: MutexGuard<'w, Order>,
        work: impl FnOnce(&mut Baton) -> Result<(), Error>,
    ) -> Result<MutexGuard<'w, Order>, Error> {
        order.leading = true;
        // Nobody else may be given a place while it is open where the next group goes.
        order.room = Room::default();
        drop(order);
        let mut guard = LeadGuard {
            writer: self,
            group: None,
            done: false,
        };
        let mut baton = self.baton.lock();
        let before = active_generation(&baton);
        let done = work(&mut baton);
        if active_generation(&baton) != before {
            self.publish_roll(&baton);
            remember(&baton);
        }
        let room = baton.room();
        drop(baton);
        guard.done = true;
        let mut order = self.order.lock();
        order.hand_over(0);
        order.room = room;
        // All who wait are woken, and ask anew if that isn't enough for them.
        order.wanted = 0;
        self.ended.notify_all();
        match done {
            Ok(()) => Ok(order),
            Err(error) if error.is_disk_full() => Err(error),
            Err(error) => {
                let error = Arc::new(error);
                let waiting = stop(&mut order, Arc::clone(&error));
                drop(order);
                waiting.wake();
                let why = Ended::WriterFailed(Arc::clone(&error));
                self.shared.followers.end(why);
                Err(WriterFailure::Poisoned(error).into())
            }
        }
    }
}

/// Ends everything that waits, after a failure that nothing in this process can repair. Gives the group
/// whose waiters are to be woken once the lock is released.
pub(super) fn stop(order: &mut Order, error: Arc<Error>) -> Arc<GroupCell> {
    let waiting = order.take_group().cell;
    waiting.end(Err(WriterFailure::Poisoned(Arc::clone(&error))));
    if !planted(Bug::PoisonedGoesOn) {
        order.stopped = Some(Stopped::Poisoned(error));
    }
    waiting
}

/// Were a leader to panic, its followers would wait for ever.
struct LeadGuard<'w> {
    writer: &'w Writer,
    /// The group that is being written.
    group: Option<Arc<GroupCell>>,
    done: bool,
}

impl Drop for LeadGuard<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut order = self.writer.order.lock();
        let dir = &self.writer.shared.layout.dir;
        let error = std::io::Error::other("the commit panicked");
        let error = Arc::new(Error::io("commit to", dir)(error));
        let group = self.group.take();
        if let Some(group) = &group {
            group.end(Err(WriterFailure::Indeterminate(Arc::clone(&error))));
        }
        let waiting = stop(&mut order, Arc::clone(&error));
        order.hand_over(0);
        drop(order);
        self.writer.ended.notify_all();
        let followers = &self.writer.shared.followers;
        followers.end(Ended::WriterFailed(error));
        for group in group.iter().chain([&waiting]) {
            group.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use factlog_fs::MemFs;

    use crate::{
        Encoding, Journal, NewEvent, Options,
        commit::baton::{BULK, Room},
    };

    #[test]
    fn a_small_append_makes_room_for_itself_beside_a_bulk_one_that_waits() {
        let options = Options::new().file_system(Arc::new(MemFs::new()));
        let options = options.dangerous().without_housekeeper();
        let journal = Journal::create("journal", options).unwrap();
        let event = |len| NewEvent::new("bank", "a", "noted").data(Encoding::Raw, vec![7; len]);
        let writer = journal.writer().unwrap();
        // Until no zeros are left that a small append could go over.
        while writer.order.lock().room.takes(4000) {
            journal.append(event(1000)).unwrap();
        }
        let mut order = writer.order.lock();
        order.room = Room::default();
        order.wanted = 2 * BULK;
        drop(order);
        journal.append(event(4000)).unwrap();
        assert_eq!(writer.order.lock().wanted, 0, "nobody waits any more");
        journal.close().unwrap();
    }
}
