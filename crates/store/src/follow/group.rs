//! Consumers that share the events of one name.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    ops::Deref,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use super::{CursorFile, Delivered, Ended, Subscription};
use crate::{
    Error, Query, Reader,
    sync::{Condvar, Mutex},
};

/// Streams are spread over so many parts, each of which one member has.
const PARTS: usize = 64;
/// So many events are read ahead and not acknowledged, at most.
const AHEAD: usize = 1_024;
/// After so many acknowledgements it is kept how far all of them are, at the latest.
const EVERY: u32 = 64;

/// Consumers of one name in this process that share its events: all events of a stream go to one of them at
/// a time, in order.
///
/// Members come and go as they like; the streams are spread anew each time. What a member was given and
/// hasn't acknowledged goes to whoever has its stream then, before anything that follows in that stream.
/// The position up to which everything is acknowledged is kept in a [`CursorFile`]: at least once.
///
/// ```
/// use factlog::{Group, Journal, NewEvent, Query};
///
/// let journal = Journal::in_memory()?;
/// journal.append(NewEvent::new("shop", "order-1", "order.placed"))?;
/// let group = Group::new(journal.reader(), "packers", Query::all().kind("order.placed"))?;
/// let member = group.join();
/// let order = member.next().unwrap().unwrap();
/// assert_eq!(order.sequence(), 1);
/// order.acknowledge()?;
/// # Ok::<(), factlog::Error>(())
/// ```
#[derive(Clone)]
pub struct Group(Arc<Inner>);

struct Inner {
    name: String,
    state: Mutex<State>,
    bell: Arc<Bell>,
}

struct State {
    events: Subscription,
    cursor: CursorFile,
    parts: Vec<VecDeque<Given>>,
    /// How many events the parts hold.
    ahead: usize,
    /// Acknowledgements since the position was kept.
    unkept: u32,
    members: BTreeSet<u64>,
    next_member: u64,
    ended: Option<Ended>,
}

/// An event that isn't acknowledged, or one behind such.
struct Given {
    event: Arc<Delivered>,
    holder: Option<u64>,
    done: bool,
}

/// Rings when there may be something for somebody.
#[derive(Default)]
struct Bell {
    rung: Mutex<u64>,
    told: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock() += 1;
        self.told.notify_all();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// How far a group is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// The first event that not all before are acknowledged of, as it is kept on disk.
    pub position: u64,
    /// How many events of the journal lie behind that.
    pub lag: u64,
    /// How many events are read and not acknowledged.
    pub unacknowledged: usize,
    /// How many members there are.
    pub members: usize,
    /// Why it has ended, if it has.
    pub ended: Option<Ended>,
}

impl Group {
    /// A group of this name, which goes on where its cursor stands.
    ///
    /// # Errors
    /// As [`Reader::cursor_file`] and [`Reader::subscribe`].
    pub fn new(reader: &Reader, name: &str, query: Query<'_>) -> Result<Self, Error> {
        let cursor = reader.cursor_file(name)?;
        let from = cursor.reached().max(query.from);
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            state: Mutex::new(State {
                events: Subscription::new(
                    &reader.shared,
                    name.to_owned(),
                    query.from(from).into_owned(),
                    false,
                )?,
                cursor,
                parts: (0..PARTS).map(|_| VecDeque::new()).collect(),
                ahead: 0,
                unkept: 0,
                members: BTreeSet::new(),
                next_member: 0,
                ended: None,
            }),
            bell: Arc::default(),
        })))
    }

    /// A new member, which is given its share of the streams at once, and gives it back when it is dropped.
    #[must_use]
    pub fn join(&self) -> Member {
        let mut state = self.0.state.lock();
        let id = state.next_member;
        state.next_member += 1;
        state.members.insert(id);
        drop(state);
        self.0.bell.ring();
        Member {
            group: self.clone(),
            id,
        }
    }

    /// Stops it: members are given nothing more, what they have they can acknowledge.
    ///
    /// # Errors
    /// As [`CursorFile::advance`]: it has stopped, only the reason isn't kept.
    pub fn stop(&self) -> Result<(), Error> {
        let mut state = self.0.state.lock();
        state.ended.get_or_insert(Ended::Stopped);
        let kept = state.keep();
        let ended = state.cursor.end(&Ended::Stopped);
        drop(state);
        self.0.bell.ring();
        kept.and(ended)
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> GroupStatus {
        let state = self.0.state.lock();
        let position = state.cursor.reached();
        GroupStatus {
            name: self.0.name.clone(),
            position,
            lag: state.events.journal_end().saturating_sub(position),
            unacknowledged: state.parts.iter().flatten().filter(|one| !one.done).count(),
            members: state.members.len(),
            ended: state.ended.clone(),
        }
    }
}

