//! Paths.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

/// The names of a path: no root, no `.`, and no `..`, which would need links to mean anything.
pub(crate) fn normal(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_os_string()),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let why = "a path with `..` means nothing on a simulated disk";
                return Err(io::Error::new(ErrorKind::InvalidInput, why));
            }
        }
    }
    Ok(names)
}
