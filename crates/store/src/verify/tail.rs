use super::{Pass, plan::Plan};
use crate::{
    Damage, Error,
    segment::{Search, SegmentFile, Work},
};

/// What is said, from the first damage to the segment's end and elsewhere, to be durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    /// How many events.
    durable: u64,
    /// Not every place could be searched.
    incomplete: bool,
}

impl Statement {
    /// Consults everything that an opening writer consults, but for the signer's own state, which only
    /// its owner can read. `offset` is where the first damage is.
    pub(super) fn gather(
        pass: &Pass<'_>,
        segment: &SegmentFile,
        offset: u64,
        end: u64,
    ) -> Result<Self, Error> {
        let mut durable = pass
            .chain
            .durable
            .max(segment.header.durable)
            .max(pass.orphans_say);
        durable = durable.max(pass.evidence.largest_verified(&pass.chain.trust));
        let mut work = Work::of(end.saturating_sub(offset));
        let mut search = Search::new(segment, offset, end, &mut work);
        while let Some((_, header)) = search.next_commit()? {
            durable = durable.max(header.durable);
        }
        Ok(Self {
            durable,
            incomplete: search.incomplete,
        })
    }

    /// How many events must be there, if damage at `offset`, before the event `next`, is no torn write:
    /// one that was never acknowledged.
    pub(super) fn contradicts_torn(&self, plan: &Plan, offset: u64, next: u64) -> Option<u64> {
        // Bytes made to be unsearchable are no torn write.
        let corrupt = offset < plan.proven_end || self.durable > next || self.incomplete;
        corrupt.then_some(self.durable)
    }
}

/// Says what became of a tail that was never acknowledged.
pub(super) fn note_torn(
    pass: &mut Pass<'_>,
    segment: &SegmentFile,
    offset: u64,
    end: u64,
) -> Result<(), Error> {
    let bytes = end.saturating_sub(offset);
    if bytes == 0 || only_zeros(segment, offset, end)? {
        return Ok(());
    }
    let detail = format!(
        "{bytes} bytes at the end are no whole commit, and nothing says that they were durable: \
         a write that was never acknowledged"
    );
    let damage = Damage::new("tail.unproven", &segment.path, detail);
    pass.findings
        .note(damage.at(offset).sequence(pass.chain.next));
    Ok(())
}

/// Says that the last events are there and that nothing states so yet: a crash may have come before
/// they were acknowledged.
pub(super) fn note_unproven(pass: &mut Pass<'_>, segment: &SegmentFile) {
    let (next, durable) = (pass.chain.next, pass.chain.durable);
    if durable < next && pass.owed == 0 {
        let count = next - durable;
        let detail = format!("nothing says yet that the last {count} events were durable");
        let damage = Damage::new("tail.events_unproven", &segment.path, detail);
        pass.findings.note(damage.sequence(durable));
    }
}

/// Space that was secured and never written.
fn only_zeros(segment: &SegmentFile, offset: u64, end: u64) -> Result<bool, Error> {
    let mut buffer = vec![0u8; 1 << 18];
    let mut at = offset;
    while at < end {
        let want = (end - at).min(buffer.len() as u64) as usize;
        let got = factlog_fs::read_up_to(
            segment.file.as_ref(),
            buffer.get_mut(..want).unwrap_or_default(),
            at,
        )
        .map_err(Error::io("read", &segment.path))?;
        if got == 0 {
            break;
        }
        if buffer.iter().take(got).any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += got as u64;
    }
    Ok(true)
}
