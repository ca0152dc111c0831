//! The simulated disk as a [`StoreFs`].

mod handle;
mod machine;
mod moment;
mod rot;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use factlog_fs::StoreFs;

use crate::disk::State;
use crate::{Fault, PowerCut, Trace};
use machine::Machine;
pub use moment::Moment;

/// A machine with one simulated disk.
///
/// Clones are the same machine; a [`fork`](Self::fork) is another one that begins as this one
/// is. See the [crate's documentation](crate) for what is modelled.
#[derive(Clone)]
pub struct SimFs {
    machine: Arc<Mutex<Machine>>,
}

impl SimFs {
    /// A machine with an empty disk. The seed decides what faults leave open: how much of a
    /// failed write is done, what half a sync writes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(State::default(), seed)
    }

    fn with(state: State, seed: u64) -> Self {
        Self {
            machine: Arc::new(Mutex::new(Machine::new(state, seed))),
        }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another machine with the same cache and disk. Handles, locks, faults and the trace stay
    /// behind; what is in the cache only still is.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        self.moment().kill_process(seed)
    }

    /// The machine after its process was killed: the cache is as it was, handles and locks
    /// are gone. This one goes on as if nothing had happened.
    #[must_use]
    pub fn kill_process(&self, seed: u64) -> Self {
        self.moment().kill_process(seed)
    }

    /// The machine after a power cut; the seed decides what is left to chance. This one goes
    /// on as if nothing had happened.
    #[must_use]
    pub fn power_cut(&self, cut: &PowerCut, seed: u64) -> Self {
        self.moment().power_cut(cut, seed)
    }

    /// How things stand now.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let machine = self.machine();
        Moment {
            calls: machine.calls,
            state: machine.state.clone(),
        }
    }

    /// From now on keeps how things stand after every call that changes something.
    pub fn record(&self) {
        let mut machine = self.machine();
        let now = Moment {
            calls: machine.calls,
            state: machine.state.clone(),
        };
        machine.moments.get_or_insert_default().push(now);
    }

    /// Takes what was kept since [`record`](Self::record), the beginning first.
    #[must_use]
    pub fn moments(&self) -> Vec<Moment> {
        self.machine().moments.take().unwrap_or_default()
    }

    /// How many calls there were: the number of the next one.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.machine().calls
    }

    /// Plans a fault.
    pub fn inject(&self, fault: Fault) {
        self.machine().faults.push(fault);
    }

    /// Forgets all planned faults: the disk is well again.
    pub fn heal(&self) {
        self.machine().faults.clear();
    }

    /// How many calls a planned fault has hit.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.machine().hits
    }

    /// Limits the bytes of all files together; `None` for no limit. A write past it does what
    /// fits and then fails with ENOSPC.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.machine().space = bytes;
    }

    /// Bytes of all files together, those without a name included.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.machine().state.used()
    }

    /// What was done so far, since the machine began.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.machine().trace.clone()
    }

    /// Every file by its path, with its bytes as a read shows them. For comparing.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let machine = self.machine();
        let files = machine.state.files();
        files
            .into_iter()
            .map(|(path, file)| (path, file.cache.to_vec()))
            .collect()
    }

    /// The paths that are on one of two machines only, or whose bytes differ.
    #[must_use]
    pub fn differences(&self, other: &Moment) -> Vec<PathBuf> {
        let machine = self.machine();
        let (here, there) = (machine.state.files(), other.state.files());
        let (mine, theirs) = (machine.state.dirs(), other.state.dirs());
        let mut paths: Vec<PathBuf> = mine.symmetric_difference(&theirs).cloned().collect();
        for (path, file) in &here {
            if !there
                .get(path)
                .is_some_and(|other| other.cache.same(&file.cache))
            {
                paths.push(path.clone());
            }
        }
        paths.extend(there.into_keys().filter(|path| !here.contains_key(path)));
        paths
    }

    /// How many files are open and locks held: none, once a program has cleaned up.
    #[must_use]
    pub fn handles(&self) -> usize {
        let machine = self.machine();
        machine.open + machine.locked.len()
    }

    /// A fingerprint of cache and disk: equal where names and bytes are, so that a state that
    /// came about before needn't be examined again.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        self.machine().state.fingerprint()
    }

    /// This machine's disk behind the trait.
    #[must_use]
    pub fn store(&self) -> Arc<dyn StoreFs> {
        Arc::new(self.clone())
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFs")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}
