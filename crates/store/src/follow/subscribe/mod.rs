//! Subscriptions: events as they become durable, from any place on.

mod followers;
mod interest;
mod notices;
mod slot;
mod subscription;
#[cfg(test)]
mod tests;

pub(super) use interest::Interest;
pub(super) use slot::{News, Slot};

pub(crate) use followers::{EndsFollowers, Followers, Following};
pub use subscription::{Delivered, Stopper, Subscription, SubscriptionStatus};
