use factlog_proof::Hash;

use super::KnownJournal;

/// How a journal stands to the checkpoints that are known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// No checkpoint is known, so nothing was compared.
    NotChecked,
    /// The journal's root at this size, at which a checkpoint is known, is not to be had; so
    /// nothing is decided.
    Undecided {
        /// The size.
        size: u64,
    },
    /// The journal holds all that is known.
    Anchored {
        /// The last sequence below the newest known checkpoint, inclusive.
        through: u64,
    },
    /// The journal is shorter than what is known, and contradicts nothing of it.
    RolledBack {
        /// How many events it lacks.
        behind_by: u64,
        /// Whether it is shown to be a prefix of what is known: it holds an older known
        /// checkpoint. What it has past that checkpoint is covered by nothing that is known.
        true_prefix: bool,
        /// The last sequence below the newest known checkpoint that it holds, inclusive.
        agrees_through: Option<u64>,
    },
    /// The journal has another history than the one that is known.
    Forked {
        /// The last sequence below the newest known checkpoint that it holds, inclusive: up to
        /// there the histories are the same. `None`: they share none of the known checkpoints.
        parted_after: Option<u64>,
        /// The size of the oldest known checkpoint that it contradicts: the histories differ at a
        /// sequence below.
        parted_before: u64,
    },
}

impl Standing {
    /// Compares a journal of `size` events with what is known of it; `root_at` is asked for its
    /// roots at known sizes up to `size`, and answers `None` if one can't be computed.
    ///
    /// Take `known` from [`KnownJournals::find`](super::KnownJournals::find), which checks
    /// signatures; they are not checked here.
    pub fn compare(known: &KnownJournal, size: u64, root_at: impl Fn(u64) -> Option<Hash>) -> Self {
        let Some((newest, _)) = known.newest() else {
            return Self::NotChecked;
        };
        let mut agrees_through = None;
        let mut undecided = None;
        for (at, root) in known.known_roots().take_while(|(at, _)| *at <= size) {
            match root_at(at) {
                Some(found) if found == root => agrees_through = at.checked_sub(1),
                Some(_) => {
                    return Self::Forked {
                        parted_after: agrees_through,
                        parted_before: at,
                    };
                }
                None => undecided = Some(at),
            }
        }
        match (undecided, agrees_through) {
            (Some(size), _) => Self::Undecided { size },
            _ if size < newest => Self::RolledBack {
                behind_by: newest - size,
                true_prefix: agrees_through.is_some(),
                agrees_through,
            },
            (None, Some(through)) => Self::Anchored { through },
            // A checkpoint of no events says nothing.
            (None, None) => Self::NotChecked,
        }
    }
}
