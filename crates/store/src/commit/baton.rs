use std::sync::Arc;

use factlog_format::{
    CommitHeader, CrcSeed, HeaderSignature, Manifest, ManifestRow, SegmentHeader, seal_frame,
};
use factlog_fs::{Access, OpenMode, Replacement, StoreFs, is_temporary};
use factlog_proof::{Checkpoint, Frontier, Hash, SignedCheckpoint, leaf_hash};

use super::{
    conditions::BatchKeys,
    desk::{Desk, Wanted},
    elsewhere::Grown,
    order::{Group, GroupMemory, HEADER_ROOM},
    receipt::GroupProof,
};
use crate::{
    Error, Misuse, Random,
    config::{Bug, planted},
    layout::{Layout, MANIFEST, checkpoint_name},
    recover::unnamed,
    segment::{SegmentFile, SegmentWriter, headers_hash, offsets_name},
    signer::Signer,
};

/// The longest commit header that this build writes, signatures included. As much is kept free in
/// each segment, so that an empty commit always finds room.
pub(crate) const MAX_HEADER: u64 = 1024;
/// Space that is kept behind the groups: given back by a close, it lets that close write what it has
/// to on a disk that is full.
const HEADROOM: u64 = 64 << 10;
/// Groups of so many bytes are bulk.
pub(super) const BULK: u64 = 64 << 10;
/// C2SP signature type of Ed25519.
const ED25519: u8 = 1;

/// What only the holder of the commit baton touches: the tree, the active segment, MANIFEST.
pub(crate) struct Baton {
    pub(crate) fs: Arc<dyn StoreFs>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) layout: Layout,
    pub(crate) segment_len: u64,
    pub(crate) manifest: Manifest,
    /// The segment to append to; `None` where the old one ended uncleanly and the next isn't made yet.
    pub(crate) writer: Option<SegmentWriter>,
    /// A segment that ended uncleanly, and where its proven groups end.
    pub(crate) ended: Option<(Arc<SegmentFile>, u64)>,
    pub(crate) frontier: Frontier,
    /// Number of the last commit.
    pub(crate) number: u64,
    pub(crate) incarnation: u32,
    pub(crate) signer: Option<Arc<Signer>>,
    /// The key that it replaces signs the next checkpoint as well.
    pub(crate) retiring: Option<Arc<Signer>>,
    pub(crate) desk: Arc<Desk>,
    /// The newest released checkpoint; the next commit header carries its signature.
    pub(crate) signed: Option<Arc<SignedCheckpoint>>,
    /// Whether this session has written; before its first write it syncs what it is going to rely on.
    pub(crate) begun: bool,
    /// Whether a commit header says that every event is durable.
    pub(crate) stated: bool,
    /// Events in the active segment.
    pub(crate) in_segment: u64,
    /// Length of the last group's frames.
    pub(crate) last_group: u64,
}

/// How many bytes can be ordered before more space has to be secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// By small appends, over zeros written ahead.
    pub(crate) filled: u64,
    /// By any.
    pub(crate) secured: u64,
}

impl Room {
    /// Whether `need` bytes are ready.
    pub(crate) fn takes(self, need: u64) -> bool {
        need <= if need < BULK {
            self.filled
        } else {
            self.secured
        }
    }

    /// The room that is left once `used` bytes are ordered.
    pub(crate) fn less(self, used: u64) -> Self {
        Self {
            filled: self.filled.saturating_sub(used),
            secured: self.secured.saturating_sub(used),
        }
    }
}

/// A group that is durable.
pub(crate) struct Committed {
    /// Where each event's frame stands in the segment.
    pub(crate) offsets: Vec<u32>,
    /// What the group's events can be found by.
    pub(crate) keys: Vec<Arc<BatchKeys>>,
    /// The group's events and buffer, the latter to be used again.
    pub(crate) memory: GroupMemory,
    pub(crate) proof: Arc<GroupProof>,
}

