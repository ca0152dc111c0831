//! What was done to the disk, call by call.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number, from 0.
    pub number: u64,
    /// The method's name.
    pub name: &'static str,
    /// The file or directory; the old name in a rename.
    pub path: Arc<PathBuf>,
    /// The new name in a rename.
    pub to: Option<Arc<PathBuf>>,
    /// Where in the file, and how much; for a length, how much.
    pub range: Option<(u64, u64)>,
    /// What it failed with.
    pub error: Option<String>,
    /// Whether it is one that changes what is in the cache or on the disk.
    pub changes: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:6} {:<11} {}",
            self.number,
            self.name,
            self.path.display()
        )?;
        if let Some(to) = &self.to {
            write!(f, " -> {}", to.display())?;
        }
        if let Some((at, len)) = self.range {
            write!(f, " {at}+{len}")?;
        }
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

/// The calls of a run, printed one a line. The same seed and program give the same trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The calls in order.
    pub calls: Vec<Call>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.iter().try_for_each(|call| writeln!(f, "{call}"))
    }
}
