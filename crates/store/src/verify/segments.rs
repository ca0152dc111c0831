use std::thread;

use factlog_format::HeadersHasher;
use factlog_fs::{FileKind, OpenMode};

use super::{
    Pass,
    ahead::{Ahead, Groups},
    groups::{Broken, Group, WholeGroup, read_group},
    plan::Plan,
    salvage::salvage,
    tail::{self, Statement},
};
use crate::{
    Damage, Error,
    recover::read_manifest,
    segment::{FrameReader, SegmentFile, Work},
};

/// Reads one segment from its header to its end, reports what is wrong, and goes on behind damage.
/// With an offset it begins there, at a commit: what stands before isn't looked at.
pub(super) fn pass_segment(
    pass: &mut Pass<'_>,
    plan: &Plan,
    from: Option<u64>,
) -> Result<(), Error> {
    if plan.first > pass.chain.next {
        pass.lose_until(plan.first, None);
    }
    let Some((segment, intact)) = open(pass, plan)? else {
        if let Some(until) = plan.until {
            pass.lose_until(until, None);
        }
        return Ok(());
    };
    pass.derived.begin_segment(&segment)?;
    let len = segment.len()?;
    let said = plan.sealed_end().unwrap_or(plan.proven_end);
    if said > len {
        let detail = format!("the file has {len} bytes, and {said} were durable: it was cut");
        let damage = Damage::new("segment.truncated", &segment.path, detail).at(len);
        pass.findings.wrong(damage.sequence(plan.first));
    }
    let end = plan.sealed_end().unwrap_or(len).min(len);
    let mut walk = Walk {
        segment: &segment,
        plan,
        start: from.unwrap_or(segment.header_len).min(end),
        end,
        headers: None,
        statement: None,
        work: Work::of(end),
        damages: 0,
    };
    if from.is_some() {
        // What the header says of the tree before is known better.
    } else if intact {
        if pass.chain.follows_an_unclean_end(&segment.header) {
            pass.derived.forgive_offsets();
        }
        pass.chain
            .segment(&segment.header, &segment.path, &mut pass.findings);
        walk.headers = Some(HeadersHasher::new(&segment.header.encode()));
    } else {
        pass.chain.lose_headers();
    }
    walk.groups(pass)?;
    let whole = walk.damages == 0 && walk.headers.is_some();
    walk.end(pass)?;
    let active = plan.until.is_none() && plan.sealed_end().is_none();
    if active {
        pass.clean = whole && plan.proven_end == len && pass.chain.ends_empty();
    }
    pass.derived.end_segment(&segment);
    pass.progress.end_segment(len);
    Ok(())
}

/// Opens a segment; where its header is damaged, with what MANIFEST repeats of it.
fn open(pass: &mut Pass<'_>, plan: &Plan) -> Result<Option<(SegmentFile, bool)>, Error> {
    let path = pass.layout.segment(plan.first, plan.generation);
    let missing = match pass.fs.metadata(&path).map_err(Error::io("read", &path))? {
        None => "the segment's file is missing",
        Some(found) if found.kind != FileKind::File => "the segment is not a regular file",
        Some(_) => "",
    };
    if !missing.is_empty() {
        let now = read_manifest(pass.fs, &pass.layout).ok();
        let mut rows = now.iter().flat_map(|now| &now.rows);
        let named = (plan.first, plan.generation);
        pass.replaced = now.is_some()
            && plan.row.is_some()
            && !rows.any(|row| (row.first_sequence, row.generation) == named);
        let damage = Damage::new("segment.missing", &path, missing).sequence(plan.first);
        pass.findings.wrong(damage);
        return Ok(None);
    }
    let error = match SegmentFile::open(pass.fs, &path, OpenMode::Read, &pass.chain.journal) {
        Ok(segment) => {
            check_row(pass, plan, &segment);
            return Ok(Some((segment, true)));
        }
        Err(error) => error,
    };
    let is_newer = error.code() == "journal.unsupported_version";
    pass.findings.absorb(error)?;
    if is_newer {
        // It is never read in part.
        pass.newer = true;
        pass.newer_end |= plan.until.is_none();
        pass.chain.lose_headers();
        pass.derived.lose();
        return Ok(None);
    }
    let Some(row) = &plan.row else {
        return Ok(None);
    };
    let segment = SegmentFile::open_by_row(pass.fs, &path, row, pass.chain.journal)?;
    Ok(Some((segment, false)))
}

