use std::{io, path::Path};

use factlog_fs::{Access, StoreFs};

use crate::Error;

/// Makes a directory and those above it that are missing, for the owner alone, each durable in
/// its parent. What exists is left as it is.
pub(crate) fn create_private_dirs(fs: &dyn StoreFs, dir: &Path) -> Result<(), Error> {
    let mut missing = Vec::new();
    for dir in dir.ancestors() {
        let found = fs.metadata(dir).map_err(Error::io("read", dir))?;
        if found.is_some() || dir.as_os_str().is_empty() {
            break;
        }
        missing.push(dir);
    }
    for dir in missing.into_iter().rev() {
        match fs.create_dir(dir, Access::Private) {
            // Someone else was faster; that it is durable matters to us as well.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Error::io("create", dir))?,
        }
        let parent = dir.parent().unwrap_or(dir);
        fs.sync_dir(parent).map_err(Error::io("sync", parent))?;
    }
    Ok(())
}
