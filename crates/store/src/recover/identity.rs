use std::{io::ErrorKind, path::Path, sync::Arc};

use factlog_format::{
    FrameType, Identity, JournalCreated, JournalEvent, JournalId, MAX_MANIFEST_LEN, Manifest,
};
use factlog_fs::{FileKind, OpenMode, StoreFs, read_file};
use factlog_proof::VerifierKey;

use super::{
    contents::{Contents, Standing},
    keys::{find_values, keys_of},
    rebuild::rebuild,
};
use crate::{
    Damage, Error, Event, Misuse,
    layout::{Layout, MANIFEST},
    segment::{FrameReader, FrameStop, GroupScanner, SegmentFile, largest_statement},
    signer::KeyHistory,
};

const MAX_IDENTITY: usize = 4096;
/// The code of what a newer version wrote.
pub(crate) const UNSUPPORTED: &str = "journal.unsupported_version";

/// The journal that a directory holds.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) layout: Layout,
    pub(crate) identity: Identity,
    pub(crate) created: JournalCreated,
    /// The key that signs now.
    pub(crate) key: Option<VerifierKey>,
    pub(crate) keys: KeyHistory,
    pub(crate) manifest: Manifest,
    /// What had to be worked around, the gravest first: then nothing is written.
    pub(crate) damage: Vec<Damage>,
    /// There is no `JOURNAL`, and nothing but event 0: a creation to finish.
    pub(crate) unfinished: bool,
}

/// Reads JOURNAL, MANIFEST and sequence 0, and checks that they speak of one journal. A MANIFEST that
/// is missing or damaged is made again in memory; so is JOURNAL, which only repeats sequence 0.
pub(crate) fn find(fs: &Arc<dyn StoreFs>, dir: &Path) -> Result<Found, Error> {
    let layout = Layout::new(dir);
    let fs = fs.as_ref();
    let mut damage = Vec::new();
    let identity = match read_identity(fs, &layout) {
        Ok(Some(identity)) => Some(identity),
        Ok(None) => {
            match Contents::list(fs, &layout)?.standing(fs, &layout)? {
                Standing::Nothing | Standing::Stranger => {
                    return Err(Misuse::NotAJournal(dir.to_owned()).into());
                }
                Standing::Unfinished => return Err(Misuse::Unfinished(dir.to_owned()).into()),
                Standing::Journal => {}
            }
            let detail = "there is no JOURNAL";
            damage.push(Damage::new("journal.missing", &layout.journal(), detail));
            None
        }
        Err(error) => {
            damage.push(worked_around(error)?);
            None
        }
    };
    let mut manifest = match read_manifest(fs, &layout) {
        Ok(manifest) => manifest,
        Err(error) => {
            damage.insert(0, worked_around(error)?);
            let segments = Contents::list(fs, &layout)?.segments;
            let journal = match &identity {
                Some(identity) => identity.journal,
                None => journal_of(fs, &layout, &segments)?,
            };
            let mut rebuilt = rebuild(fs, &layout, &journal, &segments)?;
            damage.extend(rebuilt.gaps);
            find_values(fs, &layout, &mut rebuilt.manifest)?;
            rebuilt.manifest
        }
    };
    let created = read_created(fs, &layout, &manifest)?;
    let identity = check_identity(&layout, identity, &manifest, &created)?;
    if let Some(key) = created.keys.first() {
        VerifierKey::new(&created.origin, key)
            .map_err(|error| mismatch(&layout.segments(), &error.to_string()))?;
    }
    let mut keys = keys_of(fs, &layout, &created, &mut manifest)?;
    if let Some(lie) = keys.contradicted.take() {
        // Its word for one key is its word for all.
        damage.insert(0, lie);
        find_values(fs, &layout, &mut manifest)?;
        keys = keys_of(fs, &layout, &created, &mut manifest)?;
    }
    let keys = keys.history;
    let key = keys.live().cloned();
    let unfinished = matches!(damage.as_slice(), [only] if only.code == "journal.missing")
        && holds_creation_alone(fs, &layout, &manifest.journal)?;
    if unfinished {
        damage.clear();
    }
    Ok(Found {
        layout,
        identity,
        created,
        key,
        keys,
        manifest,
        damage,
        unfinished,
    })
}

fn mismatch(path: &Path, detail: &str) -> Error {
    Damage::new("journal.identity_mismatch", path, detail).into()
}

/// Damage that an open can do without; anything else ends it.
fn worked_around(error: Error) -> Result<Damage, Error> {
    match error {
        Error::Damaged(damage) if damage.code != UNSUPPORTED => Ok(damage),
        error => Err(error),
    }
}

fn check_identity(
    layout: &Layout,
    identity: Option<Identity>,
    manifest: &Manifest,
    created: &JournalCreated,
) -> Result<Identity, Error> {
    let from_event = Identity {
        features: manifest.features,
        journal: created.journal,
        origin: created.origin.clone(),
        created: created.created,
    };
    if created.journal != manifest.journal {
        let detail = "MANIFEST and sequence 0 speak of different journals";
        return Err(mismatch(&layout.manifest(), detail));
    }
    let Some(identity) = identity else {
        return Ok(from_event);
    };
    if identity.journal != manifest.journal {
        let detail = "MANIFEST and JOURNAL speak of different journals";
        return Err(mismatch(&layout.manifest(), detail));
    }
    if identity.origin != created.origin || identity.created != created.created {
        let detail = "JOURNAL and sequence 0 speak of different journals";
        return Err(mismatch(&layout.journal(), detail));
    }
    Ok(identity)
}