impl State {
    /// Which member has a part.
    fn owner(&self, part: usize) -> Option<u64> {
        let at = part.checked_rem(self.members.len())?;
        self.members.iter().nth(at).copied()
    }

    /// Reads ahead, as far as there is room. Returns whether there is anything new.
    fn read_ahead(&mut self) -> bool {
        let before = self.ahead;
        while self.ahead < AHEAD && self.ended.is_none() {
            match self.events.try_next() {
                Ok(Some(event)) => {
                    let part = part_of(&event);
                    let given = Given {
                        event: Arc::new(event),
                        holder: None,
                        done: false,
                    };
                    if let Some(queue) = self.parts.get_mut(part) {
                        queue.push_back(given);
                        self.ahead += 1;
                    }
                }
                Ok(None) => {
                    self.ended = self.events.ended().cloned();
                    break;
                }
                Err(why) => self.ended = Some(why),
            }
        }
        self.ahead > before
    }

    /// The first event that a member may have: of a part of its own, behind nothing that another holds.
    fn take(&mut self, member: u64) -> Option<Arc<Delivered>> {
        if matches!(self.ended, Some(Ended::Stopped)) {
            return None;
        }
        let mut best: Option<(u64, usize, usize)> = None;
        for part in 0..PARTS {
            if self.owner(part) != Some(member) {
                continue;
            }
            let queue = self.parts.get(part)?;
            let others =
                |one: &Given| !one.done && one.holder.is_some_and(|holder| holder != member);
            let free = queue
                .iter()
                .position(|one| !one.done && one.holder.is_none());
            let Some(at) = free.filter(|at| !queue.iter().take(*at).any(others)) else {
                continue;
            };
            let sequence = queue.get(at)?.event.sequence();
            if best.is_none_or(|(lowest, ..)| sequence < lowest) {
                best = Some((sequence, part, at));
            }
        }
        let (_, part, at) = best?;
        let given = self.parts.get_mut(part)?.get_mut(at)?;
        given.holder = Some(member);
        Some(Arc::clone(&given.event))
    }

    fn find(&mut self, event: &Delivered) -> Option<&mut Given> {
        let queue = self.parts.get_mut(part_of(event))?;
        let sequence = event.sequence();
        queue
            .iter_mut()
            .find(|one| one.event.sequence() == sequence)
    }

    /// Notes that an event is done with, and keeps how far all are now and then.
    fn acknowledge(&mut self, event: &Delivered) -> Result<(), Error> {
        let Some(given) = self.find(event) else {
            return Ok(());
        };
        given.done = true;
        if let Some(queue) = self.parts.get_mut(part_of(event)) {
            while queue.front().is_some_and(|first| first.done) {
                queue.pop_front();
                self.ahead -= 1;
            }
        }
        self.unkept += 1;
        if self.unkept >= EVERY || self.ahead == 0 {
            self.keep()?;
        }
        Ok(())
    }

    /// Keeps up to where everything is acknowledged.
    fn keep(&mut self) -> Result<(), Error> {
        let open = self
            .parts
            .iter()
            .flat_map(|part| part.iter().find(|one| !one.done));
        let first = open.map(|one| one.event.sequence()).min();
        let reached = first.unwrap_or_else(|| self.events.reached());
        self.cursor.advance(reached)?;
        self.unkept = 0;
        Ok(())
    }
}

