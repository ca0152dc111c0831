use std::{io::ErrorKind, path::Path};

use factlog_format::{FormatError, Identity, JournalId, MAX_MANIFEST_LEN, Manifest, SegmentHeader};
use factlog_fs::{
    DirEntry, FileKind, OpenMode, StoreFs, is_temporary, read_exact_at, read_file, read_up_to,
};

use super::findings::Findings;
use crate::{
    Damage, Error, Misuse,
    layout::{JOURNAL, Layout, MANIFEST, SECRET_LEN, decode_secret, is_key_file, is_subdirectory},
    segment::parse_segment_name,
};

/// The file is a few hundred bytes.
const MAX_JOURNAL_LEN: usize = 4 << 10;

/// What a journal's directory says of itself before any event is read.
#[derive(Debug)]
pub(super) struct Directory {
    /// Zeros if nothing that can be read tells it.
    pub(super) id: JournalId,
    pub(super) has_id: bool,
    /// `None` if `JOURNAL` is missing or damaged.
    pub(super) identity: Option<Identity>,
    /// Whether there is a `JOURNAL`, whatever it holds.
    pub(super) has_journal_file: bool,
    /// `None` if `MANIFEST` is missing, damaged or another journal's.
    pub(super) manifest: Option<Manifest>,
    /// First sequence and generation of every segment file there is, by name.
    pub(super) segments: Vec<(u64, u32)>,
}

impl Directory {
    /// Lists what is there and reads `JOURNAL` and `MANIFEST`.
    pub(super) fn read(
        fs: &dyn StoreFs,
        layout: &Layout,
        findings: &mut Findings,
    ) -> Result<Self, Error> {
        let not_a_journal = || Error::from(Misuse::NotAJournal(layout.dir.clone()));
        let entries = match fs.list(&layout.dir) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(not_a_journal());
            }
            entries => entries.map_err(Error::io("list", &layout.dir))?,
        };
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        let has_journal_file = has(JOURNAL);
        // Before MANIFEST: a live writer names a segment there only once its file is listed, so what
        // is listed now and not named later was never needed.
        let segments = list_segments(fs, layout, findings)?;
        if !has_journal_file && !has(MANIFEST) && segments.is_empty() {
            return Err(not_a_journal());
        }
        for entry in &entries {
            check_entry(entry, &layout.dir, findings);
        }
        let identity = read_small(
            fs,
            &layout.journal(),
            MAX_JOURNAL_LEN,
            "journal.damaged",
            findings,
        )?
        .and_then(|bytes| {
            decoded(
                Identity::decode(&bytes),
                "journal.damaged",
                &layout.journal(),
                findings,
            )
        });
        let bytes = read_small(
            fs,
            &layout.manifest(),
            MAX_MANIFEST_LEN,
            "manifest.damaged",
            findings,
        )?;
        if bytes.is_none() && !has(MANIFEST) {
            let detail = "there is no MANIFEST: the list of segments is rebuilt from their files";
            findings.wrong(Damage::new("manifest.missing", &layout.manifest(), detail));
        }
        let manifest = bytes.and_then(|bytes| {
            decoded(
                Manifest::decode(&bytes),
                "manifest.damaged",
                &layout.manifest(),
                findings,
            )
        });
        let mut directory = Self {
            id: [0; 16],
            has_id: false,
            identity,
            has_journal_file,
            manifest,
            segments,
        };
        directory.settle_id(fs, layout, findings);
        let id = directory.has_id.then_some(&directory.id);
        check_keys(fs, layout, id, findings)?;
        Ok(directory)
    }

    /// Decides which journal this is: two of `JOURNAL`, `MANIFEST` and the first segment agree, or the
    /// segment alone says it.
    fn settle_id(&mut self, fs: &dyn StoreFs, layout: &Layout, findings: &mut Findings) {
        let by_journal = self.identity.as_ref().map(|identity| identity.journal);
        let by_manifest = self.manifest.as_ref().map(|manifest| manifest.journal);
        let by_segment = self
            .segments
            .iter()
            .find_map(|(first, generation)| peek_journal(fs, &layout.segment(*first, *generation)));
        let agreed = |left: Option<JournalId>, right: Option<JournalId>| {
            left.filter(|id| Some(*id) == right)
        };
        let id = agreed(by_segment, by_manifest)
            .or(agreed(by_segment, by_journal))
            .or(agreed(by_journal, by_manifest))
            .or(by_segment)
            .or(by_manifest)
            .or(by_journal);
        self.has_id = id.is_some();
        self.id = id.unwrap_or_default();
        if by_journal.is_some_and(|id| id != self.id) {
            let detail = "JOURNAL names another journal than the segments";
            findings.wrong(Damage::new(
                "journal.identity_mismatch",
                &layout.journal(),
                detail,
            ));
        }
        if by_manifest.is_some_and(|id| id != self.id) {
            let detail = "MANIFEST is that of another journal";
            findings.wrong(Damage::new(
                "manifest.other_journal",
                &layout.manifest(),
                detail,
            ));
            self.manifest = None;
        }
    }
}

