//! One file: what the page cache shows, what the disk has, and what lies between.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::content::{Content, Page};
use crate::Rng;

/// What a sync that reports an error leaves behind. Each is what some kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailedSync {
    /// Nothing reached the disk, and what was dirty still is: only here could a second sync
    /// help, and no caller can know that it is here.
    KeepsDirty,
    /// Nothing reached the disk, and the pages count as clean: reads show them until the power
    /// goes, and the next sync succeeds without writing them.
    KeepsInCache,
    /// Nothing reached the disk, and the pages are dropped: reads show what was there before.
    DropsPages,
    /// Some sectors reached the disk, and the pages count as clean.
    WritesHalf,
}

/// A file. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileState {
    pub(crate) cache: Content,
    pub(crate) disk: Content,
    /// What was written since the last sync, in order.
    pub(crate) pending: Vec<Arc<Change>>,
    pub(crate) private: bool,
}

/// One write or change of length: the pages as they were after it.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) pages: Vec<(u64, Option<Arc<Page>>)>,
    pub(crate) len: u64,
    /// Whether the file got shorter. What a cut took doesn't come back once a later length is
    /// durable, as file systems keep lengths in order.
    pub(crate) cut: bool,
}

impl FileState {
    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) {
        let touched = self.cache.write(buf, offset);
        self.note(&touched, false);
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        let cut = len < self.cache.len();
        let touched = self.cache.set_len(len);
        self.note(&touched, cut);
    }

    fn note(&mut self, touched: &[u64], cut: bool) {
        let pages = touched
            .iter()
            .map(|number| (*number, self.cache.page(*number).cloned()));
        let (pages, len) = (pages.collect(), self.cache.len());
        self.pending.push(Arc::new(Change { pages, len, cut }));
    }

    /// Numbers of the pages that are dirty.
    pub(crate) fn dirty(&self) -> BTreeSet<u64> {
        let changes = self.pending.iter();
        changes
            .flat_map(|change| change.pages.iter().map(|(number, _)| *number))
            .collect()
    }

    /// Writes every dirty page to the disk. A page that an earlier, failed sync left out and
    /// that wasn't written since stays out.
    pub(crate) fn sync(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        for number in self.dirty() {
            self.disk.set_page(number, self.cache.page(number).cloned());
        }
        self.disk.set_len(self.cache.len());
        self.pending.clear();
    }

    pub(crate) fn fail_sync(&mut self, how: FailedSync, rng: &mut Rng) {
        match how {
            FailedSync::KeepsDirty => {}
            FailedSync::KeepsInCache => self.pending.clear(),
            FailedSync::DropsPages => {
                for number in self.dirty() {
                    self.cache.set_page(number, self.disk.page(number).cloned());
                }
                // Nothing may stand past the end.
                let len = self.cache.len();
                self.cache.set_len(len.max(self.disk.len()));
                self.cache.set_len(len);
                self.pending.clear();
            }
            FailedSync::WritesHalf => {
                let cut = super::PowerCut::torn();
                self.disk = super::cut::after_cut(self, &cut, &Content::default(), rng);
                self.pending.clear();
            }
        }
    }
}
