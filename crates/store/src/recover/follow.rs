use std::sync::Arc;

use factlog_format::CommitHeader;
use factlog_proof::{Frontier, Hash};

use super::{
    Floors, Found, find,
    survey::{Survey, checkpoint_of},
};
use crate::{
    Error,
    commit::entries_of_scan,
    read::Shared,
    read::view::{Segment, View},
    segment::{GroupScanner, ScanStop, ScannedGroup, SegmentFile},
    sync::Mutex,
};

/// Finds what another process has made durable since: only what a later commit header calls so.
#[derive(Debug)]
pub(crate) struct Follower(Mutex<Place>);

/// How far the active segment has been read.
#[derive(Debug)]
struct Place {
    segment: Arc<SegmentFile>,
    offset: u64,
    frontier: Frontier,
    /// Whole, but not yet called durable.
    pending: Option<ScannedGroup>,
}

impl Follower {
    /// Goes on where a survey ended.
    pub(crate) fn after(survey: &Survey) -> Self {
        Self(Mutex::new(Place {
            segment: Arc::clone(&survey.segment),
            offset: survey.proven_end,
            frontier: survey.frontier.clone(),
            pending: None,
        }))
    }

    /// Takes in what is new. Returns whether anything is.
    pub(crate) fn refresh(&self, shared: &Shared) -> Result<bool, Error> {
        self.follow(shared, Place::look)
    }

    /// Takes in what the writer has put in the place of a file that vanished.
    pub(crate) fn look_for_compacted(&self, shared: &Shared) -> Result<(), Error> {
        self.follow(shared, Place::reopen).map(drop)
    }

    fn follow(
        &self,
        shared: &Shared,
        look: impl FnOnce(&mut Place, &Shared) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let mut place = self.0.lock();
        let before = shared.view.load().proven();
        let found = look(&mut place, shared);
        // Under the lock, so that what is told is told in order.
        let now = shared.view.load().proven();
        if now > before {
            shared.learn_erasures(before)?;
            shared.followers.publish_unknown(before, now);
        }
        found
    }
}

/// Lets a view follow MANIFEST where the segment being written is the same, and others hold the events
/// before it now.
fn take_compacted(shared: &Shared, found: &Found) {
    let view = shared.view.load_full();
    let Some(active) = view.segments.last() else {
        return;
    };
    let rows = found.manifest.rows.iter();
    let named = |segment: &Segment| {
        let mut rows = rows.clone();
        rows.any(|row| (row.first_sequence, row.generation) == (segment.first, segment.generation))
    };
    if view.segments.iter().all(|segment| named(segment)) {
        return;
    }
    let mut segments = Vec::with_capacity(found.manifest.rows.len());
    for row in rows.clone().filter(|row| row.first_sequence < active.first) {
        let known = view.segments.iter();
        let mut known = known.filter(|known| known.generation == row.generation);
        let (first, generation) = (row.first_sequence, row.generation);
        match (known.next_back(), row.count) {
            (Some(known), _) if known.sealed.is_some() => segments.push(Arc::clone(known)),
            (_, Some(count)) => {
                let path = found.layout.segment(first, generation);
                let sealed = Segment::sealed(path, first, generation, count, row.sealed_end);
                segments.push(Arc::new(sealed));
            }
            (_, None) => {}
        }
    }
    segments.push(Arc::clone(active));
    shared.view.store(Arc::new(View {
        segments: Arc::new(segments),
        ..View::clone(&view)
    }));
}

/// What was shown unproven is proven once a commit header calls it durable.
fn prove(shared: &Shared, header: &CommitHeader) {
    let view = shared.view.load_full();
    if view.unproven_from.is_some() && header.durable >= view.durable {
        shared.view.store(Arc::new(View {
            unproven_from: None,
            ..View::clone(&view)
        }));
    }
}

impl Place {
    fn look(&mut self, shared: &Shared) -> Result<bool, Error> {
        if self.read_on(shared)? {
            return Ok(true);
        }
        // Nothing new in this segment: the writer may have gone on in another.
        self.reopen(shared)
    }

