//! The same locks, made by whichever scheduler there is when they are made: the system's, or one
//! that decides by a seed who goes on.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::{
        self, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// Threads of a scheduler with this name read, and do nothing else.
pub(crate) const READER: &str = "reader";

thread_local! {
    static SCHEDULED: Cell<bool> = const { Cell::new(false) };
    /// How often somebody who isn't a reader waited for a lock that a reader held. All threads of a
    /// scheduler share one thread of the system.
    static WAITS: Cell<u64> = const { Cell::new(0) };
}

/// How often an appender has waited for a reader on this thread of the system.
pub(crate) fn waits_for_readers() -> u64 {
    WAITS.get()
}

fn is_reader() -> bool {
    shuttle::thread::current().name() == Some(READER)
}

/// Does something in which locks belong to the scheduler that runs it.
pub(crate) fn with_scheduler(work: impl FnOnce()) {
    SCHEDULED.set(true);
    work();
    SCHEDULED.set(false);
}

#[derive(Debug)]
pub(crate) enum Mutex<T> {
    Real(sync::Mutex<T>),
    Scheduled {
        lock: shuttle::sync::Mutex<T>,
        /// Whether the last one who took it is a reader.
        by_reader: AtomicBool,
    },
}

#[derive(Debug)]
pub(crate) enum MutexGuard<'g, T> {
    Real(sync::MutexGuard<'g, T>),
    Scheduled(shuttle::sync::MutexGuard<'g, T>),
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        if SCHEDULED.get() {
            Self::Scheduled {
                lock: shuttle::sync::Mutex::new(value),
                by_reader: AtomicBool::new(false),
            }
        } else {
            Self::Real(sync::Mutex::new(value))
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self {
            Self::Real(lock) => {
                MutexGuard::Real(lock.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Self::Scheduled { lock, by_reader } => {
                let is_reader = is_reader();
                let guard = match lock.try_lock() {
                    Ok(guard) => guard,
                    Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
                    Err(TryLockError::WouldBlock) => {
                        if !is_reader && by_reader.load(Relaxed) {
                            WAITS.set(WAITS.get() + 1);
                        }
                        lock.lock().unwrap_or_else(PoisonError::into_inner)
                    }
                };
                by_reader.store(is_reader, Relaxed);
                MutexGuard::Scheduled(guard)
            }
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Real(guard) => guard,
            Self::Scheduled(guard) => guard,
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Real(guard) => guard,
            Self::Scheduled(guard) => guard,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Condvar {
    Real(sync::Condvar),
    Scheduled(shuttle::sync::Condvar),
}

impl Default for Condvar {
    fn default() -> Self {
        if SCHEDULED.get() {
            Self::Scheduled(shuttle::sync::Condvar::new())
        } else {
            Self::Real(sync::Condvar::new())
        }
    }
}

impl Condvar {
    pub(crate) fn wait<'g, T>(&self, guard: MutexGuard<'g, T>) -> MutexGuard<'g, T> {
        match (self, guard) {
            (Self::Real(condvar), MutexGuard::Real(guard)) => {
                let guard = condvar.wait(guard);
                MutexGuard::Real(guard.unwrap_or_else(PoisonError::into_inner))
            }
            (Self::Scheduled(condvar), MutexGuard::Scheduled(guard)) => {
                let guard = condvar.wait(guard);
                MutexGuard::Scheduled(guard.unwrap_or_else(PoisonError::into_inner))
            }
            _ => unreachable!("lock and condition variable belong to one scheduler"),
        }
    }

    pub(crate) fn wait_for<'g, T>(
        &self,
        guard: MutexGuard<'g, T>,
        most: Duration,
    ) -> MutexGuard<'g, T> {
        match (self, guard) {
            (Self::Real(condvar), MutexGuard::Real(guard)) => {
                let woken = condvar.wait_timeout(guard, most);
                MutexGuard::Real(woken.unwrap_or_else(PoisonError::into_inner).0)
            }
            // Time doesn't pass under a scheduler; only the housekeeper's thread waits for it.
            (condvar, guard) => condvar.wait(guard),
        }
    }

    pub(crate) fn notify_one(&self) {
        match self {
            Self::Real(condvar) => condvar.notify_one(),
            Self::Scheduled(condvar) => condvar.notify_one(),
        }
    }

    pub(crate) fn notify_all(&self) {
        match self {
            Self::Real(condvar) => condvar.notify_all(),
            Self::Scheduled(condvar) => condvar.notify_all(),
        }
    }
}

/// Starts a thread that nobody waits for, of the scheduler's if there is one.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    if SCHEDULED.get() {
        drop(shuttle::thread::spawn(work));
        return Ok(());
    }
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

/// A short wait for what other threads are about to do: twice, whatever that takes.
#[derive(Debug)]
pub(crate) struct Patience(u8);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    /// Lets others go on. `false` once it has taken long enough.
    pub(crate) fn wait(&mut self) -> bool {
        if SCHEDULED.get() {
            shuttle::thread::yield_now();
        } else {
            std::thread::yield_now();
        }
        self.0 += 1;
        self.0 < 2
    }
}
