use factlog_format::{CommitHeader, FrameType};
use factlog_proof::leaf_hash;

use super::{
    Pass,
    events::{CheckedEvent, EventBytes, EventChecks},
    groups::Broken,
    segments::Walk,
};
use crate::{
    Damage, Error,
    segment::{FrameStop, Search, SegmentFile},
};

/// No frame of an event is shorter.
const MIN_FRAME_LEN: u64 = 128;

/// After so many damaged places the rest of a segment is given up: each may cost a frame of the largest
/// size to be read in vain.
const MAX_DAMAGES: u32 = 1_000;

/// Reads on frame by frame from `start`, where a group begins that isn't whole or is too large to be
/// held, and returns where the next commit header stands that can be believed.
///
/// What can be read of the group joins the chain; the sequences that can't are named.
pub(super) fn salvage(
    pass: &mut Pass<'_>,
    walk: &mut Walk<'_>,
    start: u64,
    checks: &mut EventChecks,
) -> Result<u64, Error> {
    let (segment, end) = (walk.segment, walk.end);
    let mut group = Rest {
        segment,
        start,
        header: None,
        crcs: Vec::new(),
        frames_len: 0,
        damaged: false,
    };
    let mut at = start;
    let mut frames = walk.frames(at);
    while at < end {
        let frame = match frames.next() {
            Ok(frame) => frame,
            Err(FrameStop::End) => break,
            Err(FrameStop::Io(error)) => return Err(Error::io("read", &segment.path)(error)),
            Err(FrameStop::Bad(error)) => {
                group.spoil(pass, Broken::format(at, error));
                at = resume_at(walk, at)?;
                frames = walk.frames(at);
                continue;
            }
        };
        let len = frame.bytes.len() as u64;
        if frame.kind == FrameType::Commit {
            match CommitHeader::decode(&segment.key, frame.body) {
                Ok(_) if at > start => break,
                Ok(header) => {
                    if let Some(headers) = &mut walk.headers {
                        headers.add(frame.bytes);
                    }
                    group.begin(pass, header);
                }
                Err(error) => group.spoil(pass, Broken::format(at, error)),
            }
        } else {
            group.frames_len += len;
            group.crcs.push(frame.crc);
            let bytes = EventBytes {
                kind: frame.kind,
                offset: at,
                body: frame.body,
            };
            match checks.check(segment, &bytes) {
                Ok(event) => group.event(pass, &event)?,
                Err(error) => group.spoil(pass, Broken::format(at, error)),
            }
        }
        at += len;
        pass.progress.reached(at);
    }
    group.finish(pass);
    Ok(at)
}

/// Where the next frame stands that can be believed, after damage at `at`; the end if there is none.
fn resume_at(walk: &mut Walk<'_>, at: u64) -> Result<u64, Error> {
    walk.damages += 1;
    if walk.damages > MAX_DAMAGES {
        return Ok(walk.end);
    }
    let mut search = Search::new(walk.segment, at + 8, walk.end, &mut walk.work);
    Ok(search.next_frame()?.unwrap_or(walk.end))
}

/// A group as far as it can be read.
struct Rest<'s> {
    segment: &'s SegmentFile,
    start: u64,
    /// `None` if it can't be believed.
    header: Option<CommitHeader>,
    crcs: Vec<u32>,
    frames_len: u64,
    damaged: bool,
}

impl Rest<'_> {
    fn begin(&mut self, pass: &mut Pass<'_>, header: CommitHeader) {
        let path = &self.segment.path;
        if header.number == 0 && self.segment.header.inputs.is_empty() {
            let detail = "a compacted group stands in a segment that replaces none";
            let damage = Damage::new("commit.number", path, detail).at(self.start);
            pass.findings.wrong(damage.sequence(header.first_sequence));
        }
        if header.first_sequence > pass.chain.next {
            pass.lose_until(header.first_sequence, Some((path, self.start)));
        }
        pass.chain
            .header(&header, path, self.start, &mut pass.findings);
        self.header = Some(header);
    }

    fn event(&mut self, pass: &mut Pass<'_>, event: &CheckedEvent) -> Result<(), Error> {
        let path = &self.segment.path;
        let (sequence, next) = (event.sequence(), pass.chain.next);
        let offset = event.passed.offset;
        if self.header.is_none() && !self.damaged {
            self.spoil(
                pass,
                Broken::new(offset, "events stand here without a commit header"),
            );
        }
        // Bytes inside of a payload can look like an event of any sequence: it must be one that can
        // stand here.
        let skipped = offset.saturating_sub(self.start) / MIN_FRAME_LEN;
        let reachable = next.saturating_add(skipped).saturating_add(1);
        let end = self
            .header
            .as_ref()
            .map_or(reachable, CommitHeader::end_sequence);
        if sequence < next || sequence >= end {
            let detail = format!("event {sequence} stands where {next} comes next");
            let damage = Damage::new("event.out_of_order", path, detail);
            pass.findings.wrong(damage.at(offset).sequence(sequence));
            self.damaged = true;
            return Ok(());
        }
        if sequence > next {
            self.damaged = true;
            pass.lose_until(sequence, Some((path, offset)));
        }
        let Pass {
            chain,
            findings,
            derived,
            ..
        } = pass;
        let leaf = leaf_hash(&event.passed.hash);
        chain.event(event, leaf, path, findings, derived)
    }

    /// Notes that something of the group can't be read; the first time it was reported already, if it
    /// is why the group is read this way.
    fn spoil(&mut self, pass: &mut Pass<'_>, broken: Broken) {
        let code = if broken.unsupported {
            "journal.unsupported_version"
        } else {
            "segment.corrupt"
        };
        let path = &self.segment.path;
        let damage = Damage::new(code, path, broken.detail).at(broken.offset);
        self.damaged = true;
        if !pass.findings.has(damage.code, path, broken.offset) {
            pass.findings.wrong(damage.sequence(pass.chain.next));
        }
    }

    fn finish(self, pass: &mut Pass<'_>) {
        let path = &self.segment.path;
        let Some(header) = &self.header else {
            pass.chain.lose_headers();
            return;
        };
        if pass.chain.next < header.end_sequence() {
            pass.lose_until(header.end_sequence(), Some((path, self.start)));
        }
        let fits = self.frames_len == u64::from(header.frames_len)
            && self.segment.key.frames_check(self.crcs) == header.frames_check;
        if !fits && !self.damaged && !pass.findings.has("segment.corrupt", path, self.start) {
            let detail = "the group's events are not those of its commit header";
            let damage = Damage::new("segment.corrupt", path, detail).at(self.start);
            pass.findings.wrong(damage.sequence(header.first_sequence));
        }
        pass.chain
            .end_group(header, path, self.start, &mut pass.findings);
    }
}
