use std::{path::Path, sync::Arc};

use factlog_format::{FrameType, Identity, JournalCreated, JournalEvent, Manifest};
use factlog_fs::{OpenMode, StoreFs, read_file};
use factlog_proof::VerifierKey;

use crate::{
    Damage, Error, Event, Misuse,
    layout::{JOURNAL, Layout, MANIFEST},
    segment::{FrameReader, SegmentFile},
};

const MAX_IDENTITY: usize = 4096;
const MAX_MANIFEST: usize = 256 << 20;

/// The journal that a directory holds.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) layout: Layout,
    pub(crate) identity: Identity,
    pub(crate) created: JournalCreated,
    pub(crate) key: Option<VerifierKey>,
    pub(crate) manifest: Manifest,
}

/// Reads JOURNAL, MANIFEST and sequence 0, and checks that they speak of one journal.
pub(crate) fn find(fs: &Arc<dyn StoreFs>, dir: &Path) -> Result<Found, Error> {
    let layout = Layout::new(dir);
    let fs = fs.as_ref();
    let identity = read_identity(fs, &layout)?;
    let manifest = read_manifest(fs, &layout)?;
    let mismatch = |path: &Path, detail: &str| -> Error {
        Damage::new("journal.identity_mismatch", path, detail).into()
    };
    if manifest.journal != identity.journal {
        return Err(mismatch(
            &layout.manifest(),
            "MANIFEST and JOURNAL speak of different journals",
        ));
    }
    let created = read_created(fs, &layout, &manifest)?;
    if created.journal != identity.journal
        || created.origin != identity.origin
        || created.created != identity.created
    {
        return Err(mismatch(
            &layout.journal(),
            "JOURNAL and sequence 0 speak of different journals",
        ));
    }
    let key = created
        .keys
        .first()
        .map(|key| VerifierKey::new(&created.origin, key))
        .transpose()
        .map_err(|error| mismatch(&layout.segments(), &error.to_string()))?;
    Ok(Found {
        layout,
        identity,
        created,
        key,
        manifest,
    })
}

fn read_identity(fs: &dyn StoreFs, layout: &Layout) -> Result<Identity, Error> {
    let path = layout.journal();
    match read_file(fs, &path, MAX_IDENTITY) {
        Ok(bytes) => Identity::decode(&bytes)
            .map_err(|error| Damage::format("journal.identity", &path, error).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing(fs, layout)),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            Err(Damage::new("journal.identity", &path, "JOURNAL is far too large").into())
        }
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Without JOURNAL a directory with a MANIFEST or segments is a damaged journal; any other is none.
fn missing(fs: &dyn StoreFs, layout: &Layout) -> Error {
    let there = |path: &Path| matches!(fs.metadata(path), Ok(Some(_)));
    if there(&layout.manifest()) && there(&layout.segments()) {
        let detail = "JOURNAL is missing beside a MANIFEST and segments";
        return Damage::new(
            "journal.identity_missing",
            &layout.dir.join(JOURNAL),
            detail,
        )
        .into();
    }
    Misuse::NotAJournal(layout.dir.clone()).into()
}

pub(crate) fn read_manifest(fs: &dyn StoreFs, layout: &Layout) -> Result<Manifest, Error> {
    let path = layout.dir.join(MANIFEST);
    let bytes = match read_file(fs, &path, MAX_MANIFEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Damage::new("manifest.missing", &path, "MANIFEST is missing").into());
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let manifest = Manifest::decode(&bytes)
        .map_err(|error| Damage::format("manifest.corrupt", &path, error))?;
    // The list always ends in the segment that is being written.
    if manifest.rows.last().is_none_or(|row| row.count.is_some()) {
        let detail = "MANIFEST names no segment that is being written";
        return Err(Damage::new("manifest.corrupt", &path, detail).into());
    }
    Ok(manifest)
}

/// Reads sequence 0, the journal's own word about itself.
fn read_created(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
) -> Result<JournalCreated, Error> {
    let Some(row) = manifest.rows.first() else {
        return Err(Damage::new("manifest.corrupt", &layout.manifest(), "it is empty").into());
    };
    let path = layout.segment(row.first_sequence, row.generation);
    let segment = SegmentFile::open(fs, &path, OpenMode::Read, &manifest.journal)?;
    let end = segment.len()?;
    let mut frames = FrameReader::new(segment.file.as_ref(), segment.seed, segment.header_len, end);
    loop {
        let at = frames.offset();
        let bad = |detail: &str| Error::from(segment.damage(at, detail).sequence(0));
        let frame = frames.next().map_err(|_| bad("sequence 0 can't be read"))?;
        if frame.kind == FrameType::Commit {
            continue;
        }
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
