//! The write path.
//!
//! A caller encodes and hashes its batch on its own thread ([`batch`]), takes the short order lock to
//! get its place ([`order`]), and then waits for its group; whoever finds nobody leading takes the
//! commit baton ([`baton`]) and makes the group durable while the next is being ordered.

mod anchors;
mod batch;
mod baton;
mod conditions;
mod derived;
mod desk;
mod elsewhere;
mod generations;
pub(crate) mod housekeeper;
mod lead;
mod order;
mod pool;
mod receipt;
mod repeat;
mod replace;
mod rotate;
mod ticket;
mod waiting;

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use factlog_format::{ErasureLevel, EventId};
use uuid::Uuid;

pub use anchors::Anchor;
pub(crate) use anchors::Anchors;
pub(crate) use batch::Preparer;
pub(crate) use baton::{Baton, MAX_HEADER, sign};
pub(crate) use conditions::BatchKeys;
pub(crate) use derived::{Derived, DerivedFiles, entries_of_scan, offsets_may_be_unsynced};
pub(crate) use desk::Desk;
pub(crate) use order::{Head, Order, Stopped};
pub(crate) use pool::Pool;
pub(crate) use receipt::proof_text;
pub use receipt::{BatchReceipt, Receipt};
pub(crate) use rotate::KeyChange;
pub use ticket::Ticket;

use self::{
    batch::Batch,
    baton::{Committed, Room},
    conditions::{Conditions, NothingOf},
    order::{Decision, Group, GroupMemory, OrderedEvent, Resolved},
    receipt::{GroupProof, Receipts},
    repeat::Known,
    ticket::{Answer, Pending},
    waiting::GroupCell,
};
use crate::{
    Clock, Condition, Conflict, Error, Misuse, NewEvent, Random, Refusal, WriterFailure,
    commit::housekeeper::Signal,
    config::{Bug, planted},
    event::own,
    index::CODE as INDEX_DAMAGE,
    read::view::{Segment, View},
    read::{Events, Shared},
    sync::{Condvar, Mutex, MutexGuard},
};

/// How often an idle journal tells its signer's state how far it has come, in microseconds.
const REMEMBER_EVERY: i64 = 5_000_000;

/// The writing half of a journal.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) salt_key: [u8; 32],
    /// What names of domains that are held are told by, where nothing is encrypted.
    pub(crate) hold_key: [u8; 32],
    pub(crate) order: Mutex<Order>,
    /// Told whenever a group has ended.
    pub(crate) ended: Condvar,
    pub(crate) baton: Mutex<Baton>,
    pub(crate) derived: Derived,
    /// Counts commits, so that idleness can be seen without a lock.
    pub(crate) commits: AtomicU64,
    /// When the signer's state was last told, in microseconds since 1970-01-01 UTC.
    pub(crate) remembered_at: AtomicI64,
    /// Wakes the housekeeper.
    pub(crate) signal: Arc<Signal>,
    pub(crate) pool: Arc<Pool>,
    /// Where checkpoints are kept outside the journal.
    pub(crate) anchors: Anchors,
    /// Held over a change of keys, so that each knows what the one before came to.
    pub(crate) changing_keys: Mutex<()>,
    /// Held over each compaction: nobody else makes segments of others.
    pub(crate) compacting: Mutex<()>,
    /// Views are replaced by the baton's holder and by who writes derived files.
    pub(crate) publish: Mutex<()>,
}

