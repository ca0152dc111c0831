use factlog_format::{JournalId, Manifest, ManifestRow};
use factlog_fs::{OpenMode, StoreFs};

use super::findings::Findings;
use crate::{
    Damage, Error,
    layout::Layout,
    recover::{Chosen, choose},
    segment::{Search, SegmentFile, Work},
};

/// One segment that is to be read, and what is said of it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) first: u64,
    pub(super) generation: u32,
    /// What MANIFEST says, if there is a good one.
    pub(super) row: Option<ManifestRow>,
    /// How long the file was at a clean close; 0 if that isn't known.
    pub(super) proven_end: u64,
    /// The sequence at which the next segment begins; `None` for the last one.
    pub(super) until: Option<u64>,
}

impl Plan {
    /// Where a sealed segment ends, in bytes.
    pub(super) fn sealed_end(&self) -> Option<u64> {
        let row = self.row.as_ref()?;
        row.count.map(|_| row.sealed_end)
    }
}

/// The segments that MANIFEST names.
pub(super) fn named(manifest: &Manifest) -> Vec<Plan> {
    let plan = |row: &ManifestRow| Plan {
        first: row.first_sequence,
        generation: row.generation,
        proven_end: if row.count.is_some() {
            0
        } else {
            row.proven_end
        },
        until: row
            .count
            .map(|count| row.first_sequence.saturating_add(count)),
        row: Some(row.clone()),
    };
    manifest.rows.iter().map(plan).collect()
}

/// The segments as they can be told without MANIFEST.
pub(super) fn rebuilt(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    names: &[(u64, u32)],
    findings: &mut Findings,
) -> Result<Vec<Plan>, Error> {
    let chosen = choose(fs, layout, journal, names, &mut |error| {
        findings.absorb(error)
    })?;
    let plan = |chosen: Chosen| Plan {
        first: chosen.first,
        generation: chosen.generation,
        row: None,
        proven_end: 0,
        until: chosen.until,
    };
    Ok(chosen.into_iter().map(plan).collect())
}

/// The largest number of events that a segment which nothing names calls durable.
pub(super) fn orphans_say(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    names: &[(u64, u32)],
    plans: &[Plan],
    findings: &mut Findings,
) -> Result<u64, Error> {
    let mut largest = 0;
    for (first, generation) in names {
        if plans
            .iter()
            .any(|plan| (plan.first, plan.generation) == (*first, *generation))
        {
            continue;
        }
        let path = layout.segment(*first, *generation);
        let detail =
            "MANIFEST does not name this segment, so nothing in it counts; a crash leaves such";
        match SegmentFile::open(fs, &path, OpenMode::Read, journal) {
            Ok(segment) => {
                findings.note(Damage::new("segment.orphan", &path, detail).sequence(*first));
                largest = largest.max(segment.header.durable);
                let end = segment.len()?;
                let mut work = Work::of(end);
                let mut search = Search::new(&segment, segment.header_len, end, &mut work);
                while let Some((_, header)) = search.next_commit()? {
                    largest = largest.max(header.durable);
                }
            }
            // A crash may leave one without a whole header; another journal's isn't left by any.
            Err(Error::Damaged(damage)) if damage.code == "segment.header" => {
                findings.note(Damage::new("segment.orphan", &path, detail).sequence(*first));
            }
            // Its writer removed it since it was listed.
            Err(Error::Damaged(damage)) if damage.code == "segment.missing" => {}
            Err(error) => findings.absorb(error)?,
        }
    }
    Ok(largest)
}
