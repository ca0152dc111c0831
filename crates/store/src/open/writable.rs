//! Making a writer: for a new journal, or for one that is there.

use std::sync::Arc;

use factlog_format::{JournalRecovered, Manifest};
use factlog_fs::OpenMode;
use factlog_proof::{Frontier, Hash, SignedCheckpoint, leaf_hash};

use super::{
    Bare, active_first, begin,
    fast::{fast_start, is_settled},
    push, scan_sealed, view_of,
};
use crate::{
    Damage, Error, Options, RecoveryReport, Refusal,
    commit::{Baton, DerivedFiles, Order, Writer, sign},
    config::{Bug, planted},
    index::{IndexView, Tail},
    journal::{new_writer, shared},
    keys::Keys,
    read::view::{Segment, View},
    read::{MAX_GAP, Shared},
    recover::{Floors, Found, Survey, recover, survey, unnamed},
    segment::{GroupScanner, ScanStop, ScannedGroup, SegmentWriter},
    signer::Signer,
};

/// How many complete chunks of the index may stand in memory while it is made again.
const CHUNKS_AT_ONCE: usize = 16;

/// Who signs.
#[derive(Debug, Default)]
pub(crate) struct Signers {
    pub(crate) live: Option<Arc<Signer>>,
    /// The key before, as long as it isn't known to have signed that another took its place.
    pub(crate) retiring: Option<Arc<Signer>>,
}

/// A journal opened for writing.
pub(crate) struct Opened {
    pub(crate) writer: Arc<Writer>,
    pub(crate) recovered: Option<(RecoveryReport, JournalRecovered)>,
}

/// The writer of a journal of which only the directories exist.
pub(crate) fn fresh(
    options: &Options,
    found: &Found,
    signer: Option<Arc<Signer>>,
    secret: &[u8; 32],
    secrets: Option<Arc<Keys>>,
) -> Result<Arc<Writer>, Error> {
    let frontier = Frontier::new();
    let mut baton = new_baton(options, found, signer, frontier);
    baton.begun = true;
    baton.next_segment(0)?;
    let derived = DerivedFiles::open(options, found, false);
    let segment = baton
        .writer
        .as_ref()
        .map(|writer| Arc::clone(&writer.segment));
    let view = View {
        segments: Arc::new(
            segment
                .map(Segment::live)
                .map(Arc::new)
                .into_iter()
                .collect(),
        ),
        durable: 0,
        unproven_from: None,
        index: IndexView::new(found.identity.journal, Vec::new(), &Tail::new(0)),
        signed: None,
    };
    let found = with_manifest(found, &baton.manifest);
    let order = Order::new(
        found.identity.journal,
        0,
        i64::MIN,
        i64::MIN,
        options.stream_heads,
    );
    let shared = shared(&options.fs, found, view, None, secrets);
    Ok(new_writer(options, shared, order, baton, derived, secret))
}

/// The writer of a journal that is there. What speaks against writing is put into `refused`; the
/// writer then only serves its reader.
pub(crate) fn open(
    options: &Options,
    found: &Found,
    signers: Signers,
    floors: &Floors,
    secret: &[u8; 32],
    refused: &mut Option<Error>,
) -> Result<Opened, Error> {
    let mut derived = DerivedFiles::open(options, found, !looks_clean(options, found));
    let (mut survey, tail, offsets) = read_active(options, found, floors, &mut derived)?;
    survey.take_kept(floors);
    if !survey.clean {
        derived.mend_offsets_later(&found.manifest.rows);
    }
    if let Err(error) = survey.continue_numbers(options.fs.as_ref(), found) {
        refused.get_or_insert(error);
    }
    check_history(&survey, floors, refused);
    let mut view = view_of(
        found,
        &survey,
        derived.index.runs().to_vec(),
        &tail,
        &offsets,
    );
    if refused.is_none() {
        // Before anything is written or signed: a recovery would continue a forked history.
        let shared = shared(
            &options.fs,
            with_manifest(found, &found.manifest),
            view.clone(),
            None,
            None,
        );
        let reader = crate::Reader {
            shared: Arc::new(shared),
        };
        *refused = check_roots(&reader, floors).unwrap_or_else(Some);
    }
    // Whoever has the key elsewhere is asked once all of this is durable.
    let here = |signer: &&Signer| refused.is_none() && !signer.is_elsewhere();
    if let Some(signer) = signers.live.as_deref().filter(here) {
        match sign_proven(signer, signers.retiring.as_deref(), &survey) {
            Ok(Some(signed)) => view.signed = Some(Arc::new(signed)),
            Ok(None) => {}
            Err(error) => *refused = Some(error),
        }
    }
    let mut baton = new_baton(options, found, signers.live, survey.frontier.clone());
    baton.retiring = signers.retiring;
    take_survey(&mut baton, found, &survey, view.signed.clone())?;
    let mut recovered = None;
    if refused.is_none() && !planted(Bug::AppendBehindTear) {
        match recover(&mut baton, &survey, options.recovery) {
            Ok(done) => recovered = done,
            Err(error @ Error::Refused(Refusal::StrictRecovery(_))) => return Err(error),
            Err(error) => *refused = Some(error),
        }
    }
    if recovered.is_some() {
        follow_recovery(&mut view, &baton, &mut derived)?;
    }
    let (raw, durable) = (survey.raw_clock, view.durable);
    let found = with_manifest(found, &baton.manifest);
    let secrets = Keys::open(options, &found, false);
    let shared = shared(&options.fs, found, view, None, secrets);
    let last_recorded = last_recorded(&shared).unwrap_or_else(|error| {
        refused.get_or_insert(error);
        i64::MIN
    });
    let order = Order::new(
        shared.identity.journal,
        durable,
        last_recorded,
        raw,
        options.stream_heads,
    );
    let writer = new_writer(options, shared, order, baton, derived, secret);
    Ok(Opened { writer, recovered })
}