fn part_of(event: &Delivered) -> usize {
    let hash = crc32fast::hash(&event.event().stream_id());
    hash as usize % PARTS
}

/// A member of a [`Group`].
pub struct Member {
    group: Group,
    id: u64,
}

impl Member {
    /// Waits for the next event that is for this member; `None` once the group has ended as somebody
    /// wanted.
    ///
    /// # Errors
    /// Why the group ended, if nobody wanted it.
    pub fn next(&self) -> Option<Result<Claim, Ended>> {
        loop {
            let rung = *self.group.0.bell.rung.lock();
            match self.look() {
                Looked::Given(claim) => return Some(Ok(claim)),
                Looked::Ended(why) => return (!why.is_wanted()).then_some(Err(why)),
                Looked::Nothing => self.wait(rung),
            }
        }
    }

    /// The next event that is for this member now; `None` if there is none. What was appended a moment ago
    /// may be told of a moment later: [`next`](Self::next) waits for it.
    #[must_use]
    pub fn try_next(&self) -> Option<Claim> {
        match self.look() {
            Looked::Given(claim) => Some(claim),
            Looked::Ended(_) | Looked::Nothing => None,
        }
    }

    fn look(&self) -> Looked {
        let inner = &self.group.0;
        let mut state = inner.state.lock();
        let taken = state.take(self.id).or_else(|| {
            if state.read_ahead() {
                // What was read may be for others.
                inner.bell.ring();
            }
            state.take(self.id)
        });
        match (taken, &state.ended) {
            (Some(event), _) => Looked::Given(Claim {
                group: self.group.clone(),
                event,
                member: self.id,
                done: false,
            }),
            (None, Some(why)) => Looked::Ended(why.clone()),
            (None, None) => Looked::Nothing,
        }
    }

    /// Waits until the bell has rung since.
    fn wait(&self, rung: u64) {
        let inner = &self.group.0;
        let waker = Waker::from(Arc::clone(&inner.bell));
        let news = {
            let state = inner.state.lock();
            let room = state.ahead < AHEAD;
            room && state.events.is_woken(&Context::from_waker(&waker))
        };
        if news {
            return;
        }
        let mut now = inner.bell.rung.lock();
        while *now == rung {
            now = inner.bell.told.wait(now);
        }
    }
}

enum Looked {
    Given(Claim),
    Ended(Ended),
    Nothing,
}

impl Drop for Member {
    fn drop(&mut self) {
        let inner = &self.group.0;
        inner.state.lock().members.remove(&self.id);
        inner.bell.ring();
    }
}

/// An event that a member was given. Dropped without being acknowledged, it is given again.
pub struct Claim {
    group: Group,
    event: Arc<Delivered>,
    member: u64,
    done: bool,
}

impl Claim {
    /// It is done with, and is not given again, except after a crash before that was kept.
    ///
    /// # Errors
    /// As [`CursorFile::advance`]: it is acknowledged, and that is kept the next time.
    pub fn acknowledge(mut self) -> Result<(), Error> {
        self.done = true;
        let inner = &self.group.0;
        let kept = inner.state.lock().acknowledge(&self.event);
        inner.bell.ring();
        kept
    }
}

impl Deref for Claim {
    type Target = Delivered;

    fn deref(&self) -> &Delivered {
        &self.event
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let inner = &self.group.0;
        let mut state = inner.state.lock();
        let given = state.find(&self.event);
        if let Some(given) = given.filter(|given| given.holder == Some(self.member)) {
            given.holder = None;
        }
        drop(state);
        inner.bell.ring();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        // What isn't kept is given again, and who looks sees that nobody holds it any more.
        let _ = state.keep();
        if let Some(why) = state.ended.clone() {
            let _ = state.cursor.end(&why);
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("group", &self.group.0.name)
            .field("id", &self.id)
            .finish()
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("sequence", &self.event.sequence())
            .finish_non_exhaustive()
    }
}
