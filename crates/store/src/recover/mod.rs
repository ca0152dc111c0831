//! Opening: finding out what is there, what of it is durable, and what an unclean end calls for.

mod create;
mod floors;
mod follow;
mod identity;
mod survey;
mod tail;

pub(crate) use create::{create, finish, origin_of, refuse_occupied};
pub(crate) use floors::{Floors, unnamed};
pub(crate) use follow::Follower;
pub(crate) use identity::{Found, find};
pub(crate) use survey::{Absorb, Start, Survey, survey};
pub use tail::RecoveryReport;
pub(crate) use tail::recover;