/// How the signature of a group comes about.
enum Signing {
    /// The journal isn't signed.
    No,
    Done(Arc<SignedCheckpoint>),
    /// At the desk, while the sync runs.
    Left,
    /// By someone elsewhere, after the sync.
    After(Arc<Signer>, Grown),
}

impl Baton {
    /// Writes a group, or an empty commit, and returns once it is durable and signed.
    pub(crate) fn commit(&mut self, mut group: Group) -> Result<Committed, Error> {
        assert_eq!(
            group.first,
            self.frontier.size(),
            "a group continues the tree"
        );
        self.begin()?;
        let leaves: Vec<Hash> = group
            .events
            .iter()
            .map(|event| leaf_hash(&event.hash))
            .collect();
        let frames_len = group.buffer.len() - HEADER_ROOM;
        self.last_group = frames_len as u64;
        let seed = CrcSeed::of(&self.manifest.journal);
        let mut crcs = Vec::with_capacity(group.events.len());
        for event in &group.events {
            crcs.push(seal_frame(
                seed,
                &mut group.buffer[event.start..event.start + event.len],
            ));
        }
        let elsewhere = self.signer.clone().filter(|signer| signer.is_elsewhere());
        let asked = elsewhere.map(|signer| {
            let before = self.frontier.clone();
            let leaves = leaves.clone();
            (signer, Grown { before, leaves })
        });
        let mut frontier = self.frontier.clone();
        let span = frontier.extend(leaves);
        let writer = self
            .writer
            .as_mut()
            .expect("begin leaves a segment to write to");
        let header = CommitHeader {
            number: self.number + 1,
            incarnation: self.incarnation,
            count: group.events.len() as u32,
            first_sequence: group.first,
            frames_len: frames_len as u32,
            // Groups are written one after another, each once the one before is synced.
            durable: if planted(Bug::GroupCallsItselfDurable) {
                group.first + group.events.len() as u64
            } else {
                group.first
            },
            raw_clock: group.raw_clock,
            root: *span.root().as_bytes(),
            signatures: self
                .signed
                .as_deref()
                .map(|signed| carried(signed, group.first))
                .unwrap_or_default(),
            frames_check: writer.segment.key.frames_check(crcs),
        };
        let mut head = Vec::with_capacity(HEADER_ROOM);
        header
            .write(seed, &writer.segment.key, &mut head)
            .map_err(Misuse::Event)?;
        let base = writer.end + head.len() as u64;
        let bytes = with_header(&mut group.buffer, &head);
        // In memory only; it is released after the sync.
        let size = group.first + u64::from(header.count);
        // One that is there is not signed again: the key before may have signed it as well.
        let same = (self.signed.as_ref()).filter(|signed| signed.claimed().size() == size);
        let signing = match (&self.signer, same, asked) {
            (Some(_), Some(signed), _) if self.retiring.is_none() => {
                Signing::Done(Arc::clone(signed))
            }
            (_, _, Some((signer, grown))) => {
                if planted(Bug::AskedTooEarly) {
                    let _ = grown.sign(&signer, span.root(), group.first);
                }
                Signing::After(signer, grown)
            }
            (Some(signer), ..) => {
                let wanted = Wanted {
                    signer: Arc::clone(signer),
                    retiring: self.retiring.clone(),
                    size,
                    root: span.root(),
                };
                match self.desk.leave(wanted)? {
                    Some(signed) => Signing::Done(Arc::new(signed)),
                    None => Signing::Left,
                }
            }
            (None, ..) => Signing::No,
        };
        if let (Some(signer), Signing::Done(signed)) = (&self.signer, &signing)
            && planted(Bug::SignedTooEarly)
        {
            let checkpoint = signed.claimed();
            signer.remember(checkpoint.size(), checkpoint.root())?;
        }
        writer.write_group(bytes, head.len())?;
        let signed = match signing {
            Signing::No => None,
            Signing::Done(signed) => Some(signed),
            Signing::Left => Some(Arc::new(self.desk.take()?)),
            Signing::After(signer, grown) => {
                let from = self
                    .signed
                    .as_ref()
                    .map_or(0, |signed| signed.claimed().size());
                Some(Arc::new(grown.sign(&signer, span.root(), from)?))
            }
        };
        let place = |start: usize| (base + (start - HEADER_ROOM) as u64) as u32;
        let offsets = group
            .events
            .iter()
            .map(|event| place(event.start))
            .collect();
        self.number += 1;
        self.in_segment += group.events.len() as u64;
        self.frontier = frontier;
        self.stated = group.events.is_empty();
        self.signed.clone_from(&signed);
        self.end_handover();
        Ok(Committed {
            offsets,
            keys: group.keys,
            memory: GroupMemory {
                buffer: group.buffer,
                events: group.events,
            },
            proof: Arc::new(GroupProof { span, signed }),
        })
    }

