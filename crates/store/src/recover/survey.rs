use std::sync::Arc;

use factlog_format::{CommitHeader, FrameType, HeaderSignature};
use factlog_fs::{OpenMode, StoreFs, read_up_to};
use factlog_proof::{Checkpoint, Frontier, Hash, NoteSignature, SignedCheckpoint, leaf_hash};

use super::{Floors, Found};
use crate::{
    Damage, Error,
    config::{Bug, planted},
    segment::{
        FrameReader, FrameStop, GroupScanner, ScanStop, ScannedGroup, SegmentFile,
        largest_statement,
    },
    tree::TreeReader,
};

/// What the active segment holds, and how it ends.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) segment: Arc<SegmentFile>,
    /// Where the proven groups end, in bytes.
    pub(crate) proven_end: u64,
    /// How many events are proven to be durable.
    pub(crate) proven: u64,
    /// The tree of the proven events.
    pub(crate) frontier: Frontier,
    /// Number and clock of the last proven commit, and the largest incarnation seen.
    pub(crate) number: u64,
    pub(crate) raw_clock: i64,
    pub(crate) incarnation: u32,
    /// The newest checkpoint whose signature a commit header carries and the key verifies.
    pub(crate) signed: Option<SignedCheckpoint>,
    /// A whole group that nothing says to be durable.
    pub(crate) unproven: Option<ScannedGroup>,
    /// Whether the segment ends as a clean close leaves it.
    pub(crate) clean: bool,
    /// Bytes after the last whole group that are not all zero.
    pub(crate) torn: u64,
    /// Whether a commit header says that all proven events are durable.
    pub(crate) stated: bool,
    /// A signature in a commit header that is not one by the journal's key.
    pub(crate) bad_signature: Option<Damage>,
    /// Why this is corruption and not a torn tail: something calls durable what isn't there.
    pub(crate) damage: Option<Damage>,
}

/// Where a scan of the active segment begins: at a group's start.
pub(crate) struct Start {
    pub(crate) offset: u64,
    pub(crate) frontier: Frontier,
}

/// What a scan hands on, group by group: only groups that are followed by another one, or proven.
pub(crate) type Absorb<'a> = &'a mut dyn FnMut(&ScannedGroup, &[Hash]) -> Result<(), Error>;

/// Reads the active segment and decides, by the rules for torn tails, what of it is durable.
///
/// # Errors
/// [`Error::Damaged`] if the segment's header doesn't hold; damage behind it is in the survey.
pub(crate) fn survey(
    fs: &dyn StoreFs,
    mode: OpenMode,
    found: &Found,
    floors: &Floors,
    start: Option<Start>,
    absorb: Absorb<'_>,
) -> Result<Survey, Error> {
    let Some(row) = found.manifest.rows.last() else {
        return Err(
            Damage::new("manifest.damaged", &found.layout.manifest(), "it is empty").into(),
        );
    };
    let path = found.layout.segment(row.first_sequence, row.generation);
    let (segment, rot) = match SegmentFile::open(fs, &path, mode, &found.identity.journal) {
        Ok(segment) => (segment, None),
        // For reading, MANIFEST repeats what the checks of the groups need.
        Err(Error::Damaged(damage)) if mode == OpenMode::Read && is_header_rot(&damage) => {
            let segment = SegmentFile::open_by_row(fs, &path, row, found.identity.journal)?;
            (segment, Some(damage))
        }
        Err(error) => return Err(error),
    };
    if segment.header.salt != row.salt {
        let detail = "the segment's salt is not the one that MANIFEST names";
        return Err(segment.damage(0, detail).into());
    }
    let segment = Arc::new(segment);
    let start = match start {
        Some(start) => start,
        None => Start {
            offset: segment.header_len,
            frontier: match rot {
                None => edge_of(&segment)?,
                // The groups' roots tell whether it is the right one.
                Some(_) => edge_by_tree(fs, found, row.first_sequence)
                    .map_or_else(|| edge_of(&segment), Ok)?,
            },
        },
    };
    let mut scan = Scan::begin(found, Arc::clone(&segment), start)?;
    scan.run(absorb)?;
    let survey = scan.decide(row.proven_end, floors, absorb)?;
    Ok(Survey {
        damage: rot.or(survey.damage),
        ..survey
    })
}

