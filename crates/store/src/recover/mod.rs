//! Opening: finding out what is there, what of it is durable, and what an unclean end calls for.

mod clear;
mod contents;
mod create;
mod floors;
mod follow;
mod identity;
mod inspect;
mod keys;
mod rebuild;
mod remove;
mod repair;
mod salvage;
mod survey;
mod tail;
mod unreadable;

pub(crate) use clear::{clear_unfinished, make_dir, refuse_occupied};
pub(crate) use create::{create, finish, origin_of};
pub(crate) use floors::{Floors, unnamed};
pub(crate) use follow::Follower;
pub(crate) use identity::{Found, UNSUPPORTED, find, read_manifest};
pub use inspect::{Inspection, Opens, inspect};
pub(crate) use keys::{event_of, repeats_keys, value_of};
pub(crate) use rebuild::{Chosen, choose};
pub use remove::{Removed, destroy, reset};
pub use repair::repair;
pub use salvage::{Salvage, salvage};
pub(crate) use survey::{Absorb, Start, Survey, is_header_rot, survey};
pub use tail::RecoveryReport;
pub(crate) use tail::recover;
