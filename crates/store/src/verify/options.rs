use std::{fmt, num::NonZero, sync::Arc, thread};

use factlog_fs::{RealFs, StoreFs};
use factlog_proof::{Hash, SignedCheckpoint, TrustPolicy, VerifierKey};

use crate::KnownJournals;

type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What a journal is verified with. Evidence that isn't given isn't looked for.
///
/// ```
/// use factlog::{KnownJournals, VerifyOptions};
///
/// let options = VerifyOptions::new().known(KnownJournals::at("/home-of-state/known_journals"));
/// ```
#[derive(Clone)]
pub struct VerifyOptions {
    pub(super) fs: Arc<dyn StoreFs>,
    pub(super) key: Option<VerifierKey>,
    pub(super) checkpoints: Vec<SignedCheckpoint>,
    pub(super) anchors: Vec<Result<SignedCheckpoint, String>>,
    pub(super) receipts: Vec<String>,
    pub(super) policy: Option<TrustPolicy>,
    pub(super) known: Option<KnownJournals>,
    pub(super) internal: bool,
    pub(super) progress: Option<Progress>,
    pub(super) threads: Option<NonZero<usize>>,
    pub(super) since: Option<SignedCheckpoint>,
    /// As `since`, of a size and root that need no signature.
    pub(super) mark: Option<(u64, Hash)>,
}

impl VerifyOptions {
    /// The real file system, and no evidence but the journal itself.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fs: Arc::new(RealFs::new()),
            key: None,
            checkpoints: Vec::new(),
            anchors: Vec::new(),
            receipts: Vec::new(),
            policy: None,
            known: None,
            internal: false,
            progress: None,
            threads: None,
            since: None,
            mark: None,
        }
    }

    /// The file system that the journal is on.
    #[must_use]
    pub fn file_system(self, fs: Arc<dyn StoreFs>) -> Self {
        Self { fs, ..self }
    }

    /// The log's key, known to the caller from elsewhere. Goes before what is remembered.
    #[must_use]
    pub fn key(self, key: VerifierKey) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// A checkpoint kept elsewhere, which the journal must continue.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.checkpoints.push(checkpoint);
        self
    }

    /// Rests on a checkpoint for all before it, as it was kept after an earlier verification: what came since is
    /// read and hashed, and shown to continue it; the bytes of what comes before are not looked at.
    ///
    /// That an event is the first after its stream's last one before the checkpoint, and that a stream which begins
    /// after it is a new one, isn't checked: who has the key can fork a stream there, which a whole verification finds.
    ///
    /// It counts only if the key that signed it was given, or is known from outside the journal, and was neither replaced
    /// nor revoked by then. Where it doesn't,
    /// and where the journal isn't seen to continue it, everything is read; a note says why. It is evidence as with
    /// [`checkpoint`](Self::checkpoint) either way.
    #[must_use]
    pub fn since(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.since = Some(checkpoint.clone());
        self.checkpoint(checkpoint)
    }

    /// As [`since`](Self::since), of what this program has verified and nobody else can have written.
    pub(crate) fn mark(self, mark: Option<(u64, Hash)>) -> Self {
        Self { mark, ..self }
    }

    /// What an anchor of the journal holds: a checkpoint, as with [`checkpoint`](Self::checkpoint), or why it
    /// could not be read, which leaves the verification undecided.
    #[must_use]
    pub fn anchor(mut self, anchor: Result<SignedCheckpoint, String>) -> Self {
        self.anchors.push(anchor);
        self
    }

    /// The text of a receipt, whose event must be in the journal.
    #[must_use]
    pub fn receipt(mut self, receipt: impl Into<String>) -> Self {
        self.receipts.push(receipt.into());
        self
    }

    /// Whom to trust, by a policy file: its logs' keys, where [`key`](Self::key) gives none, and how many
    /// of which witnesses must have cosigned a checkpoint for it to count.
    #[must_use]
    pub fn policy(self, policy: TrustPolicy) -> Self {
        Self {
            policy: Some(policy),
            ..self
        }
    }

    /// The user's record of journals: supplies key and checkpoints.
    #[must_use]
    pub fn known(self, known: KnownJournals) -> Self {
        Self {
            known: Some(known),
            ..self
        }
    }

    /// Asks for the journal's agreement with itself alone: what is remembered is not consulted.
    /// [`Report::outcome`](super::Report::outcome) wants to be asked the same.
    #[must_use]
    pub fn internal(self, internal: bool) -> Self {
        Self { internal, ..self }
    }

    /// How many threads read and hash; as many as the machine has cores, where it isn't said. With one, all
    /// is done by the thread that asks.
    #[must_use]
    pub fn threads(self, threads: NonZero<usize>) -> Self {
        Self {
            threads: Some(threads),
            ..self
        }
    }

    /// Is called now and then with the bytes read so far and the bytes to be read in all.
    #[must_use]
    pub fn progress(self, progress: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self {
            progress: Some(Arc::new(progress)),
            ..self
        }
    }
}

impl VerifyOptions {
    pub(super) fn worker_count(&self) -> usize {
        let said = self.threads.map(NonZero::get);
        said.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
    }
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("fs", &self.fs)
            .field("key", &self.key)
            .field("checkpoints", &self.checkpoints.len())
            .field("anchors", &self.anchors.len())
            .field("receipts", &self.receipts.len())
            .field("policy", &self.policy)
            .field("known", &self.known)
            .field("internal", &self.internal)
            .field("since", &self.since.is_some())
            .finish_non_exhaustive()
    }
}
