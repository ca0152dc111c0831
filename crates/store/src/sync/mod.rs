//! The locks and condition variables of the whole crate, and the threads that subscriptions and tests
//! need, so that a scheduler can be put under them: in
//! this crate's own tests there is one.
//!
//! A panic while a lock is held doesn't poison it: state that a panic could leave half made is guarded
//! where it is changed.

#[cfg(not(test))]
mod real;
#[cfg(test)]
pub(crate) mod scheduled;
#[cfg(test)]
mod tests;

#[cfg(not(test))]
pub(crate) use real::{Condvar, Mutex, MutexGuard, Patience, spawn};
#[cfg(test)]
pub(crate) use scheduled::{Condvar, Mutex, MutexGuard, Patience, spawn};
