use std::ops::Range;

use crate::{FormatError, cursor::Cursor};

/// The most ranges of one set, so that one fits a payload: 8 MiB of them.
const MAX_RANGES: usize = 1 << 20;
const TOO_MANY: FormatError = FormatError::Limit {
    what: "ranges of a set of sequences",
    limit: MAX_RANGES as u64,
};

/// A set of sequences, as ranges that ascend and don't touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceSet {
    ranges: Vec<Range<u64>>,
}

impl SequenceSet {
    /// Adds a sequence that is higher than all in the set. `false` if it isn't, or if there is no room.
    #[must_use]
    pub fn push(&mut self, sequence: u64) -> bool {
        let Some(end) = sequence.checked_add(1) else {
            return false;
        };
        let far = u64::from(u32::MAX);
        let full = self.ranges.len() >= MAX_RANGES;
        if let Some(last) = self.ranges.last_mut() {
            if sequence == last.end && end - last.start <= far {
                last.end = end;
                return true;
            }
            // Neighbours are one range, and the place of one is told from where the last one ends.
            if sequence <= last.end || sequence - last.end > far {
                return false;
            }
        }
        if !full {
            self.ranges.push(sequence..end);
        }
        !full
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Whether it holds a sequence.
    #[must_use]
    pub fn contains(&self, sequence: u64) -> bool {
        // Of many large sets most are elsewhere.
        if sequence >= self.end()
            || self
                .ranges
                .first()
                .is_none_or(|first| sequence < first.start)
        {
            return false;
        }
        let at = self.ranges.partition_point(|range| range.end <= sequence);
        self.ranges
            .get(at)
            .is_some_and(|range| range.contains(&sequence))
    }

    /// Whether it holds all of another set. It takes as long as that has ranges, however many sequences these
    /// have.
    #[must_use]
    pub fn contains_all(&self, other: &Self) -> bool {
        other.ranges.iter().all(|range| {
            let at = self.ranges.partition_point(|own| own.end <= range.start);
            // Ranges don't touch, so that no two of them share one.
            let own = self.ranges.get(at);
            own.is_some_and(|own| own.start <= range.start && range.end <= own.end)
        })
    }

    /// Whether it holds any of these.
    #[must_use]
    pub fn meets(&self, of: &Range<u64>) -> bool {
        let at = self.ranges.partition_point(|range| range.end <= of.start);
        !of.is_empty()
            && self
                .ranges
                .get(at)
                .is_some_and(|range| range.start < of.end)
    }

    /// The sequences, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().flat_map(Range::clone)
    }

    /// How many it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges
            .iter()
            .map(|range| range.end - range.start)
            .sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// One past the highest; 0 if it is empty.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.end)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let first = self.ranges.first().map_or(0, |range| range.start);
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&(self.ranges.len() as u32).to_le_bytes());
        let mut end = first;
        for range in &self.ranges {
            // `push` has seen to it that both fit.
            out.extend_from_slice(&((range.start - end) as u32).to_le_bytes());
            out.extend_from_slice(&((range.end - range.start) as u32).to_le_bytes());
            end = range.end;
        }
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        const WRONG: FormatError = FormatError::Invalid("set of sequences");
        let mut end = input.u64()?;
        let count = input.u32()? as usize;
        if count > MAX_RANGES {
            return Err(TOO_MANY);
        }
        if count == 0 && end != 0 {
            return Err(WRONG);
        }
        input.bounded(count, 8)?;
        let mut ranges = Vec::with_capacity(count);
        for index in 0..count {
            let (gap, len) = (u64::from(input.u32()?), u64::from(input.u32()?));
            if (gap == 0) != (index == 0) || len == 0 {
                return Err(WRONG);
            }
            let start = end.checked_add(gap).ok_or(WRONG)?;
            end = start.checked_add(len).ok_or(WRONG)?;
            ranges.push(start..end);
        }
        Ok(Self { ranges })
    }
}

impl FromIterator<u64> for SequenceSet {
    /// Of sequences that ascend; those that can't be added are left out.
    fn from_iter<I: IntoIterator<Item = u64>>(sequences: I) -> Self {
        let mut set = Self::default();
        for sequence in sequences {
            let _ = set.push(sequence);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(set: &SequenceSet) -> SequenceSet {
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        let mut input = Cursor::new(&bytes, "set");
        let decoded = SequenceSet::decode(&mut input).unwrap();
        input.finish().unwrap();
        decoded
    }

    #[test]
    fn sets_come_back_and_say_what_they_hold() {
        for sequences in [vec![], vec![0], vec![7, 8, 9, 11, 1 << 31, (1 << 31) + 1]] {
            let set: SequenceSet = sequences.iter().copied().collect();
            assert_eq!(again(&set), set);
            assert!(set.iter().eq(sequences.iter().copied()));
            assert_eq!(set.len(), sequences.len() as u64);
            for sequence in 0..20 {
                assert_eq!(set.contains(sequence), sequences.contains(&sequence));
                for len in 0..5 {
                    let of = sequence..sequence + len;
                    let other: SequenceSet = of.clone().collect();
                    let all = of.clone().all(|one| sequences.contains(&one));
                    assert_eq!(set.contains_all(&other), all, "{of:?}");
                    let meets = sequences.iter().any(|one| of.contains(one));
                    assert_eq!(set.meets(&of), meets, "{of:?}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_ascend_or_is_too_far_is_not_taken() {
        let mut set: SequenceSet = [5, 6].into_iter().collect();
        assert!(!set.push(5));
        assert!(!set.push(6));
        assert!(!set.push(u64::MAX));
        assert!(!set.push(7 + (1 << 32)));
        assert!(set.push(6 + (1 << 32)));
        assert_eq!(set.len(), 3);
    }

    #[test]
    fn sets_of_more_than_anybody_can_count_are_compared() {
        let ranges = (0..1 << 10).map(|at| (at << 32)..(at << 32) + u64::from(u32::MAX));
        let set = SequenceSet {
            ranges: ranges.collect(),
        };
        assert!(set.contains_all(&set));
        let mut less = set.clone();
        less.ranges.pop();
        assert!(set.contains_all(&less) && !less.contains_all(&set));
    }

    #[test]
    fn a_set_has_one_encoding() {
        // First, count, then gap and length of each.
        let encoded = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let decode = |words: &[u32]| {
            let bytes = encoded(words);
            let mut input = Cursor::new(&bytes, "set");
            SequenceSet::decode(&mut input).and_then(|set| input.finish().map(|()| set))
        };
        assert!(decode(&[7, 0, 1, 0, 2]).is_ok());
        assert!(decode(&[7, 0, 2, 0, 2, 1, 1]).is_ok());
        for bad in [
            &[7, 0, 1, 1, 2][..],           // a gap before the first
            &[7, 0, 1, 0, 0],               // nothing in it
            &[7, 0, 0],                     // a place without a range
            &[u32::MAX, u32::MAX, 1, 0, 2], // past the last sequence
            &[7, 0, 2, 0, 2, 0, 1],         // neighbours that touch are one range
        ] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
