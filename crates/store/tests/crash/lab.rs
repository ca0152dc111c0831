//! A journal on a simulated disk, with a clock and randomness of the simulation's own.

use std::sync::Arc;

use factlog::{Clock, Error, Journal, Options, Random, Reader};
use factlog_fs::StoreFs;
use factlog_sim::{SimClock, SimFs, SimRandom};

use super::bugs::Bug;

/// Where the journal stands.
pub const DIR: &str = "j";
/// Where its key stands, in a directory of its own as it should.
const KEY: &str = "k/signer.key";
/// The smallest there is, so that journals of a few large events roll.
pub const SEGMENT_LEN: u64 = 64 << 10;

#[derive(Debug)]
struct Time(SimClock);

impl Clock for Time {
    fn now_micros(&self) -> i64 {
        self.0.now_micros()
    }
}

#[derive(Debug)]
struct Dice(SimRandom);

impl Random for Dice {
    fn fill(&self, out: &mut [u8]) {
        self.0.fill(out);
    }
}

/// One machine, and what its processes draw time and chance from.
pub struct Lab {
    pub fs: SimFs,
    store: Arc<dyn StoreFs>,
    clock: Arc<Time>,
    random: Arc<Dice>,
}

impl Lab {
    /// A healthy machine.
    pub fn new(fs: SimFs, seed: u64) -> Self {
        let store = fs.store();
        Self::over(fs, store, seed)
    }

    /// A healthy machine some days later, after whatever clock there was before.
    pub fn later(fs: SimFs, seed: u64, days: i64) -> Self {
        let lab = Self::new(fs, seed);
        lab.jump(days * 86_400_000_000);
        lab
    }

    /// A machine between whose disk and whose journal a mistake is planted.
    pub fn with_bug(fs: SimFs, bug: Bug, seed: u64) -> Self {
        let store = bug.plant(&fs);
        Self::over(fs, store, seed)
    }

    fn over(fs: SimFs, store: Arc<dyn StoreFs>, seed: u64) -> Self {
        let clock = Arc::new(Time(SimClock::new(1_700_000_000_000_000, 1_000)));
        let random = Arc::new(Dice(SimRandom::new(seed)));
        Self {
            fs,
            store,
            clock,
            random,
        }
    }

    /// Moves the clock.
    pub fn jump(&self, micros: i64) {
        self.clock.0.jump(micros);
    }

    pub fn store(&self) -> Arc<dyn StoreFs> {
        Arc::clone(&self.store)
    }

    pub fn options(&self) -> Options {
        Options::new()
            .file_system(self.store())
            .signing_key_file(KEY)
            .segment_len(SEGMENT_LEN)
            .dangerous()
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .dangerous()
            .random(Arc::clone(&self.random) as Arc<dyn Random>)
            .dangerous()
            .without_housekeeper()
    }

    pub fn create(&self) -> Result<Journal, Error> {
        Journal::create(DIR, self.options())
    }

    pub fn read_only(&self) -> Result<Reader, Error> {
        Journal::open_read_only(DIR, self.options())
    }

    pub fn open(&self) -> Result<Journal, Error> {
        Journal::open(DIR, self.options())
    }
}
