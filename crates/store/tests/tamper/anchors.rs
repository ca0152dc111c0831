//! Checkpoints go where the journal's keeper said, and failures there hurt nobody.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use factlog::{Anchor, Clock, Journal, Options, Reader, SignedCheckpoint};
use factlog_fs::MemFs;

use crate::support::{DIR, event, options};

#[derive(Debug, Default)]
struct Kept {
    sizes: Mutex<Vec<u64>>,
    broken: AtomicBool,
}

impl Anchor for Kept {
    fn put(&self, checkpoint: &SignedCheckpoint, journal: &Reader) -> io::Result<()> {
        let size = checkpoint.claimed().size();
        assert_eq!(journal.root_at(size).unwrap(), checkpoint.claimed().root());
        if self.broken.load(Relaxed) {
            return Err(io::Error::other("nobody there"));
        }
        self.sizes.lock().unwrap().push(checkpoint.claimed().size());
        Ok(())
    }
}

impl Kept {
    fn sizes(&self) -> Vec<u64> {
        self.sizes.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_micros(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

fn with(fs: &Arc<MemFs>, kept: &Arc<Kept>, clock: &Arc<Hand>) -> Options {
    let options = options(fs)
        .anchor(kept.clone())
        .anchor_every(Duration::from_secs(60))
        .segment_len(64 << 10);
    let options = options.dangerous().clock(clock.clone());
    options.dangerous().without_housekeeper()
}

#[test]
fn checkpoints_are_kept_at_intervals_rolls_and_the_close() {
    let (fs, kept) = (Arc::new(MemFs::new()), Arc::new(Kept::default()));
    let clock = Arc::new(Hand(AtomicI64::new(1_000_000_000)));
    let journal = Journal::create(DIR, with(&fs, &kept, &clock)).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.housekeep().unwrap();
    assert_eq!(kept.sizes(), [2], "the first is due at once");
    journal.append(event("a", "2")).unwrap();
    journal.housekeep().unwrap();
    assert_eq!(kept.sizes(), [2], "the minute isn't over");
    clock.0.fetch_add(60_000_000, Relaxed);
    journal.housekeep().unwrap();
    assert_eq!(kept.sizes(), [2, 3]);
    clock.0.fetch_add(60_000_000, Relaxed);
    journal.housekeep().unwrap();
    assert_eq!(kept.sizes(), [2, 3], "nothing new came");
    // Enough for another segment, within the minute.
    for _ in 0..3 {
        journal.append(event("a", &"x".repeat(30 << 10))).unwrap();
    }
    journal.housekeep().unwrap();
    assert_eq!(kept.sizes(), [2, 3, 6]);
    journal.append(event("a", "last")).unwrap();
    journal.close().unwrap();
    assert_eq!(kept.sizes(), [2, 3, 6, 7]);
}

#[test]
fn an_anchor_that_fails_fails_nothing_else_and_catches_up() {
    let (fs, kept) = (Arc::new(MemFs::new()), Arc::new(Kept::default()));
    let clock = Arc::new(Hand(AtomicI64::new(1_000_000_000)));
    kept.broken.store(true, Relaxed);
    let journal = Journal::create(DIR, with(&fs, &kept, &clock)).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.housekeep().unwrap();
    assert_eq!(journal.anchor_failures(), ["nobody there"]);
    journal.append(event("a", "2")).unwrap();
    kept.broken.store(false, Relaxed);
    clock.0.fetch_add(60_000_000, Relaxed);
    journal.housekeep().unwrap();
    assert_eq!(kept.sizes(), [3]);
    assert!(journal.anchor_failures().is_empty());
    journal.close().unwrap();
}