fn new_baton(
    options: &Options,
    found: &Found,
    signer: Option<Arc<Signer>>,
    frontier: Frontier,
) -> Baton {
    Baton {
        fs: Arc::clone(&options.fs),
        random: Arc::clone(&options.random),
        layout: found.layout.clone(),
        segment_len: options.segment_len,
        manifest: found.manifest.clone(),
        writer: None,
        ended: None,
        frontier,
        number: 0,
        incarnation: 1,
        signer,
        retiring: None,
        desk: Arc::default(),
        signed: None,
        begun: false,
        stated: true,
        in_segment: 0,
        last_group: 0,
    }
}

fn take_survey(
    baton: &mut Baton,
    found: &Found,
    survey: &Survey,
    signed: Option<Arc<factlog_proof::SignedCheckpoint>>,
) -> Result<(), Error> {
    let taken = unnamed(baton.fs.as_ref(), &found.layout, &[])?;
    let highest = taken
        .iter()
        .map(|(_, generation)| generation + 1)
        .max()
        .unwrap_or(0);
    if !planted(Bug::GenerationReused) {
        baton.manifest.next_generation = baton.manifest.next_generation.max(highest);
    }
    baton.incarnation = found.manifest.incarnation.max(survey.incarnation) + 1;
    baton.number = survey.number;
    baton.signed = signed;
    baton.stated = survey.stated;
    if planted(Bug::AppendBehindTear) {
        let segment = Arc::clone(&survey.segment);
        let end = segment.len()?.next_multiple_of(8);
        baton.writer = Some(SegmentWriter::resume(segment, end));
    } else if survey.clean {
        let segment = Arc::clone(&survey.segment);
        baton.in_segment = survey.proven - segment.header.first_sequence;
        baton.writer = Some(SegmentWriter::resume(segment, survey.proven_end));
    } else {
        baton.ended = Some((Arc::clone(&survey.segment), survey.proven_end));
    }
    Ok(())
}

/// Whether the last session seems to have closed; what was synced then needs no second look.
fn looks_clean(options: &Options, found: &Found) -> bool {
    let Some(row) = found.manifest.rows.last() else {
        return false;
    };
    let path = found.layout.segment(row.first_sequence, row.generation);
    let metadata = options.fs.metadata(&path);
    matches!(metadata, Ok(Some(metadata)) if row.proven_end > 0 && metadata.len == row.proven_end)
}

/// An index that is ahead is cut once, and a tree of other leaves made again once.
const MOST_REMAKES: u32 = 3;

type Active = (Survey, Tail, Vec<u32>);