    /// A checkpoint with the signatures that are due.
    pub(crate) fn sign(&self, size: u64, root: Hash) -> Result<SignedCheckpoint, Error> {
        let signer = self.signer.as_deref().ok_or(Misuse::Unsigned)?;
        sign(signer, self.retiring.as_deref(), size, root)
    }

    /// The checkpoint that hands over from one key to the next is durable in its group's successor at
    /// the latest; a file of its own keeps it where who knows the old key alone looks for it.
    fn end_handover(&mut self) {
        let (Some(retiring), Some(signed)) = (self.retiring.take(), self.signed.clone()) else {
            return;
        };
        // Neither is more than a help: the next commit header carries both signatures.
        let _ = self.keep_checkpoint();
        let _ = retiring.remember(signed.claimed().size(), signed.claimed().root());
    }

    /// Ends the active segment and begins the next, unless it is empty.
    pub(crate) fn roll(&mut self) -> Result<(), Error> {
        if self.in_segment == 0 {
            return Ok(());
        }
        self.keep_checkpoint()?;
        self.next_segment(self.frontier.size())
    }

    /// Secures space for a group of `need` bytes, its header included; all groups before it are
    /// written. Rolls to a new segment if it would pass the size of this one, which holds at least one
    /// group, however large.
    ///
    /// # Errors
    /// `disk.full` if there is none: then nothing that counts has changed, and it can be tried again.
    pub(crate) fn secure(&mut self, need: u64) -> Result<(), Error> {
        self.begin()?;
        let end = self.writer.as_ref().map_or(0, |writer| writer.end);
        if end + need + MAX_HEADER > self.segment_len && self.in_segment > 0 {
            self.keep_checkpoint()?;
            self.next_segment(self.frontier.size())?;
        }
        let bulk = need.max(self.last_group) >= BULK;
        let limit = self.segment_len + HEADROOM;
        match &mut self.writer {
            Some(writer) => writer.make_ready(need + MAX_HEADER + HEADROOM, limit, bulk),
            None => Ok(()),
        }
    }

    /// How much can be ordered behind what is written.
    pub(crate) fn room(&self) -> Room {
        let Some(writer) = &self.writer else {
            return Room::default();
        };
        let (filled, secured) = writer.ready();
        // The first group of a segment may be larger than the segment.
        let most = match self.in_segment {
            0 => u64::MAX,
            _ => self.segment_len.saturating_sub(writer.end + MAX_HEADER),
        };
        let room = |ready: u64| ready.saturating_sub(MAX_HEADER + HEADROOM).min(most);
        let secured = room(secured);
        Room {
            // Among bulk, small appends go where the bulk goes.
            filled: if self.last_group >= BULK {
                secured
            } else {
                room(filled)
            },
            secured,
        }
    }

