//! What a power cut leaves of what was not synced.

use std::sync::Arc;

use super::content::{Content, PAGE, Page};
use super::{FileState, Node, State};
use crate::Rng;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unsynced {
    /// All of it is lost.
    Lost,
    /// All of it reached the disk just before.
    Kept,
    /// Each sector shows any of its versions since the last sync, or a mixture of two; lengths
    /// are any of those that were; of each directory's changes the first few are there.
    Torn,
    /// Writes and directory changes are there or not, each by itself, whatever their order;
    /// lengths are mostly the last ones, so they are ahead of the bytes.
    Reordered,
}

impl Unsynced {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Kept, Self::Torn, Self::Reordered];
}

/// What stands where a length is durable and the bytes never were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Garbage {
    /// Zeros.
    Zeros,
    /// Random bytes.
    Random,
    /// A sector of this or another file, present or removed: blocks are used again.
    Stale,
}

/// How the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PowerCut {
    /// What becomes of what was not synced.
    pub unsynced: Unsynced,
    /// What is written as one: 512 or 4,096 bytes. A torn sector keeps its unchanged bytes.
    pub sector: usize,
    /// What stands where bytes are missing.
    pub garbage: Garbage,
}

impl PowerCut {
    /// A cut with sectors of 512 bytes and zeros for what is missing.
    #[must_use]
    pub const fn new(unsynced: Unsynced) -> Self {
        Self {
            unsynced,
            sector: 512,
            garbage: Garbage::Zeros,
        }
    }

    /// Everything that was not synced is lost.
    #[must_use]
    pub const fn lost() -> Self {
        Self::new(Unsynced::Lost)
    }

    /// Sectors are torn.
    #[must_use]
    pub const fn torn() -> Self {
        Self::new(Unsynced::Torn)
    }

    /// The same loss, with sector size and garbage chosen by a seed.
    #[must_use]
    pub fn seeded(unsynced: Unsynced, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5ec7_0125);
        let garbage = [Garbage::Zeros, Garbage::Random, Garbage::Stale];
        Self {
            unsynced,
            sector: if rng.chance(50) { 512 } else { PAGE },
            garbage: *rng.pick(&garbage).unwrap_or(&Garbage::Zeros),
        }
    }

    /// What the disk holds when the power is back.
    pub(crate) fn apply(&self, state: &State, rng: &mut Rng) -> State {
        let mut after = state.clone();
        let stale = match self.garbage {
            Garbage::Stale => state.stale(),
            _ => Content::default(),
        };
        for node in after.nodes.values_mut() {
            match node.as_ref() {
                Node::File(file) => {
                    let disk = after_cut(file, self, &stale, rng);
                    let private = file.private;
                    let cache = disk.clone();
                    *node = Arc::new(Node::File(FileState {
                        cache,
                        disk,
                        pending: vec![],
                        private,
                    }));
                }
                Node::Dir(dir) => {
                    let mut dir = dir.clone();
                    let upto = rng.below(dir.pending.len() as u64 + 1) as usize;
                    let pending = std::mem::take(&mut dir.pending);
                    for (at, change) in pending.iter().enumerate() {
                        let kept = match self.unsynced {
                            Unsynced::Lost => false,
                            Unsynced::Kept => true,
                            Unsynced::Torn => at < upto,
                            Unsynced::Reordered => rng.chance(50),
                        };
                        if kept {
                            change.apply(&mut dir.disk);
                        }
                    }
                    dir.entries = dir.disk.clone();
                    *node = Arc::new(Node::Dir(dir));
                }
            }
        }
        after.prune();
        after
    }
}

