//! Following a journal: subscriptions, and what is made of the events that they give.
//!
//! A subscription is a position and a query. Catching up and being live are the same thing, a read of
//! the log from the position on, so that there is no seam between them at which an event could be lost
//! or come twice. What is live about it is only when it looks: it is told, after a group has become
//! durable, by what the group's events can be found by.

mod cursor;
mod ended;
mod group;
mod notice;
mod project;
mod subscribe;

pub(crate) use cursor::is_own as is_cursor;
pub use cursor::{CursorFile, CursorStatus};
pub use ended::Ended;
pub use group::{Claim, Group, GroupStatus, Member};
pub use project::{
    Failure, InMemory, Phase, Projection, ProjectionStatus, Projector, Retries, Shown, Worker,
};
pub use subscribe::{Delivered, Stopper, Subscription, SubscriptionStatus};
pub(crate) use subscribe::{EndsFollowers, Followers, Following};