    /// Before the first write of a session: what it relies on must be on the disk, and there must be
    /// a segment that ended cleanly.
    ///
    /// # Errors
    /// `disk.full` if there is no space for what it has to make; then it can be tried again.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        if self.begun {
            return Ok(());
        }
        self.sync_manifest()?;
        self.make_checkpoint_dir()?;
        self.remove_temporaries();
        if self.writer.is_some() {
            self.begun = true;
            return self.remove_orphans_anew();
        }
        if let Some((old, _)) = &self.ended {
            // What was read well need not be on the disk.
            old.file.sync_all().map_err(Error::io("sync", &old.path))?;
            let segments = self.layout.segments();
            self.fs
                .sync_dir(&segments)
                .map_err(Error::io("sync", &segments))?;
        }
        self.next_segment(self.frontier.size())?;
        self.begun = true;
        // Only now: after a directory sync that failed, the MANIFEST read may not be the one on the
        // disk, and only a new replace settles that.
        self.remove_orphans()
    }

    /// As [`begin`](Self::begin), where recovery has made the next segment itself.
    pub(crate) fn begin_recovered(&mut self) -> Result<(), Error> {
        self.sync_manifest()?;
        self.begun = true;
        self.make_checkpoint_dir()?;
        self.remove_temporaries();
        Ok(())
    }

    /// Copies of a journal may have lost a directory that was empty.
    fn make_checkpoint_dir(&self) -> Result<(), Error> {
        let dir = self.layout.checkpoints();
        match self.fs.create_dir(&dir, Access::Shared) {
            Ok(()) => {
                let parent = &self.layout.dir;
                self.fs.sync_dir(parent).map_err(Error::io("sync", parent))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::space("create", &dir)(error)),
        }
    }

    /// Removes what replaces of files that a crash cut short left behind. One that stays does no
    /// harm: it is never read, and the next replace of that file begins by removing it.
    fn remove_temporaries(&self) {
        for dir in [&self.layout.dir, &self.layout.checkpoints()] {
            let entries = self.fs.list(dir).unwrap_or_default();
            for entry in entries.iter().filter(|entry| is_temporary(&entry.name)) {
                let _ = self.fs.remove_file(&dir.join(&entry.name));
            }
        }
    }

    fn sync_manifest(&self) -> Result<(), Error> {
        let manifest = self.layout.manifest();
        let file = self
            .fs
            .open(&manifest, OpenMode::Write)
            .map_err(Error::io("open", &manifest))?;
        file.sync_all().map_err(Error::io("sync", &manifest))?;
        let dir = &self.layout.dir;
        self.fs.sync_dir(dir).map_err(Error::io("sync", dir))
    }

    /// As [`remove_orphans`](Self::remove_orphans), on the word of a MANIFEST that was only read: that
    /// need not be the one on the disk, whatever a later sync says.
    fn remove_orphans_anew(&mut self) -> Result<(), Error> {
        let rows = self.manifest.rows.iter();
        let named: Vec<_> = rows
            .map(|row| (row.first_sequence, row.generation))
            .collect();
        if unnamed(self.fs.as_ref(), &self.layout, &named)?.is_empty() {
            return Ok(());
        }
        self.replace_manifest(self.manifest.clone())?;
        self.remove_orphans()
    }

    /// Removes segments that MANIFEST doesn't name: left by a roll or recovery that a crash cut short,
    /// or replaced. Only after this process has synced MANIFEST and its directory.
    pub(crate) fn remove_orphans(&self) -> Result<(), Error> {
        debug_assert!(self.begun, "MANIFEST has been synced");
        self.remove_unnamed(&self.manifest)
    }

    fn remove_unnamed(&self, manifest: &Manifest) -> Result<(), Error> {
        let rows = manifest.rows.iter();
        let named: Vec<(u64, u32)> = rows
            .map(|row| (row.first_sequence, row.generation))
            .collect();
        for (first, generation) in unnamed(self.fs.as_ref(), &self.layout, &named)? {
            let path = self.layout.segment(first, generation);
            self.fs
                .remove_file(&path)
                .map_err(Error::io("remove", &path))?;
            let offsets = self.layout.segments().join(offsets_name(first, generation));
            // A derived file; one that stays does no harm.
            let _ = self.fs.remove_file(&offsets);
        }
        Ok(())
    }

    /// Seals the active segment and begins the next: its file is on the disk before MANIFEST names it,
    /// and MANIFEST names it before its first group.
    pub(crate) fn next_segment(&mut self, first: u64) -> Result<(), Error> {
        let writer = self.new_segment(first, 0)?;
        let path = writer.segment.path.clone();
        self.succeed(writer).inspect_err(|error| {
            if error.is_disk_full() {
                // MANIFEST doesn't name it; one that stays is removed when a session begins.
                let _ = self.fs.remove_file(&path);
            }
        })
    }

    /// A segment with room for `need` bytes, and for closing, that nothing names yet.
    pub(crate) fn new_segment(&mut self, first: u64, need: u64) -> Result<SegmentWriter, Error> {
        let header = self.next_header(first);
        // Never given twice, whatever becomes of the file.
        self.manifest.next_generation += 1;
        let fs = self.fs.as_ref();
        let mut writer = SegmentWriter::create(fs, &self.layout.segments(), header)?;
        let (need, limit) = (need + MAX_HEADER + HEADROOM, self.segment_len + HEADROOM);
        let ready = writer.make_ready(need, limit, false);
        ready.inspect_err(|_| {
            let _ = fs.remove_file(&writer.segment.path);
        })?;
        Ok(writer)
    }

    /// Ends the last segment where its proven groups end and lets the new one follow it, in one
    /// replace of MANIFEST.
    pub(crate) fn succeed(&mut self, writer: SegmentWriter) -> Result<(), Error> {
        let mut manifest = self.manifest.clone();
        let first = writer.segment.header.first_sequence;
        match (&self.writer, &self.ended) {
            (Some(old), _) => seal(&mut manifest, first, old.end, old.headers_hash()?),
            (None, Some((old, end))) => seal(&mut manifest, first, *end, headers_hash(old, *end)?),
            (None, None) => {}
        }
        name(&mut manifest, &writer);
        manifest.incarnation = self.incarnation;
        let replacement = self.prepare_manifest(&manifest)?;
        if let Some(old) = &mut self.writer {
            // Only now: on a full disk the old segment goes on, and needs the space behind its groups.
            old.cut()?;
        }
        if planted(Bug::OrphansRemovedEarly) {
            let _ = self.remove_unnamed(&manifest);
        }
        if planted(Bug::RollUnnamed) && self.writer.is_some() {
            self.manifest = manifest;
        } else {
            self.put_manifest(replacement, manifest)?;
        }
        self.writer = Some(writer);
        self.ended = None;
        self.in_segment = 0;
        Ok(())
    }

    fn next_header(&self, first: u64) -> SegmentHeader {
        let mut salt = [0; 16];
        self.random.fill(&mut salt);
        SegmentHeader {
            features: self.manifest.features,
            journal: self.manifest.journal,
            first_sequence: first,
            generation: self.manifest.next_generation,
            incarnation: self.incarnation,
            salt,
            durable: first,
            edge: self
                .frontier
                .hashes()
                .iter()
                .map(|hash| *hash.as_bytes())
                .collect(),
            inputs: Vec::new(),
        }
    }

    pub(crate) fn replace_manifest(&mut self, manifest: Manifest) -> Result<(), Error> {
        let replacement = self.prepare_manifest(&manifest)?;
        self.put_manifest(replacement, manifest)
    }

    pub(super) fn prepare_manifest(&self, manifest: &Manifest) -> Result<Replacement, Error> {
        let (fs, dir) = (self.fs.as_ref(), &self.layout.dir);
        Replacement::prepare(fs, dir, MANIFEST, &manifest.encode(), Access::Shared)
            .map_err(Error::space("replace", &self.layout.manifest()))
    }

    pub(super) fn put_manifest(
        &mut self,
        new: Replacement,
        manifest: Manifest,
    ) -> Result<(), Error> {
        let path = self.layout.manifest();
        new.put(self.fs.as_ref())
            .map_err(Error::io("replace", &path))?;
        self.manifest = manifest;
        Ok(())
    }

    /// Keeps the newest signed checkpoint in a file of its own, in case its commit header is lost.
    pub(crate) fn keep_checkpoint(&self) -> Result<(), Error> {
        let Some(signed) = &self.signed else {
            return Ok(());
        };
        let dir = self.layout.checkpoints();
        let name = checkpoint_name(signed.claimed().size());
        let path = dir.join(&name);
        let text = signed.to_string();
        let fs = self.fs.as_ref();
        let replacement = Replacement::prepare(fs, &dir, &name, text.as_bytes(), Access::Shared)
            .map_err(Error::space("write", &path))?;
        replacement.put(fs).map_err(Error::io("write", &path))
    }

    /// Cuts the active segment to its end.
    pub(crate) fn give_space_back(&mut self) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer.cut()?;
        let (file, path) = (&writer.segment.file, &writer.segment.path);
        file.sync_all().map_err(Error::io("sync", path))
    }

    /// Ends the session cleanly: records that everything up to the file's end is proven.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        let Some(writer) = &self.writer else {
            return Ok(());
        };
        let end = writer.end;
        self.keep_checkpoint()?;
        let mut manifest = self.manifest.clone();
        manifest.incarnation = self.incarnation;
        if let Some(row) = manifest.rows.last_mut() {
            row.proven_end = end;
        }
        self.replace_manifest(manifest)
    }
}

