//! Where the user's own files are: keys in the config folder, known journals in the state folder.

use std::env;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Problem};

/// `$XDG_CONFIG_HOME/factlog`, or `~/.config/factlog`.
pub(crate) fn config_dir() -> Result<PathBuf, Problem> {
    base("XDG_CONFIG_HOME", ".config")
}

/// `$XDG_STATE_HOME/factlog`, or `~/.local/state/factlog`.
pub(crate) fn state_dir() -> Result<PathBuf, Problem> {
    base("XDG_STATE_HOME", ".local/state")
}

/// The folder of signing keys, each named after its journal's id.
pub(crate) fn keys_dir() -> Result<PathBuf, Problem> {
    Ok(config_dir()?.join("keys"))
}

/// The folder of anchors, a file for each journal.
pub(crate) fn anchors_dir() -> Result<PathBuf, Problem> {
    Ok(config_dir()?.join("anchors"))
}

/// The random half of this machine's identity.
pub(crate) fn machine_secret() -> Result<PathBuf, Problem> {
    Ok(config_dir()?.join("machine.secret"))
}

/// The file of known journals.
pub(crate) fn known_file() -> Result<PathBuf, Problem> {
    Ok(state_dir()?.join("known_journals"))
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf, Problem> {
    // The XDG specification says to ignore relative paths.
    let named = env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || env::home_dir().filter(|path| path.is_absolute());
    named
        .or_else(|| home().map(|home| home.join(below_home)))
        .map(|base| base.join("factlog"))
        .ok_or_else(|| {
            Problem::new(
                Exit::Failed,
                "home.missing",
                format!("neither {variable} nor HOME names a folder for factlog's own files"),
            )
        })
}

/// A path for people: the string, or what of it can be shown.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