fn peek_journal(fs: &dyn StoreFs, path: &Path) -> Option<JournalId> {
    let file = fs.open(path, OpenMode::Read).ok()?;
    let mut head = [0u8; 16];
    let got = read_up_to(file.as_ref(), &mut head, 0).ok()?;
    let len = SegmentHeader::peek_len(head.get(..got)?).ok()?;
    let mut bytes = vec![0u8; len];
    read_exact_at(file.as_ref(), &mut bytes, 0).ok()?;
    SegmentHeader::decode(&bytes)
        .ok()
        .map(|header| header.journal)
}

fn decoded<T>(
    result: Result<T, FormatError>,
    code: &'static str,
    path: &Path,
    findings: &mut Findings,
) -> Option<T> {
    result
        .map_err(|error| findings.wrong(Damage::format(code, path, error)))
        .ok()
}

/// The bytes of a small file; `None`, with a finding, for anything but a readable file of at most
/// `limit` bytes, and without one if there is nothing.
pub(super) fn read_small(
    fs: &dyn StoreFs,
    path: &Path,
    limit: usize,
    code: &'static str,
    findings: &mut Findings,
) -> Result<Option<Vec<u8>>, Error> {
    match fs.metadata(path).map_err(Error::io("read", path))? {
        None => return Ok(None),
        Some(found) if found.kind != FileKind::File => {
            findings.wrong(Damage::new(code, path, "it is not a regular file"));
            return Ok(None);
        }
        Some(_) => {}
    }
    match read_file(fs, path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            findings.wrong(Damage::new(
                code,
                path,
                format!("it is longer than {limit} bytes"),
            ));
            Ok(None)
        }
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

fn check_entry(entry: &DirEntry, dir: &Path, findings: &mut Findings) {
    let known = match entry.name.to_str() {
        Some(JOURNAL | MANIFEST | "LOCK") => entry.kind == FileKind::File,
        Some(name) if is_subdirectory(name) => entry.kind == FileKind::Dir,
        _ => false,
    };
    if !known && !is_leftover(entry) {
        unknown(entry, dir, findings);
    }
}

fn is_leftover(entry: &DirEntry) -> bool {
    entry.kind == FileKind::File && is_temporary(&entry.name)
}

fn unknown(entry: &DirEntry, dir: &Path, findings: &mut Findings) {
    let detail = "nothing of this name and kind belongs into a journal";
    findings.wrong(Damage::new(
        "journal.unknown_file",
        &dir.join(&entry.name),
        detail,
    ));
}

/// The entries of a subdirectory; none if there is no such directory.
pub(super) fn list(fs: &dyn StoreFs, dir: &Path) -> Result<Vec<DirEntry>, Error> {
    match fs.list(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        entries => entries.map_err(Error::io("list", dir)),
    }
}

fn list_segments(
    fs: &dyn StoreFs,
    layout: &Layout,
    findings: &mut Findings,
) -> Result<Vec<(u64, u32)>, Error> {
    let dir = layout.segments();
    let mut segments = Vec::new();
    for entry in list(fs, &dir)? {
        let name = entry.name.to_str().unwrap_or_default();
        // The offsets of a segment are derived, and may be left over from one that is gone.
        let stem = name.strip_suffix(".off").map(|stem| format!("{stem}.seg"));
        match parse_segment_name(name) {
            Some(parsed) if entry.kind == FileKind::File => segments.push(parsed),
            None if entry.kind == FileKind::File
                && stem.is_some_and(|name| parse_segment_name(&name).is_some()) => {}
            _ if is_leftover(&entry) => {}
            _ => unknown(&entry, &dir, findings),
        }
    }
    Ok(segments)
}

/// The journal's secret is no evidence, but one that was changed makes the next import repeat events.
fn check_keys(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: Option<&JournalId>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let dir = layout.keys();
    for entry in list(fs, &dir)? {
        let name = entry.name.to_str().unwrap_or_default();
        let known = is_key_file(name) && entry.kind == FileKind::File;
        if !known && !is_leftover(&entry) {
            unknown(&entry, &dir, findings);
        }
    }
    check_secret(fs, layout, journal, findings)
}

/// Looks at the journal's secret. One that is missing is none: copies leave `keys/` out.
fn check_secret(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: Option<&JournalId>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let path = layout.secret();
    let code = "journal.secret";
    let Some(bytes) = read_small(fs, &path, SECRET_LEN, code, findings)? else {
        return Ok(());
    };
    if journal.is_some_and(|journal| decode_secret(journal, &bytes).is_none()) {
        let detail = "the journal's secret is not what was written, or is another journal's";
        findings.wrong(Damage::new(code, &path, detail));
    }
    let metadata = fs.metadata(&path).map_err(Error::io("examine", &path))?;
    if metadata.is_some_and(|metadata| !metadata.private) {
        let detail = "others than its owner may read the journal's secret";
        findings.note(Damage::new("journal.secret_exposed", &path, detail));
    }
    Ok(())
}
