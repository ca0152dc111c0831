//! What every store is given: the same events in the same order.

use std::sync::OnceLock;

/// How many kinds there are: a filter by kind takes one event in a hundred.
pub(crate) const KINDS: u8 = 100;

/// An event as the benchmarks make it. It borrows from memory that lives as long as the process, so
/// that handing it from thread to thread costs no copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) stream: Stream,
    pub(crate) kind: u8,
    pub(crate) payload: &'static [u8],
}

/// A stream: its number, and the name that stores with names are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) number: u32,
    name: [u8; 16],
}

impl Stream {
    pub(crate) fn new(number: u32) -> Self {
        let mut name = *b"stream-000000000";
        let mut rest = number;
        for digit in name.iter_mut().rev().take(9) {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self { number, name }
    }

    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(&self.name).unwrap_or_default()
    }
}

/// The event with this number: streams are visited in rounds, in a shuffled order.
pub(crate) fn event(number: u64, streams: u32, size: u32) -> Event {
    let (round, place) = (number / u64::from(streams), number % u64::from(streams));
    // Prime and no divisor of the numbers of streams used, so every round visits each stream once.
    let stream = (place * 7919 + round * 104_729) % u64::from(streams);
    let random = mix(number);
    let start = (random >> 32) as usize % POOL;
    Event {
        stream: Stream::new(stream as u32),
        kind: (random % u64::from(KINDS)) as u8,
        payload: &pool()[start..start + size as usize],
    }
}

/// The name of a kind.
pub(crate) fn kind_name(kind: u8) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        (0..KINDS)
            .map(|kind| format!("bench.kind-{kind:02}"))
            .collect()
    });
    &names[usize::from(kind)]
}

/// A number that looks random, made of another.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

const POOL: usize = 1 << 20;
const LARGEST: usize = 64 << 10;

/// Bytes that no compression makes smaller; payloads are slices of them.
fn pool() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        (0..(POOL + LARGEST) as u64)
            .map(|place| mix(place) as u8)
            .collect()
    })
}
