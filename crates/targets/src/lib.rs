//! Projections into databases: state and position are committed in one transaction, so that the effect of
//! each event is there exactly once.
//!
//! [`Sqlite`] and [`Postgres`] are small, and meant to be read as much as to be used: each is an
//! implementation of [`Projection`](factlog::Projection) over a connection that is made anew whenever it
//! is lost.
#![forbid(unsafe_code)]

mod pg;
mod sqlite;

pub use pg::Postgres;
pub use sqlite::Sqlite;
