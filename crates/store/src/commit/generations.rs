use std::{collections::HashMap, hash::Hash};

/// A bounded map that forgets what wasn't used for longest, in two generations: when the young one is
/// full it becomes the old one, and the old one is dropped.
///
/// Each entry belongs to a sequence; [`forgotten`](Self::forgotten) tells up to where entries may be
/// missing, so that who looked elsewhere as of an earlier moment knows to look again.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, (u64, V)>,
    old: HashMap<K, (u64, V)>,
    capacity: usize,
    forgotten: u64,
}

impl<K: Hash + Eq + Copy, V: Copy> Generations<K, V> {
    /// Holds up to twice `capacity` entries; those of sequences below `forgotten` were never here.
    pub(crate) fn new(capacity: usize, forgotten: u64) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
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
}

#[cfg(test)]
mod tests {
    use super::Generations;

    #[test]
    fn what_is_forgotten_is_told() {
        let mut map = Generations::new(2, 0);
        for sequence in 0..5u64 {
            map.insert(sequence, sequence, ());
        }
        assert_eq!(map.forgotten(), 2);
        for sequence in 0..5u64 {
            assert_eq!(map.get(&sequence).is_some(), sequence >= map.forgotten());
        }
    }

    #[test]
    fn what_is_used_stays() {
        let mut map = Generations::new(2, 0);
        for sequence in 0..20u64 {
            map.insert(100, sequence, ());
            map.insert(sequence, sequence, ());
            assert!(map.get(&100).is_some());
        }
    }
}
