use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};
use zeroize::Zeroize;

/// Where a journal reads the time; replaced only behind [`Options::dangerous`](crate::Options::dangerous).
pub trait Clock: Debug + Send + Sync {
    /// Microseconds since 1970-01-01 UTC. May step back; the journal copes.
    fn now_micros(&self) -> i64;
}

/// Where a journal draws salts, ids and keys; replaced only behind
/// [`Options::dangerous`](crate::Options::dangerous).
pub trait Random: Debug + Send + Sync {
    /// Fills `out` with bytes that nobody else can guess.
    fn fill(&self, out: &mut [u8]);

    /// Fills `out` for a key that lasts. Never from a generator in this process: its state may be in a copy of
    /// the machine, which would draw the same bytes again and show them.
    fn fill_key(&self, out: &mut [u8]) {
        self.fill(out);
    }
}

/// The operating system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).ok();
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after).unwrap_or(i64::MAX),
            Err(before) => micros(before.duration()).map_or(i64::MIN, |micros| -micros),
        }
    }
}

/// A ChaCha12 generator that the operating system seeds, and seeds again after 1 MiB and in a forked
/// child.
#[derive(Default)]
pub struct SystemRandom(Mutex<Option<Generator>>);

struct Generator {
    rng: ChaCha12Rng,
    process: u32,
    left: usize,
}

const RESEED_AFTER: usize = 1 << 20;

impl Generator {
    fn seeded() -> Option<Self> {
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed).ok()?;
        let rng = ChaCha12Rng::from_seed(seed);
        seed.zeroize();
        Some(Self {
            rng,
            process: std::process::id(),
            left: RESEED_AFTER,
        })
    }
}

impl Random for SystemRandom {
    /// # Panics
    /// If the operating system has no randomness to give: without it nothing here is safe.
    fn fill(&self, out: &mut [u8]) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = |generator: &Generator| {
            generator.process != std::process::id() || generator.left < out.len()
        };
        if slot.as_ref().is_none_or(stale) {
            *slot = Generator::seeded();
        }
        let generator = slot
            .as_mut()
            .expect("the operating system provides randomness");
        generator.left = generator.left.saturating_sub(out.len());
        generator.rng.fill_bytes(out);
    }

    /// # Panics
    /// As [`fill`](Self::fill).
    fn fill_key(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system provides randomness");
    }
}

impl Debug for SystemRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SystemRandom")
    }
}