/// Whether it is only what stands before a segment's groups that is damaged.
pub(crate) fn is_header_rot(damage: &Damage) -> bool {
    damage.code == "segment.header"
}

/// The tree before a sequence, from the derived files.
fn edge_by_tree(fs: &dyn StoreFs, found: &Found, sequence: u64) -> Option<Frontier> {
    let dir = found.layout.tree();
    let missing = |_| Err(Damage::new("derived.tree", &dir, "a leaf is missing").into());
    let tree = TreeReader::new(fs, &dir, missing);
    tree.frontier(sequence).ok()
}

fn edge_of(segment: &SegmentFile) -> Result<Frontier, Error> {
    let edge = segment
        .header
        .edge
        .iter()
        .map(|hash| Hash::from(*hash))
        .collect();
    Frontier::from_parts(segment.header.first_sequence, edge)
        .map_err(|error| segment.damage(0, error.to_string()).into())
}

struct Scan<'f> {
    found: &'f Found,
    segment: Arc<SegmentFile>,
    len: u64,
    end: u64,
    /// The tree after the groups handed on, and after the pending one.
    frontier: Frontier,
    pending: Option<(ScannedGroup, Vec<Hash>, Frontier)>,
    last: Option<CommitHeader>,
    durable: u64,
    incarnation: u32,
    signed: Option<SignedCheckpoint>,
    /// How many commits in a row no signature covers.
    bare: u32,
    bad_signature: Option<Damage>,
    stop: Option<(u64, String)>,
}

impl<'f> Scan<'f> {
    fn begin(found: &'f Found, segment: Arc<SegmentFile>, start: Start) -> Result<Self, Error> {
        let len = segment.len()?;
        Ok(Self {
            found,
            len,
            end: start.offset,
            frontier: start.frontier,
            pending: None,
            last: None,
            durable: segment.header.durable,
            incarnation: segment.header.incarnation,
            signed: None,
            bare: 0,
            bad_signature: None,
            stop: None,
            segment,
        })
    }

    /// Scans whole groups up to the end or the first place where there is none.
    fn run(&mut self, absorb: Absorb<'_>) -> Result<(), Error> {
        let segment = Arc::clone(&self.segment);
        let mut scanner = GroupScanner::new(&segment, self.end, self.frontier.size(), self.len);
        loop {
            let group = match scanner.next() {
                Ok(group) => group,
                Err(ScanStop::End) => return Ok(()),
                Err(ScanStop::Failed(error)) => return Err(error),
                Err(ScanStop::Damage {
                    offset,
                    detail,
                    header,
                }) => {
                    if let Some(header) = header.filter(|_| !planted(Bug::StatementsIgnored)) {
                        self.durable = self.durable.max(header.durable);
                        self.incarnation = self.incarnation.max(header.incarnation);
                    }
                    self.stop = Some((offset, detail));
                    return Ok(());
                }
            };
            // A header's own statements count even if its group turns out not to be whole.
            self.durable = self.durable.max(group.header.durable);
            self.incarnation = self.incarnation.max(group.header.incarnation);
            let base = self
                .pending
                .as_ref()
                .map_or(&self.frontier, |(_, _, after)| after);
            let leaves: Vec<Hash> = group
                .events
                .iter()
                .map(|event| leaf_hash(&event.hash))
                .collect();
            let mut after = base.clone();
            after.append(&leaves);
            // Number 0 is that of a compacted group, which is never in the segment being written.
            let numbered = group.header.number > 0
                && self
                    .last
                    .as_ref()
                    .is_none_or(|last| last.number + 1 == group.header.number);
            if *after.root().as_bytes() != group.header.root || !numbered {
                let detail = "the group's root or number does not fit what stands before it";
                self.stop = Some((group.offset, detail.to_owned()));
                return Ok(());
            }
            let root_before = base.root();
            self.take_signatures(&group, root_before);
            self.last = Some(group.header.clone());
            self.end = group.end;
            if let Some((before, leaves, after)) = self.pending.replace((group, leaves, after)) {
                absorb(&before, &leaves)?;
                self.frontier = after;
            }
        }
    }

