//! What someone does who may write the journal's files and knows the format, but has not the key:
//! changes or drops events and makes everything after fit again: hashes, links, roots, checksums,
//! headers, MANIFEST. Derived files and kept checkpoints are removed, as the format allows.
//! Signatures that no longer fit are left out, or made with a key of the forger's own, which then
//! stands in the journal's first event.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use factlog::{Checkpoint, Digest, JournalEvent, JournalId, SigningKey, StreamId};
use factlog_format::{
    CommitHeader, CrcSeed, EventFrame, Facts, Frame, FrameParts, FrameType, GroupKey,
    HeaderSignature, HeadersHasher, Manifest, ManifestRow, Ordering, SectionParts, SegmentHeader,
    encode_event, seal_frame,
};
use factlog_proof::{Frontier, NoteSignature, leaf_hash};

use crate::files;

/// What becomes of an event.
pub(super) enum Fate {
    Keep,
    Drop,
    /// Its first section gets these bytes.
    Rewrite(Vec<u8>),
}

/// Rewrites a journal's files; signed anew if a key is given.
pub(super) fn forge(
    dir: &Path,
    key: Option<SigningKey>,
    fate: impl Fn(&EventFrame<'_>) -> Fate,
) -> Result<()> {
    let path = dir.join("MANIFEST");
    let mut manifest = Manifest::decode(&files::read(&path, u64::MAX - 1)?)?;
    let mut forger = Forger::new(manifest.journal, key);
    let mut rows = Vec::new();
    for row in &manifest.rows {
        let old = segment_path(dir, row.first_sequence, row.generation);
        let bytes = files::read(&old, u64::MAX - 1)?;
        files::remove(&old)?;
        let (row, bytes) = forger.segment(row, &bytes, &fate)?;
        files::write(
            &segment_path(dir, row.first_sequence, row.generation),
            &bytes,
        )?;
        rows.push(row);
    }
    manifest.rows = rows;
    files::write(&path, &manifest.encode())?;
    for derived in ["index", "tree", "checkpoints"] {
        files::empty_dir(&dir.join(derived))?;
    }
    for file in files::list(&dir.join("segments"))? {
        if file.extension().is_some_and(|extension| extension == "off") {
            files::remove(&file)?;
        }
    }
    Ok(())
}

fn segment_path(dir: &Path, first: u64, generation: u32) -> std::path::PathBuf {
    dir.join("segments")
        .join(format!("{first:016x}-{generation:08x}.seg"))
}

struct Head {
    hash: Digest,
    sequence: u64,
    revision: u64,
}

struct Forger {
    journal: JournalId,
    seed: CrcSeed,
    tree: Frontier,
    heads: HashMap<StreamId, Head>,
    /// Old sequences of what was dropped, ascending.
    dropped: Vec<u64>,
    /// The first old sequence that is not as it was.
    changed_from: Option<u64>,
    commits: u64,
    key: Option<SigningKey>,
    /// Signatures of a commit that was dropped, over the tree before it: the true one so far.
    left_over: Vec<HeaderSignature>,
}

impl Forger {
    fn new(journal: JournalId, key: Option<SigningKey>) -> Self {
        Self {
            journal,
            seed: CrcSeed::of(&journal),
            tree: Frontier::new(),
            heads: HashMap::new(),
            dropped: Vec::new(),
            changed_from: None,
            commits: 0,
            key,
            left_over: Vec::new(),
        }
    }

    fn segment(
        &mut self,
        row: &ManifestRow,
        bytes: &[u8],
        fate: &impl Fn(&EventFrame<'_>) -> Fate,
    ) -> Result<(ManifestRow, Vec<u8>)> {
        let old = SegmentHeader::decode(bytes)?;
        let old_key =
            GroupKey::derive(&old.salt, &self.journal, old.first_sequence, old.generation);
        let first_sequence = self.tree.size();
        let header = SegmentHeader {
            first_sequence,
            durable: self.new_sequence(old.durable).min(first_sequence),
            edge: self
                .tree
                .hashes()
                .iter()
                .map(|hash| *hash.as_bytes())
                .collect(),
            ..old.clone()
        };
        let key = GroupKey::derive(
            &header.salt,
            &self.journal,
            first_sequence,
            header.generation,
        );
        let mut out = header.encode();
        let mut headers = HeadersHasher::new(&out);
        let mut rest = bytes
            .get(old.encoded_len()..)
            .context("a segment ends early")?;
        while let Ok(frame) = Frame::read(self.seed, rest) {
            if frame.kind != FrameType::Commit {
                bail!("a group without its header");
            }
            let commit = CommitHeader::decode(&old_key, frame.body)?;
            let frames = rest
                .get(frame.len..frame.len + commit.frames_len as usize)
                .context("a group ends early")?;
            rest = rest.get(frame.len + frames.len()..).unwrap_or_default();
            let group = self.group(commit, frames, &key, fate)?;
            if let Some((header_len, group)) = group {
                headers.add(group.get(..header_len).unwrap_or_default());
                out.extend_from_slice(&group);
            }
        }
        let sealed = row.count.is_some();
        let row = ManifestRow {
            first_sequence,
            count: row.count.map(|_| self.tree.size() - first_sequence),
            proven_end: if row.proven_end > 0 {
                out.len() as u64
            } else {
                0
            },
            sealed_end: if sealed { out.len() as u64 } else { 0 },
            headers_hash: if sealed { headers.digest() } else { [0; 32] },
            ..row.clone()
        };
        Ok((row, out))
    }

    /// The group as it is to be, with the length of its header; `None` if nothing is left of it.
    fn group(
        &mut self,
        old: CommitHeader,
        mut frames: &[u8],
        key: &GroupKey,
        fate: &impl Fn(&EventFrame<'_>) -> Fate,
    ) -> Result<Option<(usize, Vec<u8>)>> {
        let signatures = self.signatures(&old)?;
        let mut commit = CommitHeader {
            number: self.commits + 1,
            first_sequence: self.tree.size(),
            durable: self.new_sequence(old.durable),
            signatures,
            count: 0,
            ..old.clone()
        };
        let (mut out, mut crcs) = (Vec::new(), Vec::new());
        while !frames.is_empty() {
            let frame = Frame::read(self.seed, frames)?;
            frames = frames.get(frame.len..).unwrap_or_default();
            let event = EventFrame::decode(frame.kind, frame.body)?;
            let fate = self.replace_key(&event, fate(&event))?;
            if let Some(crc) = self.event(&event, fate, &mut out)? {
                crcs.push(crc);
                commit.count += 1;
            }
        }
        if commit.count == 0 && old.count > 0 {
            self.left_over = commit.signatures;
            return Ok(None);
        }
        self.commits += 1;
        commit.frames_len = u32::try_from(out.len())?;
        commit.root = *self.tree.root().as_bytes();
        commit.frames_check = key.frames_check(crcs);
        let mut group = Vec::new();
        commit.write(self.seed, key, &mut group)?;
        let header_len = group.len();
        group.extend_from_slice(&out);
        Ok(Some((header_len, group)))
    }

    /// The signatures over the tree before a group: its own as long as that is as it was.
    fn signatures(&mut self, old: &CommitHeader) -> Result<Vec<HeaderSignature>> {
        let left_over = std::mem::take(&mut self.left_over);
        if let Some(key) = &self.key {
            // Before the first event there is nothing to sign.
            if self.tree.size() == 0 {
                return Ok(Vec::new());
            }
            let origin = key.verifier().name();
            let checkpoint = Checkpoint::new(origin, self.tree.size(), self.tree.root())?;
            let signature = |signature: &NoteSignature| HeaderSignature {
                kind: 1,
                key_id: signature.key_id(),
                bytes: signature.bytes().to_vec(),
            };
            return Ok(checkpoint
                .sign(key)?
                .signatures()
                .iter()
                .map(signature)
                .collect());
        }
        let fits = self
            .changed_from
            .is_none_or(|from| old.first_sequence <= from);
        Ok(if fits {
            old.signatures.clone()
        } else {
            left_over
        })
    }

    /// The first event with another key in it.
    fn replace_key(&self, event: &EventFrame<'_>, fate: Fate) -> Result<Fate> {
        let Some(key) = self.key.as_ref().filter(|_| event.order.sequence == 0) else {
            return Ok(fate);
        };
        let content = event.sections().next().and_then(|(_, content)| content);
        let (_, bytes) = content.context("the first event has no payload")?;
        let JournalEvent::Created(mut created) = JournalEvent::decode(event.facts.kind, bytes)?
        else {
            bail!("the first event is another");
        };
        created.keys = vec![*key.verifier().public_key()];
        Ok(Fate::Rewrite(JournalEvent::Created(created).encode()))
    }

    /// Appends the event's new frame; returns its CRC, or `None` if it is dropped.
    fn event(
        &mut self,
        old: &EventFrame<'_>,
        fate: Fate,
        out: &mut Vec<u8>,
    ) -> Result<Option<u32>> {
        let replaced = match fate {
            Fate::Keep => None,
            Fate::Rewrite(bytes) => Some(bytes),
            Fate::Drop => {
                self.changed_from.get_or_insert(old.order.sequence);
                self.dropped.push(old.order.sequence);
                return Ok(None);
            }
        };
        if replaced.is_some() {
            self.changed_from.get_or_insert(old.order.sequence);
        }
        let mut sections = Vec::new();
        for (index, (row, content)) in old.sections().enumerate() {
            let (secret, stored) = content.context("an erased section")?;
            sections.push(SectionParts {
                name: row.name,
                encoding: row.encoding,
                secret,
                sealed: row.sealed,
                stored: replaced.as_deref().filter(|_| index == 0).unwrap_or(stored),
            });
        }
        let facts = old.facts;
        let tags: Vec<&str> = facts.tags.iter().collect();
        let facts = Facts {
            event_id: facts.event_id,
            entity: facts.entity,
            scope: facts.scope,
            kind: facts.kind,
            payload_version: facts.payload_version,
            tags: &tags,
            occurred_at: facts.occurred_at,
            actor: facts.actor,
            correlation: facts.correlation,
            causation: facts.causation,
            trace: facts.trace,
            sections: &[],
        };
        let parts = FrameParts {
            facts,
            facts_salt: old.facts_salt,
            sections: &sections,
        };
        let frame = encode_event(&parts, &mut Vec::new(), out)?;
        let order = self.place(&old.order);
        frame.place(out, &order);
        let crc = seal_frame(self.seed, out.get_mut(frame.start..).unwrap_or_default());
        let spine = order.spine(&self.journal, frame.facts_hash);
        let hash = factlog_format::event_hash(&spine);
        self.tree.push(leaf_hash(&hash));
        self.heads.insert(
            order.stream,
            Head {
                hash,
                sequence: order.sequence,
                revision: order.revision,
            },
        );
        Ok(Some(crc))
    }

    fn place(&self, old: &Ordering) -> Ordering {
        let head = self.heads.get(&old.stream);
        Ordering {
            sequence: self.tree.size(),
            revision: head.map_or(0, |head| head.revision + 1),
            previous: head.map_or([0; 32], |head| head.hash),
            previous_sequence: head.map(|head| head.sequence),
            ..*old
        }
    }

    /// Where an old sequence is now.
    fn new_sequence(&self, old: u64) -> u64 {
        old - self.dropped.partition_point(|dropped| *dropped < old) as u64
    }
}
