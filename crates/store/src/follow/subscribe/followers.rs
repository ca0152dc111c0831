use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*, fence},
    },
    time::Duration,
};

use super::{
    super::{
        Ended,
        notice::{Notice, name_of},
    },
    interest::{Interest, Key},
    notices::Notices,
    slot::{Sleeper, Slot},
};
use crate::{
    Clock, Error,
    commit::BatchKeys,
    config::SystemClock,
    read::Shared,
    sync::{Condvar, Mutex, spawn},
};

/// So many events may wait to be compared with what subscriptions take; were there more, all
/// subscriptions would be told instead, so that memory is bounded.
const MAX_NEWS: usize = 1 << 16;

/// How often a process that doesn't write looks for news: at first, and at most while none come.
const POLL: Duration = Duration::from_millis(2);
const MAX_POLL: Duration = Duration::from_millis(100);

/// Who is told that subscriptions are to be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Following {
    /// A thread, while there are subscriptions.
    #[default]
    Thread,
    /// Whoever commits, for simulations in which no thread runs by itself.
    Inline,
}

/// All that follow a journal in this process.
///
/// Who commits leaves word here and goes on: it takes one lock that is only ever held to exchange what
/// lies behind it, and never waits for anything that a subscriber does. A thread compares what the new
/// events can be found by with what subscriptions take, and wakes those whom it may concern.
#[derive(Debug)]
pub(crate) struct Followers {
    following: Following,
    clock: Arc<dyn Clock>,
    /// How many subscriptions there are, so that without any nothing is done.
    count: AtomicUsize,
    next_id: AtomicU64,
    word: Mutex<Word>,
    left: Condvar,
    /// Whether the thread waits for word.
    asleep: AtomicBool,
    board: Mutex<Board>,
    /// Every event below was compared with the subscriptions that there were.
    told: AtomicU64,
    pub(super) notices: Notices,
}

/// What was left by those who committed, and isn't told yet.
#[derive(Debug, Default)]
struct Word {
    groups: Vec<(u64, Arc<BatchKeys>)>,
    events: usize,
    /// From here on everybody is to look, whatever it is.
    everything: Option<u64>,
    end: u64,
    ended: Option<Ended>,
    end_told: bool,
    /// Whether the thread is there.
    running: bool,
}

#[derive(Debug, Default)]
struct Board {
    slots: HashMap<u64, Arc<Slot>>,
    /// Those who have to look at every group.
    any: Vec<Arc<Slot>>,
    by_key: HashMap<Key, Vec<Arc<Slot>>>,
    ended: Option<Ended>,
}

impl Default for Followers {
    fn default() -> Self {
        Self::new(Following::Thread, Arc::new(SystemClock))
    }
}

impl Followers {
    pub(crate) fn new(following: Following, clock: Arc<dyn Clock>) -> Self {
        Self {
            following,
            clock,
            count: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            word: Mutex::default(),
            left: Condvar::default(),
            asleep: AtomicBool::new(false),
            board: Mutex::default(),
            told: AtomicU64::new(0),
            notices: Notices::default(),
        }
    }

    /// Leaves word that a group of `events` from `first` on is durable and visible.
    pub(crate) fn publish(&self, first: u64, events: usize, keys: Vec<Arc<BatchKeys>>) {
        // The view was replaced before, and who subscribes is counted before it loads one: either it is
        // seen here, or it sees the group there.
        fence(SeqCst);
        if events == 0 || self.count.load(Relaxed) == 0 {
            return;
        }
        let mut word = self.word.lock();
        word.end = first + events as u64;
        if word.everything.is_some() || word.events + events > MAX_NEWS {
            word.everything.get_or_insert(first);
        } else {
            word.events += events;
            let mut at = first;
            for keys in keys {
                let next = at + keys.len();
                word.groups.push((at, keys));
                at = next;
            }
        }
        drop(word);
        self.rouse();
    }

    /// Leaves word that there are events from `first` up to `end` of which no keys are known.
    pub(crate) fn publish_unknown(&self, first: u64, end: u64) {
        fence(SeqCst);
        if self.count.load(Relaxed) == 0 {
            return;
        }
        let mut word = self.word.lock();
        word.everything.get_or_insert(first);
        word.end = end;
        drop(word);
        self.rouse();
    }

    /// Ends all subscriptions, those to come too, once they have had what is durable.
    pub(crate) fn end(&self, ended: Ended) {
        let mut word = self.word.lock();
        word.ended.get_or_insert(ended);
        let thread = word.running;
        drop(word);
        match thread {
            true => self.rouse(),
            false => self.tell(),
        }
    }