/// Ends the last row of a manifest at `first`; a segment without events leaves it.
pub(crate) fn seal(manifest: &mut Manifest, first: u64, end: u64, headers_hash: [u8; 32]) {
    let Some(row) = manifest.rows.last_mut() else {
        return;
    };
    if row.first_sequence == first {
        manifest.rows.pop();
        return;
    }
    row.count = Some(first - row.first_sequence);
    row.sealed_end = end;
    row.headers_hash = headers_hash;
}

/// Adds a new segment to a manifest.
pub(crate) fn name(manifest: &mut Manifest, writer: &SegmentWriter) {
    let header = &writer.segment.header;
    manifest.rows.push(ManifestRow {
        first_sequence: header.first_sequence,
        count: None,
        generation: header.generation,
        salt: header.salt,
        proven_end: 0,
        sealed_end: 0,
        headers_hash: [0; 32],
    });
    manifest.next_generation = manifest.next_generation.max(header.generation + 1);
}

/// A checkpoint signed by the journal's key, and by the one that it replaces if that is under way.
pub(crate) fn sign(
    signer: &Signer,
    retiring: Option<&Signer>,
    size: u64,
    root: Hash,
) -> Result<SignedCheckpoint, Error> {
    let broken = |error: factlog_proof::CheckpointError| Misuse::Receipt(error.to_string());
    let checkpoint = Checkpoint::new(signer.origin(), size, root).map_err(broken)?;
    let mut signatures = vec![signer.sign(&checkpoint)?];
    if let Some(retiring) = retiring {
        signatures.push(retiring.sign(&checkpoint)?);
    }
    Ok(SignedCheckpoint::new(checkpoint, signatures).map_err(broken)?)
}

/// The signatures of a checkpoint as the next commit header carries them: only those of the tree that
/// ends where the commit begins.
pub(crate) fn carried(signed: &SignedCheckpoint, first: u64) -> Vec<HeaderSignature> {
    if signed.claimed().size() != first {
        return Vec::new();
    }
    let signatures = signed.signatures().iter();
    signatures
        .map(|signature| HeaderSignature {
            kind: ED25519,
            key_id: signature.key_id(),
            bytes: signature.bytes().to_vec(),
        })
        .collect()
}

/// Puts the commit header right before the frames.
fn with_header<'b>(buffer: &'b mut Vec<u8>, head: &[u8]) -> &'b [u8] {
    if head.len() > HEADER_ROOM {
        buffer.splice(..HEADER_ROOM, head.iter().copied());
        return buffer;
    }
    let start = HEADER_ROOM - head.len();
    buffer[start..HEADER_ROOM].copy_from_slice(head);
    &buffer[start..]
}
