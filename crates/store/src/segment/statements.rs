use factlog_format::{CommitHeader, FRAME_HEADER_LEN, Frame, FrameType, GroupKey};
use factlog_fs::read_up_to;

use super::SegmentFile;
use crate::{
    Error,
    config::{Bug, planted},
};

const STEP: usize = 8;
const WINDOW: usize = 1 << 20;
/// Bytes that are checksummed at most. A payload made for it could ask for a checksum of the longest
/// header at every other place; a search that is cut short says that everything is durable, so that
/// nothing is taken for a torn tail on its word.
const WORK: usize = 16 << 30;
/// A commit header with the most and longest signatures.
const MAX_HEADER_FRAME: usize = 64 << 10;

/// What the writer itself said to be durable, found anywhere in a segment from `offset` on: the
/// largest `durable` of any commit header that passes both its CRC and its keyed header check, also
/// beyond a hole and also of a torn group. 0 if there is none.
pub(crate) fn largest_statement(segment: &SegmentFile, offset: u64) -> Result<u64, Error> {
    let end = segment.len()?;
    let mut largest = 0;
    let mut at = offset.next_multiple_of(STEP as u64);
    let mut window = Vec::new();
    let mut work = WORK;
    while at < end {
        // Windows overlap by the longest header, so that none is missed at a seam.
        window.resize(WINDOW + MAX_HEADER_FRAME, 0);
        let got = read_up_to(segment.file.as_ref(), &mut window, at)
            .map_err(Error::io("read", &segment.path))?;
        window.truncate(got);
        for start in (0..got.min(WINDOW)).step_by(STEP) {
            let bytes = window.get(start..).unwrap_or_default();
            let Some(len) = plausible_len(bytes) else {
                continue;
            };
            let Some(left) = work.checked_sub(len) else {
                return Ok(u64::MAX);
            };
            work = left;
            if let Some(header) = header_at(segment, bytes) {
                largest = largest.max(header.durable);
            }
        }
        at += WINDOW as u64;
    }
    Ok(largest)
}

/// Decides nearly every place without a checksum: type 1, three zeros, and a length that can be.
fn plausible_len(bytes: &[u8]) -> Option<usize> {
    if bytes.get(8..FRAME_HEADER_LEN)? != [1, 0, 0, 0] {
        return None;
    }
    Frame::peek_len(bytes)
        .ok()
        .filter(|len| *len <= MAX_HEADER_FRAME)
}

fn header_at(segment: &SegmentFile, bytes: &[u8]) -> Option<CommitHeader> {
    let frame = Frame::read(segment.seed, bytes).ok()?;
    if frame.kind != FrameType::Commit {
        return None;
    }
    let header = CommitHeader::decode(&segment.key, frame.body).ok();
    if header.is_none() && planted(Bug::PayloadHeaderBelieved) {
        let known_to_all = GroupKey::derive(&[0; 16], &segment.header.journal, 0, 0);
        return CommitHeader::decode(&known_to_all, frame.body).ok();
    }
    header
}
