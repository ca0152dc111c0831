//! How an event is kept in a store of keys and values: under its place, with its id, stream and kind.
//! A second table finds it by its id, a third by its stream. A kind is found by looking at all.

use anyhow::Context;
use uuid::Uuid;

use crate::{event::Event, store::Id};

const ID: usize = 16;
const NAME: usize = 16;
const HEADER: usize = ID + NAME + 1;

/// Ids that rise with time are the easiest for a tree.
pub(super) fn new_id() -> Id {
    Uuid::now_v7().into_bytes()
}

pub(super) fn encode(event: &Event, id: &Id) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEADER + event.payload.len());
    row.extend_from_slice(id);
    row.extend_from_slice(event.stream.name().as_bytes());
    row.push(event.kind);
    row.extend_from_slice(event.payload);
    row
}

/// Stream and place, in the order in which a stream is read.
pub(super) fn stream_key(name: &str, sequence: u64) -> [u8; NAME + 8] {
    let mut key = [0; NAME + 8];
    let (head, tail) = key.split_at_mut(NAME);
    head.copy_from_slice(name.as_bytes());
    tail.copy_from_slice(&sequence.to_be_bytes());
    key
}

/// The place that a key of a stream ends with.
pub(super) fn sequence_of(key: &[u8]) -> anyhow::Result<u64> {
    key.last_chunk()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .context("a key that is too short")
}

pub(super) fn id(row: &[u8]) -> anyhow::Result<Id> {
    row.first_chunk()
        .copied()
        .context("a row that is too short")
}

pub(super) fn payload(row: &[u8]) -> anyhow::Result<&[u8]> {
    row.get(HEADER..).context("a row that is too short")
}

/// Whether it is of the kind, if one is asked for.
pub(super) fn is_of(row: &[u8], kind: Option<u8>) -> bool {
    kind.is_none_or(|kind| row.get(HEADER - 1) == Some(&kind))
}
