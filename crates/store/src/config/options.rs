use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use data_encoding::HEXLOWER;
use factlog_format::{DEFAULT_SEGMENT_LEN, Encoding, JournalId};
use factlog_fs::{RealFs, StoreFs};
use factlog_proof::{SignedCheckpoint, SigningKey, VerifierKey};

use super::{Clock, Random, SystemClock, SystemRandom};
use crate::{
    Anchor, Compaction, ExternalSigner, KnownJournals, follow::Following, keys::KeyOptions,
};
#[cfg(feature = "encryption")]
use crate::{KeyDomain, Provider, RecipientKey};

const STREAM_HEADS: usize = 1 << 17;
/// A minute, in microseconds.
const ANCHOR_EVERY: i64 = 60_000_000;

/// Where a journal's signing key comes from.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// No signing: at creation the journal becomes unsigned; an open can't append to a signed one.
    None,
    /// A key made at creation and kept in memory only.
    Fresh,
    /// A key held by the caller.
    Memory(Arc<SigningKey>),
    /// A key that somebody else holds.
    External(Box<VerifierKey>, Arc<dyn ExternalSigner>),
    /// A file of the caller's, made at creation if missing; the signer's state stands beside it.
    File(PathBuf),
    /// A folder of the caller's, where the key of each journal is `{id}.key`.
    Folder(PathBuf),
}

impl KeySource {
    /// The key's file for a journal, if the source is one.
    pub(crate) fn path(&self, journal: &JournalId) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Folder(folder) => Some(folder.join(format!("{}.key", HEXLOWER.encode(journal)))),
            Self::None | Self::Fresh | Self::Memory(_) | Self::External(..) => None,
        }
    }

    /// Where the file of a key may be: under the plain name, or under one of its own, as a rotation
    /// leaves it.
    pub(crate) fn paths(&self, journal: &JournalId, key: &VerifierKey) -> Vec<PathBuf> {
        let Some(plain) = self.path(journal) else {
            return Vec::new();
        };
        vec![plain.clone(), named_after(&plain, key)]
    }
}

/// `ledger.key` of a key with the id `1a2b3c4d` becomes `ledger-1a2b3c4d.key`.
pub(crate) fn named_after(plain: &Path, key: &VerifierKey) -> PathBuf {
    let mut name = plain.file_stem().unwrap_or_default().to_owned();
    name.push("-");
    name.push(HEXLOWER.encode(&key.key_id()));
    if let Some(extension) = plain.extension() {
        name.push(".");
        name.push(extension);
    }
    plain.with_file_name(name)
}

/// Whether a signed journal may be opened for writing without its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningPolicy {
    /// Without its key it opens, and refuses appends.
    #[default]
    Optional,
    /// Without its key a writable open is refused, before anything is touched.
    Required,
}

/// How much of a journal is verified each time it is opened for writing, before anything is written.
///
/// What doesn't hold, or can't be checked, opens the journal read-only, with the first finding as the reason. Derived files
/// (index, tree, offsets) vouch for nothing and keep it from nothing, so they aren't part of it.
/// [`verify`](crate::verify()) does the same at any time, for readers too, says more, and compares those as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChainVerification {
    /// Only what any open looks at: the end of the segment that is being written, and all that says how many events
    /// there must be. Its cost doesn't grow with the journal.
    #[default]
    Tail,
    /// What came since the last open that verified. Its cost grows with what was appended since, and a little with the
    /// size of the journal's tree. What comes before isn't looked at again. The mark is kept beside the signing key, and
    /// only who has that key can make one: where the key isn't a file that is here, everything is read.
    SinceLastVerified,
    /// All segments, MANIFEST and signatures. Its cost grows with the journal: about a second for each million of small events and core.
    Full,
}

/// What an open does about a torn tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// Sets a torn tail aside, as the recovery rules allow.
    #[default]
    Normal,
    /// Refuses to open for writing if anything would have to be set aside.
    Strict,
}

/// What an open does if the program's event types contradict each other; see
/// [`verify_registry`](crate::typed::verify_registry).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryCheck {
    /// Refuses to open the journal.
    #[default]
    Fail,
    /// Opens it; [`Journal::registry_problems`](crate::Journal::registry_problems) says what is wrong.
    Warn,
    /// Looks at nothing.
    Off,
}

