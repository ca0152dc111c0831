use std::thread;

use factlog_format::EventId;

/// How many ids are compared: 64 MiB of them. Beyond it a report says that the rest was not.
pub(super) const MAX_IDS: u64 = 4 << 20;
const BUCKETS: usize = 256;

/// The ids of events, to find one that stands for two.
#[derive(Debug)]
pub(super) struct Ids {
    /// By the last byte, which is random in the ids that factlog makes: so no list grows by much at
    /// once. As numbers, which are sorted several times faster than arrays of bytes.
    buckets: Vec<Vec<u128>>,
    count: u64,
    /// The first sequence whose id wasn't taken in.
    unchecked_from: Option<u64>,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self {
            buckets: vec![Vec::new(); BUCKETS],
            count: 0,
            unchecked_from: None,
        }
    }

    pub(super) fn push(&mut self, sequence: u64, id: &EventId) {
        if self.count == MAX_IDS {
            self.unchecked_from.get_or_insert(sequence);
            return;
        }
        self.count += 1;
        let [.., last] = *id;
        if let Some(bucket) = self.buckets.get_mut(usize::from(last)) {
            bucket.push(u128::from_be_bytes(*id));
        }
    }

    /// The ids that stand for more than one event, and the first sequence that wasn't looked at.
    pub(super) fn finish(mut self, threads: usize) -> (Vec<EventId>, Option<u64>) {
        let mut repeated = Vec::new();
        thread::scope(|scope| {
            let share = BUCKETS.div_ceil(threads.max(1));
            let mut shares = self.buckets.chunks_mut(share);
            let mine = shares.next().unwrap_or_default();
            for share in shares {
                scope.spawn(|| share.iter_mut().for_each(|bucket| bucket.sort_unstable()));
            }
            mine.iter_mut().for_each(|bucket| bucket.sort_unstable());
        });
        for bucket in &self.buckets {
            for pair in bucket.windows(2) {
                if let [left, right] = pair
                    && left == right
                    && repeated.last() != Some(&left.to_be_bytes())
                {
                    repeated.push(left.to_be_bytes());
                }
            }
        }
        (repeated, self.unchecked_from)
    }
}
