//! The index: one sorted multimap from (table, key) to sequences.
//!
//! What is durable in the log and not yet in a file stands in a [`Tail`], in memory. Complete chunks
//! of 4,096 sequences become *runs*: immutable, sorted, checksummed files whose ranges are fixed by
//! sequence alone. Eight neighbouring runs of one level are merged into one of the next. So which
//! runs there are, and every byte of them, follows from the segments; a run can be deleted at any
//! time and made again.
//!
//! An [`IndexView`] is an immutable pair of runs and tail, made anew when either changes. Readers
//! keep the view they began with and take no lock.
//!
//! Memory: a run costs 80 bytes per 43,350 keys, whatever is asked of it. Filters and fence keys
//! (about 1.6 bytes per key) are loaded at the first look-up near them and kept: always for runs of
//! the two lowest levels, of which there are few, and for the others while all of them together stay
//! under [`RESIDENT_LIMIT`]. Beyond that a look-up reads one more block per run instead.

mod block;
mod build;
mod check;
mod cursor;
mod dir;
mod filter;
mod front;
mod item;
mod keys;
mod layout;
mod list;
mod merge;
mod postings;
mod run;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod writer;

pub(crate) use check::{Checker, RunRead, RunReader};
pub(crate) use dir::IndexDir;
pub(crate) use item::{
    CATEGORY, CORRELATION, Entry, KIND, NameKeys, TAG, Table, correlation_key, correlation_name,
    keys_of_category, kind_key, kind_of_category, push_coordinate, push_kind, push_names,
    push_tags, tag_key, tag_keys,
};
pub(crate) use keys::Keys;
pub(crate) use postings::Postings;
pub(crate) use run::Run;
pub(crate) use tail::Tail;
pub(crate) use view::IndexView;
pub(crate) use writer::IndexWriter;

/// What every damage in `index/` is called.
pub(crate) const CODE: &str = "derived.index";

/// Sequences that a run of level 0 covers.
pub(crate) const CHUNK: u64 = 4096;

/// Neighbours that make one run of the next level, as a power of two.
const FAN_BITS: u32 = 3;

/// The highest level: a run covers 2^27 sequences, so that even with 32 postings an event the places
/// of postings fit 32 bits.
const MAX_LEVEL: u8 = 5;

/// Bytes of filters and fence keys kept in memory, runs of the two lowest levels apart.
const RESIDENT_LIMIT: usize = 16 << 20;

/// Whether a file of this name in `index/` is one of the index.
pub(crate) fn is_own(name: &str) -> bool {
    dir::RunName::parse(name.as_ref()).is_some()
}

/// How many sequences a run of this level covers.
const fn span(level: u8) -> u64 {
    CHUNK << (FAN_BITS * level as u32)
}

const _: () = assert!(span(MAX_LEVEL) * 32 <= 1 << 32);