    /// Keeps the checkpoint whose signatures a commit header carries, if they are the key's.
    fn take_signatures(&mut self, group: &ScannedGroup, root: Hash) {
        let header = &group.header;
        let keys = &self.found.keys;
        let Some(key) = keys.live() else { return };
        if header.signatures.is_empty() {
            return self.count_bare(group);
        }
        self.bare = u32::from(header.count > 0);
        let size = header.first_sequence;
        let signed = checkpoint_of(key.name(), size, root, &header.signatures);
        match signed.filter(|signed| keys.has_signed(signed)) {
            Some(signed) => self.signed = Some(signed),
            None => {
                let detail = "a commit header carries a signature that is not the journal's";
                let damage = self.segment.damage(group.offset, detail);
                self.bad_signature.get_or_insert(Damage {
                    code: "signature.bad",
                    ..damage
                });
            }
        }
    }

    /// A crash leaves one commit that nothing signs, and the next session begins by signing it: more are
    /// not of who has the key, and are not to be signed by who has it.
    fn count_bare(&mut self, group: &ScannedGroup) {
        let header = &group.header;
        let written = header.count > 0;
        if written && self.bare > 0 {
            let detail = "the signature of the commit before is missing";
            let damage = self.segment.damage(group.offset, detail);
            self.bad_signature.get_or_insert(Damage {
                code: "signature.missing",
                ..damage.sequence(header.first_sequence)
            });
        }
        self.bare += u32::from(written);
    }

    /// Applies the rules: what is below a statement must be there; the last whole group above every
    /// statement is unproven; what follows is torn.
    fn decide(
        mut self,
        proven_end: u64,
        floors: &Floors,
        absorb: Absorb<'_>,
    ) -> Result<Survey, Error> {
        let whole = self
            .last
            .as_ref()
            .map_or(self.frontier.size(), CommitHeader::end_sequence);
        let torn = self.torn_bytes()?;
        if torn > 0 && !planted(Bug::StatementsIgnored) {
            self.durable = self
                .durable
                .max(largest_statement(&self.segment, self.end)?);
        }
        let (at, why) = self
            .stop
            .take()
            .unwrap_or((self.end, "the segment ends too early".to_owned()));
        let short = self.end < proven_end && !planted(Bug::ProvenEndIgnored);
        let lost = self.durable.max(floors.orphans) > whole
            || short
            || (torn > 0 && planted(Bug::TornIsCorrupt))
            || (torn > 0 && planted(Bug::OutOfOrderIsCorrupt) && self.begins_with_a_hole()?);
        let damage = lost.then(|| self.segment.damage(at, why).sequence(whole));
        let durable = self
            .durable
            .max(floors.orphans)
            .max(floors.largest().min(whole));
        let clean = self.end == self.len
            && proven_end == self.len
            && self.last.as_ref().is_some_and(|last| last.count == 0);
        let mut survey = Survey {
            proven_end: self.end,
            proven: whole,
            number: self.last.as_ref().map_or(0, |last| last.number),
            raw_clock: self.last.as_ref().map_or(i64::MIN, |last| last.raw_clock),
            incarnation: self.incarnation,
            stated: self.last.as_ref().is_none_or(|last| last.durable == whole),
            frontier: self.frontier,
            signed: self.signed,
            unproven: None,
            clean,
            torn,
            bad_signature: self.bad_signature,
            damage,
            segment: self.segment,
        };
        let Some((group, leaves, after)) = self.pending else {
            return Ok(survey);
        };
        if whole <= durable || survey.damage.is_some() || planted(Bug::UnprovenBelieved) {
            absorb(&group, &leaves)?;
            survey.frontier = after;
            let unstated = group.header.count == 0 && !planted(Bug::EmptyCommitBelieved);
            if unstated && group.end > proven_end && survey.damage.is_none() {
                // What it states is true, but nothing says that it is itself on the disk: after a
                // failed sync it may be in the cache only. So the segment ends before it.
                survey.proven_end = group.offset;
                survey.number = group.header.number - 1;
            }
            return Ok(survey);
        }
        survey.proven_end = group.offset;
        survey.proven = group.header.first_sequence;
        survey.number = group.header.number - 1;
        survey.unproven = Some(group);
        Ok(survey)
    }

    /// Whether zeros stand where the torn group's first bytes should.
    fn begins_with_a_hole(&self) -> Result<bool, Error> {
        let mut head = [1; 16];
        let got = read_up_to(self.segment.file.as_ref(), &mut head, self.end)
            .map_err(Error::io("read", &self.segment.path))?;
        Ok(head.iter().take(got).all(|byte| *byte == 0))
    }

