//! Mistakes planted between a journal and its disk, to show that the harness bites.

use std::sync::Arc;

use factlog_fs::StoreFs;
use factlog_sim::SimFs;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// None; the disk itself.
    None,
}

impl Bug {
    pub fn plant(self, fs: &SimFs) -> Arc<dyn StoreFs> {
        fs.store()
    }
}