/// How a journal is created or opened.
///
/// ```
/// use factlog::Options;
///
/// let options = Options::new().origin("example.com/ledger").signing_key_file("/secure/ledger.key");
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) fs: Arc<dyn StoreFs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) origin: String,
    pub(crate) key: KeySource,
    pub(crate) signing: SigningPolicy,
    pub(crate) recovery: Recovery,
    pub(crate) chain: ChainVerification,
    pub(crate) known: Option<KnownJournals>,
    pub(crate) evidence: Vec<SignedCheckpoint>,
    pub(crate) segment_len: u64,
    pub(crate) stream_heads: usize,
    pub(crate) encoding: Encoding,
    pub(crate) registry: RegistryCheck,
    pub(crate) housekeeper: bool,
    pub(crate) following: Following,
    pub(crate) anchors: Vec<Arc<dyn Anchor>>,
    pub(crate) anchor_every: i64,
    pub(crate) maps: bool,
    pub(crate) compaction: Option<Compaction>,
    #[cfg_attr(
        not(feature = "encryption"),
        expect(dead_code, reason = "nothing can be asked for")
    )]
    pub(crate) keys: KeyOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// The real file system, clock and randomness; origin `factlog.local`; no signing key.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fs: Arc::new(RealFs),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom::default()),
            origin: "factlog.local".to_owned(),
            key: KeySource::None,
            signing: SigningPolicy::Optional,
            recovery: Recovery::Normal,
            chain: ChainVerification::Tail,
            known: None,
            evidence: Vec::new(),
            segment_len: DEFAULT_SEGMENT_LEN,
            stream_heads: STREAM_HEADS,
            encoding: Encoding::MessagePack,
            registry: RegistryCheck::Fail,
            housekeeper: true,
            following: Following::Thread,
            anchors: Vec::new(),
            anchor_every: ANCHOR_EVERY,
            maps: false,
            compaction: None,
            keys: KeyOptions::default(),
        }
    }

    /// The public name at creation, without the journal's id, which is added behind a `/`: 1 to 200
    /// bytes without blanks or `+`, best a name under a domain of yours.
    #[must_use]
    pub fn origin(self, origin: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            ..self
        }
    }

    /// Compacts by itself, as [`Journal::compact`](crate::Journal::compact) does, whenever a segment is full.
    /// Not by default: what is written then goes to the disk beside appends.
    #[must_use]
    pub fn compact(self, how: Compaction) -> Self {
        Self {
            compaction: Some(how),
            ..self
        }
    }

    /// Signs with the key in this file, which a creation makes if it is missing (mode 0600); the
    /// signer's state is kept beside it. Keep both outside the journal.
    #[must_use]
    pub fn signing_key_file(self, path: impl Into<PathBuf>) -> Self {
        Self {
            key: KeySource::File(path.into()),
            ..self
        }
    }

    /// Signs with the key `{journal id in hex}.key` in this folder: a creation makes it, an open looks
    /// for it there. As [`signing_key_file`](Self::signing_key_file) otherwise.
    #[must_use]
    pub fn signing_key_dir(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            key: KeySource::Folder(folder.into()),
            ..self
        }
    }

    /// Signs with a key that the caller holds; there is no signer's state, so a rollback of the whole
    /// journal isn't noticed at the open.
    #[must_use]
    pub fn signing_key(self, key: SigningKey) -> Self {
        Self {
            key: KeySource::Memory(Arc::new(key)),
            ..self
        }
    }

    /// Has somebody else sign, who holds the private half of this key: an agent, or a command. It is asked for
    /// what is durable alone, once per group, and once when the journal is opened; where it doesn't answer,
    /// appends stop (`signer.unavailable`). For journals that exist: one is created with a key of its own,
    /// which then moves to who is to hold it.
    #[must_use]
    pub fn external_signer(self, key: VerifierKey, signer: Arc<dyn ExternalSigner>) -> Self {
        Self {
            key: KeySource::External(Box::new(key), signer),
            ..self
        }
    }

    /// Creates the journal with a fresh key in memory: for tests, and where the key's text is asked
    /// for and kept elsewhere.
    #[must_use]
    pub fn fresh_signing_key(self) -> Self {
        Self {
            key: KeySource::Fresh,
            ..self
        }
    }

    /// Whether a signed journal may be opened without its key; recorded at creation.
    #[must_use]
    pub fn signing_policy(self, policy: SigningPolicy) -> Self {
        Self {
            signing: policy,
            ..self
        }
    }

    /// What an open does about a torn tail.
    #[must_use]
    pub fn recovery(self, recovery: Recovery) -> Self {
        Self { recovery, ..self }
    }

    /// How much of the journal an open for writing verifies first; only its tail by default, since the rest costs more
    /// the longer the journal is.
    #[must_use]
    pub fn chain_verification(self, chain: ChainVerification) -> Self {
        Self { chain, ..self }
    }

    /// The user's record of journals: creation pins the new journal in it, an open consults it before
    /// it believes a tail, a close advances it.
    #[must_use]
    pub fn known_journals(self, known: KnownJournals) -> Self {
        Self {
            known: Some(known),
            ..self
        }
    }

    /// A checkpoint kept elsewhere: an open consults it before it believes that a tail was never
    /// acknowledged. Only those signed by the journal's key count.
    #[must_use]
    pub fn evidence(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.evidence.push(checkpoint);
        self
    }

    /// Keeps checkpoints there too: at every roll, at a close, and at most
    /// [`anchor_every`](Self::anchor_every) apart while events come. A place that fails keeps nobody from
    /// appending.
    #[must_use]
    pub fn anchor(mut self, anchor: Arc<dyn Anchor>) -> Self {
        self.anchors.push(anchor);
        self
    }

    /// How long anchors may stay behind while events come; a minute by default, since what lies between is
    /// what a rewriter may change unseen, and each costs the places some space.
    #[must_use]
    pub fn anchor_every(self, interval: Duration) -> Self {
        let anchor_every = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        Self {
            anchor_every,
            ..self
        }
    }

    /// The size at which a segment is sealed, in bytes; 64 MiB by default, 64 KiB to 4 GiB − 1. Small
    /// segments are dropped sooner by retention, large ones mean fewer files.
    #[must_use]
    pub fn segment_len(self, bytes: u64) -> Self {
        let segment_len = bytes.clamp(64 << 10, factlog_format::MAX_SEGMENT_LEN);
        Self {
            segment_len,
            ..self
        }
    }

    /// Of how many streams a writer remembers the last event at least, 131,072 by default; up to twice as many
    /// at times, in some 300 bytes each. An append to any other stream looks it up in the index first, in some
    /// microseconds.
    #[must_use]
    pub fn stream_heads(self, streams: usize) -> Self {
        let stream_heads = streams.max(1);
        Self {
            stream_heads,
            ..self
        }
    }

    /// How the payloads of typed events are encoded: MessagePack by default, which is short and loses
    /// nothing; JSON where people or other programs are to read the bytes. Each event says how it is
    /// encoded, so this may change at any time.
    #[must_use]
    pub fn payload_encoding(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// What an open does if the program's event types contradict each other; refuses by default, since a
    /// type that can't read what is stored is better found now than at the first old event.
    #[must_use]
    pub fn registry_check(self, registry: RegistryCheck) -> Self {
        Self { registry, ..self }
    }

    /// Maps sealed segments and the files of the index into memory in the process that has the journal open for
    /// writing: reads of single events then cost half, and whole scans copy nothing. Off by default, since a disk that
    /// fails to read a mapped page ends the process with a signal (SIGBUS) where a read by position
    /// returns an error. Readers in other processes never map, as the files aren't theirs.
    #[must_use]
    pub fn map_segments(self, maps: bool) -> Self {
        Self { maps, ..self }
    }

    /// Encrypts payloads, at creation: one key for each stream, scope, category, kind, event or subject, which
    /// a shred can destroy. It can't be changed later. Facts (names, tags, actors, times) stay readable.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn encrypt(mut self, domain: KeyDomain) -> Self {
        self.keys.domain = Some(domain);
        self
    }

    /// What unlocks the keyset of an encrypted journal; at creation, of its first recipient. Without it the
    /// journal opens for reading, and payloads stay locked.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn unlock(mut self, provider: Provider) -> Self {
        self.keys.provider = Some(provider);
        self
    }

    /// A second recipient of the keyset, at creation, whose private key is kept away from the machine: what
    /// opens it when the first one's secret is lost. Without one, that loss is the loss of every payload.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn recovery_recipient(mut self, key: RecipientKey) -> Self {
        self.keys.recovery = Some(key);
        self
    }

    /// Takes an older copy of the keyset as it is, which otherwise makes the journal read-only
    /// (`keyset.rolled_back`): keys that were minted since are given up, and who could open the keyset then can
    /// again. Where the right copy still exists, put that back instead.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn accept_older_keyset(mut self) -> Self {
        self.keys.accept_older = true;
        self
    }

    /// Adds somebody who keeps what is derived from payloads, and is to forget what is shredded; at most 16.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn on_erased(mut self, derived: Arc<dyn crate::OnErased>) -> Self {
        self.keys.derived.push(derived);
        self
    }

    /// Stores exact lengths of encrypted sections; by default they are padded, at most by 12 %, so that
    /// little more than their magnitude shows.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn without_padding(mut self) -> Self {
        self.keys.without_padding = true;
        self
    }

    /// The file system to live on: [`MemFs`](factlog_fs::MemFs), a simulated one, or one of yours.
    #[must_use]
    pub fn file_system(self, fs: Arc<dyn StoreFs>) -> Self {
        Self { fs, ..self }
    }

    /// What only simulations and test kits should touch.
    #[must_use]
    pub fn dangerous(self) -> Dangerous {
        Dangerous(self)
    }
}

/// Options that can break a journal's promises; see [`Options::dangerous`].
#[derive(Debug, Clone)]
pub struct Dangerous(Options);

impl Dangerous {
    /// Reads time from here.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Options {
        Options { clock, ..self.0 }
    }

    /// Draws salts, ids and keys from here: guessable ones void every promise about erased payloads.
    #[must_use]
    pub fn random(self, random: Arc<dyn Random>) -> Options {
        Options { random, ..self.0 }
    }

    /// Starts no housekeeper thread; [`Journal::housekeep`](crate::Journal::housekeep) does its work
    /// when called.
    #[must_use]
    pub fn without_housekeeper(self) -> Options {
        Options {
            housekeeper: false,
            following: Following::Inline,
            ..self.0
        }
    }
}
