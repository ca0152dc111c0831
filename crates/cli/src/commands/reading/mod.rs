//! What shows a journal's events.

pub(crate) mod ancestry;
pub(crate) mod log;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod streams;
pub(crate) mod tail;