impl Writer {
    /// Appends a batch if the conditions hold; durable when it returns.
    pub(crate) fn append(
        &self,
        events: &[NewEvent<'_>],
        conditions: &[Condition<'_>],
        internal: bool,
    ) -> Result<BatchReceipt, Error> {
        let (order, pending) = self.begin(events, conditions, internal, &[])?;
        self.finish(Some(order), pending)
    }

    /// Appends events of the journal's own that want data keys destroyed: nothing that is sealed under one
    /// of these is given a place behind them.
    #[cfg(feature = "encryption")]
    pub(crate) fn append_retiring(
        &self,
        events: &[NewEvent<'_>],
        keys: &[[u8; 16]],
    ) -> Result<BatchReceipt, Error> {
        let (order, pending) = self.begin(events, &[], true, keys)?;
        // Whether it becomes durable or not: who is told that it isn't known must not go on reading.
        if let (Pending::Ordered { batch, .. }, Some(secrets)) = (&pending, &self.shared.secrets)
            && !planted(Bug::RetiredWhenDurable)
        {
            let first = batch.events.first();
            secrets.note_retired(keys, first.map_or(0, |event| event.place.order.sequence));
        }
        self.finish(Some(order), pending)
    }

    /// Gives a batch its place if the conditions hold, and leaves it to others to make it durable.
    pub(crate) fn submit(
        &self,
        events: &[NewEvent<'_>],
        conditions: &[Condition<'_>],
    ) -> Result<Ticket<'_>, Error> {
        let (order, pending) = self.begin(events, conditions, false, &[])?;
        let nobody_leads = !order.leading && !order.group.events.is_empty();
        drop(order);
        if nobody_leads {
            self.signal.lead();
        }
        Ok(Ticket::new(self, pending))
    }

    /// Decides a batch: when it returns, that only has to become durable.
    fn begin<'w>(
        &'w self,
        events: &[NewEvent<'_>],
        conditions: &[Condition<'_>],
        internal: bool,
        retires: &[[u8; 16]],
    ) -> Result<(MutexGuard<'w, Order>, Pending), Error> {
        let preparer = Preparer {
            clock: self.clock.as_ref(),
            random: self.random.as_ref(),
            salt_key: &self.salt_key,
            internal,
            pool: &self.pool,
            shared: &self.shared,
            secrets: self.shared.secrets.as_deref(),
        };
        // Looked up first, since a repeat needs nothing of what is prepared.
        let known = self.mending(|| self.find_known(events))?;
        if let Some(known) = &known
            && let Some(receipts) = self.answer_known(events, known)
        {
            Conditions::of(conditions)?;
            let order = self.order.lock();
            self.refuse_if_stopped(&order)?;
            return Ok((order, Pending::Known(receipts)));
        }
        let mut batch = self.mending(|| preparer.prepare(events, conditions))?;
        batch.retires.extend_from_slice(retires);
        // What conditions ask for has to be looked up in any case.
        let mut resolved = self.mending(|| self.resolve_first(known.as_ref(), &batch))?;
        let mut order = self.order.lock();
        loop {
            self.refuse_if_stopped(&order)?;
            let now = self.clock.now_micros();
            if now < order.last_raw_clock && !internal {
                let before = std::mem::replace(&mut order.last_raw_clock, now);
                drop(order);
                let told = self.append(&[own::clock_stepped_back(before, now)], &[], true);
                order = self.order.lock();
                if let Err(error) = told {
                    // The next append tells of it instead.
                    order.last_raw_clock = order.last_raw_clock.max(before);
                    return Err(error);
                }
                continue;
            }
            let (answer, rests_on) = match order.decide(&mut batch, &resolved, now) {
                Decision::Ordered(group) => {
                    return Ok((order, Pending::Ordered { group, batch }));
                }
                Decision::Full => {
                    order = self.wait_for_room(order);
                    continue;
                }
                Decision::Unsecured(need) => {
                    order = self.secure(order, need)?;
                    continue;
                }
                Decision::Unresolved => {
                    drop(order);
                    resolved = self.mending(|| self.resolve(&batch))?;
                    order = self.order.lock();
                    continue;
                }
                Decision::Retired => {
                    let ids = batch.sealed_under.iter();
                    let intents = ids.filter_map(|id| Some((*id, *order.retired.get(id)?)));
                    let intents: Vec<_> = intents.collect();
                    drop(order);
                    if let Some(secrets) = &self.shared.secrets {
                        for (id, intent) in intents {
                            secrets.note_retired(&[id], intent);
                        }
                    }
                    batch = preparer.prepare(events, conditions)?;
                    order = self.order.lock();
                    continue;
                }
                Decision::Known(known) => {
                    let newest = known.iter().flatten().max().copied();
                    (Answer::Known(known), newest)
                }
                Decision::Unexpected {
                    index,
                    found,
                    rests_on,
                } => (Answer::Refused(unexpected(events, index, found)), rests_on),
                Decision::OtherStream {
                    index,
                    found,
                    rests_on,
                } => {
                    let why = batch.conditions.other_stream(index, found);
                    (Answer::Refused(why), rests_on)
                }
                Decision::RuledOut {
                    condition,
                    sequence,
                } => {
                    let why = Conflict::Boundary {
                        condition,
                        sequence,
                    };
                    (Answer::Refused(why.into()), Some(sequence))
                }
                Decision::NotOfThisJournal => {
                    let why = "it was read further than this journal goes";
                    return Err(Misuse::Condition(why).into());
                }
            };
            let pending = Pending::Decided {
                group: self.group_to_wait_for(&order, rests_on),
                answer,
                batch,
            };
            return Ok((order, pending));
        }
    }

    /// Waits until an append's answer is certain, and gives it. The order lock may be held since the
    /// append was decided.
    fn finish(
        &self,
        order: Option<MutexGuard<'_, Order>>,
        pending: Pending,
    ) -> Result<BatchReceipt, Error> {
        match pending {
            Pending::Known(receipts) => Ok(receipts),
            Pending::Ordered { group, batch } => Ok(BatchReceipt {
                receipts: Receipts::Appended {
                    journal: self.shared.identity.journal,
                    group: self.wait_for(order, &group)?,
                    batch: Arc::new(batch),
                },
            }),
            Pending::Decided {
                group,
                answer,
                mut batch,
            } => {
                let waited = match group {
                    Some(group) => self.wait_for(order, &group).map(drop),
                    None => {
                        drop(order);
                        Ok(())
                    }
                };
                if waited.is_err() {
                    // What the answer rests on may be gone with the next open.
                    self.refuse_if_stopped(&self.order.lock())?;
                }
                match answer {
                    Answer::Known(known) => {
                        batch.place_nowhere();
                        self.repeated(&batch, &known)
                    }
                    Answer::Refused(why) => Err(why),
                }
            }
        }
    }

    /// The group that has to end before an answer may be given that rests on an event.
    fn group_to_wait_for(&self, order: &Order, rests_on: Option<u64>) -> Option<Arc<GroupCell>> {
        let sequence = rests_on.filter(|_| !planted(Bug::AnswerTooEarly))?;
        if self.shared.view.load().durable > sequence {
            return None;
        }
        order.group_of(sequence)
    }

    fn refuse_if_stopped(&self, order: &Order) -> Result<(), Error> {
        match &order.stopped {
            None => Ok(()),
            Some(Stopped::Poisoned(why)) => Err(WriterFailure::Poisoned(Arc::clone(why)).into()),
            Some(Stopped::Closed) => Err(Refusal::Closed.into()),
        }
    }

    /// Looks something up; where the index turns out to be damaged, that part of it is made again first.
    fn mending<T>(&self, look: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        loop {
            match look() {
                Err(Error::Damaged(damage)) if damage.code == INDEX_DAMAGE => {
                    let before = self.shared.view.load_full();
                    self.derived.mend(self, &damage)?;
                    if Arc::ptr_eq(&before, &self.shared.view.load_full()) {
                        // Nothing could be mended, so looking again would find the same.
                        return Err(damage.into());
                    }
                }
                other => return other,
            }
        }
    }

    /// Looks heads and ids up in the index, as of what is durable now, off the order lock.
    fn resolve(&self, batch: &Batch) -> Result<Resolved, Error> {
        let view = self.shared.view.load_full();
        let mut resolved = Resolved {
            mark: view.durable,
            has_ids: true,
            ..Resolved::default()
        };
        for event in &batch.events {
            if event.own_id {
                let id: EventId = event.frame.event_id;
                if let Some(holder) = self.shared.holder_of_id(&view, Uuid::from_bytes(id))? {
                    resolved.ids.insert(id, holder.sequence());
                }
            }
        }
        if !resolved.ids.is_empty() {
            // A repeat is answered before anything else is looked at.
            return Ok(resolved);
        }
        for coordinate in &batch.coordinates {
            let head = self.shared.head(&view, coordinate)?;
            resolved.heads.insert(*coordinate, head);
        }
        resolved.ruled_out = self.ruled_out(&view, batch)?;
        Ok(resolved)
    }

    /// What is known of the batch's ids, with what its conditions ask for, and no more.
    fn resolve_first(&self, known: Option<&Known>, batch: &Batch) -> Result<Resolved, Error> {
        let mut resolved = known.map(Known::resolved).unwrap_or_default();
        if batch.conditions.is_empty() {
            return Ok(resolved);
        }
        let view = match known {
            Some(known) => Arc::clone(&known.view),
            None => self.shared.view.load_full(),
        };
        resolved.mark = view.durable;
        resolved.ruled_out = self.ruled_out(&view, batch)?;
        Ok(resolved)
    }

    /// For each query of the batch's conditions: the first durable event that it rules out.
    fn ruled_out(&self, view: &Arc<View>, batch: &Batch) -> Result<Vec<Option<u64>>, Error> {
        let first = |condition: &NothingOf| {
            let query = condition.query.clone().limit(1);
            let first = Events::new(Arc::clone(&self.shared), Arc::clone(view), query).next();
            Ok(first.transpose()?.map(|event| event.sequence()))
        };
        batch.conditions.queries.iter().map(first).collect()
    }

    /// Lets readers know of the segment that the next group goes into.
    fn publish_roll(&self, baton: &Baton) {
        let _publish = self.publish.lock();
        let view = self.shared.view.load_full();
        self.shared.view.store(Arc::new(View {
            segments: Arc::new(rolled_segments(&view, baton)),
            ..View::clone(&view)
        }));
    }

    fn commit(&self, group: Group) -> Result<Ended, Error> {
        self.derived.make_room(self);
        let mut baton = self.baton.lock();
        let first = group.first;
        let mut done = baton.commit(group)?;
        self.publish_group(first, &mut done);
        let room = baton.room();
        drop(baton);
        let (events, keys) = (done.memory.events.len(), done.keys);
        self.shared.followers.publish(first, events, keys);
        self.commits.fetch_add(1, Relaxed);
        self.signal.work();
        Ok(Ended {
            proof: done.proof,
            room,
            memory: done.memory,
        })
    }

    /// Makes a durable group visible.
    fn publish_group(&self, first: u64, done: &mut Committed) {
        let events = &done.memory.events;
        let _publish = self.publish.lock();
        let view = self.shared.view.load_full();
        let segments = Arc::clone(&view.segments);
        if let Some(active) = segments.last() {
            active.note_offsets(first, done.offsets.iter().copied());
        }
        let durable = first + events.len() as u64;
        let opens = |event: &OrderedEvent| self.opens(&view, event);
        let entries = derived::entries_of(first, events, &done.keys, opens);
        let index = view
            .index
            .with_tail(&view.index.tail().push(durable, entries));
        let signed = done.proof.signed.clone();
        let signed = signed.or_else(|| view.signed.clone());
        if let Some(active) = segments.last().filter(|_| !events.is_empty()) {
            let offsets = std::mem::take(&mut done.offsets);
            self.derived.queue(active, &done.proof, offsets);
        }
        self.shared.view.store(Arc::new(View {
            segments,
            durable,
            unproven_from: None,
            index,
            signed,
        }));
    }

    /// Whether an event is the first of its stream that tells of the coordinate, as far as segments hold it.
    fn opens(&self, view: &View, event: &OrderedEvent) -> bool {
        let Some(previous) = event.previous else {
            return true;
        };
        let full = || self.shared.erasures.taken(previous) == Some(ErasureLevel::Full);
        (event.after_bare || full()) && self.shared.is_bare(view, previous).unwrap_or(true)
    }

    /// Writes an empty commit if events are durable that no commit header calls so.
    pub(crate) fn commit_idle(&self) -> Result<(), Error> {
        let order = self.order.lock();
        if order.leading || order.stopped.is_some() || !order.group.events.is_empty() {
            return Ok(());
        }
        let baton = self.baton.lock();
        let needed = baton.begun && !baton.stated;
        let due = needed && self.remember_is_due();
        drop(baton);
        if needed {
            self.lead(order);
        }
        if due {
            remember(&self.baton.lock());
        }
        Ok(())
    }

    /// Writes an empty commit whether one is due or not, as a creation ends.
    pub(crate) fn end_creation(&self) -> Result<(), Error> {
        let order = self.secure(self.order.lock(), 1)?;
        self.lead(order);
        self.refuse_if_stopped(&self.order.lock())
    }

    /// Whether the signer's state was last written some seconds ago.
    fn remember_is_due(&self) -> bool {
        let now = self.clock.now_micros();
        let before = self.remembered_at.load(Relaxed);
        // A clock that stepped back must not put it off for ever.
        let due = now < before || now.saturating_sub(before) >= REMEMBER_EVERY;
        if due {
            self.remembered_at.store(now, Relaxed);
        }
        due
    }
}

/// A group that is durable and visible.
struct Ended {
    proof: Arc<GroupProof>,
    /// What can be ordered after it.
    room: Room,
    memory: GroupMemory,
}

/// Tells the signer's state how far the journal has come. It is a lower bound: one that can't be
/// written loses nothing.
fn remember(baton: &Baton) {
    if let (Some(signer), Some(signed)) = (&baton.signer, &baton.signed) {
        let checkpoint = signed.claimed();
        let _ = signer.remember(checkpoint.size(), checkpoint.root());
    }
}

fn active_generation(baton: &Baton) -> Option<u32> {
    baton.manifest.rows.last().map(|row| row.generation)
}

fn rolled_segments(view: &View, baton: &Baton) -> Vec<Arc<Segment>> {
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(view.segments.len() + 1);
    for row in &baton.manifest.rows {
        let old = view
            .segments
            .iter()
            .find(|segment| segment.generation == row.generation);
        match (old, row.count) {
            (Some(old), Some(count)) if old.sealed.is_none() => {
                segments.push(Arc::new(old.to_sealed(count, row.sealed_end)));
            }
            (Some(old), _) => segments.push(Arc::clone(old)),
            (None, Some(count)) => {
                let (first, generation) = (row.first_sequence, row.generation);
                let path = baton.layout.segment(first, generation);
                let sealed = Segment::sealed(path, first, generation, count, row.sealed_end);
                segments.push(Arc::new(sealed));
            }
            (None, None) => {
                if let Some(writer) = &baton.writer {
                    segments.push(Arc::new(Segment::live(Arc::clone(&writer.segment))));
                }
            }
        }
    }
    segments
}

fn unexpected(events: &[NewEvent<'_>], index: usize, found: Option<u64>) -> Error {
    let Some(event) = events.get(index) else {
        return Misuse::BatchSize.into();
    };
    Conflict::Expectation {
        scope: event.scope.clone().into_owned(),
        entity: event.entity.clone().into_owned(),
        expected: event.expect,
        found,
    }
    .into()
}
