//! What the machine holds: files and directories, as the page cache shows them and as the
//! disk has them.

mod content;
mod cut;
mod dir;
mod file;
mod print;
mod state;
mod walk;

pub(crate) use content::{Content, PAGE};
pub use cut::{Garbage, PowerCut, Unsynced};
pub(crate) use dir::{Directory, EntryChange};
pub use file::FailedSync;
pub(crate) use file::FileState;
pub(crate) use state::{Node, NodeId, State};
pub(crate) use walk::normal;
