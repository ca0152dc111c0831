use std::path::{Path, PathBuf};

use factlog_fs::{Access, OpenMode, replace_file};

use super::{Found, create::finish, find};
use crate::{
    Damage, Error, Options,
    journal::take_lock,
    layout::{Layout, MANIFEST},
    open::check_writable,
};

/// Writes a lost or damaged MANIFEST back, and a lost or damaged `JOURNAL`, where the segments tell all
/// that was in them: the list is without a gap, and sequence 0 is there. Returns what was written;
/// nothing where both are good.
///
/// Of the options it uses the file system. Nothing else is touched; damage inside of segments stays
/// what it is.
///
/// # Errors
/// `journal.not_repairable` if a segment or part of one is missing, and what [`Journal::open`](crate::Journal::open) refuses
/// a journal with.
pub fn repair(dir: impl AsRef<Path>, options: &Options) -> Result<Vec<PathBuf>, Error> {
    let fs = options.fs.as_ref();
    let found = find(&options.fs, dir.as_ref())?;
    let _lock = take_lock(fs, &found.layout)?;
    let found = find(&options.fs, &found.layout.dir)?;
    check_writable(fs, &found)?;
    let of = |area: &str| found.damage.iter().any(|one| one.code.starts_with(area));
    let gap = found
        .damage
        .iter()
        .find(|one| one.code.starts_with("segment."));
    if let Some(gap) = gap {
        let damage = Damage {
            code: "journal.not_repairable",
            detail: format!("the list of segments has a gap: {}", gap.detail),
            ..gap.clone()
        };
        return Err(damage.into());
    }
    let mut written = Vec::new();
    if of("manifest.") {
        write_manifest(options, &found)?;
        written.push(found.layout.manifest());
    }
    if of("journal.") {
        finish(fs, &found)?;
        written.push(found.layout.journal());
    }
    Ok(written)
}

fn write_manifest(options: &Options, found: &Found) -> Result<(), Error> {
    let fs = options.fs.as_ref();
    let Layout { dir, .. } = &found.layout;
    if let Err(error) = found.manifest.check() {
        let path = found.layout.manifest();
        return Err(Damage::new("journal.not_repairable", &path, error.to_string()).into());
    }
    // What it is going to name must be on the disk; what reads well need not be.
    for row in &found.manifest.rows {
        let path = found.layout.segment(row.first_sequence, row.generation);
        let file = fs
            .open(&path, OpenMode::Write)
            .map_err(Error::io("open", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
    }
    let segments = found.layout.segments();
    fs.sync_dir(&segments)
        .map_err(Error::io("sync", &segments))?;
    let bytes = found.manifest.encode();
    replace_file(fs, dir, MANIFEST, &bytes, Access::Shared)
        .map_err(Error::io("replace", &found.layout.manifest()))
}