/// What the disk holds of one file.
pub(super) fn after_cut(
    file: &FileState,
    cut: &PowerCut,
    stale: &Content,
    rng: &mut Rng,
) -> Content {
    let mut disk = file.disk.clone();
    if file.pending.is_empty() || cut.unsynced == Unsynced::Lost {
        return disk;
    }
    if cut.unsynced == Unsynced::Kept {
        let mut file = file.clone();
        file.sync();
        return file.disk;
    }
    let choice = Choice::of(file, cut.unsynced, rng);
    for number in file.dirty() {
        let mut page = disk.page(number).map_or([0; PAGE], |page| **page);
        for start in (0..PAGE).step_by(cut.sector) {
            let range = start..start + cut.sector;
            let at = number * PAGE as u64 + start as u64;
            let sector = choice.sector(file, number, range.clone(), rng);
            let missing = sector.is_none() && at >= file.disk.len();
            match sector {
                Some(bytes) => page[range].copy_from_slice(&bytes),
                None if missing => garbage(cut.garbage, stale, &mut page[range], rng),
                None => {}
            }
        }
        disk.set_page(number, Some(Arc::new(page)));
    }
    // First up to the pages' end, so that what stands past the length is really cut off.
    let end = disk
        .numbers()
        .last()
        .map_or(0, |last| (last + 1) * PAGE as u64);
    disk.set_len(end.max(choice.len));
    disk.set_len(choice.len);
    disk
}

/// Which of a file's changes are there.
struct Choice {
    unsynced: Unsynced,
    len: u64,
    /// Changes below this that cut the file are there, as the length is.
    len_from: usize,
    /// How often a sector is up to date, in percent.
    fresh: u64,
    kept: Vec<bool>,
}

impl Choice {
    fn of(file: &FileState, unsynced: Unsynced, rng: &mut Rng) -> Self {
        let count = file.pending.len();
        let last = unsynced == Unsynced::Reordered && rng.chance(70);
        let len_from = if last {
            count
        } else {
            rng.below(count as u64 + 1) as usize
        };
        let change = len_from.checked_sub(1).and_then(|at| file.pending.get(at));
        let fresh = *rng.pick(&[10, 50, 90]).unwrap_or(&50);
        Self {
            unsynced,
            len: change.map_or(file.disk.len(), |change| change.len),
            len_from,
            fresh,
            kept: (0..count).map(|_| rng.chance(fresh)).collect(),
        }
    }

    /// The bytes of a sector; `None` for those that the disk had.
    fn sector(
        &self,
        file: &FileState,
        number: u64,
        range: std::ops::Range<usize>,
        rng: &mut Rng,
    ) -> Option<Vec<u8>> {
        // Every version that the sector went through, and whether it must be there.
        let versions: Vec<(usize, Option<&Arc<Page>>, bool)> = file
            .pending
            .iter()
            .enumerate()
            .flat_map(|(at, change)| {
                let pages = change.pages.iter().filter(move |(page, _)| *page == number);
                pages.map(move |(_, page)| (at, page.as_ref(), change.cut && at < self.len_from))
            })
            .collect();
        let least = versions
            .iter()
            .rposition(|(_, _, must)| *must)
            .map_or(0, |at| at + 1);
        let upto = match self.unsynced {
            Unsynced::Reordered => {
                let kept = |(at, _, _): &(usize, _, _)| self.kept.get(*at) == Some(&true);
                versions.iter().rposition(kept).map_or(0, |at| at + 1)
            }
            _ if rng.chance(self.fresh) => versions.len(),
            _ => rng.below(versions.len() as u64 + 1) as usize,
        };
        let upto = upto.max(least);
        let bytes = |upto: usize| -> Vec<u8> {
            let page = match upto.checked_sub(1) {
                None => file.disk.page(number),
                Some(at) => versions.get(at).and_then(|(_, page, _)| *page),
            };
            page.map_or_else(|| vec![0; range.len()], |page| page[range.clone()].to_vec())
        };
        let tears = self.unsynced == Unsynced::Torn && upto < versions.len() && rng.chance(30);
        if tears {
            let (mut old, new) = (bytes(upto), bytes(upto + 1));
            // Only bytes that differ are at stake.
            let tear = rng.below(range.len() as u64) as usize;
            let front = rng.chance(50);
            for (at, (old, new)) in old.iter_mut().zip(new).enumerate() {
                if (at < tear) == front {
                    *old = new;
                }
            }
            return Some(old);
        }
        (upto > 0).then(|| bytes(upto))
    }
}

fn garbage(garbage: Garbage, stale: &Content, out: &mut [u8], rng: &mut Rng) {
    match garbage {
        Garbage::Zeros => out.fill(0),
        Garbage::Random => rng.fill(out),
        Garbage::Stale => {
            let sectors = stale.len() / out.len() as u64;
            out.fill(0);
            stale.read(out, rng.below(sectors) * out.len() as u64);
        }
    }
}