/// Surveys the active segment and brings the derived files up to it, making again what is missing.
fn read_active(
    options: &Options,
    found: &Found,
    floors: &Floors,
    derived: &mut DerivedFiles,
) -> Result<Active, Error> {
    let fs = options.fs.as_ref();
    let bare = Bare::new(fs, &found.layout, &found.manifest);
    let mut scan_all = false;
    let mut remade = 0;
    loop {
        let covered = derived.index.covered();
        let behind = covered.min(derived.leaves());
        let mut catch_up = CatchUp {
            tail: Tail::new(covered),
            derived,
            bare: &bare,
        };
        let caught_up = scan_sealed(fs, found, behind, &mut |group, leaves| {
            catch_up.take(group, leaves);
            Ok(())
        });
        if let Err(error) = caught_up {
            // What is damaged there can't be read or looked up; all else goes on.
            catch_up.tail = Tail::new(active_first(found));
            catch_up.derived.fail(error);
        }
        let wanted = active_first(found)..=catch_up.derived.leaves();
        let fast = (!scan_all)
            .then(|| fast_start(fs, found, covered, catch_up.derived.leaves()))
            .flatten();
        let fast = fast.filter(|fast| wanted.contains(&fast.start.frontier.size()));
        let (start, mut offsets) = begin(fast, &mut catch_up.tail, &bare);
        let is_fast = start.is_some();
        let mut survey = survey(
            fs,
            OpenMode::Write,
            found,
            floors,
            start,
            &mut |group, leaves| {
                offsets.extend(group.events.iter().map(|event| event.offset as u32));
                catch_up.take(group, leaves);
                Ok(())
            },
        )?;
        let CatchUp { tail, derived, .. } = catch_up;
        if is_fast && !is_settled(&survey, found.keys.live().is_some()) {
            scan_all = true;
            continue;
        }
        if derived.cut_to(survey.proven, survey.frontier.root()) {
            remade += 1;
            if remade < MOST_REMAKES {
                continue;
            }
            // Made from the segments themselves, and yet of another tree than the active one goes on.
            let detail = "the sealed segments don't lead to the tree that this one continues";
            let damage = survey.segment.damage(0, detail);
            derived.fail(damage.clone().into());
            survey.damage.get_or_insert(damage);
            return Ok((survey, tail, offsets));
        }
        derived.keep_offsets(&survey.segment, &offsets, survey.clean);
        return Ok((survey, tail, offsets));
    }
}

/// Feeds groups to tree and index, holding only what isn't written yet.
struct CatchUp<'d> {
    tail: Tail,
    derived: &'d mut DerivedFiles,
    bare: &'d Bare<'d>,
}

impl CatchUp<'_> {
    fn take(&mut self, group: &ScannedGroup, leaves: &[Hash]) {
        push(&mut self.tail, group, self.bare);
        if self.derived.failed.is_some() {
            let end = group.header.end_sequence();
            if end.saturating_sub(self.derived.index.covered()) > MAX_GAP {
                // Too much to be held: look-ups say what is missing.
                self.tail = Tail::new(end);
            }
            return;
        }
        if let Err(error) = self.write(group, leaves) {
            // A derived file that can't be written never keeps a journal from opening.
            self.derived.fail(error);
        }
    }

    fn write(&mut self, group: &ScannedGroup, leaves: &[Hash]) -> Result<(), Error> {
        let size = self.derived.leaves();
        let skip = size.saturating_sub(group.header.first_sequence) as usize;
        if let Some(fresh) = leaves.get(skip..).filter(|fresh| !fresh.is_empty()) {
            self.derived.append_leaves(fresh);
        }
        while self.tail.complete_chunks() > CHUNKS_AT_ONCE {
            self.derived.index.step(&self.tail)?;
            self.tail = self.tail.drop_below(self.derived.index.covered());
        }
        Ok(())
    }
}

/// Compares the journal's length with what others remember.
fn check_history(survey: &Survey, floors: &Floors, refused: &mut Option<Error>) {
    if let Some(damage) = &survey.damage {
        refused.get_or_insert(damage.clone().into());
        return;
    }
    if let Some(damage) = &survey.bad_signature {
        refused.get_or_insert(damage.clone().into());
        return;
    }
    if planted(Bug::MemoryIgnored) {
        return;
    }
    if let Some((remembered, _)) = floors.signer.filter(|(size, _)| *size > whole(survey)) {
        refused.get_or_insert(Refusal::HistoryMismatch { remembered }.into());
    }
    if let Some(damage) = rolled_back(survey, floors) {
        refused.get_or_insert(damage.into());
    }
}

/// How many events there are, proven or not.
fn whole(survey: &Survey) -> u64 {
    let group = survey.unproven.as_ref();
    survey.proven + group.map_or(0, |group| u64::from(group.header.count))
}

/// Whether a checkpoint is known of more events than there are.
pub(crate) fn rolled_back(survey: &Survey, floors: &Floors) -> Option<Damage> {
    let whole = whole(survey);
    let sizes = floors.checkpoints.iter().map(|(size, _)| *size);
    let largest = sizes.max().filter(|largest| *largest > whole)?;
    let detail = format!("a checkpoint is known of {largest} events, and here are {whole}");
    let damage = Damage::new("history.rolled_back", &survey.segment.path, detail);
    Some(damage.sequence(whole))
}

