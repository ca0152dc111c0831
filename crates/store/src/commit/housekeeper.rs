use std::{
    path::Path,
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
    Compaction, Error,
    commit::{Desk, Writer},
    sync::{Condvar, Mutex},
};

/// How long a journal is idle before an empty commit says that all before it is durable.
const IDLE: Duration = Duration::from_millis(20);

/// How often it is looked whether a checkpoint is to be put where it is anchored.
const LOOK: Duration = Duration::from_millis(200);

/// The background threads of a writable journal: one writes derived files and idle commits and leads
/// for tickets; if the journal is signed, another signs beside the syncs; if it is anchored, a third puts
/// checkpoints there; if it is to compact by itself, one does that.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    signal: Arc<Signal>,
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// How the thread is woken and stopped.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    orders: Mutex<Orders>,
    wake: Condvar,
    /// Told when the threads are to end.
    stopping: Condvar,
    /// Set while the thread sleeps without a time limit.
    parked: AtomicBool,
    /// Set while the thread sleeps at all.
    asleep: AtomicBool,
}

#[derive(Debug, Default)]
struct Orders {
    stop: bool,
    /// Somebody has to lead.
    lead: bool,
}

impl Signal {
    /// Wakes the thread if it sleeps for lack of work; costs one load otherwise.
    pub(crate) fn work(&self) {
        if self.parked.load(Acquire) && self.parked.swap(false, AcqRel) {
            drop(self.orders.lock());
            self.wake.notify_all();
        }
    }

    /// Wakes the thread if it sleeps, since events are ordered that nobody leads for; the order lock was
    /// held since. A thread that is awake looks for such before it sleeps.
    pub(crate) fn lead(&self) {
        if self.asleep.load(Acquire) {
            self.orders.lock().lead = true;
            self.wake.notify_all();
        }
    }
}

impl Housekeeper {
    /// Starts the threads.
    pub(crate) fn start(
        writer: Arc<Writer>,
        compaction: Option<Compaction>,
    ) -> Result<Self, Error> {
        let baton = writer.baton.lock();
        let (desk, signs) = (Arc::clone(&baton.desk), baton.signer.is_some());
        drop(baton);
        // From here on, what was started is stopped whatever fails.
        let mut housekeeper = Self {
            signal: Arc::clone(&writer.signal),
            desk: Arc::clone(&desk),
            threads: Vec::new(),
        };
        let dir = writer.shared.layout.dir.clone();
        if !writer.anchors.is_empty() {
            let writer = Arc::clone(&writer);
            housekeeper.spawn("factlog-anchors", &dir, move || keep_anchored(&writer))?;
        }
        if let Some(how) = compaction {
            let writer = Arc::clone(&writer);
            housekeeper.spawn("factlog-compaction", &dir, move || {
                keep_compact(&writer, &how);
            })?;
        }
        housekeeper.spawn("factlog-housekeeper", &dir, move || run(&writer))?;
        if signs {
            let clerk = Arc::clone(&desk);
            housekeeper.spawn("factlog-signer", &dir, move || clerk.work())?;
            desk.staff();
        }
        Ok(housekeeper)
    }

    fn spawn(
        &mut self,
        name: &str,
        dir: &Path,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(work);
        let thread = thread.map_err(Error::io("start a thread for", dir))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Stops the threads and waits for them.
    pub(crate) fn stop(&mut self) {
        self.signal.orders.lock().stop = true;
        self.signal.wake.notify_all();
        self.signal.stopping.notify_all();
        self.desk.close();
        for thread in self.threads.drain(..) {
            // It has no result; a panic in it is a mistake of ours that its own message tells.
            let _ = thread.join();
        }
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Puts checkpoints where they are anchored, which may take as long as it likes.
fn keep_anchored(writer: &Writer) {
    let signal = &writer.signal;
    let mut orders = signal.orders.lock();
    while !orders.stop {
        drop(orders);
        writer.anchors.step(writer, false);
        orders = signal.orders.lock();
        if !orders.stop {
            orders = signal.stopping.wait_for(orders, LOOK);
        }
    }
}

/// Compacts whenever there are other segments than before.
fn keep_compact(writer: &Writer, how: &Compaction) {
    let signal = &writer.signal;
    let segments = || writer.baton.lock().manifest.rows.len();
    let goes_on = || !signal.orders.lock().stop;
    let mut seen = 0;
    while goes_on() {
        if segments() != seen {
            // What speaks against it is met again when there is something new to do, or by appends.
            let _ = writer.compact(how, &goes_on);
            seen = segments();
        }
        let orders = signal.orders.lock();
        if !orders.stop {
            drop(signal.stopping.wait_for(orders, LOOK));
        }
    }
}

fn run(writer: &Writer) {
    let signal = &writer.signal;
    loop {
        let before = writer.commits.load(Relaxed);
        // A failure here is the commit's own; it is kept where appends find it.
        while writer.lead_for_tickets() || writer.derived.step(writer) {}
        let orders = signal.orders.lock();
        if orders.stop {
            return;
        }
        // First the flag, then the look: whoever orders events after the look sees the flag.
        signal.asleep.store(true, Release);
        let wanted = writer.is_leader_wanted(&writer.order.lock());
        let mut orders = match wanted {
            true => orders,
            false => signal.wake.wait_for(orders, IDLE),
        };
        signal.asleep.store(false, Release);
        if orders.stop {
            return;
        }
        let told = std::mem::take(&mut orders.lead) || wanted;
        drop(orders);
        if told || writer.commits.load(Relaxed) != before {
            continue;
        }
        if writer.commit_idle().is_err() {
            return;
        }
        if !park(writer) {
            return;
        }
    }
}

/// Sleeps until there is work. `false`: there will be none.
fn park(writer: &Writer) -> bool {
    let signal = &writer.signal;
    let mut orders = signal.orders.lock();
    signal.parked.store(true, Release);
    signal.asleep.store(true, Release);
    // A commit between the look before and the flag would otherwise go unnoticed, and so would events
    // that nobody leads for. The locks behind both looks order them after the flag.
    let busy = !writer.derived.is_idle();
    if !busy && !writer.is_leader_wanted(&writer.order.lock()) {
        while signal.parked.load(Acquire) && !orders.stop && !orders.lead {
            orders = signal.wake.wait(orders);
        }
    }
    signal.parked.store(false, Release);
    signal.asleep.store(false, Release);
    orders.lead = false;
    !orders.stop
}