    fn read_on(&mut self, shared: &Shared) -> Result<bool, Error> {
        let segment = Arc::clone(&self.segment);
        let len = segment.len()?;
        let mut found = false;
        let mut scanner = GroupScanner::new(&segment, self.offset, self.frontier.size(), len);
        self.pending = None;
        loop {
            match scanner.next() {
                Ok(group) => {
                    let header = &group.header;
                    if let Some(before) = self.pending.take()
                        && header.durable >= before.header.end_sequence()
                    {
                        found |= before.header.count > 0;
                        self.absorb(shared, &before, header);
                    }
                    if group.header.count == 0
                        && group.header.durable == group.header.first_sequence
                    {
                        prove(shared, &group.header);
                        self.sign(shared, &group.header);
                        self.offset = group.end;
                    } else {
                        self.pending = Some(group);
                    }
                }
                // What the writer is writing right now looks torn.
                Err(ScanStop::End | ScanStop::Damage { .. }) => return Ok(found),
                Err(ScanStop::Failed(error)) => return Err(error),
            }
        }
    }

    fn absorb(&mut self, shared: &Shared, group: &ScannedGroup, next: &CommitHeader) {
        let leaves: Vec<Hash> = group
            .events
            .iter()
            .map(|event| factlog_proof::leaf_hash(&event.hash))
            .collect();
        self.frontier.append(&leaves);
        self.offset = group.end;
        let view = shared.view.load_full();
        if let Some(active) = view.segments.last() {
            let offsets = group.events.iter().map(|event| event.offset as u32);
            active.note_offsets(group.header.first_sequence, offsets);
        }
        let durable = group.header.end_sequence();
        let is_bare = |sequence| shared.is_bare(&view, sequence).unwrap_or(false);
        let entries = entries_of_scan(&group.events, &is_bare);
        let tail = view.index.tail().push(durable, entries);
        let index = view.index.with_tail(&tail);
        shared.view.store(Arc::new(View {
            durable,
            unproven_from: None,
            index,
            ..View::clone(&view)
        }));
        self.sign(shared, next);
    }

    fn sign(&self, shared: &Shared, header: &CommitHeader) {
        let keys = shared.keys.load();
        let Some(key) = keys.live().filter(|_| !header.signatures.is_empty()) else {
            return;
        };
        if header.first_sequence != self.frontier.size() {
            return;
        }
        let root = self.frontier.root();
        let signed = checkpoint_of(key.name(), header.first_sequence, root, &header.signatures);
        if let Some(signed) = signed.filter(|signed| keys.has_signed(signed)) {
            let view = shared.view.load_full();
            let signed = Some(Arc::new(signed));
            shared.view.store(Arc::new(View {
                signed,
                ..View::clone(&view)
            }));
        }
    }

    /// Reads MANIFEST again, and everything behind it if it has changed.
    fn reopen(&mut self, shared: &Shared) -> Result<bool, Error> {
        if !shared.damage.is_empty() {
            // Nobody can write to it.
            return Ok(false);
        }
        let found: Found = find(&shared.fs, &shared.layout.dir)?;
        let header = &self.segment.header;
        let same = found.manifest.rows.last().is_some_and(|row| {
            row.first_sequence == header.first_sequence && row.generation == header.generation
        });
        if same {
            take_compacted(shared, &found);
            return Ok(false);
        }
        let before = shared.view.load();
        let floors = Floors::kept(shared.fs.as_ref(), &found.layout, &found.keys);
        let (view, survey) = crate::open::read_view(&shared.fs, &found, &floors, &|| false)?;
        if view.durable < before.proven() {
            let detail = "the journal is shorter than it was";
            let dir = &shared.layout.dir;
            return Err(crate::Damage::new("history.rolled_back", dir, detail).into());
        }
        let grown = view.durable > before.durable;
        shared.keys.store(Arc::new(found.keys));
        shared.view.store(Arc::new(view));
        *self = Self {
            offset: survey.proven_end,
            frontier: survey.frontier.clone(),
            segment: survey.segment,
            pending: None,
        };
        Ok(grown)
    }
}
