//! Segment files: where events live.
//!
//! A segment is a header and then groups; a group is a commit header frame and its event frames.

mod file;
mod frames;
mod groups;
pub(crate) mod offsets;
mod search;
mod statements;
mod writer;

pub(crate) use file::{SegmentFile, offsets_name, parse_segment_name, segment_name};
pub(crate) use frames::{FrameReader, FrameStop, Window};
pub(crate) use groups::{EventScan, GroupScanner, ScanStop, ScannedEvent, ScannedGroup};
pub(crate) use search::{Search, Work};
pub(crate) use statements::largest_statement;
pub(crate) use writer::{SegmentWriter, headers_hash};
