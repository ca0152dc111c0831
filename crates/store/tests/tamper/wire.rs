//! What an attacker has who knows the format: takes a journal's segments apart and puts them together
//! again, with every checksum, hash, link and root made right that needs no key.

use std::{collections::HashMap, path::Path};

use factlog::{Hash, SigningKey};
use factlog_format::{
    CommitHeader, CrcSeed, Digest, EventFrame, Frame, FrameType, FullStub, GroupKey,
    HeaderSignature, HeadersHasher, Manifest, SectionSecret, SegmentHeader, encode_full_stub,
    seal_frame, section_hash, write_frame,
};
use factlog_proof::{Checkpoint, Frontier, leaf_hash};

use crate::{lab::Lab, support::DIR};

/// Where an event's place stands in the body of its frame.
const PLACE: usize = 8;

pub(crate) struct Forgery {
    pub(crate) manifest: Manifest,
    pub(crate) segments: Vec<Segment>,
}

pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) groups: Vec<Group>,
}

#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) header: CommitHeader,
    pub(crate) events: Vec<Event>,
}

/// The body of an event's frame.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) kind: FrameType,
    pub(crate) body: Vec<u8>,
}

impl Event {
    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.body[PLACE + at..PLACE + at + 8].try_into().unwrap())
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.word(0)
    }

    pub(crate) fn stream(&self) -> [u8; 16] {
        self.body[PLACE + 16..PLACE + 32].try_into().unwrap()
    }

    pub(crate) fn set(&mut self, at: usize, bytes: &[u8]) {
        self.body[PLACE + at..PLACE + at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn hash(&self, journal: &[u8; 16]) -> Digest {
        match self.kind {
            FrameType::FullStub => FullStub::decode(&self.body).unwrap().event_hash(journal),
            kind => EventFrame::decode(kind, &self.body)
                .unwrap()
                .event_hash(journal),
        }
    }

    /// Gives the only section other bytes of the same length, and the facts its new hash.
    pub(crate) fn repay(&mut self, change: impl FnOnce(&mut [u8])) {
        let event = EventFrame::decode(self.kind, &self.body).unwrap();
        let (row, content) = event.sections().next().unwrap();
        let (secret, stored) = content.unwrap();
        let (old, len, mut stored) = (row.hash, stored.len(), stored.to_vec());
        change(&mut stored);
        let new = section_hash(&secret, &stored);
        assert!(matches!(secret, SectionSecret::Salt(_)));
        let at = self
            .body
            .windows(32)
            .position(|window| window == old)
            .unwrap();
        self.body[at..at + 32].copy_from_slice(&new);
        let start = self.body.len() - len;
        self.body[start..].copy_from_slice(&stored);
    }

    /// What a full erasure leaves.
    pub(crate) fn stub(&self, journal: &[u8; 16]) -> Self {
        let event = EventFrame::decode(self.kind, &self.body).unwrap();
        let stub = FullStub {
            order: event.order,
            facts_hash: event.spine(journal).facts_hash,
        };
        let mut out = Vec::new();
        encode_full_stub(&stub, &mut out).unwrap();
        let body_len = u32::from_le_bytes(out[..4].try_into().unwrap()) as usize;
        Self {
            kind: FrameType::FullStub,
            body: out[12..12 + body_len].to_vec(),
        }
    }
}

impl Forgery {
    pub(crate) fn read(lab: &Lab) -> Self {
        let manifest = Manifest::decode(&lab.read(Path::new(DIR).join("MANIFEST"))).unwrap();
        let mut segments = Vec::new();
        for path in lab
            .files()
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        {
            segments.push(Self::segment(&lab.read(path)));
        }
        Self { manifest, segments }
    }

    fn segment(bytes: &[u8]) -> Segment {
        let header = SegmentHeader::decode(bytes).unwrap();
        let (seed, key) = keys(&header);
        let mut rest = &bytes[header.encoded_len()..];
        let mut groups: Vec<Group> = Vec::new();
        while !rest.is_empty() {
            let frame = Frame::read(seed, rest).unwrap();
            if frame.kind == FrameType::Commit {
                let header = CommitHeader::decode(&key, frame.body).unwrap();
                groups.push(Group {
                    header,
                    events: Vec::new(),
                });
            } else {
                let event = Event {
                    kind: frame.kind,
                    body: frame.body.to_vec(),
                };
                groups.last_mut().unwrap().events.push(event);
            }
            rest = &rest[frame.len..];
        }
        Segment { header, groups }
    }

    pub(crate) fn journal(&self) -> [u8; 16] {
        self.manifest.journal
    }

    pub(crate) fn events(&mut self) -> impl Iterator<Item = &mut Event> {
        self.segments
            .iter_mut()
            .flat_map(|s| &mut s.groups)
            .flat_map(|group| &mut group.events)
    }

    pub(crate) fn event(&mut self, sequence: u64) -> &mut Event {
        self.events()
            .find(|event| event.sequence() == sequence)
            .unwrap()
    }

    /// Keeps only events that `keep` wants; groups stay, even if they get empty.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Event) -> bool) {
        for group in self
            .segments
            .iter_mut()
            .flat_map(|segment| &mut segment.groups)
        {
            group.events.retain(&mut keep);
        }
    }

    /// Makes places and links right: sequences, revisions, previous hashes.
    pub(crate) fn relink(&mut self) {
        let journal = self.journal();
        let mut heads: HashMap<[u8; 16], (u64, u64, Digest)> = HashMap::new();
        for (sequence, event) in (0u64..).zip(self.events()) {
            let head = heads.get(&event.stream()).copied();
            let (revision, previous, hash) = head
                .map_or((0, u64::MAX, [0; 32]), |(revision, at, hash)| {
                    (revision + 1, at, hash)
                });
            event.set(0, &sequence.to_le_bytes());
            event.set(8, &revision.to_le_bytes());
            event.set(40, &hash);
            event.set(72, &previous.to_le_bytes());
            heads.insert(event.stream(), (revision, sequence, event.hash(&journal)));
        }
    }

    /// Makes trees and statements right: commit headers, roots, edges. Signatures stay as they are.
    pub(crate) fn restate(&mut self) {
        let journal = self.journal();
        let mut tree = Frontier::new();
        let mut number = 0;
        for segment in &mut self.segments {
            segment.header.first_sequence = tree.size();
            segment.header.durable = tree.size();
            segment.header.edge = tree.hashes().iter().map(|hash| *hash.as_bytes()).collect();
            for group in &mut segment.groups {
                number += 1;
                group.header.number = number;
                group.header.first_sequence = tree.size();
                group.header.durable = tree.size();
                group.header.count = group.events.len() as u32;
                for event in &group.events {
                    tree.push(leaf_hash(&event.hash(&journal)));
                }
                group.header.root = *tree.root().as_bytes();
            }
        }
    }

    /// Makes the trees of the last segment right.
    pub(crate) fn restate_last(&mut self) {
        let journal = self.journal();
        let mut tree = Frontier::new();
        let last = self.segments.len() - 1;
        for (at, segment) in self.segments.iter_mut().enumerate() {
            for group in &mut segment.groups {
                for event in &group.events {
                    tree.push(leaf_hash(&event.hash(&journal)));
                }
                if at == last {
                    group.header.root = *tree.root().as_bytes();
                }
            }
        }
    }

    /// Signs every commit anew, as the holder of the key.
    pub(crate) fn sign(&mut self, key: &SigningKey) {
        let mut before: Option<(u64, Digest)> = None;
        for group in self
            .segments
            .iter_mut()
            .flat_map(|segment| &mut segment.groups)
        {
            group.header.signatures.clear();
            if let Some((size, root)) = before {
                let origin = key.verifier().name();
                let checkpoint = Checkpoint::new(origin, size, Hash::from_bytes(root)).unwrap();
                let bytes = key.sign(checkpoint.to_string().as_bytes()).to_vec();
                let key_id = key.verifier().key_id();
                group.header.signatures = vec![HeaderSignature {
                    kind: 1,
                    key_id,
                    bytes,
                }];
            }
            before = Some((group.header.end_sequence(), group.header.root));
        }
    }

    /// The root of the tree of all events before one.
    pub(crate) fn root_before(&mut self, sequence: u64) -> Hash {
        let journal = self.journal();
        let mut tree = Frontier::new();
        for event in self.events().take(sequence as usize) {
            tree.push(leaf_hash(&event.hash(&journal)));
        }
        tree.root()
    }

    /// Signs the checkpoints of more than `size` events anew, as the holder of another key.
    pub(crate) fn sign_from(&mut self, size: u64, key: &SigningKey) {
        let mut before: Option<(u64, Digest)> = None;
        for group in self
            .segments
            .iter_mut()
            .flat_map(|segment| &mut segment.groups)
        {
            if let Some((at, root)) = before.filter(|(at, _)| *at > size) {
                let origin = key.verifier().name();
                let checkpoint = Checkpoint::new(origin, at, Hash::from_bytes(root)).unwrap();
                group.header.signatures = vec![HeaderSignature {
                    kind: 1,
                    key_id: key.verifier().key_id(),
                    bytes: key.sign(checkpoint.to_string().as_bytes()).to_vec(),
                }];
            }
            before = Some((group.header.end_sequence(), group.header.root));
        }
    }

    pub(crate) fn unsign(&mut self) {
        for group in self
            .segments
            .iter_mut()
            .flat_map(|segment| &mut segment.groups)
        {
            group.header.signatures.clear();
        }
    }

    /// Writes the segments and a MANIFEST that fits them, and drops what derives from them.
    pub(crate) fn write(&mut self, lab: &Lab) {
        for path in lab
            .files()
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        {
            lab.remove(path);
        }
        lab.remove_derived();
        let mut rows = Vec::new();
        let last = self.segments.len() - 1;
        for (index, segment) in self.segments.iter_mut().enumerate() {
            let (bytes, headers_hash) = segment.encode();
            let header = &segment.header;
            let count = segment
                .groups
                .iter()
                .map(|group| group.events.len() as u64)
                .sum();
            let mut row = self.manifest.rows[index].clone();
            row.first_sequence = header.first_sequence;
            row.generation = header.generation;
            row.count = (index < last).then_some(count);
            row.sealed_end = if index < last { bytes.len() as u64 } else { 0 };
            row.proven_end = if index < last { 0 } else { bytes.len() as u64 };
            row.headers_hash = if index < last { headers_hash } else { [0; 32] };
            rows.push(row);
            let name = format!(
                "{:016x}-{:08x}.seg",
                header.first_sequence, header.generation
            );
            let path = Path::new(DIR).join("segments").join(name);
            use factlog_fs::StoreFs;
            lab.fs
                .create_new(&path, factlog_fs::Access::Shared)
                .unwrap();
            lab.write(path, &bytes);
        }
        self.manifest.rows = rows;
        lab.write(Path::new(DIR).join("MANIFEST"), &self.manifest.encode());
    }
}

impl Segment {
    fn encode(&mut self) -> (Vec<u8>, Digest) {
        let (seed, key) = keys(&self.header);
        let mut out = self.header.encode();
        let mut headers = HeadersHasher::new(&out);
        for group in &mut self.groups {
            let mut frames = Vec::new();
            let mut crcs = Vec::new();
            for event in &group.events {
                let start = write_frame(event.kind, &mut frames, |out| {
                    out.extend_from_slice(&event.body);
                    Ok(())
                });
                crcs.push(seal_frame(seed, &mut frames[start.unwrap()..]));
            }
            group.header.count = group.events.len() as u32;
            group.header.frames_len = frames.len() as u32;
            group.header.frames_check = key.frames_check(crcs);
            let start = out.len();
            group.header.write(seed, &key, &mut out).unwrap();
            headers.add(&out[start..]);
            out.extend_from_slice(&frames);
        }
        (out, headers.digest())
    }
}

fn keys(header: &SegmentHeader) -> (CrcSeed, GroupKey) {
    let SegmentHeader {
        salt,
        journal,
        first_sequence,
        generation,
        ..
    } = header;
    (
        CrcSeed::of(journal),
        GroupKey::derive(salt, journal, *first_sequence, *generation),
    )
}
