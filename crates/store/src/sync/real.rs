use std::{
    sync,
    time::{Duration, Instant},
};

pub(crate) use std::sync::MutexGuard;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(sync::PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

impl Condvar {
    pub(crate) fn wait<'g, T>(&self, guard: MutexGuard<'g, T>) -> MutexGuard<'g, T> {
        self.0
            .wait(guard)
            .unwrap_or_else(sync::PoisonError::into_inner)
    }

    pub(crate) fn wait_for<'g, T>(
        &self,
        guard: MutexGuard<'g, T>,
        most: Duration,
    ) -> MutexGuard<'g, T> {
        self.0
            .wait_timeout(guard, most)
            .unwrap_or_else(sync::PoisonError::into_inner)
            .0
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Starts a thread that nobody waits for.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

/// How long a leader lets others join its group, when it knows of some that may.
const PATIENCE: Duration = Duration::from_micros(20);

/// A short wait for what other threads are about to do.
#[derive(Debug)]
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Lets others go on. `false` once it has taken long enough.
    pub(crate) fn wait(&mut self) -> bool {
        std::thread::yield_now();
        self.0.elapsed() < PATIENCE
    }
}
