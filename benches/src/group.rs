use std::{
    mem,
    sync::{Condvar, Mutex, PoisonError},
};

use anyhow::ensure;

use crate::{event::Event, store::Store};

/// The plainest group commit: who comes while a group is being made durable waits, and goes with the
/// next one.
pub(crate) struct Group<'a, S> {
    store: &'a S,
    queue: Mutex<Queue>,
    done: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Event>,
    /// The number of the group that waits.
    gathering: u64,
    /// Groups with lower numbers are durable.
    finished: u64,
    leading: bool,
    failed: bool,
}

impl<'a, S: Store> Group<'a, S> {
    pub(crate) fn new(store: &'a S) -> Self {
        Self {
            store,
            queue: Mutex::default(),
            done: Condvar::new(),
        }
    }

    pub(crate) fn append(&self, event: Event) -> anyhow::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push(event);
        let mine = queue.gathering;
        while queue.finished <= mine {
            ensure!(!queue.failed, "a group failed");
            if queue.leading {
                queue = self
                    .done
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.leading = true;
            queue.gathering += 1;
            let events = mem::take(&mut queue.waiting);
            drop(queue);
            let result = self.store.append(&events);
            queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.leading = false;
            queue.failed = result.is_err();
            queue.finished = queue.gathering;
            self.done.notify_all();
            result?;
        }
        Ok(())
    }
}