    /// The time of the journal's clock.
    pub(crate) fn now_micros(&self) -> i64 {
        self.clock.now_micros()
    }

    fn rouse(&self) {
        match self.following {
            Following::Inline => self.tell(),
            Following::Thread => {
                if self.asleep.swap(false, SeqCst) {
                    // The lock orders this after the look that the thread took before it waited.
                    drop(self.word.lock());
                    self.left.notify_one();
                }
            }
        }
    }

    /// Wakes those whom what was left may concern.
    fn tell(&self) {
        // The board first, so that what is told is told in order.
        let mut board = self.board.lock();
        let mut word = self.word.lock();
        let groups = std::mem::take(&mut word.groups);
        let everything = word.everything.take();
        let (end, ended) = (word.end, word.ended.clone());
        word.events = 0;
        word.end_told = ended.is_some();
        drop(word);
        let mut sleepers = Vec::new();
        for (first, keys) in groups {
            board.tell(first, &keys, &mut sleepers);
        }
        if let Some(from) = everything {
            sleepers.extend(board.slots.values().map(|slot| slot.tell(from)));
        }
        self.told.fetch_max(end, Release);
        self.notices.touch();
        if let Some(ended) = ended
            && board.ended.is_none()
        {
            board.ended = Some(ended.clone());
            let slots = board.slots.values();
            sleepers.extend(slots.map(|slot| slot.end(ended.clone())));
        }
        drop(board);
        sleepers.into_iter().for_each(Sleeper::wake);
    }

    /// Below this everybody has been told of everything.
    pub(in crate::follow) fn told(&self) -> u64 {
        self.told.load(Acquire)
    }

    /// Puts a subscription on the board. What becomes durable from now on it is told. If it is to be `shown`,
    /// other processes see it under its name.
    pub(in crate::follow) fn register(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        name: String,
        position: u64,
        interest: &Interest,
        shown: bool,
    ) -> Result<Arc<Slot>, Error> {
        // In a simulation no thread runs by itself.
        let shown = shown && self.following == Following::Thread;
        let notice = shown.then(|| Mutex::new(Notice::new(name_of(&name, ".sub"))));
        let id = self.next_id.fetch_add(1, Relaxed);
        let mut slot = Slot::new(id, name, position);
        slot.notice = notice;
        let slot = Arc::new(slot);
        let mut board = self.board.lock();
        board.slots.insert(slot.id, Arc::clone(&slot));
        match interest {
            Interest::Any => board.any.push(Arc::clone(&slot)),
            Interest::Keys(keys) => {
                for key in keys {
                    let there = board.by_key.entry(*key).or_default();
                    there.push(Arc::clone(&slot));
                }
            }
        }
        if let Some(ended) = &board.ended {
            // Nobody waits at it yet.
            let _ = slot.end(ended.clone());
        }
        let ended = board.ended.is_some();
        drop(board);
        self.count.fetch_add(1, SeqCst);
        fence(SeqCst);
        if !ended && let Err(error) = self.staff(shared) {
            self.unregister(&slot, interest);
            return Err(error);
        }
        if shown {
            self.show(&slot, shared);
        }
        Ok(slot)
    }

    /// Has others see it; where that can't be, nothing fails.
    fn show(self: &Arc<Self>, slot: &Arc<Slot>, shared: &Arc<Shared>) {
        if self.notices.add(slot) {
            let (followers, shared) = (Arc::clone(self), Arc::downgrade(shared));
            let run = move || followers.notices.run(&shared);
            if spawn("factlog-notices", run).is_err() {
                self.notices.is_not_running();
            }
        }
    }

    pub(in crate::follow) fn unregister(&self, slot: &Slot, interest: &Interest) {
        let mut board = self.board.lock();
        if board.slots.remove(&slot.id).is_none() {
            return;
        }
        self.notices.remove(slot);
        match interest {
            Interest::Any => board.any.retain(|other| other.id != slot.id),
            Interest::Keys(keys) => {
                for key in keys {
                    let Some(there) = board.by_key.get_mut(key) else {
                        continue;
                    };
                    there.retain(|other| other.id != slot.id);
                    if there.is_empty() {
                        board.by_key.remove(key);
                    }
                }
            }
        }
        drop(board);
        if self.count.fetch_sub(1, SeqCst) == 1 {
            // Nobody is left to be told anything, so the thread ends.
            self.rouse();
        }
    }

    pub(in crate::follow) fn slots(&self) -> Vec<Arc<Slot>> {
        let mut slots: Vec<_> = self.board.lock().slots.values().cloned().collect();
        slots.sort_by_key(|slot| slot.id);
        slots
    }