    /// How many bytes follow the last whole group, not counting a prepared, all-zero end.
    fn torn_bytes(&self) -> Result<u64, Error> {
        let mut buffer = vec![0; 64 << 10];
        let mut at = self.end;
        let mut last_byte = self.end;
        while at < self.len {
            let got = read_up_to(self.segment.file.as_ref(), &mut buffer, at)
                .map_err(Error::io("read", &self.segment.path))?;
            if got == 0 {
                break;
            }
            let bytes = buffer.get(..got).unwrap_or_default();
            // A prepared end can be long, and nearly all of it is zeros.
            let in_use = bytes.chunks(PIECE).rposition(|piece| !is_zero(piece));
            let from = in_use.map_or(got, |piece| piece * PIECE);
            let piece = bytes.get(from..).unwrap_or_default();
            if let Some(place) = piece.iter().rposition(|byte| *byte != 0) {
                last_byte = at + (from + place) as u64 + 1;
            }
            at += got as u64;
        }
        Ok(last_byte - self.end)
    }
}

/// So many bytes are looked at together, which takes a hundredth of the time.
const PIECE: usize = 4096;

fn is_zero(piece: &[u8]) -> bool {
    piece.iter().fold(0, |all, byte| all | byte) == 0
}

impl Survey {
    /// Takes the checkpoint that was kept in a file, if it is of what is proven.
    pub(crate) fn take_kept(&mut self, floors: &Floors) {
        if let Some(kept) = floors.kept_of(self.proven, self.frontier.root()) {
            self.signed = Some(kept.clone());
        }
    }

    /// Counts the unproven group as read; it is whole, and its root fits.
    pub(crate) fn believe(&mut self, group: &ScannedGroup) {
        let leaves = group.events.iter().map(|event| leaf_hash(&event.hash));
        self.frontier.append(&leaves.collect::<Vec<_>>());
        self.proven = group.header.end_sequence();
        self.proven_end = group.end;
    }

    /// Takes number and clock of the last commit from the segment before, where this one holds no
    /// event yet: a crash came between a roll, or the end of a creation, and its first group.
    pub(crate) fn continue_numbers(
        &mut self,
        fs: &dyn StoreFs,
        found: &Found,
    ) -> Result<(), Error> {
        let before = found.manifest.rows.iter().rev().nth(1);
        // Without events it leaves MANIFEST as soon as another follows, and its empty commits with it.
        let leaves = !self.clean && self.proven == self.segment.header.first_sequence;
        let due = (self.number == 0 || leaves) && !planted(Bug::NumbersRestart);
        let Some(row) = before.filter(|_| due) else {
            return Ok(());
        };
        let path = found.layout.segment(row.first_sequence, row.generation);
        let segment = SegmentFile::open(fs, &path, OpenMode::Read, &found.identity.journal)?;
        let file = segment.file.as_ref();
        let mut frames = FrameReader::new(file, segment.seed, segment.header_len, row.sealed_end);
        loop {
            let at = frames.offset();
            match frames.next() {
                Ok(frame) if frame.kind == FrameType::Commit => {
                    let header = CommitHeader::decode(&segment.key, frame.body)
                        .map_err(|error| segment.damage(at, error.to_string()))?;
                    (self.number, self.raw_clock) = (header.number, header.raw_clock);
                }
                Ok(_) => {}
                Err(FrameStop::End) => return Ok(()),
                Err(FrameStop::Io(error)) => return Err(Error::io("read", &path)(error)),
                Err(FrameStop::Bad(error)) => {
                    return Err(segment.damage(at, error.to_string()).into());
                }
            }
        }
    }
}

/// A checkpoint with the signatures that a commit header carries of it.
pub(crate) fn checkpoint_of(
    origin: &str,
    size: u64,
    root: Hash,
    signatures: &[HeaderSignature],
) -> Option<SignedCheckpoint> {
    let checkpoint = Checkpoint::new(origin, size, root).ok()?;
    let notes = signatures
        .iter()
        .map(|signature| NoteSignature::new(origin, signature.key_id, signature.bytes.clone()))
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    SignedCheckpoint::new(checkpoint, notes).ok()
}
