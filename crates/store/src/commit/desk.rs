//! Signing beside the sync.

use std::sync::Arc;

use factlog_proof::{Hash, SignedCheckpoint};

use super::baton::sign;
use crate::{
    Error,
    signer::Signer,
    sync::{Condvar, Mutex},
};

/// Where the commit baton's holder leaves what is to be signed while its group is being synced.
///
/// A signature costs a good part of what a sync does, and the processor has nothing to do meanwhile.
/// Signatures stay in memory until the sync has succeeded. If the thread that works here hasn't begun by
/// then, the baton's holder signs itself.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    slot: Mutex<Slot>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    work: Work,
    /// Whether there is a thread that works here.
    staffed: bool,
    closed: bool,
}

#[derive(Debug, Default)]
enum Work {
    #[default]
    None,
    Wanted(Wanted),
    Taken,
    Done(Result<SignedCheckpoint, Error>),
}

/// A checkpoint to be signed.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) signer: Arc<Signer>,
    /// Signs it as well: the key that the signer's replaces.
    pub(super) retiring: Option<Arc<Signer>>,
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl Wanted {
    fn sign(&self) -> Result<SignedCheckpoint, Error> {
        sign(&self.signer, self.retiring.as_deref(), self.size, self.root)
    }
}

impl Desk {
    /// Leaves a checkpoint to be signed, if somebody works here; else it is signed at once.
    pub(super) fn leave(&self, wanted: Wanted) -> Result<Option<SignedCheckpoint>, Error> {
        let mut slot = self.slot.lock();
        if !slot.staffed || slot.closed {
            drop(slot);
            return wanted.sign().map(Some);
        }
        // What a commit that failed left behind is nobody's any more.
        while matches!(slot.work, Work::Taken) {
            slot = self.told.wait(slot);
        }
        slot.work = Work::Wanted(wanted);
        drop(slot);
        self.told.notify_all();
        Ok(None)
    }

    /// Takes the signature of the checkpoint that was left.
    ///
    /// # Panics
    /// If none was left: a mistake of the caller.
    pub(super) fn take(&self) -> Result<SignedCheckpoint, Error> {
        let mut slot = self.slot.lock();
        loop {
            match std::mem::take(&mut slot.work) {
                Work::Wanted(wanted) => {
                    drop(slot);
                    return wanted.sign();
                }
                Work::Done(signed) => return signed,
                Work::Taken => {
                    slot.work = Work::Taken;
                    slot = self.told.wait(slot);
                }
                Work::None => unreachable!("a checkpoint was left"),
            }
        }
    }

    /// Says that a thread is about to [`work`](Self::work) here.
    pub(crate) fn staff(&self) {
        self.slot.lock().staffed = true;
    }

    /// Signs what is left here, until it is closed.
    pub(crate) fn work(&self) {
        let mut slot = self.slot.lock();
        while !slot.closed {
            match std::mem::take(&mut slot.work) {
                Work::Wanted(wanted) => {
                    slot.work = Work::Taken;
                    drop(slot);
                    let signed = wanted.sign();
                    slot = self.slot.lock();
                    slot.work = Work::Done(signed);
                    self.told.notify_all();
                }
                other => {
                    slot.work = other;
                    slot = self.told.wait(slot);
                }
            }
        }
    }

    /// Lets the thread that works here end.
    pub(crate) fn close(&self) {
        self.slot.lock().closed = true;
        self.told.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use factlog_proof::SigningKey;

    use super::{Desk, Wanted};
    use crate::{Hash, signer::Signer};

    fn wanted(size: u64) -> Wanted {
        let origin = "example.com/log/00000000000000000000000000000000";
        let key = SigningKey::generate(origin, [7; 32]).unwrap();
        Wanted {
            signer: Arc::new(Signer::in_memory(key)),
            retiring: None,
            size,
            root: Hash::from_bytes([size as u8; 32]),
        }
    }

    #[test]
    fn each_checkpoint_gets_its_own_signature_whoever_signs() {
        let desk = Arc::new(Desk::default());
        let alone = desk.leave(wanted(1)).unwrap().expect("nobody works here");
        assert_eq!(alone.claimed().size(), 1);
        desk.staff();
        let clerk = thread::spawn({
            let desk = Arc::clone(&desk);
            move || desk.work()
        });
        for size in 2..200 {
            assert!(desk.leave(wanted(size)).unwrap().is_none());
            if size % 5 == 0 {
                // A commit that failed never comes back for it.
                continue;
            }
            let signed = desk.take().unwrap();
            let root = Hash::from_bytes([size as u8; 32]);
            assert_eq!(
                (signed.claimed().size(), signed.claimed().root()),
                (size, root)
            );
        }
        desk.close();
        clerk.join().unwrap();
        let late = desk
            .leave(wanted(7))
            .unwrap()
            .expect("nobody works here any more");
        assert_eq!(late.claimed().size(), 7);
    }
}