/// The signature of all that is proven, made anew where a crash came before any file had it. What
/// proves it, the signer's state for one, is written after the sync, so that it may be released.
fn sign_proven(
    signer: &Signer,
    retiring: Option<&Signer>,
    survey: &Survey,
) -> Result<Option<SignedCheckpoint>, Error> {
    let signed = survey
        .signed
        .as_ref()
        .map_or(0, |signed| signed.claimed().size());
    if signed >= survey.proven {
        return Ok(None);
    }
    sign(signer, retiring, survey.proven, survey.frontier.root()).map(Some)
}

fn with_manifest(found: &Found, manifest: &Manifest) -> Found {
    Found {
        manifest: manifest.clone(),
        ..found.clone()
    }
}

/// Compares roots with what others remember of the same sizes.
pub(crate) fn check_roots(reader: &crate::Reader, floors: &Floors) -> Result<Option<Error>, Error> {
    if let Some((size, root)) = floors.signer
        && size <= reader.len()
        && reader.root_at(size)? != root
    {
        return Ok(Some(Refusal::HistoryMismatch { remembered: size }.into()));
    }
    // Of its own the newest is enough; each from elsewhere may speak of another history.
    let (own, foreign) = floors
        .checkpoints
        .split_at(floors.foreign.min(floors.checkpoints.len()));
    let here = |(size, _): &&(u64, Hash)| *size <= reader.len();
    let newest = own.iter().filter(here).max();
    for (size, root) in newest.into_iter().chain(foreign.iter().filter(here)) {
        if reader.root_at(*size)? == *root {
            continue;
        }
        let detail = format!("the first {size} events are others than a checkpoint says");
        return Ok(Some(
            Damage::new("history.forked", reader.path(), detail).into(),
        ));
    }
    Ok(None)
}

/// Lets a view follow a recovery: the old segment is sealed, the copied group stands in the new one.
fn follow_recovery(
    view: &mut View,
    baton: &Baton,
    derived: &mut DerivedFiles,
) -> Result<(), Error> {
    let Some(writer) = &baton.writer else {
        return Ok(());
    };
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for segment in view.segments.iter() {
        let row = baton
            .manifest
            .rows
            .iter()
            .find(|row| row.generation == segment.generation);
        match row.map(|row| (row.count, row.sealed_end)) {
            Some((Some(count), end)) if segment.sealed.is_none() => {
                segments.push(Arc::new(segment.to_sealed(count, end)));
            }
            Some(_) => segments.push(Arc::clone(segment)),
            None => {}
        }
    }
    let bare = Bare::new(baton.fs.as_ref(), &baton.layout, &baton.manifest);
    let active = Segment::live(Arc::clone(&writer.segment));
    let file = &writer.segment;
    let mut offsets = Vec::new();
    let mut scanner = GroupScanner::new(
        file,
        file.header_len,
        file.header.first_sequence,
        writer.end,
    );
    loop {
        // A group passed over here would get its sequences given away again.
        let group = match scanner.next() {
            Ok(group) => group,
            Err(ScanStop::End) => break,
            Err(ScanStop::Failed(error)) => return Err(error),
            Err(ScanStop::Damage { offset, detail, .. }) => {
                return Err(file.damage(offset, detail).into());
            }
        };
        let leaves: Vec<Hash> = group
            .events
            .iter()
            .map(|event| leaf_hash(&event.hash))
            .collect();
        let here = group.events.iter().map(|event| event.offset as u32);
        active.note_offsets(group.header.first_sequence, here.clone());
        offsets.extend(here);
        let mut tail = view.index.tail().clone();
        if !planted(Bug::CopyNotIndexed) {
            push(&mut tail, &group, &bare);
        }
        view.index = view.index.with_tail(&tail);
        view.durable = group.header.end_sequence();
        derived.append_leaves(&leaves);
    }
    segments.push(Arc::new(active));
    view.segments = Arc::new(segments);
    derived.keep_offsets(file, &offsets, false);
    Ok(())
}

/// When the last event was recorded.
fn last_recorded(shared: &Shared) -> Result<i64, Error> {
    let view = shared.view.load();
    match view.durable.checked_sub(1) {
        Some(last) => shared.recorded_at(&view, last),
        None => Ok(i64::MIN),
    }
}
