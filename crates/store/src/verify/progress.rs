use std::sync::Arc;

/// How often progress is told, in bytes.
const STEP: u64 = 1 << 20;

/// Tells how far the reading is.
pub(super) struct Progress {
    callback: Option<Arc<dyn Fn(u64, u64) + Send + Sync>>,
    /// Of the segments before this one.
    before: u64,
    total: u64,
    told: u64,
}

impl Progress {
    pub(super) fn new(callback: Option<Arc<dyn Fn(u64, u64) + Send + Sync>>, total: u64) -> Self {
        Self {
            callback,
            before: 0,
            total,
            told: 0,
        }
    }

    /// Reading the segment has come to this offset.
    pub(super) fn reached(&mut self, offset: u64) {
        let done = self.before.saturating_add(offset);
        if done >= self.told.saturating_add(STEP) {
            self.tell(done);
        }
    }

    /// A segment of this length was read.
    pub(super) fn end_segment(&mut self, len: u64) {
        self.before = self.before.saturating_add(len);
        self.tell(self.before);
    }

    fn tell(&mut self, done: u64) {
        self.told = done;
        if let Some(callback) = &self.callback {
            callback(done.min(self.total), self.total);
        }
    }
}
