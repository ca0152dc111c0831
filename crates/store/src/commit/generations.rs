use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use factlog_format::EventId;

/// A bounded map that forgets what wasn't used for longest, in two generations: when the young one is
/// full it becomes the old one, and the old one is dropped.
///
/// Each entry belongs to a sequence; [`forgotten`](Self::forgotten) tells up to where entries may be
/// missing, so that who looked elsewhere as of an earlier moment knows to look again.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, (u64, V), KeyState>,
    old: HashMap<K, (u64, V), KeyState>,
    capacity: usize,
    forgotten: u64,
}

impl<K: Hash + Eq + Copy, V: Copy> Generations<K, V> {
    /// Holds up to twice `capacity` entries; those of sequences below `forgotten` were never here.
    pub(crate) fn new(capacity: usize, forgotten: u64) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            capacity,
            forgotten,
        }
    }

    /// Every entry of a sequence from here on is still here.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some((_, value)) = self.young.get(key) {
            return Some(*value);
        }
        let (sequence, value) = self.old.remove(key)?;
        self.insert(*key, sequence, value);
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, sequence: u64, value: V) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            let dropped = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            // What stands in both generations is remembered by the younger entry.
            let lost = dropped
                .iter()
                .filter(|(key, _)| !self.old.contains_key(key));
            let newest = lost.map(|(_, (sequence, _))| sequence + 1).max();
            self.forgotten = self.forgotten.max(newest.unwrap_or(0));
        }
        self.young.insert(key, (sequence, value));
    }

    /// Forgets the entries of some sequences.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(u64) -> bool) {
        let mut newest = 0;
        for generation in [&mut self.young, &mut self.old] {
            generation.retain(|_, (sequence, _)| {
                let gone = is_gone(*sequence);
                if gone {
                    newest = newest.max(*sequence + 1);
                }
                !gone
            });
        }
        self.forgotten = self.forgotten.max(newest);
    }
}

/// Where the events that were ordered last stand, by their ids.
///
/// Ids are only noted when they are ordered; the map is made of them when somebody asks, so that who
/// leaves ids to the journal doesn't pay for it.
#[derive(Debug)]
pub(crate) struct RecentIds {
    /// Of the sequences from `from` on.
    ids: VecDeque<EventId>,
    from: u64,
    map: HashMap<EventId, u64, KeyState>,
    /// Up to where the map has them.
    mapped: u64,
    capacity: usize,
}

impl RecentIds {
    /// Holds the last `capacity` ids, and at times twice as many.
    pub(crate) fn new(capacity: usize, from: u64) -> Self {
        Self {
            ids: VecDeque::new(),
            from,
            map: HashMap::default(),
            mapped: from,
            capacity,
        }
    }

    /// Every id of a sequence from here on is still here.
    pub(crate) fn forgotten(&self) -> u64 {
        self.from
    }

    /// Notes the id of the next sequence.
    pub(crate) fn push(&mut self, id: EventId) {
        if self.ids.len() >= 2 * self.capacity {
            for id in self.ids.drain(..self.capacity) {
                // Of ids that were used anew, the younger place stays.
                if self.map.get(&id).is_some_and(|at| *at == self.from) {
                    self.map.remove(&id);
                }
                self.from += 1;
            }
            self.mapped = self.mapped.max(self.from);
        }
        self.ids.push_back(id);
    }

    /// Where the event of an id stands, if it is among them.
    pub(crate) fn get(&mut self, id: &EventId) -> Option<u64> {
        self.map_all();
        self.map.get(id).copied()
    }

    /// Gives the ids of some sequences free.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(u64) -> bool) {
        self.map_all();
        self.map.retain(|_, sequence| !is_gone(*sequence));
    }

    fn map_all(&mut self) {
        let known = usize::try_from(self.mapped - self.from).unwrap_or(usize::MAX);
        for id in self.ids.iter().skip(known) {
            self.map.insert(*id, self.mapped);
            self.mapped += 1;
        }
    }
}

/// Hashes keys of 16 bytes with little more than a multiplication. Seeded by chance, since callers
/// choose ids.
#[derive(Clone, Debug)]
pub(crate) struct KeyState([u64; 2]);

impl Default for KeyState {
    fn default() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0), random.hash_one(1)])
    }
}

impl BuildHasher for KeyState {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            seeds: self.0,
            state: 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct KeyHasher {
    seeds: [u64; 2],
    state: u64,
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for half in bytes.chunks(16) {
            let mut padded = [0u8; 16];
            for (to, from) in padded.iter_mut().zip(half) {
                *to = *from;
            }
            let key = u128::from_le_bytes(padded);
            let low = key as u64 ^ self.seeds[0] ^ self.state;
            let high = (key >> 64) as u64 ^ self.seeds[1];
            let product = u128::from(low) * u128::from(high);
            self.state = product as u64 ^ (product >> 64) as u64;
        }
    }

    /// Lengths, which are all the same here.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::{Generations, RecentIds};

    fn id(number: u64) -> [u8; 16] {
        u128::from(number).to_le_bytes()
    }

    #[test]
    fn recent_ids_lead_to_their_sequences_until_they_are_forgotten() {
        for asks in [1, 3, 7, 100] {
            let mut recent = RecentIds::new(4, 10);
            for sequence in 10..60 {
                recent.push(id(sequence * 3));
                assert!(sequence + 1 - recent.forgotten() <= 8);
                if sequence % asks != 0 {
                    continue;
                }
                for known in 10..=sequence {
                    let expected = (known >= recent.forgotten()).then_some(known);
                    assert_eq!(
                        recent.get(&id(known * 3)),
                        expected,
                        "{known} of {sequence}"
                    );
                }
                assert_eq!(recent.get(&id(1)), None);
            }
        }
    }

    #[test]
    fn keys_that_differ_in_one_bit_are_spread() {
        use std::hash::BuildHasher;
        let state = super::KeyState::default();
        let hashes: std::collections::HashSet<u64> = (0..128)
            .map(|bit| state.hash_one((1u128 << bit).to_le_bytes()) >> 48)
            .collect();
        assert!(hashes.len() > 120, "{}", hashes.len());
    }

    #[test]
    fn what_is_forgotten_is_told() {
        let mut map = Generations::new(2, 0);
        for sequence in 0..5u64 {
            map.insert(id(sequence), sequence, ());
        }
        assert_eq!(map.forgotten(), 2);
        for sequence in 0..5u64 {
            assert_eq!(
                map.get(&id(sequence)).is_some(),
                sequence >= map.forgotten()
            );
        }
    }

    #[test]
    fn what_is_used_stays() {
        let mut map = Generations::new(2, 0);
        for sequence in 0..20u64 {
            map.insert(id(100), sequence, ());
            map.insert(id(sequence), sequence, ());
            assert!(map.get(&id(100)).is_some());
        }
    }
}