fn check_row(pass: &mut Pass<'_>, plan: &Plan, segment: &SegmentFile) {
    if let Some(row) = &plan.row
        && row.salt != segment.header.salt
    {
        let detail =
            "the segment has another salt than MANIFEST repeats: one of them was exchanged";
        let damage = Damage::new("segment.salt_mismatch", &segment.path, detail);
        pass.findings.wrong(damage.at(0).sequence(plan.first));
    }
}

/// One segment being read.
pub(super) struct Walk<'s> {
    pub(super) segment: &'s SegmentFile,
    plan: &'s Plan,
    /// Where reading begins, in bytes.
    start: u64,
    /// Where reading ends, in bytes.
    pub(super) end: u64,
    /// `None` once a header couldn't be read.
    pub(super) headers: Option<HeadersHasher>,
    /// What is said to be durable, once there was damage in the segment being written.
    statement: Option<Statement>,
    pub(super) work: Work,
    /// Places where reading had to begin anew.
    pub(super) damages: u32,
}

impl<'s> Walk<'s> {
    pub(super) fn frames(&self, from: u64) -> FrameReader<'s> {
        FrameReader::new(
            self.segment.file.as_ref(),
            self.segment.seed,
            from,
            self.end,
        )
    }

    fn groups(&mut self, pass: &mut Pass<'_>) -> Result<(), Error> {
        let (segment, start, end) = (self.segment, self.start, self.end);
        let threads = pass.threads.saturating_sub(1);
        let ahead = Ahead::new(segment, start, end, threads);
        thread::scope(|scope| {
            let ahead = CloseAtEnd(&ahead);
            for _ in 0..threads {
                // Where there can be no more threads, those that there are do it all.
                let worker = thread::Builder::new().name("factlog-verify".to_owned());
                if worker.spawn_scoped(scope, || ahead.0.work()).is_err() {
                    break;
                }
            }
            self.take_groups(pass, Groups::new(ahead.0, start), start)
        })
    }

    fn take_groups(
        &mut self,
        pass: &mut Pass<'_>,
        mut groups: Groups<'_, '_>,
        start: u64,
    ) -> Result<(), Error> {
        let mut offset = start;
        while !self.is_done(pass) {
            let group = match groups.at(offset) {
                Some(group) => Group::Whole(group),
                None => read_group(self.segment, offset, self.end, groups.checks())?,
            };
            let broken = match group {
                Group::End => break,
                Group::Whole(group) => {
                    let next = group.end;
                    match self.check_place(pass, &group) {
                        Place::Next => {
                            self.take(pass, &group)?;
                            pass.progress.reached(next);
                            offset = next;
                            continue;
                        }
                        Place::Skip => {
                            offset = next;
                            continue;
                        }
                        Place::Stop => break,
                        Place::Broken(broken) => broken,
                    }
                }
                Group::Compacted => None,
                Group::Broken(broken) => Some(broken),
            };
            if let Some(broken) = broken {
                match self.judge(pass, offset, &broken)? {
                    Next::Stop => break,
                    Next::Again => continue,
                    Next::GoOn => self.headers = None,
                }
            }
            offset = salvage(pass, self, offset, groups.checks())?;
        }
        Ok(())
    }

    /// Whether everything up to the next segment was read, where that is known only by sequence.
    fn is_done(&self, pass: &Pass<'_>) -> bool {
        let by_sequence = self.plan.row.is_none();
        by_sequence
            && self
                .plan
                .until
                .is_some_and(|until| pass.chain.next >= until)
    }

    fn check_place(&self, pass: &mut Pass<'_>, group: &WholeGroup) -> Place {
        let (first, next) = (group.header.first_sequence, pass.chain.next);
        let by_sequence = self.plan.row.is_none();
        if by_sequence
            && self
                .plan
                .until
                .is_some_and(|until| group.header.end_sequence() > until)
        {
            return Place::Stop;
        }
        let unproven = self.is_active() && group.offset >= self.plan.proven_end;
        if first == next {
            if unproven && !pass.chain.gives_its_root(group) {
                let detail = "the commit states another tree than that of its events";
                return Place::Broken(Some(Broken::new(group.offset, detail)));
            }
            return Place::Next;
        }
        let path = &self.segment.path;
        if first < next {
            let detail = format!("a commit of sequence {first} on stands where {next} comes next");
            let damage = Damage::new("commit.out_of_order", path, detail);
            pass.findings.wrong(damage.at(group.offset).sequence(first));
            return Place::Skip;
        }
        pass.lose_until(first, Some((path, group.offset)));
        Place::Next
    }

    fn take(&mut self, pass: &mut Pass<'_>, group: &WholeGroup) -> Result<(), Error> {
        if let Some(headers) = &mut self.headers {
            headers.add(&group.header_bytes);
        }
        let Pass {
            chain,
            findings,
            derived,
            ..
        } = pass;
        if !self.segment.header.inputs.is_empty() {
            let detail = "a compacted segment holds a group that was not compacted";
            let damage = Damage::new("commit.number", &self.segment.path, detail);
            findings.wrong(damage.at(group.offset));
        }
        chain.group(group, &self.segment.path, findings, derived)
    }

    fn is_active(&self) -> bool {
        self.plan.until.is_none() && self.plan.sealed_end().is_none()
    }

    /// Decides what to do where no whole group stands.
    fn judge(&mut self, pass: &mut Pass<'_>, offset: u64, broken: &Broken) -> Result<Next, Error> {
        let path = &self.segment.path;
        let mut durable = 0;
        if self.is_active() && !broken.unsupported {
            let first_look = self.statement.is_none();
            let statement = match self.statement {
                Some(statement) => statement,
                None => Statement::gather(pass, self.segment, offset, self.end)?,
            };
            self.statement = Some(statement);
            match statement.contradicts_torn(self.plan, offset, pass.chain.next) {
                None => {
                    tail::note_torn(pass, self.segment, offset, self.end)?;
                    return Ok(Next::Stop);
                }
                // A writer may have been at it: then what is called durable can be read by now.
                Some(_) if first_look => return Ok(Next::Again),
                Some(said) => durable = said,
            }
        }
        let code = if broken.unsupported {
            "journal.unsupported_version"
        } else {
            "segment.corrupt"
        };
        let damage = Damage::new(code, path, broken.detail.clone()).at(broken.offset);
        pass.findings.wrong(damage.sequence(pass.chain.next));
        pass.newer |= broken.unsupported;
        pass.newer_end |= broken.unsupported && self.plan.until.is_none();
        pass.owed = pass.owed.max(durable);
        Ok(Next::GoOn)
    }

    /// Compares what was read with what is said of the segment.
    fn end(self, pass: &mut Pass<'_>) -> Result<(), Error> {
        let path = &self.segment.path;
        let until = match self.plan.until {
            Some(until) => until,
            // What was called durable and couldn't be read is lost, also at the very end.
            None => pass.owed,
        };
        if pass.chain.next < until {
            pass.lose_until(until, Some((path, self.end)));
        }
        if self.is_active() {
            tail::note_unproven(pass, self.segment);
        }
        let Some(row) = &self.plan.row else {
            return Ok(());
        };
        if self.plan.until.is_some_and(|until| pass.chain.next > until) {
            let detail = "the segment holds more events than MANIFEST says";
            let damage = Damage::new("manifest.row_mismatch", &pass.layout.manifest(), detail);
            pass.findings.wrong(damage.sequence(row.first_sequence));
        }
        if row.count.is_some()
            && let Some(headers) = &self.headers
            && headers.digest() != row.headers_hash
        {
            let detail =
                "the segment's header or commit headers are not those that MANIFEST sealed";
            let damage = Damage::new("segment.headers_mismatch", path, detail);
            pass.findings.wrong(damage.sequence(row.first_sequence));
        }
        Ok(())
    }
}

/// Threads that work ahead must end, however the taking ends.
struct CloseAtEnd<'a, 's>(&'a Ahead<'s>);

impl Drop for CloseAtEnd<'_, '_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Where a whole group stands in the order of events.
enum Place {
    /// Here, or past a gap that was reported.
    Next,
    /// It repeats what was read; reported.
    Skip,
    /// It belongs to the next segment, which copied it.
    Stop,
    Broken(Option<Broken>),
}

/// How to go on where no whole group stands.
enum Next {
    Stop,
    Again,
    GoOn,
}
