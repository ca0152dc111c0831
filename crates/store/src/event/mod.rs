//! Events as a user writes and reads them.

mod borrowed;
mod condition;
mod new;
pub(crate) mod own;
mod payload;
mod stored;

use std::fmt;

pub use borrowed::EventRef;
pub use condition::Condition;
pub(crate) use condition::Rests;
pub(crate) use new::NewSection;
pub use new::{DATA_SECTION, NewEvent};
pub use payload::{Payload, to_display_json};
pub(crate) use stored::Opened;
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

impl Expect {
    /// Whether a stream is as expected whose last event has this revision, if it has any.
    pub(crate) fn holds(self, revision: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => revision.is_none(),
            Self::Revision(expected) => revision == Some(expected),
        }
    }
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
