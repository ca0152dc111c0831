//! Whom to believe: keys, and those who watch over a journal.

pub(crate) mod anchors;
pub(crate) mod keys;
pub(crate) mod keyset;
pub(crate) mod publish;
pub(crate) mod witness;