/// The content of JOURNAL; `None` if there is none.
fn read_identity(fs: &dyn StoreFs, layout: &Layout) -> Result<Option<Identity>, Error> {
    let path = layout.journal();
    Ok(read_named(fs, &path, MAX_IDENTITY, "journal.damaged")?
        .map(|bytes| Identity::decode(&bytes))
        .transpose()
        .map_err(|error| Damage::format("journal.damaged", &path, error))?)
}

pub(crate) fn read_manifest(fs: &dyn StoreFs, layout: &Layout) -> Result<Manifest, Error> {
    let path = layout.dir.join(MANIFEST);
    let code = "manifest.damaged";
    let Some(bytes) = read_named(fs, &path, MAX_MANIFEST_LEN, code)? else {
        return Err(Damage::new("manifest.missing", &path, "there is no MANIFEST").into());
    };
    let manifest = Manifest::decode(&bytes).map_err(|error| Damage::format(code, &path, error))?;
    // The list always ends in the segment that is being written.
    if manifest.rows.last().is_none_or(|row| row.count.is_some()) {
        let detail = "MANIFEST names no segment that is being written";
        return Err(Damage::new(code, &path, detail).into());
    }
    Ok(manifest)
}

/// The bytes of a file; `None` if there is none, damage if it can't be what was written.
fn read_named(
    fs: &dyn StoreFs,
    path: &Path,
    limit: usize,
    code: &'static str,
) -> Result<Option<Vec<u8>>, Error> {
    match read_file(fs, path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            Err(Damage::new(code, path, "it is far too large").into())
        }
        Err(error) => {
            let found = fs.metadata(path).map_err(Error::io("examine", path))?;
            if found.is_some_and(|found| found.kind != FileKind::File) {
                return Err(Damage::new(code, path, "it is not a regular file").into());
            }
            Err(Error::io("read", path)(error))
        }
    }
}

/// The journal that the first readable segment belongs to.
pub(super) fn journal_of(
    fs: &dyn StoreFs,
    layout: &Layout,
    segments: &[(u64, u32)],
) -> Result<JournalId, Error> {
    let mut last = None;
    for (first, generation) in segments {
        match SegmentFile::open_any(fs, &layout.segment(*first, *generation)) {
            Ok(segment) => return Ok(segment.header.journal),
            Err(error) => last = Some(worked_around(error)?),
        }
    }
    Err(match last {
        Some(damage) => damage.into(),
        None => {
            let detail = "there is no segment";
            Damage::new("segment.missing", &layout.segments(), detail).into()
        }
    })
}

/// Whether the segments hold event 0 and nothing else, and nothing says that there was more.
fn holds_creation_alone(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
) -> Result<bool, Error> {
    for (first, generation) in Contents::list(fs, layout)?.segments {
        let path = layout.segment(first, generation);
        let segment = match SegmentFile::open(fs, &path, OpenMode::Read, journal) {
            Ok(segment) => segment,
            // What a finishing that was cut short left of a second segment.
            Err(Error::Damaged(damage)) if damage.code == "segment.header" => continue,
            Err(error) => return Err(error),
        };
        let mut end = segment.header_len;
        let mut scanner = GroupScanner::new(&segment, end, first, segment.len()?);
        while let Ok(group) = scanner.next() {
            if group.header.end_sequence() > 1 {
                return Ok(false);
            }
            end = group.end;
        }
        let stated = largest_statement(&segment, end)?.max(segment.header.durable);
        if first > 1 || stated > 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads sequence 0, the journal's own word about itself.
fn read_created(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
) -> Result<JournalCreated, Error> {
    let lost = |path: &Path| {
        let detail = "sequence 0, which says what journal this is, can't be read";
        Damage::new("journal.no_genesis", path, detail).sequence(0)
    };
    let Some(row) = manifest.rows.first().filter(|row| row.first_sequence == 0) else {
        return Err(lost(&layout.segments()).into());
    };
    let path = layout.segment(row.first_sequence, row.generation);
    let segment = SegmentFile::open(fs, &path, OpenMode::Read, &manifest.journal)?;
    let end = segment.len()?;
    let mut frames = FrameReader::new(segment.file.as_ref(), segment.seed, segment.header_len, end);
    loop {
        let at = frames.offset();
        let frame = match frames.next() {
            Ok(frame) => frame,
            Err(FrameStop::Io(error)) => return Err(Error::io("read", &path)(error)),
            Err(_) => return Err(lost(&path).at(at).into()),
        };
        if frame.kind == FrameType::Commit {
            continue;
        }
        let bad = |detail: &str| Error::from(segment.damage(at, detail).sequence(0));
        let event = Event::decode(&manifest.journal, frame.kind, frame.body.to_vec())
            .map_err(|error| bad(&error.to_string()))?;
        let facts = event.facts().ok_or_else(|| bad("sequence 0 is a stub"))?;
        let payload = event
            .data()
            .and_then(|section| section.bytes())
            .unwrap_or_default();
        return match JournalEvent::decode(facts.kind, payload) {
            Ok(JournalEvent::Created(created)) if event.sequence() == 0 => Ok(created),
            Ok(_) => Err(bad("sequence 0 is not journal.created")),
            Err(error) => Err(bad(&error.to_string())),
        };
    }
}
