//! What the index must say, from a sorted map; and random workloads.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::super::{Entry, IndexView, Table};
use super::entry;

pub(super) const TABLES: [Table; 3] = [Table::Id, Table::Stream, Table::Coordinate];

#[derive(Debug, Default)]
pub(super) struct Model(BTreeMap<(Table, [u8; 16]), Vec<u64>>);

impl Model {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut model = Self::default();
        for entry in entries {
            model
                .0
                .entry((entry.table, entry.key))
                .or_default()
                .push(entry.sequence);
        }
        model
            .0
            .values_mut()
            .for_each(|sequences| sequences.sort_unstable());
        model
    }

    /// Compares every answer for every key there is, for some that aren't, and for some ranges.
    pub(super) fn compare(&self, view: &IndexView, ranges: &[Range<u64>]) {
        let none = Vec::new();
        let absent = [0u128, 1, 77, u128::MAX].map(|key| (Table::Id, key.to_be_bytes()));
        let others = self.0.keys().map(|(table, key)| {
            let other = if *table == Table::Id {
                Table::Stream
            } else {
                Table::Id
            };
            (other, *key)
        });
        for (table, key) in self.0.keys().copied().chain(absent).chain(others) {
            let wanted = self.0.get(&(table, key)).unwrap_or(&none);
            assert_eq!(view.last(table, key).unwrap(), wanted.last().copied());
            assert_eq!(view.first(table, key).unwrap(), wanted.first().copied());
            assert_eq!(view.count(table, key).unwrap(), wanted.len() as u64);
            for range in ranges {
                let mut within: Vec<u64> = wanted
                    .iter()
                    .copied()
                    .filter(|s| range.contains(s))
                    .collect();
                let found: Result<Vec<u64>, _> =
                    view.postings(table, key, range.clone(), false).collect();
                assert_eq!(found.unwrap(), within);
                within.reverse();
                let found: Result<Vec<u64>, _> =
                    view.postings(table, key, range.clone(), true).collect();
                assert_eq!(found.unwrap(), within);
            }
        }
        for table in TABLES {
            let keys: Result<Vec<_>, _> = view.keys(table).collect();
            let wanted: Vec<_> = self
                .0
                .iter()
                .filter(|((of, _), _)| *of == table)
                .map(|((_, key), all)| (*key, *all.last().unwrap(), all.len() as u64))
                .collect();
            assert_eq!(keys.unwrap(), wanted);
        }
    }
}

/// Sparse entries of a log of up to `end` events: many keys once, some often, some in clusters.
pub(super) fn entries(end: u64, count: usize) -> impl Strategy<Value = Vec<Entry>> {
    let key = prop_oneof![
        3 => any::<u128>(),
        3 => 0u128..12,
        1 => (0u128..12).prop_map(|low| u128::MAX - low),
        1 => (0u128..12).prop_map(|high| high << 64),
    ];
    let sequence = prop_oneof![2 => 0..end, 1 => 0..end.min(6_000)];
    let table = prop::sample::select(TABLES.to_vec());
    let one = (table, key, sequence).prop_map(|(table, key, at)| entry(table, key, at));
    prop::collection::vec(one, 0..count).prop_map(|mut entries| {
        entries.sort_by_key(|entry| entry.sequence);
        entries
    })
}

/// Lengths of groups that make up a log of `end` events.
pub(super) fn groups(end: u64) -> impl Strategy<Value = Vec<u64>> {
    let len = prop_oneof![3 => 1u64..50, 3 => 500u64..5_000, 1 => 5_000u64..40_000];
    prop::collection::vec(len, 1..200).prop_map(move |lens| {
        let mut ends = vec![0];
        for len in lens {
            ends.push((ends.last().unwrap() + len).min(end));
        }
        ends.push(end);
        ends.dedup();
        ends
    })
}
