use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    Error,
    commit::Writer,
    sync::{Condvar, Mutex},
};

/// How long a journal is idle before an empty commit says that all before it is durable.
const IDLE: Duration = Duration::from_millis(20);

/// The one background thread of a writable journal: writes derived files and idle commits.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

/// How the thread is woken and stopped.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    stop: Mutex<bool>,
    wake: Condvar,
    /// Set while the thread sleeps without a time limit.
    parked: AtomicBool,
}

impl Signal {
    /// Wakes the thread if it sleeps for lack of work; costs one load otherwise.
    pub(crate) fn work(&self) {
        if self.parked.load(Acquire) && self.parked.swap(false, AcqRel) {
            drop(self.stop.lock());
            self.wake.notify_all();
        }
    }
}

impl Housekeeper {
    /// Starts the thread.
    pub(crate) fn start(writer: Arc<Writer>) -> Result<Self, Error> {
        let signal = Arc::clone(&writer.signal);
        let dir = writer.shared.layout.dir.clone();
        let thread = std::thread::Builder::new()
            .name("factlog-housekeeper".to_owned())
            .spawn(move || run(&writer))
            .map_err(Error::io("start a thread for", &dir))?;
        Ok(Self {
            signal,
            thread: Some(thread),
        })
    }

    /// Stops the thread and waits for it.
    pub(crate) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        *self.signal.stop.lock() = true;
        self.signal.wake.notify_all();
        // It has no result; a panic in it is a mistake of ours that its own message tells.
        let _ = thread.join();
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(writer: &Writer) {
    let signal = &writer.signal;
    loop {
        let before = writer.commits.load(Relaxed);
        // A failure here is the commit's own; it is kept where appends find it.
        while writer.derived.step(writer) {}
        let stop = signal.stop.lock();
        if *stop {
            return;
        }
        let stop = signal.wake.wait_for(stop, IDLE);
        if *stop {
            return;
        }
        if writer.commits.load(Relaxed) != before {
            continue;
        }
        drop(stop);
        if writer.commit_idle().is_err() {
            return;
        }
        let mut stop = signal.stop.lock();
        signal.parked.store(true, Release);
        // A commit between the look above and the flag would otherwise go unnoticed.
        if writer.commits.load(Relaxed) != before && !writer.derived.is_idle() {
            signal.parked.store(false, Release);
            continue;
        }
        while signal.parked.load(Acquire) && !*stop {
            stop = signal.wake.wait(stop);
        }
    }
}
