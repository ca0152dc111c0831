//! Events as a user writes and reads them.

mod new;
mod payload;
mod stored;

use std::fmt;

pub use new::{DATA_SECTION, NewEvent};
pub use payload::{Payload, to_display_json};
pub use stored::{Event, Section};

/// What an append expects of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the event goes to the end, whatever is there.
    #[default]
    Any,
    /// There is no stream of this coordinate yet.
    NoStream,
    /// The stream's last event has exactly this revision.
    Revision(u64),
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::NoStream => f.write_str("no stream"),
            Self::Revision(revision) => write!(f, "revision {revision}"),
        }
    }
}
