//! What leads a look-up to the one record block that may hold a key.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::RESIDENT_LIMIT;
use super::block::{BLOCK, BlockFile, key_at, partition_point};
use super::filter::{self, LINE, LINES, Line};
use super::item::Key;
use super::layout::Place;
use super::run::Probe;
use crate::Error;

/// Fence keys and filter of a partition, checked and in memory.
#[derive(Debug)]
pub(super) struct Front {
    /// The first key of each record block.
    fences: Box<[Key]>,
    filter: Box<[Line]>,
}

impl Front {
    /// Bytes that the front of a partition takes in memory.
    pub(super) fn size(place: &Place) -> usize {
        place.record_blocks() as usize * 16 + place.lines() as usize * LINE
    }

    pub(super) fn load(file: &BlockFile<'_>, place: &Place) -> Result<Self, Error> {
        let blocks = 1 + place.filter_blocks() as usize;
        let mut buf = vec![0; blocks * BLOCK];
        file.read(place.fences_at(), &mut buf)?;
        let (fences, filter) = buf.split_at(BLOCK.min(buf.len()));
        let fences = (0..place.record_blocks() as usize)
            .map(|at| key_at(fences, 16 * at))
            .collect();
        let lines = filter
            .chunks_exact(BLOCK)
            .flat_map(|block| (0..LINES).map(move |at| filter::line_at(block, at)))
            .take(place.lines() as usize)
            .collect();
        Ok(Self {
            fences,
            filter: lines,
        })
    }

    /// How many record blocks begin at or below a key; 0 if the key isn't there.
    pub(super) fn blocks_up_to(&self, place: &Place, probe: &Probe) -> usize {
        let line = self.filter.get(filter::line_of(probe.hash, place.lines()));
        if line.is_some_and(|line| !filter::may_hold(line, &probe.bits)) {
            return 0;
        }
        self.fences.partition_point(|fence| *fence <= probe.key)
    }
}

/// The same for a front that isn't in memory: reads one block of the filter, and the fence keys if
/// that says so.
pub(super) fn read_blocks_up_to(
    file: &BlockFile<'_>,
    place: &Place,
    probe: &Probe,
) -> Result<usize, Error> {
    let mut block = [0; BLOCK];
    let line = filter::line_of(probe.hash, place.lines());
    file.read(place.filter_at() + (line / LINES) as u64, &mut block)?;
    if !filter::may_hold(&filter::line_at(&block, line % LINES), &probe.bits) {
        return Ok(0);
    }
    file.read(place.fences_at(), &mut block)?;
    let fences = place.record_blocks() as usize;
    Ok(partition_point(fences, |at| {
        key_at(&block, 16 * at) <= probe.key
    }))
}

/// Bytes of fronts in memory, over all runs of one handle.
#[derive(Debug, Default)]
pub(super) struct Residency(AtomicUsize);

impl Residency {
    #[cfg(test)]
    pub(super) fn full() -> Self {
        Self(AtomicUsize::new(RESIDENT_LIMIT))
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, size: usize, level: u8) -> bool {
        let before = self.0.fetch_add(size, Ordering::Relaxed);
        // Few runs are of the lowest levels, and every look-up asks them.
        if level <= 1 || before + size <= RESIDENT_LIMIT {
            return true;
        }
        self.give_back(size);
        false
    }

    pub(super) fn give_back(&self, size: usize) {
        self.0.fetch_sub(size, Ordering::Relaxed);
    }
}