    /// Starts the thread if it isn't there.
    fn staff(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<(), Error> {
        if self.following == Following::Inline {
            return Ok(());
        }
        let mut word = self.word.lock();
        if word.running {
            return Ok(());
        }
        let followers = Arc::clone(self);
        let reads = shared.follower.is_some().then(|| Arc::downgrade(shared));
        let started = spawn("factlog-follow", move || match reads {
            None => followers.run(),
            Some(shared) => followers.poll(&shared),
        });
        started.map_err(Error::io("start a thread for", &shared.layout.dir))?;
        word.running = true;
        Ok(())
    }

    /// Tells what is left by those who commit in this process, until there is nobody to tell.
    fn run(&self) {
        loop {
            self.tell();
            let mut word = self.word.lock();
            if self.has_nothing_to_do(&mut word) {
                return;
            }
            // First the flag, then the look: whoever leaves word after the look sees the flag.
            self.asleep.store(true, SeqCst);
            while word.groups.is_empty()
                && word.everything.is_none()
                && (word.ended.is_none() || word.end_told)
                && self.count.load(SeqCst) > 0
            {
                word = self.left.wait(word);
                self.asleep.store(true, SeqCst);
            }
            self.asleep.store(false, SeqCst);
        }
    }

    /// Whether the thread is to end, which it says under the lock under which it is started.
    fn has_nothing_to_do(&self, word: &mut Word) -> bool {
        let idle = word.groups.is_empty() && word.everything.is_none();
        let ended = word.ended.is_some();
        let over = idle && (ended && word.end_told || !ended && self.count.load(SeqCst) == 0);
        if over {
            word.running = false;
        }
        over
    }

    /// Looks for what another process makes durable, until there is nobody to tell.
    fn poll(&self, shared: &Weak<Shared>) {
        let mut pause = POLL;
        loop {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let found = match &shared.follower {
                Some(follower) => follower.refresh(&shared),
                None => Ok(false),
            };
            drop(shared);
            match found {
                Ok(true) => pause = POLL,
                Ok(false) => pause = (pause * 2).min(MAX_POLL),
                Err(error) => {
                    let why = Ended::ReadFailed(Arc::new(error));
                    self.word.lock().ended.get_or_insert(why);
                }
            }
            self.tell();
            let mut word = self.word.lock();
            if self.has_nothing_to_do(&mut word) {
                return;
            }
            self.asleep.store(true, SeqCst);
            if word.everything.is_none() && word.ended.is_none() && self.count.load(SeqCst) > 0 {
                word = self.left.wait_for(word, pause);
            }
            self.asleep.store(false, SeqCst);
            drop(word);
        }
    }
}

impl Board {
    /// Tells those whom the events of a batch may concern of the first that does.
    fn tell(&self, first: u64, keys: &BatchKeys, sleepers: &mut Vec<Sleeper>) {
        sleepers.extend(self.any.iter().map(|slot| slot.tell(first)));
        if self.by_key.is_empty() {
            return;
        }
        let mut told: Vec<u64> = Vec::new();
        let mut tell = |sequence: u64, key: &Key| {
            for slot in self.by_key.get(key).into_iter().flatten() {
                if let Err(at) = told.binary_search(&slot.id) {
                    told.insert(at, slot.id);
                    sleepers.push(slot.tell(sequence));
                }
            }
        };
        let events = keys.coordinates().zip(keys.kinds_and_tags());
        for (sequence, (coordinate, (kind, tags))) in (first..).zip(events) {
            tell(sequence, coordinate);
            tell(sequence, &kind);
            tags.iter().for_each(|tag| tell(sequence, tag));
        }
    }
}

/// Ends what follows a journal when its handle goes.
#[derive(Debug)]
pub(crate) struct EndsFollowers(pub(crate) Arc<Followers>);

impl Drop for EndsFollowers {
    fn drop(&mut self) {
        self.0.end(Ended::Closed);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::slot::News, *};

    #[test]
    fn when_more_is_left_than_memory_is_for_everybody_has_to_look() {
        let followers = Followers::default();
        let slot = Arc::new(Slot::new(0, String::new(), 0));
        followers.board.lock().slots.insert(0, Arc::clone(&slot));
        followers.count.store(1, SeqCst);
        for group in 0..100 {
            followers.publish(1 + group * 40_000, 40_000, vec![Arc::default()]);
        }
        assert_eq!(followers.word.lock().groups.len(), 1);
        followers.tell();
        // Nothing of the first group is for it; of the others that isn't known.
        assert!(matches!(slot.look(), News::From(40_001)));
        assert_eq!(followers.told(), 4_000_001);
    }
}
